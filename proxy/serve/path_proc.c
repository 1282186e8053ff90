/* SPDX-License-Identifier: MIT */
/*
 * Names in /proc that mean the program where Linux would mean the proxy: what it executes, its
 * threads, and descriptors that are the proxy's own.
 */
#include "serve/path_priv.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ownfd.h"
#include "serve/agent.h"
#include "serve/view.h"
#include "systable.h"

static const char *skip_dots(const char *p)
{
    for (;;) {
        while (*p == '/')
            p++;
        if (p[0] != '.' || (p[1] != '/' && p[1] != 0))
            return p;
        p++;
    }
}

const char *path_component(const char *p, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(p, name, n) || (p[n] != '/' && p[n] != 0))
        return NULL;
    return skip_dots(p + n);
}

static const char *number(const char *p, long *value)
{
    char *end;
    if (*p < '0' || *p > '9')
        return NULL;
    errno = 0;
    *value = strtol(p, &end, 10);
    return errno || (*end != '/' && *end != 0) ? NULL : skip_dots(end);
}

static bool own_thread(const struct call *c, long tid)
{
    return tid > 0 && tid <= INT32_MAX && tid != c->env->pid &&
           server_syscall(SYS_tgkill, c->env->pid, tid, 0, 0) == 0;
}

bool call_shows_proxy(const struct call *c, long pid)
{
    return pid == c->env->pid || own_thread(c, pid) ||
           (pid > 0 && pid <= INT32_MAX && c->env->agents && agents_have(c->env->agents, (int)pid));
}

/* atomic: procfs may show the processes of another namespace, where this one has another number */
static int nested;

enum whose {
    OTHERS,
    OWN,        /* the program is meant, or a vfork child */
    OWN_THREAD, /* a thread of the proxy's, but for its first: the program has no such number */
};

/*
 * Whose directory in procfs a number is that stands behind the first `len` characters of a path.
 * What cannot be told is the program's own.
 */
static enum whose whose_number(const struct call *c, const char *path, size_t len, long n)
{
    char name[512], link[16];
    if (!__atomic_load_n(&nested, __ATOMIC_RELAXED))
        return own_thread(c, n) ? OWN_THREAD : call_shows_proxy(c, n) ? OWN : OTHERS;
    if (len + 48 > sizeof name || (c->env->agents && agents_any(c->env->agents)))
        return OWN;
    snprintf(name, sizeof name, "%.*sself", (int)len, path);
    long got = server_syscall(SYS_readlinkat, AT_FDCWD, (long)name, (long)link, sizeof link - 1);
    if (got <= 0)
        return OWN;
    link[got] = 0;
    if (atol(link) == n)
        return OWN;
    snprintf(name, sizeof name, "%.*sself/task/%ld", (int)len, path, n);
    return server_syscall(SYS_faccessat, AT_FDCWD, (long)name, F_OK, 0) == 0 ? OWN_THREAD : OTHERS;
}

/* Is the first number in a path of procfs one of those? */
static bool path_of_own_thread(const struct call *c, const char *path)
{
    for (const char *p = path; (p = strchr(p, '/'));) {
        long n;
        if (number(++p, &n))
            return whose_number(c, path, (size_t)(p - path), n) == OWN_THREAD;
    }
    return false;
}

/* Steps over task/TID/, if that is there. */
static const char *behind_task(const char *p)
{
    long tid;
    const char *q = path_component(p, "task");
    return q && *q && (q = number(q, &tid)) ? q : p;
}

/* What comes after /proc/self/ or its other names; NULL: the path is not there. */
static const char *own_proc_rest(const struct call *c, const char *path)
{
    long n;
    if (*path != '/')
        return NULL;
    const char *p = path_component(skip_dots(path), "proc"), *q;
    if (!p)
        return NULL;
    if ((q = path_component(p, "self")) || (q = path_component(p, "thread-self")))
        p = q;
    else if ((q = number(p, &n)) && whose_number(c, path, (size_t)(p - path), n) != OTHERS)
        p = q;
    else
        return NULL;
    return behind_task(p);
}

const char *path_proc_rest(const struct call *c, const char *path)
{
    for (const char *p = path; (p = strchr(p, '/'));) {
        long pid;
        const char *rest = number(++p, &pid);
        if (rest && whose_number(c, path, (size_t)(p - path), pid) != OTHERS)
            return behind_task(rest);
    }
    return NULL;
}

