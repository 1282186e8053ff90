/* SPDX-License-Identifier: MIT */
/* Restartable sequences, memory barriers, scheduling of threads and of other processes. */
#include "diff.h"

#include "../sched_attr.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/time.h>
#include <sys/wait.h>

#define GET_REGISTRATIONS 512 /* MEMBARRIER_CMD_, of newer headers */
#define SIG 0x53053053u

/* struct rseq, up to mm_cid */
struct area {
    uint32_t cpu_start, cpu;
    uint64_t cs;
    uint32_t flags, node, cid, pad;
};
static struct area area __attribute__((aligned(32)));

static long rseq(void *at, uint32_t len, int flags, uint32_t sig)
{
    return syscall(SYS_rseq, at, len, flags, sig);
}

/* The C library's own is taken off first. */
static void own_area(void)
{
    char *libs = (char *)__builtin_thread_pointer() + __rseq_offset;

    if (rseq(libs, __rseq_size < 32 ? 32 : __rseq_size, 1, SIG) ||
        rseq(&area, sizeof area, 0, SIG)) {
        perror("rseq");
        exit(99);
    }
}

CASE(rseq, library)
{
    const struct area *a = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

    SHOW(__rseq_size > 0);
    SHOW(a->cpu == (uint32_t)sched_getcpu());
    SHOW(a->cpu_start == a->cpu);
    SHOW(a->node);
}

CASE(rseq, registration)
{
    own_area();
    SHOW(area.cpu == (uint32_t)sched_getcpu());
    R(rseq(&area, sizeof area, 0, SIG));
    R(rseq(&area, sizeof area, 0, SIG + 1));
    R(rseq(&area, sizeof area + 32, 0, SIG));
    R(rseq(&area.cs, sizeof area, 0, SIG));
    R(rseq(&area, sizeof area, 2, SIG));
    R(rseq(&area, sizeof area, 1, SIG + 1));
    R(rseq(&area, sizeof area + 32, 1, SIG));
    R(rseq(&area, sizeof area, 3, SIG));
    R(rseq(NULL, sizeof area, 1, SIG));
    R(rseq(&area, sizeof area, 1, SIG));
    SHOW(area.cpu);
    SHOW(area.cpu_start);
    R(rseq(&area, sizeof area, 1, SIG));
    R(rseq(&area.cs, sizeof area, 0, SIG));
    R(rseq(&area, 16, 0, SIG));
    R(rseq(NULL, 0, 0, SIG));
    area.cs = 77;
    R(rseq(&area, sizeof area, 0, SIG));
    SHOW(area.cs);
}

static void *other_thread(void *arg)
{
    const struct area *a = (void *)((char *)__builtin_thread_pointer() + __rseq_offset);

    SHOW(a->cpu == (uint32_t)sched_getcpu());
    return arg;
}

CASE(rseq, threads_and_children)
{
    pthread_t t;

    own_area();
    pthread_create(&t, NULL, other_thread, NULL);
    pthread_join(t, NULL);
    area.cpu = 7777;
    fflush(stdout);
    if (fork() == 0) {
        sched_yield();
        SHOW(area.cpu == 7777 || area.cpu == (uint32_t)sched_getcpu());
        R(rseq(&area, sizeof area, 0, SIG));
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
}

CASE(rseq, follows_its_thread)
{
    cpu_set_t all, one;
    int wrong = 0;

    own_area();
    sched_getaffinity(0, sizeof all, &all);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        sched_setaffinity(0, sizeof one, &one);
        wrong += area.cpu != (uint32_t)cpu || area.cpu_start != (uint32_t)cpu;
    }
    SHOW(wrong);
}

/*
 * Stays inside a critical section until it is abandoned; true then. `stop` ends it otherwise. The
 * signature stands before where it goes on; `bad` makes it another one.
 */
