/* SPDX-License-Identifier: MIT */
/* Futexes: hashed wait queues. An isle is one address space, so the address is the key. */
#include "sched/futex.h"

#include "kernel.h"
#include "mm/mm.h"
#include "sched/futex_priv.h"

#define FUTEX_WAIT 0
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_LOCK_PI 6
#define FUTEX_UNLOCK_PI 7
#define FUTEX_TRYLOCK_PI 8
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_WAIT_REQUEUE_PI 11
#define FUTEX_CMP_REQUEUE_PI 12
#define FUTEX_LOCK_PI2 13
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_CMD_MASK (~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME))

#define BUCKETS 1024
static struct bucket buckets[BUCKETS] __attribute__((aligned(LULL_PAGE)));
/* Pages of `buckets` that may have been written; a forked child clears no others, because each page
   that it writes has to be copied. Set before the bucket is locked. */
#define BUCKETS_PER_PAGE (LULL_PAGE / sizeof(struct bucket))
static bool page_used[BUCKETS / BUCKETS_PER_PAGE];

static struct bucket *bucket_of(uaddr addr)
{
    u64 h = (addr >> 2) * 0x9e3779b97f4a7c15ul;
    struct bucket *b = &buckets[h >> 54];
    return b;
}

struct bucket *bucket_lock(uaddr addr)
{
    struct bucket *b = bucket_of(addr);
    bool *used = &page_used[(u64)(b - buckets) / BUCKETS_PER_PAGE];
    if (!__atomic_load_n(used, __ATOMIC_RELAXED))
        __atomic_store_n(used, true, __ATOMIC_SEQ_CST);
    spin_lock(&b->lock);
    if (!b->waiters.next)
        list_init(&b->waiters);
    return b;
}

void futexes_reset(void)
{
    for (u64 i = 0; i < BUCKETS / BUCKETS_PER_PAGE; i++) {
        if (page_used[i])
            memset(&buckets[i * BUCKETS_PER_PAGE], 0, BUCKETS_PER_PAGE * sizeof *buckets);
        page_used[i] = false;
    }
    futex_pi_reset();
}

/* Two buckets in address order, so that two requeues cannot wait for each other. */
void bucket_lock_two(uaddr x, uaddr y, struct bucket **bx, struct bucket **by)
{
    struct bucket *a = bucket_of(x), *b = bucket_of(y);
    if (a <= b) {
        *bx = bucket_lock(x);
        *by = a == b ? *bx : bucket_lock(y);
    } else {
        *by = bucket_lock(y);
        *bx = bucket_lock(x);
    }
}
void bucket_unlock_two(struct bucket *bx, struct bucket *by)
{
    spin_unlock(&bx->lock);
    if (by != bx)
        spin_unlock(&by->lock);
}

void bucket_add(struct bucket *b, struct futex_waiter *w)
{
    struct list *at = &b->waiters;
    u32 prio = w->thread->base_prio;
    if (prio) {
        at = at->next;
        while (at != &b->waiters && waiter_of(at)->thread->base_prio >= prio)
            at = at->next;
    }
    list_add_tail(at, &w->link);
}

/* Under the bucket's lock to its end: the woken thread waits for that before it goes on. */
void waiter_wake(struct futex_waiter *w)
{
    list_del(&w->link);
    __atomic_store_n(&w->woken, true, __ATOMIC_RELEASE);
    thread_wake(w->thread);
}

bool waiter_leave(struct futex_waiter *w)
{
    struct bucket *b;
    /* A requeue may have moved it: take the lock of where it is now. */
    while (!__atomic_load_n(&w->woken, __ATOMIC_ACQUIRE)) {
        uaddr where = __atomic_load_n(&w->addr, __ATOMIC_ACQUIRE);
        b = bucket_lock(where);
        bool here = w->addr == where && !w->woken;
        if (here)
            list_del(&w->link);
        spin_unlock(&b->lock);
        if (here)
            return true;
    }
    /* woken: but the waker may still be inside waiter_wake() with the bucket locked */
    b = bucket_lock(w->addr);
    spin_unlock(&b->lock);
    return false;
}

long futex_wake_bits(uaddr addr, i32 n, u32 bits)
{
    long woken = 0;
    struct bucket *b = bucket_lock(addr);
    struct list *l = b->waiters.next;
    while (l != &b->waiters) {
        struct futex_waiter *w = waiter_of(l);
        l = l->next;
        if (w->addr != addr)
            continue;
        if (w->kind != WAITER_PLAIN) {
            woken = -EINVAL;
            break;
        }
        if (!(w->bits & bits))
            continue;
        waiter_wake(w);
        if (++woken >= n)
            break;
    }
    spin_unlock(&b->lock);
    return woken;
}

