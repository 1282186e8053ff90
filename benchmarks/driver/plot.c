/* SPDX-License-Identifier: MIT */
#include "driver/plot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/stats.h"

/* Shorter ones are the counter's own jitter. */
#define SHORTEST_US 0.01

int fwq_samples_read(struct fwq_samples *s, const char *path)
{
    *s = (struct fwq_samples){.us = NULL};
    FILE *f = fopen(path, "r");
    if (!f) {
        complain("cannot read %s: %s", path, strerror(errno));
        return -1;
    }
    if (fscanf(f, "# lull-fwq-1 tsc_hz=%lf work=%*u cores=%u samples=%" SCNu64 " cpus=%*[0-9,]",
               &s->tsc_hz, &s->cores, &s->samples) != 3 ||
        !(s->tsc_hz > 0) || s->cores < 1 || s->cores > CPU_SETSIZE || s->samples < 1 ||
        s->samples > 1000000000)
        goto bad;
    size_t n = s->cores * s->samples;
    s->us = malloc(n * sizeof *s->us);
    if (!s->us) {
        complain("out of memory for the samples of %s", path);
        fclose(f);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned core;
        uint64_t index, ticks;
        if (fscanf(f, "%u %" SCNu64 " %" SCNu64, &core, &index, &ticks) != 3 ||
            core != i / s->samples || index != i % s->samples)
            goto bad;
        s->us[i] = (double)ticks / s->tsc_hz * 1e6;
    }
    fclose(f);
    return 0;
bad:
    complain("%s: not a whole file of fwq's samples", path);
    fclose(f);
    fwq_samples_free(s);
    return -1;
}

void fwq_samples_free(struct fwq_samples *s)
{
    free(s->us);
    s->us = NULL;
}

FILE *plot_begin(const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f)
        complain("cannot write %s: %s", path, strerror(errno));
    return f;
}

int plot_finish(FILE *f, const char *path)
{
    bool bad = ferror(f);
    if (fclose(f) == 0 && !bad)
        return 0;
    complain("cannot write %s: %s", path, strerror(errno));
    return -1;
}

static FILE *open_data(const struct plot *p, enum side side, const char *what, char *path,
                       size_t size)
{
    snprintf(path, size, "%s/fwq-%s-%s.dat", p->dir, side_name[side], what);
    return plot_begin(path);
}

static double shortest(const double *us, uint64_t n)
{
    double min = us[0];
    for (uint64_t i = 1; i < n; i++)
        min = us[i] < min ? us[i] : min;
    return min;
}

/* Seconds since the core's start, detour in us, core. */
static int write_series(const struct plot *p, enum side side, const struct fwq_samples *s)
{
    char path[PATH_MAX];
    FILE *f = open_data(p, side, "series", path, sizeof path);
    if (!f)
        return -1;
    fprintf(f, "# seconds detour_us core\n");
    for (unsigned c = 0; c < s->cores; c++) {
        const double *us = s->us + c * s->samples;
        double min = shortest(us, s->samples), t = 0;
        for (uint64_t i = 0; i < s->samples; i++) {
            double d = us[i] - min;
            fprintf(f, "%.6f %.4f %u\n", t, d > SHORTEST_US ? d : SHORTEST_US, c);
            t += us[i] * 1e-6;
        }
    }
    return plot_finish(f, path);
}

int plot_add(struct plot *p, enum side side, const char *samples_path)
{
    struct fwq_samples s;
    if (fwq_samples_read(&s, samples_path))
        return -1;
    size_t more = s.cores * s.samples;
    double *d = realloc(p->detour[side], (p->n[side] + more) * sizeof *d);
    int rc = -1;
    if (!d) {
        complain("out of memory for the plot");
        goto out;
    }
    p->detour[side] = d;
    for (unsigned c = 0; c < s.cores; c++) {
        double min = shortest(s.us + c * s.samples, s.samples);
        for (uint64_t i = 0; i < s.samples; i++)
            d[p->n[side]++] = s.us[c * s.samples + i] - min;
    }
    rc = write_series(p, side, &s);
out:
    fwq_samples_free(&s);
    return rc;
}

