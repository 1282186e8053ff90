/* SPDX-License-Identifier: MIT */
/* Signals: actions, masks, queues, stacks, threads, deaths. */
#include "diff.h"

#include <mqueue.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

static volatile int count, last_code, last_value, order[32];
static volatile long last_pid;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)context;
    last_code = info->si_code;
    last_pid = info->si_pid;
    last_value = info->si_value.sival_int;
    if (count < 32)
        order[count] = signo;
    count++;
}

static void take(int signo, int flags)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = flags | SA_SIGINFO};

    sigaction(signo, &act, NULL);
}

static sigset_t set_of(int a, int b)
{
    sigset_t s;

    sigemptyset(&s);
    sigaddset(&s, a);
    if (b)
        sigaddset(&s, b);
    return s;
}

CASE(signals, sigaction)
{
    struct sigaction act = {.sa_handler = SIG_IGN, .sa_flags = SA_RESTART | SA_NODEFER}, old;

    sigaddset(&act.sa_mask, SIGKILL);
    sigaddset(&act.sa_mask, SIGUSR2);
    R(sigaction(SIGUSR1, &act, &old));
    SHOW(old.sa_handler == SIG_DFL);
    R(sigaction(SIGUSR1, NULL, &old));
    SHOW(old.sa_handler == SIG_IGN);
    SHOW(old.sa_flags & (SA_RESTART | SA_NODEFER));
    SHOW(sigismember(&old.sa_mask, SIGUSR2));
    SHOW(sigismember(&old.sa_mask, SIGKILL));
    R(sigaction(SIGKILL, &act, NULL));
    R(sigaction(SIGSTOP, &act, NULL));
    R(sigaction(SIGKILL, NULL, &old));
    R(sigaction(0, &act, NULL));
    R(sigaction(65, &act, NULL));
    R(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4));
    R(syscall(SYS_rt_sigaction, 64, NULL, NULL, 8));
}

CASE(signals, sigaction_unsupported_flags)
{
    struct sigaction act = {.sa_handler = SIG_IGN, .sa_flags = 0x400 | 0x8000}, old;

    R(sigaction(SIGUSR2, &act, NULL)); /* SA_UNSUPPORTED is cleared: so can one ask for flags */
    R(sigaction(SIGUSR2, NULL, &old));
    SHOW(old.sa_flags & 0x8400);
}

CASE(signals, sigprocmask)
{
    sigset_t set = set_of(SIGUSR1, SIGKILL), old;

    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(sigprocmask(SIG_BLOCK, NULL, &old));
    SHOW(sigismember(&old, SIGUSR1));
    SHOW(sigismember(&old, SIGKILL));
    R(sigprocmask(9, &set, NULL));
    R(sigprocmask(9, NULL, &old));
    R(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 16));
    R(sigprocmask(SIG_UNBLOCK, &set, &old));
    R(sigprocmask(SIG_BLOCK, NULL, &old));
    SHOW(sigismember(&old, SIGUSR1));
}

CASE(signals, pending)
{
    sigset_t set = set_of(SIGUSR1, SIGUSR2), got;

    take(SIGUSR1, 0);
    take(SIGUSR2, 0);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(kill(getpid(), SIGUSR1));
    R(kill(getpid(), SIGUSR1));
    R(raise(SIGUSR2));
    R(sigpending(&got));
    SHOW(sigismember(&got, SIGUSR1));
    SHOW(sigismember(&got, SIGUSR2));
    SHOW(sigismember(&got, SIGTERM));
    R(sigprocmask(SIG_UNBLOCK, &set, NULL));
    SHOW(count);
    R(sigpending(&got));
    SHOW(sigismember(&got, SIGUSR1));
    R(syscall(SYS_rt_sigpending, &got, 16));
    R(syscall(SYS_rt_sigpending, &got, 4));
}

CASE(signals, ignored_are_forgotten)
{
    sigset_t set = set_of(SIGUSR1, 0), got;

    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(raise(SIGUSR1));
    signal(SIGUSR1, SIG_IGN);
    R(sigpending(&got));
    SHOW(sigismember(&got, SIGUSR1));
    signal(SIGUSR1, SIG_DFL);
    R(sigprocmask(SIG_UNBLOCK, &set, NULL));
    R(raise(SIGCHLD));
    R(raise(SIGURG));
    R(raise(SIGWINCH));
    R(raise(SIGCONT));
    puts("alive");
}

