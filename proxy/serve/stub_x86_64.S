/* SPDX-License-Identifier: MIT */
/*
 * long stub_syscall(long nr, const long arg[6], const int *cancel)
 *
 * A system call that a signal can prevent: between stub_begin and stub_entered the call has not
 * entered Linux (or Linux has put the instruction pointer back to restart it), and the handler
 * moves it to stub_abort when *cancel (in rbx) is set. Behind stub_entered the result stands.
 */
    .text
    .globl stub_syscall, stub_begin, stub_entered, stub_abort
    .hidden stub_syscall, stub_begin, stub_entered, stub_abort
    .type stub_syscall, @function
    .p2align 4
stub_syscall:
    .cfi_startproc
    push %rbx
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
    mov %rdx, %rbx
    mov %rdi, %rax
    mov %rsi, %r11
stub_begin:
    cmpl $0, (%rbx)
    jne stub_abort
    mov (%r11), %rdi
    mov 8(%r11), %rsi
    mov 16(%r11), %rdx
    mov 24(%r11), %r10
    mov 32(%r11), %r8
    mov 40(%r11), %r9
    syscall
stub_entered:
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbx, 0
stub_abort:
    mov $-4001, %rax /* CALL_NOT_BEGUN */
    pop %rbx
    .cfi_adjust_cfa_offset -8
    .cfi_restore %rbx
    ret
    .cfi_endproc
    .size stub_syscall, . - stub_syscall
    .section .note.GNU-stack, "", @progbits
