/* SPDX-License-Identifier: MIT */
/*
 * fcntl, ioctl, close_range: what the third argument is depends on the second. Of ioctl only the
 * requests of lull/ioctls.h pass.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <lull/ioctls.h>
#include <lull/syscalls.h>

#include "message.h"
#include "serve/call.h"
#include "serve/view.h"

/* From linux/fcntl.h and asm-generic/fcntl.h, which cannot be included beside fcntl.h. */
#define FCNTL_GETOWNER_UIDS 17
#define FCNTL_DUPFD_QUERY 1027
#define FCNTL_CREATED_QUERY 1028
#define FCNTL_INVALID INT_MAX

static void pass_ptr(struct call *c, size_t len)
{
    c->arg[2] = (long)call_ptr(c, c->user[2], len);
}

static atomic_bool leases;

bool leases_made(void)
{
    return atomic_load_explicit(&leases, memory_order_relaxed);
}

/*
 * Linux sends the signals of F_SETLEASE and F_NOTIFY to the calling thread unless the file has an
 * owner; a thread of the server may be gone by then.
 */
static void take_ownership(const struct call *c)
{
    struct f_owner_ex own = {0, 0};
    if (server_syscall(SYS_fcntl, c->arg[0], F_GETOWN_EX, (long)&own, 0) == 0 && own.pid == 0)
        server_syscall(SYS_fcntl, c->arg[0], F_SETOWN, c->env->pid, 0);
}

bool decode_fcntl(struct call *c, int64_t *answer)
{
    int cmd = (int)c->user[1];
    c->arg[1] = cmd;
    c->arg[2] = (long)c->user[2];
    switch (cmd) {
    case F_DUPFD:
    case F_DUPFD_CLOEXEC: /* from the limit on: EINVAL, as for any limit */
        if (call_fd_is_own(c->env, (unsigned)c->user[2]))
            c->arg[2] = c->env->fd_end == INT_MAX ? -1 : c->env->fd_end;
        return true;
    case F_SETFL: /* with O_ASYNC: the signals find the program as all do */
    case F_SETSIG:
    case F_GETFD:
    case F_SETFD:
    case F_GETFL:
    case F_SETOWN:
    case F_GETOWN:
    case F_GETSIG:
    case F_GETLEASE:
    case F_SETPIPE_SZ:
    case F_GETPIPE_SZ:
    case F_ADD_SEALS:
    case F_GET_SEALS:
    case FCNTL_CREATED_QUERY:
        return true;
    case FCNTL_DUPFD_QUERY:
        c->arg[2] = call_fd(c->env, c->user[2]);
        return true;
    case F_GETLK:
    case F_SETLK:
    case F_SETLKW:
    case F_OFD_GETLK:
    case F_OFD_SETLK:
    case F_OFD_SETLKW:
        pass_ptr(c, sizeof(struct flock));
        return true;
    case F_SETOWN_EX: { /* a thread of the isle is none of Linux's, but for the first */
        bool fault;
        struct f_owner_ex *own = call_dup(c, c->user[2], sizeof *own, &fault);
        if (!own && !fault)
            return call_answer(answer, -ENOMEM);
        if (own && own->type == F_OWNER_TID && own->pid != c->env->pid && own->pid)
            return call_refuse(c, answer);
        c->arg[2] = fault ? (long)LULL_BAD_PTR : (long)own;
        return true;
    }
    case F_GETOWN_EX:
    case FCNTL_GETOWNER_UIDS:
    case F_GET_RW_HINT:
    case F_SET_RW_HINT:
    case F_GET_FILE_RW_HINT:
    case F_SET_FILE_RW_HINT:
        pass_ptr(c, 8);
        return true;
    case F_SETLEASE:
    case F_NOTIFY:
        take_ownership(c);
        if (cmd == F_SETLEASE && (int)c->user[2] != F_UNLCK)
            atomic_store(&leases, true);
        return true;
    default: /* Linux: EBADF or EINVAL */
        c->arg[1] = FCNTL_INVALID;
        c->arg[2] = 0;
        return true;
    }
}