static int stay_inside(volatile int *stop, int bad)
{
    static struct {
        uint32_t version, flags;
        uint64_t start, len, abort;
    } cs[2] __attribute__((aligned(32)));
    int abandoned = 0;

    __asm__ volatile("leaq 1f(%%rip), %%rax\n\t"
                     "movq %%rax, 8(%[cs])\n\t"
                     "leaq 2f(%%rip), %%rcx\n\t"
                     "subq %%rax, %%rcx\n\t"
                     "movq %%rcx, 16(%[cs])\n\t"
                     "leaq 4f(%%rip), %%rax\n\t"
                     "leaq 6f(%%rip), %%rcx\n\t"
                     "testl %[bad], %[bad]\n\t"
                     "cmovnzq %%rcx, %%rax\n\t"
                     "movq %%rax, 24(%[cs])\n\t"
                     "movq %[cs], %[at]\n"
                     "1:\n\t"
                     "pause\n\t"
                     "cmpl $0, (%[stop])\n\t"
                     "je 1b\n"
                     "2:\n\t"
                     "jmp 5f\n\t"
                     ".byte 0x0f, 0xb9, 0x3d\n\t"
                     ".long 0x53053053\n"
                     "4:\n\t"
                     "movl $1, %[abandoned]\n\t"
                     "jmp 5f\n\t"
                     ".long 0x12345678\n"
                     "6:\n\t"
                     "movl $2, %[abandoned]\n"
                     "5:\n"
                     : [abandoned] "+r"(abandoned), [at] "=m"(area.cs)
                     : [cs] "r"(&cs[0]), [stop] "r"(stop), [bad] "r"(bad)
                     : "rax", "rcx", "memory", "cc");
    return abandoned;
}

static volatile int never, handled, given_up_first;

static void note_section(int signo)
{
    (void)signo;
    given_up_first = area.cs == 0;
    handled = 1;
}

static void *poke_main(void *arg)
{
    sleep_ms(60);
    pthread_kill(*(pthread_t *)arg, SIGUSR1);
    return NULL;
}

static void interrupt_soon(void)
{
    static pthread_t me;
    pthread_t t;

    me = pthread_self();
    signal(SIGUSR1, note_section);
    pthread_create(&t, NULL, poke_main, &me);
}

CASE(rseq, signal_abandons)
{
    own_area();
    interrupt_soon();
    while (!handled) { /* Linux may have to run something else meanwhile */
        if (stay_inside(&never, 0) != 1)
            puts("came out by itself");
    }
    SHOW(given_up_first);
    SHOW(area.cs);
}

CASE(rseq, bad_signature_kills)
{
    own_area();
    interrupt_soon();
    puts("goes in");
    fflush(stdout);
    SHOW(stay_inside(&never, 1));
}

CASE(rseq, bad_descriptor_kills)
{
    own_area();
    area.cs = (uintptr_t)page_with(PROT_NONE);
    puts("waits");
    fflush(stdout);
    sleep_ms(20);
    puts("is alive");
}

CASE(rseq, bad_area_kills)
{
    struct area *a = (void *)page_with(PROT_READ | PROT_WRITE);

    own_area();
    R(rseq(&area, sizeof area, 1, SIG));
    R(rseq(a, sizeof *a, 0, SIG));
    mprotect(a, PAGE, PROT_NONE);
    fflush(stdout);
    sleep_ms(20);
    puts("is alive");
}

/* Left behind without being cleared: no harm, and cleared by the way. */
CASE(rseq, outside)
{
    volatile int stop = 1;

    own_area();
    SHOW(stay_inside(&stop, 0));
    sleep_ms(20);
    SHOW(area.cs);
}

static volatile int spins = 1;

static void *spin(void *arg)
{
    while (spins) {
    }
    return arg;
}

CASE(rseq, preemption_abandons)
{
    cpu_set_t all, one;
    pthread_t t;

    own_area();
    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    pthread_create(&t, NULL, spin, NULL);
    SHOW(stay_inside(&never, 0));
    spins = 0;
    pthread_join(t, NULL);
}

/* ---- memory barriers ---- */

static long membarrier(int cmd, unsigned flags, int cpu)
{
    return syscall(SYS_membarrier, cmd, flags, cpu);
}

static volatile int restarted;

static void *stay_and_tell(void *arg)
{
    own_area();
    restarted = -1;
    restarted = stay_inside(&never, 0);
    return arg;
}

