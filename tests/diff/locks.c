/* SPDX-License-Identifier: MIT */
/* mlock(2), mseal(2), guard pages, MAP_DROPPABLE, remap_file_pages(2): what they permit and
   show. */
#include "diff.h"

#include <grp.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/wait.h>

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static int got_code;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    got_code = info->si_code;
    siglongjmp(back, signo);
}

static void touch(const char *text, volatile char *p, int writes)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    int signo = sigsetjmp(back, 1);
    if (signo) {
        printf("%s: SIG%s code %d\n", text, sigabbrev_np(signo), got_code);
        return;
    }
    if (writes)
        *p = 1;
    printf("%s: %d\n", text, *p);
}

/* Pages that stand alone, so that no neighbour becomes one mapping with them. */
static char *map(size_t pages)
{
    char *p = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, ANON, -1, 0);
    return mmap(p + PAGE, pages * PAGE, RW, ANON | MAP_FIXED, -1, 0);
}

static char *map_file(size_t pages, int prot, int flags)
{
    int fd = file_with("f", "text");
    OK(ftruncate(fd, (off_t)(pages * PAGE)));
    char *p = mmap(NULL, pages * PAGE, prot, flags, fd, 0);
    close(fd);
    return p;
}

/* Pages, by VmLck of /proc/self/status. */
static long locked(void)
{
    char line[256];
    long kb = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        sscanf(line, "VmLck: %ld", &kb);
    if (f)
        fclose(f);
    return kb / 4;
}

/* "Locked" of the mapping at p in smaps, pages. */
static long locked_at(const char *p)
{
    char line[512];
    long kb = -1;
    unsigned long start = 0, from, to;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            start = from;
        if (start == (unsigned long)p && sscanf(line, "Locked: %ld", &kb) == 1)
            break;
    }
    if (f)
        fclose(f);
    return kb / 4;
}

