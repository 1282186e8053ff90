/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

#define WAITS_MAX 12  /* calls whose times are shown; JSON has all */
#define COLUMNS_MAX 8 /* with more cores: total, least and most instead of a column each */

static void print_bytes(FILE *f, uint64_t bytes)
{
    static const char units[][4] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    int u = 0;
    for (; v >= 1024 && u < 4; u++)
        v /= 1024;
    fprintf(f, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

static void print_numbers(FILE *f, const uint16_t *v, unsigned n)
{
    for (unsigned i = 0, last; i < n; i = last + 1) {
        for (last = i; last + 1 < n && v[last + 1] == v[last] + 1; last++)
            ;
        fprintf(f, last > i ? "%s%u-%u" : "%s%u", i > 0 ? "," : "", v[i], v[last]);
    }
}

static void print_nodes(FILE *f, const struct report *r)
{
    const char *sep = "";
    for (unsigned i = 0; i < r->ncores; i++) {
        bool seen = false;
        for (unsigned j = 0; j < i; j++)
            seen = seen || r->node[j] == r->node[i];
        if (!seen) {
            fprintf(f, "%s%u", sep, r->node[i]);
            sep = ",";
        }
    }
}

static void print_place(FILE *f, const struct report *r)
{
    fprintf(f, "  engine   %s (%s)\n", r->engine, r->engine_why);
    fprintf(f, "  cores    %u: CPU ", r->ncores);
    print_numbers(f, r->cpu, r->ncores);
    fprintf(f, ", NUMA node ");
    print_nodes(f, r);
    fprintf(f, " (%s); %s; %s\n", r->cpus_why,
            r->fifo ? "real-time priority" : "no real-time priority",
            r->linux_core ? "a Linux core polls the channel"
                          : "no core left to Linux: forwarded calls leave the isle");
    fprintf(f, "  memory   limit ");
    print_bytes(f, r->mem_limit);
    fprintf(f, "; populated: hugetlb ");
    print_bytes(f, r->mem_hugetlb);
    fprintf(f, ", transparent huge ");
    print_bytes(f, r->mem_thp);
    fprintf(f, ", 4 KiB pages ");
    print_bytes(f, r->mem_4k);
    const char *before = "; on node";
    for (unsigned i = 0; i < REPORT_NODES_MAX; i++) {
        if (r->mem_node[i] == 0)
            continue;
        fprintf(f, "%s %u ", before, i);
        print_bytes(f, r->mem_node[i]);
        before = ",";
    }
    if (r->mem_policy)
        fprintf(f, "; %s, %llu of %llu pages looked at off the isle's nodes", r->mem_policy,
                (unsigned long long)r->mem_off_node, (unsigned long long)r->mem_looked_at);
    fprintf(f, "%s\n  time     start %.1f ms, all %.3f s, status %d\n",
            r->mem_locked ? "; locked" : "", r->start_ms, r->wall_s, r->status);
}

static void print_settings(FILE *f, const struct settings *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        const struct setting *row = &s->row[i];
        fprintf(f, "  %s %s: ", i ? "        " : "settings", row->what);
        if (row->after)
            fprintf(f, "%s, was %s", row->after, row->before ? row->before : "not there");
        else
            fprintf(f, "left as it was");
        fprintf(f, row->why ? " (%s)\n" : "\n", row->why);
    }
}

struct call {
    unsigned nr;
    uint32_t count;
};

static int more_first(const void *a, const void *b)
{
    const struct call *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->nr > y->nr ? 1 : -1;
}

/* "  forwarded 61: write 40, openat 21" */
static void print_calls(FILE *f, const char *label, const uint32_t *count)
{
    struct call call[LULL_NR_MAX];
    uint64_t total = 0;
    unsigned n = 0;
    for (unsigned nr = 0; nr < LULL_NR_MAX; nr++)
        if (count[nr] > 0) {
            call[n++] = (struct call){nr, count[nr]};
            total += count[nr];
        }
    qsort(call, n, sizeof call[0], more_first);
    fprintf(f, "    %-9s %" PRIu64, label, total);
    for (unsigned i = 0; i < n; i++) {
        char buf[16];
        fprintf(f, "%s %s %" PRIu32, i == 0 ? ":" : ",",
                report_call_name(call[i].nr, buf, sizeof buf), call[i].count);
    }
    fprintf(f, "\n");
}

/* The forwarded calls for which most time was waited. */
static void print_waits(FILE *f, const struct report *r)
{
    bool done[LULL_NR_MAX] = {false};
    for (int row = 0; row < WAITS_MAX; row++) {
        unsigned most = LULL_NR_MAX;
        char buf[16];
        for (unsigned nr = 0; nr < LULL_NR_MAX; nr++)
            if (!done[nr] && waits_count(r->waits.bucket[nr]) > 0 &&
                (most == LULL_NR_MAX || r->sys.waited_ns[nr] > r->sys.waited_ns[most]))
                most = nr;
        if (most == LULL_NR_MAX)
            return;
        done[most] = true;
        const uint32_t *b = r->waits.bucket[most];
        uint64_t longest = r->sys.longest_ns[most];
        if (row == 0)
            fprintf(f, "    %-21s %10s %12s %12s %12s %12s\n", "waited for Linux, us", "calls",
                    "median", "p99", "longest", "all");
        fprintf(f, "      %-19.19s %10" PRIu64 " %12.1f %12.1f %12.1f %12.1f\n",
                report_call_name(most, buf, sizeof buf), waits_count(b),
                (double)waits_quantile(b, longest, 0.5) / 1e3,
                (double)waits_quantile(b, longest, 0.99) / 1e3, (double)longest / 1e3,
                (double)r->sys.waited_ns[most] / 1e3);
    }
}

static void print_all_calls(FILE *f, const struct report *r)
{
    fprintf(f,
            "  system calls; sites rewritten %" PRIu32 ", left trapping %" PRIu32
            "; served %" PRIu64 " (%" PRIu64 " polled, %" PRIu64 " on their core, %" PRIu64
            " by a worker)\n",
            r->sys.sites_rewritten, r->sys.sites_left, r->served, r->served_polled,
            r->served_on_core, r->served_by_worker);
    print_calls(f, "local", r->sys.local);
    print_calls(f, "forwarded", r->sys.forwarded);
    print_calls(f, "refused", r->sys.refused);
    print_waits(f, r);
}

struct table {
    FILE *f;
    unsigned ncores;
};

static void print_head(const struct table *t)
{
    fprintf(t->f, "    %-36s %12s", "", "all cores");
    if (t->ncores > COLUMNS_MAX)
        fprintf(t->f, " %12s %12s %8s", "least", "most", "on core");
    else
        for (unsigned i = 0; i < t->ncores; i++)
            fprintf(t->f, " %5s %4u", "core", i);
    fprintf(t->f, "\n");
}

/* `always`: also when it is zero everywhere, because that is the news. */
static void print_row(const struct table *t, const char *label, const uint64_t *v, bool always)
{
    uint64_t total = 0;
    unsigned least = 0, most = 0;
    for (unsigned i = 0; i < t->ncores; i++) {
        total += v[i];
        least = v[i] < v[least] ? i : least;
        most = v[i] > v[most] ? i : most;
    }
    if (total == 0 && !always)
        return;
    fprintf(t->f, "    %-36s %12" PRIu64, label, total);
    if (t->ncores > COLUMNS_MAX)
        fprintf(t->f, " %12" PRIu64 " %12" PRIu64 " %8u", v[least], v[most], most);
    else
        for (unsigned i = 0; i < t->ncores; i++)
            fprintf(t->f, " %10" PRIu64, v[i]);
    fprintf(t->f, "\n");
}

static void print_exits(const struct table *t, const struct report_section *s)
{
    uint64_t v[LULL_MAX_CORES] = {0};
    char label[48];
    for (unsigned c = 0; c < t->ncores; c++)
        for (unsigned e = 0; e < EXIT_CAUSES; e++)
            v[c] += s->core[c].exits[e];
    print_row(t, "exits to the proxy", v, true);
    for (unsigned e = 0; e < EXIT_CAUSES; e++) {
        for (unsigned c = 0; c < t->ncores; c++)
            v[c] = s->core[c].exits[e];
        snprintf(label, sizeof label, "  %s", exit_cause_name[e]);
        print_row(t, label, v, false);
    }
}

static void print_kernel(const struct table *t, const struct report_section *s)
{
    static const struct {
        enum lull_kcount k;
        bool always;
        const char *label;
    } rows[] = {
        {LULL_K_INTERRUPT, true, "interrupts injected"},
        {LULL_K_PAGEFAULT, true, "page faults in the isle"},
        {LULL_K_FAULT, true, "other exceptions in the isle"},
        {LULL_K_UPCALL, true, "upcalls (kicks of computing code)"},
        {LULL_K_SWITCH, true, "thread switches in the isle"},
        {LULL_K_PREEMPT, false, "  at the end of a time slice"},
        {LULL_K_SYSCALL_TRAPPED, false, "system calls, trapped"},
        {LULL_K_SYSCALL_REWRITTEN, false, "system calls, rewritten"},
        {LULL_K_FORWARDED, false, "  forwarded to Linux"},
        {LULL_K_REFUSED, false, "  refused"},
        {LULL_K_FLUSH, false, "TLB flushes"},
        {LULL_K_SIGNAL, false, "signal handlers entered"},
    };
    uint64_t v[LULL_MAX_CORES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned c = 0; c < t->ncores; c++)
            v[c] = s->core[c].kcount[rows[i].k];
        print_row(t, rows[i].label, v, rows[i].always);
    }
}

