/* SPDX-License-Identifier: MIT */
/*
 * poll and select: sets of descriptors, times that Linux counts down. The signal mask of ppoll and
 * pselect6 is the isle kernel's, which knows the program's signals; Linux is asked without one.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>

#include "ownfd.h"
#include "serve/call.h"

/* Argument i, a time of 16 bytes that is read and written: own copy. */
bool decode_timespec(struct call *c, unsigned i, int64_t *answer)
{
    if (c->user[i] == 0)
        return true;
    bool fault;
    void *own = call_dup(c, c->user[i], 16, &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[i] = fault ? (long)LULL_BAD_PTR : (long)own;
    if (own)
        call_back(c, call_mem(c, c->user[i], 16), own, 16, true);
    return true;
}

/* The same, unless the program may not write there: then Linux says nothing of what is left. */
static bool decode_time(struct call *c, unsigned i, int64_t *answer)
{
    unsigned before = c->nback;
    if (!decode_timespec(c, i, answer))
        return false;
    if (c->user[LULL_ARG_HAVE])
        c->nback = before;
    return true;
}

bool decode_epoll_pwait2(struct call *c, int64_t *answer)
{
    bool fault;
    c->arg[4] = 0; /* the mask is the isle kernel's business */
    if (!c->user[3])
        return true;
    void *own = call_dup(c, c->user[3], 16, &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[3] = fault ? (long)LULL_BAD_PTR : (long)own;
    return true;
}

bool decode_poll(struct call *c, int64_t *answer)
{
    if (c->nr == SYS_ppoll) {
        c->arg[3] = 0;
        if (!decode_time(c, 2, answer))
            return false;
    }
    uint32_t n = (uint32_t)c->user[1];
    if (n == 0)
        return true;
    c->arg[0] = (long)LULL_BAD_PTR;
    if (n > ownfd_soft()) /* Linux: EINVAL, before it looks */
        return true;
    bool fault;
    struct pollfd *own = call_dup(c, c->user[0], n * sizeof *own, &fault);
    if (!own)
        return fault ? true : call_answer(answer, -ENOMEM);
    for (uint32_t i = 0; i < n; i++)
        if (call_fd_is_own(c->env, own[i].fd))
            own[i].fd = INT_MAX; /* never open: POLLNVAL */
    c->arg[0] = (long)own;
    c->pollfd = own;
    return true;
}

void finish_poll(struct call *c, int64_t r)
{
    if (!c->pollfd || r < 0)
        return;
    uint32_t n = (uint32_t)c->user[1];
    char *dst = call_mem(c, c->user[0], n * sizeof(struct pollfd));
    for (uint32_t i = 0; dst && i < n; i++)
        memcpy(dst + i * sizeof(struct pollfd) + offsetof(struct pollfd, revents),
               &c->pollfd[i].revents, sizeof c->pollfd[i].revents);
}

/* Bits from n on are not looked at by Linux, but its copy is in whole words. */
static void set_cut(uint64_t *set, unsigned n)
{
    if (n % 64)
        set[n / 64] &= (UINT64_C(1) << n % 64) - 1;
}

bool decode_select(struct call *c, int64_t *answer)
{
    int n = (int)c->user[0];
    /* as Linux cuts at the size of the table of descriptors */
    if (n > c->env->fd_low && n <= c->env->fd_end)
        n = c->env->fd_low;
    c->arg[0] = n;
    size_t bytes = n > 0 ? ((size_t)n + 63) / 64 * 8 : 0;
    for (unsigned i = 1; i <= 3; i++) {
        c->arg[i] = (long)(c->user[i] ? LULL_BAD_PTR : 0);
        if (c->user[i] == 0 || bytes == 0)
            continue;
        bool fault;
        uint64_t *own = call_dup(c, c->user[i], bytes, &fault);
        if (!own && !fault)
            return call_answer(answer, -ENOMEM);
        if (!own)
            continue;
        set_cut(own, (unsigned)n);
        for (int fd = c->env->fd_low; n > c->env->fd_end && fd < c->env->fd_end; fd++)
            own[fd / 64] &= ~(UINT64_C(1) << fd % 64);
        c->arg[i] = (long)own;
        call_back(c, call_mem(c, c->user[i], bytes), own, bytes, false);
    }
    c->arg[5] = 0;
    return decode_time(c, 4, answer);
}
