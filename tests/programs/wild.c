/* SPDX-License-Identifier: MIT */
/*
 * wild SEED SECONDS: system calls with random numbers, arguments and pointers, in an empty
 * directory and without rights. Left out are only those that end it, stop it or make another
 * process. It may well die of what it does to itself: then with a signal, and that is its own
 * affair. 0: the time is over; 3: a call did not come back within some seconds, though signals
 * came.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ARENA (1ul << 20)
#define NUMBERS 512
#define STUCK_MS 2000

static uint64_t state;
static char *arena, *constant, *none;
static pthread_t walker;
static volatile uint64_t calls;
static volatile int last;

static uint64_t next(void)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return state >> 33 ^ state << 31;
}

/* These end, stop or fork the program, or send signals. */
static int left_out(long nr)
{
    static const short numbers[] = {
        SYS_exit,
        SYS_exit_group,
        SYS_kill,
        SYS_tkill,
        SYS_tgkill,
        SYS_rt_sigqueueinfo,
        SYS_rt_sigreturn,
        SYS_rt_tgsigqueueinfo,
        SYS_pause,
        SYS_rt_sigsuspend,
        SYS_fork,
        SYS_vfork,
        SYS_clone,
        SYS_clone3,
        SYS_execve,
        SYS_execveat,
        SYS_ptrace,
        SYS_pidfd_send_signal,
        SYS_reboot,
        SYS_kexec_load,
        335,
        /* uretprobe, uprobe: SIGILL, but from where the kernel put them */ 336,
        SYS_rt_sigprocmask,
        SYS_sync, /* waits for the disks of the whole machine */
        SYS_seccomp,
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == nr)
            return 1;
    return 0;
}

/* These are likely to be the program's own end: seldom. */
static int seldom(long nr)
{
    static const short numbers[] = {
        SYS_munmap,
        SYS_mprotect,
        SYS_mremap,
        SYS_brk,
        SYS_arch_prctl,
        SYS_prctl,
        SYS_rseq,
        SYS_set_robust_list,
        SYS_sigaltstack,
        SYS_set_tid_address,
        SYS_mmap,
        SYS_prlimit64,
        SYS_setrlimit,
        SYS_rt_sigaction,
        SYS_close_range,
        SYS_shmat,
        SYS_sched_setscheduler,
        SYS_sched_setattr,
        SYS_setpriority,
        SYS_madvise,
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == nr)
            return next() % 50 != 0;
    return 0;
}

/* No more CPU time: SIGKILL, from Linux natively and on an isle. */
static int is_end_by_limit(long nr, const uint64_t a[6])
{
    return (nr == SYS_setrlimit && (unsigned)a[0] == RLIMIT_CPU) ||
           (nr == SYS_prlimit64 && (unsigned)a[1] == RLIMIT_CPU);
}

/* The first argument is a process: only its own. */
static int of_a_process(long nr)
{
    static const short numbers[] = {
        SYS_prlimit64,         SYS_sched_setscheduler, SYS_sched_setparam,
        SYS_sched_setaffinity, SYS_sched_setattr,      SYS_setpgid,
        SYS_migrate_pages,     SYS_move_pages,         SYS_process_vm_writev,
        SYS_process_vm_readv,  SYS_pidfd_open,         SYS_kcmp,
    };

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == nr)
            return 1;
    return nr == SYS_setpriority || nr == SYS_ioprio_set; /* which, who: a user has one, too */
}

