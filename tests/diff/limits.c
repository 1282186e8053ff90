/* SPDX-License-Identifier: MIT */
/* Limits: what they say, and what happens at them. */
#include "diff.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define MIB (1ul << 20)
#define LARGE (1l << 20) /* more than a case prints */

static void soft(__rlimit_resource_t resource, rlim_t value)
{
    struct rlimit l;

    if (getrlimit(resource, &l))
        puts("getrlimit failed");
    l.rlim_cur = value;
    if (setrlimit(resource, &l))
        printf("setrlimit: %s\n", strerrorname_np(errno));
}

static void show_limit(__rlimit_resource_t resource)
{
    struct rlimit l = {1, 2};

    R(getrlimit(resource, &l));
    SHOW(l.rlim_cur);
    SHOW(l.rlim_max);
}

/* A line of "VmSize:" and the like, in bytes. */
static unsigned long status(const char *name)
{
    char line[256];
    unsigned long kb = 0;
    FILE *f = fopen("/proc/self/status", "r");

    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            sscanf(line + strlen(name), "%lu", &kb);
    if (f)
        fclose(f);
    return kb << 10;
}

static void *nothing(void *arg)
{
    return arg;
}

CASE(limits, set_and_get)
{
    static const __rlimit_resource_t which[] = {RLIMIT_AS,  RLIMIT_DATA,  RLIMIT_NPROC,
                                                RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_STACK};
    struct rlimit l, old;

    for (size_t i = 0; i < sizeof which / sizeof *which; i++) {
        l = (struct rlimit){1ul << 32, 1ul << 33};
        R(setrlimit(which[i], &l));
        show_limit(which[i]);
        l.rlim_cur = 1ul << 34;
        R(setrlimit(which[i], &l));
        l = (struct rlimit){1ul << 31, 1ul << 33};
        R(prlimit(getpid(), which[i], &l, &old));
        SHOW(old.rlim_cur);
        R(prlimit(gettid(), which[i], NULL, &old));
        SHOW(old.rlim_cur);
        R(prlimit(0, which[i], (void *)8, &old));
        R(prlimit(0, which[i], NULL, (void *)8));
        l.rlim_max = RLIM_INFINITY;
        R(setrlimit(which[i], &l)); /* as who may */
        show_limit(which[i]);
    }
}

CASE(limits, raised_without_right)
{
    struct rlimit l = {1ul << 32, 1ul << 33};

    R(setrlimit(RLIMIT_AS, &l));
    R(setrlimit(RLIMIT_FSIZE, &l));
    R(setresuid(65534, 65534, 65534));
    l.rlim_max = 1ul << 34;
    R(setrlimit(RLIMIT_AS, &l));
    R(setrlimit(RLIMIT_FSIZE, &l));
    show_limit(RLIMIT_AS);
    l.rlim_max = 1ul << 32;
    R(setrlimit(RLIMIT_AS, &l));
    show_limit(RLIMIT_AS);
}

CASE(limits, shown_in_proc)
{
    char line[256];
    FILE *f;

    soft(RLIMIT_AS, 1ul << 36);
    soft(RLIMIT_CPU, 1000);
    soft(RLIMIT_NPROC, 5000);
    soft(RLIMIT_FSIZE, 1ul << 22);
    soft(RLIMIT_CORE, 0);
    f = fopen("/proc/self/limits", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strstr(line, "open files"))
            fputs(line, stdout);
}

CASE(limits, address_space)
{
    char *p, *q;

    soft(RLIMIT_AS, status("VmSize:") + 64 * MIB);
    R(mmap(NULL, 128 * MIB, PROT_NONE, ANON | MAP_NORESERVE, -1, 0) == MAP_FAILED);
    R(mmap(NULL, 128 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
    OK(p = mmap(NULL, 32 * MIB, PROT_NONE, ANON, -1, 0));
    OK(mmap(p, 32 * MIB, RW, ANON | MAP_FIXED, -1, 0)); /* what it replaces does not count */
    OK(mremap(p, 32 * MIB, 128 * MIB, MREMAP_MAYMOVE));
    OK(q = mremap(p, 32 * MIB, 48 * MIB, MREMAP_MAYMOVE));
    R(brk((char *)sbrk(0) + 64 * MIB));
    OK(mmap(NULL, 32 * MIB, RW, ANON, -1, 0));
    R(munmap(q, 48 * MIB));
    OK(mmap(NULL, 32 * MIB, RW, ANON, -1, 0));
}

CASE(limits, address_space_of_threads)
{
    pthread_attr_t a;
    pthread_t t;

    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 256 * MIB);
    soft(RLIMIT_AS, status("VmSize:") + 64 * MIB);
    SHOW(pthread_create(&t, &a, nothing, NULL));
}

CASE(limits, data)
{
    char *p;
    int fd = file_with("f", "text");

    soft(RLIMIT_DATA, status("VmData:") + 32 * MIB);
    OK(mmap(NULL, 64 * MIB, RW, ANON, -1, 0));
    OK(mmap(NULL, 64 * MIB, RW, MAP_PRIVATE, fd, 0));
    OK(mmap(NULL, 64 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0)); /* is no data */
    OK(p = mmap(NULL, 64 * MIB, PROT_READ, ANON, -1, 0));
    R(mprotect(p, 64 * MIB, RW));
    R(mprotect(p, 4 * MIB, RW));
    R(brk((char *)sbrk(0) + 64 * MIB));
    R(malloc(48 * MIB) != NULL);
    R(malloc(4 * MIB) != NULL);
}

static volatile sig_atomic_t signals;

static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)context;
    signals++;
    if (signals == 1) {
        printf("SIG%s, code %d\n", sigabbrev_np(info->si_signo), info->si_code);
        fflush(stdout);
    }
}

