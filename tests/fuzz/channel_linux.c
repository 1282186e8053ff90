/* SPDX-License-Identifier: MIT */
/*
 * A Linux that only touches memory: reads what each system call reads, writes what it may write at
 * most, as the manual pages say (not as Lull's own table says), and aborts when it gets a
 * descriptor that is not the application's. Answers are drawn from the arguments.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "channel_fake.h"
#include "serve/call.h"

#define BAD 8

/* Sanitizers look at these accesses; the result keeps the compiler from dropping them. */
static unsigned touch_in(const void *p, size_t len)
{
    const volatile unsigned char *c = p;
    unsigned sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += c[i];
    return sum;
}

static bool bad(long p)
{
    return p == 0 || p == BAD || (unsigned long)p == LULL_BAD_RANGE;
}

static bool in(long p, size_t len)
{
    if (len == 0)
        return true;
    if (bad(p))
        return false;
    touch_in((const void *)p, len);
    return true;
}

static bool out(long p, size_t len, int with)
{
    if (len == 0)
        return true;
    if (bad(p))
        return false;
    memset((void *)p, with, len);
    return true;
}

/* One character each: what an argument is. See check_arg(). */
/* clang-format off */
static const struct {
    short nr;
    const char *what;
} known[] = {
    {SYS_read, "f>2."}, {SYS_write, "f<2."}, {SYS_open, "p.."}, {SYS_close, "c"}, {SYS_stat, "pS"},
    {SYS_fstat, "fS"}, {SYS_lstat, "pS"}, {SYS_lseek, "f.."}, {SYS_pread64, "f>2.."},
    {SYS_pwrite64, "f<2.."}, {SYS_access, "p."}, {SYS_pipe, "P"}, {SYS_dup, "f"}, {SYS_dup2, "ff"},
    {SYS_sendfile, "ffO."}, {SYS_connect, "f<2."}, {SYS_sendto, "f<2..<5."}, {SYS_bind, "f<2."},
    {SYS_listen, "f."}, {SYS_shutdown, "f."}, {SYS_socketpair, "...P"}, {SYS_uname, "U"},
    {SYS_setsockopt, "f..<4."}, {SYS_flock, "f."}, {SYS_fsync, "f"}, {SYS_fdatasync, "f"},
    {SYS_truncate, "p."}, {SYS_ftruncate, "f."}, {SYS_getdents, "f>2."}, {SYS_getcwd, ">1."},
    {SYS_chdir, "p"}, {SYS_fchdir, "f"}, {SYS_rename, "pp"}, {SYS_mkdir, "p."}, {SYS_rmdir, "p"},
    {SYS_creat, "p."}, {SYS_link, "pp"}, {SYS_unlink, "p"}, {SYS_symlink, "pp"},
    {SYS_readlink, "p>2."}, {SYS_chmod, "p."}, {SYS_fchmod, "f."}, {SYS_chown, "p.."},
    {SYS_fchown, "f.."}, {SYS_lchown, "p.."}, {SYS_getrusage, ".R"}, {SYS_sysinfo, "I"},
    {SYS_times, "T"}, {SYS_getgroups, ".4"}, {SYS_getresuid, "iii"}, {SYS_getresgid, "iii"},
    {SYS_utime, "p6"}, {SYS_mknod, "p.."}, {SYS_statfs, "pF"}, {SYS_fstatfs, "fF"},
    {SYS_readahead, "f.."}, {SYS_setxattr, "pp<3.."}, {SYS_fsetxattr, "fp<3.."},
    {SYS_getxattr, "pp>3."}, {SYS_lgetxattr, "pp>3."}, {SYS_fgetxattr, "fp>3."},
    {SYS_listxattr, "p>2."}, {SYS_flistxattr, "f>2."}, {SYS_getdents64, "f>2."},
    {SYS_fadvise64, "f..."}, {SYS_epoll_wait, "fE.."}, {SYS_epoll_pwait, "fE..0."},
    {SYS_epoll_ctl, "f.fe"}, {SYS_utimes, "p3"}, {SYS_inotify_add_watch, "fp."},
    {SYS_inotify_rm_watch, "f."}, {SYS_openat, "fp.."}, {SYS_mkdirat, "fp."}, {SYS_mknodat, "fp.."},
    {SYS_fchownat, "fp..."}, {SYS_futimesat, "fp3"}, {SYS_newfstatat, "fpS."},
    {SYS_unlinkat, "fp."}, {SYS_renameat, "fpfp"}, {SYS_linkat, "fpfp."}, {SYS_symlinkat, "pfp"},
    {SYS_readlinkat, "fp>3."}, {SYS_fchmodat, "fp."}, {SYS_faccessat, "fp."},
    {SYS_splice, "fOfO.."}, {SYS_sync_file_range, "f..."}, {SYS_utimensat, "fp3."},
    {SYS_fallocate, "f..."}, {SYS_timerfd_settime, "f.3t"}, {SYS_timerfd_gettime, "ft"},
    {SYS_dup3, "ff."}, {SYS_pipe2, "P."}, {SYS_syncfs, "f"}, {SYS_renameat2, "fpfp."},
    {SYS_getrandom, ">1.."}, {SYS_memfd_create, "p."}, {SYS_copy_file_range, "fOfO.."},
    {SYS_statx, "fp..X"}, {SYS_openat2, "fp<3."}, {SYS_faccessat2, "fp.."}, {SYS_readv, "fV."},
    {SYS_writev, "fv."}, {SYS_preadv, "fV..."}, {SYS_pwritev, "fv..."}, {SYS_preadv2, "fV...."},
    {SYS_pwritev2, "fv...."}, {SYS_close_range, "l.."}, {SYS_mq_open, "p..q"}, {SYS_mq_unlink, "p"},
    {SYS_mq_timedsend, "f<2..6"}, {SYS_mq_timedreceive, "f>2.i6"}, {SYS_mq_getsetattr, "fqQ"},
    {SYS_adjtimex, "A"}, {SYS_clock_adjtime, ".A"}, {SYS_sethostname, "<1."},
    {SYS_setdomainname, "<1."}, {SYS_vmsplice, "fV.."}, {SYS_signalfd, "f8."},
    {SYS_signalfd4, "f8.."}, {SYS_pidfd_send_signal, "f.s."}, {SYS_epoll_pwait2, "fE.60."},
    {SYS_msgsnd, ".m.."}, {SYS_msgrcv, ".M..."}, {SYS_name_to_handle_at, "fphi."},
    {SYS_open_by_handle_at, "fh."}, {SYS_umount2, "p."}, {SYS_pivot_root, "pp"}, {SYS_acct, "p"},
    {SYS_swapon, "p."}, {SYS_swapoff, "p"}, {SYS_init_module, "<1.p"}, {SYS_delete_module, "p."},
    {SYS_finit_module, "fp."}, {SYS_add_key, "pp<3.."}, {SYS_request_key, "ppp."},
    {SYS_move_mount, "fpfp."}, {SYS_fsopen, "p."}, {SYS_fsmount, "f.."}, {SYS_fspick, "fp."},
    {SYS_pidfd_getfd, "ff."}, {SYS_open_tree, "fp."}, {SYS_chroot, "p"}, {SYS_syslog, ".>2."},
    {SYS_ustat, ".t"}, {SYS_settimeofday, "68"}, {SYS_clock_settime, ".6"},
    {SYS_fanotify_mark, "f..fp"}, {451, "f6t."}, {452, "fp.."}, {465, "fp.>4."}, {466, "fp.p"},
    {468, "fp>3.."}, {469, "fp<3.."},
};
/* clang-format on */

