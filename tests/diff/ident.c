/* SPDX-License-Identifier: MIT */
/* Who and what the program is: prctl, limits, usage, users, the system. */
#include "diff.h"

#include <cpuid.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>

CASE(ident, uname)
{
    struct utsname u;

    R(uname(&u));
    puts(u.sysname);
    puts(u.nodename);
    puts(u.release);
    puts(u.version);
    puts(u.machine);
}

CASE(ident, sysinfo)
{
    struct sysinfo s;

    memset(&s, 0xff, sizeof s);
    R(sysinfo(&s));
    SHOW(s.mem_unit);
    SHOW(s.uptime > 0);
    SHOW(s.totalram > 0);
    SHOW(s.freeram <= s.totalram);
    SHOW(s.procs > 0);
}

CASE(ident, ids)
{
    uid_t r, e, s;
    gid_t groups[64];

    R(getuid());
    R(geteuid());
    R(getgid());
    R(getegid());
    R(getresuid(&r, &e, &s));
    SHOW(r);
    SHOW(s);
    R(getresgid(&r, &e, &s));
    SHOW(e);
    R(getgroups(0, NULL));
    R(getgroups(64, groups));
    R(getgroups(-1, groups));
    R(getpgrp() > 0);
    R(getpgid(0) == getpgrp());
    R(getpgid(0x3fffffff));
    R(getsid(0) >= 0);
    R(getsid(0x3fffffff));
    R(getppid() > 0);
}

CASE(ident, setting_ids)
{
    R(setuid(getuid()));
    R(setgid(getgid()));
    R(setreuid(-1, -1));
    R(setresuid(-1, -1, -1));
    R(setresgid(-1, -1, -1));
}

CASE(ident, setting_fsuid)
{
    R(syscall(SYS_setfsuid, -1) == (long)geteuid());
    R(syscall(SYS_setfsgid, -1) == (long)getegid());
}

CASE(ident, prctl_name)
{
    char name[16] = "";

    R(prctl(PR_SET_NAME, "a name that is too long"));
    R(prctl(PR_GET_NAME, name));
    puts(name);
    R(prctl(PR_SET_NAME, ""));
    R(prctl(PR_GET_NAME, name));
    show_bytes("name", name, 16);
    R(prctl(PR_SET_NAME, 8));
    R(prctl(PR_GET_NAME, 8));
    R(prctl(9999));
}

CASE(ident, prctl_dumpable)
{
    R(prctl(PR_GET_DUMPABLE));
    R(prctl(PR_SET_DUMPABLE, 0));
    R(prctl(PR_GET_DUMPABLE));
    R(prctl(PR_SET_DUMPABLE, 2));
    R(prctl(PR_SET_DUMPABLE, 1));
}

/* EINVAL on a Linux without Yama */
CASE(ident, prctl_ptracer)
{
    R(prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0));
    R(prctl(PR_SET_PTRACER, getppid(), 0, 0, 0));
    R(prctl(PR_SET_PTRACER, 0, 0, 0, 0));
}

CASE(ident, prctl_parent_death)
{
    int signo = -1;

    R(prctl(PR_GET_PDEATHSIG, &signo));
    SHOW(signo);
    R(prctl(PR_SET_PDEATHSIG, SIGUSR1));
    R(prctl(PR_GET_PDEATHSIG, &signo));
    SHOW(signo);
    R(prctl(PR_SET_PDEATHSIG, 99));
    R(prctl(PR_GET_PDEATHSIG, 8));
}

