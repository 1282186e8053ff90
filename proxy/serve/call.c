/* SPDX-License-Identifier: MIT */
/* Decode and finish: what is common to all calls, by the table's kinds of arguments. */
#include "serve/call.h"
#include "serve/agent.h"
#include "serve/aio.h"
#include "serve/fanotify.h"
#include "serve/keys.h"
#include "serve/mount.h"
#include "serve/variant.h"
#include "serve/view.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>

#include "ownfd.h"
#include "systable.h"

#define MODULES_MAX 512               /* bytes: numbers of security modules */
#define SHORT_RESULT_MAX (16ul << 20) /* bytes: a message of a POSIX queue */

void *call_mem(const struct call *c, uint64_t va, uint64_t len)
{
    return va ? isle_host(c->env->isle, (isle_addr){va}, len) : NULL;
}

/* An address that there cannot be stays one: Linux looks for that first. */
void *call_bad(uint64_t va, uint64_t len)
{
    bool exists = len <= LULL_USER_END && va <= LULL_USER_END - len;
    return (void *)(exists ? LULL_BAD_PTR : LULL_BAD_RANGE);
}

void *call_ptr(const struct call *c, uint64_t va, uint64_t len)
{
    if (va == 0)
        return NULL;
    /* Nothing of it is to be touched: then it need not be anywhere. */
    void *p = len ? isle_host(c->env->isle, (isle_addr){va}, len) : NULL;
    return p ? p : call_bad(va, len);
}

bool call_copy_in(const struct call *c, void *dst, uint64_t va, size_t len)
{
    const void *src = call_mem(c, va, len);
    if (!src)
        return false;
    memcpy(dst, src, len);
    __asm__ volatile("" ::: "memory"); /* the compiler must not look at *src again */
    return true;
}

void *call_dup(struct call *c, uint64_t va, size_t len, bool *fault)
{
    *fault = !call_mem(c, va, len);
    if (*fault)
        return NULL;
    void *copy = arena_alloc(c->mem, len);
    if (copy)
        call_copy_in(c, copy, va, len);
    return copy;
}

void call_back(struct call *c, void *dst, const void *src, size_t len, bool always)
{
    if (!dst || len == 0 || c->nback == CALL_MAX_BACK)
        return;
    c->back[c->nback].dst = dst;
    c->back[c->nback].src = src;
    c->back[c->nback].len = len;
    c->back[c->nback].always = always;
    c->nback++;
}

bool call_answer(int64_t *answer, int64_t value)
{
    *answer = value;
    return false;
}

bool call_refuse(struct call *c, int64_t *answer)
{
    c->refused = true;
    return call_answer(answer, -ENOSYS);
}

static int64_t call_fd_refused(int64_t fd)
{
    server_syscall(SYS_close, fd, 0, 0, 0);
    return -EMFILE;
}

int call_fd(const struct call_env *env, uint64_t arg)
{
    int fd = (int)arg;
    return call_fd_is_own(env, fd) ? -1 : fd;
}

bool call_fd_is_own(const struct call_env *env, int64_t fd)
{
    return fd >= env->fd_low && fd < env->fd_end;
}

int64_t call_fd_given(const struct call_env *env, int64_t fd)
{
    int64_t up = fd;
    if (fd < env->fd_low)
        return agent_acting() || (uint64_t)fd < ownfd_soft() ? fd : call_fd_refused(fd);
    if (call_fd_is_own(env, fd)) { /* a free number among the proxy's */
        long flags = server_syscall(SYS_fcntl, fd, F_GETFD, 0, 0);
        up = env->fd_end == INT_MAX
                 ? -1
                 : server_syscall(SYS_fcntl, fd, flags & FD_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD,
                                  env->fd_end, 0);
        server_syscall(SYS_close, fd, 0, 0, 0);
    }
    return up < 0 ? -EMFILE : (uint64_t)up < ownfd_soft() ? up : call_fd_refused(up);
}

