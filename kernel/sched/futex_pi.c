/* SPDX-License-Identifier: MIT */
/*
 * Futexes with priority inheritance (futex(2), Documentation/locking/pi-futex.rst). The futex word
 * names the owner; who waits for it lends it his priority, and so on along the chain of owners. A
 * futex is given to the first of those who wait at once, by whoever lets go of it.
 */
#include "kernel.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "sched/futex_priv.h"

#define CHANGED (-1000) /* the word changed, or its owner is about to end: look again */

/* Owners and who waits for them: above the buckets' locks, threads_lock and run queues. A thread
   that ends comes here before it leaves the list of the living. */
static spinlock pi_lock;

void futex_pi_reset(void)
{
    pi_lock = (spinlock){0};
}

void pi_init(struct thread *t)
{
    t->futex.thread = t;
    t->pi_owner = NULL;
    t->pi_leaving = false;
    list_init(&t->futex.link);
    list_init(&t->pi_link);
    list_init(&t->pi_waiters);
}

/* What t runs with changes with those who wait for it; and so for whom t waits. Under pi_lock. */
static void pi_adjust(struct thread *t)
{
    for (; t; t = t->pi_owner) {
        u32 best = t->base_prio;
        for (struct list *l = t->pi_waiters.next; l != &t->pi_waiters; l = l->next)
            best = (u32)max_u64(best, CONTAINER(l, struct thread, pi_link)->prio);
        if (best == t->prio)
            return;
        thread_set_prio(t, best);
    }
}

void pi_begin(void)
{
    spin_lock(&pi_lock);
}
void pi_end(void)
{
    spin_unlock(&pi_lock);
}
void pi_set_prio(struct thread *t, u32 prio)
{
    t->base_prio = prio;
    pi_adjust(t);
}

/* A thread that is its own vfork child has two numbers. */
static bool has_tid(const struct thread *t, u32 tid)
{
    return (u32)t->tid == tid || (t->child && (u32)t->child->tid == tid);
}

static long word_change(uaddr addr, u32 old, u32 new)
{
    int r = user_cmpxchg32((void *)addr, &old, new);
    return r < 0 ? -EFAULT : r ? CHANGED : 0;
}

static struct futex_waiter *waiter_first(struct bucket *b, uaddr addr)
{
    for (struct list *l = b->waiters.next; l != &b->waiters; l = l->next) {
        if (waiter_of(l)->addr == addr)
            return waiter_of(l);
    }
    return NULL;
}

/* Who gets the futex next. There is one who waits. */
static struct thread *waiter_best(struct bucket *b, uaddr addr)
{
    struct thread *best = NULL;
    for (struct list *l = b->waiters.next; l != &b->waiters; l = l->next) {
        struct futex_waiter *w = waiter_of(l);
        if (w->addr == addr && w->kind == WAITER_PI && (!best || w->thread->prio > best->prio))
            best = w->thread;
    }
    return best;
}

static struct thread *thread_with(u32 tid)
{
    struct thread *found = NULL;
    spin_lock(&threads_lock);
    for (struct list *l = threads_all.next; l != &threads_all && !found; l = l->next) {
        struct thread *t = CONTAINER(l, struct thread, all);
        found = has_tid(t, tid) ? t : NULL;
    }
    spin_unlock(&threads_lock);
    return found;
}

/* The owner whom the word names, when nobody waits yet. */
static long owner_find(uaddr addr, u32 value, struct thread **owner)
{
    u32 now;
    *owner = thread_with(value & FUTEX_TID_MASK);
    if (*owner)
        return (*owner)->pi_leaving ? CHANGED : 0;
    if (user_load32((void *)addr, &now))
        return -EFAULT;
    return now == value ? -ESRCH : CHANGED;
}

/*
 * Takes the futex for t: 1; or finds *owner, who is to be waited for: 0. The word then says so.
 * Under pi_lock and the bucket's lock.
 */
static long pi_take(struct bucket *b, uaddr addr, struct thread *t, bool waiters,
                    struct thread **owner)
{
    u32 value, tid;
    if (user_load32((void *)addr, &value))
        return -EFAULT;
    tid = value & FUTEX_TID_MASK;
    if (tid == (u32)t->tid)
        return -EDEADLK;
    const struct futex_waiter *w = waiter_first(b, addr);
    if (w) {
        if (w->kind != WAITER_PI)
            return -EINVAL;
        *owner = w->thread->pi_owner;
        /* none named: the owner is about to end, and will give it away */
        if (value & FUTEX_OWNER_DIED && !tid)
            return 0;
        return has_tid(*owner, tid) ? 0 : -EINVAL;
    }
    if (!tid) {
        long r = word_change(
            addr, value, (value & FUTEX_OWNER_DIED) | (u32)t->tid | (waiters ? FUTEX_WAITERS : 0));
        return r ? r : 1;
    }
    long r = word_change(addr, value, value | FUTEX_WAITERS);
    return r ? r : owner_find(addr, value | FUTEX_WAITERS, owner);
}

