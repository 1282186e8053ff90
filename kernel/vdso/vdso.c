/* SPDX-License-Identifier: MIT */
/* The vDSO of an isle (vdso(7)): clocks and CPU number without leaving the application. Built as a
   shared library of its own; the proxy places it at LULL_VDSO. */
#include <lull/abi.h>
#include <lull/core.h>

#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))
/* struct percpu: index and cpu, in one word; kernel/percpu.h asserts where they are */
#define SELF_CPU (LULL_SELF + LULL_CORE_PRIVATE + 48)

typedef int64_t i64;
struct timespec {
    i64 sec, nsec;
};

static inline uint64_t ticks(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

#define NS 1000000000ul

static inline void clock_read(enum lull_clock id, struct timespec *out)
{
    const struct lull_timepage *t = (const struct lull_timepage *)LULL_TIMEPAGE;
    uint32_t seq;
    uint64_t sec, ns;
    do {
        while (__builtin_expect((seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE)) & 1, 0))
            __builtin_ia32_pause();
        sec = t->at[id].sec;
        ns =
            t->at[id].nsec + (uint64_t)((unsigned __int128)(ticks() - t->tsc_base) * t->mult >> 32);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__builtin_expect(__atomic_load_n(&t->seq, __ATOMIC_RELAXED) != seq, 0));
    if (__builtin_expect(ns >= 2 * NS, 0)) { /* the proxy has not been here for long */
        sec += ns / NS;
        ns %= NS;
    } else if (ns >= NS) {
        sec++;
        ns -= NS;
    }
    out->sec = (i64)sec;
    out->nsec = (i64)ns;
}

static inline void coarse_read(enum lull_clock id, struct timespec *out)
{
    clock_read(id, out);
    out->nsec -= LULL_COARSE_LAG((i64)((const struct lull_timepage *)LULL_TIMEPAGE)->tick);
    while (out->nsec < 0) {
        out->nsec += (i64)NS;
        out->sec--;
    }
}

static long trap2(long nr, long a, long b)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return r;
}

static __attribute__((noinline)) int other_clock(int id, struct timespec *ts)
{
    switch (id) {
    case 4:
        clock_read(LULL_CLOCK_RAW, ts);
        return 0;
    case 5: /* the coarse ones */
        coarse_read(LULL_CLOCK_REALTIME, ts);
        return 0;
    case 6:
        coarse_read(LULL_CLOCK_MONOTONIC, ts);
        return 0;
    case 7:
        clock_read(LULL_CLOCK_BOOTTIME, ts);
        return 0;
    case 11:
        clock_read(LULL_CLOCK_TAI, ts);
        return 0;
    default:
        return (int)trap2(228, id, (long)ts);
    }
}

EXPORT int __vdso_clock_gettime(int id, struct timespec *ts);
int __vdso_clock_gettime(int id, struct timespec *ts)
{
    if (__builtin_expect((unsigned)id > LULL_CLOCK_MONOTONIC, 0))
        return other_clock(id, ts);
    clock_read((enum lull_clock)id, ts);
    return 0;
}

EXPORT int __vdso_clock_getres(int id, struct timespec *ts);
int __vdso_clock_getres(int id, struct timespec *ts)
{
    return (int)trap2(229, id, (long)ts);
}

EXPORT int __vdso_gettimeofday(struct timespec *tv, uint32_t *zone);
int __vdso_gettimeofday(struct timespec *tv, uint32_t *zone)
{
    if (tv) {
        clock_read(LULL_CLOCK_REALTIME, tv);
        tv->nsec /= 1000;
    }
    if (zone)
        zone[0] = zone[1] = 0;
    return 0;
}

EXPORT i64 __vdso_time(i64 *out);
i64 __vdso_time(i64 *out)
{
    struct timespec ts;
    coarse_read(LULL_CLOCK_REALTIME, &ts); /* as Linux's */
    if (out)
        *out = ts.sec;
    return ts.sec;
}

EXPORT int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused);
int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
    uint64_t both = *(const volatile uint64_t *)SELF_CPU; /* one core's: it may change after it */
    (void)unused;
    if (cpu)
        *cpu = (uint32_t)(both >> 32);
    if (node)
        *node = ((const struct lull_boot *)LULL_BOOT)->node[(uint32_t)both];
    return 0;
}
