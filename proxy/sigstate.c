/* SPDX-License-Identifier: MIT */
#include "sigstate.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

uint64_t sigstate_ignored(void)
{
    uint64_t bits = 0;
    for (int s = 1; s <= 64; s++) {
        struct kernel_sigaction sa;
        if (!syscall(SYS_rt_sigaction, s, NULL, &sa, 8) && sa.handler == SIG_IGN)
            bits |= 1ull << (s - 1);
    }
    return bits;
}

uint64_t sigstate_mask(void)
{
    uint64_t bits = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &bits, 8);
    return bits;
}

bool sigstate_print(char *text, size_t size, uint64_t mask, uint64_t ignored)
{
    int n = snprintf(text, size, "%" PRIx64 ",%" PRIx64, mask, ignored);
    return n > 0 && (size_t)n < size;
}

bool sigstate_parse(const char *text, uint64_t *mask, uint64_t *ignored)
{
    int end = 0;
    return sscanf(text, "%16" SCNx64 ",%16" SCNx64 "%n", mask, ignored, &end) == 2 && !text[end];
}

/* si_errno is 0 in every signal that Linux makes; its upper half: */
#define SENT_ON 0x4c75
#define MARK 0x4c76

bool sigstate_is_own(const siginfo_t *info)
{
    return info->si_code == SI_TKILL && info->si_pid == getpid();
}

static void send_to(pid_t tid, int signo, const siginfo_t *info)
{
    siginfo_t copy = *info;
    if (info->si_errno >> 16 != SENT_ON)
        copy.si_errno = SENT_ON << 16 | (info->si_code & 0xffff);
    copy.si_code = SI_QUEUE; /* others only the main thread may say of its own process */
    syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, signo, &copy);
}

bool sigstate_was_sent(int signo, const siginfo_t *info, void *context)
{
    if (info->si_code > 0 || sigstate_is_own(info))
        return false;
    if (syscall(SYS_gettid) == getpid())
        sigaddset(&((ucontext_t *)context)->uc_sigmask, signo);
    send_to(getpid(), signo, info);
    return true;
}

void sigstate_send_on(int signo, const siginfo_t *info)
{
    send_to(getpid(), signo, info);
}

static void send_on(int signo, siginfo_t *info, void *context)
{
    (void)context;
    sigstate_send_on(signo, info);
}

static void stop_set(int signo, bool ignored)
{
    struct sigaction sa = {.sa_sigaction = send_on,
                           .sa_flags = SA_SIGINFO}; /* EINTR: the isle decides */
    sigfillset(&sa.sa_mask);
    if (ignored)
        sa = (struct sigaction){.sa_handler = SIG_IGN};
    sigaction(signo, &sa, NULL);
}

void sigstate_stops(bool ttin_ignored, bool ttou_ignored)
{
    stop_set(SIGTTIN, ttin_ignored);
    stop_set(SIGTTOU, ttou_ignored);
}

void sigstate_stops_inherited(void)
{
    uint64_t ignored = sigstate_ignored();
    sigstate_stops(sigstate_has(ignored, SIGTTIN), sigstate_has(ignored, SIGTTOU));
}

void sigstate_keep(int signo, const siginfo_t *info)
{
    send_to(gettid(), signo, info);
}

int sigstate_code(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_errno >> 16 == SENT_ON
               ? (int16_t)(info->si_errno & 0xffff)
               : info->si_code;
}

static siginfo_t mark(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    info.si_errno = MARK << 16;
    info.si_pid = getpid();
    return info;
}

void sigstate_wake_main(int signo)
{
    siginfo_t info = mark();
    syscall(SYS_rt_tgsigqueueinfo, getpid(), getpid(), signo, &info);
}

bool sigstate_mark(int signo)
{
    siginfo_t info = mark();
    return syscall(SYS_rt_sigqueueinfo, getpid(), signo, &info) == 0;
}

bool sigstate_is_mark(const siginfo_t *info)
{
    return info->si_code == SI_QUEUE && info->si_errno == MARK << 16 && info->si_pid == getpid();
}
