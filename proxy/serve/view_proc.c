/* SPDX-License-Identifier: MIT */
/* Files of /proc, as proc(5) describes them. Everything that comes from the isle is copied
   first. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ownfd.h"
#include "serve/call.h"
#include "serve/mapped.h"
#include "serve/view.h"

#define TRIES 50           /* to see the table of mappings between two changes */
#define NAME_COLUMN 73     /* of a mapping's name */
#define TICKS_NS 10000000u /* USER_HZ is 100 */

/* ---- mappings ---- */

struct lull_map *view_maps(const struct view *v, uint32_t *count)
{
    struct lull_map *copy = NULL;
    for (int i = 0; i < TRIES; i++) {
        uint32_t seq = __atomic_load_n(&v->maps->seq, __ATOMIC_ACQUIRE);
        uint32_t n = __atomic_load_n(&v->maps->count, __ATOMIC_RELAXED);
        if (n > LULL_MAPS_MAX)
            n = 0;
        free(copy);
        copy = malloc((n + 1) * sizeof *copy);
        if (!copy)
            return NULL;
        memcpy(copy, v->maps->map, n * sizeof *copy);
        *count = n;
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(seq & 1) && __atomic_load_n(&v->maps->seq, __ATOMIC_RELAXED) == seq)
            break;
        usleep(20);
    }
    return copy;
}

static void put_name(struct text *out, size_t line, const char *name)
{
    text_add(out, " ", 1);
    while (*name && out->len - line < NAME_COLUMN && !out->failed)
        text_add(out, " ", 1);
    for (const char *p = name; *p; p++) {
        if (*p == '\n')
            text_add(out, "\\012", 4);
        else
            text_add(out, p, 1);
    }
    text_add(out, "\n", 1);
}

static void put_map(struct text *out, const struct lull_map *m, const struct mapped_file *f,
                    const char *name)
{
    size_t line = out->len;
    uint32_t prot = m->prot | (m->flags & LULL_MAP_BEYOND_PROT) >> LULL_MAP_BEYOND_SHIFT;
    text_printf(out, "%08lx-%08lx %c%c%c%c %08lx %02x:%02x %lu", m->start, m->end,
                prot & LULL_PROT_READ ? 'r' : '-', prot & LULL_PROT_WRITE ? 'w' : '-',
                prot & LULL_PROT_EXEC ? 'x' : '-', lull_map_shared(m) ? 's' : 'p',
                f ? m->offset : 0, f ? major(f->dev) : 0, f ? minor(f->dev) : 0, f ? f->ino : 0);
    put_name(out, line, name);
}

void view_map(const struct call *c, const struct lull_map *m, struct text *out)
{
    struct mapped_file f;
    bool file = m->file && c->env->mapped && mapped_get(c->env->mapped, m->file, &f) == 0;
    const char *name = file                                  ? f.path
                       : m->flags & LULL_MAP_HEAP            ? "[heap]"
                       : m->flags & LULL_MAP_MAIN && m->prot ? "[stack]"
                                                             : "";
    put_map(out, m, file ? &f : NULL, name);
    if (file)
        free(f.path);
}

static void put_own(const struct call *c, const struct lull_map *m, const char *name,
                    view_map_fn show, void *ctx, struct text *out)
{
    put_map(out, m, NULL, name);
    if (show)
        show(c, m, m, 1, ctx, out);
}

/* The mappings that the isle's kernel gives to every program. */
static void put_vdso(const struct call *c, view_map_fn show, void *ctx, struct text *out)
{
    uint64_t size = (c->env->view->vdso_size + LULL_PAGE - 1) & ~(LULL_PAGE - 1);
    struct lull_map vdso = {LULL_VDSO, LULL_VDSO + size, LULL_PROT_READ | LULL_PROT_EXEC, 0, 0, 0,
                            0},
                    vvar = {LULL_TIMEPAGE, LULL_TIMEPAGE + LULL_PAGE, LULL_PROT_READ, 0, 0, 0, 0};
    if (size)
        put_own(c, &vdso, "[vdso]", show, ctx, out);
    put_own(c, &vvar, "[vvar]", show, ctx, out);
}

static uint32_t rights_of(const struct lull_map *m)
{
    return m->prot | (m->flags & LULL_MAP_BEYOND_PROT) >> LULL_MAP_BEYOND_SHIFT;
}

/* Linux has them as one mapping: b begins where a ends, and differs in what the isle's kernel notes
   of the memory behind it. Closed memory that was open once is another one on Linux too, because it
   counts there as committed. */
