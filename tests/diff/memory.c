/* SPDX-License-Identifier: MIT */
/* Mappings. Addresses differ; what is in them and what happens to them does not. */
#include "diff.h"

#include <linux/loop.h>
#include <setjmp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)

static sigjmp_buf back;
static int got_code;
static void *got_addr;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    got_code = info->si_code;
    got_addr = info->si_addr;
    siglongjmp(back, signo);
}

/* What touching p does. */
static void touch(const char *text, volatile char *p, int writes)
{
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    int signo;

    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    signo = sigsetjmp(back, 1);
    if (signo) {
        printf("%s: SIG%s code %d at %s\n", text, sigabbrev_np(signo), got_code,
               got_addr == p ? "it" : "another address");
        return;
    }
    if (writes)
        *p = 1;
    printf("%s: %d\n", text, *p);
}

static char *map(size_t pages)
{
    return mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
}

/* What a forked child sees of it. */
static void in_child(const char *text, char *p)
{
    pid_t pid;
    int status = 0;

    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        touch(text, p, 0);
        exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    SHOW(status);
}

CASE(memory, mmap_errors)
{
    int fd = file_with("f", "abc"), wo = open("f", O_WRONLY), p[2];
    char *at = map(2);

    R(pipe(p));
    OK(mmap(NULL, 0, RW, ANON, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_ANONYMOUS, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_PRIVATE, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, wo, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, p[0], 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0));
    OK(syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100));
    OK(mmap(at + 1, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    OK(mmap(at, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0));
    OK(mmap(NULL, (size_t)-1, RW, ANON, -1, 0));
    OK(mmap(NULL, 1ul << 47, RW, ANON, -1, 0));
    OK(mmap((void *)0xffff800000000000, PAGE, RW, ANON | MAP_FIXED, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open("f", O_PATH), 0));
}

CASE(memory, mmap_shared_errors)
{
    int ro = (close(file_with("f", "abc")), open("f", O_RDONLY));

    OK(mmap(NULL, PAGE, RW, MAP_SHARED, ro, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, -1, 0));
    OK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x4000000, ro, 0));
}

CASE(memory, mmap_fixed)
{
    char *p = map(4);

    memset(p, 'x', 4 * PAGE);
    R(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + PAGE);
    SHOW(p[0]);
    SHOW(p[PAGE]);
    SHOW(p[2 * PAGE]);
    R(munmap(p + PAGE, PAGE));
    R(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == p + PAGE);
    R(munmap(p + PAGE, PAGE));
    R(mmap(p + PAGE + 5, 1, RW, ANON, -1, 0) == p + PAGE); /* a hint, rounded */
    R(mmap(p + PAGE, PAGE, PROT_NONE, ANON | MAP_FIXED, -1, 0) == p + PAGE);
    touch("PROT_NONE", p + PAGE, 0);
}

CASE(memory, munmap)
{
    char *p = map(4);

    R(munmap(p + 1, PAGE));
    R(munmap(p, 0));
    R(munmap(p + PAGE, 1));
    touch("before", p, 1);
    touch("hole", p + PAGE + 7, 0);
    touch("behind", p + 2 * PAGE, 1);
    R(munmap(p, 4 * PAGE));
    R(munmap(p, 4 * PAGE));
    R(munmap((void *)0x7ffffffff000, 1ul << 40));
    touch("all gone", p, 1);
}

CASE(memory, mprotect)
{
    char *p = map(4);

    p[0] = 'a';
    R(mprotect(p, PAGE, PROT_READ));
    touch("read", p, 0);
    touch("write", p, 1);
    R(mprotect(p, 4 * PAGE, PROT_NONE));
    touch("none", p + PAGE, 0);
    R(mprotect(p, 4 * PAGE, RW));
    touch("again", p, 0);
    R(mprotect(p + 1, PAGE, RW));
    R(mprotect(p, 0, RW));
    R(mprotect(p, PAGE, 0x100));
    R(mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
    R(munmap(p + 2 * PAGE, PAGE));
    R(mprotect(p, 4 * PAGE, PROT_READ));
    touch("before the hole", p + PAGE, 1);
    touch("behind the hole", p + 3 * PAGE, 1);
    R(mprotect(p, (size_t)-PAGE, RW));
}

CASE(memory, code_at_run_time)
{
    static const unsigned char code[] = {0xb8, 42, 0, 0, 0, 0xc3}; /* mov $42, %eax; ret */
    char *p = map(1);
    int (*call)(void);

    memcpy(&call, &p, sizeof call);
    memcpy(p, code, sizeof code);
    touch("data", p, 0);
    R(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
    SHOW(call());
    touch("write to code", p, 1);
    R(mprotect(p, PAGE, RW));
    p[1] = 43;
    R(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
    SHOW(call());
    R(mprotect(p, PAGE, PROT_READ));
    if (sigsetjmp(back, 1) == 0)
        call();
    SHOW(got_code);
    SHOW(got_addr == p);
}

CASE(memory, private_file)
{
    char buf[8] = "", *p;
    int fd = file_with("f", "0123456789");

    p = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE, fd, 0);
    show_bytes("start", p, 12);
    p[0] = 'X';
    R(pread(fd, buf, 4, 0));
    show_bytes("file", buf, 4);
    SHOW(p[PAGE - 1]);
    touch("beyond the file", p + PAGE, 0);
    R(close(fd));
    SHOW(p[1]);
    R(munmap(p, 2 * PAGE));
}

CASE(memory, shared_file)
{
    char buf[8] = "", *p, *q;
    int fd = file_with("f", "0123456789");

    p = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
    MAPPED(p);
    if (p == MAP_FAILED)
        return;
    p[0] = 'X';
    R(pread(fd, buf, 4, 0));
    show_bytes("file", buf, 4);
    R(pwrite(fd, "YZ", 2, 2));
    show_bytes("memory", p, 6);
    q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, open("f", O_RDONLY), 0);
    SHOW(q[2]);
    R(mprotect(q, PAGE, RW));
    R(msync(p, PAGE, MS_SYNC));
    R(munmap(p, PAGE));
}

CASE(memory, shared_memfd)
{
    int fd = memfd_create("m", 0);
    char *p, *q;

    R(ftruncate(fd, 2 * PAGE));
    p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, 0);
    q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
    MAPPED(q);
    if (p == MAP_FAILED || q == MAP_FAILED)
        return;
    q[3] = 'q';
    SHOW(p[PAGE + 3]);
    R(ftruncate(fd, PAGE));
    touch("cut off", p + PAGE, 0);
}

