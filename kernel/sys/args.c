/* SPDX-License-Identifier: MIT */
/*
 * The arguments of calls that Linux answers. The application's rights are checked here, by its
 * mappings; the proxy checks again that nothing leaves the isle. A pointer without the right
 * becomes LULL_BAD_PTR: Linux then answers EFAULT, or whatever comes first in its own order of
 * checks.
 */
#include <lull/ioctls.h>
#include <lull/variants.h>

#include "kernel.h"
#include "mm/mm.h"
#include "sys/sys.h"

#define IOV_MAX 1024
#define MMSG_SIZE 64 /* struct mmsghdr */
#define MMSG_LEN 56
#define MAX_HANDLE 128 /* MAX_HANDLE_SZ */
#define F_GETFL 3
#define SEMS_MAX 32000u /* in a set */

/* How much of [p, p+n) the application may use so; n when all. */
static u64 usable(uaddr p, u64 n, u32 prot)
{
    if (!user_range_ok(p, n))
        return 0;
    spin_lock(&mm_lock);
    u64 end = vma_readable_end(p, p + n, prot);
    while (end < p + n && mm_grow(end))
        end = vma_readable_end(p, p + n, prot);
    spin_unlock(&mm_lock);
    return end - p;
}

u64 args_usable(uaddr p, u64 n, u32 prot)
{
    return usable(p, n, prot);
}

static bool usable_all(uaddr p, u64 n, u32 prot)
{
    return usable(p, n, prot) == n;
}

struct iovec {
    u64 base, len;
};

/* Below the end of what any program can address. */
static bool range_exists(uaddr p, u64 n)
{
    return n <= LULL_USER_END && p <= LULL_USER_END - n;
}

/*
 * Buffers: 0: all of them may be used, or Linux says itself what is wrong with their number; else
 * 1 + how many bytes may be used, from the first. -EFAULT: the array itself may not.
 */
static i64 iov_have(uaddr iov, u64 n, u32 prot)
{
    u64 have = 0;
    if (n > IOV_MAX || !n)
        return 0;
    if (!usable_all(iov, n * sizeof(struct iovec), PROT_READ))
        return -EFAULT;
    for (u64 i = 0; i < n; i++) {
        struct iovec v;
        if (copy_in(&v, iov + i * sizeof v, sizeof v))
            return -EFAULT;
        if ((i64)v.len <= 0)
            continue;
        u64 len = min_u64(v.len, 0x7ffff000), may = usable(v.base, len, prot);
        have += may;
        if (may < len)
            return (i64)have + 1;
    }
    return 0;
}

i64 args_iov_have(uaddr iov, u64 n, u32 prot)
{
    return iov_have(iov, n, prot);
}

/* A message: what arg[LULL_ARG_HAVE] is to say. False: its header may not be read. */
static bool msg_have(uaddr msg, u32 prot, u64 *word)
{
    struct {
        u64 name;
        u32 namelen, pad;
        u64 iov, iovlen, control, controllen;
        u32 flags, pad2;
    } m;
    *word = 0;
    if (!usable_all(msg, sizeof m, PROT_READ) || copy_in(&m, msg, sizeof m))
        return false;
    if (m.name && (i32)m.namelen > 0 && !usable_all(m.name, min_u64(m.namelen, 128), prot))
        *word |= LULL_MSG_BAD_NAME;
    if (prot == PROT_WRITE && !usable_all(msg, sizeof m, PROT_WRITE))
        *word |= LULL_MSG_READONLY;
    if (m.control && m.controllen) {
        u64 len = min_u64(m.controllen, 1u << 20), may = usable(m.control, len, prot);
        if (may < len)
            *word |= (may + 1) << LULL_MSG_CONTROL_SHIFT;
    }
    i64 have = iov_have(m.iov, m.iovlen, prot);
    *word |= have < 0 ? LULL_MSG_BAD_ARRAY : min_u64((u64)have, 0xffffffff);
    return true;
}

