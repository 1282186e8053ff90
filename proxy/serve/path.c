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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <lull/syscalls.h>

#include "message.h"
#include "serve/path_priv.h"
#include "serve/view.h"

/* Numbers that the C library's headers may not have. */
#define NR_SETXATTRAT 463
#define NR_GETXATTRAT 464
#define NR_REMOVEXATTRAT 466

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
    case NR_SETXATTRAT:
    case NR_GETXATTRAT:
    case NR_REMOVEXATTRAT: /* the name of an attribute */
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

/* Directory, path and flags of an open that may meet a file that is there. */
static bool open_meets_file(const struct call *c, int *dir, const char **path, uint64_t *flags)
{
    unsigned at = c->nr == SYS_openat || c->nr == SYS_openat2;
    *dir = at ? (int)c->arg[0] : AT_FDCWD;
    *path = (const char *)c->arg[at];
    *flags = c->nr == SYS_creat ? O_CREAT | O_WRONLY : c->user[at + 1];
    if (c->nr == SYS_openat2 && !call_copy_in(c, flags, c->user[2], sizeof *flags))
        return false;
    if ((uintptr_t)*path <= LULL_BAD_PTR || *flags & O_PATH)
        return false;
    return (*flags & (O_CREAT | O_EXCL)) != (O_CREAT | O_EXCL);
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
 * the proxy's file instead. Other processes are not stopped.
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

bool decode_truncate(struct call *c, int64_t *answer)
{
    struct stat st;
    const char *path = (const char *)c->arg[0];
    memset(&st, 0, sizeof st);
    if ((uintptr_t)path <= LULL_BAD_PTR || c->arg[1] < 0 ||
        server_syscall(SYS_newfstatat, AT_FDCWD, (long)path, (long)&st, 0) < 0 ||
        !is_running(c, &st) || !may_write(AT_FDCWD, path))
        return true;
    return call_answer(answer, -ETXTBSY);
}

/*
 * The process's memory, and whatever could be written, is not opened first and refused then: until
 * finish_open() has closed it, another thread of the program could use it. A descriptor of O_PATH
 * reads and writes nothing. Asked only where /proc may be meant: its files, like others of no disk,
 * have no major number. A link that is turned to /proc between here and the open is left to
 * finish_open().
 */
bool decode_open(struct call *c, int64_t *answer)
{
    struct stat st;
    int dir;
    const char *path;
    uint64_t flags;
    memset(&st, 0, sizeof st);
    if (!open_meets_file(c, &dir, &path, &flags))
        return true;
    int nofollow = flags & O_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (server_syscall(SYS_newfstatat, dir, (long)path, (long)&st, nofollow) < 0)
        return true;
    if ((flags & O_ACCMODE || flags & O_TRUNC) && is_running(c, &st) && may_write(dir, path))
        return call_answer(answer, -ETXTBSY);
    if (major(st.st_dev))
        return true;
    int how = O_PATH | O_CLOEXEC | (flags & O_NOFOLLOW ? O_NOFOLLOW : 0);
    int64_t fd = server_syscall(SYS_openat, dir, (long)path, how, 0);
    if (fd < 0)
        return true;
    bool refused = !call_fd_is_own(c->env, fd) && /* else the open itself is EMFILE */
                   refused_by_name(c, fd, (flags & O_ACCMODE) == O_RDONLY);
    server_syscall(SYS_close, fd, 0, 0, 0);
    return refused ? call_refuse(c, answer) : true;
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