CASE(memory, mremap)
{
    char *p = map(4), *q;

    memset(p, 'x', 4 * PAGE);
    R(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
    touch("cut off", p + 2 * PAGE, 0);
    q = mremap(p, 2 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
    SHOW(q != MAP_FAILED);
    SHOW(q[0]);
    SHOW(q[2 * PAGE - 1]);
    SHOW(q[2 * PAGE]);
    p = map(8);
    p[0] = 'p';
    R(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 4 * PAGE) == p + 4 * PAGE);
    SHOW(p[4 * PAGE]);
    touch("moved away", p, 0);
}

/* Memory of two states, one after the other, is one mapping to a program. */
CASE(memory, mremap_two_states)
{
    char *base = mmap(NULL, 32 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    R(madvise(base + 6 * PAGE, PAGE, MADV_DONTNEED));
    SHOW(mremap(base + 5 * PAGE, 2 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                base + 20 * PAGE) == base + 20 * PAGE);
    for (int i = 0; i < 32; i++) /* ENOMEM where nothing is left */
        R(msync(base + i * PAGE, PAGE, MS_ASYNC));
    base = mmap(NULL, 32 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(base, 'x', 32 * PAGE);
    R(mprotect(base, 32 * PAGE, PROT_NONE));
    R(madvise(base + 6 * PAGE, PAGE, MADV_DONTNEED));
    SHOW(mremap(base + 5 * PAGE, 2 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                base + 20 * PAGE) == base + 20 * PAGE);
    R(mprotect(base + 20 * PAGE, 5 * PAGE, PROT_READ | PROT_WRITE));
    for (int i = 20; i < 25; i++)
        printf("%d: %d\n", i, base[i * PAGE]);
}

CASE(memory, mremap_errors)
{
    char *p = map(8), *q = map(1);

    OK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PAGE));
    OK(mremap(p + 1, PAGE, PAGE, 0));
    OK(mremap(p, PAGE, 0, 0));
    OK(mremap(p, PAGE, 2 * PAGE, 0));
    OK(mremap(p, PAGE, PAGE, MREMAP_FIXED, q));
    OK(mremap(p, PAGE, PAGE, 0x10));
    R(munmap(p + 6 * PAGE, PAGE));
    OK(mremap(p + 6 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE));
    OK(mremap(p + 5 * PAGE, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE));
}

CASE(memory, mremap_dontunmap)
{
    char *p = map(2), *q;

    p[0] = 'p';
    q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    MAPPED(q);
    if (q == MAP_FAILED)
        return;
    SHOW(q[0]);
    SHOW(p[0]);
    OK(mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP));
}

CASE(memory, madvise)
{
    char *p = map(4);

    memset(p, 'x', 4 * PAGE);
    R(madvise(p, 2 * PAGE, MADV_DONTNEED));
    SHOW(p[0]);
    SHOW(p[2 * PAGE]);
    R(madvise(p, 4 * PAGE, MADV_WILLNEED));
    R(madvise(p, 4 * PAGE, MADV_SEQUENTIAL));
    R(madvise(p, 4 * PAGE, MADV_NORMAL));
    R(madvise(p, 4 * PAGE, MADV_FREE));
    R(madvise(p, 4 * PAGE, MADV_DONTDUMP));
    R(madvise(p, 4 * PAGE, MADV_COLD));
    R(madvise(p, 4 * PAGE, MADV_POPULATE_WRITE));
    R(madvise(p, 4 * PAGE, 12345));
    R(madvise(p + 1, PAGE, MADV_DONTNEED));
    R(madvise(p, 0, MADV_DONTNEED));
    R(madvise(p, (size_t)-1, MADV_DONTNEED));
    R(munmap(p + PAGE, PAGE));
    p[2 * PAGE] = 'y';
    R(madvise(p, 4 * PAGE, MADV_DONTNEED));
    SHOW(p[2 * PAGE]);
}

CASE(memory, madvise_populate)
{
    char *p = map(2);

    R(madvise(p, PAGE, MADV_POPULATE_READ));
    R(mprotect(p, PAGE, PROT_READ));
    R(madvise(p, PAGE, MADV_POPULATE_WRITE));
    R(mprotect(p, PAGE, PROT_NONE));
    R(madvise(p, PAGE, MADV_POPULATE_READ));
    R(munmap(p, PAGE));
    R(madvise(p, 2 * PAGE, MADV_POPULATE_READ));
}

CASE(memory, madvise_file)
{
    int fd = file_with("f", "0123456789");
    char *p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);

    p[0] = 'X';
    R(madvise(p, PAGE, MADV_DONTNEED)); /* the file's own content again */
    SHOW(p[0]);
    R(madvise(p, PAGE, MADV_FREE));
}

CASE(memory, madvise_remove)
{
    R(madvise(map(1), PAGE, MADV_REMOVE));
}

CASE(memory, madvise_about_fork)
{
    char *p = map(2);

    R(madvise(p, PAGE, MADV_DONTFORK));
    R(madvise(p, PAGE, MADV_DOFORK));
    R(madvise(p, PAGE, MADV_WIPEONFORK));
    R(madvise(p, PAGE, MADV_KEEPONFORK));
}

CASE(memory, mincore)
{
    unsigned char v[4] = {9, 9, 9, 9};
    char *p = map(4);

    memset(p, 'x', 4 * PAGE);
    R(mincore(p, 3 * PAGE, v));
    show_bytes("resident", v, 4);
    R(mincore(p + 1, PAGE, v));
    R(mincore(p, 0, v));
    R(munmap(p + PAGE, PAGE));
    R(mincore(p, 3 * PAGE, v));
    R(mincore(p, (size_t)-1, v));
}

