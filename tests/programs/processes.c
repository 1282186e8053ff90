/* SPDX-License-Identifier: MIT */
/*
 * fork, vfork, posix_spawn, system, popen, execve, wait. With arguments: what a child is to do, or
 * an execve of the main program.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char **environ;
static const char *self;
static int global = 1;

/* What a child says of itself; nothing it shares with others. */
static int child_words(int argc, char **argv)
{
    if (strcmp(argv[1], "status") == 0) {
        return atoi(argv[2]);
    }
    if (strcmp(argv[1], "words") == 0) {
        for (int i = 0; i < argc; i++) {
            printf("[%s]", argv[i]);
        }
        printf(" %s\n", getenv("T_CHILD") ? getenv("T_CHILD") : "-");
        return 0;
    }
    if (strcmp(argv[1], "open") == 0) { /* which of these descriptors are open */
        for (int i = 2; i < argc; i++) {
            printf("%d", fcntl(atoi(argv[i]), F_GETFD) >= 0);
        }
        printf("\n");
        return 0;
    }
    if (strcmp(argv[1], "signals") == 0) {
        sigset_t set;
        struct sigaction sa;

        sigprocmask(SIG_BLOCK, NULL, &set);
        sigaction(SIGUSR2, NULL, &sa);
        printf("%d %d %d\n", sigismember(&set, SIGUSR1), sigismember(&set, SIGTERM),
               sa.sa_handler == SIG_IGN);
        return 0;
    }
    return 99;
}

static void exec_main(int argc, char **argv)
{
    sigset_t set;
    char *words[] = {(char *)"a name", (char *)"words", (char *)"", (char *)"x y", NULL};
    char *env[] = {(char *)"T_CHILD=exec", NULL};

    (void)argc;
    if (strcmp(argv[1], "exec") == 0) {
        execve(self, words, env);
    } else if (strcmp(argv[1], "exec-errors") == 0) {
        CHECK_ERR(execve("/nowhere", words, env), ENOENT);
        CHECK_ERR(execve("/etc/passwd", words, env), EACCES);
        CHECK_ERR(execve("/tmp", words, env), EACCES);
        CHECK_ERR(execve("/etc/passwd/x", words, env), ENOTDIR);
        CHECK_ERR(syscall(SYS_execve, 8, words, env), EFAULT);
        CHECK_ERR(syscall(SYS_execve, self, 8, env), EFAULT);
        CHECK_ERR(execve("", words, env), ENOENT);
        check_end();
        fflush(stdout);
        execve(self, words, env);
    } else if (strcmp(argv[1], "exec-state") == 0) {
        int fd = open("/dev/null", O_RDONLY), gone = open("/dev/null", O_RDONLY | O_CLOEXEC);
        char a[20], b[20];

        snprintf(a, sizeof(a), "%d", fd);
        snprintf(b, sizeof(b), "%d", gone);
        execl(self, self, "open", a, b, (char *)NULL);
    } else if (strcmp(argv[1], "exec-signals") == 0) {
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGUSR2, SIG_IGN);
        signal(SIGTERM, _exit);
        execl(self, self, "signals", (char *)NULL);
    }
}

static int wait_status(pid_t pid)
{
    int status = -1;

    pid_t got;

    while ((got = waitpid(pid, &status, 0)) == -1 && errno == EINTR) {
    }
    return got == pid ? status : -2;
}

/* A child of number -1 would be everybody to kill(2). */
static void must(pid_t pid)
{
    if (pid == -1) {
        perror("no child");
        _exit(97);
    }
}

static pid_t forked(void)
{
    pid_t pid = fork();

    must(pid);
    return pid;
}

