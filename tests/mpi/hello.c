/* SPDX-License-Identifier: MIT */
/* Who is there: every rank once, in order. */
#include <string.h>

#include "mpicheck.h"

int main(int argc, char **argv)
{
    char line[80];
    start(&argc, &argv, MPI_THREAD_SINGLE);
    snprintf(line, sizeof line, "hello from rank %d of %d", me, ranks);
    if (me != 0) {
        MPI_Send(line, sizeof line, MPI_CHAR, 0, 1, MPI_COMM_WORLD);
        return finish();
    }
    puts(line);
    for (int r = 1; r < ranks; r++) {
        MPI_Recv(line, sizeof line, MPI_CHAR, r, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        puts(line);
    }
    return finish();
}
