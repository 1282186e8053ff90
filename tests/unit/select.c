/* SPDX-License-Identifier: MIT */
/* Which cores are chosen, on machines that hwloc makes up. */
#include "unit.h"

#include "carve/select.h"

static hwloc_topology_t topology;
static struct carve_plan plan;
static struct select_detail detail;
static const char *nodes; /* as --nodes; NULL: one */
static bool smt, oversubscribe;

static void machine(const char *description)
{
    nodes = NULL;
    smt = oversubscribe = false;
    if (topology)
        hwloc_topology_destroy(topology);
    assert_int_equal(hwloc_topology_init(&topology), 0);
    assert_int_equal(hwloc_topology_set_synthetic(topology, description), 0);
    assert_int_equal(hwloc_topology_load(topology), 0);
}

static int teardown(void **state)
{
    (void)state;
    if (topology)
        hwloc_topology_destroy(topology);
    topology = NULL;
    return 0;
}

/* allowed: "0-3,8", NULL: all. cpus: as --cpus, NULL: default. */
static enum select_verdict run(const char *allowed, const char *cpus, unsigned rank, unsigned ranks,
                               bool at_most)
{
    struct select_request r = {.rank = rank, .ranks = ranks, .at_most = at_most};
    hwloc_cpuset_t set = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology));
    if (allowed)
        assert_int_equal(hwloc_bitmap_list_sscanf(set, allowed), 0);
    if (cpus)
        assert_int_equal(options_parse_cpus(cpus, &r.cpus), 0);
    if (nodes)
        assert_int_equal(options_parse_nodes(nodes, &r.nodes), 0);
    r.smt = smt;
    r.oversubscribe = oversubscribe;
    memset(&plan, 0, sizeof plan);
    enum select_verdict v = select_cores(topology, set, &r, &plan, &detail);
    hwloc_bitmap_free(set);
    return v;
}

static void cpuset_text(const cpu_set_t *set, char *text, size_t size)
{
    hwloc_bitmap_t b = hwloc_bitmap_alloc();
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, set))
            hwloc_bitmap_set(b, (unsigned)i);
    hwloc_bitmap_list_snprintf(text, size, b);
    hwloc_bitmap_free(b);
}

/* isle: the cores in their order, "4 5"; linux: as a set, "0-3". */
static void expect(const char *isle, const char *linux_cpus)
{
    char text[1024] = "", set[256];
    for (unsigned i = 0; i < plan.ncores; i++)
        sprintf(text + strlen(text), "%s%u", i > 0 ? " " : "", plan.cpu[i]);
    assert_string_equal(text, isle);
    cpuset_text(&plan.linux_cpus, set, sizeof set);
    assert_string_equal(set, linux_cpus);
    assert_int_equal(CPU_COUNT(&plan.isle_cpus), plan.ncores);
    for (unsigned i = 0; i < plan.ncores; i++)
        assert_true(CPU_ISSET(plan.cpu[i], &plan.isle_cpus));
}

static void idle(const char *cpus)
{
    char set[256];
    cpuset_text(&plan.idle_cpus, set, sizeof set);
    assert_string_equal(set, cpus);
}

static void choose(const char *cpus, const char *isle, const char *linux_cpus)
{
    assert_int_equal(run(NULL, cpus, 0, 1, false), SELECT_OK);
    expect(isle, linux_cpus);
}

static void rank_chooses(unsigned rank, unsigned ranks, const char *cpus, const char *isle,
                         const char *linux_cpus)
{
    assert_int_equal(run(NULL, cpus, rank, ranks, false), SELECT_OK);
    expect(isle, linux_cpus);
}

static void test_one_core(void **state)
{
    (void)state;
    machine("pack:1 core:1 pu:1");
    choose(NULL, "0", "");
    choose("1", "0", "");
    assert_int_equal(run(NULL, "2", 0, 1, false), SELECT_TOO_MANY);
    assert_int_equal(detail.n, 1);
}

static void test_two_cores(void **state)
{
    (void)state;
    machine("pack:1 core:2 pu:1");
    choose(NULL, "1", "0");
    choose("1", "1", "0");
    choose("2", "0 1", "");
    choose("0,", "0", "1");
    choose("1,0", "1 0", "");
}

static void test_one_core_two_threads(void **state)
{
    (void)state;
    machine("pack:1 core:1 pu:2");
    choose(NULL, "0", "1"); /* the sibling is all that Linux can have */
    assert_int_equal(run(NULL, "2", 0, 1, false), SELECT_NEED_SMT);
    assert_int_equal(detail.n, 1);
    smt = true;
    choose("2", "0 1", "");
    choose("1", "0", "1");
}

