/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVE_EVERYONE_H
#define PROXY_SERVE_EVERYONE_H

#include <stdint.h>

/*
 * Makes a system call (its number and five arguments) in the calling thread, and if it succeeds, in
 * all others. The call must be one that may be made twice. Returns what the first one did, -errno.
 */
int64_t everyone_calls(const long call[6]);
/* The C library's setuid(2) and the like use the same signal: only one of both at a time. */
void everyone_lock(void);
void everyone_unlock(void);

#endif
