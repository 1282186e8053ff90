/* SPDX-License-Identifier: MIT */
/* Exceptions: of the application they become signals, of the kernel a fixed-up copy or the end. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"
#include "sys/seccomp.h"
#include "sys/sys.h"

#define SEGV_MAPERR 1
#define SEGV_ACCERR 2
#define FPE_INTDIV 1
#define FPE_FLTINV 7
#define ILL_ILLOPN 2
#define BUS_ADRALN 1
#define BUS_ADRERR 2
#define TRAP_BRKPT 1
#define TRAP_TRACE 2
#define PF_PRESENT 1
#define PF_WRITE 2
#define PF_USER 4
#define PF_RESERVED 8
#define PF_FETCH 16

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
            if (!window_fault(addr, f->err) && !mm_grow_fault(addr))
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
    if (vec == 13 && f->rflags & FLAGS_NT) { /* the application's, too, and no iretq takes it */
        f->rflags &= ~FLAGS_NT;
        return;
    }
    panic("exception in the kernel", f->rip, vec);
}

/* What signal handlers are told of a fault at addr: above user space no table is looked at. */
static u64 error_of(u64 addr, u64 err)
{
    err &= ~(u64)PF_RESERVED; /* some hypervisors say so of what has no translation */
    return addr >= LULL_USER_END ? err | PF_PRESENT : err;
}

/*
 * The vsyscall page: three calls at fixed addresses, which programs linked long ago make. As in
 * Linux with vsyscall=xonly they can be called and not read; the call is made here.
 */
#define VSYSCALL 0xffffffffff600000ul
#define VSYSCALL_STEP 0x400u

static void vsyscall(struct frame *f)
{
    static const u32 numbers[] = {96, 201, 309}; /* gettimeofday, time, getcpu */
    u64 at = f->rip - VSYSCALL, ret;
    if (at % VSYSCALL_STEP || at / VSYSCALL_STEP >= ARRAY_LEN(numbers) ||
        copy_in(&ret, f->rsp, sizeof ret)) {
        signal_force(f, SIGSEGV, SI_KERNEL, 0, 14, PF_USER | PF_FETCH);
        return;
    }
    u32 nr = numbers[at / VSYSCALL_STEP];
    u64 ip = f->rip;
    long r = 0;
    enum seccomp_verdict verdict = SECCOMP_PASS;
    if (current()->seccomp)
        verdict = seccomp_judge(f, nr, &r);
    if (verdict == SECCOMP_SIGNAL) {
        f->rax = nr;
        f->rip = ret;
        f->rsp += sizeof ret;
        seccomp_trap(f, nr, ip, r);
        return;
    }
    bool passes = verdict == SECCOMP_PASS;
    if (passes)
        r = syscall_local(f, nr);
    if (passes && r == -EFAULT) { /* there is no errno: whoever calls it does not expect one */
        u64 bad = f->rdi && copy_out(f->rdi, &(u64){0}, 1) ? f->rdi : f->rsi;
        signal_force(f, SIGSEGV, SEGV_MAPERR, bad, 14, PF_USER | PF_WRITE);
        return;
    }
    f->rax = (u64)r;
    f->rip = ret;
    f->rsp += sizeof ret;
}

static void page_fault(struct frame *f, u64 err)
{
    u64 addr = monitor_call(MONITOR_CR2, 0, 0);
    if (spurious(addr, err))
        return;
    count(LULL_K_PAGEFAULT);
    if (f->rip == addr && addr - VSYSCALL < LULL_PAGE) {
        vsyscall(f);
        return;
    }
    err = error_of(addr, err);
    if (window_fault(addr, err) || mm_grow_fault(addr))
        return;
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(addr);
    bool mapped = m && !(m->flags & LULL_MAP_HOLD);
    u32 want = err & 16 ? PROT_EXEC : err & 2 ? PROT_WRITE : PROT_READ;
    u32 may = m ? m->prot | m->flags >> LULL_MAP_BEYOND_SHIFT : 0;
    bool beyond = m && m->flags & LULL_MAP_BEYOND && may & want;
    if (m && m->flags & LULL_MAP_GUARD && may & want)
        mapped = false; /* as Linux tells of a guard page */
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

/*
 * A debug exception of icebp, not of a single step: ring 3 cannot read DR6, which would tell. RIP
 * is behind the instruction; some hypervisors leave it there.
 */
static bool is_icebp(const struct frame *f)
{
    u8 code[2] = {0};
    return !(f->rflags & FLAGS_TF) && copy_in(code, f->rip - 1, sizeof code) == 0 &&
           (code[0] == 0xf1 || code[1] == 0xf1);
}

/*
 * Some hypervisors let privileged and undefined instructions of ring 3 fault otherwise than the
 * processor does: `int n` without a gate is #UD there, and monitor #GP.
 */
static u64 true_vector(const struct frame *f, u64 vec, u64 *err)
{
    u8 code[3] = {0};
    if ((vec != 6 && vec != 13) || f->cs != LULL_SEL_UCODE)
        return vec;
    for (u32 i = 0; i < sizeof code; i++) {
        if (copy_in(&code[i], f->rip + i, 1))
            break;
    }
    if (vec == 6 && code[0] == 0xcd) { /* int n: a gate that ring 3 may not use */
        *err = code[1] * 8u + 2;
        return 13;
    }
    if (vec == 6 && code[0] == 0x0f && code[1] == 0xae && (code[2] & 0x38) == 0x10 &&
        code[2] < 0xc0) /* ldmxcsr of bits that there are not */
        return 13;
    if (vec == 13 && code[0] == 0x0f && code[1] == 0x01 && (code[2] & 0xfe) == 0xc8)
        return 6; /* monitor, mwait */
    return vec;
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
    vec = true_vector(f, vec, &err);
    switch (vec) {
    case 0:
        signal_force(f, SIGFPE, FPE_INTDIV, f->rip, vec, err);
        break;
    case 1:
        rewrite_hide_step(f);
        signal_force(f, SIGTRAP, is_icebp(f) ? TRAP_BRKPT : TRAP_TRACE, f->rip, vec, err);
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
