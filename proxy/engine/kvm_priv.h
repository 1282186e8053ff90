/* SPDX-License-Identifier: MIT */
#ifndef PROXY_ENGINE_KVM_PRIV_H
#define PROXY_ENGINE_KVM_PRIV_H

#include <linux/kvm.h>
#include <pthread.h>

#include <lull/memmap.h>

#include "engine/engine.h"

struct kvm_vcpu {
    int fd;
    struct kvm_run *run;
};

struct engine {
    int kvm, vm;
    int run_size;
    unsigned ncores;
    const struct lull_kernel_header *header;
    pthread_mutex_t lock; /* slots */
    unsigned slots;
    struct kvm_vcpu vcpu[LULL_MAX_CORES];
};

/* kvm_x86_64.c */
int kvm_vcpu_setup(struct engine *e, unsigned i, const struct lull_kernel_header *header);
void kvm_features(struct engine *e, struct engine_features *out);

#endif
