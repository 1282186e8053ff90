/* SPDX-License-Identifier: MIT */
/*
 * Far windows: the program's shared memory at addresses of its own choice. Address space for them
 * is taken where this process has nothing, in extents, for which the isle's machine has room behind
 * the windows; where each extent has its room is the isle's choice.
 */
#include <errno.h>
#include <limits.h>
#include <sys/mman.h>

#include "isle/isle_priv.h"

/*
 * Address space is the process's, and the guard of windows asks in a signal's handler. What has
 * gone is remembered until its number is used again: calls may still be under way.
 */
static struct {
    _Atomic uint64_t start, len; /* 0: none */
    _Atomic bool gone;
    uint64_t gpa;
} extent[LULL_FAR_MAX];
static _Atomic unsigned used; /* all numbers from here on are none */

/* Where the extents that are there end, of those that follow each other from `start` on. */
static uint64_t end_from(uint64_t start)
{
    unsigned n = used;
    for (unsigned i = 0; i < n; i++) {
        uint64_t from = extent[i].start;
        if (from && !extent[i].gone && start - from < extent[i].len) {
            start = from + extent[i].len;
            i = UINT_MAX; /* again from the first */
        }
    }
    return start;
}

bool far_has(uint64_t start, uint64_t len)
{
    return start >= LULL_FAR_BASE && start < LULL_FAR_END && len <= LULL_FAR_END - start &&
           end_from(start) >= start + (len ? len : 1);
}

bool far_had(uint64_t at)
{
    unsigned n = used;
    for (unsigned i = 0; i < n; i++) {
        if (extent[i].start && at - extent[i].start < extent[i].len)
            return true;
    }
    return false;
}

static void drop(struct isle *isle, uint64_t i)
{
    if (!extent[i].start || extent[i].gone)
        return;
    extent[i].gone = true;
    isle->add_memory(isle->engine, extent[i].gpa, NULL, extent[i].len);
    munmap((void *)extent[i].start, extent[i].len);
}

static int place(struct isle *isle, uint64_t start, uint64_t len, uint64_t i, uint64_t gpa)
{
    drop(isle, i);
    if (!len)
        return 0;
    void *p = mmap((void *)start, len, PROT_NONE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    if (isle->add_memory(isle->engine, gpa, p, len)) {
        munmap(p, len);
        return -ENOMEM;
    }
    extent[i].start = 0; /* nobody reads a mixture */
    extent[i].len = len;
    extent[i].gpa = gpa;
    extent[i].gone = false;
    extent[i].start = start;
    if (used <= i)
        used = (unsigned)i + 1;
    return 0;
}

int64_t isle_window_far(struct isle *isle, uint64_t start, uint64_t len, uint64_t i, uint64_t block)
{
    const uint64_t blocks = LULL_FAR_SIZE / LULL_HUGE;
    if (start % LULL_HUGE || len % LULL_HUGE || start < LULL_FAR_BASE || start >= LULL_FAR_END ||
        len > LULL_FAR_END - start || i >= LULL_FAR_MAX || block > blocks ||
        len / LULL_HUGE > blocks - block)
        return -EINVAL;
    if (!isle->far_gpa)
        return -ENOMEM;
    pthread_mutex_lock(&isle->lock);
    int r = place(isle, start, len, i, isle->far_gpa + block * LULL_HUGE);
    pthread_mutex_unlock(&isle->lock);
    return r;
}

int far_attach(isle_add_memory add, void *engine)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < used; i++) {
        if (extent[i].start && !extent[i].gone)
            r = add(engine, extent[i].gpa, (void *)extent[i].start, extent[i].len);
    }
    return r;
}

void far_destroy(void)
{
    for (unsigned i = 0; i < used; i++) {
        if (extent[i].start && !extent[i].gone)
            munmap((void *)extent[i].start, extent[i].len);
        extent[i].start = 0;
    }
    used = 0;
}