static size_t length_of(long nr, long v)
{
    bool is_int = nr == SYS_readlink || nr == SYS_readlinkat || nr == SYS_bind ||
                  nr == SYS_connect || nr == SYS_setsockopt || nr == SYS_sethostname ||
                  nr == SYS_setdomainname;
    if (is_int)
        v = (int)v;
    if (nr == SYS_getdents || nr == SYS_getdents64)
        v = (long)(unsigned)v;
    return v < 0 ? 0 : (size_t)v < CALL_MAX_RW ? (size_t)v : CALL_MAX_RW;
}

static bool vector(long p, long n, bool write)
{
    if (n <= 0 || n > 1024)
        return true; /* EINVAL before anything is touched */
    if (!in(p, (size_t)n * sizeof(struct iovec)))
        return false;
    const struct iovec *v = (const void *)p;
    for (long i = 0; i < n; i++)
        if ((ssize_t)v[i].iov_len < 0)
            return true;
    for (long i = 0; i < n; i++) {
        size_t len = v[i].iov_len < CALL_MAX_RW ? v[i].iov_len : CALL_MAX_RW;
        if (write ? !out((long)v[i].iov_base, len, 'v') : !in((long)v[i].iov_base, len))
            return false;
    }
    return true;
}

/* Numbers that this Linux hands out although they are too high: the server is to close them. */
#define HIGH_PAIR FAKE_FD_LOW
#define HIGH_RIGHTS (FAKE_FD_LOW + 3)
#define HIGH_NEW (FAKE_FD_LOW + 20)

