/* SPDX-License-Identifier: MIT */
/* Clocks, sleeping, timers. */
#include "diff.h"

#include <sys/stat.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/timex.h>

CASE(timers, clocks)
{
    static const clockid_t id[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 10, 99};
    struct timespec t;

    for (size_t i = 0; i < sizeof id / sizeof *id; i++) {
        printf("clock %d: ", id[i]);
        R(clock_gettime(id[i], &t));
        R(syscall(SYS_clock_gettime, id[i], &t));
    }
}

CASE(timers, clock_resolutions)
{
    static const clockid_t id[] = {0, 1, 2, 3, 4, 5, 6, 7, 11, 99};
    struct timespec t = {0, 0};

    for (size_t i = 0; i < sizeof id / sizeof *id; i++) {
        printf("clock %d: ", id[i]);
        R(syscall(SYS_clock_getres, id[i], &t));
        SHOW(t.tv_nsec);
    }
    R(clock_getres(CLOCK_MONOTONIC, NULL));
}

CASE(timers, cpu_clocks_by_id)
{
    struct timespec t;
    clockid_t id = 0;

    R(clock_getcpuclockid(getpid(), &id));
    R(clock_gettime(id, &t));
    SHOW(t.tv_sec);
    R(pthread_getcpuclockid(pthread_self(), &id));
    R(clock_gettime(id, &t));
    SHOW(t.tv_sec);
    R(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
}

CASE(timers, cpu_clocks_of_nobody)
{
    clockid_t id = 0;

    R(clock_getcpuclockid(0x3fffffff, &id));
}

CASE(timers, sleeping)
{
    struct timespec t = {0, 20000000}, bad = {0, 1000000000}, neg = {-1, 0};
    long long start = now_ms();

    R(nanosleep(&t, NULL));
    SHOW(now_ms() - start >= 20);
    R(nanosleep(&bad, NULL));
    R(nanosleep(&neg, NULL));
    R(clock_nanosleep(CLOCK_MONOTONIC, 0, &bad, NULL));
    R(clock_nanosleep(99, 0, &t, NULL));
    R(clock_nanosleep(CLOCK_MONOTONIC_RAW, 0, &t, NULL));
    start = now_ms();
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec++;
    R(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL));
    SHOW(now_ms() - start >= 999);
    R(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &(struct timespec){5, 0}, NULL));
    R(clock_nanosleep(CLOCK_BOOTTIME, 0, &(struct timespec){0, 1000}, NULL));
}

CASE(timers, absolute_sleep_is_interrupted)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += 50;
    poke_begin(100, 0);
    R(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL));
    SHOW(poke_end());
}

CASE(timers, gettimeofday)
{
    struct timezone z = {9, 9};
    struct timeval v;
    time_t now = time(NULL);

    R(gettimeofday(&v, NULL));
    SHOW(v.tv_sec - now <= 2);
    R(syscall(SYS_gettimeofday, &v, &z));
    SHOW(z.tz_minuteswest);
    SHOW(z.tz_dsttime);
    R(syscall(SYS_time, NULL) - now <= 2);
}

CASE(timers, setting_clocks)
{
    struct timespec t = {0, -1};
    struct timeval v = {0, -1};

    R(clock_settime(CLOCK_MONOTONIC, &t));
    R(clock_settime(CLOCK_REALTIME, &t));
    R(clock_settime(99, &t));
    R(settimeofday(&v, NULL));
}

CASE(timers, adjtimex)
{
    struct timex x = {.modes = 0};

    R(adjtimex(&x) >= 0);
    SHOW(x.tick);
    R(clock_adjtime(CLOCK_MONOTONIC, &x));
}

static volatile int ticks;

static void on_tick(int signo)
{
    (void)signo;
    ticks++;
}

CASE(timers, alarm)
{
    signal(SIGALRM, on_tick);
    R(alarm(100));
    if (alarm(1) != 100) {
        puts("no alarm");
        return;
    }
    R(pause());
    SHOW(ticks);
    R(alarm(0));
}

