/* SPDX-License-Identifier: MIT */
/* Futexes, scheduling, clone, and what belongs to a thread. */
#include "diff.h"

#include "../sched_attr.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static uint32_t word, other;

static long futex(uint32_t *at, int op, uint32_t val, const void *t, uint32_t *at2, uint32_t val3)
{
    return syscall(SYS_futex, at, op, val, t, at2, val3);
}

CASE(threads, futex_wait)
{
    struct timespec t = {0, 20000000}, bad = {0, 1000000000};

    R(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
    R(futex(&word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0));
    R(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0));
    R(futex((uint32_t *)((uintptr_t)&word + 1), FUTEX_WAIT, 0, &t, NULL, 0));
    R(futex(&word, FUTEX_WAIT_BITSET, 0, &t, NULL, 0));
    R(futex(&word, FUTEX_WAIT_BITSET, 0, &t, NULL, ~0u)); /* absolute, long past */
    R(futex((uint32_t *)(uintptr_t)page_with(0), FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0));
}

CASE(threads, futex_realtime)
{
    struct timespec t = {0, 20000000};

    R(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &t, NULL, ~0u));
    R(futex(&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, &t, NULL, 0));
    R(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
}

CASE(threads, futex_wake_errors)
{
    R(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    R(futex((uint32_t *)((uintptr_t)&word + 2), FUTEX_WAKE, 1, NULL, NULL, 0));
    R(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0));
    R(futex(NULL, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    R(futex(NULL, FUTEX_WAKE, 1, NULL, NULL, 0));
    R(futex(&word, 99, 1, NULL, NULL, 0));
}

CASE(threads, futex_eintr)
{
    poke_begin(50, 0);
    R(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0));
    SHOW(poke_end());
}

static volatile int waiters;

static void *wait_word(void *arg)
{
    (void)arg;
    __atomic_add_fetch(&waiters, 1, __ATOMIC_SEQ_CST);
    futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0);
    return NULL;
}

static void start_waiters(pthread_t *t, int n)
{
    for (int i = 0; i < n; i++)
        pthread_create(&t[i], NULL, wait_word, NULL);
    while (waiters < n)
        sleep_ms(1);
    sleep_ms(150);
}

CASE(threads, futex_wake_counts)
{
    pthread_t t[3];

    start_waiters(t, 3);
    R(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
    R(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0));
    R(futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0));
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

CASE(threads, futex_requeue)
{
    pthread_t t[3];

    start_waiters(t, 3);
    R(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 7));
    R(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, &other, 0));
    R(futex(&other, FUTEX_WAKE, 100, NULL, NULL, 0));
    R(futex(&word, FUTEX_REQUEUE, 0, (void *)100, &other, 0));
    R(futex(&other, FUTEX_WAKE, 100, NULL, NULL, 0));
    R(futex(&word, FUTEX_REQUEUE, (uint32_t)-1, (void *)1, &other, 0));
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

