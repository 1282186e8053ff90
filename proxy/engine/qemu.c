/* SPDX-License-Identifier: MIT */
/*
 * The qemu engine: QEMU's microvm is the machine, with KVM or with its own translator (TCG). The
 * isle's memory is a file that both map; requests and kicks go through eventfds of an
 * ivshmem-doorbell device (kernel/dev/doorbell.c is the other side). The thread that calls
 * vcpu_run() serves a core; the core itself is a thread of QEMU's.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "engine/qemu_priv.h"
#include "message.h"
#include "ownfd.h"

#define GIB (1ull << 30)
#define KVM_SLACK (216 * GIB) /* for reservations; KVM's tables take 0.2 % of it */
#define TCG_RAM (256 * GIB)   /* reserved, not taken */
#define START_NS 60000000000ull
#define CLOCK_ROUNDS 64
#define CALIBRATE_NS 50000000ull
#define WATCH_MS 500 /* a ring that came before the device was connected is found so */

static uint64_t rdtsc_ordered(void)
{
    uint32_t lo, hi;
    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi)::"memory");
    return (uint64_t)hi << 32 | lo;
}

static uint64_t raw_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static struct lull_core *core_page(unsigned i)
{
    return (struct lull_core *)(LULL_CORES + i * LULL_CORE_STRIDE);
}

/* Whether QEMU could make a virtual machine with KVM, by doing so. */
static bool kvm_usable(void)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (kvm < 0)
        return false;
    int vm =
        ioctl(kvm, KVM_GET_API_VERSION, 0) == KVM_API_VERSION ? ioctl(kvm, KVM_CREATE_VM, 0) : -1;
    if (vm >= 0)
        close(vm);
    close(kvm);
    return vm >= 0;
}

static int memory_file(const char *name, const void *content, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    fd = ownfd_hide(fd);
    for (size_t done = 0; content && done < size;) {
        ssize_t n = write(fd, (const char *)content + done, size - done);
        if (n <= 0)
            goto fail;
        done += (size_t)n;
    }
    if (content || ftruncate(fd, (off_t)size) == 0)
        return fd;
fail:
    close(fd);
    return -1;
}

static int qemu_open(struct engine **out, const struct engine_request *req, char *why, size_t size)
{
    struct engine *e = calloc(1, sizeof *e);
    if (!e) {
        snprintf(why, size, "out of memory");
        return -1;
    }
    e->req = *req;
    e->mem_fd = e->kernel_fd = e->errors = e->doorbell = e->shm = e->pidfd = e->qemu_fd =
        e->unwatch = -1;
    for (unsigned i = 0; i < LULL_MAX_CORES; i++)
        e->core[i].ring = e->core[i].interrupt = e->core[i].stop = -1;
    pthread_mutex_init(&e->lock, NULL);
    if (qemu_find(e, why, size))
        goto fail;
    e->kvm = req->choice != ENGINE_QEMU_TCG && !req->virtual_time && kvm_usable();
    if (req->choice == ENGINE_QEMU_KVM && !e->kvm) {
        snprintf(why, size, "QEMU cannot use KVM here: try --engine=kvm, which says why");
        goto fail;
    }
    if (req->virtual_time && req->ncores != 1) {
        snprintf(why, size, "virtual time is there for one core only: add --cpus=1");
        goto fail;
    }
    e->ram_bytes = e->kvm ? (2 * req->mem + KVM_SLACK + 4 * GIB - 1) & ~(4 * GIB - 1) : TCG_RAM;
    if (!e->kvm && e->ram_bytes < 2 * req->mem)
        e->ram_bytes = (2 * req->mem + 4 * GIB - 1) & ~(4 * GIB - 1);
    if (e->ram_bytes > LULL_RAM_MAX - LULL_RAM_BASE)
        e->ram_bytes = LULL_RAM_MAX - LULL_RAM_BASE; /* all that there are addresses for */
    e->mem_fd = memory_file("lull-isle", NULL, LULL_RAM_GPA + e->ram_bytes - QEMU_HOLE);
    e->kernel_fd = memory_file("lull-kernel", req->kernel, req->kernel_size);
    if (e->mem_fd < 0 || e->kernel_fd < 0) {
        snprintf(why, size, "no file for the isle's memory: %s; raise `ulimit -f` and `ulimit -n`",
                 strerror(errno));
        goto fail;
    }
    *out = e;
    return 0;
fail:
    engine_qemu.close(e);
    return -1;
}

