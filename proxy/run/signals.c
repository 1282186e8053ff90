/* SPDX-License-Identifier: MIT */
/* Signals that Linux sends to the proxy are the program's. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "carve/hold.h"
#include "message.h"
#include "ownfd.h"
#include "run/run_priv.h"
#include "sigstate.h"

#define TIMEOUT_STATUS 124 /* as timeout(1) */
#define GRACE_NS 2000000000ull
#define CLOCK_S 1 /* how often the isle's clocks are compared with Linux's, on Linux's cores */
#define NEVER_S 3600
#define CLOCK_NEVER_S 9000000000l /* CLOCK_REALTIME: the year 2255 */
#define SHIELD_NS 1000000000ull   /* a run that is over before is not worth the moving */

/* Of the program's signals those that wait for signals_serve(). Faults have handlers (below). */
static void own_signals(sigset_t *out)
{
    sigfillset(out);
    sigdelset(out, SIGKILL);
    sigdelset(out, SIGSTOP);
}

static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};

static void faults_block(int how)
{
    sigset_t set;
    sigemptyset(&set);
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++)
        sigaddset(&set, faults[i]);
    pthread_sigmask(how, &set, NULL);
}

void run_block_signals(void)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    faults_block(SIG_UNBLOCK);
}

/* A fault's signal that somebody sent is the program's; one of the proxy's own is its end. */
static void on_fault_signal(int signo, siginfo_t *info, void *context)
{
    if (!sigstate_was_sent(signo, info, context))
        signal(signo, SIG_DFL); /* it happens again, or is raised again by abort(3) */
}

static void faults_guard(void)
{
    static const int others[] = {SIGILL, SIGFPE, SIGABRT, SIGTRAP};
    struct sigaction sa = {.sa_sigaction = on_fault_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        sigaction(others[i], &sa, NULL);
}

static bool ring_has_room(const struct run *r)
{
    const struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    return r->signal_tail - __atomic_load_n(&s->head, __ATOMIC_ACQUIRE) < LULL_SIGNAL_RING;
}

/* Under signal_lock, with room. */
static void pass_on(struct run *r, const siginfo_t *info)
{
    struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    uint32_t at = r->signal_tail++ % LULL_SIGNAL_RING;
    bool child = info->si_signo == SIGCHLD && info->si_code > 0;
    s->entry[at].signo = info->si_signo;
    s->entry[at].code = sigstate_code(info);
    s->entry[at].pid = info->si_pid;
    s->entry[at].uid = info->si_uid;
    s->entry[at].value =
        child ? (uint64_t)info->si_status : (uint64_t)(uintptr_t)info->si_value.sival_ptr;
    __atomic_store_n(&s->tail, r->signal_tail, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&isle_core(&r->isle, 0)->bell, LULL_BELL_SIGNAL, __ATOMIC_SEQ_CST);
    vcpu_ring(r, 0);
}

/* The proxy's own words went to a pipe that nobody reads, its records beyond a limit. */
static bool is_of_own_write(const siginfo_t *info)
{
    return (info->si_signo == SIGPIPE || info->si_signo == SIGXFSZ) && info->si_code == SI_USER &&
           info->si_pid == getpid();
}

void signals_pass_on(struct run *r, const siginfo_t *info)
{
    pthread_mutex_lock(&r->signal_lock);
    if (ring_has_room(r) && !sigstate_is_own(info) && !sigstate_is_mark(info))
        pass_on(r, info);
    pthread_mutex_unlock(&r->signal_lock);
}

/* Takes what is pending of `set` and passes it on, under signal_lock. False: there was no room. */
static bool take(struct run *r, const sigset_t *set)
{
    const struct timespec none = {0, 0};
    siginfo_t info;
    for (;;) {
        if (!ring_has_room(r))
            return false;
        int signo = sigtimedwait(set, &info, &none);
        if (signo <= 0)
            return true;
        if (!sigstate_is_own(&info) && !sigstate_is_mark(&info) && !is_of_own_write(&info))
            pass_on(r, &info);
    }
}

/* The same, apart from those that the isle has pending. */
static bool take_pending(struct run *r, sigset_t set)
{
    pthread_mutex_lock(&r->signal_lock);
    for (int s = 1; s <= 64; s++) {
        if (sigstate_has(r->marked, s))
            sigdelset(&set, s);
    }
    bool all = take(r, &set);
    pthread_mutex_unlock(&r->signal_lock);
    return all;
}

void signals_catch_up(void *ctx)
{
    sigset_t set;
    own_signals(&set);
    sigdelset(&set, KICK_SIGNAL); /* others wait for these */
    sigdelset(&set, SERVER_CANCEL_SIGNAL);
    take_pending(ctx, set);
}

/* Those of which a signal may wait in the proxy without being taken. */
static bool can_be_marked(int signo)
{
    for (unsigned i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (signo == faults[i])
            return false;
    }
    return signo != SIGKILL && signo != SIGSTOP && signo != SIGTRAP && signo != SIGTTIN &&
           signo != SIGTTOU && signo != KICK_SIGNAL && signo != SERVER_CANCEL_SIGNAL &&
           (signo < 32 || signo > 33);
}

int64_t signals_mark(struct run *r, uint64_t want, uint64_t renew)
{
    sigset_t wait;
    own_signals(&wait);
    pthread_mutex_lock(&r->signal_lock);
    for (int s = 1; s <= 64; s++) {
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, s);
        uint64_t bit = 1ull << (s - 1);
        bool wanted = want & bit && can_be_marked(s);
        if (r->marked & bit && (!wanted || renew & bit)) {
            r->marked &= ~bit;
            take(r, &one);
        }
        if (wanted && !(r->marked & bit)) {
            take(r, &one);
            if (sigstate_mark(s))
                r->marked |= bit;
        }
        if (r->marked & bit)
            sigdelset(&wait, s);
    }
    if (r->signal_fd >= 0)
        signalfd(r->signal_fd, &wait, 0);
    pthread_mutex_unlock(&r->signal_lock);
    return 0;
}

