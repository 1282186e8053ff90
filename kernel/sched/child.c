/* SPDX-License-Identifier: MIT */
#include "sched/child.h"

#include "kernel.h"
#include "mm/mm.h"
#include "sched/futex.h"
#include "signal/signal_priv.h"
#include "sys/sys.h"

#define CHILDREN_MAX 32
#define ARCH_SET_GS 0x1001
#define ARGS_MAX 0x40000u /* strings: more than can be passed on */

/* Between the states of blocks and what /proc shows (mm/block.c, LULL_PROC). */
static struct child *const children = (struct child *)(LULL_KTABLES + LULL_UL(0x980000));
_Static_assert(LULL_UL(0x980000) + CHILDREN_MAX * sizeof(struct child) <= LULL_UL(0x9f0000),
               "room");
static spinlock children_lock;
static u32 children_seen; /* no child from here on has ever been used; children_lock */

static struct child *child_alloc(void)
{
    struct child *c = NULL;
    spin_lock(&children_lock);
    for (u32 i = 0; i < CHILDREN_MAX && !c; i++) {
        if (i < children_seen && children[i].used)
            continue;
        c = &children[i];
        c->used = true;
        children_seen = children_seen > i ? children_seen : i + 1;
    }
    spin_unlock(&children_lock);
    return c;
}

static void child_free(struct child *c)
{
    spin_lock(&children_lock);
    c->used = false;
    spin_unlock(&children_lock);
}

void children_reset(void)
{
    children_lock = (spinlock){0};
    for (u32 i = 0; i < children_seen; i++)
        children[i].used = false;
}

void actions_reset(struct sigaction *actions)
{
    for (u32 i = 0; i < NSIG; i++) {
        if (actions[i].handler > SIG_IGN)
            actions[i] = (struct sigaction){0};
    }
}

/*
 * pid 0: only whether there will be one. Linux makes the descriptor before the process, which does
 * not get a copy of it; here it can be made only when there is a process.
 */
long child_pidfd(const struct child_wants *w, long pid)
{
    u32 fd;
    u64 arg[6] = {pid ? (u64)pid : boot_info()->pid};
    if (!w->pidfd)
        return 0;
    if (!pid && (copy_in(&fd, w->pidfd, sizeof fd) || copy_out(w->pidfd, &fd, sizeof fd)))
        return -EFAULT;
    long r = forward_raw(NR_pidfd_open, arg);
    if (r < 0)
        return r;
    fd = (u32)r;
    if (pid)
        return copy_out(w->pidfd, &fd, sizeof fd);
    arg[0] = fd;
    forward_raw(NR_close, arg);
    return 0;
}

long child_start(struct frame *f, const struct child_wants *w)
{
    struct thread *t = current();
    static const u64 none[6];
    if (t->seccomp || machine.xsave_size > sizeof((struct child *)0)->xsave ||
        boot_info()->flags & LULL_BOOT_F_CHILD_NS)
        return refuse(NR_vfork);
    struct child *c = child_alloc();
    if (!c)
        return -EAGAIN;
    long pid = child_pidfd(w, 0);
    pid = pid ? pid : forward_raw(LULL_NR_SPAWN, none);
    if (pid <= 0) {
        child_free(c);
        return pid == -ENOSYS ? refuse(NR_vfork) : pid;
    }
    c->pid = (i32)pid;
    c->parent = *f;
    c->fsbase = read_fsbase();
    c->mask = t->sig.mask;
    c->alt = t->sig.alt;
    spin_lock(&signal_lock);
    memcpy(c->actions, signal_actions, sizeof c->actions);
    spin_unlock(&signal_lock);
    if (w->clear_sighand)
        actions_reset(c->actions);
    u32 tid = (u32)pid;
    if (w->parent_tid)
        copy_out(w->parent_tid, &tid, sizeof tid);
    if (w->set_tid)
        copy_out(w->set_tid, &tid, sizeof tid);
    child_pidfd(w, pid);
    c->clear_tid = w->clear_tid;
    cpu_xsave(c->xsave, machine.xcr0);
    if (w->stack)
        f->rsp = w->stack;
    if (w->set_tls)
        write_fsbase(w->tls);
    c->tid = t->tid;
    t->tid = c->pid; /* arch/leaf.S answers from here */
    t->child = c;
    this_cpu()->pid = (u32)c->pid;
    return 0;
}

