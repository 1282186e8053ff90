/* SPDX-License-Identifier: MIT */
/*
 * Ways into the kernel and back. All of it runs in ring 3, but for the part marked ring 0.
 *
 * Every entry builds the same struct frame at the top of the current thread's kernel stack. The
 * proxy may stop a core anywhere and look at RIP: inside [text_start, text_end) it only sets the
 * bell; inside [leave_start, leave_end) it moves RIP to leave_redo as well, which is safe because
 * leaving never writes to the frame. So no instruction here needs interrupts to be off. On a machine
 * with doorbells the interrupt's ring-0 gate does the same from inside (lull_ring0_irq).
 */
#include <lull/memmap.h>

#include "arch/offsets.h"

    .section .text.entry, "ax"
    .globl lull_text_start
lull_text_start:

/* First instruction of every core: rdi = core page, rsp = its boot stack. */
    .globl lull_entry
lull_entry:
    xor     %ebp, %ebp
    call    core_start
    ud2

    .macro PUSH_REGS
    push    %rdi
    push    %rsi
    push    %rdx
    push    %rcx
    push    %rax
    push    %r8
    push    %r9
    push    %r10
    push    %r11
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    .endm
    .macro POP_REGS
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    pop     %r11
    pop     %r10
    pop     %r9
    pop     %r8
    pop     %rax
    pop     %rcx
    pop     %rdx
    pop     %rsi
    pop     %rdi
    .endm

/*
 * A trapped `syscall`: at CPL 0 on real hardware, at CPL 3 where the hypervisor emulates ring 0.
 * rcx = return address, r11 = flags.
 */
    .globl lull_lstar
lull_lstar:
    mov     %rcx, lull_self+PC_RIP(%rip)
    mov     %cs, %ecx
    test    $3, %cl
    jnz     1f
    lea     1f(%rip), %rcx
    sysretq
1:  mov     %rsp, lull_self+PC_RSP(%rip)
    mov     lull_self+PC_KTOP(%rip), %rsp
    pushq   $LULL_SEL_UDATA
    pushq   lull_self+PC_RSP(%rip)
    pushq   %r11
    pushq   $LULL_SEL_UCODE
    mov     lull_self+PC_RIP(%rip), %rcx
    pushq   %rcx
    pushq   $FR_TRAPPED
    pushq   %rax
    PUSH_REGS
    jmp     dispatch

/* A rewritten site: rcx = return address, as `syscall` would have left it. */
    .globl lull_fast
lull_fast:
    mov     %rsp, lull_self+PC_RSP(%rip)
    mov     lull_self+PC_KTOP(%rip), %rsp
    pushq   $LULL_SEL_UDATA
    pushq   lull_self+PC_RSP(%rip)
    pushfq
    mov     (%rsp), %r11
    pushq   $LULL_SEL_UCODE
    pushq   %rcx
    pushq   $FR_REWRITTEN
    pushq   %rax
    PUSH_REGS
dispatch:
    cld
    mov     %rsp, %rdi
    xor     %ebp, %ebp
    call    syscall_dispatch

/* Back to the application. Entered at leave_redo again whenever a kick lands in the window. */
    .globl lull_leave, lull_leave_start, lull_leave_end
lull_leave:
lull_leave_start:
    mov     lull_self+PC_KTOP(%rip), %rsp
    sub     $FR_SIZE, %rsp
    cmpl    $0, lull_self+CORE_BELL(%rip)
    jne     leave_work
    mov     lull_self+PC_CUR(%rip), %rax
    cmpl    $0, TH_WORK(%rax)
    jne     leave_work
    testb   $FR_FULL, FR_ERR(%rsp)
    POP_REGS
    jnz     1f
    /* A system call may lose rcx and r11: no iretq, which costs more than all the rest. */
    mov     16(%rsp), %rcx
    lea     32(%rsp), %rsp
    popfq
    mov     (%rsp), %rsp
    jmp     *%rcx
1:  lea     16(%rsp), %rsp
    iretq
lull_leave_end:
leave_work:
    cld
    mov     %rsp, %rdi
    xor     %ebp, %ebp
    call    leave_with_work
    jmp     lull_leave

/* A kick stopped the application; the proxy wrote where. Every register is the application's. */
    .globl lull_upcall
lull_upcall:
    mov     lull_self+PC_KTOP(%rip), %rsp
    pushq   $LULL_SEL_UDATA
    pushq   lull_self+CORE_UP_RSP(%rip)
    pushq   lull_self+CORE_UP_RFLAGS(%rip)
    pushq   lull_self+CORE_UP_CS(%rip)
    pushq   lull_self+CORE_UP_RIP(%rip)
    pushq   $FR_FULL
    pushq   $-1
    PUSH_REGS
    cld
    mov     %rsp, %rdi
    xor     %ebp, %ebp
    call    upcall_handler
    jmp     lull_leave

/* A new thread's first way out: its frame is ready. */
    .globl thread_first_return
thread_first_return:
    call    thread_switched
    jmp     lull_leave

/* Exceptions arrive here through ring-3 gates on the fault stack. */
    .p2align 4
    .globl lull_fault_stubs
