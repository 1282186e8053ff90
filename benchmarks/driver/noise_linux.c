/* SPDX-License-Identifier: MIT */
/*
 * Linux in virtual time: QEMU's TCG with -icount shift=0, so that an instruction is a nanosecond.
 *
 * Two processors take turns, and QEMU 7.2 gives the second one the rest of a time slice that the
 * first has used up: none, for ever, while the first one spins. The third in the row gets a fresh
 * slice. So the machine has three, Linux leaves the second one alone (disable_cpu_apicid=1) and
 * calls the third one CPU 1.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/cpio.h"
#include "driver/events.h"
#include "driver/noise.h"
#include "driver/run.h"

/* Seconds of virtual time between the kernel's start and fwq's: idle ones cost nothing. */
#define SETTLE "10"

/* Two CPUs of this model are not believed to have synchronous counters; real ones are. */
#define TWO "tsc=reliable disable_cpu_apicid=1"

static const struct {
    const char *smp, *append;
    int cpu;        /* Linux's, for fwq */
    bool processor; /* count the instructions of QEMU's processor 2 */
} machine[NOISE_SYSTEMS] = {
    [NOISE_STOCK] = {"1", "", 0, false},
    [NOISE_STOCK_2] = {"3", TWO, 1, true},
    [NOISE_TUNED] = {"3",
                     TWO " nohz_full=1 isolcpus=nohz,domain,managed_irq,1 rcu_nocbs=1 "
                         "irqaffinity=0",
                     1, true}};

/* What was built for this: ../noise beside the folder of lull-bench. */
static int noise_file(const struct driver_options *o, const char *name, char *buf, size_t size)
{
    if ((size_t)snprintf(buf, size, "%s/../noise/%s", o->bin, name) < size &&
        access(buf, R_OK) == 0)
        return 0;
    complain("noise: %s is missing; make builds it", buf);
    return -1;
}

static int fetch_kernel(const struct driver_options *o, char *to)
{
    char script[PATH_MAX], dir[PATH_MAX];
    struct run_output out;
    if (noise_file(o, "noise-kernel", script, sizeof script))
        return -1;
    snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(to, '/') - to), to);
    char *argv[] = {script, dir, NULL};
    struct command c = {.argv = argv,
                        .what = "noise, Debian's cloud kernel",
                        .where = "to download",
                        .timeout_s = o->timeout_s,
                        .verbose = o->verbose};
    progress("noise, downloading Debian's cloud kernel");
    if (command_run(&c, &out))
        return -1;
    free(out.text);
    return 0;
}

int noise_prepare_linux(const struct driver_options *o, struct noise_options *n)
{
    char init[PATH_MAX], initrd[PATH_MAX];
    if (!n->kernel[0]) {
        if ((size_t)snprintf(n->kernel, sizeof n->kernel, "%s/../noise/vmlinuz", o->bin) >=
            sizeof n->kernel)
            return -1;
        if (access(n->kernel, R_OK) && fetch_kernel(o, n->kernel))
            return -1;
    }
    if (access(n->kernel, R_OK)) {
        complain("noise: cannot read the kernel %s: %s", n->kernel, strerror(errno));
        return -1;
    }
    if (noise_file(o, "init", init, sizeof init))
        return -1;
    snprintf(initrd, sizeof initrd, "%s/noise.initrd", o->dir);
    const struct cpio_file files[] = {{"init", init}, {"fwq", n->fwq}};
    return cpio_write(initrd, files, 2);
}

/* In an option of QEMU's, a comma is written twice. */
static void escape(const char *from, char *to, size_t size)
{
    size_t at = 0;
    for (; *from && at + 2 < size; from++) {
        to[at++] = *from;
        if (*from == ',')
            to[at++] = ',';
    }
    to[at] = 0;
}