static bool finished(struct run *r)
{
    pthread_mutex_lock(&r->lock);
    bool done = r->done || r->alone.asked;
    pthread_mutex_unlock(&r->lock);
    return done;
}

/* What Linux does by default is not to end the program. */
static bool ends_by_default(int signo)
{
    static const int others[] = {SIGCHLD, SIGCONT, SIGURG,  SIGWINCH,
                                 SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++) {
        if (signo == others[i])
            return false;
    }
    return signo >= 1 && signo <= 64;
}

/* A signal that waits for the isle, or for room there, and that ends a program without a handler;
   0: none. */
static int waiting_to_end(struct run *r, uint32_t head)
{
    const struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    uint64_t kept = __atomic_load_n(&s->kept, __ATOMIC_RELAXED);
    sigset_t pending;
    for (uint32_t i = head; i != r->signal_tail; i++) {
        int signo = s->entry[i % LULL_SIGNAL_RING].signo;
        if (ends_by_default(signo) && !(kept >> (signo - 1) & 1))
            return signo;
    }
    sigpending(&pending);
    for (int signo = 1; signo <= 64 && !ring_has_room(r); signo++) {
        if (sigstate_has(kept, signo) || !ends_by_default(signo))
            continue;
        if (sigismember(&pending, signo) && can_be_marked(signo))
            return signo;
    }
    return 0;
}

/*
 * An isle that takes no signal for DEAF_ROUNDS looks in a row, whatever its reason, is ended by one
 * that would have ended the program on Linux. Rounds, not seconds: a stopped process makes none.
 */
struct deaf {
    uint64_t looked_ns; /* CLOCK_MONOTONIC */
    uint32_t head;
    unsigned rounds;
};
#define DEAF_ROUNDS 15
#define DEAF_NS 200000000

static bool waits_for_isle(const struct run *r)
{
    const struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    return __atomic_load_n(&s->head, __ATOMIC_ACQUIRE) != r->signal_tail;
}

static void end_if_deaf(struct run *r, struct deaf *d)
{
    const struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    uint64_t now = now_ns();
    if (now - d->looked_ns < DEAF_NS)
        return;
    d->looked_ns = now;
    pthread_mutex_lock(&r->signal_lock);
    uint32_t head = __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);
    bool moved =
        head != d->head || head == r->signal_tail || r->signal_tail - head > LULL_SIGNAL_RING;
    d->rounds = moved ? 0 : d->rounds + 1;
    d->head = head;
    int signo = d->rounds >= DEAF_ROUNDS ? waiting_to_end(r, head) : 0;
    pthread_mutex_unlock(&r->signal_lock);
    if (signo) {
        message("the isle takes no signals: it is ended by SIG%s", sigabbrev_np(signo));
        run_end(r, 128 + signo, signo);
    }
}

/*
 * A descriptor that is ready when somebody has set CLOCK_REALTIME (timerfd_create(2),
 * TFD_TIMER_CANCEL_ON_SET), or `fd` set up again; -1: none, and only the program's own setting is
 * seen.
 */
static int clock_watch(int fd)
{
    struct itimerspec never = {.it_value = {.tv_sec = CLOCK_NEVER_S}};
    uint64_t expired;
    bool made = fd < 0;
    if (made)
        fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    else if (read(fd, &expired, sizeof expired) >= 0 || errno != ECANCELED)
        return fd;
    if (fd >= 0)
        timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL);
    return made && fd >= 0 ? ownfd_hide(fd) : fd;
}

