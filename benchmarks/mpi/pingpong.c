/* SPDX-License-Identifier: MIT */
/*
 * Two ranks. Latency: a message there and the same back, half of that time. Bandwidth: a window of
 * messages one way, then an empty one back. What arrives is checked, outside of what is timed.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/tsc.h"
#include "mpi/mpibench.h"

#define WINDOW 16
#define BUDGET (256u << 20) /* bytes one way for a size */
#define LEAST 20            /* rounds, however large */
#define TAG_PING 1
#define TAG_STREAM 2
#define TAG_ACK 3

static const char usage[] =
    "usage: mpirun -n 2 mpi-pingpong [--rounds N] [--max BYTES] [--json FILE] [--where]\n"
    "Half the time of a message there and back, and the bandwidth of windows of 16 messages one\n"
    "way, for sizes up to BYTES (4194304); N round trips (10000), fewer of large messages.\n"
    "--where: only say on which CPU each rank is.\n";

struct options {
    uint64_t rounds, max;
    const char *json;
    bool where;
};

static const size_t sizes[] = {8,     64,    256,    1024,    4096,   8192,
                               16384, 65536, 262144, 1048576, 4194304};
#define SIZES (sizeof sizes / sizeof *sizes)

static unsigned char byte_at(size_t i, unsigned seed)
{
    return (unsigned char)(i * 31 + (i >> 12) + seed);
}

static void fill(unsigned char *b, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        b[i] = byte_at(i, seed);
}

static void check(const unsigned char *b, size_t n, unsigned seed, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (b[i] != byte_at(i, seed))
            mpi_die("%s, %zu bytes: wrong content at byte %zu", what, n, i);
}

static uint64_t rounds_of(uint64_t most, size_t bytes)
{
    uint64_t n = BUDGET / bytes;
    n = n < LEAST ? LEAST : n;
    return n < most ? n : most;
}

