/* SPDX-License-Identifier: MIT */
/* Noise: the same quanta on both sides, every sample kept, events beside them, and a plot. */
#include <stdlib.h>
#include <string.h>

#include "driver/events.h"
#include "driver/load.h"
#include "driver/pairs.h"
#include "driver/plot.h"

/* Work count of a quantum, measured natively on the CPUs of the run, for both sides. */
static int calibrate(const struct driver_options *o, char *path, char *count, size_t size)
{
    static const char *const extra[] = {"--calibrate"};
    struct run_output out = {.text = NULL};
    char **argv = bench_argv(o, path, extra, 1);
    int rc = -1;
    if (!argv)
        return -1;
    struct run r = {
        .o = o, .side = NATIVE, .cpus = &o->cpus, .argv = argv, .what = "fwq, calibration"};
    if (run_child(&r, &out))
        goto out;
    char *end;
    unsigned long long n = strtoull(out.text, &end, 10);
    if (n == 0 || strcmp(end, "\n") != 0) {
        complain("fwq --calibrate printed \"%.40s\" and not a count", out.text);
        goto out;
    }
    snprintf(count, size, "%llu", n);
    rc = 0;
out:
    free(out.text);
    free(argv);
    return rc;
}

static int add_samples(struct pairs *p, enum side side, int pair, const struct run_output *out)
{
    char path[PATH_MAX];
    (void)out;
    pairs_path(p, side, pair, ".dat", path, sizeof path);
    if (pair == WARM_UP) {
        remove(path);
        return 0;
    }
    return plot_add(p->arg, side, path);
}

static void print_result(const struct pairs *p)
{
    table_print(stdout, &p->table);
    pairs_print_events(stdout, p);
    printf("\nDuring the measured loops the isle's cores made %.0f exits to the proxy (the mark's "
           "own apart),\ntook %.0f injected interrupts, %.0f page faults and %.0f other faults.\n",
           events_total(p->during, "exits", "mark"), events_count(p->during, "kernel", "interrupt"),
           events_count(p->during, "kernel", "pagefault"),
           events_count(p->during, "kernel", "fault"));
}

static int measure(const struct driver_options *o, char **argv, struct plot *plot)
{
    char list[1024], title[128];
    struct pairs p = {.o = o,
                      .name = "fwq",
                      .n = o->pairs ? o->pairs : 3,
                      .cpus = o->cpus,
                      .argv = argv,
                      .metrics = true,
                      .samples = true,
                      .events = true,
                      .after = add_samples,
                      .arg = plot};
    cpus_format(&p.cpus, list, sizeof list);
    snprintf(title, sizeof title, "fwq on CPUs %.64s", list);
    int rc = table_init(&p.table, p.n, title) || pairs_run(&p) || plot_write(plot, title) ||
             (!o->no_plot && plot_draw(plot));
    if (rc == 0) {
        if (!o->json)
            print_result(&p);
        json_t *doc = bench_document(o, "fwq");
        json_object_set_new(doc, "result", pairs_json(&p));
        if (!o->no_plot) {
            char png[PATH_MAX];
            snprintf(png, sizeof png, "%s/fwq.png", o->dir);
            json_object_set_new(doc, "plot", json_string(png));
            if (!o->json)
                printf("Plot: %s\n", png);
        }
        rc = bench_finish(o, "fwq", doc);
    }
    pairs_free(&p);
    return rc ? 1 : 0;
}

/* "--load" or "--load=COMMAND" comes first, before fwq's own arguments. */
static bool takes_load(struct driver_options *o, const char **command)
{
    const char *first = o->argc > 0 ? o->argv[0] : "";
    if (strncmp(first, "--load", 6) != 0 || (first[6] && first[6] != '='))
        return false;
    *command = first[6] && first[7] ? first + 7 : NULL;
    o->argc--;
    o->argv++;
    return true;
}

int bench_fwq(const struct driver_options *given)
{
    struct driver_options own = *given, *o = &own;
    char path[PATH_MAX], count[32];
    const char *work[] = {"--work", count}, *command = NULL;
    struct plot plot = {.n = {0}};
    bool load = takes_load(o, &command);
    if (bench_prepare(o, "fwq", path, sizeof path) || (!o->no_plot && plot_check_gnuplot()) ||
        calibrate(o, path, count, sizeof count))
        return 1;
    memcpy(plot.dir, o->dir, sizeof plot.dir);
    char **argv = bench_argv(o, path, work, 2);
    int rc = 1;
    if (argv)
        rc = load ? bench_fwq_load(o, command, argv) : measure(o, argv, &plot);
    plot_free(&plot);
    free(argv);
    return rc;
}
