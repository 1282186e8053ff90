/* SPDX-License-Identifier: MIT */
/*
 * Paths: one copy, which Linux gets, and files of /proc that are opened. The program is the process
 * there, but its memory, command line and threads are in the isle: files that would show the
 * proxy's instead are made anew (view.h) or refused.
 */
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

#include <lull/syscalls.h>

#include "message.h"
#include "ownfd.h"
#include "program/program.h"
#include "serve/agent.h"
#include "serve/fanotify.h"
#include "serve/path_priv.h"
#include "serve/view.h"

#define LINKS_MAX 40 /* Linux's own */

char *path_copy(struct call *c, uint64_t va, bool *fault)
{
    /* All of PATH_MAX without a NUL, closed by ours: too long by Linux's own count. */
    char *own = arena_alloc(c->mem, PATH_MAX + 1);
    *fault = false;
    if (!own)
        return NULL;
    size_t at = 0;
    while (at < PATH_MAX) {
        size_t n = LULL_PAGE - ((va + at) & (LULL_PAGE - 1));
        if (n > 256)
            n = 256 - ((va + at) & 255);
        if (n > PATH_MAX - at)
            n = PATH_MAX - at;
        if (!call_copy_in(c, own + at, va + at, n)) {
            *fault = true;
            return NULL;
        }
        if (memchr(own + at, 0, n))
            return own;
        at += n;
    }
    own[PATH_MAX] = 0;
    return own;
}

static bool path_is_file_name(uint32_t nr, unsigned i)
{
    switch (nr) {
    case SYS_memfd_create:
    case SYS_mq_open:
    case SYS_mq_unlink:
    case SYS_fsetxattr:
    case SYS_fgetxattr:
    case SYS_fremovexattr:
    case SYS_init_module:
    case SYS_finit_module:
    case SYS_delete_module:
    case SYS_add_key:
    case SYS_request_key:
    case SYS_fsopen:
        return false;
    case NR_setxattrat:
    case NR_getxattrat:
    case NR_removexattrat: /* the name of an attribute */
        return i == 1;
    case SYS_mount: /* the kind of a file system */
        return i != 2;
    case SYS_symlink:
    case SYS_symlinkat: /* the contents of the link */
        return i != 0;
    case SYS_setxattr:
    case SYS_getxattr:
    case SYS_lgetxattr:
    case SYS_lsetxattr:
    case SYS_removexattr:
    case SYS_lremovexattr:
        return i == 0;
    default:
        return true;
    }
}

