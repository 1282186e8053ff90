/* SPDX-License-Identifier: MIT */
/* Resource limits of a program and of what it becomes. "overflow": until its stack ends. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static char *lowest;
static size_t used;

static int deeper(int n)
{
    volatile char here[4096];

    here[0] = (char)n;
    used = (size_t)(lowest - (char *)here);
    return n ? deeper(n - 1) + here[0] : 0;
}

static void on_segv(int signo)
{
    char line[80];
    int n = snprintf(line, sizeof(line), "overflow after %d times 512 KiB\n", (int)(used / 524288));

    (void)signo;
    _exit(write(1, line, (size_t)n) == n ? 0 : 1);
}

static int overflow(void)
{
    static char alt[65536];
    stack_t st = {.ss_sp = alt, .ss_size = sizeof(alt)};
    struct sigaction sa = {.sa_handler = on_segv, .sa_flags = SA_ONSTACK};
    char here;

    sigaltstack(&st, NULL);
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    lowest = &here;
    return deeper(1 << 20);
}

int main(int argc, char **argv)
{
    struct rlimit l, old;
    pid_t pid;
    int status, fd;

    if (argc > 1) {
        return overflow();
    }
    check_section("descriptors");
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    l = old;
    l.rlim_cur = 20;
    CHECK(setrlimit(RLIMIT_NOFILE, &l) == 0 && sysconf(_SC_OPEN_MAX) == 20);
    while ((fd = dup(0)) >= 0) {
        CHECK(fd < 20);
    }
    CHECK(errno == EMFILE);
    for (fd = 3; fd < 20; fd++) {
        close(fd);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    CHECK_ERR(getrlimit(99, &l), EINVAL);
    CHECK_ERR(setrlimit(99, &l), EINVAL);
    l = (struct rlimit){10, 5};
    CHECK_ERR(setrlimit(RLIMIT_NOFILE, &l), EINVAL);
    CHECK(prlimit(0, RLIMIT_CORE, NULL, &l) == 0);

    check_section("stack of the next program");
    fflush(stdout);
    l = (struct rlimit){1 << 20, RLIM_INFINITY};
    CHECK(getrlimit(RLIMIT_STACK, &old) == 0);
    l.rlim_max = old.rlim_max;
    pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_STACK, &l);
        execl(argv[0], argv[0], "overflow", (char *)NULL);
        _exit(9);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    return check_end();
}
