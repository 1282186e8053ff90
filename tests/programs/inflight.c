/* SPDX-License-Identifier: MIT */
/* Many system calls in flight at once: one that waits holds up nobody else. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define N 24

static int in[N][2], out[N][2];

static void *echo(void *arg)
{
    intptr_t i = (intptr_t)arg;
    char c;

    while (read(in[i][0], &c, 1) == 1) {
        c++;
        if (write(out[i][1], &c, 1) != 1) {
            return NULL;
        }
    }
    return arg;
}

static void echoes(void)
{
    pthread_t t[N];
    void *result;
    char c;

    check_section("readers that wait");
    for (intptr_t i = 0; i < N; i++) {
        CHECK(pipe(in[i]) == 0 && pipe(out[i]) == 0);
        CHECK(pthread_create(&t[i], NULL, echo, (void *)i) == 0);
    }
    for (int round = 0; round < 20; round++) {
        for (int i = N - 1; i >= 0; i--) {
            c = (char)(i + round);
            if (write(in[i][1], &c, 1) != 1 || read(out[i][0], &c, 1) != 1 ||
                c != (char)(i + round + 1)) {
                CHECK(0);
            }
        }
        for (int i = 0; i < N; i++) {
            c = (char)i;
            CHECK(write(in[i][1], &c, 1) == 1);
        }
        for (int i = N - 1; i >= 0; i--) {
            CHECK(read(out[i][0], &c, 1) == 1 && c == (char)(i + 1));
        }
    }
    for (int i = 0; i < N; i++) {
        close(in[i][1]);
        CHECK(pthread_join(t[i], &result) == 0 && result == (void *)(intptr_t)i);
        close(in[i][0]);
        close(out[i][0]);
        close(out[i][1]);
    }
}

static int file;

static void *preads(void *arg)
{
    intptr_t bad = 0;
    uint32_t block[1024], x = (uint32_t)(uintptr_t)arg;

    for (int i = 0; i < 500; i++) {
        x = x * 1664525 + 1013904223;
        uint32_t at = x >> 24;

        if (pread(file, block, sizeof(block), at * 4096) != sizeof(block) || block[0] != at ||
            block[1023] != at) {
            bad++;
        }
    }
    return (void *)bad;
}

static void storage(const char *directory)
{
    pthread_t t[8];
    uint32_t block[1024];
    void *bad;

    check_section("preads from many threads");
    file = open(directory, O_TMPFILE | O_RDWR, 0600);
    CHECK(file >= 0);
    for (uint32_t i = 0; i < 256; i++) {
        for (int k = 0; k < 1024; k++) {
            block[k] = i;
        }
        CHECK(write(file, block, sizeof(block)) == sizeof(block));
    }
    for (uintptr_t i = 0; i < 8; i++) {
        CHECK(pthread_create(&t[i], NULL, preads, (void *)(i + 1)) == 0);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_join(t[i], &bad) == 0 && bad == NULL);
    }
    close(file);
}

static int event, epoll;

static void *post(void *arg)
{
    uint64_t one = 1;

    sleep_ms(20);
    return write(event, &one, sizeof(one)) == sizeof(one) ? arg : NULL;
}

static void events(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0x123456789abcull}, got[4];
    struct pollfd p;
    uint64_t value;
    pthread_t t;
    void *result;
    long long begin;

    check_section("eventfd, epoll, poll");
    event = eventfd(0, 0);
    epoll = epoll_create1(0);
    CHECK(event >= 0 && epoll >= 0);
    CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &e) == 0);
    begin = now_ns();
    CHECK(epoll_wait(epoll, got, 4, 20) == 0 && now_ns() - begin >= 19000000);
    CHECK(pthread_create(&t, NULL, post, &event) == 0);
    CHECK(epoll_wait(epoll, got, 4, 10000) == 1 && got[0].data.u64 == 0x123456789abcull);
    CHECK(read(event, &value, sizeof(value)) == sizeof(value) && value == 1);
    CHECK(pthread_join(t, &result) == 0 && result == &event);
    CHECK(pthread_create(&t, NULL, post, &event) == 0);
    p = (struct pollfd){.fd = event, .events = POLLIN};
    CHECK(poll(&p, 1, 10000) == 1 && p.revents == POLLIN);
    CHECK(pthread_join(t, &result) == 0 && result == &event);
    close(event);
    close(epoll);
}

#define WRITERS 300 /* more than an isle's core has calls on their way */

static int full[2];
static cpu_set_t second;

static void nothing(int signo)
{
    (void)signo;
}

static void *writes(void *arg)
{
    sched_setaffinity(0, sizeof(second), &second);
    return write(full[1], "w", 1) == 1 ? arg : NULL;
}

static atomic_int mapped; /* 1: it is about to, 2: it has, 3: it could not */

static void *maps(void *arg)
{
    sched_setaffinity(0, sizeof(second), &second);
    mapped = 1;
    void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, file, 0);
    mapped = p == MAP_FAILED ? 3 : 2;
    return arg;
}

/* mmap is not interrupted by signals, whoever is in its way. */
static void crowd(void)
{
    static pthread_t t[WRITERS];
    static char bytes[65536];
    struct sigaction sa = {.sa_handler = nothing};
    cpu_set_t all, first;
    pthread_t m;
    void *result;
    int cpu = 0, good = 0;
    ssize_t n, in_pipe = 0;

    check_section("a file is mapped while many wait");
    sched_getaffinity(0, sizeof(all), &all);
    if (CPU_COUNT(&all) < 2) {
        return;
    }
    while (!CPU_ISSET(cpu, &all)) {
        cpu++;
    }
    CPU_ZERO(&first);
    CPU_SET(cpu, &first);
    for (cpu++; !CPU_ISSET(cpu, &all); cpu++) {
    }
    CPU_ZERO(&second);
    CPU_SET(cpu, &second);
    sched_setaffinity(0, sizeof(first), &first);
    sigaction(SIGUSR1, &sa, NULL);
    file = open("/proc/self/exe", O_RDONLY);
    CHECK(file >= 0 && pipe2(full, O_NONBLOCK) == 0);
    while ((n = write(full[1], bytes, sizeof(bytes))) > 0) {
        in_pipe += n;
    }
    CHECK(fcntl(full[1], F_SETFL, 0) == 0 && fcntl(full[0], F_SETFL, 0) == 0);
    for (int i = 0; i < WRITERS; i++) {
        CHECK(pthread_create(&t[i], NULL, writes, full) == 0);
    }
    sleep_ms(300);
    CHECK(pthread_create(&m, NULL, maps, NULL) == 0);
    while (!mapped) {
        sleep_ms(1);
    }
    for (int i = 0; i < 30; i++) {
        pthread_kill(m, SIGUSR1);
        sleep_ms(3);
    }
    for (in_pipe += WRITERS; in_pipe > 0 && (n = read(full[0], bytes, sizeof(bytes))) > 0;) {
        in_pipe -= n;
    }
    CHECK(in_pipe == 0);
    for (int i = 0; i < WRITERS; i++) {
        good += pthread_join(t[i], &result) == 0 && result == full;
    }
    CHECK(good == WRITERS);
    CHECK(pthread_join(m, NULL) == 0 && mapped == 2);
    close(file);
    close(full[0]);
    close(full[1]);
    sched_setaffinity(0, sizeof(all), &all);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    echoes();
    storage(argv[1]);
    events();
    crowd();
    return check_end();
}
