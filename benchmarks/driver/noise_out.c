/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"
#include "driver/events.h"
#include "driver/noise.h"
#include "driver/plot.h"

static void print_system(FILE *f, const char *title, const struct noise_result *r)
{
    fprintf(f, "%-21s", title);
    if (r->ran)
        fprintf(f, " %8zu %10.6f %12.3f %8zu %11.3f %11.3e %8zu\n", r->n, r->seconds,
                r->shortest_ns / 1e3, r->detours, r->longest_ns / 1e3, r->rate, r->changed);
    else
        fprintf(f, " not run: %s\n", r->why);
}

static void print_events(FILE *f, const char *title, const struct noise_result *r)
{
    static const char *const kinds[] = {"exits", "kernel", "interrupts"};
    double total = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        total += events_total(r->events, kinds[k], NULL);
    fprintf(f, "\n%s:%s\n", title, total > 0 ? "" : " none");
    if (total > 0)
        events_print(f, r->events, &r->cpus);
}

void noise_print(FILE *f, const struct noise_options *n, const struct noise_result *r)
{
    bool clocks = false;
    fprintf(f,
            "\nfwq in virtual time (QEMU's TCG): 1 ns is an instruction of fwq's processor\n"
            "%llu samples of %llu iterations; a detour is a sample that is more than %g us longer "
            "than the\nshortest one, its length what it is longer; the last column counts all that "
            "are longer at all\n",
            (unsigned long long)n->samples, (unsigned long long)n->work, NOISE_DETOUR_NS / 1e3);
    fprintf(f, "%-21s %8s %10s %12s %8s %11s %11s %8s\n", "system", "samples", "virtual s",
            "shortest us", "detours", "longest us", "noise rate", "changed");
    for (int s = 0; s < NOISE_SYSTEMS; s++)
        print_system(f, noise_title[s], &r[s]);
    fprintf(f, "\nWhat interrupted fwq's processor during the loop (isle: lull's report; Linux: "
               "/proc/interrupts)");
    for (int s = 0; s < NOISE_SYSTEMS; s++)
        if (r[s].ran)
            print_events(f, noise_title[s], &r[s]);
    fputc('\n', f);
    for (int s = 0; s < NOISE_SYSTEMS; s++) {
        clocks = clocks || (r[s].ran && !isnan(r[s].clock_detours));
        if (r[s].ran && s != NOISE_ISLE)
            fprintf(f, "%s: %s%s%s\n", noise_title[s], r[s].kernel, r[s].append[0] ? " " : "",
                    r[s].append);
    }
    if (clocks)
        fprintf(f, "Two CPUs share one clock here; by that clock, which goes on while the other "
                   "one works, the detours\nwould be");
    for (int s = 0; s < NOISE_SYSTEMS; s++)
        if (r[s].ran && !isnan(r[s].clock_detours))
            fprintf(f, " %.0f (%s)", r[s].clock_detours, noise_name[s]);
    if (clocks)
        fputc('\n', f);
}

static json_t *system_json(const struct noise_result *r)
{
    if (!r->ran)
        return json_pack("{s:b, s:s}", "ran", 0, "why", r->why);
    json_t *j = json_pack("{s:b, s:s, s:I, s:f, s:f, s:I, s:f, s:f, s:I, s:O?}", "ran", 1,
                          "command", r->command, "samples", (json_int_t)r->n, "virtual_s",
                          r->seconds, "shortest_us", r->shortest_ns / 1e3, "detours",
                          (json_int_t)r->detours, "longest_us", r->longest_ns / 1e3, "noise_rate",
                          r->rate, "changed", (json_int_t)r->changed, "events", r->events);
    if (r->kernel[0])
        json_object_set_new(j, "kernel",
                            json_pack("{s:s, s:s}", "release", r->kernel, "options", r->append));
    if (!isnan(r->clock_detours))
        json_object_set_new(
            j, "by_shared_clock",
            json_pack("{s:f, s:f}", "detours", r->clock_detours, "noise_rate", r->clock_rate));
    return j;
}

