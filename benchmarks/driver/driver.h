/* SPDX-License-Identifier: MIT */
/* lull-bench: runs a benchmark natively and on an isle, interleaved and pinned, and compares. */
#ifndef DRIVER_DRIVER_H
#define DRIVER_DRIVER_H

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

enum side { NATIVE = 0, ISLE = 1, SIDES = 2 };
extern const char *const side_name[SIDES];

struct cpus {
    cpu_set_t set;
    unsigned n;
};

struct driver_options {
    unsigned pairs; /* 0: the benchmark's own default */
    struct cpus allowed;
    struct cpus cpus; /* what both sides get */
    bool cpus_given;
    char lull[PATH_MAX], dir[PATH_MAX - 64];
    char bin[PATH_MAX]; /* folder of the benchmark programs */
    bool json, mpirun, verbose, no_plot;
    double timeout_s; /* of one run */
    const char *name;
    int argc; /* arguments of the benchmark program */
    char **argv;
};

#define OPTIONS_DONE (-1) /* --help was answered */
/* 0, OPTIONS_DONE, or 2 after a line on stderr. */
int driver_options_parse(int argc, char **argv, struct driver_options *o);

/* "2" CPUs of allowed (the last ones: Linux's own work tends to be on the first), or "0,2-3". */
bool cpus_parse(const char *text, const struct cpus *allowed, struct cpus *out);
/* "0-1,3" in buf; one CPU is "3-3", as a lone number would be a count to lull. */
void cpus_format(const struct cpus *c, char *buf, size_t size);
void cpus_last(const struct cpus *from, unsigned n, struct cpus *out);
/* i-th CPU, ascending. */
int cpus_get(const struct cpus *c, unsigned i);

/* One line on stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);
/* The first line complained of since complaint_forget(), or NULL. */
const char *complaint_first(void);
void complaint_forget(void);
/* Adds the first line of what another program wrote on stderr to it. */
void complaint_add(const char *text);
/* What goes on, on stderr; only on a terminal or with --verbose. */
__attribute__((format(printf, 1, 2))) void progress(const char *fmt, ...);
void progress_enable(bool on);

/* Whether $PATH has it. */
bool program_on_path(const char *program);
/* MPICH's mpirun: Debian's name for it where it is on $PATH, because "mpirun" may be Open MPI's. */
const char *mpich_mpirun(void);

/* The benchmarks: 0, or 1 after a line on stderr; nothing is printed of a run that failed. */
int bench_os(const struct driver_options *o);
int bench_os_dynamic(const struct driver_options *o);
int bench_strassen(const struct driver_options *o);
int bench_fwq(const struct driver_options *o);
int bench_pread(const struct driver_options *o);
int bench_start(const struct driver_options *o);
int bench_mpi(const struct driver_options *o);
int bench_noise(const struct driver_options *o);

#endif
