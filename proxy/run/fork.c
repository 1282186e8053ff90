/* SPDX-License-Identifier: MIT */
/*
 * fork(2) of the program: the proxy forks, Linux copies the isle's memory as it is written to, and
 * the child makes a machine of its own over the same addresses. Its cores begin like those of a new
 * isle; the kernel finds the thread that forked in its memory and lets it go on (sched/fork.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "carve/hold.h"
#include "message.h"
#include "ownfd.h"
#include "run/run_priv.h"
#include "serve/aio.h"
#include "serve/path_priv.h"

/* What the threads that are not here any more had open. */
static void close_parents(struct run *r)
{
    marks_close(r);
    if (r->signal_fd >= 0)
        close(r->signal_fd);
    if (r->clock_fd >= 0)
        close(r->clock_fd);
    r->ops->close(r->engine);
}

/* A map that has not been written yet may be written by anybody. */
static bool user_maps_missing(void)
{
    static const char *const names[] = {"uid_map", "gid_map"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[64], byte;
        int dir = path_self(path, names[i], 0);
        int fd = ownfd_open(dir, path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 1 : read(fd, &byte, 1); /* without user namespaces: no file */
        if (fd >= 0)
            close(fd);
        if (n == 0)
            return true;
    }
    return false;
}

_Static_assert(LULL_CHANNELS % LULL_PAGE == 0 && LULL_CHAN_STRIDE % LULL_PAGE == 0, "whole pages");

/* `forked`: its pages are copies on write, which Linux takes back faster than it copies them. */
static void channel_clear(struct lull_channel *c, bool forked)
{
    if (!forked || madvise(c, LULL_CHAN_STRIDE, MADV_DONTNEED))
        memset(c, 0, sizeof *c);
}

void run_reset_shared(struct run *r, bool forked)
{
    struct lull_boot *b = (struct lull_boot *)LULL_BOOT;
    b->pid = (uint32_t)getpid();
    b->ppid = (uint32_t)getppid();
    b->flags &= ~(LULL_BOOT_F_ASK_USER | LULL_BOOT_F_CHILD_NS);
    b->flags |= user_maps_missing() ? LULL_BOOT_F_ASK_USER : 0;
    b->flags |= r->pid_ns >= 0 || r->pid_ns_new ? LULL_BOOT_F_CHILD_NS : 0;
    b->uid = getuid(); /* numbers of a new user namespace */
    b->euid = geteuid();
    b->gid = getgid();
    b->egid = getegid();
    b->forks++;
    timepage_renew();
    if (forked && r->req->opt->spin_us == OPTIONS_SPIN_DEFAULT)
        b->flags |= LULL_BOOT_F_FORKED;
    if (forked) {
        memset((void *)LULL_SIGNALS, 0, sizeof(struct lull_signals));
        memset((void *)LULL_SYSSTAT, 0, sizeof(struct lull_sysstat));
    }
    for (unsigned i = 0; i < r->nvcpus; i++) {
        struct lull_core *c = isle_core(&r->isle, i);
        channel_clear(isle_channel(&r->isle, i), forked);
        if (forked) {
            memset(c->kcount, 0, sizeof c->kcount);
            memset(&c->gaps, 0, sizeof c->gaps);
            c->watch = 0;
        }
        c->bell = forked || i ? 0 : LULL_BELL_SIGNAL; /* some may have come meanwhile */
        c->state = LULL_CORE_BUSY;
    }
}

int run_start_again(struct run *n)
{
    int rc = open_engine_of(n);
    if (rc)
        return rc;
    rc = isle_attach(&n->isle, n->ops->add_memory, n->engine);
    if (rc == 0)
        rc = n->ops->start(n->engine);
    if (rc == 0)
        rc = start_server(n);
    return rc ? rc : vcpus_start(n);
}

static _Noreturn void child_main(struct run *r, struct isle_copies *copies)
{
    struct options opt = *r->req->opt;
    struct run_request req = *r->req;
    struct run *n = calloc(1, sizeof *n);
    struct vcpu *vcpu = calloc(r->nvcpus, sizeof *vcpu);
    int status = LULL_EXIT_FAILED;
    limits_forked();
    view_forked();
    aio_forked();
    vcpu_forget();
    run_block_signals();
    limits_lift();
    ownfd_lift(true);
    hold_fork(req.hold);
    limits_lower();
    sched_setaffinity(0, sizeof req.affinity, &req.affinity);
    close_parents(r);
    /* one report of one run; nor is the child's time the parent's */
    opt.report = false;
    opt.report_file = NULL;
    opt.timeout_s = 0;
    struct settings settings = {0};
    hold_settings(req.hold, &settings);
    req.settings = &settings;
    req.opt = &opt;
    req.started_ns = now_ns();
    req.limits.cpu_ns = 0;
    if (!n || !vcpu || isle_fork_child(&r->isle, copies)) {
        message("out of memory");
        _exit(status);
    }
    n->req = &req;
    n->vcpu = vcpu;
    n->nvcpus = r->nvcpus;
    n->mapped = r->mapped;
    n->nodes = r->nodes;
    n->signal_fd = n->clock_fd = -1;
    n->pid_ns = -1;
    n->tsc_khz = r->tsc_khz;
    memcpy(&n->isle, &r->isle, sizeof n->isle);
    pthread_mutex_init(&n->isle.lock, NULL);
    pthread_mutex_init(&n->exec_lock, NULL);
    pthread_mutex_init(&n->lock, NULL);
    pthread_mutex_init(&n->signal_lock, NULL);
    n->isle.add_memory = NULL;
    run_reset_shared(n, true);
    timepage_forked();
    status = run_start_again(n);
    if (status == 0) {
        vcpus_go(n);
        for (signals_serve(n); run_alone_due(n); signals_serve(n))
            run_alone_serve(n);
        ownfd_lift(true);
        run_exec_over(n);
        status = n->result.status;
        if (vcpus_stop(n)) {
            server_stop(n->server);
            n->ops->close(n->engine); /* a thread of KVM's keeps the cores' cpuset until then */
        }
        run_threads_ended();
    }
    limits_lift();
    hold_release(req.hold);
    run_keep_memory();
    if (n && n->result.signo)
        run_die_by(n->result.signo);
    _exit(status);
}

/* 0 or -errno. */
static int decode_wants(const struct run *r, const uint64_t arg[6], struct fork_wants *w)
{
    *w = (struct fork_wants){.flags = arg[0], .exit_signal = arg[1], .cgroup = -1};
    if (arg[0] & ~LULL_FORK_FLAGS || arg[1] > 64 || arg[4] > FORK_SET_TID_MAX)
        return -EINVAL;
    w->set_tid_size = (unsigned)arg[4];
    if (arg[4] && isle_copy_kernel(&r->isle, w->set_tid, arg[3], arg[4] * sizeof w->set_tid[0]))
        return -EFAULT;
    if (!(arg[0] & CLONE_INTO_CGROUP))
        return 0;
    if (arg[2] > INT32_MAX || ((int)arg[2] >= ownfd_low() && (int)arg[2] < ownfd_end()))
        return -EBADF;
    w->cgroup = (int)arg[2];
    return 0;
}

int64_t run_fork(struct run *r, const uint64_t arg[6])
{
    struct fork_wants wants;
    if (!r->isle.windows) /* its memory is not private: nothing would be copied */
        return -ENOSYS;
    int bad = decode_wants(r, arg, &wants);
    if (bad)
        return bad;
    /* nobody is half way through what the child goes on with */
    hold_before_fork(r->req->hold);
    pthread_mutex_lock(&r->isle.lock);
    struct isle_copies *copies;
    int rc = isle_fork_before(&r->isle, &copies);
    if (rc) {
        pthread_mutex_unlock(&r->isle.lock);
        hold_after_fork(r->req->hold);
        return rc;
    }
    mapped_lock(r->mapped, true);
    /* No core of the isle runs. The child's copy says from the start that its main thread does not
       wait, because this process may look as soon as there is a child. */
    uint32_t *waits = &((struct lull_threads *)LULL_THREAD_TABLE)->main_waits, waited = *waits;
    *waits = 0;
    pid_t pid = run_fork_in(r, &wants);
    int err = errno;
    mapped_lock(r->mapped, false);
    if (pid != 0)
        hold_after_fork(r->req->hold);
    if (pid == 0)
        child_main(r, copies);
    *waits = waited;
    isle_fork_parent(copies);
    pthread_mutex_unlock(&r->isle.lock);
    return pid < 0 ? -err : pid;
}
