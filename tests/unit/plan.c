/* SPDX-License-Identifier: MIT */
/*
 * Plans for machines that this one is not. tests/topologies/plans is the table:
 *   machine FILE.xml | SYNTHETIC          those that follow are for this one
 *   plan [VARIABLE=VALUE ...] [allowed=LIST] [busy=LIST] [OPTIONS]
 *   = what is expected, in the words of plan_text(), or "refused: " and a part of the message
 * UNIT_PRINT=1 prints what is, for the eye to check and the hand to copy.
 */
#include "unit.h"

#include "carve/machine.h"
#include "message.h"

#define WORDS 32

static unsigned failures, machines, plans;

static void set_text(const cpu_set_t *set, char *text, size_t size)
{
    hwloc_bitmap_t b = hwloc_bitmap_alloc();
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set))
            hwloc_bitmap_set(b, i);
    hwloc_bitmap_list_snprintf(text, size, b);
    hwloc_bitmap_free(b);
}

/* "4 5 | linux 0-3 | idle 6-7 | mem 1:900 | shares": cores in the isle's order, memory in MiB. */
static void plan_text(const struct carve_plan *p, char *text, size_t size)
{
    char set[2048];
    size_t n = 0;
    for (unsigned i = 0; i < p->ncores; i++) {
        unsigned run = i;
        while (run + 1 < p->ncores && p->cpu[run + 1] == p->cpu[run] + 1)
            run++;
        n += (size_t)snprintf(text + n, size - n, "%s%u", i > 0 ? " " : "", p->cpu[i]);
        if (run > i + 1) {
            n += (size_t)snprintf(text + n, size - n, "-%u", p->cpu[run]);
            i = run;
        }
    }
    set_text(&p->linux_cpus, set, sizeof set);
    n += (size_t)snprintf(text + n, size - n, " | linux %s", *set ? set : "none");
    set_text(&p->idle_cpus, set, sizeof set);
    if (*set)
        n += (size_t)snprintf(text + n, size - n, " | idle %s", set);
    n += (size_t)snprintf(text + n, size - n, " | mem");
    for (unsigned i = 0; i < p->nmemory; i++)
        n += (size_t)snprintf(text + n, size - n, " %u:%llu", p->memory[i].node,
                              (unsigned long long)(p->memory[i].bytes >> 20));
    if (p->shares)
        snprintf(text + n, size - n, " | shares");
}

static bool apart(const cpu_set_t *a, const cpu_set_t *b)
{
    cpu_set_t both;
    CPU_AND(&both, a, b);
    return CPU_COUNT(&both) == 0;
}

/* What holds for every plan. */
static void check_always(const struct machine *m, const struct carve_plan *p)
{
    uint64_t sum = 0;
    assert_true(p->ncores >= 1);
    assert_int_equal(CPU_COUNT(&p->isle_cpus), p->ncores);
    assert_true(apart(&p->isle_cpus, &p->linux_cpus));
    assert_true(apart(&p->isle_cpus, &p->idle_cpus));
    assert_true(apart(&p->linux_cpus, &p->idle_cpus));
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &p->isle_cpus) || CPU_ISSET(i, &p->linux_cpus) ||
            CPU_ISSET(i, &p->idle_cpus))
            assert_true(hwloc_bitmap_isset(m->allowed, i));
    for (unsigned i = 0; i < p->ncores; i++) {
        bool bound = p->nmemory == 0;
        for (unsigned k = 0; k < p->nmemory; k++)
            bound = bound || p->memory[k].node == p->mem_node[i];
        assert_true(bound);
    }
    for (unsigned k = 0; k < p->nmemory; k++) {
        sum += p->memory[k].bytes;
        assert_true(p->memory[k].bytes > 0 && p->memory[k].bytes % LULL_HUGE == 0);
    }
    assert_int_equal(sum, p->nmemory > 0 ? p->mem : 0);
}

/* What each rank finds out for itself is what is drawn of it. */
static void check_ranks(const struct options *o, const struct machine *m, const cpu_set_t *busy,
                        const struct carve_plan *mine)
{
    struct carve_plan *all;
    unsigned ranks, me;
    assert_int_equal(carve_plan_all(o, m, busy, &all, &ranks, &me), 0);
    assert_true(me < ranks);
    assert_memory_equal(&all[me].cpu, mine->cpu, mine->ncores * sizeof mine->cpu[0]);
    assert_int_equal(all[me].mem, mine->mem);
    for (unsigned a = 0; a < ranks; a++) {
        check_always(m, &all[a]);
        for (unsigned b = 0; b < a && !all[a].shares; b++)
            assert_true(apart(&all[a].isle_cpus, &all[b].isle_cpus));
    }
    free(all);
}

struct one {
    char text[512];
    char *argv[WORDS + 2], *variable[WORDS];
    int argc, nvariables;
    hwloc_bitmap_t allowed;
    cpu_set_t busy;
    bool any_busy;
};

