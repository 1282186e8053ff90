/* SPDX-License-Identifier: MIT */
/* Fixed work quanta: the same work again and again; what takes longer was disturbed. */
#ifndef FWQ_FWQ_H
#define FWQ_FWQ_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct fwq_options {
    uint64_t samples; /* per core */
    uint64_t us;      /* aimed length of a quantum, microseconds */
    uint64_t work;    /* iterations in a quantum; 0: calibrate */
    uint64_t threads; /* 0: one for each CPU that is allowed */
    bool no_pin;      /* they run where Linux places them */
    bool calibrate;   /* print the count and leave */
    const char *out;  /* every sample; NULL: none */
    const char *json;
    const char *interrupts; /* /proc/interrupts around the measured loop; NULL: none */
};

/* What /proc/interrupts said just before and just after the measured loop. */
struct fwq_interrupts {
    size_t len[2];
    char text[2][1 << 20];
};

/* One core; written by its own thread, read by others after the last barrier. */
struct fwq_core {
    _Alignas(64) pthread_t thread;
    unsigned index;
    int cpu;            /* Linux's number, not pinned: where it began; -1: could not be pinned */
    uint64_t preempted; /* involuntary switches in the loop; natively only */
    uint64_t *stamp;    /* samples + 1 TSC values: sample i took stamp[i+1] - stamp[i] */
    struct fwq_run *run;
};

struct fwq_run {
    uint64_t samples, work;
    unsigned ncores;
    bool marked;
    bool no_pin;
    struct fwq_interrupts *interrupts; /* NULL: not wanted */
    struct fwq_core *core;
    /* barriers that spin: nothing here may sleep in the kernel */
    _Alignas(64) atomic_uint arrived;
    _Alignas(64) atomic_uint phase;
    _Alignas(64) atomic_bool cancelled; /* not all threads could be created */
};

/* One quantum: count dependent multiplications in registers. */
void fwq_work(uint64_t count);
/* Iterations that take about us microseconds on this core. */
uint64_t fwq_calibrate(double tsc_hz, uint64_t us);
/* which: 0 before, 1 after. What can't be read is left empty. */
void fwq_interrupts_take(struct fwq_interrupts *i, int which);
/* Into PREFIX.before and PREFIX.after. 0, or -1 after a line on stderr. */
int fwq_interrupts_write(const struct fwq_interrupts *i, const char *prefix);
/* Runs all cores; the caller is core 0. 0, or -1 after a line on stderr. */
int fwq_measure(struct fwq_run *run);

#endif