static void forking(void)
{
    int fd[2], status = 0, shared_file;
    char c, *copy = malloc(1 << 20);
    int *both = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pid, parent = getpid();
    struct rusage usage;
    siginfo_t info;

    check_section("fork");
    CHECK(pipe(fd) == 0);
    memset(copy, 'p', 1 << 20);
    pid = forked();
    if (pid == 0) {
        int ok = getppid() == parent && getpid() != parent && gettid() == getpid() && global == 1;

        global = 2;
        memset(copy, 'c', 1 << 20);
        *both = 42;
        ok = ok && write(fd[1], "x", 1) == 1 && waitpid(-1, NULL, 0) == -1 && errno == ECHILD;
        _exit(ok ? 7 : 8);
    }
    CHECK(pid > 0 && pid != parent && read(fd[0], &c, 1) == 1 && c == 'x');
    status = wait_status(pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
    CHECK(global == 1 && copy[0] == 'p' && copy[(1 << 20) - 1] == 'p' && *both == 42);
    CHECK(waitpid(pid, &status, 0) == -1 && errno == ECHILD);

    /* a child's memory, at the address that both know */
    memset(copy, 'p', 1 << 20);
    pid = forked();
    if (pid == 0) {
        memset(copy, 'c', 1 << 20);
        CHECK(write(fd[1], "y", 1) == 1);
        pause();
        _exit(1);
    }
    char *other = malloc(1 << 20);
    struct iovec mine = {other, 1 << 20}, its = {copy, 1 << 20}, byte = {(char *)"w", 1},
                 there = {copy + 5000, 1}, bad = {(void *)8, 8};
    CHECK(read(fd[0], &c, 1) == 1 && process_vm_readv(pid, &mine, 1, &its, 1, 0) == 1 << 20);
    CHECK(other[0] == 'c' && other[(1 << 20) - 1] == 'c' && copy[0] == 'p');
    CHECK(process_vm_writev(pid, &byte, 1, &there, 1, 0) == 1);
    CHECK_ERR(process_vm_readv(pid, &mine, 1, &bad, 1, 0), EFAULT);
    CHECK_ERR(process_vm_readv(pid, &bad, 1, &its, 1, 0), EFAULT);
    CHECK_ERR(process_vm_readv(pid, &mine, 1, &its, 1, 1), EINVAL);
    CHECK(process_vm_readv(getpid(), &mine, 1, &its, 1, 0) == 1 << 20 && other[0] == 'p');
    CHECK_ERR(process_vm_readv(getpid(), &mine, 1, &bad, 1, 0), EFAULT);
    CHECK(kill(pid, SIGKILL) == 0 && WTERMSIG(wait_status(pid)) == SIGKILL);
    free(other);

    pid = forked();
    if (pid == 0) {
        raise(SIGKILL);
    }
    status = wait_status(pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    pid = forked();
    if (pid == 0) {
        pause();
        _exit(1);
    }
    CHECK(waitpid(pid, &status, WNOHANG) == 0);
    CHECK(kill(pid, SIGTERM) == 0 && wait4(pid, &status, 0, &usage) == pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM && usage.ru_maxrss > 0);
    pid = forked();
    if (pid == 0) {
        _exit(9);
    }
    memset(&info, 0, sizeof(info));
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0 && info.si_pid == pid);
    CHECK(info.si_signo == SIGCHLD && info.si_code == CLD_EXITED && info.si_status == 9);
    CHECK(WEXITSTATUS(wait_status(pid)) == 9);

    shared_file = open("/proc/self/exe", O_RDONLY);
    pid = forked();
    if (pid == 0) {
        _exit(lseek(shared_file, 100, SEEK_SET) == 100 ? 0 : 1);
    }
    CHECK(wait_status(pid) == 0 && lseek(shared_file, 0, SEEK_CUR) == 100);
    for (int depth = 0; depth < 3; depth++) { /* a child of a child */
        pid = forked();
        if (pid) {
            status = wait_status(pid);
            if (depth) {
                _exit(WEXITSTATUS(status) + 1);
            }
            break;
        }
        if (depth == 2) {
            _exit(5);
        }
    }
    CHECK(WEXITSTATUS(status) == 7);
    free(copy);
    munmap(both, 4096);
    close(fd[0]);
    close(fd[1]);
    close(shared_file);
}

static volatile sig_atomic_t children, child_pid, child_code, child_status;

static void on_child(int signo, siginfo_t *info, void *context)
{
    (void)context;
    children += signo == SIGCHLD;
    child_pid = info->si_pid;
    child_code = info->si_code;
    child_status = info->si_status;
}

static void news(void)
{
    struct sigaction sa = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO}, old;
    sigset_t set, was;
    pid_t pid;
    int status;

    check_section("SIGCHLD");
    sigaction(SIGCHLD, &sa, &old);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &was);
    pid = forked();
    if (pid == 0) {
        _exit(3);
    }
    sigsuspend(&was);
    sigprocmask(SIG_SETMASK, &was, NULL);
    CHECK(children == 1 && child_pid == pid && child_code == CLD_EXITED && child_status == 3);
    CHECK(WEXITSTATUS(wait_status(pid)) == 3);
    children = 0;
    for (int i = 1; i <= 30; i++) { /* its news come before wait tells of it */
        pid = forked();
        if (pid == 0) {
            _exit(i);
        }
        CHECK(wait_status(pid) >= 0 && children == i);
    }
    sa.sa_handler = SIG_IGN;
    sa.sa_flags = 0;
    sigaction(SIGCHLD, &sa, NULL);
    pid = forked();
    if (pid == 0) {
        _exit(3);
    }
    CHECK(waitpid(pid, &status, 0) == -1 && errno == ECHILD);
    sigaction(SIGCHLD, &old, NULL);
}

