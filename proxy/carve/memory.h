/* SPDX-License-Identifier: MIT */
/* How much memory a new process may still use. */
#ifndef PROXY_CARVE_MEMORY_H
#define PROXY_CARVE_MEMORY_H

#include <stdint.h>

/*
 * Bytes: MemAvailable, bounded by what the memory cgroups (v1 and v2, with their parents) leave,
 * plus free 2 MiB pages of the hugetlb pool. `root` is put before /proc and /sys ("" on a true
 * machine, a directory in tests). 0 or -errno: no /proc/meminfo.
 */
int memory_available(const char *root, uint64_t *bytes);

/*
 * Bytes that a new process may have of one NUMA node: free and given up easily (page cache,
 * reclaimable slabs), plus free 2 MiB pages of the hugetlb pool there. 0 or -errno: no such node.
 */
int memory_available_on(const char *root, unsigned node, uint64_t *bytes);

#endif
