/* SPDX-License-Identifier: MIT */
/* isle.h over plain memory of the test. */
#include "rig.h"

bool isle_app_range(const struct isle *isle, isle_addr addr, size_t len)
{
    uint64_t start = (uint64_t)(uintptr_t)isle->app;
    if (len == 0)
        return true;
    return addr.va >= start && len <= isle->app_size && addr.va - start <= isle->app_size - len;
}

void *isle_host(const struct isle *isle, isle_addr addr, size_t len)
{
    return isle_app_range(isle, addr, len) ? (void *)(uintptr_t)addr.va : NULL;
}

struct lull_channel *isle_channel(const struct isle *isle, unsigned core)
{
    return isle->channel[core];
}

unsigned isle_ncores(const struct isle *isle)
{
    return isle->ncores;
}
