/* SPDX-License-Identifier: MIT */
/*
 * seccomp filters of the program's threads, in memory of the kernel's own. The proxy does not read
 * them: no filter outlives an execve(2), which is refused to a thread that has one.
 */
#ifndef LULL_SECCOMP_H
#define LULL_SECCOMP_H

#include <lull/abi.h>

/* An instruction, as struct sock_filter (linux/filter.h). */
struct lull_insn {
    uint16_t code;
    uint8_t jt, jf; /* instructions to skip */
    uint32_t k;
};
LULL_ASSERT_SIZE(struct lull_insn, 8);

/*
 * Filter number n lies at LULL_SECCOMP + (n - 1) * LULL_FILTER_UNIT; 0 is no filter. A thread has
 * the filter that it installed last and, by `prev`, all filters before that one.
 */
struct lull_filter {
    uint32_t prev;  /* the number of the filter that was installed before it */
    uint32_t len;   /* instructions, 1 .. LULL_FILTER_LEN */
    uint32_t size;  /* instructions that Linux makes of it */
    uint32_t depth; /* filters from this one on, 1 or more */
    struct lull_insn insn[];
};
LULL_ASSERT_SIZE(struct lull_filter, 16);

#define LULL_FILTER_LEN 4096u /* BPF_MAXINSNS */
#define LULL_FILTER_UNIT 64u  /* bytes */
/* Instructions of all filters of a thread, as Linux counts them. */
#define LULL_FILTER_TOTAL 32768u
#define LULL_FILTER_PENALTY 4u /* what each filter counts besides, apart from the newest */
#define LULL_FILTERS_MAX (LULL_SECCOMP_SIZE / LULL_FILTER_UNIT)

/* Bytes of a filter, whole units. */
static inline uint64_t lull_filter_bytes(uint32_t len)
{
    uint64_t n = sizeof(struct lull_filter) + len * sizeof(struct lull_insn);
    return (n + LULL_FILTER_UNIT - 1) / LULL_FILTER_UNIT * LULL_FILTER_UNIT;
}

#endif