/* Lengths that Linux takes as int: what is negative there must stay negative. */
static bool length_is_int(uint32_t nr, unsigned i)
{
    switch (nr) {
    case SYS_bind:
    case SYS_connect:
    case SYS_setsockopt:
    case SYS_sethostname:
    case SYS_setdomainname:
    case SYS_syslog:
    case SYS_readlink:
    case SYS_readlinkat:
        return true;
    case SYS_sendto:
        return i == 5;
    default:
        return false;
    }
}

bool call_bounce(struct call *c, unsigned i, uint64_t n, uint64_t have)
{
    c->bounce = arena_alloc(c->mem, n);
    if (!c->bounce)
        return false;
    c->bounce_at = c->user[i];
    c->bounce_have = have;
    c->arg[i] = (long)c->bounce;
    return true;
}

/* Who fills a buffer only as far as there is something to tell: what is behind need not be
   there. */
static bool result_is_short(uint32_t nr)
{
    switch (nr) {
    case SYS_getcwd:
    case SYS_getxattr:
    case SYS_lgetxattr:
    case SYS_fgetxattr:
    case SYS_listxattr:
    case SYS_llistxattr:
    case SYS_flistxattr:
    case NR_listxattrat:
    case SYS_mq_timedreceive:
        return true;
    default:
        return false;
    }
}

/* These say themselves what becomes of a buffer that ends in a bad page. */
static bool takes_partial(uint32_t nr)
{
    switch (nr) {
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_readlink:
    case SYS_readlinkat:
    case SYS_getdents:
    case SYS_getdents64:
        return true;
    default:
        return false;
    }
}

/* Of the buffer of argument i only `have` bytes may be used. */
static void decode_short_buffer(struct call *c, unsigned i, unsigned by, uint64_t have)
{
    uint64_t n = (uint64_t)c->arg[by];
    c->arg[i] = (long)LULL_BAD_PTR;
    if (!result_is_short(c->nr))
        return;
    if (n > SHORT_RESULT_MAX)
        n = SHORT_RESULT_MAX;
    if (call_bounce(c, i, n, have))
        c->arg[by] = (long)n;
}

static int64_t finish_option(struct call *c)
{
    uint64_t n = *(const unsigned *)c->arg[4];
    void *dst = n <= c->bounce_have ? call_mem(c, c->bounce_at, n) : NULL;
    if (n && !dst)
        return -EFAULT;
    if (n)
        memcpy(dst, c->bounce, n);
    return 0;
}

int64_t call_bounced(struct call *c, int64_t r)
{
    if (!c->bounce)
        return r;
    if (c->nr == SYS_getsockopt && r == 0)
        return finish_option(c);
    bool variant = c->nr == SYS_keyctl || c->nr == SYS_sysfs;
    if (r < 0 || (r == 0 && !variant))
        return r;
    size_t n = variant ? variant_written(c, r)
                       : (size_t)r * (c->nr == NR_lsm_list_modules ? sizeof(uint64_t) : 1);
    void *dst = n <= c->bounce_have ? call_mem(c, c->bounce_at, n) : NULL;
    if (n && !dst)
        return -EFAULT;
    if (n)
        memcpy(dst, c->bounce, n);
    return r;
}

static void decode_buffer(struct call *c, unsigned i, unsigned by)
{
    const struct lull_sysdesc *d = &lull_systable[c->nr];
    uint64_t have = d->nargs <= LULL_ARG_HAVE ? c->user[LULL_ARG_HAVE] : 0;
    uint64_t len = c->user[by];
    if (length_is_int(c->nr, by))
        len = (uint64_t)(int)len;
    if (len > CALL_MAX_RW && (int64_t)len > 0)
        len = CALL_MAX_RW;
    c->arg[by] = (long)len;
    c->arg_set |= 1u << by;
    /* A negative length fails isle_host(), as it fails in Linux. */
    c->arg[i] = (long)call_ptr(c, c->user[i], len);
    if (have && have < len && !takes_partial(c->nr))
        decode_short_buffer(c, i, by, have);
}

