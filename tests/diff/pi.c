/* SPDX-License-Identifier: MIT */
/* Futexes with priority inheritance, and waiting for several futexes. */
#include "diff.h"

#include <linux/futex.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static uint32_t word, other, plain;
static volatile int stage;
static volatile uint32_t holder_tid;
static long result; /* of what another thread did: shown when it has ended */

static long futex(uint32_t *at, int op, uint32_t val, const void *t, uint32_t *at2, uint32_t val3)
{
    return syscall(SYS_futex, at, op, val, t, at2, val3);
}

static const struct timespec *after_ms(clockid_t clock, long ms)
{
    static _Thread_local struct timespec t;

    clock_gettime(clock, &t);
    t.tv_nsec += ms * 1000000;
    t.tv_sec += t.tv_nsec / 1000000000;
    t.tv_nsec %= 1000000000;
    return &t;
}

static void until(int n)
{
    while (stage < n)
        sleep_ms(1);
}

/* A thread that holds `word` from stage 1 until stage 2. */
static void *hold(void *arg)
{
    holder_tid = (uint32_t)gettid();
    futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    stage = 1;
    until(2);
    if (!arg)
        futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    return arg;
}

static pthread_t holder(void *dies)
{
    pthread_t t;

    stage = 0;
    pthread_create(&t, NULL, hold, dies);
    until(1);
    return t;
}

static void show_word(uint32_t tid)
{
    printf("word: %s%s%s\n",
           (word & FUTEX_TID_MASK) == tid ? "the owner"
           : word & FUTEX_TID_MASK        ? "another"
                                          : "nobody",
           word & FUTEX_WAITERS ? ", waiters" : "", word & FUTEX_OWNER_DIED ? ", died" : "");
}

CASE(pi, errors)
{
    struct timespec bad = {0, 1000000000};
    uint32_t *readonly = (uint32_t *)(uintptr_t)page_with(1);
    uint32_t *none = (uint32_t *)(uintptr_t)page_with(0);
    uint32_t *odd = (uint32_t *)((uintptr_t)&word + 1);

    R(futex(odd, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(odd, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(none, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(none, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(readonly, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(readonly, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(readonly, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &bad, NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, (void *)1, NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
    word = 0x3ffffff0; /* a number that no thread has */
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    printf("%#x\n", word);
    R(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    word = FUTEX_OWNER_DIED;
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show_word((uint32_t)gettid());
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    printf("%#x\n", word);
    word = FUTEX_WAITERS | (uint32_t)gettid();
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    printf("%#x\n", word);
}

CASE(pi, held)
{
    pthread_t t = holder(NULL);
    struct timespec past = {1, 0};

    show_word(holder_tid);
    R(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show_word(holder_tid);
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &past, NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, after_ms(CLOCK_REALTIME, 30), NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI2 | 128, 0, after_ms(CLOCK_MONOTONIC, 30), NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI2 | 128 | FUTEX_CLOCK_REALTIME, 0, after_ms(CLOCK_REALTIME, 30),
            NULL, 0));
    R(futex(&word, FUTEX_LOCK_PI2 | 128 | FUTEX_CLOCK_REALTIME, 0, after_ms(CLOCK_MONOTONIC, 30),
            NULL, 0));
    stage = 2;
    pthread_join(t, NULL);
    show_word(holder_tid);
}

static void *let_go_later(void *arg)
{
    sleep_ms(80);
    stage = 2;
    return arg;
}

CASE(pi, handed_over)
{
    pthread_t t = holder(NULL), u;

    pthread_create(&u, NULL, let_go_later, NULL);
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show_word((uint32_t)gettid());
    pthread_join(t, NULL);
    pthread_join(u, NULL);
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show_word((uint32_t)gettid());
}

CASE(pi, owner_dies)
{
    pthread_t t = holder((void *)1), u;

    pthread_create(&u, NULL, let_go_later, NULL);
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show_word((uint32_t)gettid());
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    pthread_join(t, NULL);
    pthread_join(u, NULL);
    show_word((uint32_t)gettid());
    t = holder((void *)1);
    stage = 2;
    pthread_join(t, NULL);
    show_word(holder_tid);
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    show_word(holder_tid);
}

CASE(pi, interrupted)
{
    pthread_t t = holder(NULL), u;

    pthread_create(&u, NULL, let_go_later, NULL);
    poke_begin(20, 0);
    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0)); /* goes on behind any handler */
    SHOW(poke_end());
    show_word((uint32_t)gettid());
    pthread_join(t, NULL);
    pthread_join(u, NULL);
}

/* Holds `other`, then wants `word`. */
static void *want_both(void *arg)
{
    futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    stage = 1;
    result = futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    futex(&other, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    return arg;
}

CASE(pi, circle)
{
    pthread_t t;

    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    pthread_create(&t, NULL, want_both, NULL);
    until(1);
    sleep_ms(100);
    R(futex(&other, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    pthread_join(t, NULL);
    SHOW(result);
    SHOW(word);
    SHOW(other);
}

static void *lock_and_unlock(void *arg)
{
    result = futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    result += futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    return arg;
}

static void *wait_plain(void *arg)
{
    result = futex(&plain, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
    return arg;
}

CASE(pi, mixed_up)
{
    pthread_t t;

    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    pthread_create(&t, NULL, lock_and_unlock, NULL);
    sleep_ms(100);
    R(futex(&word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    R(futex(&word, FUTEX_REQUEUE_PRIVATE, 1, (void *)1, &other, 0));
    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, word));
    R(futex(&other, FUTEX_WAKE_OP_PRIVATE, 1, (void *)1, &word, FUTEX_OP(1, 0, 1, 0)));
    R(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    pthread_join(t, NULL);
    SHOW(result);
    pthread_create(&t, NULL, wait_plain, NULL);
    sleep_ms(100);
    R(futex(&plain, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    R(futex(&plain, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, plain));
    R(futex(&plain, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    pthread_join(t, NULL);
    SHOW(result);
}

static void *wait_and_take(void *arg)
{
    long r;

    __atomic_add_fetch(&stage, 1, __ATOMIC_SEQ_CST);
    r = futex(&plain, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &word, 0);
    printf("waited: %ld, %s\n", r,
           (word & FUTEX_TID_MASK) == (uint32_t)gettid() ? "has it" : "has it not");
    futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    return arg;
}

CASE(pi, requeue_errors)
{
    uint32_t *odd = (uint32_t *)((uintptr_t)&word + 1);
    const struct timespec *t = after_ms(CLOCK_MONOTONIC, 30);

    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &word, 0));
    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)1, &other, 0));
    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, 5));
    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, &other, 0));
    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)1, odd, 0));
    R(futex(&word, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)-1l, &other, 0));
    R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &word, 0));
    R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 7, NULL, &other, 0));
    R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, odd, 0));
    R(futex(&word, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, t, &other, 0));
}

