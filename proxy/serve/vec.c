/* SPDX-License-Identifier: MIT */
/* Arrays of buffers and messages: copied first, then checked, and Linux gets the copy. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <lull/maps.h>
#include <lull/memmap.h>
#include <lull/syscalls.h>

#include "serve/call.h"
#include "serve/fanotify.h"
#include "serve/path_priv.h"

/*
 * Control data to send is at most net.core.optmem_max, to receive at most what the protocols write:
 * 253 descriptors, some addresses and times. More room changes nothing.
 */
#define CONTROL_SEND_MAX (1u << 20)
#define CONTROL_RECEIVE_MAX (64u << 10)
/* Of all messages of one call together; what does not fit is left for the next call. */
#define MESSAGES_MAX (8u << 20)
#define SCM_PIDFD_NR 4 /* Linux since 6.5 */

struct msg_copy {
    struct msghdr *own; /* what Linux gets */
    char *dst;          /* isle memory, in no way aligned */
    char *control_dst;
    size_t control_have; /* bytes of it that may be written */
    int recv_control;    /* 1: control holds what came */
    bool readonly;       /* the header may not be written: EFAULT when all is done */
};

/* sendmmsg, recvmmsg */
struct mmsg_copy {
    unsigned n;
    struct mmsghdr *own; /* what Linux gets */
    struct msg_copy *copy;
    char *dst;
};

static void iovec_check(const struct call *c, struct iovec *v, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t base = (uint64_t)v[i].iov_base, len = v[i].iov_len;
        void *bad = call_bad(base, len);
        if (len > CALL_MAX_RW && (ssize_t)len > 0)
            v[i].iov_len = len = CALL_MAX_RW;
        if (len)
            v[i].iov_base = call_mem(c, base, len);
        if (!v[i].iov_base || (!len && bad == (void *)LULL_BAD_RANGE))
            v[i].iov_base = bad;
    }
}

/*
 * Of the buffers only `have` bytes may be used, so there is one that ends in a bad page: it becomes
 * two, of which Linux meets the second as bad, where and when it comes there. There is room for one
 * buffer more than *count.
 */
static void iovec_split(struct iovec *v, uint64_t *count, uint64_t have)
{
    for (uint64_t i = 0; i < *count; i++)
        if ((ssize_t)v[i].iov_len < 0)
            return; /* EINVAL */
    for (uint64_t i = 0; i < *count; i++) {
        uint64_t len = v[i].iov_len < CALL_MAX_RW ? v[i].iov_len : CALL_MAX_RW;
        if (have >= len) {
            have -= len;
            continue;
        }
        struct iovec rest = {(void *)LULL_BAD_PTR, len - have};
        if (call_bad((uint64_t)v[i].iov_base, v[i].iov_len) == (void *)LULL_BAD_RANGE)
            return;
        if (have == 0) {
            v[i] = rest;
            return;
        }
        if (*count == CALL_MAX_IOV) /* no room: as if none of it could be used */
            have = 0;
        v[i].iov_len = have;
        if (have == 0) {
            v[i] = (struct iovec){(void *)LULL_BAD_PTR, len};
            return;
        }
        memmove(&v[i + 2], &v[i + 1], (*count - i - 1) * sizeof *v);
        v[i + 1] = rest;
        ++*count;
        return;
    }
}

void iovec_check_split(const struct call *c, struct iovec *v, uint64_t *count, uint64_t have)
{
    if (have)
        iovec_split(v, count, have - 1);
    iovec_check(c, v, *count);
}

/*
 * Own, checked copy of an iovec array; too many, none, bad: what makes Linux say so itself. `have`:
 * 1 + how many bytes of the buffers may be used, 0: all.
 */
