/* SPDX-License-Identifier: MIT */
/*
 * Memory shared with Linux: files, memfd, POSIX and System V shared memory, anonymous. argv[1]: a
 * directory; "meet FILE": shares FILE with another process.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

static int is_zero(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i]) {
            return 0;
        }
    }
    return 1;
}

static char *map(int fd, size_t len, int prot, off_t offset)
{
    void *p = mmap(NULL, len, prot, MAP_SHARED, fd, offset);

    return p == MAP_FAILED ? NULL : p;
}

static void same_pages(int fd)
{
    char *p = map(fd, 4 * PAGE, PROT_READ | PROT_WRITE, 0), *q, c[4] = "";

    check_section("the same pages");
    if (!CHECK(p)) {
        return;
    }
    q = map(fd, 2 * PAGE, PROT_READ | PROT_WRITE, PAGE);
    CHECK(q && q != p && is_zero(p, 4 * PAGE));
    strcpy(p + PAGE, "one");
    CHECK(strcmp(q, "one") == 0);
    CHECK(pread(fd, c, 3, PAGE) == 3 && strcmp(c, "one") == 0);
    CHECK(pwrite(fd, "two", 3, PAGE) == 3 && strcmp(p + PAGE, "two") == 0);
    CHECK(pread(fd, p + 3 * PAGE, 3, PAGE) == 3 && strcmp(p + 3 * PAGE, "two") == 0);
    CHECK(pwrite(fd, p + 3 * PAGE, 3, 0) == 3 && strcmp(p, "two") == 0);
    CHECK(msync(p, 4 * PAGE, MS_SYNC) == 0 && msync(p, PAGE, MS_ASYNC) == 0);
    CHECK_ERR(msync(p + 1, PAGE, MS_SYNC), EINVAL);
    CHECK(munmap(q, 2 * PAGE) == 0 && touch(q, 0) == SIGSEGV && strcmp(p + PAGE, "two") == 0);
    CHECK(madvise(p, 4 * PAGE, MADV_DONTNEED) == 0 && strcmp(p + PAGE, "two") == 0);

    CHECK(mprotect(p + PAGE, PAGE, PROT_READ) == 0 && touch(p + PAGE, 1) == SIGSEGV);
    CHECK(got_code == SEGV_ACCERR && touch(p, 1) == 0 && touch(p + 2 * PAGE, 1) == 0);
    CHECK_ERR(pread(fd, p + PAGE, 1, 0), EFAULT);
    CHECK(mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE) == 0 && touch(p + PAGE, 1) == 0);
    CHECK(munmap(p, 4 * PAGE) == 0);
    CHECK_ERR(msync(p, PAGE, MS_SYNC), ENOMEM);
}

static void ends(int fd)
{
    char *p;

    check_section("the end of the file");
    CHECK(ftruncate(fd, 2 * PAGE + 10) == 0);
    p = map(fd, 8 * PAGE, PROT_READ | PROT_WRITE, 0);
    CHECK(p && touch(p + 2 * PAGE, 1) == 0 && touch(p + 3 * PAGE, 0) == SIGBUS);
    CHECK(got_code == BUS_ADRERR && touch(p + 7 * PAGE, 1) == SIGBUS);
    CHECK(ftruncate(fd, 5 * PAGE) == 0);
    CHECK(touch(p + 4 * PAGE, 1) == 0 && touch(p + 3 * PAGE, 0) == 0 && p[4 * PAGE] == 1);
    CHECK(touch(p + 5 * PAGE, 0) == SIGBUS);
    CHECK(ftruncate(fd, 8 * PAGE) == 0 && touch(p + 7 * PAGE, 1) == 0);
    CHECK(ftruncate(fd, 7 * PAGE) == 0 && touch(p + 7 * PAGE, 1) == SIGBUS);
    CHECK(got_code == BUS_ADRERR && touch(p + 6 * PAGE, 1) == 0);
    CHECK(ftruncate(fd, 8 * PAGE) == 0 && touch(p + 7 * PAGE, 0) == 0 && p[7 * PAGE] == 0);
    CHECK(mprotect(p + 5 * PAGE, PAGE, PROT_NONE) == 0 && touch(p + 5 * PAGE, 0) == SIGSEGV);
    CHECK(munmap(p, 8 * PAGE) == 0);
}

static void moves(int fd)
{
    char *p, *q, *r, *wall;

    check_section("mremap and MAP_FIXED");
    CHECK(ftruncate(fd, 16 * PAGE) == 0);
    p = map(fd, 2 * PAGE, PROT_READ | PROT_WRITE, PAGE);
    wall = mmap(p + 2 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strcpy(p, "moved");
    q = mremap(p, 2 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
    CHECK(q != MAP_FAILED && strcmp(q, "moved") == 0 && touch(q + 5 * PAGE, 1) == 0);
    CHECK(q == p || touch(p, 0) == SIGSEGV);
    CHECK(mremap(q, 6 * PAGE, PAGE, 0) == q && touch(q + PAGE, 0) == SIGSEGV);
    CHECK(munmap(q, PAGE) == 0 && munmap(wall, PAGE) == 0);

    /* a ring buffer: the same two pages twice, one behind the other */
    r = mmap(NULL, 6 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(r, 'r', 6 * PAGE);
    p = mmap(r + PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    q = mmap(r + 3 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    CHECK(p == r + PAGE && q == r + 3 * PAGE);
    memcpy(p + 2 * PAGE - 2, "wrap", 4);
    CHECK(memcmp(q, "ap", 2) == 0 && memcmp(p, "ap", 2) == 0 &&
          memcmp(q + 2 * PAGE - 2, "wr", 2) == 0);
    CHECK(r[0] == 'r' && r[PAGE - 1] == 'r' && r[5 * PAGE] == 'r');
    CHECK(munmap(p, 2 * PAGE) == 0 && touch(p, 0) == SIGSEGV && memcmp(q, "ap", 2) == 0);
    p = mmap(r + PAGE, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
             -1, 0);
    CHECK(p == r + PAGE && is_zero(p, 4 * PAGE) && r[0] == 'r' && r[5 * PAGE] == 'r');
    memset(p, 1, 4 * PAGE);
    CHECK(munmap(r, 6 * PAGE) == 0);
}

/* Where the program says, far from everything else: a library's symmetric heap does that. */
static void far_away(int fd)
{
    const uintptr_t base = 0x212345600000, step = 0x4345678000, odd = 0x63fffffff000;
    char *p = (char *)base, *q, b[4];

    check_section("far from everything else");
    CHECK(msync(p, PAGE, 0) == -1 && errno == ENOMEM);
    CHECK(munmap(p, PAGE) == 0);
    CHECK(ftruncate(fd, 4 * PAGE) == 0);
    CHECK(mmap(p, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == p);
    memset(p, 'f', 4 * PAGE);
    CHECK(pread(fd, b, 4, 3 * PAGE) == 4 && memcmp(b, "ffff", 4) == 0);
    CHECK(pwrite(fd, p, 4, PAGE) == 4 && pread(fd, p + 8, 4, 0) == 4);
    CHECK(mmap(p, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED &&
          errno == EEXIST);
    CHECK(mprotect(p, PAGE, PROT_READ) == 0 && touch(p, 1) == SIGSEGV && touch(p + PAGE, 1) == 0);
    CHECK(mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0 && touch(p, 1) == 0);
    pid_t child = fork();
    if (child == 0) {
        p[5] = '5';
        _exit(0);
    }
    CHECK(waitpid(child, NULL, 0) == child && p[5] == '5');
    /* over a boundary of every table */
    q = mmap((void *)odd, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    CHECK(q == (char *)odd);
    q[PAGE - 1] = 'x';
    q[PAGE] = 'y';
    CHECK(p[PAGE - 1] == 'x' && p[PAGE] == 'y');
    long wrong = 0;
    for (uintptr_t i = 1; i < 60; i++) {
        char *r = (char *)(base + i * step);
        wrong += mmap(r, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE) != r;
        *r = (char)i;
        wrong += p[PAGE] != (char)i;
        wrong += i % 3 && munmap(r, PAGE);
    }
    CHECK(wrong == 0);
    /* more than an isle has room for at a time */
    CHECK(ftruncate(fd, 17l << 30) == 0);
    for (uintptr_t i = 0; i < 6; i++) {
        char *r = (char *)(base + (i + 100) * step);
        wrong += mmap(r, 17l << 30, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != r;
        r[PAGE] = r[(17l << 30) - 1] = (char)(i + 1);
        wrong += p[PAGE] != (char)(i + 1);
        wrong += munmap(r, 17l << 30);
    }
    CHECK(wrong == 0 && ftruncate(fd, 4 * PAGE) == 0);
    CHECK(q[PAGE] == p[PAGE]);
    CHECK(munmap(p, 4 * PAGE) == 0 && touch(p, 0) == SIGSEGV);
    CHECK(write(fd, p, 1) == -1 && errno == EFAULT);
    CHECK(munmap(q, 2 * PAGE) == 0);
}

static void rights(const char *name)
{
    int rd = open(name, O_RDONLY), wr = open(name, O_WRONLY), rw = open(name, O_RDWR);
    char *p;

    check_section("rights");
    CHECK(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, rd, 0) == MAP_FAILED && errno == EACCES);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, wr, 0) == MAP_FAILED && errno == EACCES);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, 999, 0) == MAP_FAILED && errno == EBADF);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x200000, rw, 0) == MAP_FAILED &&
          errno == EOPNOTSUPP);
    p = map(rd, PAGE, PROT_READ, 0);
    CHECK(p && touch(p, 0) == 0 && touch(p, 1) == SIGSEGV);
    CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_HUGETLB, rw, 0) == MAP_FAILED &&
          errno == EINVAL); /* a plain file */
    CHECK(munmap(p, PAGE) == 0);
    p = map(rw, PAGE, PROT_READ, 0);
    CHECK(p && touch(p, 1) == SIGSEGV && mprotect(p, PAGE, PROT_READ | PROT_WRITE) == 0);
    CHECK(touch(p, 1) == 0 && munmap(p, PAGE) == 0);
    close(rd);
    close(wr);
    close(rw);
}

