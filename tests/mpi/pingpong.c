/* SPDX-License-Identifier: MIT */
/* Messages of 0 B to 64 MiB between neighbours, every byte checked. Alone, a rank sends to itself.
 */
#include "mpicheck.h"

static void to_itself(unsigned char *out, unsigned char *in, size_t n)
{
    MPI_Request r;
    fill(out, n, me);
    MPI_Irecv(in, (int)n, MPI_BYTE, me, 2, MPI_COMM_WORLD, &r);
    MPI_Send(out, (int)n, MPI_BYTE, me, 2, MPI_COMM_WORLD);
    MPI_Wait(&r, MPI_STATUS_IGNORE);
    CHECK(differs(in, n, me) == 0);
}

static void with_peer(unsigned char *out, unsigned char *in, size_t n, int peer)
{
    MPI_Status st;
    int got = -1;
    fill(out, n, me);
    if (me < peer) {
        MPI_Send(out, (int)n, MPI_BYTE, peer, 2, MPI_COMM_WORLD);
        MPI_Recv(in, (int)n, MPI_BYTE, peer, 3, MPI_COMM_WORLD, &st);
    } else {
        MPI_Probe(MPI_ANY_SOURCE, 2, MPI_COMM_WORLD, &st);
        MPI_Get_count(&st, MPI_BYTE, &got);
        CHECK((size_t)got == n && st.MPI_SOURCE == peer);
        MPI_Recv(in, (int)n, MPI_BYTE, peer, 2, MPI_COMM_WORLD, &st);
        MPI_Ssend(out, (int)n, MPI_BYTE, peer, 3, MPI_COMM_WORLD);
    }
    MPI_Get_count(&st, MPI_BYTE, &got);
    CHECK((size_t)got == n);
    CHECK(differs(in, n, peer) == 0);
    /* both ways at once */
    MPI_Request r[2];
    in[0] = (unsigned char)~pattern(peer, 0);
    MPI_Irecv(in, (int)n, MPI_BYTE, peer, 4, MPI_COMM_WORLD, &r[0]);
    MPI_Isend(out, (int)n, MPI_BYTE, peer, 4, MPI_COMM_WORLD, &r[1]);
    MPI_Waitall(2, r, MPI_STATUSES_IGNORE);
    CHECK(n == 0 || differs(in, n, peer) == 0);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {0,       1,       7,        8,       64,     1000,
                                   4096,    8191,    16384,    65536,   100001, 262144,
                                   1000003, 4194304, 16777217, 67108864};
    start(&argc, &argv, MPI_THREAD_SINGLE);
    int peer = me ^ 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char name[40];
        snprintf(name, sizeof name, "%zu bytes", sizes[i]);
        section(name);
        unsigned char *out = need(sizes[i]), *in = need(sizes[i]);
        if (ranks == 1)
            to_itself(out, in, sizes[i]);
        else if (peer < ranks)
            with_peer(out, in, sizes[i], peer);
        free(out);
        free(in);
    }
    return finish();
}
