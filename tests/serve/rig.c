/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096u

static void on_ring(void *ctx, unsigned core)
{
    struct rig *r = ctx;
    __atomic_fetch_add(&r->rung[core], 1, __ATOMIC_SEQ_CST);
}

static void on_broken(void *ctx, const char *what)
{
    struct rig *r = ctx;
    snprintf(r->why, sizeof r->why, "%s", what);
    __atomic_fetch_add(&r->broken, 1, __ATOMIC_SEQ_CST);
}

/* That there is one makes children possible. */
static int64_t on_exec(void *ctx, const struct exec_request *req)
{
    (void)ctx;
    (void)req;
    return -ENOSYS;
}

static void *map(size_t size)
{
    char *p = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(p, MAP_FAILED);
    assert_int_equal(mprotect(p + PAGE, size, PROT_READ | PROT_WRITE), 0);
    return p + PAGE;
}

void rig_open(struct rig *r, bool poller)
{
    memset(r, 0, sizeof *r);
    r->poller = poller;
    r->isle.ncores = RIG_CORES;
    r->isle.app_size = RIG_APP_SIZE;
    r->isle.app = r->app = map(RIG_APP_SIZE);
    for (unsigned i = 0; i < RIG_CORES; i++)
        r->isle.channel[i] = map(LULL_CHAN_STRIDE);
    struct server_config c = {.isle = &r->isle,
                              .poll_ns = 200000,
                              .reserved_fd_low = RIG_FD_LOW,
                              .exe_path = "/the/program",
                              .exec = on_exec,
                              .ring = on_ring,
                              .broken = on_broken,
                              .ctx = r};
    CPU_ZERO(&c.cpus);
    if (poller)
        assert_int_equal(sched_getaffinity(0, sizeof c.cpus, &c.cpus), 0);
    assert_int_equal(server_start(&c, &r->server), 0);
    for (unsigned i = 0; i < RIG_CORES && !poller; i++)
        assert_int_equal(r->isle.channel[i]->asleep, 1);
}

void rig_close(struct rig *r)
{
    server_stop(r->server);
    munmap(r->app - PAGE, RIG_APP_SIZE + 2 * PAGE);
    for (unsigned i = 0; i < RIG_CORES; i++)
        munmap((char *)r->isle.channel[i] - PAGE, LULL_CHAN_STRIDE + 2 * PAGE);
}

void rig_submit(struct rig *r, unsigned core, unsigned slot, uint32_t nr, const uint64_t arg[6])
{
    rig_submit_as(r, core, slot, nr, arg, 0);
}

void rig_submit_as(struct rig *r, unsigned core, unsigned slot, uint32_t nr, const uint64_t arg[6],
                   uint64_t child)
{
    struct lull_channel *ch = r->isle.channel[core];
    r->done[core][slot].there = false;
    lull_chan_submit(ch, slot, nr, arg, child);
    if (lull_chan_must_ring(ch))
        server_kicked(r->server, core);
}

static void reap(struct rig *r, unsigned core)
{
    struct lull_cqe e;
    while (lull_chan_reap(r->isle.channel[core], &e)) {
        assert_true(e.slot < LULL_CHAN_SLOTS);
        assert_false(r->done[core][e.slot].there);
        r->done[core][e.slot].there = true;
        r->done[core][e.slot].result = e.result;
    }
}

bool rig_wait(struct rig *r, unsigned core, unsigned slot, int64_t *result, int ms)
{
    for (int t = 0;; t++) {
        reap(r, core);
        if (r->done[core][slot].there) {
            r->done[core][slot].there = false;
            *result = r->done[core][slot].result;
            return true;
        }
        if (t >= ms * 10)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
}

unsigned rig_rung(struct rig *r)
{
    unsigned n = 0;
    for (unsigned i = 0; i < RIG_CORES; i++)
        n += __atomic_load_n(&r->rung[i], __ATOMIC_SEQ_CST);
    return n;
}

int64_t rig_call6(struct rig *r, uint32_t nr, const uint64_t arg[6])
{
    int64_t result = 0;
    rig_submit(r, 0, 0, nr, arg);
    if (!rig_wait(r, 0, 0, &result, 10000))
        fail_msg("system call %u did not complete", nr);
    return result;
}
