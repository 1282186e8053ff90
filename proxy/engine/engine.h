/* SPDX-License-Identifier: MIT */
/*
 * An engine gives an isle its cores. Everything else in the proxy knows only this interface.
 * Functions answer 0 or -errno, or where said LULL_EXIT_FAILED after one message().
 */
#ifndef PROXY_ENGINE_ENGINE_H
#define PROXY_ENGINE_ENGINE_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <lull/abi.h>
#include <lull/core.h>

#include "cli/options.h"

struct engine;

#define ENGINE_COUNTERS_MAX 64

enum vcpu_exit_kind {
    VCPU_OUT,       /* the isle asks for `value` (enum lull_op) */
    VCPU_KICKED,    /* vcpu_stop(), or a signal */
    VCPU_NO_MEMORY, /* where it wants to read or write the proxy has none */
    VCPU_BROKEN,    /* the core cannot go on: `why` */
};

struct vcpu_exit {
    enum vcpu_exit_kind kind;
    uint32_t value;
    char why[256];
};

/* What an isle is to have; all of it stays valid as long as the engine. */
struct engine_request {
    unsigned ncores;
    const uint16_t *cpu;         /* Linux's number of each core */
    const cpu_set_t *linux_cpus; /* what is left to Linux; may be empty */
    uint64_t mem;                /* bytes, --mem */
    enum engine_choice choice;   /* --engine */
    bool virtual_time;
    int device;         /* what keep() gave before an execve(2); -1: none */
    const void *kernel; /* the kernel image, an ELF file */
    size_t kernel_size;
    /* Called from a thread of the engine's when the machine is gone and nobody asked for that. */
    void (*gone)(void *ctx, const char *why);
    void *ctx;
};

struct engine_features {
    uint64_t xcr0;       /* vector state that the application may use */
    uint32_t xsave_size; /* bytes, standard format */
    uint32_t boot_flags; /* LULL_BOOT_F_DOORBELL or 0; with it, the isle asks its processor */
};

/* Where an isle's memory must lie. */
struct engine_memory {
    int fd;             /* -1: private memory of the proxy */
    uint64_t hole;      /* file offset of a guest-physical address: the address less this */
    uint64_t ram_bytes; /* size of RAM (LULL_RAM_GPA) that there can be; ~0: no limit */
};

struct engine_clock {
    uint64_t tsc_khz;
    int64_t tsc_offset;  /* the isle's TSC less the host's, ticks */
    bool virtual_time;   /* the isle's TSC counts instructions: tsc_offset says nothing */
    uint64_t tsc_at_set; /* virtual time: the isle's TSC now */
};

struct engine_ops {
    /* Finds out whether this engine works here; if not, *why says so and what to do. 0 or -1. */
    int (*open)(struct engine **out, const struct engine_request *req, char *why, size_t size);
    void (*close)(struct engine *e);
    const char *(*name)(const struct engine *e);
    void (*features)(struct engine *e, struct engine_features *out);
    void (*memory)(const struct engine *e, struct engine_memory *out);
    /* Memory that the isle sees at gpa from now on; host NULL: none any more. 0 or -errno. */
    int (*add_memory)(void *engine, uint64_t gpa, void *host, uint64_t len);
    /* When memory is filled, before the clock is asked for: starts what has to be started, up to
       the isle's first request. 0, or LULL_EXIT_FAILED after one message(). */
    int (*start)(struct engine *e);
    void (*clock)(struct engine *e, struct engine_clock *out);
    /* Core `i`, in long mode and ring 3, at header->entry; on the thread that will run it. */
    int (*vcpu_create)(struct engine *e, unsigned i, const struct lull_kernel_header *header);
    /* Lets core i run until it wants something; its last request has been answered in lull_core. */
    void (*vcpu_run)(struct engine *e, unsigned i, struct vcpu_exit *out);
    /* Makes vcpu_run() of core i return VCPU_KICKED now or at its next call. Async-signal-safe;
       to be called on that vCPU's thread. */
    void (*vcpu_stop)(struct engine *e, unsigned i);
    /* After VCPU_KICKED or VCPU_NO_MEMORY: core i looks at its bell before it runs application code
     * again. */
    void (*vcpu_interrupt)(struct engine *e, unsigned i, struct lull_core *core);
    /* The task of Linux's that is core i, for its counters in /proc; NULL: the thread that calls
       vcpu_run(), which then belongs on that core, and else on Linux's cores. */
    void (*vcpu_task)(const struct engine *e, unsigned i, pid_t *pid, pid_t *tid);
    /* A descriptor that saves the next engine of this process, after execve(2), a right that it may
       have lost; not close-on-exec until keep(false). -1: none. NULL: needs none. */
    int (*keep)(struct engine *e, bool on);
    /* What the machine itself counts of a core. counters(): how many, and their names, valid as
       long as the engine, once a core is there; name[] may be NULL. counters_read(): into that many
       numbers, from any thread. Both NULL: it counts nothing. */
    unsigned (*counters)(const struct engine *e, const char **name);
    void (*counters_read)(const struct engine *e, unsigned i, uint64_t *value);
    /* Everything stands still from pause(true) to pause(false); NULL: when this process does. */
    void (*pause)(struct engine *e, bool on);
};

extern const struct engine_ops engine_kvm, engine_qemu;

/*
 * The best engine of those allowed that works here. *why: one line for the report. Returns 0, or
 * LULL_EXIT_FAILED after one message().
 */
int engine_open(const struct engine_request *req, const struct engine_ops **ops,
                struct engine **out, char *why, size_t size);

#endif
