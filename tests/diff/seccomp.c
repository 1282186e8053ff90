/* SPDX-License-Identifier: MIT */
/* seccomp(2): which filters there may be, what becomes of a call, and who inherits. */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "diff.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define RETURN(v) BPF_STMT(BPF_RET | BPF_K, (v))
#define IF(v, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), yes, no)
#define COUNT(a) (unsigned short)(sizeof(a) / sizeof *(a))

static long install_n(const struct sock_filter *f, unsigned short n, unsigned flags)
{
    struct sock_fprog prog = {n, (struct sock_filter *)f};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}
#define INSTALL(flags, ...)                                                                        \
    ({                                                                                             \
        struct sock_filter insns[] = {__VA_ARGS__};                                                \
        install_n(insns, COUNT(insns), flags);                                                     \
    })

/* Call nr gets `action`, all others are allowed. */
static long forbid(int nr, unsigned action)
{
    return INSTALL(0, LOAD(nr), IF((unsigned)nr, 0, 1), RETURN(action), RETURN(SECCOMP_RET_ALLOW));
}

static void show_status(int status)
{
    printf("exited %d %d, signalled %d %d, core %d\n", WIFEXITED(status),
           WIFEXITED(status) ? WEXITSTATUS(status) : 0, WIFSIGNALED(status),
           WIFSIGNALED(status) ? WTERMSIG(status) : 0, WIFSIGNALED(status) && WCOREDUMP(status));
}

/* fn in a child: how that ends. */
static void in_child(void (*fn)(void))
{
    int status = -1;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    show_status(status);
}

static void status_lines(void)
{
    char line[256];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNewPrivs", 10))
            printf("%s", line);
    }
    if (f)
        fclose(f);
}

/* ---- what is taken ---- */

#define TRY(...) R(INSTALL(0, __VA_ARGS__))

CASE(seccomp, checker)
{
    const struct sock_filter allow = RETURN(SECCOMP_RET_ALLOW);
    static struct sock_filter many[4097];

    R(install_n(&allow, 0, 0));
    R(install_n(NULL, 1, 0));
    R(install_n((void *)8, 1, 0));
    R(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 8));
    for (int i = 0; i < 4097; i++)
        many[i] = allow;
    R(install_n(many, 4097, 0));
    R(install_n(many, 4096, 0));
    /* every code by itself, in front of a return */
    for (unsigned code = 0; code < 0x200; code++) {
        struct sock_filter f[] = {{(unsigned short)code, 0, 0, 0}, allow};
        long r = install_n(f, 2, 0);
        if (r == 0 || errno != EINVAL)
            printf("code 0x%x: %ld\n", code, r);
        f[0].k = 4;
        r = install_n(f, 2, 0);
        if (r == 0 || errno != EINVAL)
            printf("code 0x%x, k 4: %ld\n", code, r);
    }
    TRY(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), allow);
    TRY(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 31), allow);
    TRY(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), allow);
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 60), allow);
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), allow);
    TRY(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), allow);
    TRY(BPF_STMT(BPF_ST, 15), BPF_STMT(BPF_LD | BPF_MEM, 15), allow);
    TRY(BPF_STMT(BPF_ST, 16), allow);
    TRY(BPF_STMT(BPF_LD | BPF_MEM, 3), allow);
    TRY(IF(0, 0, 1), BPF_STMT(BPF_ST, 1), BPF_STMT(BPF_LD | BPF_MEM, 1), allow);
    TRY(IF(0, 0, 2), BPF_STMT(BPF_ST, 1), BPF_STMT(BPF_LD | BPF_MEM, 1), allow);
    TRY(BPF_STMT(BPF_JMP | BPF_JA, 0), allow);
    TRY(BPF_STMT(BPF_JMP | BPF_JA, 1), allow);
    TRY(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), allow);
    TRY(IF(0, 1, 0), allow);
    TRY(IF(0, 0, 255), allow);
    TRY(allow, LOAD(nr));
    TRY(BPF_STMT(BPF_RET | BPF_X, 0));
    TRY(BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
}