/* ticks[i]: of a round trip. The first tenth is not kept. */
static void ping(unsigned char *out, unsigned char *in, size_t size, uint64_t rounds, double *ticks)
{
    uint64_t warm = rounds / 10 + 1;
    for (uint64_t i = 0; i < warm + rounds; i++) {
        uint64_t t = tsc_now();
        MPI_Send(out, (int)size, MPI_BYTE, 1, TAG_PING, MPI_COMM_WORLD);
        MPI_Recv(in, (int)size, MPI_BYTE, 1, TAG_PING, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        t = tsc_now() - t;
        if (i >= warm)
            ticks[i - warm] = (double)t;
    }
}

static void pong(unsigned char *out, unsigned char *in, size_t size, uint64_t rounds)
{
    for (uint64_t i = 0; i < rounds / 10 + 1 + rounds; i++) {
        MPI_Recv(in, (int)size, MPI_BYTE, 0, TAG_PING, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(out, (int)size, MPI_BYTE, 0, TAG_PING, MPI_COMM_WORLD);
    }
}

/* ticks[i]: of a window, at rank 0. */
static void stream(unsigned char *b, size_t size, uint64_t windows, double *ticks)
{
    MPI_Request r[WINDOW];
    for (uint64_t i = 0; i < windows + 1; i++) {
        uint64_t t = tsc_now();
        for (int k = 0; k < WINDOW; k++) {
            unsigned char *at = b + (size_t)k * size;
            if (mpi_rank == 0)
                MPI_Isend(at, (int)size, MPI_BYTE, 1, TAG_STREAM, MPI_COMM_WORLD, &r[k]);
            else
                MPI_Irecv(at, (int)size, MPI_BYTE, 0, TAG_STREAM, MPI_COMM_WORLD, &r[k]);
        }
        MPI_Waitall(WINDOW, r, MPI_STATUSES_IGNORE);
        if (mpi_rank == 0)
            MPI_Recv(NULL, 0, MPI_BYTE, 1, TAG_ACK, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        else
            MPI_Send(NULL, 0, MPI_BYTE, 0, TAG_ACK, MPI_COMM_WORLD);
        t = tsc_now() - t;
        if (i > 0) /* the first one warms up */
            ticks[i - 1] = (double)t;
    }
}

static void measure_latency(struct bench_result *r, const struct options *o, unsigned char *out,
                            unsigned char *in, double *ticks)
{
    for (size_t s = 0; s < SIZES && sizes[s] <= o->max; s++) {
        uint64_t n = rounds_of(o->rounds, sizes[s]);
        fill(out, sizes[s], (unsigned)mpi_rank);
        memset(in, 0, sizes[s]);
        MPI_Barrier(MPI_COMM_WORLD);
        if (mpi_rank == 0)
            ping(out, in, sizes[s], n, ticks);
        else
            pong(out, in, sizes[s], n);
        check(in, sizes[s], (unsigned)!mpi_rank, "latency");
        if (mpi_rank != 0)
            continue;
        for (uint64_t i = 0; i < n; i++)
            ticks[i] *= 0.5e6 / r->tsc_hz;
        bench_add(r, mpi_size_name("latency", sizes[s]), "us", ticks, n);
    }
}

static void measure_bandwidth(struct bench_result *r, const struct options *o, unsigned char *b,
                              double *ticks)
{
    for (size_t s = 0; s < SIZES && sizes[s] <= o->max; s++) {
        size_t whole = WINDOW * sizes[s];
        uint64_t n = rounds_of(o->rounds / 10 + 1, whole);
        if (mpi_rank == 0)
            fill(b, whole, (unsigned)s);
        else
            memset(b, 0, whole);
        MPI_Barrier(MPI_COMM_WORLD);
        stream(b, sizes[s], n, ticks);
        if (mpi_rank != 0) {
            check(b, whole, (unsigned)s, "bandwidth");
            continue;
        }
        /* of the window in the middle: how they vary is in the latencies */
        bench_add_value(r, mpi_size_name("bandwidth", sizes[s]), "MB/s",
                        (double)whole / (stats_median(ticks, n) / r->tsc_hz) * 1e-6);
    }
}

static int run(const struct options *o)
{
    struct bench_result r = {.program = "mpi-pingpong"};
    mpi_check_places(&r);
    if (o->where) {
        if (mpi_rank == 0)
            printf("%s\n", r.note);
        MPI_Finalize();
        return 0;
    }
    unsigned char *out = mpi_memory(o->max * WINDOW), *in = mpi_memory(o->max);
    double *ticks = mpi_memory(o->rounds * sizeof *ticks);
    r.tsc_hz = tsc_measure_hz();
    mpi_mark_begin(&r);
    measure_latency(&r, o, out, in, ticks);
    measure_bandwidth(&r, o, out, ticks);
    mpi_mark_end();
    mpi_check_places(&r);
    int rc = mpi_finish(&r, o->json);
    free(ticks);
    free(in);
    free(out);
    return rc;
}

/* 0, 1 (done), or 2 (bad usage) */
static int parse(int argc, char **argv, struct options *o)
{
    static const struct option longs[] = {{"rounds", 1, NULL, 'n'}, {"max", 1, NULL, 'm'},
                                          {"json", 1, NULL, 'j'},   {"where", 0, NULL, 'w'},
                                          {"help", 0, NULL, 'h'},   {0}};
    *o = (struct options){.rounds = 10000, .max = sizes[SIZES - 1]};
    for (int c; (c = getopt_long(argc, argv, "n:m:j:wh", longs, NULL)) != -1;) {
        bool ok = true;
        if (c == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (c == 'n')
            ok = bench_parse_count("mpi-pingpong", "--rounds", optarg, 1, 10000000, &o->rounds);
        else if (c == 'm')
            ok = bench_parse_count("mpi-pingpong", "--max", optarg, sizes[0], sizes[SIZES - 1],
                                   &o->max);
        else if (c == 'j')
            o->json = optarg;
        else if (c == 'w')
            o->where = true;
        else
            ok = false;
        if (!ok)
            goto bad;
    }
    if (optind == argc)
        return 0;
    fprintf(stderr, "mpi-pingpong: unexpected argument %s\n", argv[optind]);
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
    mpi_begin(&argc, &argv, "mpi-pingpong");
    if (mpi_ranks != 2)
        mpi_die("there are %d ranks, not 2: mpirun -n 2", mpi_ranks);
    return run(&o);
}
