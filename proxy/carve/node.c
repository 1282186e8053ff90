/* SPDX-License-Identifier: MIT */
#include "carve/node.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "carve/host.h"
#include "carve/isles.h"
#include "message.h"

static int finish(FILE *out)
{
    if (fflush(out) == 0 && !ferror(out))
        return 0;
    message("cannot write to standard output: %s", strerror(errno));
    return LULL_EXIT_FAILED;
}

/* ---- ps ---- */

static void print_age(char *out, size_t size, uint64_t began_s)
{
    uint64_t now = (uint64_t)time(NULL), s = now > began_s ? now - began_s : 0;
    if (s < 60)
        snprintf(out, size, "%" PRIu64 "s", s);
    else if (s < 3600)
        snprintf(out, size, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, "%" PRIu64 "h%02" PRIu64 "m", s / 3600, s % 3600 / 60);
    else
        snprintf(out, size, "%" PRIu64 "d%02" PRIu64 "h", s / 86400, s % 86400 / 3600);
}

static void print_mem(char *out, size_t size, uint64_t bytes)
{
    if (bytes >= 10ull << 30)
        snprintf(out, size, "%" PRIu64 "G", bytes >> 30);
    else
        snprintf(out, size, "%" PRIu64 "M", bytes >> 20);
}

static void print_isle(FILE *out, const struct journal_isle *i)
{
    char cpus[4096], age[32], mem[32], uid[16];
    const struct passwd *pw = getpwuid(i->uid);
    snprintf(uid, sizeof uid, "%u", (unsigned)i->uid);
    mask_print_list(&i->cpus, cpus, sizeof cpus);
    print_age(age, sizeof age, i->began_s);
    print_mem(mem, sizeof mem, i->mem);
    fprintf(out, "%7d %-12s %5d  %-12s %8s %8s  %-10s %s\n", (int)i->pid, pw ? pw->pw_name : uid,
            CPU_COUNT(&i->cpus), cpus, mem, age, i->engine, i->program);
}

int node_ps(const char *root, FILE *out)
{
    struct isles all;
    int err = isles_scan(root, &all);
    if (err) {
        message("/run/lull cannot be read: %s", strerror(-err));
        isles_free(&all);
        return LULL_EXIT_FAILED;
    }
    fprintf(out, "%7s %-12s %5s  %-12s %8s %8s  %-10s %s\n", "PID", "OWNER", "CORES", "CPUS", "MEM",
            "AGE", "ENGINE", "PROGRAM");
    for (size_t k = 0; k < all.n; k++)
        print_isle(out, &all.isle[k]);
    isles_free(&all);
    return finish(out);
}

/* ---- gc ---- */

struct gc {
    FILE *out;
    bool failed;
};

static void gc_tell(void *ctx, const char *path, const char *what)
{
    struct gc *g = ctx;
    fprintf(g->out, "%s: %s\n", path, what ? what : "put back");
    g->failed |= what && !strstr(what, "somebody else");
}

int node_gc(const char *root, FILE *out)
{
    struct gc g = {.out = out};
    struct journal *j;
    unsigned restored = 0, dead = 0;
    int err = journal_open(root, &j);
    if (err == -ENOENT) {
        fprintf(out, "no isle has left anything: there is no journal of yours "
                     "(XDG_RUNTIME_DIR is not set)\n");
        return finish(out);
    }
    if (err == 0)
        err = journal_collect_all(j, &restored, &dead, gc_tell, &g);
    if (err == -EBUSY) {
        message("another lull has locked the journal in %s for long; try again",
                journal_directory(j));
        journal_close(j);
        return NODE_EXIT_BUSY;
    }
    if (err) {
        message("the journal%s%s cannot be worked on: %s", j ? " in " : "",
                j ? journal_directory(j) : "", strerror(-err));
        journal_close(j);
        return LULL_EXIT_FAILED;
    }
    fprintf(out, "%u dead isle%s, %u thing%s put back\n", dead, dead == 1 ? "" : "s", restored,
            restored == 1 ? "" : "s");
    journal_close(j);
    if (g.failed) {
        message("something could not be put back, see above; as root there may be more rights");
        return LULL_EXIT_FAILED;
    }
    return finish(out);
}