static uint64_t argument(void)
{
    static const uint64_t odd[] = {
        0,
        1,
        (uint64_t)-1,
        (uint64_t)AT_FDCWD,
        0x7fffffff,
        0x80000000,
        0xffffffff,
        INT64_MAX,
        1ull << 63,
        0x1000000000,   /* an isle's memory */
        0xf000000000,   /* its kernel */
        0xf800000000,   /* its windows */
        0x7fffffffe000, /* where Linux has its stack */
        0xffffffff81000000,
    };
    uint64_t r = next();

    switch (r >> 8 & 15) {
    case 0:
    case 1:
    case 2:
    case 3:
        return r >> 12 & 31; /* descriptors, flags, commands */
    case 4:
        return 1ull << (r >> 12 & 63);
    case 5:
        return odd[(r >> 12) % (sizeof odd / sizeof *odd)];
    case 6:
        return r >> 12 & 0xffff;
    case 7:
        return (uintptr_t)constant + (r >> 12 & 4095);
    case 8:
        return (uintptr_t)none + (r >> 12 & 4095);
    case 9: /* up to the end of what there is */
        return (uintptr_t)arena + ARENA - (r >> 12 & 63);
    case 10:
        return 0xf000000000 + (next() & 0xfffffff);
    case 11:
        return next();
    default:
        return (uintptr_t)arena + (r >> 12 & (ARENA - 1) & ~7ul);
    }
}

/* Structures, small numbers, pointers, names. */
static void fill_arena(void)
{
    static const char *const names[] = {
        "f",         "d",         "d/g",           "link",   "/proc/self/maps",
        "/dev/null", "/dev/zero", "/proc/self/fd", "user.x", "/sys/devices"};
    uint64_t *w = (uint64_t *)(void *)arena;

    for (size_t i = 0; i < ARENA / 8; i++)
        w[i] = i % 8 == 0 ? next() % 64 : argument();
    for (size_t i = 0; i < ARENA / 512; i++)
        strcpy(arena + i * 512, names[next() % (sizeof names / sizeof *names)]);
}

static void on_wake(int signo)
{
    (void)signo;
}

/* Interrupts what waits; gives up when nothing happens any more. */
static void *watch(void *arg)
{
    uint64_t seen = calls;
    long quiet = 0;

    for (;;) {
        struct timespec t = {0, 20000000};
        nanosleep(&t, NULL);
        quiet = calls == seen ? quiet + 20 : 0;
        seen = calls;
        if (quiet > STUCK_MS) {
            dprintf(2, "wild: call %d does not come back\n", last);
            _exit(3);
        }
        pthread_kill(walker, SIGUSR1);
    }
    return arg;
}

static void quiet_signals(void)
{
    struct sigaction wake = {.sa_handler = on_wake};
    sigset_t set;

    for (int s = 1; s < 32; s++)
        if (s != SIGSEGV && s != SIGBUS && s != SIGILL && s != SIGFPE && s != SIGTRAP)
            signal(s, SIG_IGN);
    sigaction(SIGUSR1, &wake, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void open_things(void)
{
    int p[2], fd = open("f", O_RDWR | O_CREAT, 0600);

    if (fd < 0 || pipe(p) || socketpair(AF_UNIX, SOCK_STREAM, 0, p) ||
        socket(AF_INET, SOCK_DGRAM, 0) < 0 || open(".", O_RDONLY) < 0)
        perror("wild");
}

int main(int argc, char **argv)
{
    uint64_t a[6];
    pthread_t t;
    time_t end;
    long nr;

    if (argc != 3) {
        fprintf(stderr, "usage: wild SEED SECONDS\n");
        return 2;
    }
    printf("seed %s\n", argv[1]);
    fflush(stdout);
    state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
    end = time(NULL) + atol(argv[2]);
    arena = mmap(NULL, ARENA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    constant = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    none = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED || constant == MAP_FAILED || none == MAP_FAILED ||
        munmap(arena + ARENA, 4096))
        return 2;
    walker = pthread_self();
    quiet_signals();
    open_things();
    fill_arena();
    if (pthread_create(&t, NULL, watch, NULL))
        return 2;
    while (time(NULL) < end) {
        nr = (long)(next() % NUMBERS);
        if (left_out(nr) || seldom(nr))
            continue;
        if (calls % 4096 == 4095)
            fill_arena();
        last = (int)nr;
        for (int i = 0; i < 6; i++)
            a[i] = argument();
        if (of_a_process(nr))
            a[0] = 0;
        if (is_end_by_limit(nr, a))
            continue;
        syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
        calls++;
        quiet_signals();
    }
    return 0;
}
