/* SPDX-License-Identifier: MIT */
/*
 * Asynchronous I/O of Linux's own kind (io_submit(2)). A context of the program's is one of Linux's
 * in this process. Linux gets copies of the iocbs, whose aio_data is the number of the operation;
 * the program's aio_data and the address of its iocb come back with the event. Linux pins the pages
 * of a buffer while it works on them, so no pointer into the isle outlives io_submit(2).
 */
#include "serve/aio.h"

#include <errno.h>
#include <limits.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <lull/syscalls.h>

#include "serve/agent.h"
#include "serve/view.h"

#define PAGE 4096ul
#define RING_MAGIC 0xa10a10a1u
#define KEY_UNTOUCHED 0xffffffffu /* Linux writes 0 to aio_key when it accepts an iocb */
#define NO_OPCODE 0xffff

/* An iocb that Linux has. Under the lock, apart from `own` while io_submit(2) runs. */
struct operation {
    struct operation *prev, *next; /* in the order of submission */
    struct iocb own;               /* what Linux got; io_cancel(2) knows it by its address */
    uint64_t iocb, data;           /* the program's address, and its aio_data */
    uint32_t key;                  /* its aio_key before the call */
    uint64_t start, end;           /* isle memory between the ends of its buffers; empty: none */
    uint32_t number;               /* its place in context.slot */
    bool done;                     /* its event is in Linux's ring */
};

struct context {
    struct context *next;
    uint64_t id;          /* what the program knows it by */
    aio_context_t native; /* written by io_setup(2) */
    unsigned users;       /* calls that use it; the last one frees it if it is not listed */
    bool listed;
    struct operation *first, *last;
    struct operation **slot;
    uint32_t nslots, free_from; /* no slot below free_from is free */
};

