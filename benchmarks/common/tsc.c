/* SPDX-License-Identifier: MIT */
#include "common/tsc.h"

#include <time.h>

static uint64_t monotonic_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* A clock reading with the counter around it; the closest of several, as the host may interrupt. */
static void read_both(uint64_t *ns, uint64_t *tsc)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = tsc_now();
        uint64_t now = monotonic_ns();
        uint64_t after = tsc_now();
        if (after - before < best) {
            best = after - before;
            *ns = now;
            *tsc = before + (after - before) / 2;
        }
    }
}

double tsc_measure_hz(void)
{
    uint64_t ns0 = 0, tsc0 = 0, ns1 = 0, tsc1 = 0;
    read_both(&ns0, &tsc0);
    while (monotonic_ns() - ns0 < 100000000u)
        ;
    read_both(&ns1, &tsc1);
    return (double)(tsc1 - tsc0) * 1e9 / (double)(ns1 - ns0);
}