static void read_one(struct one *o, const char *line)
{
    *o = (struct one){.argv = {"lull", "plan"}, .argc = 2, .allowed = NULL};
    snprintf(o->text, sizeof o->text, "%s", line);
    hwloc_bitmap_t busy = hwloc_bitmap_alloc();
    for (char *save, *w = strtok_r(o->text, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
        char *equal = strchr(w, '=');
        if (strncmp(w, "allowed=", 8) == 0) {
            o->allowed = hwloc_bitmap_alloc();
            assert_int_equal(hwloc_bitmap_list_sscanf(o->allowed, w + 8), 0);
        } else if (strncmp(w, "busy=", 5) == 0) {
            assert_int_equal(hwloc_bitmap_list_sscanf(busy, w + 5), 0);
        } else if (equal && w[0] != '-') {
            *equal = '\0';
            setenv(w, equal + 1, 1);
            o->variable[o->nvariables++] = w;
        } else {
            assert_true(o->argc < WORDS);
            o->argv[o->argc++] = w;
        }
    }
    o->any_busy = !hwloc_bitmap_iszero(busy);
    for (unsigned i = 0; i < CPU_SETSIZE; i++)
        if (hwloc_bitmap_isset(busy, i))
            CPU_SET(i, &o->busy);
    hwloc_bitmap_free(busy);
}

static void free_one(struct one *o)
{
    for (int i = 0; i < o->nvariables; i++)
        unsetenv(o->variable[i]);
    hwloc_bitmap_free(o->allowed);
}

/* What comes of one line, as text. */
static void make_plan(struct machine *m, const char *line, char *text, size_t size)
{
    struct one one;
    struct options opt;
    struct carve_plan p;
    struct unit_stderr e;
    hwloc_bitmap_t all = m->allowed;
    read_one(&one, line);
    if (one.allowed)
        m->allowed = one.allowed;
    unit_catch(&e);
    int rc = options_parse(one.argc, one.argv, &opt);
    const cpu_set_t *busy = one.any_busy ? &one.busy : NULL;
    if (rc == 0)
        rc = carve_plan_on(&opt, m, busy, &p);
    const char *said = unit_caught(&e);
    if (rc == 0) {
        check_always(m, &p);
        check_ranks(&opt, m, busy, &p);
        plan_text(&p, text, size);
    } else {
        if (*said) /* else another rank says it */
            unit_one_line(said, "");
        said = *said ? said + 6 : "silently";
        snprintf(text, size, "refused: %.*s", (int)strcspn(said, "\n"), said);
    }
    m->allowed = all;
    free_one(&one);
}

static void compare(unsigned number, const char *line, const char *is, const char *expected)
{
    bool refused = strncmp(expected, "refused: ", 9) == 0 && strncmp(is, expected, 9) == 0;
    if (refused ? strstr(is, expected + 9) != NULL : strcmp(is, expected) == 0)
        return;
    failures++;
    fprintf(stderr, "plans:%u: %s\n  expected %s\n  is       %s\n", number, line, expected, is);
}

static void read_machine(struct machine *m, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s%s%s", strchr(name, ':') ? "" : UNIT_TOPOLOGIES,
             strchr(name, ':') ? "" : "/", name);
    if (machine_read_text(m, path) != 0)
        fail_msg("%s", name);
    machines++;
}

static void test_table(void **state)
{
    (void)state;
    struct machine m = {.topology = NULL};
    char *line = NULL, plan[512] = "", text[16384] = "";
    size_t size = 0;
    unsigned number = 0;
    FILE *f = fopen(UNIT_TOPOLOGIES "/plans", "re");
    assert_non_null(f);
    while (getline(&line, &size, f) >= 0) {
        number++;
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "machine ", 8) == 0) {
            if (m.topology)
                machine_free(&m);
            read_machine(&m, line + 8);
        } else if (strncmp(line, "plan", 4) == 0) {
            assert_true(m.topology && !*plan);
            snprintf(plan, sizeof plan, "%s", line);
            make_plan(&m, plan + 4, text, sizeof text);
            if (getenv("UNIT_PRINT"))
                fprintf(stderr, "%s\n= %s\n", plan, text);
        } else if (strncmp(line, "= ", 2) == 0) {
            compare(number, plan, text, line + 2);
            plans++;
            *plan = '\0';
        } else {
            assert_true(*line == '\0' || *line == '#');
        }
    }
    free(line);
    fclose(f);
    if (m.topology)
        machine_free(&m);
    print_message("%u plans on %u machines, %u wrong\n", plans, machines, failures);
    assert_int_equal(failures, 0);
    assert_true(machines >= 20 && plans >= 50);
}

