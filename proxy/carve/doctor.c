/* SPDX-License-Identifier: MIT */
/* lull doctor: what this host offers and lacks for quiet running, each with what mends it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "carve/hold.h"
#include "carve/host.h"
#include "carve/node.h"
#include "message.h"

#define TEXT 65536

struct doctor {
    int root;
    FILE *out;
    unsigned wanting;
    char text[TEXT]; /* of read() */
};

enum verdict { GOOD, NOTE, WANT };

/* `mend` NULL: nothing to be done about it. */
__attribute__((format(printf, 5, 6))) static void
say(struct doctor *d, enum verdict v, const char *what, const char *mend, const char *format, ...)
{
    static const char *const mark[] = {[GOOD] = "ok", [NOTE] = "note", [WANT] = "lacks"};
    va_list ap;
    fprintf(d->out, "%-6s %-18s ", mark[v], what);
    va_start(ap, format);
    vfprintf(d->out, format, ap);
    va_end(ap);
    fputc('\n', d->out);
    if (mend)
        fprintf(d->out, "       %-18s -> %s\n", "", mend);
    d->wanting += v == WANT;
}

/* The value of a small file, "" without it. */
static const char *value(struct doctor *d, const char *path)
{
    if (host_read(d->root, path, d->text, sizeof d->text))
        d->text[0] = '\0';
    return d->text;
}

static bool is(struct doctor *d, const char *path, const char *expected)
{
    return strcmp(value(d, path), expected) == 0;
}

/* One word of a line of words. */
static bool has_flag(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; (p = strstr(p, word)); p += n) {
        if ((p == text || strchr(" \t:", p[-1])) && (!p[n] || strchr(" \t\n", p[n])))
            return true;
    }
    return false;
}

static void look_kvm(struct doctor *d)
{
    const char *info = value(d, "/proc/cpuinfo");
    bool vmx = has_flag(info, "vmx"), svm = has_flag(info, "svm");
    bool guest = has_flag(info, "hypervisor");
    const char *kind = vmx ? "VT-x" : svm ? "SVM" : "without VT-x or SVM: page tables by software";
    if (!host_exists(d->root, "/dev/kvm"))
        say(d, WANT, "KVM",
            "load the module (modprobe kvm_intel or kvm_amd), or switch it on in "
            "the firmware or the outer host",
            "no /dev/kvm: isles run on QEMU's translator, slowly");
    else if (!host_writable(d->root, "/dev/kvm"))
        say(d, WANT, "KVM", "usermod -aG kvm USER, then log in anew", "no right to /dev/kvm");
    else
        say(d, guest ? NOTE : GOOD, "KVM", NULL, "%s%s", kind,
            guest ? ", nested in another virtual machine: exits are dear, the outer host is a "
                    "source of noise"
                  : "");
}

/* A parameter of the kernel's that names CPUs. */
static void look_parameter(struct doctor *d, const char *name, const char *path, const char *mend,
                           const char *without)
{
    char list[256];
    snprintf(list, sizeof list, "%.250s", value(d, path));
    if (list[0] == '\0' || strcmp(list, "(null)") == 0)
        say(d, NOTE, name, mend, "%s", without);
    else
        say(d, GOOD, name, NULL, "CPUs %s", list);
}

static void look_boot(struct doctor *d)
{
    look_parameter(d, "nohz_full", "/sys/devices/system/cpu/nohz_full",
                   "boot with nohz_full=LIST (a kernel with NO_HZ_FULL)",
                   "off: Linux's tick comes to every core that computes");
    look_parameter(d, "isolcpus", "/sys/devices/system/cpu/isolated",
                   "cpuset partitions do it at run time; or boot with isolcpus=managed_irq,LIST",
                   "none: lull takes cores at run time");
    if (strstr(value(d, "/proc/cmdline"), "rcu_nocbs"))
        say(d, GOOD, "rcu_nocbs", NULL, "set");
    else
        say(d, NOTE, "rcu_nocbs", "boot with rcu_nocbs=LIST (nohz_full includes it)",
            "not set: RCU's callbacks run where they were made");
    const char *release = value(d, "/proc/sys/kernel/osrelease");
    char path[300];
    snprintf(path, sizeof path, "/boot/config-%.200s", release);
    const char *hz = strstr(value(d, path), "\nCONFIG_HZ=");
    if (hz)
        say(d, atoi(hz + 11) > 250 ? NOTE : GOOD, "timer frequency", NULL, "%d Hz", atoi(hz + 11));
}

