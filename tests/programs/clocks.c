/* SPDX-License-Identifier: MIT */
/* Clocks and sleeping: clocks DIRECTORY (writable). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/times.h>
#include <unistd.h>

#include "check.h"

static long long at(clockid_t clock)
{
    struct timespec t;

    return clock_gettime(clock, &t) ? -1 : t.tv_sec * 1000000000ll + t.tv_nsec;
}

static atomic_llong latest;
static atomic_int backwards;

static void *compare(void *arg)
{
    (void)arg;
    for (int i = 0; i < 100000; i++) {
        long long seen = latest, mine = now_ns();

        if (mine < seen) {
            backwards++;
        }
        latest = mine;
    }
    return NULL;
}

static void monotonic(void)
{
    pthread_t t[2];
    long long last = 0, mine;

    check_section("monotonic");
    for (int i = 0; i < 100000; i++) {
        mine = now_ns();
        if (mine < last) {
            CHECK(0);
        }
        last = mine;
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&t[i], NULL, compare, NULL) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
    CHECK(backwards == 0);
}

static void agreement(const char *directory)
{
    struct timeval tv;
    struct stat st;
    struct timespec res;
    long long real, raw, mono, boot, file;
    int fd;

    check_section("clocks agree");
    real = at(CLOCK_REALTIME);
    CHECK(gettimeofday(&tv, NULL) == 0);
    CHECK(tv.tv_sec * 1000000000ll + tv.tv_usec * 1000ll - real > -1000000);
    CHECK(tv.tv_sec * 1000000000ll + tv.tv_usec * 1000ll - real < 1000000000);
    CHECK(time(NULL) - real / 1000000000 <= 1);
    fd = openat(AT_FDCWD, directory, O_TMPFILE | O_RDWR, 0600);
    if (CHECK(fd >= 0)) {
        CHECK(write(fd, "x", 1) == 1 && fstat(fd, &st) == 0);
        file = st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
        CHECK(file - real > -50000000 && file - real < 2000000000); /* file times tick by 4 ms */
        close(fd);
    }
    mono = at(CLOCK_MONOTONIC);
    raw = at(CLOCK_MONOTONIC_RAW);
    boot = at(CLOCK_BOOTTIME);
    real = at(CLOCK_REALTIME);
    sleep_ms(100);
    mono = at(CLOCK_MONOTONIC) - mono;
    raw = at(CLOCK_MONOTONIC_RAW) - raw;
    boot = at(CLOCK_BOOTTIME) - boot;
    real = at(CLOCK_REALTIME) - real;
    CHECK(mono >= 100000000);
    CHECK(mono - raw < 20000000 && raw - mono < 20000000);
    CHECK(mono - real < 20000000 && real - mono < 20000000);
    CHECK(mono - boot < 20000000 && boot - mono < 20000000);
    CHECK(at(CLOCK_REALTIME_COARSE) > 0 && at(CLOCK_MONOTONIC_COARSE) > 0 && at(CLOCK_TAI) > 0);
    CHECK(clock_getres(CLOCK_MONOTONIC, &res) == 0 && res.tv_sec == 0 && res.tv_nsec == 1);
    CHECK_ERR(clock_gettime(77, &res), EINVAL);
    CHECK_ERR(clock_getres(77, &res), EINVAL);
    CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, 8), EFAULT);
    CHECK(times(NULL) != (clock_t)-1);
}

static void cpu_time(void)
{
    long long process = at(CLOCK_PROCESS_CPUTIME_ID), thread = at(CLOCK_THREAD_CPUTIME_ID);
    long long begin = now_ns(), asleep;

    check_section("CPU time");
    while (now_ns() - begin < 50000000) {
    }
    process = at(CLOCK_PROCESS_CPUTIME_ID) - process;
    thread = at(CLOCK_THREAD_CPUTIME_ID) - thread;
    CHECK(thread > 5000000 && thread < 5000000000);
    CHECK(process > 5000000 && process < 10000000000);
    asleep = at(CLOCK_THREAD_CPUTIME_ID);
    sleep_ms(100);
    asleep = at(CLOCK_THREAD_CPUTIME_ID) - asleep;
    CHECK(asleep < 50000000);
}

static void *sleeper(void *arg)
{
    long long begin = now_ns();
    struct timespec t = {0, *(long *)arg * 1000000};

    nanosleep(&t, NULL);
    return now_ns() - begin >= *(long *)arg * 1000000 ? arg : NULL;
}

static void sleeping(void)
{
    struct timespec t, bad = {0, 1000000000}, negative = {-1, 0};
    pthread_t thread[20];
    long ms[20];
    long long begin;
    void *result;

    check_section("sleeping");
    for (long us = 1; us <= 100000; us *= 10) {
        t = (struct timespec){0, us * 1000};
        begin = now_ns();
        CHECK(nanosleep(&t, NULL) == 0);
        CHECK(now_ns() - begin >= us * 1000);
        CHECK(now_ns() - begin < us * 1000 + 2000000000ll);
    }
    CHECK_ERR(nanosleep(&bad, NULL), EINVAL);
    CHECK_ERR(nanosleep(&negative, NULL), EINVAL);
    begin = now_ns() + 30000000;
    t = (struct timespec){begin / 1000000000, begin % 1000000000};
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
    CHECK(now_ns() >= begin);
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0); /* past */
    begin = at(CLOCK_REALTIME) + 30000000;
    t = (struct timespec){begin / 1000000000, begin % 1000000000};
    CHECK(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL) == 0);
    CHECK(at(CLOCK_REALTIME) >= begin - 1000000);
    CHECK(clock_nanosleep(77, 0, &t, NULL) == EINVAL);
    begin = now_ns();
    CHECK(usleep(2000) == 0 && now_ns() - begin >= 2000000);
    begin = now_ns();
    for (int i = 0; i < 20; i++) {
        ms[i] = 100 - 4 * i;
        CHECK(pthread_create(&thread[i], NULL, sleeper, &ms[i]) == 0);
    }
    for (int i = 0; i < 20; i++) {
        CHECK(pthread_join(thread[i], &result) == 0 && result == &ms[i]);
    }
    CHECK(now_ns() - begin < 1000000000); /* all at once */
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    monotonic();
    agreement(argv[1]);
    cpu_time();
    sleeping();
    return check_end();
}
