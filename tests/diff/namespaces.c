/* SPDX-License-Identifier: MIT */
/* unshare(2), setns(2), and the session's keyring: what a program of one thread can change. */
#include "diff.h"

#include <linux/keyctl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static volatile int alarms;

static void on_alarm(int signo)
{
    (void)signo;
    alarms++;
}

static void show_status(const char *what, pid_t pid)
{
    int st = 0;
    printf("%s: %d ", what, waitpid(pid, &st, 0) == pid);
    printf("%#x\n", (unsigned)st);
    fflush(stdout);
}

CASE(namespaces, unshare)
{
    static const struct {
        const char *name;
        int flags;
    } kind[] = {{"uts", CLONE_NEWUTS}, {"ipc", CLONE_NEWIPC},       {"net", CLONE_NEWNET},
                {"mnt", CLONE_NEWNS},  {"cgroup", CLONE_NEWCGROUP}, {"user", CLONE_NEWUSER}};
    for (unsigned i = 0; i < sizeof kind / sizeof *kind; i++) {
        char before[64], after[64];
        namespace_of(kind[i].name, before);
        R(unshare(kind[i].flags));
        namespace_of(kind[i].name, after);
        printf("%s: another %d\n", kind[i].name, strcmp(before, after) != 0);
    }
    R(unshare(0));
    R(unshare(CLONE_FILES | CLONE_FS | CLONE_SYSVSEM));
    R(unshare(1));
    R(unshare(CLONE_THREAD | CLONE_VM | CLONE_SIGHAND));
}

CASE(namespaces, the_program_goes_on)
{
    struct itimerval often = {{0, 10000}, {0, 10000}};
    struct utsname u;
    double x = 1.25;
    int p[2];
    char byte = 0;
    signal(SIGALRM, on_alarm);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    if (pipe(p) || write(p[1], "p", 1) != 1)
        return;
    pid_t pid = getpid();
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 3; i++) {
        R(unshare(CLONE_NEWUTS));
        x *= 3;
    }
    SHOW(x * 4);
    SHOW(getpid() == pid);
    R(sethostname("inner", 5));
    R(uname(&u));
    printf("%s\n", u.nodename);
    int before = alarms;
    for (int i = 0; alarms == before && i < 2000; i++)
        sleep_ms(1);
    SHOW(alarms > before);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 0}}, NULL);
    R(read(p[0], &byte, 1));
    SHOW(byte);
    sigpending(&set);
    SHOW(sigismember(&set, SIGUSR1));
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        _exit(uname(&u) || strcmp(u.nodename, "inner") != 0);
    show_status("fork", pid);
    char *argv[] = {"/bin/sh", "-c", "test \"$(uname -n)\" = inner", NULL};
    pid = vfork();
    if (pid == 0) {
        execv(argv[0], argv);
        _exit(127);
    }
    show_status("vfork", pid);
}