static bool is_one(const struct lull_map *a, const struct lull_map *b)
{
    const uint32_t state = LULL_MAP_STALE | LULL_MAP_BEYOND | LULL_MAP_BEYOND_PROT | LULL_MAP_GUARD;
    return view_map_sane(b) && a->end == b->start && rights_of(a) == rights_of(b) &&
           !((a->flags ^ b->flags) & ~state) && a->file == b->file &&
           (uint16_t)a->policy == (uint16_t)b->policy && /* what mbind(2) said */
           (!a->file || a->offset + (a->end - a->start) == b->offset);
}

bool view_each_map(const struct call *c, view_map_fn show, void *ctx, struct text *out)
{
    uint32_t n = 0;
    uint64_t end = 0;
    bool own = false; /* the lines are in ascending order, these among them */
    struct lull_map *m = view_maps(c->env->view, &n);
    if (!m)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (m[i].start < end || !view_map_sane(&m[i]))
            continue; /* not what the kernel writes */
        end = m[i].end;
        if (m[i].flags & LULL_MAP_HOLD)
            continue;
        struct lull_map whole = m[i];
        const struct lull_map *first = &m[i];
        while (i + 1 < n && is_one(&whole, &m[i + 1]))
            end = whole.end = m[++i].end;
        if (!own && whole.start >= LULL_VDSO) {
            put_vdso(c, show, ctx, out);
            own = true;
        }
        view_map(c, &whole, out);
        if (show)
            show(c, &whole, first, (uint32_t)(&m[i] - first) + 1, ctx, out);
    }
    free(m);
    if (!own)
        put_vdso(c, show, ctx, out);
    return true;
}

/* ---- status, stat, statm ---- */

static uint64_t resident(const struct view *v)
{
    return v->populated ? v->populated(v->ctx) : 0;
}

static void put_cpus(struct text *out, const struct view *v, bool list)
{
    unsigned top = 0;
    const char *comma = "";
    for (unsigned i = 0; i < v->ncores; i++)
        top = v->cpu[i] > top ? v->cpu[i] : top;
    for (unsigned i = 0; list && i <= top; i++) {
        if (!view_has_cpu(v, i))
            continue;
        unsigned to = i;
        while (view_has_cpu(v, to + 1))
            to++;
        text_printf(out, to > i ? "%s%u-%u" : "%s%u", comma, i, to);
        comma = ",";
        i = to;
    }
    for (unsigned g = list ? 0 : top / 32 + 1; g-- > 0;) {
        unsigned word = 0;
        for (unsigned b = 0; b < 32; b++)
            word |= view_has_cpu(v, g * 32 + b) ? 1u << b : 0;
        if (g == top / 32)
            text_printf(out, "%x%s", word, g ? "," : "");
        else
            text_printf(out, "%08x%s", word, g ? "," : "");
    }
    text_add(out, "\n", 1);
}

/* One line of status that is the isle's own to say; false: Linux's stands. */
static bool put_status_line(const struct view *v, const struct lull_proc *p, char state,
                            const char *key, size_t n, struct text *out)
{
#define IS(k) (n == sizeof(k) - 1 && !memcmp(key, k, n))
    static const struct {
        const char *name;
        size_t at;
    } mask[] = {{"SigPnd", offsetof(struct lull_proc, sigpnd)},
                {"ShdPnd", offsetof(struct lull_proc, shdpnd)},
                {"SigBlk", offsetof(struct lull_proc, sigblk)},
                {"SigIgn", offsetof(struct lull_proc, sigign)},
                {"SigCgt", offsetof(struct lull_proc, sigcgt)}};
    for (size_t i = 0; i < sizeof mask / sizeof *mask; i++) {
        uint64_t bits;
        if (n != strlen(mask[i].name) || memcmp(key, mask[i].name, n))
            continue;
        memcpy(&bits, (const char *)p + mask[i].at, sizeof bits);
        text_printf(out, "%s:\t%016lx\n", mask[i].name, bits);
        return true;
    }
    if (IS("Name"))
        text_printf(out, "Name:\t%.15s\n", p->main_comm);
    else if (IS("State"))
        text_printf(out, "State:\t%c (%s)\n", state, state == 'S' ? "sleeping" : "running");
    else if (IS("voluntary_ctxt_switches"))
        text_printf(out, "voluntary_ctxt_switches:\t%lu\n", p->thread_nvcsw);
    else if (IS("nonvoluntary_ctxt_switches"))
        text_printf(out, "nonvoluntary_ctxt_switches:\t%lu\n", p->thread_nivcsw);
    else if (IS("Seccomp") && p->seccomp)
        text_printf(out, "Seccomp:\t%u\n", p->seccomp);
    else if (IS("Seccomp_filters")) /* those that bind the proxy are the program's too */
        text_printf(out, "Seccomp_filters:\t%lu\n", strtoul(key + n + 1, NULL, 10) + p->filters);
    else if (IS("Pid"))
        text_printf(out, "Pid:\t%u\n", p->tid);
    else if (IS("Threads"))
        text_printf(out, "Threads:\t%u\n", p->threads);
    else if (IS("Cpus_allowed") || IS("Cpus_allowed_list")) {
        text_printf(out, "%.*s:\t", (int)n, key);
        put_cpus(out, v, IS("Cpus_allowed_list"));
    } else if (IS("Mems_allowed_list")) {
        text_printf(out, "Mems_allowed_list:\t");
        view_put_nodes(out, v->nodes);
    } else if (IS("Mems_allowed")) { /* as wide as Linux's own */
        unsigned groups = 1;
        for (const char *c = key; *c && *c != '\n'; c++)
            groups += *c == ',';
        text_printf(out, "Mems_allowed:\t");
        for (unsigned g = groups; g-- > 0;) {
            uint64_t word = g / 2 < LULL_NODES / 64 ? v->nodes->word[g / 2] : 0;
            text_printf(out, "%08x%s", (unsigned)(word >> (g % 2 * 32)), g ? "," : "\n");
        }
    } else {
        return false;
    }
    return true;
#undef IS
}

