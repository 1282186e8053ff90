/* SPDX-License-Identifier: MIT */
/* Many calls at once: nothing holds up anything, any order, cancelling, stopping. */
#include "cases.h"

#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SUBMIT(r, core, slot, nr, ...)                                                             \
    rig_submit(r, core, slot, nr, (const uint64_t[6]){__VA_ARGS__})

static int64_t expect(struct rig *r, unsigned core, unsigned slot)
{
    int64_t v = 0;
    assert_true(rig_wait(r, core, slot, &v, 10000));
    return v;
}

static void blocked_holds_up_nothing(void **state)
{
    struct rig *r = *state;
    int p[2];
    int64_t v;
    assert_int_equal(pipe(p), 0);
    for (unsigned core = 0; core < RIG_CORES; core++)
        SUBMIT(r, core, 7, SYS_read, (uint64_t)p[0], U(r->app + core * 64), 4);
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(rig_call(r, SYS_getpgrp, 0), getpgrp());
        SUBMIT(r, 1, 9, SYS_lseek, (uint64_t)p[0], 0, 0);
        assert_int_equal(expect(r, 1, 9), -ESPIPE);
    }
    assert_false(rig_wait(r, 0, 7, &v, 1));
    assert_false(rig_wait(r, 1, 7, &v, 1));
    /* through the channel too */
    memcpy(r->app + 512, "abcdefgh", 8);
    SUBMIT(r, 1, 3, SYS_write, (uint64_t)p[1], U(r->app + 512), 8);
    assert_int_equal(expect(r, 1, 3), 8);
    assert_int_equal(expect(r, 0, 7), 4);
    assert_int_equal(expect(r, 1, 7), 4);
    struct server_stats st;
    server_get_stats(r->server, &st);
    assert_int_equal(st.calls, 403);
    assert_int_equal(st.handed_over, 2);
    assert_int_equal(st.polled, r->poller ? 403 : 0);
    assert_int_equal(st.on_core, r->poller ? 0 : 401);
    for (int ms = 0; rig_rung(r) < 403; ms++) { /* the ring comes after the completion */
        assert_true(ms < 5000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(rig_rung(r), 403);
    close(p[0]);
    close(p[1]);
}

/* Two readers of one descriptor, data for one: the other must not block the server. */
static void ready_only_once(void **state)
{
    struct rig *r = *state;
    int e = eventfd(0, EFD_SEMAPHORE);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 8; i++)
            SUBMIT(r, i % RIG_CORES, 10 + i, SYS_read, (uint64_t)e, U(r->app + i * 8), 8);
        for (unsigned i = 0; i < 8; i++) {
            *(uint64_t *)(r->app + 1024) = 1;
            assert_int_equal(rig_call(r, SYS_write, e, U(r->app + 1024), 8), 8);
        }
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(expect(r, i % RIG_CORES, 10 + i), 8);
    }
    close(e);
}

static void completes_in_any_order(void **state)
{
    struct rig *r = *state;
    int p[8][2];
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(pipe(p[i]), 0);
        SUBMIT(r, 0, i, SYS_read, (uint64_t)p[i][0], U(r->app + i), 1);
    }
    for (int i = 7; i >= 0; i--) {
        assert_int_equal(write(p[i][1], "z", 1), 1);
        assert_int_equal(expect(r, 0, (unsigned)i), 1);
    }
    for (unsigned i = 0; i < 8; i++) {
        close(p[i][0]);
        close(p[i][1]);
    }
}

#define MANY 700 /* calls of a core: more than the submission ring has entries */

/* Many calls of both cores wait at once, one does not, then all end. */
static void many_calls_wait(void **state)
{
    struct rig *r = *state;
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    for (unsigned i = 1; i <= MANY; i++)
        for (unsigned core = 0; core < RIG_CORES; core++) {
            while (lull_chan_full(r->isle.channel[core]))
                sched_yield();
            SUBMIT(r, core, i, SYS_recvfrom, (uint64_t)sv[0], U(r->app + (core * MANY + i) * 2), 1);
        }
    assert_int_equal(rig_call(r, SYS_getpgrp, 0), getpgrp());
    char data[RIG_CORES * MANY];
    memset(data, 'q', sizeof data);
    assert_int_equal(write(sv[1], data, sizeof data), sizeof data);
    for (unsigned i = 1; i <= MANY; i++)
        for (unsigned core = 0; core < RIG_CORES; core++)
            assert_int_equal(expect(r, core, i), 1);
    for (unsigned i = 1; i <= RIG_CORES * MANY; i++)
        assert_int_equal(r->app[2 * i], 'q');
    struct server_stats st;
    server_get_stats(r->server, &st);
    assert_in_range(st.threads_max, 2, LULL_CHAN_SLOTS + 16);
    assert_int_equal(rig_call(r, SYS_getpgrp, 0), getpgrp());
    close(sv[0]);
    close(sv[1]);
}