static void check_close(long fd)
{
    if (fd >= FAKE_FD_LOW && fd != HIGH_PAIR && fd != HIGH_RIGHTS && fd != HIGH_NEW)
        abort();
}

static void check_fd(long fd)
{
    if ((int)fd >= FAKE_FD_LOW && (int)fd != INT_MAX)
        abort(); /* one of the proxy's own */
}

static bool check_path(long p)
{
    if (bad(p))
        return false;
    const char *s = (const char *)p;
    for (int i = 0; i <= 4096; i++)
        if (((const volatile char *)s)[i] == 0)
            return true;
    abort(); /* no end where Linux stops looking */
}

static bool check_arg(long nr, const long *arg, int i, const char **what)
{
    switch (*(*what)++) {
    case '.':
        return true;
    case 'f':
        check_fd(arg[i]);
        return true;
    case 'c':
        check_close(arg[i]);
        return true;
    case 'l': /* first and last: none of the proxy's, whose numbers end at INT_MAX here */
        if (arg[0] < INT_MAX && arg[1] >= FAKE_FD_LOW)
            abort();
        return true;
    case 'p':
        return check_path(arg[i]);
    case '<':
        return in(arg[i], length_of(nr, arg[*(*what)++ - '0']));
    case '>':
        return out(arg[i], length_of(nr, arg[*(*what)++ - '0']), 'r');
    case 'v':
        return vector(arg[i], arg[i + 1], false);
    case 'V':
        return vector(arg[i], arg[i + 1], true);
    case 'S': { /* kind of file from the descriptor or the path, so that all are met */
        static const mode_t mode[] = {S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFDIR};
        struct stat st = {.st_mode = mode[(unsigned long)arg[0] % 5]};
        if (bad(arg[i]))
            return false;
        memcpy((void *)arg[i], &st, sizeof st);
        return true;
    }
    case 'F': {
        struct statfs fs = {.f_type = arg[0] % 2 ? 0x9fa0 : 0xef53};
        if (bad(arg[i]))
            return false;
        memcpy((void *)arg[i], &fs, sizeof fs);
        return true;
    }
    case 'P': {
        int pair[2] = {(int)(arg[1] % 7), HIGH_PAIR - 1 + (int)(arg[1] & 1)};
        if (bad(arg[i]))
            return false;
        memcpy((void *)arg[i], pair, sizeof pair);
        return true;
    }
    case 'O':
        return arg[i] == 0 || (in(arg[i], 8) && out(arg[i], 8, 1));
    case 'E':
        return (int)arg[i + 1] <= 0 || out(arg[i], (size_t)(int)arg[i + 1] * 12, 'e');
    case '4':
        return (int)arg[0] <= 0 || out(arg[i], (size_t)(int)arg[0] * 4, 'g');
    case '0':
        if (arg[i])
            abort();
        return true;
    case 'U':
        return out(arg[i], 390, 'u');
    case 'R':
        return out(arg[i], 144, 'u');
    case 'I':
        return out(arg[i], 112, 'u');
    case 'T':
        return arg[i] == 0 || out(arg[i], 32, 'u');
    case 'X':
        return out(arg[i], 256, 'u');
    case 't':
        return arg[i] == 0 || out(arg[i], 32, 't');
    case 'i':
        return out(arg[i], 4, 'i');
    case '6':
        return arg[i] == 0 || in(arg[i], 16);
    case '3':
        return arg[i] == 0 || in(arg[i], 32);
    case 'e':
        return in(arg[i], 12);
    case 'q':
        return arg[i] == 0 || in(arg[i], 64);
    case 'Q':
        return arg[i] == 0 || out(arg[i], 64, 'q');
    case 'A':
        return in(arg[i], 208) && out(arg[i], 208, 0);
    case '8':
        return in(arg[i], 8);
    case 's':
        return arg[i] == 0 || in(arg[i], 128);
    case 'm': /* a long and the text */
        return arg[2] < 0 || in(arg[i], (size_t)arg[2] + 8);
    case 'M':
        return arg[2] < 0 || out(arg[i], (size_t)arg[2] + 8, 'm');
    case 'h': { /* says itself how long it is; beyond 128 Linux does not look */
        if (!in(arg[i], 8))
            return false;
        unsigned n = *(unsigned *)arg[i];
        return n > 128 ||
               (nr == SYS_name_to_handle_at ? out(arg[i] + 4, 4 + n, 'h') : in(arg[i], 8 + n));
    }
    default:
        abort();
    }
}

