/* SPDX-License-Identifier: MIT */
/*
 * A child between vfork(2) and execve(2). On the isle it runs in the program's memory, as Linux has
 * it; on Linux's side an agent stands for it: a process with its own descriptors, directory, limits
 * and session, in the proxy's memory, that makes the child's system calls one after another and at
 * last becomes the program that the child executes.
 */
#ifndef PROXY_SERVE_AGENT_H
#define PROXY_SERVE_AGENT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

struct agent;
struct agents; /* those of one server */

struct agents *agents_create(const cpu_set_t *cpus); /* where children run. NULL: no memory */
void agents_free(struct agents *a);                  /* ends those that have not executed */

/* Those that have not executed are gone, and whoever waits for them goes on. */
void agents_kill(struct agents *a);

/* A new child; its pid, or -errno. */
int agent_start(struct agents *a);
/* The agent with this pid, for one call of the child's, until agent_release(). -ESRCH: there is
   none; -EBUSY: it makes a call already. */
int agent_take(struct agents *a, uint32_t pid, struct agent **out);
void agent_release(struct agents *a, struct agent *g);
bool agents_have(struct agents *a, int pid);
bool agents_any(struct agents *a);
/* A system call by the agent: its result. -ESRCH: it is gone. */
long agent_syscall(struct agent *g, long nr, const long arg[6]);
/* It ends, with this status; forgotten, but for who has taken it. */
void agent_exit(struct agents *a, struct agent *g, int status);
/* 0: it is that program now, and forgotten; or -errno. */
struct exec_request;
int agent_exec(struct agents *a, struct agent *g, const struct exec_request *req);

/* The signal that the child gets when its parent dies (prctl(2)), once it has executed. */
void agent_set_death_signal(struct agent *g, int signo);
int agent_death_signal(const struct agent *g);

/* While set for this thread, server_syscall_fn() asks the agent instead of the proxy. */
void agent_act_as(struct agent *g);
struct agent *agent_acting(void);

#endif
