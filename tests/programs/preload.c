/* SPDX-License-Identifier: MIT */
/* LD_PRELOAD: puts itself before libc's getppid and calls it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/types.h>
#include <unistd.h>

pid_t getppid(void)
{
    pid_t (*next)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "getppid");
    return next ? next() + 1000000 : -1;
}
