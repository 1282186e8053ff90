/* SPDX-License-Identifier: MIT */
/* Memory limits on a made-up /proc and /sys, the launcher's variables, and a plan for this machine.
 */
#include "unit.h"

#include <errno.h>

#include "carve/carve.h"
#include "carve/launcher.h"
#include "carve/machine.h"
#include "carve/memory.h"
#include "message.h"

#define GIB (1ull << 30)

static char *root;

static const char *const variables[] = {"OMP_NUM_THREADS", "MPI_LOCALRANKID", "MPI_LOCALNRANKS",
                                        "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"};

static int setup(void **state)
{
    (void)state;
    root = unit_tempdir();
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    unit_write_text(root, "proc/meminfo",
                    "MemTotal:       16777216 kB\nMemFree:          100000 kB\n"
                    "MemAvailable:    8388608 kB\nHugePages_Free:        0\n",
                    0644);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unit_remove(root);
    return 0;
}

static uint64_t available(void)
{
    uint64_t v = 0;
    assert_int_equal(memory_available(root, &v), 0);
    return v;
}

static void test_meminfo(void **state)
{
    (void)state;
    uint64_t v;
    assert_int_equal(available(), 8 * GIB);
    unit_write_text(root, "sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n", 0644);
    assert_int_equal(available(), 9 * GIB);
    unit_write_text(root, "proc/meminfo", "MemTotal: 1 kB\n", 0644);
    assert_int_equal(memory_available(root, &v), -ENOENT);
}

/* One node: what is free there, and what is given up easily. */
static void test_node(void **state)
{
    (void)state;
    uint64_t v;
    assert_int_equal(memory_available_on(root, 3, &v), -ENOENT);
    unit_write_text(root, "sys/devices/system/node/node3/meminfo",
                    "\nNode 3 MemTotal:       4194304 kB\nNode 3 MemFree:        1048576 kB\n"
                    "Node 3 Active(file):    524288 kB\nNode 3 Inactive(file):  524288 kB\n"
                    "Node 3 SReclaimable:         4 kB\n",
                    0644);
    assert_int_equal(memory_available_on(root, 3, &v), 0);
    assert_int_equal(v, 2 * GIB + 4096);
    unit_write_text(root, "sys/devices/system/node/node3/hugepages/hugepages-2048kB/free_hugepages",
                    "512\n", 0644);
    assert_int_equal(memory_available_on(root, 3, &v), 0);
    assert_int_equal(v, 3 * GIB + 4096);
    assert_int_equal(memory_available_on(root, 1, &v), -ENOENT);
}

static void test_cgroup_v2(void **state)
{
    (void)state;
    unit_write_text(root, "proc/self/cgroup", "0::/job/step\n", 0644);
    unit_write_text(root, "sys/fs/cgroup/job/step/memory.max", "max\n", 0644);
    unit_write_text(root, "sys/fs/cgroup/job/step/memory.current", "1000\n", 0644);
    assert_int_equal(available(), 8 * GIB);
    /* the parent's limit counts, less what is used, page cache excepted */
    unit_write_text(root, "sys/fs/cgroup/job/memory.max", "4294967296\n", 0644);
    unit_write_text(root, "sys/fs/cgroup/job/memory.current", "2147483648\n", 0644);
    assert_int_equal(available(), 2 * GIB);
    unit_write_text(root, "sys/fs/cgroup/job/memory.stat",
                    "anon 1073741824\nactive_file 5\ninactive_file 1073741824\n", 0644);
    assert_int_equal(available(), 3 * GIB);
    unit_write_text(root, "sys/fs/cgroup/job/step/memory.max", "1000\n", 0644);
    assert_int_equal(available(), 0);
}

static void test_cgroup_v1(void **state)
{
    (void)state;
    unit_write_text(root, "proc/self/cgroup",
                    "9:name=systemd:/x\n8:cpuset,memory:/docker/abc\n1:cpu:/\n0::/\n", 0644);
    unit_write_text(root, "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", "2147483648\n",
                    0644);
    unit_write_text(root, "sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", "1073741824\n",
                    0644);
    assert_int_equal(available(), GIB);
    unit_write_text(root, "sys/fs/cgroup/memory/docker/abc/memory.stat",
                    "inactive_file 1\ntotal_inactive_file 536870912\n", 0644);
    assert_int_equal(available(), GIB + GIB / 2);
}

