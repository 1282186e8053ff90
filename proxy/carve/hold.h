/* SPDX-License-Identifier: MIT */
/*
 * Cores held for an isle: taken from Linux before it starts, each step only if permitted, and given
 * back. Every step is a row of the settings, done or not.
 */
#ifndef PROXY_CARVE_HOLD_H
#define PROXY_CARVE_HOLD_H

#include "carve/carve.h"
#include "carve/journal.h"
#include "carve/settings.h"

#include <lull/numa.h>

struct hold;

/*
 * Opens the journal; takes nothing. `root` is put before every path ("" on a true machine). Never
 * NULL but without memory: a hold without a journal changes nothing that would outlive the process.
 */
struct hold *hold_open(const char *root, const struct options *opt, struct settings *settings);

/*
 * Before the CPUs are asked for that this process may use: if a shield has moved it aside, or it
 * was executed on an isle's core, it is back in the cpuset that it would be in without. A rank that
 * its launcher has bound to all CPUs of the shield may use all of its own cpuset again.
 */
void hold_home(struct hold *h);

/* NULL: none, and nothing may be changed that Linux does not undo when the process dies. */
struct journal *hold_journal(struct hold *h);

/* Puts back what isles that died have left, as far as it may; says nothing. */
void hold_repair(struct hold *h);

/*
 * Takes the plan's cores, before the isle's memory is made. Of what could not be had it says so in
 * one line where that is due (man/lull.1, --isolate). 0, or LULL_EXIT_FAILED after one message():
 * --isolate=require, and something is not to be had.
 */
int hold_take(struct hold *h, const struct carve_plan *plan, const char *program,
              const char *engine);

/*
 * --hugetlb: so many bytes of huge pages are free on these nodes, in equal parts, as far as Linux
 * gives them; says what is missing. After hold_take().
 */
void hold_hugepages(struct hold *h, const struct lull_nodes *nodes, uint64_t bytes);

/*
 * Thread `tid` (0: the caller) is the core on `cpu`: its cpuset, its CPU, its policy. Any number of
 * threads at once. 0 or -errno: it cannot be put on its CPU.
 */
int hold_core(struct hold *h, pid_t tid, unsigned cpu);

/* Adds what became of the threads to the settings: when every core is there. */
void hold_settle(struct hold *h);

/* After hold_settle(): do the cores' threads run with a real-time policy? */
bool hold_realtime(struct hold *h);

/*
 * Other programs are moved off the isle's CPUs where its cpuset alone does not keep them away
 * (cgroup v1): after hold_take() and hold_settle(), by the thread that has called them. It costs
 * half a millisecond for each of their threads, so it is for runs that last; --isolate=require has
 * had it in hold_take(). A second call does nothing.
 */
void hold_shield(struct hold *h);

/*
 * The program's user is another now. If it has given up root for good, descriptors that were opened
 * with root's rights are closed; what they are needed for the keeper does.
 */
void hold_user_changed(struct hold *h);

/* Around a fork(2), in the parent. */
void hold_before_fork(struct hold *h);
void hold_after_fork(struct hold *h);

/* From now on rows go there. */
void hold_settings(struct hold *h, struct settings *settings);

/* In the child of a fork(2) that was made on a core: the caller is none any more. */
void hold_fork(struct hold *h);

/*
 * Before an execve(2) of lull itself: what is held stays so, on record, but the next image may see
 * its CPUs, to plan with them. `going` false: it failed. The text is for its --keeper.
 */
#define HOLD_EXEC_TEXT 48
void hold_exec_text(const struct hold *h, char text[HOLD_EXEC_TEXT]);
void hold_exec(struct hold *h, bool going);

/* Everything is given back; once, when the cores' threads have ended. Without hold_take(): what the
   image before an execve(2) has taken. */
void hold_release(struct hold *h);
void hold_close(struct hold *h);

/* Does this Linux let others run beside a core with a real-time policy when they have to, without
   stopping it when nobody has to? `release` as of uname(2). */
bool hold_may_preempt(const char *release, long rt_runtime_us);

/* Does this Linux give a process that comes back from a cpuset the affinity it has set itself? */
bool hold_keeps_affinity(const char *release);

#endif
