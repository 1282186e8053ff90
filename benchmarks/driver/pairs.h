/* SPDX-License-Identifier: MIT */
/* Pairs of runs in turns: native isle, isle native, native isle ... after a warm-up of each. */
#ifndef DRIVER_PAIRS_H
#define DRIVER_PAIRS_H

#include <jansson.h>

#include "driver/run.h"
#include "driver/table.h"

#define WARM_UP (-1)

struct pairs {
    const struct driver_options *o;
    const char *name;          /* of the benchmark: part of file names */
    unsigned n;                /* pairs */
    struct cpus cpus;          /* of both sides */
    char *const *argv;         /* program and arguments */
    const struct ranks *ranks; /* an MPI program, each rank on one of cpus; NULL: none */
    bool metrics;              /* the program takes --json FILE: read into table */
    bool samples;              /* the program takes --out FILE: DIR/NAME-SIDE-PAIR.dat */
    bool events;               /* count the isle's events and the host's interrupts */
    struct table table;        /* table_init() before */
    json_t *during;            /* isle, marked sections (events.h); NULL without events */
    double during_s;           /* their length */
    json_t *around[SIDES];     /* the host's interrupts on these CPUs, around each whole run */
    double around_s[SIDES];
    char command[SIDES][2048];
    /* after every run; pair is WARM_UP or 0..n-1. 0, or -1 after a line. May be NULL. */
    int (*after)(struct pairs *p, enum side side, int pair, const struct run_output *out);
    void *arg;
};

/* 0 with a complete table, or -1 after a line. */
int pairs_run(struct pairs *p);
void pairs_free(struct pairs *p);
/* "DIR/NAME-SIDE[-PAIR]SUFFIX" */
void pairs_path(const struct pairs *p, enum side side, int pair, const char *suffix, char *buf,
                size_t size);
/* Everything but the caller's own additions. */
json_t *pairs_json(const struct pairs *p);
/* What was counted; only with events. */
void pairs_print_events(FILE *f, const struct pairs *p);

/* Makes DIR; finds lull and the program. 0, or -1 after a line. */
int bench_prepare(const struct driver_options *o, const char *program, char *path, size_t size);
/* {program path, extra..., arguments of the command line}; free() it. n: entries of extra. */
char **bench_argv(const struct driver_options *o, char *path, const char *const *extra, size_t n);
/* Writes DIR/NAME.json, prints it (--json) or says where it is. Takes the reference. */
int bench_finish(const struct driver_options *o, const char *name, json_t *doc);
/* {"schema": "lull-bench-1", "bench": NAME, host, time, CPUs} */
json_t *bench_document(const struct driver_options *o, const char *name);

#endif