/* Would t wait for itself? */
static bool pi_circle(const struct thread *t, const struct thread *owner)
{
    while (owner && owner != t)
        owner = owner->pi_owner;
    return owner != NULL;
}

static void pi_queue(struct bucket *b, struct thread *t, uaddr addr, struct thread *owner)
{
    t->futex.addr = addr;
    t->futex.kind = WAITER_PI;
    bucket_add(b, &t->futex);
    t->pi_owner = owner;
    list_add_tail(&owner->pi_waiters, &t->pi_link);
}

/* t waits no longer, and has not got it. Under pi_lock. */
static void pi_unqueue(struct thread *t)
{
    struct bucket *b = bucket_lock(t->futex.addr);
    list_del(&t->futex.link);
    spin_unlock(&b->lock);
    struct thread *owner = t->pi_owner;
    if (!owner) /* WAITER_REQUEUE */
        return;
    list_del(&t->pi_link);
    t->pi_owner = NULL;
    pi_adjust(owner);
}

/* From one owner to the next, who waited for it; the others now wait for him. */
static void pi_pass(struct bucket *b, uaddr addr, struct thread *from, struct thread *to)
{
    for (struct list *l = b->waiters.next; l != &b->waiters; l = l->next) {
        struct futex_waiter *w = waiter_of(l);
        if (w->addr != addr || w->kind != WAITER_PI)
            continue;
        list_del(&w->thread->pi_link);
        w->thread->pi_owner = NULL;
        if (w->thread == to)
            continue;
        w->thread->pi_owner = to;
        list_add_tail(&to->pi_waiters, &w->thread->pi_link);
    }
    pi_adjust(from);
    pi_adjust(to);
    waiter_wake(&to->futex);
}

static void waiter_begin(struct thread *t, u8 kind)
{
    t->futex.bits = ~0u;
    t->futex.woken = false;
    t->futex.kind = kind;
    t->pi_result = 0;
    thread_prepare_block();
}

/* False: the time is over. */
static bool waiter_sleep(struct thread *t, u64 deadline)
{
    if (!signal_pending(t))
        return thread_block_until(deadline);
    thread_cancel_block();
    return true;
}

/* 1: t waits now, 0: it has the futex, -errno, CHANGED. */
static long lock_once(struct thread *t, uaddr addr, bool try)
{
    struct thread *owner = NULL;
    spin_lock(&pi_lock);
    struct bucket *b = bucket_lock(addr);
    long r = pi_take(b, addr, t, false, &owner);
    if (r == 0 && try) {
        r = -EAGAIN;
    } else if (r == 0 && pi_circle(t, owner)) {
        r = -EDEADLK;
    } else if (r == 0) {
        waiter_begin(t, WAITER_PI);
        pi_queue(b, t, addr, owner);
        pi_adjust(owner);
        r = 1;
    } else if (r == 1) {
        r = 0;
    }
    spin_unlock(&b->lock);
    spin_unlock(&pi_lock);
    return r;
}

long futex_lock_pi(const struct frame *f, u64 deadline, bool try)
{
    struct thread *t = current();
    uaddr addr = f->rdi;
    long r = futex_check(addr);
    if (r)
        return r;
    while ((r = lock_once(t, addr, try)) == CHANGED) {
        cpu_relax();
        core_serve_requests();
    }
    if (r != 1)
        return r;
    bool in_time = waiter_sleep(t, deadline);
    spin_lock(&pi_lock);
    if (t->futex.woken) {
        r = t->pi_result;
    } else {
        pi_unqueue(t);
        r = in_time ? -ERESTART_NOINTR : -ETIMEDOUT;
    }
    spin_unlock(&pi_lock);
    return r;
}

static long unlock_once(struct thread *t, uaddr addr, u32 value)
{
    struct bucket *b = bucket_lock(addr);
    const struct futex_waiter *w = waiter_first(b, addr);
    struct thread *next = w && w->kind == WAITER_PI ? waiter_best(b, addr) : NULL;
    long r;
    if (!w) {
        r = word_change(addr, value, 0);
        r = r == CHANGED ? -EAGAIN : r;
    } else if (!next || w->thread->pi_owner != t) {
        r = -EINVAL;
    } else {
        u32 now;
        r = word_change(addr, value, FUTEX_WAITERS | (u32)next->tid);
        if (r == CHANGED && user_load32((void *)addr, &now))
            r = -EFAULT;
        else if (r == CHANGED && (now & FUTEX_TID_MASK) != value)
            r = -EINVAL;
        if (r == 0)
            pi_pass(b, addr, t, next);
    }
    spin_unlock(&b->lock);
    return r;
}

long futex_unlock_pi(const struct frame *f)
{
    struct thread *t = current();
    uaddr addr = f->rdi;
    u32 value;
    long r;
    do {
        if (!user_range_ok(addr, 4) || user_load32((void *)addr, &value))
            return -EFAULT;
        if ((value & FUTEX_TID_MASK) != (u32)t->tid)
            return -EPERM;
        if (addr & 3)
            return -EINVAL;
        spin_lock(&pi_lock);
        r = unlock_once(t, addr, value);
        spin_unlock(&pi_lock);
    } while (r == CHANGED);
    sched_look(); /* it may run with less now */
    return r;
}