static bool control_rights(struct msghdr *m, bool send)
{
    if (!send) { /* two descriptors come, the second with a number too high */
        size_t n = CMSG_SPACE(8);
        if (!m->msg_control || m->msg_controllen < n) {
            m->msg_controllen = 0;
            return true;
        }
        struct cmsghdr h = {CMSG_LEN(8), SOL_SOCKET, SCM_RIGHTS};
        int fd[2] = {5, HIGH_RIGHTS};
        if (!out((long)m->msg_control, n, 0))
            return false;
        memcpy(m->msg_control, &h, sizeof h);
        memcpy((char *)m->msg_control + sizeof h, fd, sizeof fd);
        m->msg_controllen = n;
        return true;
    }
    if (!in((long)m->msg_control, m->msg_controllen))
        return false;
    /* CMSG_NXTHDR of glibc 2.36 and Linux agree where headers are whole */
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t room = m->msg_controllen - (size_t)((char *)h - (char *)m->msg_control);
        if (h->cmsg_len < sizeof *h || h->cmsg_len > room)
            return true; /* EINVAL */
        if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
            for (size_t k = 0; k + 4 <= h->cmsg_len - sizeof *h; k += 4) {
                int fd;
                memcpy(&fd, CMSG_DATA(h) + k, 4);
                check_fd(fd);
            }
    }
    return true;
}

static bool message(long p, bool send)
{
    if (!in(p, sizeof(struct msghdr)))
        return false;
    struct msghdr *m = (void *)p;
    int name = (int)m->msg_namelen;
    if (name < 0)
        return true;
    if (name > 128)
        name = 128;
    if (send && m->msg_name && !in((long)m->msg_name, (size_t)name))
        return false;
    if (m->msg_iovlen > 1024)
        return true;
    if (!vector((long)m->msg_iov, (long)m->msg_iovlen, !send))
        return false;
    if (m->msg_controllen && !control_rights(m, send))
        return false;
    if (!send) {
        if (m->msg_name && !out((long)m->msg_name, (size_t)name, 'n'))
            return false;
        m->msg_namelen = 110;
        m->msg_flags = 0;
    }
    return true;
}

static bool messages(const long *arg, bool send)
{
    if ((unsigned long)arg[2] > 1024)
        abort();
    for (long i = 0; i < arg[2]; i++) {
        long m = arg[1] + i * (long)sizeof(struct mmsghdr);
        if (!message(m, send) || !out(m + (long)sizeof(struct msghdr), 4, 1))
            return i > 0;
    }
    return send || arg[4] == 0 || (in(arg[4], 16) && out(arg[4], 16, 0));
}

static bool address(long addr, long len)
{
    if (addr == 0)
        return true;
    if (!in(len, 4))
        return false;
    int room = *(int *)len;
    if (room > 110)
        room = 110;
    if (room > 0 && !out(addr, (size_t)room, 'a'))
        return false;
    *(int *)len = 110;
    return true;
}

