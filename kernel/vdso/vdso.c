/* SPDX-License-Identifier: MIT */
/* The vDSO of an isle (vdso(7)): clocks and CPU number without leaving the application. Built as a
   shared library of its own; the proxy places it at LULL_VDSO. */
#include <lull/abi.h>
#include <lull/core.h>

#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))
/* offset of struct percpu's cpu behind GS; kernel/percpu.h asserts it */
#define GS_CPU (LULL_CORE_PRIVATE + 52)
#define GS_INDEX (LULL_CORE_PRIVATE + 48)

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

/* ns of the clock whose base stands at `offset` in the time page. */
static inline uint64_t read_ns(size_t offset)
{
    const struct lull_timepage *t = (const struct lull_timepage *)LULL_TIMEPAGE;
    uint32_t seq;
    uint64_t ns;
    do {
        while ((seq = __atomic_load_n(&t->seq, __ATOMIC_ACQUIRE)) & 1)
            __builtin_ia32_pause();
        ns = *(const uint64_t *)((const char *)t + offset) +
             (uint64_t)((unsigned __int128)(ticks() - t->tsc_base) * t->mult >> 32);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (__atomic_load_n(&t->seq, __ATOMIC_RELAXED) != seq);
    return ns;
}

static long trap2(long nr, long a, long b)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b) : "rcx", "r11", "memory");
    return r;
}

EXPORT int __vdso_clock_gettime(int id, struct timespec *ts);
int __vdso_clock_gettime(int id, struct timespec *ts)
{
    size_t offset;
    switch (id) {
    case 0:
    case 5:
        offset = offsetof(struct lull_timepage, real_ns);
        break;
    case 1:
    case 6:
        offset = offsetof(struct lull_timepage, mono_ns);
        break;
    case 4:
        offset = offsetof(struct lull_timepage, raw_ns);
        break;
    case 7:
        offset = offsetof(struct lull_timepage, boot_ns);
        break;
    case 11:
        offset = offsetof(struct lull_timepage, tai_ns);
        break;
    default:
        return (int)trap2(228, id, (long)ts);
    }
    uint64_t ns = read_ns(offset);
    ts->sec = (i64)(ns / 1000000000);
    ts->nsec = (i64)(ns % 1000000000);
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
        uint64_t ns = read_ns(offsetof(struct lull_timepage, real_ns));
        tv->sec = (i64)(ns / 1000000000);
        tv->nsec = (i64)(ns % 1000000000 / 1000);
    }
    if (zone)
        zone[0] = zone[1] = 0;
    return 0;
}

EXPORT i64 __vdso_time(i64 *out);
i64 __vdso_time(i64 *out)
{
    i64 s = (i64)(read_ns(offsetof(struct lull_timepage, real_ns)) / 1000000000);
    if (out)
        *out = s;
    return s;
}

EXPORT int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused);
int __vdso_getcpu(uint32_t *cpu, uint32_t *node, void *unused)
{
    uint32_t c, i;
    (void)unused;
    __asm__ volatile("movl %%gs:%c2, %0\n\tmovl %%gs:%c3, %1"
                     : "=&r"(c), "=&r"(i)
                     : "i"(GS_CPU), "i"(GS_INDEX));
    if (cpu)
        *cpu = c;
    if (node)
        *node = ((const struct lull_boot *)LULL_BOOT)->node[i];
    return 0;
}