/* The parent goes on, behind its vfork. */
static long child_end(struct frame *f)
{
    struct thread *t = current();
    struct child *c = t->child;
    i32 pid = c->pid;
    u32 zero = 0;
    if (c->clear_tid && copy_out(c->clear_tid, &zero, sizeof zero) == 0)
        futex_wake_addr(c->clear_tid, 1);
    *f = c->parent;
    f->err = FR_FULL;
    f->orig = ~0ul; /* not to be restarted */
    write_fsbase(c->fsbase);
    t->sig.mask = c->mask;
    t->sig.alt = c->alt;
    cpu_xrstor(c->xsave, machine.xcr0);
    t->tid = c->tid;
    t->child = NULL;
    this_cpu()->pid = boot_info()->pid;
    child_free(c);
    if (signal_pending(t))
        thread_set_work(t, WORK_SIGNAL);
    return pid;
}

long sys_vfork(struct frame *f)
{
    const struct child_wants none = {0};
    long r = limit_tasks();
    return r ? r : child_start(f, &none);
}

/* ---- execve ---- */

static bool strings_readable(uaddr list)
{
    for (u32 i = 0; list && i < ARGS_MAX; i++) {
        u64 p;
        if (copy_in(&p, list + i * 8ul, 8))
            return false;
        if (!p)
            return true;
        if (!user_range_ok(p, 1) || user_strnlen((void *)p, 0x20000) < 0)
            return false;
    }
    return true; /* none, or too many: the proxy's business */
}

static u64 ignored_signals(const struct sigaction *actions)
{
    u64 bits = 0;
    for (int s = 1; s <= NSIG; s++)
        bits |= actions[s - 1].handler == SIG_IGN ? sig_bit(s) : 0;
    return bits;
}

/* What goes on after an execve of the program itself. */
static void survivors_show(void)
{
    struct lull_proc *p = (struct lull_proc *)LULL_PROC;
    procinfo_update(); /* the time that it has computed */
    itimers_show(p->itimer);
    signals_show(p);
}

/* at: 1 + a descriptor, 0: none */
static long exec(u64 at, u64 path, bool nofollow, u64 argv, u64 envp)
{
    struct thread *t = current();
    if (!user_range_ok(path, 1) || user_strnlen((void *)path, 4096) < 0 ||
        !strings_readable(argv) || !strings_readable(envp))
        return -EFAULT;
    if (boot_info()->flags & LULL_BOOT_F_CHILD_NS) /* the next image could create no threads */
        return refuse(NR_execve);
    if (t->seccomp && !t->child) /* the next image would not have its filters */
        return refuse(NR_execve);
    u64 arg[6] = {path | at << LULL_EXEC_AT, argv, envp, t->sig.mask, 0, t->affinity[0]};
    arg[3] |= nofollow ? LULL_EXEC_NOFOLLOW : 0;
    spin_lock(&signal_lock);
    arg[4] = ignored_signals(t->child ? t->child->actions : signal_actions);
    spin_unlock(&signal_lock);
    if (!t->child) {
        policy_for_exec();
        survivors_show();
    }
    long r = forward_raw(LULL_NR_EXEC, arg);
    if (!t->child)
        signals_show_end();
    return r == -ENOSYS ? refuse(NR_execve) : r;
}

long sys_execve(struct frame *f)
{
    return exec(0, f->rdi, false, f->rsi, f->rdx);
}

#define AT_FDCWD (-100)

#define AT_SYMLINK_NOFOLLOW 0x100u
#define AT_EMPTY_PATH 0x1000u