void futex_wake_addr(uaddr addr, i32 n)
{
    futex_wake_bits(addr, n, ~0u);
}

long futex_check(uaddr addr)
{
    if (addr & 3)
        return -EINVAL;
    return user_range_ok(addr, 4) ? 0 : -EFAULT;
}

u64 futex_deadline(u64 ns, bool realtime)
{
    return realtime ? deadline_on(DEADLINE_REAL, ns) : min_u64(ns, DEADLINE_NS_MAX);
}

static long timeout_decode(const struct frame *f, int op, u64 *deadline)
{
    int cmd = op & FUTEX_CMD_MASK;
    bool timed = cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_LOCK_PI ||
                 cmd == FUTEX_LOCK_PI2 || cmd == FUTEX_WAIT_REQUEUE_PI;
    u64 ns;
    *deadline = NEVER;
    if (!f->r10 || !timed)
        return 0;
    long r = timespec_in(f->r10, &ns);
    if (r)
        return r;
    if (cmd == FUTEX_WAIT)
        *deadline = clock_mono() + ns;
    else
        *deadline = futex_deadline(ns, op & FUTEX_CLOCK_REALTIME || cmd == FUTEX_LOCK_PI);
    return 0;
}

static long futex_wait(const struct frame *f, u32 bits, u64 deadline)
{
    struct thread *t = current();
    struct futex_waiter *w = &t->futex;
    uaddr addr = f->rdi;
    u32 value;
    if (!bits)
        return -EINVAL;
    if (!user_range_ok(addr, 4))
        return -EFAULT;
    struct bucket *b = bucket_lock(addr);
    if (user_load32((void *)addr, &value)) {
        spin_unlock(&b->lock);
        return -EFAULT;
    }
    if (value != (u32)f->rdx) {
        spin_unlock(&b->lock);
        return -EAGAIN;
    }
    w->thread = t;
    w->addr = addr;
    w->bits = bits;
    w->kind = WAITER_PLAIN;
    w->woken = false;
    thread_prepare_block();
    bucket_add(b, w);
    spin_unlock(&b->lock);
    bool in_time = true;
    if (signal_pending(t))
        thread_cancel_block();
    else
        in_time = thread_block_until(deadline);
    if (!waiter_leave(w))
        return 0;
    if (!in_time)
        return -ETIMEDOUT;
    return deadline == NEVER ? -ERESTART : thread_resumes(NR_futex, deadline);
}

long futex_resume(struct frame *f, u64 deadline)
{
    int cmd = (int)f->rsi & FUTEX_CMD_MASK;
    return futex_wait(f, cmd == FUTEX_WAIT ? ~0u : (u32)f->r9, deadline);
}

static long futex_requeue(struct frame *f, bool compare)
{
    uaddr from = f->rdi, to = f->r8;
    i32 nwake = (i32)f->rdx, nmove = (i32)f->r10;
    if (nwake < 0 || nmove < 0)
        return -EINVAL;
    long bad = futex_check(from);
    if (bad == 0)
        bad = futex_check(to);
    if (bad)
        return bad;
    struct bucket *bf, *bt;
    bucket_lock_two(from, to, &bf, &bt);
    long r;
    u32 value;
    if (compare && user_load32((void *)from, &value)) {
        r = -EFAULT;
        goto out;
    }
    if (compare && value != (u32)f->r9) {
        r = -EAGAIN;
        goto out;
    }
    u32 woken = 0, moved = 0;
    struct list *l = bf->waiters.next;
    while (l != &bf->waiters && (woken < (u32)nwake || moved < (u32)nmove)) {
        struct futex_waiter *w = waiter_of(l);
        l = l->next;
        if (w->addr != from)
            continue;
        if (w->kind != WAITER_PLAIN) {
            r = -EINVAL;
            goto out;
        }
        if (woken < (u32)nwake) {
            woken++;
            waiter_wake(w);
        } else {
            moved++;
            if (from == to)
                continue;
            list_del(&w->link);
            __atomic_store_n(&w->addr, to, __ATOMIC_RELEASE);
            bucket_add(bt, w);
        }
    }
    r = (long)(woken + moved); /* of both, whatever futex(2) says of FUTEX_REQUEUE */
out:
    bucket_unlock_two(bf, bt);
    return r;
}