struct iovec *iovec_copy(struct call *c, uint64_t va, uint64_t *count, uint64_t have,
                         bool *no_memory)
{
    *no_memory = false;
    if (va == 0)
        return NULL;
    if (*count == 0 || *count > CALL_MAX_IOV || !call_mem(c, va, *count * sizeof(struct iovec)))
        return (void *)LULL_BAD_PTR;
    struct iovec *v = arena_alloc(c->mem, (*count + 1) * sizeof *v);
    if (!v) {
        *no_memory = true;
        return (void *)LULL_BAD_PTR;
    }
    call_copy_in(c, v, va, *count * sizeof *v);
    iovec_check_split(c, v, count, have);
    return v;
}

bool decode_iovec(struct call *c, unsigned i, unsigned by, int64_t *answer)
{
    bool no_memory;
    uint64_t count = c->user[by], have = c->user[LULL_ARG_HAVE];
    if (c->nr == SYS_preadv2 || c->nr == SYS_pwritev2)
        have = c->user[4];
    else if (c->nr == SYS_process_vm_readv || c->nr == SYS_process_vm_writev)
        have = c->user[0] >> 32;
    c->arg[i] = (long)iovec_copy(c, c->user[i], &count, have, &no_memory);
    c->arg[by] = (long)count;
    c->arg_set |= 1u << by;
    return no_memory ? call_answer(answer, -ENOMEM) : true;
}

/*
 * A buffer that ends in a page that the program may not use: as two, of which Linux meets the
 * second as bad, where and when it comes there.
 */
bool decode_partial(struct call *c, int64_t *answer)
{
    uint64_t have = c->user[LULL_ARG_HAVE], n = (uint64_t)c->arg[2];
    if (have == 0 || n > CALL_MAX_RW || have >= n)
        return true;
    struct iovec *v = arena_alloc(c->mem, 2 * sizeof *v);
    if (!v)
        return call_answer(answer, -ENOMEM);
    v[0] = (struct iovec){call_ptr(c, c->user[1], have), have};
    v[1] = (struct iovec){(void *)LULL_BAD_PTR, n - have};
    c->nr = c->nr == SYS_read      ? SYS_readv
            : c->nr == SYS_write   ? SYS_writev
            : c->nr == SYS_pread64 ? SYS_preadv
                                   : SYS_pwritev;
    c->arg[1] = (long)v;
    c->arg[2] = 2;
    c->arg[4] = 0;
    return true;
}

bool decode_vmsplice(struct call *c, int64_t *answer)
{
    return decode_iovec(c, 1, 2, answer);
}

/* The same of sendto and recvfrom, as a message of two buffers. */
bool decode_partial_message(struct call *c, int64_t *answer)
{
    uint64_t have = c->user[3] >> 32, n = (uint64_t)c->arg[2];
    struct msghdr m = {0};
    c->arg[3] = (long)(uint32_t)c->user[3];
    if (!have--)
        return true;
    if (n > CALL_MAX_RW || have >= n ||
        (c->nr == SYS_sendto && c->arg[4] && (uint64_t)c->arg[5] > sizeof(struct sockaddr_storage)))
        return true;
    struct iovec *v = arena_alloc(c->mem, 2 * sizeof *v + sizeof m);
    if (!v)
        return call_answer(answer, -ENOMEM);
    v[0] = (struct iovec){have ? call_ptr(c, c->user[1], have) : (void *)LULL_BAD_PTR, have};
    v[1] = (struct iovec){(void *)LULL_BAD_PTR, n - have};
    m.msg_iov = v;
    m.msg_iovlen = 2;
    m.msg_name = (void *)c->arg[4];
    if (c->nr == SYS_sendto)
        m.msg_namelen = m.msg_name ? (socklen_t)c->arg[5] : 0;
    else if (!(m.msg_namelen = address_room(c->addr)))
        m.msg_name = NULL;
    c->from = (struct msghdr *)(v + 2);
    *c->from = m;
    c->nr = c->nr == SYS_sendto ? SYS_sendmsg : SYS_recvmsg;
    c->arg[1] = (long)c->from;
    c->arg[2] = c->arg[3];
    return true;
}

