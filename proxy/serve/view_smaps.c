/* SPDX-License-Identifier: MIT */
/* /proc/self/smaps and smaps_rollup: the isle's mappings; what is resident of them is Linux's to
   say, of the same addresses. */
#include <stdlib.h>
#include <string.h>

#include "serve/call.h"
#include "serve/view.h"

#define NAME_COLUMN 73 /* as in maps */

/* Bytes. Huge pages of the pool do not count as resident. */
struct resident {
    uint64_t private, shared, huge_private, huge_shared, locked;
};

struct rollup {
    uint64_t first, last;
    struct resident all;
    bool each; /* smaps: every mapping by itself */
};

static void put_kb(struct text *out, const char *name, uint64_t bytes)
{
    text_printf(out, "%-16s%8lu kB\n", name, bytes >> 10);
}

/* What is the isle's is private and written to, even a copy of a file. */
static void put_sizes(struct text *out, const struct resident *r, bool rollup)
{
    uint64_t private = r->private, shared = r->shared;
    put_kb(out, "Rss:", private + shared);
    put_kb(out, "Pss:", private + shared);
    put_kb(out, "Pss_Dirty:", private + shared);
    if (rollup) {
        put_kb(out, "Pss_Anon:", private);
        put_kb(out, "Pss_File:", 0);
        put_kb(out, "Pss_Shmem:", shared);
    }
    put_kb(out, "Shared_Clean:", 0);
    put_kb(out, "Shared_Dirty:", shared);
    put_kb(out, "Private_Clean:", 0);
    put_kb(out, "Private_Dirty:", private);
    put_kb(out, "Referenced:", private + shared);
    put_kb(out, "Anonymous:", private);
    static const char *const none[] = {
        "KSM:", "LazyFree:", "AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        put_kb(out, none[i], 0);
    put_kb(out, "Shared_Hugetlb:", r->huge_shared);
    put_kb(out, "Private_Hugetlb:", r->huge_private);
    put_kb(out, "Swap:", 0);
    put_kb(out, "SwapPss:", 0);
    put_kb(out, "Locked:", r->locked);
}

static void one(const struct call *c, const struct lull_map *m, const struct lull_map *piece,
                uint32_t n, void *ctx, struct text *out)
{
    struct rollup *r = ctx;
    uint64_t page = LULL_PAGE;
    bool shared = lull_map_shared(m);
    struct resident mine = {0};
    (void)c;
    if (LULL_MAP_PAGE(m->flags) >= 12 && LULL_MAP_PAGE(m->flags) < 48)
        page = 1ul << LULL_MAP_PAGE(m->flags);
    if (page != LULL_PAGE)
        view_huge_pages(m->start, m->end, &mine.huge_shared, &mine.huge_private);
    for (uint32_t i = 0; page == LULL_PAGE && i < n; i++)
        *(shared ? &mine.shared : &mine.private) += view_resident(&piece[i]);
    if (m->flags & LULL_MAP_LOCKED)
        mine.locked = mine.shared + mine.private;
    if (!r->last)
        r->first = m->start;
    r->last = m->end;
    if (!r->each) {
        r->all.private += mine.private;
        r->all.shared += mine.shared;
        r->all.huge_private += mine.huge_private;
        r->all.huge_shared += mine.huge_shared;
        r->all.locked += mine.locked;
        out->len = 0; /* the mapping's line has no place there */
        return;
    }
    put_kb(out, "Size:", m->end - m->start);
    put_kb(out, "KernelPageSize:", page);
    put_kb(out, "MMUPageSize:", page);
    put_sizes(out, &mine, false);
    uint32_t prot = m->prot | (m->flags & LULL_MAP_BEYOND_PROT) >> LULL_MAP_BEYOND_SHIFT;
    text_printf(out, "THPeligible:    %8d\nVmFlags: %s%s%s%smr mw me ", 0,
                prot & LULL_PROT_READ ? "rd " : "", prot & LULL_PROT_WRITE ? "wr " : "",
                prot & LULL_PROT_EXEC ? "ex " : "", shared ? "sh " : "");
    static const struct {
        uint32_t flag;
        const char *name;
    } more[] = {{LULL_MAP_MAIN | LULL_MAP_GROWS, "gd "},
                {LULL_MAP_LOCKED, "lo "},
                {LULL_MAP_DONTFORK, "dc "},
                {LULL_MAP_ONFAULT, "lf "},
                {LULL_MAP_WIPE, "wf "},
                {LULL_MAP_DONTDUMP, "dd "},
                {LULL_MAP_DROPPABLE, "dp "},
                {LULL_MAP_SEALED, "sl "}};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        text_printf(out, "%s", m->flags & more[i].flag ? more[i].name : "");
    text_printf(out, "\n");
}

bool view_smaps(const struct call *c, const char *name, struct text *out)
{
    struct rollup r = {.each = !strcmp(name, "smaps")};
    if (!view_each_map(c, one, &r, out))
        return false;
    if (r.each)
        return true;
    text_printf(out, "%08lx-%08lx ---p 00000000 00:00 0 ", r.first, r.last);
    while (out->len < NAME_COLUMN && !out->failed)
        text_add(out, " ", 1);
    text_printf(out, "[rollup]\n");
    put_sizes(out, &r.all, true);
    return true;
}
