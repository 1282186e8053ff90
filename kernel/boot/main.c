/* SPDX-License-Identifier: MIT */
/* The first core makes the isle, every core then idles until there is a thread for it. */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/child.h"
#include "sched/futex.h"
#include "sys/sys.h"

extern char lull_leave_start[], lull_leave_end[], lull_entry[], lull_lstar[], lull_upcall[];
extern char lull_fault_stubs[], lull_irq_stub[], lull_ring0_bp[], lull_ring0_fatal[];
extern char lull_ring0_irq[];

extern const struct lull_kernel_header lull_header;
const struct lull_kernel_header lull_header
    __attribute__((section(".lull_header"), used, aligned(64))) = {
        .magic = LULL_ABI_MAGIC,
        .abi_version = LULL_ABI_VERSION,
        .header_size = sizeof(struct lull_kernel_header),
        .entry = (u64)lull_entry,
        .text_start = (u64)lull_text_start,
        .text_end = (u64)lull_text_end,
        .leave_start = (u64)lull_leave_start,
        .leave_end = (u64)lull_leave_end,
        .leave_redo = (u64)lull_leave,
        .upcall = (u64)lull_upcall,
        .lstar = (u64)lull_lstar,
        .fault_stubs = (u64)lull_fault_stubs,
        .irq_stub = (u64)lull_irq_stub,
        .ring0_bp = (u64)lull_ring0_bp,
        .ring0_fatal = (u64)lull_ring0_fatal,
        .ring0_irq = (u64)lull_ring0_irq,
};

/* The idle thread of a core has no slot: its stack is the rest of the core page. */
static struct thread idle_threads[LULL_MAX_CORES] __attribute__((aligned(64)));
static u32 isle_ready; /* lull_boot.forks + 1 */

static void idle_init(struct percpu *p, unsigned index)
{
    struct thread *t = &idle_threads[index];
    t->is_idle = true;
    t->state = THREAD_RUNNING;
    t->core = index;
    t->on_cpu = 1;
    t->migrate_to = -1;
    t->fwd_slot = -1;
    t->ktop = LULL_CORES + (index + 1) * LULL_CORE_STRIDE;
    list_init(&t->rq);
    pi_init(t);
    p->cur = t;
    p->ktop = t->ktop;
    p->pid = boot_info()->pid;
    p->nready = &runqs[index].nready;
    runqs[index].idle = t;
}

static struct thread *first_thread(void)
{
    if (boot_info()->forks)
        return fork_resume();
    if (machine.doorbell)
        doorbell_start_cores();
    signals_init();
    mm_init();
    rewrite_init();
    limits_start();
    itimers_start();
    return program_start();
}

/* On core 0. */
static void isle_start(void)
{
    const struct lull_boot *b = boot_info();
    if (b->magic != LULL_ABI_MAGIC || b->abi_version != LULL_ABI_VERSION)
        panic("boot information of another version", b->abi_version, LULL_ABI_VERSION);
    if (!b->forks)
        machine_init();
    memset(runqs, 0, b->ncores * sizeof *runqs);
    /* a thread may be placed on a core whose vCPU has not had its turn yet */
    for (unsigned i = 0; i < b->ncores; i++) {
        sched_init_core(i);
        idle_init(percpu_of(i), i);
    }
    struct thread *t = first_thread();
    __atomic_store_n(&isle_ready, b->forks + 1, __ATOMIC_RELEASE);
    thread_start(t);
}

void core_start(struct lull_core *core);
void core_start(struct lull_core *core)
{
    unsigned index = core->index;
    struct percpu *p = percpu_of(index);
    const struct lull_boot *b = boot_info();
    p->index = index;
    p->cpu = b->cpu[index];
    p->bp_top = LULL_SYSTABLES + index * LULL_SYS_STRIDE + LULL_SYS_BP_TOP;
    if (index == 0)
        isle_start();
    while (__atomic_load_n(&isle_ready, __ATOMIC_ACQUIRE) != b->forks + 1)
        cpu_relax();
    idle_loop();
}
