/* SPDX-License-Identifier: MIT */
/*
 * A cpuset for the threads that are the isle's cores; the proxy's other threads stay where they
 * were. cgroup v2: a threaded child of the process's own group, an isolated partition where that
 * group is the root or a partition itself. cgroup v1: an exclusive cpuset below the process's own;
 * it keeps others' cpusets away, and a shield (shield.c) the processes of those above it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "carve/hold_priv.h"
#include "carve/launcher.h"
#include "ownfd.h"

#define TEXT_MAX 65536

static int refuse(struct hold *h, const char *why)
{
    h->lacks |= LACK_CPUSET;
    settings_add(h->settings, "cpuset", NULL, NULL, why);
    return -EPERM;
}

/* Where the v1 hierarchy with cpusets, or the v2 one, is mounted. */
static bool find_mount(const char *mounts, bool v1, char *out, size_t size)
{
    char *copy = strdup(mounts), *save = NULL;
    bool found = false;
    for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line && !found;
         line = strtok_r(NULL, "\n", &save)) {
        char where[1024], type[32], flags[1024];
        if (sscanf(line, "%*s %1023s %31s %1023s", where, type, flags) != 3)
            continue;
        char padded[1030];
        snprintf(padded, sizeof padded, ",%s,", flags);
        found = v1 ? strcmp(type, "cgroup") == 0 && strstr(padded, ",cpuset,")
                   : strcmp(type, "cgroup2") == 0;
        found = found && strncmp(where, "/sys/", 5) == 0; /* what the journal takes back */
        if (found)
            snprintf(out, size, "%s", where);
    }
    free(copy);
    return found;
}

/* This process's group: "0::/a" (v2), "3:cpuset:/a" or "3:cpu,cpuset:/a" (v1). */
static bool find_group(const char *text, bool v1, char *out, size_t size)
{
    char *copy = strdup(text), *save = NULL;
    bool found = false;
    for (char *line = copy ? strtok_r(copy, "\n", &save) : NULL; line && !found;
         line = strtok_r(NULL, "\n", &save)) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        char padded[300];
        snprintf(padded, sizeof padded, ",%.290s,", names + 1);
        found = v1 ? strstr(padded, ",cpuset,") != NULL : strncmp(line, "0:", 2) == 0 && !names[1];
        if (found)
            snprintf(out, size, "%s", strcmp(group, "/") == 0 ? "" : group);
    }
    free(copy);
    return found;
}

static int read_in(struct hold *h, const char *dir, const char *name, char *out, size_t size)
{
    char path[PATH_MAX];
    int err = root_path(path, sizeof path, "%s/%s", dir, name);
    return err ? err : host_read(h->root, path, out, size);
}

static int write_in(struct hold *h, const char *name, const char *value)
{
    char path[PATH_MAX];
    int err = root_path(path, sizeof path, "%s/%s", h->dir, name);
    return err ? err : host_write(h->root, path, value);
}

static int open_in(struct hold *h, const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (root_path(path, sizeof path, "%s/%s", dir, name))
        return -1;
    int fd = openat(h->root, path + 1, O_WRONLY | O_CLOEXEC);
    return fd < 0 ? -1 : ownfd_hide(fd);
}

/* Ours: an isle's, or a shield. The process's own group is the one above it. */
static bool is_ours(const char *name)
{
    return strncmp(name, "lull.", 5) == 0 &&
           (strcmp(name + 5, "linux") == 0 ||
            (name[5] && name[5 + strspn(name + 5, "0123456789")] == '\0'));
}

/* Where the name of a group begins that is ours, with its '/'; NULL: it is another's. */
static char *own_part(char *group)
{
    char *last = strrchr(group, '/');
    return last && is_ours(last + 1) ? last : NULL;
}

