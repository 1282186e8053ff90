/* SPDX-License-Identifier: MIT */
/* Cancellation of threads that wait, compute, or refuse; clean-up handlers. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static atomic_int cleaned, running;
static int pipe_fd[2];

static void cleanup(void *arg)
{
    (void)arg;
    cleaned++;
}

static void unlock(void *arg)
{
    pthread_mutex_unlock(arg);
    cleaned++;
}

static void *in_read(void *arg)
{
    char c;

    (void)arg;
    pthread_cleanup_push(cleanup, NULL);
    running = 1;
    read(pipe_fd[0], &c, 1);
    pthread_cleanup_pop(0);
    return NULL;
}

static void *in_sleep(void *arg)
{
    (void)arg;
    pthread_cleanup_push(cleanup, NULL);
    running = 1;
    for (;;) {
        sleep(1000);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *in_cond(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    pthread_cleanup_push(unlock, &lock);
    running = 1;
    for (;;) {
        pthread_cond_wait(&cond, &lock);
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *computing(void *arg)
{
    int old;

    (void)arg;
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
    pthread_cleanup_push(cleanup, NULL);
    running = 1;
    for (volatile unsigned long i = 0;; i++) {
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *at_testcancel(void *arg)
{
    (void)arg;
    pthread_cleanup_push(cleanup, NULL);
    running = 1;
    for (;;) {
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *refusing(void *arg)
{
    int old;

    (void)arg;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
    running = 1;
    sleep_ms(30);
    cleaned++;
    return (void *)77;
}

static void *leaving(void *arg)
{
    pthread_cleanup_push(cleanup, NULL);
    pthread_exit(arg);
    pthread_cleanup_pop(0);
}

static void cancel_one(const char *name, void *(*body)(void *), void *expected)
{
    pthread_t t;
    void *result = NULL;
    int before = cleaned;

    check_section(name);
    running = 0;
    CHECK(pthread_create(&t, NULL, body, NULL) == 0);
    while (!running) {
        sleep_ms(1);
    }
    sleep_ms(10);
    CHECK(pthread_cancel(t) == 0);
    CHECK(pthread_join(t, &result) == 0);
    CHECK(result == expected);
    CHECK(cleaned == before + 1);
}

int main(void)
{
    pthread_t t;
    void *result;

    CHECK(pipe(pipe_fd) == 0);
    cancel_one("in read", in_read, PTHREAD_CANCELED);
    cancel_one("in sleep", in_sleep, PTHREAD_CANCELED);
    cancel_one("in cond_wait", in_cond, PTHREAD_CANCELED);
    cancel_one("computing, asynchronous", computing, PTHREAD_CANCELED);
    cancel_one("at testcancel", at_testcancel, PTHREAD_CANCELED);
    cancel_one("disabled", refusing, (void *)77);
    check_section("pthread_exit");
    cleaned = 0;
    CHECK(pthread_create(&t, NULL, leaving, (void *)5) == 0);
    CHECK(pthread_join(t, &result) == 0 && result == (void *)5 && cleaned == 1);
    CHECK(pthread_mutex_trylock(&lock) == 0);
    return check_end();
}