CASE(timers, itimer_real)
{
    struct itimerval t = {{0, 10000}, {0, 10000}}, old;

    signal(SIGALRM, on_tick);
    R(setitimer(ITIMER_REAL, &t, NULL));
    for (int i = 0; i < 500 && ticks < 3; i++)
        sleep_ms(10);
    SHOW(ticks >= 3);
    R(getitimer(ITIMER_REAL, &old));
    SHOW(old.it_interval.tv_usec);
    t = (struct itimerval){{0, 0}, {0, 0}};
    R(setitimer(ITIMER_REAL, &t, &old));
    R(setitimer(9, &t, NULL));
    t.it_value.tv_usec = 1000000;
    R(setitimer(ITIMER_REAL, &t, NULL));
    R(getitimer(9, &old));
}

CASE(timers, itimer_cpu)
{
    struct itimerval t = {{0, 0}, {0, 20000}};
    long long end = now_ms() + 5000;

    signal(SIGPROF, on_tick);
    signal(SIGVTALRM, on_tick);
    R(setitimer(ITIMER_PROF, &t, NULL));
    R(setitimer(ITIMER_VIRTUAL, &t, NULL));
    while (ticks < 2 && now_ms() < end) {
    }
    SHOW(ticks);
}

CASE(timers, timer_create)
{
    struct itimerspec t = {{0, 0}, {0, 10000000}}, old;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t set;
    siginfo_t info;
    timer_t id;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    e.sigev_value.sival_int = 55;
    if (timer_create(CLOCK_MONOTONIC, &e, &id)) {
        puts(strerrorname_np(errno));
        return;
    }
    R(timer_settime(id, 0, &t, NULL));
    R(sigwaitinfo(&set, &info));
    SHOW(info.si_code);
    SHOW(info.si_value.sival_int);
    R(timer_getoverrun(id));
    R(timer_gettime(id, &old));
    SHOW(old.it_value.tv_nsec);
    R(timer_settime(id, 0, &(struct itimerspec){{0, 0}, {0, -1}}, NULL));
    R(timer_delete(id));
}

CASE(timers, timer_errors)
{
    struct sigevent e = {.sigev_notify = 99};
    struct itimerspec old;
    int id = 0;

    R(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id));
    e = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 99};
    R(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id));
    R(syscall(SYS_timer_create, 77, NULL, &id));
    e = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_signo = SIGUSR1};
    R(syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id));
    R(syscall(SYS_timer_settime, id, 0, NULL, NULL));
    R(syscall(SYS_timer_settime, id, 0, 8, NULL));
    R(syscall(SYS_timer_delete, 12345));
    R(syscall(SYS_timer_gettime, 12345, &old));
    R(syscall(SYS_timer_getoverrun, 12345));
}

CASE(timers, timer_none)
{
    struct itimerspec t = {{0, 0}, {100, 0}}, old;
    struct sigevent e = {.sigev_notify = SIGEV_NONE};
    timer_t id;

    if (timer_create(CLOCK_REALTIME, &e, &id)) {
        puts(strerrorname_np(errno));
        return;
    }
    R(timer_settime(id, 0, &t, NULL));
    R(timer_gettime(id, &old));
    SHOW(old.it_value.tv_sec);
    R(timer_delete(id));
}

CASE(timers, times)
{
    struct tms t;

    R(times(&t) != -1);
    SHOW(t.tms_cutime);
    R(clock() >= 0);
    R(sysconf(_SC_CLK_TCK));
}

static volatile sig_atomic_t alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

