/* SPDX-License-Identifier: MIT */
/*
 * The recursion. In the upper levels each of the seven products is a task with operands and result
 * of its own in plan.shared; below, a task works alone in its thread's piece of plan.own. Nothing
 * is allocated while the clock runs.
 */
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "strassen/strassen.h"

/*
 * Product i is (A[x] + sx A[x2]) (B[y] + sy B[y2]), quadrants 0..3 row by row; second quadrant -1:
 * the first alone. Quadrant q of C takes it with sign c[q].
 */
static const struct {
    int x, sx, x2, y, sy, y2;
    int c[4];
} product[7] = {
    {0, 1, 3, 0, 1, 3, {1, 0, 0, 1}},   {2, 1, 3, 0, 0, -1, {0, 0, 1, -1}},
    {0, 0, -1, 1, -1, 3, {0, 1, 0, 1}}, {3, 0, -1, 2, -1, 0, {1, 0, 1, 0}},
    {0, 1, 1, 3, 0, -1, {-1, 1, 0, 0}}, {2, -1, 0, 0, 1, 1, {0, 0, 0, 1}},
    {1, -1, 3, 2, 1, 3, {1, 0, 0, 0}},
};

static struct cmat quadrant(struct cmat m, size_t h, int q)
{
    return (struct cmat){m.p + (size_t)(q / 2) * h * m.ld + (size_t)(q % 2) * h, m.ld};
}

/* out = m[q] + sign m[q2], or m[q] itself where there is no second. */
static struct cmat operand(size_t h, struct cmat m, int q, int sign, int q2, double *out)
{
    struct cmat s = quadrant(m, h, q);
    if (q2 < 0)
        return s;
    struct cmat t = quadrant(m, h, q2);
    const double f = sign;
    for (size_t i = 0; i < h; i++) {
        const double *restrict u = s.p + i * s.ld, *restrict v = t.p + i * t.ld;
        double *restrict o = out + i * h;
        for (size_t j = 0; j < h; j++)
            o[j] = u[j] + f * v[j];
    }
    return (struct cmat){out, h};
}

static void accumulate(size_t h, struct mat c, int q, const double *p, int sign, bool first)
{
    const double f = sign;
    double *at = c.p + (size_t)(q / 2) * h * c.ld + (size_t)(q % 2) * h;
    for (size_t i = 0; i < h; i++) {
        double *restrict o = at + i * c.ld;
        const double *restrict v = p + i * h;
        if (first)
            for (size_t j = 0; j < h; j++)
                o[j] = f * v[j];
        else
            for (size_t j = 0; j < h; j++)
                o[j] += f * v[j];
    }
}

/* Doubles that the levels below n need in a thread's own piece. */
static size_t own_size(size_t n, size_t base)
{
    if (n == base)
        return kernel_scratch(base);
    size_t h = n / 2;
    return 3 * h * h + own_size(h, base);
}

static void multiply_alone(const struct plan *p, size_t n, struct mat c, struct cmat a,
                           struct cmat b, double *own)
{
    if (n == p->base) {
        kernel_multiply(n, c, a, b, own);
        return;
    }
    size_t h = n / 2;
    double *s = own, *t = own + h * h, *m = own + 2 * h * h;
    bool seen[4] = {false, false, false, false};
    for (int i = 0; i < 7; i++) {
        struct cmat x = operand(h, a, product[i].x, product[i].sx, product[i].x2, s);
        struct cmat y = operand(h, b, product[i].y, product[i].sy, product[i].y2, t);
        multiply_alone(p, h, (struct mat){m, h}, x, y, own + 3 * h * h);
        for (int q = 0; q < 4; q++) {
            if (product[i].c[q] == 0)
                continue;
            accumulate(h, c, q, m, product[i].c[q], !seen[q]);
            seen[q] = true;
        }
    }
}

/* Shared doubles of one node with depth task levels left. The last such level sums in own pieces.
 */
static size_t shared_size(size_t n, unsigned depth)
{
    size_t h = n / 2;
    if (depth == 0)
        return 0;
    if (depth == 1)
        return 7 * h * h;
    return 7 * (3 * h * h + shared_size(h, depth - 1));
}

