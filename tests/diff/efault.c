/* SPDX-License-Identifier: MIT */
/* Bad pointers, call by call: efault.NAME puts each kind of them in one argument of one call. */
#include "diff.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

enum {
    FD = 20,
    PIPE_R,
    PIPE_W,
    SOCK_A,
    SOCK_B,
    EPOLL,
    INOTIFY,
    TIMER,
    DIRECTORY,
    UDP,
    ZERO,
    LISTENER,
    PTY
};

/* Placeholders: the bad pointer, memory that is zero and may be used, the name of a file. */
#define P (-1001l)
#define GOOD (-1002l)
#define NAME (-1003l)
#define SIXTEEN (-1004l) /* a pointer to the number 16 */
#define CWD ((long)AT_FDCWD)

static const struct row {
    const char *name;
    long nr, arg[6];
} rows[] = {
    {"read", SYS_read, {FD, P, 8}},
    {"read_pipe", SYS_read, {PIPE_R, P, 8}},
    {"read_zero", SYS_read, {ZERO, P, 8}},
    {"write", SYS_write, {FD, P, 8}},
    {"write_pipe", SYS_write, {PIPE_W, P, 8}},
    {"pread64", SYS_pread64, {FD, P, 8, 0}},
    {"pwrite64", SYS_pwrite64, {FD, P, 8, 0}},
    {"readv", SYS_readv, {FD, P, 1}},
    {"writev", SYS_writev, {FD, P, 1}},
    {"preadv", SYS_preadv, {FD, P, 1, 0}},
    {"pwritev2", SYS_pwritev2, {FD, P, 1, 0, 0, 0}},
    {"open", SYS_open, {P, O_RDONLY}},
    {"openat", SYS_openat, {CWD, P, O_RDONLY}},
    {"openat2_path", SYS_openat2, {CWD, P, GOOD, 24}},
    {"openat2_how", SYS_openat2, {CWD, NAME, P, 24}},
    {"creat", SYS_creat, {P, 0600}},
    {"stat", SYS_stat, {NAME, P}},
    {"stat_path", SYS_stat, {P, GOOD}},
    {"fstat", SYS_fstat, {FD, P}},
    {"lstat", SYS_lstat, {NAME, P}},
    {"newfstatat", SYS_newfstatat, {CWD, NAME, P, 0}},
    {"statx", SYS_statx, {CWD, NAME, 0, 0x7ff, P}},
    {"statx_path", SYS_statx, {CWD, P, 0, 0x7ff, GOOD}},
    {"access", SYS_access, {P, 0}},
    {"mkdir", SYS_mkdir, {P, 0755}},
    {"rmdir", SYS_rmdir, {P}},
    {"unlink", SYS_unlink, {P}},
    {"rename_from", SYS_rename, {P, NAME}},
    {"rename_to", SYS_rename, {NAME, P}},
    {"link", SYS_link, {NAME, P}},
    {"symlink", SYS_symlink, {P, NAME}},
    {"readlink", SYS_readlink, {P, GOOD, 8}},
    {"readlink_buffer", SYS_readlink, {(long)(uintptr_t) "link", P, 8}},
    {"chmod", SYS_chmod, {P, 0600}},
    {"chown", SYS_chown, {P, -1, -1}},
    {"truncate", SYS_truncate, {P, 0}},
    {"utimensat", SYS_utimensat, {CWD, NAME, P, 0}},
    {"chdir", SYS_chdir, {P}},
    {"getcwd", SYS_getcwd, {P, 4096}},
    {"getdents64", SYS_getdents64, {DIRECTORY, P, 4096}},
    {"statfs", SYS_statfs, {NAME, P}},
    {"fstatfs", SYS_fstatfs, {FD, P}},
    {"setxattr_name", SYS_setxattr, {NAME, P, GOOD, 1, 0}},
    {"setxattr_value", SYS_setxattr, {NAME, (long)(uintptr_t) "user.x", P, 1, 0}},
    {"listxattr", SYS_listxattr, {P, GOOD, 8}},
    {"copy_file_range", SYS_copy_file_range, {FD, P, FD, GOOD, 4, 0}},
    {"sendfile", SYS_sendfile, {PIPE_W, FD, P, 4}},
    {"fcntl_lock", SYS_fcntl, {FD, F_SETLK, P}},
    {"fcntl_getlk", SYS_fcntl, {FD, F_GETLK, P}},
    {"fcntl_owner", SYS_fcntl, {FD, F_GETOWN_EX, P}},
    {"accept", SYS_accept, {LISTENER, P, SIXTEEN}},
    {"recvfrom_address", SYS_recvfrom, {SOCK_B, GOOD, 8, 0x40, P, SIXTEEN}},
    {"ioctl_winsize", SYS_ioctl, {PTY, 0x5413, P}},
    {"ioctl_tcsets", SYS_ioctl, {PTY, 0x5402, P}},
    {"ioctl_ifindex", SYS_ioctl, {UDP, 0x8933, P}},
    {"ioctl_fionread", SYS_ioctl, {PIPE_R, 0x541b, P}},
    {"pipe", SYS_pipe, {P}},
    {"pipe2", SYS_pipe2, {P, 0}},
    {"poll", SYS_poll, {P, 1, 0}},
    {"ppoll_time", SYS_ppoll, {GOOD, 0, P, 0, 8}},
    {"ppoll_mask", SYS_ppoll, {GOOD, 1, GOOD, P, 8}},
    {"select_set", SYS_select, {30, P, 0, 0, GOOD}},
    {"select_time", SYS_select, {30, GOOD, 0, 0, P}},
    {"epoll_ctl", SYS_epoll_ctl, {EPOLL, EPOLL_CTL_ADD, PIPE_R, P}},
    {"epoll_wait", SYS_epoll_wait, {EPOLL, P, 1, 0}},
    {"inotify_add_watch", SYS_inotify_add_watch, {INOTIFY, P, 2}},
    {"timerfd_settime", SYS_timerfd_settime, {TIMER, 0, P, 0}},
    {"timerfd_gettime", SYS_timerfd_gettime, {TIMER, P}},
    {"memfd_create", SYS_memfd_create, {P, 0}},
    {"bind", SYS_bind, {UDP, P, 16}},
    {"connect", SYS_connect, {UDP, P, 16}},
    {"getsockname", SYS_getsockname, {UDP, P, SIXTEEN}},
    {"getsockname_length", SYS_getsockname, {UDP, GOOD, P}},
    {"sendto", SYS_sendto, {SOCK_A, P, 8, 0, 0, 0}},
    {"sendto_address", SYS_sendto, {UDP, GOOD, 8, 0, P, 16}},
    {"recvfrom", SYS_recvfrom, {SOCK_B, P, 8, 0x40, 0, 0}},
    {"recvfrom_length", SYS_recvfrom, {SOCK_B, GOOD, 8, 0x40, GOOD, P}},
    {"sendmsg", SYS_sendmsg, {SOCK_A, P, 0}},
    {"recvmsg", SYS_recvmsg, {SOCK_B, P, 0x40}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, P}},
    {"setsockopt", SYS_setsockopt, {UDP, SOL_SOCKET, SO_REUSEADDR, P, 4}},
    {"getsockopt", SYS_getsockopt, {UDP, SOL_SOCKET, SO_TYPE, P, SIXTEEN}},
    {"getsockopt_length", SYS_getsockopt, {UDP, SOL_SOCKET, SO_TYPE, GOOD, P}},
    {"uname", SYS_uname, {P}},
    {"sysinfo", SYS_sysinfo, {P}},
    {"getrusage", SYS_getrusage, {0, P}},
    {"getrlimit", SYS_getrlimit, {7, P}},
    {"prlimit64", SYS_prlimit64, {0, 7, 0, P}},
    {"getgroups", SYS_getgroups, {64, P}},
    {"getresuid", SYS_getresuid, {GOOD, GOOD, P}},
    {"getrandom", SYS_getrandom, {P, 8, 0}},
    {"clock_gettime", SYS_clock_gettime, {1, P}},
    {"clock_getres", SYS_clock_getres, {1, P}},
    {"gettimeofday", SYS_gettimeofday, {P, 0}},
    {"nanosleep", SYS_nanosleep, {P, 0}},
    {"clock_nanosleep", SYS_clock_nanosleep, {1, 0, P, 0}},
    {"rt_sigaction", SYS_rt_sigaction, {SIGUSR1, P, 0, 8}},
    {"rt_sigaction_old", SYS_rt_sigaction, {SIGUSR1, 0, P, 8}},
    {"rt_sigprocmask", SYS_rt_sigprocmask, {0, P, 0, 8}},
    {"rt_sigpending", SYS_rt_sigpending, {P, 8}},
    {"rt_sigtimedwait", SYS_rt_sigtimedwait, {P, 0, GOOD, 8}},
    {"rt_sigtimedwait_time", SYS_rt_sigtimedwait, {GOOD, 0, P, 8}},
    {"rt_sigsuspend", SYS_rt_sigsuspend, {P, 4}},
    {"signalfd4", SYS_signalfd4, {-1, P, 8, 0}},
    {"mq_open", SYS_mq_open, {P, O_RDONLY}},
    {"mq_unlink", SYS_mq_unlink, {P}},
    {"sendmmsg", SYS_sendmmsg, {SOCK_A, P, 1, MSG_DONTWAIT}},
    {"recvmmsg", SYS_recvmmsg, {SOCK_B, P, 1, MSG_DONTWAIT, 0}},
    {"recvmmsg_time", SYS_recvmmsg, {SOCK_B, GOOD, 1, MSG_DONTWAIT, P}},
    {"vmsplice", SYS_vmsplice, {PIPE_W, P, 1, 0}},
    {"epoll_pwait2", SYS_epoll_pwait2, {EPOLL, P, 1, GOOD, 0, 8}},
    {"epoll_pwait2_time", SYS_epoll_pwait2, {EPOLL, GOOD, 1, P, 0, 8}},
    {"epoll_pwait2_mask", SYS_epoll_pwait2, {EPOLL, GOOD, 1, GOOD, P, 8}},
    {"adjtimex", SYS_adjtimex, {P}},
    {"clock_adjtime", SYS_clock_adjtime, {CLOCK_REALTIME, P}},
    {"name_to_handle_at", SYS_name_to_handle_at, {CWD, NAME, P, GOOD, 0}},
    {"name_to_handle_at_mount", SYS_name_to_handle_at, {CWD, NAME, SIXTEEN, P, 0}},
    {"ioctl_ifconf", SYS_ioctl, {UDP, 0x8912, P}},
    {"execveat", SYS_execveat, {CWD, P, 0, 0, 0}},
    {"prctl_tsc", SYS_prctl, {25, P}},
    {"prctl_tid_address", SYS_prctl, {40, P}},
    {"sigaltstack", SYS_sigaltstack, {P, 0}},
    {"sigaltstack_old", SYS_sigaltstack, {0, P}},
    {"futex", SYS_futex, {P, 0, 77, GOOD, 0, 0}},
    {"futex_time", SYS_futex, {GOOD, 0, 77, P, 0, 0}},
    {"get_robust_list", SYS_get_robust_list, {0, P, GOOD}},
    {"sched_setparam", SYS_sched_setparam, {0, P}},
    {"sched_getparam", SYS_sched_getparam, {0, P}},
    {"sched_setaffinity", SYS_sched_setaffinity, {0, 8, P}},
    {"sched_getaffinity", SYS_sched_getaffinity, {0, 128, P}},
    {"sched_rr_get_interval", SYS_sched_rr_get_interval, {0, P}},
    {"getcpu", SYS_getcpu, {P, 0, 0}},
    {"times", SYS_times, {P}},
    {"time", SYS_time, {P}},
    {"prctl_name", SYS_prctl, {16, P}},
    {"arch_prctl", SYS_arch_prctl, {0x1003, P}},
    {"mincore", SYS_mincore, {GOOD, 4096, P}},
    {"splice", SYS_splice, {FD, P, PIPE_W, 0, 4, 0}},
    {"msg_vector", SYS_sendmsg, {SOCK_A, GOOD, 0}},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void take(int fd, int as)
{
    if (fd < 0 || dup2(fd, as) != as) {
        perror("efault");
        exit(99);
    }
    close(fd);
}

