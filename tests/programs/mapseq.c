/* SPDX-License-Identifier: MIT */
/*
 * Random sequences of mmap, munmap, mprotect, mremap, madvise, mlock, file writes and accesses over
 * a few files and fixed ranges of addresses: mapseq SEED ROUNDS [round]. What is seen is printed,
 * and is the same natively and on an isle. Round n is of seed SEED + n alone, so that a difference
 * can be had again by itself; addresses on an isle: memory, windows, far windows (ipi's memmap.h).
 *
 * Left out is what POSIX leaves open (a file that changes under a private mapping) and what an isle
 * refuses by name (see odd()).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define PAGE 4096ul
#define UNITS 48u /* of an arena; one behind them stays closed */
#define OPS 60

/* What a unit of an arena is, so that nothing is asked for that is left out. */
enum kind { NOTHING, CLOSED, ANON, SHARED_ANON, PRIVATE_FILE, SHARED_FILE };

static struct arena {
    char *start;
    size_t unit; /* bytes */
    struct {
        enum kind kind;
        uint64_t id; /* same for neighbours: one mapping, in one piece */
        int guard;   /* MADV_GUARD_INSTALL */
    } at[UNITS];
} arena[] = {
    {.start = (char *)0x2000000000, .unit = PAGE},
    {.start = (char *)0xf900000000, .unit = PAGE},
    {.start = (char *)0x200000000000, .unit = PAGE},
    {.start = (char *)0x40000000, .unit = PAGE},
    {.start = (char *)0x2100000000, .unit = 96 * PAGE},
    {.start = (char *)0x210000000000, .unit = 160 * PAGE},
};
#define ARENAS (sizeof arena / sizeof *arena)

/* S: shared, written to and cut short; R: never changes. The last of each is larger. */
static int S[3], R[3], R_ro[3], pipes[2];
static const size_t size_of[3] = {5 * PAGE + 100, 13 * PAGE, 1500 * PAGE + 7};

static uint64_t state, serial;
static unsigned long long seed;
static int op;

static uint64_t rnd(uint64_t n)
{
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % n;
}

/* ---- touching ---- */

static sigjmp_buf back;
static volatile int fault_code;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    fault_code = info->si_code;
    siglongjmp(back, signo);
}

static int touch(const volatile char *p, int writes, uint64_t value)
{
    int signo = sigsetjmp(back, 1);
    if (signo)
        return signo;
    if (writes)
        *(volatile uint64_t *)p = value;
    else
        (void)*(const volatile uint64_t *)p;
    return 0;
}

static uint64_t hash_bytes(const void *p, size_t n)
{
    const uint64_t *w = p;
    uint64_t h = 1469598103934665603;
    for (size_t i = 0; i < n / 8; i++)
        h = (h ^ w[i]) * 1099511628211;
    return h;
}

/* A page as the program sees it: its bytes, or the signal. */
static uint64_t look(const char *p)
{
    int signo = touch(p, 0, 0);
    return signo ? (uint64_t)(signo * 100 + fault_code) : hash_bytes(p, PAGE);
}

/* ---- what is where ---- */

static void mark(struct arena *a, unsigned from, unsigned n, enum kind kind)
{
    serial++;
    for (unsigned i = from; i < from + n && i < UNITS; i++) {
        a->at[i].kind = kind;
        a->at[i].id = serial;
        a->at[i].guard = 0;
    }
}

/* mprotect(2) and the like may split a mapping at both ends of the range. */
static void split(struct arena *a, unsigned from, unsigned n)
{
    serial++;
    for (unsigned i = from; i < from + n && i < UNITS; i++)
        a->at[i].id = a->at[i].id * 1000003 + serial;
}

/* Units from `from` on, at most n, that are one mapping. */
static unsigned run_of(const struct arena *a, unsigned from, unsigned n)
{
    unsigned k = 0;
    while (k < n && from + k < UNITS && a->at[from + k].id == a->at[from].id &&
           a->at[from + k].kind == a->at[from].kind)
        k++;
    return k;
}

static void say(const char *what, const struct arena *a, unsigned unit, unsigned n, long r)
{
    printf("%llu.%d %s %td:%u+%u: ", seed, op, what, a - arena, unit, n);
    if (r < 0)
        printf("%s\n", strerrorname_np(errno));
    else if ((uint64_t)r == (uint64_t)a->start + unit * a->unit)
        printf("there\n");
    else
        printf("%ld\n", r > 1l << 30 ? 1 : r);
}

/* ---- operations ---- */

static int a_prot(void)
{
    static const int prot[] = {PROT_NONE,
                               PROT_READ,
                               PROT_READ | PROT_WRITE,
                               PROT_READ | PROT_WRITE,
                               PROT_READ | PROT_EXEC,
                               PROT_READ | PROT_WRITE};
    return prot[rnd(6)];
}