/* This machine's own reader, on a made-up /proc and /sys: two nodes in one package. */
static void test_nodes_of_a_package(void **state)
{
    (void)state;
    char *root = unit_tempdir(), path[128], text[256] = "";
    struct machine m;
    unit_write_text(root, "proc/meminfo", "MemTotal: 8000000 kB\n", 0644);
    unit_write_text(root, "sys/devices/system/cpu/online", "0-3\n", 0644);
    unit_write_text(root, "sys/devices/system/cpu/possible", "0-3\n", 0644);
    unit_write_text(root, "sys/devices/system/node/online", "0-1\n", 0644);
    unit_write_text(root, "sys/devices/system/node/possible", "0-1\n", 0644);
    for (unsigned c = 0; c < 4; c++) {
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "processor\t: %u\nphysical id\t: 0\n\n", c);
        snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%u/topology/core_cpus", c);
        char one[16];
        snprintf(one, sizeof one, "%x\n", 1u << c);
        unit_write_text(root, path, one, 0644);
        snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%u/topology/package_cpus", c);
        unit_write_text(root, path, "f\n", 0644);
    }
    unit_write_text(root, "proc/cpuinfo", text, 0644);
    for (unsigned n = 0; n < 2; n++) {
        snprintf(path, sizeof path, "sys/devices/system/node/node%u/cpumap", n);
        unit_write_text(root, path, n ? "c\n" : "3\n", 0644);
        snprintf(path, sizeof path, "sys/devices/system/node/node%u/meminfo", n);
        snprintf(text, sizeof text, "Node %u MemTotal: 4000000 kB\n", n);
        unit_write_text(root, path, text, 0644);
    }
    setenv("HWLOC_FSROOT", root, 1);
    setenv("HWLOC_THISSYSTEM", "0", 1);
    int rc = machine_read(&m);
    unsetenv("HWLOC_FSROOT");
    unsetenv("HWLOC_THISSYSTEM");
    assert_int_equal(rc, 0);
    assert_int_equal(m.nnodes, 2);
    for (unsigned c = 0; c < 4; c++)
        assert_int_equal(machine_node_of(m.topology, c)->os_index, c / 2);
    assert_int_equal(m.node[1].bytes, 4000000ull << 10);
    machine_free(&m);
    unit_remove(root);
}

static void expect_kinds(hwloc_topology_t t, const char *expected)
{
    struct machine_kind kinds[MACHINE_KINDS_MAX];
    char text[256] = "", set[64];
    unsigned n = machine_kinds(t, kinds);
    for (unsigned i = 0; i < n; i++) {
        hwloc_bitmap_list_snprintf(set, sizeof set, kinds[i].cpus);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s %s", i ? ", " : "",
                 kinds[i].name, set);
    }
    machine_kinds_free(kinds, n);
    assert_string_equal(text, expected);
}

static hwloc_topology_t eight_cpus(const char *root)
{
    hwloc_topology_t t;
    assert_int_equal(hwloc_topology_init(&t), 0);
    assert_int_equal(hwloc_topology_set_synthetic(t, "core:8 pu:1"), 0);
    assert_int_equal(hwloc_topology_load(t), 0);
    machine_add_kinds(t, root);
    return t;
}

/* What Linux says of P-cores and E-cores. */
static void test_kinds(void **state)
{
    (void)state;
    char *root = unit_tempdir(), path[64];
    hwloc_topology_t t = eight_cpus(root);
    expect_kinds(t, "");
    hwloc_topology_destroy(t);
    for (unsigned c = 0; c < 8; c++) {
        snprintf(path, sizeof path, "sys/devices/system/cpu/cpu%u/cpu_capacity", c);
        unit_write_text(root, path, c < 6 ? "512\n" : "1024\n", 0644);
    }
    t = eight_cpus(root);
    expect_kinds(t, "capacity 1024 6-7, capacity 512 0-5");
    hwloc_topology_destroy(t);
    unit_write_text(root, "sys/devices/cpu_core/cpus", "0-3\n", 0644);
    unit_write_text(root, "sys/devices/cpu_atom/cpus", "4-7\n", 0644);
    t = eight_cpus(root);
    expect_kinds(t, "P-core 0-3, E-core 4-7");
    hwloc_topology_destroy(t);
    unit_write_text(root, "sys/devices/cpu_atom/cpus", "4-5\n", 0644);
    unit_write_text(root, "sys/devices/cpu_lowpower/cpus", "6-7\n", 0644);
    t = eight_cpus(root);
    expect_kinds(t, "P-core 0-3, E-core 4-5, LP E-core 6-7");
    hwloc_topology_destroy(t);
    unit_remove(root);
}

int main(void)
{
    for (char **e = environ; *e;) { /* nothing of the caller's decides */
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        bool ours = strncmp(name, "SLURM_", 6) == 0 || strncmp(name, "LULL_", 5) == 0 ||
                    strncmp(name, "MPI_", 4) == 0 || strncmp(name, "PMI", 3) == 0 ||
                    strncmp(name, "OMP", 3) == 0;
        if (ours && unsetenv(name) == 0)
            e = environ;
        else
            e++;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_nodes_of_a_package),
        cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
