/* SPDX-License-Identifier: MIT */
#include "serve/agent.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rawcall.h"
#include "serve/call.h"
#include "serve/serve.h"
#include "sigstate.h"

#define STACK_SIZE (64u << 10)

enum { GONE = 0, BUSY = 1, DONE = 2 }; /* state: Linux itself writes GONE (clone(2), CLEARTID) */

struct agent {
    struct agent *next;
    bool taken, listed; /* agents.lock; neither: free */
    pid_t pid;
    cpu_set_t cpus;
    void *stack;
    uint32_t state;   /* futex */
    uint32_t request; /* futex: counted up for each */
    long nr;          /* -1: exec, below */
    long arg[6];
    long result;
    const struct exec_request *exec;
    long death_signal;
};

struct agents {
    pthread_mutex_t lock; /* the list */
    struct agent *first;
    cpu_set_t cpus;
};

static _Thread_local struct agent *acting;

void agent_act_as(struct agent *g)
{
    acting = g;
}

struct agent *agent_acting(void)
{
    return acting;
}

/* The agent has its creator's thread-local storage: no errno, no library in become(). */
static long become(struct agent *g)
{
    const struct exec_request *q = g->exec;
    for (int s = 1; s <= 64; s++) {
        struct kernel_sigaction sa = {q->ignored >> (s - 1) & 1 ? SIG_IGN : SIG_DFL, 0, NULL, 0};
        rawcall(SYS_rt_sigaction, s, (long)&sa, 0, 8, 0, 0);
    }
    rawcall(SYS_prctl, PR_SET_PDEATHSIG, g->death_signal, 0, 0, 0, 0);
    rawcall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&q->mask, 0, 8, 0, 0);
    long r = rawcall(SYS_execveat, q->at, (long)q->path, (long)q->argv, (long)q->envp, q->flags, 0);
    uint64_t all = ~0ull;
    rawcall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, 8, 0, 0);
    rawcall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    return r;
}

static __attribute__((noreturn)) int agent_main(void *arg)
{
    struct agent *g = arg;
    uint32_t seen = 0;
    rawcall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0, 0);
    rawcall(SYS_sched_setaffinity, 0, sizeof g->cpus, (long)&g->cpus, 0, 0, 0);
    if (identity_no_new_privs())
        rawcall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
    rawcall(SYS_personality, identity_persona(), 0, 0, 0, 0, 0);
    for (;;) {
        uint32_t now = __atomic_load_n(&g->request, __ATOMIC_ACQUIRE);
        if (now == seen) {
            rawcall(SYS_futex, (long)&g->request, FUTEX_WAIT, seen, 0, 0, 0);
            continue;
        }
        seen = now;
        long *a = g->arg;
        g->result = g->nr < 0 ? become(g) : rawcall(g->nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        __atomic_store_n(&g->state, DONE, __ATOMIC_RELEASE);
        rawcall(SYS_futex, (long)&g->state, FUTEX_WAKE, 1, 0, 0, 0);
    }
}

struct agents *agents_create(const cpu_set_t *cpus)
{
    struct agents *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    pthread_mutex_init(&a->lock, NULL);
    a->cpus = *cpus;
    return a;
}

static void agent_free(struct agent *g)
{
    munmap(g->stack, STACK_SIZE);
    free(g);
}

/* By who has taken it: not to be found any more. */
static void unlink_agent(struct agents *a, struct agent *g)
{
    pthread_mutex_lock(&a->lock);
    struct agent **at = &a->first;
    while (*at && *at != g)
        at = &(*at)->next;
    if (*at)
        *at = g->next;
    g->listed = false;
    pthread_mutex_unlock(&a->lock);
}

void agents_kill(struct agents *a)
{
    pthread_mutex_lock(&a->lock);
    for (struct agent *g = a->first; g; g = g->next)
        if (__atomic_load_n(&g->state, __ATOMIC_ACQUIRE) != GONE) /* not what it became */
            kill(g->pid, SIGKILL);
    pthread_mutex_unlock(&a->lock);
}