CASE(locks, what_is_locked_counts)
{
    char *p = map(8);

    SHOW(locked());
    R(mlock(p + 5, 1));
    SHOW(locked());
    R(mlock(p, 4 * PAGE));
    R(mlock(p, 4 * PAGE));
    SHOW(locked());
    SHOW(locked_at(p));
    R(munlock(p + PAGE, PAGE));
    SHOW(locked());
    SHOW(locked_at(p));
    SHOW(locked_at(p + 2 * PAGE));
    R(mlock2(p + 6 * PAGE, PAGE, MLOCK_ONFAULT));
    R(mlock2(p + 6 * PAGE, PAGE, 0));
    SHOW(locked());
    R(munmap(p + 2 * PAGE, PAGE));
    SHOW(locked());
    R(mlock(p, 8 * PAGE)); /* as far as the hole */
    SHOW(locked());
    R(munlock(p, 8 * PAGE));
    SHOW(locked());
    R(mlock(p, 0));
    R(mlock(p + PAGE - 1, 0));
    R(mlock(p + PAGE - 1, (size_t)-1));
    SHOW(locked());
    OK(mmap(p, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
    SHOW(locked());
}

CASE(locks, new_mappings_are_locked)
{
    char *p = mmap(NULL, 3 * PAGE, RW, ANON | MAP_LOCKED, -1, 0), *q;
    long before;

    SHOW(locked());
    p = mremap(p, 3 * PAGE, 5 * PAGE, MREMAP_MAYMOVE);
    SHOW(locked());
    R(munmap(p, 5 * PAGE));
    SHOW(locked());
    R(mlockall(MCL_FUTURE));
    SHOW(locked());
    p = map(4);
    SHOW(locked() - 2); /* closed ones count too */
    before = locked();
    p = sbrk(2 * PAGE);
    SHOW(locked() - before);
    R(mlockall(MCL_CURRENT)); /* new ones are not any more */
    before = locked();
    SHOW(before > 100);
    map(2);
    SHOW(locked() - before);
    R(munlockall());
    SHOW(locked());
    q = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    SHOW(locked());
    SHOW(locked_at(q));
    R(munmap(q, 4 * PAGE));
    SHOW(locked());
}

CASE(locks, children_have_none)
{
    int status = 0;
    R(mlockall(MCL_CURRENT | MCL_FUTURE));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SHOW(locked());
        map(2);
        SHOW(locked());
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    SHOW(status);
    SHOW(locked() > 100);
}

CASE(locks, calls_that_locked_pages_forbid)
{
    char *p = map(4), *q = map_file(2, RW, MAP_SHARED);

    R(mlock(p + PAGE, PAGE));
    *p = 'x';
    p[PAGE] = 'y';
    p[2 * PAGE] = 'z';
    R(madvise(p, 3 * PAGE, MADV_DONTNEED));
    SHOW(p[0]);
    SHOW(p[PAGE]);
    SHOW(p[2 * PAGE]);
    R(madvise(p + PAGE, PAGE, MADV_FREE));
    R(madvise(p + PAGE, PAGE, MADV_COLD));
    R(madvise(p + PAGE, PAGE, MADV_PAGEOUT));
    R(madvise(p + PAGE, PAGE, MADV_WILLNEED));
    R(madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL));
    R(madvise(p, 3 * PAGE, MADV_DONTNEED_LOCKED));
    SHOW(p[PAGE]);
    SHOW(p[2 * PAGE]);
    R(msync(q, 2 * PAGE, MS_SYNC | MS_INVALIDATE));
    R(mlock(q + PAGE, PAGE));
    R(msync(q, 2 * PAGE, MS_SYNC | MS_INVALIDATE));
    R(msync(q, 2 * PAGE, MS_SYNC));
    R(msync(p, 2 * PAGE, MS_INVALIDATE));
    R(madvise(q, 2 * PAGE, MADV_REMOVE));
    SHOW(q[0]);
    q = mmap(NULL, PAGE, PROT_NONE, ANON, -1, 0);
    R(mlock(q, PAGE));
    R(mlock2(q, PAGE, MLOCK_ONFAULT));
    q = map_file(1, RW, MAP_SHARED);
    q = mremap(q, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    R(mlock(q, 3 * PAGE)); /* behind its end */
    R(munlock(q, 3 * PAGE));
}

/* Runs as a user without rights, with this soft limit. */
static void with_limit(rlim_t bytes, void (*what)(void))
{
    struct rlimit l;
    int status = 0;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        getrlimit(RLIMIT_MEMLOCK, &l);
        l.rlim_cur = bytes;
        if (setrlimit(RLIMIT_MEMLOCK, &l) || setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
            setresuid(65534, 65534, 65534))
            exit(99);
        what();
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    SHOW(status);
}

static void at_the_limit(void)
{
    char *p = map(8), *q;
    struct rlimit more;

    R(mlock(p, 9 * PAGE));
    R(mlock(p, 6 * PAGE));
    R(mlock(p + 4 * PAGE, 4 * PAGE));
    R(mlock(p, 8 * PAGE)); /* what is locked already does not count twice */
    SHOW(errno);
    R(mlock(map(1), PAGE));
    OK(mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0));
    OK(mremap(p, 8 * PAGE, 9 * PAGE, MREMAP_MAYMOVE));
    R(mlockall(MCL_CURRENT));
    R(mlockall(MCL_FUTURE));
    OK(mmap(NULL, PAGE, RW, ANON, -1, 0));
    OK(sbrk(PAGE));
    getrlimit(RLIMIT_MEMLOCK, &more);
    more.rlim_cur = 12 * PAGE;
    R(setrlimit(RLIMIT_MEMLOCK, &more));
    q = mmap(NULL, PAGE, RW, ANON, -1, 0);
    MAPPED(q);
    OK(mmap(NULL, 4 * PAGE, RW, ANON, -1, 0));
    R(munmap(q, PAGE));
    OK(mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    R(munlockall());
    SHOW(locked());
}

static void no_limit_at_all(void)
{
    char *p = map(1);

    R(mlock(p, PAGE));
    R(mlock2(p, PAGE, MLOCK_ONFAULT));
    R(munlock(p, PAGE));
    R(mlockall(MCL_CURRENT));
    R(mlockall(MCL_FUTURE));
    R(munlockall());
    OK(mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0));
}

CASE(locks, limits_of_a_user)
{
    with_limit(8 * PAGE, at_the_limit);
    with_limit(0, no_limit_at_all);
}

static long seal(void *p, size_t len)
{
    return syscall(462, p, len, 0);
}

CASE(locks, sealed_mappings_stay)
{
    char *p = map(8), *q = map(2);

    R(seal(p + 1, PAGE));
    R(seal(p, (size_t)-PAGE));
    R(seal(p, 20 * PAGE));
    R(syscall(462, p, PAGE, 1ul));
    R(seal(p, 0));
    R(seal(p + 2 * PAGE, 2 * PAGE - 1));
    R(seal(p + 2 * PAGE, 2 * PAGE));
    p[2 * PAGE] = 's';
    R(munmap(p, 8 * PAGE));
    R(munmap(p + 3 * PAGE, PAGE));
    touch("before it", p, 1);
    R(mprotect(p, 8 * PAGE, PROT_READ)); /* as far as the sealed ones */
    touch("before it", p, 1);
    touch("behind it", p + 5 * PAGE, 1);
    R(mprotect(p + 2 * PAGE, PAGE, RW));
    OK(mmap(p, 8 * PAGE, RW, ANON | MAP_FIXED, -1, 0));
    OK(mmap(p + 3 * PAGE, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
    OK(mremap(p + 2 * PAGE, 2 * PAGE, PAGE, 0));
    OK(mremap(p + 2 * PAGE, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    OK(mremap(q, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 3 * PAGE));
    SHOW(q[0]);
    R(madvise(p + 2 * PAGE, PAGE, MADV_WILLNEED));
    R(madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED)); /* it may be written to */
    SHOW(p[2 * PAGE]);
    R(mlock(p + 2 * PAGE, PAGE));
    R(munlock(p + 2 * PAGE, PAGE));
    R(munmap(p + 4 * PAGE, 4 * PAGE));
}

CASE(locks, sealed_and_read_only)
{
    char *p = map(3), *q = map_file(2, PROT_READ, MAP_PRIVATE),
         *shared = map_file(2, PROT_READ, MAP_SHARED);

    p[0] = p[PAGE] = 'p';
    R(mprotect(p + PAGE, PAGE, PROT_READ));
    R(seal(p + PAGE, PAGE));
    R(madvise(p, 3 * PAGE, MADV_DONTNEED));
    SHOW(p[0]);
    SHOW(p[PAGE]);
    R(madvise(p + PAGE, PAGE, MADV_FREE));
    R(madvise(p + PAGE, PAGE, MADV_DONTFORK));
    R(madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
    R(madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL));
    R(madvise(p + PAGE, PAGE, MADV_COLD));
    R(madvise(p + PAGE, PAGE, MADV_DOFORK));
    R(seal(q, 2 * PAGE));
    R(madvise(q, PAGE, MADV_DONTNEED));
    R(munmap(q, PAGE));
    R(seal(shared, PAGE));
    R(madvise(shared, PAGE, MADV_DONTNEED));
    R(munmap(shared, PAGE));
    OK(mremap(shared, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map(2)));
}

CASE(locks, a_child_is_sealed_too)
{
    char *p = map(1);
    int status = 0;

    R(seal(p, PAGE));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        R(munmap(p, PAGE));
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    SHOW(status);
}

CASE(locks, guard_pages)
{
    char *p = map(8), buf[8];
    int fds[2];

    memset(p, 'x', 8 * PAGE);
    R(pipe(fds));
    R(madvise(p + PAGE, 2 * PAGE, MADV_GUARD_INSTALL));
    touch("guarded, read", p + PAGE, 0);
    touch("guarded, written to", p + 2 * PAGE, 1);
    touch("before it", p, 0);
    touch("behind it", p + 3 * PAGE, 0);
    R(write(fds[1], p + PAGE, 4));
    R(mprotect(p, 8 * PAGE, PROT_READ));
    touch("guarded still", p + PAGE, 0);
    touch("guarded still, written to", p + PAGE, 1);
    R(mprotect(p, 8 * PAGE, RW));
    R(madvise(p, 4 * PAGE, MADV_DONTNEED));
    touch("guarded still", p + PAGE, 0);
    R(madvise(p, 4 * PAGE, MADV_POPULATE_READ));
    R(madvise(p + PAGE, PAGE, MADV_GUARD_REMOVE));
    touch("open", p + PAGE, 0);
    touch("open", p + PAGE, 1);
    touch("guarded", p + 2 * PAGE, 1);
    R(madvise(p, 8 * PAGE, MADV_GUARD_REMOVE));
    touch("open", p + 2 * PAGE, 0);
    SHOW(p[4 * PAGE]);
    R(madvise(p + 4 * PAGE, PAGE, MADV_GUARD_INSTALL));
    R(mmap(p + 4 * PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + 4 * PAGE);
    touch("mapped anew", p + 4 * PAGE, 1);
    R(munmap(p + 5 * PAGE, PAGE));
    R(madvise(p + 4 * PAGE, 3 * PAGE, MADV_GUARD_INSTALL)); /* a hole: the rest is done */
    touch("behind the hole", p + 6 * PAGE, 1);
    R(madvise(p + 1, PAGE, MADV_GUARD_INSTALL));
    R(read(fds[0], buf, 0));
}

CASE(locks, guard_pages_move_and_fork)
{
    char *p = map(4), *q = map(4);
    int status = 0;

    memset(p, 'x', 4 * PAGE);
    R(madvise(p + PAGE, PAGE, MADV_GUARD_INSTALL));
    R(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
    touch("guarded", q + PAGE, 0);
    touch("before it", q, 0);
    touch("behind it", q + 2 * PAGE, 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        touch("guarded", q + PAGE, 0);
        R(madvise(q, 4 * PAGE, MADV_GUARD_REMOVE));
        touch("open", q + PAGE, 0);
        touch("behind it", q + 2 * PAGE, 0);
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    SHOW(status);
}

CASE(locks, guard_pages_of_a_shared_file)
{
    char *p = map_file(4, RW, MAP_SHARED);

    p[PAGE] = 'y';
    R(madvise(p, 2 * PAGE, MADV_GUARD_INSTALL));
    touch("guarded", p + PAGE, 1);
    touch("behind it", p + 2 * PAGE, 0);
    R(madvise(p, 4 * PAGE, MADV_GUARD_REMOVE));
    SHOW(p[0]);
    SHOW(p[PAGE]);
}

CASE(locks, guard_pages_behind_a_files_end)
{
    int fd = file_with("short", "x");
    char *p = mmap(NULL, 6 * PAGE, RW, MAP_SHARED, file_with("other", "x"), 0), *q;

    MAPPED(p);
    R(ftruncate(fd, PAGE));
    q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    MAPPED(q);
    q[0] = 'y';
    R(madvise(p + 2 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL));
    R(ftruncate(fd, 0));
    touch("of a file that became shorter", q, 0);
    touch("guarded", p + 3 * PAGE, 0);
    touch("behind the file's end", p + 5 * PAGE, 0);
    touch("guarded still", p + 3 * PAGE, 0);
    touch("guarded still", p + 3 * PAGE, 1);
    R(madvise(p, 6 * PAGE, MADV_GUARD_REMOVE));
    touch("open", p + 3 * PAGE, 0);
}

CASE(locks, what_stays_behind_a_move_is_unlocked)
{
    char *p = map(6), *q = map(2);

    R(mlock(p, 6 * PAGE));
    R(mremap(p + 2 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
             q) == q);
    R(madvise(p, PAGE, MADV_DONTNEED));
    R(madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED));
    R(madvise(p + 5 * PAGE, PAGE, MADV_DONTNEED));
    R(madvise(q, PAGE, MADV_DONTNEED));
}

CASE(locks, droppable)
{
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
    int status = 0;

    MAPPED(p);
    p[PAGE] = 'd';
    SHOW(p[PAGE] + p[0]);
    OK(mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_DROPPABLE, file_with("f", "x"), 0));
    R(mlock(p, 4 * PAGE));
    SHOW(locked());
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        SHOW(p[PAGE]);
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    SHOW(status);
    R(madvise(p, PAGE, MADV_KEEPONFORK));
    R(madvise(p, PAGE, MADV_DODUMP));
    R(munmap(p, 4 * PAGE));
}

CASE(locks, remap_file_pages)
{
    char *p, *q = map_file(2, RW, MAP_PRIVATE);
    int fd = file_with("f", "");

    OK(ftruncate(fd, 8 * PAGE));
    for (int i = 0; i < 8; i++)
        R(pwrite(fd, &"01234567"[i], 1, i * (off_t)PAGE));
    p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    R(remap_file_pages(p, 2 * PAGE, 0, 6, 0));
    show_bytes("first", p, 1);
    show_bytes("second", p + PAGE, 1);
    show_bytes("third", p + 2 * PAGE, 1);
    R(remap_file_pages(p + 3 * PAGE, PAGE, 0, 8, 0));
    touch("behind the end", p + 3 * PAGE, 0);
    p[0] = 'X';
    R(pread(fd, q, 1, 6 * PAGE));
    SHOW(q[0]);
    R(remap_file_pages(p, PAGE, 1, 0, 0));
    R(remap_file_pages(p, PAGE - 1, 0, 0, 0));
    R(remap_file_pages(p, 9 * PAGE, 0, 0, 0));
    R(remap_file_pages(q, PAGE, 0, 0, 0));
    R(remap_file_pages(p, PAGE, 0, (size_t)-1, 0));
    R(remap_file_pages(p, 3 * PAGE, 0, 0, 0)); /* of two mappings */
    R(munmap(p, 4 * PAGE));
    p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    p[3 * PAGE] = 's';
    R(remap_file_pages(p, PAGE, 0, 3, 0));
    SHOW(p[0]);
}

CASE(locks, mincore_of_what_is_touched_later)
{
    unsigned char v[100];
    char *p = mmap(NULL, 100 * PAGE, RW, ANON | MAP_NORESERVE, -1, 0), *q;

    R(madvise(p, 100 * PAGE, MADV_NOHUGEPAGE));
    p[PAGE] = p[99 * PAGE] = 1;
    R(mincore(p, 100 * PAGE, v));
    SHOW(v[0] + v[2] + v[98]);
    SHOW(v[1] + v[99]);
    R(madvise(p + 50 * PAGE, PAGE, MADV_POPULATE_WRITE));
    R(mincore(p + 50 * PAGE, 2 * PAGE, v));
    SHOW(v[0]);
    SHOW(v[1]);
    q = mmap(NULL, 4 * PAGE, RW, ANON | MAP_NORESERVE | MAP_POPULATE, -1, 0);
    R(mincore(q, 4 * PAGE, v));
    SHOW(v[3]);
    q = map_file(4, RW, MAP_SHARED);
    q[PAGE] = 1;
    R(madvise(q, 4 * PAGE, MADV_POPULATE_READ));
    R(mincore(q, 4 * PAGE, v));
    SHOW(v[1]);
    R(mprotect(p + PAGE, PAGE, PROT_NONE));
    R(mincore(p + PAGE, PAGE, v));
    SHOW(v[0]);
    p = map(2);
    p[0] = 1;
    R(mprotect(p, PAGE, PROT_NONE));
    R(mincore(p, PAGE, v));
    SHOW(v[0]);
}

/* As in linux/fs.h since Linux 6.11. */
struct query {
    uint64_t size, flags, addr, start, end, rights, page, offset, inode;
    uint32_t dev_major, dev_minor, name_size, build_id_size;
    uint64_t name, build_id;
};
#define QUERY 0xc0686611ul

CASE(locks, maps_are_queried)
{
    int fd = open("/proc/self/maps", O_RDONLY), file = file_with("f", "text"), other;
    char name[256], *p = map(4);
    struct query q = {.size = sizeof q, .addr = (uint64_t)p};

    R(ioctl(fd, QUERY, &q));
    SHOW(q.start == (uint64_t)p && q.end == (uint64_t)p + 4 * PAGE);
    SHOW(q.rights);
    SHOW(q.page);
    SHOW(q.inode + q.offset + q.dev_major + q.dev_minor);
    OK(ftruncate(file, 4 * PAGE));
    R(mmap(p + PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, file, PAGE) == p + PAGE);
    q = (struct query){.size = sizeof q, .addr = (uint64_t)p + PAGE + 5};
    q.name = (uint64_t)name;
    q.name_size = sizeof name;
    R(ioctl(fd, QUERY, &q));
    SHOW(q.rights);
    SHOW(q.offset);
    SHOW(q.inode != 0);
    SHOW(q.name_size == strlen(name) + 1);
    printf("%s\n", strrchr(name, '/') ? strrchr(name, '/') : "no name");
    q.name_size = 3;
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = sizeof q, .addr = (uint64_t)p, .flags = 0x30}; /* a file, or next */
    R(ioctl(fd, QUERY, &q));
    SHOW(q.start == (uint64_t)p + PAGE);
    q = (struct query){.size = sizeof q, .addr = (uint64_t)p, .flags = 4};
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = sizeof q, .addr = (uint64_t)p - 3 * PAGE, .flags = 0x12};
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = sizeof q, .addr = (uint64_t)p, .flags = 0x40};
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = sizeof q, .addr = ~0ul, .flags = 0x10};
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = 8};
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = 5000};
    R(ioctl(fd, QUERY, &q));
    q = (struct query){.size = sizeof q, .addr = (uint64_t)p, .name_size = 5};
    R(ioctl(fd, QUERY, &q));
    R(ioctl(fd, QUERY, NULL));
    R(ioctl(fd, QUERY, page_with(PROT_READ)));
    other = open("/dev/null", O_RDONLY);
    R(ioctl(other, QUERY, &q));
    R(ioctl(-1, QUERY, &q));
}

