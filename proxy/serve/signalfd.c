/* SPDX-License-Identifier: MIT */
/*
 * signalfd(2). The descriptor is Linux's own, so that it can be duplicated, inherited, passed on
 * and polled; what it gives to read are the program's signals, which its kernel keeps. The kernel
 * tells the proxy what is pending (LULL_OP_PENDING), and as long as it is, it is pending for the
 * proxy too: so Linux says that the descriptor is ready.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "serve/agent.h"
#include "serve/call.h"
#include "serve/fanotify.h"
#include "serve/path_priv.h"

#define BIT_KILL (1ull << (SIGKILL - 1))
#define BIT_STOP (1ull << (SIGSTOP - 1))

static atomic_bool some; /* there may be one: descriptors that are read are looked at */

void signalfd_made(void)
{
    atomic_store(&some, true);
}

bool decode_signalfd(struct call *c, int64_t *answer)
{
    (void)answer;
    if (c->arg[0] == -1 && (int)c->user[0] != -1) /* not a new one: EBADF */
        c->arg[0] = INT_MAX;
    return true;
}

static bool is_signalfd(int fd)
{
    static const char name[] = "anon_inode:[signalfd]";
    char target[64];
    struct stat st;
    memset(&st, 0, sizeof st);
    memset(target, 0, sizeof target);
    if (server_syscall(SYS_fstat, fd, (long)&st, 0, 0) < 0 || st.st_mode & S_IFMT)
        return false;
    return path_of_fd(fd, target, sizeof target) && !strcmp(target, name);
}

void signalfd_came(int fd)
{
    if (!atomic_load_explicit(&some, memory_order_relaxed) && is_signalfd(fd))
        signalfd_made();
}

bool call_reads_signalfd(const struct call *c)
{
    return atomic_load_explicit(&some, memory_order_relaxed) && c->arg[0] >= 0 && !agent_acting() &&
           is_signalfd((int)c->arg[0]);
}

/* Its signals, as Linux shows them. False: it is none any more. */
static bool signals_of(int fd, uint64_t *mask)
{
    char path[64], text[512];
    int proc = path_self(path, "fdinfo/%d", fd);
    int info = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (info < 0)
        return false;
    ssize_t n = read(info, text, sizeof text - 1);
    close(info);
    text[n > 0 ? n : 0] = 0;
    const char *at = strstr(text, "sigmask:");
    if (!at)
        return false;
    *mask = strtoull(at + strlen("sigmask:"), NULL, 16);
    return true;
}

int64_t call_signalfd(struct call *c)
{
    int fd = call_fd(c->env, c->user[0]);
    uint64_t mask;
    long flags = server_syscall(SYS_fcntl, fd, F_GETFL, 0, 0);
    if (flags < 0)
        return -EBADF;
    if (!is_signalfd(fd) || !signals_of(fd, &mask))
        return -EINVAL;
    bool last = mask >> 63;
    mask &= ~(1ull << 63 | BIT_KILL | BIT_STOP);
    return (int64_t)(mask | (last ? BIT_STOP : 0) | (flags & O_NONBLOCK ? BIT_KILL : 0));
}

/* Of those that the proxy was started with: their signals. */
uint64_t signalfd_inherited(void)
{
    uint64_t all = 0, mask;
    char target[64];
    DIR *d = opendir("/proc/self/fd");
    for (struct dirent *e; d && (e = readdir(d));) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, target, sizeof target - 1);
        if (n <= 0)
            continue;
        target[n] = 0;
        fanotify_came(atoi(e->d_name));
        if (!strcmp(target, "anon_inode:[signalfd]") && signals_of(atoi(e->d_name), &mask))
            all |= mask;
    }
    if (d)
        closedir(d);
    if (all)
        signalfd_made();
    return all;
}
