/* SPDX-License-Identifier: MIT */
/* Metrics of pairs of runs: collected, completed, printed, written. */
#ifndef DRIVER_TABLE_H
#define DRIVER_TABLE_H

#include <jansson.h>
#include <stdio.h>

#include "driver/driver.h"

struct row {
    char *name, *unit;
    double *value[SIDES]; /* by pair: the run's median; NAN until recorded */
    double *p99[SIDES];   /* by pair: of the run's samples; NAN where a run has one value only */
};

struct table {
    char title[128];
    unsigned pairs;
    size_t n;
    struct row *row;
    char *note[SIDES]; /* what the program said about its latest run, or NULL */
};

int table_init(struct table *t, unsigned pairs, const char *title);
void table_free(struct table *t);
/* 0, or -1 after a line: out of memory. p99 may be NAN. */
int table_set(struct table *t, enum side side, unsigned pair, const char *name, const char *unit,
              double value, double p99);
/* Everything in a program's "lull-metrics-1" file. 0, or -1 after a line. */
int table_read(struct table *t, enum side side, unsigned pair, const char *path);
/* 0 when every metric has a value of both sides in every pair; else -1 after a line. */
int table_check(const struct table *t);
/* Over the pairs; NAN when there is none. */
double table_median(const struct table *t, const struct row *r, enum side side);
/* Isle to native, median of the pairs'; NAN when there is none. */
double table_ratio(const struct table *t, const struct row *r);
void table_print(FILE *f, const struct table *t);
json_t *table_json(const struct table *t);

#endif