static uint64_t array_count(const struct call *c, unsigned by)
{
    return (uint32_t)c->user[by]; /* all of them are int in Linux: negative fails as too large */
}

bool decode_inout(struct call *c, unsigned i, size_t len, int64_t *answer)
{
    bool fault;
    if (!(c->user[i] & LULL_READ_ONLY) || c->user[i] >> 63) {
        c->arg[i] = (long)call_ptr(c, c->user[i], len);
        return true;
    }
    c->user[i] &= ~LULL_READ_ONLY;
    void *own = call_dup(c, c->user[i], len, &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[i] = own ? (long)own : (long)LULL_BAD_PTR;
    c->readonly = true;
    return true;
}

static bool decode_arg(struct call *c, unsigned i, struct lull_arg a, int64_t *answer)
{
    switch (a.kind) {
    case LULL_A_VAL:
        if (!(c->arg_set & 1u << i)) /* by the buffer whose length it is */
            c->arg[i] = (long)c->user[i];
        return true;
    case LULL_A_FD:
    case LULL_A_ATFD: /* AT_FDCWD is negative */
        c->arg[i] = call_fd(c->env, c->user[i]);
        return true;
    case LULL_A_PATH:
        return decode_path(c, i, answer);
    case LULL_A_IN:
    case LULL_A_OUT:
    case LULL_A_TIME:
        c->arg[i] = (long)call_ptr(c, c->user[i], a.param);
        return true;
    case LULL_A_INOUT:
        return decode_inout(c, i, a.param, answer);
    case LULL_A_BUFIN:
    case LULL_A_BUFOUT:
        decode_buffer(c, i, a.param);
        return true;
    case LULL_A_VEC:
        c->arg[i] = (long)call_ptr(c, c->user[i], array_count(c, a.param & 15) * (a.param >> 4));
        return true;
    case LULL_A_IOVIN:
    case LULL_A_IOVOUT:
        return decode_iovec(c, i, a.param, answer);
    case LULL_A_MSGIN:
    case LULL_A_MSGOUT:
        return decode_msghdr(c, i, a.kind == LULL_A_MSGIN, answer);
    case LULL_A_SPECIAL:
        c->arg[i] = 0;
        return true;
    default:
        return call_refuse(c, answer);
    }
}

/* Linux writes the two numbers into the proxy: in the isle they could change before the check. */
static bool decode_fd_pair(struct call *c, unsigned i, int64_t *answer)
{
    void *dst = call_mem(c, c->user[i], sizeof(int[2]));
    if (!dst)
        return true;
    c->pair = arena_alloc(c->mem, sizeof(int[2]));
    if (!c->pair)
        return call_answer(answer, -ENOMEM);
    c->arg[i] = (long)c->pair;
    call_back(c, dst, c->pair, sizeof(int[2]), false);
    return true;
}

/* lsm_list_modules: how much Linux writes depends on Linux alone. */
static bool decode_modules(struct call *c, int64_t *answer)
{
    if (!c->user[0])
        return true;
    uint64_t have = c->user[LULL_ARG_HAVE];
    return call_bounce(c, 0, MODULES_MAX, have < MODULES_MAX ? have : MODULES_MAX) ||
           call_answer(answer, -ENOMEM);
}

/* The threads of /proc/self/task are the isle's. */
static bool decode_getdents(struct call *c, int64_t *answer)
{
    uint64_t have = c->user[LULL_ARG_HAVE];
    if (have && have < (uint64_t)c->arg[2])
        c->arg[2] = (long)have; /* a longer entry: EFAULT (finish_getdents()) */
    size_t room = (unsigned)c->arg[2];
    if (!c->env->view || agent_acting() || !view_is_task(c, (int)c->arg[0]))
        return true;
    char *to = call_mem(c, c->user[1], room);
    if (!to)
        return call_answer(answer, -EFAULT);
    return call_answer(answer,
                       view_list_threads(c, (int)c->arg[0], c->nr == SYS_getdents64, to, room));
}

/* What the kinds cannot say. */
static bool decode_special(struct call *c, int64_t *answer)
{
    switch (c->nr) {
    case SYS_poll:
    case SYS_ppoll:
        return decode_poll(c, answer);
    case SYS_select:
    case SYS_pselect6:
        return decode_select(c, answer);
    case SYS_read:
    case SYS_readv:
    case SYS_preadv2: /* at -1: as readv */
        if (c->nr == SYS_preadv2 && c->arg[3] != -1)
            return true;
        if (call_reads_signalfd(c)) /* what is pending is the isle kernel's to know */
            return call_answer(answer, -LULL_E_SIGNALFD);
        if (!decode_fanotify_read(c, answer))
            return false;
        if (c->events)
            return true;
        return c->nr == SYS_read ? decode_partial(c, answer) : true;
    case SYS_write:
    case SYS_pwrite64:
        return view_comm_written(c, answer) && decode_partial(c, answer);
    case SYS_pread64:
        return decode_partial(c, answer);
    case SYS_epoll_pwait2:
        return decode_epoll_pwait2(c, answer);
    case SYS_sendmmsg:
    case SYS_recvmmsg:
        return decode_messages(c, c->nr == SYS_sendmmsg, answer);
    case SYS_vmsplice:
        return decode_vmsplice(c, answer);
    case SYS_signalfd:
    case SYS_signalfd4:
        return decode_signalfd(c, answer);
    case SYS_msgsnd:
    case SYS_msgrcv:
        return decode_message(c, answer);
    case SYS_mq_notify:
        return decode_mq_notify(c, answer);
    case SYS_msgctl:
        decode_msgctl(c);
        return true;
    case SYS_clock_adjtime: /* clocks that are descriptors are not the program's */
        return (int)c->user[0] < 0 ? call_refuse(c, answer) : true;
    case SYS_name_to_handle_at:
        return decode_handle(c, 2, answer);
    case SYS_open_by_handle_at:
        guard_handle(c);
        return decode_handle(c, 1, answer);
    case SYS_ioprio_get:
    case SYS_ioprio_set:
        return decode_ioprio(c, answer);
    case NR_cachestat: /* newer than some libc headers */
        return decode_cachestat(c, answer);
    case SYS_setfsuid:
    case SYS_setfsgid:
        return decode_fsid(c, answer);
    case SYS_epoll_pwait: /* the mask is the isle kernel's business: NULL already */
        return true;
    case SYS_readlink:
    case SYS_readlinkat:
        return decode_readlink(c, answer);
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_creat:
        return decode_open(c, answer);
    case SYS_truncate:
        return decode_truncate(c, answer);
    case SYS_pipe:
    case SYS_pipe2:
        return decode_fd_pair(c, 0, answer);
    case SYS_socketpair:
        return decode_fd_pair(c, 3, answer);
    case SYS_accept:
    case SYS_accept4:
    case SYS_getsockname:
    case SYS_getpeername:
        return decode_sockaddr(c, 1, answer);
    case SYS_recvfrom:
        return decode_sockaddr(c, 4, answer) && decode_partial_message(c, answer);
    case SYS_sendto:
        return decode_partial_message(c, answer);
    case SYS_getsockopt:
        return decode_getsockopt(c, answer);
    case SYS_setsockopt:
        return decode_setsockopt(c, answer);
    case SYS_fcntl:
        return decode_fcntl(c, answer);
    case SYS_ioctl:
        return decode_ioctl(c, answer);
    case SYS_close_range:
        return decode_close_range(c, answer);
    case SYS_setuid:
    case SYS_setgid:
    case SYS_setreuid:
    case SYS_setregid:
    case SYS_setgroups:
    case SYS_setresuid:
    case SYS_setresgid:
        return decode_credentials(c, answer);
    case SYS_unshare: /* of the program itself: LULL_OP_ALONE */
    case SYS_setns:
        return agent_acting() ? true : call_refuse(c, answer);
    case SYS_capset:
        return decode_capset(c, answer);
    case SYS_setpriority:
        return decode_setpriority(c, answer);
    case SYS_getrlimit:
    case SYS_setrlimit:
    case SYS_prlimit64:
        return decode_limit(c, answer);
    case SYS_sched_setparam:
    case SYS_sched_setscheduler:
    case SYS_sched_setaffinity:
        return !schedules_peer(c) || call_refuse(c, answer);
    case SYS_sched_setattr:
        return schedules_peer(c) ? call_refuse(c, answer) : decode_sched_setattr(c, answer);
    case SYS_process_vm_readv:
    case SYS_process_vm_writev:
        return decode_process_vm(c, answer);
    case SYS_prctl:
        return decode_prctl(c, answer);
    case SYS_personality:
        return decode_personality(c, answer);
    case SYS_shmctl:
        decode_shmctl(c);
        return true;
    case SYS_semctl:
        return decode_semctl(c, answer);
    case SYS_semop:
    case SYS_semtimedop:
        return decode_semop(c, answer);
    case SYS_getdents:
    case SYS_getdents64:
        return decode_getdents(c, answer);
    case SYS_mount:
        return decode_mount(c, answer);
    case SYS_fsopen:
        return decode_fsopen(c, answer);
    case SYS_open_tree:
        return decode_open_tree(c, answer);
    case NR_open_tree_attr:
        return decode_mount_setattr(c, answer) && decode_open_tree(c, answer);
    case SYS_chroot:
        return decode_chroot(c, answer);
    case SYS_sysfs:
    case SYS_quotactl:
    case SYS_quotactl_fd:
    case SYS_fsconfig:
        return decode_variant(c, answer);
    case SYS_keyctl:
        return decode_variant(c, answer) && keys_call(c, answer);
    case SYS_add_key:
    case SYS_request_key:
        return keys_call(c, answer);
    case NR_statmount:
    case NR_listmount:
        return decode_mount_request(c, answer);
    case SYS_mount_setattr:
        return decode_mount_setattr(c, answer);
    case NR_lsm_list_modules:
        return decode_modules(c, answer);
    case NR_setxattrat:
    case NR_getxattrat:
        return decode_xattr_args(c, answer);
    case SYS_kcmp:
        return decode_kcmp(c, answer);
    case SYS_fanotify_init:
        return decode_fanotify_init(c, answer);
    case SYS_fanotify_mark:
        return decode_fanotify_mark(c, answer);
    case SYS_io_setup:
        return decode_io_setup(c, answer);
    case SYS_io_destroy:
        return decode_io_destroy(c, answer);
    case SYS_io_submit:
        return decode_io_submit(c, answer);
    case SYS_io_getevents:
    case SYS_io_pgetevents:
        return decode_io_getevents(c, answer);
    case SYS_io_cancel:
        return decode_io_cancel(c, answer);
    case LULL_NR_AIO_SETTLE:
        return call_answer(answer, call_aio_settle(c));
    case LULL_NR_FUTEX:
        return decode_futex(c, answer);
    case LULL_NR_EXEC:
        return call_answer(answer, call_exec(c));
    case LULL_NR_SPAWN:
        return call_answer(answer, call_spawn(c));
    case LULL_NR_LEAVE:
        return call_answer(answer, call_leave(c));
    case LULL_NR_CHILDREN:
        return call_answer(answer, call_children(c));
    case LULL_NR_LIMIT:
        return call_answer(answer, call_limit(c));
    case LULL_NR_MAP_AGAIN:
        return call_answer(answer, map_again(c));
    case LULL_NR_MAP_FILE:
        return call_answer(answer, map_file(c));
    case LULL_NR_SIGNALFD:
        return call_answer(answer, call_signalfd(c));
    default:
        return true;
    }
}

bool call_decode(struct call *c, int64_t *answer)
{
    const struct lull_sysdesc *d = &lull_systable[c->nr];
    memset(c->arg, 0, sizeof c->arg);
    c->arg_set = 0;
    c->nback = 0;
    c->msg = NULL;
    c->from = NULL;
    c->mmsg = NULL;
    c->addr = NULL;
    c->pollfd = NULL;
    c->pair = NULL;
    c->made = NULL;
    c->own_fd = -1;
    c->as = 0;
    c->no_links = false;
    c->guarded = false;
    c->truncates = false;
    c->events = NULL;
    c->aio = NULL;
    c->bounce = NULL;
    c->task = 0;
    c->refused = false;
    c->readonly = false;
    for (unsigned i = 0; i < d->nargs; i++)
        if (!decode_arg(c, i, d->arg[i], answer))
            return false;
    return decode_special(c, answer);
}

bool call_again(struct call *c, int64_t *r)
{
    return c->no_links && open_again(c, r);
}

void call_skip(struct call *c, uint64_t done)
{
    if (done == 0)
        return;
    if (c->nr != SYS_writev) {
        c->arg[1] += (long)done;
        c->arg[2] -= (long)done;
        return;
    }
    struct iovec_raw {
        uint64_t base, len;
    } *v = (void *)c->arg[1];
    for (long i = 0; i < c->arg[2] && done; i++) {
        uint64_t n = v[i].len < done ? v[i].len : done;
        v[i].base += n;
        v[i].len -= n;
        done -= n;
    }
}

bool call_makes_fd(uint32_t nr, const uint64_t user[6])
{
    switch (nr) {
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_creat:
    case SYS_dup:
    case SYS_socket:
    case SYS_accept:
    case SYS_accept4:
    case SYS_epoll_create:
    case SYS_epoll_create1:
    case SYS_eventfd:
    case SYS_eventfd2:
    case SYS_timerfd_create:
    case SYS_inotify_init:
    case SYS_inotify_init1:
    case SYS_memfd_create:
    case SYS_pidfd_open:
    case SYS_signalfd:
    case SYS_signalfd4:
    case SYS_mq_open:
    case SYS_open_by_handle_at:
    case SYS_open_tree:
    case NR_open_tree_attr:
    case SYS_fsopen:
    case SYS_fsmount:
    case SYS_fspick:
    case SYS_pidfd_getfd:
    case SYS_fanotify_init:
        return true;
    case SYS_fcntl:
        return (int)user[1] == F_DUPFD || (int)user[1] == F_DUPFD_CLOEXEC;
    case SYS_ioctl:
        return (uint32_t)user[1] == TIOCGPTPEER || ioctl_makes_fd((uint32_t)user[1]);
    default:
        return false;
    }
}

static int64_t finish_fd_pair(const struct call *c)
{
    int64_t fd[2];
    for (int i = 0; i < 2; i++)
        fd[i] = call_fd_given(c->env, c->pair[i]);
    for (int i = 0; i < 2; i++) {
        if (fd[i] >= 0 && fd[!i] < 0)
            server_syscall(SYS_close, fd[i], 0, 0, 0);
        c->pair[i] = (int)fd[i];
    }
    return fd[0] >= 0 && fd[1] >= 0 ? 0 : -EMFILE;
}

/*
 * The program may write to its buffer meanwhile: view_filter() looks at a copy. When everything in
 * it is hidden, what comes next is read.
 */
static int64_t finish_getdents(struct call *c, int64_t r)
{
    size_t room = (size_t)c->arg[2];
    if (r == -EINVAL && c->user[LULL_ARG_HAVE])
        return -EFAULT;
    void *dst = call_mem(c, c->user[1], room);
    char *own = r > 0 && dst && (size_t)r <= room ? arena_alloc(c->mem, room) : NULL;
    while (own && r > 0 && (size_t)r <= room) {
        memcpy(own, dst, (size_t)r);
        size_t kept = view_filter(c, (int)c->arg[0], c->nr == SYS_getdents64, own, (size_t)r);
        if (kept == (size_t)r)
            return r;
        memcpy(dst, own, kept);
        if (kept)
            return (int64_t)kept;
        r = server_syscall(c->nr, c->arg[0], c->arg[1], c->arg[2], 0);
    }
    return r;
}

int64_t call_finish(struct call *c, int64_t r)
{
    if (r >= 0 && call_makes_fd(c->nr, c->user))
        r = call_fd_given(c->env, r);
    r = call_bounced(c, r);
    if (c->readonly && (r >= 0 || c->nr == SYS_sendfile)) {
        /* done, and no place for what is to be written at the end */
        if (r >= 0 && call_makes_fd(c->nr, c->user))
            server_syscall(SYS_close, r, 0, 0, 0);
        r = -EFAULT;
    }
    switch (c->nr) {
    case SYS_kcmp:
        /* two isles that have none both have one each: their proxies have threads */
        if (r > 0 && (int)c->user[2] == KCMP_SYSVSEM && c->user[0] != c->user[1]) {
            c->refused = true;
            r = -ENOSYS;
        }
        break;
    case SYS_futex:
        finish_futex();
        break;
    case SYS_open:
    case SYS_openat:
    case SYS_openat2:
    case SYS_creat:
    case SYS_open_by_handle_at:
    case SYS_pidfd_getfd:
        r = finish_opened(c, r);
        if (r >= 0 && c->guarded)
            r = finish_guarded(c, r);
        if (r >= 0)
            r = finish_open(c, r);
        break;
    case SYS_open_tree:
    case NR_open_tree_attr:
        finish_mount(c);
        if (r >= 0)
            r = finish_open(c, r);
        break;
    case SYS_mount:
    case SYS_chroot:
    case SYS_fanotify_mark:
        finish_mount(c);
        break;
    case SYS_read:
        finish_fanotify_read(c, r);
        break;
    case SYS_pipe:
    case SYS_pipe2:
    case SYS_socketpair:
        if (r == 0 && c->pair)
            r = finish_fd_pair(c);
        break;
    case SYS_getsockopt:
        if (r == 0 && c->made && (*c->made = (int)call_fd_given(c->env, *c->made)) < 0)
            r = -EMFILE;
        break;
    case SYS_readlink:
    case SYS_readlinkat:
        r = finish_readlink(c, r);
        break;
    case SYS_getrusage:
    case SYS_times:
    case SYS_sysinfo:
        if (r >= 0)
            finish_usage(c);
        break;
    case SYS_getdents:
    case SYS_getdents64:
        r = finish_getdents(c, r);
        break;
    case SYS_recvmsg:
        if (r >= 0)
            r = finish_recvmsg(c, r);
        if (c->addr)
            r = finish_sockaddr(c, r);
        break;
    case SYS_sendmmsg:
    case SYS_recvmmsg:
        r = finish_messages(c, r);
        break;
    case SYS_signalfd:
    case SYS_signalfd4:
        if (r >= 0)
            signalfd_made();
        break;
    case SYS_poll:
    case SYS_ppoll:
        finish_poll(c, r);
        break;
    case SYS_io_setup:
    case SYS_io_destroy:
    case SYS_io_submit:
    case SYS_io_getevents:
    case SYS_io_pgetevents:
    case SYS_io_cancel:
        r = finish_aio(c, r);
        break;
    default:
        if (c->addr)
            r = finish_sockaddr(c, r);
        break;
    }
    for (unsigned i = 0; i < c->nback; i++)
        if (r >= 0 || c->back[i].always)
            memcpy(c->back[i].dst, c->back[i].src, c->back[i].len);
    return r;
}

long server_syscall6(long nr, const long arg[6])
{
    static const int never;
    return server_syscall_fn(nr, arg, &never);
}

long server_syscall(long nr, long a, long b, long c, long d)
{
    static const int never;
    return server_syscall_fn(nr, (const long[6]){a, b, c, d}, &never);
}