CASE(memory, msync)
{
    char *p = map(4);

    R(msync(p, PAGE, MS_SYNC));
    R(msync(p, PAGE, MS_ASYNC | MS_INVALIDATE));
    R(msync(p, PAGE, MS_SYNC | MS_ASYNC));
    R(msync(p, PAGE, 64));
    R(msync(p + 1, PAGE, MS_SYNC));
    R(munmap(p + PAGE, PAGE));
    R(msync(p, 4 * PAGE, MS_SYNC));
    R(msync(p, 0, MS_SYNC));
}

CASE(memory, mlock)
{
    char *p = map(4);

    R(mlock(p, PAGE));
    R(mlock(p + 1, 1));
    R(munlock(p, PAGE));
    R(munmap(p + PAGE, PAGE));
    R(mlock(p, 4 * PAGE));
    R(munlock(p, 4 * PAGE));
    R(mlock((void *)-PAGE, 2 * PAGE));
}

CASE(memory, mlock2)
{
    char *p = map(4);

    R(mlock2(p, PAGE, 0));
    R(mlock2(p, PAGE, MLOCK_ONFAULT));
    R(mlock2(p, PAGE, 8));
}

CASE(memory, mlockall)
{
    R(mlockall(0));
    R(mlockall(64));
    R(mlockall(MCL_ONFAULT));
    R(mlockall(MCL_CURRENT));
    R(munlockall());
}

CASE(memory, brk)
{
    char *start = sbrk(0);

    R(brk(start + 3 * PAGE));
    start[3 * PAGE - 1] = 'x';
    R((char *)sbrk(0) - start);
    R(brk(start));
    touch("given back", start + 2 * PAGE + 1, 0);
    R(brk(start + 3 * PAGE));
    SHOW(start[3 * PAGE - 1]);
    R(syscall(SYS_brk, 0) == (long)sbrk(0));
    R(syscall(SYS_brk, 1) == (long)sbrk(0));
    R(brk(start + (1ul << 46)));
}

static int below(void *p, unsigned bits)
{
    return p != MAP_FAILED && (uintptr_t)p >> bits == 0;
}

CASE(memory, map_32bit)
{
    char *p = mmap(NULL, PAGE, RW, ANON | MAP_32BIT, -1, 0), *hint = (char *)0x51000000;
    int fd = file_with("f", "abc");

    MAPPED(p);
    SHOW(below(p, 31));
    touch("it", p, 1);
    SHOW(below(mmap(NULL, 64 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_32BIT, -1, 0), 31));
    SHOW(below(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_32BIT, fd, 0), 31));
    SHOW(mmap(hint, PAGE, RW, ANON | MAP_32BIT, -1, 0) == hint);
    SHOW(below(mmap(hint, PAGE, RW, ANON | MAP_32BIT, -1, 0), 31));
    SHOW(below(mmap((void *)0x100000000, PAGE, RW, ANON | MAP_32BIT, -1, 0), 31));
    OK(mmap(NULL, 3ul << 30, PROT_NONE, ANON | MAP_NORESERVE | MAP_32BIT, -1, 0));
}

/* A fixed mapping at `at`, by address and not by chance. */
static char *fixed(uintptr_t at, size_t n, int how)
{
    char *p = mmap((void *)at, n, RW, how | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    printf("%lx: %s\n", (unsigned long)at,
           p == MAP_FAILED      ? strerrorname_np(errno)
           : (uintptr_t)p == at ? "there"
                                : "elsewhere");
    return p;
}

CASE(memory, low_addresses)
{
    const uintptr_t at[] = {0x10000, 0x20001000, 0x7ffff000, 0xbffff000, 0xfffff000, 0x800000000};

    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        char *p = fixed(at[i], 3 * PAGE, i % 2 ? MAP_PRIVATE : MAP_SHARED);
        touch("first", p, 1);
        touch("last", p + 3 * PAGE - 1, 1);
        R(munmap(p + PAGE, PAGE));
        touch("middle", p + PAGE, 0);
        touch("last again", p + 3 * PAGE - 1, 0);
        R(mprotect(p, PAGE, PROT_READ));
        touch("protected", p, 1);
    }
    fixed(at[1], PAGE, MAP_PRIVATE);
    fixed(at[1] + PAGE, PAGE, MAP_PRIVATE);
}

CASE(memory, low_hints)
{
    char *hint = (char *)0x32100000;
    int fd = file_with("f", "abc");

    SHOW(mmap(hint, PAGE, RW, ANON, -1, 0) == hint);
    SHOW(mmap(hint, PAGE, RW, ANON, -1, 0) == hint);
    SHOW(mmap(hint + PAGE + 1, PAGE, RW, MAP_SHARED, fd, 0) == hint + PAGE);
    SHOW(mmap(hint + 2 * PAGE, PAGE, RW, MAP_PRIVATE, fd, 0) == hint + 2 * PAGE);
    SHOW(mmap(hint + 3 * PAGE, PAGE, PROT_NONE, ANON, -1, 0) == hint + 3 * PAGE);
    hint[PAGE] = 'x';
    printf("%.3s\n", hint + 2 * PAGE);
    R(mprotect(hint + 3 * PAGE, PAGE, RW));
    touch("opened", hint + 3 * PAGE, 1);
    SHOW((uintptr_t)mmap((void *)PAGE, PAGE, RW, ANON, -1, 0)); /* rounded up to the least */
}

