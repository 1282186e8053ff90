/* SPDX-License-Identifier: MIT */
/* Restartable sequences (rseq(2), linux/rseq.h): the CPU number in the program's own memory, and
   critical sections that are abandoned when the thread is interrupted in them. */
#ifndef KERNEL_SCHED_RSEQ_H
#define KERNEL_SCHED_RSEQ_H

#include "sched/thread.h"

#define RSEQ_FEATURES 28 /* bytes of struct rseq that are kept: up to mm_cid */
#define RSEQ_ALIGN 32

long sys_rseq(struct frame *f);
void rseq_switched(struct thread *t); /* it begins to run, on this core */
void rseq_resume(struct frame *f);    /* WORK_RSEQ, before the program goes on */
/* A signal's handler is about to run. 0 or -1: there is no way on but SIGSEGV. */
int rseq_interrupt(struct frame *f);

#endif