void agents_free(struct agents *a)
{
    if (!a)
        return;
    while (a->first) {
        struct agent *g = a->first;
        if (__atomic_load_n(&g->state, __ATOMIC_ACQUIRE) != GONE) {
            kill(g->pid, SIGKILL);
            waitpid(g->pid, NULL, 0);
        }
        a->first = g->next;
        agent_free(g);
    }
    pthread_mutex_destroy(&a->lock);
    free(a);
}

int agent_start(struct agents *a)
{
    struct agent *g = calloc(1, sizeof *g);
    if (!g)
        return -ENOMEM;
    g->cpus = a->cpus;
    g->state = DONE;
    g->stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->stack == MAP_FAILED) {
        free(g);
        return -ENOMEM;
    }
    sigset_t all, old;
    sigfillset(&all);
    pthread_mutex_lock(&a->lock);             /* agents_have() knows it from its first moment */
    pthread_sigmask(SIG_SETMASK, &all, &old); /* the proxy's handlers are not for it */
    g->pid = clone(agent_main, (char *)g->stack + STACK_SIZE,
                   CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, g, NULL, NULL, &g->state);
    int err = errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (g->pid < 0) {
        pthread_mutex_unlock(&a->lock);
        munmap(g->stack, STACK_SIZE);
        free(g);
        return -err;
    }
    g->next = a->first;
    g->listed = true;
    a->first = g;
    pthread_mutex_unlock(&a->lock);
    return g->pid;
}

/* Under the lock. */
static struct agent *find(const struct agents *a, uint32_t pid)
{
    struct agent *g = a->first;
    while (g && (uint32_t)g->pid != pid)
        g = g->next;
    return g;
}

int agent_take(struct agents *a, uint32_t pid, struct agent **out)
{
    pthread_mutex_lock(&a->lock);
    struct agent *g = find(a, pid);
    int rc = !g ? -ESRCH : g->taken ? -EBUSY : 0;
    if (rc == 0)
        g->taken = true;
    pthread_mutex_unlock(&a->lock);
    *out = rc ? NULL : g;
    return rc;
}

void agent_release(struct agents *a, struct agent *g)
{
    pthread_mutex_lock(&a->lock);
    bool listed = g->listed;
    g->taken = false;
    pthread_mutex_unlock(&a->lock);
    if (!listed)
        agent_free(g);
}

bool agents_have(struct agents *a, int pid)
{
    pthread_mutex_lock(&a->lock);
    bool found = find(a, (uint32_t)pid) != NULL;
    pthread_mutex_unlock(&a->lock);
    return found;
}

bool agents_any(struct agents *a)
{
    pthread_mutex_lock(&a->lock);
    bool any = a->first != NULL;
    pthread_mutex_unlock(&a->lock);
    return any;
}

void agent_set_death_signal(struct agent *g, int signo)
{
    g->death_signal = signo;
}

int agent_death_signal(const struct agent *g)
{
    return (int)g->death_signal;
}

/* False: it is gone. */
static bool ask(struct agent *g)
{
    uint32_t state = DONE;
    if (!__atomic_compare_exchange_n(&g->state, &state, BUSY, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_RELAXED))
        return false;
    __atomic_fetch_add(&g->request, 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &g->request, FUTEX_WAKE, 1, NULL, NULL, 0);
    while ((state = __atomic_load_n(&g->state, __ATOMIC_ACQUIRE)) == BUSY)
        syscall(SYS_futex, &g->state, FUTEX_WAIT, BUSY, NULL, NULL, 0);
    return state == DONE;
}

long agent_syscall(struct agent *g, long nr, const long arg[6])
{
    g->nr = nr;
    memcpy(g->arg, arg, sizeof g->arg);
    return ask(g) ? g->result : -ESRCH;
}

void agent_exit(struct agents *a, struct agent *g, int status)
{
    agent_syscall(g, SYS_exit_group, (const long[6]){status});
    unlink_agent(a, g);
}

int agent_exec(struct agents *a, struct agent *g, const struct exec_request *req)
{
    g->nr = -1;
    g->exec = req;
    if (ask(g))
        return (int)g->result;
    unlink_agent(a, g);
    return 0;
}
