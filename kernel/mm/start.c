/* SPDX-License-Identifier: MIT */
/* The program as the proxy loaded it, its stack (System V ABI, x86-64, 3.4.1), its first thread. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/rseq.h"
#include "sched/thread.h"

#define AT_NULL 0
#define AT_PHDR 3
#define AT_PHENT 4
#define AT_PHNUM 5
#define AT_PAGESZ 6
#define AT_BASE 7
#define AT_FLAGS 8
#define AT_ENTRY 9
#define AT_UID 11
#define AT_EUID 12
#define AT_GID 13
#define AT_EGID 14
#define AT_PLATFORM 15
#define AT_HWCAP 16
#define AT_CLKTCK 17
#define AT_SECURE 23
#define AT_RANDOM 25
#define AT_HWCAP2 26
#define AT_RSEQ_FEATURE_SIZE 27
#define AT_RSEQ_ALIGN 28
#define AT_EXECFN 31
#define AT_SYSINFO_EHDR 33
#define AT_MINSIGSTKSZ 51

#define STACK_TOP_POPULATED LULL_HUGE
#define STACK_LEAST 0x20000ul /* behind the arguments, however low the limit */

static void map_or_panic(u64 start, u64 end, u32 prot)
{
    if (pt_map(start, end, prot))
        panic("no page tables for the program", start, end);
}

void mm_init(void)
{
    const struct lull_boot *b = boot_info();
    pt_init();
    blocks_init(b->mem_loaded);
    policy_init();
    for (u32 i = 0; i < b->nsegments && i < LULL_MAX_SEGMENTS; i++) {
        const struct lull_segment *s = &b->segment[i];
        blocks_mark_used(s->start, s->end);
        vma_insert((struct lull_map){.start = s->start,
                                     .end = s->end,
                                     .prot = s->prot,
                                     .flags = LULL_MAP_IMAGE,
                                     .file = s->file,
                                     .offset = s->offset});
        map_or_panic(s->start, s->end, s->prot);
    }
    if (b->stub_end > b->stub_start) {
        blocks_mark_used(b->stub_start, b->stub_end);
        map_or_panic(b->stub_start, b->stub_end, PROT_READ | PROT_EXEC);
        vma_insert((struct lull_map){.start = b->stub_start,
                                     .end = b->stub_end,
                                     .prot = PROT_READ | PROT_EXEC,
                                     .flags = LULL_MAP_STUBS});
    }
}

/* The stack and the page that guards it; answers the stack's end. */
static u64 stack_make(void)
{
    const struct lull_boot *b = boot_info();
    u64 least = STACK_LEAST + b->blob_end + 8ul * (b->argc + b->envc);
    u64 size = ALIGN_UP(max_u64(b->stack_size, least), LULL_PAGE);
    u64 room = ALIGN_UP(size, LULL_HUGE) + LULL_HUGE;
    u64 start = vma_gap(b->mmap_start, b->brk_start, room, LULL_HUGE);
    if (!start)
        panic("no room for the stack", size, 0);
    u64 end = start + room;
    u32 prot = PROT_READ | PROT_WRITE | (b->flags & LULL_BOOT_F_EXEC_STACK ? PROT_EXEC : 0);
    vma_insert((struct lull_map){
        .start = start, .end = end - size, .flags = LULL_MAP_STACK | LULL_MAP_MAIN});
    if (blocks_prepare(end - STACK_TOP_POPULATED, end, false) ||
        mm_map(end - size, end, prot, LULL_MAP_STACK | LULL_MAP_MAIN))
        panic_no_memory("its stack");
    return end;
}

static char *push_bytes(char **top, const void *bytes, u64 n)
{
    *top -= n;
    memcpy(*top, bytes, n);
    return *top;
}

static const char *blob(u32 off)
{
    return (const char *)LULL_BOOT + off;
}

static u64 *put_strings(u64 *out, const char *s, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        *out++ = (u64)s;
        s += strlen(s) + 1;
    }
    *out++ = 0;
    return out;
}

