/* SPDX-License-Identifier: MIT */
/* clone(2) and clone3(2) as a fork: what a process can begin with, and what it may not. */
#include "diff.h"

#include <asm/prctl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char stack[65536] __attribute__((aligned(16)));
static char tls[4096] __attribute__((aligned(64)));
static volatile pid_t parent_tid, child_tid;
static volatile int handled;

static void on_signal(int signo)
{
    handled = signo;
}

static int looks(void *arg)
{
    unsigned long fs = 0;
    char here;
    int bits = 0;

    syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
    bits |= (&here >= stack && &here < stack + sizeof stack) << 0;
    bits |= (fs == (unsigned long)tls) << 1;
    bits |= (child_tid == syscall(SYS_getpid)) << 2;
    bits |= (arg == (void *)stack) << 3;
    _exit(bits);
}

static void show_child(const char *what, pid_t pid)
{
    int st = 0, e = errno;

    if (pid < 0) {
        printf("%s: %s\n", what, strerrorname_np(e));
        return;
    }
    pid_t got = waitpid(pid, &st, 0);
    printf("%s: waited %d, exit %d signal %d, parent's %d, child's %d\n", what, got == pid,
           WIFEXITED(st) ? WEXITSTATUS(st) : -1, WIFSIGNALED(st) ? WTERMSIG(st) : 0,
           parent_tid == pid, child_tid == pid);
    parent_tid = child_tid = 0;
    fflush(stdout);
}

static void cloned(const char *what, int flags)
{
    parent_tid = child_tid = 0;
    fflush(stdout);
    show_child(what, clone(looks, stack + sizeof stack, flags | SIGCHLD, stack, &parent_tid, tls,
                           &child_tid));
}

CASE(clone, fork_with_a_stack)
{
    cloned("a stack", 0);
    cloned("thread-local storage", CLONE_SETTLS);
    cloned("parent's tid", CLONE_PARENT_SETTID);
    cloned("child's tid", CLONE_CHILD_SETTID);
    cloned("all tids", CLONE_CHILD_SETTID | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID);
    cloned("no tracer", CLONE_UNTRACED | CLONE_PTRACE);
}

CASE(clone, vfork_with_a_stack)
{
    const int vfork_flags = CLONE_VM | CLONE_VFORK;

    cloned("a stack", vfork_flags);
    cloned("thread-local storage", vfork_flags | CLONE_SETTLS);
    cloned("parent's tid", vfork_flags | CLONE_PARENT_SETTID);
    cloned("child's tid", vfork_flags | CLONE_CHILD_SETTID);
    cloned("cleared", vfork_flags | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID);
}

static void ended(const char *what, int pidfd, pid_t pid)
{
    struct pollfd p = {pidfd, POLLIN, 0};
    siginfo_t info = {0};

    printf("%s: close on exec %d, ", what, fcntl(pidfd, F_GETFD) & FD_CLOEXEC);
    printf("poll %d, ", poll(&p, 1, 5000));
    printf("waitid %d, ", waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED));
    printf("it %d, status %d\n", info.si_pid == pid, info.si_status);
    fflush(stdout);
    close(pidfd);
}

static int has_no_descriptor(void *arg)
{
    _exit(fcntl(*(int *)arg, F_GETFD) == -1 ? 3 : 4);
}

CASE(clone, pidfd)
{
    static const struct {
        const char *name;
        int flags;
    } how[] = {{"fork", 0}, {"vfork", CLONE_VM | CLONE_VFORK}};

    for (int i = 0; i < 2; i++) {
        int fd = 99, next = dup(0);
        close(next);
        fflush(stdout);
        pid_t pid = clone(has_no_descriptor, stack + sizeof stack,
                          how[i].flags | CLONE_PIDFD | SIGCHLD, &next, &fd);
        SHOW(fd == next);
        ended(how[i].name, fd, pid);
        R(clone(has_no_descriptor, stack + sizeof stack, how[i].flags | CLONE_PIDFD | SIGCHLD,
                &next, page_with(PROT_READ)));
        R(clone(has_no_descriptor, stack + sizeof stack,
                how[i].flags | CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, &next, &fd));
        R(clone(has_no_descriptor, stack + sizeof stack,
                how[i].flags | CLONE_PIDFD | CLONE_DETACHED | SIGCHLD, &next, &fd));
    }
    R(waitpid(-1, NULL, WNOHANG));
}

