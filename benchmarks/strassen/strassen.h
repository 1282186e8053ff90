/* SPDX-License-Identifier: MIT */
/* Strassen's multiplication of two square matrices of doubles with OpenMP tasks. */
#ifndef STRASSEN_STRASSEN_H
#define STRASSEN_STRASSEN_H

#include <stdbool.h>
#include <stddef.h>

/* Row-major, ld doubles from row to row. */
struct mat {
    double *p;
    size_t ld;
};
struct cmat {
    const double *p;
    size_t ld;
};

#define KERNEL_TILE 8u /* sizes of base cases are multiples of this */

/*
 * Base-case kernel: want ("avx512f", "avx2", "sse2"), or for NULL the best that this CPU has.
 * Returns its name, or NULL when it does not run here. Once, before any other call.
 */
const char *kernel_choose(const char *want);
/* Doubles of scratch that kernel_multiply needs. */
size_t kernel_scratch(size_t m);
/* C = A B, m x m, m a multiple of KERNEL_TILE. */
void kernel_multiply(size_t m, struct mat c, struct cmat a, struct cmat b, double *scratch);

/* One problem: sizes and the workspace, made once, used by every multiplication. */
struct plan {
    size_t n;        /* as asked */
    size_t padded;   /* base << levels */
    size_t base;     /* size of a base case */
    unsigned levels; /* of Strassen's recursion */
    unsigned depth;  /* of these, the upper ones whose seven products are tasks */
    unsigned threads;
    double *shared;             /* operands and products of the task levels */
    double *own;                /* one piece per thread for the levels below */
    size_t shared_len, own_len; /* doubles; own_len per thread */
};

/* cutoff: largest base case. 0, or -1: out of memory. The workspace is touched in parallel. */
int plan_make(struct plan *p, size_t n, size_t cutoff, unsigned threads);
void plan_free(struct plan *p);
/* C = A B; all padded x padded and dense (ld = padded). */
void plan_multiply(const struct plan *p, double *c, const double *a, const double *b);

/* True when C = A B within rounding: Freivalds' check, and for n <= 256 every element. */
bool check_product(size_t n, size_t ld, const double *c, const double *a, const double *b);

#endif