/* A blocking write is whole, even where the first part went at once. */
static void long_write_is_whole(void **state)
{
    struct rig *r = *state;
    int sv[2], p[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    assert_int_equal(pipe(p), 0);
    for (unsigned i = 0; i < 500000; i++)
        r->app[i] = (char)(i * 7);
    SUBMIT(r, 0, 1, SYS_write, (uint64_t)p[1], U(r->app), 500000);
    SUBMIT(r, 0, 2, SYS_sendto, (uint64_t)sv[1], U(r->app), 500000);
    static char back[500000];
    int from[2] = {p[0], sv[0]};
    for (int k = 0; k < 2; k++) {
        for (size_t n = 0; n < sizeof back;) {
            ssize_t got = read(from[k], back + n, sizeof back - n);
            assert_true(got > 0);
            n += (size_t)got;
        }
        assert_memory_equal(back, r->app, sizeof back);
    }
    assert_int_equal(expect(r, 0, 1), 500000);
    assert_int_equal(expect(r, 0, 2), 500000);
    /* small ones into a nearly full socket: all or wait, and the stream stays in order */
    for (unsigned i = 0; i < 200; i++)
        SUBMIT(r, 0, i, SYS_sendto, (uint64_t)sv[1], U(r->app), 4000);
    for (size_t n = 0; n < 200 * 4000;) {
        ssize_t got = read(sv[0], back, sizeof back);
        assert_true(got > 0);
        n += (size_t)got;
    }
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(expect(r, 0, i), 4000);
    for (int k = 0; k < 2; k++) {
        close(p[k]);
        close(sv[k]);
    }
}

static void cancel_ends_waiting(void **state)
{
    struct rig *r = *state;
    int p[2];
    int64_t v;
    assert_int_equal(pipe(p), 0);
    for (int i = 0; i < 300; i++) {
        unsigned slot = (unsigned)i % 16;
        SUBMIT(r, 0, slot, SYS_read, (uint64_t)p[0], U(r->app), 4);
        if (i % 3 == 0)
            nanosleep(&(struct timespec){.tv_nsec = 300000}, NULL);
        server_cancel(r->server, 0, slot);
        assert_int_equal(expect(r, 0, slot), -EINTR);
    }
    /* nothing there, nothing done; and others go on waiting */
    SUBMIT(r, 0, 1, SYS_read, (uint64_t)p[0], U(r->app), 4);
    server_cancel(r->server, 0, 2);
    server_cancel(r->server, 1, 1);
    server_cancel(r->server, 77, 1);
    server_cancel(r->server, 0, 9999);
    assert_false(rig_wait(r, 0, 1, &v, 5));
    assert_int_equal(write(p[1], "abcd", 4), 4);
    assert_int_equal(expect(r, 0, 1), 4);
    assert_memory_equal(r->app, "abcd", 4);
    close(p[0]);
    close(p[1]);
}

/* What is ready comes before the signal that a cancel stands for. */
static void cancel_finds_what_is_ready(void **state)
{
    struct rig *r = *state;
    int p[2], epoll = epoll_create1(0);
    struct pollfd *poll = (void *)r->app;
    struct epoll_event event = {.events = EPOLLIN}, *got = (void *)(r->app + 64);
    uint64_t *set = (void *)(r->app + 128), *time = (void *)(r->app + 256);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, p[0], &event), 0);
    assert_int_equal(write(p[1], "x", 1), 1);
    for (unsigned i = 0; i < 400; i++) {
        *poll = (struct pollfd){.fd = p[0], .events = POLLIN};
        *set = UINT64_C(1) << p[0];
        time[0] = 1000;
        time[1] = 0;
        const uint64_t calls[][7] = {
            {SYS_poll, U(poll), 1, (uint64_t)-1},
            {SYS_ppoll, U(poll), 1, U(time), 0, 8},
            {SYS_select, (uint64_t)p[0] + 1, U(set), 0, 0, U(time)},
            {SYS_pselect6, (uint64_t)p[0] + 1, U(set), 0, 0, 0, 0},
            {SYS_epoll_wait, (uint64_t)epoll, U(got), 1, (uint64_t)-1},
            {SYS_epoll_pwait, (uint64_t)epoll, U(got), 1, 1000, 0, 8},
        };
        const uint64_t *call = calls[i % 6];
        rig_submit(r, 0, i % 16, (uint32_t)call[0], call + 1);
        server_cancel(r->server, 0, i % 16);
        assert_int_equal(expect(r, 0, i % 16), 1);
        assert_true(i % 6 > 1 || poll->revents == POLLIN);
        assert_true(i % 6 < 2 || i % 6 > 3 || *set == UINT64_C(1) << p[0]);
    }
    close(p[0]);
    close(p[1]);
    close(epoll);
}

