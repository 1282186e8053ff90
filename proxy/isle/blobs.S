/* SPDX-License-Identifier: MIT */
/* The kernel image and the vDSO, as built; paths come from CMake. */
    .section .rodata
    .globl blob_kernel, blob_kernel_end, blob_vdso, blob_vdso_end
    .p2align 12
blob_kernel:
    .incbin LULL_KERNEL_BLOB
blob_kernel_end:
    .p2align 12
blob_vdso:
    .incbin LULL_VDSO_BLOB
blob_vdso_end:
    .section .note.GNU-stack, "", @progbits
