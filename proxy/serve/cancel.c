/* SPDX-License-Identifier: MIT */
/* The handler of the cancel signal, and how a thread gets ready for calls that it may end. */
#include <errno.h>
#include <pthread.h>
#include <ucontext.h>
#include <unistd.h>

#include "serve/agent.h"
#include "serve/server_priv.h"
#include "sigstate.h"

extern const char stub_begin[], stub_entered[], stub_abort[];
long stub_syscall(long nr, const long arg[6], const int *cancel);

static long routed_syscall(long nr, const long arg[6], const int *cancel)
{
    struct agent *g = agent_acting();
    return g ? agent_syscall(g, nr, arg) : stub_syscall(nr, arg, cancel);
}

long (*server_syscall_fn)(long nr, const long arg[6], const int *cancel) = routed_syscall;

char cancel_timer;

static bool is_cancel(const siginfo_t *info)
{
    return sigstate_is_own(info) ||
           (info->si_code == SI_TIMER && info->si_value.sival_ptr == &cancel_timer);
}

static void on_cancel(int sig, siginfo_t *info, void *context)
{
    if (!is_cancel(info)) { /* the program's */
        sigstate_send_on(sig, info);
        return;
    }
    greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
    uintptr_t rip = (uintptr_t)reg[REG_RIP];
    /* The instruction before stub_entered is the syscall itself: not done when it is the next. */
    if (rip < (uintptr_t)stub_begin || rip >= (uintptr_t)stub_entered)
        return;
    if (__atomic_load_n((const int *)reg[REG_RBX], __ATOMIC_RELAXED))
        reg[REG_RIP] = (greg_t)(uintptr_t)stub_abort;
}

int cancel_install(void)
{
    struct sigaction sa = {.sa_sigaction = on_cancel, .sa_flags = SA_SIGINFO}; /* no SA_RESTART */
    sigfillset(&sa.sa_mask);
    return sigaction(SERVER_CANCEL_SIGNAL, &sa, NULL) ? -errno : 0;
}

void cancel_mask(sigset_t *out)
{
    static const int open[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGTTIN, SIGTTOU};
    sigfillset(out);
    sigdelset(out, SERVER_CANCEL_SIGNAL);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        sigdelset(out, open[i]);
}

void cancel_prepare_guest(void)
{
    static _Thread_local bool done;
    if (done)
        return;
    done = true;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE); /* of the program's writes: its kernel makes one of EPIPE */
    sigaddset(&set, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    sigemptyset(&set);
    sigaddset(&set, SERVER_CANCEL_SIGNAL);
    sigaddset(&set, SIGTTIN); /* blocked, they would let it use its terminal in the background */
    sigaddset(&set, SIGTTOU);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
