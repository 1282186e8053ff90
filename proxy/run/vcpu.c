/* SPDX-License-Identifier: MIT */
/* The threads that are an isle's cores, and what an isle asks of the proxy. */
#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "carve/hold.h"
#include "message.h"
#include "run/run_priv.h"
#include "sigstate.h"

#define NO_MEMORY_TRIES 20 /* in a row */
#define JOIN_NS 5000000000ull

static _Thread_local struct vcpu *this_vcpu;

void vcpu_forget(void)
{
    this_vcpu = NULL;
}

uint64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static struct lull_core *core_page(const struct vcpu *v)
{
    return isle_core(&v->run->isle, v->index);
}

/* A kick, or this core's timer: leave KVM_RUN, or do not even enter it. */
static void kick_handler(int signo, siginfo_t *info, void *context)
{
    struct vcpu *v = this_vcpu;
    (void)context;
    if (info->si_code != SI_TIMER && !sigstate_is_own(info)) {
        sigstate_send_on(signo, info);
        return;
    }
    if (!v)
        return;
    if (info->si_code == SI_TIMER)
        __atomic_fetch_or(&core_page(v)->bell, LULL_BELL_TIMER, __ATOMIC_SEQ_CST);
    v->run->ops->vcpu_stop(v->run->engine, v->index);
}

