/* SPDX-License-Identifier: MIT */
/* Private mappings of files: contents, ends, replacement, rights, errors. argv[1]: a directory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul

static sigjmp_buf back;
static volatile int got_signo, got_code;

static void on_fault(int signo, siginfo_t *info, void *context)
{
    (void)context;
    got_signo = signo;
    got_code = info->si_code;
    siglongjmp(back, 1);
}

/* The signal that reading (or writing) one byte there raises; 0: none. */
static int touch(volatile char *p, int write)
{
    got_signo = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (write) {
            *p = 1;
        } else {
            (void)*p;
        }
    }
    return got_signo;
}

static int make(const char *name, size_t size)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    for (size_t i = 0; i < size; i++) {
        char c = (char)(i / PAGE * 7 + i % 251);

        if (pwrite(fd, &c, 1, (off_t)i) != 1) {
            return -1;
        }
    }
    return fd;
}

static int is_file(const char *p, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++) {
        if (p[i - from] != (char)(i / PAGE * 7 + i % 251)) {
            return 0;
        }
    }
    return 1;
}

static int is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i]) {
            return 0;
        }
    }
    return 1;
}

static void contents(int fd)
{
    char *p, c;

    check_section("contents and ends");
    p = mmap(NULL, 5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (!CHECK(p != MAP_FAILED)) {
        return;
    }
    CHECK(is_file(p, 0, 2 * PAGE + 100) && is_zero(p + 2 * PAGE + 100, PAGE - 100));
    CHECK(touch(p + 3 * PAGE, 0) == SIGBUS && got_code == BUS_ADRERR);
    CHECK(touch(p + 5 * PAGE - 1, 1) == SIGBUS);
    CHECK(write(open("/dev/zero", O_WRONLY), p + 3 * PAGE, 1) == 1 || errno == EFAULT);
    p[0] = 'x';
    p[2 * PAGE + 200] = 'y';
    CHECK(pread(fd, &c, 1, 0) == 1 && c == 0);
    CHECK(mprotect(p, PAGE, PROT_READ) == 0 && touch(p, 1) == SIGSEGV && p[0] == 'x');
    CHECK(touch(p + PAGE, 1) == 0);
    CHECK(munmap(p + PAGE, PAGE) == 0);
    CHECK(touch(p + PAGE, 0) == SIGSEGV && got_code == SEGV_MAPERR);
    CHECK(p[2 * PAGE + 200] == 'y' && touch(p + 4 * PAGE, 0) == SIGBUS);
    CHECK(munmap(p, 5 * PAGE) == 0);

    p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);
    CHECK(p != MAP_FAILED && is_file(p, 2 * PAGE, 100) && is_zero(p + 100, PAGE - 100));
    CHECK(touch(p, 1) == SIGSEGV && got_code == SEGV_ACCERR);
    CHECK(munmap(p, PAGE) == 0);
    p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 64 * PAGE);
    CHECK(p != MAP_FAILED && touch(p, 0) == SIGBUS);
    CHECK(munmap(p, PAGE) == 0);
    p = mmap(NULL, 100, PROT_NONE, MAP_PRIVATE, fd, PAGE);
    CHECK(p != MAP_FAILED && touch(p, 0) == SIGSEGV && got_code == SEGV_ACCERR);
    CHECK(mprotect(p, PAGE, PROT_READ) == 0 && is_file(p, PAGE, PAGE));
    CHECK(munmap(p, PAGE) == 0);
}

/* As a dynamic loader does it: the whole file first, its pieces over it, bss at the end. */
static void replacement(int fd)
{
    char *p = mmap(NULL, 8 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0), *q;

    check_section("one over the other");
    if (!CHECK(p != MAP_FAILED)) {
        return;
    }
    q = mmap(p + PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, PAGE);
    CHECK(q == p + PAGE && is_file(q, PAGE, PAGE) && touch(q, 1) == SIGSEGV);
    q = mmap(p + 4 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, PAGE);
    CHECK(q == p + 4 * PAGE && is_file(q, PAGE, PAGE + 100) && touch(q, 1) == 0);
    q = mmap(p + 6 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    CHECK(q == p + 6 * PAGE && is_zero(q, 2 * PAGE));
    CHECK(is_file(p, 0, PAGE) && is_file(p + 2 * PAGE, 2 * PAGE, 100));
    CHECK(touch(p + 3 * PAGE, 0) == SIGBUS);
    CHECK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 999, 0) == MAP_FAILED &&
          errno == EBADF);
    CHECK(is_file(p, 0, PAGE));
    q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE, fd, 0); /* only a hint, and taken */
    CHECK(q != MAP_FAILED && q != p && munmap(q, PAGE) == 0);
    CHECK(munmap(p, 8 * PAGE) == 0);
    for (int i = 0; i < 8; i++) {
        CHECK(touch(p + (size_t)i * PAGE, 0) == SIGSEGV);
    }
    p = mmap(p, 8 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && is_zero(p, 8 * PAGE) && munmap(p, 8 * PAGE) == 0);
}