#define ROBUST_HEAD_SIZE 24
#define ROBUST_TRIES 1000 /* of 50 us: until the main thread has told Linux */

/* Linux follows the list with the rights of this process, when the main thread ends: it changes
   only words that hold this process's number, and the process has ended then. */
static void tell_robust_list(struct run *r)
{
    unsigned long long head = atomic_load(&r->robust_list);
    if (head == atomic_load(&r->robust_list_told))
        return;
    syscall(SYS_set_robust_list, head, ROBUST_HEAD_SIZE);
    atomic_store(&r->robust_list_told, head);
}

void signals_robust_list(struct run *r, uint64_t head)
{
    atomic_store(&r->robust_list, head);
    sigstate_wake_main(KICK_SIGNAL);
    for (int i = 0; i < ROBUST_TRIES && atomic_load(&r->robust_list_told) != head; i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

void signals_serve(struct run *r)
{
    struct deaf deaf = {0};
    double limit = r->req->opt->timeout_s;
    if (!r->deadline_ns)
        r->deadline_ns = limit > 0 ? now_ns() + (uint64_t)(limit * 1e9) : UINT64_MAX;
    uint64_t deadline = r->deadline_ns;
    uint64_t shield = now_ns() + SHIELD_NS;
    bool warned = false;
    const cpu_set_t *linux_cpus = &r->req->plan->linux_cpus;
    bool ours = CPU_COUNT(linux_cpus) > 0 && !sched_setaffinity(0, sizeof *linux_cpus, linux_cpus);
    sigset_t set;
    own_signals(&set); /* and KICK_SIGNAL, with which run_end() wakes this thread */
    faults_block(SIG_BLOCK);
    faults_guard();
    sigstate_stops_inherited();
    pthread_mutex_lock(&r->signal_lock);
    /* only to wait: what is read belongs to who holds the lock */
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0) {
        message("cannot wait for signals: %s; raise `ulimit -n`", strerror(errno));
        run_end(r, LULL_EXIT_FAILED, 0);
    } else {
        fd = ownfd_hide(fd);
    }
    r->signal_fd = fd;
    r->clock_fd = clock_watch(-1);
    pthread_mutex_unlock(&r->signal_lock);
    ownfd_lift(false); /* nothing more has to be opened until the end */
    while (!finished(r)) {
        struct timespec ts = {ours ? CLOCK_S : NEVER_S, 0};
        uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
        if (left < (uint64_t)ts.tv_sec * 1000000000)
            ts = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
        if (shield && ts.tv_sec > 1)
            ts = (struct timespec){.tv_sec = 1};
        if (waits_for_isle(r) && (ts.tv_sec || ts.tv_nsec > DEAF_NS))
            ts = (struct timespec){.tv_nsec = DEAF_NS};
        struct pollfd p[] = {{fd, POLLIN, 0}, {r->clock_fd, POLLIN, 0}};
        tell_robust_list(r);
        ppoll(p, 2, &ts, NULL);
        if (p[1].revents) {
            clock_watch(r->clock_fd);
            vcpus_clock_set(r);
        }
        if (ours)
            timepage_refresh();
        if (shield && now_ns() >= shield) {
            shield = 0;
            hold_shield(r->req->hold);
        }
        if (!take_pending(r, set))
            nanosleep(&(struct timespec){.tv_nsec = DEAF_NS / 20}, NULL); /* until there is room */
        end_if_deaf(r, &deaf);
        if (deadline == UINT64_MAX || now_ns() < deadline || finished(r))
            continue;
        if (!warned) {
            message("time is up (--timeout): SIGTERM to the program");
            siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_USER};
            info.si_pid = getpid();
            pthread_mutex_lock(&r->signal_lock);
            if (ring_has_room(r))
                pass_on(r, &info);
            pthread_mutex_unlock(&r->signal_lock);
            warned = true;
            deadline = now_ns() + GRACE_NS;
        } else {
            run_end(r, TIMEOUT_STATUS, 0);
        }
    }
    pthread_mutex_lock(&r->signal_lock);
    r->signal_fd = -1;
    pthread_mutex_unlock(&r->signal_lock);
    if (fd >= 0)
        close(fd);
    if (r->clock_fd >= 0)
        close(r->clock_fd);
    r->clock_fd = -1;
    faults_block(SIG_UNBLOCK);
    /* An image before this one may have been warned: the signal came with the execve. */
    if (warned || (r->result.signo == SIGTERM && now_ns() >= r->deadline_ns)) {
        r->result.status = TIMEOUT_STATUS;
        r->result.signo = 0;
    }
}
