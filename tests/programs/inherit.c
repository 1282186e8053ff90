/* SPDX-License-Identifier: MIT */
/*
 * inherit PROGRAM [ARGUMENT...]: becomes PROGRAM with some signals ignored and some blocked, among
 * them those that the C library keeps for itself. Without arguments: what was inherited.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

struct action {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

int main(int argc, char **argv)
{
    static const int ignored[] = {SIGUSR1, SIGPIPE, 32, 33, 40, 64};
    uint64_t mask = 1ull << (SIGUSR2 - 1) | 1ull << 31 | 1ull << 32 | 1ull << 49;
    struct action sa;

    if (argc > 1) {
        for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++) {
            memset(&sa, 0, sizeof sa);
            sa.handler = SIG_IGN;
            if (syscall(SYS_rt_sigaction, ignored[i], &sa, NULL, 8))
                perror("rt_sigaction");
        }
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
        execvp(argv[1], argv + 1);
        perror(argv[1]);
        return 127;
    }
    printf("ignored:");
    for (int s = 1; s <= 64; s++) {
        if (!syscall(SYS_rt_sigaction, s, NULL, &sa, 8) && sa.handler == SIG_IGN)
            printf(" %d", s);
    }
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
    printf("\nblocked: %llx\n", (unsigned long long)mask);
    return 0;
}
