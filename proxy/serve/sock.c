/* SPDX-License-Identifier: MIT */
/* Addresses and options of sockets. */
#include <errno.h>
#include <linux/netlink.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <linux/netfilter_ipv4/ip_tables.h> /* behind netinet/in.h */

#include <lull/syscalls.h>

#include "serve/call.h"

#define OPTION_MAX 65536 /* bytes of an option of which a part may be written */

struct address_copy {
    struct sockaddr_storage own;
    int own_len; /* what Linux reads and writes */
    int room;    /* what the isle has for it */
    int may;     /* bytes of it that may be written */
    char *dst, *len_dst;
};

/*
 * Argument i receives an address, argument i + 1 holds its length, in and out. With a copy of both,
 * Linux reads the length that was checked.
 */
bool decode_sockaddr(struct call *c, unsigned i, int64_t *answer)
{
    c->arg[i] = (long)(c->user[i] ? LULL_BAD_PTR : 0);
    if (c->user[i] == 0 || c->user[i + 1] == 0)
        return true;
    struct address_copy *a = arena_alloc(c->mem, sizeof *a);
    if (!a)
        return call_answer(answer, -ENOMEM);
    memset(a, 0, sizeof *a);
    if (!call_copy_in(c, &a->room, c->user[i + 1], sizeof a->room)) {
        c->arg[i + 1] = (long)LULL_BAD_PTR;
        return true;
    }
    if (a->room > (int)sizeof a->own)
        a->room = sizeof a->own;
    a->own_len = a->room;
    a->len_dst = call_mem(c, c->user[i + 1], sizeof a->room);
    c->arg[i + 1] = (long)&a->own_len;
    if (a->room > 0) {
        uint64_t have = i == 1 ? c->user[LULL_ARG_HAVE] : 0;
        a->may = have && have - 1 < (uint64_t)a->room ? (int)(have - 1) : a->room;
        a->dst = call_mem(c, c->user[i], (uint64_t)a->may);
        if (a->dst)
            c->arg[i] = (long)&a->own;
    }
    c->addr = a;
    return true;
}

unsigned address_room(const struct address_copy *a)
{
    return a && a->room > 0 ? (unsigned)a->room : 0;
}

void address_came(struct address_copy *a, unsigned len)
{
    if (a)
        a->own_len = (int)len;
}

int64_t finish_sockaddr(struct call *c, int64_t r)
{
    struct address_copy *a = c->addr;
    if (r < 0)
        return r;
    int n = a->own_len < a->room ? a->own_len : a->room;
    if (a->dst && n > a->may) {
        if (call_makes_fd(c->nr, c->user))
            server_syscall(SYS_close, r, 0, 0, 0);
        return -EFAULT;
    }
    if (n > 0)
        call_back(c, a->dst, &a->own, (size_t)n, false);
    call_back(c, a->len_dst, &a->own_len, sizeof a->own_len, false);
    return r;
}

/* Linux has them since 6.5 and 6.7; not in every linux/socket.h, linux/tcp.h. */
#define SO_PEERPIDFD_NR 77
#define SO_LAST_KNOWN 83 /* SO_INQ */
#define TCP_AO_GET_KEYS_NR 41
#define TCP_LAST_KNOWN 46 /* TCP_DELACK_MAX_US */
#define UDP_LAST_KNOWN 104
#define TABLE_MAX (16u << 20) /* bytes */
#define NETLINK_LAST_KNOWN 12
#define PACKET_FANOUT_DATA_NR 22 /* a program of BPF */
#define PACKET_LAST_KNOWN 24

/* Linux may get it one day; a number that lies further off has no meaning, and Linux says so. */
static bool option_is_new(int name, int last)
{
    return name > last && name < 256;
}

/*
 * Options whose value is just its bytes, of those that are known. Others carry pointers into the
 * caller's memory (socket filters, TCP_ZEROCOPY_RECEIVE, tables of netfilter), lengths in other
 * units (TCP_AO_GET_KEYS), or make descriptors.
 */
static bool option_is_plain(int level, int name)
{
    switch (level) {
    case SOL_SOCKET:
        return !option_is_new(name, SO_LAST_KNOWN) && name != SO_ATTACH_FILTER &&
               name != SO_ATTACH_BPF && name != SO_ATTACH_REUSEPORT_CBPF &&
               name != SO_ATTACH_REUSEPORT_EBPF;
    case IPPROTO_IP:
        return name < 64;
    case IPPROTO_IPV6:
        return name < 64 || name == IPV6_RECVTCLASS || name == IPV6_TCLASS ||
               (name >= 70 && name <= 78);
    case IPPROTO_TCP:
        return name <= TCP_LAST_KNOWN && name != TCP_ZEROCOPY_RECEIVE && name != TCP_AO_GET_KEYS_NR;
    case IPPROTO_UDP:
        return !option_is_new(name, UDP_LAST_KNOWN);
    case SOL_NETLINK:
        return !option_is_new(name, NETLINK_LAST_KNOWN);
    case SOL_PACKET:
        return !option_is_new(name, PACKET_LAST_KNOWN) && name != PACKET_FANOUT_DATA_NR;
    default:
        return false;
    }
}

