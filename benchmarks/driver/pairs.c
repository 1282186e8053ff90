/* SPDX-License-Identifier: MIT */
#include "driver/pairs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/events.h"

void pairs_path(const struct pairs *p, enum side side, int pair, const char *suffix, char *buf,
                size_t size)
{
    char number[16] = "";
    if (pair != WARM_UP)
        snprintf(number, sizeof number, "-%d", pair + 1);
    snprintf(buf, size, "%s/%s-%s%s%s", p->o->dir, p->name, side_name[side], number, suffix);
}

struct files {
    char json[PATH_MAX], out[PATH_MAX], report[PATH_MAX];
};

/* The report's file of a rank: lull puts its number in the place of %r. */
static void report_of(const struct files *f, unsigned rank, char *path, size_t size)
{
    const char *r = strstr(f->report, "%r");
    if (r)
        snprintf(path, size, "%.*s%u%s", (int)(r - f->report), f->report, rank, r + 2);
    else
        snprintf(path, size, "%s", f->report);
}

/* The program's arguments with this run's files; what an earlier run left there is removed. */
static char **run_argv(const struct pairs *p, enum side side, int pair, struct files *f)
{
    char path[PATH_MAX];
    size_t n = 0;
    while (p->argv[n])
        n++;
    char **v = calloc(n + 5, sizeof *v);
    if (!v)
        return NULL;
    pairs_path(p, side, WARM_UP, ".metrics.json", f->json, sizeof f->json);
    pairs_path(p, side, pair, ".dat", f->out, sizeof f->out);
    pairs_path(p, side, WARM_UP, p->ranks ? ".report-%r.json" : ".report.json", f->report,
               sizeof f->report);
    unlink(f->json);
    unlink(f->out);
    for (unsigned i = 0; i < (p->ranks ? RANKS : 1); i++) {
        report_of(f, i, path, sizeof path);
        unlink(path);
    }
    v[0] = p->argv[0];
    size_t at = 1;
    if (p->metrics) {
        v[at++] = (char *)"--json";
        v[at++] = f->json;
    }
    if (p->samples) {
        v[at++] = (char *)"--out";
        v[at++] = f->out;
    }
    memcpy(v + at, p->argv + 1, (n - 1) * sizeof *v);
    return v;
}

static int count_isle(struct pairs *p, const struct files *f)
{
    char path[PATH_MAX];
    if (!p->ranks)
        return events_add_report(p->during, &p->during_s, f->report, &p->cpus, p->cpus.n);
    for (unsigned i = 0; i < RANKS; i++) {
        double at_once = 0;
        report_of(f, i, path, sizeof path);
        if (events_add_report(p->during, i ? &at_once : &p->during_s, path, &p->cpus, 1))
            return -1;
    }
    return 0;
}

static int count_events(struct pairs *p, enum side side, const struct files *f,
                        const json_t *before, const struct run_output *out)
{
    json_t *after = events_read_interrupts(&p->cpus);
    if (!after)
        return -1;
    int rc = events_add_difference(p->around[side], before, after);
    json_decref(after);
    p->around_s[side] += (double)(out->end_ns - out->start_ns) * 1e-9;
    if (rc == 0 && side == ISLE)
        rc = count_isle(p, f);
    return rc;
}

static void note_command(struct pairs *p, const struct run *r)
{
    char buf[PATH_MAX + 8192];
    char **argv = run_command(r, buf, sizeof buf);
    if (argv)
        run_describe(argv, p->command[r->side], sizeof p->command[0]);
    free(argv);
}

static int run_one(struct pairs *p, enum side side, int pair)
{
    struct files f;
    char what[96];
    struct run_output out = {.text = NULL};
    json_t *before = NULL;
    int rc = -1;
    if (pair == WARM_UP)
        snprintf(what, sizeof what, "%s, warm-up", p->name);
    else
        snprintf(what, sizeof what, "%s, pair %d of %u", p->name, pair + 1, p->n);
    char **argv = run_argv(p, side, pair, &f);
    if (!argv) {
        complain("out of memory");
        return -1;
    }
    struct run r = {.o = p->o,
                    .side = side,
                    .cpus = &p->cpus,
                    .report = p->events ? f.report : NULL,
                    .ranks = p->ranks,
                    .argv = argv,
                    .what = what};
    note_command(p, &r);
    progress("%s, %s", what, side_name[side]);
    if (p->events && !(before = events_read_interrupts(&p->cpus)))
        goto out;
    if (run_child(&r, &out))
        goto out;
    if (pair != WARM_UP) {
        if (p->events && count_events(p, side, &f, before, &out))
            goto out;
        if (p->metrics && table_read(&p->table, side, (unsigned)pair, f.json))
            goto out;
    }
    rc = p->after ? p->after(p, side, pair, &out) : 0;
out:
    json_decref(before);
    free(out.text);
    free(argv);
    return rc;
}

int pairs_run(struct pairs *p)
{
    if (p->events) {
        p->during = json_object();
        p->around[NATIVE] = json_object();
        p->around[ISLE] = json_object();
        if (!p->during || !p->around[NATIVE] || !p->around[ISLE]) {
            complain("out of memory");
            return -1;
        }
    }
    if (run_one(p, NATIVE, WARM_UP) || run_one(p, ISLE, WARM_UP))
        return -1;
    for (int i = 0; i < (int)p->n; i++) {
        enum side first = i % 2 ? ISLE : NATIVE;
        if (run_one(p, first, i) || run_one(p, first == ISLE ? NATIVE : ISLE, i))
            return -1;
    }
    return table_check(&p->table);
}

void pairs_free(struct pairs *p)
{
    table_free(&p->table);
    json_decref(p->during);
    json_decref(p->around[NATIVE]);
    json_decref(p->around[ISLE]);
}

json_t *pairs_json(const struct pairs *p)
{
    char list[1024];
    cpus_format(&p->cpus, list, sizeof list);
    json_t *j =
        json_pack("{s:s, s:s, s:s, s:o}", "cpus", list, "native_command", p->command[NATIVE],
                  "isle_command", p->command[ISLE], "table", table_json(&p->table));
    if (!p->events)
        return j;
    json_object_set_new(j, "isle_during_marked",
                        json_pack("{s:f, s:O}", "seconds", p->during_s, "events", p->during));
    for (int s = 0; s < SIDES; s++)
        json_object_set_new(
            j, s == NATIVE ? "native_around_run" : "isle_around_run",
            json_pack("{s:f, s:O}", "seconds", p->around_s[s], "events", p->around[s]));
    return j;
}

void pairs_print_events(FILE *f, const struct pairs *p)
{
    fprintf(f, "\nIsle, during the measured loops only (%.3f s in all, lull's report):\n",
            p->during_s);
    events_print(f, p->during, &p->cpus);
    for (int s = 0; s < SIDES; s++) {
        fprintf(f,
                "%s, around the whole runs, start and end included (%.3f s in all, "
                "/proc/interrupts):\n",
                s == NATIVE ? "Native" : "Isle", p->around_s[s]);
        events_print(f, p->around[s], &p->cpus);
    }
}
