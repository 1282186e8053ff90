/* SPDX-License-Identifier: MIT */
/* System V segments and semaphores (svipc(7)), and futexes in memory shared with Linux. */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>

#include "serve/call.h"

#define SEMOPS_MAX 500u /* more than kernel.sem allows by default; beyond: E2BIG */
#define SEMS_MAX 32000u /* in a set */

/* Size of what the last argument points to; 0: a number or nothing. */
static size_t shm_size(int cmd)
{
    switch (cmd) {
    case IPC_STAT:
    case IPC_SET:
    case SHM_STAT:
    case SHM_STAT_ANY:
        return sizeof(struct shmid_ds);
    case IPC_INFO:
        return sizeof(struct shminfo);
    case SHM_INFO:
        return sizeof(struct shm_info);
    default:
        return 0;
    }
}

void decode_shmctl(struct call *c)
{
    int cmd = (int)c->user[1];
    size_t size = shm_size(cmd);
    c->arg[1] = cmd;
    c->arg[2] = size ? (long)call_ptr(c, c->user[2], size) : 0;
}

static unsigned sems_of(int id)
{
    struct semid_ds ds;
    memset(&ds, 0, sizeof ds);
    if (server_syscall(SYS_semctl, id, 0, IPC_STAT, (long)&ds) < 0)
        return 0;
    return ds.sem_nsems < SEMS_MAX ? (unsigned)ds.sem_nsems : SEMS_MAX;
}

bool decode_semctl(struct call *c, int64_t *answer)
{
    int cmd = (int)c->user[2];
    c->arg[2] = cmd;
    c->arg[3] = (long)c->user[3];
    switch (cmd) {
    case IPC_STAT:
    case IPC_SET:
    case SEM_STAT:
    case SEM_STAT_ANY:
        c->arg[3] = (long)call_ptr(c, c->user[3], sizeof(struct semid_ds));
        return true;
    case IPC_INFO:
    case SEM_INFO:
        c->arg[3] = (long)call_ptr(c, c->user[3], sizeof(struct seminfo));
        return true;
    case GETALL:
    case SETALL: { /* the set may be another one by now: through a buffer for the largest */
        unsigned n = sems_of((int)c->user[0]);
        bool may = n * sizeof(unsigned short) <= c->user[LULL_ARG_HAVE];
        void *dst =
            may ? call_ptr(c, c->user[3], n * sizeof(unsigned short)) : (void *)LULL_BAD_PTR;
        unsigned short *own = arena_alloc(c->mem, SEMS_MAX * sizeof *own);
        if (!own)
            return call_answer(answer, -ENOMEM);
        memset(own, 0, SEMS_MAX * sizeof *own);
        c->arg[3] = (long)own;
        if (n && dst == (void *)LULL_BAD_PTR)
            c->arg[3] = (long)LULL_BAD_PTR;
        else if (n && cmd == SETALL)
            call_copy_in(c, own, c->user[3], n * sizeof *own);
        else if (n)
            call_back(c, dst, own, n * sizeof *own, false);
        return true;
    }
    default:
        return true;
    }
}

bool decode_semop(struct call *c, int64_t *answer)
{
    uint32_t n = (uint32_t)c->user[2];
    bool fault;
    c->arg[2] = (long)n;
    c->arg[1] = (long)LULL_BAD_PTR;
    if (n == 0 || n > SEMOPS_MAX) /* EINVAL, E2BIG */
        return true;
    void *own = call_dup(c, c->user[1], n * sizeof(struct sembuf), &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    if (own)
        c->arg[1] = (long)own;
    return true;
}

/* futex_waitv(2), whose list the kernel has checked: of futexes that Linux sees too. */
static bool decode_waitv(struct call *c, int64_t *answer)
{
    enum { LENGTH_MAX = 128 };
    struct entry {
        uint64_t val, addr;
        uint32_t flags, reserved;
    } * list;
    uint32_t n = (uint32_t)c->user[2];
    bool fault = n == 0 || n > LENGTH_MAX;
    list = fault ? NULL : call_dup(c, c->user[0], n * sizeof *list, &fault);
    if (!list)
        return call_answer(answer, fault ? -EFAULT : -ENOMEM);
    for (uint32_t i = 0; i < n; i++)
        list[i].addr = (uint64_t)call_ptr(c, list[i].addr, 4);
    c->nr = SYS_futex_waitv;
    c->arg[0] = (long)list;
    c->arg[1] = n;
    c->arg[2] = 0;
    c->arg[4] = (long)c->user[4];
    if (c->user[3]) {
        void *own = call_dup(c, c->user[3], sizeof(struct timespec), &fault);
        if (!own)
            return call_answer(answer, fault ? -EFAULT : -ENOMEM);
        c->arg[3] = (long)own;
    }
    return true;
}

static _Thread_local bool waits_as; /* this thread has a real-time priority */

/* Linux wakes who waits for a futex by priority: this thread waits with the program's, if it
   may. */
static void wait_as(int prio)
{
    struct sched_param p = {.sched_priority = prio};
    waits_as =
        prio > 0 && prio <= 99 && !sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p);
}

void finish_futex(void)
{
    struct sched_param none = {0};
    if (waits_as)
        sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
    waits_as = false;
}

/* LULL_NR_FUTEX: a futex(2) on memory that Linux sees too; the kernel has left the private ones. */
bool decode_futex(struct call *c, int64_t *answer)
{
    int op = (int)c->user[1] & FUTEX_CMD_MASK;
    bool two = op == FUTEX_REQUEUE || op == FUTEX_CMP_REQUEUE || op == FUTEX_WAKE_OP;
    bool wait = op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
    if (op == LULL_FUTEX_ROBUST) {
        c->nr = SYS_get_robust_list;
        c->arg[0] = (int)c->user[0];
        c->arg[1] = c->arg[2] = (long)LULL_BAD_PTR;
        return true;
    }
    if (op == LULL_FUTEX_WAITV)
        return decode_waitv(c, answer);
    if (!two && !wait && op != FUTEX_WAKE && op != FUTEX_WAKE_BITSET)
        return call_refuse(c, answer);
    c->nr = SYS_futex;
    c->arg[0] = (long)call_ptr(c, c->user[0], 4);
    c->arg[1] = (int)c->user[1];
    c->arg[2] = (long)c->user[2];
    c->arg[3] = (long)c->user[3];
    c->arg[4] = two ? (long)call_ptr(c, c->user[4], 4) : 0;
    c->arg[5] = (long)c->user[5];
    if (wait && c->user[3]) {
        bool fault;
        void *own = call_dup(c, c->user[3], sizeof(struct timespec), &fault);
        if (!own)
            return call_answer(answer, fault ? -EFAULT : -ENOMEM);
        c->arg[3] = (long)own;
    }
    if (wait)
        wait_as((int)(c->user[1] >> LULL_FUTEX_PRIO));
    return true;
}