static bool wake_op_compare(u32 op, i32 old, i32 arg)
{
    switch (op) {
    case 0:
        return old == arg;
    case 1:
        return old != arg;
    case 2:
        return old < arg;
    case 3:
        return old <= arg;
    case 4:
        return old > arg;
    default:
        return old >= arg;
    }
}

/* FUTEX_WAKE_OP: encoding as in futex(2). */
static long futex_wake_op(struct frame *f)
{
    u32 code = (u32)f->r9;
    u32 op = code >> 28 & 7, cmp = code >> 24 & 15;
    i32 oparg = (i32)(code << 8) >> 20, cmparg = (i32)(code << 20) >> 20;
    if (code >> 31)
        oparg = 1 << (oparg & 31);
    if (op > 4 || cmp > 5)
        return -ENOSYS;
    bool number = f->rsi & FUTEX_PRIVATE_FLAG && f->rdi <= LULL_USER_END && !(f->rdi & 3);
    long bad = number ? 0 : futex_check(f->rdi);
    if (bad == 0)
        bad = futex_check(f->r8);
    if (bad)
        return bad;
    u32 old, new;
    if (user_load32((void *)f->r8, &old))
        return -EFAULT;
    int r;
    do {
        u32 v = (u32)oparg;
        new = op == 0 ? v : op == 1 ? old + v : op == 2 ? old | v : op == 3 ? old & ~v : old ^ v;
        r = user_cmpxchg32((void *)f->r8, &old, new);
    } while (r > 0);
    if (r < 0)
        return -EFAULT;
    long n = futex_wake_bits(f->rdi, (i32)f->rdx, ~0u);
    if (n >= 0 && wake_op_compare(cmp, (i32)old, cmparg)) {
        long more = futex_wake_bits(f->r8, (i32)f->r10, ~0u);
        n = more < 0 ? more : n + more;
    }
    return n;
}

/*
 * Linux looks for the page of a futex that is not private, and writes there in its stead: memory
 * that is nobody else's must be writable.
 */
static long futex_reachable(uaddr addr)
{
    if (addr & 3)
        return -EINVAL;
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(addr);
    u32 prot = m ? m->prot : 0;
    bool file = m && m->file;
    spin_unlock(&mm_lock);
    return prot & (file ? LULL_PROT_READ : LULL_PROT_WRITE) ? 0 : -EFAULT;
}

bool futex_in_window(uaddr addr)
{
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(addr);
    bool window = m && m->flags & LULL_MAP_WINDOW;
    spin_unlock(&mm_lock);
    return window;
}

/*
 * A mutex with priority inheritance in memory that other isles share: the owner may be a thread
 * that this kernel does not know, so nobody's priority is lent. The word is as Linux has it; who
 * waits, waits on Linux's side for it to change.
 */
static long shared_lock_pi(const struct frame *f, bool try, bool realtime)
{
    u32 value, tid = (u32)current()->tid, waiters = 0;
    u64 ns;
    uaddr addr = f->rdi;
    long r = futex_check(addr);
    if (r == 0 && f->r10 && !try)
        r = timespec_in(f->r10, &ns);
    if (r)
        return r;
    if (user_load32((void *)addr, &value))
        return -EFAULT;
    for (;;) {
        u32 owner = value & FUTEX_TID_MASK;
        if (owner == tid)
            return -EDEADLK;
        if (owner && try)
            return -EAGAIN;
        u32 want = owner ? value | FUTEX_WAITERS : (value & ~FUTEX_TID_MASK) | tid | waiters;
        int swapped = want == value ? 0 : user_cmpxchg32((void *)addr, &value, want);
        if (swapped < 0)
            return -EFAULT;
        if (swapped)
            continue;
        if (!owner)
            return 0;
        u64 op = FUTEX_WAIT_BITSET | (realtime ? FUTEX_CLOCK_REALTIME : 0);
        u64 arg[6] = {addr, op, want, f->r10, 0, ~0u};
        r = forward_raw(LULL_NR_FUTEX, arg);
        if (r && r != -EAGAIN)
            return r;
        waiters = FUTEX_WAITERS; /* there may be others */
        if (user_load32((void *)addr, &value))
            return -EFAULT;
    }
}

static long shared_unlock_pi(const struct frame *f)
{
    u32 value;
    u64 arg[6] = {f->rdi, FUTEX_WAKE, 1};
    long r = futex_check(f->rdi);
    if (r)
        return r;
    if (user_load32((void *)f->rdi, &value))
        return -EFAULT;
    for (;;) {
        if ((value & FUTEX_TID_MASK) != (u32)current()->tid)
            return -EPERM;
        int swapped = user_cmpxchg32((void *)f->rdi, &value, 0);
        if (swapped < 0)
            return -EFAULT;
        if (swapped == 0)
            break;
    }
    if (value & FUTEX_WAITERS)
        forward_raw(LULL_NR_FUTEX, arg);
    return 0;
}

