/* SPDX-License-Identifier: MIT */
/*
 * /proc/self/pagemap as it is at the moment it is opened. The proxy has the program's pages at the
 * program's addresses, so Linux's entries are the right ones, with the page's number for those whom
 * Linux tells it (CAP_SYS_ADMIN); of addresses that are not the program's nothing is shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

#include "serve/call.h"
#include "serve/path_priv.h"
#include "serve/view.h"

#define ENTRIES 512u                           /* that are read at once; of each thread */
#define GUARD_REGION (1ull << 62 | 1ull << 58) /* since Linux 6.15, and marked as swapped out */

static bool has_pages(const struct lull_map *m)
{
    bool beyond = m->flags & LULL_MAP_BEYOND && !(m->flags & LULL_MAP_WINDOW);
    return (m->prot || m->flags & LULL_MAP_TOUCHED) && !beyond &&
           !(m->flags & (LULL_MAP_RESERVED | LULL_MAP_HOLD | LULL_MAP_STUBS));
}

/* Entries of n pages from `at` on; false: they are all zero. */
static bool entries_of(const struct lull_map *m, int linux_fd, uint64_t at, uint64_t n,
                       uint64_t *entry)
{
    bool guard = m->flags & LULL_MAP_GUARD, any = guard;
    long got = 0;
    if (!guard)
        got = server_syscall(SYS_pread64, linux_fd, (long)entry, (long)(n * 8),
                             (long)(at / LULL_PAGE * 8));
    for (uint64_t i = 0; i < n; i++) {
        if (guard)
            entry[i] = GUARD_REGION;
        else if (got < 0 || i >= (uint64_t)got / 8)
            entry[i] = 0;
        any |= entry[i] != 0;
    }
    return any;
}

static int64_t fill_one(const struct lull_map *m, int linux_fd, int fd)
{
    static _Thread_local uint64_t entry[ENTRIES];
    for (uint64_t at = m->start; at < m->end;) {
        uint64_t left = (m->end - at) / LULL_PAGE, n = left < ENTRIES ? left : ENTRIES;
        if (entries_of(m, linux_fd, at, n, entry)) {
            long done = server_syscall(SYS_pwrite64, fd, (long)entry, (long)(n * 8),
                                       (long)(at / LULL_PAGE * 8));
            if (done != (long)(n * 8))
                return done < 0 ? done : -EIO;
        }
        at += n * LULL_PAGE;
    }
    return 0;
}

int64_t view_pagemap_fill(int fd, const struct text *t)
{
    char path[64];
    int dir = path_self(path, "pagemap", 0);
    long linux_fd = server_syscall(SYS_openat, dir, (long)path, O_RDONLY | O_CLOEXEC, 0);
    int64_t r = 0;
    uint64_t end = 0;
    if (linux_fd < 0)
        return linux_fd;
    for (uint32_t i = 0; r == 0 && i < t->nmaps; i++) {
        const struct lull_map *m = &t->maps[i];
        if (!view_map_sane(m) || m->start < end)
            continue;
        end = m->end;
        if (has_pages(m) || m->flags & LULL_MAP_GUARD)
            r = fill_one(m, (int)linux_fd, fd);
    }
    server_syscall(SYS_close, linux_fd, 0, 0, 0);
    return r;
}