void vcpu_ring(struct run *r, unsigned core)
{
    struct vcpu *v = &r->vcpu[core];
    atomic_store(&v->wake, 1);
    if (atomic_load(&v->parked))
        syscall(SYS_futex, &v->wake, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
    else if (v != this_vcpu)
        syscall(SYS_tgkill, getpid(), v->tid, KICK_SIGNAL);
}

void vcpu_complete(void *ctx, unsigned core)
{
    struct run *r = ctx;
    struct lull_core *c = isle_core(&r->isle, core);
    uint32_t state = __atomic_load_n(&c->state, __ATOMIC_SEQ_CST);
    if (state != LULL_CORE_PARKED && state != LULL_CORE_COMPUTES)
        return;
    __atomic_fetch_or(&c->bell, LULL_BELL_COMPLETION, __ATOMIC_SEQ_CST);
    vcpu_ring(r, core);
}

void vcpus_clock_set(struct run *r)
{
    if (!timepage_clock_set())
        return;
    for (unsigned i = 0; i < r->nvcpus; i++) {
        __atomic_fetch_or(&isle_core(&r->isle, i)->bell, LULL_BELL_TIMER, __ATOMIC_SEQ_CST);
        vcpu_ring(r, i);
    }
}

/* ---- requests ---- */

static int64_t op_park(struct vcpu *v, uint64_t deadline)
{
    struct lull_core *c = core_page(v);
    struct timespec ts = {(time_t)(deadline / 1000000000), (long)(deadline % 1000000000)};
    atomic_store(&v->parked, 1);
    while (!atomic_load(&v->run->ending) && !__atomic_load_n(&c->bell, __ATOMIC_SEQ_CST)) {
        if (atomic_exchange(&v->wake, 0))
            break;
        long r = syscall(SYS_futex, &v->wake, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 0,
                         deadline == UINT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
        if (r < 0 && errno == ETIMEDOUT)
            break;
    }
    atomic_store(&v->parked, 0);
    atomic_store(&v->wake, 0);
    return 0;
}

static int64_t op_timer(struct run *r, uint64_t core, uint64_t first, uint64_t period)
{
    if (core >= r->nvcpus || !r->vcpu[core].has_timer)
        return -EINVAL;
    struct itimerspec it = {
        .it_value = {(time_t)(first / 1000000000), (long)(first % 1000000000)},
        .it_interval = {(time_t)(period / 1000000000), (long)(period % 1000000000)},
    };
    if (period && period < 100000)
        return -EINVAL; /* an isle must not keep Linux busy with kicks */
    return timer_settime(r->vcpu[core].timer, TIMER_ABSTIME, &it, NULL) ? -errno : 0;
}

static int64_t op_kick(struct run *r, uint64_t core)
{
    if (core >= r->nvcpus)
        return -EINVAL;
    vcpu_ring(r, (unsigned)core);
    return 0;
}

/* A setting of the user's: one line says which. */
static void say_no_memory(const struct run *r, const char *what)
{
    const char *path = r->req->program->path;
    if (r->isle.refused)
        message("%s: no memory for %s: %s; raise `ulimit -v`, or stop what uses the memory", path,
                what, strerror(-r->isle.refused));
    else
        message("%s: no memory for %s in the %" PRIu64 " MiB %s; raise --mem", path, what,
                r->req->plan->mem >> 20, r->req->opt->mem ? "of --mem" : "that were free");
}

static void op_panic(struct run *r, uint64_t text, uint64_t len, bool no_memory)
{
    char line[200];
    if (len >= sizeof line || isle_copy_kernel(&r->isle, line, text, len))
        len = (uint64_t)snprintf(line, sizeof line, "(no text)");
    line[len] = 0;
    for (char *p = line; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
    if (no_memory)
        say_no_memory(r, line);
    else
        message("the isle's kernel failed: %s; please report this", line);
    run_end(r, LULL_EXIT_FAILED, 0);
}

static void op_die(struct run *r, uint64_t signo, uint64_t where, bool quiet)
{
    struct lull_death d;
    if (signo < 1 || signo > 64 || isle_copy_kernel(&r->isle, &d, where, sizeof d)) {
        message("the isle broke its contract: death without a cause");
        run_end(r, LULL_EXIT_FAILED, 0);
        return;
    }
    d.signo = (uint32_t)signo;
    /* killed from outside, as natively without a word; by its own fault with all there is to say */
    bool fault = signo == SIGSEGV || signo == SIGBUS || signo == SIGILL || signo == SIGFPE ||
                 signo == SIGTRAP || signo == SIGABRT || signo == SIGSYS;
    pthread_mutex_lock(&r->lock);
    bool first = !r->done;
    pthread_mutex_unlock(&r->lock);
    if (quiet)
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    else if (fault && first)
        death_print(r, &d);
    run_end(r, 128 + (int)signo, (int)signo);
}

/* Every thread of the proxy, the cores too, stops until SIGCONT; or goes on where Linux discards
   the signal, as it does in an orphaned process group. */
static void stop_by(uint64_t signo)
{
    struct sigaction stops = {.sa_handler = SIG_DFL}, before;
    sigset_t set;
    if (signo != SIGTSTP && signo != SIGTTIN && signo != SIGTTOU) {
        kill(getpid(), SIGSTOP);
        return;
    }
    sigemptyset(&set);
    sigaddset(&set, (int)signo);
    sigaction((int)signo, &stops, &before);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), (int)signo);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigaction((int)signo, &before, NULL);
}

static int64_t op_stop(struct run *r, uint64_t signo)
{
    if (r->ops->pause)
        r->ops->pause(r->engine, true);
    stop_by(signo);
    if (r->ops->pause)
        r->ops->pause(r->engine, false);
    return 0;
}

/* Everything in `req` was copied out of isle memory before. */
static int64_t request(struct vcpu *v, uint32_t op, const uint64_t arg[6])
{
    struct run *r = v->run;
    switch (op) {
    case LULL_OP_EXIT:
        run_end(r, (int)(arg[0] & 0xff), 0);
        return 0;
    case LULL_OP_DIE:
        op_die(r, arg[0], arg[1], arg[2] == 1);
        return 0;
    case LULL_OP_PANIC:
        op_panic(r, arg[0], arg[1], arg[2] == 1);
        return 0;
    case LULL_OP_MEMORY:
        return isle_memory_op(&r->isle, arg[0], arg[1], arg[2]);
    case LULL_OP_PARK:
        return op_park(v, arg[0]);
    case LULL_OP_KICK:
        return op_kick(r, arg[0]);
    case LULL_OP_TIMER:
        return op_timer(r, arg[0], arg[1], arg[2]);
    case LULL_OP_CHANNEL:
        server_kicked(r->server, v->index);
        return 0;
    case LULL_OP_CANCEL:
        if (arg[0] < r->nvcpus && arg[1] < LULL_CHAN_SLOTS)
            server_cancel(r->server, (unsigned)arg[0], (unsigned)arg[1]);
        return 0;
    case LULL_OP_MARK:
        return marks_op(r, arg[0]);
    case LULL_OP_STOP:
        return op_stop(r, arg[0]);
    case LULL_OP_FORK:
        return run_fork(r, arg);
    case LULL_OP_ALONE:
        return run_alone(r, v->index, arg);
    case LULL_OP_YIELD:
        sched_yield();
        return 0;
    case LULL_OP_PENDING:
        return signals_mark(r, arg[0], arg[1]);
    case LULL_OP_WINDOW:
        return window_op(r, arg);
    case LULL_OP_ROBUST:
        signals_robust_list(r, arg[0]);
        return 0;
    case LULL_OP_NUMA:
        return isle_numa_op(&r->isle, arg);
    default:
        message("the isle asked for something that there is not (request %u): it is ended", op);
        run_end(r, LULL_EXIT_FAILED, 0);
        return -EINVAL;
    }
}

/* A kick landed, and may have come too late to matter. */
static void divert(struct vcpu *v)
{
    struct lull_core *c = core_page(v);
    if (__atomic_load_n(&c->bell, __ATOMIC_SEQ_CST))
        v->run->ops->vcpu_interrupt(v->run->engine, v->index, c);
}

/*
 * A file was cut short under its mapping. The kernel takes the page out of its tables, and the
 * access becomes a fault of the program's; unless the kernel itself came upon it.
 */
static void no_memory(struct vcpu *v, unsigned *times)
{
    struct run *r = v->run;
    if (isle_moved(&r->isle))
        return;
    if (++*times > NO_MEMORY_TRIES) {
        message("%s: killed by SIGBUS: a file that it maps shared was cut short",
                r->req->program->path);
        run_end(r, 128 + SIGBUS, SIGBUS);
        return;
    }
    __atomic_fetch_or(&core_page(v)->bell, LULL_BELL_WINDOW, __ATOMIC_SEQ_CST);
    divert(v);
}

/* Sleeping, or the measurement itself. */
static bool is_no_delay(uint32_t op)
{
    return op == LULL_OP_PARK || op == LULL_OP_STOP || op == LULL_OP_MARK;
}

/* The isle stood still since then, because of something that it wanted. */
static void note_outside(struct vcpu *v, unsigned cause, uint64_t since)
{
    struct longest now = {now_ns() - since, cause};
    uint32_t section = atomic_load_explicit(&v->run->section_no, memory_order_relaxed);
    if (v->section != section) {
        v->section = section;
        v->longest[1] = (struct longest){0};
    }
    v->outside_count++;
    v->outside_ns += now.ns;
    for (int i = 0; i < 2; i++)
        if (now.ns > v->longest[i].ns)
            v->longest[i] = now;
}

static void vcpu_loop(struct vcpu *v)
{
    unsigned nothing = 0;
    struct run *r = v->run;
    struct lull_core *c = core_page(v);
    struct vcpu_exit x;
    while (!atomic_load(&r->ending)) {
        r->ops->vcpu_run(r->engine, v->index, &x);
        switch (x.kind) {
        case VCPU_KICKED:
            v->exits[EXIT_KICKED]++;
            if (!atomic_load(&r->ending))
                divert(v);
            break;
        case VCPU_OUT: {
            uint64_t arg[6];
            memcpy(arg, c->arg, sizeof arg);
            unsigned cause = x.value < LULL_OP_COUNT ? x.value : EXIT_OTHER;
            uint64_t since = now_ns();
            v->exits[cause]++;
            int64_t ret = request(v, x.value, arg);
            c->ret = ret;
            timepage_refresh();
            if (!is_no_delay(x.value))
                note_outside(v, cause, since);
            if (switches_half_full(&v->switches)) {
                pthread_mutex_lock(&r->lock);
                switches_read(&v->switches);
                pthread_mutex_unlock(&r->lock);
            }
            break;
        }
        case VCPU_NO_MEMORY:
            v->exits[EXIT_OTHER]++;
            no_memory(v, &nothing);
            continue;
        default:
            v->exits[EXIT_OTHER]++;
            if (!atomic_load(&r->ending))
                message("core %u of the isle cannot go on: %s", v->index, x.why);
            run_end(r, LULL_EXIT_FAILED, 0);
        }
        nothing = 0;
    }
}

static int timer_make(struct vcpu *v)
{
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = KICK_SIGNAL};
    ev._sigev_un._tid = v->tid;
    if (timer_create(CLOCK_MONOTONIC, &ev, &v->timer))
        return -errno;
    v->has_timer = true;
    return 0;
}