static long clone_three(struct clone_args *a)
{
    return syscall(SYS_clone3, a, sizeof *a);
}

CASE(clone, clone3_fork)
{
    int fd = -1;
    pid_t tid = 0;
    struct clone_args a = {.exit_signal = SIGCHLD,
                           .flags = CLONE_PIDFD | CLONE_PARENT_SETTID | CLONE_CLEAR_SIGHAND,
                           .pidfd = (uintptr_t)&fd,
                           .parent_tid = (uintptr_t)&tid};
    struct sigaction act = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN}, now;

    sigaction(SIGUSR1, &act, NULL);
    sigaction(SIGUSR2, &ignore, NULL);
    fflush(stdout);
    long pid = clone_three(&a);
    if (pid == 0) {
        sigaction(SIGUSR1, NULL, &now);
        int bits = now.sa_handler == SIG_DFL;
        sigaction(SIGUSR2, NULL, &now);
        _exit(bits | (now.sa_handler == SIG_IGN) << 1);
    }
    SHOW(tid == pid);
    ended("clone3", fd, (pid_t)pid);
    raise(SIGUSR1);
    SHOW(handled == SIGUSR1);
    a.set_tid_size = 40;
    R(clone_three(&a));
    a.set_tid_size = 0;
    a.stack = (uintptr_t)stack;
    R(clone_three(&a));
    a.stack = 0;
    a.exit_signal = 65;
    R(clone_three(&a));
    a.exit_signal = SIGCHLD;
    a.parent_tid = a.pidfd;
    R(clone_three(&a));
    R(syscall(SYS_clone3, &a, 8));
    R(syscall(SYS_clone3, NULL, sizeof a));
}

CASE(clone, invalid)
{
    static const unsigned flags[] = {
        CLONE_SIGHAND,
        CLONE_THREAD,
        CLONE_THREAD | CLONE_SIGHAND,
        CLONE_THREAD | CLONE_VM,
        CLONE_FS | CLONE_NEWNS,
        CLONE_FS | CLONE_NEWUSER,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWPID,
        CLONE_PIDFD | CLONE_DETACHED,
    };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        errno = 0;
        long r = syscall(SYS_clone, (long)flags[i] | SIGCHLD, stack + sizeof stack, NULL, NULL, 0);
        printf("%x: %ld %s\n", flags[i], r, strerrorname_np(errno));
    }
}

/* Its parent is gone: somebody else's child now. */
CASE(clone, orphan)
{
    int p[2];

    pipe(p);
    fflush(stdout);
    if (fork() == 0) {
        pid_t middle = getpid();
        if (fork() == 0) {
            while (getppid() == middle)
                sleep_ms(1);
            printf("a new parent\n");
            fflush(stdout);
            _exit(write(p[1], "x", 1) != 1);
        }
        _exit(0);
    }
    wait(NULL);
    close(p[1]);
    char c;
    SHOW(read(p[0], &c, 1));
}

static long cloned_as(unsigned long flags, unsigned long signo)
{
    struct clone_args a = {.flags = flags, .exit_signal = signo};
    fflush(stdout);
    return clone_three(&a);
}

