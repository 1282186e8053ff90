/* SPDX-License-Identifier: MIT */
/*
 * Allreduce alone, by size; and how much noise costs a program that computes and reduces in turns:
 * whichever rank is disturbed, all wait.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tsc.h"
#include "fwq/fwq.h"
#include "mpi/mpibench.h"

static const char usage[] =
    "usage: mpirun -n RANKS mpi-allreduce [--iterations N] [--us US] [--work COUNT] [--rounds N]\n"
    "                                     [--json FILE] [--out FILE] [--calibrate]\n"
    "MPI_Allreduce of 8 B to 1 MiB (N rounds of each, 5000, fewer of large ones); then iterations\n"
    "(5000) of a fixed work of about US microseconds (200), an allreduce of 8 bytes. --work sets\n"
    "the count that --calibrate prints, so that two runs do the same. --out: every iteration's\n"
    "time in us, rank 0's. Slowdown: the mean time of an iteration in relation to the shortest\n"
    "time that the slowest rank's work takes alone.\n";

#define BUDGET (64u << 20) /* bytes reduced for a size */
#define LEAST 20           /* rounds, however large */

struct options {
    uint64_t iterations, us, work, rounds;
    const char *json, *out;
    bool calibrate;
};

static const size_t sizes[] = {8, 1024, 65536, 1048576};
#define SIZES (sizeof sizes / sizeof *sizes)

