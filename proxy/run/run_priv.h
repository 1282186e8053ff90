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

#define KICK_SIGNAL (SIGRTMAX - 5)

struct run;

/* Files of /proc, and the thread's own below /proc/PID/task/TID. */
enum { HOST_INTERRUPTS, HOST_SOFTIRQS, HOST_STAT, HOST_SCHEDSTAT, MARKS_HOST_FILES };
enum { THREAD_STAT, THREAD_STATUS, THREAD_SCHEDSTAT, MARKS_THREAD_FILES };

struct longest { /* time outside the isle */
    uint64_t ns;
    unsigned cause; /* enum exit_cause */
};

struct switches { /* of one thread; run.lock, once the cores run */
    int fd;
    void *page;      /* perf's; NULL: it is not to be had, or not wanted */
    uint64_t out_ns; /* preempted since then, CLOCK_MONOTONIC; 0: it is not */
    struct time_counts all;
    uint64_t section_longest;
    bool incomplete; /* Linux had no room for some */
};

struct vcpu {
    struct run *run;
    unsigned index;
    pthread_t thread;
    bool started;
    pid_t tid;
    timer_t timer;
    bool has_timer;
    int proc_fd[MARKS_THREAD_FILES]; /* of this thread in /proc, for marks.c; -1: none */
    atomic_uint wake;                /* futex: a ring while it is parked */
    atomic_int parked;
    /* counters: this thread writes, others read at the end or in a mark */
    uint64_t exits[EXIT_CAUSES];
    uint64_t outside_count, outside_ns; /* of requests, but those that sleep */
    struct longest longest[2];          /* of the whole run, of `section` */
    struct switches switches;
    uint32_t section; /* run.section when longest[1] began */
};

struct alone {  /* LULL_OP_ALONE */
    bool asked; /* lock */
    unsigned core;
    uint64_t arg[6];
    char name[512]; /* of a keyring */
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
    struct lull_nodes nodes; /* for it: of cores and memory */
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
    int clock_fd;    /* the same, for a clock that somebody sets; that thread alone uses it */
    pthread_mutex_t exec_lock; /* one execve at a time; the next */
    bool exec_over;            /* the isle ends: none any more */
    pthread_mutex_t lock;
    bool done; /* lock */
    struct run_result result;
    atomic_ullong robust_list;      /* of the program's main thread; 0: none */
    atomic_ullong robust_list_told; /* to Linux, by the main thread */
    struct alone alone;
    int pid_ns;                        /* where forked children begin; -1: as the proxy itself */
    bool pid_ns_new;                   /* the next child begins in a new namespace of processes */
    struct server_stats served_before; /* by servers that have ended */
    uint64_t deadline_ns;              /* --timeout, CLOCK_MONOTONIC; 0: not set yet */
    uint64_t first_ns;                 /* CLOCK_MONOTONIC when the cores were let go */
    /* marks.c: lock */
    bool wanted; /* a report: else nothing is read */
    int host_fd[MARKS_HOST_FILES];
    atomic_uint section_no; /* counts the marks, from 1 */
    uint64_t *longest_gap;  /* by core, isle's ticks: of sections that are over; lock */
    uint64_t tsc_khz;       /* of the isle */
    struct report_section begin, section;
    uint64_t mark_ns;
    struct numa_check numa_check; /* for the report */
};

/* run.c: the first to say how it ended wins. Any thread. */
void run_end(struct run *r, int status, int signo);
/* After run_end(): the threads have ended, or are left behind. Unless this is called within 10 s of
   run_end(), the process ends by force. */
void run_threads_ended(void);

/* vcpu.c */
int vcpus_start(struct run *r); /* sets up every core. 0 or LULL_EXIT_FAILED */
void vcpus_go(struct run *r);   /* lets them run */
bool vcpus_stop(struct run *r); /* after run_end(): kicks and joins; false: one is stuck */
void vcpu_forget(void);         /* this thread is no core any more */
void vcpu_ring(struct run *r, unsigned core); /* its bell is set: make it look. Any thread */
void vcpu_complete(void *ctx, unsigned core); /* server_config.ring */