/* Lines of maps or smaps that are about [p, p + len), with their lengths in pages. */
static void show_lines(const char *file, const char *p, size_t len)
{
    char line[512], rights[5];
    unsigned long from, to;
    FILE *f = fopen(file, "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "%lx-%lx %4s", &from, &to, rights) == 3 && from >= (unsigned long)p &&
            to <= (unsigned long)p + len)
            printf("%s: %lu %s\n", file, (to - from) / PAGE, rights);
    if (f)
        fclose(f);
}

CASE(locks, one_mapping_is_one_line)
{
    char *p = map(16), *q = map_file(1, RW, MAP_PRIVATE);
    int fd = file_with("f", "x");

    p[0] = p[5 * PAGE] = 1;
    R(mprotect(p + 4 * PAGE, 2 * PAGE, PROT_NONE));
    R(mprotect(p, 8 * PAGE, PROT_NONE));
    R(mmap(p + 8 * PAGE, 2 * PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p + 8 * PAGE);
    R(madvise(p + 12 * PAGE, PAGE, MADV_GUARD_INSTALL));
    show_lines("/proc/self/maps", p, 16 * PAGE);
    show_lines("/proc/self/smaps", p, 16 * PAGE);
    R(mlock2(p + 11 * PAGE, 3 * PAGE, MLOCK_ONFAULT));
    show_lines("/proc/self/maps", p, 16 * PAGE);
    q = mmap(p, 4 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0); /* it ends in the first page */
    R(q == p);
    show_lines("/proc/self/maps", p, 4 * PAGE);
}

CASE(locks, cachestat_of_a_file_of_proc)
{
    struct {
        uint64_t from, len;
    } range = {0, 0};
    uint64_t stat[5] = {9, 9, 9, 9, 9};
    int fd = open("/proc/self/maps", O_RDONLY);

    R(syscall(451, fd, &range, stat, 0));
    SHOW(stat[0] + stat[4]);
    R(syscall(451, fd, &range, stat, 1));
    R(syscall(451, fd, &range, NULL, 0));
    R(syscall(451, fd, NULL, stat, 0));
    R(syscall(451, file_with("f", "x"), &range, pages_before_hole(1) + PAGE - 32, 0));
}

/* Of VmFlags in smaps those that calls of this file set. */
static void show_flags(const char *what, const char *p)
{
    static const char *const names[] = {" lo ", " dc ", " lf ", " wf ", " dd ", " sl ", " dp "};
    char line[512];
    unsigned long start = 0, from, to;
    FILE *f = fopen("/proc/self/smaps", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            start = from;
        if (start != (unsigned long)p || strncmp(line, "VmFlags:", 8))
            continue;
        printf("%s:", what);
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            printf("%s", strstr(line, names[i]) ? names[i] : "");
        printf("\n");
    }
    if (f)
        fclose(f);
}

CASE(locks, flags_of_mappings)
{
    char *p = map(8);

    R(madvise(p, PAGE, MADV_DONTDUMP));
    R(madvise(p + PAGE, PAGE, MADV_DONTFORK));
    R(madvise(p + 2 * PAGE, PAGE, MADV_WIPEONFORK));
    R(mlock2(p + 3 * PAGE, PAGE, MLOCK_ONFAULT));
    R(mlock(p + 4 * PAGE, PAGE));
    R(seal(p + 5 * PAGE, PAGE));
    for (int i = 0; i < 7; i++)
        show_flags("page", p + i * PAGE);
    R(madvise(p, 8 * PAGE, MADV_DODUMP));
    R(madvise(p, 2 * PAGE, MADV_DOFORK));
    show_flags("as before", p);
    p = mmap(NULL, PAGE, RW, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
    show_flags("droppable", p);
    R(munmap(p, PAGE));
}
