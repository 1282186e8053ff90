/* SPDX-License-Identifier: MIT */
/* Unix sockets, and what all sockets have in common. */
#include "diff.h"

#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

CASE(sockets, creation_errors)
{
    int p[2];

    R(socket(99, SOCK_STREAM, 0));
    R(socket(AF_UNIX, 99, 0));
    R(socket(AF_INET, SOCK_STREAM, 99));
    R(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    R(socketpair(AF_INET, SOCK_STREAM, 0, p));
    R(socketpair(AF_UNIX, SOCK_STREAM | 0x100000, 0, p));
    R(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    R(fcntl(3, F_GETFD));
    R(fcntl(3, F_GETFL));
}

CASE(sockets, not_a_socket)
{
    int fd = file_with("f", ""), n = 4;
    char buf[16] = "";

    R(send(fd, "x", 1, 0));
    R(recv(fd, buf, 1, 0));
    R(listen(fd, 1));
    R(accept(fd, NULL, NULL));
    R(shutdown(fd, SHUT_RD));
    R(getsockopt(fd, SOL_SOCKET, SO_TYPE, buf, (socklen_t *)&n));
    R(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, buf, 4));
    R(bind(fd, (struct sockaddr *)buf, 16));
    R(connect(-1, (struct sockaddr *)buf, 16));
    R(send(-1, "x", 1, 0));
}

CASE(sockets, pair_stream)
{
    char buf[16] = "";
    int s[2];

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    R(send(s[0], "hello", 5, 0));
    R(recv(s[1], buf, 3, MSG_PEEK));
    R(recv(s[1], buf, 16, 0));
    show_bytes("got", buf, 5);
    R(recv(s[1], buf, 16, MSG_DONTWAIT));
    R(shutdown(s[0], SHUT_WR));
    R(recv(s[1], buf, 16, 0));
    R(send(s[0], "x", 1, MSG_NOSIGNAL));
    R(send(s[1], "back", 4, 0));
    R(read(s[0], buf, 16));
    R(shutdown(s[0], 9));
    R(close(s[0]));
    R(send(s[1], "x", 1, MSG_NOSIGNAL));
    R(recv(s[1], buf, 16, 0));
}

CASE(sockets, sigpipe_kills)
{
    int s[2];

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    R(close(s[0]));
    R(send(s[1], "x", 1, 0));
    puts("not reached");
}

CASE(sockets, pair_datagrams)
{
    char buf[16] = "";
    struct iovec v = {buf, 2};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    int s[2];

    R(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    R(send(s[0], "hello", 5, 0));
    R(send(s[0], "", 0, 0));
    R(send(s[0], "world!", 6, 0));
    R(recv(s[1], buf, 2, MSG_TRUNC));
    R(recv(s[1], buf, 16, 0));
    R(recvmsg(s[1], &m, MSG_PEEK));
    SHOW(m.msg_flags);
    R(recvmsg(s[1], &m, 0));
    SHOW(m.msg_flags);
    R(recv(s[1], buf, 16, MSG_DONTWAIT));
    R(listen(s[0], 1));
}

CASE(sockets, pair_packets)
{
    char buf[16] = "";
    int s[2];

    R(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    R(send(s[0], "one", 3, 0));
    R(send(s[0], "two22", 5, MSG_EOR));
    R(recv(s[1], buf, 16, 0));
    R(recv(s[1], buf, 2, 0));
    R(recv(s[1], buf, 16, MSG_DONTWAIT));
    R(close(s[0]));
    R(recv(s[1], buf, 16, 0));
}

union control {
    struct cmsghdr h;
    char space[CMSG_SPACE(64)];
};

CASE(sockets, passing_descriptors)
{
    union control u = {0};
    char buf[4] = "", text[8] = "";
    struct iovec v = {buf, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u};
    int s[2], fd = file_with("f", "content"), got[2] = {fd, fd};

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    u.h = (struct cmsghdr){CMSG_LEN(sizeof got), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.h), got, sizeof got);
    m.msg_controllen = CMSG_SPACE(sizeof got);
    R(sendmsg(s[0], &m, 0));
    memset(&u, 0, sizeof u);
    m.msg_controllen = sizeof u;
    R(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
    SHOW(m.msg_controllen);
    SHOW(m.msg_flags & MSG_CTRUNC);
    SHOW(u.h.cmsg_len);
    memcpy(got, CMSG_DATA(&u.h), sizeof got);
    SHOW(got[0]);
    SHOW(got[1]);
    R(fcntl(got[0], F_GETFD));
    R(read(got[0], text, 8));
    show_bytes("text", text, 8);
}

CASE(sockets, ancillary_errors)
{
    union control u = {0};
    char buf[4] = "";
    struct iovec v = {buf, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u};
    int s[2], bad = 99;

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    u.h = (struct cmsghdr){CMSG_LEN(sizeof bad), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.h), &bad, sizeof bad);
    m.msg_controllen = CMSG_SPACE(sizeof bad);
    R(sendmsg(s[0], &m, 0));
    u.h.cmsg_len = 1000;
    R(sendmsg(s[0], &m, 0));
    u.h.cmsg_len = 3;
    R(sendmsg(s[0], &m, 0));
    u.h = (struct cmsghdr){CMSG_LEN(sizeof bad), SOL_SOCKET, 77};
    R(sendmsg(s[0], &m, 0));
    m.msg_controllen = 8; /* less than a header: none at all */
    R(sendmsg(s[0], &m, 0));
}

CASE(sockets, ancillary_truncated)
{
    union control u = {0};
    char buf[4] = "";
    struct iovec v = {buf, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &u};
    int s[2], fds[4] = {0, 1, 0, 1};

    R(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    u.h = (struct cmsghdr){CMSG_LEN(sizeof fds), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&u.h), fds, sizeof fds);
    m.msg_controllen = CMSG_SPACE(sizeof fds);
    for (int i = 0; i < 3; i++)
        R(sendmsg(s[0], &m, 0));
    m.msg_controllen = CMSG_LEN(2 * sizeof(int));
    R(recvmsg(s[1], &m, 0));
    SHOW(m.msg_flags & MSG_CTRUNC);
    SHOW(m.msg_controllen);
    SHOW(u.h.cmsg_len);
    m.msg_controllen = 0;
    R(recvmsg(s[1], &m, 0));
    SHOW(m.msg_flags & MSG_CTRUNC);
    R(recv(s[1], buf, 1, 0));
    R(dup(0)); /* none was left open by mistake */
}

CASE(sockets, credentials)
{
    union control u = {0};
    char buf[4] = "";
    struct iovec v = {buf, 1};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    struct ucred c = {0, 0, 0};
    socklen_t n = sizeof c;
    int s[2], one = 1;

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    R(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
    R(send(s[0], "x", 1, 0));
    R(recvmsg(s[1], &m, 0));
    SHOW(m.msg_controllen);
    SHOW(u.h.cmsg_type == SCM_CREDENTIALS);
    memcpy(&c, CMSG_DATA(&u.h), sizeof c);
    SHOW(c.pid == getpid());
    SHOW(c.uid == getuid());
    R(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &n));
    SHOW(c.pid == getpid());
    SHOW(n);
}

CASE(sockets, unix_names)
{
    struct sockaddr_un a = {AF_UNIX, "sock"}, c;
    socklen_t n = sizeof c;
    int s = socket(AF_UNIX, SOCK_STREAM, 0), t = socket(AF_UNIX, SOCK_STREAM, 0), u;

    R(getsockname(s, (struct sockaddr *)&c, &n));
    SHOW(n);
    R(connect(t, (struct sockaddr *)&a, sizeof a));
    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(bind(t, (struct sockaddr *)&a, sizeof a));
    R(connect(t, (struct sockaddr *)&a, sizeof a));
    R(listen(s, 4));
    R(connect(t, (struct sockaddr *)&a, sizeof a));
    R(connect(t, (struct sockaddr *)&a, sizeof a));
    R(u = accept4(s, NULL, NULL, SOCK_CLOEXEC));
    R(fcntl(u, F_GETFD));
    n = sizeof c;
    R(getpeername(t, (struct sockaddr *)&c, &n));
    SHOW(n);
    puts(c.sun_path);
    n = 4;
    R(getpeername(t, (struct sockaddr *)&c, &n));
    SHOW(n);
    n = sizeof c;
    R(getpeername(s, (struct sockaddr *)&c, &n));
}

CASE(sockets, unix_name_errors)
{
    struct sockaddr_un a = {AF_UNIX, "sock"}, b = {AF_UNIX, "\0lull-diff"};
    socklen_t n = offsetof(struct sockaddr_un, sun_path) + 10;

    R(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&b, n));
    R(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&b, n));
    R(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, 1));
    R(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, 1000));
    R(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, -1));
    a.sun_family = AF_INET;
    R(bind(socket(AF_UNIX, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof a));
}

