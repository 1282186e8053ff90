/* SPDX-License-Identifier: MIT */
/*
 * The proxy as the server of QEMU's ivshmem-doorbell device (QEMU, docs/specs/ivshmem-spec,
 * "Client- Server protocol"): peer 0 is the proxy, peer 1 the isle. Vector i of either is core i's.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/qemu_priv.h"
#include "ownfd.h"

#define PROXY_PEER 0
#define ISLE_PEER 1
#define SHM_SIZE 0x100000

/* One message: a number, and a descriptor with it unless that is -1. */
static int tell(int socket, int64_t number, int fd)
{
    struct iovec iov = {&number, sizeof number}; /* little endian, as this processor */
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof control.bytes;
        memset(&control, 0, sizeof control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(socket, &m, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == sizeof number ? 0 : n < 0 ? -errno : -EIO;
}

static int make_eventfd(int *out)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    *out = ownfd_hide(fd);
    return 0;
}

int qemu_doorbell_make(struct engine *e, int *device_end)
{
    int pair[2], r = 0;
    for (unsigned i = 0; i < e->req.ncores && r == 0; i++) {
        struct qemu_core *c = &e->core[i];
        if ((r = make_eventfd(&c->ring)) == 0 && (r = make_eventfd(&c->interrupt)) == 0)
            r = make_eventfd(&c->stop);
    }
    if (r)
        return r;
    e->shm = memfd_create("lull-doorbell", MFD_CLOEXEC);
    if (e->shm < 0)
        return -errno;
    e->shm = ownfd_hide(e->shm);
    if (ftruncate(e->shm, SHM_SIZE) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -errno;
    e->doorbell = ownfd_hide(pair[0]);
    *device_end = ownfd_hide(pair[1]);
    return 0;
}

int qemu_doorbell_serve(struct engine *e)
{
    int r = tell(e->doorbell, 0, -1); /* version */
    if (r == 0)
        r = tell(e->doorbell, ISLE_PEER, -1);
    if (r == 0)
        r = tell(e->doorbell, -1, e->shm);
    for (unsigned i = 0; r == 0 && i < e->req.ncores; i++)
        r = tell(e->doorbell, PROXY_PEER, e->core[i].ring);
    for (unsigned i = 0; r == 0 && i < e->req.ncores; i++)
        r = tell(e->doorbell, ISLE_PEER, e->core[i].interrupt);
    return r;
}

static void close_own(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void qemu_doorbell_close(struct engine *e)
{
    for (unsigned i = 0; i < e->req.ncores; i++) {
        close_own(&e->core[i].ring);
        close_own(&e->core[i].interrupt);
        close_own(&e->core[i].stop);
    }
    close_own(&e->doorbell);
    close_own(&e->shm);
}