static void take(int signo)
{
    struct sigaction act = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};

    sigaction(signo, &act, NULL);
}

CASE(limits, file_size)
{
    char buf[4096] = "", name[] = "/dev/null";
    struct iovec {
        void *p;
        size_t n;
    } v = {buf, 100};
    int fd = file_with("f", ""), from = file_with("g", "0123456789"), null;

    take(SIGXFSZ);
    R(ftruncate(fd, LARGE - 2000));
    R(lseek(fd, 0, SEEK_END));
    soft(RLIMIT_FSIZE, LARGE);
    R(write(fd, buf, 4096));
    R(write(fd, buf, 1));
    R(pwrite(fd, buf, 10, LARGE - 5));
    R(pwrite(fd, buf, 10, LARGE));
    R(syscall(SYS_writev, fd, &v, 1));
    R(ftruncate(fd, LARGE + 1));
    R(truncate("f", LARGE + 1000));
    R(ftruncate(fd, LARGE));
    R(fallocate(fd, 0, 0, LARGE + 2000));
    R(fallocate(fd, 0, 1000, 1000));
    R(sendfile(fd, from, NULL, 5));
    R(copy_file_range(from, NULL, fd, NULL, 5, 0));
    SHOW(signals);
    null = open(name, O_WRONLY);
    R(write(null, buf, 4096));
    soft(RLIMIT_FSIZE, RLIM_INFINITY);
    R(write(fd, buf, 10));
}

CASE(limits, file_size_kills)
{
    int fd = file_with("f", "");

    soft(RLIMIT_CORE, 0);
    soft(RLIMIT_FSIZE, LARGE);
    R(pwrite(fd, "abc", 3, LARGE - 2));
    fflush(stdout);
    R(pwrite(fd, "abc", 3, LARGE));
    puts("not reached");
}

CASE(limits, file_size_does_not_bind_proc)
{
    char buf[100];
    unsigned long size;
    long n;

    soft(RLIMIT_FSIZE, 1);
    size = status("VmSize:");
    n = read(open("/proc/self/maps", O_RDONLY), buf, 100);
    soft(RLIMIT_FSIZE, RLIM_INFINITY);
    SHOW(size > 0);
    SHOW(n);
}

static void burn(long ms)
{
    struct timespec ts;

    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    while (ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < ms);
}

CASE(limits, cpu_time)
{
    struct rlimit l;

    take(SIGXCPU);
    soft(RLIMIT_CPU, 1);
    burn(1500);
    SHOW(signals);
    R(getrlimit(RLIMIT_CPU, &l));
    SHOW(l.rlim_cur);
    burn(2500);
    SHOW(signals);
    soft(RLIMIT_CPU, RLIM_INFINITY);
    burn(3200);
    SHOW(signals);
}

CASE(limits, cpu_time_kills)
{
    struct rlimit l = {1, 2};

    take(SIGXCPU);
    R(setrlimit(RLIMIT_CPU, &l));
    fflush(stdout);
    burn(4000);
    puts("not reached");
}

CASE(limits, cpu_time_default)
{
    soft(RLIMIT_CORE, 0);
    soft(RLIMIT_CPU, 1);
    fflush(stdout);
    burn(4000);
    puts("not reached");
}

CASE(limits, processes)
{
    pthread_t t;
    pid_t pid;
    int status;

    soft(RLIMIT_NPROC, 0);
    pid = fork(); /* root is not bound */
    if (pid == 0)
        _exit(0);
    SHOW(pid > 0);
    wait(&status);
    R(setresuid(65534, 65534, 65534));
    R(fork());
    R(vfork());
    SHOW(pthread_create(&t, NULL, nothing, NULL));
    R(system("true") == -1);
}

