/* SPDX-License-Identifier: MIT */
#include "driver/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"

int table_init(struct table *t, unsigned pairs, const char *title)
{
    *t = (struct table){.pairs = pairs};
    snprintf(t->title, sizeof t->title, "%s", title);
    return 0;
}

static void row_free(struct row *r)
{
    free(r->name);
    free(r->unit);
    for (int s = 0; s < SIDES; s++) {
        free(r->value[s]);
        free(r->p99[s]);
    }
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        row_free(&t->row[i]);
    free(t->row);
    for (int s = 0; s < SIDES; s++)
        free(t->note[s]);
    *t = (struct table){.n = 0};
}

static double *unset(unsigned n)
{
    double *v = malloc(n * sizeof *v);
    for (unsigned i = 0; v && i < n; i++)
        v[i] = NAN;
    return v;
}

static struct row *find_or_add(struct table *t, const char *name, const char *unit)
{
    for (size_t i = 0; i < t->n; i++)
        if (strcmp(t->row[i].name, name) == 0)
            return &t->row[i];
    struct row *rows = realloc(t->row, (t->n + 1) * sizeof *rows);
    if (!rows)
        return NULL;
    t->row = rows;
    struct row r = {.name = strdup(name), .unit = strdup(unit)};
    bool ok = r.name && r.unit;
    for (int s = 0; s < SIDES; s++) {
        r.value[s] = unset(t->pairs);
        r.p99[s] = unset(t->pairs);
        ok = ok && r.value[s] && r.p99[s];
    }
    if (!ok) {
        row_free(&r);
        return NULL;
    }
    t->row[t->n] = r;
    return &t->row[t->n++];
}

int table_set(struct table *t, enum side side, unsigned pair, const char *name, const char *unit,
              double value, double p99)
{
    struct row *r = find_or_add(t, name, unit);
    if (!r) {
        complain("out of memory");
        return -1;
    }
    r->value[side][pair] = value;
    r->p99[side][pair] = p99;
    return 0;
}

static int read_metric(struct table *t, enum side side, unsigned pair, json_t *m)
{
    const char *name, *unit;
    double n, median, p99;
    if (json_unpack(m, "{s:s, s:s, s:F, s:F, s:F}", "name", &name, "unit", &unit, "n", &n, "median",
                    &median, "p99", &p99))
        return -1;
    return table_set(t, side, pair, name, unit, median, n > 1 ? p99 : NAN);
}

int table_read(struct table *t, enum side side, unsigned pair, const char *path)
{
    json_error_t e;
    const char *schema = NULL, *note = NULL;
    json_t *metrics = NULL, *m;
    size_t i;
    int rc = -1;
    json_t *root = json_load_file(path, 0, &e);
    if (!root) {
        complain("%s: %s", path, e.text);
        return -1;
    }
    if (json_unpack(root, "{s:s, s:s, s:o}", "schema", &schema, "note", &note, "metrics",
                    &metrics) ||
        strcmp(schema, "lull-metrics-1") != 0 || json_array_size(metrics) == 0)
        goto bad;
    json_array_foreach(metrics, i, m)
    {
        if (read_metric(t, side, pair, m))
            goto bad;
    }
    if (*note) {
        free(t->note[side]);
        t->note[side] = strdup(note);
    }
    rc = 0;
    goto out;
bad:
    complain("%s: not what the benchmark programs write", path);
out:
    json_decref(root);
    return rc;
}

int table_check(const struct table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        for (int s = 0; s < SIDES; s++) {
            for (unsigned p = 0; p < t->pairs; p++) {
                if (isfinite(t->row[i].value[s][p]))
                    continue;
                complain("%s: \"%s\" is missing from the %s run of pair %u", t->title,
                         t->row[i].name, side_name[s], p + 1);
                return -1;
            }
        }
    }
    if (t->n == 0)
        complain("%s: nothing was measured", t->title);
    return t->n ? 0 : -1;
}

/* Over the pairs; NAN when there is nothing, or no memory for it. */
static double median_of(const double *v, unsigned n)
{
    double *copy = malloc(n * sizeof *copy);
    if (!copy)
        return NAN;
    memcpy(copy, v, n * sizeof *copy);
    for (unsigned i = 0; i < n; i++) {
        if (isnan(v[i])) {
            free(copy);
            return NAN;
        }
    }
    double m = stats_median(copy, n);
    free(copy);
    return m;
}

double table_median(const struct table *t, const struct row *r, enum side side)
{
    return median_of(r->value[side], t->pairs);
}

double table_ratio(const struct table *t, const struct row *r)
{
    double *scratch = malloc(t->pairs * sizeof *scratch);
    if (!scratch)
        return NAN;
    double ratio = stats_pair_ratio(r->value[NATIVE], r->value[ISLE], t->pairs, scratch);
    free(scratch);
    return ratio;
}

static void print_number(FILE *f, double v, int width)
{
    char text[32] = "-";
    if (isfinite(v))
        snprintf(text, sizeof text, fabs(v) >= 1000 ? "%.0f" : "%.4g", v);
    fprintf(f, " %*s", width, text);
}

void table_print(FILE *f, const struct table *t)
{
    fprintf(f, "\n%s\nmedians of %u pair%s of runs; ratio: isle to native, median of the pairs'\n",
            t->title, t->pairs, t->pairs == 1 ? "" : "s");
    for (int s = 0; s < SIDES; s++)
        if (t->note[s] && (s == NATIVE || !t->note[NATIVE] || strcmp(t->note[0], t->note[1])))
            fprintf(f, "%s: %s\n", side_name[s], t->note[s]);
    fprintf(f, "%-26s %-8s %10s %10s %8s %12s %12s\n", "metric", "unit", "native", "isle", "ratio",
            "native p99", "isle p99");
    for (size_t i = 0; i < t->n; i++) {
        const struct row *r = &t->row[i];
        fprintf(f, "%-26s %-8s", r->name, r->unit);
        print_number(f, median_of(r->value[NATIVE], t->pairs), 10);
        print_number(f, median_of(r->value[ISLE], t->pairs), 10);
        double ratio = table_ratio(t, r);
        if (isfinite(ratio))
            fprintf(f, " %8.3f", ratio);
        else
            fprintf(f, " %8s", "-");
        print_number(f, median_of(r->p99[NATIVE], t->pairs), 12);
        print_number(f, median_of(r->p99[ISLE], t->pairs), 12);
        fputc('\n', f);
    }
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *numbers(const double *v, unsigned n)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < n; i++)
        json_array_append_new(a, number(v[i]));
    return a;
}

json_t *table_json(const struct table *t)
{
    json_t *metrics = json_array();
    for (size_t i = 0; i < t->n; i++) {
        const struct row *r = &t->row[i];
        json_t *m = json_pack("{s:s, s:s, s:o}", "name", r->name, "unit", r->unit, "ratio",
                              number(table_ratio(t, r)));
        for (int s = 0; s < SIDES; s++)
            json_object_set_new(m, side_name[s],
                                json_pack("{s:o, s:o, s:o}", "median",
                                          number(median_of(r->value[s], t->pairs)), "p99",
                                          number(median_of(r->p99[s], t->pairs)), "by_pair",
                                          numbers(r->value[s], t->pairs)));
        json_array_append_new(metrics, m);
    }
    return json_pack("{s:s, s:i, s:s?, s:s?, s:o}", "title", t->title, "pairs", (int)t->pairs,
                     "native_note", t->note[NATIVE], "isle_note", t->note[ISLE], "metrics",
                     metrics);
}