CASE(timers, over_execve)
{
    struct itimerval it = {{0, 200000}, {0, 300000}}, slow = {{7, 0}, {1000, 0}};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec soon = {{0, 0}, {0, 1000000}};
    timer_t id;

    if (!getenv("AGAIN")) {
        setenv("AGAIN", "1", 1);
        signal(SIGUSR1, SIG_IGN);
        R(timer_create(CLOCK_MONOTONIC, &ev, &id));
        soon.it_value = (struct timespec){1, 0};
        R(timer_settime(id, 0, &soon, NULL));
        R(setitimer(ITIMER_REAL, &it, NULL));
        R(setitimer(ITIMER_PROF, &slow, NULL));
        fflush(stdout);
        signal(SIGALRM, SIG_IGN);
        execl("/proc/self/exe", "cases", "timers.over_execve", (char *)NULL);
    }
    signal(SIGALRM, on_alarm);
    for (int i = 0; i < 300 && alarms < 3; i++)
        sleep_ms(10);
    SHOW(alarms);
    R(getitimer(ITIMER_REAL, &it));
    SHOW(it.it_interval.tv_usec);
    SHOW(it.it_value.tv_usec > 0);
    R(getitimer(ITIMER_PROF, &it));
    SHOW(it.it_interval.tv_sec);
    SHOW(it.it_value.tv_sec > 900);
}

CASE(timers, alarm_over_execve)
{
    if (!getenv("AGAIN")) {
        setenv("AGAIN", "1", 1);
        R(alarm(1));
        fflush(stdout);
        execl("/proc/self/exe", "cases", "timers.alarm_over_execve", (char *)NULL);
    }
    fflush(stdout);
    sleep_ms(3000);
    puts("not reached");
}

CASE(timers, clock_ids)
{
    static const int id[] = {4,     5,          6,          8,  9,  10,     11,     12,      13, 16,
                             99999, 1073743192, 0x7fffffff, -1, -2, -8 - 3, -8 - 5, -100000, 3};
    struct timespec t, tick = {0, 1000};
    timer_t timer;

    for (size_t i = 0; i < sizeof id / sizeof *id; i++) {
        printf("clock %d\n", id[i]);
        R(syscall(SYS_clock_gettime, id[i], &t));
        R(syscall(SYS_clock_getres, id[i], &t));
        R(syscall(SYS_clock_nanosleep, id[i], 0, &tick, NULL));
        R(syscall(SYS_clock_nanosleep, id[i], 0, NULL, NULL));
        R(syscall(SYS_timer_create, id[i], NULL, &timer));
        R(syscall(SYS_clock_settime, id[i], (struct timespec[]){{0, -1}}));
        if (id[i] != 11 && (id[i] < 4 || id[i] > 11)) /* no clock that could be set */
            R(syscall(SYS_clock_settime, id[i], &tick));
    }
}

static void *burn(void *arg)
{
    while (!*(volatile int *)arg) {
    }
    return NULL;
}

CASE(timers, sleep_by_cpu_clock)
{
    volatile int done = 0;
    struct timespec t = {0, 20000000};
    clockid_t process, thread, main_thread, parent;
    pthread_t p;

    pthread_create(&p, NULL, burn, (void *)&done);
    R(clock_getcpuclockid(getpid(), &process));
    R(pthread_getcpuclockid(p, &thread));
    R(pthread_getcpuclockid(pthread_self(), &main_thread));
    R(clock_getcpuclockid(getppid(), &parent));
    R(clock_gettime(parent, &t));
    t = (struct timespec){0, 20000000};
    R(syscall(SYS_clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &t, NULL));
    R(syscall(SYS_clock_nanosleep, process, 0, &t, NULL));
    R(syscall(SYS_clock_nanosleep, thread, 0, &t, NULL));
    R(syscall(SYS_clock_nanosleep, thread, TIMER_ABSTIME, &t, NULL));
    R(syscall(SYS_clock_nanosleep, main_thread, 0, &t, NULL));
    R(syscall(SYS_clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, NULL));
    poke_begin(20, 0);
    t.tv_sec = 1000;
    R(syscall(SYS_clock_nanosleep, process, 0, &t, &t));
    SHOW(t.tv_sec);
    SHOW(poke_end());
    done = 1;
    pthread_join(p, NULL);
}

CASE(timers, many)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    static int id[3000];
    int n = 0;

    while (n < 3000 && syscall(SYS_timer_create, CLOCK_MONOTONIC, &e, &id[n]) == 0)
        n++;
    SHOW(n);
    SHOW(id[0]);
    SHOW(id[2999] - id[0]);
    for (int i = 0; i < n; i++) {
        if (syscall(SYS_timer_delete, id[i]))
            printf("timer %d cannot be deleted\n", i);
    }
    R(syscall(SYS_timer_delete, id[0]));
}

