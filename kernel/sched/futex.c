/* SPDX-License-Identifier: MIT */
/* Futexes: hashed wait queues. An isle is one address space, so the address is the key. */
#include "sched/futex.h"

#include "kernel.h"
#include "mm/mm.h"

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1
#define FUTEX_REQUEUE 3
#define FUTEX_CMP_REQUEUE 4
#define FUTEX_WAKE_OP 5
#define FUTEX_WAIT_BITSET 9
#define FUTEX_WAKE_BITSET 10
#define FUTEX_PRIVATE_FLAG 128
#define FUTEX_CLOCK_REALTIME 256
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_WAITERS 0x80000000u
#define FUTEX_TID_MASK 0x3fffffffu
#define ROBUST_LIMIT 2048
#define NR_FUTEX 202

#define BUCKETS 1024
static struct bucket {
    spinlock lock;
    struct list waiters;
} __attribute__((aligned(64))) buckets[BUCKETS];

static struct bucket *bucket_of(uaddr addr)
{
    u64 h = (addr >> 2) * 0x9e3779b97f4a7c15ul;
    struct bucket *b = &buckets[h >> 54];
    return b;
}

static struct bucket *bucket_lock(uaddr addr)
{
    struct bucket *b = bucket_of(addr);
    spin_lock(&b->lock);
    if (!b->waiters.next)
        list_init(&b->waiters);
    return b;
}

void futexes_reset(void)
{
    memset(buckets, 0, sizeof buckets);
}

/* Two buckets in address order, so that two requeues cannot wait for each other. */
static void bucket_lock_two(uaddr x, uaddr y, struct bucket **bx, struct bucket **by)
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
static void bucket_unlock_two(struct bucket *bx, struct bucket *by)
{
    spin_unlock(&bx->lock);
    if (by != bx)
        spin_unlock(&by->lock);
}

/*
 * Moves up to n matching waiters to `ready` (linked by their futex links), highest priority first
 * is not needed: futex(2) promises no order. The caller wakes them after unlocking.
 */
static u32 bucket_take(struct bucket *b, uaddr addr, u32 n, u32 bits, struct thread **ready)
{
    u32 woken = 0;
    struct list *l = b->waiters.next;
    while (l != &b->waiters && woken < n) {
        struct thread *t = CONTAINER(l, struct thread, futex);
        l = l->next;
        if (t->futex_addr != addr || !(t->futex_bits & bits))
            continue;
        list_del(&t->futex);
        __atomic_store_n(&t->futex_woken, true, __ATOMIC_RELEASE);
        ready[woken++] = t;
    }
    return woken;
}

#define WAKE_BATCH 64

static u32 wake_bits(uaddr addr, u32 n, u32 bits)
{
    u32 total = 0;
    for (;;) {
        struct thread *ready[WAKE_BATCH];
        u32 want = n - total < WAKE_BATCH ? n - total : WAKE_BATCH;
        struct bucket *b = bucket_lock(addr);
        u32 got = bucket_take(b, addr, want, bits, ready);
        /* under the lock: a woken thread that runs elsewhere could be gone afterwards */
        for (u32 i = 0; i < got; i++)
            thread_wake(ready[i]);
        spin_unlock(&b->lock);
        total += got;
        if (got < want || total >= n)
            return total;
    }
}

u32 futex_wake_addr(uaddr addr, u32 n)
{
    return wake_bits(addr, n, ~0u);
}

/* Deadline in CLOCK_MONOTONIC ns. */
static long timeout_decode(const struct frame *f, int op, u64 *deadline)
{
    int cmd = op & 0x7f;
    *deadline = NEVER;
    if (!f->r10)
        return 0;
    u64 ns, now = clock_mono();
    long r = timespec_in(f->r10, &ns);
    if (r)
        return r;
    if (cmd == FUTEX_WAIT) {
        *deadline = now + ns;
    } else if (op & FUTEX_CLOCK_REALTIME) {
        u64 real = clock_real();
        *deadline = ns > real ? now + (ns - real) : 1;
    } else {
        *deadline = ns ? ns : 1;
    }
    return 0;
}

static long futex_wait_until(struct frame *f, u32 bits, u64 deadline)
{
    struct thread *t = current();
    uaddr addr = f->rdi;
    u32 value;
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
    t->futex_addr = addr;
    t->futex_bits = bits;
    t->futex_woken = false;
    thread_prepare_block();
    list_add_tail(&b->waiters, &t->futex);
    spin_unlock(&b->lock);
    bool in_time = true;
    if (signal_pending(t))
        thread_cancel_block();
    else
        in_time = thread_block_until(deadline);
    /* A requeue may have moved it: take the lock of where it is now. */
    while (!__atomic_load_n(&t->futex_woken, __ATOMIC_ACQUIRE)) {
        uaddr where = __atomic_load_n(&t->futex_addr, __ATOMIC_ACQUIRE);
        b = bucket_lock(where);
        if (t->futex_addr == where && !t->futex_woken) {
            list_del(&t->futex);
            spin_unlock(&b->lock);
            if (!in_time)
                return -ETIMEDOUT;
            return deadline == NEVER ? -ERESTART : thread_resumes(NR_FUTEX, deadline);
        }
        spin_unlock(&b->lock);
    }
    /* woken: but the waker may still be inside thread_wake() with the bucket locked */
    b = bucket_lock(t->futex_addr);
    spin_unlock(&b->lock);
    return 0;
}