CASE(seccomp, total)
{
    static struct sock_filter mixed[1024];
    long n = 0;

    for (int i = 0; i < 1023; i++) {
        static const struct sock_filter kinds[] = {
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x80000000, 0, 0),
            BPF_JUMP(BPF_JMP | BPF_JGT | BPF_X, 1, 0, 1),
            BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
            BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 1, 1),
            LOAD(nr),
            BPF_STMT(BPF_LDX | BPF_IMM, 3),
            BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
        };
        mixed[i] = kinds[i > 1020 ? 4 : i % COUNT(kinds)];
    }
    mixed[1023] = (struct sock_filter)RETURN(SECCOMP_RET_ALLOW);
    while (install_n(mixed, 1024, 0) == 0)
        n++;
    SHOW(n);
    R(errno == ENOMEM);
    while (INSTALL(0, RETURN(SECCOMP_RET_ALLOW)) == 0)
        n++;
    SHOW(n);
    R(errno == ENOMEM);
    status_lines();
}

CASE(seccomp, operations)
{
    unsigned action = SECCOMP_RET_ERRNO;
    struct seccomp_notif_sizes sizes = {0, 0, 0};

    R(syscall(SYS_seccomp, 99, 0, NULL));
    R(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, NULL));
    R(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &action));
    R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
    R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, 8));
    action = 0x12340000;
    R(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
    R(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
    SHOW(sizes.seccomp_notif);
    SHOW(sizes.seccomp_notif_resp);
    SHOW(sizes.seccomp_data);
    R(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 1, &sizes));
    R(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, 8));
    R(INSTALL(0x40, RETURN(SECCOMP_RET_ALLOW)));
    R(INSTALL(9, RETURN(SECCOMP_RET_ALLOW)));
    R(INSTALL(0x20, RETURN(SECCOMP_RET_ALLOW)));
    R(prctl(PR_SET_SECCOMP, 0, NULL));
    R(prctl(PR_SET_SECCOMP, 3, NULL));
    R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
    R(prctl(PR_GET_SECCOMP));
    status_lines();
    R(INSTALL(SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW, RETURN(SECCOMP_RET_ALLOW)));
    R(prctl(PR_GET_SECCOMP));
    R(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, NULL));
    status_lines();
}

static void as_nobody(void)
{
    R(setresuid(65534, 65534, 65534));
    R(INSTALL(0, RETURN(SECCOMP_RET_ALLOW)));
    R(install_n(NULL, 1, 0));
    R(install_n(NULL, 0, 0));
    R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    R(INSTALL(0, RETURN(SECCOMP_RET_ALLOW)));
    status_lines();
}

CASE(seccomp, permission)
{
    in_child(as_nobody);
}

/* ---- what becomes of a call ---- */

CASE(seccomp, errors)
{
    R(getppid() > 0);
    R(forbid(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV));
    R(getppid());
    R(forbid(SYS_getuid, SECCOMP_RET_ERRNO | 5000));
    errno = 0;
    R(syscall(SYS_getuid) == -1 && errno == 4095);
    R(forbid(SYS_getgid, SECCOMP_RET_ERRNO));
    R(getgid());
    R(forbid(SYS_getegid, SECCOMP_RET_TRACE));
    R(getegid());
    R(forbid(SYS_geteuid, SECCOMP_RET_USER_NOTIF));
    R(geteuid());
    R(forbid(SYS_getpgrp, SECCOMP_RET_LOG));
    R(getpgrp() > 0);
    /* the strictest of several, of equals the newest */
    R(forbid(SYS_getppid, SECCOMP_RET_ERRNO | ENOSPC));
    R(getppid());
    R(forbid(SYS_getppid, SECCOMP_RET_LOG));
    R(getppid());
    /* a number above those that there are, and bits above eax */
    R(forbid(9999, SECCOMP_RET_ERRNO | EXDEV));
    R(syscall(9999));
    R(syscall(0x100000000 + SYS_getppid));
    R(syscall(0x100000000 + SYS_getpgrp) > 0);
}

/* Calls that are answered without the kernel once they have been made. */
CASE(seccomp, quick_calls)
{
    for (int i = 0; i < 3; i++)
        if (syscall(SYS_getpid) != getpid() || syscall(SYS_gettid) != getpid() || sched_yield())
            printf("wrong\n");
    R(forbid(SYS_getpid, SECCOMP_RET_ERRNO | EXDEV));
    R(getpid());
    R(forbid(SYS_gettid, SECCOMP_RET_ERRNO | ENOSPC));
    R(syscall(SYS_gettid));
    R(forbid(SYS_sched_yield, SECCOMP_RET_ERRNO | EDOM));
    R(sched_yield());
}

