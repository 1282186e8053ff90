/* SPDX-License-Identifier: MIT */
/* The server's life, its polling loop, and the vCPU threads' way in. */
#include "serve/serve.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "serve/agent.h"
#include "serve/fanotify.h"
#include "serve/server_priv.h"

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void set_asleep(struct server *s, uint32_t value)
{
    for (unsigned i = 0; i < s->ncores; i++)
        lull_store_release(&isle_channel(s->config.isle, i)->asleep, value);
}

static bool anything_submitted(const struct server *s)
{
    for (unsigned i = 0; i < s->ncores; i++)
        if (lull_load_acquire(&isle_channel(s->config.isle, i)->sq_tail) != s->core[i].sq_head)
            return true;
    return false;
}

/* Until somebody kicks, or something is there to be done after all. */
static void leader_sleep(struct server *s)
{
    uint32_t seen = __atomic_load_n(&s->kick, __ATOMIC_ACQUIRE);
    set_asleep(s, 1);
    lull_fence();
    if (!anything_submitted(s) && !server_halted(s))
        syscall(SYS_futex, &s->kick, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
    set_asleep(s, 0);
}

/* False: leadership is another thread's now. */
static bool leader_serve(struct server *s, struct worker *w, struct flight *f)
{
    count(&s->stats.polled);
    enum place p = classify(s, &f->sqe, &w->mem);
    if (p == PLACE_TRY && flight_try(s, f, &w->mem))
        return true;
    if (p == PLACE_HERE) {
        flight_run(s, f, &w->mem);
        return true;
    }
    if (pool_pass_leadership(s)) {
        count(&s->stats.handed_over);
        flight_run(s, f, &w->mem);
        return false;
    }
    if (!pool_queue(s, f)) /* no thread to be had at all */
        flight_run(s, f, &w->mem);
    return true;
}

/* One look at every channel, at most a ringful of each. 1: something done, 0: nothing, -1: lost. */
static int leader_round(struct server *s, struct worker *w)
{
    int any = 0;
    for (unsigned i = 0; i < s->ncores; i++) {
        for (unsigned n = 0; n < LULL_CHAN_DEPTH; n++) {
            struct flight *f;
            int r = flight_take(s, i, &f);
            if (r <= 0)
                break;
            any = 1;
            if (!leader_serve(s, w, f))
                return -1;
        }
    }
    return any;
}

/* Server threads that are neither parked nor leading: they want the processors too. */
static bool others_run(struct server *s)
{
    pthread_mutex_lock(&s->pool_lock);
    int busy = (int)(s->nalive - s->nparked);
    pthread_mutex_unlock(&s->pool_lock);
    return busy > s->nlinux;
}

void server_lead(struct server *s, struct worker *w)
{
    uint64_t idle_since = 0;
    unsigned spins = 0;
    while (!server_halted(s)) {
        int r = leader_round(s, w);
        if (r < 0)
            return;
        if (r > 0) {
            idle_since = 0;
            continue;
        }
        __builtin_ia32_pause();
        if (++spins % 32)
            continue;
        uint64_t now = now_ns();
        if (!idle_since)
            idle_since = now;
        if (now - idle_since >= s->config.poll_ns) {
            leader_sleep(s);
            idle_since = 0;
        } else if (others_run(s)) {
            sched_yield();
        }
    }
    pthread_mutex_lock(&s->pool_lock);
    s->leading = false;
    pthread_mutex_unlock(&s->pool_lock);
}

static void serve_on_core(struct server *s, struct server_core *k, struct flight *f)
{
    enum place p = classify(s, &f->sqe, &k->mem);
    if (p == PLACE_AWAY || (p == PLACE_TRY && !flight_try(s, f, &k->mem))) {
        if (pool_queue(s, f))
            return;
        p = PLACE_HERE; /* no thread to be had at all */
    }
    count(&s->stats.on_core);
    if (p == PLACE_HERE)
        flight_run(s, f, &k->mem);
}

void server_kicked(struct server *s, unsigned core)
{
    if (core >= s->ncores || server_halted(s))
        return;
    if (s->poller) {
        pool_wake_leader(s);
        return;
    }
    struct server_core *k = &s->core[core];
    cancel_prepare_guest();
    pthread_mutex_lock(&k->take_lock);
    struct flight *f;
    while (!server_halted(s) && flight_take(s, core, &f) > 0)
        serve_on_core(s, k, f);
    pthread_mutex_unlock(&k->take_lock);
}

void server_cancel(struct server *s, unsigned core, unsigned slot)
{
    if (core >= s->ncores || slot >= LULL_CHAN_SLOTS)
        return;
    struct server_core *k = &s->core[core];
    struct flight *f = &k->flight[slot];
    pthread_mutex_lock(&k->lock);
    if (f->state != FLIGHT_FREE && !flight_interruptible(f)) {
        pthread_mutex_unlock(&k->lock);
        return;
    }
    if (f->state == FLIGHT_FREE)
        f->early = flight_waits_in_ring(s, core, slot);
    else
        __atomic_store_n(&f->cancel, 1, __ATOMIC_RELAXED);
    if (f->state == FLIGHT_RUNNING)
        syscall(SYS_tgkill, s->env.pid, f->tid, SERVER_CANCEL_SIGNAL);
    pthread_mutex_unlock(&k->lock);
}

static void server_free(struct server *s)
{
    for (unsigned i = 0; i < s->ncores; i++) {
        arena_free(&s->core[i].mem);
        pthread_mutex_destroy(&s->core[i].lock);
        pthread_mutex_destroy(&s->core[i].take_lock);
    }
    agents_free(s->env.agents);
    pthread_mutex_destroy(&s->pool_lock);
    free(s);
}

int server_start(const struct server_config *config, struct server **out)
{
    unsigned n = isle_ncores(config->isle);
    struct server *s = calloc(1, sizeof *s + n * sizeof s->core[0]);
    if (!s)
        return -ENOMEM;
    int err = cancel_install();
    if (err) {
        free(s);
        return err;
    }
    identity_init();
    path_init();
    s->config = *config;
    s->ncores = n;
    s->poller = CPU_COUNT(&config->cpus) > 0;
    s->affinity = config->cpus;
    if (!s->poller)
        sched_getaffinity(0, sizeof s->affinity, &s->affinity);
    s->nlinux = CPU_COUNT(&s->affinity);
    s->env =
        (struct call_env){.isle = config->isle,
                          .fd_low = config->reserved_fd_low,
                          .fd_end = config->reserved_fd_end ? config->reserved_fd_end : INT_MAX,
                          .pid = getpid(),
                          .exe_path = config->exe_path,
                          .exe_fd = config->exe_fd,
                          .mapped = config->mapped,
                          .exec = config->exec,
                          .credentials_changed = config->credentials_changed,
                          .exec_ctx = config->ctx,
                          .limits = config->limits,
                          .view = config->view,
                          .halted = &s->stop};
    s->env.agents = config->exec ? agents_create(&s->affinity) : NULL;
    pthread_mutex_init(&s->pool_lock, NULL);
    for (unsigned i = 0; i < n; i++) {
        pthread_mutex_init(&s->core[i].lock, NULL);
        pthread_mutex_init(&s->core[i].take_lock, NULL);
    }
    set_asleep(s, s->poller ? 0 : 1);
    if (s->config.queued)
        __atomic_store_n(s->config.queued, 0, __ATOMIC_SEQ_CST); /* a forked child has a copy */
    /* Without a poller threads come with the first call that may wait. */
    if (s->poller && (!pool_start(s) || !pool_start(s))) {
        server_stop(s);
        return -EAGAIN;
    }
    *out = s;
    return 0;
}

void server_interrupt(struct server *s)
{
    pool_interrupt(s);
}

void server_stop(struct server *s)
{
    fanotify_end();
    if (s->env.agents)
        agents_kill(s->env.agents);
    if (pool_stop(s))
        server_free(s);
}

void server_get_stats(const struct server *s, struct server_stats *out)
{
    const struct server_stats *t = &s->stats;
    out->calls = __atomic_load_n(&t->calls, __ATOMIC_RELAXED);
    out->polled = __atomic_load_n(&t->polled, __ATOMIC_RELAXED);
    out->on_core = __atomic_load_n(&t->on_core, __ATOMIC_RELAXED);
    out->handed_over = __atomic_load_n(&t->handed_over, __ATOMIC_RELAXED);
    out->threads_max = __atomic_load_n(&t->threads_max, __ATOMIC_RELAXED);
    out->refused = __atomic_load_n(&t->refused, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < LULL_NR_MAX; i++)
        out->refused_nr[i] = __atomic_load_n(&t->refused_nr[i], __ATOMIC_RELAXED);
}

void server_add_stats(const struct server *s, struct server_stats *sum)
{
    struct server_stats now;
    server_get_stats(s, &now);
    sum->calls += now.calls;
    sum->polled += now.polled;
    sum->on_core += now.on_core;
    sum->handed_over += now.handed_over;
    if (now.threads_max > sum->threads_max)
        sum->threads_max = now.threads_max;
    sum->refused += now.refused;
    for (unsigned i = 0; i < LULL_NR_MAX; i++)
        sum->refused_nr[i] += now.refused_nr[i];
}
