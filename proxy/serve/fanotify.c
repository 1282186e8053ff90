/* SPDX-License-Identifier: MIT */
/*
 * fanotify(7). A read gives descriptors of files that somebody has opened: they are checked as
 * those that open(2) gives, before the program sees them.
 *
 * A call that raises a permission event waits until a listener answers, and the listener may be
 * another thread of the same program. From the first mark for such events on, each call that may
 * open or read a file runs on a thread of its own (classify.c). The proxy must never wait for the
 * program in its own affairs, so marks that its own files could match are refused.
 */
#include "serve/fanotify.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "message.h"
#include "serve/agent.h"
#include "serve/mount.h"
#include "serve/path_priv.h"

#define READ_MAX 65536u
#define INFO_PIDFD 4         /* FAN_EVENT_INFO_TYPE_PIDFD */
#define FS_ERROR 0x8000u     /* FAN_FS_ERROR */
#define PRE_ACCESS 0x100000u /* FAN_PRE_ACCESS, since Linux 6.14 */
#define PERMISSIONS (FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | PRE_ACCESS)
#define CLASSES (FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT)
#define WHOLE (FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM) /* FAN_MARK_MNTNS is both */

static atomic_bool some;   /* there may be one: descriptors that are read are looked at */
static atomic_bool counts; /* somebody counts errors of a file system */
static atomic_bool waits;  /* a call may wait for a permission */
static atomic_bool mine;   /* this process has marked for permission events */
static const char *report; /* the file that lull writes at the end; NULL: none */

bool fanotify_counts_errors(void)
{
    return atomic_load_explicit(&counts, memory_order_relaxed);
}

bool fanotify_waits(void)
{
    return atomic_load_explicit(&waits, memory_order_relaxed);
}

void fanotify_begin(const char *report_file)
{
    report = report_file;
    atomic_store(&mine, false);
}

bool decode_fanotify_init(struct call *c, int64_t *answer)
{
    if (c->user[0] & FAN_REPORT_TID) { /* a thread of the isle is none of Linux's */
        long fd = server_syscall(SYS_fanotify_init, c->arg[0], c->arg[1], 0, 0);
        if (fd < 0) /* wrong anyway */
            return call_answer(answer, fd);
        server_syscall(SYS_close, fd, 0, 0, 0);
        verbose("refused: fanotify_init with FAN_REPORT_TID");
        return call_refuse(c, answer);
    }
    atomic_store(&some, true);
    return true;
}

static bool is_fanotify(int fd)
{
    char target[64];
    struct stat st;
    memset(&st, 0, sizeof st);
    return server_syscall(SYS_fstat, fd, (long)&st, 0, 0) == 0 && !(st.st_mode & S_IFMT) &&
           path_of_fd(fd, target, sizeof target) && !strcmp(target, "anon_inode:[fanotify]");
}

void fanotify_came(int fd)
{
    if (atomic_load_explicit(&waits, memory_order_relaxed) || !is_fanotify(fd))
        return;
    atomic_store(&some, true);
    atomic_store(&counts, true);
    atomic_store(&waits, true); /* its marks are not known */
}