CASE(memory, low_moves)
{
    char *low = fixed(0x34000000, 4 * PAGE, MAP_PRIVATE), *high = map(2), *to = (char *)0x35000000;
    int p[2];

    R(pipe(p));
    strcpy(low, "low");
    strcpy(high, "high");
    SHOW(mremap(high, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    printf("%s\n", to);
    touch("behind it", to + PAGE, 0);
    SHOW(mremap(low, 4 * PAGE, 5 * PAGE, 0) == low);
    SHOW(mremap(low, 4 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE) == to + PAGE);
    printf("%s\n", to + PAGE);
    touch("where it was", low, 0);
    R(write(p[1], "through", 8));
    R(read(p[0], to, 8));
    R(write(p[1], "through", 8));
    R(read(p[0], low, 8));
    printf("%s\n", to);
    in_child("child", to);
    touch("parent", to, 0);
}

/* A part of a closed mapping that was emptied is no mapping of its own. */
CASE(memory, closed_memory_moves_and_stays)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_NONE, ANON, -1, 0), *to = p + 5 * PAGE;

    R(mprotect(p, 3 * PAGE, RW));
    strcpy(p, "first");
    strcpy(p + PAGE, "second");
    R(mprotect(p, 3 * PAGE, PROT_NONE));
    R(madvise(p + PAGE, PAGE, MADV_DONTNEED));
    SHOW(mremap(p, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, to) == to);
    touch("stays", p, 0);
    touch("stays too", p + PAGE, 0);
    R(mprotect(p, 8 * PAGE, RW));
    printf("%s%s %s%s\n", p, p + PAGE, to, to + PAGE);
}

