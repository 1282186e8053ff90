/* SPDX-License-Identifier: MIT */
/*
 * deaf WAY: does something after which a program is hard to end, for ever. deaf --list: the ways.
 * SIGTERM ends each of them natively; some end by themselves (--own).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NON_CANONICAL 0x800000000000ull

static char stack[1 << 16];

static void handle(int signo, void (*handler)(int), int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};

    sigaction(signo, &act, NULL);
}

static void own_stack(void)
{
    stack_t s = {.ss_sp = stack, .ss_size = sizeof stack};

    sigaltstack(&s, NULL);
}

static void nothing(int signo)
{
    (void)signo;
}

static void fault_at(unsigned long address)
{
    __asm__ volatile("movl $0, (%0)" ::"r"(address) : "memory");
}

static void spin(void)
{
    for (;;) {
    }
}

static void realtime(int policy, int prio)
{
    struct sched_param p = {prio};

    sched_setscheduler(0, policy, &p);
}

static void fifo_spin(void)
{
    realtime(SCHED_FIFO, 99);
    spin();
}

static void fifo_yield(void)
{
    realtime(SCHED_FIFO, 99);
    for (;;)
        sched_yield();
}

static void *fifo_thread(void *arg)
{
    (void)arg;
    fifo_yield();
    return NULL;
}

/* The main thread, which signals are for, waits below the other one's priority. */
static void fifo_over_main(void)
{
    pthread_t t;

    pthread_create(&t, NULL, fifo_thread, NULL);
    for (;;)
        sched_yield();
}

static void *spinner(void *arg)
{
    (void)arg;
    spin();
    return NULL;
}

static void threads(void)
{
    pthread_t t;

    for (int i = 0; i < 40; i++)
        pthread_create(&t, NULL, spinner, NULL);
    spin();
}

static void yields(void)
{
    for (;;)
        sched_yield();
}

static void calls(void)
{
    for (;;)
        syscall(SYS_getppid);
}

static void garbage(void)
{
    __asm__ volatile("mov $0x123456781234, %%rax\n\t"
                     "wrgsbase %%rax\n\t"
                     "xor %%eax, %%eax\n\t"
                     "mov %%eax, %%gs\n\t"
                     "mov %%eax, %%fs\n\t"
                     "mov %%eax, %%ds\n\t"
                     "mov %%eax, %%es\n\t"
                     "pushfq\n\t"
                     "orl $0x44400, (%%rsp)\n\t" /* AC, NT, DF */
                     "popfq\n\t"
                     "mov $0x8000deadbeefdead, %%rbx\n\t"
                     "mov %%rbx, %%rcx\n\tmov %%rbx, %%rdx\n\tmov %%rbx, %%rsi\n\t"
                     "mov %%rbx, %%rdi\n\tmov %%rbx, %%rbp\n\tmov %%rbx, %%rsp\n\t"
                     "mov %%rbx, %%r8\n\tmov %%rbx, %%r9\n\tmov %%rbx, %%r10\n\t"
                     "mov %%rbx, %%r11\n\tmov %%rbx, %%r12\n\tmov %%rbx, %%r13\n\t"
                     "mov %%rbx, %%r14\n\tmov %%rbx, %%r15\n"
                     "1: jmp 1b" ::
                         : "memory");
}

static void no_stack(void)
{
    __asm__ volatile("xor %%esp, %%esp\n1: mov $110, %%eax\n\tsyscall\n\tjmp 1b" ::: "memory");
}

static void stack_in_nowhere(void)
{
    __asm__ volatile("mov %0, %%rsp\n1: mov $110, %%eax\n\tsyscall\n\tjmp 1b" ::"r"(NON_CANONICAL)
                     : "memory");
}

static void null_gs(void)
{
    __asm__ volatile("mov %0, %%gs" ::"r"(0));
    calls();
}

/* NT, and calls: the kernel's way back must not trip over it. */
static void nested_task(void)
{
    __asm__ volatile("pushfq\n\torl $0x4000, (%%rsp)\n\tpopfq" ::: "cc", "memory");
    for (;;) {
        syscall(SYS_getppid);
        sched_yield();
    }
}

static void steps(void)
{
    handle(SIGTRAP, nothing, 0);
    __asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n1: jmp 1b" ::: "cc", "memory");
}

static void step_over_calls(void)
{
    handle(SIGTRAP, nothing, 0);
    __asm__ volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n1: mov $110, %%eax\n\tsyscall\n\t"
                     "jmp 1b" ::
                         : "rax", "rcx", "r11", "cc", "memory");
}

/* Its handler mends nothing. */
static void faults(void)
{
    handle(SIGSEGV, nothing, SA_NODEFER);
    fault_at(8);
}

static void illegal(void)
{
    handle(SIGILL, nothing, 0);
    __asm__ volatile("ud2");
}

static void code32(void)
{
    static char p[4096] __attribute__((aligned(4096))); /* below 4 GiB */

    mprotect(p, sizeof p, PROT_READ | PROT_WRITE | PROT_EXEC);
    memcpy(p, "\x40\x90\xeb\xfc", 4); /* inc %eax; nop; jmp */
    __asm__ volatile("mov %0, %%rsp\n\tpushq $0x23\n\tpush %1\n\tlretq" ::"r"(p + 4096), "r"(p)
                     : "memory");
}

