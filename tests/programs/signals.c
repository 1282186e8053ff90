/* SPDX-License-Identifier: MIT */
/* Signals between the threads of one program: masks, delivery, waiting, interrupting, stacks. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t count[65], last_code, last_pid, depth, max_depth;
static atomic_int running, stop;
static sigjmp_buf back;

static void counting(int sig)
{
    count[sig]++;
}

static void describing(int sig, siginfo_t *info, void *context)
{
    (void)context;
    count[sig]++;
    last_code = info->si_code;
    last_pid = info->si_pid;
    if (info->si_signo != sig) {
        last_code = -1000;
    }
}

static void set(int sig, void (*handler)(int), int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};

    CHECK(sigaction(sig, &act, NULL) == 0);
}

static sigset_t one(int sig)
{
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, sig);
    return s;
}

static void actions(void)
{
    struct sigaction act = {.sa_sigaction = describing, .sa_flags = SA_SIGINFO}, old;

    check_section("sigaction");
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(sigaction(SIGUSR1, NULL, &old) == 0 && old.sa_sigaction == describing);
    CHECK(old.sa_flags & SA_SIGINFO);
    CHECK(raise(SIGUSR1) == 0 && count[SIGUSR1] == 1);
    CHECK(last_code == SI_TKILL && last_pid == getpid());
    CHECK(kill(getpid(), SIGUSR1) == 0 && count[SIGUSR1] == 2);
    CHECK(last_code == SI_USER && last_pid == getpid());
    CHECK(kill(getpid(), 0) == 0);
    CHECK_ERR(kill(getpid(), 65), EINVAL);
    CHECK_ERR(sigaction(SIGKILL, &act, NULL), EINVAL);
    CHECK_ERR(sigaction(SIGSTOP, &act, NULL), EINVAL);
    CHECK_ERR(sigaction(65, &act, NULL), EINVAL);
    CHECK_ERR(syscall(SYS_tgkill, getpid(), 0x3ffffff, SIGUSR1), ESRCH);
    set(SIGUSR1, SIG_IGN, 0);
    CHECK(raise(SIGUSR1) == 0 && count[SIGUSR1] == 2);
    set(SIGUSR2, counting, (int)SA_RESETHAND);
    CHECK(raise(SIGUSR2) == 0 && count[SIGUSR2] == 1);
    CHECK(sigaction(SIGUSR2, NULL, &old) == 0 && old.sa_handler == SIG_DFL);
    CHECK(raise(SIGCHLD) == 0 && raise(SIGURG) == 0 && raise(SIGWINCH) == 0); /* ignored */
}

static void masks(void)
{
    sigset_t s = one(SIGUSR1), old, pending;
    siginfo_t info;
    struct timespec soon = {0, 20000000};
    long long begin;

    check_section("masks");
    set(SIGUSR1, counting, 0);
    count[SIGUSR1] = 0;
    CHECK(sigprocmask(SIG_BLOCK, &s, &old) == 0 && !sigismember(&old, SIGUSR1));
    CHECK(raise(SIGUSR1) == 0 && raise(SIGUSR1) == 0 && count[SIGUSR1] == 0);
    CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
    CHECK(sigprocmask(SIG_SETMASK, &old, &pending) == 0 && sigismember(&pending, SIGUSR1));
    CHECK(count[SIGUSR1] == 1); /* standard signals don't queue */
    CHECK_ERR(syscall(SYS_rt_sigprocmask, 77, &s, NULL, 8), EINVAL);
    CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &s, NULL, 4), EINVAL);
    CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, 8, NULL, 8), EFAULT);

    s = one(SIGRTMIN);
    set(SIGRTMIN, counting, 0);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_kill(pthread_self(), SIGRTMIN) == 0);
    }
    CHECK(sigprocmask(SIG_UNBLOCK, &s, NULL) == 0);
    CHECK(count[SIGRTMIN] == 3); /* real-time signals do */

    check_section("sigwait");
    s = one(SIGUSR1);
    CHECK(sigprocmask(SIG_BLOCK, &s, NULL) == 0);
    begin = now_ns();
    CHECK_ERR(sigtimedwait(&s, &info, &soon), EAGAIN);
    CHECK(now_ns() - begin >= 19000000);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(sigtimedwait(&s, &info, &soon) == SIGUSR1 && info.si_pid == getpid());
    CHECK(sigprocmask(SIG_UNBLOCK, &s, NULL) == 0);
    CHECK(count[SIGUSR1] == 1);
}

