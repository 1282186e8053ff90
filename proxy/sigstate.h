/* SPDX-License-Identifier: MIT */
/*
 * The signal state that a program inherits over execve(2), as the kernel has it: the C library
 * hides signals 32 and 33, which its threads use, in sigaction(3) and in every sigset_t, but
 * parents do hand them down. Bit n-1: signal n.
 */
#ifndef LULL_PROXY_SIGSTATE_H
#define LULL_PROXY_SIGSTATE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kernel's own struct sigaction, rt_sigaction(2) on x86-64. */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

/* What the process ignores. */
uint64_t sigstate_ignored(void);

/* What the calling thread blocks. */
uint64_t sigstate_mask(void);

/* Both of a program, as one word for the next lull of this process, and back. False: no room, or
   not such a word. */
bool sigstate_print(char *text, size_t size, uint64_t mask, uint64_t ignored);
bool sigstate_parse(const char *text, uint64_t *mask, uint64_t *ignored);

/*
 * Signals that the proxy's threads have handlers for may be the program's all the same: they are
 * sent on to the main thread, where they wait like the others, with the code that they had.
 * Async-signal-safe.
 */
void sigstate_send_on(int signo, const siginfo_t *info);
/* The same to this thread, which is the one that an execve leaves. */
void sigstate_keep(int signo, const siginfo_t *info);
/*
 * SIGTTIN and SIGTTOU, which Linux sends to a process in the background that uses its terminal: the
 * proxy ignores them where the program does, since a read or write then answers EIO; else they have
 * a handler that sends them on, and the isle stops the process if the program has no handler.
 */
void sigstate_stops(bool ttin_ignored, bool ttou_ignored);
void sigstate_stops_inherited(void); /* the same, ignored where they are now */
/*
 * For the handler of a signal of faults: true if somebody sent it, who is neither the processor nor
 * the proxy itself; then it is sent on. The main thread, which still has to begin to wait for
 * signals, as in a forked child, blocks the signal from then on.
 */
bool sigstate_was_sent(int signo, const siginfo_t *info, void *context);
int sigstate_code(const siginfo_t *info);
/* One of the proxy's threads sent it to another. */
bool sigstate_is_own(const siginfo_t *info);
/* A signal to the process itself that only marks that it is pending for the program. */
bool sigstate_mark(int signo);
bool sigstate_is_mark(const siginfo_t *info);
/* The same to the main thread, which only wakes up. */
void sigstate_wake_main(int signo);

static inline bool sigstate_has(uint64_t bits, int signo)
{
    return bits >> (signo - 1) & 1;
}

#endif
