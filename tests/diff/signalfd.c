/* SPDX-License-Identifier: MIT */
/* Signals read from descriptors, and signals that other processes send. */
#include "diff.h"

#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

static volatile int handled;

static void on_signal(int signo)
{
    (void)signo;
    handled++;
}

/* Blocks these, 0 ends them; the set. */
static sigset_t block(const int *signo)
{
    sigset_t set;
    sigemptyset(&set);
    for (; *signo; signo++)
        sigaddset(&set, *signo);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return set;
}
#define BLOCK(...) block((const int[]){__VA_ARGS__, 0})

static void show_record(const char *from, const struct signalfd_siginfo *i)
{
    printf("%s: signo %u code %d errno %d int %d status %d pid %s uid %s\n", from, i->ssi_signo,
           i->ssi_code, i->ssi_errno, i->ssi_int, i->ssi_status,
           i->ssi_pid == (unsigned)getpid() ? "own"
           : i->ssi_pid                     ? "other"
                                            : "0",
           i->ssi_uid == getuid() ? "own" : "other");
}

static int ready(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    int n = poll(&p, 1, 0);
    return n > 0 ? p.revents : n;
}

static void read_one(int fd)
{
    struct signalfd_siginfo i;
    memset(&i, 0, sizeof i);
    long n = read(fd, &i, sizeof i);
    show_result("read", n);
    if (n == sizeof i)
        show_record("read", &i);
}

CASE(signalfd, readiness)
{
    sigset_t set = BLOCK(SIGUSR1, SIGUSR2, SIGTERM);
    int fd, e = epoll_create1(0);
    struct epoll_event ev = {EPOLLIN, {.u32 = 7}}, got = {0};
    struct timeval none = {0, 0};
    fd_set r;

    R(fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
    R(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
    SHOW(ready(fd));
    R(epoll_wait(e, &got, 1, 0));
    R(kill(getpid(), SIGUSR1));
    SHOW(ready(fd));
    R(epoll_wait(e, &got, 1, 0));
    FD_ZERO(&r);
    FD_SET(fd, &r);
    R(select(fd + 1, &r, NULL, NULL, &none));
    read_one(fd);
    SHOW(ready(fd));
    R(epoll_wait(e, &got, 1, 0));
    R(raise(SIGUSR2)); /* for this thread alone */
    SHOW(ready(fd));
    read_one(fd);
    SHOW(ready(fd));
    R(fcntl(fd, F_GETFD));
}

CASE(signalfd, pending_before)
{
    sigset_t set = BLOCK(SIGUSR1);
    int fd;

    R(kill(getpid(), SIGUSR1));
    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    SHOW(ready(fd));
    read_one(fd);
    read_one(fd);
}

CASE(signalfd, taken_elsewhere)
{
    sigset_t set = BLOCK(SIGUSR1);
    struct sigaction act = {.sa_handler = on_signal};
    int fd, signo;

    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    R(kill(getpid(), SIGUSR1));
    R(sigwait(&set, &signo));
    SHOW(signo);
    SHOW(ready(fd));
    R(kill(getpid(), SIGUSR1));
    sigaction(SIGUSR1, &act, NULL);
    SHOW(ready(fd));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    SHOW(handled);
    SHOW(ready(fd));
    sigprocmask(SIG_BLOCK, &set, NULL);
    R(kill(getpid(), SIGUSR1));
    signal(SIGUSR1, SIG_IGN); /* thrown away */
    SHOW(ready(fd));
    read_one(fd);
}

CASE(signalfd, several_at_once)
{
    sigset_t set = BLOCK(SIGUSR1, SIGTERM, SIGRTMIN, SIGRTMIN + 5);
    struct signalfd_siginfo i[8];
    int fd;

    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    R(sigqueue(getpid(), SIGRTMIN + 5, (union sigval){.sival_int = 51}));
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 1}));
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 2}));
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 3}));
    R(kill(getpid(), SIGTERM));
    R(kill(getpid(), SIGTERM));
    R(kill(getpid(), SIGUSR1));
    memset(i, 0, sizeof i);
    R(read(fd, i, 3 * sizeof i[0] + 50));
    for (int k = 0; k < 3; k++)
        show_record("first read", &i[k]);
    SHOW(ready(fd));
    memset(i, 0, sizeof i);
    R(read(fd, i, sizeof i));
    for (int k = 0; k < 3; k++)
        show_record("second read", &i[k]);
    R(read(fd, i, sizeof i));
}