CASE(signals, kill_errors)
{
    R(kill(getpid(), 0));
    R(kill(getpid(), 65));
    R(kill(getpid(), -1));
    R(kill(0x3fffffff, 0));
    R(kill(0x3fffffff, SIGTERM));
    R(syscall(SYS_tgkill, getpid(), 0x3fffffff, 0));
    R(syscall(SYS_tgkill, getpid(), 0, 0));
    R(syscall(SYS_tgkill, -1, gettid(), 0));
    R(syscall(SYS_tgkill, getpid(), gettid(), 65));
    R(syscall(SYS_tgkill, getpid(), gettid(), 0));
    R(syscall(SYS_tkill, gettid(), 0));
    R(syscall(SYS_tkill, -1, 0));
}

CASE(signals, info_codes)
{
    take(SIGUSR1, 0);
    R(kill(getpid(), SIGUSR1));
    SHOW(last_code);
    SHOW(last_pid == getpid());
    R(raise(SIGUSR1));
    SHOW(last_code);
    SHOW(last_pid == getpid());
    SHOW(count);
}

CASE(signals, real_time_order)
{
    sigset_t set = set_of(SIGRTMIN, SIGRTMIN + 1);

    take(SIGRTMIN, 0);
    take(SIGRTMIN + 1, 0);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(raise(SIGRTMIN + 1));
    R(raise(SIGRTMIN));
    R(raise(SIGRTMIN));
    R(raise(SIGRTMIN + 1));
    R(sigprocmask(SIG_UNBLOCK, &set, NULL));
    SHOW(count);
    for (int i = 0; i < count; i++)
        SHOW(order[i]);
}

CASE(signals, sigqueue)
{
    sigset_t set = set_of(SIGRTMIN, SIGRTMIN + 1);
    siginfo_t info;

    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){1}));
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){2}));
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){3}));
    for (int i = 0; i < 3; i++) {
        R(sigtimedwait(&set, &info, &(struct timespec){0, 0}));
        SHOW(info.si_code);
        SHOW(info.si_value.sival_int);
        SHOW(info.si_pid == getpid());
    }
    R(sigqueue(getpid(), 65, (union sigval){0}));
    R(sigqueue(0x3fffffff, SIGTERM, (union sigval){0}));
}

CASE(signals, rt_sigqueueinfo)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};

    take(SIGUSR1, 0);
    info.si_value.sival_int = 7;
    R(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    SHOW(last_value);
    info.si_value.sival_int = 8;
    R(syscall(SYS_rt_tgsigqueueinfo, getpid(), gettid(), SIGUSR1, &info));
    SHOW(last_value);
    SHOW(last_code);
    info.si_code = SI_TKILL; /* to itself a process may say anything */
    R(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
    R(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &info));
    R(syscall(SYS_rt_tgsigqueueinfo, getpid(), -1, SIGUSR1, &info));
    R(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, NULL));
    R(syscall(SYS_rt_sigqueueinfo, getppid(), 0, &info));
}

CASE(signals, sigwait)
{
    sigset_t set = set_of(SIGUSR1, SIGRTMIN);
    struct timespec none = {0, 0}, some = {0, 20000000}, bad = {0, -1};
    siginfo_t info;

    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(sigtimedwait(&set, &info, &none));
    R(sigtimedwait(&set, &info, &some));
    R(sigtimedwait(&set, &info, &bad));
    R(raise(SIGUSR1));
    R(sigwaitinfo(&set, &info));
    SHOW(info.si_signo);
    SHOW(info.si_code);
    R(kill(getpid(), SIGRTMIN));
    R(kill(getpid(), SIGRTMIN));
    R(sigtimedwait(&set, NULL, &none));
    R(sigtimedwait(&set, &info, &none));
    SHOW(info.si_pid == getpid());
    R(sigtimedwait(&set, &info, &none));
    R(syscall(SYS_rt_sigtimedwait, &set, NULL, &none, 4));
}

CASE(signals, sigwait_eintr)
{
    sigset_t set = set_of(SIGUSR2, 0);

    R(sigprocmask(SIG_BLOCK, &set, NULL));
    poke_begin(50, SA_RESTART);
    R(sigwaitinfo(&set, NULL));
    SHOW(poke_end());
}