CASE(memory, closed_memory_with_data_moves_far)
{
    char *p = mmap(NULL, 3 * PAGE, PROT_NONE, ANON, -1, 0), *to = (char *)0x36000000;

    R(mprotect(p, 3 * PAGE, RW));
    strcpy(p, "first");
    strcpy(p + PAGE, "second");
    R(mprotect(p, 3 * PAGE, PROT_NONE));
    R(madvise(p, PAGE, MADV_DONTNEED));
    SHOW(mremap(p, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    R(mprotect(to, 4 * PAGE, RW));
    printf("%s%s\n", to, to + PAGE);
    touch("grown", to + 3 * PAGE, 1);
    touch("gone", p, 0);
}

CASE(memory, closed_memory_moves_and_grows)
{
    char *p = mmap(NULL, 5 * PAGE, PROT_NONE, ANON, -1, 0), *to = map(4);

    R(madvise(p, PAGE, MADV_DONTNEED));
    SHOW(mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    touch("behind it", p + 2 * PAGE, 0);
    touch("gone", p, 0);
    touch("moved", to, 0);
    touch("grown", to + 3 * PAGE, 0);
}

CASE(memory, low_segment)
{
    int id = shmget(IPC_PRIVATE, 3 * PAGE, 0600 | IPC_CREAT);
    char *at = (char *)0x40000000, *p = shmat(id, at, 0);

    SHOW(p == at);
    touch("it", p, 1);
    OK(shmat(id, at, 0));
    OK(shmat(id, at + PAGE, 0));
    R(shmdt(at));
    touch("gone", at, 0);
    R(shmctl(id, IPC_RMID, NULL));
}

extern char __executable_start[];

/* Where a program that is linked to an address has its neighbours, and where it lies itself. */
CASE(memory, around_the_image)
{
    uintptr_t start = (uintptr_t)__executable_start, page = start - PAGE;
    char *p;

    fixed(page, 2 * PAGE, MAP_PRIVATE);
    p = fixed(page, PAGE, MAP_PRIVATE);
    touch("below it", p, 1);
    p = mmap((void *)start, PAGE, RW, ANON | MAP_FIXED, -1, 0); /* ELF headers alone */
    MAPPED(p);
    touch("its headers", p, 1);
    p = mmap((void *)page, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    MAPPED(p);
    touch("both", p + PAGE, 1);
    R(munmap(p, 2 * PAGE));
    touch("gone", p + PAGE, 0);
    p = mmap((void *)page, 2 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
    touch("again", p + PAGE, 0);
}

#define LARGE (20ul << 20)

/* As a library is mapped, or a large input: what is not touched costs nothing. */
CASE(memory, large_private_file)
{
    int fd = file_with("f", "abc"), p[2];
    char *q;

    R(ftruncate(fd, LARGE));
    R(pipe(p));
    R(pwrite(fd, "middle", 7, LARGE / 2));
    q = mmap(NULL, LARGE + PAGE, RW, MAP_PRIVATE, fd, 0);
    MAPPED(q);
    printf("%s %s\n", q, q + LARGE / 2);
    R(pwrite(fd, "later", 6, LARGE / 4));
    printf("%s\n", q + LARGE / 4);
    q[0] = 'A';
    R(pwrite(fd, "xyz", 4, 0));
    printf("%s\n", q);
    touch("behind the end", q + LARGE, 1);
    R(write(p[1], "by a call", 10));
    R(read(p[0], q + 2 * PAGE, 10));
    R(write(p[1], q + LARGE / 2, 7));
    in_child("child", q);
    printf("%s\n", q + 2 * PAGE);
    R(ftruncate(fd, LARGE / 4));
    touch("cut off", q + LARGE / 2, 0);
    touch("still there", q + PAGE, 0);
    R(ftruncate(fd, LARGE + PAGE));
    touch("there again", q + LARGE / 2, 0);
    touch("grown", q + LARGE, 1);
    R(mprotect(q, PAGE, PROT_READ));
    touch("protected", q, 1);
    R(munmap(q + PAGE, PAGE));
    touch("gone", q + PAGE, 0);
    touch("not gone", q + 2 * PAGE, 0);
}

/* As a dynamic loader does it: all at once, then each segment in its place. */
CASE(memory, segments_of_a_large_file)
{
    int fd = file_with("f", "abc");
    char *q, *data;

    R(ftruncate(fd, LARGE));
    q = mmap(NULL, LARGE + 10 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    data = q + LARGE / 2;
    R(mprotect(data, LARGE / 2 + 10 * PAGE, PROT_NONE));
    SHOW(mmap(data + PAGE, 100 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0) == data + PAGE);
    SHOW(mmap(data + 101 * PAGE, 10 * PAGE, RW, ANON | MAP_FIXED, -1, 0) == data + 101 * PAGE);
    printf("%s\n", data + PAGE);
    strcpy(data + PAGE, "relocated");
    touch("bss", data + 101 * PAGE, 1);
    touch("between", data, 0);
    R(mprotect(data + PAGE, PAGE, PROT_READ));
    touch("relro", data + PAGE, 1);
    printf("%s %s\n", data + PAGE, q);
    in_child("child", data + 101 * PAGE);
}

/* A page that the file did not have when it was mapped. */
CASE(memory, file_grows_into_a_private_mapping)
{
    int fd = file_with("f", "abc");
    char *q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 7 * PAGE), *at = map(3);

    touch("behind the end", q, 0);
    SHOW(mmap(at + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 3 * PAGE) == at + PAGE);
    R(pwrite(fd, "more", 5, 7 * PAGE));
    printf("%s\n", q);
    R(pwrite(fd, "less", 5, 3 * PAGE));
    printf("%s\n", at + PAGE);
    touch("before it", at, 1);
    R(munmap(at + PAGE, PAGE));
    touch("gone", at + PAGE, 0);
    touch("after it", at + 2 * PAGE, 1);
}

CASE(memory, grows_down)
{
    char *p = mmap(NULL, 16 * PAGE, RW, ANON | MAP_GROWSDOWN, -1, 0);
    int fd = file_with("f", "abc");

    MAPPED(p);
    touch("below", p - 1, 1);
    touch("far below", p - 100 * PAGE, 1);
    touch("between", p - 50 * PAGE, 0);
    OK(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_GROWSDOWN, fd, 0));
}

/* Room for a mapping that grows, at the end of it. */
static char *growing(size_t pages, size_t least)
{
    char *p = mmap(NULL, (least + pages) * PAGE, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);

    munmap(p, (least + pages) * PAGE);
    p += pages * PAGE;
    return mmap(p, least * PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
}

CASE(memory, grows_to_the_gap)
{
    char *p = growing(1000, 2), *low = p - 600 * PAGE;

    mmap(low, PAGE, RW, ANON | MAP_FIXED, -1, 0);
    touch("in the gap", low + PAGE, 1);
    touch("one page too far", low + 256 * PAGE, 1);
    touch("just not", low + 257 * PAGE, 1);
    R(mprotect(low, PAGE, PROT_NONE));
    touch("above a closed page", low + PAGE, 1);
    SHOW(mmap(p - 900 * PAGE, PAGE, RW, ANON, -1, 0) == p - 900 * PAGE);
}

CASE(memory, gap_of_what_grows)
{
    char *p = growing(1000, 2), *in = p - 100 * PAGE, *near = p - 256 * PAGE;

    SHOW(mmap(near - PAGE, PAGE, RW, ANON, -1, 0) == near - PAGE);
    SHOW(mmap(near, PAGE, RW, ANON, -1, 0) == near);
    SHOW(mmap(in, PAGE, RW, ANON, -1, 0) == in);
    SHOW(mmap(in, PAGE, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0) == in);
    touch("it", p - PAGE, 1);
}

CASE(memory, grows_in_calls)
{
    char *p = growing(1000, 2), page[PAGE];
    int fds[2];

    R(pipe(fds));
    R(write(fds[1], "abc", 4));
    R(read(fds[0], p - 10 * PAGE, 4));
    printf("%s\n", p - 10 * PAGE);
    R(clock_gettime(CLOCK_MONOTONIC, (struct timespec *)(p - 12 * PAGE)));
    R(mincore(p - 12 * PAGE, 12 * PAGE, (unsigned char *)page));
    R(mincore(p - 13 * PAGE, 12 * PAGE, (unsigned char *)page));
    R(mprotect(p, PAGE, PROT_READ | PROT_GROWSDOWN));
    touch("protected from its beginning", p - 5 * PAGE, 1);
    touch("and where it grows", p - 20 * PAGE, 1);
    R(mprotect(map(1), PAGE, PROT_READ | PROT_GROWSDOWN));
}

CASE(memory, grows_to_the_limit)
{
    struct rlimit l = {100 * PAGE, RLIM_INFINITY};
    char *p = growing(1000, 2);

    R(setrlimit(RLIMIT_STACK, &l));
    touch("98 below", p - 98 * PAGE, 1);
    touch("99 below", p - 99 * PAGE, 1);
    R(munmap(p, 2 * PAGE));
    touch("99 below again", p - 99 * PAGE, 1);
    in_child("in a child", p - 99 * PAGE);
}

CASE(memory, grows_at_low_addresses)
{
    char *p = mmap((void *)0x38000000, PAGE, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);

    MAPPED(p);
    touch("below", p - 1, 1);
    touch("far below", p - 100 * PAGE, 1);
    in_child("in a child", p - 101 * PAGE);
    touch("between", p - 50 * PAGE, 0);
}

CASE(memory, flags_that_change_nothing)
{
    OK(mmap(NULL, PAGE, RW, ANON | MAP_NORESERVE, -1, 0));
    OK(mmap(NULL, PAGE, RW, ANON | MAP_POPULATE, -1, 0));
    OK(mmap(NULL, PAGE, RW, ANON | MAP_LOCKED, -1, 0));
    OK(mmap(NULL, PAGE, RW, ANON | MAP_STACK, -1, 0));
    OK(mmap(NULL, PAGE, RW, ANON | MAP_DENYWRITE | MAP_EXECUTABLE, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    OK(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, 55, 0));
    OK(mmap(NULL, PAGE, PROT_READ | 0x1000, ANON, -1, 0));
}

CASE(memory, process_vm)
{
    char a[8] = "source", b[8] = "";
    struct iovec l = {b, 8}, r = {a, 8}, bad = {page_with(PROT_NONE), 8};

    R(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
    show_bytes("read", b, 8);
    memcpy(b, "written", 8);
    R(process_vm_writev(getpid(), &l, 1, &r, 1, 0));
    show_bytes("written", a, 8);
    R(process_vm_readv(getpid(), &l, 1, &bad, 1, 0));
    R(process_vm_readv(getpid(), &l, 1, &r, 1, 1));
    R(process_vm_readv(-1, &l, 1, &r, 1, 0));
}

CASE(memory, advice_about_fork_counts)
{
    char *p = map(4), *shared = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *file = mmap(NULL, PAGE, RW, MAP_PRIVATE, file_with("f", "text"), 0);

    memset(p, 'x', 4 * PAGE);
    *shared = 's';
    R(madvise(p + PAGE, PAGE, MADV_DONTFORK));
    R(madvise(p + 2 * PAGE, PAGE, MADV_WIPEONFORK));
    R(madvise(shared, PAGE, MADV_DONTFORK));
    R(madvise(shared, PAGE, MADV_WIPEONFORK));
    R(madvise(file, PAGE, MADV_WIPEONFORK));
    in_child("kept", p);
    in_child("not forked", p + PAGE);
    in_child("wiped", p + 2 * PAGE);
    in_child("shared, not forked", shared);
    SHOW(p[PAGE]);
    SHOW(p[2 * PAGE]);
    R(madvise(p, 4 * PAGE, MADV_DOFORK));
    R(madvise(p, 4 * PAGE, MADV_KEEPONFORK));
    in_child("again", p + PAGE);
    in_child("again", p + 2 * PAGE);
    R(munmap(p, PAGE));
    R(madvise(p, 4 * PAGE, MADV_WIPEONFORK)); /* a hole: the rest is done all the same */
    in_child("behind the hole", p + 3 * PAGE);
    R(madvise(p + 1, PAGE, MADV_DONTFORK));
}

CASE(memory, private_file_thrown_away)
{
    char *p, *q;
    int fd = file_with("f", "first page"), ro = open("f", O_RDONLY);

    R(pwrite(fd, "third page", 10, 2 * PAGE));
    p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, ro, 0);
    q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, ro, 2 * PAGE);
    p[0] = 'X';
    p[PAGE] = 'Y';
    p[2 * PAGE] = 'Z';
    R(pwrite(fd, "F", 1, 0));
    R(close(fd));
    R(close(ro));
    R(unlink("f"));
    R(madvise(p, PAGE, MADV_DONTNEED));
    show_bytes("first", p, 4);
    SHOW(p[PAGE]);
    SHOW(p[2 * PAGE]);
    R(madvise(p, 3 * PAGE, MADV_DONTNEED));
    SHOW(p[PAGE]);
    show_bytes("third", p + 2 * PAGE, 12);
    R(madvise(q, PAGE, MADV_DONTNEED));
    show_bytes("third, read-only", q, 12);
    touch("written to", q, 1);
}

CASE(memory, private_file_cut_short)
{
    int fd = file_with("f", ""), ro = open("f", O_RDONLY);
    char *p;

    R(ftruncate(fd, 4 * PAGE));
    p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, ro, 0);
    p[3 * PAGE] = 'x';
    R(ftruncate(fd, PAGE + 5));
    R(madvise(p, 4 * PAGE, MADV_DONTNEED));
    touch("has a rest of the file", p + PAGE, 0);
    touch("has none", p + 2 * PAGE, 0);
}

CASE(memory, private_file_made_longer)
{
    char *p, *q, *wall;
    int fd = file_with("f", "first page"), ro = open("f", O_RDONLY);

    R(pwrite(fd, "third page", 10, 2 * PAGE));
    p = mmap(NULL, PAGE, RW, MAP_PRIVATE, ro, 0);
    p[1] = 'X';
    q = mremap(p, PAGE, 4 * PAGE, MREMAP_MAYMOVE);
    MAPPED(q);
    show_bytes("first", q, 12);
    show_bytes("third", q + 2 * PAGE, 12);
    touch("behind the end", q + 3 * PAGE, 0);
    p = mmap(NULL, 3 * PAGE, RW, ANON, -1, 0);
    wall = p + PAGE;
    p = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, ro, 2 * PAGE);
    *wall = 'w';
    R(mremap(p, PAGE, 2 * PAGE, 0));
    q = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    MAPPED(q);
    SHOW(q != p);
    SHOW(*wall);
    show_bytes("third", q, 12);
    touch("behind the end", q + PAGE, 0);
    touch("read-only", q, 1);
    R(munmap(q, 2 * PAGE));
}

/* By a descriptor that can write the mapping shows what becomes of the file. */
CASE(memory, private_file_of_a_writable_descriptor)
{
    int fd = memfd_create("m", 0);
    char *at = map(5), *p, *q;

    R(ftruncate(fd, 3 * PAGE));
    p = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
    q = mmap(at + PAGE, 3 * PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0);
    R(q == at + PAGE);
    *at = 'a';
    for (int i = 0; i < 3; i++)
        p[i * (long)PAGE] = q[i * (long)PAGE] = 'p';
    R(pwrite(fd, "file", 4, PAGE + 8));
    SHOW(p[PAGE + 8]);
    R(ftruncate(fd, PAGE));
    touch("kept", p, 0);
    touch("cut off", p + PAGE, 0);
    touch("cut off", q + PAGE, 1);
    R(ftruncate(fd, 3 * PAGE));
    SHOW(p[PAGE]);
    SHOW(q[2 * PAGE]);
    R(pwrite(fd, "F", 1, PAGE));
    SHOW(p[PAGE]);
    SHOW(q[PAGE]);
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE, PAGE));
    SHOW(p[PAGE]);
    SHOW(p[0]);
    in_child("child", q + PAGE);
    R(munmap(q + PAGE, PAGE));
    touch("gone", q + PAGE, 0);
    touch("before it", at, 0);
    touch("after it", at + 4 * PAGE, 1);
    q = mremap(p, 3 * PAGE, 2 * PAGE, 0);
    R(q == p);
    R(mprotect(p, PAGE, PROT_READ));
    touch("read-only", p, 1);
    R(madvise(p, 2 * PAGE, MADV_DONTNEED));
    SHOW(p[0]);
}

/* A private mapping takes the place of a shared one; the file that was there stays as it is. */
static void private_over_shared(const char *what, char *at)
{
    static char byte[PAGE];
    int shared = file_with("shared", "s"), private = file_with("private", "p"), zero;
    OK(ftruncate(shared, 4 * PAGE));
    OK(ftruncate(private, 4 * PAGE));
    char *p = mmap(at, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, shared, 0);
    printf("%s: %s\n", what, p == at ? "mapped" : strerrorname_np(errno));
    if (p == MAP_FAILED)
        return;
    p[PAGE] = p[2 * PAGE] = 't';
    R(mmap(p, PAGE, RW, MAP_PRIVATE | MAP_FIXED, private, 0) == p);
    R(mmap(p + PAGE, PAGE, RW, ANON | MAP_FIXED, -1, 0) == p + PAGE);
    zero = open("/dev/zero", O_RDWR);
    R(mmap(p + 2 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, zero, 0) == p + 2 * PAGE);
    SHOW(p[0]);
    SHOW(p[PAGE]);
    SHOW(p[2 * PAGE]);
    p[0] = p[PAGE] = p[2 * PAGE] = 'x';
    for (off_t i = 0; i < 3; i++) {
        R(pread(shared, byte, 1, i * (off_t)PAGE));
        SHOW(byte[0]);
        R(pread(private, byte, 1, i * (off_t)PAGE));
        SHOW(byte[0]);
    }
    R(mmap(p, PAGE, RW, MAP_SHARED | MAP_FIXED, shared, 0) == p);
    SHOW(p[0]);
    /* what fails leaves what is there */
    R(mmap(p, PAGE, RW, MAP_PRIVATE | MAP_FIXED, open("private", O_WRONLY), 0) == p);
    SHOW(p[0]);
    R(munmap(p, 4 * PAGE));
}

CASE(memory, private_file_over_a_shared_one)
{
    private_over_shared("in memory", (char *)0x2000000000);
    private_over_shared("among windows", (char *)0xf900000000);
    private_over_shared("far away", (char *)0x300000000000);
}

CASE(memory, a_window_grows_moves_and_is_seen_twice)
{
    int fd = file_with("f", "0123");
    char *at = (char *)0xf980000000, *far = (char *)0x310000000000, *p, *q;
    OK(ftruncate(fd, 8 * PAGE));
    p = mmap(at, 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0);
    R(p == at);
    R(mremap(p, 2 * PAGE, 4 * PAGE, 0) == p);
    p[3 * PAGE] = 'x';
    q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, far);
    R(q == far);
    touch("the old place", p, 0);
    SHOW(q[3 * PAGE]);
    p = mremap(q, 0, 4 * PAGE, MREMAP_MAYMOVE);
    MAPPED(p);
    p[PAGE] = 'y';
    SHOW(q[PAGE]);
    R(munmap(p, 4 * PAGE));
    p = mremap(q, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    MAPPED(p);
    SHOW(p[3 * PAGE]);
    SHOW(q[3 * PAGE]);
    R(munmap(q, PAGE));
    p = mremap(q + PAGE, 3 * PAGE, 9 * PAGE, MREMAP_MAYMOVE);
    MAPPED(p);
    SHOW(p[0]);
    touch("beyond the end", p + 8 * PAGE, 0);
    R(mremap(p, 0, PAGE, 0) == MAP_FAILED);
    p = map(2);
    OK(mremap(p, 0, PAGE, MREMAP_MAYMOVE));
}

CASE(memory, reservations_of_many_tib)
{
    size_t tib = 1ul << 40;
    char *p = mmap(NULL, 16 * tib, PROT_NONE, ANON | MAP_NORESERVE, -1, 0), *q;
    MAPPED(p);
    R(mprotect(p + 5 * tib, 2 * PAGE, RW));
    p[5 * tib] = 1;
    SHOW(p[5 * tib + PAGE]);
    touch("closed", p + 9 * tib, 0);
    q = mmap(p + 9 * tib, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    R(q == p + 9 * tib);
    *q = 3;
    R(mmap(p + 5 * tib, PAGE, PROT_NONE, ANON | MAP_NORESERVE | MAP_FIXED, -1, 0) == p + 5 * tib);
    touch("given back", p + 5 * tib, 0);
    R(madvise(p + 5 * tib, 2 * PAGE, MADV_DONTNEED));
    SHOW(p[5 * tib + PAGE]);
    R(munmap(p, 16 * tib));
    touch("gone", q, 0);
    /* by hint */
    q = mmap((char *)(20 * tib), 4 * tib, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
    R(q == (char *)(20 * tib));
    R(munmap(q, 4 * tib));
}

CASE(memory, private_zeroes_are_memory)
{
    int fd = open("/dev/zero", O_RDWR);
    char *p = mmap(NULL, 64ul << 20, RW, MAP_PRIVATE, fd, 0);
    MAPPED(p);
    p[5] = 1;
    SHOW(p[5] + p[(64ul << 20) - 1]);
    OK(mmap(NULL, 1ul << 38, PROT_NONE, MAP_PRIVATE, fd, 0));
}

CASE(memory, mmap_checks_in_order)
{
    int fd = file_with("f", "x"), path = open("f", O_PATH), wo = open("f", O_WRONLY);
    int dir = open(".", O_RDONLY);
    R(mmap(NULL, 0, PROT_READ, MAP_SHARED, -1, 0));
    R(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, path, 0));
    R(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path, 0));
    R(mmap(NULL, PAGE, PROT_READ, 0, -1, 0));
    R(mmap((char *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, -1, 0));
    R(mmap((char *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, wo, 0));
    R(mmap(NULL, PAGE, RW, MAP_SHARED, dir, 0));
    R(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dir, 0));
    R(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_ANONYMOUS, -1, 0));
    R(mmap(NULL, PAGE, RW, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0));
    R(mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN, -1, 0));
    R(mmap(NULL, 64 * PAGE, RW, MAP_PRIVATE, wo, 0));
    R(mmap(NULL, 1ul << 22, PROT_READ, MAP_PRIVATE, wo, 0));
}

