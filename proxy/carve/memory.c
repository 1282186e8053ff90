/* SPDX-License-Identifier: MIT */
#include "carve/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <lull/memmap.h>

static FILE *open_file(const char *root, const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s%s/%s", root, dir, name) >= (int)sizeof path)
        return NULL;
    return fopen(path, "re");
}

/* One number alone in a file; "max" is not one. */
static bool read_value(const char *root, const char *dir, const char *name, uint64_t *v)
{
    FILE *f = open_file(root, dir, name);
    bool ok = f && fscanf(f, "%" SCNu64, v) == 1;
    if (f)
        fclose(f);
    return ok;
}

/* The number behind `key` in a file of "key value" lines. */
static bool read_key(const char *root, const char *dir, const char *name, const char *key,
                     uint64_t *v)
{
    char line[256];
    size_t n = strlen(key);
    bool ok = false;
    FILE *f = open_file(root, dir, name);
    while (f && !ok && fgets(line, sizeof line, f))
        ok = strncmp(line, key, n) == 0 && sscanf(line + n, " %" SCNu64, v) == 1;
    if (f)
        fclose(f);
    return ok;
}

struct cgroup_files {
    const char *limit, *usage, *inactive; /* the last one a key of memory.stat: page cache */
};
static const struct cgroup_files v1 = {"memory.limit_in_bytes", "memory.usage_in_bytes",
                                       "total_inactive_file"};
static const struct cgroup_files v2 = {"memory.max", "memory.current", "inactive_file"};

/* Lowers *left to what the group at `dir` leaves. */
static void apply_group(const char *root, const char *dir, const struct cgroup_files *files,
                        uint64_t *left)
{
    uint64_t limit, usage, cache = 0;
    if (!read_value(root, dir, files->limit, &limit) ||
        !read_value(root, dir, files->usage, &usage))
        return;
    read_key(root, dir, "memory.stat", files->inactive, &cache);
    usage -= cache < usage ? cache : usage;
    uint64_t rest = limit > usage ? limit - usage : 0;
    if (rest < *left)
        *left = rest;
}

/* The group and its parents up to the mount. In a container the path may not exist: skipped. */
static void apply_path(const char *root, const char *mount, const char *group,
                       const struct cgroup_files *files, uint64_t *left)
{
    char dir[PATH_MAX];
    if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir)
        return;
    for (;;) {
        apply_group(root, dir, files, left);
        char *slash = strrchr(dir, '/');
        if (!slash || slash < dir + strlen(mount))
            return;
        *slash = '\0';
    }
}

/* Lines of /proc/self/cgroup: "4:memory:/a/b" (v1), "0::/a/b" (v2). */
static void apply_cgroups(const char *root, uint64_t *left)
{
    char line[PATH_MAX + 256];
    FILE *f = open_file(root, "/proc/self", "cgroup");
    while (f && fgets(line, sizeof line, f)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (strcmp(line, "0") == 0) {
            apply_path(root, "/sys/fs/cgroup", group, &v2, left);
            apply_path(root, "/sys/fs/cgroup/unified", group, &v2, left);
            continue;
        }
        for (char *save, *c = strtok_r(controllers, ",", &save); c; c = strtok_r(NULL, ",", &save))
            if (strcmp(c, "memory") == 0)
                apply_path(root, "/sys/fs/cgroup/memory", group, &v1, left);
    }
    if (f)
        fclose(f);
}

int memory_available(const char *root, uint64_t *bytes)
{
    uint64_t kib, pages = 0;
    errno = 0;
    if (!read_key(root, "/proc", "meminfo", "MemAvailable:", &kib))
        return errno ? -errno : -ENOENT;
    uint64_t left = kib * 1024;
    apply_cgroups(root, &left);
    if (read_value(root, "/sys/kernel/mm/hugepages/hugepages-2048kB", "free_hugepages", &pages))
        left += pages * LULL_HUGE;
    *bytes = left;
    return 0;
}

int memory_available_on(const char *root, unsigned node, uint64_t *bytes)
{
    static const char *const keys[] = {
        "MemFree:", "Active(file):", "Inactive(file):", "SReclaimable:"};
    char dir[64], huge[128], key[64];
    uint64_t kib, left = 0, pages = 0;
    snprintf(dir, sizeof dir, "/sys/devices/system/node/node%u", node);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        snprintf(key, sizeof key, "Node %u %s", node, keys[i]);
        if (read_key(root, dir, "meminfo", key, &kib))
            left += kib * 1024;
        else if (i == 0)
            return -ENOENT;
    }
    snprintf(huge, sizeof huge, "%s/hugepages/hugepages-2048kB", dir);
    if (read_value(root, huge, "free_hugepages", &pages))
        left += pages * LULL_HUGE;
    *bytes = left;
    return 0;
}
