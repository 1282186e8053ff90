/* SPDX-License-Identifier: MIT */
/* Signals that stop a process: from another one, and from Linux at a terminal. */
#include "diff.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static const int stops[] = {SIGTSTP, SIGTTIN, SIGTTOU};
#define STOPS (sizeof stops / sizeof *stops)

static volatile int handled, last;

static void on_stop(int signo)
{
    handled++;
    last = signo;
}

static void take(int signo, void (*handler)(int), int flags)
{
    struct sigaction act = {.sa_handler = handler, .sa_flags = flags};

    sigaction(signo, &act, NULL);
}

static void show_status(int status)
{
    if (WIFSTOPPED(status))
        printf("stopped by SIG%s\n", sigabbrev_np(WSTOPSIG(status)));
    else if (WIFSIGNALED(status))
        printf("killed by SIG%s\n", sigabbrev_np(WTERMSIG(status)));
    else
        printf("exit status %d\n", WEXITSTATUS(status));
}

/* A child in a group of its own, whose signals may stop it; it says when it is there. */
static pid_t child_of(void (*run)(int), int arg)
{
    int fd[2], ready[2];
    char c;
    pid_t pid;

    if (pipe(ready) || pipe(fd))
        exit(99);
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        dup2(ready[1], 9);
        close(ready[1]);
        run(arg);
        fflush(stdout);
        _exit(0);
    }
    close(ready[1]);
    if (read(ready[0], &c, 1) < 0)
        exit(99);
    return pid;
}

static void ready_to_go(void)
{
    if (write(9, "", 1) != 1)
        _exit(98);
    close(9);
}

static void handles(int signo)
{
    take(signo, on_stop, 0);
    ready_to_go();
    while (!handled)
        sleep_ms(1);
    printf("handled SIG%s\n", sigabbrev_np(last));
}

static void ignores(int signo)
{
    take(signo, SIG_IGN, 0);
    take(SIGUSR1, on_stop, 0);
    ready_to_go();
    while (!handled)
        sleep_ms(1);
    puts("not stopped");
}

static void blocks(int signo)
{
    sigset_t set, pending;
    siginfo_t info;

    sigemptyset(&set);
    sigaddset(&set, signo);
    sigprocmask(SIG_BLOCK, &set, NULL);
    take(SIGUSR1, on_stop, 0);
    ready_to_go();
    while (!handled)
        sleep_ms(1);
    do
        sigpending(&pending);
    while (!sigismember(&pending, signo));
    puts("pending");
    sigwaitinfo(&set, &info);
    printf("taken: SIG%s of the parent: %d\n", sigabbrev_np(info.si_signo),
           info.si_pid == getppid());
}

static void does_nothing(int signo)
{
    (void)signo;
    ready_to_go();
    sleep_ms(20000);
}

CASE(stops, child_handles)
{
    int status;

    for (size_t i = 0; i < STOPS; i++) {
        pid_t pid = child_of(handles, stops[i]);
        kill(pid, stops[i]);
        waitpid(pid, &status, WUNTRACED);
        show_status(status);
    }
}

CASE(stops, child_ignores)
{
    int status;

    for (size_t i = 0; i < STOPS; i++) {
        pid_t pid = child_of(ignores, stops[i]);
        kill(pid, stops[i]);
        kill(pid, SIGUSR1);
        waitpid(pid, &status, WUNTRACED);
        show_status(status);
    }
}

CASE(stops, child_blocks)
{
    int status;

    for (size_t i = 0; i < STOPS; i++) {
        pid_t pid = child_of(blocks, stops[i]);
        kill(pid, stops[i]);
        kill(pid, SIGUSR1);
        waitpid(pid, &status, WUNTRACED);
        show_status(status);
    }
}

CASE(stops, child_stops)
{
    int status;

    for (size_t i = 0; i < STOPS; i++) {
        pid_t pid = child_of(does_nothing, stops[i]);
        R(kill(pid, stops[i]));
        waitpid(pid, &status, WUNTRACED);
        show_status(status);
        R(kill(pid, SIGCONT));
        R(waitpid(pid, &status, WCONTINUED) == pid);
        SHOW(WIFCONTINUED(status) != 0);
        R(kill(pid, stops[i])); /* once more: nothing has changed */
        waitpid(pid, &status, WUNTRACED);
        show_status(status);
        R(kill(pid, SIGTERM));
        R(kill(pid, SIGCONT));
        waitpid(pid, &status, 0);
        show_status(status);
    }
}

CASE(stops, sent_by_a_child)
{
    for (size_t i = 0; i < STOPS; i++) {
        take(stops[i], on_stop, 0);
        handled = 0;
        fflush(stdout);
        if (fork() == 0) {
            kill(getppid(), stops[i]);
            _exit(0);
        }
        while (!handled)
            sleep_ms(1);
        printf("handled SIG%s\n", sigabbrev_np(last));
        while (wait(NULL) < 0 && errno == EINTR) {
        }
    }
}

/* ---- at a terminal ---- */

static char tty[64];

enum { READS, SETS };
enum { BY_DEFAULT, HANDLES, IGNORES, BLOCKS };

static void use_terminal(int what, int how)
{
    int signo = what == READS ? SIGTTIN : SIGTTOU, fd, pgrp = getpgrp();
    sigset_t set;
    char c;

    sigemptyset(&set);
    sigaddset(&set, signo);
    if (how == HANDLES)
        take(signo, on_stop, 0);
    else if (how == IGNORES)
        take(signo, SIG_IGN, 0);
    else if (how == BLOCKS)
        sigprocmask(SIG_BLOCK, &set, NULL);
    fd = open("/dev/tty", O_RDWR);
    if (what == READS)
        R(read(fd, &c, 1));
    else
        R(ioctl(fd, TIOCSPGRP, &pgrp));
    SHOW(handled != 0);
    fflush(stdout);
    _exit(3);
}

/* The leader of a session with a terminal, and a child of its in the background. */
static void session(int what, int how)
{
    int status, fd;
    pid_t pid;

    setsid();
    fd = open(tty, O_RDWR);
    if (fd < 0 || ioctl(fd, TIOCSCTTY, 0))
        _exit(99);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        use_terminal(what, how);
    }
    waitpid(pid, &status, WUNTRACED);
    show_status(status);
    fflush(stdout);
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    _exit(0);
}

static void in_background(int what, int how)
{
    int master, slave;

    if (openpty(&master, &slave, tty, NULL, NULL))
        exit(99);
    fflush(stdout);
    if (fork() == 0)
        session(what, how);
    while (wait(NULL) < 0 && errno == EINTR) {
    }
    close(master);
    close(slave);
}

CASE(stops, background_read)
{
    for (int how = BY_DEFAULT; how <= BLOCKS; how++)
        in_background(READS, how);
}

CASE(stops, background_settings)
{
    for (int how = BY_DEFAULT; how <= BLOCKS; how++)
        in_background(SETS, how);
}
