/* SPDX-License-Identifier: MIT */
/* One run of a program, on one side. */
#ifndef DRIVER_RUN_H
#define DRIVER_RUN_H

#include <stdint.h>
#include <sys/types.h>

#include "driver/driver.h"

struct tune;

#define RANKS 2u
/* A program with MPI: two ranks on a CPU each. */
struct ranks {
    const char *mpirun;
    struct cpus pool; /* isles take their cores from these, and Linux keeps the others */
    int cpu[RANKS];   /* native: where each rank is bound; isle: where each is found to be */
};

struct run {
    const struct driver_options *o;
    enum side side;
    const struct cpus *cpus;   /* native: affinity of the program; isle: --cpus */
    const char *report;        /* isle: --report=FILE; NULL: none */
    const struct ranks *ranks; /* NULL: no MPI */
    bool virtual_time;         /* isle: --virtual-time */
    bool isolated;             /* isle: --isolate=require */
    char *const *argv;         /* program and arguments, NULL at the end */
    const char *what;          /* for messages: "fwq, pair 2" */
};

struct run_output {
    char *text;        /* standard output, NUL-terminated; free() */
    uint64_t start_ns; /* CLOCK_MONOTONIC just before fork */
    uint64_t end_ns;   /* and when the end was seen */
};

/* Any command, with its output kept. */
struct command {
    char *const *argv;
    const char *what, *where; /* for messages: "fwq, pair 2", "on an isle" */
    const struct cpus *cpus;  /* OMP_NUM_THREADS and OMP_PROC_BIND say so; NULL: left alone */
    bool pin;                 /* to cpus */
    const struct tune *tune;  /* in its cpuset, SCHED_FIFO; NULL: as it comes */
    double timeout_s;
    bool verbose;
};
/* Runs it and waits. 0 when it exited with 0; else -1 after a line and what it wrote on stderr. */
int command_run(const struct command *c, struct run_output *out);

/* The command as it is executed; free() the array only, it points into buf. */
char **run_command(const struct run *r, char *buf, size_t size);
/* For people and JSON; at most size bytes. */
void run_describe(char *const *argv, char *buf, size_t size);
/* Runs it with OMP_NUM_THREADS and OMP_PROC_BIND set alike on both sides, as command_run(). */
int run_child(const struct run *r, struct run_output *out);

#endif