static long futex_shared(struct frame *f, int cmd)
{
    switch (cmd) {
    case FUTEX_LOCK_PI:
        return shared_lock_pi(f, false, true);
    case FUTEX_LOCK_PI2:
        return shared_lock_pi(f, false, f->rsi & FUTEX_CLOCK_REALTIME);
    case FUTEX_TRYLOCK_PI:
        return shared_lock_pi(f, true, false);
    case FUTEX_UNLOCK_PI:
        return shared_unlock_pi(f);
    default:
        break;
    }
    bool wait = cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET;
    u64 arg[6] = {f->rdi, (u32)f->rsi, f->rdx, f->r10, f->r8, f->r9};
    if (wait) /* who waits is woken by priority */
        arg[1] |= min_u64(current()->base_prio, PRIO_MAX) << LULL_FUTEX_PRIO;
    if (cmd > FUTEX_WAKE_BITSET || cmd == 2 || (cmd > FUTEX_WAKE_OP && cmd < FUTEX_WAIT_BITSET))
        return refuse(NR_futex);
    long r = forward_raw(LULL_NR_FUTEX, arg);
    return r == -ERESTART && wait && f->r10 ? -EINTR : r;
}

/* With priority inheritance; those and what Linux does not know. */
static long futex_pi(struct frame *f, int cmd, u64 deadline)
{
    switch (cmd) {
    case FUTEX_LOCK_PI:
    case FUTEX_LOCK_PI2:
        return futex_lock_pi(f, deadline, false);
    case FUTEX_TRYLOCK_PI:
        return futex_lock_pi(f, NEVER, true);
    case FUTEX_UNLOCK_PI:
        return futex_unlock_pi(f);
    case FUTEX_WAIT_REQUEUE_PI:
        return futex_wait_requeue_pi(f, deadline);
    case FUTEX_CMP_REQUEUE_PI:
        return futex_requeue_pi(f);
    default:
        return -ENOSYS;
    }
}

long sys_futex(struct frame *f)
{
    int op = (int)f->rsi;
    int cmd = op & FUTEX_CMD_MASK;
    u64 deadline;
    if (!(op & FUTEX_PRIVATE_FLAG) && futex_in_window(f->rdi))
        return futex_shared(f, cmd);
    long r = timeout_decode(f, op, &deadline);
    if (r)
        return r;
    if (!(op & FUTEX_PRIVATE_FLAG) && cmd <= FUTEX_LOCK_PI2 && cmd != 2) {
        bool two = cmd == FUTEX_REQUEUE || cmd == FUTEX_CMP_REQUEUE || cmd == FUTEX_WAKE_OP;
        if ((r = futex_reachable(f->rdi)) || (two && (r = futex_reachable(f->r8))))
            return r;
    }
    if (op & FUTEX_CLOCK_REALTIME && cmd != FUTEX_WAIT_BITSET && cmd != FUTEX_WAIT_REQUEUE_PI &&
        cmd != FUTEX_LOCK_PI2)
        return -ENOSYS;
    if (cmd > FUTEX_WAKE_BITSET || (cmd >= FUTEX_LOCK_PI && cmd <= FUTEX_TRYLOCK_PI))
        return futex_pi(f, cmd, deadline);
    if (f->rdi & 3)
        return -EINVAL;
    switch (cmd) {
    case FUTEX_WAIT:
        return futex_wait(f, ~0u, deadline);
    case FUTEX_WAIT_BITSET:
        return futex_wait(f, (u32)f->r9, deadline);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
        u32 bits = cmd == FUTEX_WAKE ? ~0u : (u32)f->r9;
        if (!bits)
            return -EINVAL;
        if (!user_range_ok(f->rdi, 4)) /* a private one is a mere number */
            return op & FUTEX_PRIVATE_FLAG && f->rdi <= LULL_USER_END ? 0 : -EFAULT;
        return futex_wake_bits(f->rdi, (i32)f->rdx, bits);
    }
    case FUTEX_REQUEUE:
        return futex_requeue(f, false);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(f, true);
    case FUTEX_WAKE_OP:
        return futex_wake_op(f);
    default: /* FUTEX_FD is no more in Linux either */
        return -ENOSYS;
    }
}