static void nesting(int sig)
{
    (void)sig;
    if (++depth > max_depth) {
        max_depth = depth;
    }
    if (max_depth < 3) {
        raise(SIGUSR1);
    }
    depth--;
}

static void outer(int sig)
{
    (void)sig;
    raise(SIGUSR2);
    count[0] = count[SIGUSR2]; /* what had run by then */
}

static void nested(void)
{
    struct sigaction act = {.sa_handler = outer};

    check_section("nested handlers");
    set(SIGUSR1, nesting, SA_NODEFER);
    CHECK(raise(SIGUSR1) == 0 && max_depth == 3 && depth == 0);
    max_depth = 0;
    set(SIGUSR2, counting, 0);
    count[SIGUSR2] = 0;
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0 && count[0] == 1 && count[SIGUSR2] == 1);
    act.sa_mask = one(SIGUSR2);
    CHECK(sigaction(SIGUSR1, &act, NULL) == 0);
    CHECK(raise(SIGUSR1) == 0 && count[0] == 1 && count[SIGUSR2] == 2); /* held back by sa_mask */
}

static void skipping(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)info;
    count[sig]++;
    u->uc_mcontext.gregs[REG_RIP] += 2; /* over the ud2 */
    u->uc_mcontext.gregs[REG_RAX] = 1234;
}

static void jumping(int sig)
{
    count[sig]++;
    siglongjmp(back, sig);
}

static void context(void)
{
    struct sigaction act = {.sa_sigaction = skipping, .sa_flags = SA_SIGINFO};
    long rax = 0;
    sigset_t now;

    check_section("context");
    CHECK(sigaction(SIGILL, &act, NULL) == 0);
    __asm__ volatile("ud2" : "+a"(rax));
    CHECK(count[SIGILL] == 1 && rax == 1234);
    set(SIGUSR1, jumping, 0);
    count[SIGUSR1] = 0;
    for (int i = 0; i < 3; i++) {
        if (sigsetjmp(back, 1) == 0) {
            raise(SIGUSR1);
            CHECK(0);
        }
    }
    CHECK(count[SIGUSR1] == 3);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR1));
}

static char alt_stack[64 * 1024];
static volatile uintptr_t handler_sp;

static void where(int sig)
{
    stack_t s;

    count[sig]++;
    handler_sp = (uintptr_t)&s;
    if (sigaltstack(NULL, &s) != 0 || s.ss_flags != SS_ONSTACK) {
        handler_sp = 0;
    }
}

static void stacks(void)
{
    stack_t alt = {.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)}, old;

    check_section("sigaltstack");
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_flags == SS_DISABLE);
    CHECK(sigaltstack(&alt, NULL) == 0);
    set(SIGUSR1, where, SA_ONSTACK);
    CHECK(raise(SIGUSR1) == 0);
    CHECK(handler_sp > (uintptr_t)alt_stack &&
          handler_sp < (uintptr_t)alt_stack + sizeof(alt_stack));
    CHECK(sigaltstack(NULL, &old) == 0 && old.ss_sp == alt_stack && old.ss_flags == 0);
    alt.ss_size = 16;
    CHECK_ERR(sigaltstack(&alt, NULL), ENOMEM);
    alt.ss_flags = SS_DISABLE;
    CHECK(sigaltstack(&alt, NULL) == 0);
}

static pthread_t target;

static void which(int sig)
{
    count[sig]++;
    if (pthread_equal(pthread_self(), target)) {
        count[0]++;
    }
}

static void *computing(void *arg)
{
    running = 1;
    while (!stop) {
    }
    return arg;
}

static void *suspended(void *arg)
{
    sigset_t none;

    sigemptyset(&none);
    running = 1;
    sigsuspend(&none);
    return errno == EINTR ? arg : NULL;
}

