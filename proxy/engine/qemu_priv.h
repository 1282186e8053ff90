/* SPDX-License-Identifier: MIT */
#ifndef PROXY_ENGINE_QEMU_PRIV_H
#define PROXY_ENGINE_QEMU_PRIV_H

#include <pthread.h>

#include "engine/engine.h"

/* microvm: RAM below 3 GiB, and from 4 GiB on; the file has no hole between the two. */
#define QEMU_HOLE (1ull << 30)

struct qemu_core {
    int ring;      /* eventfd: the isle rings the proxy */
    int interrupt; /* eventfd: the proxy interrupts the core */
    int stop;      /* eventfd: vcpu_stop() */
    uint32_t seen; /* number of the request taken last */
    bool owes;     /* it has no reply yet */
    pid_t tid;     /* QEMU's thread that is the core */
};

struct engine {
    struct engine_request req;
    bool kvm; /* what runs */
    int mem_fd, kernel_fd;
    uint64_t ram_bytes;
    char binary[4096];
    /* the process */
    pid_t pid; /* the keeper, which ends as QEMU does, and QEMU with it */
    pid_t qemu;
    int qemu_fd;       /* pidfd, or -1 */
    int pidfd;         /* the keeper's */
    int errors;        /* what it writes to stdout and stderr, to read */
    int doorbell;      /* our end of the device's socket */
    int shm;           /* the device's memory, which nobody uses */
    pthread_t watcher; /* waits for the end */
    bool watched;
    int unwatch; /* eventfd: the watcher may go */
    bool reaped;
    char end[200];        /* how it ended; empty: it has not */
    pthread_mutex_t lock; /* reaped, end */
    /* host TSC against CLOCK_MONOTONIC_RAW, and the isle's */
    uint64_t tsc0, raw0;
    struct engine_clock clock;
    struct qemu_core core[LULL_MAX_CORES];
};

/* qemu_process.c */
/* Full path of the QEMU to run into e->binary. 0, or -1 with *why. */
int qemu_find(struct engine *e, char *why, size_t size);
/* Starts it. 0 or -errno. */
int qemu_spawn(struct engine *e);
/* Whether it runs; else e->end says how it ended. Never blocks. Any thread. */
bool qemu_alive(struct engine *e);
void qemu_kill(struct engine *e);
/* From now on its end is told to req.gone(). 0 or -errno. */
int qemu_watch(struct engine *e);
/* Pins the threads that are cores to their CPUs, the others to Linux's. */
void qemu_pin(struct engine *e);

/* qemu_doorbell.c: the server side of the device. 0 or -errno. */
int qemu_doorbell_make(struct engine *e, int *device_end);
int qemu_doorbell_serve(struct engine *e);
void qemu_doorbell_close(struct engine *e);

#endif