static void print_machine(const struct table *t, const struct report *r,
                          const struct report_section *s)
{
    uint64_t v[LULL_MAX_CORES];
    char label[64];
    for (unsigned i = 0; i < ENGINE_COUNTERS_MAX && r->engine_counter[i]; i++) {
        for (unsigned c = 0; c < t->ncores; c++)
            v[c] = s->core[c].engine[i];
        snprintf(label, sizeof label, "%s %.31s", r->engine, r->engine_counter[i]);
        print_row(t, label, v, false);
    }
}

/* Microseconds, rounded up: not to hide one. */
static void print_times(const struct table *t, const struct report *r,
                        const struct report_section *s)
{
    static const struct {
        size_t offset;
        bool watched;
        const char *label;
    } rows[] = {
        {offsetof(struct core_counts, outside.total), false, "in the proxy, us"},
        {offsetof(struct core_counts, outside.longest), false, "  longest, us"},
        {offsetof(struct core_counts, preempted.total), true, "preempted, us"},
        {offsetof(struct core_counts, preempted.longest), true, "  longest, us"},
        {offsetof(struct core_counts, watched), true, "idle and watched, us"},
        {offsetof(struct core_counts, gaps.total), true, "  lost in gaps, us"},
        {offsetof(struct core_counts, gaps.longest), true, "  longest gap, us"},
    };
    uint64_t v[LULL_MAX_CORES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned c = 0; c < t->ncores; c++) {
            memcpy(&v[c], (const char *)&s->core[c] + rows[i].offset, sizeof v[c]);
            v[c] = (v[c] + 999) / 1000;
        }
        if (r->watched || !rows[i].watched)
            print_row(t, rows[i].label, v, rows[i].watched);
    }
    for (unsigned c = 0; c < t->ncores; c++)
        v[c] = s->core[c].gaps.count;
    if (r->watched)
        print_row(t, "  gaps", v, true);
}

