/* SPDX-License-Identifier: MIT */
/* Prints CLOCK_MONOTONIC (ns) and the time stamp counter as main finds them. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/tsc.h"

int main(void)
{
    struct timespec t;
    uint64_t tsc = tsc_now();
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("%" PRIu64 " %" PRIu64 "\n", (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec,
           tsc);
    return 0;
}