static int read_events(struct noise_result *r, const char *dir, enum noise_system s)
{
    char path[PATH_MAX];
    json_t *before, *after = NULL;
    int rc = -1;
    CPU_ZERO(&r->cpus.set);
    CPU_SET(machine[s].cpu, &r->cpus.set);
    r->cpus.n = 1;
    r->events = json_object();
    noise_path(dir, s, "before", path, sizeof path);
    before = events_read_interrupts_from(path, &r->cpus);
    noise_path(dir, s, "after", path, sizeof path);
    if (before)
        after = events_read_interrupts_from(path, &r->cpus);
    if (after)
        rc = events_add_difference(r->events, before, after);
    json_decref(before);
    json_decref(after);
    return rc;
}

/* Strings of one run's command line. */
struct words {
    char initrd[PATH_MAX], append[1024], console[PATH_MAX], out[PATH_MAX];
    char plugin[3 * PATH_MAX], counts[PATH_MAX];
};

static int make_words(const struct driver_options *o, const struct noise_options *n,
                      enum noise_system s, struct words *w)
{
    char path[PATH_MAX], so[PATH_MAX], doubled[2][PATH_MAX];
    snprintf(w->initrd, sizeof w->initrd, "%s/noise.initrd", o->dir);
    snprintf(w->append, sizeof w->append,
             "console=ttyS0 panic=-1 reboot=t rdinit=/init %s -- %d " SETTLE
             " --samples %llu --work %llu",
             machine[s].append, machine[s].cpu, (unsigned long long)n->samples,
             (unsigned long long)n->work);
    noise_path(o->dir, s, "console", path, sizeof path);
    snprintf(w->console, sizeof w->console, "file:%.*s", PATH_MAX - 8, path);
    noise_path(o->dir, s, "out", path, sizeof path);
    remove(path);
    snprintf(w->out, sizeof w->out, "file:%.*s", PATH_MAX - 8, path);
    noise_path(o->dir, s, "counts", w->counts, sizeof w->counts);
    remove(w->counts);
    if (!machine[s].processor)
        return 0;
    if (noise_file(o, "insns.so", so, sizeof so))
        return -1;
    escape(so, doubled[0], sizeof doubled[0]);
    escape(w->counts, doubled[1], sizeof doubled[1]);
    snprintf(w->plugin, sizeof w->plugin, "%s,out=%s,cpu=2", doubled[0], doubled[1]);
    return 0;
}

int noise_run_linux(const struct driver_options *o, const struct noise_options *n,
                    enum noise_system s, struct noise_result *r)
{
    struct words w;
    struct run_output out;
    char what[64];
    if (make_words(o, n, s, &w))
        return -1;
    /* -seed, -rtc: nothing of the host's may make two runs differ */
    const char *argv[] = {"qemu-system-x86_64",
                          "-nodefaults",
                          "-no-user-config",
                          "-display",
                          "none",
                          "-M",
                          "q35",
                          "-m",
                          "256",
                          "-smp",
                          machine[s].smp,
                          "-accel",
                          "tcg,thread=single",
                          "-icount",
                          "shift=0,sleep=off",
                          "-seed",
                          "1",
                          "-rtc",
                          "base=2000-01-01,clock=vm",
                          "-no-reboot",
                          "-kernel",
                          n->kernel,
                          "-initrd",
                          w.initrd,
                          "-append",
                          w.append,
                          "-serial",
                          w.console,
                          "-serial",
                          w.out,
                          machine[s].processor ? "-plugin" : NULL,
                          w.plugin,
                          NULL};
    snprintf(what, sizeof what, "noise, %s", noise_name[s]);
    run_describe((char *const *)argv, r->command, sizeof r->command);
    snprintf(r->append, sizeof r->append, "%s", machine[s].append);
    struct command c = {.argv = (char *const *)argv,
                        .what = what,
                        .where = "under QEMU",
                        .timeout_s = o->timeout_s,
                        .verbose = o->verbose};
    progress("%s", what);
    if (command_run(&c, &out))
        return -1;
    free(out.text);
    return noise_unpack(r, o->dir, s) || noise_read(r, o->dir, s, machine[s].processor) ||
                   read_events(r, o->dir, s)
               ? -1
               : 0;
}
