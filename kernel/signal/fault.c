/* SPDX-License-Identifier: MIT */
/* Exceptions: of the application they become signals, of the kernel a fixed-up copy or the end. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"

#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define FPE_INTDIV 1
#define FPE_FLTINV 7
#define ILL_ILLOPN 2
#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define TRAP_TRACE 2

/* A translation that the tables allow may still be missing from a TLB: drop it and try again. */
static bool spurious(u64 addr, u64 err)
{
    if (!pt_allows(addr, err))
        return false;
    monitor_call(MONITOR_INVLPG, ALIGN_DOWN(addr, LULL_PAGE), 1);
    return true;
}

void kernel_fault(struct frame *f);
void kernel_fault(struct frame *f)
{
    u64 vec = f->orig;
    if (vec == 14) {
        u64 addr = monitor_call(MONITOR_CR2, 0, 0);
        if (spurious(addr, f->err))
            return;
        if (f->rip >= (u64)user_access_start && f->rip < (u64)user_access_end) {
            if (!window_fault(addr, f->err))
                f->rip = (u64)user_copy_fault;
            return;
        }
        panic("page fault in the kernel", f->rip, addr);
    }
    if (vec == 13 && f->rip >= (u64)user_access_start && f->rip < (u64)user_access_end) {
        f->rip = (u64)user_copy_fault; /* non-canonical address, bad vector state */
        return;
    }
    if (vec == 1 || vec == 17) { /* the application's flags: they stand in its frame */
        f->rflags &= vec == 1 ? ~FLAGS_TF : ~FLAGS_AC;
        return;
    }
    panic("exception in the kernel", f->rip, vec);
}

static void page_fault(struct frame *f, u64 err)
{
    u64 addr = monitor_call(MONITOR_CR2, 0, 0);
    if (spurious(addr, err))
        return;
    count(LULL_K_PAGEFAULT);
    if (window_fault(addr, err))
        return;
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(addr);
    bool mapped = m && !(m->flags & LULL_MAP_HOLD);
    u32 want = err & 2 ? PROT_WRITE : PROT_READ;
    bool beyond =
        m && m->flags & LULL_MAP_BEYOND && (!(m->flags & LULL_MAP_WINDOW) || m->prot & want);
    spin_unlock(&mm_lock);
    if (beyond)
        signal_force(f, SIGBUS, BUS_ADRERR, addr, 14, err);
    else
        signal_force(f, SIGSEGV, mapped ? SEGV_ACCERR : SEGV_MAPERR, addr, 14, err);
}

/* x87 and SSE exceptions, decoded from the status registers as Linux does (siginfo.h, FPE_*). */
static int fpe_code(u64 vec)
{
    u32 mxcsr;
    u16 sw, cw;
    u32 bits;
    if (vec == 19) {
        __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
        bits = mxcsr & ~(mxcsr >> 7) & 0x3f;
    } else {
        __asm__ volatile("fnstsw %0" : "=m"(sw));
        __asm__ volatile("fnstcw %0" : "=m"(cw));
        bits = sw & ~(u32)cw & 0x3f;
    }
    if (bits & 1)
        return FPE_FLTINV;
    if (bits & 4)
        return 3; /* FPE_FLTDIV */
    if (bits & 8)
        return 4; /* FPE_FLTOVF */
    if (bits & 0x12)
        return 5; /* FPE_FLTUND */
    if (bits & 0x20)
        return 6; /* FPE_FLTRES */
    return 0;
}

void user_fault(struct frame *f, u64 vec, u64 err);
void user_fault(struct frame *f, u64 vec, u64 err)
{
    if (vec >= 32) {
        count(LULL_K_INTERRUPT);
        return;
    }
    if (vec == 14) {
        page_fault(f, err);
        return;
    }
    count(LULL_K_FAULT);
    switch (vec) {
    case 0:
        signal_force(f, SIGFPE, FPE_INTDIV, f->rip, vec, err);
        break;
    case 1:
        rewrite_hide_step(f);
        signal_force(f, SIGTRAP, TRAP_TRACE, f->rip, vec, err);
        break;
    case 3:
        signal_force(f, SIGTRAP, SI_KERNEL, 0, vec, err);
        break;
    case 6:
        signal_force(f, SIGILL, ILL_ILLOPN, f->rip, vec, err);
        break;
    case 16:
    case 19:
        signal_force(f, SIGFPE, fpe_code(vec), f->rip, vec, err);
        break;
    case 12:
        signal_force(f, SIGBUS, SI_KERNEL, 0, vec, err);
        break;
    case 17:
        signal_force(f, SIGBUS, BUS_ADRALN, 0, vec, err);
        break;
    default: /* #GP and the rest: Linux gives no address */
        signal_force(f, SIGSEGV, SI_KERNEL, 0, vec, err);
    }
}