CASE(signals, sigsuspend_pause)
{
    sigset_t set = set_of(SIGUSR1, 0), none, now;

    sigemptyset(&none);
    take(SIGUSR1, SA_RESTART);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(raise(SIGUSR1));
    R(sigsuspend(&none));
    SHOW(count);
    R(sigprocmask(SIG_BLOCK, NULL, &now));
    SHOW(sigismember(&now, SIGUSR1));
    R(syscall(SYS_rt_sigsuspend, &none, 4));
    R(sigprocmask(SIG_SETMASK, &none, NULL));
    poke_begin(50, SA_RESTART);
    R(pause());
    SHOW(poke_end());
}

static volatile int depth, deepest;

static void nested(int signo)
{
    sigset_t now;

    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("in handler: own signal %s, SIGUSR2 %s\n", sigismember(&now, signo) ? "blocked" : "open",
           sigismember(&now, SIGUSR2) ? "blocked" : "open");
    if (++depth > deepest)
        deepest = depth;
    if (++count < 3)
        raise(signo);
    depth--;
}

CASE(signals, mask_in_handler)
{
    struct sigaction act = {.sa_handler = nested};

    sigaddset(&act.sa_mask, SIGUSR2);
    R(sigaction(SIGUSR1, &act, NULL));
    R(raise(SIGUSR1));
    SHOW(deepest);
    SHOW(depth);
}

CASE(signals, nodefer)
{
    struct sigaction act = {.sa_handler = nested, .sa_flags = SA_NODEFER};

    R(sigaction(SIGUSR1, &act, NULL));
    R(raise(SIGUSR1));
    SHOW(deepest);
}

CASE(signals, resethand)
{
    struct sigaction old;

    take(SIGUSR1, (int)SA_RESETHAND);
    R(raise(SIGUSR1));
    R(sigaction(SIGUSR1, NULL, &old));
    SHOW(old.sa_handler == SIG_DFL);
    R(raise(SIGUSR1));
    puts("not reached");
}

static stack_t alt;
static volatile int on_alt, alt_flags;

static void where(int signo)
{
    stack_t now;
    char here;

    (void)signo;
    on_alt = &here >= (char *)alt.ss_sp && &here < (char *)alt.ss_sp + alt.ss_size;
    sigaltstack(NULL, &now);
    alt_flags = now.ss_flags;
    R(sigaltstack(&alt, NULL));
}

CASE(signals, sigaltstack)
{
    struct sigaction act = {.sa_handler = where, .sa_flags = SA_ONSTACK};
    stack_t old, s;

    R(sigaltstack(NULL, &old));
    SHOW(old.ss_flags);
    alt = (stack_t){malloc(65536), 0, 65536};
    s = alt;
    s.ss_size = 1000;
    R(sigaltstack(&s, NULL));
    s = alt;
    s.ss_flags = 77;
    R(sigaltstack(&s, NULL));
    R(sigaltstack(&alt, NULL));
    R(sigaction(SIGUSR1, &act, NULL));
    R(raise(SIGUSR1));
    SHOW(on_alt);
    SHOW(alt_flags);
    R(sigaltstack(NULL, &old));
    SHOW(old.ss_flags);
    SHOW(old.ss_size);
    s.ss_flags = SS_DISABLE;
    R(sigaltstack(&s, &old));
    R(raise(SIGUSR1));
    SHOW(on_alt);
}

CASE(signals, sigaltstack_autodisarm)
{
    struct sigaction act = {.sa_handler = where, .sa_flags = SA_ONSTACK};
    stack_t old;

    alt = (stack_t){malloc(65536), (int)(1u << 31), 65536};
    R(sigaltstack(&alt, NULL));
    R(sigaction(SIGUSR1, &act, NULL));
    R(raise(SIGUSR1));
    SHOW(on_alt);
    SHOW(alt_flags);
    R(sigaltstack(NULL, &old));
    SHOW((unsigned)old.ss_flags);
}

static void change_context(int signo, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    (void)signo;
    (void)info;
    SHOW(sigismember(&u->uc_sigmask, SIGUSR2));
    sigaddset(&u->uc_sigmask, SIGHUP);  /* what is written there comes back */
    u->uc_mcontext.gregs[REG_RIP] += 2; /* over the ud2 */
    u->uc_mcontext.gregs[REG_RBX] = 77;
}

