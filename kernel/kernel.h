/* SPDX-License-Identifier: MIT */
/* What the parts of the kernel offer each other beyond their own headers. */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include <lull/syscalls.h>

#include "arch/cpu.h"
#include "errno.h"
#include "percpu.h"
#include "types.h"

struct thread;

/* lib/ */
void *memset(void *p, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
_Noreturn void panic(const char *what, u64 a, u64 b);
/* Ends the isle: there is no memory for `what`, which the program's start needs. */
_Noreturn void panic_no_memory(const char *what);

/* sys/time.c: ns */
u64 clock_mono(void);
u64 clock_real(void);
u64 clock_tai(void);
u64 clock_sets(void); /* how often somebody has set the two before */
u64 tsc_to_ns(u64 ticks);

/* sys/forward.c */
long forward_call(struct frame *f, const struct lull_sysdesc *d);
long forward_resume(struct frame *f, u32 nr, u64 end); /* goes on until CLOCK_MONOTONIC end ns */
long forward_raw(u32 nr, const u64 arg[6]);            /* the kernel's own calls; may block */
long forward_alone(u32 nr, const u64 arg[6]); /* the same; no other thread runs here meanwhile */
void forward_reap(void);
void forward_cancel(struct thread *t);

/* sys/dispatch.c */
long syscall_local(struct frame *f, u64 nr); /* one that is answered here */
extern const struct lull_sysdesc syscall_table[512];
long refuse(u64 nr); /* -ENOSYS, counted */
static inline bool syscall_restarts(long r)
{
    return r == -ERESTART || r == -ERESTART_NOINTR || r == -ERESTART_NOHAND || r == -ERESTART_BLOCK;
}

/* sys/rewrite.c */
void rewrite_init(void);
void rewrite_site(struct frame *f);
void rewrite_leaves_off(void);           /* from now on no call is answered without the kernel */
void rewrite_hide_step(struct frame *f); /* a single step into a stub: as if at the site */
void rewrite_forget(u64 start, u64 end); /* other code may come there; under mm_lock */

/* boot/smp.c: requests between cores */
void core_answer_bell(void);
void core_rest(void); /* of an idle core that holds no lock: while cores_rest() wants it */
/* Returns when every other core rests; the program has no other thread, so all are idle. */
void cores_rest(bool on);
void cores_reset(void);         /* in a forked child */
void cores_ignore_others(void); /* until then: nobody waits for them */
void cores_flush(u64 start,
                 u64 pages); /* TLB: here, and on every core that runs application code */
void cores_stop(void);       /* until cores_resume() no other core runs application code */
void cores_resume(void);
/* Every core that runs application code has made a full barrier, and serialised. `restart`:
   restartable sequences there begin anew. */
void cores_fence(bool restart);

/* Checked access to the application's memory. 0 or -EFAULT. */
bool user_range_ok(uaddr p, u64 n);
int copy_in(void *dst, uaddr src, u64 n);
int copy_out(uaddr dst, const void *src, u64 n);

static inline uaddr frame_arg(const struct frame *f, unsigned i)
{
    switch (i) {
    case 0:
        return f->rdi;
    case 1:
        return f->rsi;
    case 2:
        return f->rdx;
    case 3:
        return f->r10;
    case 4:
        return f->r8;
    default:
        return f->r9;
    }
}

struct timespec {
    i64 sec, nsec;
};
/* A span of time from the application, in ns, at most about 285 years. 0, -EFAULT, -EINVAL. */
long timespec_in(uaddr p, u64 *ns);

#endif