static bool sets(const long *arg)
{
    int n = (int)arg[0];
    if (n > FAKE_FD_LOW)
        abort();
    size_t len = n > 0 ? ((size_t)n + 63) / 64 * 8 : 0;
    for (int i = 1; i <= 3; i++)
        if (arg[i] && !(in(arg[i], len) && out(arg[i], len, 0x11)))
            return false;
    return arg[4] == 0 || (in(arg[4], 16) && out(arg[4], 16, 0));
}

static bool polled(const long *arg, bool precise)
{
    unsigned n = (unsigned)arg[1];
    if (precise && arg[2] && !(in(arg[2], 16) && out(arg[2], 16, 0)))
        return false;
    if (n > 4096)
        return true;
    if (n && !in(arg[0], n * sizeof(struct pollfd)))
        return false;
    struct pollfd *f = (void *)arg[0];
    for (unsigned i = 0; i < n; i++) {
        check_fd(f[i].fd);
        f[i].revents = POLLIN;
    }
    return true;
}

static bool controlled(long nr, const long *arg)
{
    if (nr == SYS_fcntl && (arg[0] == HIGH_NEW || arg[0] == HIGH_PAIR || arg[0] == HIGH_RIGHTS))
        return true;
    check_fd(arg[0]);
    if (nr == SYS_fcntl)
        switch ((int)arg[1]) {
        case F_DUPFD:
        case F_DUPFD_CLOEXEC:
            if ((int)arg[2] >= FAKE_FD_LOW)
                abort();
            return true;
        case F_GETLK:
        case F_OFD_GETLK:
            return in(arg[2], 32) && out(arg[2], 32, 'l');
        case F_SETLK:
        case F_SETLKW:
        case F_OFD_SETLK:
        case F_OFD_SETLKW:
            return in(arg[2], 32);
        case F_GETOWN_EX:
        case 17: /* F_GETOWNER_UIDS */
        case F_GET_RW_HINT:
        case F_GET_FILE_RW_HINT:
            return out(arg[2], 8, 'o');
        case F_SETOWN_EX:
        case F_SET_RW_HINT:
        case F_SET_FILE_RW_HINT:
            return in(arg[2], 8);
        default:
            return true;
        }
    switch ((unsigned)arg[1]) {
    case FIONREAD:
    case TIOCGPGRP:
    case TIOCOUTQ:
        return out(arg[2], 4, 'i');
    case TCGETS:
        return out(arg[2], 36, 't');
    case TIOCGWINSZ:
        return out(arg[2], 8, 'w');
    case 0x8912: { /* SIOCGIFCONF: the list is elsewhere, and what is said of it is believed */
        struct ifconf *c = (void *)arg[2];
        if (!in(arg[2], sizeof *c))
            return false;
        if (c->ifc_buf && c->ifc_len > 0 && !out((long)c->ifc_buf, (size_t)c->ifc_len, 'c'))
            return false;
        c->ifc_len = INT_MAX;
        return true;
    }
    default:
        return true;
    }
}

static bool keys(const long *arg)
{
    switch ((int)arg[0]) {
    case 2: /* UPDATE, INSTANTIATE */
    case 12:
        return arg[3] == 0 || in(arg[2], length_of(SYS_keyctl, arg[3]));
    case 6: /* DESCRIBE, READ, GET_SECURITY */
    case 11:
    case 17:
        return arg[2] == 0 || out(arg[2], length_of(SYS_keyctl, arg[3]), 'k');
    case 10: /* SEARCH, RESTRICT_KEYRING */
    case 29:
        return check_path(arg[2]) && check_path(arg[3]);
    case 31: /* CAPABILITIES */
        return arg[1] == 0 || out(arg[1], length_of(SYS_keyctl, arg[2]), 'k');
    case 1: /* what is to be refused */
    case 18:
    case 20:
    case 23:
        abort();
    default:
        return true;
    }
}

static bool quota(unsigned command, long p)
{
    switch (command) {
    case 0x800002: /* Q_QUOTAON */
        return check_path(p);
    case 0x800005: /* Q_GETINFO, Q_GETQUOTA, Q_XGETQSTATV */
        return out(p, 24, 'q');
    case 0x800007:
        return out(p, 72, 'q');
    case 0x800008: /* Q_SETQUOTA, Q_XSETQLIM */
        return in(p, 72);
    case 0x5804:
        return in(p, 112);
    case 0x5808:
        return out(p, 160, 'q');
    default:
        return true;
    }
}

