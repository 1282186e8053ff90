/* SPDX-License-Identifier: MIT */
/*
 * Calls that a rewritten site makes without entering the kernel: rcx = return address, as for
 * lull_fast. No stack, no flags, and outside [text_start, text_end): a core may be interrupted and
 * the thread even moved here as in the application's own code. So each value is read by one
 * instruction; a count may lose one where that happens.
 */
#include <lull/memmap.h>

#include "arch/offsets.h"

    .section .text.leaf, "ax"
    .macro COUNT where
    mov     lull_self+\where(%rip), %r11
    lea     1(%r11), %r11
    mov     %r11, lull_self+\where(%rip)
    .endm

    .globl leaf_getpid
leaf_getpid:
    COUNT   CORE_GETPIDS
    mov     lull_self+PC_PID(%rip), %eax
    jmp     *%rcx

    .globl leaf_gettid
leaf_gettid:
    COUNT   CORE_GETTIDS
    mov     lull_self+PC_CUR(%rip), %rax
    mov     TH_TID(%rax), %eax
    jmp     *%rcx

    /* nobody waits: there is nothing to do */
    .globl leaf_sched_yield
leaf_sched_yield:
    mov     %rcx, %r11
    mov     lull_self+PC_NREADY(%rip), %rcx
    mov     (%rcx), %ecx
    jrcxz   1f
    mov     %r11, %rcx
    movabs  $lull_fast, %r11
    jmp     *%r11
1:  mov     %r11, %rcx
    COUNT   CORE_YIELDS
    mov     $0, %eax
    jmp     *%rcx

    .section .note.GNU-stack, "", @progbits