/* Returns FAN_CLASS_* of the group behind fd; 0 for FAN_CLASS_NOTIF and for what is no group. */
static unsigned group_class(int fd)
{
    char name[64], text[256];
    int proc = path_self(name, "fdinfo/%d", fd);
    int info = openat(proc, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = info < 0 ? -1 : read(info, text, sizeof text - 1);
    if (info >= 0)
        close(info);
    text[n > 0 ? n : 0] = 0;
    const char *at = strstr(text, "fanotify flags:");
    return at ? (unsigned)strtoul(at + strlen("fanotify flags:"), NULL, 16) & CLASSES : 0;
}

/* Returns true if a mark on the object of `st` covers the file at `path`. `whole`: the mark is on
   the object's mount or file system. A mark on a directory covers the files in it. */
static bool matches(const struct stat *st, const char *path, bool whole)
{
    struct stat own;
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (stat(path, &own) == 0 && own.st_dev == st->st_dev && (whole || own.st_ino == st->st_ino))
        return true;
    if (!slash || (size_t)(slash - path) >= sizeof parent)
        return false;
    memcpy(parent, path, (size_t)(slash - path) + 1);
    parent[slash - path + 1] = 0;
    return stat(parent, &own) == 0 && own.st_dev == st->st_dev &&
           (whole || own.st_ino == st->st_ino);
}

struct looked_for {
    const struct stat *st;
    bool whole;
};

static int matches_library(struct dl_phdr_info *info, size_t size, void *arg)
{
    const struct looked_for *l = arg;
    (void)size;
    return strchr(info->dlpi_name, '/') && matches(l->st, info->dlpi_name, l->whole);
}

/* Returns true if a mark covers lull's program or a library of it, because execve(2) opens them. */
static bool matches_program(const struct stat *st, bool whole)
{
    struct looked_for l = {st, whole};
    char name[64], exe[PATH_MAX];
    int proc = path_self(name, "exe", 0);
    ssize_t n = readlinkat(proc, name, exe, sizeof exe - 1);
    if (n <= 0)
        return true;
    exe[n] = 0;
    return matches(st, exe, whole) || dl_iterate_phdr(matches_library, &l);
}

static bool is_lulls_own(int fd, bool whole)
{
    static const char *const own[] = {"/dev/shm/lull", "/run/lull", "/run/lull/isle"};
    struct statfs fs;
    struct stat st, dev;
    if (fstatfs(fd, &fs) || fstat(fd, &st))
        return true;
    if (stat("/dev", &dev) == 0 && dev.st_dev == st.st_dev)
        return true;
    switch (fs.f_type) {
    case 0x9fa0:     /* procfs */
    case 0x62656572: /* sysfs */
    case 0x27e0eb:   /* cgroup */
    case 0x63677270: /* cgroup2 */
    case 0x64626720: /* debugfs, tracefs */
    case 0x74726163:
        return true;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (matches(&st, own[i], whole))
            return true;
    return (report && matches(&st, report, whole)) || matches_program(&st, whole);
}

static bool refuse_mark(struct call *c, const char *why, int64_t *answer)
{
    verbose("refused: fanotify_mark for permission events%s", why);
    return call_refuse(c, answer);
}

/*
 * Opens the object as a name alone, checks it, and has Linux mark what the descriptor means,
 * because the path may lead elsewhere by then.
 */
bool decode_fanotify_mark(struct call *c, int64_t *answer)
{
    uint32_t flags = (uint32_t)c->user[1];
    if (flags & FAN_MARK_ADD && c->user[2] & FS_ERROR)
        atomic_store(&counts, true);
    if (!(flags & FAN_MARK_ADD) || !(c->user[2] & PERMISSIONS))
        return true;
    if (agent_acting())
        return refuse_mark(c, " by a child of vfork", answer);
    unsigned class = group_class((int)c->arg[0]);
    if (!class || (c->user[2] & PRE_ACCESS && class != FAN_CLASS_PRE_CONTENT))
        return true;             /* EINVAL, EBADF */
    if (c->user[2] & PRE_ACCESS) /* mmap(2) waits too, and that is a core's own thread */
        return refuse_mark(c, ": FAN_PRE_ACCESS", answer);
    int nofollow = flags & FAN_MARK_DONT_FOLLOW ? O_NOFOLLOW : 0;
    const char *path = (const char *)c->arg[4];
    if ((uintptr_t)path == LULL_BAD_PTR || (uintptr_t)path == LULL_BAD_RANGE)
        return true;
    char *name = arena_alloc(c->mem, 64);
    if (!name)
        return call_answer(answer, -ENOMEM);
    long fd;
    if (path) {
        fd = server_syscall(SYS_openat, c->arg[3], (long)path, O_PATH | O_CLOEXEC | nofollow, 0);
        if (fd < 0)
            return fd == -EMFILE ? call_answer(answer, fd) : true; /* Linux says the same of it */
        c->own_fd = (int)fd;
    } else if ((fd = (int)c->arg[3]) == AT_FDCWD) {
        fd = server_syscall(SYS_openat, AT_FDCWD, (long)".", O_PATH | O_CLOEXEC, 0);
        c->own_fd = (int)fd;
    }
    if (fd < 0 || server_syscall(SYS_fcntl, fd, F_GETFD, 0, 0) < 0)
        return true;
    if (is_lulls_own((int)fd, flags & WHOLE)) {
        finish_mount(c);
        return refuse_mark(c, ": lull itself has files there", answer);
    }
    atomic_store(&waits, true);
    atomic_store(&mine, true);
    if (path) {
        c->arg[3] = path_self(name, "fd/%d", (int)fd);
        c->arg[4] = (long)name;
        c->arg[1] = (int)(flags & ~(uint32_t)FAN_MARK_DONT_FOLLOW);
    }
    return true;
}

/* Calls see(fd) for each fanotify group of the program until it returns true; returns whether it
 * did. */
static bool each_group(bool (*see)(int fd))
{
    char name[64];
    bool found = false;
    int proc = path_self(name, "fd", 0);
    int list = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = list < 0 ? NULL : fdopendir(list);
    for (struct dirent *e; !found && d && (e = readdir(d));) {
        int fd = atoi(e->d_name);
        found = *e->d_name != '.' && fd != list && is_fanotify(fd) && see(fd);
    }
    if (d)
        closedir(d);
    else if (list >= 0)
        close(list);
    return found;
}

static bool outlives_exec(int fd)
{
    int flags = fcntl(fd, F_GETFD);
    return flags >= 0 && !(flags & FD_CLOEXEC) && group_class(fd);
}

bool fanotify_hinders_exec(void)
{
    return atomic_load(&mine) && each_group(outlives_exec);
}

static bool close_group(int fd)
{
    close(fd);
    return false;
}

void fanotify_end(void)
{
    if (fanotify_waits())
        each_group(close_group);
}

bool decode_fanotify_read(struct call *c, int64_t *answer)
{
    if (!atomic_load_explicit(&some, memory_order_relaxed) || c->arg[0] < 0 ||
        !is_fanotify((int)c->arg[0]))
        return true;
    if (c->nr != SYS_read)
        return call_refuse(c, answer);
    size_t n = c->user[2] < READ_MAX ? (size_t)c->user[2] : READ_MAX;
    c->events_to = call_mem(c, c->user[1], n);
    if (!c->events_to)
        return true;
    c->events = arena_alloc(c->mem, n ? n : 1);
    if (!c->events)
        return call_answer(answer, -ENOMEM);
    c->arg[1] = (long)c->events;
    c->arg[2] = (long)n;
    return true;
}

static int checked(struct call *c, int fd)
{
    if (fd < 0)
        return fd;
    if (fd >= c->env->fd_low) {
        server_syscall(SYS_close, fd, 0, 0, 0);
        return FAN_NOFD;
    }
    int64_t r = finish_open(c, fd);
    c->refused = false;
    return r < 0 ? FAN_NOFD : (int)r;
}

static void check_event(struct call *c, char *event, size_t size)
{
    struct fanotify_event_metadata m;
    memcpy(&m, event, sizeof m);
    struct fanotify_response deny = {m.fd, FAN_DENY};
    m.fd = checked(c, m.fd);
    if (m.fd < 0 && deny.fd >= 0 && m.mask & PERMISSIONS) /* the program cannot answer */
        server_syscall(SYS_write, c->arg[0], (long)&deny, sizeof deny, 0);
    memcpy(event, &m, sizeof m);
    for (size_t at = sizeof m; at + sizeof(struct fanotify_event_info_header) + 4 <= size;) {
        struct fanotify_event_info_header h;
        int pidfd;
        memcpy(&h, event + at, sizeof h);
        if (h.len < sizeof h || h.len > size - at)
            break;
        if (h.info_type == INFO_PIDFD) {
            memcpy(&pidfd, event + at + sizeof h, sizeof pidfd);
            if (pidfd >= c->env->fd_low) {
                server_syscall(SYS_close, pidfd, 0, 0, 0);
                pidfd = FAN_NOFD;
            }
            memcpy(event + at + sizeof h, &pidfd, sizeof pidfd);
        }
        at += h.len;
    }
}

void finish_fanotify_read(struct call *c, int64_t r)
{
    if (!c->events || r <= 0)
        return;
    for (size_t at = 0; at + sizeof(struct fanotify_event_metadata) <= (size_t)r;) {
        uint32_t len;
        memcpy(&len, c->events + at, sizeof len);
        if (len < sizeof(struct fanotify_event_metadata) || len > (size_t)r - at)
            break;
        check_event(c, c->events + at, len);
        at += len;
    }
    memcpy(c->events_to, c->events, (size_t)r);
}