/* Siblings stay idle unless they are asked for, and Linux keeps away from siblings of the isle. */
static void test_hyperthreads(void **state)
{
    (void)state;
    machine("pack:1 l3:1 core:4 pu:2"); /* cores 01 23 45 67 */
    choose(NULL, "2 4 6", "0-1");
    choose("2", "4 6", "0-3");
    idle("5,7");
    choose("4", "0 2 4 6", "1,3,5,7");
    idle("");
    assert_int_equal(run(NULL, "5", 0, 1, false), SELECT_NEED_SMT);
    assert_int_equal(detail.n, 4);
    smt = true;
    choose("4", "4 6 5 7", "0-3");
    idle("");
    choose("5", "2 4 6 5 7", "0-1");
    idle("3");
    choose(NULL, "2 4 6 3 5 7", "0-1");
    choose("8", "0 2 4 6 1 3 5 7", "");
    assert_int_equal(run(NULL, "9", 0, 1, false), SELECT_TOO_MANY);
    assert_int_equal(detail.n, 8);
}

/* As Linux numbers most machines: first threads of all cores, then the siblings. */
static void test_interleaved_numbers(void **state)
{
    (void)state;
    machine("pack:2 core:2 pu:2(indexes=0,4,1,5,2,6,3,7)");
    choose("2", "2 3", "0-1,4-5");
    idle("6-7");
    choose("4", "0 1 2 3", "4-7");
    smt = true;
    choose("6", "1 2 3 5 6 7", "0,4");
    assert_int_equal(plan.node[0], 0);
}

/* A whole NUMA node rather than parts of two. */
static void test_numa(void **state)
{
    (void)state;
    machine("pack:2 [numa] core:4 pu:1");
    choose("4", "4 5 6 7", "0-3");
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(plan.node[i], 1);
    choose("3", "5 6 7", "0-4");
    /* one node, unless more are asked for */
    choose(NULL, "4 5 6 7", "0-3");
    assert_int_equal(run(NULL, "5", 0, 1, false), SELECT_NEED_NODES);
    assert_int_equal(detail.n, 4);
    assert_int_equal(detail.nodes, 2);
    assert_int_equal(run(NULL, "5", 0, 1, true), SELECT_NEED_NODES);
    assert_int_equal(run(NULL, "9", 0, 1, false), SELECT_TOO_MANY);
    nodes = "2";
    choose("5", "3 4 5 6 7", "0-2");
    choose(NULL, "1 2 3 4 5 6 7", "0");
    assert_int_equal(plan.node[0], 0);
    assert_int_equal(plan.node[3], 1);
    choose("3", "5 6 7", "0-4");
    nodes = "0-0";
    choose("3", "1 2 3", "0,4-7");
    choose(NULL, "0 1 2 3", "4-7");
    assert_int_equal(run(NULL, "5", 0, 1, false), SELECT_NEED_NODES);
    nodes = "0,1";
    choose(NULL, "1 2 3 4 5 6 7", "0");
    nodes = "0,2";
    assert_int_equal(run(NULL, "1", 0, 1, false), SELECT_NO_NODE);
    assert_int_equal(detail.n, 2);
    nodes = "1,";
    assert_int_equal(run("0-3", "1", 0, 1, false), SELECT_NO_NODE);
    nodes = NULL;
    /* three of the second node's cores are taken away: the first one fits */
    assert_int_equal(run("0-4", "3", 0, 1, false), SELECT_OK);
    expect("1 2 3", "0,4");
    /* the smallest node that is large enough */
    assert_int_equal(run("0-1,4-7", "2", 0, 1, false), SELECT_OK);
    expect("0 1", "4-7");
    assert_int_equal(plan.node[0], 0);
}

/* More than a node: the nodes of one package before those of two. */
static void test_nodes_of_a_package(void **state)
{
    (void)state;
    machine("pack:2 group:2 [numa] core:2 pu:1"); /* nodes 01 23 | 45 67 */
    choose(NULL, "6 7", "0-5");
    nodes = "4";
    choose("3", "5 6 7", "0-4");
    choose("4", "4 5 6 7", "0-3");
    choose("5", "3 4 5 6 7", "0-2");
    /* one core of the last node is missing: whole first package */
    assert_int_equal(run("0-6", "4", 0, 1, false), SELECT_OK);
    expect("0 1 2 3", "4-6");
    assert_int_equal(plan.node[3], 1);
}

