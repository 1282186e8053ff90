/* SPDX-License-Identifier: MIT */
/*
 * Cases of the differential suite. A case prints what it observes: return values, names of errnos,
 * bytes; nothing that differs from run to run on Linux. It runs in an empty directory of its own.
 */
#ifndef TESTS_DIFF_DIFF_H
#define TESTS_DIFF_DIFF_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096ul

struct diff_case {
    const char *name;
    void (*run)(void);
};

/* CASE(family, name) { ... } defines and registers it. */
#define CASE(family, what)                                                                         \
    static void family##_##what(void);                                                             \
    static const struct diff_case case_##family##_##what                                           \
        __attribute__((used, section("diff_cases"))) = {#family "." #what, family##_##what};       \
    static void family##_##what(void)

/* What a call returned: its value, or its errno's name. */
void show_result(const char *text, long value);
#define R(call) show_result(#call, (errno = 0, (long)(call)))

/* The same where the value itself may differ: "ok" or errno's name. Gives the value. */
long show_ok(const char *text, long value);
#define OK(call) show_ok(#call, (errno = 0, (long)(call)))

/* A mapping that mmap(2) or shmat(2) has just given. */
#define MAPPED(p)                                                                                  \
    printf("%s: %s\n", #p, (void *)(p) == (void *)-1 ? strerrorname_np(errno) : "mapped")

/* A number, by the text of its expression. */
#define SHOW(n) printf("%s: %lld\n", #n, (long long)(n))
void show_bytes(const char *text, const void *p, size_t n);

/* Pages that may not be used so; `prot` as for mprotect. */
char *page_with(int prot);
/* n pages that may be used, and one behind them that may not. */
char *pages_before_hole(size_t n);

/* A file with this content; a descriptor for reading and writing. */
int file_with(const char *name, const char *content);

void sleep_ms(long ms);
/* What /proc/self/ns/NAME names, or the name of the error. */
void namespace_of(const char *name, char out[64]);
long long now_ms(void);

/* SIGUSR1 for the calling thread every `ms` until poke_end(); its handler has these flags. */
void poke_begin(long ms, int flags);
int poke_end(void); /* how many handlers ran: 0 or 1 for "some" */

/* efault.c: its cases come from a table. */
int efault_run(const char *name); /* 0: no such */
void efault_list(void);

#endif
