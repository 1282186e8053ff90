/* SPDX-License-Identifier: MIT */
/*
 * What Linux keeps of a process beside its credentials: prctl, personality, the priority of its
 * I/O, the user that files see. Linux keeps most of it for each thread, and a program's threads are
 * not the proxy's: what only execve(2) looks at is kept here and set by the thread that executes.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "capable.h"
#include "message.h"
#include "serve/agent.h"
#include "serve/call.h"
#include "serve/everyone.h"
#include "serve/view.h"

#define IOPRIO_WHO_PROCESS 1
#define PERSONALITY_ASK 0xffffffffu

static atomic_bool no_new_privs;
static atomic_uint persona;

void identity_init(void)
{
    static bool done;
    if (done) /* a forked program's goes on */
        return;
    done = true;
    atomic_store(&no_new_privs, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    atomic_store(&persona, (unsigned)personality(PERSONALITY_ASK));
}

bool identity_no_new_privs(void)
{
    return atomic_load(&no_new_privs);
}

unsigned identity_persona(void)
{
    return atomic_load(&persona);
}

void identity_before_exec(void)
{
    if (identity_no_new_privs())
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    personality(identity_persona());
}

static bool no_new_privs_call(const struct call *c, bool set, int64_t *answer)
{
    const uint64_t *a = c->user;
    if (a[1] != (set ? 1 : 0) || a[2] || a[3] || a[4])
        return call_answer(answer, -EINVAL);
    if (set) {
        if (c->env->credentials_changed)
            everyone_calls((long[6]){SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0});
        atomic_store(&no_new_privs, true);
    }
    return call_answer(answer, set ? 0 : atomic_load(&no_new_privs));
}

/* The agent's own ends it with the proxy. */
static bool child_death_signal(struct call *c, const struct agent *g, int64_t *answer)
{
    int signo = agent_death_signal(g);
    void *dst = call_mem(c, c->user[1], sizeof signo);
    if (!dst)
        return call_answer(answer, -EFAULT);
    memcpy(dst, &signo, sizeof signo);
    return call_answer(answer, 0);
}

static bool in_every_thread(struct call *c, int64_t *answer)
{
    const long *a = c->arg;
    if (agent_acting() || !c->env->credentials_changed) /* a process of one thread */
        return true;
    return call_answer(answer, everyone_calls((long[6]){SYS_prctl, a[0], a[1], a[2], a[3], a[4]}));
}

static bool may_filter(void)
{
    return identity_no_new_privs() || capable(CAP_SYS_ADMIN);
}

