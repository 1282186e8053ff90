/* SPDX-License-Identifier: MIT */
/* parallelio FILE: MPI-IO on one file: blocks, strided views, collective, shared pointer. */
#include "mpicheck.h"

#define N 10000

int main(int argc, char **argv)
{
    MPI_File f;
    MPI_Offset size;
    MPI_Status st;
    MPI_Datatype strided;
    int got, wrong = 0;
    static int out[N], in[N];
    start(&argc, &argv, MPI_THREAD_SINGLE);
    if (argc < 2)
        MPI_Abort(MPI_COMM_WORLD, 2);
    for (int i = 0; i < N; i++)
        out[i] = me * N + i;
    section("blocks");
    CHECK(MPI_File_open(MPI_COMM_WORLD, argv[1], MPI_MODE_CREATE | MPI_MODE_RDWR, MPI_INFO_NULL,
                        &f) == MPI_SUCCESS);
    MPI_File_set_size(f, 0);
    MPI_File_write_at_all(f, (MPI_Offset)sizeof out * me, out, N, MPI_INT, &st);
    MPI_Get_count(&st, MPI_INT, &got);
    CHECK(got == N);
    MPI_File_sync(f);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_File_get_size(f, &size);
    CHECK(size == (MPI_Offset)sizeof out * ranks);
    int next = (me + 1) % ranks;
    MPI_File_read_at(f, (MPI_Offset)sizeof out * next, in, N, MPI_INT, &st);
    CHECK(in[0] == next * N && in[N - 1] == next * N + N - 1);
    section("strided view");
    MPI_Type_vector(N / 100, 100, 100 * ranks, MPI_INT, &strided);
    MPI_Type_commit(&strided);
    MPI_File_set_view(f, (MPI_Offset)sizeof(int) * 100 * me, MPI_INT, strided, "native",
                      MPI_INFO_NULL);
    MPI_File_write_all(f, out, N, MPI_INT, &st);
    MPI_File_seek(f, 0, MPI_SEEK_SET);
    MPI_File_read_all(f, in, N, MPI_INT, &st);
    for (int i = 0; i < N; i++)
        wrong += in[i] != out[i];
    CHECK(wrong == 0);
    MPI_File_set_view(f, 0, MPI_INT, MPI_INT, "native", MPI_INFO_NULL);
    MPI_File_read_at(f, 100 * next, in, 100, MPI_INT, &st);
    CHECK(in[99] == next * N + 99);
    MPI_Type_free(&strided);
    section("past the end");
    MPI_File_read_at(f, (MPI_Offset)N * ranks, in, 10, MPI_INT, &st);
    MPI_Get_count(&st, MPI_INT, &got);
    CHECK(got == 0);
    MPI_File_close(&f);
    return finish();
}
