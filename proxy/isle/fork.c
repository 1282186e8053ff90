/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "isle/isle_priv.h"

struct isle_copies {
    size_t n;
    struct {
        uint64_t start, len;
        void *copy;
    } at[];
};

void isle_fork_parent(struct isle_copies *c)
{
    for (size_t i = 0; c && i < c->n; i++)
        munmap(c->at[i].copy, c->at[i].len);
    free(c);
}

static int copy_run(struct isle *isle, struct isle_copies *c, uint64_t start, uint64_t len)
{
    void *p =
        mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    c->at[c->n].start = start;
    c->at[c->n].len = len;
    c->at[c->n++].copy = p;
    isle_numa_place(isle, (uint64_t)p, len);
    if (isle->thp)
        madvise(p, len, MADV_HUGEPAGE);
    memcpy(p, (const void *)start, len);
    return madvise((void *)start, len, MADV_DONTFORK) ? -errno : 0;
}

int isle_fork_before(struct isle *isle, struct isle_copies **out)
{
    size_t runs = 0;
    *out = NULL;
    if (!isle->hugetlb_used)
        return 0;
    for (uint64_t i = 0; i < ISLE_BLOCKS; i++)
        runs += isle_block_huge(isle, i) && (i == 0 || !isle_block_huge(isle, i - 1));
    struct isle_copies *c = calloc(1, sizeof *c + runs * sizeof c->at[0]);
    if (!c)
        return -ENOMEM;
    for (uint64_t i = 0; i < ISLE_BLOCKS;) {
        uint64_t first = i;
        while (i < ISLE_BLOCKS && isle_block_huge(isle, i))
            i++;
        int r = i > first
                    ? copy_run(isle, c, LULL_RAM_BASE + first * LULL_HUGE, (i - first) * LULL_HUGE)
                    : 0;
        if (r) {
            isle_fork_parent(c);
            return r;
        }
        i += i == first;
    }
    *out = c;
    return 0;
}

int isle_fork_child(struct isle *isle, struct isle_copies *c)
{
    for (size_t i = 0; c && i < c->n; i++) {
        if (mremap(c->at[i].copy, c->at[i].len, c->at[i].len, MREMAP_MAYMOVE | MREMAP_FIXED,
                   (void *)c->at[i].start) == MAP_FAILED)
            return -errno;
    }
    free(c);
    if (isle->hugetlb_used)
        memset(isle->bits->huge, 0, sizeof isle->bits->huge);
    isle->hugetlb = isle->hugetlb_used = false;
    return 0;
}