static void in_vfork(void)
{
    if (vfork() == 0)
        spin();
}

static void forks(void)
{
    for (;;) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        waitpid(pid, NULL, 0);
    }
}

static void executes(void)
{
    execl("/proc/self/exe", "deaf", "executes", (char *)NULL);
}

static void waits(void)
{
    for (;;)
        pause();
}

static void reads(void)
{
    int fd[2];
    char c;

    if (pipe(fd) == 0)
        while (read(fd[0], &c, 1) != 1) {
        }
}

static void opens(void)
{
    if (mkfifo("fifo", 0600) == 0 || errno == EEXIST)
        close(open("fifo", O_RDONLY));
}

static void locks(void)
{
    static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;

    pthread_mutex_lock(&m);
    pthread_mutex_lock(&m);
}

static void tick(int signo)
{
    (void)signo;
    for (volatile int i = 0; i < 1000; i++) {
    }
}

static void short_interval(void)
{
    struct itimerval it = {{0, 1}, {0, 1}};

    handle(SIGALRM, tick, SA_RESTART);
    setitimer(ITIMER_REAL, &it, NULL);
    calls();
}

static void many_timers(void)
{
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec it = {{0, 1000}, {0, 1000}};
    timer_t t;

    handle(SIGUSR1, tick, SA_RESTART);
    for (int i = 0; i < 500; i++) {
        if (timer_create(CLOCK_MONOTONIC, &e, &t) == 0)
            timer_settime(t, 0, &it, NULL);
    }
    spin();
}

static void maps(void)
{
    for (;;) {
        void *p = mmap(NULL, 1 << 24, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(p, 1 << 24);
    }
}

static void device_zero(void)
{
    int fd = open("/dev/zero", O_RDWR);

    for (;;) {
        void *p = mmap(NULL, 1 << 26, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        if (p != MAP_FAILED)
            munmap(p, 1 << 26);
    }
}

static void signals_itself(void)
{
    handle(SIGUSR1, nothing, SA_NODEFER);
    for (;;)
        kill(getpid(), SIGUSR1);
}

static void stack_of_handlers(int signo)
{
    raise(signo);
}

/* ---- these end by themselves ---- */

static void endless_handlers(void)
{
    own_stack();
    handle(SIGSEGV, stack_of_handlers, SA_NODEFER | SA_ONSTACK);
    fault_at(8);
}

static void fault_in_handler(int signo)
{
    (void)signo;
    fault_at(16);
}

static void nested_fault(void)
{
    handle(SIGSEGV, fault_in_handler, 0);
    fault_at(8);
}

static void blocked_fault(void)
{
    sigset_t all;

    handle(SIGSEGV, nothing, 0);
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    fault_at(8);
}

static __attribute__((noinline)) int deeper(volatile int *up)
{
    volatile int here[64] = {*up};

    return here[0] ? 0 : deeper(here) + here[1];
}

static void recursion(void)
{
    volatile int here = 0;

    exit(deeper(&here));
}

static void bad_sigreturn(void)
{
    __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" ::"r"(stack + sizeof stack - 64)
                     : "memory");
}

static void fault_without_stack(void)
{
    handle(SIGSEGV, nothing, 0);
    __asm__ volatile("mov %0, %%rsp\n\tpush %%rax" ::"r"(NON_CANONICAL) : "memory");
}

static void jump_to_nowhere(void)
{
    ((void (*)(void))(uintptr_t)NON_CANONICAL)();
}

static const struct {
    const char *name;
    void (*run)(void);
    int own; /* it ends by itself */
} way[] = {
    {"spin", spin, 0},
    {"fifo-spin", fifo_spin, 0},
    {"fifo-yield", fifo_yield, 0},
    {"fifo-over-main", fifo_over_main, 0},
    {"threads", threads, 0},
    {"yields", yields, 0},
    {"calls", calls, 0},
    {"garbage", garbage, 0},
    {"no-stack", no_stack, 0},
    {"stack-in-nowhere", stack_in_nowhere, 0},
    {"null-gs", null_gs, 0},
    {"nested-task", nested_task, 0},
    {"steps", steps, 0},
    {"step-over-calls", step_over_calls, 0},
    {"faults", faults, 0},
    {"illegal", illegal, 0},
    {"code32", code32, 0},
    {"in-vfork", in_vfork, 0},
    {"forks", forks, 0},
    {"executes", executes, 0},
    {"waits", waits, 0},
    {"reads", reads, 0},
    {"opens", opens, 0},
    {"locks", locks, 0},
    {"short-interval", short_interval, 0},
    {"many-timers", many_timers, 0},
    {"maps", maps, 0},
    {"device-zero", device_zero, 0},
    {"signals-itself", signals_itself, 0},
    {"endless-handlers", endless_handlers, 1},
    {"nested-fault", nested_fault, 1},
    {"blocked-fault", blocked_fault, 1},
    {"recursion", recursion, 1},
    {"bad-sigreturn", bad_sigreturn, 1},
    {"fault-without-stack", fault_without_stack, 1},
    {"jump-to-nowhere", jump_to_nowhere, 1},
};

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--list";

    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        if (!strcmp(name, way[i].own ? "--own" : "--list"))
            puts(way[i].name);
        if (strcmp(name, way[i].name))
            continue;
        way[i].run();
        return 8;
    }
    return name[0] == '-' ? 0 : 9;
}