CASE(memory, madvise_in_order)
{
    int fd = file_with("f", "x"), ro = open("f", O_RDONLY);
    char *p = map(8);
    R(munmap(p + PAGE, PAGE));
    R(mmap(p + 2 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_FIXED, fd, 0) == p + 2 * PAGE);
    R(mmap(p + 3 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, ro, 0) == p + 3 * PAGE);
    R(mmap(p + 4 * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == p + 4 * PAGE);
    R(munmap(p + 5 * PAGE, PAGE));
    R(madvise(p, 2 * PAGE, MADV_REMOVE));
    R(madvise(p + PAGE, 2 * PAGE, MADV_REMOVE));
    R(madvise(p + 3 * PAGE, PAGE, MADV_REMOVE));
    R(madvise(p + 4 * PAGE, 2 * PAGE, MADV_REMOVE));
    R(madvise(p + PAGE, 2 * PAGE, MADV_FREE));
    R(madvise(p, 2 * PAGE, MADV_FREE));
}

/* A mapping that reaches behind its file's end is one mapping, and each part of it has its
   rights. */
CASE(memory, a_file_ends_inside_its_mapping)
{
    int fd = file_with("f", "x");
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0), *to = map(8);
    R(mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
    SHOW(to[0]);
    touch("behind the end", to + 2 * PAGE, 1);
    R(mprotect(to, 4 * PAGE, PROT_READ));
    touch("behind the end, written to", to + 2 * PAGE, 1);
    touch("behind the end, read", to + 2 * PAGE, 0);
    R(mprotect(to + PAGE, PAGE, PROT_NONE));
    touch("closed", to + PAGE, 0);
}

CASE(memory, mergeable)
{
    char *p = pages_before_hole(8);

    memset(p, 7, 8 * PAGE);
    R(madvise(p, 8 * PAGE, MADV_MERGEABLE));
    R(madvise(p + PAGE, 16 * PAGE, MADV_MERGEABLE));
    R(madvise(p + 1, PAGE, MADV_MERGEABLE));
    R(madvise(p, 2 * PAGE, MADV_UNMERGEABLE));
    SHOW(p[0]);
    SHOW(p[7 * PAGE]);
}

/* A small ext4 in a file, mounted at "m" until its last file is closed; false: not here. */
static int small_file_system(void)
{
    char path[32];
    struct loop_info64 info = {.lo_flags = LO_FLAGS_AUTOCLEAR};
    int image = open("image", O_RDWR | O_CREAT, 0600), control = open("/dev/loop-control", O_RDWR);
    if (ftruncate(image, 2 << 20) || mkdir("m", 0700) ||
        system("mkfs.ext4 -q -b 1024 image >/dev/null 2>&1"))
        return 0;
    snprintf(path, sizeof path, "/dev/loop%d", ioctl(control, LOOP_CTL_GET_FREE));
    int loop = open(path, O_RDWR);
    int there = ioctl(loop, LOOP_SET_FD, image) == 0 &&
                ioctl(loop, LOOP_SET_STATUS64, &info) == 0 &&
                mount(path, "m", "ext4", 0, NULL) == 0;
    close(loop);
    close(image);
    return there;
}

CASE(memory, a_hole_of_a_file_on_a_full_file_system)
{
    static char bytes[1024];
    if (!small_file_system())
        return;
    int fd = open("m/hole", O_RDWR | O_CREAT, 0600), full = open("m/full", O_RDWR | O_CREAT, 0600);
    int small = open("m/small", O_RDWR | O_CREAT, 0600);
    R(umount2("m", MNT_DETACH));
    OK(ftruncate(fd, 4 * PAGE));
    R(pwrite(small, bytes, PAGE / 4, 0));
    char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);
    char *q = mmap(NULL, PAGE, RW, MAP_SHARED, small, 0);
    q[0] = 'q';
    touch("a hole, read", p, 0);
    while (write(full, bytes, sizeof bytes) > 0)
        ;
    SHOW(errno == ENOSPC);
    touch("a hole, read", p + PAGE, 0);
    touch("a hole, written to", p, 1);
    touch("a hole, read", p, 0);
    touch("a block of its own", q, 0);
    OK(ftruncate(full, 0));
    OK(fsync(full));
    touch("there is room", p + PAGE, 1);
}