void pi_owner_gone(struct thread *t)
{
    spin_lock(&pi_lock);
    t->pi_leaving = true;
    while (!list_empty(&t->pi_waiters)) {
        uaddr addr = CONTAINER(t->pi_waiters.next, struct thread, pi_link)->futex.addr;
        struct bucket *b = bucket_lock(addr);
        struct thread *next = waiter_best(b, addr);
        u32 word = FUTEX_OWNER_DIED | FUTEX_WAITERS | (u32)next->tid, value;
        int r = user_load32((void *)addr, &value);
        while (r == 0 && (r = user_cmpxchg32((void *)addr, &value, word)) > 0)
            r = 0;
        next->pi_result = r < 0 ? -EFAULT : 0;
        pi_pass(b, addr, t, next);
        spin_unlock(&b->lock);
    }
    spin_unlock(&pi_lock);
}

/* ---- condition variables: from a plain futex to one with an owner ---- */

long futex_wait_requeue_pi(const struct frame *f, u64 deadline)
{
    struct thread *t = current();
    uaddr addr = f->rdi, target = f->r8;
    u32 value;
    if (addr == target)
        return -EINVAL;
    long r = futex_check(target);
    r = r ? r : futex_check(addr);
    if (r)
        return r;
    struct bucket *b = bucket_lock(addr);
    if (user_load32((void *)addr, &value))
        r = -EFAULT;
    else if (value != (u32)f->rdx)
        r = -EAGAIN;
    if (r) {
        spin_unlock(&b->lock);
        return r;
    }
    waiter_begin(t, WAITER_REQUEUE);
    t->futex.addr = addr;
    t->pi_target = target;
    bucket_add(b, &t->futex);
    spin_unlock(&b->lock);
    bool in_time = waiter_sleep(t, deadline);
    spin_lock(&pi_lock);
    if (t->futex.woken) {
        r = t->pi_result;
    } else {
        bool moved = t->futex.kind == WAITER_PI;
        pi_unqueue(t);
        r = !in_time ? -ETIMEDOUT : moved ? -EAGAIN : -ERESTART_NOINTR;
    }
    spin_unlock(&pi_lock);
    return r;
}

/* All that wait at `from` and are to, now for `owner`. How many, with those before, or -errno. */
static long requeue_rest(struct bucket *bf, struct bucket *bt, const struct frame *f,
                         struct thread *owner, i32 count)
{
    uaddr from = f->rdi, to = f->r8;
    struct list *l = bf->waiters.next;
    long r = 0;
    while (l != &bf->waiters && count - 1 < (i32)f->r10 && !r) {
        struct futex_waiter *w = waiter_of(l);
        l = l->next;
        if (w->addr != from)
            continue;
        if (w->kind != WAITER_REQUEUE || w->thread->pi_target != to) {
            r = -EINVAL;
        } else if (pi_circle(w->thread, owner)) {
            r = -EDEADLK;
        } else {
            list_del(&w->link);
            pi_queue(bt, w->thread, to, owner);
            count++;
        }
    }
    if (owner)
        pi_adjust(owner);
    return r ? r : count;
}

static long requeue_once(struct bucket *bf, struct bucket *bt, const struct frame *f)
{
    uaddr from = f->rdi, to = f->r8;
    u32 value;
    struct thread *owner = NULL;
    if (user_load32((void *)from, &value))
        return -EFAULT;
    if (value != (u32)f->r9)
        return -EAGAIN;
    struct futex_waiter *top = waiter_first(bf, from);
    if (!top)
        return 0;
    if (top->kind != WAITER_REQUEUE || top->thread->pi_target != to)
        return -EINVAL;
    long r = pi_take(bt, to, top->thread, f->r10 & 0xffffffff, &owner);
    if (r < 0)
        return r;
    if (r == 1) { /* nobody had it: the first of those who wait has it now */
        owner = top->thread;
        waiter_wake(top);
    }
    return requeue_rest(bf, bt, f, owner, (i32)r);
}

long futex_requeue_pi(const struct frame *f)
{
    uaddr from = f->rdi, to = f->r8;
    if ((i32)f->rdx < 0 || (i32)f->r10 < 0 || from == to || (i32)f->rdx != 1)
        return -EINVAL;
    long r = futex_check(from);
    r = r ? r : futex_check(to);
    if (r)
        return r;
    do {
        struct bucket *bf, *bt;
        spin_lock(&pi_lock);
        bucket_lock_two(from, to, &bf, &bt);
        r = requeue_once(bf, bt, f);
        bucket_unlock_two(bf, bt);
        spin_unlock(&pi_lock);
        core_serve_requests();
    } while (r == CHANGED);
    return r;
}