CASE(membarrier, commands)
{
    printf("%#lx\n", membarrier(0, 0, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0));
    R(membarrier(GET_REGISTRATIONS, 0, 0));
    R(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    R(membarrier(GET_REGISTRATIONS, 0, 0));
    R(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, MEMBARRIER_CMD_FLAG_CPU, 7777));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 2, 0));
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_FLAG_CPU, 0));
    R(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
    R(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
    R(membarrier(GET_REGISTRATIONS, 0, 0));
    R(membarrier(3, 0, 0));
    R(membarrier(-1, 0, 0));
}

CASE(membarrier, restarts_sequences)
{
    pthread_t t;

    R(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0));
    pthread_create(&t, NULL, stay_and_tell, NULL);
    while (!restarted)
        sleep_ms(1);
    sleep_ms(20);
    R(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ, 0, 0));
    pthread_join(t, NULL);
    SHOW(restarted);
}

/* Dekker's algorithm with the fence on one side only. */
static volatile int mine, theirs, seen_mine, round_no, round_done, over;

static void *fast_side(void *arg)
{
    int n = 0;

    while (!over) {
        while (round_no == n && !over) {
        }
        n = round_no;
        theirs = 1;
        __asm__ volatile("" ::: "memory");
        seen_mine = mine;
        __atomic_store_n(&round_done, n, __ATOMIC_SEQ_CST);
    }
    return arg;
}

CASE(membarrier, orders)
{
    pthread_t t;
    int both_missed = 0;

    R(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    pthread_create(&t, NULL, fast_side, NULL);
    for (int i = 1; i <= 300; i++) {
        int seen;

        mine = theirs = 0;
        __atomic_store_n(&round_no, i, __ATOMIC_SEQ_CST);
        mine = 1;
        membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
        seen = theirs;
        while (round_done != i) {
        }
        both_missed += !seen && !seen_mine;
    }
    over = 1;
    pthread_join(t, NULL);
    SHOW(both_missed);
}

/* ---- scheduling ---- */

static void show_attr(pid_t pid)
{
    struct attr a = {0};

    R(syscall(SYS_sched_getattr, pid, &a, sizeof a, 0));
    printf("size %u policy %u flags %lx nice %d priority %u\n", a.size, a.policy,
           (unsigned long)a.flags, a.nice, a.priority);
}

static long set_attr(pid_t pid, struct attr a)
{
    if (!a.size)
        a.size = sizeof a;
    return syscall(SYS_sched_setattr, pid, &a, 0);
}

CASE(sched, attr_policies)
{
    R(set_attr(0, (struct attr){.policy = SCHED_BATCH, .nice = 3}));
    show_attr(0);
    R(set_attr(0, (struct attr){.policy = SCHED_IDLE, .flags = 1}));
    show_attr(0);
    R(sched_getscheduler(0) == (SCHED_IDLE | SCHED_RESET_ON_FORK));
    R(set_attr(0, (struct attr){.policy = SCHED_OTHER, .priority = 1}));
    R(set_attr(0, (struct attr){.policy = SCHED_FIFO, .priority = 0}));
    R(set_attr(0, (struct attr){.policy = SCHED_FIFO, .priority = 100}));
    R(set_attr(0, (struct attr){.policy = SCHED_OTHER, .flags = 1 << 20}));
    R(set_attr(0, (struct attr){.policy = SCHED_OTHER, .size = 40}));
    R(set_attr(0, (struct attr){.policy = SCHED_OTHER, .size = 48, .flags = 0x20}));
    R(set_attr(0, (struct attr){.policy = SCHED_DEADLINE}));
    R(set_attr(0, (struct attr){.policy = 0x80000000}));
    R(set_attr(-1, (struct attr){.policy = SCHED_OTHER}));
    R(set_attr(0x3fffffff, (struct attr){.policy = SCHED_OTHER}));
}

CASE(sched, attr_realtime)
{
    if (set_attr(0, (struct attr){.policy = SCHED_RR, .priority = 7})) {
        puts("not allowed");
        return;
    }
    show_attr(0);
    R(set_attr(0, (struct attr){.flags = 8 | 16, .priority = 50})); /* KEEP_POLICY, KEEP_PARAMS */
    show_attr(0);
    R(set_attr(0, (struct attr){.flags = 8, .priority = 50}));
    show_attr(0);
    R(set_attr(0, (struct attr){.policy = SCHED_OTHER}));
    show_attr(0);
}

CASE(sched, attr_sizes)
{
    struct {
        struct attr a;
        char more[16];
    } big = {.a = {.size = sizeof big}};
    uint32_t *before_hole = (uint32_t *)(uintptr_t)(pages_before_hole(1) + PAGE - 48);

    R(syscall(SYS_sched_setattr, 0, &big, 0));
    big.more[3] = 1;
    big.a.size = sizeof big;
    R(syscall(SYS_sched_setattr, 0, &big, 0));
    SHOW(big.a.size);
    big.a.size = 5000;
    R(syscall(SYS_sched_setattr, 0, &big, 0));
    SHOW(big.a.size);
    R(syscall(SYS_sched_setattr, 0, before_hole, 0)); /* version 0 */
    *before_hole = sizeof(struct attr);
    R(syscall(SYS_sched_setattr, 0, before_hole, 0));
    R(syscall(SYS_sched_getattr, 0, before_hole, 48, 0));
    SHOW(*before_hole);
    R(syscall(SYS_sched_getattr, 0, before_hole, 56, 0));
    R(syscall(SYS_sched_getattr, 0, &big, sizeof big, 0));
    SHOW(big.a.size);
    R(syscall(SYS_sched_getattr, 0, &big, 5000, 0));
}

CASE(sched, reset_on_fork_stays)
{
    struct sched_param p = {0};

    R(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &p));
    R(sched_setparam(0, &p));
    SHOW(sched_getscheduler(0) == (SCHED_BATCH | SCHED_RESET_ON_FORK));
}