static void *waiting(void *arg)
{
    sigset_t s = one(SIGUSR1);
    int sig;

    running = 1;
    return sigwait(&s, &sig) == 0 && sig == SIGUSR1 ? arg : NULL;
}

static pthread_t start(void *(*body)(void *))
{
    pthread_t t;

    running = stop = 0;
    CHECK(pthread_create(&t, NULL, body, &stop) == 0);
    while (!running) {
        sleep_ms(1);
    }
    sleep_ms(5);
    return t;
}

static void threads(void)
{
    void *result;
    sigset_t s = one(SIGUSR1);
    long long end;

    check_section("threads");
    set(SIGUSR1, which, 0);
    target = start(computing);
    count[0] = count[SIGUSR1] = 0;
    for (int i = 0; i < 20; i++) {
        CHECK(pthread_kill(target, SIGUSR1) == 0);
        end = now_ns() + 5000000000ll;
        while (count[0] <= i && now_ns() < end) {
            sleep_ms(1);
        }
    }
    CHECK(count[0] == 20 && count[SIGUSR1] == 20);
    CHECK(pthread_kill(target, 0) == 0);
    /* to the process: whoever does not block it takes it, here only the computing thread */
    CHECK(pthread_sigmask(SIG_BLOCK, &s, NULL) == 0);
    CHECK(kill(getpid(), SIGUSR1) == 0);
    end = now_ns() + 5000000000ll;
    while (count[0] < 21 && now_ns() < end) {
        sleep_ms(1);
    }
    CHECK(count[0] == 21);
    stop = 1;
    CHECK(pthread_join(target, NULL) == 0);

    target = start(suspended);
    CHECK(pthread_kill(target, SIGUSR1) == 0);
    CHECK(pthread_join(target, &result) == 0 && result == &stop && count[0] == 22);
    target = start(waiting); /* inherits the mask: blocked */
    CHECK(kill(getpid(), SIGUSR1) == 0);
    CHECK(pthread_join(target, &result) == 0 && result == &stop && count[0] == 22);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &s, NULL) == 0);
}

static int fd[2];

static void *reading(void *arg)
{
    char c = 0;

    running = 1;
    if (read(fd[0], &c, 1) == 1) {
        return c == 'x' ? arg : NULL;
    }
    return (void *)(intptr_t)errno;
}

static void *sleeping(void *arg)
{
    struct timespec t = {10, 0}, left = {0, 0};

    running = 1;
    if (nanosleep(&t, &left) == -1 && errno == EINTR && left.tv_sec >= 5 && left.tv_sec < 10) {
        return arg;
    }
    return NULL;
}

/* Until it is interrupted: a signal may come before it waits. How often that was. */
static int interrupt(pthread_t t, void **result)
{
    int n = 0;

    while (pthread_tryjoin_np(t, result)) {
        CHECK(pthread_kill(t, SIGUSR1) == 0);
        n++;
        for (int ms = 0; ms < 100 && count[SIGUSR1] < n; ms++) {
            sleep_ms(1);
        }
        sleep_ms(5);
    }
    return n;
}

static void interrupting(void)
{
    pthread_t t;
    void *result;
    long long end;

    check_section("EINTR and SA_RESTART");
    CHECK(pipe(fd) == 0);
    set(SIGUSR1, counting, 0);
    count[SIGUSR1] = 0;
    t = start(reading);
    CHECK(interrupt(t, &result) == count[SIGUSR1] && (intptr_t)result == EINTR);
    count[SIGUSR1] = 0;
    set(SIGUSR1, counting, SA_RESTART);
    t = start(reading);
    CHECK(pthread_kill(t, SIGUSR1) == 0);
    end = now_ns() + 5000000000ll;
    while (count[SIGUSR1] < 1 && now_ns() < end) {
        sleep_ms(1);
    }
    CHECK(count[SIGUSR1] == 1);
    CHECK(write(fd[1], "x", 1) == 1);
    CHECK(pthread_join(t, &result) == 0 && result == &stop);
    t = start(sleeping); /* nanosleep is never restarted once a handler ran */
    count[SIGUSR1] = 0;
    CHECK(interrupt(t, &result) == count[SIGUSR1] && result == &stop);
    close(fd[0]);
    set(SIGPIPE, counting, 0);
    CHECK_ERR(write(fd[1], "x", 1), EPIPE);
    CHECK(count[SIGPIPE] == 1);
    set(SIGPIPE, SIG_IGN, 0);
    CHECK_ERR(write(fd[1], "x", 1), EPIPE);
    close(fd[1]);
}