/* Somebody has set Linux's clocks: brings the isle's in step, and its deadlines. Any thread. */
void vcpus_clock_set(struct run *r);

/* run.c: of a forked child's */
int open_engine_of(struct run *r);
int start_server(struct run *r);

/* fork.c: LULL_OP_FORK */
int64_t run_fork(struct run *r, const uint64_t arg[6]);

/* What fork.c and alone.c share: an isle's memory as it is before its first core starts. */
void run_reset_shared(struct run *r, bool forked);
int run_start_again(struct run *r); /* machine, server, cores; they do not run yet. 0 or a status */

/* alone.c: LULL_OP_ALONE. The answer, or 0 if the main thread is to do it. */
int64_t run_alone(struct run *r, unsigned core, const uint64_t arg[6]);
bool run_alone_due(struct run *r);   /* signals_serve() has returned for that */
void run_alone_serve(struct run *r); /* by the main thread */
struct fork_wants;
pid_t run_fork_in(struct run *r, struct fork_wants *w); /* fork_with(), where children begin */

/* clone.c */
#define FORK_SET_TID_MAX 32 /* Linux's own: namespaces of processes inside each other */
struct fork_wants {
    uint64_t flags;       /* CLONE_*, none that shares memory or descriptors */
    uint64_t exit_signal; /* 0 .. 64 */
    int cgroup;           /* with CLONE_INTO_CGROUP */
    unsigned set_tid_size;
    int32_t set_tid[FORK_SET_TID_MAX];
};
/* fork(3) with these flags; -1 and errno of clone3(2), ENOSYS: Linux has no means for it. */
pid_t fork_with(const struct fork_wants *w);

/* exec.c: server_config.exec */
int64_t run_exec(void *ctx, const struct exec_request *req);
/* The isle ends: no execve from here on. One that has begun comes first. */
void run_exec_over(struct run *r);

/* window.c */
int64_t window_op(struct run *r, const uint64_t arg[6]);

/* death.c */
void death_print(const struct run *r, const struct lull_death *d);

/* signals.c: the main thread's work until the run has ended. */
void signals_serve(struct run *r);
/* LULL_OP_ROBUST: waits, but not for long, until signals_serve() has told Linux. */
void signals_robust_list(struct run *r, uint64_t head);
/* LULL_OP_PENDING */
int64_t signals_mark(struct run *r, uint64_t want, uint64_t renew);
void signals_pass_on(struct run *r, const siginfo_t *info);
void signals_catch_up(void *ctx); /* what Linux has sent is the program's now */

/* switches.c */
void switches_open(struct switches *s, pid_t tid);
void switches_forget(struct switches *s); /* in a forked child */
bool switches_half_full(const struct switches *s);
void switches_read(struct switches *s); /* what came since the last time */

/* counters.c */
void counters_read_thread(const struct vcpu *v, struct thread_usage *out);
void counters_read_host(const struct run *r, struct report_section *out);

/* marks.c: while the program runs, only descriptors that were opened before are used */
int marks_begin(struct run *r);          /* before the first core starts. 0, -ENOMEM */
void marks_open(struct vcpu *v);         /* on its thread, before the start */
void marks_close(struct run *r);         /* in a forked child */
void marks_close_threads(struct run *r); /* those of the cores' threads, which have ended */
void marks_next(struct run *r);          /* the cores' longest times are of a new section. lock */
void marks_whole_run(struct run *r, struct report_section *s); /* its longest times. lock */
void marks_snapshot(struct run *r, struct report_section *out, bool end);
void marks_subtract(struct run *r, struct report_section *end, const struct report_section *begin);
int64_t marks_op(struct run *r, uint64_t what);

uint64_t now_ns(void);

#endif
