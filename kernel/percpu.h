/* SPDX-License-Identifier: MIT */
/* What a core knows of itself: at LULL_SELF + LULL_CORE_PRIVATE. Only that core writes it. */
#ifndef KERNEL_PERCPU_H
#define KERNEL_PERCPU_H

#include <lull/core.h>

#include "arch/offsets.h"
#include "types.h"

struct thread;

/* What an entry saved; order fixed by arch/entry.S. */
struct frame {
    u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    u64 orig; /* system call number, or -1 */
    u64 err;  /* FR_TRAPPED, FR_REWRITTEN, FR_FULL */
    u64 rip, cs, rflags, rsp, ss;
};
_Static_assert(sizeof(struct frame) == FR_SIZE, "FR_SIZE");
_Static_assert(offsetof(struct frame, rax) == FR_RAX, "FR_RAX");
_Static_assert(offsetof(struct frame, orig) == FR_ORIG, "FR_ORIG");
_Static_assert(offsetof(struct frame, err) == FR_ERR, "FR_ERR");
_Static_assert(offsetof(struct frame, rip) == FR_RIP, "FR_RIP");
_Static_assert(offsetof(struct frame, rflags) == FR_RFLAGS, "FR_RFLAGS");
_Static_assert(offsetof(struct frame, rsp) == FR_RSP, "FR_RSP");

struct percpu {
    u64 ktop;
    u64 scratch_rsp;
    u64 scratch_rip;
    struct thread *cur;
    u64 bp_top;
    u64 bp_save;
    u32 index;
    u32 cpu; /* Linux's number */
    u32 pid;
    u32 *nready;              /* runqs[index].nready */
    u64 flushed;              /* generation of page-table changes that this core's TLB has seen */
    u64 stopped;              /* generation of stop requests acknowledged */
    u64 fenced;               /* generation of barriers that this core has made */
    u64 restarted;            /* generation of restarts of critical sections, the same */
    struct thread *fpu_owner; /* whose vector state the registers hold */
    struct thread *prev;      /* left by the last switch, until thread_switched() */
    u64 armed_ns;             /* next kick that the proxy's timer is set to, 0: none; timer_lock */
    bool slice_on;            /* the timer repeats every time slice; timer_lock */
    u32 resting;              /* atomic; this core does nothing until cores_rest(false) */
    bool child_due;           /* when it is idle next it does not spin: a child wants the core */
};
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, ktop) == PC_KTOP, "PC_KTOP");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, scratch_rsp) == PC_RSP, "PC_RSP");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, scratch_rip) == PC_RIP, "PC_RIP");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, cur) == PC_CUR, "PC_CUR");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, bp_top) == PC_BPTOP, "PC_BPTOP");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, bp_save) == PC_BPSAVE, "PC_BPSAVE");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, pid) == PC_PID, "PC_PID");
_Static_assert(LULL_CORE_PRIVATE + offsetof(struct percpu, nready) == PC_NREADY, "PC_NREADY");
/* the vDSO reads these two */
_Static_assert(offsetof(struct percpu, index) == 48 && offsetof(struct percpu, cpu) == 52, "vDSO");
_Static_assert(offsetof(struct lull_core, up_rip) == CORE_UP_RIP, "CORE_UP_RIP");
_Static_assert(offsetof(struct lull_core, up_rsp) == CORE_UP_RSP, "CORE_UP_RSP");
_Static_assert(offsetof(struct lull_core, up_rflags) == CORE_UP_RFLAGS, "CORE_UP_RFLAGS");
_Static_assert(offsetof(struct lull_core, up_cs) == CORE_UP_CS, "CORE_UP_CS");
_Static_assert(offsetof(struct lull_core, request) == CORE_REQUEST, "CORE_REQUEST");
_Static_assert(offsetof(struct lull_core, halted) == CORE_HALTED, "CORE_HALTED");
_Static_assert(offsetof(struct lull_core, reply) == CORE_REPLY, "CORE_REPLY");
_Static_assert(offsetof(struct lull_core, bell) == CORE_BELL, "CORE_BELL");

_Static_assert(offsetof(struct lull_core, kcount) + 8 * LULL_K_INTERRUPT == CORE_INTERRUPTS,
               "CORE_INTERRUPTS");
_Static_assert(offsetof(struct lull_core, kcount) + 8 * LULL_K_GETPID == CORE_GETPIDS,
               "CORE_GETPIDS");
_Static_assert(offsetof(struct lull_core, kcount) + 8 * LULL_K_GETTID == CORE_GETTIDS,
               "CORE_GETTIDS");
_Static_assert(offsetof(struct lull_core, kcount) + 8 * LULL_K_YIELD == CORE_YIELDS, "CORE_YIELDS");

static inline struct lull_core *core_of(unsigned index)
{
    return (struct lull_core *)(LULL_CORES + index * LULL_CORE_STRIDE);
}
static inline struct percpu *percpu_of(unsigned index)
{
    return (struct percpu *)(LULL_CORES + index * LULL_CORE_STRIDE + LULL_CORE_PRIVATE);
}
/* The page at LULL_SELF: each core's own. Volatile, because a thread may move between two reads. */
extern char lull_self[];
static inline const volatile struct percpu *self(void)
{
    return (const volatile struct percpu *)(lull_self + LULL_CORE_PRIVATE);
}
static inline struct percpu *this_cpu(void)
{
    return percpu_of(self()->index);
}
static inline struct lull_core *this_core(void)
{
    return core_of(this_cpu()->index);
}
static inline struct thread *current(void)
{
    return self()->cur;
}
static inline void count(enum lull_kcount what)
{
    this_core()->kcount[what]++;
}

static inline const struct lull_boot *boot_info(void)
{
    return (const struct lull_boot *)LULL_BOOT;
}
static inline struct lull_waits *waits(void)
{
    return (struct lull_waits *)LULL_WAITS;
}

static inline struct lull_sysstat *sysstat(void)
{
    return (struct lull_sysstat *)LULL_SYSSTAT;
}

#endif
