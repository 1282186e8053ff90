/* SPDX-License-Identifier: MIT */
/*
 * An engine gives an isle its cores. Everything else in the proxy knows only this interface.
 * Functions answer 0 or -errno, or where said LULL_EXIT_FAILED after one message().
 */
#ifndef PROXY_ENGINE_ENGINE_H
#define PROXY_ENGINE_ENGINE_H

#include <stdint.h>

#include <lull/abi.h>

struct engine;

enum vcpu_exit_kind {
    VCPU_OUT,    /* the isle wrote `value` to LULL_PORT */
    VCPU_KICKED, /* vcpu_stop(), or a signal */
    VCPU_BROKEN, /* the core cannot go on: `why` */
};

struct vcpu_exit {
    enum vcpu_exit_kind kind;
    uint32_t value;
    char why[160];
};

struct vcpu_regs {
    uint64_t rip, rsp, rflags;
};

struct engine_cpu_features {
    uint64_t xcr0;       /* vector state that the application may use */
    uint32_t xsave_size; /* bytes, standard format */
    uint64_t tsc_khz;
};

struct engine_ops {
    const char *name;
    /* Finds out whether this engine works here. 0, or LULL_EXIT_FAILED after one message(). */
    int (*open)(struct engine **out, unsigned ncores);
    void (*close)(struct engine *e);
    void (*features)(struct engine *e, struct engine_cpu_features *out);
    int (*add_memory)(void *engine, uint64_t gpa, void *host, uint64_t len);
    /* Core `i`, in long mode and ring 3, at header->entry; on the thread that will run it. */
    int (*vcpu_create)(struct engine *e, unsigned i, const struct lull_kernel_header *header);
    void (*vcpu_run)(struct engine *e, unsigned i, struct vcpu_exit *out);
    /* Makes vcpu_run() of core i return VCPU_KICKED now or at its next call. Async-signal-safe;
       to be called on that vCPU's thread. */
    void (*vcpu_stop)(struct engine *e, unsigned i);
    /* -EAGAIN: an exception is being delivered, leave the core alone. */
    int (*get_regs)(struct engine *e, unsigned i, struct vcpu_regs *out);
    int (*set_rip)(struct engine *e, unsigned i, uint64_t rip);
};

extern const struct engine_ops engine_kvm;

#endif