/* How many of n messages, from the first, may be used so (sendmmsg, recvmmsg); *word: of the
   first. */
static u64 messages_usable(uaddr p, u64 n, u32 prot, u64 *word)
{
    u64 other;
    for (u64 i = 0; i < n; i++) {
        uaddr m = p + i * MMSG_SIZE;
        if (!msg_have(m, prot, i ? &other : word))
            return i;
        if (!usable_all(m + MMSG_LEN, 4, PROT_WRITE))
            *(i ? &other : word) |= LULL_MSG_READONLY;
        if (i ? other : *word)
            return i ? i : 1;
    }
    return n;
}

/* vmsplice: into a pipe its buffers are read, from one they are written. */
static u32 vmsplice_prot(i32 fd)
{
    u64 arg[6] = {(u64)(i64)fd, F_GETFL};
    long flags = forward_raw(NR_fcntl, arg);
    return flags >= 0 && (flags & 3) == 0 ? PROT_WRITE : PROT_READ;
}

static bool msgctl_ok(u32 cmd, uaddr p)
{
    switch (cmd) {
    case 1: /* IPC_SET */
        return usable_all(p, 120, PROT_READ);
    case 2: /* IPC_STAT, MSG_STAT, MSG_STAT_ANY: struct msqid_ds */
    case 11:
    case 13:
        return usable_all(p, 120, PROT_WRITE);
    case 3: /* IPC_INFO, MSG_INFO: struct msginfo */
    case 12:
        return usable_all(p, 32, PROT_WRITE);
    default:
        return true;
    }
}

static bool shmctl_ok(u32 cmd, uaddr p)
{
    switch (cmd) {
    case 1: /* IPC_SET */
        return usable_all(p, 112, PROT_READ);
    case 2: /* IPC_STAT, SHM_STAT, SHM_STAT_ANY: struct shmid_ds */
    case 13:
    case 15:
        return usable_all(p, 112, PROT_WRITE);
    case 3: /* IPC_INFO: struct shminfo */
        return usable_all(p, 72, PROT_WRITE);
    case 14: /* SHM_INFO */
        return usable_all(p, 48, PROT_WRITE);
    default:
        return true;
    }
}

/* How long GETALL's and SETALL's array is, the proxy knows. */
static bool semctl_ok(u32 cmd, uaddr p, u64 *have)
{
    switch (cmd) {
    case 1: /* IPC_SET */
        return usable_all(p, 104, PROT_READ);
    case 2: /* IPC_STAT, SEM_STAT, SEM_STAT_ANY: struct semid_ds */
    case 18:
    case 20:
        return usable_all(p, 104, PROT_WRITE);
    case 3: /* IPC_INFO, SEM_INFO: struct seminfo */
    case 19:
        return usable_all(p, 40, PROT_WRITE);
    case 13: /* GETALL, SETALL */
    case 17:
        *have = usable(p, SEMS_MAX * 2, cmd == 13 ? PROT_WRITE : PROT_READ);
        return *have;
    default:
        return true;
    }
}

/* A struct file_handle says itself how long it is. */
static bool handle_ok(uaddr p, u32 prot)
{
    u32 bytes;
    return !copy_in(&bytes, p, sizeof bytes) && usable_all(p, 8 + min_u64(bytes, MAX_HANDLE), prot);
}

/* SIGEV_THREAD of mq_notify(2) points to what a socket is sent. */
static bool sigevent_ok(uaddr p)
{
    struct {
        u64 value;
        i32 signo, notify;
    } ev;
    return usable_all(p, 64, PROT_READ) && !copy_in(&ev, p, sizeof ev) &&
           (ev.notify != 2 || usable_all(ev.value, 32, PROT_READ));
}