static void multiply_tasks(const struct plan *p, size_t n, unsigned depth, struct mat c,
                           struct cmat a, struct cmat b, double *shared);

/* Product i of a node, into m. */
static void one_product(const struct plan *p, size_t h, unsigned depth, int i, struct cmat a,
                        struct cmat b, double *shared)
{
    double *m = shared, *s, *t;
    double *own = p->own + p->own_len * (size_t)omp_get_thread_num();
    /* a task without task levels below it never waits, so its thread's piece is its own */
    s = depth == 1 ? own : shared + h * h;
    t = depth == 1 ? own + h * h : shared + 2 * h * h;
    struct cmat x = operand(h, a, product[i].x, product[i].sx, product[i].x2, s);
    struct cmat y = operand(h, b, product[i].y, product[i].sy, product[i].y2, t);
    if (depth == 1)
        multiply_alone(p, h, (struct mat){m, h}, x, y, own + 2 * h * h);
    else
        multiply_tasks(p, h, depth - 1, (struct mat){m, h}, x, y, shared + 3 * h * h);
}

static void multiply_tasks(const struct plan *p, size_t n, unsigned depth, struct mat c,
                           struct cmat a, struct cmat b, double *shared)
{
    if (depth == 0) {
        multiply_alone(p, n, c, a, b, p->own + p->own_len * (size_t)omp_get_thread_num());
        return;
    }
    size_t h = n / 2;
    size_t step = depth == 1 ? h * h : 3 * h * h + shared_size(h, depth - 1);
    for (int i = 0; i < 7; i++) {
#pragma omp task default(none) firstprivate(p, h, depth, i, a, b, shared, step)
        one_product(p, h, depth, i, a, b, shared + (size_t)i * step);
    }
#pragma omp taskwait
    for (int q = 0; q < 4; q++) {
#pragma omp task default(none) firstprivate(h, c, q, shared, step) shared(product)
        {
            bool seen = false;
            for (int i = 0; i < 7; i++) {
                if (product[i].c[q] == 0)
                    continue;
                accumulate(h, c, q, shared + (size_t)i * step, product[i].c[q], !seen);
                seen = true;
            }
        }
    }
#pragma omp taskwait
}

int plan_make(struct plan *p, size_t n, size_t cutoff, unsigned threads)
{
    *p = (struct plan){.n = n, .threads = threads, .base = n};
    while (p->base > cutoff) {
        p->base = (p->base + 1) / 2;
        p->levels++;
    }
    p->base = (p->base + KERNEL_TILE - 1) / KERNEL_TILE * KERNEL_TILE;
    p->padded = p->base << p->levels;
    /* sixteen tasks per thread even out; more cost memory */
    for (size_t tasks = 1; threads > 1 && p->depth < p->levels && tasks < 16u * threads; tasks *= 7)
        p->depth++;
    p->shared_len = shared_size(p->padded, p->depth);
    size_t below = p->padded >> p->depth;
    p->own_len = own_size(below, p->base) + (p->depth ? 2 * below * below : 0);
    p->own_len = (p->own_len + 511) / 512 * 512; /* threads don't share pages */
    p->shared = aligned_alloc(4096, (p->shared_len * sizeof(double) + 4096) / 4096 * 4096);
    p->own = aligned_alloc(4096, p->own_len * threads * sizeof(double));
    if (!p->shared || !p->own) {
        plan_free(p);
        return -1;
    }
#pragma omp parallel default(none) shared(p) num_threads(threads)
    {
        memset(p->own + p->own_len * (size_t)omp_get_thread_num(), 0, p->own_len * sizeof(double));
#pragma omp for
        for (size_t i = 0; i < p->shared_len; i += 512)
            p->shared[i] = 0;
    }
    return 0;
}

void plan_free(struct plan *p)
{
    free(p->shared);
    free(p->own);
    p->shared = p->own = NULL;
}

void plan_multiply(const struct plan *p, double *c, const double *a, const double *b)
{
    const size_t n = p->padded;
#pragma omp parallel default(none) shared(p, c, a, b) firstprivate(n) num_threads(p->threads)
#pragma omp single
    multiply_tasks(p, n, p->depth, (struct mat){c, n}, (struct cmat){a, n}, (struct cmat){b, n},
                   p->shared);
}