CASE(seccomp, arguments)
{
    /* lseek: the low half of its second argument, which may be any number */
    R(INSTALL(0, LOAD(nr), IF(SYS_lseek, 0, 6), LOAD(args[1]),
              BPF_STMT(BPF_ALU | BPF_MUL | BPF_K, 3), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),
              BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),
              BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0),
              RETURN(SECCOMP_RET_ALLOW)));
    for (int i = 2; i < 30; i += 7)
        R(lseek(-1, i, 0));
    R(INSTALL(0, LOAD(arch), IF(AUDIT_ARCH_X86_64, 1, 0), RETURN(SECCOMP_RET_KILL_PROCESS),
              RETURN(SECCOMP_RET_ALLOW)));
    R(getppid() > 0);
    /* division by zero is a filter that returns 0 */
    R(INSTALL(0, LOAD(nr), IF(SYS_getppid, 0, 3), BPF_STMT(BPF_LDX | BPF_IMM, 0),
              BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), RETURN(SECCOMP_RET_ALLOW),
              RETURN(SECCOMP_RET_ALLOW)));
    fflush(stdout);
    getppid();
}

static char *site;

static void on_sigsys(int signo, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    SHOW(signo);
    SHOW(info->si_code);
    SHOW(info->si_errno);
    SHOW(info->si_syscall);
    SHOW(info->si_arch == AUDIT_ARCH_X86_64);
    SHOW((char *)info->si_call_addr == (char *)uc->uc_mcontext.gregs[REG_RIP]);
    SHOW(!site || (char *)info->si_call_addr == site);
    SHOW(uc->uc_mcontext.gregs[REG_RAX]);
    SHOW(uc->uc_mcontext.gregs[REG_RDI]);
    uc->uc_mcontext.gregs[REG_RAX] = -EXDEV;
}

/* The same site each time. */
static __attribute__((noinline)) long call_at_site(long arg)
{
    long r = arg;
    __asm__ volatile("lea 1f(%%rip), %1\n\tmov $110, %%eax\n\tsyscall\n1:"
                     : "=a"(r), "=&r"(site)
                     : "D"(arg)
                     : "rcx", "r11", "memory");
    return r;
}

CASE(seccomp, trap)
{
    struct sigaction sa = {.sa_flags = SA_SIGINFO};
    sa.sa_sigaction = on_sigsys;
    sigaction(SIGSYS, &sa, NULL);
    for (int i = 0; i < 3; i++)
        call_at_site(i);
    R(forbid(SYS_getppid, SECCOMP_RET_TRAP | 77));
    for (int i = 5; i < 8; i++)
        R(call_at_site(i));
    site = NULL;
    R(forbid(SYS_pwrite64, SECCOMP_RET_TRAP));
    R(pwrite(1, "x", 1, 0));
}

CASE(seccomp, trap_blocked)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSYS);
    sigprocmask(SIG_BLOCK, &set, NULL);
    R(forbid(SYS_getppid, SECCOMP_RET_TRAP));
    fflush(stdout);
    getppid();
    printf("not reached\n");
}

static void kill_process(void)
{
    forbid(SYS_getppid, SECCOMP_RET_KILL_PROCESS);
    getppid();
}
static void kill_thread_alone(void)
{
    signal(SIGSYS, SIG_IGN);
    forbid(SYS_getppid, SECCOMP_RET_KILL_THREAD);
    getppid();
}
static void kill_unknown(void)
{
    forbid(SYS_getppid, 0x00010000);
    getppid();
}
static void strict_writes(void)
{
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    if (write(1, "strict\n", 7) == 7)
        syscall(SYS_exit, 3);
}
static void strict_other(void)
{
    syscall(SYS_getpid);
    syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, NULL);
    syscall(SYS_getpid);
}

static void with_core(void (*fn)(void))
{
    struct rlimit limit = {0, 0};
    setrlimit(RLIMIT_CORE, &limit);
    in_child(fn);
}

