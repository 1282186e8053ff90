/* SPDX-License-Identifier: MIT */
/* A decoder for the few instructions that compilers put between `mov $nr,%eax` and `syscall`.
   Everything else is "unknown". Encodings: Intel SDM vol. 2, chapter 2 and appendix A. */
#ifndef KERNEL_SYS_INSN_H
#define KERNEL_SYS_INSN_H

#include "types.h"

struct insn {
    u8 len;       /* bytes; 0: unknown */
    u8 rip_disp;  /* offset of a RIP-relative 32-bit displacement, 0: none */
    bool sets_ax; /* may change eax */
};

/* Looks at up to `room` bytes at p. */
struct insn insn_decode(const u8 *p, u64 room);

#endif