/* Shared caches, from the last one to the nearer. */
static void test_caches(void **state)
{
    (void)state;
    machine("pack:1 [numa] l3:2 l2:2 core:2 pu:1"); /* l3: 0123 4567; l2: 01 23 45 67 */
    choose("2", "6 7", "0-5");
    choose("4", "4 5 6 7", "0-3");
    choose("5", "3 4 5 6 7", "0-2");
    /* the second l3 has three cores: two of them share an l2 */
    assert_int_equal(run("0-3,5-7", "2", 0, 1, false), SELECT_OK);
    expect("6 7", "0-3,5");
    /* one core: out of the cache that is broken already */
    assert_int_equal(run("0-3,5-7", "1", 0, 1, false), SELECT_OK);
    expect("5", "0-3,6-7");
}

static void test_many_chiplets(void **state)
{
    (void)state;
    machine("pack:2 [numa] l3:8 core:8 pu:2"); /* 128 cores, 256 threads; l3 n: threads 16n.. */
    assert_int_equal(run(NULL, "8", 0, 1, false), SELECT_OK);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(plan.cpu[i], 240 + 2 * i);
    assert_int_equal(run(NULL, "64", 0, 1, false), SELECT_OK);
    for (unsigned i = 0; i < 64; i++) {
        assert_int_equal(plan.cpu[i], 128 + 2 * i);
        assert_int_equal(plan.node[i], 1);
    }
    assert_int_equal(CPU_COUNT(&plan.linux_cpus), 128);
    assert_int_equal(run(NULL, NULL, 0, 1, false), SELECT_OK);
    assert_int_equal(plan.ncores, 64);
    assert_int_equal(CPU_COUNT(&plan.idle_cpus), 64);
    nodes = "2";
    assert_int_equal(run(NULL, NULL, 0, 1, false), SELECT_OK);
    assert_int_equal(plan.ncores, 127);
    assert_int_equal(plan.cpu[0], 2);
    /* an isle has at most 240 cores */
    smt = true;
    assert_int_equal(run(NULL, "240", 0, 1, false), SELECT_OK);
    assert_int_equal(run(NULL, "241", 0, 1, false), SELECT_TOO_MANY);
    assert_int_equal(detail.n, LULL_MAX_CORES);
}

static void test_no_caches_no_cores(void **state)
{
    (void)state;
    machine("pu:4");
    choose("2", "2 3", "0-1");
    choose(NULL, "1 2 3", "0");
}

static void test_lists(void **state)
{
    (void)state;
    machine("pack:2 [numa] core:2 pu:1");
    choose("3,0-1", "3 0 1", "2");
    assert_int_equal(plan.node[0], 1);
    assert_int_equal(plan.node[1], 0);
    assert_int_equal(run(NULL, "2-4", 0, 1, false), SELECT_NOT_THERE);
    assert_int_equal(detail.n, 4);
    assert_int_equal(run("0-1", "1-2", 0, 1, false), SELECT_NOT_ALLOWED);
    assert_int_equal(detail.n, 2);
    /* with ranks a list is still what it says */
    assert_int_equal(run(NULL, "1,2", 1, 2, false), SELECT_OK);
    expect("1 2", "0,3");
}

static void test_affinity(void **state)
{
    (void)state;
    machine("pack:1 core:8 pu:1");
    assert_int_equal(run("2-5", NULL, 0, 1, false), SELECT_OK);
    expect("3 4 5", "2");
    assert_int_equal(run("2-5", "5", 0, 1, false), SELECT_TOO_MANY);
    assert_int_equal(detail.n, 4);
    assert_int_equal(run("6", NULL, 0, 1, false), SELECT_OK);
    expect("6", "");
    assert_int_equal(run("64", NULL, 0, 1, false), SELECT_NO_CPU);
}

/* OMP_NUM_THREADS may be more than there is: then all there is. */
static void test_at_most(void **state)
{
    (void)state;
    machine("pack:1 core:4 pu:1");
    assert_int_equal(run(NULL, "3", 0, 1, true), SELECT_OK);
    expect("1 2 3", "0");
    assert_int_equal(run(NULL, "64", 0, 1, true), SELECT_OK);
    expect("0 1 2 3", "");
    assert_int_equal(run(NULL, "64", 1, 2, true), SELECT_OK);
    expect("0 1", "");
}

