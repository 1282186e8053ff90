/* SPDX-License-Identifier: MIT */
/* A shared library of the dynamic test programs: thread-local data, an IFUNC, a constructor. */
#include "dynlib.h"

#include <unistd.h>

__thread int lib_tls = 41;
static __thread char lib_tls_large[5000];
int lib_data = 7;
int lib_constructed;

__attribute__((constructor)) static void construct(void)
{
    lib_constructed = 1;
}

static int pick_one(void)
{
    return 111;
}

static int (*resolve(void))(void)
{
    return pick_one;
}
int lib_ifunc(void) __attribute__((ifunc("resolve")));

int lib_tls_sum(int n)
{
    for (int i = 0; i < n; i++)
        lib_tls_large[i] += (char)(i % 3);
    int s = lib_tls++;
    for (int i = 0; i < n; i++)
        s += lib_tls_large[i];
    return s;
}

/* Its own copies of system calls, at sites of this library. */
long lib_getppid(void)
{
    long r;
    __asm__ volatile("mov $110, %%eax\n\tsyscall" : "=a"(r) : : "rcx", "r11", "memory");
    return r;
}

int lib_call_back(int (*f)(int), int x)
{
    return f(x) + 1;
}