static void op_mmap(struct arena *a, unsigned u, unsigned n)
{
    int fd = -1, flags = rnd(8) ? MAP_FIXED : MAP_FIXED_NOREPLACE, prot = a_prot();
    unsigned i = a->unit > PAGE ? 2 : (unsigned)rnd(2);
    off_t offset = 0;
    enum kind kind;
    const char *what;
    switch (rnd(8)) {
    case 0:
    case 1:
        what = "mmap anonymous";
        flags |= MAP_PRIVATE | MAP_ANONYMOUS | (rnd(2) ? MAP_NORESERVE : 0);
        kind = prot ? ANON : CLOSED;
        break;
    case 2:
        what = "mmap shared anonymous";
        flags |= MAP_SHARED | MAP_ANONYMOUS;
        kind = SHARED_ANON;
        break;
    case 3:
    case 4:
        what = "mmap private file";
        flags |= MAP_PRIVATE;
        fd = rnd(2) ? R[i] : R_ro[i];
        kind = PRIVATE_FILE;
        break;
    case 5:
        what = "mmap shared file for reading";
        flags |= MAP_SHARED;
        fd = R_ro[i];
        prot = rnd(4) ? prot & ~PROT_WRITE : prot;
        kind = SHARED_FILE;
        break;
    default:
        what = "mmap shared file";
        flags |= MAP_SHARED;
        fd = S[i];
        kind = SHARED_FILE;
    }
    if (fd >= 0)
        offset = (off_t)(rnd(7) * a->unit);
    char *at = a->start + u * a->unit;
    char *p = mmap(at, n * a->unit, prot, flags, fd, offset);
    say(what, a, u, n, p == MAP_FAILED ? -1 : (long)p);
    if (p != MAP_FAILED)
        mark(a, u, n, kind);
}

static void op_munmap(struct arena *a, unsigned u, unsigned n)
{
    say("munmap", a, u, n, munmap(a->start + u * a->unit, n * a->unit));
    mark(a, u, n, NOTHING);
}

static void op_mprotect(struct arena *a, unsigned u, unsigned n)
{
    int prot = a_prot();
    int r = mprotect(a->start + u * a->unit, n * a->unit, prot);
    say("mprotect", a, u, n, r);
    split(a, u, n);
    for (unsigned i = u; i < u + n; i++)
        if (prot && a->at[i].kind == CLOSED)
            a->at[i].kind = ANON;
}

static int in_ram(const struct arena *a)
{
    return a->start >= (char *)0x1000000000 && a->start < (char *)0xf000000000;
}

/* What an isle refuses: see proxy and kernel/mm/remap.c. */
static int odd(const struct arena *from, const struct arena *to, enum kind kind, int flags,
               int grows)
{
    int moves_out = in_ram(from) && !in_ram(to), moves_in = !in_ram(from) && in_ram(to);
    if (kind == PRIVATE_FILE)
        return grows || flags & MREMAP_DONTUNMAP || moves_out;
    if (kind == CLOSED || kind == ANON)
        return moves_in || (moves_out && flags & MREMAP_DONTUNMAP);
    return 0;
}

static void op_mremap(struct arena *a, unsigned u, unsigned n)
{
    struct arena *b = &arena[rnd(ARENAS)];
    while (b->unit != a->unit)
        b = &arena[rnd(ARENAS)];
    unsigned len = run_of(a, u, n), new_len = (unsigned)rnd(3) ? len : 1 + (unsigned)rnd(8),
             to = (unsigned)rnd(UNITS - 8);
    int flags = rnd(4) ? MREMAP_MAYMOVE | MREMAP_FIXED : (int)rnd(2);
    enum kind kind = a->at[u].kind;
    if (kind == NOTHING || !len)
        return;
    if (rnd(6) == 0 && flags & MREMAP_FIXED) {
        flags |= MREMAP_DONTUNMAP;
        new_len = len;
    }
    int view = flags == (MREMAP_MAYMOVE | MREMAP_FIXED) && rnd(8) == 0;
    if (odd(a, flags & MREMAP_FIXED ? b : a, kind, flags, new_len > len))
        return;
    for (unsigned i = u; i < u + len; i++)
        if (a->at[i].guard)
            return;
    char *old = a->start + u * a->unit, *at = b->start + to * b->unit;
    errno = 0;
    char *p = mremap(old, view ? 0 : len * a->unit, new_len * a->unit, flags, at);
    printf("%llu.%d mremap %td:%u+%u to %td:%u+%u flags %d view %d: ", seed, op, a - arena, u, len,
           b - arena, to, new_len, flags, view);
    if (p == MAP_FAILED) {
        printf("%s\n", strerrorname_np(errno));
        if (errno != EINVAL && flags & MREMAP_FIXED)
            mark(b, to, new_len, NOTHING);
        return;
    }
    printf("%s\n", p == at ? "there" : p == old ? "same" : "moved");
    if (p == old) {
        if (new_len < len)
            mark(a, u + new_len, len - new_len, NOTHING);
        mark(a, u, new_len, kind);
        return;
    }
    if (!(flags & MREMAP_DONTUNMAP) && !view)
        mark(a, u, len, NOTHING);
    else
        split(a, u, len);
    if (p == at) {
        mark(b, to, new_len, kind);
        return;
    }
    for (unsigned i = 0; i < new_len; i++)
        printf(" %lx", look(p + i * a->unit));
    printf("\n");
    munmap(p, new_len * a->unit);
}