static bool ifconf_ok(uaddr p)
{
    struct {
        i32 len, pad;
        u64 buf;
    } c;
    return usable_all(p, sizeof c, PROT_WRITE) && !copy_in(&c, p, sizeof c) &&
           (!c.buf || c.len <= 0 || usable_all(c.buf, (u64)c.len, PROT_WRITE));
}

/* fcntl's third argument, where it is a pointer: struct flock, f_owner_ex, hints. */
static bool fcntl_ok(u32 cmd, uaddr p)
{
    switch (cmd) {
    case 6: /* F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW */
    case 7:
    case 37:
    case 38:
        return usable_all(p, 32, PROT_READ);
    case 5: /* F_GETLK, F_OFD_GETLK */
    case 36:
        return usable_all(p, 32, PROT_WRITE);
    case 15:   /* F_SETOWN_EX */
    case 1036: /* F_SET_RW_HINT, F_SET_FILE_RW_HINT */
    case 1038:
        return usable_all(p, 8, PROT_READ);
    case 16:   /* F_GETOWN_EX */
    case 17:   /* F_GETOWNER_UIDS */
    case 1035: /* F_GET_RW_HINT, F_GET_FILE_RW_HINT */
    case 1037:
        return usable_all(p, 8, PROT_WRITE);
    default:
        return true;
    }
}

/* What is read and written, and may be read only: Linux looks at it all the same. */
static bool inout_ok(u64 *p, u64 n)
{
    if (usable_all(*p, n, PROT_WRITE))
        return true;
    if (!usable_all(*p, n, PROT_READ))
        return false;
    *p |= LULL_READ_ONLY;
    return true;
}

/* What is written there is as long as the int says that lp points to. */
static bool sized_ok(uaddr p, uaddr lp, u64 *have)
{
    i32 n;
    if (copy_in(&n, lp, sizeof n) || n <= 0)
        return true;
    u64 may = usable(p, (u64)n, PROT_WRITE);
    if (may < (u64)n && have)
        *have = may + 1;
    return may == (u64)n || (may && have);
}

/* Argument i: an array of buffers, argument i + 1 of them. False: it may not be read. */
static bool iov_note(const struct lull_sysdesc *d, unsigned i, u64 arg[6], u32 prot)
{
    u64 nr = (u64)(d - syscall_table);
    i64 have = iov_have(arg[i], arg[i + 1], prot);
    if (have > 0 && (nr == NR_process_vm_readv || nr == NR_process_vm_writev))
        arg[0] |= min_u64((u64)have, 0xffffffff) << 32;
    else if (have > 0)
        arg[nr == NR_preadv2 || nr == NR_pwritev2 ? 4 : LULL_ARG_HAVE] = (u64)have;
    return have >= 0;
}

static bool fiemap_ok(uaddr p)
{
    u32 count;
    return !copy_in(&count, p + 24, sizeof count) && usable_all(p, 32 + count * 56ul, PROT_WRITE);
}

/* Of the name as much as may be written to is offered; Linux writes what is needed. */
static bool map_query_ok(uaddr p)
{
    u64 size, name = 0;
    u32 len = 0;
    if (copy_in(&size, p, sizeof size))
        return false;
    if (size < 24 || size > LULL_PAGE)
        return true;
    if (!usable_all(p, size, PROT_READ) ||
        !usable_all(p, min_u64(size, LULL_PROCMAP_SIZE), PROT_WRITE))
        return false;
    if (size >= LULL_PROCMAP_NAME + 8 &&
        (copy_in(&len, p + LULL_PROCMAP_NAME_SIZE, 4) || copy_in(&name, p + LULL_PROCMAP_NAME, 8)))
        return false;
    return !name || usable_all(name, min_u64(len, LULL_PAGE), PROT_WRITE);
}

/* A structure whose length is its first four bytes. */
static bool counted_ok(uaddr p)
{
    u32 size;
    return !copy_in(&size, p, sizeof size) && usable_all(p, min_u64(size, 4096), PROT_READ);
}

