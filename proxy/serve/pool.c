/* SPDX-License-Identifier: MIT */
/*
 * Server threads. One of them at most polls the channels (the leader); the others run calls that
 * may wait, or are parked. A leader that meets such a call wakes a follower to lead and runs the
 * call itself. Beyond SERVER_THREADS_MAX calls are queued until a thread is free.
 */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "serve/server_priv.h"

#define WORKER_STACK (256u << 10)

/* Counts a call that is queued, before any thread may take it, or (-1) that has begun. */
static void count_queued(const struct server *s, int change)
{
    if (s->config.queued)
        __atomic_fetch_add(s->config.queued, change, __ATOMIC_SEQ_CST);
}

static struct flight *dequeue(struct server *s)
{
    struct flight *f = s->queue_head;
    if (f) {
        s->queue_head = f->next;
        if (!s->queue_head)
            s->queue_tail = NULL;
    }
    return f;
}

static void worker_run(struct worker *w, struct flight *f)
{
    struct server *s = w->s;
    struct server_core *k = &s->core[f->core];
    pthread_mutex_lock(&k->lock);
    f->tid = w->tid;
    f->state = FLIGHT_RUNNING;
    pthread_mutex_unlock(&k->lock);
    count(&s->stats.handed_over);
    count_queued(s, -1);
    flight_run(s, f, &w->mem);
}

static void worker_park(struct worker *w)
{
    while (sem_wait(&w->wake) && errno == EINTR)
        ;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct server *s = w->s;
    pthread_setname_np(pthread_self(), "lull-serve");
    w->tid = thread_id();
    for (;;) {
        struct flight *f = NULL;
        bool lead = false;
        pthread_mutex_lock(&s->pool_lock);
        if (__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE))
            break;
        /* Leading comes first: a queued call only needs some thread, the channels need one now. */
        if (s->poller && !s->leading && !server_halted(s)) {
            lead = s->leading = true;
        } else if (!(f = dequeue(s))) {
            w->parked = s->parked;
            s->parked = w;
            s->nparked++;
        }
        pthread_mutex_unlock(&s->pool_lock);
        if (f)
            worker_run(w, f);
        else if (lead)
            server_lead(s, w);
        else
            worker_park(w);
    }
    s->nalive--;
    pthread_mutex_unlock(&s->pool_lock);
    return NULL;
}

static int attr_init(const struct server *s, pthread_attr_t *attr)
{
    int err = pthread_attr_init(attr);
    if (err)
        return err;
    sigset_t mask;
    cancel_mask(&mask);
    struct sched_param normal = {0};
    if ((err = pthread_attr_setstacksize(attr, WORKER_STACK)) ||
        (err = pthread_attr_setsigmask_np(attr, &mask)) ||
        (err = pthread_attr_setaffinity_np(attr, sizeof s->affinity, &s->affinity)) ||
        /* A vCPU thread that creates one may be SCHED_FIFO; a server thread never is. */
        (err = pthread_attr_setinheritsched(attr, PTHREAD_EXPLICIT_SCHED)) ||
        (err = pthread_attr_setschedpolicy(attr, SCHED_OTHER)) ||
        (err = pthread_attr_setschedparam(attr, &normal)))
        pthread_attr_destroy(attr);
    return err;
}

/* Under pool_lock. */
static bool worker_create(struct server *s)
{
    if (s->nworkers >= SERVER_THREADS_MAX)
        return false;
    struct worker *w = calloc(1, sizeof *w);
    if (!w)
        return false;
    w->s = s;
    if (sem_init(&w->wake, 0, 0))
        goto no_sem;
    pthread_attr_t attr;
    if (attr_init(s, &attr))
        goto no_attr;
    int err = pthread_create(&w->thread, &attr, worker_main, w);
    pthread_attr_destroy(&attr);
    if (err)
        goto no_attr;
    w->all = s->workers;
    s->workers = w;
    s->nalive++;
    s->nworkers++;
    if (s->nworkers > s->stats.threads_max)
        __atomic_store_n(&s->stats.threads_max, s->nworkers, __ATOMIC_RELAXED);
    return true;
no_attr:
    sem_destroy(&w->wake);
no_sem:
    free(w);
    return false;
}

/* Under pool_lock: somebody will look at queue and leadership soon. */
static bool worker_summon(struct server *s)
{
    struct worker *w = s->parked;
    if (!w)
        return worker_create(s);
    s->parked = w->parked;
    s->nparked--;
    sem_post(&w->wake);
    return true;
}

bool pool_start(struct server *s)
{
    pthread_mutex_lock(&s->pool_lock);
    bool ok = worker_create(s);
    pthread_mutex_unlock(&s->pool_lock);
    return ok;
}

bool pool_pass_leadership(struct server *s)
{
    pthread_mutex_lock(&s->pool_lock);
    bool passed = worker_summon(s);
    if (passed)
        s->leading = false;
    pthread_mutex_unlock(&s->pool_lock);
    return passed;
}

bool pool_queue(struct server *s, struct flight *f)
{
    struct server_core *k = &s->core[f->core];
    bool taken;
    pthread_mutex_lock(&k->lock);
    pthread_mutex_lock(&s->pool_lock);
    count_queued(s, 1);
    /* At the limit somebody will be free; without any thread but a leader nobody would. */
    taken = worker_summon(s) || s->nalive > (s->leading ? 1 : 0);
    if (taken) {
        f->state = FLIGHT_QUEUED;
        f->next = NULL;
        if (s->queue_tail)
            s->queue_tail->next = f;
        else
            s->queue_head = f;
        s->queue_tail = f;
    } else {
        count_queued(s, -1);
    }
    pthread_mutex_unlock(&s->pool_lock);
    pthread_mutex_unlock(&k->lock);
    return taken;
}

void pool_wake_leader(struct server *s)
{
    __atomic_fetch_add(&s->kick, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &s->kick, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static unsigned pool_alive(struct server *s)
{
    pthread_mutex_lock(&s->pool_lock);
    unsigned n = s->nalive;
    while (s->parked)
        worker_summon(s);
    pthread_mutex_unlock(&s->pool_lock);
    return n;
}

static void interrupt_all(struct server *s)
{
    for (unsigned i = 0; i < s->ncores; i++) {
        struct server_core *k = &s->core[i];
        pthread_mutex_lock(&k->lock);
        for (unsigned j = 0; j < k->nflights; j++) {
            struct flight *f = &k->flight[j];
            if (f->state == FLIGHT_FREE)
                continue;
            __atomic_store_n(&f->cancel, 1, __ATOMIC_RELAXED);
            if (f->state == FLIGHT_RUNNING)
                syscall(SYS_tgkill, s->env.pid, f->tid, SERVER_CANCEL_SIGNAL);
        }
        pthread_mutex_unlock(&k->lock);
    }
}

void pool_interrupt(struct server *s)
{
    __atomic_store_n(&s->stop, 1, __ATOMIC_SEQ_CST);
    interrupt_all(s);
}

bool pool_stop(struct server *s)
{
    __atomic_store_n(&s->stop, 1, __ATOMIC_SEQ_CST);
    for (int ms = 0; pool_alive(s) > 0; ms++) {
        if (ms == 5000)
            return false;
        interrupt_all(s);
        pool_wake_leader(s);
        nanosleep(&(struct timespec){.tv_nsec = ms ? 1000000 : 20000}, NULL);
    }
    while (s->workers) {
        struct worker *w = s->workers;
        s->workers = w->all;
        pthread_join(w->thread, NULL);
        sem_destroy(&w->wake);
        arena_free(&w->mem);
        free(w);
    }
    return true;
}
