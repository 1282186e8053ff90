/* SPDX-License-Identifier: MIT */
/* The smallest program: two system calls, no C library, no stack. */
        .globl  _start
        .text
_start: mov     $1, %eax                # write
        mov     $1, %edi
        lea     text(%rip), %rsi
        mov     $size, %edx
        syscall
        mov     $60, %eax               # exit
        xor     %edi, %edi
        syscall
        .section .rodata
text:   .ascii  "hello\n"
        .set    size, . - text
        .section .note.GNU-stack, "", @progbits