CASE(pi, requeue_to_free)
{
    pthread_t t[3];

    for (int i = 0; i < 3; i++) {
        pthread_create(&t[i], NULL, wait_and_take, NULL);
        until(i + 1);
        sleep_ms(60);
    }
    R(futex(&plain, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)100, &other, 0));
    R(futex(&plain, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0));
    result = futex(&plain, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)100, &word, 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    SHOW(result);
    printf("%#x\n", word & ~FUTEX_WAITERS);
}

CASE(pi, requeue_to_held)
{
    pthread_t t[2];

    R(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
    for (int i = 0; i < 2; i++) {
        pthread_create(&t[i], NULL, wait_and_take, NULL);
        until(i + 1);
        sleep_ms(60);
    }
    R(futex(&plain, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)0, &word, 0));
    show_word((uint32_t)gettid());
    R(futex(&plain, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)100, &word, 0));
    sleep_ms(50);
    puts("lets go");
    result = futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    SHOW(result);
}

static void *requeue_later(void *arg)
{
    sleep_ms(40);
    result = futex(&plain, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)100, &word, 0);
    sleep_ms(120);
    stage = 2;
    return arg;
}

/* The time is over, and a signal comes, after it was moved. */
CASE(pi, requeue_gives_up)
{
    pthread_t t = holder(NULL), u;

    pthread_create(&u, NULL, requeue_later, NULL);
    R(futex(&plain, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, after_ms(CLOCK_MONOTONIC, 100), &word, 0));
    pthread_join(u, NULL);
    pthread_join(t, NULL);
    SHOW(result);
    t = holder(NULL);
    pthread_create(&u, NULL, requeue_later, NULL);
    poke_begin(80, SA_RESTART);
    R(futex(&plain, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &word, 0));
    SHOW(poke_end());
    pthread_join(u, NULL);
    pthread_join(t, NULL);
}