static void prepare(void)
{
    int p[2];

    take(file_with("f", "0123456789"), FD);
    if (symlink("f", "link") || pipe2(p, O_NONBLOCK) || write(p[1], "0123456789", 10) != 10)
        exit(99);
    take(p[0], PIPE_R);
    take(p[1], PIPE_W);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p) ||
        write(p[0], "0123456789", 10) != 10)
        exit(99);
    take(p[0], SOCK_A);
    take(p[1], SOCK_B);
    take(epoll_create1(0), EPOLL);
    take(inotify_init1(IN_NONBLOCK), INOTIFY);
    take(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), TIMER);
    take(open(".", O_RDONLY | O_DIRECTORY), DIRECTORY);
    take(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), UDP);
    take(open("/dev/zero", O_RDONLY), ZERO);
    take(posix_openpt(O_RDWR | O_NOCTTY), PTY);
    take(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), LISTENER);
    struct sockaddr_un name = {AF_UNIX, "sock"};
    int c;
    if (bind(LISTENER, (struct sockaddr *)&name, sizeof name) || listen(LISTENER, 8))
        exit(99);
    for (int i = 0; i < 8; i++) /* for every kind of pointer somebody to accept */
        if ((c = socket(AF_UNIX, SOCK_STREAM, 0)) < 0 ||
            connect(c, (struct sockaddr *)&name, sizeof name))
            exit(99);
    struct epoll_event e = {.events = EPOLLOUT};
    if (epoll_ctl(EPOLL, EPOLL_CTL_ADD, PIPE_W, &e))
        exit(99);
}