static pid_t spawn(char *const argv[], const posix_spawnattr_t *attr)
{
    extern char **environ;
    pid_t pid;

    fflush(stdout);
    if (posix_spawnp(&pid, argv[0], NULL, attr, argv, environ)) {
        perror(argv[0]);
        exit(99);
    }
    return pid;
}

CASE(sched, other_processes)
{
    char *argv[] = {"sleep", "30", NULL};
    pid_t pid = spawn(argv, NULL);
    struct sched_param p = {.sched_priority = 55};
    struct timespec t;
    cpu_set_t all, one, got;
    int first = 0;

    sched_getaffinity(0, sizeof all, &all);
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    R(sched_setaffinity(pid, sizeof one, &one));
    R(sched_getaffinity(pid, sizeof got, &got));
    SHOW(CPU_EQUAL(&one, &got));
    CPU_ZERO(&got);
    R(sched_setaffinity(pid, sizeof got, &got));
    R(sched_setaffinity(pid, sizeof got, (cpu_set_t *)(uintptr_t)page_with(0)));
    R(syscall(SYS_sched_getaffinity, pid, 7, &got));
    R(syscall(SYS_sched_getaffinity, pid, 128, NULL));
    R(sched_getscheduler(pid));
    R(sched_getparam(pid, &p));
    SHOW(p.sched_priority);
    R(sched_setscheduler(pid, SCHED_BATCH, &p));
    R(sched_getscheduler(pid));
    R(sched_setparam(pid, &p));
    R(sched_setscheduler(pid, 99, &p));
    R(sched_setscheduler(pid, SCHED_BATCH, NULL));
    R(set_attr(pid, (struct attr){.policy = SCHED_IDLE, .nice = 4}));
    R(set_attr(pid, (struct attr){.policy = SCHED_OTHER, .nice = 4}));
    show_attr(pid);
    R(set_attr(pid, (struct attr){.policy = SCHED_OTHER, .size = 100}));
    R(sched_rr_get_interval(pid, &t));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    R(sched_getscheduler(pid));
    R(sched_setscheduler(pid, SCHED_OTHER, &p));
    R(sched_setaffinity(pid, sizeof one, &one));
    R(set_attr(pid, (struct attr){.policy = SCHED_OTHER}));
}

CASE(sched, spawned_with_a_policy)
{
    char *argv[] = {"sh", "-c", "read -r line </proc/self/stat; set -- $line; echo ${41}", NULL};
    posix_spawnattr_t attr;

    posix_spawnattr_init(&attr);
    posix_spawnattr_setschedpolicy(&attr, SCHED_BATCH);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSCHEDULER);
    waitpid(spawn(argv, &attr), NULL, 0);
}

CASE(sched, taskset_of_a_process)
{
    char *argv[] = {"sleep", "30", NULL};
    pid_t pid = spawn(argv, NULL);
    char text[20];
    char *set[] = {"taskset", "-p", "1", text, NULL};
    int status;

    snprintf(text, sizeof text, "%d", (int)pid);
    freopen("/dev/null", "w", stderr);
    close(1);
    open("/dev/null", O_WRONLY);
    waitpid(spawn(set, NULL), &status, 0);
    kill(pid, SIGKILL);
    exit(WEXITSTATUS(status));
}