/* Detour in us, fraction of the samples with at least that. Sorts the detours. */
static int write_distribution(struct plot *p, enum side side)
{
    char path[PATH_MAX];
    FILE *f = open_data(p, side, "ccdf", path, sizeof path);
    if (!f)
        return -1;
    size_t n = p->n[side];
    double *d = p->detour[side];
    stats_sort(d, n);
    fprintf(f, "# detour_us fraction_at_least_as_long\n%g 1\n", SHORTEST_US);
    for (size_t i = 0; i < n; i++)
        if (d[i] > SHORTEST_US && (i == 0 || d[i] != d[i - 1]))
            fprintf(f, "%.4f %.6g\n", d[i], (double)(n - i) / (double)n);
    return plot_finish(f, path);
}

/* One scale for both sides: a power of ten above all detours. Sorted by write_distribution(). */
static double scale_top(const struct plot *p)
{
    double top = 1;
    for (int s = 0; s < SIDES; s++)
        while (p->n[s] && top < p->detour[s][p->n[s] - 1])
            top *= 10;
    return top;
}

int plot_write(struct plot *p, const char *title)
{
    char path[PATH_MAX];
    if (write_distribution(p, NATIVE) || write_distribution(p, ISLE))
        return -1;
    snprintf(path, sizeof path, "%s/fwq.gp", p->dir);
    FILE *f = fopen(path, "w");
    if (!f) {
        complain("cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    fprintf(f,
            "# run in this folder: gnuplot fwq.gp\n"
            "set terminal pngcairo size 1200,1000 font 'sans,11'\n"
            "set output 'fwq.png'\n"
            "set multiplot layout 3,1 title '%s' noenhanced\n"
            "set grid\n"
            "set logscale xy\n"
            "set format y '10^{%%T}'\n"
            "set xlabel 'detour: time above the shortest quantum of the core, us'\n"
            "set ylabel 'fraction at least as long'\n"
            "plot 'fwq-native-ccdf.dat' using 1:2 with steps lw 2 lc rgb '#c0392b' title 'native', "
            "\\\n"
            "     'fwq-isle-ccdf.dat' using 1:2 with steps lw 2 lc rgb '#1f5fa8' title 'isle'\n"
            "unset logscale x\n"
            "set xlabel 'time in the loop, s (last pair of runs)'\n"
            "set ylabel 'detour, us'\n"
            "set yrange [%g:%g]\n"
            "plot 'fwq-native-series.dat' using 1:2 with points pt 7 ps 0.3 lc rgb '#c0392b' "
            "title 'native'\n"
            "plot 'fwq-isle-series.dat' using 1:2 with points pt 7 ps 0.3 lc rgb '#1f5fa8' "
            "title 'isle'\n"
            "unset multiplot\n",
            title, SHORTEST_US, scale_top(p));
    return plot_finish(f, path);
}

/* Exit code of gnuplot, or -1 when it could not be executed. */
static int run_gnuplot(const char *dir, const char *argument)
{
    int status;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(dir) == 0)
            execlp("gnuplot", "gnuplot", argument, (char *)NULL);
        _exit(127);
    }
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int plot_check_gnuplot(void)
{
    if (program_on_path("gnuplot"))
        return 0;
    complain("the plot is drawn by gnuplot, which is not installed (Debian: gnuplot-nox); "
             "--no-plot does without");
    return -1;
}

int plot_run_gnuplot(const char *dir, const char *file)
{
    int rc = run_gnuplot(dir, file);
    if (rc)
        complain("gnuplot failed on %s/%s (exit code %d)", dir, file, rc);
    return rc ? -1 : 0;
}

int plot_draw(const struct plot *p)
{
    return plot_run_gnuplot(p->dir, "fwq.gp");
}

void plot_free(struct plot *p)
{
    free(p->detour[NATIVE]);
    free(p->detour[ISLE]);
}