json_t *noise_json(const struct noise_options *n, const struct noise_result *r)
{
    json_t *systems = json_object();
    for (int s = 0; s < NOISE_SYSTEMS; s++)
        json_object_set_new(systems, noise_name[s], system_json(&r[s]));
    return json_pack("{s:b, s:s, s:I, s:I, s:f, s:o}", "virtual", 1, "engine", "QEMU TCG, icount",
                     "samples", (json_int_t)n->samples, "work", (json_int_t)n->work,
                     "detour_longer_than_us", NOISE_DETOUR_NS / 1e3, "systems", systems);
}

/* Seconds since the start and detour in us; only detours, as a logarithm has no 0. */
static int write_series(const char *dir, enum noise_system s, const struct noise_result *r)
{
    char path[PATH_MAX];
    double t = 0;
    noise_path(dir, s, "series", path, sizeof path);
    FILE *f = fopen(path, "w");
    if (!f)
        goto fail;
    fprintf(f, "# seconds detour_us\n-1 1\n"); /* gnuplot wants a point */
    for (size_t i = 0; i < r->n; i++) {
        double d = r->ns[i] - r->shortest_ns;
        if (d > 0)
            fprintf(f, "%.6f %.3f\n", t, d / 1e3);
        t += r->ns[i] * 1e-9;
    }
    if (!(ferror(f) | fclose(f)))
        return 0;
fail:
    complain("cannot write %s: %s", path, strerror(errno));
    return -1;
}

static void write_panel(FILE *f, enum noise_system s, const struct noise_result *r)
{
    static const char *const colour[NOISE_SYSTEMS] = {"#1f5fa8", "#c0392b", "#d35400", "#7d3c98"};
    fprintf(f,
            "set title '%s: %zu of %zu samples are longer by more than %g us; noise rate %.1e'\n"
            "plot 'noise-%s.series' using 1:2 with points pt 7 ps 0.5 lc rgb '%s'\n",
            noise_title[s], r->detours, r->n, NOISE_DETOUR_NS / 1e3, r->rate, noise_name[s],
            colour[s]);
}

int noise_plot(const char *dir, const struct noise_result *r, bool draw)
{
    char path[PATH_MAX];
    double seconds = 0, top = 10;
    int panels = 0;
    for (int s = 0; s < NOISE_SYSTEMS; s++) {
        if (!r[s].ran)
            continue;
        if (write_series(dir, s, &r[s]))
            return -1;
        panels++;
        seconds = r[s].seconds > seconds ? r[s].seconds : seconds;
        while (top < r[s].longest_ns / 1e3)
            top *= 10;
    }
    snprintf(path, sizeof path, "%s/noise.gp", dir);
    FILE *f = fopen(path, "w");
    if (!f)
        goto fail;
    fprintf(f,
            "# run in this folder: gnuplot noise.gp\n"
            "set terminal pngcairo size 900,%d font 'sans,11'\n"
            "set output 'noise.png'\n"
            "set multiplot layout %d,1 title 'fwq in virtual time: each point is a disturbed "
            "sample'\n"
            "set grid\nunset key\nset logscale y\nset format y '10^{%%T}'\n"
            "set xrange [0:%g]\nset yrange [0.001:%g]\nset ylabel 'longer by, us'\n"
            "set xlabel 'virtual time, s' offset 0,0.5\n",
            40 + 200 * panels, panels, seconds, top);
    for (int s = 0; s < NOISE_SYSTEMS; s++)
        if (r[s].ran)
            write_panel(f, s, &r[s]);
    fprintf(f, "unset multiplot\n");
    if (ferror(f) | fclose(f))
        goto fail;
    return draw ? plot_run_gnuplot(dir, "noise.gp") : 0;
fail:
    complain("cannot write %s: %s", path, strerror(errno));
    return -1;
}
