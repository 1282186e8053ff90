/* SPDX-License-Identifier: MIT */
/* Classic BPF as seccomp(2) takes it: checks and runs a filter. No locks, no state. */
#ifndef KERNEL_SYS_BPF_H
#define KERNEL_SYS_BPF_H

#include <lull/seccomp.h>

#include "types.h"

/* What a filter sees: struct seccomp_data (linux/seccomp.h). */
struct seccomp_data {
    i32 nr;
    u32 arch;
    u64 ip; /* behind the system call instruction */
    u64 arg[6];
};
_Static_assert(sizeof(struct seccomp_data) == 64, "struct seccomp_data");

/* Whether Linux takes the n instructions, 1 .. LULL_FILTER_LEN. `scratch`: room for n numbers. */
bool bpf_check(const struct lull_insn *insn, u32 n, u16 *scratch);
/* Instructions of the program that Linux translates a checked filter to. */
u32 bpf_size(const struct lull_insn *insn, u32 n);
/* The value that a checked filter returns for `data`. */
u32 bpf_run(const struct lull_insn *insn, const struct seccomp_data *data);

#endif