long sys_execveat(struct frame *f)
{
    u8 first = 0;
    i32 fd = (i32)f->rdi;
    u32 flags = (u32)f->r8;
    if (flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH))
        return -EINVAL;
    if (copy_in(&first, f->rsi, 1))
        return -EFAULT;
    if (!first && !(flags & AT_EMPTY_PATH))
        return -ENOENT;
    if (!first && fd == AT_FDCWD) /* a directory */
        return -EACCES;
    bool seen_from = fd != AT_FDCWD && first != '/';
    if (seen_from && (fd < 0 || fd >> 16))
        return -EBADF;
    return exec(seen_from ? (u64)fd + 1 : 0, f->rsi, flags & AT_SYMLINK_NOFOLLOW, f->rdx, f->r10);
}

/* ---- what a child may do ---- */

static long child_sigaction(struct frame *f, struct child *c)
{
    int signo = (int)f->rdi;
    struct sigaction new, old;
    long r = sigaction_decode(f, &new);
    if (r)
        return r;
    old = c->actions[signo - 1];
    if (f->rsi)
        c->actions[signo - 1] = new;
    return f->rdx && copy_out(f->rdx, &old, sizeof old) ? -EFAULT : 0;
}

static long child_leave(struct frame *f)
{
    u64 arg[6] = {f->rdi & 0xff};
    forward_raw(LULL_NR_LEAVE, arg);
    return child_end(f);
}

/* Calls that are about the program's memory, which is the child's too, or ask what both know. */
static bool child_shares(u64 nr)
{
    switch (nr) {
    case NR_mprotect:
    case NR_munmap:
    case NR_brk:
    case NR_rt_sigprocmask: /* the thread's own, put back at the end */
    case NR_sched_yield:
    case NR_mremap:
    case NR_madvise:
    case NR_mlock:
    case NR_munlock:
    case NR_mlockall:
    case NR_munlockall:
    case NR_remap_file_pages:
    case NR_mlock2:
    case NR_mseal:
    case NR_nanosleep:
    case NR_gettimeofday:
    case NR_sigaltstack:
    case NR_sched_get_priority_max:
    case NR_sched_get_priority_min:
    case NR_time:
    case NR_futex:
    case NR_io_setup:
    case NR_io_destroy:
    case NR_io_submit:
    case NR_clock_gettime:
    case NR_clock_getres:
    case NR_clock_nanosleep:
    case NR_getcpu:
        return true;
    default:
        return false;
    }
}

long child_dispatch(struct frame *f, u64 nr)
{
    struct child *c = current()->child;
    const struct lull_sysdesc *d = nr < LULL_NR_MAX ? &syscall_table[nr] : NULL;
    switch (nr) {
    case NR_mmap: /* not with the child's descriptors */
        return ((u32)f->r10 & 0x2f) == 0x22 ? syscall_local(f, nr) : refuse(nr);
    case NR_rt_sigaction:
        return child_sigaction(f, c);
    case NR_arch_prctl: /* FS is put back at the end */
        return (u32)f->rdi == ARCH_SET_GS ? refuse(nr) : syscall_local(f, nr);
    case NR_getpid:
    case NR_gettid:
        return c->pid;
    case NR_getppid:
        return (long)boot_info()->pid;
    case NR_execve:
    case NR_execveat: {
        long r = nr == NR_execve ? sys_execve(f) : sys_execveat(f);
        return r ? r : child_end(f);
    }
    case NR_exit:
    case NR_exit_group:
        return child_leave(f);
    case NR_getrlimit: /* limits are the child's own */
    case NR_setrlimit:
    case NR_prlimit64:
    case NR_kill:
        return forward_call(f, d);
    default:
        break;
    }
    if (child_shares(nr))
        return syscall_local(f, nr);
    if (d && d->class >= LULL_SYS_QUICK && d->class < LULL_SYS_INTERNAL)
        return forward_call(f, d);
    return refuse(nr);
}