CASE(namespaces, mounts_are_the_programs_own)
{
    char where[64];
    R(unshare(CLONE_NEWNS));
    R(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
    R(mkdir("point", 0700));
    R(mount("none", "point", "tmpfs", 0, NULL));
    R(chdir("point"));
    int fd = open("file", O_CREAT | O_RDWR, 0600);
    SHOW(fd >= 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(access("file", F_OK));
    show_status("child", pid);
    printf("%s\n", getcwd(where, sizeof where) ? strrchr(where, '/') : "-");
    R(chdir(".."));
    R(access("point/file", F_OK));
    R(umount2("point", MNT_DETACH));
    R(access("point/file", F_OK));
}

CASE(namespaces, setns)
{
    struct utsname u, first;
    uname(&first);
    int own = open("/proc/self/ns/uts", O_RDONLY), file = file_with("f", "x");
    R(unshare(CLONE_NEWUTS));
    R(sethostname("other", 5));
    R(setns(own, CLONE_NEWNET));
    R(setns(own, CLONE_NEWUTS));
    R(uname(&u));
    SHOW(strcmp(u.nodename, first.nodename));
    R(setns(own, 0));
    R(setns(file, 0));
    R(setns(999, 0));
    R(setns(-1, CLONE_NEWUTS));
    fflush(stdout);
    int p[2];
    char byte;
    if (pipe(p))
        return;
    pid_t pid = fork();
    if (pid == 0) {
        unshare(CLONE_NEWUTS | CLONE_NEWIPC);
        sethostname("third", 5);
        if (write(p[1], "r", 1) == 1)
            pause();
        _exit(0);
    }
    if (read(p[0], &byte, 1) != 1)
        return;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    R(setns(pidfd, CLONE_NEWUTS | CLONE_NEWIPC));
    R(uname(&u));
    printf("%s\n", u.nodename);
    kill(pid, SIGKILL);
    show_status("child", pid);
}

CASE(namespaces, users)
{
    char line[64];
    uid_t uid = getuid();
    gid_t gid = getgid();
    R(unshare(CLONE_NEWUSER));
    SHOW(getuid());
    SHOW(getegid());
    snprintf(line, sizeof line, "0 %u 1", uid);
    int fd = open("/proc/self/uid_map", O_WRONLY);
    SHOW(write(fd, line, strlen(line)) == (ssize_t)strlen(line));
    SHOW(getuid());
    SHOW(getgid());
    close(fd);
    fd = open("/proc/self/setgroups", O_WRONLY);
    SHOW(write(fd, "deny", 4));
    close(fd);
    snprintf(line, sizeof line, "7 %u 1", gid);
    fd = open("/proc/self/gid_map", O_WRONLY);
    SHOW(write(fd, line, strlen(line)) == (ssize_t)strlen(line));
    SHOW(getegid());
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(getuid() == 0 && getgid() == 7 ? 3 : 4);
    show_status("child", pid);
    R(unshare(CLONE_NEWUTS | CLONE_NEWNET));
    R(sethostname("mine", 4));
}

CASE(namespaces, children_in_a_namespace_of_processes)
{
    int up[2], down[2];
    char byte;
    if (pipe(up) || pipe(down))
        return;
    SHOW(getpid() > 1);
    R(unshare(CLONE_NEWPID));
    SHOW(getpid() > 1);
    fflush(stdout);
    pid_t first = fork();
    if (first == 0) {
        raise(SIGTERM); /* nothing to the first process of a namespace */
        raise(SIGSTOP);
        byte = (char)(getpid() == 1 && getppid() == 0);
        if (write(up[1], &byte, 1) != 1 || read(down[0], &byte, 1) != 1)
            _exit(9);
        _exit(3);
    }
    SHOW(read(up[0], &byte, 1) == 1 && byte);
    pid_t second = fork();
    if (second == 0)
        _exit(getpid() > 1 && getppid() == 0 ? 4 : 5);
    show_status("second", second);
    SHOW(write(down[1], "x", 1));
    show_status("first", first);
    R(fork()); /* the namespace has ended */
    R(kill(first, 0));
}

CASE(namespaces, first_process_dies_of_a_fault)
{
    R(unshare(CLONE_NEWPID));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        *(volatile int *)8 = 1;
        _exit(1);
    }
    show_status("fault", pid);
}

CASE(namespaces, clocks)
{
    struct timespec a, b;
    static const char offset[] = "monotonic 1000 0\n";
    clock_gettime(CLOCK_MONOTONIC, &a);
    R(unshare(CLONE_NEWTIME));
    int fd = open("/proc/self/timens_offsets", O_WRONLY);
    SHOW(write(fd, offset, sizeof offset - 1));
    clock_gettime(CLOCK_MONOTONIC, &b);
    SHOW(b.tv_sec - a.tv_sec > 500);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        clock_gettime(CLOCK_MONOTONIC, &b);
        long ahead = b.tv_sec - a.tv_sec;
        b.tv_nsec += 20000000;
        b.tv_sec += b.tv_nsec / 1000000000;
        b.tv_nsec %= 1000000000;
        int r = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &b, NULL);
        _exit(r == 0 && ahead >= 1000 && ahead < 1500 ? 3 : 4);
    }
    show_status("child", pid);
    int own = open("/proc/self/ns/time_for_children", O_RDONLY);
    R(setns(own, CLONE_NEWTIME));
    clock_gettime(CLOCK_MONOTONIC, &b);
    SHOW(b.tv_sec - a.tv_sec >= 1000);
}

CASE(namespaces, session_keyring)
{
    long before = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
    long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
    SHOW(ring > 0 && ring != before);
    SHOW(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) == ring);
    long key = syscall(SYS_add_key, "user", "name", "value", 5, KEY_SPEC_SESSION_KEYRING);
    SHOW(key > 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0)
        _exit(syscall(SYS_request_key, "user", "name", NULL, 0) == key ? 3 : 4);
    show_status("child", pid);
    long named = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "lull-diff");
    SHOW(named > 0 && named != ring);
    R(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 8l));
}
