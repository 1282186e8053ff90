/* SPDX-License-Identifier: MIT */
/* mmap, munmap, mremap, mprotect, madvise, brk, malloc: results, contents, errors. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul
#define MIB (1ul << 20)

static char *map(size_t len, int prot)
{
    void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static int all_bytes(const char *p, size_t len, char value)
{
    for (size_t i = 0; i < len; i++) {
        if (p[i] != value) {
            return 0;
        }
    }
    return 1;
}

/* Readable as Linux sees it: what write(2) to a pipe says of one byte there. */
static int readable(const void *p)
{
    static int fd[2] = {-1, -1};
    char c;

    if (fd[0] < 0 && pipe(fd)) {
        return -1;
    }
    if (write(fd[1], p, 1) == 1) {
        return read(fd[0], &c, 1) == 1;
    }
    return errno == EFAULT ? 0 : -1;
}

static void mapping(void)
{
    static const size_t sizes[] = {1, PAGE, 3 * PAGE, MIB, 2 * MIB, 5 * MIB + PAGE, 64 * MIB};
    char *p, *q;

    check_section("mmap and munmap");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t whole = (sizes[i] + PAGE - 1) & ~(PAGE - 1);

        p = map(sizes[i], PROT_READ | PROT_WRITE);
        if (CHECK(p)) {
            CHECK((uintptr_t)p % PAGE == 0);
            CHECK(all_bytes(p, whole, 0));
            memset(p, 0x5a, whole);
            CHECK(all_bytes(p, whole, 0x5a));
            CHECK(munmap(p, sizes[i]) == 0);
            CHECK(!readable(p));
        }
        /* what comes back after use is clean again */
        p = map(sizes[i], PROT_READ | PROT_WRITE);
        CHECK(p && all_bytes(p, whole, 0));
        CHECK(munmap(p, sizes[i]) == 0);
    }
    p = map(10 * PAGE, PROT_READ | PROT_WRITE);
    memset(p, 1, 10 * PAGE);
    CHECK(munmap(p + 4 * PAGE, 2 * PAGE) == 0);
    CHECK(readable(p + 3 * PAGE) && !readable(p + 4 * PAGE));
    CHECK(!readable(p + 5 * PAGE) && readable(p + 6 * PAGE));
    CHECK(p[0] == 1 && p[9 * PAGE] == 1);
    q = mmap(p + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(q == p + 4 * PAGE);
    CHECK(q[0] == 0);
    CHECK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
              MAP_FAILED &&
          errno == EEXIST);
    CHECK(mmap(p, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
               0) == p);
    CHECK(all_bytes(p, 2 * PAGE, 0) && p[2 * PAGE] == 1);
    CHECK(munmap(p, 10 * PAGE) == 0);
    CHECK(munmap(p, 10 * PAGE) == 0); /* nothing there is no error */

    CHECK(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
          errno == EINVAL);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0) == MAP_FAILED && errno == EBADF);
    CHECK(mmap(NULL, 1ul << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
          errno == ENOMEM);
    CHECK_ERR(munmap((void *)1, PAGE), EINVAL);
    CHECK_ERR(munmap((void *)PAGE, 0), EINVAL);
}

static void protection(void)
{
    char *p = map(8 * MIB, PROT_READ | PROT_WRITE), *q;

    check_section("mprotect");
    memset(p, 7, 8 * MIB);
    CHECK(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
    CHECK(readable(p) && !readable(p + PAGE) && readable(p + 2 * PAGE));
    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0);
    CHECK(readable(p + PAGE) && p[PAGE] == 7);
    CHECK_ERR(pread(open("/dev/zero", O_RDONLY), p + PAGE, 1, 0), EFAULT);
    CHECK(mprotect(p, 8 * MIB, PROT_READ | PROT_WRITE) == 0);
    CHECK(all_bytes(p, 8 * MIB, 7));
    for (int i = 0; i < 300; i++) { /* every second page, over more than one huge page */
        CHECK(mprotect(p + 2 * (size_t)i * PAGE, PAGE, PROT_READ) == 0);
    }
    p[PAGE] = 9;
    CHECK(p[PAGE] == 9 && p[2 * PAGE] == 7);
    CHECK_ERR(syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), EINVAL); /* musl rounds */
    CHECK(munmap(p, 8 * MIB) == 0);
    CHECK_ERR(mprotect(p, PAGE, PROT_READ), ENOMEM);

    check_section("reservations");
    p = mmap(NULL, 64ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (CHECK(p != MAP_FAILED)) {
        q = p + (33ul << 30);
        CHECK(!readable(q));
        CHECK(mprotect(q, MIB, PROT_READ | PROT_WRITE) == 0);
        CHECK(all_bytes(q, MIB, 0));
        memset(q, 3, MIB);
        CHECK(!readable(q - 1) && !readable(q + MIB));
        CHECK(madvise(q, MIB, MADV_DONTNEED) == 0);
        CHECK(all_bytes(q, MIB, 0));
        CHECK(munmap(p, 64ul << 30) == 0);
    }
}

