/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "merge/merge.h"

/* Two panels: counts, and times. */
static const enum figure counts[] = {FIG_EXITS, FIG_INTERRUPTS, FIG_INVOLUNTARY, FIG_FAULTS};
static const enum figure times[] = {FIG_READY, FIG_STEAL, FIG_OUTSIDE, FIG_WAITED};
#define PANEL 4

static const char *terminal(const char *file)
{
    const char *dot = strrchr(file, '.');
    if (dot && strcmp(dot, ".png") == 0)
        return "pngcairo size 1200,900 font 'sans,11'";
    if (dot && strcmp(dot, ".svg") == 0)
        return "svg size 1200,900 font 'sans,14'";
    return NULL;
}

/* In single quotes: only these need care. */
static void put_quoted(FILE *f, const char *text)
{
    fputc('\'', f);
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', f);
        fputc((unsigned char)*text < ' ' ? '?' : *text, f);
    }
    fputc('\'', f);
}

static void put_panel(FILE *f, const struct job *job, const enum figure *figure, const char *label)
{
    fprintf(f, "$d << EOD\n");
    for (size_t k = 0; k < job->n; k++) {
        fprintf(f, "%d", job->rank[k].rank);
        for (int i = 0; i < PANEL; i++)
            fprintf(f, " %.6f", job->rank[k].figure[figure[i]]);
        fputc('\n', f);
    }
    fprintf(f, "EOD\nset ylabel '%s'\nplot", label);
    for (int i = 0; i < PANEL; i++)
        fprintf(f, "%s $d using %d:xtic(int($0) %% %zu ? '' : strcol(1)) title '%s'", i ? "," : "",
                i + 2, job->n / 32 + 1, figure_title[figure[i]]);
    fputc('\n', f);
}

int job_plot(const struct job *job, const char *file)
{
    const char *how = terminal(file);
    char title[300];
    if (!how) {
        complain("%s: a plot's name ends in .png or .svg", file);
        return -1;
    }
    snprintf(title, sizeof title, "%zu ranks of %s, %s", job->n, job->rank[0].program,
             job->marked ? "marked sections" : "whole runs");
    signal(SIGPIPE, SIG_IGN);
    FILE *f = popen("gnuplot", "w");
    if (!f) {
        complain("cannot run gnuplot: %s", strerror(errno));
        return -1;
    }
    fprintf(f, "set terminal %s\nset output ", how);
    put_quoted(f, file);
    fprintf(f, "\nset multiplot layout 2,1 title ");
    put_quoted(f, title);
    fprintf(f, " noenhanced\nset style data histograms\nset style histogram clustered gap 1\n"
               "set style fill solid 0.8 noborder\nset grid y\nset xlabel 'rank'\n"
               "set yrange [0:*]\nset key top left\n");
    put_panel(f, job, counts, "events");
    put_panel(f, job, times, "milliseconds");
    fprintf(f, "unset multiplot\nset output\n");
    int status = pclose(f);
    if (status == 0)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        complain("the plot is drawn by gnuplot, which is not installed (Debian: gnuplot-nox); "
                 "--no-plot does without");
    else
        complain("%s: gnuplot could not draw it", file);
    return -1;
}