/* ---- robust lists, by hand ---- */

static struct {
    void *next;
    uint32_t futex;
} entry;
static struct {
    void *next;
    long offset;
    void *pending;
} head;

static void *die_with_list(void *arg)
{
    int pi = arg != NULL;

    entry.futex = (uint32_t)gettid() | FUTEX_WAITERS;
    head.offset = (char *)&entry.futex - (char *)&entry;
    entry.next = &head;
    head.next = (char *)&entry + pi;
    syscall(SYS_set_robust_list, &head, sizeof head);
    syscall(SYS_exit, 0);
    return NULL;
}

CASE(pi, robust_list)
{
    for (long pi = 0; pi < 2; pi++) {
        pthread_t t;

        pthread_create(&t, NULL, die_with_list, (void *)pi);
        pthread_join(t, NULL);
        printf("%#x\n", entry.futex);
    }
}

/* ---- several at once ---- */

struct waiter {
    uint64_t val, uaddr;
    uint32_t flags, reserved;
};

static long waitv(struct waiter *w, unsigned n, const struct timespec *t)
{
    return syscall(449, w, n, 0, t, CLOCK_MONOTONIC);
}

CASE(waitv, errors)
{
    struct waiter w[2] = {{0, (uintptr_t)&word, 130, 0}, {0, (uintptr_t)&other, 130, 0}};
    struct timespec past = {0, 1}, bad = {0, -1};

    R(waitv(w, 2, &past));
    R(waitv(w, 2, &bad));
    R(waitv(w, 2, (void *)1));
    w[1].flags = 128;
    R(waitv(w, 2, &past));
    w[1].flags = 130 | 64;
    R(waitv(w, 2, &past));
    w[1].flags = 130;
    w[1].reserved = 1;
    R(waitv(w, 2, &past));
    w[1].reserved = 0;
    w[1].uaddr++;
    R(waitv(w, 2, &past));
    w[1].uaddr = (uintptr_t)page_with(0);
    R(waitv(w, 2, &past));
    w[0].val = 9; /* the first that has it tells */
    R(waitv(w, 2, &past));
    R(waitv((void *)(uintptr_t)w[1].uaddr, 2, &past));
    w[1].uaddr = w[0].uaddr; /* the same twice */
    w[0].val = 0;
    R(waitv(w, 2, &past));
}

static void *wake_later(void *at)
{
    sleep_ms(80);
    result = futex(at, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
    return NULL;
}

CASE(waitv, woken)
{
    struct waiter w[128];
    static uint32_t words[128];
    pthread_t t;

    for (int i = 0; i < 128; i++)
        w[i] = (struct waiter){0, (uintptr_t)&words[i], 130, 0};
    pthread_create(&t, NULL, wake_later, &words[77]);
    R(waitv(w, 128, NULL));
    pthread_join(t, NULL);
    SHOW(result);
    for (int i = 0; i < 128; i++)
        w[i].uaddr = (uintptr_t)&words[i % 3]; /* many times the same */
    pthread_create(&t, NULL, wake_later, &words[1]);
    R(waitv(w, 128, after_ms(CLOCK_MONOTONIC, 5000)));
    pthread_join(t, NULL);
    SHOW(result);
    R(futex(&words[0], FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0));
}

CASE(waitv, interrupted)
{
    struct waiter w = {0, (uintptr_t)&word, 130, 0};

    poke_begin(30, 0);
    R(waitv(&w, 1, NULL));
    SHOW(poke_end());
    poke_begin(30, SA_RESTART);
    R(waitv(&w, 1, after_ms(CLOCK_MONOTONIC, 150)));
    SHOW(poke_end());
}

static void *requeue_words(void *arg)
{
    sleep_ms(60);
    result = futex(&word, FUTEX_REQUEUE_PRIVATE, 0, (void *)1, &other, 0);
    result += futex(&other, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    return arg;
}

CASE(waitv, requeued)
{
    struct waiter w[2] = {{0, (uintptr_t)&plain, 130, 0}, {0, (uintptr_t)&word, 130, 0}};
    pthread_t t;

    pthread_create(&t, NULL, requeue_words, NULL);
    R(waitv(w, 2, NULL));
    pthread_join(t, NULL);
    SHOW(result);
}