/* One byte of each 2 MiB: written, or added up. */
static int of_blocks(char *p, size_t len, int value)
{
    int sum = 0;
    for (size_t at = 0; at < len; at += 2 << 20) {
        if (value)
            p[at + PAGE] = (char)value;
        sum += p[at + PAGE];
    }
    return sum;
}

/* Where its parent had a reservation only, or nothing: memory of which its machine knows
   nothing. */
CASE(memory, a_forked_child_maps_new_memory)
{
    const size_t mib = 1 << 20, len = 80 * mib;
    char *room = mmap(NULL, 600 * mib, PROT_NONE, ANON, -1, 0);
    int fd = file_with("file", "x"), status;
    OK(ftruncate(fd, (off_t)len));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char *p = mmap(NULL, len, RW, ANON, -1, 0);
        char *q = mmap(room + 200 * mib, 2 * mib, RW, ANON | MAP_FIXED, -1, 0);
        char *f = mmap(room + 400 * mib, len, RW, MAP_SHARED | MAP_FIXED, fd, 0);
        char *w = mmap(NULL, len, RW, MAP_SHARED, fd, 0);
        OK(mprotect(room + 550 * mib, 2 * mib, RW));
        SHOW(of_blocks(p, len, 1));
        SHOW(of_blocks(q, 2 * mib, 2));
        SHOW(of_blocks(f, len, 3));
        SHOW(of_blocks(w, len, 0));
        SHOW(of_blocks(room + 550 * mib, 2 * mib, 4));
        fflush(stdout);
        pid = fork();
        if (pid == 0) {
            SHOW(of_blocks(p, len, 0) + of_blocks(q, 2 * mib, 0) + of_blocks(w, len, 0));
            SHOW(of_blocks(room + 550 * mib, 2 * mib, 0));
            exit(5);
        }
        waitpid(pid, &status, 0);
        exit(WEXITSTATUS(status) + 1);
    }
    waitpid(pid, &status, 0);
    SHOW(WEXITSTATUS(status));
    SHOW(of_blocks(mmap(NULL, len, RW, MAP_SHARED, fd, 0), len, 0));
}
