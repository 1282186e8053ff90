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
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "report/report.h"

#define WRITE_MS 10000 /* without a reader that reads on */

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

static json_t *us(uint64_t ns)
{
    return real((double)ns / 1e3);
}

/* Of forwarded calls, what their callers waited. */
static json_t *all_waits(const struct report *r)
{
    json_t *o = json_object();
    for (unsigned nr = 0; nr < LULL_NR_MAX; nr++) {
        const uint32_t *b = r->waits.bucket[nr];
        uint64_t longest = r->sys.longest_ns[nr];
        char buf[16];
        if (waits_count(b) == 0)
            continue;
        json_t *w = json_object();
        set(w, "count", number(waits_count(b)));
        set(w, "median_us", us(waits_quantile(b, longest, 0.5)));
        set(w, "p99_us", us(waits_quantile(b, longest, 0.99)));
        set(w, "longest_us", us(longest));
        set(w, "total_us", us(r->sys.waited_ns[nr]));
        set(o, report_call_name(nr, buf, sizeof buf), w);
    }
    return o;
}

static json_t *all_calls(const struct report *r)
{
    json_t *o = json_object(), *served = json_object();
    set(o, "local", calls(r->sys.local));
    set(o, "forwarded", calls(r->sys.forwarded));
    set(o, "refused", calls(r->sys.refused));
    set(o, "waits", all_waits(r));
    set(o, "sites_rewritten", number(r->sys.sites_rewritten));
    set(o, "sites_left", number(r->sys.sites_left));
    set(served, "total", number(r->served));
    set(served, "polled", number(r->served_polled));
    set(served, "on_core", number(r->served_on_core));
    set(served, "by_worker", number(r->served_by_worker));
    set(o, "served", served);
    return o;
}

static json_t *thread(const struct thread_usage *u)
{
    json_t *o = json_object();
    set(o, "nvcsw", number(u->nvcsw));
    set(o, "nivcsw", number(u->nivcsw));
    set(o, "minflt", number(u->minflt));
    set(o, "majflt", number(u->majflt));
    set(o, "utime_us", number(u->utime_us));
    set(o, "stime_us", number(u->stime_us));
    set(o, "run_ns", number(u->run_ns));
    set(o, "wait_ns", number(u->wait_ns));
    set(o, "timeslices", number(u->timeslices));
    return o;
}

static json_t *host_times(const struct host_cpu *h)
{
    json_t *o = json_object();
    for (unsigned t = 0; t < CPU_TIMES; t++)
        set(o, cpu_time_name[t], number(h->time_us[t]));
    return o;
}

static json_t *host_sched(const struct host_cpu *h)
{
    json_t *o = json_object();
    set(o, "run_ns", number(h->run_ns));
    set(o, "wait_ns", number(h->wait_ns));
    set(o, "timeslices", number(h->timeslices));
    return o;
}

/* Those that happened on this core. */
static json_t *irqs(const struct irq_snapshot *s, unsigned c)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < s->rows; i++)
        if (s->row[i].count[c] > 0)
            set(o, s->row[i].name, number(s->row[i].count[c]));
    return o;
}

static json_t *outside(const struct core_counts *k)
{
    json_t *o = json_object();
    set(o, "count", number(k->outside.count));
    set(o, "total_us", us(k->outside.total));
    set(o, "longest_us", us(k->outside.longest));
    set(o, "longest_cause", text(k->outside.longest ? exit_cause_name[k->outside_cause] : NULL));
    return o;
}

static json_t *preempted(const struct core_counts *k)
{
    json_t *o = json_object();
    set(o, "count", number(k->preempted.count));
    set(o, "total_us", us(k->preempted.total));
    set(o, "longest_us", us(k->preempted.longest));
    set(o, "complete", json_boolean(k->preempted_all));
    return o;
}

static json_t *gaps(const struct core_counts *k)
{
    json_t *o = json_object();
    set(o, "watched_us", us(k->watched));
    set(o, "count", number(k->gaps.count));
    set(o, "total_us", us(k->gaps.total));
    set(o, "longest_us", us(k->gaps.longest));
    return o;
}

static json_t *engine_counts(const struct report *r, const struct core_counts *k)
{
    json_t *o = json_object();
    for (unsigned i = 0; i < ENGINE_COUNTERS_MAX && r->engine_counter[i]; i++)
        if (k->engine[i])
            set(o, r->engine_counter[i], number(k->engine[i]));
    return o;
}

