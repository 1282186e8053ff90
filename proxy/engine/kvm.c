/* SPDX-License-Identifier: MIT */
/*
 * The kvm engine: the proxy is the virtual machine monitor. No interrupt controller at all: nothing
 * is ever injected, a core is interrupted by a signal to its thread (docs/architecture.md).
 * API: Documentation/virt/kvm/api.rst.
 */
#include "engine/kvm_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ownfd.h"

static void explain_open_failure(char *why, size_t size)
{
    switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
        snprintf(why, size,
                 "no /dev/kvm here: load the module (modprobe kvm_intel or kvm_amd), or enable "
                 "virtualisation in the firmware or nested in the hypervisor");
        break;
    case EACCES:
    case EPERM:
        snprintf(why, size,
                 "no right to /dev/kvm: join its group (usermod -aG kvm USER, then log in again) "
                 "or ask for read and write access to it");
        break;
    default:
        snprintf(why, size, "cannot open /dev/kvm: %s", strerror(errno));
    }
}

/*
 * The first time it is opened, and kept for the process's life: a forked child may have lost the
 * right to open it. A descriptor up there, or -1.
 */
static int kvm_device(int kept)
{
    static int device = -1;
    if (device < 0 && kept >= 0 && ioctl(kept, KVM_GET_API_VERSION, 0) == KVM_API_VERSION) {
        fcntl(kept, F_SETFD, FD_CLOEXEC);
        device = ownfd_hide(kept);
    }
    if (device < 0 && (device = open("/dev/kvm", O_RDWR | O_CLOEXEC)) >= 0)
        device = ownfd_hide(device);
    return device < 0 ? device : ownfd_copy(device);
}

