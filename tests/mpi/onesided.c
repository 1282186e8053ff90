/* SPDX-License-Identifier: MIT */
/*
 * One-sided: windows created, allocated and shared; fence, post-start, locks; atomics.
 * onesided [nocas|allocated]: without MPI_Compare_and_swap; without windows over memory of the
 * program. Open MPI 4.1 needs both: its component rdma crashes in a rank's compare-and-swap on
 * itself, and its component sm knows windows only that it has allocated.
 */
#include <stdbool.h>
#include <string.h>

#include "mpicheck.h"

#define N 100000
/*
 * With over 16 KiB a fence of Debian's MPICH 4.0 at times ends before what MPI_Get asked for is
 * there, if ranks share CPUs: natively too.
 */
#define GET 2000

static bool cas = true;

static void fences(MPI_Win w, long *base)
{
    long *out = need(N * sizeof *out), *in = need(N * sizeof *in);
    int next = (me + 1) % ranks, last = (me + ranks - 1) % ranks;
    for (int i = 0; i < N; i++) {
        out[i] = me * 10 + i;
        base[i] = -1;
    }
    MPI_Win_fence(0, w);
    MPI_Put(out, N, MPI_LONG, next, 0, N, MPI_LONG, w);
    MPI_Win_fence(0, w);
    CHECK(base[0] == last * 10 && base[N - 1] == last * 10 + N - 1);
    MPI_Get(in, GET, MPI_LONG, next, N - GET, GET, MPI_LONG, w);
    MPI_Win_fence(0, w);
    CHECK(in[0] == me * 10 + N - GET && in[GET - 1] == me * 10 + N - 1);
    MPI_Accumulate(out, 100, MPI_LONG, 0, 0, 100, MPI_LONG, MPI_SUM, w);
    MPI_Win_fence(0, w);
    long before = (long)(ranks - 1) * 10; /* what the last rank put there */
    if (me == 0)
        CHECK(base[7] == before + 7 + (long)ranks * (ranks - 1) / 2 * 10 + 7L * ranks);
    free(out);
    free(in);
}

static void locks(MPI_Win w, long *base)
{
    long one = 1, old, expect = 0, swaps = cas ? 20 : 0;
    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, me, 0, w);
    base[0] = base[1] = base[2] = 0;
    MPI_Win_unlock(me, w);
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < 60; i++) {
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, w);
        MPI_Fetch_and_op(&one, &old, MPI_LONG, 0, 0, MPI_SUM, w);
        MPI_Win_unlock(0, w);
        CHECK(old >= 0 && old < 60L * ranks);
    }
    MPI_Win_lock_all(0, w);
    for (int i = 0; i < swaps; i++) { /* a counter by compare and swap */
        do {
            expect = old;
            long more = expect + 1;
            MPI_Compare_and_swap(&more, &expect, &old, MPI_LONG, 0, 1, w);
            MPI_Win_flush(0, w);
        } while (old != expect);
    }
    MPI_Win_unlock_all(w);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock(MPI_LOCK_SHARED, me, 0, w);
    if (me == 0)
        CHECK(base[0] == 60L * ranks && base[1] == swaps * ranks);
    MPI_Win_unlock(me, w);
}

static void post_start(MPI_Win w, long *base)
{
    MPI_Group world, other;
    int peer = me ^ 1;
    if (peer >= ranks)
        return;
    long v = 77 + me;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, 1, &peer, &other);
    MPI_Win_post(other, 0, w);
    MPI_Win_start(other, 0, w);
    MPI_Put(&v, 1, MPI_LONG, peer, 5, 1, MPI_LONG, w);
    MPI_Win_complete(w);
    MPI_Win_wait(w);
    CHECK(base[5] == 77 + peer);
    MPI_Group_free(&other);
    MPI_Group_free(&world);
}

int main(int argc, char **argv)
{
    MPI_Win w;
    long *base, *theirs;
    MPI_Aint bytes;
    int unit;
    start(&argc, &argv, MPI_THREAD_SINGLE);
    cas = argc < 2 || strcmp(argv[1], "nocas") != 0;
    if (argc < 2 || strcmp(argv[1], "allocated") != 0) {
        section("created");
        base = need(N * sizeof *base);
        MPI_Win_create(base, N * sizeof *base, sizeof *base, MPI_INFO_NULL, MPI_COMM_WORLD, &w);
        fences(w, base);
        locks(w, base);
        post_start(w, base);
        MPI_Win_free(&w);
        free(base);
    }
    section("allocated");
    MPI_Win_allocate(N * sizeof *base, sizeof *base, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &w);
    fences(w, base);
    locks(w, base);
    post_start(w, base);
    MPI_Win_free(&w);
    section("allocated, each rank's part by itself");
    MPI_Info apart;
    MPI_Info_create(&apart);
    MPI_Info_set(apart, "alloc_shared_noncontig", "true");
    for (int i = 0; i < 20; i++) {
        MPI_Win_allocate(N * sizeof *base, sizeof *base, apart, MPI_COMM_WORLD, &base, &w);
        base[0] = me;
        base[N - 1] = i;
        MPI_Win_fence(0, w);
        MPI_Win_fence(0, w);
        CHECK(base[0] == me && base[N - 1] == i);
        MPI_Win_free(&w);
    }
    MPI_Info_free(&apart);
    section("shared");
    MPI_Win_allocate_shared(N * sizeof *base, sizeof *base, MPI_INFO_NULL, MPI_COMM_WORLD, &base,
                            &w);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, w);
    for (int i = 0; i < N; i++)
        base[i] = me * 100 + i;
    MPI_Win_sync(w);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_sync(w);
    MPI_Win_shared_query(w, (me + 1) % ranks, &bytes, &unit, &theirs);
    CHECK(theirs[N - 1] == (me + 1) % ranks * 100 + N - 1);
    CHECK(bytes == N * (MPI_Aint)sizeof *base && unit == sizeof *base);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_unlock_all(w);
    MPI_Win_free(&w);
    return finish();
}
