/* SPDX-License-Identifier: MIT */
/*
 * From a PVH start (32-bit, no paging; https://xenbits.xen.org/docs/unstable/misc/pvh.html) or a
 * start-up IPI to ring 3 at lull_entry. Everything that is not code here was made by the proxy:
 * page tables, descriptor tables, boot information. Ring 0, so as little as possible.
 */
#include <lull/memmap.h>

#include "arch/offsets.h"

#define TRAMPOLINE 0x8000
#define CR0_BITS 0x80050033 /* PG AM WP NE ET MP PE */
#define CR4_BITS 0x50620    /* PAE OSFXSR OSXMMEXCPT FSGSBASE OSXSAVE */
#define EFER 0xc0000080
#define EFER_BITS 0x901 /* SCE LME NXE */
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define FMASK 0x44500 /* TF DF NT AC; an interrupt may come at any time */
#define XCR0_KNOWN 0xe7
#define TABLE 0x67
#define PAGE_HUGE 0xe7
#define TO_GPA(va) ((va) - LULL_KERN_BASE + LULL_KERN_GPA)

    .section .note.pvh, "a", @note
    .long   4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz  "Xen"
    .long   pvh_start

    .section .boot, "awx", @progbits
    .code32
pvh_start:
    cli
    cld
    mov     $trampoline, %esi
    mov     $TRAMPOLINE, %edi
    mov     $(trampoline_end - trampoline), %ecx
    rep movsb
start32:
    lgdt    boot_gdtr
    mov     $boot_pml4, %eax
    mov     %eax, %cr3
    mov     $CR4_BITS, %eax
    mov     %eax, %cr4
    mov     $EFER, %ecx
    rdmsr
    or      $EFER_BITS, %eax
    wrmsr
    mov     $CR0_BITS, %eax
    mov     %eax, %cr0
    ljmp    $LULL_SEL_KCODE, $1f
    .code64
1:  movabs  $core_boot, %rax
    jmp     *%rax

    .p2align 3
boot_gdt:
    .quad   0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdtr:
    .word   31
    .long   boot_gdt

    .code16
trampoline:
    cli
    xor     %ax, %ax
    mov     %ax, %ds
    lgdtl   TRAMPOLINE + trampoline_gdtr - trampoline
    mov     %cr0, %eax
    or      $1, %eax
    mov     %eax, %cr0
    ljmpl   $0x8, $trampoline32
    .p2align 2
trampoline_gdtr:
    .word   31
    .long   boot_gdt
trampoline_end:
    .code32
trampoline32:
    mov     $LULL_SEL_KDATA, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %ss
    jmp     start32

    /* the first 2 MiB as they are, and the kernel's region */
    .p2align 12
boot_pml4:
    .quad   boot_pdpt + TABLE
    .quad   TO_GPA(LULL_PT_CORES + LULL_PT_PDPT1_OFF) + TABLE
    .p2align 12
boot_pdpt:
    .quad   boot_pd + TABLE
    .p2align 12
boot_pd:
    .quad   PAGE_HUGE
    .p2align 12

    .text
    .code64
    .macro  SETMSR msr, low, high
    mov     $\msr, %ecx
    mov     \low, %eax
    mov     \high, %edx
    wrmsr
    .endm
core_boot:
    mov     $1, %eax
    cpuid
    shr     $24, %ebx /* initial APIC id: QEMU numbers its cores from 0 */
    mov     %rbx, %r12
    imul    $LULL_PT_STRIDE, %r12, %r13
    movabs  $TO_GPA(LULL_PT_CORES + LULL_PT_PML4_OFF), %rax
    add     %r13, %rax
    mov     %rax, %cr3
    imul    $LULL_SYS_STRIDE, %r12, %r13
    movabs  $LULL_SYSTABLES, %rax
    add     %rax, %r13
    imul    $LULL_CORE_STRIDE, %r12, %r14
    movabs  $LULL_CORES, %rax
    add     %rax, %r14
    lea     LULL_SYS_RING0_TOP-16(%r13), %rsp
    movw    $79, 6(%rsp)
    mov     %r13, 8(%rsp)
    lgdt    6(%rsp)
    movabs  $LULL_IDT, %rax
    movw    $4095, 6(%rsp)
    mov     %rax, 8(%rsp)
    lidt    6(%rsp)
    mov     $LULL_SEL_KDATA, %eax
    mov     %eax, %ss
    mov     $LULL_SEL_UDATA, %eax
    mov     %eax, %ds
    mov     %eax, %es
    mov     %eax, %fs
    mov     %eax, %gs
    mov     $LULL_SEL_TSS, %eax
    ltr     %ax
    mov     $0xd, %eax
    xor     %ecx, %ecx
    cpuid
    and     $XCR0_KNOWN, %eax
    xor     %ecx, %ecx
    xor     %edx, %edx
    xsetbv
    SETMSR  MSR_STAR, $0, $(0x23 << 16 | LULL_SEL_KCODE)
    movabs  $lull_lstar, %rdi
    mov     %rdi, %rsi
    shr     $32, %rsi
    SETMSR  MSR_LSTAR, %edi, %esi
    SETMSR  MSR_FMASK, $FMASK, $0
    movabs  $(LAPIC + LAPIC_SVR), %rax
    movl    $0x1ff, (%rax) /* enabled, spurious vector 255 */
    mov     %r14, %rdi
    pushq   $LULL_SEL_UDATA
    lea     LULL_CORE_STRIDE(%r14), %rax
    push    %rax
    pushq   $0x202
    pushq   $LULL_SEL_UCODE
    movabs  $lull_entry, %rax
    push    %rax
    iretq

    .section .note.GNU-stack, "", @progbits
