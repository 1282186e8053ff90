/* SPDX-License-Identifier: MIT */
/* Signals that Linux sends to the proxy are the program's. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "message.h"
#include "ownfd.h"
#include "run/run_priv.h"

#define TIMEOUT_STATUS 124 /* as timeout(1) */
#define GRACE_NS 2000000000ull
#define CLOCK_S 1 /* how often the isle's clocks are compared with Linux's, on Linux's cores */
#define NEVER_S 3600

void run_forwarded_signals(sigset_t *out)
{
    static const int list[] = {SIGHUP,  SIGINT,    SIGQUIT, SIGUSR1,  SIGUSR2, SIGALRM,
                               SIGTERM, SIGCONT,   SIGTSTP, SIGWINCH, SIGURG,  SIGIO,
                               SIGXCPU, SIGVTALRM, SIGPROF, SIGPWR,   SIGCHLD};
    sigemptyset(out);
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        sigaddset(out, list[i]);
}

void run_block_signals(void)
{
    static const int own[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t all;
    sigfillset(&all);
    for (unsigned i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&all, own[i]);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

void signals_pass_on(struct run *r, const siginfo_t *info)
{
    struct lull_signals *s = (struct lull_signals *)LULL_SIGNALS;
    int n = info->si_signo - 1;
    s->info[n].code = info->si_code;
    s->info[n].pid = info->si_pid;
    s->info[n].uid = (int32_t)info->si_uid;
    s->info[n].value = info->si_signo == SIGCHLD ? info->si_status : info->si_value.sival_int;
    __atomic_fetch_or(&s->pending, 1ull << n, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&isle_core(&r->isle, 0)->bell, LULL_BELL_SIGNAL, __ATOMIC_SEQ_CST);
    vcpu_ring(r, 0);
}

/* Takes what is pending of `set` and passes it on. */
static void take_pending(struct run *r, const sigset_t *set)
{
    const struct timespec none = {0, 0};
    siginfo_t info;
    int signo;
    pthread_mutex_lock(&r->signal_lock);
    while ((signo = sigtimedwait(set, &info, &none)) > 0) {
        if (signo != KICK_SIGNAL)
            signals_pass_on(r, &info);
    }
    pthread_mutex_unlock(&r->signal_lock);
}

void signals_catch_up(void *ctx)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    take_pending(ctx, &set);
}

static bool finished(struct run *r)
{
    pthread_mutex_lock(&r->lock);
    bool done = r->done;
    pthread_mutex_unlock(&r->lock);
    return done;
}

void signals_serve(struct run *r)
{
    double limit = r->req->opt->timeout_s;
    uint64_t deadline = limit > 0 ? now_ns() + (uint64_t)(limit * 1e9) : UINT64_MAX;
    bool warned = false;
    const cpu_set_t *linux_cpus = &r->req->plan->linux_cpus;
    bool ours = CPU_COUNT(linux_cpus) > 0 && !sched_setaffinity(0, sizeof *linux_cpus, linux_cpus);
    sigset_t set;
    run_forwarded_signals(&set);
    sigaddset(&set, KICK_SIGNAL); /* run_end() wakes this thread with it */
    /* only to wait: what is read belongs to who holds the lock */
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0) {
        message("cannot wait for signals: %s; raise `ulimit -n`", strerror(errno));
        run_end(r, LULL_EXIT_FAILED, 0);
    } else {
        fd = ownfd_hide(fd);
    }
    while (!finished(r)) {
        struct timespec ts = {ours ? CLOCK_S : NEVER_S, 0};
        uint64_t now = now_ns(), left = deadline > now ? deadline - now : 0;
        if (left < (uint64_t)ts.tv_sec * 1000000000)
            ts = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
        struct pollfd p = {fd, POLLIN, 0};
        ppoll(&p, 1, &ts, NULL);
        if (ours)
            timepage_refresh();
        take_pending(r, &set);
        if (deadline == UINT64_MAX || now_ns() < deadline || finished(r))
            continue;
        if (!warned) {
            message("time is up (--timeout): SIGTERM to the program");
            siginfo_t info = {.si_signo = SIGTERM, .si_code = SI_USER};
            info.si_pid = getpid();
            signals_pass_on(r, &info);
            warned = true;
            deadline = now_ns() + GRACE_NS;
        } else {
            run_end(r, TIMEOUT_STATUS, 0);
        }
    }
    if (fd >= 0)
        close(fd);
    if (warned) {
        r->result.status = TIMEOUT_STATUS;
        r->result.signo = 0;
    }
}
