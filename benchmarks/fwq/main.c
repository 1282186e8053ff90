/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/bench.h"
#include "common/tsc.h"
#include "fwq/fwq.h"

static const char usage[] =
    "usage: fwq [--samples N] [--us US] [--work COUNT] [--out FILE] [--json FILE] [--calibrate]\n"
    "           [--interrupts PREFIX] [--no-pin [--threads N]]\n"
    "One thread per CPU of the affinity mask does the same work N times (10000) and notes how "
    "long\n"
    "each took. --us aims at a length (100); --work sets the count that --calibrate prints, so "
    "that\n"
    "two runs do the same. --out: every sample, as lines of \"core index ticks\". --interrupts: "
    "what\n"
    "/proc/interrupts says just before and just after, in PREFIX.before and PREFIX.after.\n"
    "--no-pin: the threads run where Linux places them; --threads: so many of them.\n";

/* 0, 1 (done), or 2 (bad usage) */
static int parse(int argc, char **argv, struct fwq_options *o)
{
    static const struct option longs[] = {{"samples", 1, NULL, 'n'},
                                          {"us", 1, NULL, 'u'},
                                          {"work", 1, NULL, 'w'},
                                          {"out", 1, NULL, 'o'},
                                          {"json", 1, NULL, 'j'},
                                          {"calibrate", 0, NULL, 'c'},
                                          {"help", 0, NULL, 'h'},
                                          {"interrupts", 1, NULL, 'i'},
                                          {"no-pin", 0, NULL, 'P'},
                                          {"threads", 1, NULL, 't'},
                                          {0}};
    *o = (struct fwq_options){.samples = 10000, .us = 100};
    for (int c; (c = getopt_long(argc, argv, "n:u:w:o:j:i:ch", longs, NULL)) != -1;) {
        bool ok = true;
        switch (c) {
        case 'n':
            ok = bench_parse_count("fwq", "--samples", optarg, 2, 100000000, &o->samples);
            break;
        case 'u':
            ok = bench_parse_count("fwq", "--us", optarg, 1, 10000000, &o->us);
            break;
        case 'w':
            ok = bench_parse_count("fwq", "--work", optarg, 1, UINT64_MAX / 2, &o->work);
            break;
        case 'o':
            o->out = optarg;
            break;
        case 'j':
            o->json = optarg;
            break;
        case 'i':
            o->interrupts = optarg;
            break;
        case 'P':
            o->no_pin = true;
            break;
        case 't':
            ok = bench_parse_count("fwq", "--threads", optarg, 1, 4096, &o->threads);
            break;
        case 'c':
            o->calibrate = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 1;
        default:
            ok = false;
        }
        if (!ok)
            goto bad;
    }
    if (optind == argc && (o->no_pin || !o->threads))
        return 0;
    if (optind == argc) {
        fprintf(stderr, "fwq: --threads goes with --no-pin\n");
        goto bad;
    }
    fprintf(stderr, "fwq: unexpected argument %s\n", argv[optind]);
bad:
    fputs(usage, stderr);
    return 2;
}

static int write_samples(const char *path, const struct fwq_run *r, double tsc_hz)
{
    FILE *f = fopen(path, "w");
    if (!f)
        goto fail;
    fprintf(f,
            "# lull-fwq-1 tsc_hz=%.3f work=%" PRIu64 " cores=%u samples=%" PRIu64 " cpus=", tsc_hz,
            r->work, r->ncores, r->samples);
    for (unsigned c = 0; c < r->ncores; c++)
        fprintf(f, "%s%d", c ? "," : "", r->core[c].cpu);
    fputc('\n', f);
    for (unsigned c = 0; c < r->ncores; c++) {
        const uint64_t *t = r->core[c].stamp;
        for (uint64_t i = 0; i < r->samples; i++)
            fprintf(f, "%u %" PRIu64 " %" PRIu64 "\n", c, i, t[i + 1] - t[i]);
    }
    int bad = ferror(f);
    if (fclose(f) == 0 && !bad)
        return 0;
fail:
    fprintf(stderr, "fwq: cannot write %s: %s\n", path, strerror(errno));
    return -1;
}

