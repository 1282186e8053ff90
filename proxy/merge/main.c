/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "merge/merge.h"

static const char usage[] =
    "usage: lull-report [options] FILE...\n"
    "Merges what the ranks of a job reported, lull --report=report-%r.json, and plots it.\n"
    "\n"
    "  --plot FILE    .png or .svg (lull-report.png)\n"
    "  --no-plot      the table alone\n"
    "  --whole-run    not the marked sections, where every report has one\n"
    "  --help\n"
    "\n"
    "Times are milliseconds, sums over a rank's cores; \"longest\" is the longest time that a core "
    "was\n"
    "in the proxy at once. A file that cannot be read is named and left out.\n"
    "Exit code: 0, 1 when a file was left out or the plot failed, 2 for wrong usage.\n";

void complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fputs("lull-report: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

struct arguments {
    const char *plot; /* NULL: none */
    bool whole_run;
};

/* 0, 1 (done), 2 (wrong usage) */
static int parse(int argc, char **argv, struct arguments *a)
{
    static const struct option longs[] = {{"plot", required_argument, NULL, 'p'},
                                          {"no-plot", no_argument, NULL, 'n'},
                                          {"whole-run", no_argument, NULL, 'w'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    *a = (struct arguments){.plot = "lull-report.png"};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        switch (c) {
        case 'p':
            a->plot = optarg;
            break;
        case 'n':
            a->plot = NULL;
            break;
        case 'w':
            a->whole_run = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            return 2; /* getopt_long said why */
        }
    }
    if (optind < argc)
        return 0;
    complain("which reports? lull-report --help tells more");
    return 2;
}

int main(int argc, char **argv)
{
    struct arguments a;
    struct job job = {0};
    int rc = parse(argc, argv, &a);
    if (rc)
        return rc == 1 ? 0 : rc;
    for (int i = optind; i < argc; i++)
        if (!job_add(&job, argv[i]))
            rc = 1;
    while (!job_finish(&job, a.whole_run))
        rc = 1;
    if (job.n == 0) {
        complain("no report is left");
        return 1;
    }
    job_print(stdout, &job);
    if (a.plot && job_plot(&job, a.plot) != 0)
        rc = 1;
    else if (a.plot)
        printf("\nPlot: %s\n", a.plot);
    job_free(&job);
    if (fflush(stdout) != 0) {
        complain("cannot write to standard output");
        rc = 1;
    }
    return rc;
}
