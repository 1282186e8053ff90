/* SPDX-License-Identifier: MIT */
/* Waits that are stopped and continued from outside go on to their own end, without EINTR. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define SPAN_MS 700

static long long begin;

static void lasted(void)
{
    long long ms = (now_ns() - begin) / 1000000;

    CHECK(ms >= SPAN_MS - 1 && ms < 4 * SPAN_MS);
}

int main(void)
{
    struct timespec span = {0, SPAN_MS * 1000000}, left = span, t;
    struct timeval tv = {0, SPAN_MS * 1000};
    int word = 0;

    CHECK_ERR(syscall(SYS_restart_syscall), EINTR); /* nothing to go on with yet */
    check_section("ready");
    begin = now_ns();
    CHECK(nanosleep(&span, &left) == 0);
    lasted();
    begin = now_ns();
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL) == 0);
    lasted();
    begin = now_ns();
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_nsec += SPAN_MS * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == 0);
    lasted();
    begin = now_ns();
    CHECK_ERR(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &span, NULL, 0), ETIMEDOUT);
    lasted();
    begin = now_ns();
    CHECK(poll(NULL, 0, SPAN_MS) == 0);
    lasted();
    begin = now_ns();
    CHECK(ppoll(NULL, 0, &span, NULL) == 0);
    lasted();
    begin = now_ns();
    CHECK(select(0, NULL, NULL, NULL, &tv) == 0);
    lasted();
    return check_end();
}
