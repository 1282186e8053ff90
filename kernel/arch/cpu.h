/* SPDX-License-Identifier: MIT */
/* Instructions, and the assembly routines of arch/entry.S. */
#ifndef KERNEL_ARCH_CPU_H
#define KERNEL_ARCH_CPU_H

#include "percpu.h"
#include "types.h"

#define FLAGS_TF 0x100ul
#define FLAGS_AC 0x40000ul
#define FLAGS_NT 0x4000ul

static inline u64 rdtsc(void)
{
    u32 lo, hi;
    __asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
    return (u64)hi << 32 | lo;
}
static inline void cpu_relax(void)
{
    __asm__ volatile("pause" ::: "memory");
}
static inline void write_fsbase(u64 v)
{
    __asm__ volatile("wrfsbase %0" ::"r"(v));
}
static inline u64 read_fsbase(void)
{
    u64 v;
    __asm__ volatile("rdfsbase %0" : "=r"(v));
    return v;
}
static inline void write_gsbase(u64 v)
{
    __asm__ volatile("wrgsbase %0" ::"r"(v));
}
static inline u64 read_gsbase(void)
{
    u64 v;
    __asm__ volatile("rdgsbase %0" : "=r"(v));
    return v;
}

/* Selectors that a program may load as it likes; in 64-bit mode they mean nothing. */
struct segments {
    u16 ds, es, fs, gs;
};
static inline struct segments read_segments(void)
{
    struct segments s;
    __asm__ volatile("mov %%ds, %0" : "=r"(s.ds));
    __asm__ volatile("mov %%es, %0" : "=r"(s.es));
    __asm__ volatile("mov %%fs, %0" : "=r"(s.fs));
    __asm__ volatile("mov %%gs, %0" : "=r"(s.gs));
    return s;
}
/* The bases of FS and GS are lost. */
static inline void write_segments(struct segments s)
{
    __asm__ volatile("mov %0, %%ds" ::"r"(s.ds));
    __asm__ volatile("mov %0, %%es" ::"r"(s.es));
    __asm__ volatile("mov %0, %%fs" ::"r"(s.fs));
    __asm__ volatile("mov %0, %%gs" ::"r"(s.gs));
}
static inline bool same_segments(struct segments a, struct segments b)
{
    return a.ds == b.ds && a.es == b.es && a.fs == b.fs && a.gs == b.gs;
}

static inline void cpu_xsave(void *area, u64 mask)
{
    __asm__ volatile("xsave64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32)) : "memory");
}
static inline void cpu_xrstor(const void *area, u64 mask)
{
    __asm__ volatile("xrstor64 (%0)" ::"r"(area), "a"((u32)mask), "d"((u32)(mask >> 32))
                     : "memory");
}

void leave_to_proxy(void);
void cpu_serialise(void);
u64 monitor_call(u64 op, u64 start, u64 pages);
#define MONITOR_INVLPG 1
#define MONITOR_FLUSH 2
#define MONITOR_CR2 3
#define MONITOR_HALT 4 /* until an interrupt, unless the reply is there */
void context_switch(u64 *save_ksp, u64 load_ksp);
void thread_first_return(void);
void lull_leave(void);
void lull_fast(void);
void leaf_getpid(void), leaf_gettid(void), leaf_sched_yield(void);

/* Memory of the application; the range must have been checked with user_range_ok(). */
long user_copy(void *dst, const void *src, u64 n);
int user_load32(const void *p, u32 *out);
int user_load64(const void *p, u64 *out);
int user_cmpxchg32(void *p, u32 *expected, u32 desired);
long user_strnlen(const void *s, u64 max);
int user_xsave(void *area, u64 mask);
int user_xrstor(const void *area, u64 mask);
int user_clear(void *p, u64 n);
extern char user_access_start[], user_access_end[], user_copy_fault[];
extern char lull_text_start[], lull_text_end[];

/* What this processor and machine are; boot/machine.c. Constant once the program runs. */
struct machine {
    u64 xcr0;       /* vector state that the application may use */
    u32 xsave_size; /* bytes of a standard-format XSAVE area for it */
    bool doorbell;  /* LULL_BOOT_F_DOORBELL */
    u64 hwcap, hwcap2;
};
extern struct machine machine;
void machine_init(void);

/* dev/doorbell.c */
void doorbell_init(void); /* core 0 */
void doorbell_leave(struct lull_core *c);
void doorbell_start_cores(void);

/* Asks the proxy; see enum lull_op. arg: six numbers. */
static inline i64 proxy_call6(u32 op, const u64 *arg)
{
    struct lull_core *c = this_core();
    c->op = op;
    for (int i = 0; i < 6; i++)
        c->arg[i] = arg[i];
    if (machine.doorbell)
        doorbell_leave(c);
    else
        leave_to_proxy();
    return c->ret;
}

/* The same with fewer. */
static inline i64 proxy_call(u32 op, u64 a0, u64 a1, u64 a2)
{
    struct lull_core *c = this_core();
    c->op = op;
    c->arg[0] = a0;
    c->arg[1] = a1;
    c->arg[2] = a2;
    if (machine.doorbell)
        doorbell_leave(c);
    else
        leave_to_proxy();
    return c->ret;
}

#endif
