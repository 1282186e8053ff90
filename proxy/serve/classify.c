/* SPDX-License-Identifier: MIT */
/* Which calls may wait. Looks at descriptors and paths as they are now. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "serve/fanotify.h"
#include "serve/server_priv.h"
#include "systable.h"

/* Writes up to this size are attempted here: pipes take them whole or not at all (PIPE_BUF). */
#define TRY_WRITE_MAX 4096

bool descriptor_is_nonblocking(const struct server *s, uint64_t fd)
{
    long flags = server_syscall(SYS_fcntl, call_fd(&s->env, fd), F_GETFL, 0, 0);
    return flags >= 0 && flags & O_NONBLOCK;
}

/* Files of storage, and what does not exist: the answer comes at once. */
static bool mode_is_storage(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode);
}

/* Block devices are storage too: RWF_NOWAIT answers EAGAIN for what is not in the page cache. */
static bool descriptor_is_storage(const struct server *s, uint64_t fd)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    if (server_syscall(SYS_fstat, call_fd(&s->env, fd), (long)&st, 0, 0) < 0)
        return true;
    return mode_is_storage(st.st_mode) || S_ISBLK(st.st_mode);
}

/* The program's terminal, and it is in the background: Linux stops it, or somebody cancels. */
static bool descriptor_is_background_terminal(const struct server *s, uint64_t fd)
{
    struct stat st;
    pid_t foreground = 0;
    int own = call_fd(&s->env, fd);
    memset(&st, 0, sizeof st);
    if (server_syscall(SYS_fstat, own, (long)&st, 0, 0) < 0 || !S_ISCHR(st.st_mode))
        return false;
    unsigned kind = major(st.st_rdev); /* virtual consoles, /dev/tty, and pty slaves */
    if (kind != 4 && kind != 5 && (kind < 136 || kind > 143))
        return false;
    return server_syscall(SYS_ioctl, own, TIOCGPGRP, (long)&foreground, 0) == 0 &&
           foreground != getpgrp();
}

static bool path_is_storage(const struct server *s, int dirfd, uint64_t va, struct arena *mem)
{
    struct call c = {.env = &s->env, .mem = mem};
    struct stat st;
    bool fault;
    memset(&st, 0, sizeof st);
    char *path = va ? path_copy(&c, va, &fault) : NULL;
    if (!path || server_syscall(SYS_newfstatat, dirfd, (long)path, (long)&st, 0) < 0)
        return true;
    return mode_is_storage(st.st_mode) ||
           (S_ISCHR(st.st_mode) && st.st_rdev >> 8 == 1); /* memory devices: null, zero ... */
}

static bool time_is_zero(const struct server *s, uint64_t va)
{
    struct call c = {.env = &s->env};
    uint64_t t[2];
    return va && call_copy_in(&c, t, va, sizeof t) && t[0] == 0 && t[1] == 0;
}

static enum place classify_stream(const struct server *s, const struct lull_sqe *e)
{
    if (descriptor_is_storage(s, e->arg[0]))
        return PLACE_HERE;
    if (descriptor_is_background_terminal(s, e->arg[0]))
        return PLACE_AWAY;
    switch (e->nr) {
    case SYS_read:
        return e->arg[2] ? PLACE_TRY : PLACE_AWAY; /* preadv2 of nothing would not ask the file */
    case SYS_readv:
        return PLACE_TRY;
    case SYS_write:
        if (e->arg[2] == 0)
            return PLACE_AWAY;
        return e->arg[2] <= TRY_WRITE_MAX ? PLACE_TRY : PLACE_AWAY;
    case SYS_writev:
        return PLACE_TRY; /* size seen only after decoding */
    default:
        return PLACE_AWAY;
    }
}

static enum place classify_control(const struct server *s, const struct lull_sqe *e)
{
    if (e->nr == SYS_fcntl) {
        int cmd = (int)e->arg[1];
        return cmd == F_SETLKW || cmd == F_OFD_SETLKW ? PLACE_AWAY : PLACE_HERE;
    }
    switch ((uint32_t)e->arg[1]) {
    case TCSETSW:
    case TCSETSF:
    case TCSETAW:
    case TCSETAF:
    case TCSBRK:
    case TCSBRKP:
    case TCXONC:
    case 0x402c542c: /* TCSETSW2, TCSETSF2 */
    case 0x402c542d:
        return descriptor_is_storage(s, e->arg[0]) ? PLACE_HERE : PLACE_AWAY;
    case TIOCSPGRP:
    case TCSETS:
    case TCSETA:
    case 0x402c542b: /* TCSETS2 */
        return descriptor_is_background_terminal(s, e->arg[0]) ? PLACE_AWAY : PLACE_HERE;
    default:
        return PLACE_HERE;
    }
}

