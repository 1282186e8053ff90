/* SPDX-License-Identifier: MIT */
/* What fwq's samples look like: how often a detour is how long, and when it came. */
#ifndef DRIVER_PLOT_H
#define DRIVER_PLOT_H

#include <stdint.h>
#include <stdio.h>

#include "driver/driver.h"

struct fwq_samples {
    double tsc_hz;
    unsigned cores;
    uint64_t samples; /* per core */
    double *us;       /* cores x samples */
};
/* A file of `fwq --out`. 0, or -1 after a line. */
int fwq_samples_read(struct fwq_samples *s, const char *path);
void fwq_samples_free(struct fwq_samples *s);

struct plot {
    char dir[PATH_MAX - 64];
    double *detour[SIDES]; /* us above the core's shortest quantum in the same run */
    size_t n[SIDES];
};
/* Adds a run; the latest run of each side is also the one drawn over time. 0 or -1 after a line. */
int plot_add(struct plot *p, enum side side, const char *samples_path);
/* Writes fwq-*.dat and fwq.gp into dir. 0 or -1 after a line. */
int plot_write(struct plot *p, const char *title);
/* A file of a plot, to be written and closed. NULL, -1: after a line. */
FILE *plot_begin(const char *path);
int plot_finish(FILE *f, const char *path);
/* 0 when gnuplot can be executed; else -1 after a line that says what to do. */
int plot_check_gnuplot(void);
/* Runs it on a file of dir, in dir. 0 or -1 after a line. */
int plot_run_gnuplot(const char *dir, const char *file);
/* fwq.gp to fwq.png. 0 or -1 after a line. */
int plot_draw(const struct plot *p);
void plot_free(struct plot *p);

#endif