CASE(threads, futex_wake_op)
{
    pthread_t t[2];

    start_waiters(t, 2);
    other = 5;
    R(futex(&other, FUTEX_WAKE_OP, 1, (void *)1, &word,
            FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
    SHOW(word);
    R(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other,
            FUTEX_OP(FUTEX_OP_SET, 9, FUTEX_OP_CMP_GT, 7)));
    SHOW(other);
    R(futex(&word, FUTEX_WAKE_OP, 1, (void *)1, &other, FUTEX_OP(5, 9, 9, 7)));
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
}

struct waiter {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};

CASE(threads, futex_waitv)
{
    struct waiter w[2] = {{0, (uintptr_t)&word, 2, 0}, {0, (uintptr_t)&other, 2, 0}};
    struct timespec t = {0, 1};

    R(syscall(449, w, 2, 0, &t, CLOCK_MONOTONIC));
    w[1].val = 3;
    R(syscall(449, w, 2, 0, &t, CLOCK_MONOTONIC));
    R(syscall(449, w, 0, 0, &t, CLOCK_MONOTONIC));
    R(syscall(449, w, 129, 0, &t, CLOCK_MONOTONIC));
    R(syscall(449, w, 2, 1, &t, CLOCK_MONOTONIC));
    R(syscall(449, w, 2, 0, &t, 77));
    R(syscall(449, NULL, 2, 0, &t, CLOCK_MONOTONIC));
}

static void *wake_other_later(void *arg)
{
    sleep_ms(100);
    futex(&other, FUTEX_WAKE, 1, NULL, NULL, 0);
    return arg;
}

CASE(threads, futex_waitv_woken)
{
    struct waiter w[2] = {{0, (uintptr_t)&word, 2, 0}, {0, (uintptr_t)&other, 2, 0}};
    struct timespec t;
    pthread_t p;

    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += 5;
    pthread_create(&p, NULL, wake_other_later, NULL);
    R(syscall(449, w, 2, 0, &t, CLOCK_MONOTONIC));
    pthread_join(p, NULL);
}

CASE(threads, futex_pi)
{
    uint32_t tid = (uint32_t)gettid();

    R(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    SHOW(word == tid);
    R(futex(&word, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    SHOW(word);
    R(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0));
    SHOW(word == tid);
}

static pthread_mutex_t mutex;
static int shared_count;

static void *add_under_mutex(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        pthread_mutex_lock(&mutex);
        shared_count++;
        pthread_mutex_unlock(&mutex);
    }
    return arg;
}

CASE(threads, pi_mutex)
{
    pthread_mutexattr_t a;
    pthread_t t[4];

    R(pthread_mutexattr_init(&a));
    R(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    R(pthread_mutex_init(&mutex, &a));
    for (int i = 0; i < 4; i++)
        pthread_create(&t[i], NULL, add_under_mutex, NULL);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    SHOW(shared_count);
    R(pthread_mutex_lock(&mutex));
    R(pthread_mutex_trylock(&mutex));
    R(pthread_mutex_unlock(&mutex));
}

static void *die_with_mutex(void *arg)
{
    pthread_mutex_lock(&mutex);
    return arg;
}

CASE(threads, robust_mutex)
{
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    R(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
    R(pthread_mutex_init(&mutex, &a));
    pthread_create(&t, NULL, die_with_mutex, NULL);
    pthread_join(t, NULL);
    R(pthread_mutex_lock(&mutex));
    R(pthread_mutex_consistent(&mutex));
    R(pthread_mutex_unlock(&mutex));
    pthread_create(&t, NULL, die_with_mutex, NULL);
    pthread_join(t, NULL);
    R(pthread_mutex_lock(&mutex));
    R(pthread_mutex_unlock(&mutex));
    R(pthread_mutex_lock(&mutex));
}

CASE(threads, robust_pi_mutex)
{
    pthread_mutexattr_t a;
    pthread_t t;

    pthread_mutexattr_init(&a);
    R(pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST));
    R(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    if (pthread_mutex_init(&mutex, &a)) {
        puts("no such mutex");
        return;
    }
    pthread_create(&t, NULL, die_with_mutex, NULL);
    pthread_join(t, NULL);
    R(pthread_mutex_lock(&mutex));
    R(pthread_mutex_consistent(&mutex));
    R(pthread_mutex_unlock(&mutex));
}

CASE(threads, robust_list_calls)
{
    size_t len = 0;
    void *head = NULL;

    R(syscall(SYS_set_robust_list, &word, 23));
    R(syscall(SYS_get_robust_list, 0, &head, &len));
    SHOW(len);
    SHOW(head != NULL);
    R(syscall(SYS_get_robust_list, 0x3fffffff, &head, &len));
    R(syscall(SYS_set_robust_list, NULL, 24));
    R(syscall(SYS_get_robust_list, gettid(), &head, &len));
    SHOW(head != NULL);
}

CASE(threads, scheduler)
{
    struct sched_param p = {0};
    struct timespec t;

    R(sched_getscheduler(0));
    R(sched_getparam(0, &p));
    SHOW(p.sched_priority);
    p.sched_priority = 5;
    R(sched_setscheduler(0, SCHED_OTHER, &p));
    R(sched_setparam(0, &p));
    R(sched_setscheduler(0, 99, &p));
    R(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){100}));
    R(sched_setscheduler(-1, SCHED_OTHER, &p));
    R(sched_getscheduler(-1));
    R(sched_getscheduler(0x3fffffff));
    R(sched_getparam(0, NULL));
    p.sched_priority = 0;
    R(sched_setscheduler(0, SCHED_BATCH, &p));
    R(sched_getscheduler(0));
    R(sched_rr_get_interval(-1, &t));
    R(sched_yield());
}

CASE(threads, scheduler_priorities)
{
    for (int i = 0; i < 7; i++) {
        R(sched_get_priority_min(i));
        R(sched_get_priority_max(i));
    }
}

CASE(threads, sched_attr)
{
    struct attr a = {0};

    R(syscall(SYS_sched_getattr, 0, &a, sizeof a, 0));
    SHOW(a.size);
    SHOW(a.policy);
    SHOW(a.nice);
    R(syscall(SYS_sched_getattr, 0, &a, 10, 0));
    R(syscall(SYS_sched_getattr, 0, &a, sizeof a, 1));
    R(syscall(SYS_sched_getattr, 0, NULL, sizeof a, 0));
    R(syscall(SYS_sched_getattr, -1, &a, sizeof a, 0));
    R(syscall(SYS_sched_setattr, 0, &a, 0));
    a.policy = 99;
    R(syscall(SYS_sched_setattr, 0, &a, 0));
    R(syscall(SYS_sched_setattr, 0, NULL, 0));
    R(syscall(SYS_sched_setattr, 0, &a, 1));
}

CASE(threads, getpriority)
{
    R(getpriority(PRIO_PROCESS, 0));
    R(getpriority(99, 0));
    R(getpriority(PRIO_PROCESS, 0x3fffffff));
}

CASE(threads, setpriority)
{
    R(setpriority(PRIO_PROCESS, 0, 5));
    R(getpriority(PRIO_PROCESS, 0));
    R(setpriority(99, 0, 5));
    R(setpriority(PRIO_PROCESS, 0x3fffffff, 5));
    R(nice(1));
}

CASE(threads, affinity)
{
    unsigned long big[128] = {0}, old[128] = {0}, none[128] = {0};

    R(syscall(SYS_sched_getaffinity, 0, sizeof old, old) > 0);
    R(syscall(SYS_sched_getaffinity, 0, 7, big));
    R(syscall(SYS_sched_getaffinity, 0, 0, big));
    R(syscall(SYS_sched_getaffinity, -1, sizeof big, big));
    R(syscall(SYS_sched_getaffinity, 0x3fffffff, sizeof big, big));
    R(syscall(SYS_sched_setaffinity, 0, sizeof none, none));
    R(syscall(SYS_sched_setaffinity, 0, sizeof old, old));
    R(syscall(SYS_sched_setaffinity, 0x3fffffff, sizeof old, old));
    R(syscall(SYS_sched_setaffinity, 0, 0, old));
    none[0] = old[0] & -old[0];
    R(syscall(SYS_sched_setaffinity, gettid(), 8, none));
    R(syscall(SYS_sched_getaffinity, 0, sizeof big, big) > 0);
    SHOW(big[0] == none[0]);
    SHOW(sched_getcpu() == __builtin_ctzl(none[0]));
}

CASE(threads, affinity_mask_size)
{
    unsigned long big[128] = {0};

    R(syscall(SYS_sched_getaffinity, 0, sizeof big, big));
}

CASE(threads, getcpu)
{
    unsigned cpu = 77, node = 77;

    R(syscall(SYS_getcpu, &cpu, &node, NULL));
    SHOW(cpu < 77);
    SHOW(node);
    R(syscall(SYS_getcpu, NULL, NULL, NULL));
}

CASE(threads, clone_errors)
{
    R(syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0));
    R(syscall(SYS_clone, CLONE_SIGHAND, 0, 0, 0, 0));
    R(syscall(SYS_clone, CLONE_THREAD | CLONE_SIGHAND, 0, 0, 0, 0));
    R(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS, 0, 0, 0, 0));
    R(syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_PIDFD, 0, 0, 0, 0));
}