/* What passes while the signal is blocked is counted, and is one signal. */
CASE(timers, overruns)
{
    struct itimerspec t = {{0, 1000000}, {0, 1000000}}, none = {{0, 0}, {0, 0}};
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t set;
    siginfo_t info;
    timer_t id;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    R(timer_create(CLOCK_MONOTONIC, &e, &id));
    R(timer_settime(id, 0, &t, NULL));
    sleep_ms(100);
    R(sigwaitinfo(&set, &info));
    SHOW(info.si_overrun >= 90);
    SHOW(info.si_overrun == timer_getoverrun(id));
    R(timer_gettime(id, &t));
    SHOW(t.it_value.tv_sec == 0 && t.it_value.tv_nsec <= 1000000);
    R(sigwaitinfo(&set, &info));
    SHOW(info.si_code);
    R(timer_settime(id, 0, &none, NULL));
    R(timer_gettime(id, &t));
    SHOW(t.it_value.tv_nsec);
    sigtimedwait(&set, &info, &(struct timespec){0, 0});
    sleep_ms(5);
    R(sigtimedwait(&set, &info, &(struct timespec){0, 0}));
}

static volatile int alarmed;

static void on_alarmed(int signo)
{
    (void)signo;
    alarmed++;
}

/* One whose signal was ignored meanwhile goes on. */
CASE(timers, ignored_for_a_while)
{
    struct itimerspec it = {{0, 5000000}, {0, 5000000}};
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    sigset_t set;
    timer_t id;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    signal(SIGUSR1, on_alarmed);
    sigprocmask(SIG_BLOCK, &set, NULL);
    R(timer_create(CLOCK_MONOTONIC, &e, &id));
    R(timer_settime(id, 0, &it, NULL));
    sleep_ms(20);
    signal(SIGUSR1, SIG_IGN); /* what is pending is thrown away */
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    sleep_ms(20);
    signal(SIGUSR1, on_alarmed);
    for (int i = 0; i < 1000 && alarmed < 2; i++)
        sleep_ms(5);
    SHOW(alarmed >= 2);
}

/* ITIMER_REAL ends when its signal is ignored. */
CASE(timers, real_timer_ignored)
{
    struct itimerval it = {{0, 5000}, {0, 5000}};

    signal(SIGALRM, SIG_IGN);
    R(setitimer(ITIMER_REAL, &it, NULL));
    sleep_ms(50);
    signal(SIGALRM, on_alarmed);
    sleep_ms(50);
    SHOW(alarmed);
}

/* A file that is made after a clock was read is not older than that. */
CASE(timers, files_are_not_older_than_the_coarse_clock)
{
    int older = 0, res;
    struct timespec tick, said;
    struct stat st;
    for (int i = 0; i < 400; i++) {
        int how = i % 4;
        if (how < 2)
            clock_gettime(CLOCK_REALTIME_COARSE, &said);
        else if (how == 2)
            syscall(SYS_clock_gettime, CLOCK_REALTIME_COARSE, &said);
        else
            said = (struct timespec){time(NULL), 0};
        int fd = open("new", O_CREAT | O_RDWR, 0600);
        fstat(fd, &st);
        older += st.st_mtim.tv_sec < said.tv_sec ||
                 (st.st_mtim.tv_sec == said.tv_sec && st.st_mtim.tv_nsec < said.tv_nsec);
        close(fd);
        unlink("new");
    }
    SHOW(older <= 4); /* a host can delay Linux's tick by more than an isle allows for */
    res = clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
    SHOW(res);
    SHOW(tick.tv_nsec);
}

/* Shifts the machine's clock; later calls undo it. */
static int shift_clock(long ms)
{
    struct timex tx = {.modes = ADJ_SETOFFSET | ADJ_NANO};
    tx.time.tv_sec = ms < 0 ? -1 : 0;
    tx.time.tv_usec = ms < 0 ? 1000000000 + ms * 1000000 : ms * 1000000;
    return clock_adjtime(CLOCK_REALTIME, &tx) < 0 ? -1 : 0;
}

