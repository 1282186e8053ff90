/* SPDX-License-Identifier: MIT */
/* Every collective, small and large, blocking, in place and nonblocking, on two communicators. */
#include "mpicheck.h"

static MPI_Comm comm;
static int rank, size;

static void reductions(int n)
{
    long *a = need(sizeof *a * (size_t)n * (size_t)size), *b = need(sizeof *b * (size_t)n);
    long sum = (long)size * (size - 1) / 2, before = (long)rank * (rank - 1) / 2;
    int *counts = need(sizeof *counts * (size_t)size);
    for (int i = 0; i < n * size; i++)
        a[i] = rank + i;
    MPI_Allreduce(a, b, n, MPI_LONG, MPI_SUM, comm);
    for (int i = 0; i < n; i += 1 + n / 50)
        CHECK(b[i] == sum + (long)size * i);
    b[0] = -1;
    MPI_Reduce(a, b, n, MPI_LONG, MPI_MAX, size - 1, comm);
    CHECK(rank != size - 1 || b[n - 1] == size - 1 + n - 1);
    MPI_Scan(a, b, n, MPI_LONG, MPI_SUM, comm);
    CHECK(b[n - 1] == before + rank + (long)(rank + 1) * (n - 1));
    MPI_Exscan(a, b, n, MPI_LONG, MPI_SUM, comm);
    CHECK(rank == 0 || b[n - 1] == before + (long)rank * (n - 1));
    for (int r = 0; r < size; r++)
        counts[r] = n;
    MPI_Reduce_scatter(a, b, counts, MPI_LONG, MPI_SUM, comm);
    CHECK(b[0] == sum + (long)size * rank * n);
    MPI_Reduce_scatter_block(a, b, n, MPI_LONG, MPI_SUM, comm);
    CHECK(b[n - 1] == sum + (long)size * ((long)rank * n + n - 1));
    MPI_Allreduce(MPI_IN_PLACE, a, n, MPI_LONG, MPI_SUM, comm);
    CHECK(a[n - 1] == sum + (long)size * (n - 1));
    free(a);
    free(b);
    free(counts);
}

static void moves(int n)
{
    size_t all = (size_t)n * (size_t)size;
    int *a = need(sizeof *a * all), *b = need(sizeof *b * all);
    int *counts = need(sizeof *counts * (size_t)size), *at = need(sizeof *at * (size_t)size);
    for (int i = 0; i < n; i++)
        a[i] = rank == 0 ? i : -1;
    MPI_Bcast(a, n, MPI_INT, 0, comm);
    CHECK(a[n - 1] == n - 1);
    for (int i = 0; i < n; i++)
        a[i] = rank * 1000 + i;
    MPI_Allgather(a, n, MPI_INT, b, n, MPI_INT, comm);
    for (int r = 0; r < size; r++)
        CHECK(b[r * n] == r * 1000 && b[r * n + n - 1] == r * 1000 + n - 1);
    MPI_Gather(a, n, MPI_INT, b, n, MPI_INT, size - 1, comm);
    CHECK(rank != size - 1 || b[(size - 1) * n] == (size - 1) * 1000);
    for (size_t i = 0; i < all; i++)
        a[i] = (int)i + rank;
    MPI_Scatter(a, n, MPI_INT, b, n, MPI_INT, 0, comm);
    CHECK(b[0] == rank * n && b[n - 1] == rank * n + n - 1);
    MPI_Alltoall(a, n, MPI_INT, b, n, MPI_INT, comm);
    for (int r = 0; r < size; r++)
        CHECK(b[r * n] == rank * n + r);
    /* of r the first r mod (n+1) */
    for (int r = 0; r < size; r++) {
        counts[r] = r % (n + 1);
        at[r] = r * n;
    }
    MPI_Allgatherv(a, counts[rank], MPI_INT, b, counts, at, MPI_INT, comm);
    for (int r = 0; r < size; r++)
        CHECK(counts[r] == 0 || b[at[r]] == r);
    free(a);
    free(b);
    free(counts);
    free(at);
}

static void nonblocking(int n)
{
    MPI_Request r[4];
    double *a = need(sizeof *a * (size_t)n), *b = need(sizeof *b * (size_t)n);
    double *c = need(sizeof *c * (size_t)n * (size_t)size);
    int root = rank == 0 ? 4711 : 0;
    for (int i = 0; i < n; i++)
        a[i] = rank + 0.5;
    MPI_Iallreduce(a, b, n, MPI_DOUBLE, MPI_SUM, comm, &r[0]);
    MPI_Ibcast(&root, 1, MPI_INT, 0, comm, &r[1]);
    MPI_Iallgather(a, n, MPI_DOUBLE, c, n, MPI_DOUBLE, comm, &r[2]);
    MPI_Ibarrier(comm, &r[3]);
    MPI_Waitall(4, r, MPI_STATUSES_IGNORE);
    CHECK(b[n - 1] == size * (size - 1) / 2. + 0.5 * size);
    CHECK(root == 4711);
    CHECK(c[n * size - 1] == size - 1 + 0.5);
    free(a);
    free(b);
    free(c);
}

static void all(void)
{
    static const int lengths[] = {1, 3, 100, 5000, 200000};
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        reductions(lengths[i]);
        moves(lengths[i]);
        nonblocking(lengths[i]);
        MPI_Barrier(comm);
    }
}

int main(int argc, char **argv)
{
    start(&argc, &argv, MPI_THREAD_SINGLE);
    section("world");
    comm = MPI_COMM_WORLD;
    all();
    section("halves");
    MPI_Comm_split(MPI_COMM_WORLD, me % 2, -me, &comm);
    all();
    MPI_Comm_free(&comm);
    section("shared memory");
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &comm);
    all();
    CHECK(size == ranks);
    MPI_Comm_free(&comm);
    return finish();
}
