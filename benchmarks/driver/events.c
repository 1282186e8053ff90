/* SPDX-License-Identifier: MIT */
#include "driver/events.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* sum[kind][cause][core] += v */
static int add(json_t *sum, const char *kind, const char *cause, size_t core, size_t ncores,
               double v)
{
    json_t *causes = json_object_get(sum, kind);
    if (!causes) {
        causes = json_object();
        if (json_object_set_new(sum, kind, causes))
            return -1;
    }
    json_t *counts = json_object_get(causes, cause);
    if (!counts) {
        counts = json_array();
        if (json_object_set_new(causes, cause, counts))
            return -1;
        for (size_t i = 0; i < ncores; i++)
            if (json_array_append_new(counts, json_integer(0)))
                return -1;
    }
    json_int_t old = json_integer_value(json_array_get(counts, core));
    return json_array_set_new(counts, core, json_integer(old + (json_int_t)v));
}

/* Column of each CPU from "           CPU0       CPU1", -1 where it has none. */
static void find_columns(const char *line, const struct cpus *cpus, int *column)
{
    for (unsigned i = 0; i < cpus->n; i++)
        column[i] = -1;
    int at = 0;
    for (const char *p = strstr(line, "CPU"); p; p = strstr(p + 3, "CPU"), at++) {
        long cpu = strtol(p + 3, NULL, 10);
        for (unsigned i = 0; i < cpus->n; i++)
            if (cpus_get(cpus, i) == cpu)
                column[i] = at;
    }
}

/* "LOC:  1  2   Local timer interrupts": label, counts by column, rest. False: another kind of line
 */
static bool split_row(char *line, const char **label, double *count, int ncolumns,
                      const char **rest)
{
    char *colon = strchr(line, ':');
    if (!colon)
        return false;
    *colon = 0;
    *label = line + strspn(line, " ");
    char *p = colon + 1;
    for (int c = 0; c < ncolumns; c++) {
        char *end;
        count[c] = (double)strtoull(p, &end, 10);
        if (end == p)
            return false; /* ERR and MIS have one number, of no CPU */
        p = end;
    }
    p += strspn(p, " ");
    p[strcspn(p, "\n")] = 0;
    *rest = p;
    return true;
}

/* "LOC Local timer interrupts", "36 virtio1-req.0": of a device's line, the last word is its name.
 */
static void name_row(char *name, size_t size, const char *label, const char *rest)
{
    const char *last = strrchr(rest, ' ');
    if (isdigit((unsigned char)*label) && last)
        rest = last + 1;
    snprintf(name, size, "%s %s", label, rest);
}

json_t *events_read_interrupts_from(const char *path, const struct cpus *cpus)
{
    char *line = NULL;
    size_t size = 0;
    int ncolumns = 0, *column = calloc(cpus->n, sizeof *column);
    double *count = NULL;
    json_t *events = json_object();
    FILE *f = fopen(path, "r");
    if (!f || !column || !events || getline(&line, &size, f) < 0)
        goto fail;
    find_columns(line, cpus, column);
    for (const char *p = strstr(line, "CPU"); p; p = strstr(p + 3, "CPU"))
        ncolumns++;
    count = calloc((size_t)ncolumns + 1, sizeof *count);
    if (!count)
        goto fail;
    while (getline(&line, &size, f) > 0) {
        const char *label, *rest;
        char name[128];
        if (!split_row(line, &label, count, ncolumns, &rest))
            continue;
        name_row(name, sizeof name, label, rest);
        for (unsigned i = 0; i < cpus->n; i++)
            if (column[i] >= 0 && add(events, "interrupts", name, i, cpus->n, count[column[i]]))
                goto fail;
    }
    goto out;
fail:
    complain("cannot read %s: %s", path, strerror(errno));
    json_decref(events);
    events = NULL;
out:
    free(line);
    free(column);
    free(count);
    if (f)
        fclose(f);
    return events;
}

json_t *events_read_interrupts(const struct cpus *cpus)
{
    return events_read_interrupts_from("/proc/interrupts", cpus);
}

int events_add_difference(json_t *sum, const json_t *before, const json_t *after)
{
    const char *kind, *cause;
    json_t *causes, *counts, *n;
    size_t core;
    json_object_foreach((json_t *)after, kind, causes)
    {
        json_object_foreach(causes, cause, counts)
        {
            json_t *old = json_object_get(json_object_get(before, kind), cause);
            json_array_foreach(counts, core, n)
            {
                double d = json_number_value(n) - json_number_value(json_array_get(old, core));
                if (add(sum, kind, cause, core, json_array_size(counts), d)) {
                    complain("out of memory");
                    return -1;
                }
            }
        }
    }
    return 0;
}

/* Index of the report's core in cpus, or -1. */
static int core_index(const json_t *core, const struct cpus *cpus)
{
    json_t *cpu = json_object_get(core, "cpu");
    for (unsigned i = 0; json_is_integer(cpu) && i < cpus->n; i++)
        if (cpus_get(cpus, i) == json_integer_value(cpu))
            return (int)i;
    return -1;
}

