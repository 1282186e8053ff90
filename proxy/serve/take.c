/* SPDX-License-Identifier: MIT */
/* From the submission ring to the completion ring: one call's way through the proxy. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "serve/agent.h"
#include "serve/aio.h"
#include "serve/server_priv.h"
#include "systable.h"

/* Longer ones would hold up the other calls: bytes. */
#define TRY_WRITEV_MAX 65536

pid_t thread_id(void)
{
    static _Thread_local pid_t tid;
    if (!tid)
        tid = (pid_t)syscall(SYS_gettid);
    return tid;
}

void server_break(struct server *s, unsigned core, const char *how)
{
    if (__atomic_exchange_n(&s->broken, 1, __ATOMIC_ACQ_REL))
        return;
    char text[160];
    snprintf(text, sizeof text, "the isle broke its channel: core %u: %s", core, how);
    s->config.broken(s->config.ctx, text);
}

static bool class_is_forwarded(uint8_t class)
{
    return class >= LULL_SYS_QUICK && class <= LULL_SYS_INTERNAL;
}

/* What is wrong with a submission, or NULL. */
static const char *sqe_fault(const struct lull_sqe *e, char *text, size_t len)
{
    if (e->slot >= LULL_CHAN_SLOTS)
        snprintf(text, len, "slot %u of %u", e->slot, LULL_CHAN_SLOTS);
    else if (e->nr >= LULL_NR_MAX || !class_is_forwarded(lull_systable[e->nr].class))
        snprintf(text, len, "system call %u is not one that is forwarded", e->nr);
    else
        return NULL;
    return text;
}

bool flight_waits_in_ring(const struct server *s, unsigned core, unsigned slot)
{
    const struct lull_channel *ch = isle_channel(s->config.isle, core);
    uint32_t head = s->core[core].sq_head, pending = lull_load_acquire(&ch->sq_tail) - head;
    for (uint32_t i = 0; i < pending && i < LULL_CHAN_DEPTH; i++)
        if (ch->sq[(head + i) & (LULL_CHAN_DEPTH - 1)].slot == slot)
            return true;
    return false;
}

int flight_take(struct server *s, unsigned core, struct flight **out)
{
    struct server_core *k = &s->core[core];
    struct lull_channel *ch = isle_channel(s->config.isle, core);
    struct lull_sqe e;
    char text[80];
    const char *fault = NULL;
    if (lull_load_acquire(&ch->sq_tail) == k->sq_head)
        return 0;
    /* Under the lock from the ring to the flight, so that server_cancel() finds it in one. */
    pthread_mutex_lock(&k->lock);
    int r = lull_chan_take(ch, &k->sq_head, &e);
    if (r < 0) {
        fault = "more submissions than the ring has room for";
    } else if (r > 0 && !(fault = sqe_fault(&e, text, sizeof text))) {
        struct flight *f = &k->flight[e.slot];
        if (f->state != FLIGHT_FREE) {
            snprintf(text, sizeof text, "slot %u submitted again before it was completed", e.slot);
            fault = text;
        } else {
            f->sqe = e;
            f->core = (uint16_t)core;
            f->done = 0;
            f->tid = thread_id();
            __atomic_store_n(&f->cancel, f->early && flight_interruptible(f), __ATOMIC_RELAXED);
            f->early = 0;
            if (e.slot >= k->nflights)
                k->nflights = e.slot + 1;
            f->state = FLIGHT_RUNNING;
            *out = f;
        }
    }
    pthread_mutex_unlock(&k->lock);
    if (fault) {
        server_break(s, core, fault);
        return -1;
    }
    if (r > 0)
        count(&s->stats.calls);
    return r;
}

void flight_complete(struct server *s, struct flight *f, int64_t result)
{
    unsigned core = f->core;
    struct server_core *k = &s->core[core];
    pthread_mutex_lock(&k->lock);
    bool cancelled = f->cancel, publish = !server_halted(s);
    f->state = FLIGHT_FREE; /* first: the kernel may use the slot at once */
    if (publish)
        lull_chan_complete(isle_channel(s->config.isle, core), &k->cq_tail, f->sqe.slot, result);
    pthread_mutex_unlock(&k->lock);
    if (publish) {
        lull_fence();
        s->config.ring(s->config.ctx, core);
    }
    /* A cancel signal was sent before the lock was free: take it now, not in the next call. */
    if (cancelled)
        syscall(SYS_gettid);
}

