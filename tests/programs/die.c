/* SPDX-License-Identifier: MIT */
/* die HOW: ends by a signal. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile int zero;
static int *volatile nowhere;

static void *in_thread(void *arg)
{
    (void)arg;
    *nowhere = 1;
    return NULL;
}

static void *computing(void *arg)
{
    (void)arg;
    for (volatile unsigned long i = 0;; i++) {
    }
    return NULL;
}

static int deeper(volatile char *above)
{
    volatile char frame[1024];

    if (zero) {
        return 0;
    }
    frame[0] = above ? above[0] : 0;
    return deeper(frame) + frame[0];
}

__attribute__((noinline)) static void inner(void)
{
    *nowhere = 1;
    __asm__ volatile("");
}

__attribute__((noinline)) static void outer(void)
{
    inner();
    __asm__ volatile("");
}

static void ignored_segv(void)
{
    sigset_t s;

    signal(SIGSEGV, SIG_IGN);
    sigemptyset(&s);
    sigaddset(&s, SIGSEGV);
    sigprocmask(SIG_BLOCK, &s, NULL);
    *nowhere = 1;
}

static void in_a_thread(void)
{
    pthread_t t;

    pthread_create(&t, NULL, computing, NULL);
    pthread_create(&t, NULL, in_thread, NULL);
    computing(NULL);
}

static void broken_pipe(void)
{
    int fd[2];

    if (pipe(fd) == 0) {
        close(fd[0]);
        if (write(fd[1], "x", 1)) {
            puts("still here");
        }
    }
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "";

    puts("before");
    fflush(stdout);
    if (strcmp(how, "segv") == 0) {
        outer();
    } else if (strcmp(how, "segv-thread") == 0) {
        in_a_thread();
    } else if (strcmp(how, "segv-ignored") == 0) {
        ignored_segv();
    } else if (strcmp(how, "segv-stack") == 0) {
        deeper(NULL);
    } else if (strcmp(how, "ill") == 0) {
        __asm__ volatile("ud2");
    } else if (strcmp(how, "fpe") == 0) {
        __asm__ volatile("xor %%edx, %%edx; mov $1, %%eax; idivl %0" ::"r"(zero) : "rax", "rdx");
    } else if (strcmp(how, "trap") == 0) {
        __asm__ volatile("int3");
    } else if (strcmp(how, "abrt") == 0) {
        abort();
    } else if (strcmp(how, "pipe") == 0) {
        broken_pipe();
    } else if (strncmp(how, "raise-", 6) == 0) {
        raise(atoi(how + 6));
    } else if (strncmp(how, "kill-", 5) == 0) {
        kill(getpid(), atoi(how + 5));
        for (;;) {
            pause();
        }
    }
    puts("survived");
    return 0;
}
