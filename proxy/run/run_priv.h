/* SPDX-License-Identifier: MIT */
#ifndef PROXY_RUN_RUN_PRIV_H
#define PROXY_RUN_RUN_PRIV_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "engine/engine.h"
#include "isle/boot.h"
#include "isle/isle_priv.h"
#include "report/report.h"
#include "run/run.h"
#include "serve/mapped.h"
#include "serve/serve.h"
#include "serve/view.h"

#define KICK_SIGNAL (SIGRTMIN + 2)

struct run;

struct vcpu {
    struct run *run;
    unsigned index;
    pthread_t thread;
    bool started;
    pid_t tid;
    timer_t timer;
    bool has_timer;
    int stat_fd, status_fd; /* of this thread in /proc, for marks.c; -1: none */
    atomic_uint wake;       /* futex: a ring while it is parked */
    atomic_int parked;
    /* counters: this thread writes, others read at the end or in a mark */
    uint64_t exits[EXIT_CAUSES];
};

struct run {
    const struct run_request *req;
    struct isle isle;
    const struct engine_ops *ops;
    struct engine *engine;
    char engine_why[256];
    struct server *server;
    struct mapped *mapped;
    struct view view;
    struct vcpu *vcpu;
    unsigned nvcpus;
    atomic_uint ready;      /* vCPU threads that are set up */
    atomic_int start_error; /* -errno of one that could not be */
    atomic_uint go;         /* futex: the cores may start */
    atomic_uint released;   /* futex: the threads of the cores may end */
    atomic_bool ending;
    pthread_mutex_t signal_lock; /* from taking a signal to passing it on; the next three */
    uint32_t signal_tail;        /* of the ring */
    uint64_t marked; /* pending in the isle and so, for signalfd(2), here; bit n-1: signal n */
    int signal_fd;   /* on which signals_serve() waits; -1: it does not */
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done; /* lock */
    struct run_result result;
    uint64_t first_ns; /* CLOCK_MONOTONIC when the cores were let go */
    /* marks.c: lock */
    struct report_section begin, section;
    uint64_t mark_ns;
    int irq_fd; /* /proc/interrupts */
};

/* run.c: the first to say how it ended wins. Any thread. */
void run_end(struct run *r, int status, int signo);

/* vcpu.c */
int vcpus_start(struct run *r); /* sets up every core. 0 or LULL_EXIT_FAILED */
void vcpus_go(struct run *r);   /* lets them run */
bool vcpus_stop(struct run *r); /* after run_end(): kicks and joins; false: one is stuck */
void vcpu_forget(void);         /* this thread is no core any more */
void vcpu_ring(struct run *r, unsigned core); /* its bell is set: make it look. Any thread */
void vcpu_complete(void *ctx, unsigned core); /* server_config.ring */

/* run.c: of a forked child's */
int open_engine_of(struct run *r);
int start_server(struct run *r);

/* fork.c: LULL_OP_FORK */
int64_t run_fork(struct run *r);

/* exec.c: server_config.exec */
int64_t run_exec(void *ctx, const struct exec_request *req);

/* window.c */
int64_t window_op(struct run *r, const uint64_t arg[6]);

/* death.c */
void death_print(const struct run *r, const struct lull_death *d);

/* signals.c: the main thread's work until the run has ended. */
void signals_serve(struct run *r);
/* LULL_OP_PENDING */
int64_t signals_mark(struct run *r, uint64_t want, uint64_t renew);
void signals_pass_on(struct run *r, const siginfo_t *info);
void signals_catch_up(void *ctx); /* SIGCHLDs that Linux has sent are the program's now */

/* marks.c: while the program runs, only descriptors that were opened before are used */
void marks_open(struct vcpu *v); /* on its thread, before the start */
void marks_snapshot(struct run *r, struct report_section *out);
void marks_subtract(struct run *r, struct report_section *end, const struct report_section *begin);
int64_t marks_op(struct run *r, uint64_t what);

uint64_t now_ns(void);

#endif