CASE(ident, prctl_no_new_privs)
{
    R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    R(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
    R(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

CASE(ident, prctl_timerslack)
{
    R(prctl(PR_GET_TIMERSLACK));
    R(prctl(PR_SET_TIMERSLACK, 100000));
    R(prctl(PR_GET_TIMERSLACK));
    R(prctl(PR_SET_TIMERSLACK, 0));
    R(prctl(PR_GET_TIMERSLACK));
}

CASE(ident, prctl_subreaper)
{
    int v = -1;

    R(prctl(PR_GET_CHILD_SUBREAPER, &v));
    SHOW(v);
    R(prctl(PR_SET_CHILD_SUBREAPER, 1));
    R(prctl(PR_GET_CHILD_SUBREAPER, &v));
    SHOW(v);
}

CASE(ident, prctl_questions)
{
    int v = -1;

    R(prctl(PR_GET_KEEPCAPS));
    R(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
    R(prctl(PR_GET_TSC, &v));
    SHOW(v);
    R(prctl(PR_GET_TIMING));
    R(prctl(PR_GET_SECUREBITS));
    R(prctl(PR_CAPBSET_READ, 0) >= 0);
    R(prctl(PR_CAPBSET_READ, 999));
}

CASE(ident, prctl_thp)
{
    R(prctl(PR_SET_THP_DISABLE, 0, 1, 0, 0));
    R(prctl(PR_SET_THP_DISABLE, 1, 4, 0, 0));
    R(prctl(PR_SET_THP_DISABLE, 1, 0, 1, 0));
}

CASE(ident, prctl_seccomp)
{
    R(prctl(PR_GET_SECCOMP));
    R(prctl(PR_SET_SECCOMP, 99, NULL));
}

CASE(ident, arch_prctl)
{
    unsigned long v = 1;

    R(syscall(SYS_arch_prctl, 0x1003, &v)); /* ARCH_GET_FS */
    SHOW(v == (unsigned long)pthread_self());
    R(syscall(SYS_arch_prctl, 0x1004, &v)); /* ARCH_GET_GS */
    SHOW(v);
    R(syscall(SYS_arch_prctl, 0x1002, 1ul << 47));
    R(syscall(SYS_arch_prctl, 0x1003, 8));
    R(syscall(SYS_arch_prctl, 0x9999, &v));
}

CASE(ident, personality)
{
    R(personality(0xffffffff));
    R(personality(ADDR_NO_RANDOMIZE));
    R(personality(PER_LINUX32));
    R(personality(STICKY_TIMEOUTS | UNAME26));
    fd_set none;
    struct timeval soon = {0, 1000};
    FD_ZERO(&none);
    R(select(0, &none, NULL, NULL, &soon));
    SHOW(soon.tv_usec);
    struct utsname name;
    uname(&name);
    SHOW(strncmp(name.release, "2.6.", 4));
    R(personality(PER_SVR4 | SHORT_INODE));
    R(personality(ADDR_NO_RANDOMIZE));
    R(personality(0xffffffff));
}

CASE(ident, limits)
{
    struct rlimit l, m;

    for (unsigned i = 0; i < 17; i++) {
        printf("limit %u: ", i);
        R(getrlimit((__rlimit_resource_t)i, &l));
        if (i != RLIMIT_NOFILE && i != RLIMIT_CORE) {
            SHOW(l.rlim_cur);
            SHOW(l.rlim_max);
        }
    }
    R(prlimit(0, RLIMIT_STACK, NULL, &m));
    R(prlimit(getpid(), RLIMIT_STACK, NULL, &m));
    R(prlimit(0x3fffffff, RLIMIT_STACK, NULL, &m));
    R(prlimit(0, 99, NULL, &m));
    R(prlimit(0, RLIMIT_STACK, NULL, NULL));
}

CASE(ident, limits_at_start)
{
    struct rlimit l;

    R(getrlimit(RLIMIT_NOFILE, &l));
    SHOW(l.rlim_cur);
    SHOW(l.rlim_max);
    R(getrlimit(RLIMIT_CORE, &l));
    SHOW(l.rlim_cur);
    SHOW(l.rlim_max);
}

CASE(ident, setting_limits)
{
    struct rlimit l = {64, 128}, got;

    R(setrlimit(RLIMIT_NOFILE, &l));
    R(getrlimit(RLIMIT_NOFILE, &got));
    SHOW(got.rlim_cur);
    SHOW(got.rlim_max);
    l.rlim_cur = 200;
    R(setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){0, 0};
    R(setrlimit(RLIMIT_CORE, &l));
    R(setrlimit(99, &l));
}

CASE(ident, limit_of_stack)
{
    struct rlimit l, got;

    R(getrlimit(RLIMIT_STACK, &l));
    l.rlim_cur = 4 << 20;
    R(setrlimit(RLIMIT_STACK, &l));
    R(getrlimit(RLIMIT_STACK, &got));
    SHOW(got.rlim_cur);
}

CASE(ident, limit_of_memory)
{
    struct rlimit l;

    R(getrlimit(RLIMIT_AS, &l));
    l.rlim_cur = 1 << 28;
    R(setrlimit(RLIMIT_AS, &l));
    R(malloc(1ul << 29) != NULL);
    R(malloc(1ul << 20) != NULL);
}

CASE(ident, usage)
{
    struct rusage u;
    long long end = now_ms() + 300;

    while (now_ms() < end) {
    }
    R(getrusage(RUSAGE_SELF, &u));
    SHOW(u.ru_utime.tv_sec > 0 || u.ru_utime.tv_usec + u.ru_stime.tv_usec > 20000);
    SHOW(u.ru_maxrss > 0);
    R(getrusage(RUSAGE_CHILDREN, &u));
    SHOW(u.ru_utime.tv_usec);
    R(getrusage((__rusage_who_t)99, &u));
}

CASE(ident, usage_of_thread)
{
    struct rusage u;
    long long end = now_ms() + 300;

    while (now_ms() < end) {
    }
    R(getrusage(RUSAGE_THREAD, &u));
    SHOW(u.ru_utime.tv_sec > 0 || u.ru_utime.tv_usec + u.ru_stime.tv_usec > 20000);
}

CASE(ident, capabilities)
{
    struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct d[2] = {{0, 0, 0}, {0, 0, 0}};

    R(syscall(SYS_capget, &h, d));
    SHOW(d[0].effective);
    h.version = 1;
    R(syscall(SYS_capget, &h, d));
    SHOW(h.version);
    h.pid = -5;
    R(syscall(SYS_capget, &h, d));
}

CASE(ident, ioprio)
{
    R(syscall(SYS_ioprio_get, 1, 0));
    R(syscall(SYS_ioprio_get, 9, 0));
    R(syscall(SYS_ioprio_get, 1, 0x3fffffff));
}

CASE(ident, unknown_calls)
{
    R(syscall(400));
    R(syscall(511));
    R(syscall(600));
    R(syscall(100000));
    R(syscall(-1));
    R(syscall(SYS_create_module));
    R(syscall(SYS_vserver));
}

CASE(ident, pidfd)
{
    int fd;

    R(fd = (int)syscall(SYS_pidfd_open, getpid(), 0));
    R(syscall(SYS_pidfd_open, 0x3fffffff, 0));
    R(syscall(SYS_pidfd_open, getpid(), 77));
    R(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    R(fcntl(fd, F_GETFD));
}

CASE(ident, exit_codes)
{
    puts("300 & 255");
    fflush(stdout);
    syscall(SYS_exit_group, 300);
}

/* Instructions that ring 3 has, without those that need state which an isle does not have:
   protection keys and AMX. */
CASE(ident, cpuid)
{
    static const struct {
        unsigned leaf, sub, mask[4];
    } leaves[] = {{1, 0, {~0u, 0xff0000, 0xf6fa3203, 0x178bfbff}},
                  {4, 0, {~0u, ~0u, ~0u, ~0u}},
                  {7, 0, {0, 0xf1af0b39, 0x1a405f42, 0x0081411c}},
                  {7, 1, {0x00801c37, 0, 0, 0x4430}},
                  {0xb, 0, {~0u, ~0u, ~0u, 0}},
                  {0xb, 1, {~0u, ~0u, ~0u, 0}},
                  {0x80000001, 0, {0, 0, 0x2109e1, 0xe8500800}},
                  {0x80000002, 0, {~0u, ~0u, ~0u, ~0u}},
                  {0x80000003, 0, {~0u, ~0u, ~0u, ~0u}},
                  {0x80000004, 0, {~0u, ~0u, ~0u, ~0u}},
                  {0x8000001d, 3, {~0u, ~0u, ~0u, ~0u}}};
    unsigned r[4], aux = 0, lo, hi;

    for (size_t i = 0; i < sizeof leaves / sizeof *leaves; i++) {
        __cpuid_count(leaves[i].leaf, leaves[i].sub, r[0], r[1], r[2], r[3]);
        printf("%x.%x:", leaves[i].leaf, leaves[i].sub);
        for (int k = 0; k < 4; k++)
            printf(" %08x", r[k] & leaves[i].mask[k]);
        puts("");
    }
    __cpuid(0x80000001, r[0], r[1], r[2], r[3]);
    if (r[2] >> 5 & 1)
        __asm__ volatile("lzcnt %1, %0" : "=r"(lo) : "r"(1));
    if (!(r[3] >> 27 & 1))
        return;
    for (unsigned cpu = 0; cpu < 2; cpu++) { /* the number of the CPU, and its node above that */
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set))
            continue;
        __asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
        SHOW((aux & 0xfff) == cpu);
    }
}

CASE(ident, arch_prctl_features)
{
    unsigned long supported = 0;

    R(syscall(SYS_arch_prctl, 0x1011, 0)); /* ARCH_GET_CPUID */
    R(syscall(SYS_arch_prctl, 0x1021, &supported));
    SHOW(supported & 3);
    R(syscall(SYS_arch_prctl, 0x1021, 8));
    R(syscall(SYS_arch_prctl, 0x1023, 1));
    R(syscall(SYS_arch_prctl, 0x1023, 64));
    R(syscall(SYS_arch_prctl, 0x4711, 0));
}

static void *sleeps(void *arg)
{
    for (;;)
        pause();
    return arg;
}

static void show_ids(const char *what)
{
    uid_t u[3];
    gid_t g[3], list[8];
    int n = getgroups(8, list);

    getresuid(&u[0], &u[1], &u[2]);
    getresgid(&g[0], &g[1], &g[2]);
    printf("%s: %u %u %u, %u %u %u, %u %u, groups %d:", what, u[0], u[1], u[2], g[0], g[1], g[2],
           getuid(), geteuid(), n);
    for (int i = 0; i < n; i++)
        printf(" %u", list[i]);
    printf("\n");
    fflush(stdout);
}

/* The C library makes the call in each thread: once is meant. */
static void change_ids(int threads)
{
    pthread_t t;
    gid_t list[] = {7, 8};

    for (int i = 0; i < threads; i++)
        pthread_create(&t, NULL, sleeps, NULL);
    R(setgroups(2, list));
    list[0] = 9;
    R(setgroups(2, list));
    show_ids("groups");
    R(setresgid(0, 65534, 0));
    R(setregid(65534, 0));
    R(setregid(getegid(), getgid()));
    show_ids("gid");
    R(setresuid(0, 65534, 0));
    show_ids("uid");
    R(setreuid(65534, 0));
    show_ids("swapped");
    R(setreuid(geteuid(), getuid()));
    show_ids("back");
    R(setreuid(65534, 0));
    R(setresuid(65534, 65534, 0));
    R(setuid(0));
    show_ids("setuid");
    R(setresuid(65534, 65534, 65534));
    R(setuid(0));
    show_ids("at last");
}

CASE(ident, changed_beside_threads)
{
    for (int threads = 0; threads < 4; threads++) {
        fflush(stdout);
        if (fork() == 0) {
            change_ids(threads);
            _exit(0);
        }
        int st = 0;
        wait(&st);
        printf("%d threads: %x\n", threads, (unsigned)st);
    }
}

CASE(ident, setgroups_of_bad_lists)
{
    R(syscall(SYS_setgroups, 1, page_with(PROT_NONE)));
    R(syscall(SYS_setgroups, 65536, page_with(PROT_NONE)));
    R(syscall(SYS_setgroups, 65537, page_with(PROT_NONE)));
    R(syscall(SYS_setgroups, 2, pages_before_hole(1) + PAGE - 4));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0)
            R(setresuid(65534, 65534, 65534));
        R(syscall(SYS_setgroups, 1, page_with(PROT_NONE)));
        R(syscall(SYS_setgroups, 65537, page_with(PROT_NONE)));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

CASE(ident, timerslack_of_a_child)
{
    R(prctl(PR_SET_TIMERSLACK, 70000));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        R(prctl(PR_GET_TIMERSLACK));
        R(prctl(PR_SET_TIMERSLACK, 0));
        R(prctl(PR_GET_TIMERSLACK));
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    R(prctl(PR_SET_TIMERSLACK, 0));
    R(prctl(PR_GET_TIMERSLACK));
}
