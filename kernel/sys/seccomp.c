/* SPDX-License-Identifier: MIT */
/*
 * Filters lie in memory of their own (lull/seccomp.h). A filter is never changed once a thread has
 * it, and a thread's new filter leads to its old one, so filters run without a lock. Memory that no
 * living thread's filter leads to is free.
 */
#include "sys/seccomp.h"

#include "kernel.h"
#include "signal/signal_priv.h"
#include "sys/bpf.h"
#include "sys/sys.h"

#define SET_MODE_STRICT 0
#define SET_MODE_FILTER 1
#define GET_ACTION_AVAIL 2
#define GET_NOTIF_SIZES 3
#define FLAG_TSYNC 0x01u
#define FLAG_NEW_LISTENER 0x08u
#define FLAG_TSYNC_ESRCH 0x10u
#define FLAG_WAIT_KILLABLE_RECV 0x20u
#define FLAGS_KNOWN 0x3fu
#define RET_KILL_PROCESS 0x80000000u
#define RET_KILL_THREAD 0x00000000u
#define RET_TRAP 0x00030000u
#define RET_ERRNO 0x00050000u
#define RET_USER_NOTIF 0x7fc00000u
#define RET_TRACE 0x7ff00000u
#define RET_LOG 0x7ffc0000u
#define RET_ALLOW 0x7fff0000u
#define RET_ACTION 0xffff0000u
#define RET_DATA 0xffffu
#define MAX_ERRNO 4095u
#define AUDIT_ARCH_X86_64 0xc000003eu
#define SYS_SECCOMP_CODE 1 /* si_code */
#define UNIT LULL_FILTER_UNIT

static u64 units[LULL_FILTERS_MAX / 64]; /* under threads_lock: memory in use */

static struct lull_filter *filter_at(u32 n)
{
    return (struct lull_filter *)(LULL_SECCOMP + (u64)(n - 1) * UNIT);
}

/* ---- judging ---- */

static bool strict_allows(u32 nr)
{
    return nr == NR_read || nr == NR_write || nr == NR_rt_sigreturn || nr == NR_exit;
}

/* What the thread's filters say: the strictest, of equals the newest. */
static u32 filters_say(const struct seccomp_data *data)
{
    u32 value = RET_ALLOW;
    for (u32 n = __atomic_load_n(&current()->filter, __ATOMIC_ACQUIRE); n; n = filter_at(n)->prev) {
        u32 v = bpf_run(filter_at(n)->insn, data);
        if ((i32)(v & RET_ACTION) < (i32)(value & RET_ACTION))
            value = v;
    }
    return value;
}

static struct siginfo sigsys_info(u32 nr, u64 ip, u32 reason)
{
    struct siginfo info = {.signo = SIGSYS, .err = (i32)reason, .code = SYS_SECCOMP_CODE};
    info.u.sys.call = ip;
    info.u.sys.nr = (i32)nr;
    info.u.sys.arch = AUDIT_ARCH_X86_64;
    return info;
}

void seccomp_trap(struct frame *f, u32 nr, u64 ip, long reason)
{
    struct siginfo info = sigsys_info(nr, ip, (u32)reason);
    f->orig = ~0ul; /* not to be restarted */
    signal_force_info(f, &info, false);
}

static void kill_by_filter(struct frame *f, u32 nr, u32 value)
{
    if ((value & RET_ACTION) == RET_KILL_THREAD &&
        __atomic_load_n(&threads_alive, __ATOMIC_SEQ_CST) > 1)
        thread_exit(0, SIGSYS);
    struct siginfo info = sigsys_info(nr, f->rip, value & RET_DATA);
    signal_force_info(f, &info, true);
}

