/* SPDX-License-Identifier: MIT */
/*
 * Who the program is and how nice. Linux keeps both for each thread; a process has them for all of
 * its threads (credentials(7)), so the proxy changes all of its own. A vfork child's agent is a
 * process of one thread: there Linux's own call is right.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "serve/agent.h"
#include "serve/call.h"
#include "serve/everyone.h"
#include "serve/path_priv.h"
#include "serve/view.h"

#define GROUPS_MAX 65536
#define ATTR_SIZE 56 /* struct sched_attr, version 1 (sched_setattr(2)) */

static int64_t result(long r)
{
    return r < 0 ? -errno : r;
}

/* The C library's functions reach every thread. */
static int64_t change(struct call *c)
{
    const uint64_t *a = c->user;
    switch (c->nr) {
    case SYS_setuid:
        return result(setuid((uid_t)a[0]));
    case SYS_setgid:
        return result(setgid((gid_t)a[0]));
    case SYS_setreuid:
        return result(setreuid((uid_t)a[0], (uid_t)a[1]));
    case SYS_setregid:
        return result(setregid((gid_t)a[0], (gid_t)a[1]));
    case SYS_setresuid:
        return result(setresuid((uid_t)a[0], (uid_t)a[1], (uid_t)a[2]));
    case SYS_setresgid:
        return result(setresgid((gid_t)a[0], (gid_t)a[1], (gid_t)a[2]));
    default: /* setgroups; its list is the proxy's copy */
        return result(setgroups((size_t)c->arg[0], (const gid_t *)c->arg[1]));
    }
}

bool decode_credentials(struct call *c, int64_t *answer)
{
    if (c->nr == SYS_setgroups) {
        uint32_t n = (uint32_t)c->user[0];
        bool fault = false;
        c->arg[0] = (int)n;
        c->arg[1] =
            n && n <= GROUPS_MAX ? (long)call_dup(c, c->user[1], n * sizeof(gid_t), &fault) : 0;
        if (n && !c->arg[1] && n <= GROUPS_MAX && !fault)
            return call_answer(answer, -ENOMEM);
        if (n && !c->arg[1]) { /* Linux says what is wrong first */
            c->arg[1] = (long)LULL_BAD_PTR;
            return true;
        }
    }
    if (agent_acting())
        return true;
    if (!c->env->credentials_changed) /* nobody to tell: not an isle */
        return call_refuse(c, answer);
    everyone_lock();
    int64_t r = change(c);
    everyone_unlock();
    if (r >= 0)
        c->env->credentials_changed(c->env->exec_ctx);
    return call_answer(answer, r);
}

/*
 * capset(2): a header of 8 bytes and a structure of 12 bytes for each 32 capabilities, of which the
 * first version has 32. Linux answers what is wrong with the header.
 */
bool decode_capset(struct call *c, int64_t *answer)
{
    struct {
        uint32_t version;
        int pid;
    } head;
    char *own = arena_alloc(c->mem, sizeof head + 24);
    c->arg[1] = c->user[1] ? (long)LULL_BAD_PTR : 0;
    if (!own)
        return call_answer(answer, -ENOMEM);
    if (!call_copy_in(c, &head, c->user[0], sizeof head))
        return true;
    size_t size = head.version == 0x19980330 ? 12 : 24;
    if (head.pid == c->env->pid) /* whichever thread makes the call */
        head.pid = 0;
    memcpy(own, &head, sizeof head);
    bool whole = call_copy_in(c, own + sizeof head, c->user[1], size);
    if (head.pid == 0 && whole)
        c->arg[1] = (long)(own + sizeof head);
    bool known =
        head.version == 0x19980330 || head.version == 0x20071026 || head.version == 0x20080522;
    if (agent_acting() || !whole || !known || !c->env->credentials_changed)
        return true;
    c->arg[0] = (long)own;
    return call_answer(answer, everyone_calls((long[6]){SYS_capset, c->arg[0],
                                                        (long)(own + sizeof head), 0, 0, 0}));
}

int64_t threads_each(int pid, int (*set)(pid_t tid, int value), int value)
{
    char name[64];
    int dir = path_self(name, pid ? "../%d/task" : "task", pid);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    int main = pid ? pid : getpid();
    int64_t r = 0;
    if (!d) {
        if (fd >= 0)
            close(fd);
        return -ENOSYS;
    }
    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        int tid = path_thread(dirfd(d), e->d_name);
        /* a thread of KVM's in the process keeps the user that it was made by: EPERM */
        if (tid > 0 && set(tid, value) && errno != ESRCH && (errno != EPERM || tid == main))
            r = -errno;
    }
    closedir(d);
    return r;
}

static int nice_set(pid_t tid, int value)
{
    return setpriority(PRIO_PROCESS, (id_t)tid, value);
}

/* KVM has a thread in this process that keeps the user it was made by, so Linux says EPERM of the
   group that this process leads; it is as if that thread was not in it. */
static bool group_led(int which, int who)
{
    return which == PRIO_PGRP && getpgrp() == getpid() && (who == 0 || who == getpid());
}

bool decode_setpriority(struct call *c, int64_t *answer)
{
    int which = (int)c->user[0], who = (int)c->user[1];
    if (!agent_acting() && c->env->credentials_changed && group_led(which, who)) {
        long r = server_syscall(SYS_setpriority, which, who, (int)c->user[2], 0);
        return call_answer(answer, r == -EPERM ? threads_each(0, nice_set, (int)c->user[2]) : r);
    }
    bool own = who == 0 || who == c->env->pid;
    if (which != PRIO_PROCESS || agent_acting() || !c->env->credentials_changed)
        return true;
    if (!own && (who < 0 || call_shows_proxy(c, who) || !peer_is_isle(who)))
        return true;
    return call_answer(answer, threads_each(own ? 0 : who, nice_set, (int)c->user[2]));
}

bool schedules_peer(struct call *c)
{
    int prio = 0;
    if (c->nr == SYS_sched_setparam)
        call_copy_in(c, &prio, c->user[1], sizeof prio);
    else if (c->nr == SYS_sched_setscheduler)
        call_copy_in(c, &prio, c->user[2], sizeof prio);
    else
        prio = 1;
    return prio && !agent_acting() && peer_is_isle((int)c->user[0]);
}

/* The structure says itself how long it is: Linux reads a copy, which says no more than is
   there. */
bool decode_sched_setattr(struct call *c, int64_t *answer)
{
    uint32_t size;
    if (!call_copy_in(c, &size, c->user[1], sizeof size))
        return call_answer(answer, -EFAULT);
    if (size == 0 || size > ATTR_SIZE) /* what is longer was found to be zero by the kernel */
        size = size ? ATTR_SIZE : 48;
    char *own = arena_alloc(c->mem, ATTR_SIZE);
    if (!own)
        return call_answer(answer, -ENOMEM);
    memset(own, 0, ATTR_SIZE);
    if (!call_copy_in(c, own, c->user[1], size))
        return call_answer(answer, -EFAULT);
    memcpy(own, &size, sizeof size);
    c->arg[1] = (long)own;
    return true;
}