static long futex_wait(struct frame *f, int op, u32 bits)
{
    u64 deadline;
    if (!bits)
        return -EINVAL;
    long r = timeout_decode(f, op, &deadline);
    return r ? r : futex_wait_until(f, bits, deadline);
}

long futex_resume(struct frame *f, u64 deadline)
{
    int cmd = (int)f->rsi & 0x7f;
    return futex_wait_until(f, cmd == FUTEX_WAIT ? ~0u : (u32)f->r9, deadline);
}

static long futex_requeue(struct frame *f, bool compare)
{
    uaddr from = f->rdi, to = f->r8;
    i32 nwake = (i32)f->rdx, nmove = (i32)f->r10;
    if (nwake < 0 || nmove < 0)
        return -EINVAL;
    if (!user_range_ok(from, 4) || !user_range_ok(to, 4))
        return -EFAULT;
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
        struct thread *t = CONTAINER(l, struct thread, futex);
        l = l->next;
        if (t->futex_addr != from)
            continue;
        list_del(&t->futex);
        if (woken < (u32)nwake) {
            woken++;
            __atomic_store_n(&t->futex_woken, true, __ATOMIC_RELEASE);
            thread_wake(t);
        } else {
            moved++;
            __atomic_store_n(&t->futex_addr, to, __ATOMIC_RELEASE);
            list_add_tail(&bt->waiters, &t->futex);
            if (from == to) /* it would be met again */
                break;
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
    if (!user_range_ok(f->rdi, 4) || !user_range_ok(f->r8, 4))
        return -EFAULT;
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
    u32 n = wake_bits(f->rdi, (u32)f->rdx, ~0u);
    if (wake_op_compare(cmp, (i32)old, cmparg))
        n += wake_bits(f->r8, (u32)f->r10, ~0u);
    return (long)n;
}

/* Other processes may wait there too: then Linux keeps the queue. */
static bool is_window(uaddr addr)
{
    spin_lock(&mm_lock);
    const struct lull_map *m = vma_at(addr);
    bool window = m && m->flags & LULL_MAP_WINDOW;
    spin_unlock(&mm_lock);
    return window;
}

static long futex_shared(struct frame *f, int cmd)
{
    bool wait = cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET;
    u64 arg[6] = {f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9};
    if (cmd > FUTEX_WAKE_BITSET || cmd == 2 || (cmd > FUTEX_WAKE_OP && cmd < FUTEX_WAIT_BITSET))
        return refuse(202);
    long r = forward_raw(LULL_NR_FUTEX, arg);
    return r == -ERESTART && wait && f->r10 ? -EINTR : r;
}

long sys_futex(struct frame *f)
{
    int op = (int)f->rsi;
    int cmd = op & 0x7f;
    if (!(op & FUTEX_PRIVATE_FLAG) && is_window(f->rdi))
        return futex_shared(f, cmd);
    if (op & FUTEX_CLOCK_REALTIME && cmd != FUTEX_WAIT_BITSET)
        return -ENOSYS;
    if (f->rdi & 3)
        return cmd > FUTEX_WAKE_BITSET ? refuse(NR_FUTEX) : -EINVAL;
    switch (cmd) {
    case FUTEX_WAIT:
        return futex_wait(f, op, ~0u);
    case FUTEX_WAIT_BITSET:
        return futex_wait(f, op, (u32)f->r9);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET: {
        u32 bits = cmd == FUTEX_WAKE ? ~0u : (u32)f->r9;
        if (!bits)
            return -EINVAL;
        if (!user_range_ok(f->rdi, 4)) /* a private one is a mere number */
            return op & FUTEX_PRIVATE_FLAG && !f->rdi ? 0 : -EFAULT;
        i32 n = (i32)f->rdx;
        return (long)wake_bits(f->rdi, n > 0 ? (u32)n : 1, bits);
    }
    case FUTEX_REQUEUE:
        return futex_requeue(f, false);
    case FUTEX_CMP_REQUEUE:
        return futex_requeue(f, true);
    case FUTEX_WAKE_OP:
        return futex_wake_op(f);
    default:
        return refuse(NR_FUTEX); /* priority inheritance: not yet */
    }
}

/* ---- robust lists ---- */

static int load_u64(uaddr p, u64 *out)
{
    return copy_in(out, p, 8);
}

static void robust_release(uaddr futex, u32 tid)
{
    u32 value;
    if (futex & 3 || !user_range_ok(futex, 4) || user_load32((void *)futex, &value))
        return;
    for (;;) {
        if ((value & FUTEX_TID_MASK) != tid)
            return;
        u32 dead = (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
        int r = user_cmpxchg32((void *)futex, &value, dead);
        if (r < 0)
            return;
        if (r == 0)
            break;
    }
    if (value & FUTEX_WAITERS)
        futex_wake_addr(futex, 1);
}

void robust_list_release(struct thread *t)
{
    u64 head = t->robust_list, entry, offset, pending;
    if (!head || load_u64(head, &entry) || load_u64(head + 8, &offset) ||
        load_u64(head + 16, &pending))
        return;
    u32 tid = (u32)t->tid;
    for (unsigned i = 0; i < ROBUST_LIMIT && (entry & ~1ul) != head; i++) {
        u64 next;
        int r = load_u64(entry & ~1ul, &next);
        if (entry != pending)
            robust_release((entry & ~1ul) + offset, tid);
        if (r)
            return;
        entry = next;
    }
    if (pending)
        robust_release((pending & ~1ul) + offset, tid);
}