static void *counting(void *arg)
{
    for (;;) {
        __atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void *nothing(void *arg)
{
    return arg;
}

static void *forker(void *arg)
{
    pid_t pid = forked();

    (void)arg;
    if (pid == 0) { /* the only thread of its process */
        pthread_t t;
        int count = 0, again;

        sleep_ms(5);
        again = count;
        _exit(again == count && pthread_create(&t, NULL, nothing, NULL) == 0 &&
                      pthread_join(t, NULL) == 0
                  ? 4
                  : 5);
    }
    return (void *)(long)WEXITSTATUS(wait_status(pid));
}

static int prepared, in_parent, in_child;
static void on_prepare(void)
{
    prepared++;
}
static void on_parent(void)
{
    in_parent++;
}
static void on_fork_child(void)
{
    in_child++;
}

static void threaded(void)
{
    static int count;
    pthread_t busy, t;
    void *result;

    check_section("fork among threads");
    pthread_atfork(on_prepare, on_parent, on_fork_child);
    pthread_create(&busy, NULL, counting, &count);
    for (int i = 0; i < 3; i++) {
        pthread_create(&t, NULL, forker, NULL);
        CHECK(pthread_join(t, &result) == 0 && (long)result == 4);
    }
    CHECK(prepared == 3 && in_parent == 3 && in_child == 0);
    pthread_cancel(busy);
    pthread_t other = pthread_self();
    CHECK(pthread_equal(other, pthread_self()));
}

static void spawning(void)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t set;
    char *words[] = {(char *)"child", (char *)"words", (char *)"two", NULL}, line[200];
    char *env[] = {(char *)"T_CHILD=spawned", NULL};
    pid_t pid;
    FILE *f;
    int fd[2];

    check_section("vfork, posix_spawn, system, popen");
    static volatile int child_said;
    pid = vfork();
    must(pid);
    if (pid == 0) {
        global = 77;
        child_said = (int)syscall(SYS_getpid);
        child_said += getpid() == child_said && syscall(SYS_gettid) == child_said ? 0 : 1;
        _exit(6);
    }
    CHECK(child_said == pid && syscall(SYS_getpid) != pid && gettid() == getpid());
    CHECK(pid > 0 && global == 77 && WEXITSTATUS(wait_status(pid)) == 6);
    global = 1;
    pid = vfork();
    must(pid);
    if (pid == 0) {
        execl(self, self, "status", "12", (char *)NULL);
        _exit(1);
    }
    CHECK(WEXITSTATUS(wait_status(pid)) == 12);
    pid = vfork();
    must(pid);
    if (pid == 0) {
        execl("/nowhere", "x", (char *)NULL);
        _exit(errno == ENOENT ? 13 : 14);
    }
    CHECK(WEXITSTATUS(wait_status(pid)) == 13);

    CHECK(posix_spawn(&pid, "/nowhere", NULL, NULL, words, env) == ENOENT);
    CHECK(pipe2(fd, O_CLOEXEC) == 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fd[1], 1);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    posix_spawnattr_init(&attr);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    posix_spawnattr_setsigmask(&attr, &set);
    posix_spawnattr_setpgroup(&attr, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    CHECK(posix_spawn(&pid, self, &actions, &attr, words, env) == 0);
    CHECK(WEXITSTATUS(wait_status(pid)) == 0);
    ssize_t n = read(fd[0], line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = '\0';
    CHECK(strcmp(line, "[child][words][two] spawned\n") == 0);
    words[1] = (char *)"signals";
    words[2] = NULL;
    CHECK(posix_spawn(&pid, self, &actions, &attr, words, env) == 0);
    CHECK(WEXITSTATUS(wait_status(pid)) == 0);
    n = read(fd[0], line, sizeof(line) - 1);
    line[n > 0 ? n : 0] = '\0';
    CHECK(strcmp(line, "1 0 0\n") == 0);
    close(fd[0]);
    close(fd[1]);

    pid = vfork();
    if (pid == 0) {
        _exit(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                  ? 15
                  : 16);
    }
    CHECK(WEXITSTATUS(wait_status(pid)) == 15);
    int signo = -1;
    CHECK(prctl(PR_GET_PDEATHSIG, &signo) == 0 && signo == 0);
    CHECK(prctl(PR_GET_DUMPABLE) == 1 && prctl(PR_CAPBSET_READ, 0) >= 0);
    CHECK_ERR(prctl(PR_SET_PDEATHSIG, 99), EINVAL);
    CHECK_ERR(prctl(PR_GET_PDEATHSIG, 8), EFAULT);
    CHECK(WEXITSTATUS(system("exit 21")) == 21);
    CHECK(system("test -d / && cd /usr && test \"$PWD\" = /usr") == 0);
    f = popen("echo to the parent; exit 4", "r");
    CHECK(f && fgets(line, sizeof(line), f) && strcmp(line, "to the parent\n") == 0);
    CHECK(WEXITSTATUS(pclose(f)) == 4);
    f = popen("cat >/dev/null; exit 5", "w");
    CHECK(f && fputs("text\n", f) >= 0 && WEXITSTATUS(pclose(f)) == 5);
}

static void executing(void)
{
    pid_t pid;

    check_section("fork and execve");
    for (int i = 0; i < 2; i++) {
        fflush(stdout);
        pid = forked();
        if (pid == 0) {
            char *words[] = {(char *)"forked", (char *)"words", NULL};
            char *env[] = {(char *)"T_CHILD=1", NULL};

            execve(self, words, env);
            _exit(1);
        }
        CHECK(wait_status(pid) == 0);
    }
    pid = forked();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "exit 33", (char *)NULL);
        _exit(1);
    }
    CHECK(WEXITSTATUS(wait_status(pid)) == 33);
}

static void many(void)
{
    pid_t pid[20];
    int sum = 0, n = 0, status;

    check_section("many children");
    for (int i = 0; i < 20; i++) {
        pid[i] = forked();
        if (pid[i] == 0) {
            sleep_ms(i % 3);
            _exit(i);
        }
    }
    while (wait(&status) > 0) {
        n++;
        sum += WEXITSTATUS(status);
    }
    CHECK(errno == ECHILD && n == 20 && sum == 190);
}

int main(int argc, char **argv)
{
    char real[4096];

    self = argv[0][0] == '/' ? argv[0] : realpath("/proc/self/exe", real);
    if (argc > 1 && strncmp(argv[1], "exec", 4) == 0) {
        exec_main(argc, argv);
        return 98;
    }
    if (argc > 1 && strcmp(argv[1], "childless") == 0) { /* whatever the proxy may have started */
        return wait(NULL) == -1 && errno == ECHILD ? 0 : 1;
    }
    if (argc > 1) {
        return child_words(argc, argv);
    }
    forking();
    news();
    spawning();
    executing();
    many();
    threaded();
    return check_end();
}