static bool locate(struct hold *h, bool v1, const char *mounts, const char *groups)
{
    char group[2048];
    if (!find_mount(mounts, v1, h->mount, sizeof h->mount) ||
        !find_group(groups, v1, group, sizeof group))
        return false;
    char *own = own_part(group);
    if (own)
        *own = '\0';
    return root_path(h->home, sizeof h->home, "%s%s", h->mount, group) == 0 &&
           root_path(h->dir, sizeof h->dir, "%s/lull.%d", h->home, (int)getpid()) == 0;
}

/* Can the process's own group have a partition below it? */
static int want_v2(struct hold *h)
{
    char text[512], path[PATH_MAX];
    bool top = read_in(h, h->home, "cgroup.type", text, sizeof text) != 0; /* the root has none */
    if (!top) {
        if (read_in(h, h->home, "cpuset.cpus.partition", text, sizeof text) ||
            (strcmp(text, "root") != 0 && strcmp(text, "isolated") != 0))
            return refuse(h, "cgroup v2: this process's group is neither the root nor a partition");
    }
    if (root_path(path, sizeof path, "%s/cgroup.subtree_control", h->home) ||
        !host_writable(h->root, path))
        return refuse(h, "cgroup v2: no right to make a group");
    /* below a group with processes it can only be asked for when a child is threaded already */
    if (top)
        journal_want(h->journal, JOURNAL_WORD, path, "cpuset");
    h->cpuset = CPUSET_V2;
    return 0;
}

static int want_v1(struct hold *h)
{
    char path[PATH_MAX];
    if (root_path(path, sizeof path, "%s/tasks", h->home) || !host_exists(h->root, path))
        return refuse(h, "cgroup v1: this process's cpuset is not to be seen here");
    if (!host_writable(h->root, path) || !host_writable(h->root, h->home))
        return refuse(h, "cgroup v1: no right to make a cpuset");
    h->cpuset = CPUSET_V1;
    return 0;
}

bool hold_keeps_affinity(const char *release)
{
    unsigned major = 0, minor = 0;
    return sscanf(release, "%u.%u", &major, &minor) == 2 && major * 100 + minor >= 602;
}

/*
 * Calls `each` for the shield below each group from the process's own to the root, all of which
 * have the isle's CPUs, and processes. 0, or the first that is not.
 */
static int each_shield(const struct hold *h, int (*each)(const struct hold *h, const char *path))
{
    char path[PATH_MAX], shield[PATH_MAX];
    snprintf(path, sizeof path, "%s", h->home);
    for (size_t top = strlen(h->mount);;) {
        int err = root_path(shield, sizeof shield, "%s/%s", path, SHIELD_NAME);
        if (err == 0)
            err = each(h, shield);
        if (err)
            return err;
        char *last = strrchr(path, '/');
        if (strlen(path) <= top || !last)
            return 0;
        *last = '\0';
    }
}

static int want_one(const struct hold *h, const char *path)
{
    return journal_want(h->journal, JOURNAL_SHIELD, path, NULL);
}

int cpuset_want_shield(struct hold *h)
{
    struct utsname u;
    if (h->cpuset != CPUSET_V1)
        return 0;
    if (uname(&u) == 0 && hold_keeps_affinity(u.release))
        return each_shield(h, want_one);
    settings_add(h->settings, "other processes on the isle's CPUs", NULL, NULL,
                 "before Linux 6.2 they would forget their affinity");
    return -EOPNOTSUPP;
}

static int is_there(const struct hold *h, const char *path)
{
    return host_exists(h->root, path) ? 0 : -ENOENT;
}

bool cpuset_shielded(const struct hold *h)
{
    return h->cpuset == CPUSET_V1 ? each_shield(h, is_there) == 0 : h->cpuset == CPUSET_V2;
}

