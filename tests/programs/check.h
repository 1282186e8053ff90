/* SPDX-License-Identifier: MIT */
/*
 * Checks of a guest program. Its output is the same natively and on an isle: section names, failed
 * checks, and a count at the end. Usable from C and C++, from any thread.
 */
#ifndef TESTS_PROGRAMS_CHECK_H
#define TESTS_PROGRAMS_CHECK_H

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int check_count, check_bad;

static inline int check_that(int ok, const char *what, int line)
{
    int err = errno;

    __atomic_add_fetch(&check_count, 1, __ATOMIC_RELAXED);
    if (!ok) {
        __atomic_add_fetch(&check_bad, 1, __ATOMIC_RELAXED);
        printf("FAIL line %d: %s (errno %d)\n", line, what, err);
        fflush(stdout);
    }
    errno = err;
    return ok;
}

/* True when the condition holds, so that a caller can give up early. */
#define CHECK(cond) check_that(!!(cond), #cond, __LINE__)
/* A call that must fail with this errno. */
#define CHECK_ERR(call, err)                                                                       \
    (errno = 0, check_that((call) == -1 && errno == (err), #call " -> " #err, __LINE__))

/* Names what runs next, so that a crash or a hang says where. */
static inline void check_section(const char *name)
{
    printf("- %s\n", name);
    fflush(stdout);
}

/* The program's exit code. */
static inline int check_end(void)
{
    if (check_bad) {
        printf("%d of %d checks failed\n", check_bad, check_count);
    } else {
        printf("%d checks passed\n", check_count);
    }
    fflush(stdout);
    return check_bad ? 1 : 0;
}

static inline long long now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static inline void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&t, &t) == -1 && errno == EINTR) {
    }
}

#endif