struct canceller {
    struct rig *r;
    int stop;
};

static void *cancel_always(void *arg)
{
    struct canceller *c = arg;
    while (!__atomic_load_n(&c->stop, __ATOMIC_RELAXED)) {
        for (unsigned slot = 0; slot < 4; slot++)
            server_cancel(c->r->server, 0, slot);
        nanosleep(&(struct timespec){.tv_nsec = 1000}, NULL);
    }
    return NULL;
}

/* Cancelled at any moment: a call either did all it says, or nothing. */
static void cancel_races(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    struct canceller c = {r, 0};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, cancel_always, &c), 0);
    unsigned sent = 0, received = 0, interrupted = 0;
    for (int i = 0; i < 3000; i++) {
        SUBMIT(r, 0, 0, SYS_write, (uint64_t)p[1], U(r->app), 8);
        int64_t v = expect(r, 0, 0);
        assert_true(v == 8 || v == -EINTR);
        sent += v == 8;
        interrupted += v == -EINTR;
        if (v != 8)
            continue;
        do {
            SUBMIT(r, 0, 1, SYS_read, (uint64_t)p[0], U(r->app + 64), 8);
            v = expect(r, 0, 1);
            assert_true(v == 8 || v == -EINTR);
        } while (v != 8);
        received++;
    }
    __atomic_store_n(&c.stop, 1, __ATOMIC_RELAXED);
    pthread_join(t, NULL);
    assert_int_equal(sent, received);
    assert_true(interrupted < 3000);
    close(p[0]);
    close(p[1]);
}

/* Stopping with calls in flight: at once, and nothing is completed afterwards. */
static void stop_interrupts(void **state)
{
    bool poller = *(bool *)*state;
    struct rig r;
    int p[2];
    assert_int_equal(pipe(p), 0);
    rig_open(&r, poller);
    for (unsigned i = 0; i < 20; i++)
        SUBMIT(&r, 0, i, SYS_read, (uint64_t)p[0], U(r.app), 4);
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    server_stop(r.server);
    clock_gettime(CLOCK_MONOTONIC, &b);
    assert_true(b.tv_sec - a.tv_sec < 4);
    int64_t v;
    for (unsigned i = 0; i < 20; i++)
        assert_false(rig_wait(&r, 0, i, &v, 0));
    close(p[0]);
    close(p[1]);
}

/* The poller sleeps when nothing comes, asks to be rung, and is there again. */
static void poller_sleeps(void **state)
{
    struct rig *r = *state;
    for (int round = 0; round < 20; round++) {
        for (int ms = 0; r->poller; ms++) {
            if (lull_load_acquire(&r->isle.channel[0]->asleep))
                break;
            assert_true(ms < 5000);
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        assert_int_equal(rig_call(r, SYS_getpgrp, 0), getpgrp());
    }
}

int main(void)
{
    static bool with = true, without = false;
    const struct CMUnitTest tests[] = {
        BOTH(blocked_holds_up_nothing),
        BOTH(ready_only_once),
        BOTH(completes_in_any_order),
        BOTH(many_calls_wait),
        BOTH(long_write_is_whole),
        BOTH(cancel_ends_waiting),
        BOTH(cancel_finds_what_is_ready),
        BOTH(cancel_races),
        BOTH(poller_sleeps),
        {"stop (Linux core left)", stop_interrupts, NULL, NULL, &with},
        {"stop (no Linux core)", stop_interrupts, NULL, NULL, &without},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