/* Names, timer slack and the like are the isle kernel's business: they are a thread's. */
bool decode_prctl(struct call *c, int64_t *answer)
{
    int option = (int)c->user[0];
    struct agent *g = agent_acting();
    c->arg[0] = option;
    c->arg[1] = (long)c->user[1];
    switch (option) {
    case PR_SET_PDEATHSIG:
        if (!g)
            return true;
        if (c->user[1] > 64)
            return call_answer(answer, -EINVAL);
        agent_set_death_signal(g, (int)c->user[1]);
        return call_answer(answer, 0);
    case PR_GET_DUMPABLE:
    case PR_SET_DUMPABLE:
    case PR_CAPBSET_READ:
    case PR_SET_CHILD_SUBREAPER:
    case PR_GET_SECCOMP: /* those that ask: all threads of the proxy have the same */
    case PR_GET_KEEPCAPS:
    case PR_GET_SECUREBITS:
    case PR_GET_THP_DISABLE:
    case PR_GET_TIMING:
    case PR_SET_TIMING:
    case PR_MCE_KILL_GET:
    case PR_GET_IO_FLUSHER:
    case PR_GET_SPECULATION_CTRL:
    case PR_SET_PTRACER: /* of the process; MPI libraries allow process_vm_readv by other ranks */
        return true;
    case PR_GET_UNALIGN: /* EINVAL on this machine, whatever the others are */
    case PR_SET_UNALIGN:
    case PR_GET_FPEMU:
    case PR_SET_FPEMU:
    case PR_GET_FPEXC:
    case PR_SET_FPEXC:
    case PR_GET_ENDIAN:
    case PR_SET_ENDIAN:
        return call_answer(answer, -EINVAL);
    case PR_GET_PDEATHSIG:
        if (g)
            return child_death_signal(c, g, answer);
        /* fall through */
    case PR_GET_CHILD_SUBREAPER:
    case PR_GET_TSC:
        c->arg[1] = (long)call_ptr(c, c->user[1], sizeof(int));
        return true;
    case PR_CAP_AMBIENT:
        c->arg[2] = (long)c->user[2];
        c->arg[3] = (long)c->user[3];
        c->arg[4] = (long)c->user[4];
        return c->user[1] == PR_CAP_AMBIENT_IS_SET ? true : in_every_thread(c, answer);
    case PR_CAPBSET_DROP:
    case PR_SET_SECUREBITS:
        c->arg[2] = (long)c->user[2];
        c->arg[3] = (long)c->user[3];
        c->arg[4] = (long)c->user[4];
        return in_every_thread(c, answer);
    case PR_SET_SECCOMP: /* filters are the isle kernel's, which asks whether there may be one */
        if (g)
            break;
        return call_answer(answer, may_filter() ? 0 : -EACCES);
    case PR_SET_THP_DISABLE:
        if (c->user[3] || c->user[4] || (c->user[2] && !c->user[1]) || c->user[2] & ~2ull)
            return call_answer(answer, -EINVAL);
        break;
    case PR_SET_NO_NEW_PRIVS:
    case PR_GET_NO_NEW_PRIVS:
        return g ? true : no_new_privs_call(c, option == PR_SET_NO_NEW_PRIVS, answer);
    case PR_SET_KEEPCAPS:
        return in_every_thread(c, answer);
    default:
        break;
    }
    verbose("refused: prctl %d", option);
    return call_refuse(c, answer);
}

/*
 * Linux looks at it in the thread that makes a call (uname, select), so each has it. Rights of
 * memory that change with it are the isle kernel's, which knows only one kind.
 */
bool decode_personality(struct call *c, int64_t *answer)
{
    unsigned want = (unsigned)c->user[0], now = atomic_load(&persona);
    if (agent_acting())
        return true;
    if (want == PERSONALITY_ASK || want == now)
        return call_answer(answer, now);
    if ((want | now) & READ_IMPLIES_EXEC || !c->env->credentials_changed)
        return call_refuse(c, answer);
    everyone_calls((long[6]){SYS_personality, want, 0, 0, 0, 0});
    atomic_store(&persona, want);
    return call_answer(answer, now);
}

bool decode_fsid(struct call *c, int64_t *answer)
{
    unsigned want = (unsigned)c->user[0];
    if (agent_acting() || want == UINT32_MAX || !c->env->credentials_changed)
        return true;
    return call_answer(answer, everyone_calls((long[6]){c->nr, want, 0, 0, 0, 0}));
}

static int ioprio_set(pid_t tid, int value)
{
    return (int)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, tid, value);
}

/* The program's own, or its thread's, is that of the proxy, all of whose threads work for it. */
bool decode_ioprio(struct call *c, int64_t *answer)
{
    int which = (int)c->user[0], who = (int)c->user[1];
    bool own = which == IOPRIO_WHO_PROCESS && (who == 0 || who == c->env->pid);
    c->arg[0] = which;
    c->arg[1] = who;
    c->arg[2] = (int)c->user[2];
    bool peer = which == IOPRIO_WHO_PROCESS && who > 0 && !own && !agent_acting() &&
                c->nr == SYS_ioprio_set && !call_shows_proxy(c, who) && peer_is_isle(who);
    if ((!own && !peer) || agent_acting())
        return true;
    if (c->nr == SYS_ioprio_set && c->env->credentials_changed)
        return call_answer(answer, threads_each(peer ? who : 0, ioprio_set, (int)c->user[2]));
    c->arg[1] = c->env->pid;
    return true;
}
