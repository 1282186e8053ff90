/* SPDX-License-Identifier: MIT */
/*
 * The memory of an isle as the proxy sees it. An isle address is a type of its own that cannot be
 * dereferenced; isle_host() alone turns one into a pointer, after checking the whole range.
 */
#ifndef PROXY_ISLE_ISLE_H
#define PROXY_ISLE_ISLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lull/abi.h>
#include <lull/channel.h>
#include <lull/core.h>

typedef struct {
    uint64_t va;
} isle_addr;

struct isle;

/*
 * True when [addr, addr+len) lies wholly in memory that the application may have: LOW's loaded
 * image or RAM chunks that exist. The kernel's own region is never part of it. len 0: true.
 */
bool isle_app_range(const struct isle *isle, isle_addr addr, size_t len);

/* Host pointer to [addr, addr+len) of application memory, or NULL when isle_app_range() is false.
 */
void *isle_host(const struct isle *isle, isle_addr addr, size_t len);

struct lull_channel *isle_channel(const struct isle *isle, unsigned core);
unsigned isle_ncores(const struct isle *isle);

#endif
