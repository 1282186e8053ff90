/* SPDX-License-Identifier: MIT */
/*
 * The channel: one per core, at LULL_CHANNELS + i * LULL_CHAN_STRIDE. The kernel submits system
 * calls to be answered by Linux, the proxy completes them in any order.
 *
 *   submission ring: written by the core's kernel only; read by one server at a time
 *   completion ring: written by the proxy (under its own per-core lock); read by the core
 *
 * A `slot` names a call in flight: the index of the thread that makes it, less than
 * LULL_CHAN_SLOTS, free again when its completion has been taken. Each thread makes one call at a
 * time, so the completion ring cannot overflow. Before a submission the kernel waits until the
 * submission ring has room. Indices run freely and are masked on use; 32 bits, wrapping.
 */
#ifndef LULL_CHANNEL_H
#define LULL_CHANNEL_H

#include <stdbool.h>

#include <lull/abi.h>

#define LULL_CHAN_DEPTH 256u /* entries of the submission ring; power of two */
/* Entries of the completion ring, threads of an isle; power of two. */
#define LULL_CHAN_SLOTS 4096u

struct lull_sqe {
    uint32_t nr;   /* Linux x86-64 system call number */
    uint32_t slot; /* < LULL_CHAN_SLOTS */
    uint64_t arg[6];
    uint64_t as; /* 0: the program; else the pid of a child that LULL_NR_SPAWN gave */
};
LULL_ASSERT_SIZE(struct lull_sqe, 64);

struct lull_cqe {
    uint32_t slot;
    uint32_t pad;
    int64_t result; /* as the system call: value or -errno */
};
LULL_ASSERT_SIZE(struct lull_cqe, 16);

struct lull_channel {
    LULL_LINE uint32_t sq_tail; /* kernel: next entry to fill */
    LULL_LINE uint32_t sq_head; /* proxy: next entry to take */
    LULL_LINE uint32_t cq_tail; /* proxy */
    LULL_LINE uint32_t cq_head; /* kernel */
    /* proxy: 1 while nobody polls this channel: after a submission the kernel must leave by
       LULL_OP_CHANNEL. Written with a full fence before the last look at sq_tail. */
    LULL_LINE uint32_t asleep;
    LULL_LINE struct lull_sqe sq[LULL_CHAN_DEPTH]; /* kernel */
    LULL_LINE struct lull_cqe cq[LULL_CHAN_SLOTS]; /* proxy */
};
LULL_ASSERT_OFF(struct lull_channel, sq_head, 64);
LULL_ASSERT_OFF(struct lull_channel, cq_tail, 128);
LULL_ASSERT_OFF(struct lull_channel, cq_head, 192);
LULL_ASSERT_OFF(struct lull_channel, asleep, 256);
LULL_ASSERT_OFF(struct lull_channel, sq, 320);
LULL_ASSERT_OFF(struct lull_channel, cq, 320 + 64 * 256);
_Static_assert(sizeof(struct lull_channel) <= LULL_CHAN_STRIDE, "channel stride");

static inline uint32_t lull_load_acquire(const uint32_t *p)
{
    return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static inline void lull_store_release(uint32_t *p, uint32_t v)
{
    __atomic_store_n(p, v, __ATOMIC_RELEASE);
}

/* Full fence between "I wrote my side" and "I read yours" (doorbells are a Dekker handshake). */
static inline void lull_fence(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Kernel side: true when the submission ring has no room. */
static inline bool lull_chan_full(const struct lull_channel *ch)
{
    return ch->sq_tail - lull_load_acquire(&ch->sq_head) >= LULL_CHAN_DEPTH;
}

/* Kernel side. The caller owns `slot` and has seen that the ring is not full. */
static inline void lull_chan_submit(struct lull_channel *ch, uint32_t slot, uint32_t nr,
                                    const uint64_t arg[6], uint64_t as)
{
    uint32_t tail = ch->sq_tail;
    struct lull_sqe *e = &ch->sq[tail & (LULL_CHAN_DEPTH - 1)];
    e->nr = nr;
    e->slot = slot;
    for (int i = 0; i < 6; i++)
        e->arg[i] = arg[i];
    e->as = as;
    lull_store_release(&ch->sq_tail, tail + 1);
}

/* True when the kernel has to ring after a submission. */
static inline bool lull_chan_must_ring(const struct lull_channel *ch)
{
    lull_fence();
    return lull_load_acquire(&ch->asleep) != 0;
}

/* Kernel side: true and *out filled when a completion was there. */
static inline bool lull_chan_reap(struct lull_channel *ch, struct lull_cqe *out)
{
    uint32_t head = ch->cq_head;
    if (lull_load_acquire(&ch->cq_tail) == head)
        return false;
    *out = ch->cq[head & (LULL_CHAN_SLOTS - 1)];
    lull_store_release(&ch->cq_head, head + 1);
    return true;
}

/*
 * Proxy side: copies one submission out. Returns 1 and fills *out, 0 when there is none, -1 when
 * the indices are impossible (more than LULL_CHAN_DEPTH pending): the channel is broken.
 * `head` is the proxy's own copy, never re-read from shared memory.
 */
static inline int lull_chan_take(struct lull_channel *ch, uint32_t *head, struct lull_sqe *out)
{
    uint32_t pending = lull_load_acquire(&ch->sq_tail) - *head;
    if (pending == 0)
        return 0;
    if (pending > LULL_CHAN_DEPTH)
        return -1;
    __builtin_memcpy(out, &ch->sq[*head & (LULL_CHAN_DEPTH - 1)], sizeof *out);
    __atomic_signal_fence(__ATOMIC_SEQ_CST); /* from here on only the copy is used */
    ++*head;
    lull_store_release(&ch->sq_head, *head);
    return 1;
}

/* Proxy side, under the core's completion lock; `tail` is the proxy's own copy. */
static inline void lull_chan_complete(struct lull_channel *ch, uint32_t *tail, uint32_t slot,
                                      int64_t result)
{
    struct lull_cqe *e = &ch->cq[*tail & (LULL_CHAN_SLOTS - 1)];
    e->slot = slot;
    e->pad = 0;
    e->result = result;
    ++*tail;
    lull_store_release(&ch->cq_tail, *tail);
}

#endif