CASE(sockets, options)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0), v = 7, one = 1;
    socklen_t n = sizeof v;

    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
    SHOW(v);
    R(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &n));
    SHOW(v);
    R(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
    SHOW(v);
    R(getsockopt(s, SOL_SOCKET, SO_ERROR, &v, &n));
    SHOW(v);
    R(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &(int){10000}, 4));
    R(getsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, &n));
    SHOW(v);
    R(setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, 2));
    R(setsockopt(s, SOL_SOCKET, 9999, &one, 4));
    R(getsockopt(s, SOL_SOCKET, 9999, &v, &n));
    n = 2;
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
    SHOW(n);
    n = (socklen_t)-1;
    R(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
}

CASE(sockets, options_of_no_protocol)
{
    R(setsockopt(socket(AF_UNIX, SOCK_STREAM, 0), 77, 1, &(int){1}, 4));
}

CASE(sockets, timeouts)
{
    struct timeval t = {0, 60000};
    char c;
    int p[2];

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    R(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    R(recv(p[0], &c, 1, 0));
    R(read(p[0], &c, 1));
    R(setsockopt(p[0], SOL_SOCKET, SO_SNDTIMEO, &t, 3));
}

CASE(sockets, timeout_and_eintr)
{
    struct timeval t = {0, 500000};
    char c;
    int p[2];

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, p));
    poke_begin(20, SA_RESTART);
    R(setsockopt(p[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
    R(recv(p[0], &c, 1, 0)); /* with a timeout it is never restarted: signal(7) */
    SHOW(poke_end());
}

CASE(sockets, not_connected)
{
    int s = socket(AF_UNIX, SOCK_STREAM, 0), d = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_storage a;
    socklen_t n = sizeof a;
    char buf[4];

    R(send(s, "x", 1, MSG_NOSIGNAL));
    R(recv(s, buf, 1, 0));
    R(getpeername(s, (struct sockaddr *)&a, &n));
    R(shutdown(s, SHUT_RDWR));
    R(send(d, "x", 1, 0));
    R(accept(s, NULL, NULL));
    R(accept(d, NULL, NULL));
    R(listen(s, 1));
}

CASE(sockets, recv_eintr)
{
    char buf[4];
    int s[2];

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    poke_begin(50, 0);
    R(recv(s[0], buf, 1, 0));
    SHOW(poke_end());
}

CASE(sockets, accept_eintr)
{
    struct sockaddr_un a = {AF_UNIX, "s"};
    int s = socket(AF_UNIX, SOCK_STREAM, 0);

    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(listen(s, 1));
    poke_begin(50, 0);
    R(accept(s, NULL, NULL));
    SHOW(poke_end());
    R(fcntl(s, F_SETFL, O_NONBLOCK));
    R(accept(s, NULL, NULL));
    R(accept4(s, NULL, NULL, 0x55));
}

static void *send_rest(void *arg)
{
    sleep_ms(50);
    return send(*(int *)arg, "rest", 4, 0) == 4 ? NULL : arg;
}

CASE(sockets, waitall)
{
    char buf[16] = "";
    pthread_t t;
    int s[2];

    R(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    R(send(s[0], "one ", 4, 0));
    pthread_create(&t, NULL, send_rest, &s[0]);
    R(recv(s[1], buf, 8, MSG_WAITALL));
    show_bytes("got", buf, 8);
    pthread_join(t, NULL);
}

CASE(sockets, many_messages)
{
    char a[8] = "first", b[8] = "second", c[3][8] = {"", "", ""};
    struct iovec in[2] = {{a, 5}, {b, 6}}, out[3] = {{c[0], 8}, {c[1], 8}, {c[2], 8}};
    struct mmsghdr m[3] = {{{.msg_iov = &in[0], .msg_iovlen = 1}, 0},
                           {{.msg_iov = &in[1], .msg_iovlen = 1}, 0}};
    struct timespec bad = {0, -1};
    int s[2];

    R(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    R(sendmmsg(s[0], m, 2, 0));
    SHOW(m[0].msg_len);
    SHOW(m[1].msg_len);
    memset(m, 0, sizeof m);
    for (int i = 0; i < 3; i++)
        m[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
    R(recvmmsg(s[1], m, 3, MSG_DONTWAIT, NULL));
    SHOW(m[0].msg_len);
    show_bytes("second", c[1], 8);
    R(recvmmsg(s[1], m, 3, MSG_DONTWAIT, NULL));
    R(recvmmsg(s[1], m, 3, 0, &bad));
    R(sendmmsg(-1, m, 1, 0));
    R(sendmmsg(s[0], m, 0, 0));
}