CASE(clone, namespaces)
{
    static const struct {
        const char *name;
        unsigned long flags;
    } kind[] = {{"uts", CLONE_NEWUTS},
                {"ipc", CLONE_NEWIPC},
                {"net", CLONE_NEWNET},
                {"mnt", CLONE_NEWNS},
                {"user", CLONE_NEWUSER},
                {"cgroup", CLONE_NEWCGROUP},
                {"pid", CLONE_NEWPID},
                {"time", CLONE_NEWTIME},
                {"mnt", CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET}};
    for (unsigned i = 0; i < sizeof kind / sizeof *kind; i++) {
        char before[64], after[64], here[64];
        namespace_of(kind[i].name, before);
        long pid = cloned_as(kind[i].flags, SIGCHLD);
        if (pid == 0) {
            int st = 0;
            namespace_of(kind[i].name, after);
            printf("%s: another %d, first %d, parent %d, user %d; ", kind[i].name,
                   strcmp(before, after) != 0, getpid() == 1, getppid() > 0, (int)getuid());
            fflush(stdout);
            pid_t inner = fork();
            if (inner == 0)
                _exit(4);
            printf("%d ", waitpid(inner, &st, 0) == inner);
            printf("%#x\n", (unsigned)st);
            fflush(stdout);
            _exit(5);
        }
        show_child(kind[i].name, (pid_t)pid);
        namespace_of(kind[i].name, here);
        SHOW(strcmp(before, here));
    }
}

CASE(clone, what_a_fork_shares)
{
    char where[64];
    if (mkdir("inside", 0700))
        return;
    long pid = cloned_as(CLONE_FS, SIGCHLD);
    if (pid == 0)
        _exit(chdir("inside") || umask(07) == 07);
    show_child("fs", (pid_t)pid);
    printf("%s\n", getcwd(where, sizeof where) ? strrchr(where, '/') : "-");
    SHOW(umask(022));
    pid = cloned_as(CLONE_IO | CLONE_SYSVSEM, SIGCHLD);
    if (pid == 0)
        _exit(3);
    show_child("io", (pid_t)pid);
}

CASE(clone, exit_signals)
{
    struct sigaction act = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &act, NULL);
    int st = 0;
    long pid = cloned_as(0, SIGUSR1);
    if (pid == 0)
        _exit(3);
    SHOW(waitpid((pid_t)pid, &st, 0) == -1 && errno == ECHILD);
    SHOW(waitpid((pid_t)pid, &st, __WCLONE) == pid);
    for (int i = 0; !handled && i < 1000; i++)
        sleep_ms(1);
    SHOW(handled);
    pid = cloned_as(0, 0);
    if (pid == 0)
        _exit(4);
    SHOW(waitpid((pid_t)pid, &st, __WALL) == pid);
    SHOW(st);
    R(cloned_as(0, 65));
    R(cloned_as(CLONE_INTO_CGROUP, SIGCHLD)); /* descriptor 0 is none of a cgroup */
    R(cloned_as(CLONE_NEWNS | CLONE_FS, SIGCHLD));
    R(cloned_as(CLONE_PARENT, SIGCHLD));
}

CASE(clone, sibling)
{
    int st = 0;
    pid_t first = fork();
    if (first == 0) {
        struct clone_args a = {.flags = CLONE_PARENT};
        pid_t mine = getppid();
        long second = clone_three(&a);
        if (second == 0)
            _exit(getppid() == mine ? 5 : 6);
        _exit(second < 0 || waitpid((pid_t)second, NULL, __WALL) != -1);
    }
    for (int i = 0; i < 2; i++) {
        pid_t got = waitpid(-1, &st, __WALL);
        printf("%s\n", got > 0 && (got == first ? st == 0 : st == 5 << 8) ? "as it was" : "other");
    }
}

CASE(clone, chosen_numbers)
{
    pid_t want = 30000;
    struct clone_args a = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&want, .set_tid_size = 1};
    while (kill(want, 0) == 0)
        want++;
    fflush(stdout);
    long pid = clone_three(&a);
    if (pid == 0)
        _exit(getpid() == want ? 2 : 3);
    SHOW(pid == want);
    show_child("chosen", (pid_t)pid);
    want = getpid();
    R(clone_three(&a));
}

/* Nothing is pending for a new process, whatever is for its parent. */
CASE(clone, vfork_pending)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR1);
    fflush(stdout);
    pid_t pid = vfork();
    if (pid == 0) {
        uint64_t pending = 1;
        long r = syscall(SYS_rt_sigpending, &pending, 8);
        _exit(r ? 1 : pending ? 2 : 3);
    }
    show_child("vfork", pid);
    sigpending(&set);
    SHOW(sigismember(&set, SIGUSR1));
}
