/* SPDX-License-Identifier: MIT */
/*
 * Huge pages of Linux's pool. The pages come from vm.nr_overcommit_hugepages, which each case
 * raises and puts back; whoever may not change it sees an empty pool on both sides.
 */
#include "diff.h"

#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define HUGE (2ul << 20)
#define RW (PROT_READ | PROT_WRITE)
#define POOL "/proc/sys/vm/nr_overcommit_hugepages"
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif

static long pool_before = -1;

static long pool_number(long set)
{
    char text[32] = "";
    int fd = open(POOL, set < 0 ? O_RDONLY : O_WRONLY);
    long r = -1;

    if (fd < 0)
        return -1;
    if (set >= 0) {
        snprintf(text, sizeof text, "%ld\n", set);
        r = write(fd, text, strlen(text));
    } else if (read(fd, text, sizeof text - 1) > 0) {
        r = strtol(text, NULL, 10);
    }
    close(fd);
    return r;
}

static void pool_back(void)
{
    pool_number(pool_before);
}

static void pool(long pages)
{
    pool_before = pool_number(-1);
    if (pool_before >= 0 && pool_number(pool_before + pages) > 0)
        atexit(pool_back);
}

static int huge_file(size_t bytes)
{
    int fd = memfd_create("huge", MFD_HUGETLB);

    if (fd < 0 || ftruncate(fd, (off_t)bytes)) {
        perror("memfd_create");
        exit(99);
    }
    return fd;
}

static void *map_huge(size_t len, int flags)
{
    return mmap(NULL, len, RW, MAP_ANONYMOUS | MAP_HUGETLB | flags, -1, 0);
}

CASE(hugetlb, neighbours_of_a_short_mapping)
{
    int fd, plain = memfd_create("plain", 0);

    pool(8);
    fd = huge_file(HUGE);
    R(ftruncate(plain, 2 * PAGE));
    char *a = mmap(NULL, PAGE, RW, MAP_SHARED, plain, PAGE);
    char *w = mmap(NULL, PAGE, RW, MAP_SHARED, plain, 0);
    MAPPED(w);
    strcpy(w, "precious");
    R(munmap(a, PAGE));
    char *h = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    MAPPED(h);
    if (h == MAP_FAILED)
        return;
    strcpy(h, "huge");
    puts(w);
    char *again = mmap(NULL, HUGE, RW, MAP_SHARED, fd, 0);
    MAPPED(again);
    puts(again);
    R(munmap(h, PAGE));
    R(munmap(h + PAGE, HUGE - PAGE));
    R(munmap(h, HUGE));
    R(munmap(h, PAGE));
}

