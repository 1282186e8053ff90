/* SPDX-License-Identifier: MIT */
/* Arrays of buffers and messages: copied first, then checked, and Linux gets the copy. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <lull/syscalls.h>

#include "serve/call.h"
#include "serve/fanotify.h"

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
    void *control_dst;
    int recv_control; /* 1: control holds what came */
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
        if (v[i].iov_len > CALL_MAX_RW && (ssize_t)v[i].iov_len > 0)
            v[i].iov_len = CALL_MAX_RW;
        if (v[i].iov_len)
            v[i].iov_base = call_mem(c, (uint64_t)v[i].iov_base, v[i].iov_len);
        if (!v[i].iov_base)
            v[i].iov_base = (void *)LULL_BAD_PTR;
    }
}

/* Own, checked copy of an iovec array; too many, none, bad: what makes Linux say so itself. */
static struct iovec *iovec_copy(struct call *c, uint64_t va, uint64_t count, bool *no_memory)
{
    *no_memory = false;
    if (va == 0)
        return NULL;
    if (count == 0 || count > CALL_MAX_IOV)
        return (void *)LULL_BAD_PTR;
    bool fault;
    struct iovec *v = call_dup(c, va, count * sizeof *v, &fault);
    if (!v) {
        *no_memory = !fault;
        return (void *)LULL_BAD_PTR;
    }
    iovec_check(c, v, count);
    return v;
}

bool decode_iovec(struct call *c, unsigned i, uint64_t count, int64_t *answer)
{
    bool no_memory;
    c->arg[i] = (long)iovec_copy(c, c->user[i], count, &no_memory);
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
    return decode_iovec(c, 1, c->user[2], answer);
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

static int control_send(struct call *c, struct msghdr *m)
{
    if (m->msg_controllen > INT32_MAX || m->msg_controllen > CONTROL_SEND_MAX)
        return -ENOBUFS;        /* as Linux beyond optmem_max */
    if (m->msg_controllen == 0) /* Linux does not look at the pointer */
        return 0;
    bool fault;
    char *own = call_dup(c, (uint64_t)m->msg_control, m->msg_controllen, &fault);
    if (!own && !fault)
        return -ENOMEM;
    m->msg_control = own ? own : (void *)LULL_BAD_PTR;
    if (own)
        control_check(c->env, own, m->msg_controllen);
    return 0;
}

static int control_receive(struct call *c, struct msg_copy *k)
{
    struct msghdr *m = k->own;
    if (!m->msg_control || m->msg_controllen == 0)
        return 0;
    if (m->msg_controllen > CONTROL_RECEIVE_MAX)
        m->msg_controllen = CONTROL_RECEIVE_MAX;
    k->control_dst = call_mem(c, (uint64_t)m->msg_control, m->msg_controllen);
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

/* One header, already in k->own: 0 or -ENOMEM and its like. */
static int64_t message_check(struct call *c, struct msg_copy *k, bool send)
{
    struct msghdr *m = k->own;
    /* A name is at most a sockaddr_storage to Linux; a negative length is its EINVAL. */
    int name_len = (int)m->msg_namelen;
    if (name_len > (int)sizeof(struct sockaddr_storage))
        name_len = sizeof(struct sockaddr_storage);
    if (m->msg_name)
        m->msg_name = call_ptr(c, (uint64_t)m->msg_name, name_len > 0 ? (uint64_t)name_len : 0);
    if (name_len > 0)
        m->msg_namelen = (socklen_t)name_len;

    bool no_memory;
    m->msg_iov = iovec_copy(c, (uint64_t)m->msg_iov, m->msg_iovlen, &no_memory);
    if (no_memory)
        return -ENOMEM;
    return send ? control_send(c, m) : control_receive(c, k);
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
    int64_t err = message_check(c, k, send);
    if (err)
        return call_answer(answer, err);
    c->msg = k;
    return true;
}

/* Control data that is too long for one message ends the call before it: that one is left to fail.
 */
static int64_t messages_check(struct call *c, struct mmsg_copy *mm, bool send)
{
    size_t total = 0;
    for (unsigned i = 0; i < mm->n; i++) {
        struct msg_copy *k = &mm->copy[i];
        k->own = &mm->own[i].msg_hdr;
        k->dst = mm->dst + i * sizeof mm->own[0];
        int64_t err = message_check(c, k, send);
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

/* What Linux wrote to the copy of one header. */
static void message_back(struct call *c, struct msg_copy *k)
{
    struct msghdr *m = k->own;
    if (k->recv_control) {
        control_drop_high(c->env, m);
        memcpy(k->control_dst, m->msg_control, m->msg_controllen);
    }
    if (m->msg_name)
        memcpy(k->dst + offsetof(struct msghdr, msg_namelen), &m->msg_namelen,
               sizeof m->msg_namelen);
    memcpy(k->dst + offsetof(struct msghdr, msg_controllen), &m->msg_controllen,
           sizeof m->msg_controllen);
    memcpy(k->dst + offsetof(struct msghdr, msg_flags), &m->msg_flags, sizeof m->msg_flags);
}

void finish_recvmsg(struct call *c)
{
    if (c->msg)
        message_back(c, c->msg);
}

void finish_messages(struct call *c, int64_t r)
{
    struct mmsg_copy *mm = c->mmsg;
    for (int64_t i = 0; mm && i < r && i < mm->n; i++) {
        memcpy(mm->dst + (size_t)i * sizeof mm->own[0] + offsetof(struct mmsghdr, msg_len),
               &mm->own[i].msg_len, sizeof mm->own[i].msg_len);
        if (c->nr == SYS_recvmmsg)
            message_back(c, &mm->copy[i]);
    }
}

/*
 * process_vm_readv, process_vm_writev: the fourth argument is addresses in another process, which
 * are Linux's to judge; in this one they are the isle's or nobody's.
 */
bool decode_process_vm(struct call *c, int64_t *answer)
{
    uint64_t n = c->user[4];
    bool fault, no_memory;
    int pid = (int)c->user[0];
    c->arg[3] = (long)LULL_BAD_PTR;
    if (n == 0 || n > CALL_MAX_IOV) /* Linux: nothing, EINVAL */
        return true;
    if (call_shows_proxy(c, pid) || server_syscall(SYS_tgkill, c->env->pid, pid, 0, 0) == 0) {
        c->arg[3] = (long)iovec_copy(c, c->user[3], n, &no_memory);
        return no_memory ? call_answer(answer, -ENOMEM) : true;
    }
    void *own = call_dup(c, c->user[3], n * sizeof(struct iovec), &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    if (own)
        c->arg[3] = (long)own;
    return true;
}
