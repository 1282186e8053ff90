/* SPDX-License-Identifier: MIT */
/* FS, GS and the selectors: a program's own, as on Linux. */
#include "diff.h"

#include <asm/prctl.h>
#include <sched.h>
#include <sys/time.h>
#include <sys/wait.h>

static unsigned long gs_read(void)
{
    unsigned long v;

    __asm__ volatile("rdgsbase %0" : "=r"(v));
    return v;
}

static void gs_write(unsigned long v)
{
    __asm__ volatile("wrgsbase %0" ::"r"(v));
}

static unsigned selector(void)
{
    unsigned v;

    __asm__ volatile("mov %%gs, %0" : "=r"(v));
    return v;
}

CASE(segments, wrgsbase)
{
    static long cell = 4711, out;

    SHOW(gs_read());
    gs_write((unsigned long)&cell);
    __asm__ volatile("mov %%gs:0, %0" : "=r"(out));
    SHOW(out);
    SHOW(getppid() > 0);
    SHOW(gs_read() == (unsigned long)&cell);
    gs_write(0x123456789000);
    SHOW(getppid() > 0);
    SHOW(gs_read());
    gs_write(0xffffffff81000000); /* any canonical address */
    sleep_ms(1);
    SHOW(gs_read());
    gs_write(0);
    SHOW(gs_read());
}

CASE(segments, arch_prctl)
{
    unsigned long v = 1;

    R(syscall(SYS_arch_prctl, ARCH_GET_GS, &v));
    SHOW(v);
    R(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234));
    R(syscall(SYS_arch_prctl, ARCH_GET_GS, &v));
    SHOW(v);
    SHOW(gs_read());
    R(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7ffffffff000));
    R(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x7fffffffefff));
    R(syscall(SYS_arch_prctl, ARCH_SET_GS, ~0ul));
    R(syscall(SYS_arch_prctl, ARCH_SET_FS, 0x7ffffffff000));
    R(syscall(SYS_arch_prctl, ARCH_GET_GS, 8));
    SHOW(gs_read());
    __asm__ volatile("mov %0, %%gs" ::"r"(0x2b));
    SHOW(selector());
    R(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x99));
    SHOW(selector());
    SHOW(gs_read());
}

CASE(segments, null_selector)
{
    unsigned ds, es, fs, gs;

    __asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%fs, %2\n\tmov %%gs, %3"
                     : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
    printf("at first: ds %x es %x fs %x gs %x\n", ds, es, fs, gs);
    gs_write(0);
    for (unsigned i = 0; i < 4; i++) {
        __asm__ volatile("mov %0, %%gs" ::"r"(i));
        SHOW(getppid() > 0);
    }
    __asm__ volatile("mov %0, %%gs" ::"r"(0));
    SHOW(selector());
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" ::"r"(0x2b));
    sleep_ms(1);
    __asm__ volatile("mov %%ds, %0\n\tmov %%es, %1" : "=r"(ds), "=r"(es));
    printf("ds %x es %x\n", ds, es);
}

static volatile int handled, wrong;

static void on_tick(int signo)
{
    (void)signo;
    handled++;
    gs_write(0x4444); /* a handler's GS is the thread's: nothing puts it back */
    gs_write(0x5555);
}

static void *own_gs(void *arg)
{
    unsigned long mine = (unsigned long)arg << 20;

    gs_write(mine);
    __asm__ volatile("mov %0, %%es" ::"r"((unsigned long)arg & 1 ? 0x2b : 0));
    for (int i = 0; i < 200; i++) {
        unsigned es;

        sched_yield();
        __asm__ volatile("mov %%es, %0" : "=r"(es));
        if (gs_read() != mine || es != ((unsigned long)arg & 1 ? 0x2bu : 0))
            wrong++;
    }
    return NULL;
}

CASE(segments, threads)
{
    pthread_t t[6];

    gs_write(0x7777);
    for (unsigned long i = 0; i < 6; i++)
        pthread_create(&t[i], NULL, own_gs, (void *)(i + 1));
    for (int i = 0; i < 6; i++)
        pthread_join(t[i], NULL);
    SHOW(wrong);
    SHOW(gs_read());
}

CASE(segments, signals)
{
    struct itimerval it = {{0, 1000}, {0, 1000}};

    signal(SIGALRM, on_tick);
    gs_write(0x6666);
    setitimer(ITIMER_REAL, &it, NULL);
    while (handled < 5) {
    }
    SHOW(gs_read());
}

CASE(segments, fork)
{
    int status;

    gs_write(0x8888);
    if (fork() == 0) {
        SHOW(gs_read());
        fflush(stdout);
        _exit(3);
    }
    wait(&status);
    SHOW(WEXITSTATUS(status));
    SHOW(gs_read());
}

static int run_thread(void *arg)
{
    (void)arg;
    SHOW(gs_read());
    return 0;
}

CASE(segments, inherited)
{
    pthread_t t;

    gs_write(0x9999);
    pthread_create(&t, NULL, (void *(*)(void *))(uintptr_t)run_thread, NULL);
    pthread_join(t, NULL);
}

/* popf may set what the kernel must not trip over. */
CASE(segments, flags_and_calls)
{
    signal(SIGALRM, on_tick);
    __asm__ volatile("pushfq\n\torl $0x4000, (%%rsp)\n\tpopfq" ::: "cc", "memory"); /* NT */
    SHOW(getppid() > 0);
    SHOW(getpid() > 0);
    raise(SIGALRM);
    sched_yield();
    sleep_ms(2);
    SHOW(handled);
    __asm__ volatile("pushfq\n\tandl $~0x4000, (%%rsp)\n\tpopfq" ::: "cc", "memory");
}

/* AC: the kernel's own accesses are not the program's. */
CASE(segments, alignment_check_and_calls)
{
    static char path[] __attribute__((aligned(8))) = "x/dev/null";
    long fd, pid;

    __asm__ volatile("pushfq\n\torl $0x40000, (%%rsp)\n\tpopfq\n\tsyscall"
                     : "=a"(pid)
                     : "0"(SYS_getppid)
                     : "rcx", "r11", "cc", "memory");
    __asm__ volatile("syscall\n\tpushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq"
                     : "=a"(fd)
                     : "0"(SYS_open), "D"(path + 1), "S"(0)
                     : "rcx", "r11", "cc", "memory");
    SHOW(pid > 0);
    SHOW(fd >= 0);
}
