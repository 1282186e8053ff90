/* SPDX-License-Identifier: MIT */
/* Shared by signal.c (who gets a signal, and when) and sigcalls.c (the system calls). */
#ifndef KERNEL_SIGNAL_SIGNAL_PRIV_H
#define KERNEL_SIGNAL_SIGNAL_PRIV_H

#include <lull/maps.h>

#include "sched/thread.h"

#define UNBLOCKABLE (sig_bit(SIGKILL) | sig_bit(SIGSTOP))

extern spinlock signal_lock; /* all that is pending, all actions */
extern struct sigaction signal_actions[NSIG];
extern u64 process_pending;
extern struct sigshort process_info[NSIG];

/* queue.c. False: no further one of this number may wait; `limited`: by RLIMIT_SIGPENDING too.
   Without locks. */
bool signal_queue_room(int signo, bool limited);
/* The rest under signal_lock. Nothing happens for a signal that does not queue. */
void signal_queue_add(struct thread *t, int signo, const struct sigshort *info);
/* The oldest that waits for t, NULL: the process; false: none. */
bool signal_queue_next(struct thread *t, int signo, struct sigshort *info);
bool signal_queue_has(const struct thread *t, int signo, int code, i32 pid);
void signal_queue_forked(void);

/*
 * survive.c: what an execve of this thread keeps stands in `p`, and is kept there as it changes;
 * what the proxy has still to pass on stays with it. Until signals_show_end(): it was none.
 */
void signals_show(struct lull_proc *p);
void signals_show_end(void);
void signals_show_forked(void);
bool signals_stay(void);
/* Under signal_lock: whether it is pending, for the process or t, may have changed. */
void signal_survives(const struct thread *t, int signo);

/* An action has changed: the proxy is told which signals do not end the program. */
void signal_action_changed(int signo);
/* All four under signal_lock. */
bool signal_ignored(int signo);
/* Forgets queued real-time signals: of a number, or with signo 0 of a thread that has gone. */
void signal_queue_drop(struct thread *t, int signo);
/* Takes the next signal in `set` that is pending for t or the process. 0: none. */
int signal_dequeue(struct thread *t, u64 set, struct sigshort *info);
/* One that signal_dequeue() gave; without locks. A timer's info becomes what it is by now. */
void signal_taken(int signo, struct sigshort *info);
/*
 * Waits for a signal of `set`: its number, -EAGAIN when it is late, -EINTR when another one came.
 * Without locks, as the rest.
 */
int signal_wait(u64 set, u64 deadline, bool late, struct sigshort *s);

/* signalfd.c: what is pending of `signals` may have changed; `taken`: one of each was taken. */
void signalfds_tell(u64 signals, bool taken);
void signalfds_forked(void);

void signal_fill_info(struct siginfo *out, int signo, const struct sigshort *s);

#endif
