/* SPDX-License-Identifier: MIT */
/* lull-bench fwq --load: a background load, and a native run that is tuned against it. */
#ifndef DRIVER_LOAD_H
#define DRIVER_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "driver/driver.h"

/* ---- load.c ---- */
struct load {
    const char *command; /* by sh -c; NULL: spinners, one for each CPU that is allowed */
    unsigned n;
    pid_t pid[CPU_SETSIZE]; /* each leads a process group */
};
/* Where they run is Linux's choice among `allowed`. 0, or -1 after a line. */
int load_start(struct load *l, const char *command, const struct cpus *allowed);
/* 0 while all of them run; else -1 after a line. */
int load_check(struct load *l);
void load_stop(struct load *l);

/* ---- tune.c ---- */
struct tune {
    char dir[PATH_MAX - 64]; /* of the cpuset */
    char root[PATH_MAX - 512];
    bool v2, enabled; /* enabled: the controller, by us */
    const struct cpus *cpus;
    pid_t keeper; /* removes the cpuset when it is told to, or this process is gone */
    int pipe;
};
/* Makes the cpuset: an isolated partition (cgroup v2), or exclusive and not balanced (v1). 0, or -1
   with why[] set. */
int tune_begin(struct tune *t, const struct cpus *cpus, char *why, size_t size);
/* In the child that is to run there: into the cpuset, SCHED_FIFO. -1 after a line to err. */
int tune_enter(const struct tune *t, int err);
void tune_end(struct tune *t);

/* ---- bench_load.c ---- */
enum load_system { LOAD_UNTUNED, LOAD_PINNED, LOAD_TUNED, LOAD_ISLE, LOAD_SYSTEMS };
extern const char *const load_name[LOAD_SYSTEMS];
extern const char *const load_title[LOAD_SYSTEMS];

int bench_fwq_load(const struct driver_options *o, const char *command, char *const *argv);

/* ---- load_plot.c ---- */
struct load_detours { /* us above the shortest quantum of the core, all rounds */
    size_t n;
    double *us;
};
/* Adds a file of `fwq --out`. 0, or -1 after a line. */
int load_detours_add(struct load_detours *d, const char *samples_path);
/* DIR/fwq-load-*.dat, fwq-load.gp and by gnuplot fwq-load.png. Sorts. 0, or -1 after a line. */
int load_plot(const char *dir, struct load_detours *d, const char *title, bool draw);

#endif
