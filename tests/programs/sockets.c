/* SPDX-License-Identifier: MIT */
/* Sockets: a pair, a datagram, and a TCP connection between two threads over loopback. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "check.h"

#define TOTAL (1 << 20)

static struct sockaddr_in address;

static void pairs(void)
{
    int s[2], passed, fd;
    char text[32] = "", control[CMSG_SPACE(sizeof(int))] = "";
    struct iovec iov[2] = {{"hel", 3}, {"lo", 3}}, back = {text, sizeof(text)};
    struct msghdr m = {
        .msg_iov = iov, .msg_iovlen = 2, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    check_section("socketpair, descriptor passing");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(int));
    fd = open("/dev/zero", O_RDONLY);
    memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    CHECK(sendmsg(s[0], &m, 0) == 6);
    close(fd);
    memset(control, 0, sizeof(control));
    m = (struct msghdr){.msg_iov = &back,
                        .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof(control)};
    CHECK(recvmsg(s[1], &m, 0) == 6 && strcmp(text, "hello") == 0);
    c = CMSG_FIRSTHDR(&m);
    if (CHECK(c && c->cmsg_type == SCM_RIGHTS)) {
        memcpy(&passed, CMSG_DATA(c), sizeof(passed));
        text[0] = 'x';
        CHECK(read(passed, text, 1) == 1 && text[0] == 0);
        close(passed);
    }
    CHECK(shutdown(s[0], SHUT_WR) == 0 && recv(s[1], text, 1, 0) == 0);
    CHECK_ERR(recv(s[0], text, 1, MSG_DONTWAIT), EAGAIN);
    close(s[0]);
    close(s[1]);
}

static void *client(void *arg)
{
    static unsigned char data[TOTAL];
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    size_t done = 0;
    ssize_t n;

    for (size_t i = 0; i < TOTAL; i++) {
        data[i] = (unsigned char)(i * 13);
    }
    if (connect(s, (struct sockaddr *)&address, sizeof(address)) ||
        setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))) {
        return NULL;
    }
    while (done < TOTAL && (n = send(s, data + done, TOTAL - done, 0)) > 0) {
        done += (size_t)n;
    }
    return close(s) == 0 && done == TOTAL ? arg : NULL;
}

static void stream(void)
{
    static unsigned char data[TOTAL];
    int l = socket(AF_INET, SOCK_STREAM, 0), s, type = 0;
    socklen_t len = sizeof(address), type_len = sizeof(type);
    struct sockaddr_in peer;
    size_t done = 0, bad = 0;
    ssize_t n;
    pthread_t t;
    void *result;

    check_section("TCP");
    address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(l, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(l, 1) == 0);
    CHECK(getsockname(l, (struct sockaddr *)&address, &len) == 0 && address.sin_port != 0);
    CHECK(getsockopt(l, SOL_SOCKET, SO_TYPE, &type, &type_len) == 0 && type == SOCK_STREAM);
    CHECK(pthread_create(&t, NULL, client, &address) == 0);
    len = sizeof(peer);
    s = accept(l, (struct sockaddr *)&peer, &len);
    CHECK(s >= 0 && peer.sin_family == AF_INET && len == sizeof(peer));
    while (done < TOTAL && (n = recv(s, data + done, TOTAL - done, 0)) > 0) {
        done += (size_t)n;
    }
    for (size_t i = 0; i < TOTAL; i++) {
        bad += data[i] != (unsigned char)(i * 13);
    }
    CHECK(done == TOTAL && bad == 0);
    CHECK(pthread_join(t, &result) == 0 && result == &address);
    CHECK(recv(s, data, 1, 0) == 0);
    close(s);
    close(l);
    s = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_ERR(connect(s, (struct sockaddr *)&address, sizeof(address)), ECONNREFUSED);
    close(s);
}

static void datagrams(void)
{
    int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
                       from;
    socklen_t len = sizeof(to);
    char text[16] = "";

    check_section("UDP");
    CHECK(bind(a, (struct sockaddr *)&to, sizeof(to)) == 0);
    CHECK(getsockname(a, (struct sockaddr *)&to, &len) == 0);
    CHECK(sendto(b, "datagram", 9, 0, (struct sockaddr *)&to, sizeof(to)) == 9);
    len = sizeof(from);
    CHECK(recvfrom(a, text, sizeof(text), 0, (struct sockaddr *)&from, &len) == 9);
    CHECK(strcmp(text, "datagram") == 0 && from.sin_family == AF_INET);
    close(a);
    close(b);
}

int main(void)
{
    pairs();
    stream();
    datagrams();
    return check_end();
}
