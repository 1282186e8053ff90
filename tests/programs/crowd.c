/* SPDX-License-Identifier: MIT */
/* More calls that wait than a channel has room for: nobody is held up who does not wait himself. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"

#define N 300

static int fd[2];
static pthread_t t[N];
static atomic_int arrived, got, handled;

static void on_signal(int sig)
{
    (void)sig;
    handled++;
}

static void *reading(void *arg)
{
    char c;

    arrived++;
    for (;;) {
        ssize_t n = read(fd[0], &c, 1);

        if (n == 1) {
            got++;
            return arg;
        }
        if (n != -1 || errno != EINTR) {
            return NULL;
        }
        if (handled < 0) { /* never */
            return NULL;
        }
    }
}

static void wait_until(atomic_int *what, int value)
{
    long long end = now_ns() + 20000000000ll;

    while (*what < value && now_ns() < end) {
        sleep_ms(1);
    }
    CHECK(*what == value);
}

int main(void)
{
    struct sigaction act = {.sa_handler = on_signal};
    pthread_attr_t attr;
    void *result;
    char bytes[N] = {0};

    CHECK(sigaction(SIGUSR1, &act, NULL) == 0 && pipe(fd) == 0);
    pthread_attr_init(&attr);
    CHECK(pthread_attr_setstacksize(&attr, 64 * 1024) == 0);
    check_section("hundreds of threads read what is not there");
    for (intptr_t i = 0; i < N; i++) {
        CHECK(pthread_create(&t[i], &attr, reading, &fd) == 0);
    }
    wait_until(&arrived, N);
    sleep_ms(50);
    for (int i = 0; i < N; i++) {
        CHECK(pthread_kill(t[i], SIGUSR1) == 0);
    }
    wait_until(&handled, N); /* those that found no room for their call, too */
    check_section("and then it is there");
    for (int i = 0; i < N; i += 50) {
        CHECK(write(fd[1], bytes, 50) == 50);
    }
    for (int i = 0; i < N; i++) {
        CHECK(pthread_join(t[i], &result) == 0 && result == &fd);
    }
    CHECK(got == N);
    return check_end();
}
