/* SPDX-License-Identifier: MIT */
#include "common/stats.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stats_sort(double *v, size_t n)
{
    qsort(v, n, sizeof *v, compare);
}

double stats_median_sorted(const double *v, size_t n)
{
    if (n == 0)
        return NAN;
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double stats_quantile_sorted(const double *v, size_t n, double q)
{
    if (n == 0)
        return NAN;
    /* q * n in floating point may be a hair above the whole number that is meant */
    double rank = ceil(q * (double)n - 1e-9);
    if (rank < 1)
        rank = 1;
    if (rank > (double)n)
        rank = (double)n;
    return v[(size_t)rank - 1];
}

struct stats stats_of(double *v, size_t n)
{
    if (n == 0)
        return (struct stats){0, NAN, NAN, NAN, NAN, NAN};
    stats_sort(v, n);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += v[i];
    return (struct stats){.n = n,
                          .min = v[0],
                          .median = stats_median_sorted(v, n),
                          .p99 = stats_quantile_sorted(v, n, 0.99),
                          .max = v[n - 1],
                          .mean = sum / (double)n};
}

double stats_median(double *v, size_t n)
{
    stats_sort(v, n);
    return stats_median_sorted(v, n);
}

static double minimum(const double *t, size_t n)
{
    double min = n ? t[0] : NAN;
    for (size_t i = 1; i < n; i++)
        if (t[i] < min)
            min = t[i];
    return min;
}

double stats_noise_rate(const double *t, size_t n)
{
    double min = minimum(t, n), lost = 0;
    if (!(min > 0))
        return NAN;
    for (size_t i = 0; i < n; i++)
        lost += t[i] - min;
    return lost / ((double)n * min);
}

size_t stats_count_detours(const double *t, size_t n, double threshold)
{
    double min = minimum(t, n);
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += t[i] - min > threshold;
    return count;
}

double stats_pair_ratio(const double *native, const double *isle, size_t n, double *scratch)
{
    for (size_t i = 0; i < n; i++) {
        if (!(native[i] > 0) || !isfinite(native[i]) || !isfinite(isle[i]))
            return NAN;
        scratch[i] = isle[i] / native[i];
    }
    return stats_median(scratch, n);
}
