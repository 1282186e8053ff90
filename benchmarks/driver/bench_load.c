/* SPDX-License-Identifier: MIT */
/*
 * fwq under load: natively as it comes, pinned, and tuned, and on an isle, in turns; the same load
 * with the same affinity beside each.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/stats.h"
#include "driver/events.h"
#include "driver/load.h"
#include "driver/pairs.h"
#include "driver/plot.h"

#define ROUNDS 3

const char *const load_name[LOAD_SYSTEMS] = {"untuned", "pinned", "tuned", "isle"};
const char *const load_title[LOAD_SYSTEMS] = {"native", "native, pinned", "native, tuned", "isle"};

enum metric { RATE, LONGEST, MEDIAN, OVER10, OVER100, PREEMPTED, METRICS };
static const struct {
    const char *fwq, *key; /* fwq's name for it (NULL: not from there), JSON's */
} metrics[METRICS] = {[RATE] = {"noise rate", "noise_rate"},
                      [LONGEST] = {"longest detour", "longest_detour_us"},
                      [MEDIAN] = {"quantum median", "quantum_median_us"},
                      [OVER10] = {"detours > 10 us", "detours_over_10_us"},
                      [OVER100] = {"detours > 100 us", "detours_over_100_us"},
                      [PREEMPTED] = {NULL, "preempted"}};

struct bench {
    const struct driver_options *o;
    char *const *argv; /* fwq and its arguments */
    struct cpus cpus;
    unsigned rounds;
    struct load load;
    struct tune tune;
    char why[512];                        /* not tuned; empty: it is */
    char lacks[512];                      /* why not --isolate=require; empty: it is to be had */
    double *value[LOAD_SYSTEMS][METRICS]; /* by round */
    struct load_detours detours[LOAD_SYSTEMS];
    char command[LOAD_SYSTEMS][2048];
    json_t *during; /* isle, marked sections (events.h) */
    double during_s;
};

static bool runs(const struct bench *b, enum load_system s)
{
    return s != LOAD_TUNED || !b->why[0];
}

static void file_of(const struct bench *b, enum load_system s, const char *suffix, char *buf,
                    size_t size)
{
    snprintf(buf, size, "%s/fwq-load-%s%s", b->o->dir, load_name[s], suffix);
}

/* What fwq wrote with --json, and natively on standard output. */
static int read_metrics(struct bench *b, enum load_system s, unsigned round, const char *path,
                        const char *text)
{
    static const char key[] = "\npreempted ";
    json_error_t e;
    size_t i;
    json_t *m, *root = json_load_file(path, 0, &e);
    json_array_foreach(json_object_get(root, "metrics"), i, m)
    {
        const char *name = json_string_value(json_object_get(m, "name"));
        for (int k = 0; k < METRICS; k++)
            if (name && metrics[k].fwq && strcmp(name, metrics[k].fwq) == 0)
                b->value[s][k][round] = json_number_value(json_object_get(m, "median"));
    }
    json_decref(root);
    const char *p = s == LOAD_ISLE ? NULL : strstr(text, key); /* it knows of itself alone */
    if (p)
        b->value[s][PREEMPTED][round] = strtod(p + sizeof key - 1, NULL);
    for (int k = 0; k < METRICS; k++) {
        if (isfinite(b->value[s][k][round]))
            continue;
        complain("fwq under load, %s: it said nothing of \"%s\"", load_title[s], metrics[k].key);
        return -1;
    }
    return 0;
}

/* The isle's preemptions are Linux's count of its cores' threads, in lull's report. */
static int read_report(struct bench *b, unsigned round, const char *path)
{
    json_t *own = json_object();
    double seconds = 0;
    int rc = own ? events_add_report(own, &seconds, path, &b->cpus, b->cpus.n) : -1;
    if (rc == 0) {
        json_t *none = json_object();
        b->value[LOAD_ISLE][PREEMPTED][round] = events_count(own, "thread", "nivcsw");
        b->during_s += seconds;
        rc = events_add_difference(b->during, none, own);
        json_decref(none);
    }
    json_decref(own);
    return rc;
}