enum seccomp_verdict seccomp_judge(struct frame *f, u32 nr, long *answer)
{
    struct thread *t = current();
    struct seccomp_data data = {(i32)nr, AUDIT_ARCH_X86_64, f->rip, {0}};
    if (t->child) /* it was created without a filter */
        return SECCOMP_PASS;
    if (__atomic_load_n(&t->seccomp, __ATOMIC_ACQUIRE) == SECCOMP_MODE_STRICT) {
        if (strict_allows(nr))
            return SECCOMP_PASS;
        thread_exit(0, SIGKILL);
    }
    for (unsigned i = 0; i < 6; i++)
        data.arg[i] = frame_arg(f, i);
    u32 value = filters_say(&data), low = value & RET_DATA;
    switch (value & RET_ACTION) {
    case RET_ALLOW:
    case RET_LOG:
        return SECCOMP_PASS;
    case RET_ERRNO:
        *answer = -(long)(low < MAX_ERRNO ? low : MAX_ERRNO);
        break;
    case RET_TRACE: /* nobody traces, nobody is notified */
    case RET_USER_NOTIF:
        *answer = -ENOSYS;
        break;
    case RET_TRAP:
        *answer = low;
        return SECCOMP_SIGNAL;
    default:
        kill_by_filter(f, nr, value);
    }
    f->orig = ~0ul; /* whatever the number means, it is no restart */
    return SECCOMP_ANSWER;
}

/* ---- memory: all under threads_lock ---- */

static void units_take(u32 n, u32 len)
{
    for (u64 i = n - 1, end = i + lull_filter_bytes(len) / UNIT; i < end; i++)
        units[i / 64] |= 1ul << (i % 64);
}

static bool unit_taken(u32 n)
{
    return units[(n - 1) / 64] >> ((n - 1) % 64) & 1;
}

static void units_count(void)
{
    memset(units, 0, sizeof units);
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        const struct thread *t = CONTAINER(l, struct thread, all);
        if (t->filter_new)
            units_take(t->filter_new, filter_at(t->filter_new)->len);
        for (u32 n = t->filter; n && !unit_taken(n); n = filter_at(n)->prev)
            units_take(n, filter_at(n)->len);
    }
}

/* Room for a filter of `len` instructions, which is the current thread's filter_new; 0: none. */
static u32 filter_alloc(u32 len)
{
    u32 need = (u32)(lull_filter_bytes(len) / UNIT), run = 0;
    spin_lock(&threads_lock);
    units_count();
    u32 n = 1;
    while (n <= LULL_FILTERS_MAX && run < need) {
        run = unit_taken(n) ? 0 : run + 1;
        n++;
    }
    u32 at = run == need ? n - need : 0;
    if (at) {
        *filter_at(at) = (struct lull_filter){.len = len};
        current()->filter_new = at;
    }
    spin_unlock(&threads_lock);
    return at;
}

void seccomp_inherit(struct thread *t, const struct thread *from)
{
    spin_lock(&threads_lock); /* or somebody may synchronise filters between the two */
    t->filter = from->filter;
    t->seccomp = from->seccomp;
    spin_unlock(&threads_lock);
}

u32 seccomp_depth(const struct thread *t)
{
    return t->filter ? filter_at(t->filter)->depth : 0;
}

/* ---- installing ---- */

/* Under threads_lock: whether all filters of `t` are filters of the current thread. */
static bool is_ancestor(const struct thread *t)
{
    u32 n = current()->filter;
    while (n && n != t->filter)
        n = filter_at(n)->prev;
    return n == t->filter;
}

/* Under threads_lock: the number of a thread that cannot have the current one's filters, 0:
   none. */
static long who_differs(void)
{
    for (struct list *l = threads_all.next; l != &threads_all; l = l->next) {
        const struct thread *t = CONTAINER(l, struct thread, all);
        if (t != current() && t->seccomp && (t->seccomp != SECCOMP_MODE_FILTER || !is_ancestor(t)))
            return t->tid;
    }
    return 0;
}

static void thread_filter(struct thread *t, u32 n)
{
    __atomic_store_n(&t->filter, n, __ATOMIC_RELEASE);
    __atomic_store_n(&t->seccomp, SECCOMP_MODE_FILTER, __ATOMIC_RELEASE);
}

/* Under threads_lock: the current thread's new filter, which has been checked, binds it. */
static long attach(u32 flags, u32 size)
{
    struct thread *me = current();
    struct lull_filter *new = filter_at(me->filter_new);
    u32 total = size;
    for (u32 n = me->filter; n; n = filter_at(n)->prev)
        total += filter_at(n)->size + LULL_FILTER_PENALTY;
    if (total > LULL_FILTER_TOTAL)
        return -ENOMEM;
    long other = flags & FLAG_TSYNC ? who_differs() : 0;
    if (other)
        return flags & FLAG_TSYNC_ESRCH ? -ESRCH : other;
    new->size = size;
    new->prev = me->filter;
    new->depth = seccomp_depth(me) + 1;
    thread_filter(me, me->filter_new);
    for (struct list *l = threads_all.next; flags & FLAG_TSYNC && l != &threads_all; l = l->next)
        thread_filter(CONTAINER(l, struct thread, all), me->filter_new);
    return 0;
}

