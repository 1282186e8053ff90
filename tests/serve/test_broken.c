/* SPDX-License-Identifier: MIT */
/* An isle that breaks the channel is found out, once, and no longer served. */
#include "cases.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void expect_broken(struct rig *r, const char *word)
{
    for (int ms = 0; !__atomic_load_n(&r->broken, __ATOMIC_SEQ_CST); ms++) {
        assert_true(ms < 5000);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    if (!strstr(r->why, word))
        fail_msg("\"%s\" does not say \"%s\"", r->why, word);
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
    submit(*state, LULL_CHAN_DEPTH, SYS_getpgrp);
    expect_broken(*state, "slot 256");
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

/* A kernel that writes to the proxy's side of the channel hurts itself alone. */
static void proxy_side_overwritten(void **state)
{
    struct rig *r = *state;
    for (unsigned i = 0; i < 1000; i++) {
        struct lull_channel *ch = r->isle.channel[0];
        ch->sq_head = i * 77;
        ch->cq[i % LULL_CHAN_DEPTH].slot = ~0u;
        assert_int_equal(rig_call(r, SYS_getpgrp, 0), getpgrp());
    }
    assert_int_equal(r->broken, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(slot_too_large),  BOTH(number_too_large),       BOTH(number_unknown),
        BOTH(number_is_local), BOTH(number_is_refused),      BOTH(tail_impossible),
        BOTH(slot_in_use),     BOTH(proxy_side_overwritten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
