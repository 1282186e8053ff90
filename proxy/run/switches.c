/* SPDX-License-Identifier: MIT */
/*
 * How long Linux ran something else in a core's place, each time: perf's records of the switches of
 * that thread. perf_event_open(2); no right is needed for one's own threads.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ownfd.h"
#include "run/run_priv.h"

#define RING_BYTES (128ul << 10) /* power of two: 4000 preemptions between two readings */
#define RECORD_MAX 64u

struct switch_record { /* with sample_id_all and PERF_SAMPLE_TIME */
    struct perf_event_header header;
    uint64_t time;
};

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void switches_open(struct switches *s, pid_t tid)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_SOFTWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_SW_DUMMY,
        .sample_type = PERF_SAMPLE_TIME,
        .sample_id_all = 1,
        .context_switch = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
        .use_clockid = 1,
        .clockid = CLOCK_MONOTONIC,
    };
    int fd = (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
    if (fd < 0)
        return;
    void *map = mmap(NULL, page_bytes() + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        close(fd);
        return;
    }
    s->page = map;
    s->fd = ownfd_hide(fd);
}

void switches_forget(struct switches *s)
{
    if (s->page)
        close(s->fd);
    s->page = NULL; /* Linux leaves such a mapping out of a fork: something else may be there */
}

static void note(struct switches *s, const struct switch_record *r)
{
    if (r->header.misc & PERF_RECORD_MISC_SWITCH_OUT) {
        s->out_ns = r->header.misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT ? r->time : 0;
        return;
    }
    if (s->out_ns && r->time > s->out_ns) {
        uint64_t ns = r->time - s->out_ns;
        s->all.count++;
        s->all.total += ns;
        s->all.longest = ns > s->all.longest ? ns : s->all.longest;
        s->section_longest = ns > s->section_longest ? ns : s->section_longest;
    }
    s->out_ns = 0;
}

bool switches_half_full(const struct switches *s)
{
    const struct perf_event_mmap_page *page = s->page;
    return page &&
           __atomic_load_n(&page->data_head, __ATOMIC_RELAXED) - page->data_tail > RING_BYTES / 2;
}

void switches_read(struct switches *s)
{
    struct perf_event_mmap_page *page = s->page;
    if (!page)
        return;
    const char *data = (const char *)page + page_bytes();
    uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE), tail = page->data_tail;
    if (head - tail > RING_BYTES - RECORD_MAX) /* full: Linux has dropped what came then */
        s->incomplete = true;
    while (tail < head) {
        struct switch_record r;
        char *to = (char *)&r;
        for (size_t i = 0; i < sizeof r; i++) /* a record may go around the end */
            to[i] = data[(tail + i) & (RING_BYTES - 1)];
        if (r.header.size < sizeof r.header)
            break;
        if (r.header.type == PERF_RECORD_SWITCH)
            note(s, &r);
        else if (r.header.type == PERF_RECORD_LOST)
            s->incomplete = true;
        tail += r.header.size;
    }
    __atomic_store_n(&page->data_tail, head, __ATOMIC_RELEASE);
}
