/* SPDX-License-Identifier: MIT */
/*
 * io_setup(2) and its family. Linux does the work in the proxy, on the same addresses; a context is
 * known by the address of a page here, as it is by that of its ring on Linux. The page is zero, so
 * libaio finds no ring in it and makes the call.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "signal/signal.h"
#include "sys/sys.h"

#define PREAD 0u /* linux/aio_abi.h */
#define PWRITE 1u
#define PREADV 7u
#define PWRITEV 8u

struct iocb {
    u64 data;
    u32 key, rw_flags;
    u16 opcode, reqprio;
    u32 fildes;
    u64 buf, nbytes, offset, reserved;
    u32 flags, resfd;
};
_Static_assert(sizeof(struct iocb) == 64, "struct iocb");

static unsigned ncontexts; /* atomic */

void aio_forked(void)
{
    ncontexts = 0; /* they are the parent's */
}

void aio_settle(u64 start, u64 len)
{
    u64 arg[6] = {start, len};
    if (__atomic_load_n(&ncontexts, __ATOMIC_RELAXED) && start + len > start)
        forward_raw(LULL_NR_AIO_SETTLE, arg);
}

static void page_free(u64 at)
{
    spin_lock(&mm_lock);
    mm_unmap(at, at + LULL_PAGE);
    pt_flush();
    spin_unlock(&mm_lock);
}

long sys_io_setup(struct frame *f)
{
    u64 ctx, at, arg[6] = {(u32)f->rdi};
    if (copy_in(&ctx, f->rsi, sizeof ctx))
        return -EFAULT;
    if (ctx || !arg[0])
        return -EINVAL;
    long r = map_anonymous(0, LULL_PAGE, PROT_READ | PROT_WRITE, 0, &at);
    if (r)
        return r;
    arg[1] = at;
    r = forward_raw(NR_io_setup, arg);
    if (r == 0 && copy_out(f->rsi, &at, sizeof at)) {
        arg[0] = at;
        forward_raw(NR_io_destroy, arg);
        r = -EFAULT;
    }
    if (r)
        page_free(at);
    else
        __atomic_fetch_add(&ncontexts, 1, __ATOMIC_RELAXED);
    return r;
}

/* Linux reads a number in the ring first; 0 is no context's. */
static u64 context_readable(u64 ctx)
{
    return args_usable(ctx, sizeof(u32), PROT_READ) == sizeof(u32) ? ctx : 0;
}

void aio_events_note(u64 arg[6])
{
    arg[0] = context_readable(arg[0]);
    if ((i64)arg[2] <= 0)
        return;
    u64 n = min_u64(arg[2], LULL_AIO_EVENTS), have = args_usable(arg[3], n * 32, PROT_WRITE) / 32;
    if (have < n)
        arg[LULL_ARG_HAVE] = have + 1;
    if (!have)
        arg[3] = LULL_BAD_PTR;
}

void aio_cancel_note(u64 arg[6])
{
    arg[0] = context_readable(arg[0]);
    if (args_usable(arg[1] + 8, sizeof(u32), PROT_READ) != sizeof(u32))
        arg[1] = LULL_BAD_PTR;
}

long sys_io_destroy(struct frame *f)
{
    u64 ctx = context_readable(f->rdi), arg[6] = {ctx};
    long r = forward_raw(NR_io_destroy, arg);
    if (r == 0) {
        page_free(ctx);
        __atomic_fetch_sub(&ncontexts, 1, __ATOMIC_RELAXED);
    }
    return r;
}

/* Checks the program's rights on the iocb at `p` and its buffers: LULL_AIO_*, 0: all is well. */
static u64 iocb_note(uaddr p)
{
    struct iocb o;
    if (args_usable(p, sizeof o, PROT_READ) != sizeof o || copy_in(&o, p, sizeof o))
        return LULL_AIO_BAD_IOCB;
    u64 word = args_usable(p + 8, sizeof(u32), PROT_WRITE) == sizeof(u32) ? 0 : LULL_AIO_READONLY;
    u32 prot = o.opcode == PREAD || o.opcode == PREADV ? PROT_WRITE : PROT_READ;
    if (o.opcode == PREAD || o.opcode == PWRITE) {
        u64 n = min_u64(o.nbytes, 0x7ffff000), have = args_usable(o.buf, n, prot);
        if ((i64)o.nbytes > 0 && have < n)
            word |= have + 1;
    } else if (o.opcode == PREADV || o.opcode == PWRITEV) {
        i64 have = args_iov_have(o.buf, o.nbytes, prot);
        word |= have < 0 ? LULL_AIO_BAD_ARRAY : min_u64((u64)have, 0x1fffffffful);
    }
    return word;
}

/* Returns how many of the n iocbs at `list` the next call takes: those whose check is 0, or one. */
static u64 next_batch(u64 list, u64 n, u64 arg[6])
{
    u64 i, p;
    arg[2] = list;
    arg[LULL_ARG_HAVE] = 0;
    for (i = 0; i < n; i++) {
        if (args_usable(list + i * 8, 8, PROT_READ) != 8 || copy_in(&p, list + i * 8, 8)) {
            if (i == 0)
                arg[2] = LULL_BAD_PTR;
            break;
        }
        u64 word = iocb_note(p);
        if (word && i == 0)
            arg[LULL_ARG_HAVE] = word;
        if (word)
            break;
    }
    return n && !i ? 1 : i;
}

static void raise_with(long r)
{
    struct sigshort info = signal_own_info(SI_USER);
    if (r & LULL_SIGPIPE)
        signal_send(current(), SIGPIPE, &info);
    if (r & LULL_SIGXFSZ)
        signal_send(current(), SIGXFSZ, &info);
}

long sys_io_submit(struct frame *f)
{
    i64 n = (i64)f->rsi, done = 0;
    u64 arg[6] = {context_readable(f->rdi)};
    if (n < 0)
        return -EINVAL;
    do {
        u64 batch =
            next_batch(f->rdx + (u64)done * 8, min_u64((u64)(n - done), LULL_AIO_BATCH), arg);
        arg[1] = batch;
        long r = forward_raw(NR_io_submit, arg);
        if (r < 0)
            return done ? done : r;
        raise_with(r);
        r &= ~(LULL_SIGPIPE | LULL_SIGXFSZ);
        done += r;
        if ((u64)r < batch)
            break;
    } while (done < n);
    return done;
}
