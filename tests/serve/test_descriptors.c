/* SPDX-License-Identifier: MIT */
/* Whose descriptor it is; poll and select; fcntl, ioctl, close_range. */
#include "cases.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void own_descriptors(void **state)
{
    struct rig *r = *state;
    int own = fcntl(0, F_DUPFD, RIG_FD_LOW);
    assert_int_equal(own, RIG_FD_LOW);
    assert_int_equal(rig_call(r, SYS_read, own, U(r->app), 1), -EBADF);
    assert_int_equal(rig_call(r, SYS_close, own), -EBADF);
    assert_int_equal(rig_call(r, SYS_close, 0x100000000ul + (uint64_t)own), -EBADF);
    assert_int_equal(rig_call(r, SYS_dup, own), -EBADF);
    assert_int_equal(rig_call(r, SYS_dup2, own, 50), -EBADF);
    assert_int_equal(rig_call(r, SYS_dup2, 0, own), -EBADF);
    assert_int_equal(rig_call(r, SYS_dup3, 0, own, O_CLOEXEC), -EBADF);
    assert_int_equal(rig_call(r, SYS_fcntl, own, F_GETFD), -EBADF);
    assert_int_equal(rig_call(r, SYS_ioctl, own, FIOCLEX), -EBADF);
    strcpy(r->app, "x");
    assert_int_equal(rig_call(r, SYS_openat, own, U(r->app), O_RDONLY), -EBADF);
    int64_t ep = rig_call(r, SYS_epoll_create1, 0);
    assert_true(ep > 0);
    memset(r->app, 0, 12);
    assert_int_equal(rig_call(r, SYS_epoll_ctl, ep, EPOLL_CTL_ADD, own, U(r->app)), -EBADF);
    assert_int_equal(fcntl(own, F_GETFD), 0);
    close((int)ep);
    close(own);
}

static void close_ranges(void **state)
{
    struct rig *r = *state;
    int own = fcntl(0, F_DUPFD, RIG_FD_LOW), a = fcntl(0, F_DUPFD, 150);
    assert_int_equal(rig_call(r, SYS_close_range, 150, ~0u, CLOSE_RANGE_CLOEXEC), 0);
    assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
    assert_int_equal(fcntl(own, F_GETFD), 0);
    assert_int_equal(rig_call(r, SYS_close_range, 150, ~0u, 0), 0);
    assert_int_equal(fcntl(a, F_GETFD), -1);
    assert_int_equal(fcntl(own, F_GETFD), 0);
    assert_int_equal(rig_call(r, SYS_close_range, RIG_FD_LOW, ~0u, 0), 0);
    assert_int_equal(fcntl(own, F_GETFD), 0);
    assert_int_equal(rig_call(r, SYS_close_range, 5, 4, 0), -EINVAL);
    assert_int_equal(rig_call(r, SYS_close_range, 150, 160, 64), -EINVAL);
    assert_int_equal(rig_call(r, SYS_close_range, 150, 160, CLOSE_RANGE_UNSHARE), -ENOSYS);
    close(own);
}

static void fcntl_commands(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    int64_t fd = rig_call(r, SYS_fcntl, p[0], F_DUPFD_CLOEXEC, 100);
    assert_in_range(fd, 100, RIG_FD_LOW - 1);
    close((int)fd);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_DUPFD, RIG_FD_LOW), -EINVAL);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_DUPFD, ~0ul), -EINVAL);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    assert_int_equal(rig_call(r, SYS_read, p[0], U(r->app), 1), -EAGAIN);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_SETSIG, SIGIO), 0);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_GETSIG, 0), SIGIO);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], F_NOTIFY, 1), -ENOTDIR);
    assert_int_equal(rig_call(r, SYS_fcntl, p[0], 4711, U(r->app)), -EINVAL);
    close(p[0]);
    close(p[1]);

    char name[] = "/tmp/lull-test-XXXXXX";
    int f = mkstemp(name), g = open(name, O_RDWR);
    unlink(name);
    struct flock *l = (void *)r->app;
    *l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10};
    assert_int_equal(rig_call(r, SYS_fcntl, f, F_OFD_SETLK, U(l)), 0);
    assert_int_equal(rig_call(r, SYS_fcntl, g, F_OFD_SETLK, U(l)), -EAGAIN);
    assert_int_equal(rig_call(r, SYS_fcntl, g, F_OFD_GETLK, U(l)), 0);
    assert_int_equal(l->l_type, F_WRLCK);
    assert_int_equal(l->l_pid, -1);
    assert_int_equal(rig_call(r, SYS_fcntl, f, F_GETLK, BAD), -EFAULT);
    close(f);
    close(g);
}

