/* SPDX-License-Identifier: MIT */
/* A forwarded 4 KiB pread: with a core left to Linux that polls the channel, and with none. */
#include <stdlib.h>

#include "driver/events.h"
#include "driver/pairs.h"

#define COUNT 20000

struct mode {
    const char *name, *key, *title;
    struct cpus cpus;
};

/* Exits in the marked sections per pread; those of the mark itself apart. */
static double exits_each(const struct pairs *p, const char *count)
{
    return events_total(p->during, "exits", "mark") / p->n / strtod(count, NULL);
}

static int run_mode(const struct driver_options *o, const struct mode *m, char **argv,
                    const char *count, json_t *doc)
{
    char list[1024], title[128];
    struct pairs p = {.o = o,
                      .name = m->name,
                      .n = o->pairs ? o->pairs : 5,
                      .cpus = m->cpus,
                      .argv = argv,
                      .metrics = true,
                      .events = true};
    cpus_format(&p.cpus, list, sizeof list);
    snprintf(title, sizeof title, "pread, %s (isle on CPUs %.48s)", m->title, list);
    int rc = table_init(&p.table, p.n, title) || pairs_run(&p);
    if (rc == 0) {
        json_t *j = pairs_json(&p);
        json_object_set_new(j, "exits_per_pread", json_real(exits_each(&p, count)));
        json_object_set_new(doc, m->key, j);
        if (!o->json) {
            table_print(stdout, &p.table);
            printf("isle, in the measured loops: %.4f exits to the proxy a pread (the mark's own "
                   "apart)\n",
                   exits_each(&p, count));
            pairs_print_events(stdout, &p);
        }
    }
    pairs_free(&p);
    return rc ? -1 : 0;
}

int bench_pread(const struct driver_options *o)
{
    char path[PATH_MAX], count[16];
    struct mode left = {"pread-left", "one_core_left", "one core left to Linux", {.n = 0}};
    struct mode none = {"pread-none", "no_core_left", "no core left to Linux", {.n = 0}};
    if (bench_prepare(o, "preadbench", path, sizeof path))
        return 1;
    if (o->allowed.n < 2) {
        complain("pread needs two CPUs, one of them left to Linux; one is allowed here");
        return 1;
    }
    cpus_last(&o->cpus, 1, &left.cpus);
    none.cpus = o->allowed;
    snprintf(count, sizeof count, "%d", COUNT);
    const char *extra[] = {"--count", count};
    /* a --count of the user's own would be unknown to exits_each() */
    if (o->argc > 0) {
        complain("pread takes no arguments");
        return 1;
    }
    char **argv = bench_argv(o, path, extra, 2);
    json_t *doc = bench_document(o, "pread");
    int rc = !argv || !doc || run_mode(o, &left, argv, count, doc) ||
             run_mode(o, &none, argv, count, doc);
    if (rc == 0)
        rc = bench_finish(o, "pread", doc);
    else
        json_decref(doc);
    free(argv);
    return rc ? 1 : 0;
}