static void errors(const char *name, int fd)
{
    int out = open(name, O_WRONLY), dir = open(".", O_RDONLY), zero = open("/dev/zero", O_RDWR);
    int path = open(name, O_PATH), ends[2];
    char *p;

    check_section("errors");
#define MAP_ERR(fd_, len, off, err)                                                                \
    CHECK(mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd_, off) == MAP_FAILED && errno == (err))
    CHECK(pipe(ends) == 0);
    MAP_ERR(out, PAGE, 0, EACCES);
    MAP_ERR(dir, PAGE, 0, ENODEV);
    MAP_ERR(ends[0], PAGE, 0, ENODEV);
    MAP_ERR(path, PAGE, 0, EBADF);
    MAP_ERR(-1, PAGE, 0, EBADF);
    MAP_ERR(fd, PAGE, 100, EINVAL);
    MAP_ERR(fd, 0, 0, EINVAL);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_HUGETLB, fd, 0) == MAP_FAILED &&
          errno == EINVAL); /* a plain file */
    p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
    CHECK(p != MAP_FAILED && is_zero(p, 3 * PAGE) && touch(p + 2 * PAGE, 1) == 0);
    CHECK(munmap(p, 3 * PAGE) == 0);
}

static void moving(int fd)
{
    char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), *q, *r;

    check_section("mremap");
    if (!CHECK(p != MAP_FAILED)) {
        return;
    }
    p[1] = 'm';
    r = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r + PAGE);
    CHECK(q == r + PAGE && q[1] == 'm' && is_file(q + PAGE, PAGE, PAGE));
    CHECK(touch(p, 0) == SIGSEGV);
    CHECK(munmap(r, 4 * PAGE) == 0);
    p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 'a', 2 * PAGE);
    /* glibc gives no fifth argument here, which Linux looks at */
    q = (char *)syscall(SYS_mremap, p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0);
    CHECK(q != MAP_FAILED && q != p && q[0] == 'a' && q[2 * PAGE - 1] == 'a');
    CHECK(is_zero(p, 2 * PAGE) && touch(p, 1) == 0);
    CHECK(syscall(SYS_mremap, p, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0) == -1);
    CHECK(syscall(SYS_mremap, p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 1) == -1 &&
          errno == EINVAL);
    CHECK(munmap(p, 2 * PAGE) == 0 && munmap(q, 2 * PAGE) == 0);
}

static char *volatile target;
static volatile int rounds_over;

static void *unmaps(void *arg)
{
    while (!rounds_over) {
        char *p = target;

        if (p) {
            munmap(p, 2 * PAGE);
            target = NULL;
        } else {
            sched_yield();
        }
    }
    return arg;
}

/* Before the move or behind it: then it is not there any more, or the new one is whole. */
static void moving_and_unmapping(int fd)
{
    pthread_t t;
    int odd = 0;

    check_section("mremap against munmap");
    CHECK(pthread_create(&t, NULL, unmaps, NULL) == 0);
    for (int i = 0; i < 400; i++) {
        char *r = mmap(NULL, 8 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        char *p = mmap(r, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);

        target = p;
        char *q = mremap(p, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
        int err = errno;
        while (target) {
            sched_yield();
        }
        if (q == MAP_FAILED) {
            odd += err != EFAULT;
        } else {
            odd += q == p || !is_file(q, 0, 2 * PAGE + 100);
            munmap(q, 4 * PAGE);
        }
        munmap(r, 8 * PAGE);
    }
    CHECK(odd == 0);
    rounds_over = 1;
    CHECK(pthread_join(t, NULL) == 0);
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    if (argc < 2 || chdir(argv[1])) {
        return 2;
    }
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    int fd = make("mapped", 2 * PAGE + 100);

    CHECK(fd >= 0);
    contents(fd);
    replacement(fd);
    errors("mapped", fd);
    moving(fd);
    moving_and_unmapping(fd);
    CHECK(unlink("mapped") == 0);
    return check_end();
}