/* The mounts and this process's groups, to be freed; *groups is part of it. NULL: not to be had. */
static char *read_groups(struct hold *h, char **groups)
{
    char *mounts = malloc(2 * TEXT_MAX);
    *groups = mounts ? mounts + TEXT_MAX : NULL;
    if (mounts && host_read(h->root, "/proc/self/mounts", mounts, TEXT_MAX) == 0 &&
        host_read(h->root, "/proc/self/cgroup", *groups, TEXT_MAX) == 0)
        return mounts;
    free(mounts);
    return NULL;
}

static int read_cpus(struct hold *h, const char *dir, cpu_set_t *out)
{
    char text[TEXT_MAX / 4];
    int err = read_in(h, dir, "cpuset.effective_cpus", text, sizeof text);
    if (err == -ENOENT)
        err = read_in(h, dir, "cpuset.cpus", text, sizeof text);
    return err ? err : mask_read_list(text, out);
}

/*
 * Open MPI's mpirun binds a rank to all CPUs that it finds where it finds fewer than it would bind
 * it to. In a shield these are the shield's, and Linux keeps that affinity outside of the shield.
 * So a rank that is bound to exactly the shield's CPUs counts as not bound: it may use what its own
 * cpuset has.
 */
static void undo_binding(struct hold *h, const cpu_set_t *shield)
{
    struct launcher l;
    cpu_set_t now, all;
    launcher_read(&l);
    if (l.name && sched_getaffinity(0, sizeof now, &now) == 0 && CPU_EQUAL(&now, shield) &&
        read_cpus(h, h->home, &all) == 0 && !CPU_EQUAL(&now, &all))
        sched_setaffinity(0, sizeof all, &all);
}

void cpuset_leave(struct hold *h)
{
    char *groups, group[2048], path[PATH_MAX], *mounts = read_groups(h, &groups), *own;
    cpu_set_t shield;
    if (mounts && find_group(groups, true, group, sizeof group) && (own = own_part(group)) &&
        locate(h, true, mounts, groups)) {
        bool aside = strcmp(own + 1, SHIELD_NAME) == 0 &&
                     root_path(path, sizeof path, "%s%s", h->home, own) == 0 &&
                     read_cpus(h, path, &shield) == 0;
        if (root_path(path, sizeof path, "%s/tasks", h->home) == 0 &&
            host_write(h->root, path, "0") == 0 && aside)
            undo_binding(h, &shield);
    }
    free(mounts);
}

void cpuset_find_home(struct hold *h)
{
    char *groups, *mounts = read_groups(h, &groups);
    if (mounts && locate(h, true, mounts, groups) && host_writable(h->root, h->home))
        h->home_fd = open_in(h, h->home, "tasks");
    free(mounts);
}

int cpuset_want(struct hold *h)
{
    char *groups, *mounts = read_groups(h, &groups), text[512];
    int err;
    if (!mounts)
        return refuse(h, "there is no /proc to find it in");
    /* the controller is in one of the two */
    if (locate(h, false, mounts, groups) &&
        read_in(h, h->home, "cgroup.controllers", text, sizeof text) == 0 && strstr(text, "cpuset"))
        err = want_v2(h);
    else if (locate(h, true, mounts, groups))
        err = want_v1(h);
    else
        err = refuse(h, "no cgroup hierarchy with cpusets is to be seen here");
    if (err == 0) {
        /* an executed program's is there already, be it its parent's; one isle's CPUs are another's
           only in the same one, as none may overlap it */
        h->dir_cpus = h->cpus;
        if (journal_find_dir(h->journal, h->home, &h->dir_cpus, text, sizeof text) == 0)
            snprintf(h->dir, sizeof h->dir, "%s", text);
        err = journal_want(h->journal, JOURNAL_DIR, h->dir, NULL);
    }
    free(mounts);
    return err;
}

bool cpuset_made(const struct hold *h)
{
    return h->cpuset != CPUSET_NONE && host_exists(h->root, h->dir);
}

