/* SPDX-License-Identifier: MIT */
/* Offsets that assembly needs; checked against the structures in kernel/percpu.h. */
#ifndef KERNEL_ARCH_OFFSETS_H
#define KERNEL_ARCH_OFFSETS_H

/* struct lull_core, at lull_self (LULL_SELF) */
#define CORE_OP 0
#define CORE_REQUEST 56
#define CORE_HALTED 60
#define CORE_UP_RIP 72
#define CORE_UP_RSP 80
#define CORE_UP_RFLAGS 88
#define CORE_REPLY 96
#define CORE_UP_CS 104
#define CORE_BELL 128
#define CORE_INTERRUPTS 304 /* kcount[LULL_K_INTERRUPT] */
#define CORE_GETPIDS 352    /* kcount[LULL_K_GETPID] */
#define CORE_GETTIDS 360
#define CORE_YIELDS 368

/* local APIC, in the device pages of a machine with doorbells */
#define LAPIC (LULL_DEV_BASE + 0xfee00000 - LULL_DEV_GPA)
#define LAPIC_EOI 0xb0
#define LAPIC_SVR 0xf0
#define LAPIC_ICR_LOW 0x300
#define LAPIC_ICR_HIGH 0x310

/* struct percpu, at lull_self, behind the shared part (LULL_CORE_PRIVATE) */
#define PC_KTOP 1024  /* top of the current thread's kernel stack */
#define PC_RSP 1032   /* scratch: the application's rsp */
#define PC_RIP 1040   /* scratch: the application's rip */
#define PC_CUR 1048   /* current thread */
#define PC_BPTOP 1056 /* stack for a reflected int3 */
#define PC_BPSAVE 1064
#define PC_PID 1080    /* the program's process id */
#define PC_NREADY 1088 /* address of the number of threads that wait for this core */

/* struct frame */
#define FR_SIZE 176
#define FR_RAX 80
#define FR_ORIG 120
#define FR_ERR 128
#define FR_RIP 136
#define FR_RFLAGS 152
#define FR_RSP 160

/* frame.err of a frame that is not a fault's: how it came and how it has to leave */
#define FR_TRAPPED 0
#define FR_REWRITTEN 1
#define FR_FULL 2 /* restore every register */

/* struct thread */
#define TH_WORK 0 /* nonzero: something to do before it returns to the application */
#define TH_KSP 8
#define TH_TID 72

#endif
