/* SPDX-License-Identifier: MIT */
/* Waiting: eventfd, timerfd, signalfd, epoll, poll, select, inotify. */
#include "diff.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

CASE(events, eventfd)
{
    uint64_t n = 5;
    int fd, sem;

    R(fd = eventfd(3, EFD_NONBLOCK));
    R(write(fd, &n, 8));
    R(read(fd, &n, 8));
    SHOW(n);
    R(read(fd, &n, 8));
    R(read(fd, &n, 4));
    R(write(fd, &n, 4));
    n = UINT64_MAX;
    R(write(fd, &n, 8));
    n = UINT64_MAX - 1;
    R(write(fd, &n, 8));
    n = 1;
    R(write(fd, &n, 8));
    R(sem = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC));
    R(fcntl(sem, F_GETFD));
    R(read(sem, &n, 8));
    SHOW(n);
    R(read(sem, &n, 8));
    R(read(sem, &n, 8));
    R(lseek(fd, 0, SEEK_SET));
    R(eventfd(0, 0x12345));
}

CASE(events, eventfd_eintr)
{
    uint64_t n;
    int fd = eventfd(0, 0);

    poke_begin(50, 0);
    R(read(fd, &n, 8));
    SHOW(poke_end());
}

CASE(events, timerfd)
{
    struct itimerspec t = {{0, 0}, {0, 40000000}}, old;
    uint64_t n = 0;
    int fd;

    R(fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    R(read(fd, &n, 8));
    R(timerfd_settime(fd, 0, &t, NULL));
    R(read(fd, &n, 8));
    R(timerfd_gettime(fd, &old));
    SHOW(old.it_value.tv_sec == 0 && old.it_value.tv_nsec > 0);
    sleep_ms(80);
    R(read(fd, &n, 8));
    SHOW(n);
    t.it_interval.tv_nsec = 10000000;
    R(timerfd_settime(fd, 0, &t, NULL));
    sleep_ms(120);
    R(read(fd, &n, 8));
    SHOW(n >= 5);
    t = (struct itimerspec){{0, 0}, {0, 0}};
    R(timerfd_settime(fd, 0, &t, &old));
    SHOW(old.it_interval.tv_nsec);
    R(timerfd_gettime(fd, &old));
    SHOW(old.it_value.tv_nsec);
    R(read(fd, &n, 4));
}

CASE(events, timerfd_errors)
{
    struct itimerspec t = {{0, 0}, {0, 1000000000}}, old;
    int fd;

    R(timerfd_create(77, 0));
    R(timerfd_create(CLOCK_MONOTONIC, 0x1234));
    R(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0));
    R(fd = timerfd_create(CLOCK_REALTIME, 0));
    R(timerfd_settime(fd, 0, &t, NULL));
    t.it_value.tv_nsec = 1;
    R(timerfd_settime(fd, 64, &t, NULL));
    R(timerfd_settime(-1, 0, &t, NULL));
    R(timerfd_settime(file_with("f", ""), 0, &t, NULL));
    R(timerfd_gettime(-1, &old));
}

CASE(events, timerfd_absolute)
{
    struct itimerspec t = {{0, 0}, {0, 0}};
    uint64_t n = 0;
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);

    clock_gettime(CLOCK_MONOTONIC, &t.it_value);
    t.it_value.tv_sec -= 1; /* past: at once */
    R(timerfd_settime(fd, TFD_TIMER_ABSTIME, &t, NULL));
    R(read(fd, &n, 8));
    SHOW(n);
}

CASE(events, signalfd)
{
    struct signalfd_siginfo info;
    sigset_t set;
    int fd;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(fd = signalfd(-1, &set, SFD_NONBLOCK));
    if (fd < 0)
        return;
    R(read(fd, &info, sizeof info));
    R(raise(SIGUSR1));
    R(read(fd, &info, sizeof info));
    SHOW(info.ssi_signo);
    SHOW(info.ssi_code);
    SHOW(info.ssi_pid == (unsigned)getpid());
    R(sigqueue(getpid(), SIGRTMIN, (union sigval){77}));
    R(read(fd, &info, sizeof info));
    SHOW(info.ssi_signo);
    SHOW(info.ssi_int);
    R(read(fd, &info, 10));
    R(signalfd(file_with("f", ""), &set, 0));
    R(signalfd(-1, &set, 0x1234));
}

CASE(events, poll)
{
    int p[2], fd = file_with("f", ""), w[2];
    struct pollfd v[4];

    R(pipe(p));
    R(pipe(w));
    R(close(w[0]));
    v[0] = (struct pollfd){p[0], POLLIN, 0};
    v[1] = (struct pollfd){p[1], POLLOUT, 0};
    v[2] = (struct pollfd){fd, POLLIN | POLLOUT, 0};
    v[3] = (struct pollfd){w[1], POLLOUT, 0};
    R(poll(v, 4, 0));
    for (int i = 0; i < 4; i++)
        SHOW(v[i].revents);
    R(write(p[1], "x", 1));
    v[1].fd = -1;
    v[2].fd = 99;
    R(poll(v, 3, -1));
    for (int i = 0; i < 3; i++)
        SHOW(v[i].revents);
    R(close(p[1]));
    R(poll(v, 1, 0));
    SHOW(v[0].revents);
    R(poll(NULL, 0, 10));
    R(poll(v, 100000000, 0));
}