/* io_submit: reads and writes of storage are queued; those of a pipe are done at once, and wait. */
static enum place classify_submit(const struct server *s, const struct lull_sqe *e)
{
    struct call c = {.env = &s->env};
    uint64_t at[LULL_AIO_BATCH], n = e->arg[1];
    if (n > LULL_AIO_BATCH)
        return PLACE_AWAY;
    if (!n || !call_copy_in(&c, at, e->arg[2], n * sizeof at[0]))
        return PLACE_HERE;
    for (uint64_t i = 0; i < n; i++) {
        struct iocb o;
        if (!call_copy_in(&c, &o, at[i], sizeof o))
            break;
        if (o.aio_lio_opcode != IOCB_CMD_POLL && !descriptor_is_storage(s, o.aio_fildes))
            return PLACE_AWAY;
    }
    return PLACE_HERE;
}

static enum place classify_waiting(const struct server *s, const struct lull_sqe *e,
                                   struct arena *mem)
{
    const uint64_t *a = e->arg;
    switch (e->nr) {
    case SYS_open:
    case SYS_creat:
        return path_is_storage(s, AT_FDCWD, a[0], mem) ? PLACE_HERE : PLACE_AWAY;
    case SYS_openat:
    case SYS_openat2:
        return path_is_storage(s, call_fd(&s->env, a[0]), a[1], mem) ? PLACE_HERE : PLACE_AWAY;
    case SYS_poll:
        return (int)a[2] == 0 ? PLACE_HERE : PLACE_TRY;
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return (int)a[3] == 0 ? PLACE_HERE : PLACE_TRY;
    case SYS_io_submit:
        return classify_submit(s, e);
    case SYS_io_getevents:
    case SYS_io_pgetevents:
        if (!a[1] || time_is_zero(s, a[4]))
            return PLACE_HERE;
        return a[1] == 1 ? PLACE_TRY : PLACE_AWAY;
    case SYS_ppoll:
        return time_is_zero(s, a[2]) ? PLACE_HERE : PLACE_AWAY;
    case SYS_select:
    case SYS_pselect6:
        return time_is_zero(s, a[4]) ? PLACE_HERE : PLACE_AWAY;
    case SYS_connect:
    case SYS_accept:
    case SYS_accept4:
        return descriptor_is_nonblocking(s, a[0]) ? PLACE_HERE : PLACE_AWAY;
    case SYS_recvfrom:
        if (a[3] & MSG_DONTWAIT)
            return PLACE_HERE;
        return a[3] & MSG_WAITALL ? PLACE_AWAY : PLACE_TRY;
    case SYS_recvmsg:
        if (a[2] & MSG_DONTWAIT)
            return PLACE_HERE;
        return a[2] & MSG_WAITALL ? PLACE_AWAY : PLACE_TRY;
    case SYS_sendto:
        if (a[3] & MSG_DONTWAIT)
            return PLACE_HERE;
        return a[2] <= TRY_WRITE_MAX && !(a[3] & (MSG_FASTOPEN | MSG_ZEROCOPY)) ? PLACE_TRY
                                                                                : PLACE_AWAY;
    case SYS_sendmsg:
        return a[2] & MSG_DONTWAIT ? PLACE_HERE : PLACE_AWAY;
    case SYS_flock:
        return a[1] & LOCK_NB || (int)a[1] == LOCK_UN ? PLACE_HERE : PLACE_AWAY;
    default:
        return PLACE_AWAY;
    }
}

static bool breaks_lease(uint32_t nr)
{
    return nr == SYS_open || nr == SYS_openat || nr == SYS_openat2 || nr == SYS_creat ||
           nr == SYS_truncate;
}

static bool futex_waits(uint64_t op)
{
    return op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET || op == LULL_FUTEX_WAITV;
}

/* Permission events of fanotify: whatever opens or reads may wait for another thread. */
static bool waits_for_permission(uint32_t nr)
{
    if (lull_systable[nr].class != LULL_SYS_INTERNAL)
        return true;
    return nr == LULL_NR_MAP_FILE || nr == LULL_NR_MAP_AGAIN;
}

enum place classify(const struct server *s, const struct lull_sqe *e, struct arena *mem)
{
    if (leases_made() && breaks_lease(e->nr))
        return PLACE_AWAY;
    if (fanotify_counts_errors() && breaks_lease(e->nr))
        return PLACE_AWAY;
    if (fanotify_waits() && waits_for_permission(e->nr))
        return PLACE_AWAY;
    if (e->as) /* a child's descriptors are not the proxy's: nothing is known of them */
        return PLACE_AWAY;
    switch (lull_systable[e->nr].class) {
    case LULL_SYS_QUICK:
        return PLACE_HERE;
    case LULL_SYS_INTERNAL:
        if (e->nr == LULL_NR_FUTEX) /* those that wait, and those that are over at once */
            return futex_waits(e->arg[1] & FUTEX_CMD_MASK) ? PLACE_AWAY : PLACE_HERE;
        return e->nr == LULL_NR_EXEC || e->nr == LULL_NR_AIO_SETTLE ? PLACE_AWAY : PLACE_HERE;
    case LULL_SYS_FDWAIT:
        if (e->nr == SYS_fcntl || e->nr == SYS_ioctl)
            return classify_control(s, e);
        return classify_stream(s, e);
    default:
        return classify_waiting(s, e, mem);
    }
}
