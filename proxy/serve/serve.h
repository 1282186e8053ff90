/* SPDX-License-Identifier: MIT */
/*
 * The channel server: takes system calls that an isle forwards, checks them, lets Linux answer
 * them, completes them in any order.
 */
#ifndef PROXY_SERVE_SERVE_H
#define PROXY_SERVE_SERVE_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include <lull/core.h>

#include "isle/isle.h"

/*
 * The signal that interrupts a call (server_cancel, server_stop). Its handler is process-wide and
 * does nothing outside a call; threads that call server_kicked() get it unblocked.
 */
#define SERVER_CANCEL_SIGNAL (SIGRTMAX - 6)

struct server;

/* execve(2) of the program itself. All of it is the server's, valid during the call. */
struct exec_request {
    const char *path;  /* as the next program shall hear it (AT_EXECFN) */
    int at, flags;     /* execveat(2), of a child */
    int file;          /* of the program itself: the file, ready to be read; the callee closes it */
    bool unreadable;   /* `file` may be executed and not read: it is a name alone (O_PATH) */
    bool nameless;     /* `path` will not lead to that file after the execve */
    char *const *argv; /* at least one */
    char *const *envp;
    uint64_t mask, ignored; /* bit n-1: signal n */
    uint64_t cores;         /* bit i: core i of the isle may be used further */
};

struct server_config {
    struct isle *isle;
    cpu_set_t cpus;        /* Linux cores for server threads; empty: no polling, see below */
    uint64_t poll_ns;      /* how long the polling thread looks at idle channels before it sleeps */
    int reserved_fd_low;   /* descriptors >= this are the proxy's own: EBADF for the isle */
    int reserved_fd_end;   /* those >= this are not; 0: there are none such */
    struct mapped *mapped; /* names of mapped files; NULL: none. Kept, not copied */
    const struct view *view; /* what the program sees of itself; NULL: nothing. Kept */
    uint32_t *queued; /* where the calls are counted that no thread has begun yet; NULL: nowhere */
    const struct lull_limits *limits; /* the program's, in isle memory; NULL: the proxy's. Kept */
    const char *exe_path; /* what /proc/self/exe means to the program; NULL: the proxy's. Kept, not
                             copied */
    int exe_fd;           /* that file, open for reading; 0: none */
    /* The program becomes another one: does not return, or -errno. NULL: never, and no children. */
    int64_t (*exec)(void *ctx, const struct exec_request *req);
    /* A signal may have come: SIGCHLD of a child that it has waited for, or one that it has sent
       itself. To be the program's before the call ends. Any thread. */
    void (*signalled)(void *ctx);
    /* The program has set a clock, which it is to see before the call ends. Any thread. */
    void (*clock_set)(void *ctx);
    /* The proxy's user or groups are others now. NULL: they may not be changed. */
    void (*credentials_changed)(void *ctx);
    /*
     * Called after a completion was published on `core`, from any thread: rings the core if its
     * state asks for it (LULL_CORE_PARKED or LULL_CORE_COMPUTES). Must not block.
     */
    void (*ring)(void *ctx, unsigned core);
    /* The isle broke the contract: one line that says how. Called at most once, after which nothing
       is taken from any channel any more. From any thread: the vCPU's in server_kicked(), or one of
       the server's own, so it must not call server_stop() itself. */
    void (*broken)(void *ctx, const char *what);
    void *ctx;
};

/*
 * 0 or -errno. Server threads block all signals but the cancel signal, those of faults, and
 * SIGTTIN/SIGTTOU (sigstate_stops()). The channels
 * must exist; call it before the first core starts: it writes `asleep`.
 */
int server_start(const struct server_config *config, struct server **out);

/*
 * LULL_OP_CHANNEL of `core`, on the vCPU's own thread. With a poller: wakes it. Without: takes the
 * core's submissions here; those that cannot wait (class QUICK, FDWAIT on a regular file, or a
 * descriptor that poll(2) says is ready) are executed at once on this thread, the others are
 * handed to a worker thread, so that one blocking call never holds up another.
 */
void server_kicked(struct server *s, unsigned core);

/* LULL_OP_CANCEL: a signal has come for who made the call in `slot` of `core`. It completes with
   -EINTR if Linux would wait in it, with its result if not, as with a signal that is pending; one
   that has not begun begins. Calls that never wait go on. Takes any numbers: out of range, or
   nothing in flight there, it does nothing. */
void server_cancel(struct server *s, unsigned core, unsigned slot);

/* The isle is ending: calls that still run, on vCPU threads too, are interrupted and not begun
   again. To be repeated until the thread in question has come back. */
void server_interrupt(struct server *s);

/*
 * Ends all threads; calls that wait are interrupted; nothing is completed any more. Frees *s, so no
 * thread may be in server_kicked() or come there again. Waits for a call that Linux does not
 * interrupt (dead network file system) at most 5 s, then leaves that thread behind.
 */
void server_stop(struct server *s);

struct server_stats {
    uint64_t calls;                   /* taken from channels */
    uint64_t polled;                  /* of these, picked up by the polling thread */
    uint64_t on_core;                 /* executed on a vCPU's own thread */
    uint64_t handed_over;             /* executed by a worker, because they may wait */
    uint64_t threads_max;             /* server threads at most */
    uint64_t refused;                 /* answered with ENOSYS here, sum of refused_nr[] */
    uint32_t refused_nr[LULL_NR_MAX]; /* by system call: an ioctl, an option, a /proc file */
};
void server_get_stats(const struct server *s, struct server_stats *out);
void server_add_stats(const struct server *s, struct server_stats *sum);

#endif