static u64 stack_fill(u64 end)
{
    const struct lull_boot *b = boot_info();
    char *top = (char *)end - 16;
    char *execfn = push_bytes(&top, blob(b->execfn_off), strlen(blob(b->execfn_off)) + 1);
    char *platform = push_bytes(&top, "x86_64", 7);
    char *strings = push_bytes(&top, blob(b->argv_off), b->exe_off - b->argv_off);
    char *envs = strings + (b->envp_off - b->argv_off);
    top = (char *)ALIGN_DOWN((u64)top, 16);
    char *random = push_bytes(&top, b->random, 16);
    u64 aux[] = {
        AT_SYSINFO_EHDR,
        b->vdso_size ? LULL_VDSO : 0,
        AT_HWCAP,
        machine.hwcap,
        AT_PAGESZ,
        LULL_PAGE,
        AT_CLKTCK,
        100,
        AT_PHDR,
        b->phdr,
        AT_PHENT,
        b->phent,
        AT_PHNUM,
        b->phnum,
        AT_BASE,
        b->interp_base,
        AT_FLAGS,
        0,
        AT_ENTRY,
        b->entry,
        AT_UID,
        b->uid,
        AT_EUID,
        b->euid,
        AT_GID,
        b->gid,
        AT_EGID,
        b->egid,
        AT_SECURE,
        (b->flags & LULL_BOOT_F_SECURE) != 0,
        AT_RANDOM,
        (u64)random,
        AT_HWCAP2,
        machine.hwcap2,
        AT_EXECFN,
        (u64)execfn,
        AT_PLATFORM,
        (u64)platform,
        AT_RSEQ_FEATURE_SIZE,
        RSEQ_FEATURES,
        AT_RSEQ_ALIGN,
        RSEQ_ALIGN,
        AT_MINSIGSTKSZ,
        machine.xsave_size + 1024ul,
        AT_NULL,
        0,
    };
    u64 *skip = aux + (b->vdso_size ? 0 : 2);
    u64 auxbytes = sizeof aux - (b->vdso_size ? 0 : 16);
    u64 words = 1 + b->argc + 1 + b->envc + 1;
    u64 sp = ALIGN_DOWN((u64)top - words * 8 - auxbytes, 16);
    u64 *out = (u64 *)sp;
    *out++ = b->argc;
    out = put_strings(out, strings, b->argc);
    out = put_strings(out, envs, b->envc);
    memcpy(out, skip, auxbytes);
    _Static_assert(sizeof aux <= sizeof((struct lull_proc *)0)->auxv, "room");
    memcpy(((struct lull_proc *)LULL_PROC)->auxv, skip, auxbytes);
    return sp;
}

/* As execve(2): the last component, at most 15 bytes. */
static void name_by_file(char name[16], const char *path)
{
    const char *last = path;
    for (const char *p = path; *p; p++) {
        if (*p == '/')
            last = p + 1;
    }
    memset(name, 0, 16);
    for (unsigned i = 0; i < 15 && last[i]; i++)
        name[i] = last[i];
}

struct thread *program_start(void)
{
    const struct lull_boot *b = boot_info();
    struct thread *t = thread_alloc();
    if (!t)
        panic("no thread", 0, 0);
    struct frame *f = thread_frame(t);
    memset(f, 0, sizeof *f);
    f->rip = b->first_rip;
    f->rsp = stack_fill(stack_make());
    f->cs = LULL_SEL_UCODE;
    f->ss = LULL_SEL_UDATA;
    f->rflags = 0x202;
    f->err = FR_FULL;
    f->orig = ~0ul;
    u32 *mxcsr = (u32 *)((char *)thread_xsave(t) + 24);
    *mxcsr = 0x1f80;
    t->mempolicy = policy_first();
    t->sig.mask = b->sigmask;
    t->slack = t->slack_first = TIMER_SLACK_NS;
    t->nice = NICE_UNKNOWN;
    t->sig.alt.flags = SS_DISABLE;
    for (u32 i = 0; i < b->ncores; i++)
        t->affinity[i / 64] |= 1ul << (i % 64);
    ((struct lull_proc *)LULL_PROC)->stack = f->rsp;
    name_by_file(t->name, blob(b->execfn_off));
    memcpy(((struct lull_proc *)LULL_PROC)->main_comm, t->name, sizeof t->name);
    u64 *sp = (u64 *)f;
    *--sp = (u64)thread_first_return;
    t->ksp = (u64)(sp - 6);
    memset((void *)t->ksp, 0, 48);
    t->core = 0;
    runqs[0].nthreads++;
    return t;
}
