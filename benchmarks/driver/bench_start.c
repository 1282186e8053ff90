/* SPDX-License-Identifier: MIT */
/* From just before fork to the first instruction of main of a static program. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/stats.h"
#include "driver/pairs.h"

static int record_start(struct pairs *p, enum side side, int pair, const struct run_output *out)
{
    uint64_t ns, tsc;
    if (sscanf(out->text, "%" SCNu64 " %" SCNu64, &ns, &tsc) != 2) {
        complain("start: hello-tsc printed \"%.60s\"", out->text);
        return -1;
    }
    /* an isle's clock that is not the host's would make the difference meaningless */
    if (ns < out->start_ns || ns > out->end_ns) {
        complain("start: the %s clock says main ran %.3f ms after the launch, which ended after "
                 "%.3f ms",
                 side_name[side], ((double)ns - (double)out->start_ns) * 1e-6,
                 (double)(out->end_ns - out->start_ns) * 1e-6);
        return -1;
    }
    if (pair == WARM_UP)
        return 0;
    double first = (double)(ns - out->start_ns) * 1e-6;
    double whole = (double)(out->end_ns - out->start_ns) * 1e-6;
    return table_set(&p->table, side, (unsigned)pair, "launch to main", "ms", first, NAN) ||
                   table_set(&p->table, side, (unsigned)pair, "launch to end", "ms", whole, NAN)
               ? -1
               : 0;
}

/* Here a run has one value, so the p99 is that of the pairs: every pair is given it. */
static int spread_p99(struct table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        for (int s = 0; s < SIDES; s++) {
            double *copy = malloc(t->pairs * sizeof *copy);
            if (!copy) {
                complain("out of memory");
                return -1;
            }
            memcpy(copy, t->row[i].value[s], t->pairs * sizeof *copy);
            double p99 = stats_of(copy, t->pairs).p99;
            for (unsigned k = 0; k < t->pairs; k++)
                t->row[i].p99[s][k] = p99;
            free(copy);
        }
    }
    return 0;
}

int bench_start(const struct driver_options *o)
{
    char path[PATH_MAX], list[1024], title[128];
    if (bench_prepare(o, "hello-tsc", path, sizeof path))
        return 1;
    char **argv = bench_argv(o, path, NULL, 0);
    if (!argv)
        return 1;
    struct pairs p = {.o = o,
                      .name = "start",
                      .n = o->pairs ? o->pairs : 21,
                      .cpus = o->cpus,
                      .argv = argv,
                      .after = record_start};
    cpus_format(&p.cpus, list, sizeof list);
    snprintf(title, sizeof title, "start%s on CPUs %.64s", o->mpirun ? " of mpirun" : "", list);
    int rc = table_init(&p.table, p.n, title) || pairs_run(&p) || spread_p99(&p.table);
    if (rc == 0) {
        if (!o->json)
            table_print(stdout, &p.table);
        json_t *doc = bench_document(o, "start");
        json_object_set_new(doc, "result", pairs_json(&p));
        rc = bench_finish(o, "start", doc);
    }
    pairs_free(&p);
    free(argv);
    return rc ? 1 : 0;
}