static void remapping(void)
{
    char *p = map(4 * PAGE, PROT_READ | PROT_WRITE), *q, *wall;

    check_section("mremap");
    memset(p, 5, 4 * PAGE);
    q = mremap(p, 4 * PAGE, 4 * MIB, MREMAP_MAYMOVE);
    if (CHECK(q != MAP_FAILED)) {
        CHECK(all_bytes(q, 4 * PAGE, 5) && all_bytes(q + 4 * PAGE, 4 * MIB - 4 * PAGE, 0));
        memset(q, 6, 4 * MIB);
        CHECK(mremap(q, 4 * MIB, 2 * PAGE, 0) == q);
        CHECK(all_bytes(q, 2 * PAGE, 6) && !readable(q + 2 * PAGE));
        wall = mmap(q + 2 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        CHECK(wall == q + 2 * PAGE);
        CHECK(mremap(q, 2 * PAGE, 3 * PAGE, 0) == MAP_FAILED && errno == ENOMEM);
        p = map(16 * PAGE, PROT_READ | PROT_WRITE);
        CHECK(mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 8 * PAGE) ==
              p + 8 * PAGE);
        CHECK(all_bytes(p + 8 * PAGE, 2 * PAGE, 6) && p[0] == 0 && !readable(q));
        CHECK(munmap(p, 16 * PAGE) == 0 && munmap(wall, PAGE) == 0);
    }
    CHECK(mremap(p + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
    CHECK(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
}

/* What the host populates at first touch is zero again after it was closed and given back. */
static void closed(void)
{
    static const int kinds[] = {0, MAP_STACK, MAP_NORESERVE, MAP_STACK | MAP_NORESERVE};
    size_t large = 3ul << 30;
    char *p, *q, *far;

    check_section("closed and given back");
    far = mmap(NULL, 64ul << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(far != MAP_FAILED && munmap(far, 64ul << 30) == 0);
    far += 40ul << 30; /* where nothing has ever been */
    for (int i = 0; i < 4; i++) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | kinds[i];

        p = far + ((size_t)i << 32);
        CHECK(mmap(p, 8 * MIB, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0) == p);
        memset(p, 5, 8 * MIB);
        CHECK(mprotect(p, 8 * MIB, PROT_NONE) == 0);
        CHECK(munmap(p, 8 * MIB) == 0);
        q = mmap(p, 8 * MIB, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(q == p && all_bytes(p, 8 * MIB, 0));

        memset(p, 6, 4 * MIB); /* moved while it is closed */
        CHECK(mprotect(p, 4 * MIB, PROT_NONE) == 0);
        q = mmap(NULL, 8 * MIB, PROT_NONE, flags, -1, 0);
        CHECK(mremap(p, 4 * MIB, 6 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
        CHECK(!readable(p) && !readable(q));
        CHECK(mprotect(q, 6 * MIB, PROT_READ | PROT_WRITE) == 0);
        CHECK(all_bytes(q, 4 * MIB, 6) && all_bytes(q + 4 * MIB, 2 * MIB, 0));
        CHECK(munmap(p, 8 * MIB) == 0 && munmap(q, 8 * MIB) == 0);

        /* a large reservation of which little was ever there */
        p = far + ((size_t)i << 32) + (1 << 30);
        CHECK(mmap(p, large, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0) == p);
        CHECK(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0);
        p[0] = 7;
        CHECK(mprotect(p, PAGE, PROT_NONE) == 0);
        CHECK(madvise(p, large, MADV_DONTNEED) == 0);
        CHECK(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0 && p[0] == 0);
        p[0] = 8;
        CHECK(mprotect(p, PAGE, PROT_NONE) == 0);
        CHECK(madvise(p, large, MADV_DONTNEED) == 0);
        CHECK(munmap(p, large) == 0);
        q = mmap(p, PAGE, PROT_READ | PROT_WRITE, flags | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(q == p && q[0] == 0);
        CHECK(munmap(q, PAGE) == 0);
    }
}

static char *brk_to(char *end)
{
    return (char *)syscall(SYS_brk, end);
}

static void heap(void)
{
    char *start = brk_to(NULL), *p[200];

    check_section("brk");
    if (CHECK(brk_to(start + 3 * MIB) == start + 3 * MIB)) {
        CHECK(all_bytes(start, 3 * MIB, 0));
        memset(start, 4, 3 * MIB);
        CHECK(brk_to(start + MIB) == start + MIB);
        CHECK(all_bytes(start, MIB, 4) && !readable(start + MIB + PAGE));
        CHECK(brk_to(start + 3 * MIB) == start + 3 * MIB);
        CHECK(all_bytes(start + MIB, 2 * MIB, 0));
        CHECK(brk_to((char *)1) == start + 3 * MIB); /* refused: the old one comes back */
        CHECK(brk_to(start) == start);
    }
    CHECK(sbrk(0) == start);

    check_section("malloc");
    for (size_t i = 0; i < 200; i++) {
        p[i] = malloc(i * i * 17 + 1);
        if (CHECK(p[i])) {
            memset(p[i], (int)i, i * i * 17 + 1);
        }
    }
    for (size_t i = 0; i < 200; i += 2) {
        free(p[i]);
        p[i] = calloc(1, i * 1000 + 1);
        CHECK(p[i] && all_bytes(p[i], i * 1000 + 1, 0));
    }
    for (size_t i = 0; i < 200; i++) {
        CHECK(i % 2 == 0 || all_bytes(p[i], i * i * 17 + 1, (char)i));
        free(p[i]);
    }
    for (size_t size = 1; size < 40 * MIB; size *= 3) {
        p[0] = size == 1 ? malloc(1) : realloc(p[0], size);
        if (!CHECK(p[0])) {
            return;
        }
        if (size > 1) {
            CHECK(p[0][size / 3 - 1] == (char)(size / 3));
        }
        p[0][size - 1] = (char)size;
    }
    free(p[0]);
    CHECK(posix_memalign((void **)&p[0], 2 * MIB, 3 * MIB) == 0 &&
          (uintptr_t)p[0] % (2 * MIB) == 0);
    memset(p[0], 1, 3 * MIB);
    free(p[0]);
}

static void files(const char *self)
{
    char head[4], *p, byte;
    int fd = open(self, O_RDONLY);
    off_t size = lseek(fd, 0, SEEK_END);

    check_section("private mapping of a file");
    CHECK(fd >= 0 && pread(fd, head, 4, 0) == 4);
    p = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (CHECK(p != MAP_FAILED)) {
        CHECK(memcmp(p, head, 4) == 0 && memcmp(p, "\177ELF", 4) == 0);
        CHECK(pread(fd, &byte, 1, size - 1) == 1 && p[size - 1] == byte);
        p[0] = 'x';
        CHECK(pread(fd, head, 1, 0) == 1 && head[0] == '\177');
        CHECK(munmap(p, (size_t)size) == 0);
    }
    p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, (off_t)PAGE);
    if (CHECK(p != MAP_FAILED)) {
        CHECK(pread(fd, head, 4, (off_t)PAGE) == 4 && memcmp(p, head, 4) == 0);
        CHECK(munmap(p, PAGE) == 0);
    }
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1) == MAP_FAILED && errno == EINVAL);
    close(fd);
}

static void fragments(void)
{
    enum { N = 3000 };
    static char *p[N];
    int bad = 0;

    check_section("thousands of mappings");
    for (int i = 0; i < N; i++) {
        p[i] = map((size_t)(i % 7 + 1) * PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE);
        bad += !p[i];
        if (p[i] && i % 2 == 0) {
            memset(p[i], i, PAGE);
        }
    }
    for (int i = 0; i < N; i += 3) {
        bad += munmap(p[i], (size_t)(i % 7 + 1) * PAGE) != 0;
    }
    for (int i = 0; i < N; i++) {
        if (i % 3) {
            bad += i % 2 == 0 ? !all_bytes(p[i], PAGE, (char)i) : p[i][0] != 0;
            bad += munmap(p[i], (size_t)(i % 7 + 1) * PAGE) != 0;
        }
    }
    CHECK(bad == 0);
}

int main(int argc, char **argv)
{
    (void)argc;
    mapping();
    protection();
    remapping();
    closed();
    heap();
    files(argv[0]);
    fragments();
    return check_end();
}