CASE(hugetlb, fixed_replaces_whole_huge_pages)
{
    int fd;

    pool(8);
    fd = huge_file(HUGE);
    char *room = mmap(NULL, 8 * HUGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *at = (char *)(((uintptr_t)room + HUGE - 1) & ~(HUGE - 1));
    MAPPED(room);
    R(mprotect(at, 3 * HUGE, RW));
    strcpy(at + HUGE + PAGE, "behind its length");
    strcpy(at + 2 * HUGE, "next");
    MAPPED(mmap(at + PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0));
    R(mmap(at + HUGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at + HUGE);
    puts(at + HUGE + PAGE);
    puts(at + 2 * HUGE);
    strcpy(at + HUGE, "in the file");
    R(mmap(at + HUGE, HUGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at + HUGE);
    puts(at + HUGE);
    /* over a part of a huge page */
    MAPPED(mmap(at + HUGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    MAPPED(mmap(at, 2 * HUGE - PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    puts(at + HUGE);
    R(munmap(at + HUGE, HUGE));
    R(mmap(at + HUGE, HUGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at + HUGE);
    SHOW(at[HUGE]);
}

CASE(hugetlb, arguments)
{
    int fd, plain = memfd_create("plain", 0);

    pool(8);
    fd = huge_file(2 * HUGE);
    MAPPED(mmap(NULL, HUGE, RW, MAP_SHARED, fd, PAGE));
    MAPPED(mmap(NULL, HUGE, RW, MAP_PRIVATE, fd, PAGE));
    MAPPED(mmap(NULL, HUGE, RW, MAP_PRIVATE, fd, HUGE));
    MAPPED(mmap(NULL, HUGE, RW, MAP_SHARED | MAP_HUGETLB, fd, HUGE));
    MAPPED(mmap(NULL, HUGE, RW, MAP_SHARED | MAP_HUGETLB, plain, 0));
    MAPPED(mmap(NULL, HUGE, RW, MAP_PRIVATE | MAP_HUGETLB, plain, 0));
    MAPPED(mmap(NULL, HUGE, RW, MAP_PRIVATE | MAP_HUGETLB, 999, 0));
    MAPPED(mmap(NULL, 0, RW, MAP_PRIVATE | MAP_HUGETLB | MAP_ANONYMOUS, -1, 0));
    MAPPED(mmap(NULL, ~0ul, RW, MAP_PRIVATE | MAP_HUGETLB | MAP_ANONYMOUS, -1, 0));
    MAPPED(
        mmap((void *)PAGE, HUGE, RW, MAP_PRIVATE | MAP_HUGETLB | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    MAPPED(map_huge(PAGE, MAP_PRIVATE));
    MAPPED(map_huge(HUGE, MAP_SHARED | MAP_HUGE_2MB));
    MAPPED(map_huge(HUGE, MAP_PRIVATE | 16 << 26));
    MAPPED(map_huge(HUGE, MAP_PRIVATE | 63 << 26));
    MAPPED(map_huge(1ul << 30, MAP_PRIVATE | 30 << 26));
    MAPPED(map_huge(1ul << 36, MAP_PRIVATE));
    char *p = map_huge(2 * HUGE, MAP_PRIVATE);
    MAPPED(p);
    if (p == MAP_FAILED)
        return;
    R(mprotect(p, PAGE, PROT_READ));
    R(mprotect(p, HUGE, PROT_READ));
    R(mprotect(p, HUGE, RW));
    R(madvise(p + PAGE, HUGE, MADV_DONTNEED));
    R(madvise(p, PAGE, MADV_DONTNEED));
    R(madvise(p, HUGE, MADV_FREE));
    R(msync(p, PAGE, MS_SYNC));
    R(mlock(p, PAGE));
    R(munlock(p, PAGE));
}

CASE(hugetlb, private_file)
{
    int fd, status;

    pool(8);
    fd = huge_file(2 * HUGE);
    char *s = mmap(NULL, 2 * HUGE, RW, MAP_SHARED, fd, 0);
    char *p = mmap(NULL, 2 * HUGE, RW, MAP_PRIVATE, fd, 0);
    MAPPED(s);
    MAPPED(p);
    if (s == MAP_FAILED || p == MAP_FAILED)
        return;
    strcpy(s, "shared");
    puts(p);
    strcpy(p, "private");
    puts(s);
    strcpy(s + HUGE, "later");
    puts(p + HUGE);
    fflush(stdout);
    if (fork() == 0) {
        strcpy(p, "the child's");
        strcpy(s, "of both");
        _exit(0);
    }
    R(wait(&status) > 0);
    SHOW(status);
    puts(p);
    puts(s);
    R(madvise(p, HUGE, MADV_DONTNEED));
    puts(p);
    R(munmap(p, 2 * HUGE));
    R(munmap(s, 2 * HUGE));
}

/* What a mapping has reserved is free again when it ends. */
CASE(hugetlb, private_file_again_and_again)
{
    int fd, failed = 0;

    pool(2);
    fd = huge_file(HUGE);
    for (int i = 0; i < 6; i++) {
        char *p = mmap(NULL, HUGE, RW, MAP_PRIVATE, fd, 0);
        failed += p == MAP_FAILED || munmap(p, HUGE);
    }
    SHOW(failed);
}

CASE(hugetlb, anonymous_and_fork)
{
    int status;

    pool(8);
    char *p = map_huge(2 * HUGE, MAP_PRIVATE), *s = map_huge(HUGE, MAP_SHARED);
    MAPPED(p);
    MAPPED(s);
    if (p == MAP_FAILED || s == MAP_FAILED)
        return;
    SHOW(p[HUGE]);
    strcpy(p, "parent");
    fflush(stdout);
    if (fork() == 0) {
        strcpy(s, p);
        strcpy(p, "child");
        _exit(0);
    }
    R(wait(&status) > 0);
    SHOW(status);
    puts(p);
    puts(s);
    R(madvise(p, HUGE, MADV_DONTNEED));
    SHOW(p[0]);
}

CASE(hugetlb, grows_only_when_it_is_mapped_for_writing)
{
    struct stat st;
    int fd;

    pool(8);
    fd = huge_file(0);
    char *r = mmap(NULL, HUGE, PROT_READ, MAP_SHARED, fd, 0);
    R(fstat(fd, &st));
    SHOW(st.st_size);
    char *w = mmap(NULL, 2 * HUGE, RW, MAP_SHARED, fd, 0);
    R(fstat(fd, &st));
    SHOW(st.st_size);
    SHOW(st.st_blksize);
    if (r == MAP_FAILED || w == MAP_FAILED)
        return;
    w[0] = 7;
    SHOW(r[0]);
    R(mprotect(r, HUGE, RW));
    r[0] = 8;
    SHOW(w[0]);
    R(ftruncate(fd, PAGE));
    R(ftruncate(fd, HUGE));
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, HUGE));
    SHOW(w[0]);
    R(write(fd, "x", 1));
    char c = 1;
    R(pread(fd, &c, 1, 0));
    SHOW(c);
}

static void on_bus(int signo)
{
    (void)signo;
    puts("SIGBUS");
    fflush(stdout);
    _exit(0); /* atexit() has nothing to do: it is a child */
}

CASE(hugetlb, behind_the_end_and_without_a_page)
{
    int fd, status;

    pool(2);
    signal(SIGBUS, on_bus);
    fd = huge_file(HUGE);
    char *p = mmap(NULL, 2 * HUGE, PROT_READ, MAP_SHARED, fd, 0);
    MAPPED(p);
    fflush(stdout);
    if (p != MAP_FAILED && fork() == 0) {
        printf("%d\n", p[0]);
        printf("%d\n", p[HUGE]);
        _exit(1);
    }
    wait(&status);
    SHOW(status);
    fflush(stdout);
    if (fork() == 0) { /* nothing is reserved: the third touch finds the pool empty */
        char *q = map_huge(4 * HUGE, MAP_PRIVATE | MAP_NORESERVE);
        MAPPED(q);
        fflush(stdout);
        for (int i = 0; q != MAP_FAILED && i < 4; i++)
            q[(size_t)i * HUGE] = 1;
        _exit(1);
    }
    wait(&status);
    SHOW(status);
    MAPPED(map_huge(64 * HUGE, MAP_PRIVATE));
}

CASE(hugetlb, mremap)
{
    pool(8);
    char *p = map_huge(3 * HUGE, MAP_PRIVATE), *to = map_huge(2 * HUGE, MAP_PRIVATE);
    MAPPED(p);
    MAPPED(to);
    if (p == MAP_FAILED || to == MAP_FAILED)
        return;
    strcpy(p, "moves");
    strcpy(p + HUGE, "moves too");
    R(mremap(p, HUGE, 2 * HUGE, MREMAP_MAYMOVE) == MAP_FAILED);
    R(mremap(p + PAGE, HUGE, HUGE, MREMAP_MAYMOVE) == MAP_FAILED);
    R(mremap(p, 3 * HUGE, 2 * HUGE, 0) == p);
    R(mremap(p, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) == MAP_FAILED);
    R(mremap(p, 2 * HUGE, 2 * HUGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    puts(to);
    puts(to + HUGE);
    R(msync(p, PAGE, MS_ASYNC));
}

CASE(hugetlb, mincore)
{
    unsigned char there[1024];

    pool(8);
    char *p = map_huge(2 * HUGE, MAP_PRIVATE);
    MAPPED(p);
    if (p == MAP_FAILED)
        return;
    p[HUGE] = 1;
    R(mincore(p, 2 * HUGE, there));
    SHOW(there[0] & 1);
    SHOW(there[511] & 1);
    SHOW(there[512] & 1);
    SHOW(there[1023] & 1);
}

CASE(hugetlb, segments)
{
    struct shmid_ds ds;
    int id;

    pool(8);
    id = shmget(IPC_PRIVATE, HUGE + PAGE, IPC_CREAT | SHM_HUGETLB | 0600);
    SHOW(id >= 0);
    if (id < 0)
        return;
    char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
    MAPPED(p);
    MAPPED(q);
    SHOW((uintptr_t)p % HUGE);
    strcpy(p, "first");
    strcpy(p + 2 * HUGE - 8, "last");
    puts(q);
    puts(q + 2 * HUGE - 8);
    R(shmctl(id, IPC_STAT, &ds));
    SHOW(ds.shm_segsz);
    SHOW(ds.shm_nattch);
    SHOW(ds.shm_dtime);
    R(mprotect(q, HUGE, RW));
    R(munmap(p, PAGE));
    R(shmdt(p));
    R(shmat(id, p + PAGE, 0) == (void *)-1);
    R(shmat(id, q, 0) == (void *)-1);
    R(shmat(id, p, 0) == p);
    puts(p);
    R(shmctl(id, IPC_STAT, &ds));
    SHOW(ds.shm_nattch);
    R(shmctl(id, IPC_RMID, NULL));
}

static void show_map(const void *at)
{
    static const char *const wanted[] = {
        "Size:", "KernelPageSize:", "MMUPageSize:", "Rss:", "Shared_Hugetlb:", "Private_Hugetlb:"};
    char line[512], start[32];
    FILE *f = fopen("/proc/self/smaps", "r");
    int here = 0;

    snprintf(start, sizeof start, "%lx-", (unsigned long)at);
    while (f && fgets(line, sizeof line, f)) {
        if (strchr(line, '-') && strspn(line, "0123456789abcdef") == strcspn(line, "-")) {
            here = !strncmp(line, start, strlen(start));
            if (here)
                printf("%s rights %.4s\n", strchr(line, '/') ? strchr(line, '/') : "no name\n",
                       strchr(line, ' ') + 1);
        }
        for (size_t i = 0; here && i < sizeof wanted / sizeof *wanted; i++)
            if (!strncmp(line, wanted[i], strlen(wanted[i])))
                fputs(line, stdout);
    }
    if (f)
        fclose(f);
}

CASE(hugetlb, smaps)
{
    char line[256];

    pool(8);
    char *p = map_huge(2 * HUGE, MAP_PRIVATE), *s = map_huge(HUGE, MAP_SHARED);
    if (p == MAP_FAILED || s == MAP_FAILED)
        return;
    p[0] = s[0] = 1;
    show_map(p);
    show_map(s);
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "HugetlbPages", 12))
            fputs(line, stdout);
    if (f)
        fclose(f);
}