static bool configured(const long *arg)
{
    switch ((int)arg[1]) {
    case 1: /* SET_STRING */
        return check_path(arg[2]) && check_path(arg[3]);
    case 2: /* SET_BINARY */
        return check_path(arg[2]) && in(arg[3], length_of(SYS_fsconfig, arg[4]));
    case 3: /* SET_PATH, SET_PATH_EMPTY */
    case 4:
        check_fd(arg[4]);
        return check_path(arg[2]) && check_path(arg[3]);
    case 5: /* SET_FD */
        check_fd(arg[4]);
        return check_path(arg[2]);
    default:
        return true;
    }
}

static bool iocbs(long list, long n)
{
    if (n <= 0)
        return true;
    if (!in(list, (size_t)n * sizeof(long)))
        return false;
    for (long i = 0; i < n; i++) {
        long p = ((long *)list)[i];
        const struct iocb *o = (const void *)p;
        if (!in(p, sizeof *o))
            return false;
        check_fd(o->aio_fildes);
        if (o->aio_flags & IOCB_FLAG_RESFD)
            check_fd(o->aio_resfd);
        long buf = (long)o->aio_buf, len = (long)o->aio_nbytes;
        switch (o->aio_lio_opcode) {
        case IOCB_CMD_PREAD:
            out(buf, length_of(SYS_read, len), 'a');
            break;
        case IOCB_CMD_PWRITE:
            in(buf, length_of(SYS_write, len));
            break;
        case IOCB_CMD_PREADV:
        case IOCB_CMD_PWRITEV:
            vector(buf, len, o->aio_lio_opcode == IOCB_CMD_PREADV);
            break;
        default:
            break;
        }
    }
    return true;
}

/* As far as it may be written: it may end in a closed page. */
static bool events(long p, size_t n)
{
    static char zero[4096];
    struct iovec from = {zero, sizeof zero}, to = {(void *)p, n * sizeof(struct io_event)};
    if (to.iov_len > sizeof zero)
        to.iov_len = sizeof zero;
    return process_vm_writev(getpid(), &from, 1, &to, 1, 0) == (ssize_t)to.iov_len;
}

