/* SPDX-License-Identifier: MIT */
/*
 * On which NUMA nodes the program's memory lies. A line of /proc/self/numa_maps: address, policy,
 * words; "N1=512" counts pages of the size that "kernelpagesize_kB=" says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "isle/isle_priv.h"

static bool is_ours(const struct isle *isle, uint64_t start)
{
    return (start >= LULL_RAM_BASE && start < LULL_RAM_MAX) ||
           (start >= isle->low_start && start < isle->low_end);
}

static void add_line(const char *line, uint64_t *bytes, unsigned max)
{
    const char *size = strstr(line, " kernelpagesize_kB=");
    uint64_t page = size ? strtoull(strchr(size, '=') + 1, NULL, 10) << 10 : 4096;
    for (const char *p = line; (p = strstr(p, " N"));) {
        char *end;
        p += 2;
        unsigned long node = strtoul(p, &end, 10);
        if (end != p && *end == '=' && node < max)
            bytes[node] += strtoull(end + 1, NULL, 10) * page;
    }
}

void isle_memory_nodes(const struct isle *isle, uint64_t *bytes, unsigned max)
{
    char *line = NULL;
    size_t size = 0;
    memset(bytes, 0, max * sizeof *bytes);
    FILE *f = fopen("/proc/self/numa_maps", "re");
    if (!f)
        return;
    while (getline(&line, &size, f) >= 0) {
        if (is_ours(isle, strtoull(line, NULL, 16)))
            add_line(line, bytes, max);
    }
    free(line);
    fclose(f);
}
