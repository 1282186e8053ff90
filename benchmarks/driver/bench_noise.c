/* SPDX-License-Identifier: MIT */
/* Noise in virtual time: isle, Linux, and Linux tuned, by instructions counted. */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "driver/events.h"
#include "driver/noise.h"
#include "driver/pairs.h"
#include "driver/plot.h"

/* An iteration of fwq is three instructions: 3 ns. */
#define ITERATIONS_PER_US (1000.0 / 3)

static bool parse_count(const char *option, const char *text, unsigned long long max, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && *out >= 2 && *out <= max)
        return true;
    complain("noise %s %s: expected a whole number from 2 to %llu", option, text, max);
    return false;
}

/* 0 or 2. */
static int parse(const struct driver_options *o, struct noise_options *n, bool *virtual_time)
{
    static const struct option longs[] = {{"virtual", 0, NULL, 'v'},
                                          {"samples", 1, NULL, 'n'},
                                          {"us", 1, NULL, 'u'},
                                          {"kernel", 1, NULL, 'k'},
                                          {0}};
    char **argv = bench_argv(o, (char *)"lull-bench: noise", NULL, 0);
    bool ok = argv;
    *n = (struct noise_options){.samples = 10000, .us = 100};
    optind = 0; /* another command line than main's */
    for (int c; ok && (c = getopt_long(o->argc + 1, argv, "", longs, NULL)) != -1;) {
        if (c == 'v')
            *virtual_time = true;
        else if (c == 'n')
            ok = parse_count("--samples", optarg, 10000000, &n->samples);
        else if (c == 'u')
            ok = parse_count("--us", optarg, 1000000, &n->us);
        else if (c == 'k')
            ok = (size_t)snprintf(n->kernel, sizeof n->kernel, "%s", optarg) < sizeof n->kernel;
        else
            ok = false; /* getopt_long said why */
    }
    if (ok && optind <= o->argc) {
        complain("noise: unexpected argument %s", argv[optind]);
        ok = false;
    }
    n->work = (uint64_t)((double)n->us * ITERATIONS_PER_US);
    free(argv);
    return ok ? 0 : 2;
}

static int run_isle(const struct driver_options *o, const struct noise_options *n,
                    struct noise_result *r)
{
    char dat[PATH_MAX], report[PATH_MAX], samples[32], work[32], buf[PATH_MAX + 8192];
    double seconds = 0;
    struct run_output out;
    struct cpus one;
    cpus_last(&o->cpus, 1, &one);
    snprintf(samples, sizeof samples, "%llu", (unsigned long long)n->samples);
    snprintf(work, sizeof work, "%llu", (unsigned long long)n->work);
    noise_path(o->dir, NOISE_ISLE, "dat", dat, sizeof dat);
    noise_path(o->dir, NOISE_ISLE, "report.json", report, sizeof report);
    remove(dat);
    remove(report);
    char *argv[] = {(char *)n->fwq, (char *)"--samples", samples, (char *)"--work",
                    work,           (char *)"--out",     dat,     NULL};
    struct run run = {.o = o,
                      .side = ISLE,
                      .cpus = &one,
                      .report = report,
                      .virtual_time = true,
                      .argv = argv,
                      .what = "noise, isle"};
    char **command = run_command(&run, buf, sizeof buf);
    if (command)
        run_describe(command, r->command, sizeof r->command);
    free(command);
    progress("noise, isle");
    if (run_child(&run, &out))
        return -1;
    free(out.text);
    r->cpus = one;
    r->events = json_object();
    if (noise_read(r, o->dir, NOISE_ISLE, false) ||
        events_add_report(r->events, &seconds, report, &one, 1))
        return -1;
    /* what Linux did meanwhile took no virtual time, and the mark is fwq's own call */
    json_object_del(r->events, "thread");
    json_object_del(r->events, "interrupts");
    json_object_del(json_object_get(r->events, "exits"), "mark");
    json_object_del(json_object_get(r->events, "kernel"), "syscall_trapped");
    json_object_del(json_object_get(r->events, "kernel"), "syscall_rewritten");
    return 0;
}

/* Each in turn; one that fails leaves its reason and does not hold up the others. */
static void run_systems(const struct driver_options *o, struct noise_options *n,
                        struct noise_result *r)
{
    complaint_forget();
    bool linux_ready = noise_prepare_linux(o, n) == 0;
    char unready[sizeof r->why] = "";
    if (!linux_ready && complaint_first())
        snprintf(unready, sizeof unready, "%s", complaint_first());
    for (int s = 0; s < NOISE_SYSTEMS; s++) {
        complaint_forget();
        if (s == NOISE_ISLE)
            r[s].ran = run_isle(o, n, &r[s]) == 0;
        else if (linux_ready)
            r[s].ran = noise_run_linux(o, n, s, &r[s]) == 0;
        if (r[s].ran)
            continue;
        snprintf(r[s].why, sizeof r[s].why, "%s",
                 s != NOISE_ISLE && !linux_ready ? unready
                 : complaint_first()             ? complaint_first()
                                                 : "unknown");
    }
}

static int report(const struct driver_options *o, const struct noise_options *n,
                  const struct noise_result *r)
{
    if (noise_plot(o->dir, r, !o->no_plot))
        return -1;
    if (!o->json)
        noise_print(stdout, n, r);
    json_t *doc = bench_document(o, "noise");
    json_object_set_new(doc, "result", noise_json(n, r));
    if (!o->no_plot) {
        char png[PATH_MAX];
        snprintf(png, sizeof png, "%s/noise.png", o->dir);
        json_object_set_new(doc, "plot", json_string(png));
        if (!o->json)
            printf("Plot: %s\n", png);
    }
    return bench_finish(o, "noise", doc);
}

int bench_noise(const struct driver_options *o)
{
    bool virtual_time = false;
    struct noise_options n;
    struct noise_result r[NOISE_SYSTEMS] = {{.ran = false}};
    int rc = parse(o, &n, &virtual_time);
    if (rc)
        return rc;
    if (!virtual_time || o->mpirun || o->pairs) {
        complain(virtual_time
                     ? "noise --virtual: every run gives the same figures, and none is "
                       "by mpirun: no --pairs, no --mpirun"
                     : "noise: say --virtual; noise by the wall clock is what fwq measures");
        return 2;
    }
    if (bench_prepare(o, "fwq", n.fwq, sizeof n.fwq) || (!o->no_plot && plot_check_gnuplot()))
        return 1;
    run_systems(o, &n, r);
    rc = report(o, &n, r);
    if (!r[NOISE_ISLE].ran || !r[NOISE_STOCK].ran)
        rc = 1;
    for (int s = 0; s < NOISE_SYSTEMS; s++)
        noise_free(&r[s]);
    return rc ? 1 : 0;
}