/* A descriptor of the proxy in SCM_RIGHTS becomes one that does not exist. */
static void control_check(const struct call_env *env, char *control, size_t len)
{
    size_t at = 0;
    while (len - at >= sizeof(struct cmsghdr)) {
        struct cmsghdr h;
        memcpy(&h, control + at, sizeof h);
        if (h.cmsg_len < sizeof h || h.cmsg_len > len - at)
            return; /* Linux: EINVAL */
        if (h.cmsg_level == SOL_SOCKET && h.cmsg_type == SCM_RIGHTS)
            for (size_t k = CMSG_LEN(0); k + sizeof(int) <= h.cmsg_len; k += sizeof(int)) {
                int fd;
                memcpy(&fd, control + at + k, sizeof fd);
                if (call_fd_is_own(env, fd))
                    fd = -1;
                memcpy(control + at + k, &fd, sizeof fd);
            }
        size_t step = CMSG_ALIGN(h.cmsg_len);
        if (step > len - at)
            return;
        at += step;
    }
}

static int control_send(struct call *c, struct msghdr *m, uint64_t word)
{
    if (m->msg_controllen > CONTROL_SEND_MAX) {
        m->msg_control = (void *)LULL_BAD_PTR; /* ENOBUFS: beyond optmem_max */
        return 0;
    }
    if (m->msg_controllen == 0) /* Linux does not look at the pointer */
        return 0;
    bool fault = LULL_MSG_CONTROL(word);
    char *own = fault ? NULL : call_dup(c, (uint64_t)m->msg_control, m->msg_controllen, &fault);
    if (!own && !fault)
        return -ENOMEM;
    m->msg_control = own ? own : (void *)LULL_BAD_PTR;
    if (own)
        control_check(c->env, own, m->msg_controllen);
    return 0;
}

static int control_receive(struct call *c, struct msg_copy *k, uint64_t word)
{
    struct msghdr *m = k->own;
    if (!m->msg_control || m->msg_controllen == 0)
        return 0;
    if (m->msg_controllen > CONTROL_RECEIVE_MAX)
        m->msg_controllen = CONTROL_RECEIVE_MAX;
    k->control_have = m->msg_controllen;
    if (LULL_MSG_CONTROL(word) && LULL_MSG_CONTROL(word) - 1 < k->control_have)
        k->control_have = LULL_MSG_CONTROL(word) - 1;
    k->control_dst =
        k->control_have ? call_mem(c, (uint64_t)m->msg_control, k->control_have) : NULL;
    m->msg_control = (void *)LULL_BAD_PTR;
    if (!k->control_dst)
        return 0;
    char *own = arena_alloc(c->mem, m->msg_controllen);
    if (!own)
        return -ENOMEM;
    memset(own, 0, m->msg_controllen);
    m->msg_control = own;
    k->recv_control = 1;
    return 0;
}

/* One header, already in k->own, and the kernel's word on it: 0 or -ENOMEM and its like. */
static int64_t message_check(struct call *c, struct msg_copy *k, bool send, uint64_t word)
{
    struct msghdr *m = k->own;
    /* A name is at most a sockaddr_storage to Linux; a negative length is its EINVAL. */
    int name_len = (int)m->msg_namelen;
    if (name_len > (int)sizeof(struct sockaddr_storage))
        name_len = sizeof(struct sockaddr_storage);
    if (m->msg_name)
        m->msg_name = word & LULL_MSG_BAD_NAME ? (void *)LULL_BAD_PTR
                                               : call_ptr(c, (uint64_t)m->msg_name,
                                                          name_len > 0 ? (uint64_t)name_len : 0);
    if (name_len > 0)
        m->msg_namelen = (socklen_t)name_len;
    k->readonly = word & LULL_MSG_READONLY;

    bool no_memory;
    uint64_t count = m->msg_iovlen;
    m->msg_iov = word & LULL_MSG_BAD_ARRAY ? (no_memory = false, (void *)LULL_BAD_PTR)
                                           : iovec_copy(c, (uint64_t)m->msg_iov, &count,
                                                        LULL_MSG_BYTES(word), &no_memory);
    m->msg_iovlen = count;
    if (no_memory)
        return -ENOMEM;
    return send ? control_send(c, m, word) : control_receive(c, k, word);
}