static bool put_status(const struct call *c, const struct lull_proc *p, char state, int fd,
                       struct text *out)
{
    struct text real = {0};
    struct view_memory memory;
    bool ok = view_memory(c, &memory) && view_read(fd, &real) == 0;
    for (char *line = real.p; ok && *line;) {
        char *end = strchr(line, '\n'), *colon = strchr(line, ':');
        if (!end || !colon || colon > end)
            break;
        size_t n = (size_t)(colon - line);
        if (!view_status_memory(&memory, line, n, out) &&
            !put_status_line(c->env->view, p, state, line, n, out))
            text_add(out, line, (size_t)(end + 1 - line));
        line = end + 1;
    }
    text_free(&real);
    return ok;
}

/* What field n of stat is in the isle; false: Linux's stands. Numbers as in proc(5). */
static bool stat_field(const struct view *v, const struct lull_proc *p, const struct view_memory *m,
                       unsigned n, uint64_t *out)
{
    switch (n) {
    case 14: /* utime */
        *out = view_times(v, p).user_ns / TICKS_NS;
        return true;
    case 15: /* stime */
        *out = view_times(v, p).system_ns / TICKS_NS;
        return true;
    case 20:
        *out = p->threads;
        return true;
    case 23:
        *out = m->size;
        return true;
    case 24:
        *out = m->rss / LULL_PAGE;
        return true;
    case 28:
        *out = p->stack;
        return true;
    case 26: /* code, data, brk, arguments: as to somebody without the right to look */
    case 27:
    case 29:
    case 30:
    case 35:
    case 45:
    case 46:
    case 47:
    case 48:
    case 49:
    case 50:
    case 51:
        *out = 0;
        return true;
    case 31:
        *out = p->sigpnd & 0x7fffffff;
        return true;
    case 32:
        *out = p->sigblk & 0x7fffffff;
        return true;
    case 33:
        *out = p->sigign & 0x7fffffff;
        return true;
    case 34:
        *out = p->sigcgt & 0x7fffffff;
        return true;
    default:
        return false;
    }
}

static bool put_stat(const struct call *c, const struct lull_proc *p, char state, int fd,
                     struct text *out)
{
    struct text real = {0};
    struct view_memory memory;
    if (!view_memory(c, &memory))
        return false;
    char *save = NULL, *rest = view_read(fd, &real) == 0 ? strrchr(real.p, ')') : NULL;
    unsigned n = 3;
    bool ok = rest != NULL;
    if (ok)
        text_printf(out, "%u (%.15s)", p->tid, p->main_comm);
    for (char *f = ok ? strtok_r(rest + 1, " \n", &save) : NULL; f;
         f = strtok_r(NULL, " \n", &save), n++) {
        uint64_t value;
        if (n == 3)
            text_printf(out, " %c", state);
        else if (stat_field(c->env->view, p, &memory, n, &value))
            text_printf(out, " %lu", value);
        else
            text_printf(out, " %s", f);
    }
    text_add(out, "\n", 1);
    text_free(&real);
    return ok;
}

