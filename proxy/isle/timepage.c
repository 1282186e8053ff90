/* SPDX-License-Identifier: MIT */
/* Keeps the isle's clocks in step with Linux's. One writer at a time. */
#include <pthread.h>
#include <sys/timex.h>
#include <time.h>

#include "isle/boot.h"

#define REFRESH_NS 1000000000ull
#define WALL_SLACK_NS 10000000ull
#define CATCH_UP_MAX 5e-4 /* how much slower a clock that runs ahead may go */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t khz;
static int64_t offset;            /* the isle's TSC less ours */
static bool virtual_time;         /* written once, never adjusted */
static struct lull_timepage last; /* what was written, kept apart from isle memory */

static uint64_t rdtsc_ordered(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

static uint64_t now(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* CLOCK at a TSC value: the tightest of a few brackets. */
static uint64_t sample(clockid_t id, uint64_t *tsc)
{
    uint64_t best = ~0ull, ns = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t a = rdtsc_ordered(), t = now(id), b = rdtsc_ordered();
        if (b - a < best) {
            best = b - a;
            *tsc = a + (b - a) / 2;
            ns = t;
        }
    }
    return ns;
}

static uint64_t scale(uint64_t ticks, uint64_t mult)
{
    return (uint64_t)((unsigned __int128)ticks * mult >> 32);
}

/* Value of a clock at tsc_base, given where it was sampled; never behind what was shown. */
static uint64_t at_base(clockid_t id, uint64_t base, uint64_t mult, uint64_t shown)
{
    uint64_t tsc = 0;
    uint64_t ns = sample(id, &tsc);
    ns = tsc >= base ? ns - scale(tsc - base, mult) : ns + scale(base - tsc, mult);
    /* wall clocks may be set back, but not by what sampling and slewing amount to */
    bool wall = id == CLOCK_REALTIME || id == CLOCK_TAI;
    return ns < shown && (!wall || shown - ns < WALL_SLACK_NS) ? shown : ns;
}

static void write_page(void)
{
    struct timex tx = {0};
    struct lull_timepage *page = (struct lull_timepage *)LULL_TIMEPAGE;
    adjtimex(&tx);
    /* ns in a tick, 32.32; Linux slews its clocks by tx.freq (2^-16 ppm, adjtimex(2)) */
    double rate = 1e6 / (double)khz * (1 + (double)tx.freq / 65536e6);
    uint64_t mult = (uint64_t)(rate * 4294967296.0 + 0.5);
    uint64_t base = rdtsc_ordered();
    uint64_t passed = last.mult ? scale(base - last.tsc_base, last.mult) : 0;
    struct lull_timepage p = {.tsc_base = base, .mult = mult};
    p.mono_ns = at_base(CLOCK_MONOTONIC, base, mult, last.mono_ns + passed);
    p.real_ns = at_base(CLOCK_REALTIME, base, mult, last.real_ns + passed);
    p.boot_ns = at_base(CLOCK_BOOTTIME, base, mult, last.boot_ns + passed);
    p.raw_ns = at_base(CLOCK_MONOTONIC_RAW, base, mult, last.raw_ns + passed);
    p.tai_ns = at_base(CLOCK_TAI, base, mult, last.tai_ns + passed);
    double ahead = (double)p.mono_ns - (double)at_base(CLOCK_MONOTONIC, base, mult, 0);
    if (ahead > 0) /* Linux catches up within a second */
        p.mult -=
            (uint64_t)((double)mult * (ahead / 1e9 < CATCH_UP_MAX ? ahead / 1e9 : CATCH_UP_MAX));
    p.seq = last.seq + 2;
    __atomic_store_n(&page->seq, p.seq - 1, __ATOMIC_SEQ_CST);
    page->tsc_base = p.tsc_base + (uint64_t)offset;
    page->mult = p.mult;
    page->mono_ns = p.mono_ns;
    page->real_ns = p.real_ns;
    page->boot_ns = p.boot_ns;
    page->raw_ns = p.raw_ns;
    page->tai_ns = p.tai_ns;
    __atomic_store_n(&page->seq, p.seq, __ATOMIC_SEQ_CST);
    last = p;
}

/* From now on a nanosecond is what the isle's TSC says, whatever passes here. */
static void write_virtual(const struct engine_clock *clock)
{
    struct lull_timepage *page = (struct lull_timepage *)LULL_TIMEPAGE;
    *page = (struct lull_timepage){.tsc_base = clock->tsc_at_set,
                                   .mult = (1000000ull << 32) / clock->tsc_khz,
                                   .mono_ns = now(CLOCK_MONOTONIC),
                                   .real_ns = now(CLOCK_REALTIME),
                                   .boot_ns = now(CLOCK_BOOTTIME),
                                   .raw_ns = now(CLOCK_MONOTONIC_RAW),
                                   .tai_ns = now(CLOCK_TAI)};
}

void timepage_init(const struct engine_clock *clock)
{
    khz = clock->tsc_khz;
    offset = clock->tsc_offset;
    virtual_time = clock->virtual_time;
    if (virtual_time)
        write_virtual(clock);
    else
        write_page();
}

void timepage_refresh(void)
{
    if (virtual_time || pthread_mutex_trylock(&lock))
        return;
    if (scale(rdtsc_ordered() - last.tsc_base, last.mult) > REFRESH_NS)
        write_page();
    pthread_mutex_unlock(&lock);
}