static long long ms_of(const struct timespec *t)
{
    return t->tv_sec * 1000ll + t->tv_nsec / 1000000;
}

static void after_ms(struct timespec *t, clockid_t id, long ms)
{
    clock_gettime(id, t);
    t->tv_nsec += ms * 1000000;
    t->tv_sec += t->tv_nsec / 1000000000;
    t->tv_nsec %= 1000000000;
}

CASE(timers, clock_set_is_seen_at_once)
{
    struct timespec before, ahead, back;

    clock_gettime(CLOCK_REALTIME, &before);
    R(shift_clock(300));
    clock_gettime(CLOCK_REALTIME, &ahead);
    R(shift_clock(-300));
    clock_gettime(CLOCK_REALTIME, &back);
    SHOW(ms_of(&ahead) - ms_of(&before) >= 300);
    SHOW(ms_of(&back) < ms_of(&ahead));
}

CASE(timers, clock_set_back_a_little)
{
    struct timespec before, back;
    int behind = 0;

    for (int i = 0; i < 3 && !behind; i++) {
        clock_gettime(CLOCK_REALTIME, &before);
        R(shift_clock(-8));
        clock_gettime(CLOCK_REALTIME, &back);
        R(shift_clock(8));
        behind = back.tv_sec < before.tv_sec ||
                 (back.tv_sec == before.tv_sec && back.tv_nsec < before.tv_nsec);
    }
    SHOW(behind);
}

enum waits { SLEEPS, WAITS_FUTEX, WAITS_TIMER, SLEEPS_TAI, WAYS };

static void *wait_on_wall_clock(void *p)
{
    struct itimerspec it = {{0, 0}, {0, 0}};
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct timespec end;
    enum waits how = *(enum waits *)p;
    sigset_t set;
    timer_t id;
    int word = 0;

    after_ms(&end, how == SLEEPS_TAI ? CLOCK_TAI : CLOCK_REALTIME, 8000);
    switch (how) {
    case SLEEPS:
        clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &end, NULL);
        break;
    case SLEEPS_TAI:
        clock_nanosleep(CLOCK_TAI, TIMER_ABSTIME, &end, NULL);
        break;
    case WAITS_FUTEX: /* FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME */
        syscall(SYS_futex, &word, 9 | 128 | 256, 0, &end, NULL, ~0u);
        break;
    default:
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        timer_create(CLOCK_REALTIME, &e, &id);
        it.it_value = end;
        timer_settime(id, TIMER_ABSTIME, &it, NULL);
        sigwaitinfo(&set, NULL);
        break;
    }
    return NULL;
}

/* Who waits until a point in time of CLOCK_REALTIME waits shorter when the clock is set ahead. */
CASE(timers, clock_set_ends_waits)
{
    enum waits how[WAYS];
    pthread_t t[WAYS];
    sigset_t set;
    long long start = now_ms();

    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < WAYS; i++) {
        how[i] = (enum waits)i;
        pthread_create(&t[i], NULL, wait_on_wall_clock, &how[i]);
    }
    sleep_ms(100);
    for (int i = 0; i < 10; i++)
        shift_clock(900);
    for (int i = 0; i < WAYS; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < 10; i++)
        shift_clock(-900);
    SHOW(now_ms() - start < 6000);
}

/* Not one that began as so many seconds from now. */
CASE(timers, clock_set_leaves_relative_timers)
{
    struct itimerspec it = {{0, 0}, {50, 0}}, left;
    struct sigevent e = {.sigev_notify = SIGEV_NONE};
    timer_t id;

    R(timer_create(CLOCK_REALTIME, &e, &id));
    R(timer_settime(id, 0, &it, NULL));
    R(shift_clock(900));
    R(timer_gettime(id, &left));
    SHOW(left.it_value.tv_sec >= 49 || left.it_value.tv_nsec > 200000000);
    R(shift_clock(-900));
}