/* Linux says at once that a protocol has no options of another one. */
static bool option_is_foreign(const struct call *c, int level)
{
    int domain = -1, protocol = -1;
    socklen_t len = sizeof domain;
    if (level == SOL_SOCKET || level == IPPROTO_IP || level == IPPROTO_IPV6 || level == SOL_TLS)
        return false;
    if (server_syscall6(SYS_getsockopt, (const long[6]){c->arg[0], SOL_SOCKET, SO_DOMAIN,
                                                        (long)&domain, (long)&len}) < 0)
        return true; /* not a socket */
    len = sizeof protocol;
    server_syscall6(SYS_getsockopt, (const long[6]){c->arg[0], SOL_SOCKET, SO_PROTOCOL,
                                                    (long)&protocol, (long)&len});
    return domain == AF_UNIX ||
           ((domain == AF_INET || domain == AF_INET6) &&
            (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && level != protocol);
}

static bool option_passes(const struct call *c)
{
    int level = (int)c->user[1];
    return option_is_plain(level, (int)c->user[2]) || option_is_foreign(c, level);
}

/*
 * A table of netfilter, of IPv4 or IPv6: a structure with one pointer, to where Linux writes the
 * counters of the table that goes. The kernel's copy is used once, ours.
 */
static bool decode_table(struct call *c, int64_t *answer)
{
    uint64_t len = c->user[4];
    if (len < sizeof(struct ipt_replace) || len > TABLE_MAX)
        return true;
    char *own = arena_alloc(c->mem, len);
    if (!own)
        return call_answer(answer, -ENOMEM);
    c->arg[3] = (long)LULL_BAD_PTR;
    if (!call_copy_in(c, own, c->user[3], len))
        return true;
    struct ipt_replace head;
    memcpy(&head, own, sizeof head);
    if (head.num_counters > TABLE_MAX / sizeof(struct xt_counters))
        return call_answer(answer, -ENOMEM); /* Linux: more than it allocates */
    head.counters = call_ptr(c, (uintptr_t)head.counters,
                             (uint64_t)head.num_counters * sizeof(struct xt_counters));
    memcpy(own, &head, sizeof head);
    c->arg[3] = (long)own;
    return true;
}

bool decode_setsockopt(struct call *c, int64_t *answer)
{
    int level = (int)c->user[1];
    if ((level == IPPROTO_IP || level == IPPROTO_IPV6) && (int)c->user[2] == IPT_SO_SET_REPLACE)
        return decode_table(c, answer);
    return option_passes(c) ? true : call_refuse(c, answer);
}

/* SO_PEERPIDFD: Linux makes a descriptor, and its number is looked at before the isle has it. */
static bool decode_peer_descriptor(struct call *c, int *len, int64_t *answer)
{
    void *dst = call_mem(c, c->user[3], sizeof *c->made);
    if (*len < (int)sizeof *c->made)
        return *len < 0 ? true : call_refuse(c, answer);
    c->arg[3] = (long)LULL_BAD_PTR;
    if (!dst)
        return true;
    c->made = arena_alloc(c->mem, sizeof *c->made);
    if (!c->made)
        return call_answer(answer, -ENOMEM);
    c->arg[3] = (long)c->made;
    call_back(c, dst, c->made, sizeof *c->made, false);
    return true;
}

bool decode_getsockopt(struct call *c, int64_t *answer)
{
    if (!option_passes(c))
        return call_refuse(c, answer);
    bool fault;
    int *len = call_dup(c, c->user[4], sizeof *len, &fault);
    if (!len && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[3] = (long)(c->user[3] ? LULL_BAD_PTR : 0);
    c->arg[4] = (long)LULL_BAD_PTR;
    if (!len)
        return true;
    uint64_t have = c->user[LULL_ARG_HAVE];
    if (*len > 0)
        c->arg[3] = (long)call_ptr(c, c->user[3], (uint64_t)*len);
    if (*len > 0 && *len <= OPTION_MAX && have && have - 1 < (uint64_t)*len &&
        !call_bounce(c, 3, (uint64_t)*len, have - 1))
        return call_answer(answer, -ENOMEM);
    c->arg[4] = (long)len;
    if (!c->readonly)
        call_back(c, call_mem(c, c->user[4], sizeof *len), len, sizeof *len, true);
    if ((int)c->user[1] == SOL_SOCKET && (int)c->user[2] == SO_PEERPIDFD_NR)
        return decode_peer_descriptor(c, len, answer);
    return true;
}