CASE(limits, inherited)
{
    soft(RLIMIT_AS, 1ul << 37);
    soft(RLIMIT_DATA, 1ul << 36);
    soft(RLIMIT_FSIZE, 1ul << 20);
    soft(RLIMIT_CPU, 1000);
    soft(RLIMIT_NPROC, 12345);
    soft(RLIMIT_STACK, 1ul << 22);
    fflush(stdout);
    R(system("ulimit -v; ulimit -d; ulimit -f; ulimit -t; ulimit -s"));
    fflush(stdout);
    if (fork() == 0) {
        show_limit(RLIMIT_AS);
        show_limit(RLIMIT_NPROC);
        exit(0);
    }
    wait(NULL);
    fflush(stdout);
    execl("/bin/sh", "sh", "-c",
          "ulimit -Sv; ulimit -Sd; ulimit -Sf; ulimit -St; ulimit -Ss; ulimit -Hv", (char *)NULL);
}

CASE(limits, cpu_time_over_execve)
{
    struct timespec ts;

    if (getenv("AGAIN")) {
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        SHOW(ts.tv_sec * 1000 + ts.tv_nsec / 1000000 >= 300);
        SHOW(ts.tv_sec * 1000 + ts.tv_nsec / 1000000 < 900);
        return;
    }
    burn(300);
    setenv("AGAIN", "1", 1);
    execl("/proc/self/exe", "cases", "limits.cpu_time_over_execve", (char *)NULL);
}

static void show_files(void)
{
    struct rlimit l;
    char line[200];
    FILE *f = fopen("/proc/self/limits", "re");

    getrlimit(RLIMIT_NOFILE, &l);
    printf("limit %lu %lu, %ld\n", (unsigned long)l.rlim_cur, (unsigned long)l.rlim_max,
           sysconf(_SC_OPEN_MAX));
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "Max open files", 14))
            printf("%s", line);
    if (f)
        fclose(f);
}

/* All that the limit says can be had, and nothing else is in the way. */
CASE(limits, files)
{
    struct rlimit first, l = {100, 0}, old;
    int fd, n = 0;

    show_files();
    getrlimit(RLIMIT_NOFILE, &first);
    l.rlim_max = first.rlim_max;
    R(setrlimit(RLIMIT_NOFILE, &l));
    for (n = 0; (fd = open("/dev/null", O_RDONLY)) >= 0; n++)
        ;
    SHOW(n);
    SHOW(errno == EMFILE);
    R(dup2(0, 100));
    R(dup2(0, 3000));
    R(fcntl(0, F_DUPFD, 100));
    l.rlim_cur = 3000;
    R(prlimit(0, RLIMIT_NOFILE, &l, &old));
    SHOW(old.rlim_cur);
    show_files();
    for (n = 0; (fd = open("/dev/null", O_RDONLY)) >= 0; n++)
        ;
    SHOW(n);
    R(dup2(0, 2999));
    R(dup2(0, 3000));
    R(fcntl(0, F_DUPFD, 2999));
    R(close_range(50, 2900, 0));
    R(dup2(0, 1500));
    R(fcntl(0, F_DUPFD, 1500));
    l.rlim_cur = l.rlim_max;
    R(setrlimit(RLIMIT_NOFILE, &l));
    R(dup2(0, 4095));
    R(dup2(0, (int)first.rlim_max - 1));
    l.rlim_cur = l.rlim_max + 1;
    R(setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){200, 300};
    R(setrlimit(RLIMIT_NOFILE, &l));
    show_files();
    R(fcntl(2999, F_GETFD));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        show_files();
        fflush(stdout);
        execl("/bin/sh", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -n 250; ulimit -Hn",
              (char *)NULL);
    }
    waitpid(pid, NULL, 0);
    system("ulimit -Sn; ulimit -Hn");
    l.rlim_max = 500;
    R(setrlimit(RLIMIT_NOFILE, &l));
}

CASE(limits, signals_that_wait)
{
    struct rlimit l = {2, 2};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    R(setrlimit(RLIMIT_SIGPENDING, &l));
    R(getrlimit(RLIMIT_SIGPENDING, &l));
    SHOW(l.rlim_cur == 2 && l.rlim_max == 2);
    l.rlim_cur = 0;
    R(setrlimit(RLIMIT_SIGPENDING, &l));
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
    R(kill(getpid(), SIGUSR1));
    R(sigtimedwait(&set, NULL, &(struct timespec){0, 0}) == SIGUSR1);
}

/* Set to what they are. */
CASE(limits, same_again)
{
    struct rlimit l;

    for (int i = 0; i < RLIM_NLIMITS; i++) {
        printf("%d: %d", i, getrlimit(i, &l));
        printf(" %d\n", setrlimit(i, &l));
    }
    l.rlim_cur = l.rlim_max = 1;
    l.rlim_cur++;
    R(setrlimit(RLIMIT_SIGPENDING, &l));
    R(setrlimit(RLIMIT_SIGPENDING, NULL));
}
