/* SPDX-License-Identifier: MIT */
/* What comes back of a run in virtual time. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"
#include "driver/noise.h"
#include "driver/plot.h"

const char *const noise_name[NOISE_SYSTEMS] = {"isle", "stock", "stock-2", "tuned"};
const char *const noise_title[NOISE_SYSTEMS] = {"isle", "Linux", "Linux, 2 CPUs",
                                                "Linux, 2 CPUs, tuned"};

void noise_path(const char *dir, enum noise_system s, const char *suffix, char *buf, size_t size)
{
    snprintf(buf, size, "%s/noise-%s.%s", dir, noise_name[s], suffix);
}

void noise_free(struct noise_result *r)
{
    free(r->ns);
    json_decref(r->events);
    *r = (struct noise_result){.n = 0};
}

/* A section's head, "@NAME LENGTH\n", and its bytes. False at the end of what is there. */
static bool read_section(FILE *f, char *name, char **data, size_t *len)
{
    char end;
    if (fscanf(f, "@%15[a-z_] %zu%c", name, len, &end) != 3 || end != '\n' || *len > 1 << 30)
        return false;
    *data = malloc(*len + 1);
    if (!*data)
        return false;
    (*data)[*len] = 0;
    if (fread(*data, 1, *len, f) == *len)
        return true;
    free(*data);
    *data = NULL;
    return false;
}

static int write_file(const char *path, const char *data, size_t len)
{
    FILE *f = fopen(path, "w");
    size_t n = f ? fwrite(data, 1, len, f) : 0;
    if (f && fclose(f) == 0 && n == len)
        return 0;
    complain("cannot write %s: %s", path, strerror(errno));
    return -1;
}

int noise_unpack(struct noise_result *r, const char *dir, enum noise_system s)
{
    static const char *const kept[][2] = {
        {"samples", "dat"}, {"before", "before"}, {"after", "after"}};
    char path[PATH_MAX], name[16], *data;
    size_t len;
    int rc = -1, status = -1;
    bool ended = false, bad = false;
    noise_path(dir, s, "out", path, sizeof path);
    FILE *f = fopen(path, "r");
    if (!f) {
        complain("noise, %s: QEMU wrote no %s: %s", noise_name[s], path, strerror(errno));
        return -1;
    }
    while (!ended && !bad && read_section(f, name, &data, &len)) {
        for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
            if (strcmp(name, kept[i][0]) != 0)
                continue;
            noise_path(dir, s, kept[i][1], path, sizeof path);
            bad = write_file(path, data, len);
        }
        if (strcmp(name, "kernel") == 0)
            snprintf(r->kernel, sizeof r->kernel, "%s", data);
        else if (strcmp(name, "status") == 0)
            status = atoi(data);
        else if (strcmp(name, "error") == 0) {
            complain("noise, %s: the init in the Linux under QEMU: %s", noise_name[s], data);
            bad = true;
        } else if (strcmp(name, "text") == 0 && status != 0)
            complain("noise, %s: %.*s", noise_name[s], (int)strcspn(data, "\n"), data);
        ended = strcmp(name, "end") == 0;
        free(data);
    }
    fclose(f);
    if (ended && !bad && status == 0)
        rc = 0;
    else if (!bad)
        complain("noise, %s: %s; %s/noise-%s.console has its messages", noise_name[s],
                 ended ? "fwq failed in the Linux under QEMU"
                       : "the Linux under QEMU ended before it had sent all",
                 dir, noise_name[s]);
    return rc;
}

/* The last n + 1 lines "OWN ALL" of the plugin: own instructions between two. */
static int read_counts(const char *path, double *ns, size_t n)
{
    FILE *f = fopen(path, "r");
    uint64_t own, all, *ring = calloc(n + 1, sizeof *ring);
    size_t lines = 0;
    int rc = -1;
    while (f && ring && fscanf(f, "%" SCNu64 " %" SCNu64, &own, &all) == 2)
        ring[lines++ % (n + 1)] = own;
    if (lines < n + 1) {
        complain("%s: %zu counts for %zu samples", path, lines, n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        ns[i] = (double)(ring[(lines + i + 1) % (n + 1)] - ring[(lines + i) % (n + 1)]);
    rc = 0;
out:
    free(ring);
    if (f)
        fclose(f);
    return rc;
}

static void set_figures(struct noise_result *r)
{
    double sum = 0, min = r->ns[0], max = r->ns[0];
    for (size_t i = 0; i < r->n; i++) {
        sum += r->ns[i];
        min = r->ns[i] < min ? r->ns[i] : min;
        max = r->ns[i] > max ? r->ns[i] : max;
    }
    r->seconds = sum / 1e9;
    r->shortest_ns = min;
    r->longest_ns = max - min;
    r->rate = stats_noise_rate(r->ns, r->n);
    r->detours = stats_count_detours(r->ns, r->n, NOISE_DETOUR_NS);
    r->changed = stats_count_detours(r->ns, r->n, 0);
}

int noise_read(struct noise_result *r, const char *dir, enum noise_system s, bool counts)
{
    char path[PATH_MAX];
    struct fwq_samples f;
    noise_path(dir, s, "dat", path, sizeof path);
    if (fwq_samples_read(&f, path))
        return -1;
    if (f.cores != 1 || fabs(f.tsc_hz - 1e9) > 1e6) {
        complain("noise, %s: fwq counted %g ticks a second on %u cores, not 1e9 on one: that is no "
                 "virtual time",
                 noise_name[s], f.tsc_hz, f.cores);
        fwq_samples_free(&f);
        return -1;
    }
    /* fwq took the counter's rate by the clock; a tick is a nanosecond exactly */
    for (size_t i = 0; i < f.samples; i++)
        f.us[i] = round(f.us[i] * f.tsc_hz / 1e6);
    r->ns = f.us;
    r->n = f.samples;
    r->clock_detours = r->clock_rate = NAN;
    set_figures(r);
    if (!counts)
        return 0;
    r->clock_detours = (double)r->detours;
    r->clock_rate = r->rate;
    double by_clock = r->shortest_ns;
    noise_path(dir, s, "counts", path, sizeof path);
    if (read_counts(path, r->ns, r->n))
        return -1;
    set_figures(r);
    if (fabs(r->shortest_ns - by_clock) > 100) {
        complain("noise, %s: the shortest sample is %.0f ns by the clock, %.0f by counted "
                 "instructions: they are not about the same samples",
                 noise_name[s], by_clock, r->shortest_ns);
        return -1;
    }
    return 0;
}
