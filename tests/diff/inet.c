/* SPDX-License-Identifier: MIT */
/* Internet sockets over loopback, and netlink. */
#include "diff.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

static struct sockaddr_in loopback(void)
{
    return (struct sockaddr_in){AF_INET, 0, {htonl(INADDR_LOOPBACK)}, ""};
}

/* A listening socket on any port; its address in *a. */
static int listener(struct sockaddr_in *a)
{
    socklen_t n = sizeof *a;
    int s = socket(AF_INET, SOCK_STREAM, 0);

    *a = loopback();
    if (bind(s, (struct sockaddr *)a, sizeof *a) || listen(s, 4) ||
        getsockname(s, (struct sockaddr *)a, &n))
        exit(99);
    return s;
}

CASE(inet, tcp)
{
    struct sockaddr_in a, peer, own;
    socklen_t n = sizeof peer, m = sizeof own;
    char buf[16] = "";
    int l = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0), s;

    R(connect(c, (struct sockaddr *)&a, sizeof a));
    R(s = accept(l, (struct sockaddr *)&peer, &n));
    SHOW(n);
    R(getsockname(c, (struct sockaddr *)&own, &m));
    SHOW(own.sin_port == peer.sin_port);
    SHOW(ntohl(peer.sin_addr.s_addr));
    R(send(c, "hello", 5, 0));
    R(recv(s, buf, 16, 0));
    show_bytes("got", buf, 5);
    R(connect(c, (struct sockaddr *)&a, sizeof a));
    R(shutdown(c, SHUT_WR));
    R(recv(s, buf, 16, 0));
    R(send(s, "bye", 3, 0));
    R(close(s));
    R(recv(c, buf, 16, MSG_WAITALL));
    R(close(c));
}

CASE(inet, tcp_errors)
{
    struct sockaddr_in a = loopback(), used;
    int l = listener(&used), s = socket(AF_INET, SOCK_STREAM, 0);
    char buf[4];

    R(bind(s, (struct sockaddr *)&used, sizeof used));
    R(close(l));
    R(connect(s, (struct sockaddr *)&used, sizeof used)); /* nobody listens */
    R(send(s, "x", 1, MSG_NOSIGNAL));
    R(recv(s, buf, 1, 0));
    R(connect(s, (struct sockaddr *)&a, 3));
    a.sin_addr.s_addr = inet_addr("192.0.2.1");
    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(accept(s, NULL, NULL));
}

CASE(inet, tcp_nonblocking)
{
    struct sockaddr_in a;
    socklen_t n = 4;
    int l = listener(&a), c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), s, err = -1;
    struct pollfd v = {c, POLLOUT, 0};
    char buf[4];

    R(fcntl(l, F_SETFL, O_NONBLOCK));
    R(accept(l, NULL, NULL));
    R(connect(c, (struct sockaddr *)&a, sizeof a));
    R(poll(&v, 1, 1000));
    SHOW(v.revents);
    R(getsockopt(c, SOL_SOCKET, SO_ERROR, &err, &n));
    SHOW(err);
    R(recv(c, buf, 4, 0));
    R(s = accept4(l, NULL, NULL, SOCK_NONBLOCK));
    R(fcntl(s, F_GETFL));
    R(read(s, buf, 4));
}

CASE(inet, tcp_reset)
{
    struct sockaddr_in a;
    struct linger g = {1, 0};
    int l = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0), s;
    char buf[4];

    R(connect(c, (struct sockaddr *)&a, sizeof a));
    R(s = accept(l, NULL, NULL));
    R(setsockopt(s, SOL_SOCKET, SO_LINGER, &g, sizeof g));
    R(close(s));
    R(recv(c, buf, 4, 0));
    R(send(c, "x", 1, MSG_NOSIGNAL));
}

