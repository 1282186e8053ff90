/* SPDX-License-Identifier: MIT */
#ifndef PROXY_ENGINE_KVM_PRIV_H
#define PROXY_ENGINE_KVM_PRIV_H

#include <linux/kvm.h>
#include <pthread.h>

#include <lull/memmap.h>

#include "engine/engine.h"

/* Chunks of RAM and of windows, LOW and KERN; extents of far windows. */
#define KVM_SLOTS (1024 + LULL_FAR_MAX)
#define SLOT_FREE UINT64_MAX

struct kvm_vcpu {
    int fd;
    int stats; /* -1: this KVM has none */
    struct kvm_run *run;
};

struct engine {
    int kvm, vm;
    int run_size;
    unsigned ncores;
    const struct lull_kernel_header *header;
    pthread_mutex_t lock; /* slots, counters */
    unsigned slots;
    uint64_t slot_gpa[KVM_SLOTS]; /* where each begins, or SLOT_FREE */
    unsigned ncounters;           /* set once, under the lock */
    char *counter_name[ENGINE_COUNTERS_MAX];
    uint64_t counter_at[ENGINE_COUNTERS_MAX]; /* offset in `stats` */
    struct kvm_vcpu vcpu[LULL_MAX_CORES];
};

/* kvm_x86_64.c */
int kvm_vcpu_setup(struct engine *e, unsigned i, const struct lull_kernel_header *header);
void kvm_features(struct engine *e, struct engine_features *out);

/* kvm_stats.c */
void kvm_stats_open(struct engine *e, unsigned i); /* after the vCPU is there */
void kvm_stats_close(struct engine *e);
unsigned kvm_counters(const struct engine *e, const char **name);
void kvm_counters_read(const struct engine *e, unsigned i, uint64_t *value);

#endif
