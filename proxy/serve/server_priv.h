/* SPDX-License-Identifier: MIT */
/*
 * Inside the channel server. One flight per slot of each core: a call from its submission to its
 * completion. Lock order: take_lock, then core lock, then pool lock.
 */
#ifndef PROXY_SERVE_SERVER_PRIV_H
#define PROXY_SERVE_SERVER_PRIV_H

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/types.h>

#include "serve/call.h"
#include "serve/serve.h"

/* One for each call that an isle can have in flight, and for those that poll and wait. */
#define SERVER_THREADS_MAX (LULL_CHAN_SLOTS + 16)

enum flight_state { FLIGHT_FREE = 0, FLIGHT_QUEUED, FLIGHT_RUNNING };

struct flight {
    struct lull_sqe sqe;     /* the copy; written by the taker before the state changes */
    enum flight_state state; /* core lock */
    pid_t tid;               /* core lock; of the thread that runs it */
    int cancel;              /* set under the core lock, read by the call's thread */
    int early;               /* core lock; cancelled while still in the ring */
    uint64_t done;           /* bytes that a first attempt has already written */
    struct flight *next;     /* pool lock, while queued */
    uint16_t core;
};

struct server_core {
    pthread_mutex_t take_lock; /* who takes submissions where there is no leader; mem */
    uint32_t sq_head;          /* written under both locks (or as leader and lock) */
    struct arena mem;          /* of calls on the vCPU's own thread */
    pthread_mutex_t lock;
    uint32_t cq_tail;  /* lock */
    unsigned nflights; /* lock; flight[] from here on was never used */
    struct flight flight[LULL_CHAN_SLOTS];
};

struct worker {
    struct server *s;
    pthread_t thread;
    sem_t wake;
    struct worker *parked; /* pool lock: next in the stack of parked threads */
    struct worker *all;    /* pool lock */
    struct arena mem;      /* its own */
    pid_t tid;
};

struct server {
    struct server_config config;
    struct call_env env;
    unsigned ncores;
    bool poller;
    cpu_set_t affinity; /* of server threads */
    int nlinux;         /* processors in it */
    int broken;         /* atomic: the isle broke its channel */
    int stop;           /* atomic; nothing is completed any more */
    uint32_t kick;      /* futex on which the leader sleeps */

    pthread_mutex_t pool_lock;
    struct worker *workers, *parked;
    unsigned nworkers, nalive, nparked;
    bool leading; /* one of them polls the channels */
    struct flight *queue_head, *queue_tail;

    struct server_stats stats; /* atomic, each by itself */
    struct server_core core[];
};

/* cancel.c */
int cancel_install(void);
extern char cancel_timer;        /* its address: what a timer of take.c sends along */
void cancel_mask(sigset_t *out); /* what server threads block */
void cancel_prepare_guest(void); /* of a thread that is not the server's own */

/* classify.c: where a call may be executed. A hint only: nothing unsafe comes of a wrong one. */
enum place {
    PLACE_HERE, /* cannot wait */
    PLACE_TRY,  /* here, if it need not wait: flight_try() */
    PLACE_AWAY, /* may wait */
};
enum place classify(const struct server *s, const struct lull_sqe *e, struct arena *mem);
/* After a nonblocking attempt said EAGAIN: is that the answer? */
bool descriptor_is_nonblocking(const struct server *s, uint64_t fd);

/* take.c */
/* 1: *out is RUNNING on this thread; 0: none there; -1: broken. Under take_lock, or as leader. */
int flight_take(struct server *s, unsigned core, struct flight **out);
/* Under the core lock: submitted and not yet taken. */
bool flight_waits_in_ring(const struct server *s, unsigned core, unsigned slot);
/* May a signal of the program end it? */
bool flight_interruptible(const struct flight *f);
/* Executes and completes. */
void flight_run(struct server *s, struct flight *f, struct arena *mem);
/* Attempts without waiting. True: completed. False: still to be run by somebody who can wait. */
bool flight_try(struct server *s, struct flight *f, struct arena *mem);
void flight_complete(struct server *s, struct flight *f, int64_t result);
void server_break(struct server *s, unsigned core, const char *how);
pid_t thread_id(void);

static inline void count(uint64_t *counter)
{
    __atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline bool server_halted(const struct server *s)
{
    return __atomic_load_n(&s->stop, __ATOMIC_ACQUIRE) ||
           __atomic_load_n(&s->broken, __ATOMIC_ACQUIRE);
}

/* pool.c */
bool pool_start(struct server *s); /* one more thread; false: not to be had */
/* The leader's: true when another thread polls from now on. */
bool pool_pass_leadership(struct server *s);
/* Hands f to a worker, now or when one is free; false: there is none, run it here. */
bool pool_queue(struct server *s, struct flight *f);
void pool_wake_leader(struct server *s);
void pool_interrupt(struct server *s);
bool pool_stop(struct server *s); /* false: a thread could not be ended */
/* server.c: the leader's loop; returns without leadership */
void server_lead(struct server *s, struct worker *w);

#endif