lull_fault_stubs:
    .set    vec, 0
    .rept   32
    .p2align 4
    .if (vec != 8) && (vec != 10) && (vec != 11) && (vec != 12) && (vec != 13) && (vec != 14) && (vec != 17) && (vec != 21) && (vec != 29) && (vec != 30)
    pushq   $0
    .endif
    pushq   $vec
    jmp     fault_common
    .set    vec, vec + 1
    .endr
    .p2align 4
    .globl lull_irq_stub
lull_irq_stub:
    pushq   $0
    pushq   $32
fault_common:
    PUSH_REGS
    mov     $LULL_SEL_UDATA, %eax /* a gate with a stack of its own may have left a null one, which */
    mov     %eax, %ss             /* no iretq to ring 3 takes: monitor_call() would fault */
    cld
    xor     %ebp, %ebp
    lea     lull_text_start(%rip), %rcx
    mov     FR_RIP(%rsp), %rax
    cmp     %rcx, %rax
    jb      1f
    lea     lull_text_end(%rip), %rcx
    cmp     %rcx, %rax
    jae     1f
    /* in the kernel: a user pointer was bad, or it is a bug */
    mov     %rsp, %rdi
    call    kernel_fault
    movq    $LULL_SEL_UDATA, FR_RSP+8(%rsp)
    POP_REGS
    add     $16, %rsp
    iretq
1:  mov     lull_self+PC_KTOP(%rip), %rdi
    sub     $FR_SIZE, %rdi
    mov     %rsp, %rsi
    mov     %rdi, %rsp
    mov     $(FR_SIZE / 8), %ecx
    rep movsq
    movq    $LULL_SEL_UDATA, FR_RSP+8(%rsp)
    mov     %rsp, %rdi
    mov     FR_ORIG(%rsp), %rsi
    mov     FR_ERR(%rsp), %rdx
    movq    $FR_FULL, FR_ERR(%rsp)
    movq    $-1, FR_ORIG(%rsp)
    call    user_fault
    jmp     lull_leave

/* void context_switch(u64 *save_ksp, u64 load_ksp): callee-saved registers only. */
    .globl context_switch
context_switch:
    push    %rbx
    push    %rbp
    push    %r12
    push    %r13
    push    %r14
    push    %r15
    mov     %rsp, (%rdi)
    mov     %rsi, %rsp
    pop     %r15
    pop     %r14
    pop     %r13
    pop     %r12
    pop     %rbp
    pop     %rbx
    ret

/* void cpu_serialise(void): returns by the instruction that waits for all before it */
    .globl cpu_serialise
cpu_serialise:
    mov     (%rsp), %rcx
    lea     8(%rsp), %rax
    pushq   $LULL_SEL_UDATA
    pushq   %rax
    pushfq
    pushq   $LULL_SEL_UCODE
    pushq   %rcx
    iretq

/* void leave_to_proxy(void): lull_core.op and arg are filled. */
    .globl leave_to_proxy
leave_to_proxy:
    mov     $LULL_PORT, %edx
    mov     lull_self+CORE_OP(%rip), %eax
    out     %eax, %dx
    ret

/* u64 monitor_call(u64 op, u64 start, u64 pages): the only way to ring 0. */
    .globl monitor_call
monitor_call:
    mov     %edi, %eax
    int3
monitor_return:
    ret

/* long user_copy(void *dst, const void *src, u64 n): 0, or bytes not copied. */
    .globl user_copy, user_copy_fault, user_access_start, user_access_end
user_access_start:
user_copy:
    mov     %rdx, %rcx
    rep movsb
    xor     %eax, %eax
    ret
/* int user_load32(const u32 *p, u32 *out): 0 or -1 */
    .globl user_load32
user_load32:
    xor     %ecx, %ecx
    mov     (%rdi), %eax
    mov     %eax, (%rsi)
    xor     %eax, %eax
    ret
/* int user_load64(const u64 *p, u64 *out): 0 or -1 */
    .globl user_load64
user_load64:
    xor     %ecx, %ecx
    mov     (%rdi), %rax
    mov     %rax, (%rsi)
    xor     %eax, %eax
    ret
/* int user_cmpxchg32(u32 *p, u32 *expected, u32 desired): 0 done, 1 differs, -1 fault */
    .globl user_cmpxchg32
user_cmpxchg32:
    mov     (%rsi), %eax
    mov     $-1, %rcx
    lock cmpxchg %edx, (%rdi)
    jz      1f
    mov     %eax, (%rsi)
    mov     $1, %eax
    ret
1:  xor     %eax, %eax
    ret
/* long user_strnlen(const char *s, u64 max): length, max when longer, -1 on a fault */
    .globl user_strnlen
user_strnlen:
    xor     %eax, %eax
    mov     $-1, %rcx
1:  cmp     %rsi, %rax
    jae     2f
    cmpb    $0, (%rdi,%rax)
    je      2f
    inc     %rax
    jmp     1b
2:  ret
/* int user_xsave(void *area, u64 mask), user_xrstor: 0 or -1 */
    .globl user_xsave, user_xrstor
