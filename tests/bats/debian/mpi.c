/* SPDX-License-Identifier: MIT */
/* What ranks on one node do: messages small and large, a reduction, a window of shared memory. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LARGEST (1 << 21)

/* Sum of all bytes that rank 1 got. */
static long exchange(int rank, unsigned char *b)
{
    long sum = 0;
    for (int size = 1; size <= LARGEST; size *= 8) {
        for (int i = 0; i < 10; i++) {
            if (rank == 0) {
                memset(b, (i + size) % 251, (size_t)size);
                MPI_Send(b, size, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
                memset(b, 255, (size_t)size);
                MPI_Recv(b, size, MPI_BYTE, 1, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            } else {
                MPI_Recv(b, size, MPI_BYTE, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
                MPI_Send(b, size, MPI_BYTE, 0, 2, MPI_COMM_WORLD);
            }
            for (int k = 0; k < size; k++)
                sum += b[k];
        }
    }
    return sum;
}

int main(int argc, char **argv)
{
    int rank, size, *mine, *other, unit;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    unsigned char *b = malloc(LARGEST);
    if (size != 2 || !b)
        MPI_Abort(MPI_COMM_WORLD, 2);
    printf("rank %d: bytes %ld\n", rank, exchange(rank, b));

    double x = rank + 1, y;
    MPI_Allreduce(&x, &y, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    printf("rank %d: sum %g\n", rank, y);

    MPI_Win w;
    MPI_Aint bytes;
    MPI_Win_allocate_shared(4096, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &mine, &w);
    mine[0] = rank + 7;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_shared_query(w, 1 - rank, &bytes, &unit, &other);
    printf("rank %d: the other's %d\n", rank, other[0]);
    MPI_Win_free(&w);
    free(b);
    MPI_Finalize();
    return 0;
}