static void qemu_close(struct engine *e)
{
    qemu_kill(e);
    if (e->mem_fd >= 0)
        close(e->mem_fd);
    if (e->kernel_fd >= 0)
        close(e->kernel_fd);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static const char *qemu_name(const struct engine *e)
{
    return e->kvm ? "qemu-kvm" : e->req.virtual_time ? "qemu-tcg, virtual time" : "qemu-tcg";
}

static void qemu_features(struct engine *e, struct engine_features *out)
{
    (void)e;
    *out =
        (struct engine_features){.xcr0 = 3, .xsave_size = 576, .boot_flags = LULL_BOOT_F_DOORBELL};
}

static void qemu_memory(const struct engine *e, struct engine_memory *out)
{
    *out = (struct engine_memory){e->mem_fd, QEMU_HOLE, e->ram_bytes};
}

/* All of it is there from the start. */
static int qemu_add_memory(void *engine, uint64_t gpa, void *host, uint64_t len)
{
    const struct engine *e = engine;
    (void)host;
    return gpa + len <= LULL_RAM_GPA + e->ram_bytes ? 0 : -ENOMEM;
}

/* ---- start ---- */

/* Waits for core 0's next request. 0, or -1: QEMU has ended, or takes too long. */
static int await_request(struct engine *e, uint64_t until)
{
    struct lull_core *c = core_page(0);
    for (unsigned spins = 0;; spins++) {
        if (__atomic_load_n(&c->request, __ATOMIC_ACQUIRE) != e->core[0].seen) {
            e->core[0].seen++;
            return 0;
        }
        if (spins < 2000)
            continue;
        struct timespec pause = {0, 200000};
        nanosleep(&pause, NULL);
        if (!qemu_alive(e))
            return -1;
        if (raw_ns() > until) {
            snprintf(e->end, sizeof e->end, "QEMU did not start the isle within %llu s",
                     START_NS / 1000000000);
            return -1;
        }
    }
}

/*
 * The isle's clock against ours: it reads its TSC when it sees our reply, which lies between our
 * reply and the moment at which we see its next request. The tightest of several rounds counts.
 */
static int measure_clock(struct engine *e, uint64_t until)
{
    struct lull_core *c = core_page(0);
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < CLOCK_ROUNDS || raw_ns() - e->raw0 < CALIBRATE_NS; i++) {
        uint64_t a = rdtsc_ordered();
        __atomic_store_n(&c->reply, e->core[0].seen, __ATOMIC_SEQ_CST);
        if (await_request(e, until))
            return -1;
        uint64_t b = rdtsc_ordered(), isle = c->arg[0];
        if (b - a < best) {
            best = b - a;
            e->clock.tsc_offset = (int64_t)(isle - (a + (b - a) / 2));
        }
        e->clock.tsc_at_set = isle;
    }
    double ticks = (double)(rdtsc_ordered() - e->tsc0), ns = (double)(raw_ns() - e->raw0);
    e->clock.tsc_khz = e->req.virtual_time ? 1000000 : (uint64_t)(ticks / ns * 1e6 + 0.5);
    e->clock.virtual_time = e->req.virtual_time;
    return 0;
}

static int start_once(struct engine *e, bool *ran)
{
    struct lull_core *c = core_page(0);
    *ran = false;
    e->core[0].seen = 0;
    int r = qemu_spawn(e);
    if (r) {
        snprintf(e->end, sizeof e->end, "QEMU cannot be started: %s", strerror(-r));
        return -1;
    }
    uint64_t until = raw_ns() + START_NS;
    if (await_request(e, until))
        return -1;
    *ran = true;
    qemu_pin(e);
    uint32_t op = c->op;
    if (op == LULL_OP_CLOCK && measure_clock(e, until))
        return -1;
    e->core[0].owes = true;
    c->ret = 1; /* replied to by the first vcpu_run(), when boot information is complete */
    return 0;
}

