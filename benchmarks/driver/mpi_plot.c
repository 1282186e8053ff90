/* SPDX-License-Identifier: MIT */
#include "driver/mpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"
#include "driver/plot.h"

int mpi_samples_add(struct mpi_samples *s, enum side side, const char *path)
{
    unsigned long n;
    FILE *f = fopen(path, "r");
    if (!f) {
        complain("cannot read %s: %s", path, strerror(errno));
        return -1;
    }
    if (fscanf(f, "# lull-allreduce-1 iterations=%lu", &n) != 1 || n < 1 || n > 100000000)
        goto bad;
    double *us = realloc(s->us[side], (s->n[side] + n) * sizeof *us);
    if (!us) {
        complain("out of memory for the samples of %s", path);
        fclose(f);
        return -1;
    }
    s->us[side] = us;
    for (unsigned long i = 0; i < n; i++)
        if (fscanf(f, "%lf", &us[s->n[side] + i]) != 1)
            goto bad;
    s->n[side] += n;
    fclose(f);
    return 0;
bad:
    complain("%s: not a whole file of mpi-allreduce's samples", path);
    fclose(f);
    return -1;
}

void mpi_samples_free(struct mpi_samples *s)
{
    free(s->us[NATIVE]);
    free(s->us[ISLE]);
}

static FILE *begin(const char *dir, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", dir, name);
    return plot_begin(path);
}

/* Bytes in "latency 64 KiB", 0: not a row of this kind. */
static double bytes_of(const char *row, const char *kind)
{
    double n;
    char unit[4];
    size_t len = strlen(kind);
    if (strncmp(row, kind, len) != 0 || sscanf(row + len, " %lf %3s", &n, unit) != 2)
        return 0;
    return n * (unit[0] == 'K' ? 1024 : unit[0] == 'M' ? 1048576 : 1);
}

static int write_sizes(const char *dir, const struct table *t, const char *kind)
{
    char path[PATH_MAX], name[64];
    snprintf(name, sizeof name, "mpi-%s.dat", kind);
    FILE *f = begin(dir, name, path, sizeof path);
    if (!f)
        return -1;
    fprintf(f, "# bytes native isle\n");
    for (size_t i = 0; i < t->n; i++) {
        double bytes = bytes_of(t->row[i].name, kind);
        if (bytes > 0)
            fprintf(f, "%.0f %.6g %.6g\n", bytes, table_median(t, &t->row[i], NATIVE),
                    table_median(t, &t->row[i], ISLE));
    }
    return plot_finish(f, path);
}

/* Time in us, fraction of the iterations that took at least that. */
static int write_distribution(const char *dir, struct mpi_samples *s, enum side side)
{
    char path[PATH_MAX], name[64];
    snprintf(name, sizeof name, "mpi-allreduce-%s-ccdf.dat", side_name[side]);
    FILE *f = begin(dir, name, path, sizeof path);
    if (!f)
        return -1;
    size_t n = s->n[side];
    double *us = s->us[side];
    stats_sort(us, n);
    fprintf(f, "# us fraction_at_least_as_long\n");
    for (size_t i = 0; i < n; i++)
        if (i == 0 || us[i] != us[i - 1])
            fprintf(f, "%.4f %.6g\n", us[i], (double)(n - i) / (double)n);
    return plot_finish(f, path);
}

static void plot_sizes(FILE *f, const char *kind, const char *label)
{
    fprintf(f,
            "set ylabel '%s'\n"
            "plot 'mpi-%s.dat' using 1:2 with linespoints lw 2 pt 7 ps 0.6 lc rgb '#c0392b' "
            "title 'native', \\\n"
            "     'mpi-%s.dat' using 1:3 with linespoints lw 2 pt 7 ps 0.6 lc rgb '#1f5fa8' "
            "title 'isle'\n",
            label, kind, kind);
}

static int write_script(const char *dir, bool pingpong, bool allreduce, const char *title)
{
    char path[PATH_MAX];
    FILE *f = begin(dir, "mpi.gp", path, sizeof path);
    if (!f)
        return -1;
    unsigned rows = (pingpong ? 2 : 0) + (allreduce ? 1 : 0);
    fprintf(f,
            "# run in this folder: gnuplot mpi.gp\n"
            "set terminal pngcairo size 1200,%u font 'sans,11'\n"
            "set output 'mpi.png'\n"
            "set multiplot layout %u,1 title '%s' noenhanced\n"
            "set grid\nset logscale xy\nset key left top\n",
            350 * rows + 50, rows, title);
    if (pingpong) {
        fprintf(f, "set xlabel 'message, bytes'\n");
        plot_sizes(f, "latency", "latency, one way, us");
        plot_sizes(f, "bandwidth", "bandwidth, MB/s");
    }
    if (allreduce)
        fprintf(f, "set key right top\n"
                   "set format y '10^{%%T}'\n"
                   "set xlabel 'a fixed work and an allreduce, us'\n"
                   "set ylabel 'fraction at least as long'\n"
                   "plot 'mpi-allreduce-native-ccdf.dat' using 1:2 with steps lw 2 "
                   "lc rgb '#c0392b' title 'native', \\\n"
                   "     'mpi-allreduce-isle-ccdf.dat' using 1:2 with steps lw 2 "
                   "lc rgb '#1f5fa8' title 'isle'\n");
    fprintf(f, "unset multiplot\n");
    return plot_finish(f, path);
}

int mpi_plot(const char *dir, const struct table *pingpong, struct mpi_samples *allreduce,
             const char *title, bool draw)
{
    if (pingpong &&
        (write_sizes(dir, pingpong, "latency") || write_sizes(dir, pingpong, "bandwidth")))
        return -1;
    if (allreduce &&
        (write_distribution(dir, allreduce, NATIVE) || write_distribution(dir, allreduce, ISLE)))
        return -1;
    if (write_script(dir, pingpong, allreduce, title))
        return -1;
    return draw ? plot_run_gnuplot(dir, "mpi.gp") : 0;
}
