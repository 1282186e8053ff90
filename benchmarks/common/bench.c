/* SPDX-License-Identifier: MIT */
#include "common/bench.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <lull/mark.h>

bool bench_mark_begin(void)
{
    return prctl(LULL_PR_MARK, LULL_MARK_BEGIN, 0, 0, 0) == 0;
}

void bench_mark_end(void)
{
    prctl(LULL_PR_MARK, LULL_MARK_END, 0, 0, 0);
}

bool bench_parse_count(const char *program, const char *option, const char *text, uint64_t min,
                       uint64_t max, uint64_t *out)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || errno || v < min || v > max) {
        fprintf(stderr, "%s: %s %s: expected a whole number from %llu to %llu\n", program, option,
                text, (unsigned long long)min, (unsigned long long)max);
        return false;
    }
    *out = v;
    return true;
}

int bench_pin(const char *program, unsigned idx)
{
    cpu_set_t allowed, one;
    if (sched_getaffinity(0, sizeof allowed, &allowed)) {
        fprintf(stderr, "%s: sched_getaffinity: %s\n", program, strerror(errno));
        return -1;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || idx-- > 0)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) || sched_getcpu() != cpu) {
            fprintf(stderr, "%s: cannot run on CPU %d: %s\n", program, cpu, strerror(errno));
            return -1;
        }
        return cpu;
    }
    fprintf(stderr, "%s: fewer CPUs in the affinity mask than threads\n", program);
    return -1;
}

static struct bench_metric *new_metric(struct bench_result *r, const char *name, const char *unit)
{
    if (r->n == BENCH_METRICS_MAX) {
        fprintf(stderr, "%s: more than %d metrics\n", r->program, BENCH_METRICS_MAX);
        abort();
    }
    struct bench_metric *m = &r->metric[r->n++];
    m->name = name;
    m->unit = unit;
    return m;
}

void bench_add(struct bench_result *r, const char *name, const char *unit, double *v, size_t n)
{
    new_metric(r, name, unit)->s = stats_of(v, n);
}

void bench_add_value(struct bench_result *r, const char *name, const char *unit, double value)
{
    new_metric(r, name, unit)->s = stats_of(&value, 1);
}

void bench_print(const struct bench_result *r)
{
    printf("%s: TSC %.6f GHz%s\n", r->program, r->tsc_hz / 1e9, r->marked ? ", on an isle" : "");
    if (r->note)
        printf("%s\n", r->note);
    printf("%-26s %-8s %9s %12s %12s %12s %12s\n", "metric", "unit", "n", "min", "median", "p99",
           "max");
    for (size_t i = 0; i < r->n; i++) {
        const struct stats *s = &r->metric[i].s;
        printf("%-26s %-8s %9zu %12.6g %12.6g %12.6g %12.6g\n", r->metric[i].name,
               r->metric[i].unit, s->n, s->min, s->median, s->p99, s->max);
    }
}

int bench_write_json(const char *path, const struct bench_result *r)
{
    FILE *f = fopen(path, "w");
    if (!f)
        goto fail;
    fprintf(f, "{\"schema\": \"lull-metrics-1\", \"program\": \"%s\", \"tsc_hz\": %.3f,\n",
            r->program, r->tsc_hz);
    fprintf(f, " \"marked\": %s, \"note\": \"%s\",\n \"metrics\": [", r->marked ? "true" : "false",
            r->note ? r->note : "");
    for (size_t i = 0; i < r->n; i++) {
        const struct bench_metric *m = &r->metric[i];
        if (!isfinite(m->s.min) || !isfinite(m->s.max)) {
            fprintf(stderr, "%s: %s was not measured\n", r->program, m->name);
            fclose(f);
            return -1;
        }
        fprintf(f,
                "%s\n  {\"name\": \"%s\", \"unit\": \"%s\", \"n\": %zu, \"min\": %.17g, "
                "\"median\": %.17g, \"p99\": %.17g, \"max\": %.17g}",
                i ? "," : "", m->name, m->unit, m->s.n, m->s.min, m->s.median, m->s.p99, m->s.max);
    }
    fprintf(f, "\n]}\n");
    int bad = ferror(f);
    if (fclose(f) == 0 && !bad)
        return 0;
fail:
    fprintf(stderr, "%s: cannot write %s: %s\n", r->program, path, strerror(errno));
    return -1;
}