bool decode_msghdr(struct call *c, unsigned i, bool send, int64_t *answer)
{
    struct msg_copy *k = arena_alloc(c->mem, sizeof *k + sizeof *k->own);
    if (!k)
        return call_answer(answer, -ENOMEM);
    memset(k, 0, sizeof *k);
    k->own = (struct msghdr *)(k + 1);
    if (!call_copy_in(c, k->own, c->user[i], sizeof *k->own)) {
        c->arg[i] = (long)LULL_BAD_PTR;
        return true;
    }
    k->dst = call_mem(c, c->user[i], sizeof *k->own);
    c->arg[i] = (long)k->own;
    int64_t err = message_check(c, k, send, c->user[LULL_ARG_HAVE]);
    if (err)
        return call_answer(answer, err);
    c->msg = k;
    return true;
}

/* Control data that is too long for one message ends the call before it: that one is left to
   fail. */
static int64_t messages_check(struct call *c, struct mmsg_copy *mm, bool send)
{
    size_t total = 0;
    for (unsigned i = 0; i < mm->n; i++) {
        struct msg_copy *k = &mm->copy[i];
        k->own = &mm->own[i].msg_hdr;
        k->dst = mm->dst + i * sizeof mm->own[0];
        int64_t err = message_check(c, k, send, i ? 0 : c->user[LULL_ARG_HAVE]);
        if (err == -ENOMEM || (err && i == 0))
            return err;
        if (err)
            mm->n = i;
        total += k->own->msg_iovlen > CALL_MAX_IOV ? 0 : k->own->msg_iovlen * sizeof(struct iovec);
        total += send || k->recv_control ? k->own->msg_controllen : 0;
        if (total > MESSAGES_MAX && i + 1 < mm->n)
            mm->n = i + 1;
    }
    return 0;
}

bool decode_messages(struct call *c, bool send, int64_t *answer)
{
    uint64_t n = (uint32_t)c->user[2];
    if (n > CALL_MAX_IOV) /* as Linux */
        n = CALL_MAX_IOV;
    c->arg[1] = (long)LULL_BAD_PTR;
    c->arg[2] = (long)n;
    if (!n)
        return true;
    bool fault;
    struct mmsg_copy *mm = arena_alloc(c->mem, sizeof *mm + n * sizeof *mm->copy);
    struct mmsghdr *own = call_dup(c, c->user[1], n * sizeof *own, &fault);
    if (!mm || (!own && !fault))
        return call_answer(answer, -ENOMEM);
    if (fault)
        return true;
    memset(mm, 0, sizeof *mm + n * sizeof *mm->copy);
    mm->n = (unsigned)n;
    mm->own = own;
    mm->copy = (struct msg_copy *)(mm + 1);
    mm->dst = call_mem(c, c->user[1], n * sizeof *own);
    int64_t err = messages_check(c, mm, send);
    if (err)
        return call_answer(answer, err);
    c->arg[1] = (long)own;
    c->arg[2] = mm->n;
    c->mmsg = mm;
    return send ? true : decode_timespec(c, 4, answer);
}

/* As where Linux could not make it. */
static void pidfd_drop_high(const struct call_env *env, char *data)
{
    int fd;
    memcpy(&fd, data, sizeof fd);
    if (fd < 0)
        return;
    fd = (int)call_fd_given(env, fd);
    memcpy(data, &fd, sizeof fd);
}

