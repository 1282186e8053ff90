/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "merge/merge.h"

#define ROWS_MAX 15

/* A cause or a call, over all ranks. */
struct row {
    const char *name;            /* of the first report that has it */
    double sum, most;            /* most: of a rank */
    int rank;                    /* that one */
    double median, p99, longest; /* calls: the largest of a rank */
};

struct rows {
    size_t n;
    struct row *row;
};

/* NULL: out of memory. */
static struct row *row_of(struct rows *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->row[i].name, name) == 0)
            return &s->row[i];
    struct row *more = realloc(s->row, (s->n + 1) * sizeof *more);
    if (!more)
        return NULL;
    s->row = more;
    s->row[s->n] = (struct row){.name = name};
    return &s->row[s->n++];
}

static int more_first(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->sum != y->sum)
        return x->sum < y->sum ? 1 : -1;
    return strcmp(x->name, y->name);
}

static double larger(double a, double b)
{
    return a > b ? a : b;
}

static void add(struct rows *s, const char *name, double v, int rank, json_t *wait)
{
    struct row *row = row_of(s, name);
    if (!row)
        return;
    row->sum += v;
    if (v > row->most) {
        row->most = v;
        row->rank = rank;
    }
    row->median = larger(row->median, json_number_value(json_object_get(wait, "median_us")));
    row->p99 = larger(row->p99, json_number_value(json_object_get(wait, "p99_us")));
    row->longest = larger(row->longest, json_number_value(json_object_get(wait, "longest_us")));
}

/* Of every core of every rank, an object of counts. */
static void collect(struct rows *s, const struct job *job, const char *kind)
{
    for (size_t i = 0; i < job->n; i++) {
        struct rows own = {0};
        json_t *cores = json_object_get(job->rank[i].section, "cores"), *core, *v;
        const char *name;
        size_t c;
        json_array_foreach(cores, c, core) json_object_foreach(json_object_get(core, kind), name, v)
        {
            if (strcmp(name, "total") != 0 && json_number_value(v) > 0)
                add(&own, name, json_number_value(v), 0, NULL);
        }
        for (size_t k = 0; k < own.n; k++)
            add(s, own.row[k].name, own.row[k].sum, job->rank[i].rank, NULL);
        free(own.row);
    }
    if (s->n)
        qsort(s->row, s->n, sizeof *s->row, more_first);
}

static void print_causes(FILE *f, const struct job *job, const char *kind, const char *title)
{
    struct rows s = {0};
    collect(&s, job, kind);
    if (s.n)
        fprintf(f, "\n%-40s %14s %14s %6s\n", title, "all ranks", "most", "rank");
    for (size_t i = 0; i < s.n && i < ROWS_MAX; i++)
        fprintf(f, "  %-38.38s %14.0f %14.0f %6d\n", s.row[i].name, s.row[i].sum, s.row[i].most,
                s.row[i].rank);
    if (s.n > ROWS_MAX)
        fprintf(f, "  and %zu more\n", s.n - ROWS_MAX);
    free(s.row);
}

static void print_calls(FILE *f, const struct job *job)
{
    struct rows s = {0};
    for (size_t i = 0; i < job->n; i++) {
        json_t *calls = json_object_get(job->rank[i].root, "system_calls"), *wait;
        const char *name;
        json_object_foreach(json_object_get(calls, "waits"), name, wait)
            add(&s, name, json_number_value(json_object_get(wait, "total_us")) / 1e3,
                job->rank[i].rank, wait);
    }
    if (s.n) {
        qsort(s.row, s.n, sizeof *s.row, more_first);
        fprintf(f, "\n%-24s %12s %12s %6s %11s %11s %11s\n", "waited for Linux, whole run, ms",
                "all ranks", "most", "rank", "median us", "p99 us", "longest us");
    }
    for (size_t i = 0; i < s.n && i < ROWS_MAX; i++) {
        const struct row *r = &s.row[i];
        fprintf(f, "  %-22.22s %12.3f %12.3f %6d %11.1f %11.1f %11.1f\n", r->name, r->sum, r->most,
                r->rank, r->median, r->p99, r->longest);
    }
    if (s.n)
        fprintf(f, "  (median, p99 and longest: the largest of a rank)\n");
    free(s.row);
}

static void print_figures(FILE *f, const double *v)
{
    for (int i = 0; i < FIGURES; i++) {
        bool whole = v[i] == (double)(long)v[i];
        fprintf(f, whole ? " %9.0f" : " %9.3f", v[i]);
    }
    fputc('\n', f);
}

static void print_ranks(FILE *f, const struct job *job)
{
    double least[FIGURES] = {0}, most[FIGURES] = {0}, sum[FIGURES] = {0};
    fprintf(f, "%6s %-12s %6s", "rank", "host", "status");
    for (int i = 0; i < FIGURES; i++)
        fprintf(f, " %9s", figure_title[i]);
    fputc('\n', f);
    for (size_t k = 0; k < job->n; k++) {
        const struct rank *r = &job->rank[k];
        fprintf(f, "%6d %-12.12s %6d", r->rank, r->host, r->status);
        print_figures(f, r->figure);
        for (int i = 0; i < FIGURES; i++) {
            double v = r->figure[i];
            least[i] = k == 0 || v < least[i] ? v : least[i];
            most[i] = k == 0 || v > most[i] ? v : most[i];
            sum[i] += v;
        }
    }
    fprintf(f, "%-26s", "least");
    print_figures(f, least);
    fprintf(f, "%-26s", "most");
    print_figures(f, most);
    sum[FIG_SECONDS] = most[FIG_SECONDS];
    sum[FIG_LONGEST] = most[FIG_LONGEST];
    fprintf(f, "%-26s", "all");
    print_figures(f, sum);
}

void job_print(FILE *f, const struct job *job)
{
    const char *program = job->rank[0].program;
    bool same = true;
    for (size_t i = 1; i < job->n; i++)
        same = same && strcmp(job->rank[i].program, program) == 0;
    fprintf(f, "%zu rank%s of %s%s, %s\n\n", job->n, job->n == 1 ? "" : "s", program,
            same ? "" : " and others", job->marked ? "marked sections" : "whole runs");
    print_ranks(f, job);
    print_causes(f, job, "exits", "exits to the proxy");
    print_causes(f, job, "host_interrupts", "Linux's interrupts on these CPUs");
    print_calls(f, job);
}