/* setxattrat, getxattrat: a structure of `size` bytes points to the value. */
static bool xattr_args_ok(uaddr p, u64 size, u32 prot)
{
    struct {
        u64 value;
        u32 size, flags;
    } x;
    return usable_all(p, min_u64(size, 4096), PROT_READ) &&
           (size < sizeof x || copy_in(&x, p, sizeof x) || !x.value || x.size > 65536 ||
            usable_all(x.value, x.size, prot));
}

/* Linux writes up to n bytes there, and often fewer; *have: how many it may, if that is not all. */
static bool result_ok(uaddr p, u64 n, u64 *have)
{
    u64 may = usable(p, n, PROT_WRITE);
    if (may < n)
        *have = may;
    return may || !n;
}

/* An argument of a call of lull/variants.h. */
static bool variant_ok(u32 nr, unsigned i, u64 arg[6])
{
    const struct lull_variant *v = lull_variant_find(nr, arg);
    if (!v || !v->kinds[0])
        return true;
    switch (v->kinds[i]) {
    case 's':
    case 'p':
        return user_range_ok(arg[i], 1) && user_strnlen((void *)arg[i], 4096) >= 0;
    case 'i':
        return usable_all(arg[i], min_u64(arg[i + 1], 0x7ffff000), PROT_READ);
    case 'o':
        return result_ok(arg[i], min_u64(arg[i + 1], 0x7ffff000), &arg[LULL_ARG_HAVE]);
    case 'r':
        return result_ok(arg[i], v->size, &arg[LULL_ARG_HAVE]);
    case 'I':
        return usable_all(arg[i], v->size, PROT_READ);
    case 'O':
        return usable_all(arg[i], v->size, PROT_WRITE);
    default:
        return true;
    }
}