static bool touch(long nr, const long *arg)
{
    static unsigned contexts;
    switch (nr) {
    case SYS_io_setup: /* few: nobody destroys them */
        return contexts++ % 1024 == 0;
    case SYS_io_submit:
        return iocbs(arg[2], arg[1]);
    case SYS_io_getevents:
    case SYS_io_pgetevents:
        if (arg[5])
            abort();
        return arg[2] <= 0 || arg[1] < 0 || arg[1] > arg[2] || events(arg[3], (size_t)arg[2]);
    case SYS_poll:
    case SYS_ppoll:
        if (nr == SYS_ppoll && arg[3])
            abort();
        return polled(arg, nr == SYS_ppoll);
    case SYS_select:
    case SYS_pselect6:
        return sets(arg);
    case SYS_accept:
    case SYS_accept4:
    case SYS_getsockname:
    case SYS_getpeername:
        check_fd(arg[0]);
        return address(arg[1], arg[2]);
    case SYS_recvfrom:
        check_fd(arg[0]);
        return out(arg[1], length_of(nr, arg[2]), 'r') && address(arg[4], arg[5]);
    case SYS_getsockopt: {
        check_fd(arg[0]);
        if ((int)arg[1] == SOL_SOCKET && (int)arg[2] == SO_ATTACH_FILTER)
            abort(); /* the length counts instructions */
        if (!in(arg[4], 4))
            return false;
        int len = *(int *)arg[4];
        if (len > 0 && !out(arg[3], (size_t)len, 's'))
            return false;
        *(int *)arg[4] = len / 2;
        return true;
    }
    case SYS_sendmsg:
    case SYS_recvmsg:
        check_fd(arg[0]);
        return message(arg[1], nr == SYS_sendmsg);
    case SYS_sendmmsg:
    case SYS_recvmmsg:
        check_fd(arg[0]);
        return messages(arg, nr == SYS_sendmmsg);
    case SYS_mq_notify: {
        check_fd(arg[0]);
        const struct sigevent *ev = (const void *)arg[1];
        if (!ev)
            return true;
        if (!in(arg[1], sizeof *ev))
            return false;
        if (ev->sigev_notify != SIGEV_THREAD)
            return true;
        check_fd(ev->sigev_signo);
        return in((long)ev->sigev_value.sival_ptr, 32);
    }
    case SYS_fcntl:
    case SYS_ioctl:
        return controlled(nr, arg);
    case SYS_mount:
        return check_path(arg[1]) && (!arg[0] || check_path(arg[0])) &&
               (!arg[2] || check_path(arg[2])) && (!arg[4] || in(arg[4], 4096));
    case SYS_keyctl:
        return keys(arg);
    case SYS_quotactl:
        return quota((unsigned)arg[0] >> 8, arg[3]);
    case SYS_quotactl_fd:
        check_fd(arg[0]);
        return quota((unsigned)arg[1] >> 8, arg[3]);
    case SYS_fsconfig:
        check_fd(arg[0]);
        return configured(arg);
    case SYS_mount_setattr:
    case 467: /* open_tree_attr */
        check_fd(arg[0]);
        if (arg[4] < 32 || !in(arg[3], arg[4] < 4096 ? (size_t)arg[4] : 4096))
            return false;
        if (((uint64_t *)arg[3])[3] <= INT_MAX) /* beyond it EINVAL */
            check_fd((long)((uint64_t *)arg[3])[3]);
        return true;
    case 457: /* statmount, listmount */
    case 458:
        if (!in(arg[0], 4) || !in(arg[0], *(unsigned *)arg[0] < 4096 ? *(unsigned *)arg[0] : 4096))
            return false;
        if (nr == 457)
            return out(arg[1], length_of(nr, arg[2]), 'm');
        return (unsigned long)arg[2] > 1000000 || out(arg[1], (size_t)arg[2] * 8, 'm');
    case 463: /* setxattrat, getxattrat */
    case 464: {
        check_fd(arg[0]);
        if (arg[5] < 16 || !in(arg[4], 16))
            return false;
        unsigned n = ((unsigned *)arg[4])[2];
        long value = *(long *)arg[4];
        return n > 65536 || (nr == 463 ? in(value, n) : out(value, n, 'x'));
    }
    case SYS_kcmp:
        if (arg[2] == 0) {
            check_fd(arg[3]);
            check_fd(arg[4]);
        }
        if (arg[2] != 7)
            return true;
        if (!in(arg[4], 12))
            return false;
        check_fd(((int *)arg[4])[0]);
        check_fd(((int *)arg[4])[1]);
        return true;
    default:
        break;
    }
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        if (known[k].nr != nr)
            continue;
        const char *what = known[k].what;
        for (int i = 0; *what; i++)
            if (!check_arg(nr, arg, i, &what))
                return false;
        return true;
    }
    return true;
}

long fake_linux(long nr, const long arg[6], const int *cancel)
{
    static const char link[] = "/proc/1/maps";
    if (__atomic_load_n(cancel, __ATOMIC_RELAXED))
        return -EINTR;
    bool own = (nr == SYS_readlinkat || nr == SYS_openat) && !bad(arg[1]) && check_path(arg[1]) &&
               !strncmp((const char *)arg[1], "self/", 5); /* seen from the proxy's /proc */
    if (!own && !touch(nr, arg))
        return -EFAULT;
    if (nr == SYS_readlink && (size_t)arg[2] >= sizeof link - 1 && arg[0] % 2) {
        memcpy((void *)arg[1], link, sizeof link - 1);
        return sizeof link - 1;
    }
    unsigned long h = (unsigned long)nr;
    for (int i = 0; i < 6; i++)
        h = (h ^ (unsigned long)arg[i]) * 0x9e3779b97f4a7c15ul;
    static const short answer[] = {0,  0,        0,       1,      2,       7,
                                   60, HIGH_NEW, -EAGAIN, -EPIPE, -EINVAL, -EOPNOTSUPP};
    long r = answer[(h >> 40) % (sizeof answer / sizeof answer[0])];
    bool counts = nr == SYS_io_getevents || nr == SYS_io_pgetevents;
    return counts && r > arg[2] ? -EINVAL : r; /* never more events than were asked for */
}