/* The program's file: its name, or where there is none any more, the descriptor's. */
static const char *exe_name(struct call *c)
{
    struct stat a, b;
    const struct call_env *env = c->env;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    if (env->exe_fd <= 0 || (server_syscall(SYS_stat, (long)env->exe_path, (long)&a, 0, 0) == 0 &&
                             server_syscall(SYS_fstat, env->exe_fd, (long)&b, 0, 0) == 0 &&
                             a.st_dev == b.st_dev && a.st_ino == b.st_ino))
        return env->exe_path;
    char *link = arena_alloc(c->mem, 32);
    if (!link)
        return env->exe_path;
    snprintf(link, 32, "/proc/self/fd/%d", env->exe_fd);
    return link;
}

const char *path_exe(struct call *c, const char *path)
{
    const char *rest = own_proc_rest(c, path);
    return rest && !strcmp(rest, "exe") && c->env->exe_path ? exe_name(c) : NULL;
}

static int proc = -1; /* /proc as it was when the proxy started */

void path_init(void)
{
    char link[16];
    int fd = proc < 0 ? open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0)
        proc = ownfd_hide(fd);
    ssize_t n = proc < 0 ? -1 : readlinkat(proc, "self", link, sizeof link - 1);
    link[n > 0 ? n : 0] = 0;
    __atomic_store_n(&nested, proc >= 0 && atoi(link) != getpid(), __ATOMIC_RELAXED);
}

bool path_nested(void)
{
    return __atomic_load_n(&nested, __ATOMIC_RELAXED);
}

/* The last number of a line "NSpid:\t4711\t12": that in the innermost namespace. */
pid_t path_thread(int tasks, const char *name)
{
    char path[64], text[4096];
    if (!path_nested())
        return atoi(name);
    snprintf(path, sizeof path, "%.20s/status", name);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    char *line = strstr(text, "\nNSpid:"), *end = line ? strchr(line + 1, '\n') : NULL;
    if (!end)
        return 0;
    *end = 0;
    return atoi(strrchr(line, '\t') + 1);
}

int path_self(char *name, const char *format, int number)
{
    size_t n = (size_t)snprintf(name, 64, proc < 0 ? "/proc/self/" : "self/");
    /* the format is one of ours, with one number */
    const char *at = strstr(format, "%d");
    size_t before = at ? (size_t)(at - format) : strlen(format);
    memcpy(name + n, format, before);
    name[n + before] = 0;
    if (at)
        snprintf(name + n + before, 64 - n - before, "%d%s", number, at + 2);
    return proc < 0 ? AT_FDCWD : proc;
}

bool path_of_fd(int64_t fd, char *path, size_t size)
{
    char link[64];
    int dir = path_self(link, "fd/%d", (int)fd);
    long n = server_syscall(SYS_readlinkat, dir, (long)link, (long)path, (long)size - 1);
    if (n < 0)
        return false;
    path[n] = 0;
    return true;
}

static bool follows_links(const struct call *c, unsigned i)
{
    switch (c->nr) {
    case SYS_open:
        return i == 0 && !(c->user[1] & O_NOFOLLOW);
    case SYS_openat:
        return !(c->user[2] & O_NOFOLLOW);
    case SYS_openat2: { /* with RESOLVE_*, Linux says what a magic link is to it */
        struct open_how how;
        return call_copy_in(c, &how, c->user[2], sizeof how) && !how.resolve &&
               !(how.flags & O_NOFOLLOW);
    }
    case SYS_stat:
    case SYS_access:
    case SYS_faccessat:
    case SYS_statfs:
    case SYS_getxattr:
        return i < 2 && !(c->nr == SYS_getxattr && i);
    case SYS_newfstatat:
    case SYS_faccessat2:
        return !(c->user[3] & AT_SYMLINK_NOFOLLOW);
    case SYS_statx:
        return !(c->user[2] & AT_SYMLINK_NOFOLLOW);
    default:
        return false;
    }
}

/* readlink of /proc/self/exe, answered here. */
static bool answer_exe_link(struct call *c, int64_t *answer)
{
    unsigned i = c->nr == SYS_readlinkat ? 2 : 1; /* buffer; its size is the next */
    int room = (int)c->user[i + 1];
    if (room <= 0)
        return call_answer(answer, -EINVAL);
    size_t len = strlen(c->env->exe_path);
    if (len > (size_t)room)
        len = (size_t)room;
    if (c->user[LULL_ARG_HAVE] && len > c->user[LULL_ARG_HAVE])
        return call_answer(answer, -EFAULT);
    void *dst = call_mem(c, c->user[i], len);
    if (!dst)
        return call_answer(answer, -EFAULT);
    memcpy(dst, c->env->exe_path, len);
    return call_answer(answer, (int64_t)len);
}

enum found { FOUND_ANSWER, FOUND_ALL, FOUND_NOTHING };

