/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"
#include "driver/load.h"
#include "driver/plot.h"

#define SHORTEST_US 0.01 /* shorter ones are the counter's own jitter */

int load_detours_add(struct load_detours *d, const char *samples_path)
{
    struct fwq_samples s;
    if (fwq_samples_read(&s, samples_path))
        return -1;
    double *us = realloc(d->us, (d->n + s.cores * s.samples) * sizeof *us);
    if (!us) {
        complain("out of memory for the plot");
        fwq_samples_free(&s);
        return -1;
    }
    d->us = us;
    for (unsigned c = 0; c < s.cores; c++) {
        const double *v = s.us + c * s.samples;
        double min = v[0];
        for (uint64_t i = 1; i < s.samples; i++)
            min = v[i] < min ? v[i] : min;
        for (uint64_t i = 0; i < s.samples; i++)
            d->us[d->n++] = v[i] - min;
    }
    fwq_samples_free(&s);
    return 0;
}

/* Detour in us, fraction of the samples with at least that. */
static int write_distribution(const char *dir, const char *name, struct load_detours *d)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/fwq-load-%s.ccdf", dir, name);
    FILE *f = plot_begin(path);
    if (!f)
        return -1;
    stats_sort(d->us, d->n);
    fprintf(f, "# detour_us fraction_at_least_as_long\n%g 1\n", SHORTEST_US);
    for (size_t i = 0; i < d->n; i++)
        if (d->us[i] > SHORTEST_US && (i == 0 || d->us[i] != d->us[i - 1]))
            fprintf(f, "%.4f %.6g\n", d->us[i], (double)(d->n - i) / (double)d->n);
    return plot_finish(f, path);
}

int load_plot(const char *dir, struct load_detours *d, const char *title, bool draw)
{
    static const char *const colour[LOAD_SYSTEMS] = {"#999999", "#c0392b", "#d68910", "#1f5fa8"};
    char path[PATH_MAX];
    const char *separator = "plot";
    for (int s = 0; s < LOAD_SYSTEMS; s++)
        if (d[s].n && write_distribution(dir, load_name[s], &d[s]))
            return -1;
    snprintf(path, sizeof path, "%s/fwq-load.gp", dir);
    FILE *f = plot_begin(path);
    if (!f)
        return -1;
    fprintf(f,
            "# run in this folder: gnuplot fwq-load.gp\n"
            "set terminal pngcairo size 1200,600 font 'sans,11'\n"
            "set output 'fwq-load.png'\n"
            "set title '%s' noenhanced\n"
            "set grid\nset logscale xy\nset format y '10^{%%T}'\n"
            "set xlabel 'detour: time above the shortest quantum of the core, us'\n"
            "set ylabel 'fraction at least as long'\n",
            title);
    for (int s = 0; s < LOAD_SYSTEMS; s++) {
        if (!d[s].n)
            continue;
        fprintf(f, "%s 'fwq-load-%s.ccdf' using 1:2 with steps lw 2 lc rgb '%s' title '%s'",
                separator, load_name[s], colour[s], load_title[s]);
        separator = ", \\\n    ";
    }
    fputc('\n', f);
    if (plot_finish(f, path))
        return -1;
    return draw ? plot_run_gnuplot(dir, "fwq-load.gp") : 0;
}
