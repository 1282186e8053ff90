/* SPDX-License-Identifier: MIT */
/* Derived datatypes: packed, sent, and unpacked as another type of the same signature. */
#include <complex.h>
#include <stddef.h>
#include <string.h>

#include "mpicheck.h"

#define ROWS 300
#define COLS 200

struct record {
    char tag;
    double x[3];
    int n;
};

/* To the next rank, from the last one. */
static void shift(void *out, int nout, MPI_Datatype tout, void *in, int nin, MPI_Datatype tin)
{
    MPI_Sendrecv(out, nout, tout, (me + 1) % ranks, 1, in, nin, tin, (me + ranks - 1) % ranks, 1,
                 MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

static void columns(void)
{
    static int m[ROWS][COLS], got[ROWS];
    MPI_Datatype column;
    int last = (me + ranks - 1) % ranks, wrong = 0;
    for (int i = 0; i < ROWS; i++) {
        for (int j = 0; j < COLS; j++)
            m[i][j] = me * 1000000 + i * COLS + j;
    }
    MPI_Type_vector(ROWS, 1, COLS, MPI_INT, &column);
    MPI_Type_commit(&column);
    shift(&m[0][5], 1, column, got, ROWS, MPI_INT);
    for (int i = 0; i < ROWS; i++)
        wrong += got[i] != last * 1000000 + i * COLS + 5;
    CHECK(wrong == 0);
    MPI_Type_free(&column);
}

static void records(void)
{
    struct record out[100], in[100];
    int length[] = {1, 3, 1}, last = (me + ranks - 1) % ranks, wrong = 0;
    MPI_Aint at[] = {offsetof(struct record, tag), offsetof(struct record, x),
                     offsetof(struct record, n)};
    MPI_Datatype part[] = {MPI_CHAR, MPI_DOUBLE, MPI_INT}, plain, t;
    memset(out, 0, sizeof out);
    for (int i = 0; i < 100; i++)
        out[i] = (struct record){(char)('a' + i % 26), {i, me, i * me + 0.25}, i ^ me};
    MPI_Type_create_struct(3, length, at, part, &plain);
    MPI_Type_create_resized(plain, 0, sizeof(struct record), &t);
    MPI_Type_commit(&t);
    shift(out, 100, t, in, 100, t);
    for (int i = 0; i < 100; i++)
        wrong += in[i].tag != 'a' + i % 26 || in[i].x[1] != last || in[i].n != (i ^ last);
    CHECK(wrong == 0);
    MPI_Type_free(&plain);
    MPI_Type_free(&t);
}

static void subarrays(void)
{
    static double big[40][50][60], small[10][20][30];
    int whole[] = {40, 50, 60}, part[] = {10, 20, 30}, from[] = {3, 4, 5};
    int last = (me + ranks - 1) % ranks, wrong = 0;
    MPI_Datatype t;
    for (int i = 0; i < 40 * 50 * 60; i++)
        (&big[0][0][0])[i] = me * 1e6 + i;
    MPI_Type_create_subarray(3, whole, part, from, MPI_ORDER_C, MPI_DOUBLE, &t);
    MPI_Type_commit(&t);
    shift(big, 1, t, small, 10 * 20 * 30, MPI_DOUBLE);
    for (int i = 0; i < 10; i++) {
        for (int j = 0; j < 20; j++) {
            for (int k = 0; k < 30; k++)
                wrong += small[i][j][k] != last * 1e6 + ((i + 3) * 50 + j + 4) * 60 + k + 5;
        }
    }
    CHECK(wrong == 0);
    MPI_Type_free(&t);
}

static void indexed(void)
{
    static int out[100000], in[100000];
    int lengths[500], at[500], total = 0, last = (me + ranks - 1) % ranks, wrong = 0, size, pos = 0;
    MPI_Datatype t;
    for (int i = 0; i < 100000; i++)
        out[i] = me + i;
    for (int i = 0; i < 500; i++) {
        lengths[i] = i % 17;
        at[i] = i * 199;
        total += lengths[i];
    }
    MPI_Type_indexed(500, lengths, at, MPI_INT, &t);
    MPI_Type_commit(&t);
    memset(in, 0xff, sizeof in);
    shift(out, 1, t, in, 1, t);
    for (int i = 0; i < 500; i++) {
        for (int j = 0; j < 17; j++)
            wrong += in[at[i] + j] != (j < lengths[i] ? last + at[i] + j : -1);
    }
    CHECK(wrong == 0);
    MPI_Pack_size(1, t, MPI_COMM_WORLD, &size);
    char *packed = need((size_t)size);
    MPI_Pack(out, 1, t, packed, size, &pos, MPI_COMM_WORLD);
    shift(packed, pos, MPI_PACKED, in, total, MPI_INT);
    CHECK(in[0] == last + at[1] && in[total - 1] == last + at[499] + lengths[499] - 1);
    free(packed);
    MPI_Type_free(&t);
}

/*
 * Complex numbers, up to n of them, to the next rank (to itself, if it is alone), received two and
 * two with gaps between: a library that cuts a message within a number loses what follows.
 */
static void pairs(int n)
{
    double complex *out = need((size_t)n * sizeof *out), *in = need((size_t)n / 4 * 6 * sizeof *in);
    int last = (me + ranks - 1) % ranks;
    MPI_Datatype t;
    MPI_Type_vector(2, 2, 4, MPI_C_DOUBLE_COMPLEX, &t);
    MPI_Type_commit(&t);
    for (int count = 16; count <= n; count *= 4) {
        int got = -1, wrong = 0;
        MPI_Status status;
        for (int i = 0; i < count; i++)
            out[i] = me + i + 1;
        memset(in, 0, (size_t)count / 4 * 6 * sizeof *in);
        MPI_Sendrecv(out, count, MPI_C_DOUBLE_COMPLEX, (me + 1) % ranks, 2, in, count / 4, t, last,
                     2, MPI_COMM_WORLD, &status);
        MPI_Get_count(&status, MPI_C_DOUBLE_COMPLEX, &got);
        for (int i = 0; i < count / 4 * 6; i++) {
            int at = i % 6, gap = at == 2 || at == 3;
            wrong += in[i] != (gap ? 0 : last + i / 6 * 4 + at - (at > 3 ? 2 : 0) + 1);
        }
        CHECK(got == count);
        CHECK(wrong == 0);
    }
    MPI_Type_free(&t);
    free(out);
    free(in);
}

int main(int argc, char **argv)
{
    start(&argc, &argv, MPI_THREAD_SINGLE);
    section("vector");
    columns();
    section("struct");
    records();
    section("subarray");
    subarrays();
    section("indexed, packed");
    indexed();
    section("complex numbers in pairs");
    pairs(1 << 19);
    return finish();
}