static void ioctl_requests(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    assert_int_equal(write(p[1], "abc", 3), 3);
    int *n = (void *)r->app;
    assert_int_equal(rig_call(r, SYS_ioctl, p[0], FIONREAD, U(n)), 0);
    assert_int_equal(*n, 3);
    assert_int_equal(rig_call(r, SYS_ioctl, p[0], FIONREAD, U(&p[0])), -EFAULT);
    assert_int_equal(rig_call(r, SYS_ioctl, p[0], TCGETS, U(r->app)), -ENOTTY);
    /* struct file_dedupe_range and the like hold what is not checked */
    assert_int_equal(rig_call(r, SYS_ioctl, p[0], 0xc0189436, U(r->app)), -ENOSYS);
    struct server_stats st;
    server_get_stats(r->server, &st);
    assert_int_equal(st.refused_nr[SYS_ioctl], 1);
    close(p[0]);
    close(p[1]);
    int m = posix_openpt(O_RDWR | O_NOCTTY);
    if (m < 0)
        skip();
    struct winsize *w = (void *)r->app;
    *w = (struct winsize){.ws_row = 7, .ws_col = 9};
    assert_int_equal(rig_call(r, SYS_ioctl, m, TIOCSWINSZ, U(w)), 0);
    w->ws_row = 0;
    assert_int_equal(rig_call(r, SYS_ioctl, m, TIOCGWINSZ, U(w)), 0);
    assert_int_equal(w->ws_row, 7);
    assert_int_equal(rig_call(r, SYS_ioctl, m, TCGETS, U(r->app)), 0);
    close(m);
}

static void poll_calls(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    int own = fcntl(p[1], F_DUPFD, RIG_FD_LOW); /* writable, but the proxy's */
    struct pollfd *f = (void *)(r->app + 8);
    f[0] = (struct pollfd){p[0], POLLIN, 0x77};
    f[1] = (struct pollfd){own, POLLOUT, 0};
    f[2] = (struct pollfd){-1, POLLOUT, 0x77};
    assert_int_equal(rig_call(r, SYS_poll, U(f), 1, 0), 0);
    assert_int_equal(f[0].revents, 0);
    assert_int_equal(rig_call(r, SYS_poll, U(f), 3, 1000), 1);
    assert_int_equal(f[1].revents, POLLNVAL);
    assert_int_equal(f[1].fd, own);
    assert_int_equal(f[2].revents, 0);
    assert_int_equal(write(p[1], "a", 1), 1);
    assert_int_equal(rig_call(r, SYS_poll, U(f), 1, ~0ul), 1);
    assert_int_equal(f[0].revents, POLLIN);
    assert_int_equal(rig_call(r, SYS_poll, BAD, 1, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_poll, U(f), 0xffffffff, 0), -EINVAL);

    char c;
    assert_int_equal(read(p[0], &c, 1), 1);
    struct timespec *t = (void *)r->app;
    t = (void *)(r->app + 2048);
    *t = (struct timespec){.tv_nsec = 20000000};
    assert_int_equal(rig_call(r, SYS_ppoll, U(f), 1, U(t), BAD, 8), 0); /* the mask is not ours */
    assert_int_equal(t->tv_sec + t->tv_nsec, 0);                        /* nothing left */
    *t = (struct timespec){.tv_sec = 100};
    assert_int_equal(write(p[1], "a", 1), 1);
    assert_int_equal(rig_call(r, SYS_ppoll, U(f), 1, U(t), 0, 8), 1);
    assert_in_range(t->tv_sec, 90, 99);
    assert_int_equal(rig_call(r, SYS_ppoll, U(f), 1, BAD, 0, 8), -EFAULT);
    close(own);
    close(p[0]);
    close(p[1]);
}