/* ppoll, pselect6 or epoll_pwait of one descriptor under a mask; ms < 0: no timeout. */
static int wait_masked(int kind, int in, const sigset_t *mask, int ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000L}, *when = ms < 0 ? NULL : &t;
    struct pollfd p = {.fd = in, .events = POLLIN};
    struct epoll_event e = {.events = EPOLLIN};
    fd_set readable;
    int epoll, got, err;

    switch (kind) {
    case 0:
        return ppoll(&p, 1, when, mask);
    case 1:
        FD_ZERO(&readable);
        FD_SET(in, &readable);
        return pselect(in + 1, &readable, NULL, NULL, when, mask);
    default:
        epoll = epoll_create1(0);
        CHECK(epoll >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, in, &e) == 0);
        got = epoll_pwait(epoll, &e, 1, ms, mask);
        err = errno;
        close(epoll);
        errno = err;
        return got;
    }
}

static pthread_t main_thread;

static void *send_later(void *arg)
{
    sleep_ms(50);
    pthread_kill(main_thread, SIGUSR1);
    return arg;
}

static void masked_waits(void)
{
    sigset_t user = one(SIGUSR1), none, now;
    struct timespec soon = {0, 1000000}, bad_time = {0, -1};
    struct {
        const void *set;
        size_t size;
    } six = {&user, 4}, bad_six = {(void *)8, 8};
    pthread_t t;
    long long begin;

    main_thread = pthread_self();
    sigemptyset(&none);
    CHECK(pipe(fd) == 0);
    set(SIGUSR1, counting, SA_RESTART);
    for (int kind = 0; kind < 3; kind++) {
        static const char *const names[] = {"ppoll", "pselect", "epoll_pwait"};
        char c;

        check_section(names[kind]);
        count[SIGUSR1] = 0;
        CHECK(sigprocmask(SIG_BLOCK, &user, NULL) == 0);
        CHECK(raise(SIGUSR1) == 0); /* it was there before */
        CHECK_ERR(wait_masked(kind, fd[0], &none, -1), EINTR);
        CHECK(count[SIGUSR1] == 1);
        CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
        CHECK(pthread_create(&t, NULL, send_later, NULL) == 0); /* it comes later */
        CHECK_ERR(wait_masked(kind, fd[0], &none, 10000), EINTR);
        CHECK(pthread_join(t, NULL) == 0 && count[SIGUSR1] == 2);
        CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && sigismember(&now, SIGUSR1));
        CHECK(raise(SIGUSR1) == 0); /* what is ready comes first: it stays pending */
        CHECK(write(fd[1], "x", 1) == 1 && wait_masked(kind, fd[0], &none, -1) == 1);
        CHECK(read(fd[0], &c, 1) == 1 && count[SIGUSR1] == 2);
        CHECK(sigpending(&now) == 0 && sigismember(&now, SIGUSR1));
        CHECK(kind == 2 || (wait_masked(kind, fd[0], &none, 0) == -1 && errno == EINTR));
        CHECK(kind == 2 || count[SIGUSR1] == 3);
        CHECK(sigprocmask(SIG_UNBLOCK, &user, NULL) == 0 && count[SIGUSR1] == 3);
        begin = now_ns();
        CHECK(pthread_create(&t, NULL, send_later, NULL) == 0); /* held back until the end */
        CHECK(wait_masked(kind, fd[0], &user, 150) == 0 && now_ns() - begin >= 149000000);
        CHECK(pthread_join(t, NULL) == 0 && count[SIGUSR1] == 4);
        CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR1));
    }
    check_section("their errors");
    CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &soon, &user, 4), EINVAL);
    CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &soon, 8, 8), EFAULT);
    CHECK_ERR(syscall(SYS_ppoll, NULL, 0, &bad_time, 8, 8), EINVAL);
    CHECK_ERR(syscall(SYS_ppoll, NULL, 0, 8, &user, 4), EFAULT);
    CHECK(syscall(SYS_ppoll, NULL, 0, &soon, NULL, 4) == 0);
    CHECK_ERR(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &soon, &six), EINVAL);
    CHECK_ERR(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &soon, &bad_six), EFAULT);
    CHECK_ERR(syscall(SYS_pselect6, 0, NULL, NULL, NULL, &bad_time, 8), EFAULT);
    CHECK_ERR(syscall(SYS_epoll_pwait, -1, NULL, 0, 0, &user, 4), EINVAL);
    CHECK_ERR(syscall(SYS_epoll_pwait, -1, NULL, 1, 0, 8, 8), EFAULT);
    CHECK(sigprocmask(SIG_BLOCK, NULL, &now) == 0 && !sigismember(&now, SIGUSR1));
    close(fd[0]);
    close(fd[1]);
}