bool decode_string(struct call *c, unsigned i, int64_t *answer)
{
    bool fault;
    c->arg[i] = 0;
    if (c->user[i] == 0)
        return true;
    char *own = path_copy(c, c->user[i], &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[i] = fault ? (long)LULL_BAD_PTR : (long)own;
    return true;
}

bool decode_path(struct call *c, unsigned i, int64_t *answer)
{
    c->arg[i] = 0;
    if (c->user[i] == 0)
        return true;
    bool fault;
    char *own = path_copy(c, c->user[i], &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[i] = fault ? (long)LULL_BAD_PTR : (long)own;
    if (!own || !path_is_file_name(c->nr, i))
        return true;
    return decode_proc_name(c, i, own, answer);
}

/* Of /proc/PID and /proc/PID/task/TID. */
static bool file_shows_proxy(const char *rest)
{
    static const char *const names[] = {
        "auxv",      "children",  "clear_refs", "cmdline",       "comm",      "environ", "io",
        "limits",    "map_files", "maps",       "mem",           "numa_maps", "pagemap", "sched",
        "schedstat", "smaps",     "stack",      "smaps_rollup",  "stat",      "statm",   "status",
        "syscall",   "task",      "timers",     "timerslack_ns", "wchan",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (path_component(rest, names[i]))
            return true;
    return false;
}

/* Only who reads sees a copy: writing, or a name alone (O_PATH), is the file's own business. */
static bool opened_to_read(int64_t fd)
{
    long flags = server_syscall(SYS_fcntl, fd, F_GETFL, 0, 0);
    return flags >= 0 && (flags & (O_ACCMODE | O_PATH)) == O_RDONLY;
}

static void say_refused(const char *path)
{
    verbose("refused: open of %s would show the proxy, not the program", path);
}

static int64_t finish_open_proc(struct call *c, int64_t fd, const char *path)
{
    const struct view *v = c->env->view;
    struct text t = {0};
    bool read = v && opened_to_read(fd);
    const char *rest = path_proc_rest(c, path), *name = strrchr(path, '/');
    if (rest && v && !strcmp(rest, "task"))
        return fd;
    if (rest && v && !strcmp(rest, "comm") && !read)
        return view_open_comm(c, fd);
    if (!rest && read && name && view_proc(c, (int)fd, name + 1, &t))
        return view_publish((int)fd, &t);
    if (!rest && read && v && view_peer((int)fd, path, &t))
        return view_publish((int)fd, &t);
    if (!rest || !file_shows_proxy(rest))
        return fd;
    if (read && view_proc_self(c, (int)fd, rest, &t))
        return view_publish((int)fd, &t);
    text_free(&t);
    server_syscall(SYS_close, fd, 0, 0, 0);
    if (!strcmp(rest, "stack"))
        return -EACCES; /* as to who may not see Linux's stacks */
    say_refused(path);
    c->refused = true;
    return -ENOSYS;
}

static int64_t finish_open_sys(struct call *c, int64_t fd, const char *path)
{
    static const char dir[] = "/devices/system/";
    const char *name = strstr(path, dir);
    struct text t = {0};
    if (name && c->env->view && opened_to_read(fd) &&
        view_sys(c, (int)fd, name + sizeof dir - 1, &t))
        return view_publish((int)fd, &t);
    return fd;
}

static int64_t finish_open_cgroup(struct call *c, int64_t fd, const char *path)
{
    struct text t = {0};
    if (c->env->view && opened_to_read(fd) && view_cgroup(c, path, &t))
        return view_publish((int)fd, &t);
    return fd;
}

/* What an open asks for, whichever call it is; `flags` without what open(2) ignores. */
struct opening {
    int dir;
    const char *path;
    uint64_t flags, mode, resolve;
};

#define OPEN_FLAGS                                                                                 \
    (O_ACCMODE | O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_APPEND | O_NONBLOCK | O_SYNC |          \
     O_ASYNC | O_DIRECT | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC | O_TMPFILE |           \
     LARGE_FILE)
#define LARGE_FILE 0100000 /* O_LARGEFILE, which open(2) adds and the C library calls 0 */

/*
 * openat2: the structure becomes a copy, which Linux reads instead. What it may have behind the
 * part that is known here is zero, or the call fails.
 */
static bool copy_how(struct call *c, int64_t *answer)
{
    uint64_t size = c->user[3];
    bool fault, more = false;
    if (size < sizeof(struct open_how) || size > LULL_PAGE || (uintptr_t)c->arg[2] <= LULL_BAD_PTR)
        return true;
    char *own = call_dup(c, c->user[2], size, &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[2] = own ? (long)own : (long)LULL_BAD_PTR;
    for (size_t i = sizeof(struct open_how); own && i < size; i++)
        more |= own[i] != 0;
    if (own && !more)
        c->arg[3] = sizeof(struct open_how);
    return true;
}

/* False: it is not to be looked at, because it fails, opens a name alone, or makes a new file. */
static bool opening_of(const struct call *c, struct opening *o)
{
    unsigned at = c->nr == SYS_openat || c->nr == SYS_openat2;
    *o = (struct opening){.dir = at ? (int)c->arg[0] : AT_FDCWD, .path = (char *)c->arg[at]};
    if (c->nr == SYS_openat2) {
        struct open_how how;
        if ((uintptr_t)c->arg[2] <= LULL_BAD_PTR || c->arg[3] != sizeof how)
            return false;
        memcpy(&how, (void *)c->arg[2], sizeof how);
        if (how.flags & ~(uint64_t)(OPEN_FLAGS | O_PATH))
            return false;
        o->flags = how.flags;
        o->mode = how.mode;
        o->resolve = how.resolve;
    } else {
        o->flags = c->nr == SYS_creat ? O_CREAT | O_WRONLY | O_TRUNC : c->user[at + 1];
        o->mode = c->user[c->nr == SYS_creat ? 1 : at + 2] & 07777;
        o->flags = (o->flags & (OPEN_FLAGS | O_PATH)) | LARGE_FILE;
        if (!(o->flags & O_CREAT) && (o->flags & O_TMPFILE) != O_TMPFILE)
            o->mode = 0;
    }
    if (c->truncates)
        o->flags &= ~(uint64_t)O_TRUNC;
    if ((uintptr_t)o->path <= LULL_BAD_PTR || o->flags & O_PATH)
        return false;
    return (o->flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
}

/* Of a name alone: a file of this process that finish_open_proc() would refuse. */
static bool refused_by_name(const struct call *c, int64_t fd, bool read)
{
    struct statfs fs;
    char path[512];
    memset(&fs, 0, sizeof fs);
    if (server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0) < 0 || fs.f_type != PROC_SUPER_MAGIC ||
        !path_of_fd(fd, path, sizeof path))
        return false;
    const char *rest = path_proc_rest(c, path);
    if (!rest || !file_shows_proxy(rest) || (read && !path_component(rest, "mem")) ||
        !strcmp(rest, "comm"))
        return false;
    say_refused(path);
    return true;
}

/*
 * Whether it is the program's file, which is not written to while the program runs. Linux guards
 * the proxy's file instead. Processes that are no isles are not stopped.
 */
static bool is_running(const struct call *c, const struct stat *st)
{
    struct stat exe;
    memset(&exe, 0, sizeof exe);
    return c->env->exe_fd > 0 && S_ISREG(st->st_mode) &&
           server_syscall(SYS_fstat, c->env->exe_fd, (long)&exe, 0, 0) == 0 &&
           exe.st_dev == st->st_dev && exe.st_ino == st->st_ino;
}

static bool may_write(int dir, const char *path)
{
    return server_syscall(SYS_faccessat2, dir, (long)path, W_OK, AT_EACCESS) == 0;
}

/* A file that may be executed, by whomever: another isle may run it. */
static bool may_be_program(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_mode & 0111;
}

/* Returns true if an isle runs the file that is open there. */
static bool is_held(int64_t fd)
{
    struct flock l = program_lock_query();
    return server_syscall(SYS_fcntl, fd, F_OFD_GETLK, (long)&l, 0) == 0 && program_lock_found(&l);
}

bool decode_truncate(struct call *c, int64_t *answer)
{
    struct stat st;
    const char *path = (const char *)c->arg[0];
    memset(&st, 0, sizeof st);
    if ((uintptr_t)path <= LULL_BAD_PTR || c->arg[1] < 0 ||
        server_syscall(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0) < 0 ||
        !may_be_program(&st) || !may_write(AT_FDCWD, path))
        return true;
    bool running = is_running(c, &st);
    if (!running) {
        const int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
        long fd = server_syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | how, 0);
        if (fd == -EACCES)
            fd = server_syscall(SYS_openat, AT_FDCWD, (long)path, O_WRONLY | how, 0);
        running = fd >= 0 && is_held(fd);
        if (fd >= 0)
            server_syscall(SYS_close, fd, 0, 0, 0);
    }
    return running ? call_answer(answer, -ETXTBSY) : true;
}

void guard_handle(struct call *c)
{
    c->guarded = c->user[2] & (O_ACCMODE | O_TRUNC) && !(c->user[2] & O_PATH);
    c->truncates = c->guarded && c->user[2] & O_TRUNC;
    if (c->truncates)
        c->arg[2] &= ~(long)O_TRUNC;
}

/* What O_TRUNC does to the file that is open there, with whatever flags. 0 or -errno. */
static int64_t empty_opened(int64_t fd)
{
    char link[64];
    long flags = server_syscall(SYS_fcntl, fd, F_GETFL, 0, 0);
    if (flags < 0 || flags & O_ACCMODE)
        return flags < 0 ? flags : server_syscall(SYS_ftruncate, fd, 0, 0, 0);
    int dir = path_self(link, "fd/%d", (int)fd);
    long again = server_syscall(SYS_openat, dir, (long)link, O_WRONLY | O_TRUNC | O_CLOEXEC, 0);
    if (again >= 0)
        server_syscall(SYS_close, again, 0, 0, 0);
    return again < 0 ? again : 0;
}

int64_t finish_guarded(struct call *c, int64_t r)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    int64_t bad = server_syscall(SYS_fstat, r, (long)&st, 0, 0);
    if (bad == 0 && S_ISREG(st.st_mode))
        bad = is_held(r) ? -ETXTBSY : c->truncates ? empty_opened(r) : 0;
    if (bad == 0)
        return r;
    server_syscall(SYS_close, r, 0, 0, 0);
    return bad;
}

/* Whether a path without symbolic links may lead to a file that finish_open_proc() would refuse. */
static bool may_be_refused(const char *path)
{
    size_t end = strlen(path);
    while (end && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start && path[start - 1] != '/')
        start--;
    return end == start || file_shows_proxy(path + start);
}

/* The program's own openat2(2), or one in the name of open(2). */
static long open_as(const struct opening *o, const char *path, uint64_t flags, uint64_t mode,
                    uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = o->resolve | resolve};
    return server_syscall(SYS_openat2, o->dir, (long)path, (long)&how, sizeof how);
}

/*
 * The file that the open means, as a name alone; -errno. No file: with
 * O_CREAT one may have been made, *made is the program's descriptor then.
 */
static long name_of_open(const struct call *c, struct opening *o, long *made)
{
    *made = -1;
    for (int links = 0; links < LINKS_MAX; links++) {
        long fd = open_as(o, o->path, O_PATH | O_CLOEXEC | (o->flags & O_NOFOLLOW), 0, 0);
        if (call_fd_is_own(c->env, fd)) { /* the program has all that it may have */
            server_syscall(SYS_close, fd, 0, 0, 0);
            return -EMFILE;
        }
        if (fd >= 0)
            return fd;
        if (fd != -ENOENT || !(o->flags & O_CREAT))
            return fd;
        *made = open_as(o, o->path, o->flags | O_EXCL, o->mode, 0);
        if (*made != -EEXIST)
            return *made < 0 ? *made : -ENOENT;
        /* made by somebody else meanwhile, or a link to a file that is not there */
        char *target = arena_alloc(c->mem, 2 * PATH_MAX);
        const char *slash = strrchr(o->path, '/');
        size_t before = slash ? (size_t)(slash - o->path) + 1 : 0;
        if (!target)
            return -ENOMEM;
        long n = server_syscall(SYS_readlinkat, o->dir, (long)o->path, (long)target + PATH_MAX,
                                PATH_MAX - 1);
        if (n <= 0)
            continue;
        target[PATH_MAX + n] = 0;
        if (target[PATH_MAX] == '/')
            before = 0;
        if (before + (size_t)n >= PATH_MAX)
            return -ENAMETOOLONG;
        memmove(target + before, target + PATH_MAX, (size_t)n + 1);
        memcpy(target, o->path, before);
        o->path = target;
    }
    return -ELOOP;
}

/*
 * Opens what the name leads to now, once it is known that it may be opened. The call becomes an
 * open of that very file. False: *r is the answer.
 */
static bool open_by_name(struct call *c, struct opening *o, int64_t *r)
{
    long made, fd = name_of_open(c, o, &made);
    struct stat st;
    char *link = arena_alloc(c->mem, 64);
    if (made >= 0) {
        *r = made;
        return false;
    }
    memset(&st, 0, sizeof st);
    if (fd >= 0 && (!link || server_syscall(SYS_fstat, fd, (long)&st, 0, 0) < 0)) {
        server_syscall(SYS_close, fd, 0, 0, 0);
        fd = -ENOMEM;
    }
    int64_t bad = fd < 0                                            ? fd
                  : S_ISLNK(st.st_mode)                             ? -ELOOP
                  : S_ISDIR(st.st_mode) && o->flags & O_CREAT       ? -EISDIR
                  : refused_by_name(c, fd, !(o->flags & O_ACCMODE)) ? -ENOSYS
                                                                    : 0;
    if (bad) {
        if (fd >= 0)
            server_syscall(SYS_close, fd, 0, 0, 0);
        c->refused = bad == -ENOSYS;
        return call_answer(r, bad);
    }
    int up = agent_acting() ? -1 : ownfd_copy((int)fd); /* off the program's numbers */
    if (up >= 0) {
        server_syscall(SYS_close, fd, 0, 0, 0);
        fd = up;
    }
    c->own_fd = (int)fd;
    c->as = SYS_openat;
    c->arg[0] = path_self(link, "fd/%d", (int)fd);
    c->arg[1] = (long)link;
    c->arg[2] = (long)(o->flags & ~(uint64_t)(O_CREAT | O_EXCL | O_NOFOLLOW));
    c->arg[3] = (long)o->mode;
    return true;
}

int64_t finish_opened(struct call *c, int64_t r)
{
    if (c->own_fd < 0)
        return r;
    if (call_fd_is_own(c->env, c->own_fd)) {
        close(c->own_fd);
        return r;
    }
    if (r > c->own_fd) { /* it has the program's number */
        long flags = server_syscall(SYS_fcntl, r, F_GETFD, 0, 0);
        long to = server_syscall(SYS_dup3, r, c->own_fd, flags & FD_CLOEXEC ? O_CLOEXEC : 0, 0);
        server_syscall(SYS_close, r, 0, 0, 0);
        return to;
    }
    server_syscall(SYS_close, c->own_fd, 0, 0, 0);
    return r;
}

bool open_again(struct call *c, int64_t *r)
{
    struct opening o;
    c->no_links = false;
    if (*r != -ELOOP && *r != -ENOSYS) /* links; or Linux before 5.6 */
        return false;
    memcpy(c->arg, c->before, sizeof c->arg);
    return opening_of(c, &o) && open_by_name(c, &o, r);
}

/*
 * The process's memory, and whatever could be written, is not opened first and refused then: until
 * finish_open() has closed it, another thread of the program could use it. So a path that is opened
 * as it is must not lead there, whatever becomes of it meanwhile. Linux is told to follow no
 * symbolic links: then only a path whose last name is that of such a file does. Such a path, and
 * one with links, is opened as a name alone (O_PATH), which reads and writes nothing; what was
 * found is looked at, and opened through its descriptor.
 */
bool decode_open(struct call *c, int64_t *answer)
{
    struct stat st;
    struct opening o;
    memset(&st, 0, sizeof st);
    if (c->nr == SYS_openat2 && !copy_how(c, answer))
        return false;
    if (!opening_of(c, &o))
        return true;
    int nofollow = o.flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    bool writes = o.flags & O_ACCMODE || o.flags & O_TRUNC;
    long r = writes ? server_syscall(SYS_newfstatat, o.dir, (long)o.path, (long)&st, nofollow) : -1;
    if ((r == -EUCLEAN || r == -EIO) && fanotify_counts_errors())
        return call_answer(answer, r);
    if (r == 0 && is_running(c, &st) && may_write(o.dir, o.path))
        return call_answer(answer, -ETXTBSY);
    if (r == 0 && may_be_program(&st)) {
        c->guarded = true;
        c->truncates = o.flags & O_TRUNC;
        o.flags &= ~(uint64_t)O_TRUNC;
    }
    if (may_be_refused(o.path)) {
        if (open_by_name(c, &o, answer))
            return true;
        if (*answer >= 0)
            *answer = call_fd_given(c->env, *answer);
        return false;
    }
    struct open_how *how = arena_alloc(c->mem, sizeof *how);
    if (!how)
        return call_answer(answer, -ENOMEM);
    *how = (struct open_how){
        .flags = o.flags, .mode = o.mode, .resolve = o.resolve | RESOLVE_NO_SYMLINKS};
    c->no_links = true;
    memcpy(c->before, c->arg, sizeof c->before);
    c->as = SYS_openat2;
    memcpy(c->arg, (long[6]){o.dir, (long)o.path, (long)how, sizeof *how}, sizeof c->arg);
    return true;
}

/*
 * readlink, readlinkat into a buffer that ends in a bad page: that is no matter if the name ends
 * before it.
 */
bool decode_readlink(struct call *c, int64_t *answer)
{
    unsigned i = c->nr == SYS_readlink ? 1 : 2;
    uint64_t n = (uint64_t)c->arg[i + 1];
    if (!c->user[LULL_ARG_HAVE] || (int64_t)n <= 0)
        return true;
    if (n > PATH_MAX)
        c->arg[i + 1] = n = PATH_MAX;
    char *own = arena_alloc(c->mem, n);
    if (!own)
        return call_answer(answer, -ENOMEM);
    c->arg[i] = (long)own;
    return true;
}

int64_t finish_readlink(struct call *c, int64_t r)
{
    unsigned i = c->nr == SYS_readlink ? 1 : 2;
    uint64_t have = c->user[LULL_ARG_HAVE];
    if (!have || r < 0 || r > c->arg[i + 1])
        return r;
    void *dst = (uint64_t)r <= have ? call_mem(c, c->user[i], (uint64_t)r) : NULL;
    if (!dst)
        return -EFAULT;
    memcpy(dst, (void *)c->arg[i], (size_t)r);
    return r;
}

/* By the file that was opened, so that no directory, link or mount on the way matters. */
int64_t finish_open(struct call *c, int64_t fd)
{
    struct statfs fs;
    char path[512];
    if (server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0) < 0)
        return fd;
    bool proc = fs.f_type == PROC_SUPER_MAGIC, sys = fs.f_type == SYSFS_MAGIC,
         cgroup = fs.f_type == CGROUP_SUPER_MAGIC || fs.f_type == CGROUP2_SUPER_MAGIC;
    if ((!proc && !sys && !cgroup) || !path_of_fd(fd, path, sizeof path))
        return fd;
    return proc  ? finish_open_proc(c, fd, path)
           : sys ? finish_open_sys(c, fd, path)
                 : finish_open_cgroup(c, fd, path);
}
