/* SPDX-License-Identifier: MIT */
/* The time stamp counter: how every benchmark program measures, natively and on an isle. */
#ifndef BENCH_TSC_H
#define BENCH_TSC_H

#include <stdint.h>

/* Ticks. Waits for earlier instructions; later ones wait for it. */
static inline uint64_t tsc_now(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

/* Ticks per second, against CLOCK_MONOTONIC; spins for about 100 ms. */
double tsc_measure_hz(void);

#endif
