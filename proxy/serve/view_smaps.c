/* SPDX-License-Identifier: MIT */
/* /proc/self/smaps and smaps_rollup: the isle's mappings; what is resident of them is Linux's to
   say, of the same addresses. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "serve/call.h"
#include "serve/view.h"

#define NAME_COLUMN 73     /* as in maps */
#define STEP (256ul << 20) /* bytes that are asked for at once */

/* Bytes. Huge pages of the pool do not count as resident. */
struct resident {
    uint64_t private, shared, huge_private, huge_shared;
};

/* What Linux says of huge pages between start and end, which are a mapping of the proxy too. */
static void huge_pages(uint64_t start, uint64_t end, struct resident *out)
{
    static const char path[] = "/proc/self/smaps";
    struct text real = {0};
    bool here = false;
    long fd = server_syscall(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    bool ok = fd >= 0 && view_read((int)fd, &real) == 0;
    for (char *line = ok ? real.p : NULL; line && *line; line += *line == '\n') {
        unsigned long from, to, kb;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from >= start && to <= end;
        else if (here && sscanf(line, "Shared_Hugetlb: %lu kB", &kb) == 1)
            out->huge_shared += kb << 10;
        else if (here && sscanf(line, "Private_Hugetlb: %lu kB", &kb) == 1)
            out->huge_private += kb << 10;
        line += strcspn(line, "\n");
    }
    if (fd >= 0)
        server_syscall(SYS_close, fd, 0, 0, 0);
    text_free(&real);
}

struct rollup {
    uint64_t first, last;
    struct resident all;
    bool each; /* smaps: every mapping by itself */
};

static uint64_t resident(const struct lull_map *m)
{
    static _Thread_local unsigned char page[STEP / LULL_PAGE];
    uint64_t n = 0;
    if (!m->prot)
        return 0;
    for (uint64_t at = m->start; at < m->end; at += STEP) {
        uint64_t len = m->end - at < STEP ? m->end - at : STEP;
        if (server_syscall(SYS_mincore, (long)at, (long)len, (long)page, 0) < 0)
            continue;
        for (uint64_t i = 0; i < len / LULL_PAGE; i++)
            n += page[i] & 1 ? LULL_PAGE : 0;
    }
    return n;
}

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
    put_kb(out, "Locked:", 0);
}

static void one(const struct call *c, const struct lull_map *m, void *ctx, struct text *out)
{
    struct rollup *r = ctx;
    uint64_t page = LULL_PAGE;
    bool shared = lull_map_shared(m);
    struct resident mine = {0};
    (void)c;
    if (LULL_MAP_PAGE(m->flags) >= 12 && LULL_MAP_PAGE(m->flags) < 48)
        page = 1ul << LULL_MAP_PAGE(m->flags);
    if (page != LULL_PAGE)
        huge_pages(m->start, m->end, &mine);
    else
        *(shared ? &mine.shared : &mine.private) = resident(m);
    if (!r->last)
        r->first = m->start;
    r->last = m->end;
    if (!r->each) {
        r->all.private += mine.private;
        r->all.shared += mine.shared;
        r->all.huge_private += mine.huge_private;
        r->all.huge_shared += mine.huge_shared;
        out->len = 0; /* the mapping's line has no place there */
        return;
    }
    put_kb(out, "Size:", m->end - m->start);
    put_kb(out, "KernelPageSize:", page);
    put_kb(out, "MMUPageSize:", page);
    put_sizes(out, &mine, false);
    text_printf(out, "THPeligible:    %8d\nVmFlags: %s%s%s%smr mw me \n", 0,
                m->prot & LULL_PROT_READ ? "rd " : "", m->prot & LULL_PROT_WRITE ? "wr " : "",
                m->prot & LULL_PROT_EXEC ? "ex " : "", shared ? "sh " : "");
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