static void select_calls(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    fd_set *in = (void *)r->app, *out = (void *)(r->app + 256);
    struct timeval *t = (void *)(r->app + 1024);
    memset(r->app, 0, 1024);
    FD_SET(p[0], in);
    FD_SET(p[1], out);
    FD_SET(700, in); /* beyond n: left alone */
    *t = (struct timeval){.tv_sec = 50};
    assert_int_equal(rig_call(r, SYS_select, p[1] + 1, U(in), U(out), 0, U(t)), 1);
    assert_false(FD_ISSET(p[0], in));
    assert_true(FD_ISSET(p[1], out));
    assert_true(FD_ISSET(700, in));
    assert_in_range(t->tv_sec, 40, 50);
    FD_SET(p[0], in);
    *t = (struct timeval){0};
    assert_int_equal(rig_call(r, SYS_select, p[0] + 1, U(in), 0, 0, U(t)), 0);
    assert_int_equal(write(p[1], "a", 1), 1);
    FD_SET(p[0], in);
    assert_int_equal(rig_call(r, SYS_pselect6, p[0] + 1, U(in), 0, 0, 0, BAD), 1);
    assert_true(FD_ISSET(p[0], in));
    assert_int_equal(rig_call(r, SYS_select, p[0] + 1, BAD, 0, 0, U(t)), -EFAULT);
    assert_int_equal(rig_call(r, SYS_select, ~0ul, U(in), 0, 0, U(t)), -EINVAL);
    /* the last bytes of the isle are enough, the bits of the proxy's own do not count */
    char *end = r->app + RIG_APP_SIZE;
    size_t bytes = (RIG_FD_LOW + 63) / 64 * 8;
    int own = fcntl(p[0], F_DUPFD, RIG_FD_LOW);
    memset(end - bytes, 0, bytes);
    FD_SET(own, (fd_set *)(end - bytes));
    assert_int_equal(rig_call(r, SYS_select, RIG_FD_LOW + 1, U(end - bytes), 0, 0, U(t)), 0);
    close(own);
    close(p[0]);
    close(p[1]);
}

static void epoll_calls(void **state)
{
    struct rig *r = *state;
    int p[2];
    assert_int_equal(pipe(p), 0);
    int64_t ep = rig_call(r, SYS_epoll_create1, EPOLL_CLOEXEC);
    struct epoll_event *e = (void *)r->app;
    *e = (struct epoll_event){.events = EPOLLIN, .data.u64 = 0x1122334455667788};
    assert_int_equal(rig_call(r, SYS_epoll_ctl, ep, EPOLL_CTL_ADD, p[0], U(e)), 0);
    assert_int_equal(rig_call(r, SYS_epoll_wait, ep, U(e), 4, 10), 0);
    assert_int_equal(write(p[1], "a", 1), 1);
    memset(e, 0, sizeof *e);
    assert_int_equal(rig_call(r, SYS_epoll_pwait, ep, U(e), 4, ~0ul, BAD, 8), 1);
    assert_true(e->data.u64 == 0x1122334455667788);
    assert_int_equal(rig_call(r, SYS_epoll_wait, ep, U(e), ~0u, 10), -EINVAL);
    assert_int_equal(rig_call(r, SYS_epoll_wait, ep, U(r->app + RIG_APP_SIZE - 12), 2, 10),
                     -EFAULT);
    close((int)ep);
    close(p[0]);
    close(p[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(own_descriptors), BOTH(close_ranges), BOTH(fcntl_commands), BOTH(ioctl_requests),
        BOTH(poll_calls),      BOTH(select_calls), BOTH(epoll_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
