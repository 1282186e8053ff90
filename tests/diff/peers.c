/* SPDX-License-Identifier: MIT */
/* What one process does to another one's memory, and to mutexes that both have. */
#include "diff.h"

#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static char buffer[1 << 20];

static void get(const char *what, pid_t pid, void *at, size_t len)
{
    struct iovec l = {buffer, len}, r = {at, len};
    memset(buffer, 0, len);
    errno = 0;
    ssize_t n = process_vm_readv(pid, &l, 1, &r, 1, 0);
    printf("%s: %zd %s %d %d\n", what, n, n < 0 ? strerrorname_np(errno) : "", buffer[0],
           n > 0 ? buffer[n - 1] : 0);
}

static void *map(size_t len, int prot, int flags)
{
    void *p = mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        exit(99);
    return p;
}

static void transfer(pid_t pid, char *private, size_t n, char *shared, void *none, char *readable)
{
    char c = 7;
    get("private", pid, private, n);
    get("from an odd address", pid, private + 13, 100001);
    get("shared", pid, shared, n);
    get("text", pid, (void *)(uintptr_t)transfer, 1);
    get("over the end", pid, private + n - 4096, 8192);
    get("protected", pid, none, 16);
    get("NULL", pid, NULL, 16);
    get("where nothing is", pid, (void *)0x7f1234567000, 16);
    get("kernel", pid, (void *)0xffffffff81000000ul, 16);
    memset(buffer, 9, 4096);
    struct iovec l = {buffer, 4096}, r = {private, 4096}, ro = {readable, 16};
    struct iovec many[3] = {{private, 100}, {none, 100}, {shared, 100}};
    R(process_vm_writev(pid, &l, 1, &r, 1, 0));
    R(process_vm_writev(pid, &l, 1, &ro, 1, 0));
    l.iov_len = 300;
    R(process_vm_readv(pid, &l, 1, many, 3, 0));
    many[1] = (struct iovec){private + 4000, 100};
    R(process_vm_readv(pid, &l, 1, many, 3, 0));
    R(process_vm_readv(pid, &l, 1, many, 3, 1));
    SHOW(c);
}

CASE(peers, process_vm)
{
    size_t n = 1 << 20;
    char *private = map(n + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE), c;
    char *shared = map(n, PROT_READ | PROT_WRITE, MAP_SHARED);
    void *none = map(4096, PROT_NONE, MAP_PRIVATE), *ro = map(4096, PROT_READ, MAP_PRIVATE);
    int p[2], q[2], status;
    munmap(private + n, 8192);
    memset(private, 1, n);
    transfer(getpid(), private, n, shared, none, ro);
    memset(private, 1, n);
    fflush(stdout);
    if (pipe(p) || pipe(q))
        exit(99);
    pid_t pid = fork();
    if (pid == 0) {
        memset(private, 2, n);
        memset(shared, 3, n);
        if (write(p[1], "x", 1) != 1 || read(q[0], &c, 1) != 1)
            _exit(2);
        _exit(private[77]);
    }
    if (read(p[0], &c, 1) != 1)
        exit(99);
    transfer(pid, private, n, shared, none, ro);
    if (write(q[1], "x", 1) != 1)
        exit(99);
    waitpid(pid, &status, 0);
    SHOW(WEXITSTATUS(status));
    get("a process that is gone", pid, private, 16);
    get("none of that number", -1, private, 16);
}

/* ---- mutexes in shared memory ---- */

static int in_child(int (*f)(pthread_mutex_t *), pthread_mutex_t *m)
{
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(10);
        _exit(f(m));
    }
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int timed(pthread_mutex_t *m)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += 100000000;
    if (t.tv_nsec > 999999999) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return pthread_mutex_timedlock(m, &t);
}

static int lock_and_mend(pthread_mutex_t *m)
{
    int r = pthread_mutex_lock(m);
    if (r == EOWNERDEAD)
        pthread_mutex_consistent(m);
    int u = pthread_mutex_unlock(m);
    return u ? 200 + u : r;
}

/* One that the others wait for: both get it in the end. */
static void contended(pthread_mutex_t *m)
{
    int status;
    fflush(stdout);
    pthread_mutex_lock(m);
    pid_t pid[2];
    for (int i = 0; i < 2; i++)
        if ((pid[i] = fork()) == 0) {
            alarm(10);
            _exit(pthread_mutex_lock(m) || pthread_mutex_unlock(m));
        }
    sleep_ms(50);
    R(pthread_mutex_unlock(m));
    for (int i = 0; i < 2; i++) {
        waitpid(pid[i], &status, 0);
        SHOW(status);
    }
}

static void mutex(int protocol, int robust)
{
    pthread_mutex_t *m = map(4096, PROT_READ | PROT_WRITE, MAP_SHARED);
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setprotocol(&a, protocol);
    pthread_mutexattr_setrobust(&a, robust);
    printf("protocol %d, robust %d\n", protocol, robust);
    R(pthread_mutex_init(m, &a));
    R(pthread_mutex_lock(m));
    R(in_child(pthread_mutex_trylock, m));
    R(in_child(timed, m));
    R(pthread_mutex_unlock(m));
    contended(m);
    if (robust == PTHREAD_MUTEX_ROBUST) {
        R(in_child(pthread_mutex_lock, m)); /* which it still has when it ends */
        R(in_child(lock_and_mend, m));
        R(pthread_mutex_lock(m));
        R(pthread_mutex_unlock(m));
    }
}