struct files {
    char json[PATH_MAX], out[PATH_MAX], report[PATH_MAX], threads[16];
};

/* fwq, its files, the arguments; room for 12 more. NULL: out of memory. */
static char **program_argv(const struct bench *b, enum load_system s, struct files *f)
{
    size_t n = 0, at = 0;
    while (b->argv[n])
        n++;
    char **v = calloc(n + 12, sizeof *v);
    if (!v)
        return NULL;
    file_of(b, s, ".metrics.json", f->json, sizeof f->json);
    file_of(b, s, ".dat", f->out, sizeof f->out);
    file_of(b, s, ".report.json", f->report, sizeof f->report);
    unlink(f->json);
    unlink(f->out);
    unlink(f->report);
    v[at++] = b->argv[0];
    v[at++] = (char *)"--json";
    v[at++] = f->json;
    v[at++] = (char *)"--out";
    v[at++] = f->out;
    if (s == LOAD_UNTUNED) {
        snprintf(f->threads, sizeof f->threads, "%u", b->cpus.n);
        v[at++] = (char *)"--no-pin";
        v[at++] = (char *)"--threads";
        v[at++] = f->threads;
    }
    memcpy(v + at, b->argv + 1, (n - 1) * sizeof *v);
    return v;
}

static int run_system(struct bench *b, enum load_system s, char **argv, const struct files *f,
                      struct run_output *out)
{
    char buf[PATH_MAX + 8192];
    const struct run r = {.o = b->o,
                          .side = s == LOAD_ISLE ? ISLE : NATIVE,
                          .cpus = &b->cpus,
                          .report = f->report,
                          .isolated = !b->lacks[0],
                          .argv = argv};
    char **v = run_command(&r, buf, sizeof buf);
    if (!v) {
        complain("out of memory");
        return -1;
    }
    struct command c = {.argv = v,
                        .what = "fwq under load",
                        .where = s == LOAD_ISLE ? "on an isle" : "natively",
                        .cpus = &b->cpus,
                        .pin = s == LOAD_PINNED || s == LOAD_TUNED,
                        .tune = s == LOAD_TUNED ? &b->tune : NULL,
                        .timeout_s = b->o->timeout_s,
                        .verbose = b->o->verbose};
    run_describe(v, b->command[s], sizeof b->command[s]);
    int rc = command_run(&c, out);
    free(v);
    return rc;
}

static int run_one(struct bench *b, enum load_system s, unsigned round)
{
    struct files f;
    struct run_output out = {.text = NULL};
    char **argv = program_argv(b, s, &f);
    int rc = -1;
    if (!argv) {
        complain("out of memory");
        return -1;
    }
    progress("fwq under load, round %u of %u, %s", round + 1, b->rounds, load_title[s]);
    /* an exclusive cpuset is in the isle's way: there is one at a time */
    if (s == LOAD_TUNED && tune_begin(&b->tune, &b->cpus, b->why, sizeof b->why)) {
        complain("%s", b->why);
        goto out;
    }
    if (run_system(b, s, argv, &f, &out) || load_check(&b->load))
        goto out;
    if (s == LOAD_ISLE && read_report(b, round, f.report))
        goto out;
    if (read_metrics(b, s, round, f.json, out.text) || load_detours_add(&b->detours[s], f.out))
        goto out;
    rc = 0;
out:
    if (s == LOAD_TUNED)
        tune_end(&b->tune);
    free(out.text);
    free(argv);
    return rc;
}

/*
 * An isle from whose CPUs the load is moved before it starts, as the tuned one's cpuset is made
 * before; without --isolate=require lull does it after a second. Where that is not to be had, the
 * isle is one with whatever lull can do.
 */