/* Per core on stdout; the worst core, or the sum over cores, as the metrics. */
static int summarise(const struct fwq_run *r, double tsc_hz, struct bench_result *res)
{
    const double us = tsc_hz / 1e6;
    double *t = malloc(r->samples * sizeof *t);
    if (!t) {
        fprintf(stderr, "fwq: out of memory\n");
        return -1;
    }
    double noise = 0, detour = 0, p99 = 0, min = 0, median = 0;
    uint64_t preempted = 0;
    size_t above1 = 0, above10 = 0, above100 = 0;
    printf("fwq: %" PRIu64 " samples of %" PRIu64 " iterations, TSC %.6f GHz%s\n", r->samples,
           r->work, tsc_hz / 1e9, r->marked ? ", on an isle" : "");
    printf("%5s %5s %10s %10s %10s %12s %12s %8s %8s %8s\n", "core", "cpu", "min us", "median us",
           "p99 us", "max detour", "noise", ">1us", ">10us", ">100us");
    for (unsigned c = 0; c < r->ncores; c++) {
        for (uint64_t i = 0; i < r->samples; i++)
            t[i] = (double)(r->core[c].stamp[i + 1] - r->core[c].stamp[i]) / us;
        struct stats s = stats_of(t, r->samples);
        double rate = stats_noise_rate(t, r->samples);
        size_t a1 = stats_count_detours(t, r->samples, 1);
        size_t a10 = stats_count_detours(t, r->samples, 10);
        size_t a100 = stats_count_detours(t, r->samples, 100);
        printf("%5u %5d %10.3f %10.3f %10.3f %12.3f %12.3e %8zu %8zu %8zu\n", c, r->core[c].cpu,
               s.min, s.median, s.p99, s.max - s.min, rate, a1, a10, a100);
        preempted += r->core[c].preempted;
        above1 += a1;
        above10 += a10;
        above100 += a100;
        min = s.min > min ? s.min : min;
        median = s.median > median ? s.median : median;
        p99 = s.p99 > p99 ? s.p99 : p99;
        detour = s.max - s.min > detour ? s.max - s.min : detour;
        noise += rate / r->ncores;
    }
    free(t);
    if (!r->marked)
        printf("preempted %" PRIu64 " times\n", preempted);
    bench_add_value(res, "quantum min", "us", min);
    bench_add_value(res, "quantum median", "us", median);
    bench_add_value(res, "quantum p99", "us", p99);
    bench_add_value(res, "longest detour", "us", detour);
    bench_add_value(res, "noise rate", "1", noise);
    bench_add_value(res, "detours > 1 us", "count", (double)above1);
    bench_add_value(res, "detours > 10 us", "count", (double)above10);
    bench_add_value(res, "detours > 100 us", "count", (double)above100);
    return 0;
}

static int measure(const struct fwq_options *o, struct fwq_run *r)
{
    cpu_set_t allowed;
    int rc = 1;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) {
        fprintf(stderr, "fwq: sched_getaffinity: %s\n", strerror(errno));
        return 1;
    }
    double tsc_hz = tsc_measure_hz();
    r->samples = o->samples;
    r->work = o->work ? o->work : fwq_calibrate(tsc_hz, o->us);
    if (o->calibrate) {
        printf("%" PRIu64 "\n", r->work);
        return 0;
    }
    r->no_pin = o->no_pin;
    r->ncores = o->threads ? (unsigned)o->threads : (unsigned)CPU_COUNT(&allowed);
    r->core = aligned_alloc(64, r->ncores * sizeof *r->core);
    if (!r->core)
        goto out_of_memory;
    memset(r->core, 0, r->ncores * sizeof *r->core);
    for (unsigned c = 0; c < r->ncores; c++) {
        r->core[c].index = c;
        r->core[c].run = r;
        r->core[c].stamp = malloc((o->samples + 1) * sizeof(uint64_t));
        if (!r->core[c].stamp)
            goto out_of_memory;
    }
    if (o->interrupts && !(r->interrupts = calloc(1, sizeof *r->interrupts)))
        goto out_of_memory;
    if (fwq_measure(r))
        goto out;
    struct bench_result res = {.program = "fwq", .tsc_hz = tsc_hz, .marked = r->marked};
    if (summarise(r, tsc_hz, &res) || (o->out && write_samples(o->out, r, tsc_hz)) ||
        (o->interrupts && fwq_interrupts_write(r->interrupts, o->interrupts)) ||
        (o->json && bench_write_json(o->json, &res)))
        goto out;
    rc = 0;
    goto out;
out_of_memory:
    fprintf(stderr, "fwq: out of memory for %" PRIu64 " samples on %u cores\n", o->samples,
            r->ncores);
out:
    for (unsigned c = 0; r->core && c < r->ncores; c++)
        free(r->core[c].stamp);
    free(r->core);
    free(r->interrupts);
    return rc;
}

int main(int argc, char **argv)
{
    static struct fwq_run run;
    struct fwq_options o;
    int rc = parse(argc, argv, &o);
    if (rc)
        return rc == 1 ? 0 : rc;
    return measure(&o, &run);
}