CASE(signals, ucontext)
{
    struct sigaction act = {.sa_sigaction = change_context, .sa_flags = SA_SIGINFO};
    sigset_t set = set_of(SIGUSR2, 0), now;
    long rbx = 1;

    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(sigaction(SIGILL, &act, NULL));
    __asm__ volatile("ud2" : "+b"(rbx));
    SHOW(rbx);
    R(sigprocmask(SIG_BLOCK, NULL, &now));
    SHOW(sigismember(&now, SIGHUP));
}

static volatile int ready, handled_by;
static _Thread_local int which;

static void on_thread_signal(int signo)
{
    (void)signo;
    handled_by = which;
}

static void *waiting(void *arg)
{
    which = *(int *)arg;
    __atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
    while (!handled_by)
        sleep_ms(5);
    return NULL;
}

CASE(signals, masks_are_inherited)
{
    struct sigaction act = {.sa_handler = on_thread_signal};
    sigset_t set = set_of(SIGUSR1, 0);
    int id[2] = {1, 2};
    pthread_t t[2];

    R(sigaction(SIGUSR1, &act, NULL));
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, waiting, &id[i]);
    while (ready < 2)
        sleep_ms(1);
    R(pthread_kill(t[1], 0));
    R(kill(getpid(), SIGUSR1)); /* everybody blocks it */
    sleep_ms(50);
    SHOW(handled_by);
    handled_by = 9;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    R(sigprocmask(SIG_UNBLOCK, &set, NULL));
    SHOW(handled_by);
}

CASE(signals, to_one_thread)
{
    struct sigaction act = {.sa_handler = on_thread_signal};
    int id[2] = {2, 3};
    pthread_t t[2];

    which = 99;
    R(sigaction(SIGUSR1, &act, NULL));
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, waiting, &id[i]);
    while (ready < 2)
        sleep_ms(1);
    R(pthread_kill(t[1], SIGUSR1));
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    SHOW(handled_by);
}

CASE(signals, to_the_thread_that_takes_it)
{
    struct sigaction act = {.sa_handler = on_thread_signal};
    sigset_t set = set_of(SIGUSR1, 0);
    int id = 5;
    pthread_t t;

    R(sigaction(SIGUSR1, &act, NULL));
    pthread_create(&t, NULL, waiting, &id);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    while (ready < 1)
        sleep_ms(1);
    R(kill(getpid(), SIGUSR1));
    pthread_join(t, NULL);
    SHOW(handled_by);
}

CASE(signals, nanosleep_is_interrupted)
{
    struct timespec t = {50, 0}, left = {0, 0};

    poke_begin(100, SA_RESTART);
    R(nanosleep(&t, &left));
    SHOW(poke_end());
    SHOW(left.tv_sec);
}

CASE(signals, death_by_term)
{
    R(kill(getpid(), SIGTERM));
    puts("not reached");
}

CASE(signals, death_by_abort)
{
    puts("before");
    abort();
}

CASE(signals, death_by_fault)
{
    volatile int *p = (volatile int *)8;

    puts("before");
    *p = 1;
}

CASE(signals, death_by_real_time_signal)
{
    R(raise(SIGRTMAX));
    puts("not reached");
}

CASE(signals, blocked_fault_kills)
{
    sigset_t set = set_of(SIGSEGV, 0);

    take(SIGSEGV, 0);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    *(volatile int *)8 = 1;
    puts("not reached");
}

CASE(signals, ignored_fault_kills)
{
    signal(SIGSEGV, SIG_IGN);
    *(volatile int *)8 = 1;
    puts("not reached");
}

CASE(signals, pending_over_execve)
{
    union sigval v = {.sival_int = 42};
    siginfo_t info;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMIN + 3);
    if (!getenv("AGAIN")) {
        setenv("AGAIN", "1", 1);
        R(sigprocmask(SIG_BLOCK, &set, NULL));
        R(kill(getpid(), SIGUSR1));
        R(sigqueue(getpid(), SIGRTMIN + 3, v));
        R(kill(getpid(), SIGUSR2));
        fflush(stdout);
        execl("/proc/self/exe", "cases", "signals.pending_over_execve", (char *)NULL);
    }
    R(sigpending(&set));
    SHOW(sigismember(&set, SIGUSR1));
    SHOW(sigismember(&set, SIGUSR2));
    SHOW(sigismember(&set, SIGHUP));
    for (int i = 0; i < 3; i++) {
        R(sigwaitinfo(&set, &info));
        SHOW(info.si_code);
        SHOW(info.si_pid == getpid());
        SHOW(info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
    }
}