static int qemu_start(struct engine *e)
{
    bool ran;
    e->tsc0 = rdtsc_ordered();
    e->raw0 = raw_ns();
    int r = start_once(e, &ran);
    if (r && !ran && e->kvm && e->req.choice != ENGINE_QEMU_KVM) {
        verbose("QEMU does not work with KVM here (%s): without it", e->end);
        qemu_kill(e);
        e->kvm = false;
        r = start_once(e, &ran);
    }
    if (r == 0 && (r = qemu_watch(e)) < 0)
        snprintf(e->end, sizeof e->end, "no thread to watch QEMU: %s", strerror(-r));
    if (r)
        message("%s", e->end);
    return r ? LULL_EXIT_FAILED : 0;
}

static void qemu_clock(struct engine *e, struct engine_clock *out)
{
    *out = e->clock;
}

/* ---- cores ---- */

static int qemu_vcpu_create(struct engine *e, unsigned i, const struct lull_kernel_header *header)
{
    (void)e;
    (void)i;
    (void)header;
    return 0;
}

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t n = write(fd, &one, sizeof one); /* full: it rings already */
    (void)n;
}

static bool drain(int fd)
{
    uint64_t n;
    return read(fd, &n, sizeof n) == sizeof n;
}

static void reply(struct qemu_core *k, struct lull_core *c)
{
    k->owes = false;
    __atomic_store_n(&c->reply, k->seen, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&c->halted, __ATOMIC_SEQ_CST))
        ring(k->interrupt);
}

static void qemu_vcpu_run(struct engine *e, unsigned i, struct vcpu_exit *out)
{
    struct qemu_core *k = &e->core[i];
    struct lull_core *c = core_page(i);
    if (k->owes)
        reply(k, c);
    for (;;) {
        if (drain(k->stop)) {
            out->kind = VCPU_KICKED;
            return;
        }
        drain(k->ring);
        if (__atomic_load_n(&c->request, __ATOMIC_SEQ_CST) != k->seen) {
            k->seen++;
            k->owes = true;
            out->kind = VCPU_OUT;
            out->value = c->op;
            return;
        }
        struct pollfd p[] = {{k->ring, POLLIN, 0}, {k->stop, POLLIN, 0}};
        if (poll(p, 2, WATCH_MS) == 0 && __atomic_load_n(&c->halted, __ATOMIC_SEQ_CST))
            ring(k->interrupt);
    }
}

static void qemu_vcpu_stop(struct engine *e, unsigned i)
{
    int saved = errno;
    ring(e->core[i].stop);
    errno = saved;
}

static void qemu_vcpu_interrupt(struct engine *e, unsigned i, struct lull_core *core)
{
    (void)core;
    ring(e->core[i].interrupt);
}

static void qemu_vcpu_task(const struct engine *e, unsigned i, pid_t *pid, pid_t *tid)
{
    *pid = e->qemu;
    *tid = e->core[i].tid;
}

static void qemu_pause(struct engine *e, bool on)
{
    if (qemu_alive(e))
        kill(e->qemu, on ? SIGSTOP : SIGCONT);
}

const struct engine_ops engine_qemu = {
    .open = qemu_open,
    .close = qemu_close,
    .name = qemu_name,
    .features = qemu_features,
    .memory = qemu_memory,
    .add_memory = qemu_add_memory,
    .start = qemu_start,
    .clock = qemu_clock,
    .vcpu_create = qemu_vcpu_create,
    .vcpu_run = qemu_vcpu_run,
    .vcpu_stop = qemu_vcpu_stop,
    .vcpu_interrupt = qemu_vcpu_interrupt,
    .vcpu_task = qemu_vcpu_task,
    .pause = qemu_pause,
};