static void op_advice(struct arena *a, unsigned u, unsigned n)
{
    int advice = rnd(4) ? MADV_DONTNEED : MADV_REMOVE;
    say(advice == MADV_REMOVE ? "madvise remove" : "madvise dontneed", a, u, n,
        madvise(a->start + u * a->unit, n * a->unit, advice));
}

/* Also what locked pages forbid. */
static void op_lock(struct arena *a, unsigned u, unsigned n)
{
    char *at = a->start + u * a->unit;
    switch (rnd(5)) {
    case 0:
        say("mlock2", a, u, n, mlock2(at, n * a->unit, MLOCK_ONFAULT));
        break;
    case 1:
        say("munlock", a, u, n, munlock(at, n * a->unit));
        break;
    case 2:
        say("msync", a, u, n, msync(at, n * a->unit, MS_SYNC | MS_INVALIDATE));
        return;
    default:
        say("mlock", a, u, n, mlock(at, n * a->unit));
    }
    split(a, u, n);
}

static void op_guard(struct arena *a, unsigned u, unsigned n)
{
    int install = rnd(2) == 0;
    for (unsigned i = u; i < u + n; i++)
        if (a->at[i].kind == PRIVATE_FILE) /* refused on an isle */
            return;
    int r = madvise(a->start + u * a->unit, n * a->unit,
                    install ? MADV_GUARD_INSTALL : MADV_GUARD_REMOVE);
    say(install ? "guard" : "no guard", a, u, n, r);
    for (unsigned i = u; i < u + n; i++)
        a->at[i].guard |= install && a->at[i].kind != NOTHING;
}

static void op_remap(struct arena *a, unsigned u, unsigned n)
{
    unsigned len = run_of(a, u, n);
    for (unsigned i = u; i < u + len; i++)
        if (a->at[i].guard)
            return;
    if (a->at[u].kind != SHARED_FILE || !len)
        return;
    say("remap_file_pages", a, u, len,
        remap_file_pages(a->start + u * a->unit, len * a->unit, 0, rnd(16), 0));
    mark(a, u, len, SHARED_FILE);
}

static void op_file(void)
{
    unsigned i = (unsigned)rnd(3);
    char bytes[3 * PAGE];
    off_t offset = (off_t)rnd(size_of[i] + PAGE);
    if (rnd(3) == 0) {
        printf("%llu.%d ftruncate %u: %d\n", seed, op, i, ftruncate(S[i], offset));
        return;
    }
    memset(bytes, (int)rnd(256), sizeof bytes);
    printf("%llu.%d pwrite %u: %zd\n", seed, op, i,
           pwrite(S[i], bytes, 1 + rnd(sizeof bytes), offset));
}

/* Linux itself reads and writes there. */
static void op_call(struct arena *a, unsigned u, unsigned n)
{
    static char bytes[64];
    char *at = a->start + u * a->unit + rnd(a->unit * n - 8);
    size_t len = 8 + rnd(sizeof bytes - 8);
    if (rnd(2)) {
        memset(bytes, (int)rnd(256), sizeof bytes);
        ssize_t w = write(pipes[1], bytes, len), r = read(pipes[0], at, len);
        say("read", a, u, n, w < 0 ? -1 : r);
        if (r < 0)
            r = read(pipes[0], bytes, len);
    } else {
        ssize_t w = write(pipes[1], at, 8);
        say("write", a, u, n, w);
        if (w > 0 && read(pipes[0], bytes, (size_t)w) == w)
            printf(" %lx\n", hash_bytes(bytes, (size_t)w));
    }
}

static void op_store(struct arena *a, unsigned u)
{
    size_t page = rnd(a->unit / PAGE);
    char *at = a->start + u * a->unit + page * PAGE;
    int signo = touch(at + rnd(PAGE / 8) * 8, 1, rnd(1ul << 62));
    printf("%llu.%d store %td:%u.%zu: %d %lx\n", seed, op, a - arena, u, page,
           signo ? signo * 100 + fault_code : 0, look(at));
}