static volatile int other_tid, other_done;

static void *other_thread(void *arg)
{
    (void)arg;
    other_tid = gettid();
    while (!other_done)
        sleep_ms(1);
    return NULL;
}

/* A thread's number stands for its process, where Linux looks for a process by number. */
CASE(signals, by_thread_number)
{
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    pthread_t p;
    int tid;

    take(SIGUSR1, 0);
    pthread_create(&p, NULL, other_thread, NULL);
    while (!other_tid)
        sleep_ms(1);
    tid = other_tid;
    R(kill(tid, 0));
    R(kill(tid, SIGUSR1));
    R(kill(-tid, 0));
    R(syscall(SYS_rt_sigqueueinfo, tid, SIGUSR1, &info));
    R(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, SIGUSR1, &info));
    R(syscall(SYS_tgkill, tid, tid, 0));
    R(getpgid(tid) == getpgid(0) ? 0 : -1);
    R(getsid(tid) == getsid(0) ? 0 : -1);
    R(getpriority(PRIO_PROCESS, (id_t)tid));
    R(getpriority(PRIO_PGRP, (id_t)tid));
    R(setpriority(PRIO_PROCESS, (id_t)tid, 0));
    R(sched_getscheduler(tid));
    R(syscall(SYS_ioprio_get, 1, tid));
    R(setpgid(tid, 0));
    other_done = 1;
    pthread_join(p, NULL);
    SHOW(count >= 1);
}

static char *small_stack;

static void on_overflow(int signo, siginfo_t *info, void *context)
{
    (void)context;
    (void)info;
    printf("SIG%s, code %d, on its own stack\n", sigabbrev_np(signo), info->si_code);
    fflush(stdout);
    _exit(7);
}

/* A handler whose frame has no room raises SIGSEGV, which may have a stack of its own. */
CASE(signals, no_room_for_a_frame)
{
    static char own[65536];
    stack_t stack = {.ss_sp = own, .ss_size = sizeof own};
    struct sigaction act = {.sa_sigaction = on_overflow, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    small_stack = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(small_stack, 15 * PAGE);
    small_stack += 15 * PAGE;
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &act, NULL);
    act.sa_flags = SA_SIGINFO;
    sigaction(SIGUSR1, &act, NULL);
    fflush(stdout);
    __asm__ volatile(
        "mov %0, %%rsp\n\tmov %1, %%eax\n\tmov %2, %%edi\n\tmov %3, %%esi\n\tsyscall\n\tud2"
        :
        : "r"(small_stack + 1024), "r"(SYS_tkill), "r"(gettid()), "r"(SIGUSR1)
        : "rax", "rdi", "rsi", "rcx", "r11", "memory");
}

static volatile double handler_sum;
static volatile unsigned handler_csr;
static volatile unsigned short handler_cw;

static void on_float(int signo)
{
    unsigned csr;
    unsigned short cw;
    volatile long double one = 1, three = 3;

    (void)signo;
    __asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(csr), "=m"(cw));
    handler_csr = csr;
    handler_cw = cw;
    handler_sum = (double)(one / three);
    count++;
}

/* A handler starts with the vector state of a new program, and the old one comes back. */
CASE(signals, vector_state_in_handlers)
{
    unsigned csr = 0x7f80 & ~0x200u, after; /* rounds to zero, division by zero traps */
    unsigned short cw = 0xf7f & ~4u, cw_after;
    unsigned char in[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, out[16];
    long pid = getpid(), tid = gettid(), r;

    signal(SIGUSR1, on_float);
    __asm__ volatile("ldmxcsr %[csr]\n\tfninit\n\tfldcw %[cw]\n\t"
                     "fld1; fld1; fld1; fld1; fld1; fld1; fld1; fld1\n\t"
                     "movdqu %[in], %%xmm9\n\tsyscall\n\t"
                     "movdqu %%xmm9, %[out]\n\tstmxcsr %[after]\n\tfnstcw %[cw_after]\n\t"
                     "fnclex\n\tfninit"
                     : [out] "=m"(out), [after] "=m"(after), [cw_after] "=m"(cw_after), "=a"(r)
                     : "a"(SYS_tgkill), "D"(pid), "S"(tid),
                       "d"(SIGUSR1), [csr] "m"(csr), [cw] "m"(cw), [in] "m"(in)
                     : "rcx", "r11", "xmm9", "memory");
    csr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(csr));
    SHOW(r);
    SHOW(count);
    printf("in the handler: mxcsr %x, x87 %x, a third %.17g\n", handler_csr, handler_cw,
           handler_sum);
    printf("after it: mxcsr %x, x87 %x\n", after, cw_after);
    show_bytes("xmm9", out, sizeof out);
}

