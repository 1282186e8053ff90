/* SPDX-License-Identifier: MIT */
/*
 * Two MPI ranks natively and on isles: the same programs, the same MPICH, the same mpirun. Which
 * cores the isles take is theirs to say; the native ranks are bound to the very same.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "driver/events.h"
#include "driver/mpi.h"
#include "driver/pairs.h"
#include "driver/plot.h"

#define PAIRS 15

struct bench {
    const struct driver_options *o;
    bool quick, fixed, pingpong, allreduce; /* fixed: the static MPICH */
    struct ranks ranks;
    struct cpus cpus; /* the ranks' */
    char path[2][PATH_MAX];
    struct table table; /* of pingpong, for the plot */
    struct mpi_samples samples;
    char title[160];
};
enum program { PINGPONG, ALLREDUCE };

/* 0 or 2. */
static int parse(struct bench *b)
{
    static const struct option longs[] = {
        {"mpi", 1, NULL, 'm'}, {"only", 1, NULL, 'o'}, {"quick", 0, NULL, 'q'}, {0}};
    char **argv = bench_argv(b->o, (char *)"lull-bench: mpi", NULL, 0);
    bool ok = argv;
    b->pingpong = b->allreduce = true;
    optind = 0; /* another command line than main's */
    for (int c; ok && (c = getopt_long(b->o->argc + 1, argv, "", longs, NULL)) != -1;) {
        if (c == 'q') {
            b->quick = true;
        } else if (c == 'm' && (!strcmp(optarg, "static") || !strcmp(optarg, "debian"))) {
            b->fixed = optarg[0] == 's';
        } else if (c == 'o' && (!strcmp(optarg, "pingpong") || !strcmp(optarg, "allreduce"))) {
            b->pingpong = optarg[0] == 'p';
            b->allreduce = !b->pingpong;
        } else {
            if (c != '?') /* else getopt_long said why */
                complain("mpi: %s: expected --mpi debian or static, --only pingpong or allreduce",
                         optarg);
            ok = false;
        }
    }
    if (ok && optind <= b->o->argc) {
        complain("mpi: unexpected argument %s", argv[optind]);
        ok = false;
    }
    free(argv);
    return ok ? 0 : 2;
}

static int prepare(struct bench *b)
{
    static const char *const program[2][2] = {{"mpi-pingpong", "mpi-allreduce"},
                                              {"mpi-pingpong-static", "mpi-allreduce-static"}};
    b->ranks.pool = b->o->cpus_given ? b->o->cpus : b->o->allowed;
    if (b->ranks.pool.n < RANKS) {
        complain("mpi needs two CPUs, one for each rank");
        return -1;
    }
    b->ranks.mpirun = mpich_mpirun();
    if (!program_on_path(b->ranks.mpirun) || !program_on_path("taskset")) {
        complain("mpi needs MPICH's mpirun (Debian: mpich) and taskset (util-linux)");
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        if (bench_prepare(b->o, program[b->fixed][i], b->path[i], sizeof b->path[i]) == 0)
            continue;
        complain(b->fixed ? "make mpich-static, then build again"
                          : "install MPICH (Debian: mpich and libmpich-dev), then build again");
        return -1;
    }
    return !b->o->no_plot && plot_check_gnuplot() ? -1 : 0;
}

/* Runs a program for what it says on standard output. NULL after a line. */
static char *ask(struct bench *b, enum side side, char **argv, const char *what)
{
    struct run_output out;
    struct run r = {
        .o = b->o, .side = side, .cpus = &b->cpus, .ranks = &b->ranks, .argv = argv, .what = what};
    progress("%s", what);
    return run_child(&r, &out) ? NULL : out.text;
}

static int find_places(struct bench *b)
{
    static const char what[] = "mpi, which cores the isles take";
    char *argv[] = {b->path[PINGPONG], (char *)"--where", NULL};
    char *text = ask(b, ISLE, argv, what);
    if (!text)
        return -1;
    int n = sscanf(text, "rank 0 on CPU %d, rank 1 on CPU %d;", &b->ranks.cpu[0], &b->ranks.cpu[1]);
    text[strcspn(text, "\n")] = 0;
    if (n != 2 || b->ranks.cpu[0] == b->ranks.cpu[1] || b->ranks.cpu[0] < 0 ||
        b->ranks.cpu[1] < 0 || b->ranks.cpu[0] >= CPU_SETSIZE || b->ranks.cpu[1] >= CPU_SETSIZE) {
        complain("%s: no two CPUs in \"%.80s\"", what, text);
        n = 0;
    }
    free(text);
    if (n != 2)
        return -1;
    b->cpus.n = RANKS;
    for (unsigned i = 0; i < RANKS; i++)
        CPU_SET(b->ranks.cpu[i], &b->cpus.set);
    return 0;
}