/* In a container the group's path may be the host's; its mount is then the group. */
static void test_cgroup_container(void **state)
{
    (void)state;
    unit_write_text(root, "proc/self/cgroup", "4:memory:/docker/unseen\n", 0644);
    unit_write_text(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n", 0644);
    unit_write_text(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n", 0644);
    assert_int_equal(available(), GIB);
}

static void test_job_rank(void **state)
{
    static const char *const names[] = {"SLURM_LOCALID", "MPI_LOCALRANKID", "SLURM_PROCID",
                                        "PMIX_RANK",     "PMI_RANK",        "OMPI_COMM_WORLD_RANK"};
    (void)state;
    for (int i = 0; i < 6; i++)
        unsetenv(names[i]);
    assert_int_equal(launcher_job_rank(), 0);
    for (int i = 0; i < 6; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", 7000 + i);
        setenv(names[i], value, 1);
        assert_int_equal(launcher_job_rank(), 7000 + i);
    }
    setenv("OMPI_COMM_WORLD_RANK", "-1", 1);
    assert_int_equal(launcher_job_rank(), 7004);
    for (int i = 0; i < 6; i++)
        unsetenv(names[i]);
}

static void test_job_ranks(void **state)
{
    static const char *const names[] = {"SLURM_STEP_NUM_TASKS", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE"};
    (void)state;
    for (int i = 0; i < 3; i++)
        unsetenv(names[i]);
    assert_int_equal(launcher_job_ranks(), 0);
    for (int i = 0; i < 3; i++) {
        char value[8];
        snprintf(value, sizeof value, "%d", 100 + i);
        setenv(names[i], value, 1);
        assert_int_equal(launcher_job_ranks(), 100 + i);
    }
    setenv("OMPI_COMM_WORLD_SIZE", "x", 1);
    assert_int_equal(launcher_job_ranks(), 101);
    for (int i = 0; i < 3; i++)
        unsetenv(names[i]);
}

static void test_launcher(void **state)
{
    (void)state;
    struct launcher l;
    launcher_read(&l);
    assert_null(l.name);
    assert_int_equal(l.ranks, 1);
    setenv("SLURM_LOCALID", "3", 1);
    setenv("SLURM_NTASKS_PER_NODE", "4", 1);
    launcher_read(&l);
    assert_string_equal(l.name, "Slurm");
    assert_int_equal(l.rank, 3);
    assert_int_equal(l.ranks, 4);
    setenv("MPI_LOCALRANKID", "1", 1);
    setenv("MPI_LOCALNRANKS", "2", 1);
    launcher_read(&l);
    assert_string_equal(l.name, "Hydra");
    assert_int_equal(l.rank, 1);
    assert_int_equal(l.ranks, 2);
    static const char *const bad[] = {"", "2", "-1", "1x", " 1", "99999999999999999999"};
    unsetenv("SLURM_LOCALID");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        setenv("MPI_LOCALRANKID", bad[i], 1);
        launcher_read(&l);
        assert_null(l.name);
        assert_int_equal(l.rank, 0);
        assert_int_equal(l.ranks, 1);
    }
}

static void slurm_tasks(const char *tasks, const char *node, unsigned expected)
{
    struct launcher l;
    setenv("SLURM_STEP_TASKS_PER_NODE", tasks, 1);
    setenv("SLURM_NODEID", node, 1);
    launcher_read(&l);
    assert_int_equal(l.ranks, expected);
}

static void test_slurm(void **state)
{
    (void)state;
    struct launcher l;
    setenv("SLURM_LOCALID", "1", 1);
    slurm_tasks("4(x2),3", "0", 4);
    slurm_tasks("4(x2),3", "1", 4);
    slurm_tasks("4(x2),3", "2", 3);
    slurm_tasks("4(x2),3", "3", 1); /* no such node: no launcher */
    slurm_tasks("7", "0", 7);
    static const char *const bad[] = {"", "x", "4(x", "4(x2", "4(2)", "99999999999", "-4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        slurm_tasks(bad[i], "0", 1);
    setenv("SLURM_NTASKS_PER_NODE", "2", 1); /* the step's own number counts first */
    slurm_tasks("4", "0", 4);
    slurm_tasks("x", "0", 2);
    launcher_read(&l);
    assert_true(l.slurm);
    setenv("OMPI_COMM_WORLD_LOCAL_RANK", "2", 1);
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "5", 1);
    launcher_read(&l);
    assert_string_equal(l.name, "Open MPI");
    assert_true(l.rank == 2 && l.ranks == 5 && !l.slurm);
    unsetenv("OMPI_COMM_WORLD_LOCAL_RANK");
    unsetenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    unsetenv("SLURM_STEP_TASKS_PER_NODE");
    unsetenv("SLURM_NODEID");
}

/* Who is bound to the same CPUs: expected "rank of ranks", or "" where nothing can be told. */
static void slurm_group(const char *bind, const char *allowed, unsigned rank, const char *expected)
{
    struct launcher l = {"Slurm", rank, 4, true};
    unsigned r = 0, n = 0;
    char text[32] = "";
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    assert_int_equal(hwloc_bitmap_list_sscanf(set, allowed), 0);
    setenv("SLURM_CPU_BIND", bind, 1);
    if (launcher_slurm_group(&l, set, &r, &n))
        snprintf(text, sizeof text, "%u of %u", r, n);
    assert_string_equal(text, expected);
    l.slurm = false; /* Hydra's ranks are not bound by Slurm */
    assert_false(launcher_slurm_group(&l, set, &r, &n));
    unsetenv("SLURM_CPU_BIND");
    hwloc_bitmap_free(set);
}

static void test_slurm_binding(void **state)
{
    (void)state;
    slurm_group("quiet,mask_cpu:0x1,0x2,0x4,0x8", "2", 2, "0 of 1");
    slurm_group("quiet,mask_cpu:0x3,0xc", "0-1", 2, "1 of 2");
    slurm_group("quiet,mask_cpu:0x3,0xc", "2-3", 1, "0 of 2");
    slurm_group("mask_cpu:0xf", "0-3", 3, "3 of 4");
    slurm_group("verbose,map_cpu:0,4,8,12", "12", 3, "0 of 1");
    slurm_group("mask_cpu:0x100000000000000000,0x1,0x2,0x4", "68", 0, "0 of 1");
    slurm_group("mask_cpu:0x3,0x6,0x8,0x10", "0-1", 0, ""); /* they overlap */
    slurm_group("mask_cpu:0x3,0xc", "0-3", 0, "");          /* not what is so */
    slurm_group("none", "0-3", 0, "");
    slurm_group("mask_cpu:", "0", 0, "");
    slurm_group("mask_cpu:0x1,,0x2", "0", 0, "");
    slurm_group("mask_cpu:zebra", "0", 0, "");
    slurm_group("map_cpu:-1", "0", 0, "");
    slurm_group("map_cpu:99999999999999999999", "0", 0, "");
}

static int plan_here(const struct options *o, struct carve_plan *p)
{
    struct machine m;
    assert_int_equal(machine_read(&m), 0);
    int rc = carve_plan_on(o, &m, NULL, p);
    machine_free(&m);
    return rc;
}

static void refused(const struct options *o, const char *part)
{
    struct carve_plan p;
    struct unit_stderr e;
    unit_catch(&e);
    int rc = plan_here(o, &p);
    unit_one_line(unit_caught(&e), part);
    assert_int_equal(rc, LULL_EXIT_FAILED);
}

static void test_this_machine(void **state)
{
    (void)state;
    struct options o = {.cpus = "1"};
    struct carve_plan p;
    cpu_set_t mine, both;
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    unsigned n = (unsigned)CPU_COUNT(&mine);
    assert_int_equal(plan_here(&o, &p), 0);
    assert_int_equal(p.ncores, 1);
    assert_true(CPU_ISSET(p.cpu[0], &mine));
    assert_true(p.mem >= LULL_HUGE && p.mem % LULL_HUGE == 0);
    assert_string_equal(p.why, "--cpus 1");
    CPU_AND(&both, &p.isle_cpus, &p.linux_cpus);
    assert_int_equal(CPU_COUNT(&both), 0);
    assert_null(getenv("HWLOC_PLUGINS_PATH")); /* the program must not see it */

    o = (struct options){.mem = (7ull << 20) + 5};
    setenv("OMP_NUM_THREADS", " 100000 , 2", 1);
    assert_int_equal(plan_here(&o, &p), 0);
    assert_int_equal(p.ncores, n < LULL_MAX_CORES ? n : LULL_MAX_CORES);
    assert_int_equal(p.mem, 6ull << 20);
    assert_memory_equal(p.why, "OMP_NUM_THREADS", 15);
    setenv("OMP_NUM_THREADS", "1,2", 1);
    assert_int_equal(plan_here(&o, &p), 0);
    assert_int_equal(p.ncores, 1);
    static const char *const nonsense[] = {"", "0", "-1", "many", "1;2", "1x"};
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        setenv("OMP_NUM_THREADS", nonsense[i], 1);
        assert_int_equal(plan_here(&o, &p), 0);
        assert_string_equal(p.why, "all allowed cores but one");
    }
}

static void test_this_machine_refuses(void **state)
{
    (void)state;
    struct options o = {.cpus = "60000"};
    cpu_set_t mine, one;
    char part[64];
    assert_int_equal(sched_getaffinity(0, sizeof mine, &mine), 0);
    int n = CPU_COUNT(&mine), first = 0;
    snprintf(part, sizeof part, n < LULL_MAX_CORES ? "there are only %d" : "at most 240", n);
    refused(&o, part);
    o.cpus = "65535,";
    refused(&o, "there is no CPU 65535");
    o.cpus = "x";
    refused(&o, "--cpus 'x'");
    o = (struct options){.mem = 1ull << 60};
    refused(&o, "free here");

    /* a CPU that exists but is not ours */
    if (n < 2)
        skip();
    while (!CPU_ISSET(first, &mine))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CPU_CLR(first, &mine);
    int second = first + 1;
    while (!CPU_ISSET(second, &mine))
        second++;
    CPU_SET(first, &mine);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    snprintf(part, sizeof part, "%d-%d", second, second);
    o = (struct options){.cpus = part};
    refused(&o, "may not be used here");
    o.cpus = "2";
    refused(&o, "there are only 1");
    assert_int_equal(sched_setaffinity(0, sizeof mine, &mine), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_meminfo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_node, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cgroup_v2, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cgroup_v1, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cgroup_container, setup, teardown),
        cmocka_unit_test_setup_teardown(test_launcher, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slurm, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slurm_binding, setup, teardown),
        cmocka_unit_test(test_job_rank),
        cmocka_unit_test(test_job_ranks),
        cmocka_unit_test_setup_teardown(test_this_machine, setup, teardown),
        cmocka_unit_test_setup_teardown(test_this_machine_refuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
