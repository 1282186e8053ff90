/* SPDX-License-Identifier: MIT */
/*
 * Spin locks between cores. A waiter serves requests of the other cores (TLB flush, stop), so a
 * holder may wait for every other core. No lock is held across a switch of threads.
 */
#ifndef KERNEL_SYNC_H
#define KERNEL_SYNC_H

#include "arch/cpu.h"

typedef struct {
    u32 held;
} spinlock;

void core_serve_requests(void);

static inline bool spin_trylock(spinlock *l)
{
    return __atomic_exchange_n(&l->held, 1, __ATOMIC_ACQUIRE) == 0;
}
static inline void spin_lock(spinlock *l)
{
    while (!spin_trylock(l)) {
        while (__atomic_load_n(&l->held, __ATOMIC_RELAXED)) {
            cpu_relax();
            core_serve_requests();
        }
    }
}
static inline void spin_unlock(spinlock *l)
{
    __atomic_store_n(&l->held, 0, __ATOMIC_RELEASE);
}

/* Intrusive doubly linked list. */
struct list {
    struct list *next, *prev;
};
static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}
static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}
static inline void list_add_tail(struct list *head, struct list *e)
{
    e->prev = head->prev;
    e->next = head;
    head->prev->next = e;
    head->prev = e;
}
static inline void list_add(struct list *head, struct list *e)
{
    e->next = head->next;
    e->prev = head;
    head->next->prev = e;
    head->next = e;
}
static inline void list_del(struct list *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    list_init(e);
}

#endif