/* SIOCGIFCONF: the list of interfaces goes to where the structure says. */
static bool decode_ifconf(struct call *c, int64_t *answer)
{
    bool fault;
    struct ifconf *own = call_dup(c, c->user[2], sizeof *own, &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[2] = (long)(own ? (void *)own : (void *)LULL_BAD_PTR);
    if (!own)
        return true;
    uint64_t list = (uint64_t)own->ifc_buf;
    if (list)
        own->ifc_buf = call_ptr(c, list, own->ifc_len > 0 ? (uint64_t)own->ifc_len : 0);
    call_back(c, call_mem(c, c->user[2], sizeof own->ifc_len), &own->ifc_len, sizeof own->ifc_len,
              false);
    return true;
}

/* FS_IOC_FIEMAP: behind a header of 32 bytes a list of 56 for each entry, whose number it has. */
static bool decode_fiemap(struct call *c, int64_t *answer)
{
    enum { HEADER = 32, COUNT_AT = 24, ENTRY = 56, MOST = 4096 };
    uint32_t count;
    char *own = call_mem(c, c->user[2], HEADER);
    c->arg[2] = (long)LULL_BAD_PTR;
    if (!own)
        return true;
    memcpy(&count, own + COUNT_AT, sizeof count);
    if (count > MOST)
        return call_refuse(c, answer);
    size_t len = HEADER + (size_t)count * ENTRY;
    void *dst = call_mem(c, c->user[2], len);
    if (!dst)
        return true;
    own = arena_alloc(c->mem, len);
    if (!own)
        return call_answer(answer, -ENOMEM);
    memcpy(own, dst, len);
    memcpy(own + COUNT_AT, &count, sizeof count);
    call_back(c, dst, own, len, false);
    c->arg[2] = (long)own;
    return true;
}

bool ioctl_makes_fd(uint32_t request)
{
    const struct lull_ioctl *known = lull_ioctl_find(request);
    return known && known->kind == LULL_IOCTL_NEW_FD;
}

/*
 * -ENOTTY: no pseudoterminal and no pipe has this request, and Linux has it for no file, whatever
 * the argument (ioctl_tty(2), linux/fs.h, linux/watch_queue.h). -EBADF. 0: somebody may have it.
 */
static int64_t nobody_has(const struct call *c, uint32_t request)
{
    static const uint8_t types[] = {0, 'T', 'W', 'X', 'f', 'v', 0x15, 0x94};
    struct stat st;
    memset(&st, 0, sizeof st);
    if (server_syscall(SYS_fstat, c->arg[0], (long)&st, 0, 0) == -EBADF)
        return -EBADF;
    unsigned number = major(st.st_rdev);
    bool closed =
        S_ISFIFO(st.st_mode) ||
        (S_ISCHR(st.st_mode) && ((number >= 136 && number <= 143) || st.st_rdev == makedev(5, 2)));
    return closed && !memchr(types, (request >> 8) & 0xff, sizeof types) ? -ENOTTY : 0;
}

bool decode_ioctl(struct call *c, int64_t *answer)
{
    uint32_t request = (uint32_t)c->user[1];
    c->arg[1] = (long)request;
    if (request == LULL_FIEMAP)
        return decode_fiemap(c, answer);
    if (request == LULL_SIOCGIFCONF)
        return decode_ifconf(c, answer);
    if (request == LULL_PROCMAP_QUERY)
        return decode_map_query(c, answer);
    const struct lull_ioctl *known = lull_ioctl_find(request);
    switch (known ? known->kind : UINT8_MAX) {
    case LULL_IOCTL_NONE:
    case LULL_IOCTL_NEW_FD:
        c->arg[2] = 0;
        return true;
    case LULL_IOCTL_VALUE:
        c->arg[2] = (long)c->user[2];
        return true;
    case LULL_IOCTL_FD:
        c->arg[2] = call_fd(c->env, c->user[2]);
        return true;
    case LULL_IOCTL_IN:
        pass_ptr(c, known->size);
        return true;
    case LULL_IOCTL_IN_FD: {
        bool fault;
        int *own = call_dup(c, c->user[2], known->size, &fault);
        if (!own && !fault)
            return call_answer(answer, -ENOMEM);
        if (own)
            own[0] = call_fd(c->env, (uint64_t)own[0]);
        c->arg[2] = own ? (long)own : (long)LULL_BAD_PTR;
        return true;
    }
    case LULL_IOCTL_OUT:
        return decode_inout(c, 2, known->size, answer);
    default:
        break;
    }
    int64_t err = nobody_has(c, request);
    if (err)
        return call_answer(answer, err);
    verbose("refused: ioctl request 0x%x", request);
    return call_refuse(c, answer);
}

bool decode_close_range(struct call *c, int64_t *answer)
{
    unsigned first = (unsigned)c->user[0], last = (unsigned)c->user[1];
    unsigned flags = (unsigned)c->user[2], high = (unsigned)c->env->fd_low;
    unsigned end = (unsigned)c->env->fd_end;
    if (flags & ~(unsigned)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC) || first > last)
        return call_answer(answer, -EINVAL);
    if (flags & CLOSE_RANGE_UNSHARE) /* a table of descriptors for one thread alone */
        return call_refuse(c, answer);
    if (first >= high && first < end)
        first = end;
    if (first > last)
        return call_answer(answer, 0);
    if (first < high && last >= end) { /* the part above first */
        server_syscall(SYS_close_range, (long)end, (long)last, (long)flags, 0);
        last = high - 1;
    }
    c->arg[0] = (long)first;
    c->arg[1] = (long)(last < high || first >= end ? last : high - 1);
    c->arg[2] = (long)flags;
    return true;
}