CASE(inet, options)
{
    int s = socket(AF_INET, SOCK_STREAM, 0), v = 1;
    socklen_t n = sizeof v;

    R(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, 4));
    v = 0;
    R(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n));
    SHOW(v);
    R(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &(int){30}, 4));
    R(getsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, &n));
    SHOW(v);
    R(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &(int){0}, 4));
    R(setsockopt(s, IPPROTO_IP, IP_TTL, &(int){44}, 4));
    R(getsockopt(s, IPPROTO_IP, IP_TTL, &v, &n));
    SHOW(v);
    R(setsockopt(s, IPPROTO_IP, IP_TTL, &(int){1000}, 4));
    R(getsockopt(s, IPPROTO_UDP, 1, &v, &n));
    R(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &n));
    SHOW(v);
}

CASE(inet, udp)
{
    struct sockaddr_in a = loopback(), from;
    socklen_t n = sizeof a;
    int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0);
    static char buf[70000];

    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(getsockname(s, (struct sockaddr *)&a, &n));
    R(sendto(c, "hello", 5, 0, (struct sockaddr *)&a, sizeof a));
    R(sendto(c, "", 0, 0, (struct sockaddr *)&a, sizeof a));
    R(sendto(c, "x", 1, 0, NULL, 0));
    n = sizeof from;
    R(recvfrom(s, buf, 3, MSG_TRUNC, (struct sockaddr *)&from, &n));
    SHOW(n);
    SHOW(ntohl(from.sin_addr.s_addr));
    R(recvfrom(s, buf, 16, 0, NULL, NULL));
    n = 4;
    R(sendto(c, "y", 1, 0, (struct sockaddr *)&a, sizeof a));
    R(recvfrom(s, buf, 16, 0, (struct sockaddr *)&from, &n));
    SHOW(n);
    R(sendto(c, buf, 70000, 0, (struct sockaddr *)&a, sizeof a));
    R(connect(c, (struct sockaddr *)&a, sizeof a));
    R(send(c, "z", 1, 0));
    R(close(s));
    R(recv(c, buf, 16, MSG_DONTWAIT));
    R(send(c, "z", 1, 0));
    R(recv(c, buf, 16, 0));
}

CASE(inet, ancillary_packet_info)
{
    union {
        struct cmsghdr h;
        char space[256];
    } u;
    struct sockaddr_in a = loopback();
    socklen_t n = sizeof a;
    char buf[16] = "";
    struct iovec v = {buf, 16};
    struct msghdr m = {
        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &u, .msg_controllen = sizeof u};
    int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(getsockname(s, (struct sockaddr *)&a, &n));
    R(setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, 4));
    R(setsockopt(s, IPPROTO_IP, IP_RECVTTL, &one, 4));
    R(setsockopt(s, SOL_SOCKET, SO_TIMESTAMP, &one, 4));
    R(sendto(s, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    R(recvmsg(s, &m, 0));
    SHOW(m.msg_controllen);
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
        printf("level %d type %d len %zu\n", h->cmsg_level, h->cmsg_type, h->cmsg_len);
}

CASE(inet, ipv6)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t n = sizeof a;
    int s, c, v = -1;
    char buf[4];

    R(s = socket(AF_INET6, SOCK_DGRAM, 0));
    R(setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &(int){1}, 4));
    R(getsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &v, &(socklen_t){4}));
    SHOW(v);
    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(getsockname(s, (struct sockaddr *)&a, &n));
    SHOW(n);
    R(c = socket(AF_INET6, SOCK_DGRAM, 0));
    R(sendto(c, "x", 1, 0, (struct sockaddr *)&a, sizeof a));
    R(recv(s, buf, 4, MSG_DONTWAIT));
}

CASE(inet, interfaces)
{
    struct ifreq r = {.ifr_name = "lo"};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    R(ioctl(s, SIOCGIFINDEX, &r));
    SHOW(r.ifr_ifindex);
    R(ioctl(s, SIOCGIFFLAGS, &r));
    SHOW(r.ifr_flags & IFF_LOOPBACK);
    R(ioctl(s, SIOCGIFMTU, &r));
    SHOW(r.ifr_mtu);
    R(ioctl(s, SIOCGIFMEM, &r));
    R(ioctl(s, SIOCGIFPFLAGS, &r));
    strcpy(r.ifr_name, "nonesuch");
    R(ioctl(s, SIOCGIFINDEX, &r));
    R(if_nametoindex("lo"));
}