static int set(struct hold *h, const char *name, const char *value)
{
    char path[PATH_MAX];
    int err = write_in(h, name, value);
    if (root_path(path, sizeof path, "%s/%s", h->dir, name) == 0)
        settings_add(h->settings, path, NULL, err ? NULL : value, err ? strerror(-err) : NULL);
    return err;
}

/* Linux takes the word and says afterwards whether it is true: "isolated invalid (why)". */
static bool try_partition(struct hold *h, const char *word)
{
    char text[512];
    if (write_in(h, "cpuset.cpus.partition", word) ||
        read_in(h, h->dir, "cpuset.cpus.partition", text, sizeof text) || strcmp(text, word) != 0)
        return false;
    snprintf(h->partition, sizeof h->partition, "%s", word);
    return true;
}

static void fill_v2(struct hold *h, const char *list)
{
    char path[PATH_MAX], why[600], text[512] = "";
    int err = set(h, "cgroup.type", "threaded");
    if (err == 0 && root_path(path, sizeof path, "%s/cpuset.cpus", h->dir) == 0 &&
        !host_exists(h->root, path) &&
        root_path(path, sizeof path, "%s/cgroup.subtree_control", h->home) == 0) {
        err = journal_want(h->journal, JOURNAL_WORD, path, "cpuset");
        if (err == 0)
            err = journal_apply(h->journal, h->settings);
    }
    if (err == 0)
        err = set(h, "cpuset.cpus", list);
    if (err) {
        h->lacks |= LACK_CPUSET;
        return;
    }
    root_path(path, sizeof path, "%s/cpuset.cpus.partition", h->dir);
    if (try_partition(h, "isolated") || try_partition(h, "root")) {
        settings_add(h->settings, path, "member", h->partition, NULL);
    } else {
        read_in(h, h->dir, "cpuset.cpus.partition", text, sizeof text);
        write_in(h, "cpuset.cpus.partition", "member");
        snprintf(why, sizeof why, "Linux says: %s", text);
        settings_add(h->settings, path, "member", NULL, why);
        h->lacks |= LACK_CPUSET;
    }
    h->dir_fd = open_in(h, h->dir, "cgroup.threads");
    h->home_fd = open_in(h, h->home, "cgroup.threads");
}

static void fill_v1(struct hold *h, const char *list)
{
    char mems[4096];
    h->home_fd = open_in(h, h->home, "tasks");
    int err = read_in(h, h->home, "cpuset.effective_mems", mems, sizeof mems);
    if (err)
        err = read_in(h, h->home, "cpuset.mems", mems, sizeof mems);
    if (err == 0)
        err = set(h, "cpuset.cpus", list);
    if (err == 0)
        err = set(h, "cpuset.mems", mems);
    if (err) {
        h->lacks |= LACK_CPUSET;
        return;
    }
    /* not where the parent's is not, or where another isle has one of these CPUs */
    if (set(h, "cpuset.cpu_exclusive", "1") == 0)
        snprintf(h->partition, sizeof h->partition, "exclusive");
    else
        h->lacks |= LACK_CPUSET;
    set(h, "cpuset.sched_load_balance", "0");
    h->dir_fd = open_in(h, h->dir, "tasks");
}

void cpuset_share(struct hold *h, bool on)
{
    if (h->cpuset == CPUSET_V2 && h->partition[0])
        write_in(h, "cpuset.cpus.partition", on ? "member" : h->partition);
}

void cpuset_fill(struct hold *h)
{
    char list[4096];
    if (!cpuset_made(h) || mask_print_list(&h->dir_cpus, list, sizeof list)) {
        h->lacks |= LACK_CPUSET;
        h->cpuset = CPUSET_NONE;
        return;
    }
    if (h->cpuset == CPUSET_V2)
        fill_v2(h, list);
    else
        fill_v1(h, list);
    if (h->dir_fd >= 0 && h->home_fd >= 0)
        return;
    h->lacks |= LACK_CPUSET;
    h->cpuset = CPUSET_NONE;
}
