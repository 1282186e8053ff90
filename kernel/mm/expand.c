/* SPDX-License-Identifier: MIT */
/* RLIMIT_AS and RLIMIT_DATA, counted as Linux counts (getrlimit(2)): mappings, touched or not. */
#include "kernel.h"
#include "mm/mm.h"

/* Linux's grow from there; this one is there as a whole. */
#define STACK_AT_START (33 * LULL_PAGE)

/* What of [start, end) counts: the rest is this kernel's own. */
static u64 counted(const struct lull_map *m, u64 start, u64 end)
{
    u64 from = max_u64(m->start, start), to = min_u64(m->end, end);
    if (from >= to || m->flags & LULL_MAP_STUBS)
        return 0;
    if (m->flags & LULL_MAP_MAIN)
        return m->prot ? min_u64(to - from, STACK_AT_START) : 0;
    return to - from;
}

static bool is_data(u32 prot, u32 flags)
{
    bool shared = (flags & (LULL_MAP_WINDOW | LULL_MAP_PRIVATE)) == LULL_MAP_WINDOW;
    return prot & PROT_WRITE && !shared && !(flags & LULL_MAP_MAIN);
}

/* `data`: of the data alone. */
static u64 mapped(u64 start, u64 end, bool data)
{
    u64 sum = 0;
    for (struct lull_map *m = vma_next(start); m && m->start < end; m = vma_following(m)) {
        if (!data || is_data(m->prot, m->flags))
            sum += counted(m, start, end);
    }
    return sum;
}

static bool data_fits(u64 len)
{
    const struct lull_limits *l = limit_table();
    u64 soft = l->of[LULL_LIMIT_DATA].cur;
    if (soft == LULL_UNLIMITED)
        return true;
    u64 sum = mapped(0, ~0ul, true) + len;
    /* no soft limit at all means the hard one, as Linux has it */
    return sum <= ALIGN_DOWN(soft, LULL_PAGE) ||
           (soft == 0 && sum <= ALIGN_DOWN(l->of[LULL_LIMIT_DATA].max, LULL_PAGE));
}

bool mm_may_expand(u64 start, u64 len, u32 prot, u32 flags)
{
    const struct lull_limits *l = limit_table();
    u64 soft = l->of[LULL_LIMIT_AS].cur;
    bool data = is_data(prot, flags) && l->of[LULL_LIMIT_DATA].cur != LULL_UNLIMITED;
    if (soft == LULL_UNLIMITED && !data)
        return true;
    u64 vdso = ALIGN_UP(boot_info()->vdso_size, LULL_PAGE) + LULL_PAGE;
    u64 more = len - (start ? mapped(start, start + len, false) : 0);
    if (soft != LULL_UNLIMITED &&
        mapped(0, ~0ul, false) + vdso + more > ALIGN_DOWN(soft, LULL_PAGE))
        return false;
    return !data || data_fits(more);
}

bool mm_may_become_data(const struct lull_map *v, u64 len, u32 prot)
{
    return !is_data(prot, v->flags) || is_data(v->prot, v->flags) || data_fits(len);
}
