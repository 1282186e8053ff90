/* SPDX-License-Identifier: MIT */
/* System calls that an isle refuses, by name. Natively most of them work: for the isle only. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Files of its own process and of the proxy's other threads, by the numbers that /proc shows. */
static void first_process(void)
{
    char self[32] = {0}, name[300];
    int others = 0;
    if (readlink("/proc/self", self, sizeof self - 1) < 0)
        exit(1);
    snprintf(name, sizeof name, "/proc/%s/mem", self);
    errno = 0;
    int got = open(name, O_RDWR);
    printf("first process %d, /proc/NUMBER/mem: %s\n", (int)getpid(),
           got == -1 && errno == ENOSYS ? "ENOSYS" : "another answer");
    for (int tid = atoi(self) + 1; tid < atoi(self) + 40; tid++) {
        snprintf(name, sizeof name, "/proc/%d/mem", tid);
        got = open(name, O_RDONLY);
        if (got < 0)
            continue;
        char *tgid;
        snprintf(name, sizeof name, "/proc/%d/status", tid);
        int status = open(name, O_RDONLY);
        ssize_t n = status < 0 ? 0 : read(status, name, sizeof name - 1);
        name[n > 0 ? n : 0] = 0;
        tgid = strstr(name, "\nTgid:\t");
        others += tgid && atoi(tgid + 7) == atoi(self);
        close(status);
        close(got);
    }
    printf("first process, threads of lull: %s\n", others ? "another answer" : "ENOSYS");
    fflush(stdout);
    _exit(0);
}

/* A filter would be lost with the program that has it. */
static void with_filter(void)
{
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog prog = {1, &allow};
    char *argv[] = {"/bin/true", NULL};
    bool notified = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                            &prog) != -1 ||
                    errno != ENOSYS;
    printf("seccomp with a listener: %s\n", notified ? "another answer" : "ENOSYS");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
        printf("no filter\n");
    fflush(stdout);
    execve(argv[0], argv, argv + 1);
    printf("execve with a filter: %s\n", errno == ENOSYS ? "ENOSYS" : "another answer");
    int r = posix_spawn(&(pid_t){0}, argv[0], NULL, NULL, argv, argv + 1);
    printf("posix_spawn with a filter: %s\n", r == ENOSYS ? "ENOSYS" : "another answer");
    fflush(stdout);
    _exit(0);
}

int main(void)
{
    static const struct {
        const char *name;
        long nr;
    } call[] = {
        {"userfaultfd", SYS_userfaultfd},
        {"ptrace", SYS_ptrace},
        {"modify_ldt", SYS_modify_ldt},
        {"iopl", SYS_iopl},
        {"io_uring_setup", SYS_io_uring_setup},
        {"landlock_create_ruleset", SYS_landlock_create_ruleset},
        {"reboot", SYS_reboot},
        {"kexec_load", SYS_kexec_load},
        {"bpf", SYS_bpf},
        {"perf_event_open", SYS_perf_event_open},
        {"number 511", 511},
        {"number 512", 512},
        {"number 100000", 100000},
        {"number -1", -1},
        {"number 2^31", 0x80000000l},
    };
    /* they would show the proxy, not the program */
    static const char *const path[] = {"/proc/self/timers", "/proc/self/mem"};
    long got;

    for (size_t i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
        errno = 0;
        got = syscall(call[i].nr, 0, 0, 0, 0, 0, 0);
        printf("%s: %s\n", call[i].name,
               got == -1 && errno == ENOSYS ? "ENOSYS"
               : got == -1                  ? "another error"
                                            : "did something");
        fflush(stdout);
    }
    for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++) {
        errno = 0;
        got = open(path[i], O_RDONLY);
        printf("open %s: %s\n", path[i],
               got == -1 && errno == ENOSYS ? "ENOSYS" : "another answer");
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        with_filter();
    if (child > 0)
        waitpid(child, NULL, 0);
    /* a directory of a process in procfs gets no other name, by which its files would be opened */
    if (geteuid() == 0) {
        mkdir("bound", 0700);
        errno = 0;
        got = mount("/proc/self", "bound", NULL, MS_BIND, NULL);
        printf("mount: %s\n", got == -1 && errno == ENOSYS ? "ENOSYS" : "another answer");
        errno = 0;
        got = syscall(SYS_open_tree, AT_FDCWD, "/proc/self/task", OPEN_TREE_CLONE);
        printf("open_tree: %s\n", got == -1 && errno == ENOSYS ? "ENOSYS" : "another answer");
        got = open("/proc/self", O_PATH);
        errno = 0;
        got = syscall(SYS_open_tree, got, "", OPEN_TREE_CLONE | AT_EMPTY_PATH);
        printf("open_tree: %s\n", got == -1 && errno == ENOSYS ? "ENOSYS" : "another answer");
        errno = 0;
        got = chroot("/proc/self/task/../fd");
        printf("chroot: %s\n", got == -1 && errno == ENOSYS ? "ENOSYS" : "another answer");
        rmdir("bound");
    }
    /* a child before its execve stands in the proxy's memory, too */
    static volatile int by_self, by_number;
    pid_t pid = vfork();
    if (pid == 0) {
        char name[40];
        by_self = open("/proc/self/mem", O_RDWR) == -1 ? errno : 0;
        snprintf(name, sizeof name, "/proc/%ld/mem", syscall(SYS_getpid));
        by_number = open(name, O_RDWR) == -1 ? errno : 0;
        _exit(0);
    }
    printf("vfork child, /proc/self/mem: %s\n", by_self == ENOSYS ? "ENOSYS" : "another answer");
    printf("vfork child, /proc/PID/mem: %s\n", by_number == ENOSYS ? "ENOSYS" : "another answer");
    fflush(stdout);
    /* where /proc shows other numbers than system calls take */
    if (geteuid() == 0 && unshare(CLONE_NEWPID) == 0) {
        pid = fork();
        if (pid == 0)
            first_process();
        waitpid(pid, NULL, 0);
    }
    return 0;
}
