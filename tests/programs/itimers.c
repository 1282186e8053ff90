/* SPDX-License-Identifier: MIT */
/* Timers that send signals, CPU time, and signals with a value. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t count, last_code, last_value, last_id;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    count++;
    last_code = info->si_code;
    last_value = info->si_value.sival_int;
    last_id = info->si_timerid;
}

static void burn_until(volatile sig_atomic_t *what, int n, long ms)
{
    long long end = now_ns() + ms * 1000000ll;

    while (*what < n && now_ns() < end) {
    }
}

static void interval(void)
{
    struct itimerval it = {{0, 0}, {0, 20000}}, old, now;
    long long start;

    check_section("setitimer and alarm");
    CHECK(setitimer(ITIMER_REAL, &it, NULL) == 0);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_value.tv_usec > 0 &&
          now.it_value.tv_usec <= 20000);
    start = now_ns();
    CHECK(pause() == -1 && errno == EINTR && count == 1 && last_code == SI_KERNEL);
    CHECK(now_ns() - start > 10000000);
    CHECK(getitimer(ITIMER_REAL, &now) == 0 && now.it_value.tv_sec == 0 &&
          now.it_value.tv_usec == 0);
    it.it_interval.tv_usec = 5000;
    count = 0;
    CHECK(setitimer(ITIMER_REAL, &it, &old) == 0 && old.it_value.tv_usec == 0);
    burn_until(&count, 4, 10000);
    CHECK(count >= 4);
    it.it_value.tv_usec = it.it_interval.tv_usec = 0;
    CHECK(setitimer(ITIMER_REAL, &it, &old) == 0 && old.it_interval.tv_usec == 5000);
    count = 0;
    sleep_ms(30);
    CHECK(count == 0);
    CHECK(alarm(100) == 0 && alarm(50) == 100 && alarm(0) == 50 && alarm(0) == 0);
    it.it_value.tv_usec = 1000000;
    CHECK_ERR(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
    CHECK_ERR(syscall(SYS_setitimer, 7, &it, NULL), EINVAL);
    CHECK_ERR(syscall(SYS_getitimer, 0, 8), EFAULT);

    check_section("timers of CPU time");
    count = 0;
    it = (struct itimerval){{0, 0}, {0, 30000}};
    CHECK(setitimer(ITIMER_PROF, &it, NULL) == 0);
    sleep_ms(60);
    CHECK(count == 0);
    burn_until(&count, 1, 10000);
    CHECK(count == 1);
    it.it_value.tv_usec = 20000;
    CHECK(setitimer(ITIMER_VIRTUAL, &it, NULL) == 0);
    burn_until(&count, 2, 10000);
    CHECK(count == 2);
}

static void created(void)
{
    timer_t id, other;
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    struct itimerspec it = {{0, 0}, {0, 10000000}}, now;
    struct timespec t;
    sigset_t set;
    siginfo_t info;

    check_section("timer_create");
    ev.sigev_value.sival_int = 77;
    CHECK(timer_create(CLOCK_MONOTONIC, &ev, &id) == 0);
    CHECK(timer_gettime(id, &now) == 0 && now.it_value.tv_nsec == 0);
    count = 0;
    CHECK(timer_settime(id, 0, &it, NULL) == 0 && timer_gettime(id, &now) == 0);
    CHECK(now.it_value.tv_nsec > 0 && now.it_value.tv_nsec <= 10000000);
    burn_until(&count, 1, 10000);
    CHECK(count == 1 && last_code == SI_TIMER && last_value == 77);
    CHECK(timer_getoverrun(id) == 0);

    clock_gettime(CLOCK_MONOTONIC, &t);
    it.it_value = t; /* at once */
    CHECK(timer_settime(id, TIMER_ABSTIME, &it, NULL) == 0);
    burn_until(&count, 2, 10000);
    CHECK(count == 2);

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    sigprocmask(SIG_BLOCK, &set, NULL);
    it = (struct itimerspec){{0, 2000000}, {0, 2000000}};
    CHECK(timer_settime(id, 0, &it, NULL) == 0);
    sleep_ms(50);
    CHECK(sigwaitinfo(&set, &info) == SIGRTMIN + 3 && info.si_code == SI_TIMER);
    CHECK(info.si_value.sival_int == 77);
    it.it_value.tv_nsec = 0;
    CHECK(timer_settime(id, 0, &it, NULL) == 0);
    sigprocmask(SIG_UNBLOCK, &set, NULL);

    ev.sigev_notify = SIGEV_NONE;
    CHECK(timer_create(CLOCK_REALTIME, &ev, &other) == 0);
    it = (struct itimerspec){{0, 0}, {100, 0}};
    CHECK(timer_settime(other, 0, &it, NULL) == 0 && timer_gettime(other, &now) == 0);
    CHECK(now.it_value.tv_sec >= 98);
    CHECK(timer_delete(other) == 0 && timer_delete(id) == 0);
    CHECK_ERR(syscall(SYS_timer_delete, 12345), EINVAL);
    CHECK_ERR(syscall(SYS_timer_create, 99, NULL, &id), EINVAL);

    count = 0;
    ev.sigev_notify = SIGEV_SIGNAL;
    CHECK(timer_create(CLOCK_PROCESS_CPUTIME_ID, &ev, &id) == 0);
    it = (struct itimerspec){{0, 0}, {0, 20000000}};
    CHECK(timer_settime(id, 0, &it, NULL) == 0);
    burn_until(&count, 1, 10000);
    CHECK(count == 1 && timer_delete(id) == 0);
}