/*
 * The program has asked for a signal when something happens to a file or a queue: its own calls can
 * make that happen, and then the signal comes before the call ends.
 */
static atomic_bool signals_expected;

static bool asks_for_signals(const struct call *c)
{
    if (c->nr == SYS_mq_notify)
        return true;
    if (c->nr == SYS_ioctl)
        return (uint32_t)c->user[1] == FIOASYNC;
    if (c->nr != SYS_fcntl)
        return false;
    switch ((int)c->user[1]) {
    case F_SETFL:
        return c->user[2] & O_ASYNC;
    case F_SETSIG:
    case F_SETOWN:
    case F_SETOWN_EX:
    case F_SETLEASE:
    case F_NOTIFY:
        return true;
    default:
        return false;
    }
}

/* True of a call that sets a clock; adjtimex(2) and its like do so at times only. */
static bool sets_clock(const struct call *c)
{
    const struct timex *tx = (const struct timex *)c->arg[c->nr == SYS_clock_adjtime];
    switch (c->nr) {
    case SYS_clock_settime:
    case SYS_settimeofday:
        return true;
    case SYS_adjtimex:
    case SYS_clock_adjtime:
        return tx->modes & (ADJ_SETOFFSET | ADJ_TAI);
    default:
        return false;
    }
}

static bool writes_to_stream(uint32_t nr)
{
    switch (nr) {
    case SYS_write:
    case SYS_writev:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
    case SYS_splice:
        return true;
    default:
        return false;
    }
}

/* Linux may have left this signal pending for the thread that made the call, where it is
   blocked. */
static bool take_signal(int signo)
{
    uint64_t set = UINT64_C(1) << (signo - 1);
    struct timespec now = {0};
    return server_syscall(SYS_rt_sigtimedwait, (long)&set, 0, (long)&now, sizeof set) == signo;
}

static size_t iov_total(const struct call *c)
{
    const struct iovec *v = (void *)c->arg[1];
    if (c->arg[2] <= 0 || c->arg[2] > CALL_MAX_IOV || (uintptr_t)v <= LULL_BAD_PTR)
        return 0;
    size_t total = 0;
    for (long i = 0; i < c->arg[2]; i++)
        if (__builtin_add_overflow(total, v[i].iov_len, &total))
            return SIZE_MAX;
    return total;
}

/* How much a call is to write; 0: it writes nothing, or there is no telling. */
static size_t bytes_to_write(const struct call *c)
{
    switch (c->nr) {
    case SYS_write:
    case SYS_sendto:
        return (size_t)c->arg[2];
    case SYS_writev:
        return iov_total(c);
    default:
        return 0;
    }
}

/* The answer, with the signal that Linux raised along with it. */
static long with_signal(const struct call *c, long r)
{
    if (r == -EPIPE)
        return take_signal(SIGPIPE) ? -LULL_ESIGPIPE : r;
    if (r == -EFBIG)
        return take_signal(SIGXFSZ) ? -LULL_ESIGXFSZ : r;
    if (r > 0 && aio_may_raise(c))
        return r + (take_signal(SIGPIPE) ? LULL_SIGPIPE : 0) +
               (take_signal(SIGXFSZ) ? LULL_SIGXFSZ : 0);
    if (r > 0 && (size_t)r < bytes_to_write(c) && take_signal(SIGPIPE))
        return r + LULL_SIGPIPE;
    return r;
}

bool flight_interruptible(const struct flight *f)
{
    switch (lull_systable[f->sqe.nr].class) {
    case LULL_SYS_QUICK:
        return false;
    case LULL_SYS_INTERNAL:
        return f->sqe.nr == LULL_NR_FUTEX;
    default:
        return true;
    }
}

/*
 * A call of which the program's signal came before it had begun. It is made, and a timer interrupts
 * it where it waits, again and again, because the first time may be too early. So Linux decides
 * whether it is EINTR.
 */
static long invoke_interrupted(long nr, const long arg[6])
{
    static const int never;
    timer_t timer;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID,
                          .sigev_signo = SERVER_CANCEL_SIGNAL,
                          .sigev_value.sival_ptr = &cancel_timer};
    struct itimerspec when = {{0, 200000}, {0, 20000}};
    ev._sigev_un._tid = thread_id();
    if (timer_create(CLOCK_MONOTONIC, &ev, &timer))
        return -EINTR;
    timer_settime(timer, 0, &when, NULL);
    long r = server_syscall_fn(nr, arg, &never);
    timer_delete(timer);
    return r;
}