static json_t *core(const struct report *r, const struct report_section *s, unsigned c)
{
    json_t *o = json_object(), *exits = json_object(), *kernel = json_object();
    const struct core_counts *k = &s->core[c];
    uint64_t total = 0;
    for (unsigned e = 0; e < EXIT_CAUSES; e++)
        total += k->exits[e];
    set(exits, "total", number(total));
    for (unsigned e = 0; e < EXIT_CAUSES; e++)
        set(exits, exit_cause_name[e], number(k->exits[e]));
    for (unsigned i = 0; i < LULL_K_COUNT; i++)
        if (kcount_name[i])
            set(kernel, kcount_name[i], number(k->kcount[i]));
    set(o, "core", number(c));
    set(o, "cpu", number(r->cpu[c]));
    set(o, "exits", exits);
    set(o, "kernel", kernel);
    set(o, "machine", engine_counts(r, k));
    set(o, "outside", outside(k));
    set(o, "preempted", k->preempted_known ? preempted(k) : json_null());
    set(o, "gaps", r->watched ? gaps(k) : json_null());
    set(o, "thread", thread(&s->usage[c]));
    set(o, "cpu_time_us", host_times(&s->host[c]));
    set(o, "cpu_sched", s->host[c].has_sched ? host_sched(&s->host[c]) : json_null());
    set(o, "host_interrupts", irqs(&s->irq, c));
    set(o, "host_softirqs", irqs(&s->softirq, c));
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

static json_t *by_node(const struct report *r)
{
    json_t *a = json_array();
    for (unsigned i = 0; i < REPORT_NODES_MAX; i++) {
        if (r->mem_node[i] == 0)
            continue;
        json_t *o = json_object();
        set(o, "node", number(i));
        set(o, "bytes", number(r->mem_node[i]));
        append(a, o);
    }
    return a;
}

static json_t *settings(const struct settings *s)
{
    json_t *a = json_array();
    for (size_t i = 0; s && i < s->n; i++) {
        json_t *o = json_object();
        set(o, "what", text(s->row[i].what));
        set(o, "old", text(s->row[i].before));
        set(o, "new", text(s->row[i].after));
        set(o, "why", text(s->row[i].why));
        append(a, o);
    }
    return a;
}

static json_t *build(const struct report *r)
{
    json_t *o = json_object(), *engine = json_object(), *cores = json_object();
    json_t *memory = json_object();
    broken = false;
    set(o, "schema", text("lull-report-2"));
    set(o, "program", text(r->program));
    set(o, "rank", number(r->rank));
    set(o, "host", text(r->host));
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
    set(memory, "by_node", by_node(r));
    set(memory, "numa", r->mem_policy ? text(r->mem_policy) : json_null());
    set(memory, "checked_pages", number(r->mem_looked_at));
    set(memory, "off_node_pages", number(r->mem_off_node));
    set(memory, "locked", json_boolean(r->mem_locked));
    set(o, "memory", memory);
    set(o, "settings", settings(r->settings));
    set(o, "start_ms", real(r->start_ms));
    set(o, "wall_s", real(r->wall_s));
    set(o, "system_calls", all_calls(r));
    set(o, "run", section(r, &r->run));
    set(o, "marked", section(r, &r->marked));
    return o;
}

/* -ETIMEDOUT: nobody has read what was written for WRITE_MS. */
static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        struct pollfd ready = {fd, POLLOUT, 0};
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN) {
            if (poll(&ready, 1, WRITE_MS) == 0)
                return -ETIMEDOUT;
            continue;
        }
        if (done < 0)
            return -errno;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int write_directly(const char *path, const char *p, size_t n)
{
    /* a FIFO without a reader: -ENXIO */
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
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
    bool special = strncmp(path, "/dev/", 5) == 0 || strncmp(path, "/proc/", 6) == 0;
    if (stat(path, &st) != 0) {
        if (errno != ENOENT)
            return -errno;
        /* /dev/stdout is a link to nowhere when that is closed */
        return special && lstat(path, &st) == 0 ? -EBADF : write_renamed(path, p, n);
    }
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode) || special)
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
        message("cannot write the report to %s: %s", path,
                rc == -ENXIO || rc == -ETIMEDOUT ? "nobody reads it" : strerror(-rc));
    return rc;
}
