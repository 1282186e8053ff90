/* SPDX-License-Identifier: MIT */
#include "signal/frame.h"

#include "kernel.h"
#include "sched/thread.h"

#define FLAGS_USER 0x40dd5ul /* AC, OF, DF, TF, SF, ZF, AF, PF, CF: what sigreturn may set */

static bool on_altstack(const struct sigstack *alt, u64 sp)
{
    return !(alt->flags & SS_DISABLE) && sp > alt->sp && sp - alt->sp <= alt->size;
}

static u64 frame_stack(const struct frame *f, const struct sigaction *sa)
{
    const struct sigstack *alt = &current()->sig.alt;
    if (sa->flags & SA_ONSTACK && !(alt->flags & SS_DISABLE) && !on_altstack(alt, f->rsp))
        return alt->sp + alt->size;
    return f->rsp - 128; /* the red zone */
}

static int push_fpstate(u64 fp)
{
    /* the header must be sane before xsave writes part of it */
    if (!user_range_ok(fp, machine.xsave_size + 4ul) || user_clear((void *)(fp + 512), 64) ||
        user_xsave((void *)fp, machine.xcr0))
        return -1;
    struct fpx_sw_bytes sw = {
        .magic1 = FP_XSTATE_MAGIC1,
        .extended_size = machine.xsave_size + 4,
        .xfeatures = machine.xcr0,
        .xstate_size = machine.xsave_size,
    };
    u32 magic2 = FP_XSTATE_MAGIC2;
    if (copy_out(fp + FP_SW_OFFSET, &sw, sizeof sw) ||
        copy_out(fp + machine.xsave_size, &magic2, sizeof magic2))
        return -1;
    return 0;
}

/* What a new program starts with: all zero but these two (Intel SDM vol. 1, 13.4). */
static void fpu_init(u64 mask)
{
    static struct {
        u16 fcw;
        u8 fill[22];
        u32 mxcsr;
        u8 rest[548];
    } initial __attribute__((aligned(64))) = {.fcw = 0x37f, .mxcsr = 0x1f80};
    _Static_assert(sizeof initial == 576, "legacy area and header");
    cpu_xrstor(&initial, mask);
}

int sigframe_push(struct frame *f, int signo, const struct sigaction *sa,
                  const struct siginfo *info, u64 oldmask, const struct fault_info *fault)
{
    struct thread *t = current();
    u64 sp = frame_stack(f, sa);
    u64 fp = ALIGN_DOWN(sp - machine.xsave_size - 4, 64);
    u64 at = ALIGN_DOWN(fp - sizeof(struct rt_sigframe), 16) - 8; /* as after a call */
    struct rt_sigframe sf;
    memset(&sf, 0, sizeof sf);
    /* on the alternate stack, or about to be: a frame that would leave it is none */
    const struct sigstack *alt = &t->sig.alt;
    if ((on_altstack(alt, f->rsp) || on_altstack(alt, sp)) && !on_altstack(alt, at))
        return -1;
    if (sa->handler >> 47 || !(sa->flags & SA_RESTORER) || push_fpstate(fp))
        return -1;
    sf.restorer = sa->restorer;
    sf.info = *info;
    sf.uc.flags = UC_FP_XSTATE | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS;
    sf.uc.stack = t->sig.alt;
    if (on_altstack(&t->sig.alt, f->rsp))
        sf.uc.stack.flags |= SS_ONSTACK;
    sf.uc.sigmask = oldmask;
    sf.uc.mc = (struct mcontext){
        .r8 = f->r8,
        .r9 = f->r9,
        .r10 = f->r10,
        .r11 = f->r11,
        .r12 = f->r12,
        .r13 = f->r13,
        .r14 = f->r14,
        .r15 = f->r15,
        .rdi = f->rdi,
        .rsi = f->rsi,
        .rbp = f->rbp,
        .rbx = f->rbx,
        .rdx = f->rdx,
        .rax = f->rax,
        .rcx = f->rcx,
        .rsp = f->rsp,
        .rip = f->rip,
        .eflags = f->rflags,
        .cs = (u16)f->cs,
        .ss = LULL_SEL_UDATA,
        .err = fault->err,
        .trapno = fault->trapno,
        .oldmask = oldmask,
        .cr2 = fault->cr2,
        .fpstate = fp,
    };
    if (copy_out(at, &sf, sizeof sf))
        return -1;
    fpu_init(machine.xcr0);
    if (t->sig.alt.flags & (i32)SS_AUTODISARM)
        t->sig.alt = (struct sigstack){.flags = SS_DISABLE};
    f->rip = sa->handler;
    f->rsp = at;
    f->rdi = (u64)signo;
    f->rsi = at + offsetof(struct rt_sigframe, info);
    f->rdx = at + offsetof(struct rt_sigframe, uc);
    f->rax = 0;
    f->rflags &= ~0x500ul; /* DF, TF */
    f->cs = LULL_SEL_UCODE;
    f->err = FR_FULL;
    return 0;
}

/* Vector state from an untrusted frame: a bad header faults in xrstor and is fixed up. */
static int pop_fpstate(u64 fp)
{
    struct fpx_sw_bytes sw;
    if (!fp) {
        fpu_init(machine.xcr0);
        return 0;
    }
    if (fp & 63 || !user_range_ok(fp, machine.xsave_size))
        return -1;
    if (copy_in(&sw, fp + FP_SW_OFFSET, sizeof sw))
        return -1;
    u64 mask = 3; /* of a frame without the extended part */
    if (sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size <= machine.xsave_size)
        mask = sw.xfeatures & machine.xcr0;
    if (mask != machine.xcr0)
        fpu_init(machine.xcr0 & ~mask);
    return user_xrstor((void *)fp, mask);
}

int sigframe_pop(struct frame *f, u64 *mask)
{
    struct rt_sigframe sf;
    u64 at = f->rsp - 8; /* the restorer's address was popped */
    if (copy_in(&sf, at, sizeof sf))
        return -1;
    const struct mcontext *m = &sf.uc.mc;
    u16 cs = m->cs | 3;
    if (pop_fpstate(m->fpstate))
        return -1;
    if (cs != LULL_SEL_UCODE && cs != LULL_SEL_UCODE32)
        return -1;
    if (m->rip >> 47 || m->rsp >> 47)
        return -1; /* not canonical: iretq would fault in the kernel */
    f->r8 = m->r8, f->r9 = m->r9, f->r10 = m->r10, f->r11 = m->r11, f->r12 = m->r12;
    f->r13 = m->r13, f->r14 = m->r14, f->r15 = m->r15, f->rdi = m->rdi, f->rsi = m->rsi;
    f->rbp = m->rbp, f->rbx = m->rbx, f->rdx = m->rdx, f->rax = m->rax, f->rcx = m->rcx;
    f->rsp = m->rsp, f->rip = m->rip;
    f->cs = cs;
    f->rflags = (f->rflags & ~FLAGS_USER) | (m->eflags & FLAGS_USER);
    f->orig = ~0ul; /* not a call to be restarted */
    f->err = FR_FULL;
    struct sigstack *alt = &current()->sig.alt;
    if (sf.uc.stack.flags == 0 || sf.uc.stack.flags == (i32)SS_AUTODISARM)
        *alt = sf.uc.stack;
    *mask = sf.uc.sigmask;
    return 0;
}
