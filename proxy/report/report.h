/* SPDX-License-Identifier: MIT */
/* What a run did and what disturbed it: collected by the run, printed at the end. */
#ifndef PROXY_REPORT_REPORT_H
#define PROXY_REPORT_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <lull/core.h>
#include <lull/memmap.h>

#include "carve/settings.h"

/* Exits of a core to the proxy by cause: LULL_OP_* first, then these. */
enum exit_cause {
    EXIT_OP_FIRST = 0,           /* LULL_OP_NONE .. LULL_OP_COUNT-1 */
    EXIT_KICKED = LULL_OP_COUNT, /* a signal of the proxy stopped KVM_RUN */
    EXIT_OTHER,                  /* anything else that KVM reports */
    EXIT_CAUSES
};
extern const char *const exit_cause_name[EXIT_CAUSES];
extern const char *const kcount_name[LULL_K_COUNT]; /* NULL: unused */

struct core_counts {
    uint64_t exits[EXIT_CAUSES];
    uint64_t kcount[LULL_K_COUNT];
};

/*
 * Interrupts that Linux took on the isle's CPUs, by name, from /proc/interrupts. Only rows with a
 * count on one of them.
 */
struct irq_row {
    char name[48];                  /* "LOC Local timer interrupts", "24 virtio0" */
    uint64_t count[LULL_MAX_CORES]; /* by core of the isle */
};
struct irq_snapshot {
    unsigned rows;
    struct irq_row *row; /* allocated; names differ */
};
/* cpu[]: Linux's numbers of the isle's cores. 0 or -errno; *s is then empty. */
int irq_snapshot_take(struct irq_snapshot *s, const uint16_t *cpu, unsigned ncores);
/* The same from any stream in the format of /proc/interrupts; -EINVAL: it is not. */
int irq_snapshot_read(struct irq_snapshot *s, FILE *f, const uint16_t *cpu, unsigned ncores);
/* end = end - begin; rows that did not change are dropped. Linux counts modulo 2^32. */
void irq_snapshot_subtract(struct irq_snapshot *end, const struct irq_snapshot *begin,
                           unsigned ncores);
void irq_snapshot_free(struct irq_snapshot *s);

/* Involuntary and voluntary switches, page faults of one vCPU thread (getrusage RUSAGE_THREAD). */
struct thread_usage {
    uint64_t nvcsw, nivcsw, minflt, majflt, utime_us, stime_us;
};

struct report_section { /* the whole run, or the marked section (lull/mark.h) */
    bool valid;
    double seconds;
    struct core_counts core[LULL_MAX_CORES]; /* differences: end minus begin */
    struct thread_usage usage[LULL_MAX_CORES];
    struct irq_snapshot irq; /* differences */
};

struct report {
    const char *program;
    const char *engine;     /* "kvm" */
    const char *engine_why; /* one line */
    unsigned ncores;
    uint16_t cpu[LULL_MAX_CORES];
    uint16_t node[LULL_MAX_CORES];
    const char *cpus_why;
    bool fifo;            /* vCPU threads run with a real-time policy */
    bool linux_core;      /* a Linux core was left: the channel is polled */
    uint64_t mem_limit;   /* bytes */
    uint64_t mem_hugetlb; /* bytes populated by kind */
    uint64_t mem_thp;
    uint64_t mem_4k;
    double start_ms; /* proxy's start to the first instruction of the program */
    double wall_s;
    int status;                      /* as the shell sees it */
    const struct settings *settings; /* what was changed on Linux's side; never NULL */
    uint64_t served, served_polled, served_on_core, served_by_worker;
    struct lull_sysstat sys;
    struct report_section run;
    struct report_section marked;
};

/* Text for people. */
void report_text(FILE *f, const struct report *r);
/*
 * JSON, schema "lull-report-1" (docs/report.md). 0, or -errno after one message(). A regular file
 * is written beside its place and then renamed, so it is whole or not there; devices and pipes are
 * written to directly.
 */
int report_json(const char *path, const struct report *r);

/*
 * The name of a report file as the user wrote it, %r replaced by the rank, %p by the pid, %% by %;
 * anything else stands as it is. To be freed; NULL: no memory.
 */
char *report_file_name(const char *pattern, unsigned rank, int pid);

/* Name of a system call by number; "nr 500" in buf for one without. */
const char *report_call_name(unsigned nr, char *buf, size_t size);

#endif
