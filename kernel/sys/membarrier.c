/* SPDX-License-Identifier: MIT */
/*
 * membarrier(2). What concerns the program's own threads is done on the isle's cores; what concerns
 * other processes Linux does as well, on behalf of the proxy.
 */
#include "kernel.h"
#include "sys/sys.h"

#define QUERY 0
#define GLOBAL 1u
#define GLOBAL_EXPEDITED 2u
#define REGISTER_GLOBAL_EXPEDITED 4u
#define PRIVATE 8u
#define REGISTER_PRIVATE 16u
#define SYNC_CORE 32u
#define REGISTER_SYNC_CORE 64u
#define RSEQ 128u
#define REGISTER_RSEQ 256u
#define GET_REGISTRATIONS 512u
#define OF_LINUX (GLOBAL | GLOBAL_EXPEDITED | REGISTER_GLOBAL_EXPEDITED | GET_REGISTRATIONS)
#define OF_ISLE (PRIVATE | REGISTER_PRIVATE | SYNC_CORE | REGISTER_SYNC_CORE | RSEQ | REGISTER_RSEQ)
#define FLAG_CPU 1u

static u32 registered; /* REGISTER_* that were made; atomic */
static u32 shown;      /* and what GET_REGISTRATIONS makes of them; atomic */

static long enlist(u32 cmd, u32 also)
{
    __atomic_fetch_or(&registered, cmd, __ATOMIC_SEQ_CST);
    __atomic_fetch_or(&shown, cmd | also, __ATOMIC_SEQ_CST);
    return 0;
}

static long own_cores(u32 needs, bool restart)
{
    if (!(__atomic_load_n(&registered, __ATOMIC_SEQ_CST) & needs))
        return -EPERM;
    cores_fence(restart);
    return 0;
}

static long of_linux(void)
{
    long r = forward_raw(NR_membarrier, (const u64[6]){QUERY});
    return r == -ENOSYS ? 0 : r < 0 ? r : r & OF_LINUX;
}

long sys_membarrier(struct frame *f)
{
    const struct lull_sysdesc *d = &syscall_table[NR_membarrier];
    u32 cmd = (u32)f->rdi, flags = (u32)f->rsi;
    if (flags && !(cmd == RSEQ && flags == FLAG_CPU))
        return -EINVAL;
    long r;
    switch (cmd) {
    case QUERY:
        r = of_linux();
        return r < 0 ? r : r | OF_ISLE;
    case GLOBAL:
    case GLOBAL_EXPEDITED:
        cores_fence(false);
        return forward_call(f, d);
    case REGISTER_GLOBAL_EXPEDITED:
        r = forward_call(f, d);
        return r ? r : enlist(cmd, 0);
    case PRIVATE:
        return own_cores(REGISTER_PRIVATE, false);
    case SYNC_CORE:
        f->err |= FR_FULL; /* this core serialises on its way out */
        return own_cores(REGISTER_SYNC_CORE, false);
    case RSEQ: /* FLAG_CPU: one core would be enough */
        return own_cores(REGISTER_RSEQ, true);
    case REGISTER_PRIVATE:
    case REGISTER_SYNC_CORE:
    case REGISTER_RSEQ:
        return enlist(cmd, REGISTER_PRIVATE);
    case GET_REGISTRATIONS:
        r = of_linux();
        return r < 0 ? r : r & GET_REGISTRATIONS ? (long)shown : -EINVAL;
    default:
        return -EINVAL;
    }
}
