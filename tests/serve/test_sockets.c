/* SPDX-License-Identifier: MIT */
/* Sockets: messages, control data, addresses, options. */
#include <lull/syscalls.h>

#include "cases.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* A message in application memory, with one buffer and room for control data. */
struct app_msg {
    struct msghdr h;
    struct iovec v[2];
    char data[64];
    _Alignas(8) char control[128];
    struct sockaddr_un name;
};

static struct app_msg *msg_at(char *p, size_t data, size_t control)
{
    struct app_msg *m = (void *)p;
    memset(m, 0, sizeof *m);
    m->v[0] = (struct iovec){m->data, data};
    m->h = (struct msghdr){.msg_iov = m->v,
                           .msg_iovlen = 1,
                           .msg_control = control ? m->control : NULL,
                           .msg_controllen = control};
    return m;
}

static void set_rights(struct app_msg *m, const int *fd, unsigned n)
{
    struct cmsghdr *c = (void *)m->control;
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    memcpy(CMSG_DATA(c), fd, n * sizeof(int));
    m->h.msg_controllen = CMSG_SPACE(n * sizeof(int));
}

static void message_data(void **state)
{
    struct rig *r = *state;
    int *sv = (void *)r->app;
    assert_int_equal(rig_call(r, SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, U(sv)), 0);
    struct app_msg *m = msg_at(r->app + 4096, 5, 0);
    memcpy(m->data, "hello", 5);
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), 5);
    struct app_msg *in = msg_at(r->app + 8192, 3, 64);
    in->v[1] = (struct iovec){in->data + 32, 10};
    in->h.msg_iovlen = 2;
    in->h.msg_flags = 0x55;
    in->h.msg_name = &in->name;
    in->h.msg_namelen = 77;
    assert_int_equal(rig_call(r, SYS_recvmsg, sv[1], U(in), 0), 5);
    assert_memory_equal(in->data, "hel", 3);
    assert_memory_equal(in->data + 32, "lo", 2);
    assert_int_equal(in->h.msg_flags, 0);
    assert_int_equal(in->h.msg_controllen, 0);
    assert_int_equal(in->h.msg_namelen, 0);
    /* only what Linux writes is written */
    assert_ptr_equal(in->h.msg_iov, in->v);
    assert_ptr_equal(in->h.msg_control, in->control);

    m->v[0].iov_base = &r; /* in the proxy */
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], BAD, 0), -EFAULT);
    m->v[0].iov_base = m->data;
    m->h.msg_iovlen = 2000;
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), -EMSGSIZE);
    m->h.msg_iovlen = 1;
    m->h.msg_control = (void *)BAD;
    m->h.msg_controllen = 32;
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), -EFAULT);
    m->h.msg_controllen = 0;
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), 5);
    close(sv[0]);
    close(sv[1]);
}

static void message_rights(void **state)
{
    struct rig *r = *state;
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    struct app_msg *m = msg_at(r->app + 4096, 1, 128);
    int fds[2] = {sv[0], 0};
    set_rights(m, fds, 2);
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), 1);
    struct app_msg *in = msg_at(r->app + 8192, 8, 128);
    assert_int_equal(rig_call(r, SYS_recvmsg, sv[1], U(in), 0), 1);
    struct cmsghdr *c = CMSG_FIRSTHDR(&in->h);
    assert_non_null(c);
    assert_int_equal(c->cmsg_type, SCM_RIGHTS);
    assert_int_equal(c->cmsg_len, CMSG_LEN(8));
    int got[2];
    memcpy(got, CMSG_DATA(c), 8);
    assert_int_equal(fcntl(got[0], F_GETFD), 0);
    assert_int_equal(rig_call(r, SYS_close, got[0]), 0);
    assert_int_equal(rig_call(r, SYS_close, got[1]), 0);
    /* the proxy's own may not be sent, in any place */
    int own = fcntl(0, F_DUPFD, RIG_FD_LOW);
    fds[1] = own;
    set_rights(m, fds, 2);
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), -EBADF);
    m->h.msg_controllen = CMSG_LEN(4) - 1; /* header says more than there is */
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), -EINVAL);
    close(own);
    close(sv[0]);
    close(sv[1]);
}