static void measure_sizes(struct bench_result *r, uint64_t most, double *us)
{
    double *in = mpi_memory(sizes[SIZES - 1]), *out = mpi_memory(sizes[SIZES - 1]);
    for (size_t s = 0; s < SIZES; s++) {
        size_t n = sizes[s] / sizeof *in;
        uint64_t rounds = BUDGET / sizes[s];
        rounds = rounds < LEAST ? LEAST : rounds;
        rounds = rounds < most ? rounds : most;
        for (size_t i = 0; i < n; i++)
            in[i] = (double)(i % 1000 + (size_t)mpi_rank);
        for (int k = 0; k < 3; k++) /* warms up */
            MPI_Allreduce(in, out, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        for (uint64_t i = 0; i < rounds; i++) {
            uint64_t t = tsc_now();
            MPI_Allreduce(in, out, (int)n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
            us[i] = (double)(tsc_now() - t) * 1e6 / r->tsc_hz;
        }
        double ranks = mpi_ranks, sum = ranks * (ranks - 1) / 2;
        for (size_t i = 0; i < n; i++)
            if (out[i] != ranks * (double)(i % 1000) + sum)
                mpi_die("allreduce of %zu bytes: wrong sum at %zu", sizes[s], i);
        bench_add(r, mpi_size_name("allreduce", sizes[s]), "us", us, rounds);
    }
    free(out);
    free(in);
}

/* All ranks at once, none waits for another. */
static void measure_alone(const struct bench_result *r, const struct options *o, double *us)
{
    MPI_Barrier(MPI_COMM_WORLD);
    for (uint64_t i = 0; i < o->iterations; i++) {
        uint64_t t = tsc_now();
        fwq_work(o->work);
        us[i] = (double)(tsc_now() - t) * 1e6 / r->tsc_hz;
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Back to back, as fwq: iteration i took us[i]; what lies between two belongs to the second. */
static void measure_together(const struct bench_result *r, const struct options *o, double *us)
{
    double in, out;
    uint64_t wrong = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    uint64_t before = tsc_now();
    for (uint64_t i = 0; i < o->iterations; i++) {
        fwq_work(o->work);
        in = (double)(i + (uint64_t)mpi_rank);
        MPI_Allreduce(&in, &out, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        wrong += out != (double)(i + (uint64_t)mpi_ranks - 1);
        uint64_t now = tsc_now();
        us[i] = (double)(now - before) * 1e6 / r->tsc_hz;
        before = now;
    }
    if (wrong)
        mpi_die("%" PRIu64 " of %" PRIu64 " iterations reduced wrongly", wrong, o->iterations);
}

static int write_samples(const char *path, const double *us, uint64_t n)
{
    FILE *f = fopen(path, "w");
    if (!f)
        goto fail;
    fprintf(f, "# lull-allreduce-1 iterations=%" PRIu64 "\n", n);
    for (uint64_t i = 0; i < n; i++)
        fprintf(f, "%.4f\n", us[i]);
    int bad = ferror(f);
    if (fclose(f) == 0 && !bad)
        return 0;
fail:
    fprintf(stderr, "mpi-allreduce: cannot write %s: %s\n", path, strerror(errno));
    return -1;
}

/* Sorts both. */
static void add_noise(struct bench_result *r, uint64_t n, double *alone, double *us)
{
    struct stats a = stats_of(alone, n), t = stats_of(us, n);
    double shortest;
    MPI_Allreduce(&a.min, &shortest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    bench_add(r, "work alone", "us", alone, n);
    bench_add_value(r, "work alone, max", "us", a.max);
    bench_add(r, "work + allreduce", "us", us, n);
    bench_add_value(r, "work + allreduce, max", "us", t.max);
    bench_add_value(r, "slowdown", "x", t.mean / shortest);
}

static int run(const struct options *o)
{
    struct bench_result r = {.program = "mpi-allreduce"};
    uint64_t n = o->iterations > o->rounds ? o->iterations : o->rounds;
    double *us = mpi_memory(n * sizeof *us), *alone = mpi_memory(n * sizeof *alone);
    mpi_check_places(&r);
    r.tsc_hz = tsc_measure_hz();
    mpi_mark_begin(&r);
    measure_sizes(&r, o->rounds, us);
    measure_alone(&r, o, alone);
    measure_together(&r, o, us);
    mpi_mark_end();
    int bad = mpi_rank == 0 && o->out && write_samples(o->out, us, o->iterations);
    add_noise(&r, o->iterations, alone, us);
    mpi_check_places(&r);
    int rc = mpi_finish(&r, o->json);
    free(alone);
    free(us);
    return bad ? 1 : rc;
}

/* 0, 1 (done), or 2 (bad usage) */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {
        {"iterations", 1, NULL, 'i'}, {"us", 1, NULL, 'u'},   {"work", 1, NULL, 'w'},
        {"rounds", 1, NULL, 'n'},     {"json", 1, NULL, 'j'}, {"out", 1, NULL, 'o'},
        {"calibrate", 0, NULL, 'c'},  {"help", 0, NULL, 'h'}, {0}};
    static const char me[] = "mpi-allreduce";
    *o = (struct options){.iterations = 5000, .us = 200, .rounds = 5000};
    for (int c; (c = getopt_long(argc, argv, "i:u:w:n:j:o:ch", longs, NULL)) != -1;) {
        bool ok = true;
        if (c == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (c == 'i')
            ok = bench_parse_count(me, "--iterations", optarg, 2, 10000000, &o->iterations);
        else if (c == 'u')
            ok = bench_parse_count(me, "--us", optarg, 1, 10000000, &o->us);
        else if (c == 'w')
            ok = bench_parse_count(me, "--work", optarg, 1, UINT64_MAX / 2, &o->work);
        else if (c == 'n')
            ok = bench_parse_count(me, "--rounds", optarg, 1, 10000000, &o->rounds);
        else if (c == 'j')
            o->json = optarg;
        else if (c == 'o')
            o->out = optarg;
        else if (c == 'c')
            o->calibrate = true;
        else
            ok = false;
        if (!ok)
            goto bad;
    }
    if (optind == argc)
        return 0;
    fprintf(stderr, "mpi-allreduce: unexpected argument %s\n", argv[optind]);
bad:
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct options o;
    int rc = parse(argc, argv, &o);
    if (rc)
        return rc == 1 ? 0 : rc;
    mpi_begin(&argc, &argv, "mpi-allreduce");
    if (!o.work) /* the same at all ranks: rank 0's */
        o.work = fwq_calibrate(tsc_measure_hz(), o.us);
    MPI_Bcast(&o.work, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    if (!o.calibrate)
        return run(&o);
    if (mpi_rank == 0)
        printf("%" PRIu64 "\n", o.work);
    MPI_Finalize();
    return 0;
}