static volatile sig_atomic_t notified;

static void notify(union sigval v)
{
    notified = v.sival_int;
}

static void threads(void)
{
    timer_t id;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify};
    struct itimerspec it = {{0, 0}, {0, 5000000}};

    check_section("SIGEV_THREAD");
    ev.sigev_value.sival_int = 5;
    CHECK(timer_create(CLOCK_MONOTONIC, &ev, &id) == 0 && timer_settime(id, 0, &it, NULL) == 0);
    for (int i = 0; i < 1000 && !notified; i++) {
        sleep_ms(10);
    }
    CHECK(notified == 5 && timer_delete(id) == 0);
}

static void queued(void)
{
    union sigval v = {.sival_int = 123};
    siginfo_t info = {.si_code = -60};
    clockid_t clock;
    struct timespec t;

    check_section("sigqueue");
    count = 0;
    CHECK(sigqueue(getpid(), SIGRTMIN + 3, v) == 0);
    CHECK(count == 1 && last_code == SI_QUEUE && last_value == 123);
    info.si_code = SI_QUEUE;
    CHECK(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGRTMIN + 3, &info) == 0 &&
          count == 2);
    info.si_code = -60;
    CHECK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN + 3, &info) == 0 && last_code == -60);
    CHECK_ERR(sigqueue(getpid(), 100, v), EINVAL);
    CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, 8), EFAULT);

    check_section("CPU time");
    CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0 && clock_gettime(clock, &t) == 0);
    CHECK(clock_getcpuclockid(0, &clock) == 0 && clock_gettime(clock, &t) == 0);
}

static double cpu(const struct rusage *u)
{
    return (double)u->ru_utime.tv_sec + (double)u->ru_utime.tv_usec / 1e6;
}

static void usage(void)
{
    struct rusage a, b, thread;
    struct tms ta, tb;
    struct timespec p, q;
    struct sysinfo si;
    volatile sig_atomic_t never = 0;
    long hz = sysconf(_SC_CLK_TCK);

    CHECK(getrusage(RUSAGE_SELF, &a) == 0 && times(&ta) != -1);
    sleep_ms(200);
    CHECK(getrusage(RUSAGE_SELF, &b) == 0 && cpu(&b) - cpu(&a) < 0.1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &p);
    do {
        burn_until(&never, 1, 20);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &q);
    } while ((q.tv_sec - p.tv_sec) * 1000000000ll + q.tv_nsec - p.tv_nsec < 300000000);
    CHECK(getrusage(RUSAGE_SELF, &b) == 0 && times(&tb) != -1);
    CHECK(cpu(&b) - cpu(&a) > 0.2 && cpu(&b) - cpu(&a) < 1);
    CHECK(tb.tms_utime + tb.tms_stime - ta.tms_utime - ta.tms_stime >= hz / 5);
    CHECK(getrusage(RUSAGE_THREAD, &thread) == 0 && cpu(&thread) > 0.2);
    CHECK(cpu(&thread) <= cpu(&b) + 0.1);
    CHECK_ERR(getrusage(99, &a), EINVAL);
    CHECK(sysinfo(&si) == 0 && si.totalram > 0 && si.freeram <= si.totalram);
    CHECK(munlockall() == 0 && mlockall(8) == -1 && errno == EINVAL);
}

int main(void)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    pid_t pid;
    int status;

    sigaction(SIGALRM, &sa, NULL);
    sigaction(SIGVTALRM, &sa, NULL);
    sigaction(SIGPROF, &sa, NULL);
    sigaction(SIGRTMIN + 3, &sa, NULL);
    interval();
    created();
    threads();
    queued();
    usage();

    check_section("a child has no timers");
    alarm(1000);
    pid = fork();
    if (pid == 0) {
        _exit(alarm(0) == 0 ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && status == 0 && alarm(0) == 1000);
    return check_end();
}
