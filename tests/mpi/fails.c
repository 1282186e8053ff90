/* SPDX-License-Identifier: MIT */
/* fails HOW RANK: that rank aborts (code 7), exits without finishing (code 5), crashes, or waits
   for ever; the others are in a barrier. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "mpicheck.h"

int main(int argc, char **argv)
{
    start(&argc, &argv, MPI_THREAD_SINGLE);
    const char *how = argc > 2 ? argv[1] : "abort";
    int who = argc > 2 ? atoi(argv[2]) : 0;
    section(how);
    if (me == who) {
        if (strcmp(how, "abort") == 0)
            MPI_Abort(MPI_COMM_WORLD, 7);
        if (strcmp(how, "exit") == 0)
            exit(5);
        if (strcmp(how, "crash") == 0)
            raise(SIGSEGV);
        puts("ready");
        fflush(stdout);
        for (;;)
            pause();
    }
    MPI_Barrier(MPI_COMM_WORLD);
    return finish();
}