static int try_isolation(struct bench *b)
{
    char *argv[] = {(char *)"true", NULL}, buf[8192];
    const struct run r = {
        .o = b->o, .side = ISLE, .cpus = &b->cpus, .isolated = true, .argv = argv};
    char **v = run_command(&r, buf, sizeof buf);
    if (!v) {
        complain("out of memory");
        return -1;
    }
    fflush(NULL);
    int said = memfd_create("stderr", MFD_CLOEXEC), status = -1;
    pid_t pid = said < 0 ? -1 : fork();
    if (pid == 0) {
        dup2(said, STDERR_FILENO);
        execvp(v[0], v);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    b->lacks[0] = '\0';
    if (pid < 0 || status != 0) {
        ssize_t n = said < 0 ? 0 : pread(said, b->lacks, sizeof b->lacks - 1, 0);
        b->lacks[n > 0 ? n : 0] = '\0';
        b->lacks[strcspn(b->lacks, "\n")] = '\0';
        if (!b->lacks[0])
            snprintf(b->lacks, sizeof b->lacks, "%s --isolate=require: failed", v[0]);
    }
    if (said >= 0)
        close(said);
    free(v);
    return 0;
}

static int run_rounds(struct bench *b)
{
    for (unsigned i = 0; i < b->rounds; i++) {
        for (unsigned k = 0; k < LOAD_SYSTEMS; k++) {
            enum load_system s = (enum load_system)((i + k) % LOAD_SYSTEMS);
            if (runs(b, s) && run_one(b, s, i))
                return -1;
        }
    }
    return 0;
}

static double median(const struct bench *b, enum load_system s, enum metric m)
{
    double v[b->rounds];
    memcpy(v, b->value[s][m], sizeof v);
    return stats_median(v, b->rounds);
}

static double ratio(const struct bench *b, enum load_system to)
{
    double scratch[b->rounds];
    return stats_pair_ratio(b->value[to][RATE], b->value[LOAD_ISLE][RATE], b->rounds, scratch);
}

static double preemptions(const struct bench *b, enum load_system s)
{
    double sum = 0;
    for (unsigned i = 0; i < b->rounds; i++)
        sum += b->value[s][PREEMPTED][i];
    return sum;
}

static void print(const struct bench *b, const char *title)
{
    printf("\n%s\nload: %s; medians of %u rounds in turns; preempted: by Linux, in the loops, sum "
           "of the rounds\n",
           title, b->load.command ? b->load.command : "spinners, one for each CPU", b->rounds);
    printf("%-16s %11s %14s %12s %9s %9s %10s\n", "system", "noise rate", "longest us", "median us",
           ">10 us", ">100 us", "preempted");
    for (int s = 0; s < LOAD_SYSTEMS; s++) {
        if (!runs(b, s)) {
            printf("%-16s not run: %s\n", load_title[s], b->why);
            continue;
        }
        printf("%-16s %11.3e %14.1f %12.3f %9.0f %9.0f %10.0f\n", load_title[s], median(b, s, RATE),
               median(b, s, LONGEST), median(b, s, MEDIAN), median(b, s, OVER10),
               median(b, s, OVER100), preemptions(b, s));
    }
    printf("\nnoise rate, isle to native pinned: %.4f (aim: at most 0.1)\n", ratio(b, LOAD_PINNED));
    if (b->lacks[0])
        printf("the isle is not isolated: %s\n", b->lacks);
    if (runs(b, LOAD_TUNED))
        printf("noise rate, isle to native tuned:  %.4f (aim: at most 1)\n", ratio(b, LOAD_TUNED));
    printf("the isle's cores were preempted %.0f times (aim: 0)\n", preemptions(b, LOAD_ISLE));
    printf("\nIsle, during the measured loops only (%.3f s in all, lull's report):\n", b->during_s);
    events_print(stdout, b->during, &b->cpus);
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *system_json(const struct bench *b, enum load_system s)
{
    if (!runs(b, s))
        return json_pack("{s:b, s:s}", "ran", 0, "why", b->why);
    json_t *j = json_pack("{s:b, s:s}", "ran", 1, "command", b->command[s]);
    for (int m = 0; m < METRICS; m++) {
        json_t *rounds = json_array();
        for (unsigned i = 0; i < b->rounds; i++)
            json_array_append_new(rounds, number(b->value[s][m][i]));
        json_object_set_new(
            j, metrics[m].key,
            json_pack("{s:o, s:o}", "median", number(median(b, s, m)), "by_round", rounds));
    }
    return j;
}

static json_t *result_json(const struct bench *b)
{
    char list[1024];
    json_t *systems = json_object();
    cpus_format(&b->cpus, list, sizeof list);
    for (int s = 0; s < LOAD_SYSTEMS; s++)
        json_object_set_new(systems, load_name[s], system_json(b, s));
    return json_pack("{s:s, s:s, s:i, s:b, s:o, s:o, s:o, s:f, s:{s:f, s:O}}", "cpus", list, "load",
                     b->load.command ? b->load.command : "spinners", "rounds", (int)b->rounds,
                     "isolated", !b->lacks[0], "systems", systems, "isle_to_pinned",
                     number(ratio(b, LOAD_PINNED)), "isle_to_tuned",
                     runs(b, LOAD_TUNED) ? number(ratio(b, LOAD_TUNED)) : json_null(),
                     "isle_preempted", preemptions(b, LOAD_ISLE), "isle_during_marked", "seconds",
                     b->during_s, "events", b->during);
}

static int finish(struct bench *b)
{
    char list[1024], title[192];
    cpus_format(&b->cpus, list, sizeof list);
    snprintf(title, sizeof title, "fwq on CPUs %.64s under load", list);
    if (load_plot(b->o->dir, b->detours, title, !b->o->no_plot))
        return -1;
    if (!b->o->json)
        print(b, title);
    json_t *doc = bench_document(b->o, "fwq-load");
    json_object_set_new(doc, "result", result_json(b));
    if (!b->o->no_plot && !b->o->json)
        printf("Plot: %s/fwq-load.png\n", b->o->dir);
    return bench_finish(b->o, "fwq-load", doc);
}

static int prepare(struct bench *b)
{
    b->during = json_object();
    for (int s = 0; s < LOAD_SYSTEMS; s++) {
        for (int m = 0; m < METRICS; m++) {
            b->value[s][m] = malloc(b->rounds * sizeof(double));
            for (unsigned i = 0; b->value[s][m] && i < b->rounds; i++)
                b->value[s][m][i] = NAN;
            if (!b->value[s][m] || !b->during) {
                complain("out of memory");
                return -1;
            }
        }
    }
    if (b->cpus.n < b->o->allowed.n)
        return 0;
    if (b->o->allowed.n < 2) {
        complain("fwq --load: one CPU has to be left to Linux, and one is all that is allowed");
        return -1;
    }
    cpus_last(&b->o->allowed, b->o->allowed.n - 1, &b->cpus);
    return 0;
}

int bench_fwq_load(const struct driver_options *o, const char *command, char *const *argv)
{
    struct bench b = {
        .o = o, .argv = argv, .cpus = o->cpus, .rounds = o->pairs ? o->pairs : ROUNDS};
    int rc = prepare(&b);
    if (rc == 0)
        rc = load_start(&b.load, command, &o->allowed);
    if (rc == 0) {
        if (tune_begin(&b.tune, &b.cpus, b.why, sizeof b.why) == 0)
            b.why[0] = 0;
        tune_end(&b.tune);
        rc = try_isolation(&b);
        if (rc == 0)
            rc = run_rounds(&b);
        load_stop(&b.load);
    }
    if (rc == 0)
        rc = finish(&b);
    for (int s = 0; s < LOAD_SYSTEMS; s++) {
        for (int m = 0; m < METRICS; m++)
            free(b.value[s][m]);
        free(b.detours[s].us);
    }
    json_decref(b.during);
    return rc ? 1 : 0;
}