CASE(signalfd, sizes_and_pointers)
{
    sigset_t set = BLOCK(SIGUSR1);
    char part[200] = "", *end = pages_before_hole(1) + PAGE;
    struct iovec v[3] = {{part, 100}, {NULL, 0}, {part + 100, 100}};
    int fd;

    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    R(kill(getpid(), SIGUSR1));
    R(read(fd, part, 127));
    R(read(fd, part, 0));
    R(read(fd, (void *)8, 128));
    R(read(fd, part, 128)); /* it was taken, though it could not be written */
    R(kill(getpid(), SIGUSR1));
    R(readv(fd, v, 3));
    show_bytes("signo", part, 4);
    R(kill(getpid(), SIGUSR1));
    R(read(fd, end - 64, 128));
    R(pread(fd, part, 128, 0));
    R(write(fd, part, 128));
    R(lseek(fd, 0, SEEK_SET));
    R(syscall(SYS_signalfd4, -1, &set, 7, 0));
    R(syscall(SYS_signalfd4, -1, 8, 8, 0));
    R(syscall(SYS_signalfd4, -2, &set, 8, 0));
    R(syscall(SYS_signalfd4, 999, &set, 8, 0));
}

CASE(signalfd, other_signals_later)
{
    sigset_t set = BLOCK(SIGUSR1, SIGUSR2), two;
    int fd, second;

    sigemptyset(&two);
    sigaddset(&two, SIGUSR2);
    sigdelset(&set, SIGUSR2);
    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    R(second = dup(fd));
    R(kill(getpid(), SIGUSR2));
    SHOW(ready(fd));
    R(signalfd(fd, &two, 0) == fd);
    SHOW(ready(second));
    read_one(second);
    R(close(fd));
    R(kill(getpid(), SIGUSR2));
    R(dup2(second, 77));
    R(close(second));
    read_one(77);
    R(close(77));
    read_one(77);
}

static void *kill_soon(void *arg)
{
    sleep_ms(60);
    if (arg)
        pthread_kill(*(pthread_t *)arg, SIGUSR1);
    else
        kill(getpid(), SIGUSR1);
    return NULL;
}

CASE(signalfd, waiting)
{
    sigset_t set = BLOCK(SIGUSR1);
    pthread_t t, self = pthread_self();
    struct pollfd p;
    int fd;

    R(fd = signalfd(-1, &set, 0));
    pthread_create(&t, NULL, kill_soon, NULL);
    read_one(fd);
    pthread_join(t, NULL);
    pthread_create(&t, NULL, kill_soon, &self);
    read_one(fd);
    pthread_join(t, NULL);
    p = (struct pollfd){fd, POLLIN, 0};
    pthread_create(&t, NULL, kill_soon, NULL);
    R(poll(&p, 1, 5000));
    pthread_join(t, NULL);
    read_one(fd);
    pthread_create(&t, NULL, kill_soon, &self);
    R(poll(&p, 1, 5000));
    pthread_join(t, NULL);
    read_one(fd);
}

CASE(signalfd, interrupted)
{
    sigset_t set = BLOCK(SIGUSR2);
    int fd;
    char buf[128];

    R(fd = signalfd(-1, &set, 0));
    poke_begin(30, 0);
    R(read(fd, buf, 128));
    SHOW(poke_end());
}

