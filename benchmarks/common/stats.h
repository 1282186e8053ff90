/* SPDX-License-Identifier: MIT */
/* Order statistics of measurements. No function allocates; those that sort say so. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

struct stats {
    size_t n;
    double min, median, p99, max, mean;
};

void stats_sort(double *v, size_t n);
/* v sorted ascending. Median: mean of the two in the middle where n is even. NAN for n == 0. */
double stats_median_sorted(const double *v, size_t n);
/* v sorted ascending, 0 < q <= 1: nearest rank, so always a value that was measured. */
double stats_quantile_sorted(const double *v, size_t n, double q);
/* Sorts v. All NAN but n for n == 0. */
struct stats stats_of(double *v, size_t n);
/* Sorts v. */
double stats_median(double *v, size_t n);

/*
 * Fixed work quanta: lost time as a part of the time that the work takes undisturbed,
 * sum(t[i] - min) / (n * min). NAN for n == 0 or min == 0.
 */
double stats_noise_rate(const double *t, size_t n);
/* How many t[i] - min exceed threshold (same unit). */
size_t stats_count_detours(const double *t, size_t n, double threshold);

/*
 * Median of isle[i] / native[i]. NAN when n is 0 or a native value is not a positive number: a
 * ratio over the pairs that happen to have one would hide the others.
 * scratch: room for n.
 */
double stats_pair_ratio(const double *native, const double *isle, size_t n, double *scratch);

#endif
