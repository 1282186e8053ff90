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

void signals_show(struct lull_proc *p); /* what an execve of this thread keeps */

/* All four under signal_lock. */
bool signal_ignored(int signo);
/* Forgets queued real-time signals: of a number, or with signo 0 of a thread that has gone. */
void signal_queue_drop(struct thread *t, int signo);
/* Takes the next signal in `set` that is pending for t or the process. 0: none. */
int signal_dequeue(struct thread *t, u64 set, struct sigshort *info);
void signal_fill_info(struct siginfo *out, int signo, const struct sigshort *s);

#endif