static int kvm_open(struct engine **out, const struct engine_request *req, char *why, size_t size)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        snprintf(why, size, "out of memory");
        return -1;
    }
    e->ncores = req->ncores;
    e->vm = -1;
    for (unsigned i = 0; i < LULL_MAX_CORES; i++)
        e->vcpu[i].fd = e->vcpu[i].stats = -1;
    pthread_mutex_init(&e->lock, NULL);
    e->kvm = kvm_device(req->device);
    if (e->kvm < 0) {
        explain_open_failure(why, size);
        goto fail;
    }
    int version = ioctl(e->kvm, KVM_GET_API_VERSION, 0);
    if (version != KVM_API_VERSION) {
        snprintf(why, size, "/dev/kvm is not a KVM of API version %d: use a Linux kernel's own",
                 KVM_API_VERSION);
        goto fail;
    }
    do
        e->vm = ioctl(e->kvm, KVM_CREATE_VM, 0);
    while (e->vm < 0 && errno == EINTR);
    if (e->vm < 0) {
        snprintf(why, size,
                 "cannot create a virtual machine: %s; another hypervisor may hold the processor",
                 strerror(errno));
        goto fail;
    }
    e->vm = ownfd_hide(e->vm);
    ioctl(e->vm, KVM_SET_TSS_ADDR, 0xfffbd000ul); /* Intel without unrestricted guests wants it */
    e->run_size = ioctl(e->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    int max = ioctl(e->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
    if (e->run_size < (int)sizeof(struct kvm_run) || (max > 0 && e->ncores > (unsigned)max)) {
        snprintf(why, size,
                 "this KVM runs at most %d cores in one machine: ask for fewer with --cpus", max);
        goto fail;
    }
    *out = e;
    return 0;
fail:
    engine_kvm.close(e);
    return -1;
}

static const char *kvm_name(const struct engine *e)
{
    (void)e;
    return "kvm";
}

static void kvm_memory(const struct engine *e, struct engine_memory *out)
{
    (void)e;
    *out = (struct engine_memory){.fd = -1, .ram_bytes = ~0ull};
}

static int kvm_start(struct engine *e)
{
    (void)e;
    return 0;
}

static void kvm_clock(struct engine *e, struct engine_clock *out)
{
    int khz = ioctl(e->vm, KVM_GET_TSC_KHZ, 0);
    *out = (struct engine_clock){.tsc_khz = khz > 0 ? (uint64_t)khz : 0};
}

static int kvm_keep(struct engine *e, bool on)
{
    return fcntl(e->kvm, F_SETFD, on ? 0 : FD_CLOEXEC) ? -1 : e->kvm;
}

static void kvm_close(struct engine *e)
{
    kvm_stats_close(e);
    for (unsigned i = 0; i < e->ncores; i++) {
        if (e->vcpu[i].run)
            munmap(e->vcpu[i].run, (size_t)e->run_size);
        if (e->vcpu[i].fd >= 0)
            close(e->vcpu[i].fd);
    }
    if (e->vm >= 0)
        close(e->vm);
    if (e->kvm >= 0)
        close(e->kvm);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

/* The slot that begins at gpa; e->slots: none. */
static unsigned slot_at(const struct engine *e, uint64_t gpa)
{
    unsigned slot = 0;
    while (slot < e->slots && e->slot_gpa[slot] != gpa)
        slot++;
    return slot;
}

static int kvm_add_memory(void *engine, uint64_t gpa, void *host, uint64_t len)
{
    struct engine *e = engine;
    pthread_mutex_lock(&e->lock);
    unsigned slot = slot_at(e, host ? SLOT_FREE : gpa);
    struct kvm_userspace_memory_region r = {
        .slot = slot,
        .guest_phys_addr = gpa,
        .memory_size = host ? len : 0,
        .userspace_addr = (uint64_t)host,
    };
    int rc = 0;
    if (slot == (host ? KVM_SLOTS : e->slots))
        rc = -ENOSPC;
    else if (ioctl(e->vm, KVM_SET_USER_MEMORY_REGION, &r) < 0)
        rc = -errno;
    if (rc == 0) {
        e->slot_gpa[slot] = host ? gpa : SLOT_FREE;
        e->slots += slot == e->slots;
    }
    pthread_mutex_unlock(&e->lock);
    return rc;
}

static int kvm_vcpu_create(struct engine *e, unsigned i, const struct lull_kernel_header *header)
{
    struct kvm_vcpu *v = &e->vcpu[i];
    e->header = header;
    v->fd = ioctl(e->vm, KVM_CREATE_VCPU, i);
    if (v->fd < 0)
        return -errno;
    v->fd = ownfd_hide(v->fd);
    void *run = mmap(NULL, (size_t)e->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, v->fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    v->run = run;
    kvm_stats_open(e, i);
    return kvm_vcpu_setup(e, i, header);
}

static void explain_exit(const struct kvm_run *run, int fd, struct vcpu_exit *out)
{
    struct kvm_regs g = {0};
    ioctl(fd, KVM_GET_REGS, &g);
    int n = snprintf(out->why, sizeof out->why, "KVM exit %u at rip 0x%llx", run->exit_reason,
                     (unsigned long long)g.rip);
    if (run->exit_reason == KVM_EXIT_SHUTDOWN)
        snprintf(out->why + n, sizeof out->why - (size_t)n, ", a triple fault");
    else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        snprintf(out->why + n, sizeof out->why - (size_t)n, ", internal error %u",
                 run->internal.suberror);
    else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        snprintf(out->why + n, sizeof out->why - (size_t)n, ", entry failed 0x%llx",
                 (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
    else if (run->exit_reason == KVM_EXIT_MMIO)
        snprintf(out->why + n, sizeof out->why - (size_t)n, ", no memory at 0x%llx",
                 (unsigned long long)run->mmio.phys_addr);
}

static void kvm_vcpu_run(struct engine *e, unsigned i, struct vcpu_exit *out)
{
    struct kvm_vcpu *v = &e->vcpu[i];
    struct kvm_run *run = v->run;
    for (;;) {
        if (ioctl(v->fd, KVM_RUN, 0) < 0) {
            if (errno == EAGAIN)
                continue;
            if (errno == EINTR) {
                __atomic_store_n(&run->immediate_exit, 0, __ATOMIC_SEQ_CST);
                out->kind = VCPU_KICKED;
                return;
            }
            out->kind = errno == EFAULT ? VCPU_NO_MEMORY : VCPU_BROKEN;
            snprintf(out->why, sizeof out->why, "KVM_RUN: %s", strerror(errno));
            return;
        }
        if (run->exit_reason == KVM_EXIT_INTR)
            continue;
        if (run->exit_reason == KVM_EXIT_IO && run->io.port == LULL_PORT &&
            run->io.direction == KVM_EXIT_IO_OUT && run->io.size == 4) {
            out->kind = VCPU_OUT;
            memcpy(&out->value, (uint8_t *)run + run->io.data_offset, 4);
            return;
        }
        out->kind = VCPU_BROKEN;
        explain_exit(run, v->fd, out);
        return;
    }
}

static void kvm_vcpu_stop(struct engine *e, unsigned i)
{
    struct kvm_run *run = e->vcpu[i].run;
    if (run)
        __atomic_store_n(&run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

/* From 32-bit code of the program into the kernel: what its CS was. */
static uint64_t to_long_mode(int fd)
{
    struct kvm_sregs s;
    if (ioctl(fd, KVM_GET_SREGS, &s) < 0 || s.cs.l)
        return LULL_SEL_UCODE;
    uint64_t was = s.cs.selector;
    s.cs.selector = LULL_SEL_UCODE;
    s.cs.l = 1;
    s.cs.db = 0;
    ioctl(fd, KVM_SET_SREGS, &s);
    return was;
}

/* In the kernel the bell is enough, in the application the core is diverted. */
static void kvm_vcpu_interrupt(struct engine *e, unsigned i, struct lull_core *core)
{
    const struct lull_kernel_header *h = e->header;
    struct kvm_regs g;
    struct kvm_vcpu_events ev;
    int fd = e->vcpu[i].fd;
    if (ioctl(fd, KVM_GET_VCPU_EVENTS, &ev) == 0 && ev.exception.injected)
        return; /* half way into the kernel, which will look at the bell */
    if (ioctl(fd, KVM_GET_REGS, &g) < 0)
        return;
    if (g.rip >= h->text_start && g.rip < h->text_end) {
        if (g.rip <= h->leave_start || g.rip >= h->leave_end)
            return;
        g.rip = h->leave_redo;
    } else {
        core->up_rip = g.rip;
        core->up_rsp = g.rsp;
        core->up_rflags = g.rflags;
        core->up_cs = g.rip >> 32 ? LULL_SEL_UCODE : to_long_mode(fd);
        g.rip = h->upcall;
    }
    ioctl(fd, KVM_SET_REGS, &g);
}

const struct engine_ops engine_kvm = {
    .open = kvm_open,
    .close = kvm_close,
    .name = kvm_name,
    .features = kvm_features,
    .memory = kvm_memory,
    .add_memory = kvm_add_memory,
    .start = kvm_start,
    .clock = kvm_clock,
    .keep = kvm_keep,
    .vcpu_create = kvm_vcpu_create,
    .vcpu_run = kvm_vcpu_run,
    .vcpu_stop = kvm_vcpu_stop,
    .vcpu_interrupt = kvm_vcpu_interrupt,
    .counters = kvm_counters,
    .counters_read = kvm_counters_read,
};