static bool special_ok(const struct lull_sysdesc *d, unsigned i, u64 arg[6])
{
    const struct lull_ioctl *io;
    u64 n, have;
    switch (d - syscall_table) {
    case 16: /* ioctl */
        if ((u32)arg[1] == LULL_SIOCGIFCONF)
            return ifconf_ok(arg[2]);
        if ((u32)arg[1] == LULL_FIEMAP)
            return fiemap_ok(arg[2]);
        if ((u32)arg[1] == LULL_PROCMAP_QUERY)
            return map_query_ok(arg[2]);
        io = lull_ioctl_find((u32)arg[1]);
        if (!io || io->kind == LULL_IOCTL_NEW_FD || io->kind < LULL_IOCTL_IN)
            return true;
        return io->kind == LULL_IOCTL_OUT ? inout_ok(&arg[2], io->size)
                                          : usable_all(arg[2], io->size, PROT_READ);
    case 65: /* semop, semtimedop: none and too many are Linux's to say */
    case 220:
        n = (u32)arg[2];
        return n > 500 || usable_all(arg[1], n * 6, PROT_READ);
    case 69: /* msgsnd: the size is looked at between the type and the text */
        arg[LULL_ARG_HAVE] =
            (i64)arg[2] >= 0 && !usable_all(arg[1], min_u64(arg[2], 1u << 30) + 8, PROT_READ);
        return usable_all(arg[1], 8, PROT_READ);
    case 70: /* msgrcv */
        return (i64)arg[2] < 0 || usable_all(arg[1], min_u64(arg[2], 1u << 30) + 8, PROT_WRITE);
    case 157: /* prctl: PDEATHSIG, TSC, CHILD_SUBREAPER are written to an int */
        return ((u32)arg[0] != 2 && (u32)arg[0] != 25 && (u32)arg[0] != 37) ||
               usable_all(arg[1], 4, PROT_WRITE);
    case 71: /* msgctl */
        return msgctl_ok((u32)arg[1], arg[2]);
    case 244: /* mq_notify */
        return sigevent_ok(arg[1]);
    case 31: /* shmctl */
        return shmctl_ok((u32)arg[1], arg[2]);
    case 66: /* semctl */
        return semctl_ok((u32)arg[2], arg[3], &arg[LULL_ARG_HAVE]);
    case NR_vmsplice:
        return iov_note(d, 1, arg, vmsplice_prot((i32)arg[0]));
    case 299: /* recvmmsg, sendmmsg: up to the bad message, or the most that there can be */
    case 307:
        n = min_u64((u32)arg[2], IOV_MAX);
        have = messages_usable(arg[1], n, d - syscall_table == 307 ? PROT_READ : PROT_WRITE,
                               &arg[LULL_ARG_HAVE]);
        if (have)
            arg[2] = have;
        return have || !n;
    case NR_process_vm_readv:
    case NR_process_vm_writev:
        return arg[4] > IOV_MAX || usable_all(arg[3], arg[4] * sizeof(struct iovec), PROT_READ);
    case 303: /* name_to_handle_at, open_by_handle_at */
        return handle_ok(arg[2], PROT_WRITE);
    case 304:
        return handle_ok(arg[1], PROT_READ);
    case 126: /* capset: the first version has 12 bytes */
        have = copy_in(&n, arg[0], sizeof n) || (u32)n != 0x19980330 ? 24 : 12;
        return usable_all(arg[1], have, PROT_READ);
    case 165: /* mount: at most a page of data, as much of it as there is */
        arg[LULL_ARG_HAVE] = usable(arg[4], 4096, PROT_READ);
        return arg[LULL_ARG_HAVE] != 0;
    case LULL_NR_SYSFS:
    case LULL_NR_QUOTACTL:
    case LULL_NR_KEYCTL:
    case LULL_NR_FSCONFIG:
    case LULL_NR_QUOTACTL_FD:
        return variant_ok((u32)(d - syscall_table), i, arg);
    case 208: /* io_getevents, io_pgetevents */
    case 333:
        aio_events_note(arg);
        return true;
    case 210: /* io_cancel */
        aio_cancel_note(arg);
        return true;
    case 312: /* kcmp: KCMP_EPOLL_TFD */
        return (u32)arg[2] != 7 || usable_all(arg[4], 12, PROT_READ);
    case 457: /* statmount, listmount */
    case 458:
        return counted_ok(arg[0]);
    case 461: /* lsm_list_modules: as many as Linux has */
        arg[LULL_ARG_HAVE] = usable(arg[0], 512, PROT_WRITE);
        return true;
    case 463: /* setxattrat, getxattrat */
        return xattr_args_ok(arg[4], arg[5], PROT_READ);
    case 464:
        return xattr_args_ok(arg[4], arg[5], PROT_WRITE);
    case 72: /* fcntl */
        return fcntl_ok((u32)arg[1], arg[2]);
    case 43: /* accept, recvfrom, getsockname, getpeername, getsockopt, accept4 */
    case 45:
    case 51:
    case 52:
    case 55:
    case 288:
        return !arg[i + 1] ||
               sized_ok(arg[i], arg[i + 1], d->nargs <= LULL_ARG_HAVE ? &arg[LULL_ARG_HAVE] : NULL);
    default:
        return true;
    }
}

/* Bytes of an argument, for a look at whether there can be such addresses. */
static u64 size_known(struct lull_arg a, const u64 arg[6])
{
    switch (a.kind) {
    case LULL_A_IN:
    case LULL_A_OUT:
    case LULL_A_INOUT:
        return a.param;
    case LULL_A_BUFIN:
    case LULL_A_BUFOUT:
        return min_u64(arg[a.param], 0x7ffff000);
    default:
        return 1;
    }
}

void args_begin(u32 nr, const struct lull_sysdesc *d, u64 arg[6])
{
    if (d->nargs <= LULL_ARG_HAVE)
        arg[LULL_ARG_HAVE] = 0;
    if (nr == NR_preadv2 || nr == NR_pwritev2)
        arg[4] = 0;
    if (nr == NR_process_vm_readv || nr == NR_process_vm_writev)
        arg[0] = (u32)arg[0];
    if (nr == NR_sendto || nr == NR_recvfrom)
        arg[3] = (u32)arg[3];
}