static void test_ranks(void **state)
{
    (void)state;
    machine("pack:2 [numa] l3:2 core:2 pu:1"); /* node 0: 01 23, node 1: 45 67 */
    rank_chooses(0, 2, "4", "4 5 6 7", "");
    rank_chooses(1, 2, "4", "0 1 2 3", "");
    rank_chooses(0, 3, "2", "6 7", "0-1");
    rank_chooses(1, 3, "2", "4 5", "0-1");
    rank_chooses(2, 3, "2", "2 3", "0-1");
    /* by default they share all cores but one */
    rank_chooses(0, 2, NULL, "5 6 7", "0,4");
    rank_chooses(1, 2, NULL, "1 2 3", "0,4");
    rank_chooses(0, 8, NULL, "7", "");
    rank_chooses(7, 8, NULL, "0", "");
    /* not enough for all: two ranks to a core, if they may */
    assert_int_equal(run(NULL, NULL, 9, 10, false), SELECT_CROWDED);
    assert_true(detail.n == 8 && detail.each == 1 && detail.ranks == 8 && !detail.smt);
    assert_int_equal(run(NULL, "3", 0, 3, false), SELECT_CROWDED); /* one on each node */
    assert_true(detail.n == 8 && detail.each == 3 && detail.ranks == 2);
    assert_int_equal(run("0-1", "1", 0, 3, false), SELECT_CROWDED);
    assert_int_equal(detail.n, 2);
    oversubscribe = true;
    rank_chooses(8, 10, "1", "7", "");
    rank_chooses(9, 10, "1", "6", "");
}

/* With hyperthreads a rank takes whole cores before it shares one with another rank. */
static void test_ranks_hyperthreads(void **state)
{
    (void)state;
    machine("pack:1 core:4 pu:2");
    rank_chooses(0, 2, "2", "4 6", "1,3,5,7");
    rank_chooses(1, 2, "2", "0 2", "1,3,5,7");
    assert_false(plan.shares);
    rank_chooses(1, 2, "1", "4", "0-3");
    idle("5,7");
    assert_int_equal(run(NULL, "4", 1, 2, false), SELECT_CROWDED);
    assert_true(detail.n == 4 && detail.each == 4 && detail.ranks == 1 && detail.smt);
    assert_int_equal(run(NULL, "2", 1, 5, false), SELECT_CROWDED);
    assert_true(detail.n == 4 && detail.each == 2 && detail.ranks == 2 && !detail.smt);
    oversubscribe = true;
    rank_chooses(1, 2, "4", "0 2 4 6", "1,3,5,7");
    assert_true(plan.shares);
    oversubscribe = false;
    smt = true;
    rank_chooses(0, 2, "4", "4 6 5 7", "");
    rank_chooses(1, 2, "4", "0 2 1 3", "");
    rank_chooses(1, 3, "2", "4 5", "0-1");
    assert_false(plan.shares);
}

/* Whatever is asked, ranks that fit never overlap, and the choice is inside what is allowed. */
static void test_always(void **state)
{
    (void)state;
    static const char *const machines[] = {"pack:1 core:6 pu:1", "pack:2 [numa] l3:2 core:3 pu:2",
                                           "pack:1 group:4 [numa] core:2 pu:1", "pu:5",
                                           "pack:3 [numa] l3:1 l2:2 core:1 pu:4"};
    for (size_t m = 0; m < sizeof machines / sizeof machines[0]; m++) {
        machine(machines[m]);
        nodes = "8";
        unsigned cores = (unsigned)hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_CORE);
        if (cores == 0)
            cores = (unsigned)hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PU);
        for (unsigned n = 1; n <= cores; n++)
            for (unsigned ranks = 1; ranks * n <= cores; ranks++) {
                char text[8];
                cpu_set_t seen, both;
                CPU_ZERO(&seen);
                snprintf(text, sizeof text, "%u", n);
                for (unsigned rank = 0; rank < ranks; rank++) {
                    assert_int_equal(run(NULL, text, rank, ranks, false), SELECT_OK);
                    assert_int_equal(plan.ncores, n);
                    CPU_AND(&both, &seen, &plan.isle_cpus);
                    assert_int_equal(CPU_COUNT(&both), 0);
                    CPU_OR(&seen, &seen, &plan.isle_cpus);
                    CPU_AND(&both, &seen, &plan.linux_cpus);
                    assert_int_equal(CPU_COUNT(&both), 0);
                }
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_core),
        cmocka_unit_test(test_two_cores),
        cmocka_unit_test(test_one_core_two_threads),
        cmocka_unit_test(test_hyperthreads),
        cmocka_unit_test(test_interleaved_numbers),
        cmocka_unit_test(test_numa),
        cmocka_unit_test(test_nodes_of_a_package),
        cmocka_unit_test(test_caches),
        cmocka_unit_test(test_many_chiplets),
        cmocka_unit_test(test_no_caches_no_cores),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_affinity),
        cmocka_unit_test(test_at_most),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_ranks_hyperthreads),
        cmocka_unit_test(test_always),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