/* Descriptors that came with numbers the application may not have: as if there was no room. */
static void control_drop_high(const struct call_env *env, struct msghdr *m)
{
    char *control = m->msg_control;
    size_t at = 0;
    while (m->msg_controllen - at >= sizeof(struct cmsghdr)) {
        struct cmsghdr h;
        memcpy(&h, control + at, sizeof h);
        if (h.cmsg_len < sizeof h || h.cmsg_len > m->msg_controllen - at)
            return;
        if (h.cmsg_level == SOL_SOCKET && h.cmsg_type == SCM_RIGHTS) {
            size_t keep = CMSG_LEN(0);
            for (size_t k = keep; k + sizeof(int) <= h.cmsg_len; k += sizeof(int)) {
                int fd;
                memcpy(&fd, control + at + k, sizeof fd);
                if ((fd = (int)call_fd_given(env, fd)) < 0) {
                    m->msg_flags |= MSG_CTRUNC;
                    continue;
                }
                memcpy(control + at + keep, &fd, sizeof fd);
                keep += sizeof(int);
                signalfd_came(fd);
                fanotify_came(fd);
            }
            size_t old = h.cmsg_len;
            h.cmsg_len = keep;
            memcpy(control + at, &h, sizeof h);
            h.cmsg_len = old;
        }
        if (h.cmsg_level == SOL_SOCKET && h.cmsg_type == SCM_PIDFD_NR &&
            h.cmsg_len >= CMSG_LEN(sizeof(int)))
            pidfd_drop_high(env, control + at + CMSG_LEN(0));
        size_t step = CMSG_ALIGN(h.cmsg_len);
        if (step > m->msg_controllen - at)
            return;
        at += step;
    }
}

/* How much of the control data that came fits into `have` bytes, as whole pieces. */
static size_t control_fits(const struct msghdr *m, size_t have)
{
    const char *control = m->msg_control;
    size_t at = 0;
    if (m->msg_controllen <= have)
        return m->msg_controllen;
    while (have - at >= sizeof(struct cmsghdr)) {
        struct cmsghdr h;
        memcpy(&h, control + at, sizeof h);
        size_t step = CMSG_ALIGN(h.cmsg_len);
        if (h.cmsg_len < sizeof h || step > have - at)
            break;
        at += step;
    }
    return at;
}

/* What Linux wrote to the copy of one header. False: it may not be written to the isle's. */
static bool message_back(struct call *c, struct msg_copy *k)
{
    struct msghdr *m = k->own;
    if (k->recv_control) {
        control_drop_high(c->env, m);
        m->msg_controllen = control_fits(m, k->control_have);
        memcpy(k->control_dst, m->msg_control, m->msg_controllen);
    }
    if (k->readonly)
        return false;
    if (m->msg_name)
        memcpy(k->dst + offsetof(struct msghdr, msg_namelen), &m->msg_namelen,
               sizeof m->msg_namelen);
    memcpy(k->dst + offsetof(struct msghdr, msg_controllen), &m->msg_controllen,
           sizeof m->msg_controllen);
    memcpy(k->dst + offsetof(struct msghdr, msg_flags), &m->msg_flags, sizeof m->msg_flags);
    return true;
}

int64_t finish_recvmsg(struct call *c, int64_t r)
{
    if (c->from)
        address_came(c->addr, c->from->msg_namelen);
    return c->msg && !message_back(c, c->msg) ? -EFAULT : r;
}

int64_t finish_messages(struct call *c, int64_t r)
{
    struct mmsg_copy *mm = c->mmsg;
    for (int64_t i = 0; mm && i < r && i < mm->n; i++) {
        if (c->nr == SYS_recvmmsg ? !message_back(c, &mm->copy[i]) : mm->copy[i].readonly)
            return i ? i : -EFAULT;
        memcpy(mm->dst + (size_t)i * sizeof mm->own[0] + offsetof(struct mmsghdr, msg_len),
               &mm->own[i].msg_len, sizeof mm->own[i].msg_len);
    }
    return r;
}

/* ---- process_vm_readv, process_vm_writev ---- */

/* Is that process an isle? It runs the proxy's own program then. */
static bool runs_proxy(const struct call *c, int pid)
{
    char path[64];
    struct stat own, other;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    return call_shows_proxy(c, pid) || path_nested() ||
           (stat("/proc/self/exe", &own) == 0 && stat(path, &other) == 0 &&
            own.st_dev == other.st_dev && own.st_ino == other.st_ino);
}