CASE(sched, clone_errors)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } a = {0};

#define CLONE3(...)                                                                                \
    do {                                                                                           \
        memset(&a, 0, sizeof a);                                                                   \
        __VA_ARGS__;                                                                               \
        R(syscall(SYS_clone3, &a, sizeof a));                                                      \
    } while (0)
    CLONE3(a.exit_signal = 65);
    CLONE3(a.exit_signal = 1 << 20);
    CLONE3(a.set_tid_size = 1);
    CLONE3(a.set_tid = 1);
    CLONE3(a.set_tid = 1, a.set_tid_size = 33);
    CLONE3(a.flags = 1);
    CLONE3(a.flags = CLONE_DETACHED);
    CLONE3(a.flags = CLONE_SIGHAND | CLONE_VM | 0x100000000ull);
    CLONE3(a.flags = 0x200000000ull, a.cgroup = 1ull << 40);
    CLONE3(a.flags = CLONE_PARENT, a.exit_signal = 17);
    CLONE3(a.flags = CLONE_NEWUSER | CLONE_FS);
    CLONE3(a.flags = CLONE_NEWNS | CLONE_FS);
    CLONE3(a.stack_size = 4096);
    CLONE3(a.stack = 4096);
    CLONE3(a.stack = ~0ull - 100, a.stack_size = 4096);
    CLONE3(a.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWPID);
    R(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER, 0, 0, 0, 0));
    R(syscall(SYS_clone, CLONE_PIDFD | CLONE_DETACHED, 0, 0, 0, 0));
}

static volatile int yields_on = 1;

static void stop_yielding(int signo)
{
    (void)signo;
    yields_on = 0;
}

static void *yield_on(void *arg)
{
    (void)arg;
    while (yields_on)
        sched_yield();
    return NULL;
}

static void yield_until(int which)
{
    struct itimerval it = {.it_value = {0, 50000}};
    struct sched_param prio = {1};
    pthread_attr_t attr;
    pthread_t t;
    cpu_set_t one;

    /* one CPU: the main thread has none while the other one runs */
    sched_getaffinity(0, sizeof one, &one);
    for (int i = 0, n = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, &one) && n++)
            CPU_CLR(i, &one);
    }
    sched_setaffinity(0, sizeof one, &one);
    pthread_attr_init(&attr);
    pthread_attr_setinheritsched(&attr, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attr, SCHED_FIFO);
    pthread_attr_setschedparam(&attr, &prio);
    signal(SIGPROF, stop_yielding);
    signal(SIGALRM, stop_yielding);
    R(setitimer(which, &it, NULL));
    R(pthread_create(&t, &attr, yield_on, NULL));
    R(pthread_join(t, NULL));
    SHOW(yields_on);
}

/* Its signal goes to who computes. */
CASE(sched, fifo_thread_gets_the_cpu_timers_signal)
{
    yield_until(ITIMER_PROF);
}

/* Its signal goes to the main thread, which gets a little of the CPU all the same. */
CASE(sched, fifo_thread_leaves_others_a_little)
{
    yield_until(ITIMER_REAL);
}

static int share_ends;

struct share {
    int nice;
    pid_t tid;
    long long ns;
};

static void *takes_its_share(void *p)
{
    struct share *s = p;
    struct timespec t;
    s->tid = (pid_t)syscall(SYS_gettid);
    setpriority(PRIO_PROCESS, 0, s->nice);
    while (!__atomic_load_n(&share_ends, __ATOMIC_RELAXED))
        ;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    s->ns = t.tv_sec * 1000000000ll + t.tv_nsec;
    s->nice = getpriority(PRIO_PROCESS, 0);
    return NULL;
}