/* Whether the process may: no_new_privs, or CAP_SYS_ADMIN. Linux's mode binds the proxy: strict. */
static long ask_linux(u64 option)
{
    return forward_raw(NR_prctl, (const u64[6]){option, SECCOMP_MODE_FILTER});
}

static long install(u32 flags, uaddr insn, u32 len)
{
    static u16 scratch[LULL_FILTER_LEN];
    static spinlock scratch_lock;
    struct thread *me = current();
    u32 n = filter_alloc(len);
    if (!n)
        return -ENOMEM;
    struct lull_filter *new = filter_at(n);
    long r = copy_in(new->insn, insn, len * sizeof *new->insn) ? -EFAULT : 0;
    if (r == 0) {
        spin_lock(&scratch_lock);
        r = bpf_check(new->insn, len, scratch) ? 0 : -EINVAL;
        spin_unlock(&scratch_lock);
    }
    if (r == 0 && flags & FLAG_NEW_LISTENER)
        r = refuse(NR_seccomp);
    if (r == 0)
        rewrite_leaves_off();
    spin_lock(&threads_lock);
    if (r == 0)
        r = attach(flags, bpf_size(new->insn, len));
    me->filter_new = 0;
    spin_unlock(&threads_lock);
    return r;
}

static long set_filter(u64 flags, uaddr args)
{
    struct {
        u16 len;
        u64 insn;
    } prog;
    if (flags & ~(u64)FLAGS_KNOWN)
        return -EINVAL;
    if (flags & FLAG_TSYNC && flags & FLAG_NEW_LISTENER && !(flags & FLAG_TSYNC_ESRCH))
        return -EINVAL;
    if (flags & FLAG_WAIT_KILLABLE_RECV && !(flags & FLAG_NEW_LISTENER))
        return -EINVAL;
    if (copy_in(&prog, args, sizeof prog))
        return -EFAULT;
    if (!prog.len || prog.len > LULL_FILTER_LEN)
        return -EINVAL;
    long r = ask_linux(PR_SET_SECCOMP);
    if (r)
        return r == -ENOSYS ? refuse(NR_seccomp) : r;
    return prog.insn ? install((u32)flags, prog.insn, prog.len) : -EINVAL;
}

static long set_strict(void)
{
    if (current()->seccomp || ask_linux(PR_GET_SECCOMP)) /* a filter's mode is another one */
        return -EINVAL;
    rewrite_leaves_off();
    current()->seccomp = SECCOMP_MODE_STRICT;
    return 0;
}

static long action_available(uaddr args)
{
    u32 action;
    if (copy_in(&action, args, sizeof action))
        return -EFAULT;
    switch (action) {
    case RET_KILL_PROCESS:
    case RET_KILL_THREAD:
    case RET_TRAP:
    case RET_ERRNO:
    case RET_USER_NOTIF:
    case RET_TRACE:
    case RET_LOG:
    case RET_ALLOW:
        return 0;
    default:
        return -EOPNOTSUPP;
    }
}

long seccomp_set_mode(u64 op, u64 flags, uaddr args)
{
    static const u16 notif_sizes[] = {80, 24, sizeof(struct seccomp_data)};
    switch ((u32)op) {
    case SET_MODE_STRICT:
        return flags || args ? -EINVAL : set_strict();
    case SET_MODE_FILTER:
        return set_filter(flags, args);
    case GET_ACTION_AVAIL:
        return flags ? -EINVAL : action_available(args);
    case GET_NOTIF_SIZES:
        if (flags)
            return -EINVAL;
        return copy_out(args, notif_sizes, sizeof notif_sizes);
    default:
        return -EINVAL;
    }
}

long seccomp_get_mode(struct frame *f)
{
    u32 mode = current()->seccomp;
    return mode ? (long)mode : forward_call(f, &syscall_table[NR_prctl]);
}

long sys_seccomp(struct frame *f)
{
    return seccomp_set_mode(f->rdi, (u32)f->rsi, f->rdx);
}