static bool read_from(int pid, void *to, uint64_t from, size_t len)
{
    struct iovec local = {to, len}, remote = {(void *)from, len};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)len;
}

/*
 * The mappings of an isle, as its kernel has them, in a quiet moment: their number, -1: not to be
 * had. As hostile as all of isle memory: what is wrong there is the peer's own loss.
 */
static long maps_of(struct call *c, int pid, struct lull_map **out)
{
    for (int try = 0; try < 50; try++) {
        struct lull_maps head, again;
        if (!read_from(pid, &head, LULL_KTABLES, sizeof head) || head.count > LULL_MAPS_MAX)
            return -1;
        size_t len = head.count * sizeof **out;
        *out = arena_alloc(c->mem, len ? len : 1);
        if (!*out || (len && !read_from(pid, *out, LULL_KTABLES + sizeof head, len)) ||
            !read_from(pid, &again, LULL_KTABLES, sizeof again))
            return -1;
        if (!(head.seq & 1) && head.seq == again.seq)
            return head.count;
        sched_yield();
    }
    return -1;
}

/* How far [at, end) may be used so. */
static uint64_t usable_end(const struct lull_map *map, long n, uint64_t at, uint64_t end,
                           uint32_t prot)
{
    long low = 0, high = n;
    while (low < high) { /* the first that ends behind `at` */
        long mid = low + (high - low) / 2;
        if (map[mid].end <= at)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < n && at < end && map[low].start <= at && (map[low].prot & prot) == prot; low++)
        at = map[low].end;
    return at < end ? at : end;
}

/* The first address without the right is one that nobody has: there Linux ends the transfer. */
static void limit_to_rights(struct iovec *v, uint64_t *count, const struct lull_map *map, long n,
                            uint32_t prot)
{
    for (uint64_t i = 0; i < *count; i++) {
        uint64_t at = (uint64_t)v[i].iov_base, len = v[i].iov_len;
        if (!len || (ssize_t)len < 0 || call_bad(at, len) == (void *)LULL_BAD_RANGE)
            continue;
        uint64_t have = usable_end(map, n, at, at + len, prot) - at;
        if (have == len)
            continue;
        if (have && i + 1 < CALL_MAX_IOV) {
            v[i++].iov_len = have;
            *count = i + 1;
        }
        v[i] = (struct iovec){(void *)LULL_BAD_PTR, len - have};
        return;
    }
}

/*
 * The fourth argument is addresses in a process. Its rights are Linux's to judge, unless it is an
 * isle, this one or another: then they are what its own table of mappings says.
 */
bool decode_process_vm(struct call *c, int64_t *answer)
{
    uint64_t n = c->user[4];
    int pid = (int)(uint32_t)c->user[0];
    struct lull_map *map;
    c->arg[0] = pid;
    c->arg[3] = (long)LULL_BAD_PTR;
    if (n == 0 || n > CALL_MAX_IOV || !call_mem(c, c->user[3], n * sizeof(struct iovec)))
        return true; /* Linux: nothing, EINVAL, EFAULT */
    struct iovec *own = arena_alloc(c->mem, (n + 1) * sizeof *own);
    if (!own)
        return call_answer(answer, -ENOMEM);
    call_copy_in(c, own, c->user[3], n * sizeof *own);
    c->arg[3] = (long)own;
    if (!runs_proxy(c, pid)) {
        if (call_shows_proxy(c, pid)) /* a thread of the proxy, a child before its execve */
            return call_answer(answer, -ESRCH);
        return true;
    }
    long maps = maps_of(c, pid, &map);
    if (maps < 0 && pid == c->env->pid)
        return call_answer(answer, -EFAULT);
    if (maps >= 0)
        limit_to_rights(own, &n, map, maps,
                        c->nr == SYS_process_vm_readv ? LULL_PROT_READ : LULL_PROT_WRITE);
    c->arg[4] = (long)n;
    return true;
}