CASE(threads, clone3_errors)
{
    struct clone_args a = {.flags = CLONE_THREAD};
    static char big[200];

    R(syscall(SYS_clone3, &a, sizeof a));
    R(syscall(SYS_clone3, &a, 8));
    R(syscall(SYS_clone3, &a, 8192));
    big[150] = 1;
    R(syscall(SYS_clone3, big, sizeof big));
    R(syscall(SYS_clone3, NULL, sizeof a));
    a = (struct clone_args){.flags = 1ull << 40};
    R(syscall(SYS_clone3, &a, sizeof a));
    a = (struct clone_args){.flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, .exit_signal = 17};
    R(syscall(SYS_clone3, &a, sizeof a));
    a = (struct clone_args){.flags = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, .stack = 4096};
    R(syscall(SYS_clone3, &a, sizeof a));
}

static void *see_ids(void *arg)
{
    SHOW(gettid() != getpid());
    SHOW(syscall(SYS_getpid) == getpid());
    return arg;
}

CASE(threads, ids)
{
    pthread_t t;

    SHOW(gettid() == getpid());
    SHOW(syscall(SYS_set_tid_address, &word) == gettid());
    pthread_create(&t, NULL, see_ids, NULL);
    R(pthread_join(t, NULL));
}

static void *exit_later(void *arg)
{
    sleep_ms(50);
    puts("the other thread ends the program");
    exit(7);
    return arg;
}