void args_check(const struct lull_sysdesc *d, unsigned i, u64 arg[6])
{
    struct lull_arg a = d->arg[i];
    uaddr p = arg[i];
    u64 nr = (u64)(d - syscall_table), n;
    bool ok = true;
    if (a.kind < LULL_A_PATH || !p)
        return;
    switch (a.kind) {
    case LULL_A_PATH:
        ok = user_range_ok(p, 1) && user_strnlen((void *)p, 4096) >= 0;
        break;
    case LULL_A_IN:
        ok = usable_all(p, a.param, PROT_READ);
        break;
    case LULL_A_TIME: /* read; what is left of it is written back where it can be */
        ok = usable_all(p, 16, PROT_READ);
        arg[LULL_ARG_HAVE] = ok && !usable_all(p, 16, PROT_WRITE);
        break;
    case LULL_A_INOUT:
        if (nr != NR_select && nr != NR_pselect6) {
            ok = inout_ok(&arg[i], a.param);
            break;
        }
        /* fall through */
    case LULL_A_OUT:
        n = a.param;
        if (nr == NR_select || nr == NR_pselect6) /* sets are as long as the first argument says */
            n = (i32)arg[0] > 0 ? min_u64(((u32)arg[0] + 63) / 64 * 8, 128) : 0;
        ok = usable_all(p, n, PROT_WRITE);
        break;
    case LULL_A_BUFIN:
    case LULL_A_BUFOUT: {
        u32 prot = a.kind == LULL_A_BUFIN ? PROT_READ : PROT_WRITE;
        n = min_u64(arg[a.param], 0x7ffff000);
        if (d->class == LULL_SYS_FDWAIT && n < arg[a.param] && !range_exists(p, arg[a.param])) {
            arg[i] = LULL_BAD_RANGE; /* Linux looks at all of it */
            return;
        }
        u64 have = n ? usable(p, n, prot) : 0;
        if (have < n && have && nr == NR_getrandom)
            arg[a.param] = have; /* filled up to the bad page */
        else if (have < n && (nr == NR_sendto || nr == NR_recvfrom) && i == 1 && range_exists(p, n))
            arg[3] = (u32)arg[3] | (have + 1) << 32;
        else if (have < n && have && d->nargs <= LULL_ARG_HAVE)
            arg[LULL_ARG_HAVE] = have; /* what comes of it is Linux's to say */
        else
            ok = have == n;
        break;
    }
    case LULL_A_VEC:
        n = (u64)(a.param >> 4) * (u32)arg[a.param & 15];
        if ((i32)arg[a.param & 15] < 0)
            break;
        ok = usable_all(p, n, PROT_WRITE);
        if (!ok && d->arg[0].kind == LULL_A_FD && usable(p, n, PROT_WRITE) >= a.param >> 4) {
            arg[a.param & 15] = usable(p, n, PROT_WRITE) / (a.param >> 4); /* epoll_wait: fewer */
            ok = true;
        }
        break;
    case LULL_A_IOVIN:
    case LULL_A_IOVOUT:
        ok = iov_note(d, i, arg, a.kind == LULL_A_IOVIN ? PROT_READ : PROT_WRITE);
        break;
    case LULL_A_MSGIN:
    case LULL_A_MSGOUT:
        ok = msg_have(p, a.kind == LULL_A_MSGIN ? PROT_READ : PROT_WRITE, &arg[LULL_ARG_HAVE]);
        break;
    case LULL_A_SPECIAL:
        ok = special_ok(d, i, arg);
        break;
    default:
        break;
    }
    if (!ok)
        arg[i] = range_exists(p, size_known(a, arg)) ? LULL_BAD_PTR : LULL_BAD_RANGE;
}