CASE(signalfd, timers)
{
    sigset_t set = BLOCK(SIGRTMIN + 3, SIGALRM);
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 3};
    struct itimerspec at = {{0, 0}, {0, 20000000}};
    struct signalfd_siginfo i;
    timer_t timer;
    int fd;

    ev.sigev_value.sival_int = 99;
    R(fd = signalfd(-1, &set, 0));
    R(timer_create(CLOCK_MONOTONIC, &ev, &timer));
    R(timer_settime(timer, 0, &at, NULL));
    R(read(fd, &i, sizeof i));
    SHOW(i.ssi_signo);
    SHOW(i.ssi_code);
    SHOW(i.ssi_int);
    SHOW(i.ssi_overrun);
    ualarm(20000, 0);
    R(read(fd, &i, sizeof i));
    SHOW(i.ssi_signo);
    SHOW(i.ssi_code);
}

CASE(signalfd, children)
{
    sigset_t set = BLOCK(SIGCHLD);
    struct pollfd p;
    int fd, status;
    pid_t child;

    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(7);
    p = (struct pollfd){fd, POLLIN, 0};
    R(poll(&p, 1, 5000));
    read_one(fd);
    R(waitpid(child, &status, 0) == child);
    SHOW(WEXITSTATUS(status));
    fflush(stdout);
    child = fork(); /* its signals are its own */
    if (child == 0) {
        SHOW(ready(fd));
        raise(SIGCHLD);
        SHOW(ready(fd));
        read_one(fd);
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(child, &status, 0) == child);
}

CASE(signalfd, inherited)
{
    sigset_t set = BLOCK(SIGUSR1);
    char number[16], self[4096] = "";
    const char *given = getenv("DIFF_SIGNALFD");
    int fd;

    if (given) {
        fd = atoi(given);
        SHOW(ready(fd));
        raise(SIGUSR1);
        SHOW(ready(fd));
        read_one(fd);
        return;
    }
    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    snprintf(number, sizeof number, "%d", fd);
    setenv("DIFF_SIGNALFD", number, 1);
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return;
    fflush(stdout);
    execl(self, "cases", "signalfd.inherited", (char *)NULL);
}

/* A child that sends what send() does, and ends. */
static void from_child(void (*send)(pid_t parent))
{
    pid_t parent = getpid(), child;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        send(parent);
        _exit(0);
    }
    waitpid(child, NULL, 0);
}

static void send_standard(pid_t parent)
{
    static const int list[] = {SIGHUP,    SIGTRAP, SIGABRT, SIGBUS,    SIGFPE,
                               SIGSEGV,   SIGILL,  SIGPIPE, SIGSYS,    SIGXFSZ,
                               SIGSTKFLT, SIGPROF, SIGUSR1, SIGVTALRM, SIGIO};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
        kill(parent, list[i]);
}

static void take_all(void)
{
    struct timespec a_while = {5, 0};
    siginfo_t info;
    sigset_t all;
    int signo;

    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    sigaddset(&all, SIGTERM);
    do {
        signo = sigtimedwait(&all, &info, &a_while);
        printf("%d: code %d value %d pid %s\n", signo, info.si_code,
               info.si_code == SI_QUEUE ? info.si_value.sival_int : 0,
               info.si_pid == getpid() ? "own" : "other");
    } while (signo > 0 && !(info.si_code == SI_QUEUE && info.si_value.sival_int == 999));
}

static void send_end(pid_t parent)
{
    sigqueue(parent, 64, (union sigval){.sival_int = 999});
}

static void send_standard_and_end(pid_t parent)
{
    send_standard(parent);
    sleep_ms(100);
    send_end(parent);
}

CASE(outside, standard_signals)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    from_child(send_standard_and_end);
    take_all();
}

static void send_realtime(pid_t parent)
{
    for (int signo = 34; signo <= 64; signo++) {
        sigqueue(parent, signo, (union sigval){.sival_int = signo * 2});
        sigqueue(parent, signo, (union sigval){.sival_int = signo * 2 + 1});
        kill(parent, signo);
    }
    sleep_ms(100);
    send_end(parent);
}