static long invoke(struct server *s, struct flight *f, struct call *c)
{
    long r, nr = c->as ? c->as : c->nr;
    /* EINTR without a cancel: a signal of the proxy's own business, nothing the program sent. */
    do
        r = server_syscall_fn(nr, c->arg, &f->cancel);
    while (r == -EINTR && c->nr != SYS_close && c->nr != SYS_connect &&
           !__atomic_load_n(&f->cancel, __ATOMIC_RELAXED));
    if (r == CALL_NOT_BEGUN)
        r = server_halted(s) ? -EINTR : invoke_interrupted(nr, c->arg);
    return with_signal(c, r);
}

/* With a timeout a socket's calls are not made again behind a handler, SA_RESTART or not. */
static long interrupted(const struct call *c)
{
    struct timeval t = {0, 0};
    static const int name[2] = {SO_RCVTIMEO, SO_SNDTIMEO};
    bool sends = writes_to_stream(c->nr) || c->nr == SYS_connect;
    socklen_t len = sizeof t;
    switch (c->nr) {
    case SYS_read:
    case SYS_readv:
    case SYS_write:
    case SYS_writev:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_recvmmsg:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_sendmmsg:
        break;
    default:
        return -EINTR;
    }
    if (server_syscall6(SYS_getsockopt, (const long[6]){c->arg[0], SOL_SOCKET, name[sends],
                                                        (long)&t, (long)&len}) < 0)
        return -EINTR;
    return t.tv_sec || t.tv_usec ? -LULL_E_INTR_FINAL : -EINTR;
}

static void call_init(struct call *c, const struct server *s, const struct flight *f,
                      struct arena *mem)
{
    arena_reset(mem);
    c->env = &s->env;
    c->mem = mem;
    c->nr = f->sqe.nr;
    c->refused = false;
    memcpy(c->user, f->sqe.arg, sizeof c->user);
}

static void call_end(struct server *s, struct flight *f, struct call *c, int64_t r)
{
    if (c->refused) {
        count(&s->stats.refused);
        __atomic_fetch_add(&s->stats.refused_nr[c->nr], 1, __ATOMIC_RELAXED);
    }
    flight_complete(s, f, r);
}

/* The child in whose name the call is made: 0 or -errno. It makes one call after another. */
static int64_t act_as(struct server *s, const struct flight *f, struct agent **out)
{
    *out = NULL;
    if (!f->sqe.as)
        return 0;
    if (!s->env.agents || f->sqe.as > INT32_MAX)
        return -ESRCH;
    int rc = agent_take(s->env.agents, (uint32_t)f->sqe.as, out);
    if (rc == -EBUSY)
        server_break(s, f->core, "two calls at once of one child");
    agent_act_as(*out);
    return rc;
}

void flight_run(struct server *s, struct flight *f, struct arena *mem)
{
    struct call c;
    struct agent *g;
    call_init(&c, s, f, mem);
    int64_t r = act_as(s, f, &g);
    if (r == 0 && call_decode(&c, &r)) {
        call_skip(&c, f->done);
        do
            r = invoke(s, f, &c);
        while (call_again(&c, &r));
        r = call_finish(&c, r);
        if (r == -EINTR)
            r = interrupted(&c);
    }
    agent_act_as(NULL);
    if (g)
        agent_release(s->env.agents, g);
    if (asks_for_signals(&c))
        atomic_store(&signals_expected, true);
    bool waited = c.nr == SYS_wait4 || c.nr == SYS_waitid; /* ECHILD: nothing is left to wait for */
    bool sent = r >= 0 && (c.nr == SYS_kill || c.nr == SYS_pidfd_send_signal);
    if (s->config.signalled && (waited || sent || atomic_load(&signals_expected)))
        s->config.signalled(s->config.ctx);
    if (r >= 0 && s->config.clock_set && sets_clock(&c))
        s->config.clock_set(s->config.ctx);
    if (f->done) /* as of one write: what it moved before it failed counts */
        r = (int64_t)f->done + (r == -LULL_ESIGPIPE ? LULL_SIGPIPE : r < 0 ? 0 : r);
    call_end(s, f, &c, r);
}

/* A call in a form that does not wait. A cancel is of no interest to it. */
static long attempt(const struct call *c, long nr, const long arg[6])
{
    static const int never;
    long r;
    do
        r = server_syscall_fn(nr, arg, &never);
    while (r == -EINTR);
    return with_signal(c, r);
}

