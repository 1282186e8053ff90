/* SPDX-License-Identifier: MIT */
/* Code on the stack: of a program that is linked for it (EXECSTACK: GNU C's nested functions,
   Fortran's internal procedures as arguments), and of one that opens its stack by itself, as the
   dynamic loader does for a library that needs it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "check.h"

/* mov $7,%eax; ret */
static const unsigned char seven[] = {0xb8, 7, 0, 0, 0, 0xc3};

static __attribute__((noinline)) int on_stack(void)
{
    volatile unsigned char code[sizeof seven];
    int (*fn)(void);
    for (unsigned i = 0; i < sizeof seven; i++)
        code[i] = seven[i];
    volatile void *at = code;
    memcpy(&fn, (void *)&at, sizeof fn);
    return fn();
}

static __attribute__((noinline)) int deeper(void)
{
    volatile char below[1 << 16];
    below[0] = 0;
    return on_stack() + below[0];
}

#ifdef EXECSTACK
static void *thread(void *arg)
{
    *(int *)arg = deeper();
    return NULL;
}
#endif

int main(int argc, char **argv)
{
    (void)argc;
#ifdef EXECSTACK
    pthread_t t;
    int got = 0;
    CHECK(deeper() == 7);
    CHECK(pthread_create(&t, NULL, thread, &got) == 0 && pthread_join(t, NULL) == 0);
    CHECK(got == 7);
    (void)argv;
#else
    const int all = PROT_READ | PROT_WRITE | PROT_EXEC;
    char *page = (char *)((unsigned long)argv & -4096ul);
    char *heap = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(heap != MAP_FAILED);
    CHECK_ERR(mprotect(heap, 4096, all | PROT_GROWSDOWN), EINVAL);
    CHECK_ERR(mprotect(page, 4096, all | PROT_GROWSUP), EINVAL);
    CHECK_ERR(mprotect(page, 4096, all | PROT_GROWSUP | PROT_GROWSDOWN), EINVAL);
    CHECK_ERR(mprotect(page + 1, 4096, all | PROT_GROWSDOWN), EINVAL);
    CHECK(mprotect(page, 4096, all | PROT_GROWSDOWN) == 0);
    CHECK(deeper() == 7);
    CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE | PROT_GROWSDOWN) == 0);
    CHECK(munmap(heap, 8192) == 0);
#endif
    return check_end();
}
