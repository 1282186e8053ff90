/* SPDX-License-Identifier: MIT */
#include "report/report.h"

uint64_t waits_count(const uint32_t bucket[LULL_WAIT_BUCKETS])
{
    uint64_t n = 0;
    for (unsigned b = 0; b < LULL_WAIT_BUCKETS; b++)
        n += bucket[b];
    return n;
}

uint64_t waits_quantile(const uint32_t bucket[LULL_WAIT_BUCKETS], uint64_t longest, double q)
{
    double rank = q * (double)waits_count(bucket); /* the least one with so many not above it */
    uint64_t below = 0;
    for (unsigned b = 0; b < LULL_WAIT_BUCKETS; b++) {
        below += bucket[b];
        if (bucket[b] == 0 || (double)below < rank)
            continue;
        if (b == LULL_WAIT_BUCKETS - 1)
            return longest;
        uint64_t least = b ? lull_wait_least(b) : 0;
        uint64_t middle = least + (lull_wait_least(b + 1) - least) / 2;
        return middle < longest ? middle : longest;
    }
    return 0;
}