static void put_limit(struct text *out, uint64_t value)
{
    if (value == LULL_UNLIMITED)
        text_printf(out, "%-20s ", "unlimited");
    else
        text_printf(out, "%-20lu ", value);
}

/* Linux's lines, with the isle's values of the limits that it keeps. */
static bool put_limits(const struct call *c, int fd, struct text *out)
{
    static const struct {
        const char *name, *unit;
        unsigned at;
    } kept[] = {{"Max cpu time", "seconds", LULL_LIMIT_CPU},
                {"Max file size", "bytes", LULL_LIMIT_FSIZE},
                {"Max data size", "bytes", LULL_LIMIT_DATA},
                {"Max stack size", "bytes", LULL_LIMIT_STACK},
                {"Max processes", "processes", LULL_LIMIT_NPROC},
                {"Max open files", "files", RLIMIT_NOFILE},
                {"Max address space", "bytes", LULL_LIMIT_AS}};
    struct text real = {0};
    struct lull_limits l;
    bool ok = c->env->limits && view_read(fd, &real) == 0;
    if (ok)
        memcpy(&l, c->env->limits, sizeof l);
    struct rlimit files;
    ownfd_limit(&files);
    l.of[RLIMIT_NOFILE].cur = files.rlim_cur;
    l.of[RLIMIT_NOFILE].max = files.rlim_max;
    for (char *line = ok ? real.p : NULL, *end; line && (end = strchr(line, '\n'));
         line = end + 1) {
        size_t i = 0;
        while (i < sizeof kept / sizeof *kept && strncmp(line, kept[i].name, strlen(kept[i].name)))
            i++;
        if (i == sizeof kept / sizeof *kept) {
            text_add(out, line, (size_t)(end + 1 - line));
            continue;
        }
        text_printf(out, "%-25s ", kept[i].name);
        put_limit(out, l.of[kept[i].at].cur);
        put_limit(out, l.of[kept[i].at].max);
        text_printf(out, "%-10s\n", kept[i].unit);
    }
    text_free(&real);
    return ok;
}

/* The line with this name in Linux's file "sched" is the isle's own. */
static bool put_sched_line(const struct lull_proc *p, const char *key, size_t n, struct text *out)
{
    const struct {
        const char *name;
        uint64_t value;
        bool is_time;
    } own[] = {{"se.sum_exec_runtime", p->cpu_ns, true},
               {"nr_switches", p->thread_nvcsw + p->thread_nivcsw, false},
               {"nr_voluntary_switches", p->thread_nvcsw, false},
               {"nr_involuntary_switches", p->thread_nivcsw, false}};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (n != strlen(own[i].name) || memcmp(key, own[i].name, n))
            continue;
        if (own[i].is_time)
            text_printf(out, "%-45s:%14lu.%06lu\n", own[i].name, own[i].value / 1000000,
                        own[i].value % 1000000);
        else
            text_printf(out, "%-45s:%21lu\n", own[i].name, own[i].value);
        return true;
    }
    return false;
}

static bool put_sched(const struct lull_proc *p, int fd, struct text *out)
{
    struct text real = {0};
    bool ok = view_read(fd, &real) == 0;
    for (char *line = ok ? real.p : NULL, *end; line && (end = strchr(line, '\n'));
         line = end + 1) {
        if (line == real.p)
            text_printf(out, "%.15s (%u, #threads: %u)\n", p->main_comm, p->tid, p->threads);
        else if (!put_sched_line(p, line, strcspn(line, " :"), out))
            text_add(out, line, (size_t)(end + 1 - line));
    }
    text_free(&real);
    return ok;
}

/* What Linux tells of a thread that runs. */
static bool put_sched_file(const struct lull_proc *p, const char *name, int fd, struct text *out)
{
    if (!strcmp(name, "sched"))
        return put_sched(p, fd, out);
    if (!strcmp(name, "schedstat")) {
        text_printf(out, "%lu 0 %lu\n", p->cpu_ns, p->thread_nvcsw + p->thread_nivcsw);
        return true;
    }
    if (!strcmp(name, "wchan")) {
        text_add(out, "0", 1);
        return true;
    }
    if (!strcmp(name, "syscall")) {
        text_printf(out, "running\n");
        return true;
    }
    if (!strcmp(name, "timerslack_ns")) {
        text_printf(out, "%lu\n", p->slack);
        return true;
    }
    return false;
}