static atomic_int inside, taken, left_over;

static void meeting(int sig)
{
    long long end = now_ns() + 5000000000ll;

    (void)sig;
    inside++;
    while (inside < 2 && now_ns() < end) {
    }
}

static void taking(int sig)
{
    (void)sig;
    taken++;
}

static void *idling(void *arg)
{
    running = 1;
    while (!stop) {
        sleep_ms(1000);
    }
    return arg;
}

static void *blocking(void *arg)
{
    sigset_t s = one(SIGUSR1);

    running = 1;
    pthread_sigmask(SIG_BLOCK, &s, NULL);
    while (!left_over) {
        sleep_ms(1);
    }
    return arg;
}

static void *leaving(void *arg)
{
    running = 1;
    return arg;
}

/* Sends while a thread that could take it blocks it, or ends: the idle one must take it then. */
static void retarget(void *(*body)(void *))
{
    sigset_t s = one(SIGUSR1);
    pthread_t t;

    for (int i = 0; i < 100; i++) {
        long long end = now_ns() + 5000000000ll;

        running = taken = left_over = 0;
        CHECK(pthread_sigmask(SIG_UNBLOCK, &s, NULL) == 0); /* t inherits it */
        CHECK(pthread_create(&t, NULL, body, NULL) == 0);
        CHECK(pthread_sigmask(SIG_BLOCK, &s, NULL) == 0);
        while (!running) {
        }
        kill(getpid(), SIGUSR1);
        while (!taken && now_ns() < end) {
            sched_yield();
        }
        left_over = 1;
        CHECK(pthread_join(t, NULL) == 0);
        if (!CHECK(taken == 1)) {
            return;
        }
    }
}

static void process_signals(void)
{
    sigset_t rt = one(SIGRTMIN), s = one(SIGUSR1);
    pthread_t a, b;

    check_section("two of a kind, two threads");
    set(SIGRTMIN, meeting, 0);
    a = start(idling);
    b = start(idling);
    CHECK(pthread_sigmask(SIG_BLOCK, &rt, NULL) == 0);
    kill(getpid(), SIGRTMIN);
    kill(getpid(), SIGRTMIN); /* the first taker blocks it while it waits for the second */
    for (int i = 0; i < 1000 && inside < 2; i++) {
        sleep_ms(1);
    }
    CHECK(inside == 2);
    inside = 2;
    stop = 1;
    CHECK(pthread_join(a, NULL) == 0 && pthread_join(b, NULL) == 0);

    check_section("a taker that turns away");
    set(SIGUSR1, taking, SA_RESTART);
    stop = 0;
    CHECK(pthread_create(&b, NULL, idling, NULL) == 0);
    retarget(blocking);
    retarget(leaving);
    stop = 1;
    CHECK(pthread_join(b, NULL) == 0);
    CHECK(pthread_sigmask(SIG_UNBLOCK, &s, NULL) == 0);
}

int main(void)
{
    actions();
    masks();
    nested();
    context();
    stacks();
    threads();
    interrupting();
    masked_waits();
    process_signals();
    return check_end();
}
