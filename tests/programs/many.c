/* SPDX-License-Identifier: MIT */
/* Many more threads than cores: many [THREADS]. They compute, lock, meet, and spin for each other.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"

static int threads;
static pthread_barrier_t barrier;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t total;
static atomic_int ready, stop;

static uint64_t work(uint64_t x, int steps)
{
    for (int i = 0; i < steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
    }
    return x;
}

static void *body(void *arg)
{
    uint64_t x = (uintptr_t)arg;

    for (int i = 0; i < 10; i++) {
        x = work(x, 20000);
        pthread_mutex_lock(&lock);
        total += x;
        pthread_mutex_unlock(&lock);
        pthread_barrier_wait(&barrier);
    }
    /* needs no system call to pass, only a turn for everybody */
    ready++;
    while (ready < threads) {
    }
    return (void *)(uintptr_t)x;
}

static void *endless(void *arg)
{
    uint64_t x = (uintptr_t)arg;

    while (!stop) {
        x = work(x, 1000);
    }
    return (void *)(uintptr_t)(x | 1);
}

int main(int argc, char **argv)
{
    pthread_t *t;
    uint64_t sum = 0;
    void *result;

    threads = argc > 1 ? atoi(argv[1]) : 64;
    t = calloc((size_t)threads, sizeof(*t));
    if (!t) {
        return 2;
    }
    check_section("compute, lock, meet");
    CHECK(pthread_barrier_init(&barrier, NULL, (unsigned)threads) == 0);
    for (intptr_t i = 0; i < threads; i++) {
        CHECK(pthread_create(&t[i], NULL, body, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < threads; i++) {
        CHECK(pthread_join(t[i], &result) == 0);
        sum += (uintptr_t)result;
    }
    printf("%d threads, last %016llx, total %016llx\n", threads, (unsigned long long)sum,
           (unsigned long long)total);

    check_section("main gets its turn among threads that never wait");
    for (intptr_t i = 0; i < threads; i++) {
        CHECK(pthread_create(&t[i], NULL, endless, (void *)i) == 0);
    }
    sleep_ms(20);
    stop = 1;
    for (int i = 0; i < threads; i++) {
        CHECK(pthread_join(t[i], &result) == 0 && result);
    }
    free(t);
    return check_end();
}