static void put_strings(char *const *s, int n, struct text *out)
{
    for (int i = 0; n < 0 ? s[i] != NULL : i < n; i++)
        text_add(out, s[i], strlen(s[i]) + 1);
}

bool view_proc_self(const struct call *c, int fd, const char *name, struct text *out)
{
    const struct view *v = c->env->view;
    struct lull_proc p;
    memcpy(&p, v->proc, sizeof p);
    text_add(out, "", 0); /* a file may be empty */
    char state = view_as_thread(c, &p);
    if (!strcmp(name, "maps")) {
        out->kind = VIEW_COPY_MAPS;
        return view_each_map(c, NULL, NULL, out);
    }
    if (!strcmp(name, "status"))
        return put_status(c, &p, state, fd, out);
    if (!strcmp(name, "stat"))
        return put_stat(c, &p, state, fd, out);
    if (!strcmp(name, "statm")) {
        struct view_memory memory;
        bool ok = view_memory(c, &memory);
        view_statm(&memory, out);
        return ok;
    }
    if (!strcmp(name, "pagemap")) { /* 8 bytes a page */
        out->zeroes = VIEW_PAGEMAP_BYTES;
        out->maps = view_maps(v, &out->nmaps);
        for (uint32_t i = 0; out->maps && i < out->nmaps; i++) {
            struct lull_map *m = &out->maps[i];
            if (!view_map_sane(m) || !call_mem(c, m->start, m->end - m->start))
                m->end = m->start; /* nothing of the proxy's own */
        }
        return out->maps != NULL;
    }
    if (!strcmp(name, "io"))
        return view_io(fd, out);
    if (!strcmp(name, "numa_maps"))
        return view_numa_maps(c, out);
    if (!strncmp(name, "smaps", 5))
        return view_smaps(c, name, out);
    if (!strcmp(name, "auxv")) {
        size_t n = 0;
        while (n + 2 < 2 * LULL_AUXV_MAX && p.auxv[n])
            n += 2;
        text_add(out, (const char *)p.auxv, (n + 2) * sizeof *p.auxv);
        return true;
    }
    if (!strcmp(name, "cmdline")) {
        put_strings(v->argv, v->argc, out);
        return true;
    }
    if (!strcmp(name, "environ")) {
        put_strings(v->envp, -1, out);
        return true;
    }
    if (!strcmp(name, "limits"))
        return put_limits(c, fd, out);
    if (!strcmp(name, "comm")) {
        text_printf(out, "%.15s\n", p.main_comm);
        return true;
    }
    return put_sched_file(&p, name, fd, out);
}

/* ---- the machine ---- */

/* Blocks of cpuinfo, each up to an empty line, that begin with the processor's number. */
static void cpuinfo_filter(const struct view *v, char *text, struct text *out)
{
    while (*text) {
        char *end = strstr(text, "\n\n");
        size_t len = end ? (size_t)(end + 2 - text) : strlen(text);
        unsigned cpu;
        if (sscanf(text, "processor : %u", &cpu) != 1 || view_has_cpu(v, cpu))
            text_add(out, text, len);
        text += len;
    }
}

static void meminfo_filter(const struct view *v, char *text, struct text *out)
{
    uint64_t limit = v->mem_limit >> 10, used = resident(v) >> 10,
             left = limit > used ? limit - used : 0;
    while (*text) {
        char *end = strchr(text, '\n'), name[32] = "";
        unsigned long kb;
        size_t len = end ? (size_t)(end + 1 - text) : strlen(text);
        bool total = false, bounded = false;
        if (sscanf(text, "%30[A-Za-z]: %lu kB", name, &kb) == 2) {
            total = !strcmp(name, "MemTotal");
            bounded = total || !strcmp(name, "MemFree") || !strcmp(name, "MemAvailable");
        }
        if (bounded) {
            uint64_t most = total ? limit : left;
            strcat(name, ":");
            text_printf(out, "%-16s%8lu kB\n", name, kb > most ? most : kb);
        } else {
            text_add(out, text, len);
        }
        text += len;
    }
}

bool view_proc(const struct call *c, int fd, const char *name, struct text *out)
{
    const struct view *v = c->env->view;
    bool cpus = !strcmp(name, "cpuinfo"), memory = !strcmp(name, "meminfo");
    struct text real = {0};
    bool ok = (cpus || memory) && view_read(fd, &real) == 0;
    if (ok && cpus)
        cpuinfo_filter(v, real.p, out);
    else if (ok)
        meminfo_filter(v, real.p, out);
    text_free(&real);
    return ok;
}
