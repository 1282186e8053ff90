/* SPDX-License-Identifier: MIT */
/*
 * The state of other isles. Linux shows that of a proxy's main thread, which waits nearly always;
 * test suites look there for when a child waits, so an isle shows its peers' own state.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <lull/core.h>
#include <lull/maps.h>

#include "serve/agent.h"
#include "serve/path_priv.h"
#include "serve/view.h"
#include "systable.h"

/* The process whose `stat` or `status` it is; 0: another file. Sets *stat. */
static int peer_of(const char *path, bool *stat)
{
    const char *name = strrchr(path, '/'), *dir = name;
    char *end;
    if (!name || (strcmp(name, "/stat") && strcmp(name, "/status")))
        return 0;
    *stat = name[5] == '\0';
    while (dir > path && dir[-1] != '/')
        dir--;
    errno = 0;
    long pid = strtol(dir, &end, 10);
    return errno || end != name || pid <= 0 || pid > INT_MAX ? 0 : (int)pid;
}

bool peer_is_isle(int pid)
{
    char path[80];
    struct stat own, peer;
    memset(&own, 0, sizeof own);
    memset(&peer, 0, sizeof peer);
    int dir = path_self(path, "exe", 0);
    if (fstatat(dir, path, &own, 0))
        return false;
    dir = path_self(path, "../%d/exe", pid);
    return fstatat(dir, path, &peer, 0) == 0 && own.st_dev == peer.st_dev &&
           own.st_ino == peer.st_ino;
}

/* The peer's word for whether its main thread waits for something that has begun; false: it cannot
   be read. */
static bool main_waits(int pid, bool *waits)
{
    uint32_t word[2] = {0, 0}; /* main_waits, queued */
    _Static_assert(offsetof(struct lull_threads, queued) ==
                       offsetof(struct lull_threads, main_waits) + sizeof word[0],
                   "both are read at once");
    struct iovec to = {word, sizeof word};
    struct iovec from = {(char *)LULL_THREAD_TABLE + offsetof(struct lull_threads, main_waits),
                         sizeof word};
    bool read =
        server_syscall6(SYS_process_vm_readv,
                        (const long[6]){pid, (long)&to, 1, (long)&from, 1, 0}) == (long)sizeof word;
    *waits = word[0] && !word[1];
    return read;
}

/* A signal that was sent to the peer has left Linux, and its kernel has not taken it yet. */
static bool signal_under_way(int pid)
{
    uint32_t head = 0, tail = 0;
    struct iovec to[] = {{&head, sizeof head}, {&tail, sizeof tail}};
    struct iovec from[] = {
        {(char *)LULL_SIGNALS + offsetof(struct lull_signals, head), sizeof head},
        {(char *)LULL_SIGNALS + offsetof(struct lull_signals, tail), sizeof tail}};
    long n =
        server_syscall6(SYS_process_vm_readv, (const long[6]){pid, (long)to, 2, (long)from, 2, 0});
    return n == (long)(sizeof head + sizeof tail) && head != tail;
}

/* A thread of the peer that answers calls runs. */
static bool serves(int task, const char *tid)
{
    char name[300], text[160];
    snprintf(name, sizeof name, "%.20s/stat", tid);
    long fd = server_syscall(SYS_openat, task, (long)name, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    long n = server_syscall(SYS_read, fd, (long)text, sizeof text - 1, 0);
    server_syscall(SYS_close, fd, 0, 0, 0);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strstr(text, "(lull-serve) ");
    return end && strchr("RD", end[13]);
}

/* True if the call that the peer's program waits for may not have begun. */
static bool serving(int pid)
{
    char path[80], names[2048];
    bool yes = false;
    int dir = path_self(path, "../%d/task", pid);
    long n, fd = server_syscall(SYS_openat, dir, (long)path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return false;
    while (!yes && (n = server_syscall(SYS_getdents64, fd, (long)names, sizeof names, 0)) > 0)
        for (long at = 0; !yes && at < n;) {
            const struct dirent64 *e = (const struct dirent64 *)(names + at);
            yes = serves((int)fd, e->d_name);
            at += e->d_reclen;
        }
    server_syscall(SYS_close, fd, 0, 0, 0);
    return yes;
}

/*
 * The file as it is now, with the state of the peer's program: a descriptor of Linux's would show
 * that of the proxy when it is read. A stopped peer and a dead one stay what they are.
 */
bool view_peer(int fd, const char *path, struct text *out)
{
    static const char waiting[] = "S (sleeping)", running[] = "R (running)";
    bool stat, waits;
    struct text real = {0};
    int pid = peer_of(path, &stat);
    if (!pid || agent_acting() || !peer_is_isle(pid))
        return false;
    bool ok = view_read(fd, &real) == 0;
    char *at = ok ? stat ? strrchr(real.p, ')') : strstr(real.p, "\nState:\t") : NULL;
    if (at)
        at += stat ? strlen(") ") : strlen("\nState:\t");
    ok = at && strchr("RSD", *at);
    if (ok) {
        /* In the order in which a signal comes: while Linux has it, the proxy's main thread
           runs. */
        bool asleep = *at == 'S' && !signal_under_way(pid);
        if (asleep && main_waits(pid, &waits))
            asleep = waits && !serving(pid);
        text_add(out, real.p, (size_t)(at - real.p));
        text_printf(out, "%.*s", stat ? 1 : INT_MAX, asleep ? waiting : running);
        at += stat ? 1 : strcspn(at, "\n");
        text_add(out, at, real.len - (size_t)(at - real.p));
    }
    text_free(&real);
    return ok;
}

bool peer_limit(int pid, unsigned resource, struct rlimit *out)
{
    struct iovec to = {out, sizeof *out};
    struct iovec from = {(char *)LULL_LIMIT_TABLE + offsetof(struct lull_limits, of) +
                             resource * sizeof *out,
                         sizeof *out};
    return process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)sizeof *out;
}
