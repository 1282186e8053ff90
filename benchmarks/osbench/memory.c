/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "osbench/osbench.h"

#define PAGE 4096u

static char *map_fresh(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        fprintf(stderr, "osbench: mmap of %zu MiB: %s\n", size >> 20, strerror(errno));
        return NULL;
    }
    return p;
}

static void touch_all(volatile char *p, size_t size)
{
    for (size_t i = 0; i < size; i += PAGE)
        p[i] = 1;
}

/*
 * Memory that the process never had: earlier rounds stay mapped. The mmap is timed with the touch
 * too: whoever populates early pays there, and nothing shall be hidden.
 */
static int measure_fresh(const struct os_options *o, struct bench_result *r, double *v)
{
    const size_t size = o->mib << 20;
    const double pages = (double)(size / PAGE);
    double *touch = v, *both = v + o->rounds;
    char **kept = calloc(o->rounds, sizeof *kept);
    int rc = -1;
    if (!kept)
        goto out;
    for (uint64_t i = 0; i < o->rounds; i++) {
        uint64_t t0 = tsc_now();
        kept[i] = map_fresh(size);
        if (!kept[i])
            goto out;
        uint64_t t1 = tsc_now();
        touch_all(kept[i], size);
        uint64_t t2 = tsc_now();
        touch[i] = (double)(t2 - t1) / pages;
        both[i] = (double)(t2 - t0) / pages;
    }
    bench_add(r, "first touch, a page", "cycles", touch, o->rounds);
    bench_add(r, "map + touch, a page", "cycles", both, o->rounds);
    rc = 0;
out:
    for (uint64_t i = 0; kept && i < o->rounds && kept[i]; i++)
        munmap(kept[i], size);
    free(kept);
    return rc;
}

/* Each touch by itself, so that a few expensive ones among cheap ones are seen. */
static int measure_single(const struct os_options *o, struct bench_result *r)
{
    const size_t size = o->mib << 20, pages = size / PAGE;
    int rc = -1;
    double *ticks = malloc(pages * sizeof *ticks);
    volatile char *p = ticks ? map_fresh(size) : NULL;
    if (!p)
        goto out;
    memset(ticks, 0, pages * sizeof *ticks);
    for (size_t i = 0; i < pages; i++) {
        uint64_t t0 = tsc_now();
        p[i * PAGE] = 1;
        ticks[i] = (double)(tsc_now() - t0);
    }
    munmap((void *)p, size);
    bench_add(r, "touch of one page", "cycles", ticks, pages);
    rc = 0;
out:
    free(ticks);
    return rc;
}

/* Memory that was given back and comes again must be zero like any other. Untimed. */
static int check_zero(size_t size)
{
    char *p = map_fresh(size);
    if (!p)
        return -1;
    int bad = 0;
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word;
        memcpy(&word, p + i, 8);
        bad |= word != 0;
    }
    munmap(p, size);
    if (bad)
        fprintf(stderr, "osbench: fresh memory is not zero\n");
    return bad ? -1 : 0;
}

/* What a program sees that gives memory back and asks for it again. */
static int measure_reused(const struct os_options *o, struct bench_result *r, double *v)
{
    const size_t size = o->mib << 20;
    for (uint64_t i = 0; i < o->rounds; i++) {
        uint64_t t0 = tsc_now();
        char *p = map_fresh(size);
        if (!p)
            return -1;
        touch_all(p, size);
        munmap(p, size);
        v[i] = (double)(tsc_now() - t0) / (double)(size / PAGE);
    }
    bench_add(r, "map, touch, unmap, a page", "cycles", v, o->rounds);
    return check_zero(size);
}

int os_measure_memory(const struct os_options *o, struct bench_result *r)
{
    double *v = calloc(2 * o->rounds, sizeof *v);
    if (!v) {
        fprintf(stderr, "osbench: out of memory\n");
        return -1;
    }
    int rc = measure_fresh(o, r, v) || measure_single(o, r) || measure_reused(o, r, v) ? -1 : 0;
    free(v);
    return rc;
}
