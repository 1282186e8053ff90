/* SPDX-License-Identifier: MIT */
#ifndef LULL_RAWCALL_H
#define LULL_RAWCALL_H

/* A system call without the C library: its result or -errno. For code that may not touch errno. */
static inline long rawcall(long nr, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
    long r;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

#endif
