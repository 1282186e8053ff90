/* SPDX-License-Identifier: MIT */
/* What Linux would do on the isle's CPUs by itself, and can be told to do elsewhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carve/hold_priv.h"

#define VALUE_MAX 4096
#define RT_RUNTIME "/proc/sys/kernel/sched_rt_runtime_us"

int root_path(char *out, size_t size, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(out, size, format, ap);
    va_end(ap);
    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Calls `each` for every name in a directory that does not begin with a dot. */
static int each_name(struct hold *h, const char *dir,
                     void (*each)(struct hold *h, const char *dir, const char *name))
{
    int fd = openat(h->root, dir + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] != '.')
            each(h, dir, e->d_name);
    }
    closedir(d);
    return 0;
}

static bool list_meets(struct hold *h, const char *path, int *err)
{
    char text[VALUE_MAX];
    cpu_set_t mask;
    *err = host_read(h->root, path, text, sizeof text);
    if (*err == 0)
        *err = mask_read_list(text, &mask);
    return *err == 0 && mask_meets(&mask, &h->cpus);
}

/* One that may go to an isle's CPU but does not now costs nothing: it is left alone. */
static void each_irq(struct hold *h, const char *dir, const char *name)
{
    char path[PATH_MAX];
    int err;
    if (name[strspn(name, "0123456789")] != '\0' ||
        root_path(path, sizeof path, "%s/%s/effective_affinity_list", dir, name))
        return;
    bool here = list_meets(h, path, &err);
    if (root_path(path, sizeof path, "%s/%s/smp_affinity_list", dir, name))
        return;
    if (err == -ENOENT)
        here = list_meets(h, path, &err);
    if (here)
        journal_want(h->journal, JOURNAL_LIST_OFF, path, NULL);
}

static void each_queue(struct hold *h, const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (strncmp(name, "rx-", 3) == 0 && !root_path(path, sizeof path, "%s/%s/rps_cpus", dir, name))
        journal_want(h->journal, JOURNAL_HEX_NONE, path, NULL);
}

static void each_interface(struct hold *h, const char *dir, const char *name)
{
    char path[PATH_MAX];
    if (!root_path(path, sizeof path, "%s/%s/queues", dir, name))
        each_name(h, path, each_queue);
}

static void want_governors(struct hold *h)
{
    char path[PATH_MAX];
    for (int c = 0; c < CPU_SETSIZE; c++) {
        if (!CPU_ISSET(c, &h->cpus) ||
            root_path(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_governor",
                      c))
            continue;
        if (host_exists(h->root, path))
            journal_want(h->journal, JOURNAL_VALUE, path, "performance");
    }
}

/* Every so many seconds a kernel thread of each CPU counts what was done there. */
static void want_statistics(struct hold *h)
{
    static const char path[] = "/proc/sys/vm/stat_interval";
    char text[64];
    if (host_read(h->root, path, text, sizeof text) == 0 &&
        strtol(text, NULL, 10) <= 60 && /* 60: of another isle */
        host_writable(h->root, path))
        journal_want(h->journal, JOURNAL_VALUE, path, "60");
}

static void want_mask(struct hold *h, enum journal_kind kind, const char *path, enum lack lack)
{
    if (!host_exists(h->root, path))
        return;
    if (!host_writable(h->root, path)) {
        h->lacks |= lack;
        settings_add(h->settings, path, NULL, NULL, "no right to it");
        return;
    }
    journal_want(h->journal, kind, path, NULL);
}

void steer_want(struct hold *h)
{
    static const char irqs[] = "/proc/irq/default_smp_affinity";
    want_mask(h, JOURNAL_HEX_OFF, irqs, LACK_IRQ);
    if (!(h->lacks & LACK_IRQ)) {
        each_name(h, "/proc/irq", each_irq);
        each_name(h, "/sys/class/net", each_interface);
    }
    want_mask(h, JOURNAL_HEX_OFF, "/sys/devices/virtual/workqueue/cpumask", LACK_WORKQUEUES);
    if (h->lacks & (LACK_IRQ | LACK_WORKQUEUES))
        return;
    want_mask(h, JOURNAL_LIST_OFF, "/proc/sys/kernel/watchdog_cpumask", LACK_WORKQUEUES);
    want_governors(h);
    want_statistics(h);
    /* with CONFIG_RT_GROUP_SCHED a real-time thread is stopped for 5 % of the time even where
       nobody waits; those who do wait have their part by other means (hold_may_preempt()) */
    if (h->realtime && host_writable(h->root, RT_RUNTIME))
        journal_want(h->journal, JOURNAL_VALUE, RT_RUNTIME, "-1");
}