CASE(threads, main_thread_ends_first)
{
    pthread_t t;

    pthread_create(&t, NULL, exit_later, NULL);
    pthread_exit(NULL);
}

CASE(threads, exit_code_of_last_thread)
{
    puts("ends by exit(2), not exit_group(2)");
    syscall(SYS_exit, 300);
}

CASE(threads, membarrier)
{
    R(syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0) > 0);
    R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    R(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    R(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    R(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
    R(syscall(SYS_membarrier, 0, 1, 0));
    R(syscall(SYS_membarrier, 1 << 20, 0, 0));
}

CASE(threads, rseq)
{
    static struct {
        uint32_t cpu_start, cpu;
        uint64_t cs;
        uint32_t flags, pad[3];
    } area __attribute__((aligned(32)));

    R(syscall(SYS_rseq, &area, sizeof area, 0, 0x53053053)); /* the C library has one already */
    R(syscall(SYS_rseq, &area, sizeof area, 4, 0x53053053));
    R(syscall(SYS_rseq, &area, sizeof area, 1, 0x53053053));
}

struct waitv_entry {
    uint64_t val, addr;
    uint32_t flags, reserved;
};

/* futex_waitv(2) in memory that two processes share. */
CASE(threads, waitv_shared)
{
    enum { SIZE_32 = 2, NR_WAITV = 449 };
    int *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct waitv_entry w[3];
    struct timespec end;
    int status = 0;

    for (int i = 0; i < 3; i++)
        w[i] = (struct waitv_entry){0, (uintptr_t)&shared[i], SIZE_32, 0};
    clock_gettime(CLOCK_MONOTONIC, &end);
    R(syscall(NR_WAITV, w, 3, 0, &end, CLOCK_MONOTONIC));
    w[1].val = 1;
    R(syscall(NR_WAITV, w, 3, 0, NULL, CLOCK_MONOTONIC));
    w[1].val = 0;
    end.tv_sec += 30;
    pid_t pid = fork();
    if (!pid) {
        long r = syscall(NR_WAITV, w, 3, 0, &end, CLOCK_MONOTONIC);
        _exit(r == 2 ? 0 : 1);
    }
    while (syscall(SYS_futex, &shared[2], FUTEX_WAKE, 1, NULL, NULL, 0) == 0)
        sleep_ms(1);
    waitpid(pid, &status, 0);
    SHOW(status);
}

CASE(threads, robust_list_of_others)
{
    void *head;
    size_t len;
    int status = 0;

    R(syscall(SYS_get_robust_list, 0x3fffffff, &head, &len));
    pid_t pid = fork();
    if (!pid) {
        if (setuid(65534) && geteuid() == 0)
            _exit(2);
        long r = syscall(SYS_get_robust_list, 1, &head, &len);
        _exit(r == -1 && errno == EPERM ? 0 : 1);
    }
    waitpid(pid, &status, 0);
    SHOW(status);
}

/* The holder is killed; `waits`: while another process waits for the mutex. */
static void killed_with_a_robust_mutex(int waits)
{
    pthread_mutexattr_t a;
    pthread_mutex_t *m =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int held[2], status;
    char c;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(m, &a);
    SHOW(pipe(held));
    fflush(stdout);
    pid_t holder = fork();
    if (holder == 0) {
        pthread_mutex_lock(m);
        if (write(held[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    SHOW(read(held[0], &c, 1));
    pid_t waiter = waits ? fork() : -1;
    if (waiter == 0) {
        alarm(10);
        _exit(pthread_mutex_lock(m) == EOWNERDEAD);
    }
    if (waits)
        sleep_ms(100);
    kill(holder, SIGKILL);
    waitpid(holder, &status, 0);
    SHOW(WTERMSIG(status));
    if (waits) {
        waitpid(waiter, &status, 0);
        SHOW(status);
    }
    alarm(10);
    show_result("pthread_mutex_lock(m) == EOWNERDEAD", pthread_mutex_lock(m) == EOWNERDEAD);
    alarm(0);
}

CASE(threads, robust_mutex_of_a_killed_process)
{
    killed_with_a_robust_mutex(0);
    killed_with_a_robust_mutex(1);
}
