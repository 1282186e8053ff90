/* SPDX-License-Identifier: MIT */
/* Children of the program, and execve(2): LULL_NR_SPAWN, LULL_NR_EXEC, LULL_NR_LEAVE. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "rlimits.h"
#include "serve/agent.h"
#include "serve/call.h"
#include "serve/serve.h"

#define STRING_MAX (128ul << 10) /* of one, with its NUL: MAX_ARG_STRLEN */
#define STRINGS_MAX (2ul << 20)  /* of all of them, with their pointers */

/* A string of the isle's in the arena; NULL and *err. */
static char *string_copy(struct call *c, uint64_t va, size_t max, int64_t *err)
{
    size_t len = 0;
    for (;;) { /* up to the end of a page at a time */
        size_t n = LULL_PAGE - ((va + len) & (LULL_PAGE - 1));
        const char *p = call_mem(c, va + len, n);
        const char *end = p ? memchr(p, 0, n) : NULL;
        *err = -EFAULT;
        if (!p)
            return NULL;
        len += end ? (size_t)(end - p) : n;
        *err = max == PATH_MAX ? -ENAMETOOLONG : -E2BIG;
        if (len >= max)
            return NULL;
        if (end)
            break;
    }
    char *own = arena_alloc(c->mem, len + 1);
    *err = -ENOMEM;
    if (!own)
        return NULL;
    call_copy_in(c, own, va, len);
    own[len] = '\0';
    return own;
}

/* argv or envp, NULL-terminated, in the arena. */
static char **strings_copy(struct call *c, uint64_t va, size_t *left, int64_t *err)
{
    size_t n = 0, room = 64;
    char **list = arena_alloc(c->mem, room * sizeof *list);
    *err = -ENOMEM;
    while (list) {
        uint64_t p = 0;
        *err = -EFAULT;
        if (va && !call_copy_in(c, &p, va + n * sizeof p, sizeof p))
            return NULL;
        if (!p) {
            list[n] = NULL;
            return list;
        }
        char *s = string_copy(c, p, STRING_MAX, err);
        if (!s)
            return NULL;
        size_t size = strlen(s) + 1 + sizeof p;
        *err = -E2BIG;
        if (size > *left)
            return NULL;
        *left -= size;
        if (n + 2 > room) {
            char **more = arena_alloc(c->mem, 2 * room * sizeof *list);
            *err = -ENOMEM;
            if (!more)
                return NULL;
            memcpy(more, list, room * sizeof *list);
            list = more;
            room *= 2;
        }
        list[n++] = s;
    }
    return NULL;
}

static bool same_file(int fd, const char *path)
{
    struct stat a, b;
    return !fstat(fd, &a) && !stat(path, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * The name of what execveat(2) means, for an execve(2) of the proxy, whose descriptors that are
 * closed on exec are gone by then: NULL and *err.
 */
static const char *exec_name(struct call *c, int fd, const char *path, bool nofollow, int64_t *err)
{
    char link[64];
    size_t room = 2 * PATH_MAX;
    char *name = arena_alloc(c->mem, room);
    struct stat st;
    int flags = fcntl(fd, F_GETFD);
    *err = flags < 0 ? -EBADF : -ENOMEM;
    if (!name || flags < 0)
        return NULL;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, name, PATH_MAX);
    bool named = n > 0 && n < PATH_MAX && name[0] == '/';
    if (named)
        name[n] = 0;
    if (!named || !same_file(fd, name)) { /* without a name, or no longer under it */
        *err = -ENOSYS;
        if (flags & FD_CLOEXEC)
            return NULL;
        strcpy(name, link);
    }
    if (*path) {
        strcat(name, "/");
        strcat(name, path);
        *err = -ELOOP;
        if (nofollow && !lstat(name, &st) && S_ISLNK(st.st_mode))
            return NULL;
    }
    return name;
}

/* Path and descriptor of the request. 0 or -errno. */
static int64_t exec_where(struct call *c, struct exec_request *req)
{
    int64_t err;
    struct stat st;
    uint64_t at = c->user[0] >> LULL_EXEC_AT;
    bool nofollow = req->mask & LULL_EXEC_NOFOLLOW;
    const char *path = string_copy(c, c->user[0] & ((1ull << LULL_EXEC_AT) - 1), PATH_MAX, &err);
    if (!path)
        return err;
    const char *exe = path_exe(c, path);
    req->mask &= ~LULL_EXEC_NOFOLLOW;
    req->path = exe ? exe : path;
    req->at = AT_FDCWD;
    req->flags = nofollow ? AT_SYMLINK_NOFOLLOW : 0;
    if (at && *path != '/') {
        req->at = call_fd(c->env, at - 1);
        req->flags |= *path ? 0 : AT_EMPTY_PATH;
        if (agent_acting())
            return 0;
        req->path = exec_name(c, req->at, path, nofollow, &err);
        req->at = AT_FDCWD;
        req->flags = 0;
        return req->path ? 0 : err;
    }
    if (nofollow && !agent_acting()) {
        if (!lstat(path, &st) && S_ISLNK(st.st_mode))
            return -ELOOP;
        req->flags = 0;
    }
    return 0;
}

/* arguments: where (LULL_EXEC_*), argv, envp, signal mask, ignored signals, cores that it may use
   (bit i: core i) */
int64_t call_exec(struct call *c)
{
    static char *const no_arguments[] = {"", NULL};
    struct exec_request req = {.mask = c->user[3], .ignored = c->user[4], .cores = c->user[5]};
    size_t left = STRINGS_MAX;
    int64_t err = exec_where(c, &req);
    if (err)
        return err;
    if (!(req.argv = strings_copy(c, c->user[1], &left, &err)) ||
        !(req.envp = strings_copy(c, c->user[2], &left, &err)))
        return err;
    if (!req.argv[0]) /* as Linux since 5.18 */
        req.argv = no_arguments;
    struct agent *g = agent_acting();
    if (!g)
        return c->env->exec ? c->env->exec(c->env->exec_ctx, &req) : -ENOSYS;
    agent_act_as(NULL);
    return agent_exec(c->env->agents, g, &req);
}

int64_t call_spawn(struct call *c)
{
    if (!c->env->agents || agent_acting())
        return -ENOSYS;
    int pid = agent_start(c->env->agents);
    if (pid > 0 && c->env->limits) {
        struct lull_limits l;
        memcpy(&l, c->env->limits, sizeof l);
        limits_give(pid, &l);
    }
    return pid;
}

int64_t call_leave(struct call *c)
{
    struct agent *g = agent_acting();
    if (!g)
        return -ESRCH;
    agent_act_as(NULL);
    agent_exit(c->env->agents, g, (int)c->user[0]);
    return 0;
}

static void nothing(int signo)
{
    (void)signo;
}

/* How the program takes SIGCHLD decides what Linux keeps of its children (wait(2), notes). */
int64_t call_children(struct call *c)
{
    struct sigaction sa = {.sa_handler = nothing};
    sigemptyset(&sa.sa_mask);
    sa.sa_flags = (c->user[0] & 1 ? SA_NOCLDWAIT : 0) | (c->user[0] & 2 ? SA_NOCLDSTOP : 0);
    return sigaction(SIGCHLD, &sa, NULL) ? -errno : 0;
}