static void attempt(const struct row *row, const char *kind, long bad)
{
    static long zeros[1024] __attribute__((aligned(4096)));
    int sixteen = 16;
    long a[6], r;

    memset(zeros, 0, sizeof zeros);
    for (int i = 0; i < 6; i++) {
        a[i] = row->arg[i];
        if (a[i] == P)
            a[i] = bad;
        else if (a[i] == GOOD)
            a[i] = (long)(uintptr_t)zeros;
        else if (a[i] == NAME)
            a[i] = (long)(uintptr_t) "f";
        else if (a[i] == SIXTEEN)
            a[i] = (long)(uintptr_t)&sixteen;
    }
    errno = 0;
    r = syscall(row->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
    if (r == -1 && errno)
        printf("%s: %s\n", kind, strerrorname_np(errno));
    else if (row->nr == SYS_time || row->nr == SYS_times)
        printf("%s: some time\n", kind);
    else
        printf("%s: %ld\n", kind, r);
}

int efault_run(const char *name)
{
    const struct row *row = NULL;
    char *constant, *none, *hole;

    for (size_t i = 0; i < ROWS; i++)
        if (strncmp(name, "efault.", 7) == 0 && strcmp(name + 7, rows[i].name) == 0)
            row = &rows[i];
    if (!row)
        return 0;
    prepare();
    constant = page_with(PROT_READ);
    none = page_with(PROT_NONE);
    hole = pages_before_hole(1); /* last: nothing is to be mapped into it */
    attempt(row, "no rights", (long)(uintptr_t)none);
    attempt(row, "behind the last page", (long)(uintptr_t)(hole + PAGE));
    attempt(row, "across its end", (long)(uintptr_t)(hole + PAGE - 1));
    attempt(row, "address 1", 1);
    attempt(row, "upper half", (long)0xffffffff81000000ul);
    attempt(row, "not canonical", (long)0x8000000000000000ul);
    attempt(row, "last bytes", -1l);
    attempt(row, "read only", (long)(uintptr_t)constant);
    return 1;
}

void efault_list(void)
{
    for (size_t i = 0; i < ROWS; i++)
        printf("efault.%s\n", rows[i].name);
}