CASE(outside, realtime_signals)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    from_child(send_realtime);
    sleep_ms(200);
    take_all();
}

static volatile int got_code, got_value, got_signo;

static void on_info(int signo, siginfo_t *info, void *context)
{
    (void)context;
    got_signo = signo;
    got_code = info->si_code;
    got_value = info->si_value.sival_int;
}

static int next;

static void send_next(pid_t parent)
{
    sigqueue(parent, next, (union sigval){.sival_int = 1000 + next});
}

CASE(outside, handlers)
{
    static const int list[] = {SIGTRAP, SIGABRT, SIGBUS,  SIGSEGV,  SIGILL,   SIGFPE, SIGPIPE,
                               SIGSYS,  SIGXFSZ, 34,      35,       36,       37,     50,
                               64,      SIGURG,  SIGCONT, SIGWINCH, SIGSTKFLT};
    struct sigaction act = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        next = list[i];
        sigaction(next, &act, NULL);
        got_signo = 0;
        from_child(send_next);
        for (int k = 0; k < 500 && !got_signo; k++)
            sleep_ms(10);
        printf("%d: code %d value %d\n", got_signo, got_code, got_value);
    }
}

CASE(outside, signalfd)
{
    sigset_t all;
    struct signalfd_siginfo i;
    struct pollfd p;

    sigfillset(&all);
    sigdelset(&all, SIGCHLD);
    sigprocmask(SIG_BLOCK, &all, NULL);
    sigdelset(&all, 35); /* the exceptions of docs/syscalls.md */
    sigdelset(&all, 36);
    R(p.fd = signalfd(-1, &all, SFD_NONBLOCK));
    p.events = POLLIN;
    from_child(send_realtime);
    sleep_ms(200);
    for (;;) {
        if (poll(&p, 1, 5000) != 1) {
            puts("not ready");
            break;
        }
        memset(&i, 0, sizeof i);
        if (read(p.fd, &i, sizeof i) != sizeof i) {
            puts("ready, and nothing to read");
            break;
        }
        printf("%u: code %d int %d\n", i.ssi_signo, i.ssi_code, i.ssi_int);
        if (i.ssi_int == 999)
            break;
    }
    SHOW(ready(p.fd));
}

static volatile int io_fd, io_band, io_code, io_signo;

static void on_io(int signo, siginfo_t *info, void *context)
{
    (void)context;
    io_signo = signo;
    io_code = info->si_code;
    io_fd = info->si_fd;
    io_band = (int)info->si_band;
}

static void io_wait(void)
{
    for (int k = 0; k < 500 && !io_signo; k++)
        sleep_ms(10);
    SHOW(io_signo);
    io_signo = 0;
}

CASE(outside, descriptors_that_signal)
{
    static const int list[] = {SIGIO, 36, 40};
    struct sigaction act = {.sa_sigaction = on_io, .sa_flags = SA_SIGINFO};
    struct f_owner_ex own = {F_OWNER_TID, 0};
    int s[2];

    for (int i = 0; i < 3; i++)
        sigaction(list[i], &act, NULL);
    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    R(fcntl(s[0], F_SETOWN, getpid()));
    R(fcntl(s[0], F_SETFL, O_ASYNC));
    R(write(s[1], "x", 1));
    io_wait();
    SHOW(io_code == SI_KERNEL || io_code == SI_USER || io_code == POLL_IN);
    for (int i = 1; i < 3; i++) {
        R(fcntl(s[0], F_SETSIG, list[i]));
        SHOW(fcntl(s[0], F_GETSIG) == list[i]);
        R(write(s[1], "x", 1));
        io_wait();
        SHOW(io_code);
        SHOW(io_fd == s[0]);
        SHOW(io_band);
    }
    R(fcntl(s[0], F_GETOWN) == getpid());
    own.pid = getpid();
    R(fcntl(s[0], F_SETOWN_EX, &own));
    R(fcntl(s[0], F_SETSIG, 99));
}

