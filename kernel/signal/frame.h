/* SPDX-License-Identifier: MIT */
/* The signal frame on the application's stack, as Linux x86-64 lays it out (asm/sigcontext.h,
   asm/ucontext.h): unwinders, debuggers and handlers read it. */
#ifndef KERNEL_SIGNAL_FRAME_H
#define KERNEL_SIGNAL_FRAME_H

#include "signal/signal.h"

struct mcontext {
    u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
    u16 cs, gs, fs, ss;
    u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
};
_Static_assert(sizeof(struct mcontext) == 256, "struct sigcontext_64");

struct ucontext {
    u64 flags, link;
    struct sigstack stack;
    struct mcontext mc;
    u64 sigmask;
};
_Static_assert(sizeof(struct ucontext) == 304, "struct ucontext");

struct rt_sigframe {
    u64 restorer;
    struct ucontext uc;
    struct siginfo info;
};

#define UC_FP_XSTATE 1u
#define UC_SIGCONTEXT_SS 2u
#define UC_STRICT_RESTORE_SS 4u
#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define FP_SW_OFFSET 464 /* struct _fpx_sw_bytes inside the legacy area */

struct fpx_sw_bytes {
    u32 magic1, extended_size;
    u64 xfeatures;
    u32 xstate_size, padding[7];
};
_Static_assert(sizeof(struct fpx_sw_bytes) == 48, "struct _fpx_sw_bytes");

/* What a fault adds to the frame. */
struct fault_info {
    u64 trapno, err, cr2;
};

/* Builds the frame and points f at the handler. 0, or -1: the stack is not writable. */
int sigframe_push(struct frame *f, int signo, const struct sigaction *sa,
                  const struct siginfo *info, u64 oldmask, const struct fault_info *fault);
/* Takes it down again. 0 or -1. */
int sigframe_pop(struct frame *f, u64 *mask);

#endif
