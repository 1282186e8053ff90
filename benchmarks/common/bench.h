/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: the mark, options, and the file that lull-bench reads. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/stats.h"

/* Marks the measured section for `lull --report` (lull/mark.h). False on plain Linux. */
bool bench_mark_begin(void);
void bench_mark_end(void);

/* A whole number in [min, max]. False after one line on stderr that names the option. */
bool bench_parse_count(const char *program, const char *option, const char *text, uint64_t min,
                       uint64_t max, uint64_t *out);

/* Pins the calling thread to the idx-th CPU of its affinity mask. Its number, or -1 after a line.
 */
int bench_pin(const char *program, unsigned idx);

#define BENCH_METRICS_MAX 32
struct bench_metric {
    const char *name, *unit;
    struct stats s;
};
struct bench_result {
    const char *program;
    double tsc_hz;
    bool marked;      /* the mark was accepted: this ran on an isle */
    const char *note; /* what the reader of the numbers should know, or NULL */
    size_t n;
    struct bench_metric metric[BENCH_METRICS_MAX];
};
/* v: sorted here. */
void bench_add(struct bench_result *r, const char *name, const char *unit, double *v, size_t n);
void bench_add_value(struct bench_result *r, const char *name, const char *unit, double value);
void bench_print(const struct bench_result *r);
/* JSON, schema "lull-metrics-1". 0, or -1 after a line on stderr. */
int bench_write_json(const char *path, const struct bench_result *r);

#endif