CASE(outside, queue_notifies)
{
    struct mq_attr a = {0, 2, 16, 0, {0}};
    struct sigaction act = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO};
    struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    char buf[16];
    mqd_t q;

    ev.sigev_value.sival_int = 321;
    sigaction(SIGUSR2, &act, NULL);
    mq_unlink("/lull-diff-notify");
    R(q = mq_open("/lull-diff-notify", O_RDWR | O_CREAT | O_EXCL, 0600, &a));
    R(mq_notify(q, &ev));
    R(mq_notify(q, &ev));
    got_signo = 0;
    R(mq_send(q, "x", 1, 0));
    for (int k = 0; k < 500 && !got_signo; k++)
        sleep_ms(10);
    printf("%d: code %d value %d\n", got_signo, got_code, got_value);
    R(mq_receive(q, buf, 16, NULL));
    ev.sigev_signo = 99;
    R(mq_notify(q, &ev));
    ev.sigev_notify = 77;
    R(mq_notify(q, &ev));
    R(mq_notify(q, NULL));
    R(mq_notify(-1, NULL));
    R(syscall(SYS_mq_notify, q, 8));
    R(mq_unlink("/lull-diff-notify"));
}

static void *got_message(void *arg)
{
    (void)arg;
    return NULL;
}

static void on_message(union sigval v)
{
    got_value = v.sival_int;
    got_signo = 1;
}

CASE(outside, queue_notifies_by_thread)
{
    struct mq_attr a = {0, 2, 16, 0, {0}};
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD};
    pthread_t t;
    mqd_t q;

    pthread_create(&t, NULL, got_message, NULL);
    pthread_join(t, NULL);
    ev.sigev_value.sival_int = 654;
    ev.sigev_notify_function = on_message;
    mq_unlink("/lull-diff-thread");
    R(q = mq_open("/lull-diff-thread", O_RDWR | O_CREAT | O_EXCL, 0600, &a));
    R(mq_notify(q, &ev));
    R(mq_send(q, "x", 1, 0));
    for (int k = 0; k < 500 && !got_signo; k++)
        sleep_ms(10);
    SHOW(got_signo);
    SHOW(got_value);
    R(mq_unlink("/lull-diff-thread"));
}

static void *dies_waiting(void *arg)
{
    (void)arg;
    raise(SIGUSR1); /* blocked, for this thread alone: gone with it */
    return NULL;
}

CASE(signalfd, threads)
{
    sigset_t set = BLOCK(SIGUSR1);
    pthread_t t;
    int fd;

    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    pthread_create(&t, NULL, dies_waiting, NULL);
    pthread_join(t, NULL);
    SHOW(ready(fd));
    read_one(fd);
}

/* Two threads read what many signals bring, until they have all. */
static volatile int sum;
static int shared_fd;

static void *reads(void *arg)
{
    struct signalfd_siginfo i;
    (void)arg;
    while (read(shared_fd, &i, sizeof i) == sizeof i && i.ssi_int)
        __atomic_fetch_add(&sum, i.ssi_int, __ATOMIC_SEQ_CST);
    return NULL;
}

CASE(signalfd, many_readers)
{
    sigset_t set = BLOCK(SIGRTMIN + 4);
    pthread_t t[3];

    R(shared_fd = signalfd(-1, &set, 0));
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, reads, NULL);
    for (int i = 1; i <= 300; i++)
        sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = i});
    for (int k = 0; k < 500 && sum < 300 * 301 / 2; k++)
        sleep_ms(10);
    for (int i = 0; i < 3; i++)
        sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = 0});
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
    SHOW(sum);
}

CASE(more, no_new_privs_of_children)
{
    int status = 0;
    pid_t child;

    R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    fflush(stdout);
    child = fork();
    if (child == 0) {
        R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
        fflush(stdout);
        _exit(0);
    }
    waitpid(child, &status, 0);
    R(system("grep NoNewPrivs /proc/self/status"));
}