static int status_of_child(int limit, int signo)
{
    struct rlimit none = {0, 0}, some = {1 << 20, RLIM_INFINITY};
    int status = -1;
    pid_t pid = fork();

    if (!pid) {
        setrlimit(RLIMIT_CORE, limit ? &some : &none);
        signal(signo, SIG_DFL);
        raise(signo);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

/* A wait says that there is a core file where there is one. */
CASE(signals, core_file)
{
    static const int signo[] = {SIGQUIT, SIGABRT, SIGSEGV, SIGXCPU, SIGTERM};

    for (size_t i = 0; i < sizeof signo / sizeof *signo; i++) {
        int with = status_of_child(1, signo[i]), without = status_of_child(0, signo[i]);
        printf("signal %d: ", signo[i]);
        SHOW(WTERMSIG(with));
        SHOW(!WCOREDUMP(with));
        SHOW(!WCOREDUMP(without));
    }
    char head[4];
    int fd = open("core", O_RDONLY); /* where core_pattern is so */
    if (fd >= 0 && read(fd, head, 4) == 4)
        show_bytes("core", head, 4);
}

/* One that comes before the child has begun. */
CASE(signals, fault_signal_to_a_new_child)
{
    static const int signo[] = {SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS};

    for (size_t i = 0; i < sizeof signo / sizeof *signo; i++) {
        int status = -1;
        pid_t pid = fork();
        if (!pid) {
            pause();
            _exit(0);
        }
        kill(pid, signo[i]);
        waitpid(pid, &status, 0);
        SHOW(status & 0x7f);
    }
}

static int nqueued, in_order = 1;

static void on_queued(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    in_order &= info->si_value.sival_int == nqueued++;
}

CASE(signals, thousands_queue)
{
    struct sigaction sa = {.sa_sigaction = on_queued, .sa_flags = SA_SIGINFO};
    sigset_t set;
    int sent = 0;

    sigaction(SIGRTMIN, &sa, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    while (sent < 3000 && sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = sent}) == 0)
        sent++;
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    SHOW(sent);
    SHOW(nqueued);
    SHOW(in_order);
}

static volatile int asked_for;

static void on_asked_for(int signo)
{
    (void)signo;
    asked_for++;
}

/* A call that makes happen what a signal was asked for comes back after the signal. */
CASE(signals, own_calls_that_send)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 8};
    char name[40];
    int p[2];

    snprintf(name, sizeof name, "/diff-%d", getpid());
    signal(SIGUSR1, on_asked_for);
    signal(SIGIO, on_asked_for);
    mqd_t q = mq_open(name, O_CREAT | O_RDWR, 0600, &a);
    mq_unlink(name);
    R(mq_notify(q, &e));
    R(mq_send(q, "x", 1, 0));
    SHOW(asked_for);
    R(pipe(p));
    R(fcntl(p[0], F_SETOWN, getpid()));
    R(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    R(write(p[1], "x", 1));
    SHOW(asked_for);
}

CASE(signals, child_that_leaves_nothing)
{
    struct sigaction sa = {.sa_handler = on_asked_for, .sa_flags = SA_NOCLDWAIT | SA_RESTART};
    int before = 0;

    sigaction(SIGCHLD, &sa, NULL);
    for (int i = 0; i < 5; i++) {
        asked_for = 0;
        pid_t pid = fork();
        if (!pid)
            _exit(0);
        if (wait(NULL) == -1 && errno == ECHILD)
            before += asked_for;
    }
    SHOW(before);
}