/* Numbers below RIG_FD_LOW all taken: what is received is dropped, what is made is EMFILE. */
static void descriptors_run_out(void **state)
{
    struct rig *r = *state;
    int sv[2], fill[RIG_FD_LOW], n = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    while ((fill[n] = dup(0)) < RIG_FD_LOW)
        n++;
    close(fill[n]);
    struct app_msg *m = msg_at(r->app + 4096, 1, 128);
    set_rights(m, (int[]){sv[0]}, 1);
    assert_int_equal(rig_call(r, SYS_sendmsg, sv[0], U(m), 0), 1);
    struct app_msg *in = msg_at(r->app + 8192, 8, 128);
    assert_int_equal(rig_call(r, SYS_recvmsg, sv[1], U(in), 0), 1);
    assert_int_equal(in->h.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
    assert_int_equal(((struct cmsghdr *)in->control)->cmsg_len, CMSG_LEN(0));
    assert_int_equal(rig_call(r, SYS_dup, 0), -EMFILE);
    assert_int_equal(rig_call(r, SYS_pipe, U(r->app)), -EMFILE);
    assert_int_equal(rig_call(r, SYS_fcntl, 0, F_DUPFD, 0), -EMFILE);
    strcpy(r->app, "/dev/null");
    assert_int_equal(rig_call(r, SYS_open, U(r->app), O_RDONLY, 0), -EMFILE);
    *(int *)(r->app + 64) = 4;
    int64_t peer = rig_call(r, SYS_getsockopt, sv[0], SOL_SOCKET, 77, U(r->app), U(r->app + 64));
    if (peer != -ENOPROTOOPT) /* SO_PEERPIDFD, Linux 6.5 */
        assert_int_equal(peer, -EMFILE);
    if (setsockopt(sv[1], SOL_SOCKET, 76, &(int){1}, sizeof(int)) == 0) { /* SO_PASSPIDFD */
        int got;
        assert_int_equal(rig_call(r, SYS_write, sv[0], U(r->app), 1), 1);
        in = msg_at(r->app + 8192, 8, 128);
        assert_int_equal(rig_call(r, SYS_recvmsg, sv[1], U(in), 0), 1);
        assert_int_equal(((struct cmsghdr *)in->control)->cmsg_type, 4);
        memcpy(&got, CMSG_DATA((struct cmsghdr *)in->control), sizeof got);
        assert_int_equal(got, -EMFILE);
    }
    for (int i = RIG_FD_LOW; i < RIG_FD_LOW + 4; i++)
        assert_int_equal(fcntl(i, F_GETFD), -1); /* nothing was left open there */
    while (n-- > 0)
        close(fill[n]);
    close(sv[0]);
    close(sv[1]);
}

/* What one call's copies would need has a bound: some messages are left for the next. */
static void messages_in_parts(void **state)
{
    enum { N = 1024, CONTROL = 16384 };
    struct rig *r = *state;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof to;
    int in = socket(AF_INET, SOCK_DGRAM, 0), out = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(in, (void *)&to, sizeof to), 0);
    assert_int_equal(getsockname(in, (void *)&to, &len), 0);
    assert_int_equal(connect(out, (void *)&to, sizeof to), 0);
    struct cmsghdr *h = (void *)r->app; /* of a protocol that is not there: passed over */
    *h = (struct cmsghdr){.cmsg_len = CONTROL, .cmsg_level = 99};
    struct iovec *v = (void *)(r->app + CONTROL);
    *v = (struct iovec){v, 1};
    struct mmsghdr *m = (void *)(v + 1);
    memset(m, 0, N * sizeof *m);
    for (int i = 0; i < N; i++)
        m[i].msg_hdr = (struct msghdr){
            .msg_iov = v, .msg_iovlen = 1, .msg_control = h, .msg_controllen = CONTROL};
    int64_t n = rig_call(r, SYS_sendmmsg, out, U(m), N, 0);
    assert_in_range(n, 100, N - 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(m[i].msg_len, i < n);
    for (int i = 0; i < N; i++) /* what is small goes as a whole */
        m[i].msg_hdr = (struct msghdr){.msg_iov = v, .msg_iovlen = 1};
    assert_int_equal(rig_call(r, SYS_sendmmsg, out, U(m), N, 0), N);
    close(in);
    close(out);
}

static void socket_addresses(void **state)
{
    struct rig *r = *state;
    struct sockaddr_in *a = (void *)(r->app + 256);
    int *len = (void *)(r->app + 512);
    int64_t ls = rig_call(r, SYS_socket, AF_INET, SOCK_STREAM, 0);
    assert_true(ls > 0);
    *a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(rig_call(r, SYS_bind, ls, U(a), sizeof *a), 0);
    assert_int_equal(rig_call(r, SYS_bind, ls, U(a), 0xffffffff), -EINVAL);
    assert_int_equal(rig_call(r, SYS_listen, ls, 5), 0);
    *len = 1000;
    memset(a, 0xee, 64);
    assert_int_equal(rig_call(r, SYS_getsockname, ls, U(a), U(len)), 0);
    assert_int_equal(*len, sizeof *a);
    assert_int_equal(((unsigned char *)(a + 1))[0], 0xee);
    struct sockaddr_in where = *a;
    *len = 4; /* truncated, with the true length */
    memset(a, 0xee, sizeof *a);
    assert_int_equal(rig_call(r, SYS_getsockname, ls, U(a), U(len)), 0);
    assert_int_equal(*len, sizeof *a);
    assert_int_equal(a->sin_port, where.sin_port);
    assert_int_equal(a->sin_addr.s_addr, 0xeeeeeeee);
    *len = -1;
    assert_int_equal(rig_call(r, SYS_getsockname, ls, U(a), U(len)), -EINVAL);
    *len = 16;
    assert_int_equal(rig_call(r, SYS_getsockname, ls, BAD, U(len)), -EFAULT);
    assert_int_equal(rig_call(r, SYS_getsockname, ls, U(a), BAD), -EFAULT);
    assert_int_equal(rig_call(r, SYS_getsockname, ls, U(r->app + RIG_APP_SIZE - 8), U(len)),
                     -EFAULT);

    int c = socket(AF_INET, SOCK_STREAM, 0);
    *a = where;
    assert_int_equal(rig_call(r, SYS_connect, c, U(a), sizeof *a), 0);
    *len = sizeof *a;
    int64_t s = rig_call(r, SYS_accept4, ls, U(a), U(len), SOCK_CLOEXEC);
    assert_true(s > 0);
    assert_int_equal(a->sin_family, AF_INET);
    assert_int_equal(a->sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    memcpy(r->app, "ping", 4);
    assert_int_equal(rig_call(r, SYS_sendto, c, U(r->app), 4, 0, 0, 0), 4);
    assert_int_equal(rig_call(r, SYS_recvfrom, s, U(r->app + 64), 64, 0, U(a), U(len)), 4);
    assert_memory_equal(r->app + 64, "ping", 4);
    assert_int_equal(*len, 0);
    close(c);
    close((int)s);
    close((int)ls);
}

static void socket_options(void **state)
{
    struct rig *r = *state;
    int s = socket(AF_INET, SOCK_STREAM, 0);
    int *v = (void *)r->app, *len = (void *)(r->app + 64);
    *v = 1;
    assert_int_equal(rig_call(r, SYS_setsockopt, s, IPPROTO_TCP, TCP_NODELAY, U(v), 4), 0);
    *v = 0;
    *len = 64;
    assert_int_equal(rig_call(r, SYS_getsockopt, s, IPPROTO_TCP, TCP_NODELAY, U(v), U(len)), 0);
    assert_int_equal(*len, 4);
    assert_int_not_equal(*v, 0);
    assert_int_equal(rig_call(r, SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, BAD, U(len)), -EFAULT);
    assert_int_equal(rig_call(r, SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, U(v), BAD), -EFAULT);
    *len = -1;
    assert_int_equal(rig_call(r, SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, U(v), U(len)), -EINVAL);
    *len = 1 << 21; /* more than the isle has behind v */
    assert_int_equal(rig_call(r, SYS_getsockopt, s, SOL_SOCKET, SO_TYPE, U(v), U(len)), -EFAULT);
    /* a filter is a pointer in a structure */
    struct sock_fprog *p = (void *)r->app;
    *p = (struct sock_fprog){1, (void *)BAD};
    assert_int_equal(rig_call(r, SYS_setsockopt, s, SOL_SOCKET, SO_ATTACH_FILTER, U(p), sizeof *p),
                     -ENOSYS);
    *len = 8;
    assert_int_equal(rig_call(r, SYS_getsockopt, s, SOL_SOCKET, SO_GET_FILTER, U(v), U(len)),
                     -ENOSYS);
    /* more comes back than the length says; and what nobody knows yet */
    *len = 64;
    assert_int_equal(rig_call(r, SYS_getsockopt, s, IPPROTO_TCP, 41, U(v), U(len)), -ENOSYS);
    assert_int_equal(rig_call(r, SYS_getsockopt, s, SOL_SOCKET, 200, U(v), U(len)), -ENOSYS);
    close(s);
    int sv[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    *len = 64;
    int64_t peer = rig_call(r, SYS_getsockopt, sv[0], SOL_SOCKET, 77, U(v), U(len));
    if (peer != -ENOPROTOOPT) { /* SO_PEERPIDFD, Linux 6.5 */
        assert_int_equal(peer, 0);
        assert_int_equal(*len, 4);
        assert_int_equal(fcntl(*v, F_GETFD), FD_CLOEXEC);
        close(*v);
        assert_int_equal(rig_call(r, SYS_getsockopt, sv[0], SOL_SOCKET, 77, BAD, U(len)), -EFAULT);
    }
    close(sv[0]);
    close(sv[1]);
}

static void pipe_broken(void **state)
{
    struct rig *r = *state;
    int p[2], sv[2];
    sigset_t pending;
    assert_int_equal(pipe(p), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
    close(p[0]);
    close(sv[0]);
    signal(SIGPIPE, SIG_DFL); /* it would end this test */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rig_call(r, SYS_write, p[1], U(r->app), 10), -LULL_ESIGPIPE);
        assert_int_equal(rig_call(r, SYS_write, p[1], U(r->app), 100000), -LULL_ESIGPIPE);
        assert_int_equal(rig_call(r, SYS_sendto, sv[1], U(r->app), 10, 0, 0, 0), -LULL_ESIGPIPE);
        sigpending(&pending);
        assert_int_equal(sigismember(&pending, SIGPIPE), 0);
    }
    close(p[1]);
    close(sv[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(message_data),      BOTH(message_rights), BOTH(descriptors_run_out),
        BOTH(socket_addresses),  BOTH(socket_options), BOTH(pipe_broken),
        BOTH(messages_in_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
