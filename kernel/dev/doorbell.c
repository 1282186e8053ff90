/* SPDX-License-Identifier: MIT */
/*
 * Doorbells both ways on a machine that has a PCI bus: the ivshmem-doorbell device of QEMU
 * (docs/specs/ivshmem-spec of QEMU; PCI Local Bus 3.0, 6.8.2 for MSI-X). A core rings the proxy by
 * one write; the proxy rings core i by the device's vector i, which arrives as LULL_VECTOR.
 */
#include "kernel.h"
#include "sched/thread.h"

#define DEV(gpa) (LULL_DEV_BASE + (gpa)-LULL_DEV_GPA)
#define ECAM 0xe0000000ul
#define SLOT 1u /* where the proxy plugs it in */
/* where we put its registers, its MSI-X table and its memory, which is not used */
#define BAR_REGS 0xc0000000ul
#define BAR_MSIX 0xc0010000ul
#define BAR_MEM 0xc0100000ul
#define PCI_COMMAND 0x04u
#define PCI_BAR0 0x10u
#define PCI_CAPS 0x34u
#define PCI_CAP_MSIX 0x11u
#define DEVICE_ID 0x11101af4u
#define REG_DOORBELL 12u
#define PROXY_PEER 0u
#define MSI_ADDRESS 0xfee00000u
#define SPIN_NS 20000u /* how long a core looks for the reply itself before it sleeps */

static volatile u32 *reg(u64 gpa)
{
    return (volatile u32 *)DEV(gpa);
}

static volatile u32 *config(u32 offset)
{
    return reg(ECAM + (SLOT << 15) + offset);
}

static u32 msix_capability(void)
{
    for (u32 at = *config(PCI_CAPS) & 0xfc; at; at = *config(at) >> 8 & 0xfc) {
        if ((*config(at) & 0xff) == PCI_CAP_MSIX)
            return at;
    }
    panic("the doorbell device has no MSI-X", 0, 0);
}

/* Says what the TSC is until the proxy knows enough; then boot information is complete. */
static void clock_tell(void)
{
    struct lull_core *c = core_of(0);
    u32 n = 0;
    do {
        c->op = LULL_OP_CLOCK;
        c->arg[0] = rdtsc();
        __atomic_store_n(&c->request, ++n, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&c->reply, __ATOMIC_ACQUIRE) != n)
            cpu_relax();
    } while (c->ret != 1);
}

void doorbell_init(void)
{
    if (*config(0) != DEVICE_ID)
        panic("no doorbell device", *config(0), 0);
    *config(PCI_BAR0) = BAR_REGS;
    *config(PCI_BAR0 + 4) = BAR_MSIX;
    *config(PCI_BAR0 + 8) = BAR_MEM;
    *config(PCI_BAR0 + 12) = 0;
    *config(PCI_COMMAND) = 6; /* memory, bus master */
    for (u32 i = 0; i < boot_info()->ncores; i++) {
        volatile u32 *entry = reg(BAR_MSIX + 16 * i);
        entry[0] = MSI_ADDRESS | i << 12;
        entry[1] = 0;
        entry[2] = LULL_VECTOR;
        entry[3] = 0;
    }
    u32 cap = msix_capability();
    *config(cap) = (*config(cap) & 0x3fffffff) | 1u << 31;
    clock_tell();
}

void doorbell_start_cores(void)
{
    volatile u32 *icr = (volatile u32 *)(LAPIC + LAPIC_ICR_LOW);
    if (boot_info()->ncores == 1)
        return;
    *icr = 0xc4500; /* INIT, then start-up at 0x8000, to all but this one (SDM vol. 3A, 8.4) */
    u64 until = clock_mono() + 200000;
    while (clock_mono() < until)
        cpu_relax();
    *icr = 0xc4608;
}

void doorbell_leave(struct lull_core *c)
{
    u32 n = c->request + 1;
    __atomic_store_n(&c->request, n, __ATOMIC_SEQ_CST);
    *reg(BAR_REGS + REG_DOORBELL) = PROXY_PEER << 16 | c->index;
    if (c->op != LULL_OP_PARK) {
        /* the reply to a mark must not be an interrupt in what it measures */
        u64 until = c->op == LULL_OP_MARK ? ~0ul : clock_mono() + SPIN_NS;
        while (__atomic_load_n(&c->reply, __ATOMIC_ACQUIRE) != n && clock_mono() < until)
            cpu_relax();
    }
    while (__atomic_load_n(&c->reply, __ATOMIC_ACQUIRE) != n)
        monitor_call(MONITOR_HALT, 0, 0);
}