CASE(events, poll_timeout_and_eintr)
{
    int p[2];
    struct pollfd v;
    long long start = now_ms();

    R(pipe(p));
    v = (struct pollfd){p[0], POLLIN, 0};
    R(poll(&v, 1, 60));
    SHOW(now_ms() - start >= 60);
    poke_begin(50, SA_RESTART);
    R(poll(&v, 1, -1));
    SHOW(poke_end());
    SHOW(v.revents);
}

static volatile int handled;

static void on_signal(int signo)
{
    handled = signo;
}

CASE(events, ppoll_mask)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct timespec t = {1, 0}, bad = {0, 1000000000}, neg = {-1, 0};
    sigset_t set, none;

    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaction(SIGUSR1, &act, NULL);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(raise(SIGUSR1));
    SHOW(handled);
    R(ppoll(NULL, 0, &t, &none));
    SHOW(handled == SIGUSR1);
    R(sigpending(&set));
    SHOW(sigismember(&set, SIGUSR1));
    R(ppoll(NULL, 0, &bad, NULL));
    R(ppoll(NULL, 0, &neg, NULL));
    R(syscall(SYS_ppoll, NULL, 0, NULL, &none, 4));
}

CASE(events, select)
{
    struct timeval t = {0, 0}, bad = {0, -1}, some = {5, 0};
    fd_set r, w;
    int p[2];

    R(pipe(p));
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(p[0], &r);
    FD_SET(p[1], &w);
    R(select(p[1] + 1, &r, &w, NULL, &t));
    SHOW(FD_ISSET(p[0], &r));
    SHOW(FD_ISSET(p[1], &w));
    R(write(p[1], "x", 1));
    FD_SET(p[0], &r);
    R(select(p[0] + 1, &r, NULL, NULL, &some));
    SHOW(some.tv_sec >= 3); /* Linux writes what was left */
    R(select(-1, &r, NULL, NULL, &t));
    R(select(1, NULL, NULL, NULL, &bad));
    FD_SET(57, &r);
    R(select(58, &r, NULL, NULL, &t));
    t.tv_usec = 60000;
    R(select(0, NULL, NULL, NULL, &t));
    SHOW(t.tv_usec);
}

CASE(events, select_eintr)
{
    struct timeval t = {100, 0};
    fd_set r;
    int p[2];

    R(pipe(p));
    FD_ZERO(&r);
    FD_SET(p[0], &r);
    poke_begin(50, SA_RESTART);
    R(select(p[0] + 1, &r, NULL, NULL, &t));
    SHOW(poke_end());
    SHOW(t.tv_sec);
    SHOW(FD_ISSET(p[0], &r) != 0);
}

CASE(events, pselect_mask)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct timespec t = {2, 0};
    sigset_t set, none;

    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaction(SIGUSR2, &act, NULL);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(raise(SIGUSR2));
    R(pselect(0, NULL, NULL, NULL, &t, &none));
    SHOW(handled == SIGUSR2);
    t = (struct timespec){0, 1000};
    R(pselect(0, NULL, NULL, NULL, &t, &set));
}

CASE(events, epoll)
{
    struct epoll_event e = {EPOLLIN, {.u64 = 0x123456789abcdef}}, out[4];
    int ep, p[2], fd = file_with("f", "");

    R(pipe(p));
    R(ep = epoll_create1(EPOLL_CLOEXEC));
    R(fcntl(ep, F_GETFD));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, p[1], &e));
    R(epoll_ctl(ep, EPOLL_CTL_DEL, p[1], &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, 99, &e));
    R(epoll_ctl(fd, EPOLL_CTL_ADD, p[1], &e));
    R(epoll_ctl(ep, 9, p[1], &e));
    R(epoll_wait(ep, out, 4, 0));
    R(write(p[1], "xy", 2));
    R(epoll_wait(ep, out, 4, -1));
    SHOW(out[0].events);
    SHOW(out[0].data.u64);
    R(epoll_wait(ep, out, 4, 0));
    R(epoll_wait(ep, out, 0, 0));
    R(epoll_wait(ep, out, -1, 0));
    R(epoll_wait(fd, out, 1, 0));
    R(epoll_wait(-1, out, 1, 0));
    R(close(p[1]));
    R(epoll_wait(ep, out, 4, 0));
    SHOW(out[0].events);
    R(close(p[0]));
    R(epoll_wait(ep, out, 4, 0));
    R(epoll_create1(0x12));
    R(epoll_create(0));
}