user_xsave:
    mov     %esi, %eax
    mov     %rsi, %rdx
    shr     $32, %rdx
    mov     $-1, %rcx
    xsave64 (%rdi)
    xor     %eax, %eax
    ret
user_xrstor:
    mov     %esi, %eax
    mov     %rsi, %rdx
    shr     $32, %rdx
    mov     $-1, %rcx
    xrstor64 (%rdi)
    xor     %eax, %eax
    ret
/* int user_clear(void *p, u64 n) */
    .globl user_clear
user_clear:
    mov     %rsi, %rcx
    xor     %eax, %eax
    rep stosb
    xor     %eax, %eax
    ret
user_access_end:
    /* a fault in the above lands here: rcx is what was left to copy, or -1 */
user_copy_fault:
    mov     %rcx, %rax
    test    %rax, %rax
    jnz     1f
    mov     $-1, %rax
1:  ret

/* ---- ring 0: every instruction may be emulated at microseconds each ---- */
    .globl lull_ring0_bp, lull_ring0_fatal, lull_ring0_irq
lull_ring0_bp:
    push    %rcx
    lea     monitor_return(%rip), %rcx
    cmp     %rcx, 8(%rsp)
    jne     2f
    cmp     $1, %eax
    jne     1f
0:  invlpg  (%rsi)
    add     $0x1000, %rsi
    dec     %rdx
    jnz     0b
    pop     %rcx
    iretq
1:  cmp     $3, %eax
    je      1f
    ja      3f
    mov     %cr3, %rcx
    mov     %rcx, %cr3
    pop     %rcx
    iretq
1:  mov     %cr2, %rax
    pop     %rcx
    iretq
    /* sleep until an interrupt; not when the reply is there, whose sender saw no `halted` */
3:  mov     $1, %ecx
    xchg    %ecx, lull_self+CORE_HALTED(%rip)
    mov     lull_self+CORE_REPLY(%rip), %ecx
    cmp     lull_self+CORE_REQUEST(%rip), %ecx
    je      1f
    sti
    hlt
    cli
1:  movl    $0, lull_self+CORE_HALTED(%rip)
    pop     %rcx
    iretq
    /* the application's own int3: hand its frame to the ring-3 stub, on a stack of its own */
2:  mov     %rax, lull_self+PC_BPSAVE(%rip)
    mov     lull_self+PC_BPTOP(%rip), %rax
    sub     $40, %rax
    mov     8(%rsp), %rcx
    mov     %rcx, (%rax)
    mov     16(%rsp), %rcx
    mov     %rcx, 8(%rax)
    mov     24(%rsp), %rcx
    mov     %rcx, 16(%rax)
    mov     32(%rsp), %rcx
    mov     %rcx, 24(%rax)
    mov     40(%rsp), %rcx
    mov     %rcx, 32(%rax)
    mov     %rax, 32(%rsp)
    lea     lull_fault_stubs+48(%rip), %rcx
    mov     %rcx, 8(%rsp)
    mov     lull_self+PC_BPSAVE(%rip), %rax
    pop     %rcx
    iretq
/* A doorbell: what the proxy of a machine without interrupts does from outside, see above. The gate
   keeps further ones out, and its stack is nobody else's. */
lull_ring0_irq:
    push    %rax
    push    %rcx
    movabs  $(LAPIC + LAPIC_EOI), %rax
    movl    $0, (%rax)
    incq    lull_self+CORE_INTERRUPTS(%rip)
    mov     16(%rsp), %rax
    lea     lull_text_start(%rip), %rcx
    cmp     %rcx, %rax
    jb      1f
    lea     lull_text_end(%rip), %rcx
    cmp     %rcx, %rax
    jae     1f
    lea     lull_leave_end(%rip), %rcx
    cmp     %rcx, %rax
    jae     2f
    lea     lull_leave_start(%rip), %rcx
    cmp     %rcx, %rax
    jbe     2f
    mov     %rcx, 16(%rsp)
    jmp     2f
1:  cmpl    $0, lull_self+CORE_BELL(%rip)
    je      2f
    mov     %rax, lull_self+CORE_UP_RIP(%rip)
    mov     40(%rsp), %rax
    mov     %rax, lull_self+CORE_UP_RSP(%rip)
    mov     32(%rsp), %rax
    mov     %rax, lull_self+CORE_UP_RFLAGS(%rip)
    mov     24(%rsp), %rax
    mov     %rax, lull_self+CORE_UP_CS(%rip)
    movq    $LULL_SEL_UCODE, 24(%rsp)
    lea     lull_upcall(%rip), %rcx
    mov     %rcx, 16(%rsp)
2:  testb   $3, 24(%rsp)
    jz      1f
    movq    $LULL_SEL_UDATA, 48(%rsp) /* as in fault_common, before it got there */
1:  pop     %rcx
    pop     %rax
    iretq
lull_ring0_fatal:
    mov     $LULL_PORT, %edx
    mov     $0xdead, %eax
    out     %eax, %dx
    jmp     lull_ring0_fatal

    .section .note.GNU-stack, "", @progbits
