/* SPDX-License-Identifier: MIT */
/* struct sched_attr of sched_setattr(2), which the C library has only since glibc 2.41. */
#ifndef TESTS_SCHED_ATTR_H
#define TESTS_SCHED_ATTR_H

#include <stdint.h>

struct attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period; /* ns */
    uint32_t low, high;                 /* sched_util_min, sched_util_max */
};

#endif