CASE(inet, interface_list)
{
    struct ifreq r[32];
    struct ifconf c = {.ifc_len = sizeof r, .ifc_ifcu = {.ifcu_req = r}};
    int s = socket(AF_INET, SOCK_DGRAM, 0);

    memset(r, 0, sizeof r);
    R(ioctl(s, SIOCGIFCONF, &c));
    SHOW(c.ifc_len);
    for (int i = 0; i < 32 && r[i].ifr_name[0]; i++)
        puts(r[i].ifr_name);
}

CASE(inet, netlink)
{
    struct {
        struct nlmsghdr h;
        struct rtgenmsg g;
    } q = {{sizeof q, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 7, 0}, {AF_UNSPEC}};
    static char buf[65536] __attribute__((aligned(8)));
    struct sockaddr_nl a = {.nl_family = AF_NETLINK};
    socklen_t n = sizeof a;
    int s, loops = 0, done = 0;
    long got;

    R(s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE));
    R(bind(s, (struct sockaddr *)&a, sizeof a));
    R(getsockname(s, (struct sockaddr *)&a, &n));
    SHOW(n);
    SHOW(a.nl_family);
    R(send(s, &q, sizeof q, 0));
    while (!done && (got = recv(s, buf, sizeof buf, 0)) > 0) {
        unsigned len = (unsigned)got;
        for (struct nlmsghdr *h = (struct nlmsghdr *)(void *)buf; NLMSG_OK(h, len);
             h = NLMSG_NEXT(h, len)) {
            done = done || h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
            if (h->nlmsg_type == RTM_NEWLINK)
                loops += (((struct ifinfomsg *)NLMSG_DATA(h))->ifi_flags & IFF_LOOPBACK) != 0;
        }
    }
    SHOW(loops);
    R(socket(AF_NETLINK, SOCK_RAW, 99));
    R(socket(AF_NETLINK, SOCK_STREAM, NETLINK_ROUTE));
}

/* Linux writes to memory that the program shares with it. */
CASE(inet, packets_in_a_ring)
{
    struct sockaddr_in to = loopback();
    struct tpacket_req3 req = {.tp_block_size = 16 * PAGE,
                               .tp_block_nr = 4,
                               .tp_frame_size = 2048,
                               .tp_frame_nr = 128,
                               .tp_retire_blk_tov = 10};
    struct tpacket_stats_v3 stats;
    socklen_t n = sizeof stats;
    int version = TPACKET_V3, s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), found = 0;
    struct sockaddr_ll lo = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_ALL),
                             .sll_ifindex = (int)if_nametoindex("lo")};

    SHOW(s < 0);
    R(setsockopt(s, SOL_PACKET, PACKET_VERSION, &version, sizeof version));
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, 8));
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
    R(bind(s, (struct sockaddr *)&lo, sizeof lo));
    size_t size = (size_t)req.tp_block_size * req.tp_block_nr;
    char *ring = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, s, 0);
    MAPPED(ring);
    if (ring == MAP_FAILED)
        return;
    to.sin_port = htons(9);
    R(sendto(socket(AF_INET, SOCK_DGRAM, 0), "lull's own packet", 17, 0, (struct sockaddr *)&to,
             sizeof to));
    for (int i = 0; i < 100 && !found; i++) {
        sleep_ms(10);
        found = memmem(ring, size, "lull's own packet", 17) != NULL;
    }
    SHOW(found);
    R(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &stats, &n));
    SHOW(n);
    R(setsockopt(s, SOL_PACKET, 999, &version, sizeof version));
    R(munmap(ring, size));
    memset(&req, 0, sizeof req);
    R(setsockopt(s, SOL_PACKET, PACKET_RX_RING, &req, sizeof req));
}
