/* SPDX-License-Identifier: MIT */
/*
 * Errors of jansson need no check one by one: *_set_new takes the value over and fails on NULL, and
 * every failure is noted in `broken`.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "report/report.h"

static bool broken; /* out of memory while building; one report at a time */

static void set(json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0)
        broken = true;
}

static void append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        broken = true;
}

static json_t *number(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}

static json_t *real(double v)
{
    return json_real(isfinite(v) ? v : 0);
}

/* File names may be no UTF-8: what is not becomes '?'. */
static json_t *text(const char *s)
{
    if (!s)
        return json_null();
    json_t *j = json_string(s);
    if (j)
        return j;
    char *copy = strdup(s);
    for (char *p = copy; p && *p; p++)
        if (*p & 0x80)
            *p = '?';
    j = copy ? json_string(copy) : NULL;
    free(copy);
    return j;
}

static json_t *numbers(const uint16_t *v, unsigned n)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < n; i++)
        append(a, json_integer(v[i]));
    return a;
}

static json_t *calls(const uint32_t *count)
{
    json_t *o = json_object(), *by_name = json_object();
    uint64_t total = 0;
    for (unsigned nr = 0; nr < LULL_NR_MAX; nr++) {
        char buf[16];
        if (count[nr] == 0)
            continue;
        set(by_name, report_call_name(nr, buf, sizeof buf), number(count[nr]));
        total += count[nr];
    }
    set(o, "total", number(total));
    set(o, "by_name", by_name);
    return o;
}

static json_t *all_calls(const struct report *r)
{
    json_t *o = json_object(), *served = json_object();
    set(o, "local", calls(r->sys.local));
    set(o, "forwarded", calls(r->sys.forwarded));
    set(o, "refused", calls(r->sys.refused));
    set(o, "sites_rewritten", number(r->sys.sites_rewritten));
    set(o, "sites_left", number(r->sys.sites_left));
    set(served, "total", number(r->served));
    set(served, "polled", number(r->served_polled));
    set(served, "on_core", number(r->served_on_core));
    set(served, "by_worker", number(r->served_by_worker));
    set(o, "served", served);
    return o;
}

static json_t *core(const struct report *r, const struct report_section *s, unsigned c)
{
    json_t *o = json_object(), *exits = json_object(), *kernel = json_object();
    json_t *usage = json_object(), *irq = json_object();
    const struct thread_usage *u = &s->usage[c];
    uint64_t total = 0;
    for (unsigned e = 0; e < EXIT_CAUSES; e++)
        total += s->core[c].exits[e];
    set(exits, "total", number(total));
    for (unsigned e = 0; e < EXIT_CAUSES; e++)
        set(exits, exit_cause_name[e], number(s->core[c].exits[e]));
    for (unsigned k = 0; k < LULL_K_COUNT; k++)
        if (kcount_name[k])
            set(kernel, kcount_name[k], number(s->core[c].kcount[k]));
    set(usage, "nvcsw", number(u->nvcsw));
    set(usage, "nivcsw", number(u->nivcsw));
    set(usage, "minflt", number(u->minflt));
    set(usage, "majflt", number(u->majflt));
    set(usage, "utime_us", number(u->utime_us));
    set(usage, "stime_us", number(u->stime_us));
    for (unsigned i = 0; i < s->irq.rows; i++)
        if (s->irq.row[i].count[c] > 0)
            set(irq, s->irq.row[i].name, number(s->irq.row[i].count[c]));
    set(o, "core", number(c));
    set(o, "cpu", number(r->cpu[c]));
    set(o, "exits", exits);
    set(o, "kernel", kernel);
    set(o, "thread", usage);
    set(o, "host_interrupts", irq);
    return o;
}

static json_t *section(const struct report *r, const struct report_section *s)
{
    if (!s->valid)
        return json_null();
    json_t *o = json_object(), *cores = json_array();
    set(o, "seconds", real(s->seconds));
    for (unsigned c = 0; c < r->ncores; c++)
        append(cores, core(r, s, c));
    set(o, "cores", cores);
    return o;
}

static json_t *build(const struct report *r)
{
    json_t *o = json_object(), *engine = json_object(), *cores = json_object();
    json_t *memory = json_object();
    broken = false;
    set(o, "schema", text("lull-report-1"));
    set(o, "program", text(r->program));
    set(o, "status", json_integer(r->status));
    set(engine, "name", text(r->engine));
    set(engine, "why", text(r->engine_why));
    set(o, "engine", engine);
    set(cores, "count", number(r->ncores));
    set(cores, "cpu", numbers(r->cpu, r->ncores));
    set(cores, "node", numbers(r->node, r->ncores));
    set(cores, "why", text(r->cpus_why));
    set(cores, "fifo", json_boolean(r->fifo));
    set(cores, "linux_core", json_boolean(r->linux_core));
    set(o, "cores", cores);
    set(memory, "limit_bytes", number(r->mem_limit));
    set(memory, "hugetlb_bytes", number(r->mem_hugetlb));
    set(memory, "thp_bytes", number(r->mem_thp));
    set(memory, "small_bytes", number(r->mem_4k));
    set(memory, "numa", r->mem_policy ? text(r->mem_policy) : json_null());
    set(memory, "checked_pages", number(r->mem_looked_at));
    set(memory, "off_node_pages", number(r->mem_off_node));
    set(memory, "locked", json_boolean(r->mem_locked));
    set(o, "memory", memory);
    set(o, "start_ms", real(r->start_ms));
    set(o, "wall_s", real(r->wall_s));
    set(o, "system_calls", all_calls(r));
    set(o, "run", section(r, &r->run));
    set(o, "marked", section(r, &r->marked));
    return o;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int write_directly(const char *path, const char *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, p, n);
    return close(fd) != 0 && rc == 0 ? -errno : rc;
}

static int write_renamed(const char *path, const char *p, size_t n)
{
    char *temp;
    if (asprintf(&temp, "%s.XXXXXX", path) < 0)
        return -ENOMEM;
    int rc = 0;
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) {
        rc = -errno;
        free(temp);
        return rc;
    }
    mode_t mask = umask(0);
    umask(mask);
    rc = write_all(fd, p, n);
    if (rc == 0 && fchmod(fd, 0666 & ~mask) != 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temp, path) != 0)
        rc = -errno;
    if (rc != 0)
        unlink(temp);
    free(temp);
    return rc;
}

/*
 * A symbolic link stays one; a device must not be replaced by a file, nor the file behind
 * /dev/stdout, which others have open.
 */
static int write_report(const char *path, const char *p, size_t n)
{
    char target[PATH_MAX];
    struct stat st;
    if (stat(path, &st) != 0)
        return errno == ENOENT ? write_renamed(path, p, n) : -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode) || strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0)
        return write_directly(path, p, n);
    return realpath(path, target) ? write_renamed(target, p, n) : -errno;
}

int report_json(const char *path, const struct report *r)
{
    json_t *o = build(r);
    char *dump = broken ? NULL : json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    int rc = -ENOMEM;
    if (dump) {
        size_t n = strlen(dump);
        dump[n] = '\n'; /* in the place of the NUL */
        rc = write_report(path, dump, n + 1);
    }
    free(dump);
    json_decref(o);
    if (rc != 0)
        message("cannot write the report to %s: %s", path, strerror(-rc));
    return rc;
}
