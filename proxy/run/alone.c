/* SPDX-License-Identifier: MIT */
/*
 * LULL_OP_ALONE: unshare(2), setns(2) and what else Linux gives to a process of one thread, or to
 * the calling thread alone. The program has one thread, the proxy has many. So all of them but the
 * main thread end, and KVM's with the machine; the main thread makes the call; then machine, server
 * and threads are made anew over the isle's memory, and have what their creator has.
 *
 * A namespace of processes for children (CLONE_NEWPID) is kept here: a process that has one cannot
 * create threads. Each fork enters it and comes back.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "message.h"
#include "ownfd.h"
#include "run/run_priv.h"
#include "serve/keys.h"
#include "serve/path_priv.h"
#include "sigstate.h"

#define NAME_SIZE 512 /* of a session's keyring: Linux takes less */
#define PROBE_STACK 16384

static bool own(int fd)
{
    return fd >= ownfd_low() && fd < ownfd_end();
}

/* The name at this address of the program's. 0 or -errno. */
static int copy_name(const struct run *r, uint64_t at, char name[NAME_SIZE])
{
    for (size_t i = 0; i < NAME_SIZE; i++) {
        const char *p = isle_host(&r->isle, (isle_addr){at + i}, 1);
        if (!p)
            return -EFAULT;
        name[i] = *p;
        if (!name[i])
            return 0;
    }
    return -EINVAL;
}

int64_t run_alone(struct run *r, unsigned core, const uint64_t arg[6])
{
    struct alone *a = &r->alone;
    if (!r->isle.windows) /* the machine cannot be made anew */
        return -ENOSYS;
    switch (arg[0]) {
    case SYS_unshare:
        break;
    case SYS_setns:
        if (own((int)arg[1]))
            return -EBADF;
        break;
    case SYS_keyctl: {
        int rc = arg[1] != KEYCTL_JOIN_SESSION_KEYRING ? -EINVAL
                 : arg[2]                              ? copy_name(r, arg[2], a->name)
                                                       : 0;
        if (rc)
            return rc;
        break;
    }
    default:
        return -EINVAL;
    }
    if (!keys_end())
        return -ENOSYS;
    a->core = core;
    memcpy(a->arg, arg, sizeof a->arg);
    pthread_mutex_lock(&r->lock);
    if (!r->done) {
        a->asked = true;
        atomic_store(&r->ending, true);
        sigstate_wake_main(KICK_SIGNAL);
    }
    pthread_mutex_unlock(&r->lock);
    return 0;
}

struct probe {
    long nr, a, b;
    int error;
};

static int probe_main(void *arg)
{
    struct probe *p = arg;
    p->error = syscall(p->nr, p->a, p->b) ? errno : 0;
    return 0;
}

/* What the call would answer: made by a process that ends at once. 0 or -errno. */
static int64_t probe(long nr, long a, long b)
{
    static char stack[PROBE_STACK] __attribute__((aligned(16)));
    struct probe p = {nr, a, b, ENOMEM};
    pid_t pid = clone(probe_main, stack + sizeof stack, CLONE_VM | CLONE_VFORK, &p);
    if (pid < 0)
        return -errno;
    waitpid(pid, NULL, __WCLONE);
    return -p.error;
}

static void children_in(struct run *r, int fd, bool new)
{
    if (r->pid_ns >= 0)
        close(r->pid_ns);
    r->pid_ns = fd;
    r->pid_ns_new = new;
}

static int64_t do_unshare(struct run *r, long flags)
{
    if (flags & CLONE_NEWPID) {
        int64_t rc = probe(SYS_unshare, flags, 0);
        if (rc)
            return rc;
    }
    if (flags & ~CLONE_NEWPID && syscall(SYS_unshare, flags & ~CLONE_NEWPID))
        return -errno;
    if (flags & CLONE_NEWPID)
        children_in(r, -1, true);
    return 0;
}

