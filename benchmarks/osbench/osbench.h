/* SPDX-License-Identifier: MIT */
/* What the basic services of the system cost. */
#ifndef OSBENCH_OSBENCH_H
#define OSBENCH_OSBENCH_H

#include <stdint.h>

#include "common/bench.h"
#include "common/tsc.h"

struct os_options {
    uint64_t samples; /* of each call */
    uint64_t threads; /* created and joined */
    uint64_t rounds;  /* of fresh memory */
    uint64_t mib;     /* of memory in a round */
    const char *json;
};

/* Each adds its metrics. 0, or -1 after a line on stderr. calls: pins the caller. */
int os_measure_calls(const struct os_options *o, struct bench_result *r);
int os_measure_threads(const struct os_options *o, struct bench_result *r);
int os_measure_memory(const struct os_options *o, struct bench_result *r);

#endif
