/* SPDX-License-Identifier: MIT */
/*
 * KVM's own counters of a vCPU: exits that it deals with itself and the proxy never sees, the
 * host's interrupts among them. Documentation/virt/kvm/api.rst, KVM_GET_STATS_FD (Linux 5.14).
 */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/kvm_priv.h"
#include "ownfd.h"

/* A number that only grows, one of it, of no unit. */
static bool is_count(const struct kvm_stats_desc *d)
{
    return (d->flags & (KVM_STATS_TYPE_MASK | KVM_STATS_UNIT_MASK)) ==
               (KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE) &&
           d->size == 1;
}

/* The descriptions are the same for every vCPU of a machine. */
static void read_names(struct engine *e, int fd)
{
    struct kvm_stats_header h;
    if (pread(fd, &h, sizeof h, 0) != sizeof h || h.name_size > 256 || h.num_desc > 1024)
        return;
    size_t size = sizeof(struct kvm_stats_desc) + h.name_size;
    struct kvm_stats_desc *d = malloc(size + 1);
    for (unsigned i = 0; d && i < h.num_desc && e->ncounters < ENGINE_COUNTERS_MAX; i++) {
        if (pread(fd, d, size, (off_t)(h.desc_offset + i * size)) != (ssize_t)size)
            break;
        ((char *)d)[size] = 0;
        if (!is_count(d))
            continue;
        char *name = strdup(d->name);
        if (!name)
            break;
        e->counter_name[e->ncounters] = name;
        e->counter_at[e->ncounters++] = h.data_offset + d->offset;
    }
    free(d);
}

void kvm_stats_open(struct engine *e, unsigned i)
{
    int fd = ioctl(e->vcpu[i].fd, KVM_GET_STATS_FD, 0);
    e->vcpu[i].stats = fd < 0 ? -1 : ownfd_hide(fd);
    if (fd < 0)
        return;
    pthread_mutex_lock(&e->lock);
    if (e->ncounters == 0)
        read_names(e, e->vcpu[i].stats);
    pthread_mutex_unlock(&e->lock);
}

void kvm_stats_close(struct engine *e)
{
    for (unsigned i = 0; i < e->ncores; i++)
        if (e->vcpu[i].stats >= 0)
            close(e->vcpu[i].stats);
    for (unsigned c = 0; c < e->ncounters; c++)
        free(e->counter_name[c]);
}

unsigned kvm_counters(const struct engine *e, const char **name)
{
    for (unsigned c = 0; name && c < e->ncounters; c++)
        name[c] = e->counter_name[c];
    return e->ncounters;
}

void kvm_counters_read(const struct engine *e, unsigned i, uint64_t *value)
{
    for (unsigned c = 0; c < e->ncounters; c++)
        if (e->vcpu[i].stats < 0 || pread(e->vcpu[i].stats, &value[c], sizeof value[c],
                                          (off_t)e->counter_at[c]) != sizeof value[c])
            value[c] = 0;
}