CASE(seccomp, killed)
{
    with_core(kill_process);
    with_core(kill_thread_alone);
    with_core(kill_unknown);
    with_core(strict_writes);
    with_core(strict_other);
}

static int ready[2];

static void *thread_dies(void *arg)
{
    (void)arg;
    forbid(SYS_getppid, SECCOMP_RET_KILL_THREAD);
    getppid();
    printf("not reached\n");
    return NULL;
}

static void other_thread_killed(void)
{
    pthread_t t;
    pthread_create(&t, NULL, thread_dies, NULL);
    pthread_join(t, NULL);
    R(getppid() > 0);
}

static void *outlives(void *arg)
{
    (void)arg;
    sleep_ms(100);
    syscall(SYS_exit, 0);
    return NULL;
}

static void main_thread_killed(void)
{
    pthread_t t;
    pthread_create(&t, NULL, outlives, NULL);
    forbid(SYS_getppid, SECCOMP_RET_KILL_THREAD);
    getppid();
}

static void main_thread_strict(void)
{
    pthread_t t;
    pthread_create(&t, NULL, outlives, NULL);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    syscall(SYS_getppid);
}

static void *killed_last(void *arg)
{
    (void)arg;
    forbid(SYS_getppid, SECCOMP_RET_KILL_THREAD);
    sleep_ms(100);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL);
    getppid();
    return NULL;
}

static void main_thread_exits(void)
{
    pthread_t t;
    pthread_create(&t, NULL, killed_last, NULL);
    syscall(SYS_exit, 5);
}

static void *exits_with_7(void *arg)
{
    (void)arg;
    sleep_ms(100);
    syscall(SYS_exit, 7);
    return NULL;
}

static void last_thread_decides(void)
{
    pthread_t t;
    pthread_create(&t, NULL, exits_with_7, NULL);
    syscall(SYS_exit, 5);
}

CASE(seccomp, threads_killed)
{
    with_core(main_thread_exits);
    in_child(last_thread_decides);
    in_child(other_thread_killed);
    in_child(main_thread_killed);
    in_child(main_thread_strict);
}

/* ---- who has it ---- */

static void child_has_it(void)
{
    R(getppid());
    R(prctl(PR_GET_SECCOMP));
    R(forbid(SYS_getuid, SECCOMP_RET_ERRNO | EDOM));
    R(getuid());
    status_lines();
}

static void *thread_has_it(void *arg)
{
    (void)arg;
    R(getppid());
    R(prctl(PR_GET_SECCOMP));
    return NULL;
}

CASE(seccomp, inherited)
{
    pthread_t t;
    R(forbid(SYS_getppid, SECCOMP_RET_ERRNO | EXDEV));
    pthread_create(&t, NULL, thread_has_it, NULL);
    pthread_join(t, NULL);
    in_child(child_has_it);
    R(getuid() == geteuid());
    status_lines();
}

static void *waits(void *own)
{
    char c;
    if (own)
        R(forbid(SYS_getuid, SECCOMP_RET_ERRNO | EDOM));
    if (write(ready[1], "x", 1) != 1 || read(ready[0], &c, 1) != 1)
        printf("wrong\n");
    R(getppid() > 0);
    R(prctl(PR_GET_SECCOMP));
    return NULL;
}

static void sync_with(void *own)
{
    int a[2], b[2];
    char c;
    pthread_t t;
    if (pipe(a) || pipe(b))
        return;
    ready[0] = a[0];
    ready[1] = b[1];
    pthread_create(&t, NULL, waits, own);
    if (read(b[0], &c, 1) != 1)
        return;
    R(INSTALL(SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, LOAD(nr),
              IF(SYS_getppid, 0, 1), RETURN(SECCOMP_RET_ERRNO | EXDEV), RETURN(SECCOMP_RET_ALLOW)));
    R(INSTALL(SECCOMP_FILTER_FLAG_TSYNC, RETURN(SECCOMP_RET_ALLOW)) > 0);
    if (write(a[1], "x", 1) != 1)
        return;
    pthread_join(t, NULL);
    R(getppid() > 0);
    status_lines();
}

CASE(seccomp, synchronised)
{
    sync_with(NULL);
}

CASE(seccomp, not_synchronised)
{
    sync_with(&ready);
}