static int add_kind(json_t *sum, const char *kind, const json_t *counts, int core,
                    const struct cpus *cpus)
{
    const char *cause;
    json_t *n;
    if (!json_is_object(counts))
        return -1;
    json_object_foreach((json_t *)counts, cause, n)
    {
        if (strcmp(cause, "total") == 0)
            continue;
        if (!json_is_integer(n) ||
            add(sum, kind, cause, (size_t)core, cpus->n, json_number_value(n)))
            return -1;
    }
    return 0;
}

int events_add_report(json_t *sum, double *seconds, const char *path, const struct cpus *cpus,
                      unsigned expected)
{
    json_error_t e;
    size_t i;
    json_t *core, *root = json_load_file(path, 0, &e);
    int rc = -1;
    if (!root) {
        complain("%s: lull's report: %s", path, e.text);
        return -1;
    }
    const char *schema = json_string_value(json_object_get(root, "schema"));
    json_t *marked = json_object_get(root, "marked");
    json_t *cores = json_object_get(marked, "cores");
    if (!schema || strcmp(schema, "lull-report-2") != 0) {
        complain("%s: not a report of schema lull-report-2", path);
        goto out;
    }
    if (!json_is_object(marked) || !json_is_number(json_object_get(marked, "seconds"))) {
        complain("%s: lull's report has no marked section", path);
        goto out;
    }
    if (json_array_size(cores) != expected) {
        complain("%s: lull's report is about %zu cores, not %u", path, json_array_size(cores),
                 expected);
        goto out;
    }
    json_array_foreach(cores, i, core)
    {
        int at = core_index(core, cpus);
        if (at < 0 || add_kind(sum, "exits", json_object_get(core, "exits"), at, cpus) ||
            add_kind(sum, "kernel", json_object_get(core, "kernel"), at, cpus) ||
            (json_object_get(core, "machine") &&
             add_kind(sum, "machine", json_object_get(core, "machine"), at, cpus)) ||
            add_kind(sum, "thread", json_object_get(core, "thread"), at, cpus) ||
            add_kind(sum, "interrupts", json_object_get(core, "host_interrupts"), at, cpus)) {
            complain("%s: core %zu of lull's report cannot be read", path, i);
            goto out;
        }
    }
    *seconds += json_number_value(json_object_get(marked, "seconds"));
    rc = 0;
out:
    json_decref(root);
    return rc;
}

double events_total(const json_t *events, const char *kind, const char *without)
{
    const char *cause;
    json_t *counts, *n;
    size_t core;
    double total = 0;
    json_object_foreach(json_object_get(events, kind), cause, counts)
    {
        if (without && strcmp(cause, without) == 0)
            continue;
        json_array_foreach(counts, core, n)
        {
            total += json_number_value(n);
        }
    }
    return total;
}

double events_count(const json_t *events, const char *kind, const char *cause)
{
    json_t *n;
    size_t core;
    double total = 0;
    json_array_foreach(json_object_get(json_object_get(events, kind), cause), core, n)
    {
        total += json_number_value(n);
    }
    return total;
}

/* More cores than this: their sum and the largest. */
#define COLUMNS_MAX 6

static void print_row(FILE *f, const char *kind, const char *cause, const json_t *counts)
{
    char label[64];
    double sum = 0, max = 0;
    json_t *n;
    size_t core;
    json_array_foreach((json_t *)counts, core, n)
    {
        double v = json_number_value(n);
        sum += v;
        max = v > max ? v : max;
    }
    if (sum == 0)
        return;
    snprintf(label, sizeof label, "%s: %s", kind, cause);
    fprintf(f, "  %-46.46s", label);
    if (json_array_size(counts) > COLUMNS_MAX) {
        fprintf(f, " %10.0f %10.0f\n", sum, max);
        return;
    }
    json_array_foreach((json_t *)counts, core, n)
    {
        fprintf(f, " %10.0f", json_number_value(n));
    }
    fputc('\n', f);
}

void events_print(FILE *f, const json_t *events, const struct cpus *cpus)
{
    static const char *const kinds[][2] = {{"exits", "exit"},
                                           {"machine", "KVM"},
                                           {"kernel", "kernel"},
                                           {"thread", "Linux thread"},
                                           {"interrupts", "Linux irq"}};
    const char *cause;
    json_t *counts;
    fprintf(f, "  %-46s", "events by CPU; causes with none are left out");
    if (cpus->n > COLUMNS_MAX)
        fprintf(f, " %10s %10s", "all", "largest");
    else
        for (unsigned i = 0; i < cpus->n; i++)
            fprintf(f, " %10d", cpus_get(cpus, i));
    fputc('\n', f);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        json_object_foreach(json_object_get(events, kinds[k][0]), cause, counts)
            print_row(f, kinds[k][1], cause, counts);
}
