/* SPDX-License-Identifier: MIT */
/* Keeps the isle's clocks in step with Linux's. One writer at a time. */
#include <pthread.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "isle/boot.h"

#define REFRESH_NS 1000000000ull
#define WALL_SLACK_NS 10000000ull
#define OTHER_CLOCKS_NS 2000000ull /* the page is never so far from clocks that it follows */
#define CATCH_UP_MAX 5e-4          /* how much slower a clock that runs ahead may go */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t khz;
static int64_t offset;    /* the isle's TSC less ours */
static bool virtual_time; /* written once, never adjusted */
static struct {
    uint32_t seq;
    uint64_t sets;
    uint64_t tsc_base, mult, ns[LULL_CLOCKS];
} last; /* what was written, kept apart from isle memory */

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

/* Value of a clock at tsc_base, given where it was sampled; never behind what was shown, unless
   somebody has set it back. */
static uint64_t at_base(clockid_t id, uint64_t base, uint64_t mult, uint64_t shown, bool was_set)
{
    uint64_t tsc = 0;
    uint64_t ns = sample(id, &tsc);
    ns = tsc >= base ? ns - scale(tsc - base, mult) : ns + scale(base - tsc, mult);
    /* unless it is known, a wall clock was not set back by what sampling and slewing amount to */
    bool wall = id == CLOCK_REALTIME || id == CLOCK_TAI;
    if (wall && (was_set || (ns < shown && shown - ns >= WALL_SLACK_NS)))
        return ns;
    return ns < shown ? shown : ns;
}

static const clockid_t linux_clock[LULL_CLOCKS] = {
    [LULL_CLOCK_REALTIME] = CLOCK_REALTIME, [LULL_CLOCK_MONOTONIC] = CLOCK_MONOTONIC,
    [LULL_CLOCK_BOOTTIME] = CLOCK_BOOTTIME, [LULL_CLOCK_RAW] = CLOCK_MONOTONIC_RAW,
    [LULL_CLOCK_TAI] = CLOCK_TAI,
};

/* ns; below a second, as CONFIG_HZ is at least 1 */
static uint32_t coarse_tick(void)
{
    struct timespec ts = {0};
    return clock_getres(CLOCK_REALTIME_COARSE, &ts) == 0 && ts.tv_sec == 0 && ts.tv_nsec > 0
               ? (uint32_t)ts.tv_nsec
               : 1;
}

static void page_write(uint64_t tsc_base, uint64_t mult, const uint64_t ns[LULL_CLOCKS])
{
    struct lull_timepage *page = (struct lull_timepage *)LULL_TIMEPAGE;
    last.seq += 2;
    __atomic_store_n(&page->seq, last.seq - 1, __ATOMIC_SEQ_CST);
    page->tick = coarse_tick();
    page->tsc_base = tsc_base;
    page->mult = mult;
    page->sets = last.sets;
    for (unsigned i = 0; i < LULL_CLOCKS; i++) {
        page->at[i].sec = ns[i] / 1000000000;
        page->at[i].nsec = ns[i] % 1000000000;
    }
    __atomic_store_n(&page->seq, last.seq, __ATOMIC_SEQ_CST);
}

static void write_page(bool was_set)
{
    struct timex tx = {0};
    adjtimex(&tx);
    /* ns in a tick, 32.32; Linux slews its clocks by tx.freq (2^-16 ppm, adjtimex(2)) */
    double rate = 1e6 / (double)khz * (1 + (double)tx.freq / 65536e6);
    uint64_t mult = (uint64_t)(rate * 4294967296.0 + 0.5);
    uint64_t base = rdtsc_ordered();
    uint64_t passed = last.mult ? scale(base - last.tsc_base, last.mult) : 0;
    for (unsigned i = 0; i < LULL_CLOCKS; i++)
        last.ns[i] = at_base(linux_clock[i], base, mult, last.ns[i] + passed, was_set);
    double ahead = (double)last.ns[LULL_CLOCK_MONOTONIC] -
                   (double)at_base(CLOCK_MONOTONIC, base, mult, 0, false);
    last.mult = mult;
    if (ahead > 0) /* Linux catches up within a second */
        last.mult -=
            (uint64_t)((double)mult * (ahead / 1e9 < CATCH_UP_MAX ? ahead / 1e9 : CATCH_UP_MAX));
    last.tsc_base = base;
    page_write(base + (uint64_t)offset, last.mult, last.ns);
}

/* From now on a nanosecond is what the isle's TSC says, whatever passes here. */
static void write_virtual(const struct engine_clock *clock)
{
    uint64_t ns[LULL_CLOCKS];
    for (unsigned i = 0; i < LULL_CLOCKS; i++)
        ns[i] = now(linux_clock[i]);
    page_write(clock->tsc_at_set, (1000000ull << 32) / clock->tsc_khz, ns);
}

void timepage_init(const struct engine_clock *clock)
{
    khz = clock->tsc_khz;
    offset = clock->tsc_offset;
    virtual_time = clock->virtual_time;
    if (virtual_time)
        write_virtual(clock);
    else
        write_page(false);
}

void timepage_renew(void)
{
    uint64_t tsc = 0, ns = sample(CLOCK_MONOTONIC, &tsc);
    uint64_t shown = last.ns[LULL_CLOCK_MONOTONIC] + scale(tsc - last.tsc_base, last.mult);
    uint64_t apart = ns > shown ? ns - shown : shown - ns;
    if (virtual_time || apart < OTHER_CLOCKS_NS)
        return;
    memset(last.ns, 0, sizeof last.ns);
    last.mult = 0;
    write_page(false);
}

void timepage_refresh(void)
{
    if (virtual_time || pthread_mutex_trylock(&lock))
        return;
    if (scale(rdtsc_ordered() - last.tsc_base, last.mult) > REFRESH_NS)
        write_page(false);
    pthread_mutex_unlock(&lock);
}

void timepage_forked(void)
{
    pthread_mutex_init(&lock, NULL);
    if (!virtual_time)
        write_page(false);
}

bool timepage_clock_set(void)
{
    if (virtual_time)
        return false;
    pthread_mutex_lock(&lock);
    last.sets++;
    write_page(true);
    pthread_mutex_unlock(&lock);
    return true;
}
