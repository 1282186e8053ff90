/* SPDX-License-Identifier: MIT */
/* What a program reads of itself in /proc. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char text[1 << 20];

/* The whole file; bytes. */
static size_t load(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t n = 0;
    ssize_t got;

    if (!CHECK(fd >= 0)) {
        printf("%s\n", path);
        return 0;
    }
    while ((got = read(fd, text + n, sizeof(text) - 1 - n)) > 0) {
        n += (size_t)got;
    }
    CHECK(fcntl(fd, F_GETFD) == FD_CLOEXEC && write(fd, "x", 1) == -1);
    close(fd);
    text[n] = '\0';
    return n;
}

struct map {
    unsigned long start, end, offset, ino;
    char rights[5], name[300];
};

/* The line of /proc/self/maps that has the address. */
static int find_map(const void *at, struct map *out)
{
    load("/proc/self/maps");
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = out->name[0] = '\0';
        if (sscanf(line, "%lx-%lx %4s %lx %*x:%*x %lu %299[^\n]", &out->start, &out->end,
                   out->rights, &out->offset, &out->ino, out->name) < 5) {
            return 0;
        }
        if ((uintptr_t)at >= out->start && (uintptr_t)at < out->end) {
            return 1;
        }
    }
    return 0;
}

static int ends_with(const char *s, const char *end)
{
    return strlen(s) >= strlen(end) && strcmp(s + strlen(s) - strlen(end), end) == 0;
}

static void on_signal(int signo);

static void maps(const char *self)
{
    struct map m;
    struct stat st;
    char *real = realpath(self, NULL), *p, on_stack;
    int fd = open(self, O_RDONLY);

    check_section("maps");
    CHECK(stat(self, &st) == 0 && fd >= 0);
    CHECK(find_map((void *)(uintptr_t)on_signal, &m) && strcmp(m.rights, "r-xp") == 0);
    CHECK(real && strcmp(m.name, real) == 0 && m.ino == st.st_ino);
    CHECK(find_map(&on_stack, &m) && strcmp(m.name, "[stack]") == 0 &&
          strcmp(m.rights, "rw-p") == 0);
    CHECK(find_map(sbrk(4096), &m) && strcmp(m.name, "[heap]") == 0);
    CHECK(find_map(text, &m) && strcmp(m.rights, "rw-p") == 0);
    p = mmap(NULL, 6 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mprotect(p + 4096, 2 * 4096, PROT_NONE) == 0);
    CHECK(find_map(p + 4096, &m) && m.end - m.start == 2 * 4096 && m.start == (uintptr_t)p + 4096);
    CHECK(strcmp(m.rights, "---p") == 0 && m.name[0] == '\0' && m.ino == 0);
    CHECK(munmap(p + 3 * 4096, 4096) == 0 && !find_map(p + 3 * 4096, &m));
    munmap(p, 6 * 4096);
    p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 4096);
    CHECK(find_map(p, &m) && m.start == (uintptr_t)p && m.offset == 4096 && m.ino == st.st_ino);
    CHECK(strcmp(m.rights, "r--p") == 0 && strcmp(m.name, real) == 0);
    free(real);
    close(fd);
}

static unsigned long field(const char *key, int base)
{
    char *p;

    load("/proc/self/status");
    p = strstr(text, key);
    return p ? strtoul(p + strlen(key), NULL, base) : ~0ul;
}

static void on_signal(int signo)
{
    (void)signo;
}

static pthread_barrier_t barrier;

static void *waiter(void *arg)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return arg;
}

static void status(const char *name)
{
    sigset_t set, old;
    pthread_t t[3];
    char comm[40];

    check_section("status, stat, comm");
    CHECK(field("\nPid:", 10) == (unsigned long)getpid());
    CHECK(field("\nPPid:", 10) == (unsigned long)getppid());
    CHECK(field("\nUid:", 10) == getuid());
    CHECK(field("\nThreads:", 10) == 1);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &old);
    raise(SIGUSR1);
    CHECK(field("\nSigBlk:", 16) == 1ul << (SIGUSR1 - 1));
    CHECK(field("\nSigPnd:", 16) == 1ul << (SIGUSR1 - 1));
    signal(SIGUSR1, SIG_IGN);
    sigprocmask(SIG_SETMASK, &old, NULL);
    CHECK(field("\nSigIgn:", 16) & 1ul << (SIGUSR1 - 1));
    signal(SIGUSR1, on_signal);
    CHECK(field("\nSigCgt:", 16) == 1ul << (SIGUSR1 - 1));
    CHECK(field("\nVmSize:", 10) > 100 && field("\nVmRSS:", 10) > 100);
    snprintf(comm, sizeof(comm), "Name:\t%.15s\n", name);
    load("/proc/self/status");
    CHECK(strstr(text, comm) == text);

    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 3; i++) {
        pthread_create(&t[i], NULL, waiter, NULL);
    }
    pthread_barrier_wait(&barrier);
    CHECK(field("\nThreads:", 10) == 4);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
    }
    for (int i = 0; i < 1000 && field("\nThreads:", 10) != 1; i++) {
        sleep_ms(1); /* they are joined before they are gone */
    }

    CHECK(prctl(PR_SET_NAME, "new name (x) y", 0, 0, 0) == 0);
    load("/proc/self/comm");
    CHECK(strcmp(text, "new name (x) y\n") == 0);
    load("/proc/self/stat");
    int pid = 0, ppid = 0, threads = 0;
    CHECK(sscanf(text, "%d (new name (x) y) R %d", &pid, &ppid) == 2);
    CHECK(pid == getpid() && ppid == getppid());
    char *p = strrchr(text, ')');
    CHECK(p &&
          sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %d",
                 &threads) == 1);
    CHECK(threads == 1);
    load("/proc/self/statm");
    CHECK(strtoul(text, NULL, 10) > 100);
}

static void arguments(int argc, char **argv)
{
    char want[4096], exe[500];
    size_t n = 0;
    ssize_t len;

    check_section("cmdline, environ, exe");
    for (int i = 0; i < argc; i++) {
        size_t l = strlen(argv[i]) + 1;

        memcpy(want + n, argv[i], l);
        n += l;
    }
    CHECK(load("/proc/self/cmdline") == n && memcmp(text, want, n) == 0);
    n = load("/proc/self/environ");
    CHECK(n > 5 && text[n - 1] == '\0' && memmem(text, n, "T_SELF=yes", 11));
    len = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    CHECK(len > 0 && ends_with((exe[len] = '\0', exe), strrchr(argv[0], '/')));
    CHECK(open("/proc/self/exe", O_RDONLY) >= 0);
}

static void descriptors(void)
{
    int fd[20], seen = 0, more = 0, count = 0;
    DIR *d;

    check_section("fd");
    for (int i = 0; i < 20; i++) {
        fd[i] = dup(0);
    }
    d = opendir("/proc/self/fd");
    if (!CHECK(d)) {
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        int n = atoi(e->d_name), known = e->d_name[0] == '.' || n == dirfd(d);

        count++;
        for (int i = 0; i < 20; i++) {
            seen += e->d_name[0] != '.' && n == fd[i];
        }
        more += !known && fcntl(n, F_GETFD) < 0;
    }
    closedir(d);
    CHECK(seen == 20 && more == 0 && count >= 23);
    for (int i = 0; i < 20; i++) {
        close(fd[i]);
    }
}

int main(int argc, char **argv)
{
    maps(argv[0]);
    status(strrchr(argv[0], '/') + 1);
    arguments(argc, argv);
    descriptors();
    return check_end();
}
