/* SPDX-License-Identifier: MIT */
#include <getopt.h>
#include <stdio.h>

#include "osbench/osbench.h"

static const char usage[] =
    "usage: osbench [--samples N] [--threads N] [--rounds N] [--mib N] [--json FILE]\n"
    "What the system's basic services cost, in cycles of the time stamp counter: system calls\n"
    "(--samples, 20000), thread creation (--threads, 500), first touch of fresh memory (--rounds, "
    "5,\n"
    "of --mib, 64, each).\n";

static const struct {
    const char *name;
    uint64_t min, max;
} limit[] = {{"--samples", 1, 10000000},
             {"--threads", 1, 1000000},
             {"--rounds", 1, 1000},
             {"--mib", 1, 65536}};

/* 0, 1 (done), or 2 (bad usage) */
static int parse(int argc, char **argv, struct os_options *o)
{
    static const struct option longs[] = {{"samples", 1, NULL, 0},
                                          {"threads", 1, NULL, 1},
                                          {"rounds", 1, NULL, 2},
                                          {"mib", 1, NULL, 3},
                                          {"json", 1, NULL, 'j'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    uint64_t *value[] = {&o->samples, &o->threads, &o->rounds, &o->mib};
    *o = (struct os_options){.samples = 20000, .threads = 500, .rounds = 5, .mib = 64};
    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (c == 'j')
            o->json = optarg;
        else if (c > 3 || !bench_parse_count("osbench", limit[c].name, optarg, limit[c].min,
                                             limit[c].max, value[c]))
            goto bad;
    }
    if (optind == argc)
        return 0;
bad:
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct os_options o;
    struct bench_result r = {.program = "osbench"};
    int rc = parse(argc, argv, &o);
    if (rc)
        return rc == 1 ? 0 : rc;
    r.tsc_hz = tsc_measure_hz();
    r.marked = bench_mark_begin();
    r.note = "cycles of the time stamp counter; the counter's own are not subtracted";
    /* threads first: the calls are measured pinned, and threads would inherit that */
    int bad = os_measure_threads(&o, &r) || os_measure_memory(&o, &r) || os_measure_calls(&o, &r);
    bench_mark_end();
    if (bad)
        return 1;
    bench_print(&r);
    return o.json && bench_write_json(o.json, &r) ? 1 : 0;
}
