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

#include "message.h"
#include "program/program.h"
#include "rlimits.h"
#include "serve/agent.h"
#include "serve/call.h"
#include "serve/fanotify.h"
#include "serve/serve.h"
#include "sigstate.h"

#define STRING_MAX (128ul << 10) /* of one, with its NUL: MAX_ARG_STRLEN */
#define STRINGS_MAX (6ul << 20)  /* of all of them, with their pointers, whatever the stack is */
#define STRINGS_MIN (128ul << 10)

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

/* The program itself executes: opens the file. 0 or -errno. */
static int64_t exec_open(struct call *c, struct exec_request *req, const char *path)
{
    char link[64];
    bool by_descriptor = req->at != AT_FDCWD;
    bool empty = req->flags & AT_EMPTY_PATH;
    int flags = req->flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0;
    int state = by_descriptor ? fcntl(req->at, F_GETFD) : 0;
    if (state < 0)
        return -EBADF;
    if (empty) { /* the file itself, a symbolic link too */
        snprintf(link, sizeof link, "/proc/self/fd/%d", req->at);
        flags = 0;
    }
    int dir = empty ? AT_FDCWD : req->at;
    req->file = program_open_file(dir, empty ? link : path, flags);
    if (req->file == -EACCES) {
        req->file = program_name_file(dir, empty ? link : path, flags);
        req->unreadable = req->file >= 0;
    }
    if (req->file < 0)
        return req->file;
    if (by_descriptor) { /* the name that Linux makes of it */
        size_t room = strlen(path) + 32;
        char *name = arena_alloc(c->mem, room);
        if (!name) {
            close(req->file);
            return -ENOMEM;
        }
        snprintf(name, room, empty ? "/dev/fd/%d%s" : "/dev/fd/%d/%s", req->at, path);
        req->path = name;
        req->nameless = state & FD_CLOEXEC;
    }
    return 0;
}

/* Path and descriptor of the request. 0 or -errno. */
static int64_t exec_where(struct call *c, struct exec_request *req)
{
    int64_t err;
    uint64_t at = c->user[0] >> LULL_EXEC_AT;
    bool nofollow = req->mask & LULL_EXEC_NOFOLLOW;
    const char *path = string_copy(c, c->user[0] & ((1ull << LULL_EXEC_AT) - 1), PATH_MAX, &err);
    if (!path)
        return err;
    const char *exe = path_exe(c, path);
    req->mask &= ~LULL_EXEC_NOFOLLOW;
    req->path = path;
    req->at = AT_FDCWD;
    req->flags = nofollow ? AT_SYMLINK_NOFOLLOW : 0;
    if (at && *path != '/') {
        req->at = call_fd(c->env, at - 1);
        req->flags |= *path ? 0 : AT_EMPTY_PATH;
    }
    if (!agent_acting())
        return exec_open(c, req, exe ? exe : path);
    if (exe) /* by the child's own copy of the descriptor */
        req->path = exe;
    return 0;
}

/* How long all strings may be, as Linux has it: a quarter of the stack. */
static size_t strings_limit(const struct call *c)
{
    uint64_t stack = c->env->limits ? c->env->limits->of[LULL_LIMIT_STACK].cur : 8ul << 20;
    uint64_t most = stack / 4 < STRINGS_MAX ? stack / 4 : STRINGS_MAX;
    return most > STRINGS_MIN ? most : STRINGS_MIN;
}

/* arguments: where (LULL_EXEC_*), argv, envp, signal mask, ignored signals, cores that it may use
   (bit i: core i) */
int64_t call_exec(struct call *c)
{
    static char *const no_arguments[] = {"", NULL};
    struct exec_request req = {
        .mask = c->user[3], .ignored = c->user[4], .cores = c->user[5], .file = -1};
    size_t left = agent_acting() ? STRINGS_MAX : strings_limit(c);
    int64_t err;
    struct agent *g = agent_acting();
    if (!g && !c->env->exec)
        return -ENOSYS;
    if (!(req.argv = strings_copy(c, c->user[1], &left, &err)) ||
        !(req.envp = strings_copy(c, c->user[2], &left, &err)))
        return err;
    if (!req.argv[0]) /* as Linux since 5.18 */
        req.argv = no_arguments;
    err = exec_where(c, &req);
    if (err)
        return err;
    if (!g && fanotify_hinders_exec()) {
        close(req.file);
        verbose("refused: execve with a group of fanotify that is not close-on-exec");
        return -ENOSYS;
    }
    if (!g)
        return c->env->exec(c->env->exec_ctx, &req);
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
    sigstate_stops(c->user[0] & 4, c->user[0] & 8);
    return sigaction(SIGCHLD, &sa, NULL) ? -errno : 0;
}