static void *poster(void *arg)
{
    sleep_ms(20);
    sem_post(arg);
    return NULL;
}

static void others(void)
{
    char name[64], *p, *q;
    pthread_t t;
    sem_t *sem;
    int fd = memfd_create("test", MFD_CLOEXEC), id;

    check_section("memfd, shm_open, anonymous, semaphores");
    CHECK(fd >= 0 && ftruncate(fd, PAGE) == 0);
    p = map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
    CHECK(p && touch(p, 1) == 0 && close(fd) == 0 && p[0] == 1 && munmap(p, PAGE) == 0);
    snprintf(name, sizeof(name), "/lull-test-%d", getpid());
    fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    CHECK(fd >= 0 && ftruncate(fd, 3 << 20) == 0);
    p = map(fd, 3 << 20, PROT_READ | PROT_WRITE, 0);
    CHECK(p && is_zero(p, 3 << 20));
    memset(p, 7, 3 << 20);
    q = map(fd, 3 << 20, PROT_READ, 0);
    CHECK(q && q[(3 << 20) - 1] == 7 && shm_unlink(name) == 0 && q[0] == 7);
    CHECK(munmap(p, 3 << 20) == 0 && munmap(q, 3 << 20) == 0 && close(fd) == 0);

    p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && is_zero(p, 4 << 20));
    memset(p, 9, 4 << 20);
    sem = (sem_t *)(void *)p;
    CHECK(sem_init(sem, 1, 0) == 0 && sem_trywait(sem) == -1 && errno == EAGAIN);
    pthread_create(&t, NULL, poster, sem);
    CHECK(sem_wait(sem) == 0 && pthread_join(t, NULL) == 0);
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec = (until.tv_nsec + 20000000) % 1000000000;
    until.tv_sec += until.tv_nsec < 20000000;
    CHECK(sem_timedwait(sem, &until) == -1 && errno == ETIMEDOUT);
    CHECK(munmap(p, 4 << 20) == 0);
    sem = sem_open(name, O_CREAT | O_EXCL, 0600, 2);
    CHECK(sem != SEM_FAILED && sem_wait(sem) == 0 && sem_trywait(sem) == 0);
    CHECK(sem_trywait(sem) == -1 && sem_close(sem) == 0 && sem_unlink(name) == 0);

    check_section("System V");
    id = shmget(IPC_PRIVATE, 3 * PAGE, IPC_CREAT | 0600);
    CHECK(id >= 0);
    p = shmat(id, NULL, 0);
    q = shmat(id, NULL, SHM_RDONLY);
    CHECK(p != (void *)-1 && q != (void *)-1 && p != q);
    strcpy(p + PAGE, "sysv");
    struct shmid_ds ds;
    CHECK(strcmp(q + PAGE, "sysv") == 0 && touch(q, 1) == SIGSEGV);
    CHECK(shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 2 && ds.shm_segsz == 3 * PAGE);
    CHECK(shmdt(q) == 0 && shmctl(id, IPC_STAT, &ds) == 0 && ds.shm_nattch == 1);
    CHECK_ERR(shmdt(q), EINVAL);
    CHECK_ERR(shmdt(p + PAGE), EINVAL);
    CHECK(shmat(id, p, 0) == (void *)-1 && errno == EINVAL);
    CHECK(shmctl(id, IPC_RMID, NULL) == 0 && shmdt(p) == 0);
    CHECK(shmat(id, NULL, 0) == (void *)-1 && errno == EINVAL);

    id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
    unsigned short all[3] = {1, 2, 3};
    struct sembuf down = {1, -2, 0}, again = {1, -1, IPC_NOWAIT};
    struct timespec short_time = {0, 10000000};
    CHECK(id >= 0 && semctl(id, 0, SETALL, all) == 0 && semctl(id, 2, GETVAL) == 3);
    CHECK(semop(id, &down, 1) == 0 && semctl(id, 1, GETVAL) == 0);
    CHECK_ERR(semop(id, &again, 1), EAGAIN);
    CHECK_ERR(semtimedop(id, &down, 1, &short_time), EAGAIN);
    CHECK_ERR(semop(id, (void *)8, 1), EFAULT);
    memset(all, 0, sizeof(all));
    CHECK(semctl(id, 0, GETALL, all) == 0 && all[0] == 1 && all[1] == 0 && all[2] == 3);
    CHECK(semctl(id, 0, IPC_RMID) == 0 && semctl(id, 0, GETVAL) == -1);
}

static int meet(const char *name)
{
    int fd = open(name, O_RDWR);
    volatile char *p = (volatile char *)map(fd, PAGE, PROT_READ | PROT_WRITE, 0);

    if (fd < 0 || !p) {
        return 2;
    }
    printf("ready\n");
    fflush(stdout);
    p[0] = 'A';
    for (long long end = now_ns() + 20000000000ll; p[1] != 'B';) {
        if (now_ns() > end) {
            return 3;
        }
        sleep_ms(1);
    }
    p[2] = 'C';
    return 0;
}

int main(int argc, char **argv)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    if (argc > 2) {
        return meet(argv[2]);
    }
    if (argc < 2 || chdir(argv[1])) {
        return 2;
    }
    sigaction(SIGSEGV, &sa, NULL);
    sigaction(SIGBUS, &sa, NULL);
    char name[32];
    snprintf(name, sizeof name, "shared.%d", (int)getpid()); /* others may run here too */
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

    CHECK(fd >= 0 && ftruncate(fd, 4 * PAGE) == 0);
    same_pages(fd);
    ends(fd);
    moves(fd);
    far_away(fd);
    rights(name);
    others();
    CHECK(unlink(name) == 0);
    return check_end();
}