static void look_processor(struct doctor *d)
{
    if (is(d, "/sys/devices/system/cpu/smt/active", "1"))
        say(d, NOTE, "SMT",
            "lull leaves siblings idle; echo off > /sys/devices/system/cpu/smt/control",
            "on: a sibling's work slows a core down");
    else
        say(d, GOOD, "SMT", NULL, "off");
    char governor[64];
    snprintf(governor, sizeof governor, "%.60s",
             value(d, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"));
    if (!*governor)
        say(d, NOTE, "governor", NULL, "no frequency scaling to be seen here");
    else if (strcmp(governor, "performance") == 0)
        say(d, GOOD, "governor", NULL, "performance");
    else
        say(d, NOTE, "governor",
            "as root lull sets it for a run; cpupower frequency-set -g performance", "%s",
            governor);
    if (host_exists(d->root, "/sys/devices/system/cpu/cpu0/cpuidle/state2"))
        say(d, NOTE, "C-states",
            "with access to /dev/cpu_dma_latency lull does; or boot with "
            "processor.max_cstate=1",
            "deep ones are in use: waking takes longer");
    else
        say(d, GOOD, "C-states", NULL, "no deep ones");
}

static void look_memory(struct doctor *d)
{
    char thp[64];
    const char *pages = value(d, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    if (atoi(pages) > 0)
        say(d, GOOD, "huge pages", NULL, "%d of 2 MiB reserved", atoi(pages));
    else
        say(d, NOTE, "huge pages", "sysctl vm.nr_hugepages=N (boot with hugepages=N)",
            "none of 2 MiB reserved");
    snprintf(thp, sizeof thp, "%.60s", value(d, "/sys/kernel/mm/transparent_hugepage/enabled"));
    if (strstr(thp, "[never]") || !*thp)
        say(d, WANT, "THP", "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
            "off: an isle without reserved huge pages has 4 KiB ones");
    else
        say(d, GOOD, "THP", NULL, "%s", thp);
    if (strchr(value(d, "/proc/swaps"), '\n'))
        say(d, NOTE, "swap", "swapoff -a, or ulimit -l unlimited", "on: memory may be paged out");
    else
        say(d, GOOD, "swap", NULL, "off");
    if (is(d, "/proc/sys/kernel/numa_balancing", "1"))
        say(d, WANT, "NUMA balancing", "sysctl kernel.numa_balancing=0",
            "on: pages are unmapped to see who uses them");
    if (is(d, "/sys/kernel/mm/ksm/run", "1"))
        say(d, WANT, "KSM", "echo 0 > /sys/kernel/mm/ksm/run", "on: pages are merged");
}

static void look_watchdogs(struct doctor *d)
{
    if (is(d, "/proc/sys/kernel/nmi_watchdog", "1"))
        say(d, NOTE, "NMI watchdog", "sysctl kernel.nmi_watchdog=0",
            "on: a non-maskable interrupt "
            "a few times a minute");
    else
        say(d, GOOD, "NMI watchdog", NULL, "off");
    if (is(d, "/proc/sys/kernel/soft_watchdog", "1"))
        say(d, NOTE, "soft watchdog",
            "as root lull takes it off its cores; sysctl kernel.watchdog=0",
            "on: a timer every 4 s on CPUs %s", value(d, "/proc/sys/kernel/watchdog_cpumask"));
    long stat = atol(value(d, "/proc/sys/vm/stat_interval"));
    if (stat > 0 && stat < 10)
        say(d, NOTE, "vm.stat_interval", "as root lull sets 60; sysctl vm.stat_interval=120",
            "%ld s: every core sums up its counters that often", stat);
}

static void look_rights(struct doctor *d)
{
    struct rlimit rt = {0, 0}, lock = {0, 0};
    struct utsname u;
    char runtime[64];
    getrlimit(RLIMIT_RTPRIO, &rt);
    getrlimit(RLIMIT_MEMLOCK, &lock);
    bool root = geteuid() == 0;
    say(d, root ? GOOD : NOTE, "rights",
        root ? NULL : "cpusets, interrupts and governors are root's to change",
        root ? "root" : "not root: pinned to its cores, the isle shares them with who comes there");
    if (!root && rt.rlim_cur < 1)
        say(d, WANT, "real-time priority", "'USER - rtprio 1' in /etc/security/limits.conf",
            "no right to it");
    if (!root && lock.rlim_cur != RLIM_INFINITY)
        say(d, NOTE, "locked memory", "'USER - memlock unlimited' in /etc/security/limits.conf",
            "up to %llu KiB", (unsigned long long)lock.rlim_cur >> 10);
    snprintf(runtime, sizeof runtime, "%.60s", value(d, "/proc/sys/kernel/sched_rt_runtime_us"));
    if (uname(&u) == 0 && !hold_may_preempt(u.release, *runtime ? atol(runtime) : 0))
        say(d, WANT, "RT throttling",
            "a kernel of 6.12 or newer; or sysctl kernel.sched_rt_runtime_us=-1, if nothing of the "
            "kernel's has to run on the isle's cores",
            "a real-time thread is stopped for 5 %% of the time: not used");
    else
        say(d, GOOD, "RT throttling", NULL, "none in the way");
}

static void look_cgroups(struct doctor *d)
{
    char self[300];
    const char *mounts = value(d, "/proc/self/mounts");
    bool v1 = strstr(mounts, ",cpuset") != NULL && strstr(mounts, " cgroup ") != NULL;
    bool v2 = strstr(mounts, " cgroup2 ") != NULL;
    struct utsname u;
    if (v1 && uname(&u) == 0 && hold_keeps_affinity(u.release)) {
        say(d, GOOD, "cpuset", NULL,
            "cgroup v1: exclusive; as root lull moves other programs aside");
        return;
    }
    if (v1) {
        say(d, NOTE, "cpuset",
            "Linux 6.2 or newer; or boot with systemd.unified_cgroup_hierarchy=1 for isolated "
            "partitions",
            "cgroup v1: exclusive, which does not keep processes without a cpuset away");
        return;
    }
    if (!v2) {
        say(d, WANT, "cpuset", "mount -t cgroup2 none /sys/fs/cgroup", "no cgroups mounted");
        return;
    }
    snprintf(self, sizeof self, "%.290s", value(d, "/proc/self/cgroup"));
    if (strcmp(self, "0::/") == 0)
        say(d, GOOD, "cpuset", NULL, "cgroup v2, and this is its root: isolated partitions");
    else
        say(d, NOTE, "cpuset",
            "echo $$ > /sys/fs/cgroup/cgroup.procs, or make that group a partition "
            "(cpuset.cpus.partition)",
            "cgroup v2, but this process is in %s", self + (strncmp(self, "0::", 3) ? 0 : 3));
}

/* A process by its name. */
static bool runs(struct doctor *d, const char *name)
{
    char path[300];
    int fd = openat(d->root, "proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    bool found = false;
    for (struct dirent *e; dir && !found && (e = readdir(dir));) {
        if (e->d_name[0] < '1' || e->d_name[0] > '9')
            continue;
        snprintf(path, sizeof path, "/proc/%s/comm", e->d_name);
        found = is(d, path, name);
    }
    if (dir)
        closedir(dir);
    return found;
}

int node_doctor(const char *root, FILE *out)
{
    struct doctor *d = calloc(1, sizeof *d);
    if (!d || (d->root = host_open(root)) < 0) {
        message("cannot look at this host: %s", strerror(errno));
        free(d);
        return LULL_EXIT_FAILED;
    }
    d->out = out;
    look_kvm(d);
    look_rights(d);
    look_cgroups(d);
    look_boot(d);
    look_processor(d);
    look_memory(d);
    look_watchdogs(d);
    if (runs(d, "irqbalance"))
        say(d, NOTE, "irqbalance",
            "systemctl stop irqbalance, or IRQBALANCE_BANNED_CPULIST in /etc/default/irqbalance",
            "runs: it may move interrupts back");
    else
        say(d, GOOD, "irqbalance", NULL, "does not run");
    fprintf(out, "%u thing%s lacking\n", d->wanting, d->wanting == 1 ? "" : "s");
    close(d->root);
    free(d);
    if (fflush(out) == 0 && !ferror(out))
        return 0;
    message("cannot write to standard output: %s", strerror(errno));
    return LULL_EXIT_FAILED;
}
