/* SPDX-License-Identifier: MIT */
/*
 * Huge pages of Linux's pool in windows: files of hugetlbfs, MAP_HUGETLB, SHM_HUGETLB. mmap(2) and
 * shmat(2) round the length of such a mapping up to whole huge pages and replace with MAP_FIXED
 * whatever lies there. So nothing here maps at an address that is a multiple of a huge page and
 * with a length that is not, unless it is known that the pages are ordinary ones: Linux refuses a
 * mapping of huge pages at any other address. It would not be enough to look at the descriptor
 * before the call, because the program can make it another file at any time.
 */
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "isle/isle_priv.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

static const unsigned shifts[] = {21, 30};
#define SHIFTS (sizeof shifts / sizeof *shifts)

unsigned hugetlb_shift(int fd)
{
    struct statfs fs;
    if (fd < 0 || fstatfs(fd, &fs) || fs.f_type != HUGETLBFS_MAGIC || fs.f_bsize <= 0)
        return 0;
    return (unsigned)__builtin_ctzl((unsigned long)fs.f_bsize);
}

int64_t hugetlb_known(uint64_t shift)
{
    char line[128];
    unsigned long kb = 0;
    if (shift) {
        if (shift < 12 || shift > 40)
            return -EINVAL;
        snprintf(line, sizeof line, "/sys/kernel/mm/hugepages/hugepages-%llukB",
                 (1ull << shift) >> 10);
        return access(line, F_OK) ? -EINVAL : (int64_t)shift;
    }
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && !kb && fgets(line, sizeof line, f))
        if (sscanf(line, "Hugepagesize: %lu kB", &kb) != 1)
            kb = 0;
    if (f)
        fclose(f);
    return kb ? __builtin_ctzl(kb << 10) : -EINVAL;
}

/* The smallest size of huge pages above 1 << shift that Linux would round the length up to; 0: it
   would refuse the address, or the length is whole already. */
static uint64_t rounded_to(uint64_t start, uint64_t len, unsigned shift)
{
    for (size_t i = 0; i < SHIFTS; i++) {
        uint64_t page = 1ull << shifts[i];
        if (shifts[i] > shift && start % page == 0 && len % page)
            return page;
    }
    return 0;
}

void *hugetlb_map(uint64_t start, uint64_t len, int prot, int how, int fd, uint64_t offset,
                  unsigned shift)
{
    uint64_t page = how & MAP_ANONYMOUS ? 0 : rounded_to(start, len, shift);
    if (!page)
        return mmap((void *)start, len, prot, how | MAP_FIXED, fd, (off_t)offset);
    /* First where huge pages of that size are refused, then at its place. */
    uint64_t room = len + 2 * page;
    char *p = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return MAP_FAILED;
    uint64_t at = (((uint64_t)p + page - 1) & ~(page - 1)) + (shift ? 1ull << shift : LULL_PAGE);
    void *got = mmap((void *)at, len, prot, how | MAP_FIXED, fd, (off_t)offset);
    if (got != MAP_FAILED)
        got = mremap(got, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start);
    int error = errno;
    munmap(p, room);
    errno = error;
    return got;
}

/* log2 of the size of the huge pages that the mapping at `start` has; 0: ordinary ones. */
static unsigned shift_of(uint64_t start)
{
    char line[512];
    unsigned long from, to, kb = 0;
    bool here = false;
    if (madvise((void *)start, LULL_PAGE, MADV_COLD) == 0) /* a hint that is for no huge page */
        return 0;
    FILE *f = fopen("/proc/self/smaps", "re");
    while (f && !kb && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from == start;
        else if (here && sscanf(line, "KernelPageSize: %lu kB", &kb) != 1)
            kb = 0;
    }
    if (f)
        fclose(f);
    return kb << 10 > LULL_PAGE ? (unsigned)__builtin_ctzl(kb << 10) : 0;
}

int hugetlb_attach(uint64_t start, uint64_t len, uint64_t room, int id, int flags, unsigned *shift)
{
    void *trial = (void *)-1;
    *shift = 0;
    for (size_t i = 0; i < SHIFTS && trial == (void *)-1; i++) {
        uint64_t page = 1ull << shifts[i];
        if (start % page || len % page == 0 || room >= ((len + page - 1) & ~(page - 1)))
            continue;
        trial = shmat(id, NULL, flags);
        if (trial == (void *)-1)
            return -errno;
        *shift = shift_of((uint64_t)trial);
        if (*shift) {
            shmdt(trial);
            return -EAGAIN;
        }
    }
    int r = shmat(id, (void *)start, flags | SHM_REMAP) == (void *)-1 ? -errno : 0;
    if (trial != (void *)-1)
        shmdt(trial);
    else if (r == 0 && start % LULL_HUGE == 0)
        *shift = shift_of(start);
    return r;
}
