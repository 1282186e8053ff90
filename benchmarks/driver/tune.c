/* SPDX-License-Identifier: MIT */
/*
 * What an administrator can do for a native program without a reboot: a cpuset of its own and a
 * real-time policy. The same means that lull has (proxy/carve), so that neither has better ones.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "driver/load.h"

#define PRIORITY 1

/* Where cpusets are: the root of a cgroup v1 hierarchy with them, else of v2. */
static bool find_mount(bool v2, char *out, size_t size)
{
    char line[4096], where[2048], type[64], flags[2048];
    bool found = false;
    FILE *f = fopen("/proc/self/mounts", "re");
    while (f && !found && fgets(line, sizeof line, f)) {
        if (sscanf(line, "%*s %2047s %63s %2047s", where, type, flags) != 3)
            continue;
        found = v2 ? strcmp(type, "cgroup2") == 0
                   : strcmp(type, "cgroup") == 0 && strstr(flags, "cpuset") != NULL;
    }
    if (f)
        fclose(f);
    return found && (size_t)snprintf(out, size, "%s", where) < size;
}

static int put(const char *dir, const char *name, const char *value)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = write(fd, value, strlen(value));
    int err = errno;
    close(fd);
    errno = err;
    return n < 0 ? -1 : 0;
}

static bool get(const char *dir, const char *name, char *out, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    bool ok = f && fgets(out, (int)size, f);
    if (f)
        fclose(f);
    if (ok)
        out[strcspn(out, "\n")] = 0;
    return ok;
}

/* A process of its own: whatever happens to this one, the cpuset goes. */
static int keep(struct tune *t)
{
    int end[2];
    if (pipe2(end, O_CLOEXEC))
        return -1;
    fflush(NULL);
    t->keeper = fork();
    if (t->keeper == 0) {
        char c;
        setsid();
        for (int s = 1; s < NSIG; s++)
            signal(s, SIG_IGN);
        close(end[1]);
        while (read(end[0], &c, 1) < 0)
            ;
        if (t->v2)
            put(t->dir, "cpuset.cpus.partition", "member");
        for (int i = 0; i < 200 && rmdir(t->dir) && errno == EBUSY; i++)
            nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        if (t->enabled)
            put(t->root, "cgroup.subtree_control", "-cpuset");
        _exit(0);
    }
    close(end[0]);
    t->pipe = end[1];
    if (t->keeper < 0)
        close(end[1]);
    return t->keeper < 0 ? -1 : 0;
}

static int fill(const struct tune *t, const char *root, char *why, size_t size)
{
    char list[1024], text[512];
    cpus_format(t->cpus, list, sizeof list);
    const char *failed = "cpuset.cpus";
    if (put(t->dir, failed, list))
        goto fail;
    if (t->v2) {
        failed = "cpuset.cpus.partition";
        if (put(t->dir, failed, "isolated"))
            goto fail;
        if (!get(t->dir, failed, text, sizeof text) || strcmp(text, "isolated") != 0) {
            snprintf(why, size, "no isolated partition: Linux says %s", text);
            return -1;
        }
        return 0;
    }
    failed = "cpuset.mems";
    if (!get(root, failed, text, sizeof text) || put(t->dir, failed, text))
        goto fail;
    failed = "cpuset.cpu_exclusive";
    if (put(t->dir, failed, "1"))
        goto fail;
    put(t->dir, "cpuset.sched_load_balance", "0");
    return 0;
fail:
    snprintf(why, size, "%s/%s: %s", t->dir, failed, strerror(errno));
    return -1;
}

int tune_begin(struct tune *t, const struct cpus *cpus, char *why, size_t size)
{
    char root[2048], text[512] = "";
    *t = (struct tune){.cpus = cpus, .keeper = -1, .pipe = -1};
    t->v2 = find_mount(true, root, sizeof root) &&
            get(root, "cgroup.controllers", text, sizeof text) && strstr(text, "cpuset");
    if (t->v2) {
        snprintf(t->root, sizeof t->root, "%s", root);
        t->enabled = get(root, "cgroup.subtree_control", text, sizeof text) &&
                     !strstr(text, "cpuset") && put(root, "cgroup.subtree_control", "+cpuset") == 0;
    } else if (!find_mount(false, root, sizeof root)) {
        snprintf(why, size, "no cgroup hierarchy with cpusets is mounted");
        return -1;
    }
    snprintf(t->dir, sizeof t->dir, "%s/lull-bench.%d", root, (int)getpid());
    if (mkdir(t->dir, 0755)) {
        snprintf(why, size, "no cpuset %s: %s", t->dir, strerror(errno));
        return -1;
    }
    if (keep(t)) {
        snprintf(why, size, "fork: %s", strerror(errno));
        rmdir(t->dir);
        return -1;
    }
    if (fill(t, root, why, size) == 0)
        return 0;
    tune_end(t);
    return -1;
}

int tune_enter(const struct tune *t, int err)
{
    struct sched_param p = {.sched_priority = PRIORITY};
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    if (put(t->dir, t->v2 ? "cgroup.procs" : "tasks", pid)) {
        dprintf(err, "%s: cannot enter the cpuset: %s\n", t->dir, strerror(errno));
        return -1;
    }
    if (sched_setscheduler(0, SCHED_FIFO, &p)) {
        dprintf(err, "SCHED_FIFO: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

void tune_end(struct tune *t)
{
    if (t->keeper <= 0)
        return;
    close(t->pipe);
    while (waitpid(t->keeper, NULL, 0) < 0 && errno == EINTR)
        ;
    t->keeper = -1;
}