/* `rest` is what a name has behind /proc/self/. All: nothing else can be meant. */
static enum found look(struct call *c, unsigned i, const char *rest, int64_t *answer)
{
    const char *p;
    long fd;
    if (c->env->exe_path && !strcmp(rest, "exe")) {
        if (c->nr == SYS_readlink || c->nr == SYS_readlinkat)
            return answer_exe_link(c, answer) ? FOUND_ALL : FOUND_ANSWER;
        if (follows_links(c, i))
            c->arg[i] = (long)exe_name(c);
        return FOUND_ALL;
    }
    if ((p = path_component(rest, "map_files")) && *p) {
        call_refuse(c, answer);
        return FOUND_ANSWER;
    }
    if (!(p = path_component(rest, "fd")) && !(p = path_component(rest, "fdinfo")))
        return FOUND_NOTHING;
    if (!*p || !(p = number(p, &fd)))
        return FOUND_NOTHING;
    if (call_fd_is_own(c->env, fd)) {
        *answer = -ENOENT;
        return FOUND_ANSWER;
    }
    return *p ? FOUND_NOTHING : FOUND_ALL;
}

/* The next component that look() and view_task_path() may care for; NULL: none. */
static char *suspect(char *p)
{
    while (*(p += strspn(p, "/"))) {
        size_t n = strcspn(p, "/");
        if (strspn(p, "0123456789") == n || (n == 3 && !memcmp(p, "exe", n)))
            return p;
        p += n;
    }
    return NULL;
}

/*
 * The directory in which Linux looks for the component at `at`, if that is one of procfs: its name.
 * Most paths are of a file system that was met before.
 */
static bool directory_of(const struct call *c, unsigned i, char *name, char *at, char *path,
                         size_t size)
{
    static uint64_t other; /* atomic: a device that is not procfs */
    struct stat st;
    struct statfs fs;
    const struct lull_sysdesc *d = &lull_systable[c->nr];
    int dir = i && d->arg[i - 1].kind == LULL_A_ATFD ? (int)c->arg[i - 1] : AT_FDCWD;
    char first = *at;
    bool found = false;
    int64_t fd = -1;
    *at = '\0';
    const char *prefix = at == name ? "." : name;
    memset(&st, 0, sizeof st);
    memset(&fs, 0, sizeof fs);
    if (server_syscall(SYS_newfstatat, dir, (long)prefix, (long)&st, 0) == 0 && !major(st.st_dev) &&
        st.st_dev != __atomic_load_n(&other, __ATOMIC_RELAXED))
        fd = server_syscall(SYS_openat, dir, (long)prefix, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
    *at = first;
    if (fd < 0)
        return false;
    if (server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0) == 0) {
        if (fs.f_type == PROC_SUPER_MAGIC)
            found = path_of_fd(fd, path, size);
        else
            __atomic_store_n(&other, st.st_dev, __ATOMIC_RELAXED);
    }
    server_syscall(SYS_close, fd, 0, 0, 0);
    return found;
}

/* A name that leads to procfs by a directory, a link or "..". */
static bool decode_led_name(struct call *c, unsigned i, char *name, int64_t *answer)
{
    char path[256];
    for (char *at = name; (at = suspect(at)); at += strcspn(at, "/")) {
        if (!directory_of(c, i, name, at, path, sizeof path))
            continue;
        size_t room = strlen(path) + strlen(at) + 2;
        char *joined = arena_alloc(c->mem, room);
        if (!joined)
            return call_answer(answer, -ENOMEM);
        snprintf(joined, room, "%s/%s", path, at);
        if (path_of_own_thread(c, joined))
            return call_answer(answer, -ENOENT);
        const char *inside = path_proc_rest(c, path), *whole = joined;
        if (!c->task && (!inside || !strcmp(inside, "task")) && !view_task_path(c, &joined, answer))
            return false;
        if (joined != whole)
            c->arg[i] = (long)joined;
        const char *rest = path_proc_rest(c, joined);
        enum found found = rest ? look(c, i, rest, answer) : FOUND_NOTHING;
        if (found != FOUND_NOTHING)
            return found == FOUND_ALL;
        if (joined != whole)
            return true;
    }
    return true;
}

bool decode_proc_name(struct call *c, unsigned i, char *own, int64_t *answer)
{
    if (!view_task_path(c, &own, answer))
        return false;
    c->arg[i] = (long)own;
    const char *rest = own_proc_rest(c, own);
    if (rest && path_of_own_thread(c, own))
        return call_answer(answer, -ENOENT);
    if (!rest && *own == '/') {
        rest = path_component(skip_dots(own), "dev");
        rest = rest && path_component(rest, "fd") ? rest : NULL;
    }
    enum found found = rest ? look(c, i, rest, answer) : FOUND_NOTHING;
    return found == FOUND_NOTHING ? decode_led_name(c, i, own, answer) : found == FOUND_ALL;
}