static void show_arenas(void)
{
    for (unsigned k = 0; k < ARENAS; k++) {
        const struct arena *a = &arena[k];
        printf("%llu arena %u:", seed, k);
        for (unsigned i = 0; i < UNITS; i++)
            printf(" %lx", look(a->start + i * a->unit));
        for (unsigned i = 0; a->unit > PAGE && i < UNITS; i++)
            printf(" %lx", look(a->start + (i + 1) * a->unit - PAGE));
        printf("\n");
    }
}

static void op_fork(void)
{
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        show_arenas();
        struct arena *a = &arena[rnd(ARENAS)];
        op_store(a, (unsigned)rnd(UNITS));
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    printf("%llu.%d fork: %d\n", seed, op, status);
}

static void one_op(void)
{
    struct arena *a = &arena[rnd(ARENAS)];
    unsigned n = 1 + (unsigned)rnd(rnd(3) ? 3 : 8), u = (unsigned)rnd(UNITS - n);
    switch (rnd(19)) {
    case 16:
        if (geteuid() == 0) /* there is no limit */
            op_lock(a, u, n);
        break;
    case 17:
        op_guard(a, u, n);
        break;
    case 18:
        op_remap(a, u, n);
        break;
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        op_mmap(a, u, n);
        break;
    case 5:
        op_munmap(a, u, n);
        break;
    case 6:
    case 7:
        op_mprotect(a, u, n);
        break;
    case 8:
    case 9:
    case 10:
        op_mremap(a, u, n);
        break;
    case 11:
        op_advice(a, u, n);
        break;
    case 12:
        op_file();
        break;
    case 13:
        op_call(a, u, n);
        break;
    default:
        for (unsigned i = 0; i < 4; i++)
            op_store(a, (unsigned)rnd(UNITS));
    }
}

static int make_file(const char *name, size_t size, unsigned value)
{
    int fd = *name ? open(name, O_RDWR | O_CREAT | O_TRUNC, 0600) : memfd_create("S", 0);
    char page[PAGE];
    for (size_t at = 0; at < size; at += PAGE) {
        memset(page, (int)(value + at / PAGE), sizeof page);
        if (pwrite(fd, page, size - at < PAGE ? size - at : PAGE, (off_t)at) < 0)
            perror("pwrite");
    }
    return fd;
}

static void show_file(const char *name, int fd)
{
    static char page[PAGE];
    off_t size = lseek(fd, 0, SEEK_END);
    uint64_t h = 0;
    for (off_t at = 0; at < size; at += (off_t)PAGE) {
        memset(page, 0, sizeof page);
        if (pread(fd, page, sizeof page, at) < 0)
            perror("pread");
        h = (h ^ hash_bytes(page, sizeof page)) * 1099511628211;
    }
    printf("%llu file %s: %ld bytes, %lx\n", seed, name, (long)size, h);
}

static void a_round(int forks)
{
    static const char *const s_name[] = {"S0", "", "S2"}, *const r_name[] = {"R0", "R1", "R2"};
    state = seed;
    for (unsigned i = 0; i < 3; i++)
        S[i] = make_file(s_name[i], size_of[i], 0x10 + 0x20 * i);
    for (unsigned k = 0; k < ARENAS; k++) {
        struct arena *a = &arena[k];
        mmap(a->start, (UNITS + 1) * a->unit, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
        mark(a, 0, UNITS, CLOSED);
    }
    for (op = 0; op < OPS; op++) {
        one_op();
        if (forks && rnd(30) == 0)
            op_fork();
    }
    show_arenas();
    for (unsigned k = 0; k < ARENAS; k++)
        munmap(arena[k].start, (UNITS + 1) * arena[k].unit);
    for (unsigned i = 0; i < 3; i++) {
        show_file(*s_name[i] ? s_name[i] : "memfd", S[i]);
        close(S[i]);
        show_file(r_name[i], R[i]);
    }
}

int main(int argc, char **argv)
{
    unsigned long long first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    unsigned long long rounds = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    static const char *const name[] = {"R0", "R1", "R2"};
    struct sigaction act = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &act, NULL);
    sigaction(SIGBUS, &act, NULL);
    if (pipe(pipes))
        return 2;
    for (unsigned i = 0; i < 3; i++) {
        R[i] = make_file(name[i], size_of[i], 0x80 + 0x20 * i);
        R_ro[i] = open(name[i], O_RDONLY);
    }
    for (unsigned long long i = 0; i < rounds; i++) {
        seed = first + i;
        a_round(seed % 16 == 0);
    }
    return 0;
}
