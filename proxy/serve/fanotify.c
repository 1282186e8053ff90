/* SPDX-License-Identifier: MIT */
/*
 * fanotify(7). A read gives descriptors of files that somebody has opened: they are checked as those
 * that open(2) gives, before the program sees them.
 */
#include "serve/fanotify.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>

#include "message.h"
#include "serve/agent.h"
#include "serve/path_priv.h"

#define READ_MAX 65536u
#define INFO_PIDFD 4 /* FAN_EVENT_INFO_TYPE_PIDFD */

static atomic_bool some; /* there may be one: descriptors that are read are looked at */

bool decode_fanotify_init(struct call *c, int64_t *answer)
{
    /* An open waits for the program's permission: the server's own thread would wait with it. A
       thread of the isle is none of Linux's. */
    if (c->user[0] & (FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT | FAN_REPORT_TID)) {
        long fd = server_syscall(SYS_fanotify_init, c->arg[0], c->arg[1], 0, 0);
        if (fd < 0) /* wrong anyway */
            return call_answer(answer, fd);
        server_syscall(SYS_close, fd, 0, 0, 0);
        verbose("refused: fanotify_init with permission events or FAN_REPORT_TID");
        return call_refuse(c, answer);
    }
    atomic_store(&some, true);
    return true;
}

static bool is_fanotify(int fd)
{
    char target[64];
    struct stat st;
    memset(&st, 0, sizeof st);
    return server_syscall(SYS_fstat, fd, (long)&st, 0, 0) == 0 && !(st.st_mode & S_IFMT) &&
           path_of_fd(fd, target, sizeof target) && !strcmp(target, "anon_inode:[fanotify]");
}

void fanotify_came(int fd)
{
    if (!atomic_load_explicit(&some, memory_order_relaxed) && is_fanotify(fd))
        atomic_store(&some, true);
}

bool decode_fanotify_read(struct call *c, int64_t *answer)
{
    if (!atomic_load_explicit(&some, memory_order_relaxed) || c->arg[0] < 0 ||
        !is_fanotify((int)c->arg[0]))
        return true;
    if (c->nr != SYS_read)
        return call_refuse(c, answer);
    size_t n = c->user[2] < READ_MAX ? (size_t)c->user[2] : READ_MAX;
    c->events_to = call_mem(c, c->user[1], n);
    if (!c->events_to)
        return true;
    c->events = arena_alloc(c->mem, n ? n : 1);
    if (!c->events)
        return call_answer(answer, -ENOMEM);
    c->arg[1] = (long)c->events;
    c->arg[2] = (long)n;
    return true;
}

static int checked(struct call *c, int fd)
{
    if (fd < 0)
        return fd;
    if (fd >= c->env->fd_low) {
        server_syscall(SYS_close, fd, 0, 0, 0);
        return FAN_NOFD;
    }
    int64_t r = finish_open(c, fd);
    c->refused = false;
    return r < 0 ? FAN_NOFD : (int)r;
}

static void check_event(struct call *c, char *event, size_t size)
{
    struct fanotify_event_metadata m;
    memcpy(&m, event, sizeof m);
    m.fd = checked(c, m.fd);
    memcpy(event, &m, sizeof m);
    for (size_t at = sizeof m; at + sizeof(struct fanotify_event_info_header) + 4 <= size;) {
        struct fanotify_event_info_header h;
        int pidfd;
        memcpy(&h, event + at, sizeof h);
        if (h.len < sizeof h || h.len > size - at)
            break;
        if (h.info_type == INFO_PIDFD) {
            memcpy(&pidfd, event + at + sizeof h, sizeof pidfd);
            if (pidfd >= c->env->fd_low) {
                server_syscall(SYS_close, pidfd, 0, 0, 0);
                pidfd = FAN_NOFD;
            }
            memcpy(event + at + sizeof h, &pidfd, sizeof pidfd);
        }
        at += h.len;
    }
}

void finish_fanotify_read(struct call *c, int64_t r)
{
    if (!c->events || r <= 0)
        return;
    for (size_t at = 0; at + sizeof(struct fanotify_event_metadata) <= (size_t)r;) {
        uint32_t len;
        memcpy(&len, c->events + at, sizeof len);
        if (len < sizeof(struct fanotify_event_metadata) || len > (size_t)r - at)
            break;
        check_event(c, c->events + at, len);
        at += len;
    }
    memcpy(c->events_to, c->events, (size_t)r);
}