static int64_t do_setns(struct run *r, int fd, int type)
{
    int kind = ioctl(fd, NS_GET_NSTYPE);
    bool pid_ns = kind >= 0 ? kind == CLONE_NEWPID : type & CLONE_NEWPID;
    if (!pid_ns)
        return syscall(SYS_setns, fd, type) ? -errno : 0;
    int64_t rc = probe(SYS_setns, fd, type);
    if (rc)
        return rc;
    int kept = ownfd_copy(fd);
    if (kept < 0)
        return -EMFILE;
    if (kind < 0 && type & ~CLONE_NEWPID && syscall(SYS_setns, fd, type & ~CLONE_NEWPID)) {
        rc = -errno;
        close(kept);
        return rc;
    }
    children_in(r, kept, false);
    return 0;
}

static int64_t do_call(struct run *r)
{
    struct alone *a = &r->alone;
    switch (a->arg[0]) {
    case SYS_unshare:
        return do_unshare(r, (long)a->arg[1]);
    case SYS_setns:
        return do_setns(r, (int)a->arg[1], (int)a->arg[2]);
    default: {
        long id = syscall(SYS_keyctl, a->arg[1], a->arg[2] ? a->name : NULL);
        return id < 0 ? -errno : id;
    }
    }
}

/* As before vcpus_start(). */
static void threads_anew(struct run *r)
{
    atomic_store(&r->ready, 0);
    atomic_store(&r->start_error, 0);
    atomic_store(&r->go, 0);
    atomic_store(&r->released, 0);
    for (unsigned i = 0; i < r->nvcpus; i++) {
        r->vcpu[i].has_timer = false;
        atomic_store(&r->vcpu[i].wake, 0);
        atomic_store(&r->vcpu[i].parked, 0);
    }
    pthread_mutex_lock(&r->lock);
    r->alone.asked = false;
    if (!r->done)
        atomic_store(&r->ending, false);
    pthread_mutex_unlock(&r->lock);
}

bool run_alone_due(struct run *r)
{
    pthread_mutex_lock(&r->lock);
    bool due = r->alone.asked && !r->done;
    pthread_mutex_unlock(&r->lock);
    return due;
}

void run_alone_serve(struct run *r)
{
    uint64_t first = r->first_ns;
    ownfd_lift(true); /* as before signals_serve() */
    if (!vcpus_stop(r)) {
        run_end(r, LULL_EXIT_FAILED, 0);
        return;
    }
    server_add_stats(r->server, &r->served_before);
    server_stop(r->server);
    marks_close_threads(r);
    r->ops->close(r->engine);
    isle_core(&r->isle, r->alone.core)->ret = do_call(r);
    run_reset_shared(r, false);
    threads_anew(r);
    if (run_start_again(r)) {
        message("the isle cannot go on after system call %u", (unsigned)r->alone.arg[0]);
        exit(LULL_EXIT_FAILED);
    }
    vcpus_go(r);
    r->first_ns = first;
}

/* ---- children in a namespace of processes of their own ---- */

static int open_pid_ns(const char *name)
{
    char path[64];
    int dir = path_self(path, name, 0);
    return ownfd_open(dir, path, O_RDONLY | O_CLOEXEC);
}

/* `pid`, the first process of a namespace that unshare(2) asked for, has it: the next ones get
   it. */
static void keep_pid_ns(struct run *r, pid_t pid, int back)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    if (syscall(SYS_setns, fd, CLONE_NEWPID) == 0) {
        char path[64];
        snprintf(path, sizeof path, "task/%d/ns/pid_for_children", (int)syscall(SYS_gettid));
        r->pid_ns = open_pid_ns(path);
        syscall(SYS_setns, back, CLONE_NEWPID);
    }
    close(fd);
    r->pid_ns_new = false;
}

pid_t run_fork_in(struct run *r, struct fork_wants *w)
{
    if (r->pid_ns < 0 && !r->pid_ns_new)
        return fork_with(w);
    int back = open_pid_ns("ns/pid");
    if (back < 0) {
        errno = ENOSYS;
        return -1;
    }
    if (r->pid_ns_new)
        w->flags |= CLONE_NEWPID;
    else if (syscall(SYS_setns, r->pid_ns, CLONE_NEWPID))
        return -1;
    pid_t pid = fork_with(w);
    int err = errno;
    if (pid == 0) {
        children_in(r, -1, false);
    } else {
        if (!r->pid_ns_new)
            syscall(SYS_setns, back, CLONE_NEWPID);
        else if (pid > 0)
            keep_pid_ns(r, pid, back);
    }
    close(back);
    errno = err;
    return pid;
}