CASE(events, epoll_edge_and_oneshot)
{
    struct epoll_event e = {EPOLLIN | EPOLLET, {.fd = 1}}, out[4];
    int ep = epoll_create1(0), p[2], q[2];

    R(pipe(p));
    R(pipe(q));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &e));
    e = (struct epoll_event){EPOLLIN | EPOLLONESHOT, {.fd = 2}};
    R(epoll_ctl(ep, EPOLL_CTL_ADD, q[0], &e));
    R(write(p[1], "x", 1));
    R(epoll_wait(ep, out, 4, 0));
    R(epoll_wait(ep, out, 4, 0));
    R(write(p[1], "x", 1));
    R(epoll_wait(ep, out, 4, 0));
    R(write(q[1], "x", 1));
    R(epoll_wait(ep, out, 4, 0));
    SHOW(out[0].data.fd);
    R(write(q[1], "x", 1));
    R(epoll_wait(ep, out, 4, 0));
    R(epoll_ctl(ep, EPOLL_CTL_MOD, q[0], &e));
    R(epoll_wait(ep, out, 4, 0));
    e.events = EPOLLIN | EPOLLEXCLUSIVE;
    R(epoll_ctl(ep, EPOLL_CTL_MOD, q[0], &e));
}

CASE(events, epoll_nested)
{
    struct epoll_event e = {EPOLLIN, {.fd = 1}}, out[4];
    int a = epoll_create1(0), b = epoll_create1(0), ev = eventfd(1, 0);

    R(epoll_ctl(b, EPOLL_CTL_ADD, ev, &e));
    R(epoll_ctl(a, EPOLL_CTL_ADD, b, &e));
    R(epoll_wait(a, out, 4, 0));
    R(epoll_ctl(b, EPOLL_CTL_ADD, a, &e));
}

CASE(events, epoll_eintr_and_mask)
{
    struct sigaction act = {.sa_handler = on_signal};
    struct epoll_event out[4];
    int ep = epoll_create1(0);
    sigset_t set, none;

    poke_begin(50, SA_RESTART);
    R(epoll_wait(ep, out, 4, -1));
    SHOW(poke_end());
    R(epoll_wait(ep, out, 4, 20));
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaction(SIGUSR2, &act, NULL);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(raise(SIGUSR2));
    R(epoll_pwait(ep, out, 4, 1000, &none));
    SHOW(handled == SIGUSR2);
}

CASE(events, epoll_pwait2)
{
    struct epoll_event e = {EPOLLIN, {.fd = 7}}, out[4];
    struct timespec t = {0, 20000000}, bad = {0, 1000000000};
    int ep = epoll_create1(0), ev = eventfd(1, 0);

    R(epoll_pwait2(ep, out, 4, &t, NULL));
    R(epoll_ctl(ep, EPOLL_CTL_ADD, ev, &e));
    R(epoll_pwait2(ep, out, 4, NULL, NULL));
    SHOW(out[0].data.fd);
    R(epoll_pwait2(ep, out, 4, &bad, NULL));
    R(epoll_pwait2(ep, out, 0, &t, NULL));
    R(epoll_pwait2(-1, out, 4, &t, NULL));
}

CASE(events, inotify)
{
    char buf[4096] __attribute__((aligned(8)));
    uint32_t cookie = 0;
    int in, wd;
    long got;

    R(mkdir("d", 0755));
    R(in = inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    R(wd = inotify_add_watch(in, "d", IN_ALL_EVENTS));
    R(read(in, buf, sizeof buf));
    close(file_with("d/f", "abc"));
    R(rename("d/f", "d/g"));
    R(unlink("d/g"));
    R(mkdir("d/sub", 0755));
    got = read(in, buf, sizeof buf);
    for (long at = 0; at < got;) {
        struct inotify_event *e = (struct inotify_event *)(void *)(buf + at);
        printf("wd %d mask %x %s cookie %s\n", e->wd, e->mask, e->len ? e->name : "",
               !e->cookie            ? "none"
               : cookie == e->cookie ? "as before"
                                     : "new");
        cookie = e->cookie;
        at += (long)sizeof *e + e->len;
    }
    R(inotify_rm_watch(in, wd));
    R(inotify_rm_watch(in, wd));
    R(read(in, buf, sizeof buf) > 0);
    SHOW(((struct inotify_event *)(void *)buf)->mask);
    R(inotify_init1(1));
}

CASE(events, inotify_errors)
{
    int in = inotify_init();

    R(inotify_add_watch(in, "none", IN_ALL_EVENTS));
    R(inotify_add_watch(in, ".", 0));
    R(inotify_add_watch(file_with("f", ""), ".", IN_MODIFY));
    R(inotify_add_watch(-1, ".", IN_MODIFY));
    R(inotify_add_watch(in, "f", IN_MODIFY | IN_ONLYDIR));
    R(inotify_rm_watch(in, 77));
    R(inotify_rm_watch(-1, 77));
}
