/* SPDX-License-Identifier: MIT */
/*
 * Executes itself again and again, with every signal blocked, until there is a file `stop`; then it
 * says what is pending. `started` says that it has begun.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char round[16], *next[] = {argv[0], round, NULL};
    sigset_t set;

    sigfillset(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    if (access("stop", F_OK)) {
        snprintf(round, sizeof round, "%d", argc > 1 ? atoi(argv[1]) + 1 : 1);
        close(open("started", O_CREAT | O_WRONLY, 0600));
        execv("/proc/self/exe", next);
        return 1;
    }
    sigpending(&set);
    for (int s = 1; s <= 64; s++) {
        if (sigismember(&set, s) == 1)
            printf("%d ", s);
    }
    puts("pending");
    return argc > 2;
}