/* This thread, or the one that it serves. */
static int take_core(struct vcpu *v)
{
    struct run *r = v->run;
    const struct carve_plan *plan = r->req->plan;
    unsigned cpu = plan->cpu[v->index];
    cpu_set_t set;
    pid_t pid, tid, first;
    if (!r->ops->vcpu_task) {
        int rc = hold_core(r->req->hold, 0, cpu);
        return rc ? rc : r->ops->vcpu_create(r->engine, v->index, &r->isle.header);
    }
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (CPU_COUNT(&plan->linux_cpus))
        set = plan->linux_cpus;
    int rc = sched_setaffinity(0, sizeof set, &set) ? -errno : 0;
    if (rc == 0)
        rc = r->ops->vcpu_create(r->engine, v->index, &r->isle.header);
    if (rc)
        return rc;
    r->ops->vcpu_task(r->engine, v->index, &pid, &tid);
    r->ops->vcpu_task(r->engine, 0, &pid, &first);
    if (tid > 0 && (v->index == 0 || tid != first)) /* one thread may be all of the cores */
        hold_core(r->req->hold, tid, cpu);
    return 0;
}

static void *vcpu_main(void *arg)
{
    struct vcpu *v = arg;
    struct run *r = v->run;
    char name[16];
    v->tid = (pid_t)syscall(SYS_gettid);
    marks_open(v);
    /* a core, which a shield leaves where it is (shield.c), or who waits for one */
    snprintf(name, sizeof name, v->run->ops->vcpu_task ? "lull-for%u" : "lull-core%u", v->index);
    pthread_setname_np(pthread_self(), name);
    int rc = take_core(v);
    if (rc == 0)
        rc = timer_make(v);
    this_vcpu = v;
    sigset_t kick;
    sigemptyset(&kick);
    sigaddset(&kick, KICK_SIGNAL);
    sigaddset(&kick, SERVER_CANCEL_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &kick, NULL);
    if (rc) {
        int none = 0;
        atomic_compare_exchange_strong(&r->start_error, &none, rc);
    }
    atomic_fetch_add(&r->ready, 1);
    syscall(SYS_futex, &r->ready, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
    while (!atomic_load(&r->go))
        syscall(SYS_futex, &r->go, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
    if (!atomic_load(&r->start_error))
        vcpu_loop(v);
    /* its counters in /proc live as long as it does */
    while (!atomic_load(&r->released))
        syscall(SYS_futex, &r->released, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
    if (v->has_timer)
        timer_delete(v->timer);
    return NULL;
}

static void vcpus_release(struct run *r)
{
    atomic_store(&r->go, true);
    syscall(SYS_futex, &r->go, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0);
}

int vcpus_start(struct run *r)
{
    struct sigaction sa = {.sa_flags = SA_SIGINFO | SA_RESTART};
    sa.sa_sigaction = kick_handler;
    sigemptyset(&sa.sa_mask);
    sigaction(KICK_SIGNAL, &sa, NULL);
    unsigned n = 0;
    int rc = 0;
    for (; n < r->nvcpus && rc == 0; n++) {
        r->vcpu[n].run = r;
        r->vcpu[n].index = n;
        rc = pthread_create(&r->vcpu[n].thread, NULL, vcpu_main, &r->vcpu[n]);
        r->vcpu[n].started = rc == 0;
    }
    if (rc) {
        message("cannot start a thread for core %u: %s; raise `ulimit -u` and `ulimit -v`", n - 1,
                strerror(rc));
        atomic_store(&r->start_error, -rc);
        n--;
    }
    unsigned ready;
    while ((ready = atomic_load(&r->ready)) < n)
        syscall(SYS_futex, &r->ready, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, ready, NULL, NULL, 0);
    if (atomic_load(&r->start_error)) {
        if (!rc)
            message("cannot set up a core of the isle: %s",
                    strerror(-atomic_load(&r->start_error)));
        atomic_store(&r->ending, true);
        vcpus_release(r);
        return LULL_EXIT_FAILED;
    }
    return 0;
}

void vcpus_go(struct run *r)
{
    r->first_ns = now_ns();
    vcpus_release(r);
}

/* Its thread may be in a call of the program's that waits. */
static bool vcpu_join(struct run *r, struct vcpu *v, uint64_t until_ns)
{
    do {
        struct timespec ts;
        syscall(SYS_tgkill, getpid(), v->tid, KICK_SIGNAL);
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_nsec += 10000000;
        if (ts.tv_nsec >= 1000000000) {
            ts.tv_nsec -= 1000000000;
            ts.tv_sec++;
        }
        if (pthread_timedjoin_np(v->thread, NULL, &ts) == 0)
            return true;
        server_interrupt(r->server);
    } while (now_ns() < until_ns);
    return false;
}

bool vcpus_stop(struct run *r)
{
    bool all = true;
    uint64_t until_ns = now_ns() + JOIN_NS; /* for all of them together */
    atomic_store(&r->ending, true);
    atomic_store(&r->released, 1);
    syscall(SYS_futex, &r->released, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT32_MAX, NULL, NULL, 0);
    for (unsigned i = 0; i < r->nvcpus; i++) {
        struct vcpu *v = &r->vcpu[i];
        if (!v->started)
            continue;
        atomic_store(&v->wake, 1);
        syscall(SYS_futex, &v->wake, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
        bool joined = vcpu_join(r, v, until_ns);
        all &= joined;
        if (!joined)
            message("core %u is still in a call that Linux does not interrupt: it is left behind",
                    i);
        v->started = false;
    }
    return all;
}
