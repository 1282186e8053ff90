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
#include "engine/engine.h"

#define REPORT_NODES_MAX 64

/* Exits of a core to the proxy by cause: LULL_OP_* first, then these. */
enum exit_cause {
    EXIT_OP_FIRST = 0,           /* LULL_OP_NONE .. LULL_OP_COUNT-1 */
    EXIT_KICKED = LULL_OP_COUNT, /* a signal of the proxy stopped KVM_RUN */
    EXIT_OTHER,                  /* anything else that KVM reports */
    EXIT_CAUSES
};
extern const char *const exit_cause_name[EXIT_CAUSES];
extern const char *const kcount_name[LULL_K_COUNT]; /* NULL: unused */

/* Gaps, or times outside the isle; nanoseconds. `longest` of a difference is the section's own. */
struct time_counts {
    uint64_t count, total, longest;
};

struct core_counts {
    uint64_t exits[EXIT_CAUSES];
    uint64_t kcount[LULL_K_COUNT];
    uint64_t engine[ENGINE_COUNTERS_MAX]; /* by report.engine_counter */
    struct time_counts outside;           /* in the proxy at its own request, but for sleeping */
    unsigned outside_cause;               /* enum exit_cause, of the longest */
    struct time_counts preempted;         /* by Linux */
    bool preempted_known, preempted_all;  /* all: none is missing */
    struct time_counts gaps;              /* while it was idle and watched */
    uint64_t watched;                     /* for how long, nanoseconds */
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
    uint64_t run_ns, wait_ns, timeslices; /* /proc/PID/schedstat: on a CPU, ready and not, times */
};

/* What one of Linux's CPUs did, whoever's thread it was: /proc/stat, microseconds. */
enum cpu_time { CPU_TIMES = 10 };
extern const char *const cpu_time_name[CPU_TIMES];
/* And /proc/schedstat, where Linux has it: tasks ran, tasks were ready and waited, times. */
struct host_cpu {
    uint64_t time_us[CPU_TIMES];
    bool has_sched;
    uint64_t run_ns, wait_ns, timeslices;
};
/*
 * From streams in the format of these two files; out[] by core of the isle. What the file does not
 * have stays as it was. tick_us: of a clock tick. 0, or -EINVAL: no line of any of these CPUs.
 */
int host_times_read(struct host_cpu *out, FILE *f, const uint16_t *cpu, unsigned ncores,
                    uint64_t tick_us);
int host_sched_read(struct host_cpu *out, FILE *f, const uint16_t *cpu, unsigned ncores);

struct report_section { /* the whole run, or the marked section (lull/mark.h) */
    bool valid;
    double seconds;
    struct core_counts core[LULL_MAX_CORES]; /* differences: end minus begin */
    struct thread_usage usage[LULL_MAX_CORES];
    struct host_cpu host[LULL_MAX_CORES];
    struct irq_snapshot irq;     /* differences */
    struct irq_snapshot softirq; /* of /proc/softirqs */
};
void report_section_free(struct report_section *s); /* what it points to */

struct report {
    const char *program;
    unsigned rank; /* in the job */
    const char *host;
    const char *engine;     /* "kvm" */
    const char *engine_why; /* one line */
    unsigned ncores;
    uint16_t cpu[LULL_MAX_CORES];
    uint16_t node[LULL_MAX_CORES];
    const char *cpus_why;
    bool fifo;              /* vCPU threads run with a real-time policy */
    bool linux_core;        /* a Linux core was left: the channel is polled */
    uint64_t mem_limit;     /* bytes */
    uint64_t mem_hugetlb;   /* bytes populated by kind */
    const char *mem_policy; /* "bind", "interleave", "first-touch"; NULL: Linux has no NUMA */
    uint64_t mem_looked_at; /* pages: the first of each 2 MiB, or of some */
    uint64_t mem_off_node;  /* of these, on nodes that are not the isle's */
    bool mem_locked;
    uint64_t mem_thp;
    uint64_t mem_4k;
    uint64_t mem_node[REPORT_NODES_MAX];             /* of these, by NUMA node of Linux's */
    bool watched;                                    /* --report=detours */
    const char *engine_counter[ENGINE_COUNTERS_MAX]; /* names; NULL: no more */
    double start_ms; /* proxy's start to the first instruction of the program */
    double wall_s;
    int status;                      /* as the shell sees it */
    const struct settings *settings; /* what was changed on Linux's side; never NULL */
    uint64_t served, served_polled, served_on_core, served_by_worker;
    struct lull_sysstat sys;
    struct lull_waits waits;
    struct report_section run;
    struct report_section marked;
};

/*
 * q: 0..1. Nanoseconds, to within an eighth: the middle of the bucket in which that one lies, or
 * `longest` where that is less or the bucket is the last. 0 without any.
 */
uint64_t waits_quantile(const uint32_t bucket[LULL_WAIT_BUCKETS], uint64_t longest, double q);
uint64_t waits_count(const uint32_t bucket[LULL_WAIT_BUCKETS]);

/* Text for people. */
void report_text(FILE *f, const struct report *r);
/*
 * JSON, schema "lull-report-2" (docs/report.md). 0, or -errno after one message(). A regular file
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