/* Work count of an iteration, measured natively, both ranks computing, for both sides. */
static int calibrate(struct bench *b, char *count, size_t size)
{
    char *argv[] = {b->path[ALLREDUCE], (char *)"--calibrate", b->quick ? (char *)"--us" : NULL,
                    (char *)"20", NULL};
    char *end, *text = ask(b, NATIVE, argv, "mpi-allreduce, calibration");
    if (!text)
        return -1;
    unsigned long long n = strtoull(text, &end, 10);
    bool ok = n > 0 && strcmp(end, "\n") == 0;
    if (ok)
        snprintf(count, size, "%llu", n);
    else
        complain("mpi-allreduce --calibrate printed \"%.40s\" and not a count", text);
    free(text);
    return ok ? 0 : -1;
}

/* The ranks were where the other side's are, with the same library; and the samples. */
static int check_run(struct pairs *p, enum side side, int pair, const struct run_output *out)
{
    struct bench *b = p->arg;
    char want[80], path[PATH_MAX];
    const char *note = p->table.note[side], *other = p->table.note[!side];
    (void)out;
    pairs_path(p, side, pair, ".dat", path, sizeof path);
    if (pair == WARM_UP) {
        remove(path);
        return 0;
    }
    snprintf(want, sizeof want, "rank 0 on CPU %d, rank 1 on CPU %d;", b->ranks.cpu[0],
             b->ranks.cpu[1]);
    if (!note || strncmp(note, want, strlen(want)) != 0 || (other && strcmp(note, other) != 0)) {
        complain("%s, %s: \"%s\", expected \"%s\" and the same MPICH on both sides", p->name,
                 side_name[side], note ? note : "", want);
        return -1;
    }
    return p->samples ? mpi_samples_add(&b->samples, side, path) : 0;
}

static void print_exits(const struct pairs *p)
{
    pairs_print_events(stdout, p);
    printf("\nDuring the measured loops the isles' cores made %.0f exits to the proxy (the mark's "
           "own apart).\n",
           events_total(p->during, "exits", "mark"));
}

static int measure(struct bench *b, enum program which, char **argv, json_t *doc)
{
    static const char *const names[] = {"mpi-pingpong", "mpi-allreduce"};
    struct pairs p = {.o = b->o,
                      .name = names[which],
                      .n = b->o->pairs ? b->o->pairs : PAIRS,
                      .cpus = b->cpus,
                      .argv = argv,
                      .ranks = &b->ranks,
                      .metrics = true,
                      .samples = which == ALLREDUCE,
                      .events = true,
                      .after = check_run,
                      .arg = b};
    int rc = table_init(&p.table, p.n, names[which]) || pairs_run(&p);
    if (rc == 0) {
        json_object_set_new(doc, which == PINGPONG ? "pingpong" : "allreduce", pairs_json(&p));
        if (!b->o->json) {
            table_print(stdout, &p.table);
            print_exits(&p);
        }
        snprintf(b->title, sizeof b->title, "MPI, %s", p.table.note[NATIVE]);
        if (which == PINGPONG) {
            b->table = p.table;
            p.table = (struct table){.n = 0};
        }
    }
    pairs_free(&p);
    return rc ? -1 : 0;
}

static int measure_pingpong(struct bench *b, json_t *doc)
{
    char *argv[] = {b->path[PINGPONG], b->quick ? (char *)"--rounds" : NULL,
                    (char *)"100",     (char *)"--max",
                    (char *)"65536",   NULL};
    return measure(b, PINGPONG, argv, doc);
}

static int measure_allreduce(struct bench *b, json_t *doc)
{
    char count[32];
    char *argv[] = {b->path[ALLREDUCE],
                    (char *)"--work",
                    count,
                    b->quick ? (char *)"--iterations" : NULL,
                    (char *)"200",
                    (char *)"--rounds",
                    (char *)"50",
                    NULL};
    return calibrate(b, count, sizeof count) ? -1 : measure(b, ALLREDUCE, argv, doc);
}

static int finish(struct bench *b, json_t *doc)
{
    char png[PATH_MAX];
    if (mpi_plot(b->o->dir, b->pingpong ? &b->table : NULL, b->allreduce ? &b->samples : NULL,
                 b->title, !b->o->no_plot)) {
        json_decref(doc);
        return -1;
    }
    if (!b->o->no_plot) {
        snprintf(png, sizeof png, "%s/mpi.png", b->o->dir);
        json_object_set_new(doc, "plot", json_string(png));
        if (!b->o->json)
            printf("Plot: %s\n", png);
    }
    return bench_finish(b->o, "mpi", doc);
}

int bench_mpi(const struct driver_options *given)
{
    struct driver_options own = *given;
    struct bench b = {.o = &own};
    json_t *doc = NULL;
    own.mpirun = true; /* there is no other way */
    int rc = parse(&b);
    if (rc)
        return rc;
    rc = 1;
    if (prepare(&b) || find_places(&b))
        return rc;
    doc = bench_document(b.o, "mpi");
    json_object_set_new(doc, "mpi", json_string(b.fixed ? "static" : "debian"));
    json_object_set_new(doc, "rank_cpus", json_pack("[ii]", b.ranks.cpu[0], b.ranks.cpu[1]));
    if ((b.pingpong && measure_pingpong(&b, doc)) || (b.allreduce && measure_allreduce(&b, doc)))
        json_decref(doc);
    else
        rc = finish(&b, doc) ? 1 : 0;
    table_free(&b.table);
    mpi_samples_free(&b.samples);
    return rc;
}
