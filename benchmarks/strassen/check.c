/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "strassen/strassen.h"

#define FULL_CHECK_MAX 256u
#define VECTORS 3

/*
 * Elements of A and B lie in [-1, 1], so an element of C, and the difference that Strassen's
 * rounding makes, grow at most with n times a small power of the levels; an element that is wrong
 * by this much is found.
 */
static double tolerance(size_t n)
{
    return 1e-11 * (double)n * sqrt((double)n);
}

/* y = M x */
static void apply(size_t n, size_t ld, const double *m, const double *x, double *y)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += m[i * ld + j] * x[j];
        y[i] = sum;
    }
}

static bool close_enough(double got, double want, double tol)
{
    return fabs(got - want) <= tol; /* false for NaN */
}

/* Freivalds: C r against A (B r) for random r of +1 and -1. */
static bool check_vectors(size_t n, size_t ld, const double *c, const double *a, const double *b)
{
    double *v = malloc(4 * n * sizeof *v);
    bool ok = v != NULL;
    if (!v)
        fprintf(stderr, "strassen: out of memory for the check\n");
    uint64_t x = 88172645463325252u;
    for (int k = 0; ok && k < VECTORS; k++) {
        double *r = v, *br = v + n, *abr = v + 2 * n, *cr = v + 3 * n;
        for (size_t i = 0; i < n; i++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            r[i] = x >> 63 ? 1 : -1;
        }
        apply(n, ld, b, r, br);
        apply(n, ld, a, br, abr);
        apply(n, ld, c, r, cr);
        for (size_t i = 0; ok && i < n; i++)
            ok = close_enough(cr[i], abr[i], tolerance(n));
    }
    free(v);
    return ok;
}

static bool check_elements(size_t n, size_t ld, const double *c, const double *a, const double *b)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += a[i * ld + k] * b[k * ld + j];
            if (!close_enough(c[i * ld + j], sum, tolerance(n)))
                return false;
        }
    }
    return true;
}

bool check_product(size_t n, size_t ld, const double *c, const double *a, const double *b)
{
    return check_vectors(n, ld, c, a, b) && (n > FULL_CHECK_MAX || check_elements(n, ld, c, a, b));
}
