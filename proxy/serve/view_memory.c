/* SPDX-License-Identifier: MIT */
/*
 * How much memory the program has: status, statm and getrusage(2), counted from the isle's table of
 * mappings, because Linux counts the proxy's. Most memory of an isle is there from the moment it is
 * mapped; of the rest Linux says what is resident. Also numa_maps.
 */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "serve/call.h"
#include "serve/mapped.h"
#include "serve/view.h"

#define STACK_SHOWN                                                                                \
    (33 * LULL_PAGE) /* what Linux maps of a stack before the program needs more                   \
                      */
#define QUICK_MAPS 1024u
#define STEP (16ul << 20) /* bytes that Linux is asked about at once */

static _Atomic uint64_t highest; /* bytes: the most that was seen resident */

void view_memory_forked(void)
{
    highest = 0;
}

/* Bytes of a private window of a file that the process has, and the file's own among them.
   mincore(2) would tell which pages of the file are in memory. */
static uint64_t present(uint64_t start, uint64_t end, uint64_t *of_file)
{
    static _Thread_local uint64_t entry[512];
    static const char path[] = "/proc/self/pagemap";
    uint64_t n = 0;
    long fd = server_syscall(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    for (uint64_t at = start; fd >= 0 && at < end;) {
        uint64_t pages = (end - at) / LULL_PAGE;
        pages = pages < 512 ? pages : 512;
        long got = server_syscall(SYS_pread64, fd, (long)entry, (long)(pages * 8),
                                  (long)(at / LULL_PAGE * 8));
        if (got < 8)
            break;
        for (long i = 0; i < got / 8; i++) {
            n += entry[i] >> 63 ? LULL_PAGE : 0;
            *of_file += entry[i] >> 63 && entry[i] >> 61 & 1 ? LULL_PAGE : 0;
        }
        at += (uint64_t)got / 8 * LULL_PAGE;
    }
    if (fd >= 0)
        server_syscall(SYS_close, fd, 0, 0, 0);
    return n;
}

static bool is_private_file(const struct lull_map *m)
{
    return m->file && m->flags & LULL_MAP_WINDOW && m->flags & LULL_MAP_PRIVATE;
}

uint64_t view_resident(const struct lull_map *m)
{
    static _Thread_local unsigned char page[STEP / LULL_PAGE];
    uint64_t n = 0;
    if (!m->prot || LULL_MAP_PAGE(m->flags))
        return 0;
    if (is_private_file(m))
        return present(m->start, m->end, &n);
    for (uint64_t at = m->start; at < m->end; at += STEP) {
        uint64_t len = m->end - at < STEP ? m->end - at : STEP;
        if (server_syscall(SYS_mincore, (long)at, (long)len, (long)page, 0) < 0)
            continue;
        for (uint64_t i = 0; i < len / LULL_PAGE; i++)
            n += page[i] & 1 ? LULL_PAGE : 0;
    }
    return n;
}

void view_huge_pages(uint64_t start, uint64_t end, uint64_t *shared, uint64_t *private)
{
    static const char path[] = "/proc/self/smaps";
    struct text real = {0};
    bool here = false;
    long fd = server_syscall(SYS_open, (long)path, O_RDONLY | O_CLOEXEC, 0, 0);
    bool ok = fd >= 0 && view_read((int)fd, &real) == 0;
    for (char *line = ok ? real.p : NULL; line && *line; line += *line == '\n') {
        unsigned long from, to, kb;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = from >= start && to <= end;
        else if (here && sscanf(line, "Shared_Hugetlb: %lu kB", &kb) == 1)
            *shared += kb << 10;
        else if (here && sscanf(line, "Private_Hugetlb: %lu kB", &kb) == 1)
            *private += kb << 10;
        line += strcspn(line, "\n");
    }
    if (fd >= 0)
        server_syscall(SYS_close, fd, 0, 0, 0);
    text_free(&real);
}

/* A window of memory that is no file of a disk's. */
static bool is_shmem(const struct call *c, const struct lull_map *m)
{
    struct mapped_file f;
    if (!m->file || m->flags & LULL_MAP_SHM || !c->env->mapped ||
        mapped_get(c->env->mapped, m->file, &f))
        return true;
    bool shmem = !strncmp(f.path, "/memfd:", 7) || !strncmp(f.path, "/dev/shm/", 9);
    free(f.path);
    return shmem;
}

static void add_resident(const struct call *c, const struct lull_map *m, struct view_memory *out,
                         uint64_t *touched)
{
    if (lull_map_filled(m)) {
        bool file = m->file && !(m->prot & LULL_PROT_WRITE);
        *(file ? &out->file : &out->anon) += m->end - m->start;
        return;
    }
    if (m->flags & (LULL_MAP_STUBS | LULL_MAP_BEYOND))
        return;
    if (m->prot && is_private_file(m)) {
        uint64_t file = 0, all = present(m->start, m->end, &file);
        out->file += file;
        out->anon += all - file;
        *touched += all - file;
        return;
    }
    uint64_t bytes = view_resident(m);
    if (!lull_map_shared(m)) {
        out->anon += bytes;
        *touched += bytes;
    } else {
        *(is_shmem(c, m) ? &out->shmem : &out->file) += bytes;
    }
}

static void add_sizes(const struct lull_map *m, struct view_memory *out)
{
    uint64_t len = m->end - m->start;
    bool program = m->file == LULL_FILE_PROGRAM;
    if (!lull_map_counts(m))
        return;
    out->size += len;
    if (!lull_map_shared(m) && m->prot & LULL_PROT_WRITE)
        out->data += len;
    if (m->prot & LULL_PROT_EXEC && !(m->prot & LULL_PROT_WRITE))
        *(program ? &out->text : &out->lib) += len;
}

bool view_memory(const struct call *c, struct view_memory *out)
{
    const struct view *v = c->env->view;
    uint64_t size_peak = __atomic_load_n(&v->maps->size_peak, __ATOMIC_RELAXED),
             filled_peak = __atomic_load_n(&v->maps->filled_peak, __ATOMIC_RELAXED), touched = 0,
             vdso = ((v->vdso_size + LULL_PAGE - 1) & ~(LULL_PAGE - 1)) + LULL_PAGE, last = 0;
    uint32_t n = 0;
    struct lull_map *m = view_maps(v, &n);
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; m && i < n; i++) {
        if (!view_map_sane(&m[i]))
            continue;
        add_sizes(&m[i], out);
        add_resident(c, &m[i], out, &touched);
        if (LULL_MAP_PAGE(m[i].flags))
            view_huge_pages(m[i].start, m[i].end, &out->huge, &out->huge);
        /* pages of tables that such a program has: one for each 2 MiB it maps something of */
        uint64_t first = m[i].start / LULL_HUGE, end = (m[i].end - 1) / LULL_HUGE;
        out->tables += (end - first + (first != last)) * LULL_PAGE;
        last = end;
    }
    out->stack = STACK_SHOWN;
    out->size += out->stack + vdso;
    out->lib += vdso - LULL_PAGE;
    out->peak =
        size_peak + out->stack + vdso > out->size ? size_peak + out->stack + vdso : out->size;
    out->rss = out->anon + out->file + out->shmem;
    out->locked = __atomic_load_n(&v->maps->locked, __ATOMIC_RELAXED);
    out->highest = filled_peak + touched > out->rss ? filled_peak + touched : out->rss;
    uint64_t before = highest;
    while (before < out->highest &&
           !__atomic_compare_exchange_n((uint64_t *)&highest, &before, out->highest, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    out->highest = before > out->highest ? before : out->highest;
    free(m);
    return m != NULL;
}

bool view_memory_is_quick(const struct view *v)
{
    uint32_t n = __atomic_load_n(&v->maps->count, __ATOMIC_RELAXED);
    uint64_t asked = 0;
    if (n > QUICK_MAPS)
        return false;
    struct lull_map *m = view_maps(v, &n);
    for (uint32_t i = 0; m && i < n; i++)
        if (view_map_sane(&m[i]) && m[i].prot && !lull_map_filled(&m[i]))
            asked += m[i].end - m[i].start;
    free(m);
    return m && asked <= STEP;
}

bool view_status_memory(const struct view_memory *m, const char *key, size_t n, struct text *out)
{
    const struct {
        const char *name;
        uint64_t bytes;
    } line[] = {{"VmPeak", m->peak},   {"VmSize", m->size},      {"VmLck", m->locked},
                {"VmHWM", m->highest}, {"VmRSS", m->rss},        {"RssAnon", m->anon},
                {"RssFile", m->file},  {"RssShmem", m->shmem},   {"VmData", m->data},
                {"VmStk", m->stack},   {"VmExe", m->text},       {"VmLib", m->lib},
                {"VmPTE", m->tables},  {"HugetlbPages", m->huge}};
    for (size_t i = 0; i < sizeof line / sizeof *line; i++) {
        if (n != strlen(line[i].name) || memcmp(key, line[i].name, n))
            continue;
        text_printf(out, "%s:\t%8lu kB\n", line[i].name, line[i].bytes >> 10);
        return true;
    }
    return false;
}

void view_statm(const struct view_memory *m, struct text *out)
{
    text_printf(out, "%lu %lu %lu %lu 0 %lu 0\n", m->size / LULL_PAGE, m->rss / LULL_PAGE,
                (m->file + m->shmem) / LULL_PAGE, m->text / LULL_PAGE,
                (m->data + m->stack) / LULL_PAGE);
}

/* ---- numa_maps ---- */

#define NODES_SHOWN 64

/* Pages of each node, by the first page of each 2 MiB. */
static void count_nodes(const struct lull_map *m, uint64_t pages, uint64_t node[NODES_SHOWN])
{
    uint64_t seen = 0, of[NODES_SHOWN] = {0};
    for (uint64_t at = m->start; at < m->end; at = (at & ~(LULL_HUGE - 1)) + LULL_HUGE) {
        void *page = (void *)at;
        int status = -1;
        long arg[6] = {0, 1, (long)&page, 0, (long)&status, 0};
        if (server_syscall6(SYS_move_pages, arg) || status < 0 || status >= NODES_SHOWN)
            continue;
        of[status]++;
        seen++;
    }
    for (unsigned i = 0; seen && i < NODES_SHOWN; i++)
        node[i] = (pages * of[i] + seen - 1) / seen;
}

static void put_policy(const struct lull_map *m, struct text *out)
{
    static const char *const names[] = {
        "default", "prefer", "bind", "interleave", "local", "prefer (many)", "weighted interleave"};
    unsigned long nodes[16] = {0};
    int mode = 0;
    long arg[6] = {(long)&mode, (long)nodes, sizeof nodes * 8, (long)m->start, MPOL_F_ADDR, 0};
    mode = m->policy && server_syscall6(SYS_get_mempolicy, arg) == 0 ? mode & 0xff : 0;
    text_printf(out, "%08lx %s", m->start,
                (size_t)mode < sizeof names / sizeof *names ? names[mode] : names[0]);
    const char *sep = ":";
    for (unsigned i = 0; mode && mode != MPOL_LOCAL && i < sizeof nodes * 8; i++) {
        if (!(nodes[i / 64] >> (i % 64) & 1))
            continue;
        unsigned to = i;
        while (to + 1 < sizeof nodes * 8 && nodes[(to + 1) / 64] >> ((to + 1) % 64) & 1)
            to++;
        text_printf(out, to > i ? "%s%u-%u" : "%s%u", sep, i, to);
        sep = ",";
        i = to;
    }
}

static void put_numa(const struct call *c, const struct lull_map *m, struct text *out)
{
    struct mapped_file f;
    uint64_t page = LULL_MAP_PAGE(m->flags) ? 1ul << LULL_MAP_PAGE(m->flags) : LULL_PAGE;
    uint64_t bytes = 0, node[NODES_SHOWN] = {0};
    put_policy(m, out);
    if (m->file && c->env->mapped && mapped_get(c->env->mapped, m->file, &f) == 0) {
        text_printf(out, " file=%.400s", f.path);
        free(f.path);
    } else if (m->flags & LULL_MAP_HEAP) {
        text_printf(out, " heap");
    } else if (m->flags & LULL_MAP_MAIN && m->prot) {
        text_printf(out, " stack");
    }
    if (page != LULL_PAGE) {
        text_printf(out, " huge");
        view_huge_pages(m->start, m->end, &bytes, &bytes);
    } else {
        bytes = lull_map_filled(m) ? m->end - m->start : view_resident(m);
    }
    bool file = m->file && !(m->prot & LULL_PROT_WRITE);
    if (bytes && file)
        text_printf(out, " mapped=%lu", bytes / page);
    else if (bytes)
        text_printf(out, " anon=%lu dirty=%lu", bytes / page, bytes / page);
    if (bytes)
        count_nodes(m, bytes / page, node);
    for (unsigned i = 0; i < NODES_SHOWN; i++)
        if (node[i])
            text_printf(out, " N%u=%lu", i, node[i]);
    if (bytes)
        text_printf(out, " kernelpagesize_kB=%lu", page >> 10);
    text_add(out, "\n", 1);
}

bool view_numa_maps(const struct call *c, struct text *out)
{
    uint32_t n = 0;
    struct lull_map *m = view_maps(c->env->view, &n);
    for (uint32_t i = 0; m && i < n; i++)
        if (view_map_sane(&m[i]) && !(m[i].flags & LULL_MAP_HOLD))
            put_numa(c, &m[i], out);
    free(m);
    return m != NULL;
}