CASE(peers, shared_mutex)
{
    mutex(PTHREAD_PRIO_NONE, PTHREAD_MUTEX_STALLED);
    mutex(PTHREAD_PRIO_NONE, PTHREAD_MUTEX_ROBUST);
    mutex(PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_STALLED);
    mutex(PTHREAD_PRIO_INHERIT, PTHREAD_MUTEX_ROBUST);
}

/* ---- numbers of threads ---- */

/* Threads of this process that it has not made. */
CASE(peers, threads_of_nobody)
{
    int found = 0, me = getpid();
    for (int n = me - 2; n < me + 60; n++) {
        char path[64], line[256];
        int group = 0;
        snprintf(path, sizeof path, "/proc/%d/status", n);
        FILE *f = n == me ? NULL : fopen(path, "r");
        if (!f)
            continue;
        while (fgets(line, sizeof line, f))
            sscanf(line, "Tgid: %d", &group);
        fclose(f);
        found += group == me;
    }
    SHOW(found);
}

static void *named(void *arg)
{
    char path[64], text[32] = "";
    pthread_setname_np(pthread_self(), "somebody");
    snprintf(path, sizeof path, "/proc/%ld/comm", syscall(SYS_gettid));
    int fd = open(path, O_RDONLY);
    SHOW(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    printf("%s", text);
    close(fd);
    return arg;
}

CASE(peers, thread_by_its_number)
{
    pthread_t t;
    if (pthread_create(&t, NULL, named, NULL))
        exit(99);
    pthread_join(t, NULL);
}

enum { SLEEPERS = 10 };
static volatile int *handled; /* by each of them */
static int number;

static void on_usr1(int signo)
{
    (void)signo;
    handled[number]++;
}

static char state_of(pid_t pid)
{
    char path[64], text[512] = "", *end;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    long n = read(fd, text, sizeof text - 1);
    close(fd);
    return n > 0 && (end = strrchr(text, ')')) ? end[2] : '?';
}

/* Who was sent a signal sleeps again only when it has handled it. */
CASE(peers, nobody_sleeps_with_a_signal_under_way)
{
    pid_t pid[SLEEPERS];
    int early = 0;
    handled = map(PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    signal(SIGUSR1, on_usr1);
    for (number = 0; number < SLEEPERS; number++)
        if ((pid[number] = fork()) == 0)
            for (;;)
                pause();
    for (int round = 1; round <= 5; round++) {
        for (int i = 0; i < SLEEPERS; i++)
            while (state_of(pid[i]) != 'S')
                ;
        for (int i = 0; i < SLEEPERS; i++)
            kill(pid[i], SIGUSR1);
        for (int i = 0; i < SLEEPERS; i++) {
            while (state_of(pid[i]) != 'S')
                ;
            early += handled[i] != round;
        }
        for (int i = 0; i < SLEEPERS; i++)
            while (handled[i] != round) /* the next one would be the same signal */
                ;
    }
    SHOW(early);
    for (int i = 0; i < SLEEPERS; i++) {
        kill(pid[i], SIGKILL);
        R(waitpid(pid[i], NULL, 0) == pid[i]);
    }
}

/* Limits and nice of a child, by its number. */
/* A new child sleeps only when the call that it waits in has begun. */
CASE(peers, nobody_sleeps_before_its_call_waits)
{
    int early = 0;
    for (int round = 0; round < 30; round++) {
        int q = msgget(IPC_PRIVATE, 0600), status = -1;
        struct {
            long type;
            char byte;
        } m;
        pid_t pid = fork();
        if (pid == 0)
            _exit(msgrcv(q, &m, 1, 0, 0) < 0 && errno == EIDRM ? 0 : 1);
        while (state_of(pid) != 'S')
            ;
        msgctl(q, IPC_RMID, NULL);
        waitpid(pid, &status, 0);
        early += status != 0;
    }
    SHOW(early);
}

CASE(peers, limits_and_nice)
{
    int up[2], down[2];
    char byte = 0;
    if (pipe(up) || pipe(down))
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_STACK, &(struct rlimit){3 << 20, 5 << 20});
        setrlimit(RLIMIT_AS, &(struct rlimit){1ul << 40, 1ul << 41});
        setrlimit(RLIMIT_CORE, &(struct rlimit){4096, 8192});
        if (write(up[1], "r", 1) != 1 || read(down[0], &byte, 1) != 1)
            _exit(1);
        SHOW(getpriority(PRIO_PROCESS, 0));
        SHOW(getpriority(PRIO_PROCESS, getpid()));
        fflush(stdout);
        _exit(0);
    }
    SHOW(read(up[0], &byte, 1));
    static const __rlimit_resource_t which[] = {RLIMIT_STACK, RLIMIT_AS, RLIMIT_CORE};
    for (int i = 0; i < 3; i++) {
        struct rlimit l = {0, 0};
        R(prlimit(pid, which[i], NULL, &l));
        printf("%llu %llu\n", (unsigned long long)l.rlim_cur, (unsigned long long)l.rlim_max);
    }
    R(prlimit(pid, RLIMIT_AS, NULL, (void *)8));
    R(prlimit(pid, RLIMIT_CORE, &(struct rlimit){1024, 8192}, NULL));
    R(setpriority(PRIO_PROCESS, (id_t)pid, 7));
    SHOW(getpriority(PRIO_PROCESS, (id_t)pid));
    fflush(stdout);
    if (write(down[1], "x", 1) == 1) /* the child prints from here on */
        waitpid(pid, NULL, 0);
    R(setpriority(PRIO_PROCESS, (id_t)pid, 7));
}
