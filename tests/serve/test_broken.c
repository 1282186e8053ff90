/* SPDX-License-Identifier: MIT */
/* An isle that breaks the channel is found out, once, and no longer served. */
#include "cases.h"

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <lull/syscalls.h>

static void wait_broken(struct rig *r, const char *word)
{
    for (int ms = 0; !__atomic_load_n(&r->broken, __ATOMIC_SEQ_CST); ms++) {
        assert_true(ms < 5000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (!strstr(r->why, word))
        fail_msg("\"%s\" does not say \"%s\"", r->why, word);
}

static void expect_broken(struct rig *r, const char *word)
{
    wait_broken(r, word);
    assert_non_null(strstr(r->why, "the isle broke its channel: core 1: "));
    int64_t v;
    const uint64_t none[6] = {0};
    rig_submit(r, 0, 3, SYS_getpgrp, none);
    assert_false(rig_wait(r, 0, 3, &v, 20));
    assert_int_equal(r->broken, 1);
}

static void submit(struct rig *r, uint32_t slot, uint32_t nr)
{
    struct lull_channel *ch = r->isle.channel[1];
    lull_chan_submit(ch, slot, nr, (const uint64_t[6]){0}, 0);
    if (lull_chan_must_ring(ch))
        server_kicked(r->server, 1);
}

static void slot_too_large(void **state)
{
    submit(*state, LULL_CHAN_SLOTS, SYS_getpgrp);
    expect_broken(*state, "slot 4096");
}

static void number_too_large(void **state)
{
    submit(*state, 0, 512);
    expect_broken(*state, "512");
}

static void number_unknown(void **state)
{
    submit(*state, 0, 499);
    expect_broken(*state, "499");
}

static void number_is_local(void **state)
{
    submit(*state, 0, SYS_mmap);
    expect_broken(*state, "system call 9 ");
}

static void number_is_refused(void **state)
{
    submit(*state, 0, SYS_execve);
    expect_broken(*state, "system call 59 ");
}

static void tail_impossible(void **state)
{
    struct rig *r = *state;
    struct lull_channel *ch = r->isle.channel[1];
    lull_store_release(&ch->sq_tail, LULL_CHAN_DEPTH + 1);
    server_kicked(r->server, 1);
    expect_broken(r, "more submissions");
}

static void slot_in_use(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    const uint64_t arg[6] = {(uint64_t)p[0], U(r->app), 1};
    rig_submit(r, 1, 5, SYS_read, arg);
    submit(r, 5, SYS_getpgrp);
    expect_broken(r, "slot 5 ");
    close(p[0]);
    close(p[1]);
}

/* The second call is the end of what serves the first: it must not get that far. */
static void child_in_use(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    uint64_t child = (uint64_t)rig_call(r, LULL_NR_SPAWN, 0);
    assert_in_range(child, 1, INT32_MAX);
    /* more than a pipe holds: it has begun when something is there, and waits */
    rig_submit_as(r, 0, 1, SYS_write, (const uint64_t[6]){(uint64_t)p[1], U(r->app), 1u << 18},
                  child);
    assert_int_equal(poll(&(struct pollfd){p[0], POLLIN, 0}, 1, 10000), 1);
    rig_submit_as(r, 1, 2, LULL_NR_LEAVE, (const uint64_t[6]){3}, child);
    wait_broken(r, "two calls at once of one child");
    assert_int_equal(waitpid((pid_t)child, NULL, WNOHANG), 0);
    kill((pid_t)child, SIGKILL);
    close(p[0]);
    close(p[1]);
}

/* One after the other, on any core. */
static void child_in_turn(void **state)
{
    struct rig *r = *state;
    int64_t v;
    int status;
    uint64_t child = (uint64_t)rig_call(r, LULL_NR_SPAWN, 0);
    assert_in_range(child, 1, INT32_MAX);
    for (unsigned i = 0; i < 100; i++) {
        rig_submit_as(r, i % 2, 1, SYS_getpgrp, (const uint64_t[6]){0}, child);
        assert_true(rig_wait(r, i % 2, 1, &v, 10000));
        assert_int_equal(v, getpgrp());
    }
    rig_submit_as(r, 1, 2, LULL_NR_LEAVE, (const uint64_t[6]){3}, child);
    assert_true(rig_wait(r, 1, 2, &v, 10000));
    assert_int_equal(v, 0);
    assert_int_equal(waitpid((pid_t)child, &status, 0), child);
    assert_int_equal(status, 3 << 8);
    rig_submit_as(r, 1, 2, SYS_getpgrp, (const uint64_t[6]){0}, child);
    assert_true(rig_wait(r, 1, 2, &v, 10000));
    assert_int_equal(v, -ESRCH);
    assert_int_equal(r->broken, 0);
}

/* A kernel that writes to the proxy's side of the channel hurts itself alone. */
static void proxy_side_overwritten(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < 1000; i++) {
        struct lull_channel *ch = r->isle.channel[0];
        ch->sq_head = i * 77;
        ch->cq[i % LULL_CHAN_SLOTS].slot = ~0u;
        assert_int_equal(rig_call(r, SYS_getpgrp, 0), getpgrp());
    }
    assert_int_equal(r->broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(slot_too_large),  BOTH(number_too_large),       BOTH(number_unknown),
        BOTH(number_is_local), BOTH(number_is_refused),      BOTH(tail_impossible),
        BOTH(slot_in_use),     BOTH(proxy_side_overwritten), BOTH(child_in_use),
        BOTH(child_in_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