/* What else its CPU did; the whole CPU's time, in Linux's ticks. */
static void print_cpu(const struct table *t, const struct report_section *s)
{
    static const char *const always = "steal";
    uint64_t v[LULL_MAX_CORES];
    char label[64];
    for (unsigned i = 0; i < CPU_TIMES; i++) {
        for (unsigned c = 0; c < t->ncores; c++)
            v[c] = s->host[c].time_us[i];
        snprintf(label, sizeof label, "CPU: %s, us", cpu_time_name[i]);
        print_row(t, label, v, strcmp(cpu_time_name[i], always) == 0);
    }
}

static void print_irqs(const struct table *t, const char *who, const struct irq_snapshot *s)
{
    char label[64];
    for (unsigned i = 0; i < s->rows; i++) {
        snprintf(label, sizeof label, "%s %.27s", who, s->row[i].name);
        print_row(t, label, s->row[i].count, false);
    }
}

static void print_linux(const struct table *t, const struct report_section *s)
{
    static const struct {
        size_t offset;
        bool always;
        const char *label;
    } rows[] = {
        {offsetof(struct thread_usage, nivcsw), true, "vCPU thread: preempted by Linux"},
        {offsetof(struct thread_usage, nvcsw), true, "vCPU thread: slept"},
        {offsetof(struct thread_usage, minflt), true, "vCPU thread: minor page faults"},
        {offsetof(struct thread_usage, majflt), false, "vCPU thread: major page faults"},
        {offsetof(struct thread_usage, utime_us), false, "vCPU thread: user time, us"},
        {offsetof(struct thread_usage, stime_us), false, "vCPU thread: system time, us"},
        {offsetof(struct thread_usage, wait_ns), true, "vCPU thread: ready, not running, ns"},
    };
    uint64_t v[LULL_MAX_CORES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        for (unsigned c = 0; c < t->ncores; c++)
            memcpy(&v[c], (const char *)&s->usage[c] + rows[i].offset, sizeof v[c]);
        print_row(t, rows[i].label, v, rows[i].always);
    }
    print_cpu(t, s);
    print_irqs(t, "host", &s->irq);
    print_irqs(t, "host softirq", &s->softirq);
}

static void print_section(FILE *f, const struct report *r, const struct report_section *s,
                          const char *title)
{
    struct table t = {f, r->ncores};
    fprintf(f, "  %s, %.3f s\n", title, s->seconds);
    print_head(&t);
    print_exits(&t, s);
    print_machine(&t, r, s);
    print_times(&t, r, s);
    print_kernel(&t, s);
    print_linux(&t, s);
}

void report_text(FILE *f, const struct report *r)
{
    fprintf(f, "lull: report of %s\n", r->program);
    print_place(f, r);
    print_settings(f, r->settings);
    print_all_calls(f, r);
    if (r->run.valid)
        print_section(f, r, &r->run, "the whole run");
    if (r->marked.valid)
        print_section(f, r, &r->marked, "the marked section");
    fflush(f);
}
