/* SPDX-License-Identifier: MIT */
/* lull-report: what the ranks of a job reported (docs/report.md), side by side. */
#ifndef PROXY_MERGE_MERGE_H
#define PROXY_MERGE_MERGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Of one rank; sums over its cores, but for the longest ones. Times in milliseconds. */
enum figure {
    FIG_SECONDS,
    FIG_CORES,
    FIG_EXITS,
    FIG_MACHINE,    /* exits that the machine dealt with because of the host's interrupts */
    FIG_INTERRUPTS, /* of Linux's on these CPUs */
    FIG_INVOLUNTARY,
    FIG_FAULTS, /* of the vCPU threads, and of the isle */
    FIG_READY,  /* ready, and not running */
    FIG_STEAL,
    FIG_OUTSIDE, /* in the proxy */
    FIG_LONGEST, /* there, at once */
    FIG_WAITED,  /* callers, for Linux; always of the whole run */
    FIGURES
};
extern const char *const figure_title[FIGURES];

struct rank {
    const char *file;
    json_t *root; /* the whole report */
    int rank, status;
    const char *host, *program;
    json_t *section; /* run or marked */
    double figure[FIGURES];
};

struct job {
    size_t n;
    struct rank *rank; /* by rank */
    bool marked;       /* every one has a marked section: these are compared */
};

/* One line on stderr. */
__attribute__((format(printf, 1, 2))) void complain(const char *fmt, ...);

/* Takes the report in, or says in one line why not. The name is kept. False: it was not. */
bool job_add(struct job *job, const char *file);
/* When all are there: order and figures. False after a line: a report is not as it should be; it is
   taken out, and everything is to be done again. */
bool job_finish(struct job *job, bool whole_run);
void job_free(struct job *job);

void job_print(FILE *f, const struct job *job);
/* By gnuplot, PNG or SVG as the name says. 0, or -1 after a line. */
int job_plot(const struct job *job, const char *file);

#endif
