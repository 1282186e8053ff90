/* SPDX-License-Identifier: MIT */
/* What all benchmarks do before and after, and the two that need nothing else. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "driver/pairs.h"

int bench_prepare(const struct driver_options *o, const char *program, char *path, size_t size)
{
    if (mkdir(o->dir, 0777) && errno != EEXIST) {
        complain("cannot make the folder %s: %s", o->dir, strerror(errno));
        return -1;
    }
    if (access(o->lull, X_OK)) {
        complain("cannot execute %s: %s; --lull PATH tells where lull is", o->lull,
                 strerror(errno));
        return -1;
    }
    if ((size_t)snprintf(path, size, "%s/%s", o->bin, program) >= size || access(path, X_OK)) {
        complain("cannot execute the program %s of lull-bench in %s: build or install it again",
                 program, o->bin);
        return -1;
    }
    return 0;
}

char **bench_argv(const struct driver_options *o, char *path, const char *const *extra, size_t n)
{
    char **v = calloc(n + (size_t)o->argc + 2, sizeof *v);
    if (!v) {
        complain("out of memory");
        return NULL;
    }
    v[0] = path;
    for (size_t i = 0; i < n; i++)
        v[1 + i] = (char *)extra[i];
    for (int i = 0; i < o->argc; i++)
        v[1 + n + (size_t)i] = o->argv[i];
    return v;
}

static void read_cpu_model(char *model, size_t size)
{
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(model, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon)
            continue;
        line[strcspn(line, "\n")] = 0;
        snprintf(model, size, "%s", colon + 1 + strspn(colon + 1, " "));
        break;
    }
    if (f)
        fclose(f);
}

json_t *bench_document(const struct driver_options *o, const char *name)
{
    struct utsname u;
    char model[256], when[32];
    time_t now = time(NULL);
    struct tm tm;
    uname(&u);
    read_cpu_model(model, sizeof model);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
    return json_pack("{s:s, s:s, s:s, s:b, s:{s:s, s:s, s:i}}", "schema", "lull-bench-1", "bench",
                     name, "time", when, "mpirun", o->mpirun, "host", "kernel", u.release, "cpu",
                     model, "cpus_allowed", (int)o->allowed.n);
}

int bench_finish(const struct driver_options *o, const char *name, json_t *doc)
{
    char path[PATH_MAX];
    int rc = 0;
    snprintf(path, sizeof path, "%s/%s.json", o->dir, name);
    if (!doc || json_dump_file(doc, path, JSON_INDENT(1) | JSON_REAL_PRECISION(12))) {
        complain("cannot write %s", path);
        rc = -1;
    } else if (o->json) {
        json_dumpf(doc, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(12));
        putchar('\n');
    } else {
        printf("JSON: %s\n", path);
    }
    json_decref(doc);
    return fflush(stdout) || rc ? -1 : 0;
}

/* A program that measures itself, and a table. */
static int bench_plain(const struct driver_options *o, const char *name, unsigned pairs,
                       char **argv)
{
    char list[1024], title[128];
    struct pairs p = {.o = o,
                      .name = name,
                      .n = o->pairs ? o->pairs : pairs,
                      .cpus = o->cpus,
                      .argv = argv,
                      .metrics = true};
    cpus_format(&p.cpus, list, sizeof list);
    snprintf(title, sizeof title, "%s on CPUs %.64s", name, list);
    int rc = table_init(&p.table, p.n, title) || pairs_run(&p);
    if (rc == 0) {
        if (!o->json)
            table_print(stdout, &p.table);
        json_t *doc = bench_document(o, name);
        json_object_set_new(doc, "result", pairs_json(&p));
        rc = bench_finish(o, name, doc);
    }
    pairs_free(&p);
    return rc ? 1 : 0;
}

static int bench_osbench(const struct driver_options *o, const char *program, const char *name)
{
    char path[PATH_MAX];
    if (bench_prepare(o, program, path, sizeof path))
        return 1;
    char **argv = bench_argv(o, path, NULL, 0);
    int rc = argv ? bench_plain(o, name, 5, argv) : 1;
    free(argv);
    return rc;
}

int bench_os(const struct driver_options *o)
{
    return bench_osbench(o, "osbench", "os");
}

int bench_os_dynamic(const struct driver_options *o)
{
    return bench_osbench(o, "osbench-dynamic", "os-dynamic");
}

int bench_strassen(const struct driver_options *o)
{
    static const char *const size[] = {"2048"};
    char path[PATH_MAX];
    if (bench_prepare(o, "strassen", path, sizeof path))
        return 1;
    char **argv = bench_argv(o, path, size, o->argc == 0 ? 1 : 0);
    int rc = argv ? bench_plain(o, "strassen", 7, argv) : 1;
    free(argv);
    return rc;
}