/* A nice value is a thread's, and the less nice one gets more of a CPU that they share. */
CASE(sched, nice_threads)
{
    struct share s[2] = {{.nice = 1}, {.nice = 12}};
    struct timespec now;
    cpu_set_t set;
    pthread_t t[2];

    sched_getaffinity(0, sizeof set, &set);
    for (int cpu = 0, found = 0; cpu < CPU_SETSIZE; cpu++) {
        if (found)
            CPU_CLR(cpu, &set);
        found |= CPU_ISSET(cpu, &set);
    }
    R(sched_setaffinity(0, sizeof set, &set));
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, takes_its_share, &s[i]);
    do {
        sleep_ms(50);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    } while (now.tv_sec == 0 && now.tv_nsec < 600000000);
    SHOW(getpriority(PRIO_PROCESS, s[0].tid));
    SHOW(getpriority(PRIO_PROCESS, s[1].tid));
    SHOW(getpriority(PRIO_PROCESS, 0));
    __atomic_store_n(&share_ends, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    SHOW(s[0].nice);
    SHOW(s[1].nice);
    SHOW(s[0].ns > 2 * s[1].ns);
}

/* ---- threads that sleep shortly, and threads that compute, on one CPU ---- */

#define NAPPERS 6
#define WORKERS 6
#define NAPS_MAX_MS 4000

static atomic_int workers_done;
static atomic_bool naps_over;

static void *naps(void *arg)
{
    (void)arg;
    while (!atomic_load(&naps_over))
        nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
    return NULL;
}

static void *works(void *arg)
{
    (void)arg;
    for (volatile int i = 0; i < 100000; i++)
        ;
    atomic_fetch_add(&workers_done, 1);
    return NULL;
}

CASE(sched, threads_that_sleep_shortly_let_others_compute)
{
    pthread_t napper[NAPPERS], worker[WORKERS];
    cpu_set_t before, one;
    sched_getaffinity(0, sizeof before, &before);
    CPU_ZERO(&one);
    for (int c = 0; CPU_COUNT(&one) == 0; c++)
        if (CPU_ISSET(c, &before))
            CPU_SET(c, &one);
    SHOW(sched_setaffinity(0, sizeof one, &one));
    for (int i = 0; i < NAPPERS; i++) { /* one of each, so that they take turns */
        pthread_create(&napper[i], NULL, naps, NULL);
        pthread_create(&worker[i], NULL, works, NULL);
    }
    long long end = now_ms() + NAPS_MAX_MS;
    while (atomic_load(&workers_done) < WORKERS && now_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
    SHOW(atomic_load(&workers_done));
    atomic_store(&naps_over, true);
    for (int i = 0; i < NAPPERS; i++) {
        pthread_join(napper[i], NULL);
        pthread_join(worker[i], NULL);
    }
}

struct line {
    sem_t free;
    int place, ended[3];
};

static int waits_in_line(struct line *l, int prio, int id)
{
    struct sched_param p = {.sched_priority = prio};
    if (sched_setscheduler(0, SCHED_FIFO, &p))
        return 1;
    while (sem_wait(&l->free))
        ;
    l->ended[__atomic_fetch_add(&l->place, 1, __ATOMIC_SEQ_CST)] = id;
    return 0;
}

/* Of processes that wait for a semaphore the one with the highest priority has it first. */
CASE(sched, shared_semaphore_by_priority)
{
    static const int prio[] = {1, 3, 2};
    struct line *l = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid[3];

    sem_init(&l->free, 1, 0);
    for (int i = 0; i < 3; i++) {
        pid[i] = fork();
        if (!pid[i])
            _exit(waits_in_line(l, prio[i], i));
        /* glibc counts who waits in the upper half of the semaphore's word */
        while (__atomic_load_n((uint64_t *)&l->free, __ATOMIC_SEQ_CST) >> 32 != (unsigned)i + 1)
            sleep_ms(1);
        sleep_ms(30);
    }
    for (int i = 0; i < 3; i++) {
        sem_post(&l->free);
        while (__atomic_load_n(&l->place, __ATOMIC_SEQ_CST) != i + 1)
            sleep_ms(1);
    }
    for (int i = 0; i < 3; i++) {
        waitpid(pid[i], NULL, 0);
        SHOW(l->ended[i]);
    }
}

CASE(sched, nice_without_rights)
{
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        setpgid(0, 0);
        if (setuid(65534) && geteuid() == 0)
            _exit(1);
        R(setpriority(PRIO_PROCESS, 0, 17));
        R(setpriority(PRIO_PGRP, 0, 18));
        R(getpriority(PRIO_PROCESS, 0));
        R(setpriority(PRIO_PROCESS, 0, -2));
        R(setpriority(PRIO_PGRP, 0, -2));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}
