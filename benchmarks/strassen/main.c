/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <omp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/bench.h"
#include "common/tsc.h"
#include "strassen/strassen.h"

static const char usage[] =
    "usage: strassen [--reps R] [--cutoff C] [--kernel K] [--json FILE] [--spoil] N\n"
    "Multiplies two N x N matrices of doubles by Strassen's algorithm with OMP_NUM_THREADS "
    "threads,\n"
    "R times (3) after one that is not timed, base cases of at most C (128) rows, and checks the\n"
    "result. K: avx512f, avx2 or sse2; else the best here. --spoil changes one element first, to "
    "see the check fail. Exit code 1: check failed.\n";

struct options {
    uint64_t n, reps, cutoff;
    bool spoil;
    const char *json, *kernel;
};

/* 0, 1 (done), or 2 (bad usage) */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"reps", 1, NULL, 'r'},
                                          {"cutoff", 1, NULL, 'c'},
                                          {"json", 1, NULL, 'j'},
                                          {"kernel", 1, NULL, 'k'},
                                          {"spoil", 0, NULL, 's'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    *o = (struct options){.reps = 3, .cutoff = 128};
    for (int c; (c = getopt_long(argc, argv, "r:c:j:sh", longs, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (c == 's')
            o->spoil = true;
        else if (c == 'j')
            o->json = optarg;
        else if (c == 'k')
            o->kernel = optarg;
        else if (c == 'r' && bench_parse_count("strassen", "--reps", optarg, 1, 1000, &o->reps))
            ;
        else if (c != 'c' || !bench_parse_count("strassen", "--cutoff", optarg, 8, 512, &o->cutoff))
            goto bad;
    }
    if (optind + 1 != argc) {
        fprintf(stderr, "strassen: one size N is expected\n");
        goto bad;
    }
    if (bench_parse_count("strassen", "N", argv[optind], 1, 65536, &o->n))
        return 0;
bad:
    fputs(usage, stderr);
    return 2;
}

/* n x n random elements of [-1, 1] in the upper left, zeros around. NULL: out of memory. */
static double *make_matrix(size_t n, size_t padded, uint64_t seed, bool zero)
{
    double *m = aligned_alloc(4096, (padded * padded * sizeof *m + 4095) / 4096 * 4096);
    if (!m)
        return NULL;
#pragma omp parallel for default(none) firstprivate(m, n, padded, seed, zero)
    for (size_t i = 0; i < padded; i++) {
        uint64_t x = (seed + i) * 0x9e3779b97f4a7c15u | 1;
        for (size_t j = 0; j < padded; j++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            m[i * padded + j] =
                zero || i >= n || j >= n ? 0 : (double)(x >> 11) / (double)(1ull << 52) - 1;
        }
    }
    return m;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int finish(const struct options *o, struct bench_result *r, const struct plan *p,
                  const char *kernel, double *time)
{
    char note[160];
    double flop = 2.0 * (double)o->n * (double)o->n * (double)o->n;
    bench_add(r, "time", "s", time, o->reps);
    bench_add_value(r, "rate", "GFLOP/s", flop / stats_median(time, o->reps) * 1e-9);
    snprintf(note, sizeof note,
             "N %zu, %u threads, kernel %s, %u levels (%u of tasks) down to %zu; "
             "2 N^3 operations are counted",
             p->n, p->threads, kernel, p->levels, p->depth, p->base);
    r->note = note;
    bench_print(r);
    printf("check passed\n");
    return o->json && bench_write_json(o->json, r) ? 1 : 0;
}

static int run(const struct options *o)
{
    struct bench_result r = {.program = "strassen"};
    struct plan p;
    int rc = 1;
    const char *kernel = kernel_choose(o->kernel);
    if (!kernel) {
        fprintf(stderr,
                "strassen: kernel %s: expected avx512f, avx2 or sse2, and a CPU that has it\n",
                o->kernel);
        return 1;
    }
    double *a = NULL, *b = NULL, *c = NULL, *time = calloc(o->reps, sizeof *time);
    if (!time || plan_make(&p, o->n, o->cutoff, (unsigned)omp_get_max_threads())) {
        fprintf(stderr, "strassen: out of memory for the workspace\n");
        free(time);
        return 1;
    }
    a = make_matrix(p.n, p.padded, 1, false);
    b = make_matrix(p.n, p.padded, 1000003, false);
    c = make_matrix(p.n, p.padded, 0, true);
    if (!a || !b || !c) {
        fprintf(stderr, "strassen: out of memory for the matrices\n");
        goto out;
    }
    r.tsc_hz = tsc_measure_hz();
    plan_multiply(&p, c, a, b);
    memset(c, 0, p.padded * p.padded * sizeof *c); /* the check shall see a timed result */
    r.marked = bench_mark_begin();
    for (uint64_t i = 0; i < o->reps; i++) {
        double t = seconds();
        plan_multiply(&p, c, a, b);
        time[i] = seconds() - t;
    }
    bench_mark_end();
    if (o->spoil)
        c[p.padded * (p.n / 2) + p.n / 3] += 1e-3;
    if (!check_product(p.n, p.padded, c, a, b)) {
        fprintf(stderr, "strassen: the product is wrong\n");
        goto out;
    }
    rc = finish(o, &r, &p, kernel, time);
out:
    free(a);
    free(b);
    free(c);
    free(time);
    plan_free(&p);
    return rc;
}

int main(int argc, char **argv)
{
    struct options o;
    int rc = parse(argc, argv, &o);
    if (rc)
        return rc == 1 ? 0 : rc;
    return run(&o);
}