/* io_getevents: the events that are there; -EAGAIN: none. */
static long attempt_without_time(const struct call *c, long arg[6])
{
    static const struct timespec now;
    if (arg[4] != (long)LULL_BAD_PTR && arg[4] != (long)LULL_BAD_RANGE)
        arg[4] = (long)&now;
    long r = attempt(c, c->nr, arg);
    return r == 0 ? -EAGAIN : r;
}

/*
 * The same call in a form that does not wait. -EAGAIN: it would; CALL_NOT_BEGUN: not tried. What it
 * does instead of waiting is undone by nothing, so only calls are tried whose "would wait" leaves
 * no trace.
 */
static long try_once(const struct call *c)
{
    long arg[6];
    memcpy(arg, c->arg, sizeof arg);
    struct iovec one = {(void *)c->arg[1], (size_t)c->arg[2]};
    switch (c->nr) {
    case SYS_read:
    case SYS_write:
        if (c->arg[2] < 0)
            return attempt(c, c->nr, c->arg);
        memcpy(arg, (long[6]){c->arg[0], (long)&one, 1, -1, -1, RWF_NOWAIT}, sizeof arg);
        return attempt(c, c->nr == SYS_read ? SYS_preadv2 : SYS_pwritev2, arg);
    case SYS_writev:
        if (iov_total(c) > TRY_WRITEV_MAX)
            return CALL_NOT_BEGUN;
        /* fall through */
    case SYS_readv:
        memcpy(arg, (long[6]){c->arg[0], c->arg[1], c->arg[2], -1, -1, RWF_NOWAIT}, sizeof arg);
        return attempt(c, c->nr == SYS_readv ? SYS_preadv2 : SYS_pwritev2, arg);
    case SYS_recvfrom:
    case SYS_sendto:
        arg[3] |= MSG_DONTWAIT;
        return attempt(c, c->nr, arg);
    case SYS_recvmsg:
    case SYS_sendmsg:
        arg[2] |= MSG_DONTWAIT;
        return attempt(c, c->nr, arg);
    case SYS_io_getevents: /* of one event at least */
    case SYS_io_pgetevents:
        return attempt_without_time(c, arg);
    default: { /* poll, epoll_wait, epoll_pwait: nothing is ready */
        arg[c->nr == SYS_poll ? 2 : 3] = 0;
        long r = attempt(c, c->nr, arg);
        return r == 0 ? -EAGAIN : r;
    }
    }
}

/* Where a blocking write goes on until all is written. */
static bool write_continues(const struct server *s, uint64_t fd)
{
    struct stat st;
    memset(&st, 0, sizeof st);
    return server_syscall(SYS_fstat, call_fd(&s->env, fd), (long)&st, 0, 0) == 0 &&
           (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)) && !descriptor_is_nonblocking(s, fd);
}

static bool descriptor_waits(uint32_t nr)
{
    return nr != SYS_poll && nr != SYS_epoll_wait && nr != SYS_epoll_pwait &&
           nr != SYS_io_getevents && nr != SYS_io_pgetevents;
}

/* What the attempt answered is the answer. False: the call is to be made where it may wait. */
static bool attempt_counts(const struct server *s, struct flight *f, const struct call *c,
                           int64_t r)
{
    if (r == CALL_NOT_BEGUN)
        return false;
    if (r == -EOPNOTSUPP && descriptor_waits(c->nr)) /* the attempt, or the call itself */
        return false;
    if (r == -EAGAIN && !(descriptor_waits(c->nr) && descriptor_is_nonblocking(s, c->user[0])))
        return false;
    uint64_t whole = c->nr == SYS_writev ? iov_total(c) : (uint64_t)c->arg[2];
    bool write = c->nr == SYS_write || c->nr == SYS_writev || c->nr == SYS_sendto;
    if (write && r > 0 && (uint64_t)r < whole && write_continues(s, c->user[0])) {
        f->done = (uint64_t)r;
        return false;
    }
    return true;
}

bool flight_try(struct server *s, struct flight *f, struct arena *mem)
{
    struct call c;
    int64_t r;
    call_init(&c, s, f, mem);
    if (call_decode(&c, &r)) {
        r = try_once(&c);
        if (!attempt_counts(s, f, &c, r)) {
            aio_end(&c);
            return false;
        }
        r = call_finish(&c, r);
    }
    call_end(s, f, &c, r);
    return true;
}
