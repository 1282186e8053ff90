/* SPDX-License-Identifier: MIT */
#include "mpi/mpibench.h"

#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE 4096u
#define NOTE_MAX 256
#define NAMES_MAX 64

int mpi_rank, mpi_ranks;
static int began_on;
static const char *name;

void mpi_die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s, rank %d: ", name, mpi_rank);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    MPI_Abort(MPI_COMM_WORLD, 1);
    _exit(1);
}

void mpi_begin(int *argc, char ***argv, const char *program)
{
    name = program;
    MPI_Init(argc, argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &mpi_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &mpi_ranks);
    began_on = sched_getcpu();
}

/* What the library says of itself behind `key`, without what a JSON string can't have. */
static void read_library(const char *key, char *out, size_t size)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int len;
    size_t n = 0;
    MPI_Get_library_version(text, &len);
    const char *p = strstr(text, key);
    for (p = p ? p + strlen(key) : ""; *p && *p != '\n' && n + 1 < size; p++)
        if (*p > ' ' && *p < 127 && *p != '"' && *p != '\\')
            out[n++] = *p;
    out[n] = 0;
}

void mpi_check_places(struct bench_result *r)
{
    static char note[NOTE_MAX];
    char version[32], device[32];
    cpu_set_t set;
    int cpu = sched_getcpu(), *all = calloc((size_t)mpi_ranks, sizeof *all);
    if (!all || sched_getaffinity(0, sizeof set, &set))
        mpi_die("cannot tell which CPUs are allowed");
    if (CPU_COUNT(&set) != 1)
        mpi_die("%d CPUs are allowed, not one: bind each rank", CPU_COUNT(&set));
    if (cpu != began_on)
        mpi_die("began on CPU %d and ended on CPU %d", began_on, cpu);
    MPI_Gather(&cpu, 1, MPI_INT, all, 1, MPI_INT, 0, MPI_COMM_WORLD);
    size_t len = 0;
    for (int i = 0; mpi_rank == 0 && i < mpi_ranks && len < sizeof note; i++)
        len += (size_t)snprintf(note + len, sizeof note - len, "%srank %d on CPU %d", i ? ", " : "",
                                i, all[i]);
    read_library("MPICH Version:", version, sizeof version);
    read_library("MPICH Device:", device, sizeof device);
    if (mpi_rank == 0 && len < sizeof note)
        snprintf(note + len, sizeof note - len, "; MPICH %s, %s", version, device);
    r->note = note;
    free(all);
}

int mpi_finish(const struct bench_result *r, const char *json)
{
    int rc = 0;
    if (mpi_rank == 0) {
        bench_print(r);
        rc = json && bench_write_json(json, r);
    }
    MPI_Bcast(&rc, 1, MPI_INT, 0, MPI_COMM_WORLD);
    MPI_Finalize();
    return rc;
}

void *mpi_memory(size_t bytes)
{
    size_t whole = (bytes + PAGE) / PAGE * PAGE;
    void *p = aligned_alloc(PAGE, whole);
    if (!p)
        mpi_die("no memory for %zu bytes", whole);
    memset(p, 0, whole);
    return p;
}

void mpi_mark_begin(struct bench_result *r)
{
    MPI_Barrier(MPI_COMM_WORLD);
    r->marked = bench_mark_begin();
    MPI_Barrier(MPI_COMM_WORLD);
}

void mpi_mark_end(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    bench_mark_end();
}

const char *mpi_size_name(const char *prefix, size_t bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB"};
    static char names[NAMES_MAX][32];
    static size_t used;
    size_t u = 0;
    for (; bytes >= 1024 && bytes % 1024 == 0 && u + 1 < sizeof unit / sizeof *unit; u++)
        bytes /= 1024;
    if (used == NAMES_MAX)
        mpi_die("more than %d names", NAMES_MAX);
    snprintf(names[used], sizeof names[0], "%s %zu %s", prefix, bytes, unit[u]);
    return names[used++];
}
