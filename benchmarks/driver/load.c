/* SPDX-License-Identifier: MIT */
#include "driver/load.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Arithmetic and a walk through a buffer, so that caches and time slices are fought for. */
static _Noreturn void spin(void)
{
    static volatile unsigned char buffer[1 << 18];
    unsigned x = 1;
    for (;;) {
        for (size_t i = 0; i < sizeof buffer; i += 64) {
            x = x * 1664525u + 1013904223u;
            buffer[i] = (unsigned char)(buffer[i] + (x >> 24));
        }
    }
}

static _Noreturn void load_child(const char *command, const struct cpus *allowed, pid_t parent)
{
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent || sched_setaffinity(0, sizeof allowed->set, &allowed->set))
        _exit(127);
    if (!command)
        spin();
    dup2(STDERR_FILENO, STDOUT_FILENO);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

int load_start(struct load *l, const char *command, const struct cpus *allowed)
{
    unsigned want = command ? 1 : allowed->n;
    pid_t parent = getpid();
    *l = (struct load){.command = command};
    fflush(NULL);
    while (l->n < want) {
        pid_t pid = fork();
        if (pid == 0)
            load_child(command, allowed, parent);
        if (pid < 0) {
            complain("cannot start the load: %s", strerror(errno));
            load_stop(l);
            return -1;
        }
        setpgid(pid, pid);
        l->pid[l->n++] = pid;
    }
    return 0;
}

int load_check(struct load *l)
{
    for (unsigned i = 0; i < l->n; i++) {
        if (waitpid(l->pid[i], NULL, WNOHANG) == 0)
            continue;
        l->pid[i] = l->pid[--l->n];
        complain("the load ended before the runs did%s%s", l->command ? ": " : "",
                 l->command ? l->command : "");
        return -1;
    }
    return 0;
}

void load_stop(struct load *l)
{
    for (unsigned i = 0; i < l->n; i++)
        kill(-l->pid[i], SIGKILL);
    for (unsigned i = 0; i < l->n; i++)
        while (waitpid(l->pid[i], NULL, 0) < 0 && errno == EINTR)
            ;
    l->n = 0;
}
