/* SPDX-License-Identifier: MIT */
/* lull-bench noise --virtual: the same fwq on several systems, time being instructions. */
#ifndef DRIVER_NOISE_H
#define DRIVER_NOISE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "driver/driver.h"

/* A sample that is longer than the shortest one by more than this is a detour. */
#define NOISE_DETOUR_NS 1000.0

enum noise_system { NOISE_ISLE, NOISE_STOCK, NOISE_STOCK_2, NOISE_TUNED, NOISE_SYSTEMS };
extern const char *const noise_name[NOISE_SYSTEMS];  /* for files and JSON: "tuned" */
extern const char *const noise_title[NOISE_SYSTEMS]; /* for people */

struct noise_options {
    uint64_t samples, us, work;
    char fwq[PATH_MAX];
    char kernel[PATH_MAX]; /* empty: Debian's, fetched if it isn't there */
};

struct noise_result {
    bool ran;
    char why[512]; /* not */
    size_t n;
    double *ns; /* samples in order: whole numbers, the instructions of fwq's processor */
    double shortest_ns, longest_ns /* detour */, seconds, rate;
    size_t detours, changed; /* changed: longer than the shortest at all */
    /* by the clock that two processors share; NAN where there is one processor */
    double clock_detours, clock_rate;
    json_t *events; /* on fwq's processor during the loop (events.h), or NULL */
    struct cpus cpus;
    char kernel[128], append[512], command[4096];
};

/* Reads DIR/noise-NAME.dat, .counts where there are any, and sets the figures. 0 or -1. */
int noise_read(struct noise_result *r, const char *dir, enum noise_system s, bool counts);
/* What the init sent, taken apart into DIR/noise-NAME.{dat,before,after}. 0 or -1. */
int noise_unpack(struct noise_result *r, const char *dir, enum noise_system s);
/* DIR/noise-NAME.SUFFIX */
void noise_path(const char *dir, enum noise_system s, const char *suffix, char *buf, size_t size);
void noise_free(struct noise_result *r);

/* Runs it and reads the result. 0, or -1 after a line. */
int noise_run_linux(const struct driver_options *o, const struct noise_options *n,
                    enum noise_system s, struct noise_result *r);
/* Finds or fetches the kernel and makes the initial file system. 0, or -1 after a line. */
int noise_prepare_linux(const struct driver_options *o, struct noise_options *n);

void noise_print(FILE *f, const struct noise_options *n, const struct noise_result *r);
json_t *noise_json(const struct noise_options *n, const struct noise_result *r);
/* DIR/noise.gp and, by gnuplot, DIR/noise.png. 0, or -1 after a line. */
int noise_plot(const char *dir, const struct noise_result *r, bool draw);

#endif
