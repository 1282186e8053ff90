/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "merge/merge.h"

#define SCHEMA "lull-report-2"

const char *const figure_title[FIGURES] = {
    [FIG_SECONDS] = "seconds",   [FIG_CORES] = "cores",     [FIG_EXITS] = "exits",
    [FIG_MACHINE] = "irq exits", [FIG_INTERRUPTS] = "irqs", [FIG_INVOLUNTARY] = "preempted",
    [FIG_FAULTS] = "faults",     [FIG_READY] = "ready ms",  [FIG_STEAL] = "steal ms",
    [FIG_OUTSIDE] = "proxy ms",  [FIG_LONGEST] = "longest", [FIG_WAITED] = "waited ms",
};

/* A step of a path: "a.b.c". NULL when it is not there. */
static json_t *at(json_t *j, const char *path)
{
    char word[64];
    while (j && *path) {
        size_t n = strcspn(path, ".");
        snprintf(word, sizeof word, "%.*s", (int)n, path);
        j = json_object_get(j, word);
        path += n + (path[n] == '.');
    }
    return j;
}

/* What should be there and is not is remembered, the first one only. */
static double number(json_t *j, const char *path, const char **missing)
{
    json_t *v = at(j, path);
    if (!json_is_number(v) && !*missing)
        *missing = path;
    return json_is_number(v) ? json_number_value(v) : 0;
}

static double sum_of(json_t *j, const char *path, const char **missing)
{
    const char *key;
    json_t *v, *o = at(j, path);
    double sum = 0;
    if (!json_is_object(o) && !*missing)
        *missing = path;
    json_object_foreach(o, key, v) sum += json_number_value(v);
    return sum;
}

static void add_core(double *f, json_t *core, const char **missing)
{
    f[FIG_EXITS] += number(core, "exits.total", missing);
    f[FIG_MACHINE] += json_number_value(at(core, "machine.irq_exits")); /* not every KVM has it */
    f[FIG_INTERRUPTS] += sum_of(core, "host_interrupts", missing);
    f[FIG_INVOLUNTARY] += number(core, "thread.nivcsw", missing);
    f[FIG_FAULTS] += number(core, "thread.minflt", missing) +
                     number(core, "thread.majflt", missing) +
                     number(core, "kernel.pagefault", missing);
    f[FIG_READY] += number(core, "thread.wait_ns", missing) / 1e6;
    f[FIG_STEAL] += number(core, "cpu_time_us.steal", missing) / 1e3;
    f[FIG_OUTSIDE] += number(core, "outside.total_us", missing) / 1e3;
    f[FIG_LONGEST] = fmax(f[FIG_LONGEST], number(core, "outside.longest_us", missing) / 1e3);
}

/* NULL, or the first thing that is missing. */
static const char *read_figures(struct rank *r)
{
    const char *missing = NULL, *name;
    json_t *cores = json_object_get(r->section, "cores"), *core, *wait;
    json_t *waits = at(r->root, "system_calls.waits");
    double *f = r->figure;
    size_t i;
    memset(f, 0, sizeof r->figure);
    f[FIG_SECONDS] = number(r->section, "seconds", &missing);
    f[FIG_CORES] = (double)json_array_size(cores);
    if (json_array_size(cores) == 0)
        return "cores";
    json_array_foreach(cores, i, core) add_core(f, core, &missing);
    if (!json_is_object(waits))
        return "system_calls.waits";
    json_object_foreach(waits, name, wait) f[FIG_WAITED] +=
        number(wait, "total_us", &missing) / 1e3;
    return missing;
}

bool job_add(struct job *job, const char *file)
{
    json_error_t e;
    struct rank r = {.file = file, .root = json_load_file(file, JSON_REJECT_DUPLICATES, &e)};
    if (!r.root) {
        if (e.line > 0)
            complain("%s: left out: no whole JSON document: line %d: %s", file, e.line, e.text);
        else
            complain("%s: left out: %s", file, e.text);
        return false;
    }
    const char *schema = json_string_value(json_object_get(r.root, "schema"));
    if (!schema || strcmp(schema, SCHEMA) != 0) {
        complain("%s: left out: its schema is %.40s, this lull-report reads " SCHEMA, file,
                 schema ? schema : "not given");
        goto out;
    }
    r.rank = (int)json_integer_value(json_object_get(r.root, "rank"));
    r.status = (int)json_integer_value(json_object_get(r.root, "status"));
    r.host = json_string_value(json_object_get(r.root, "host"));
    r.program = json_string_value(json_object_get(r.root, "program"));
    if (!r.host || !r.program || !json_is_object(json_object_get(r.root, "run"))) {
        complain("%s: left out: it has no %s", file,
                 !r.host      ? "host"
                 : !r.program ? "program"
                              : "run");
        goto out;
    }
    struct rank *more = realloc(job->rank, (job->n + 1) * sizeof *more);
    if (!more) {
        complain("%s: left out: out of memory", file);
        goto out;
    }
    job->rank = more;
    job->rank[job->n++] = r;
    return true;
out:
    json_decref(r.root);
    return false;
}

static int by_rank(const void *a, const void *b)
{
    const struct rank *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return strcmp(x->file, y->file);
}

bool job_finish(struct job *job, bool whole_run)
{
    job->marked = !whole_run;
    for (size_t i = 0; i < job->n; i++)
        job->marked = job->marked && json_is_object(json_object_get(job->rank[i].root, "marked"));
    for (size_t i = 0; i < job->n; i++) {
        struct rank *r = &job->rank[i];
        r->section = json_object_get(r->root, job->marked ? "marked" : "run");
        const char *missing = read_figures(r);
        if (!missing)
            continue;
        complain("%s: left out: it has no %s", r->file, missing);
        json_decref(r->root);
        memmove(r, r + 1, (job->n - i - 1) * sizeof *r);
        job->n--;
        return false;
    }
    if (job->n > 1)
        qsort(job->rank, job->n, sizeof *job->rank, by_rank);
    return true;
}

void job_free(struct job *job)
{
    for (size_t i = 0; i < job->n; i++)
        json_decref(job->rank[i].root);
    free(job->rank);
    *job = (struct job){0};
}