/* The head of Linux's ring of events (fs/aio.c), which it maps into this process. */
struct ring {
    uint32_t id, nr, head, tail, magic, compat, incompat, header_length;
    struct io_event event[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct context *contexts;

struct aio_call {
    struct context *context; /* NULL: there is none of that name */
    struct operation **op;   /* io_submit: NULL for an iocb that cannot be read */
    uint64_t *iocb;          /* the program's addresses */
    unsigned n;
    bool writes;             /* some of them may raise SIGPIPE or SIGXFSZ */
    struct io_event *events; /* io_getevents: own */
    void *guarded;           /* own mapping with a protected page */
    size_t guarded_len;
};

/* ---- contexts ---- */

static struct context *context_take(uint64_t id)
{
    pthread_mutex_lock(&lock);
    struct context *k = contexts;
    while (k && k->id != id)
        k = k->next;
    if (k)
        k->users++;
    pthread_mutex_unlock(&lock);
    return k;
}

static void context_free(struct context *k)
{
    while (k->first) {
        struct operation *op = k->first;
        k->first = op->next;
        free(op);
    }
    free(k->slot);
    free(k);
}

static void context_release(struct context *k)
{
    pthread_mutex_lock(&lock);
    bool last = --k->users == 0 && !k->listed;
    pthread_mutex_unlock(&lock);
    if (last)
        context_free(k);
}

/* Takes k off the list of contexts. The caller holds the lock. */
static void context_unlist(struct context *k)
{
    struct context **at = &contexts;
    while (*at && *at != k)
        at = &(*at)->next;
    if (*at)
        *at = k->next;
    k->listed = false;
}

void aio_forked(void)
{
    pthread_mutex_init(&lock, NULL); /* some other thread may have held it */
    contexts = NULL;                 /* Linux's are the parent's */
}

/* Under the lock. False: out of memory. */
static bool slot_give(struct context *k, struct operation *op)
{
    uint32_t i = k->free_from;
    while (i < k->nslots && k->slot[i])
        i++;
    if (i == k->nslots) {
        uint32_t n = k->nslots ? 2 * k->nslots : 16;
        struct operation **more = realloc(k->slot, n * sizeof(struct operation *));
        if (!more)
            return false;
        memset(more + k->nslots, 0, (n - k->nslots) * sizeof *more);
        k->slot = more;
        k->nslots = n;
    }
    k->slot[i] = op;
    k->free_from = i + 1;
    op->number = i;
    op->prev = k->last;
    *(k->last ? &k->last->next : &k->first) = op;
    k->last = op;
    return true;
}

/* Under the lock. */
static void operation_end(struct context *k, struct operation *op)
{
    k->slot[op->number] = NULL;
    if (op->number < k->free_from)
        k->free_from = op->number;
    *(op->prev ? &op->prev->next : &k->first) = op->next;
    *(op->next ? &op->next->prev : &k->last) = op->prev;
    free(op);
}

static struct aio_call *begin(struct call *c, uint64_t id)
{
    struct aio_call *a = arena_alloc(c->mem, sizeof *a);
    if (!a)
        return NULL;
    memset(a, 0, sizeof *a);
    a->context = context_take(id);
    c->arg[0] = a->context ? (long)a->context->native : 0; /* Linux: EINVAL, in its order */
    c->aio = a;
    return a;
}

void aio_end(struct call *c)
{
    if (!c->aio)
        return;
    if (c->aio->guarded)
        munmap(c->aio->guarded, c->aio->guarded_len);
    if (c->aio->context)
        context_release(c->aio->context);
    c->aio = NULL;
}

/* Returns `len` bytes of own memory that end where an inaccessible page begins; NULL: none. */
static void *guarded(struct aio_call *a, size_t len)
{
    size_t whole = (len + PAGE - 1) & ~(PAGE - 1);
    char *p = mmap(NULL, whole + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    a->guarded = p;
    a->guarded_len = whole + PAGE;
    return mprotect(p + whole, PAGE, PROT_NONE) ? NULL : p + whole - len;
}

/* ---- io_setup, io_destroy ---- */

bool decode_io_setup(struct call *c, int64_t *answer)
{
    struct aio_call *a = arena_alloc(c->mem, sizeof *a);
    struct context *k = calloc(1, sizeof *k);
    if (!a || !k) {
        free(k);
        return call_answer(answer, -ENOMEM);
    }
    memset(a, 0, sizeof *a);
    k->id = c->user[1];
    k->users = 1;
    a->context = k;
    c->aio = a;
    c->arg[1] = (long)&k->native;
    return true;
}

bool decode_io_destroy(struct call *c, int64_t *answer)
{
    return begin(c, c->user[0]) ? true : call_answer(answer, -ENOMEM);
}

static void finish_setup(struct context *k)
{
    pthread_mutex_lock(&lock);
    k->next = contexts;
    k->listed = true;
    contexts = k;
    pthread_mutex_unlock(&lock);
}

static void finish_destroy(struct context *k)
{
    pthread_mutex_lock(&lock);
    context_unlist(k);
    pthread_mutex_unlock(&lock);
}

/* ---- io_submit ---- */

/* Widens op's range of memory by n buffers, for call_aio_settle(). */
static void buffers_between(struct operation *op, const struct iovec *v, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t at = (uint64_t)v[i].iov_base;
        if (at <= PAGE || at >= LULL_BAD_RANGE || !v[i].iov_len)
            continue;
        if (op->start == op->end) {
            op->start = at;
            op->end = at + v[i].iov_len;
        }
        op->start = at < op->start ? at : op->start;
        op->end = at + v[i].iov_len > op->end ? at + v[i].iov_len : op->end;
    }
}

/* Replaces the buffer, or the array of buffers, of op by a checked one. False: no memory. */
static bool check_buffers(struct call *c, struct operation *op, uint64_t word)
{
    bool array =
        op->own.aio_lio_opcode == IOCB_CMD_PREADV || op->own.aio_lio_opcode == IOCB_CMD_PWRITEV;
    uint64_t have = LULL_AIO_HAVE(word), n = array ? op->own.aio_nbytes : 1;
    struct iovec *v;
    if (array) {
        bool no_memory = false;
        v = word & LULL_AIO_BAD_ARRAY ? (void *)LULL_BAD_PTR
                                      : iovec_copy(c, op->own.aio_buf, &n, have, &no_memory);
        op->own.aio_buf = (uint64_t)v;
        op->own.aio_nbytes = n;
        if (v && v != (void *)LULL_BAD_PTR)
            buffers_between(op, v, n);
        return !no_memory;
    }
    if ((int64_t)op->own.aio_nbytes < 0)
        return true; /* EINVAL before anything is looked at */
    v = arena_alloc(c->mem, 2 * sizeof *v);
    if (!v)
        return false;
    *v = (struct iovec){(void *)op->own.aio_buf, op->own.aio_nbytes};
    iovec_check_split(c, v, &n, have);
    buffers_between(op, v, n);
    if (n == 1) {
        op->own.aio_buf = (uint64_t)v->iov_base;
        op->own.aio_nbytes = v->iov_len;
    } else { /* it ends in a page that may not be used */
        op->own.aio_lio_opcode =
            op->own.aio_lio_opcode == IOCB_CMD_PREAD ? IOCB_CMD_PREADV : IOCB_CMD_PWRITEV;
        op->own.aio_buf = (uint64_t)v;
        op->own.aio_nbytes = n;
    }
    return true;
}

/* Returns true if the proxy answers reads or writes of this file; *refuse: they are refused. */
static bool is_special(const struct call *c, const struct iocb *i, bool *refuse)
{
    struct call probe = {.env = c->env, .arg = {(int)i->aio_fildes}};
    int64_t ignored;
    *refuse = (i->aio_lio_opcode == IOCB_CMD_PREAD || i->aio_lio_opcode == IOCB_CMD_PREADV) &&
              call_reads_signalfd(&probe);
    return *refuse ||
           ((i->aio_lio_opcode == IOCB_CMD_PWRITE || i->aio_lio_opcode == IOCB_CMD_PWRITEV) &&
            !view_comm_written(&probe, &ignored));
}

/* Copies and checks the iocb at `va`. Returns 0 and *out (NULL: Linux gets a bad pointer), -ENOMEM,
   or -ENOSYS if it is refused. */
static int prepare(struct call *c, uint64_t va, uint64_t word, struct operation **out)
{
    struct iocb i;
    bool refuse;
    *out = NULL;
    if (word & LULL_AIO_BAD_IOCB || !call_copy_in(c, &i, va, sizeof i))
        return 0;
    i.aio_fildes = (uint32_t)call_fd(c->env, i.aio_fildes);
    if (i.aio_flags & IOCB_FLAG_RESFD)
        i.aio_resfd = (uint32_t)call_fd(c->env, i.aio_resfd);
    if (is_special(c, &i, &refuse)) {
        if (refuse)
            return -ENOSYS;
        i.aio_lio_opcode = NO_OPCODE; /* Linux cannot write such a file so: EINVAL */
    }
    struct operation *op = calloc(1, sizeof *op);
    if (!op)
        return -ENOMEM;
    op->iocb = va;
    op->data = i.aio_data;
    op->key = i.aio_key;
    op->own = i;
    op->own.aio_key = KEY_UNTOUCHED;
    switch (i.aio_lio_opcode) {
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PREADV:
    case IOCB_CMD_PWRITEV:
        if (!check_buffers(c, op, word)) {
            free(op);
            return -ENOMEM;
        }
        break;
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC:
    case IOCB_CMD_POLL: /* the events in place of an address */
        break;
    default: /* EINVAL today; a Linux that knows the opcode gets no address */
        op->own.aio_buf = LULL_BAD_PTR;
        break;
    }
    *out = op;
    return 0;
}

/* Linux writes 0 there before it begins; afterwards the iocb may be the program's again. */
static void put_key(const struct call *c, uint64_t iocb, uint32_t key)
{
    void *at = call_mem(c, iocb + offsetof(struct iocb, aio_key), sizeof key);
    if (at)
        memcpy(at, &key, sizeof key);
}

/* Gives op a number; returns the iocb for Linux. NULL: no memory, and op is freed. */
static struct iocb *hand_over(struct call *c, struct operation *op, uint64_t word)
{
    struct aio_call *a = c->aio;
    pthread_mutex_lock(&lock);
    bool ok = slot_give(a->context, op);
    pthread_mutex_unlock(&lock);
    if (!ok) {
        free(op);
        return NULL;
    }
    op->own.aio_data = op->number;
    if (!(word & LULL_AIO_READONLY)) {
        put_key(c, op->iocb, 0);
        return &op->own;
    }
    /* Linux fails to write aio_key, after its earlier checks: EFAULT. */
    struct iocb *closed = guarded(a, PAGE);
    if (closed) {
        *closed = op->own;
        mprotect(closed, PAGE, PROT_READ);
    }
    return closed ? closed : (struct iocb *)LULL_BAD_PTR;
}

bool decode_io_submit(struct call *c, int64_t *answer)
{
    struct aio_call *a = begin(c, c->user[0]);
    uint64_t n = c->user[1] < LULL_AIO_BATCH ? c->user[1] : LULL_AIO_BATCH;
    uint64_t word = c->user[LULL_ARG_HAVE];
    bool fault;
    if (!a)
        return call_answer(answer, -ENOMEM);
    c->arg[1] = (long)n;
    if (!a->context || !n)
        return true;
    a->iocb = call_dup(c, c->user[2], n * sizeof *a->iocb, &fault);
    struct iocb **own = arena_alloc(c->mem, n * sizeof(struct iocb *));
    a->op = arena_alloc(c->mem, n * sizeof(struct operation *));
    c->arg[2] = (long)LULL_BAD_PTR;
    if (!a->iocb && fault)
        return true;
    int64_t err = a->iocb && own && a->op ? 0 : -ENOMEM;
    for (; err == 0 && a->n < n; a->n++) {
        struct operation *op;
        err = prepare(c, a->iocb[a->n], n == 1 ? word : 0, &op);
        if (err)
            break;
        own[a->n] = op ? hand_over(c, op, n == 1 ? word : 0) : (struct iocb *)LULL_BAD_PTR;
        if (!own[a->n]) {
            err = -ENOMEM;
            break;
        }
        a->writes |= op && (op->own.aio_lio_opcode == IOCB_CMD_PWRITE ||
                            op->own.aio_lio_opcode == IOCB_CMD_PWRITEV);
        a->op[a->n] = op;
    }
    if (a->n == 0) {
        aio_end(c);
        return err == -ENOSYS ? call_refuse(c, answer) : call_answer(answer, err);
    }
    c->arg[1] = a->n; /* those before the first that fails; the next call reports it */
    c->arg[2] = (long)own;
    return true;
}

bool aio_may_raise(const struct call *c)
{
    return c->aio && c->aio->writes;
}

static void finish_submit(struct call *c, int64_t r)
{
    struct aio_call *a = c->aio;
    unsigned taken = r > 0 ? (unsigned)(r & INT_MAX) : 0;
    for (unsigned i = taken; i < a->n; i++) { /* those before may be over, and free, by now */
        struct operation *op = a->op[i];
        if (!op)
            continue;
        if (op->own.aio_key && !a->guarded) /* Linux has not come so far */
            put_key(c, op->iocb, op->key);
        pthread_mutex_lock(&lock);
        operation_end(a->context, op);
        pthread_mutex_unlock(&lock);
    }
}

/* ---- io_getevents, io_pgetevents ---- */

bool decode_io_getevents(struct call *c, int64_t *answer)
{
    struct aio_call *a = begin(c, c->user[0]);
    int64_t least = (int64_t)c->user[1], n = (int64_t)c->user[2];
    uint64_t have = c->user[LULL_ARG_HAVE];
    if (!a)
        return call_answer(answer, -ENOMEM);
    c->arg[3] = (long)call_ptr(c, c->user[3], 1);
    c->arg[5] = 0; /* the mask is the isle kernel's business */
    if (n <= 0 || least > n || least < 0 || !c->arg[3] || c->arg[3] == (long)LULL_BAD_PTR ||
        c->arg[3] == (long)LULL_BAD_RANGE)
        return true;
    n = n < (int64_t)LULL_AIO_EVENTS ? n : (int64_t)LULL_AIO_EVENTS;
    c->arg[1] = least < n ? least : n;
    c->arg[2] = n;
    size_t room = (have && have <= (uint64_t)n ? have - 1 : (uint64_t)n) * sizeof *a->events;
    a->events = have ? guarded(a, room) : arena_alloc(c->mem, room);
    if (!a->events) {
        aio_end(c);
        return call_answer(answer, -ENOMEM);
    }
    c->arg[3] = (long)a->events;
    return true;
}

static int64_t finish_getevents(struct call *c, int64_t r)
{
    struct aio_call *a = c->aio;
    struct context *k = a->context;
    if (r <= 0 || !a->events || !k)
        return r;
    pthread_mutex_lock(&lock);
    for (int64_t i = 0; i < r && i < c->arg[2]; i++) {
        struct io_event *e = &a->events[i];
        struct operation *op = e->data < k->nslots ? k->slot[e->data] : NULL;
        if (!op)
            continue;
        e->data = op->data;
        e->obj = op->iocb;
        operation_end(k, op);
    }
    pthread_mutex_unlock(&lock);
    void *to = call_mem(c, c->user[3], (uint64_t)r * sizeof *a->events);
    if (!to)
        return -EFAULT;
    memcpy(to, a->events, (size_t)r * sizeof *a->events);
    return r;
}

/* ---- io_cancel ---- */

bool decode_io_cancel(struct call *c, int64_t *answer)
{
    struct aio_call *a = begin(c, c->user[0]);
    struct iocb *other = arena_alloc(c->mem, sizeof *other); /* one that Linux does not have */
    if (!a || !other) {
        aio_end(c);
        return call_answer(answer, -ENOMEM);
    }
    memset(other, 0, sizeof *other);
    c->arg[1] = (long)other;
    if (!call_copy_in(c, &other->aio_key, c->user[1] + offsetof(struct iocb, aio_key),
                      sizeof other->aio_key)) {
        c->arg[1] = (long)LULL_BAD_PTR;
        return true;
    }
    int64_t r = -EINVAL;
    pthread_mutex_lock(&lock);
    struct operation *op = a->context && !other->aio_key ? a->context->first : NULL;
    for (; op && r == -EINVAL; op = op->next)
        if (op->iocb == c->user[1])
            r = server_syscall(SYS_io_cancel, c->arg[0], (long)&op->own, 0, 0);
    pthread_mutex_unlock(&lock);
    if (r == -EINVAL)
        return true;
    aio_end(c);
    return call_answer(answer, r);
}

int64_t finish_aio(struct call *c, int64_t r)
{
    if (!c->aio)
        return r;
    switch (c->nr) {
    case SYS_io_setup:
        if (r == 0)
            finish_setup(c->aio->context);
        break;
    case SYS_io_destroy:
        if (r == 0 && c->aio->context)
            finish_destroy(c->aio->context);
        break;
    case SYS_io_submit:
        if (c->aio->n)
            finish_submit(c, r);
        break;
    case SYS_io_getevents:
    case SYS_io_pgetevents:
        r = finish_getevents(c, r);
        break;
    default:
        break;
    }
    aio_end(c);
    return r;
}

/* ---- memory that goes away ---- */

/* Marks the operations whose events are in Linux's ring. The caller holds the lock. */
static void look_at_ring(struct context *k)
{
    const struct ring *g = (const struct ring *)k->native;
    if (!g || g->magic != RING_MAGIC || !g->nr)
        return;
    uint32_t head = __atomic_load_n(&g->head, __ATOMIC_ACQUIRE) % g->nr;
    uint32_t tail = __atomic_load_n(&g->tail, __ATOMIC_ACQUIRE) % g->nr;
    for (; head != tail; head = (head + 1) % g->nr) {
        uint64_t number = g->event[head].data;
        if (number < k->nslots && k->slot[number])
            k->slot[number]->done = true;
    }
}

static bool uses(struct context *k, uint64_t start, uint64_t end)
{
    bool looked = false;
    for (const struct operation *op = k->first; op; op = op->next) {
        if (op->done || op->start >= end || op->end <= start)
            continue;
        if (!looked && k->native)
            look_at_ring(k);
        looked = true;
        if (k->native && !op->done)
            return true;
    }
    return false;
}

int64_t call_aio_settle(struct call *c)
{
    uint64_t start = c->user[0], end = start + c->user[1];
    for (;;) {
        bool busy = false;
        pthread_mutex_lock(&lock);
        for (struct context *k = contexts; k && !busy; k = k->next)
            busy = uses(k, start, end);
        pthread_mutex_unlock(&lock);
        if (!busy || call_halted(c->env))
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
    }
}
