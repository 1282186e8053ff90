/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>

#include "message.h"
#include "report/report.h"
#include "systable.h"

static char *dir;
static struct report r;
static struct irq_row irq[2];

static int setup(void **state)
{
    (void)state;
    dir = unit_tempdir();
    assert_int_equal(chdir(dir), 0);
    memset(&r, 0, sizeof r);
    memset(irq, 0, sizeof irq);
    r.program = "./strassen";
    r.engine = "kvm";
    r.engine_why = "/dev/kvm can be used";
    r.ncores = 2;
    r.cpu[0] = 4;
    r.cpu[1] = 5;
    r.node[0] = r.node[1] = 1;
    r.cpus_why = "--cpus 2";
    r.fifo = true;
    r.mem_limit = 3ull << 30;
    r.mem_hugetlb = 1ull << 30;
    r.mem_4k = 4096;
    r.start_ms = 4.25;
    r.wall_s = 12.5;
    r.status = 139;
    r.served = 61;
    r.served_polled = 41;
    r.served_on_core = 19;
    r.served_by_worker = 1;
    r.sys.local[39] = 7;     /* getpid */
    r.sys.forwarded[1] = 40; /* write */
    r.sys.forwarded[0] = 21; /* read */
    r.sys.refused[334] = 2;  /* rseq */
    r.sys.refused[490] = 1;
    r.sys.sites_rewritten = 12;
    r.sys.sites_left = 3;
    r.run.valid = true;
    r.run.seconds = 12;
    r.run.core[0].exits[LULL_OP_PARK] = 5;
    r.run.core[0].exits[EXIT_KICKED] = 2;
    r.run.core[1].exits[LULL_OP_EXIT] = 1;
    r.run.core[1].kcount[LULL_K_PAGEFAULT] = 9;
    r.run.core[0].kcount[LULL_K_SWITCH] = UINT64_MAX;
    r.run.usage[1].nivcsw = 3;
    strcpy(irq[0].name, "LOC Local timer interrupts");
    irq[0].count[1] = 17;
    strcpy(irq[1].name, "24 virtio0");
    irq[1].count[0] = 1;
    r.run.irq.rows = 2;
    r.run.irq.row = irq;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    unit_remove(dir);
    return 0;
}

/* "run.cores.1.exits.park" */
static json_t *at(json_t *j, const char *path)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", path);
    for (char *save, *w = strtok_r(copy, ".", &save); w; w = strtok_r(NULL, ".", &save)) {
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(w)) : json_object_get(j, w);
        if (!j)
            fail_msg("no %s (at %s)", path, w);
    }
    return j;
}

#define expect_int(j, path, v) assert_int_equal(json_integer_value(at(j, path)), v)
#define expect_text(j, path, v) assert_string_equal(json_string_value(at(j, path)), v)

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *j = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!j)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return j;
}

static void test_json(void **state)
{
    (void)state;
    assert_int_equal(report_json("r.json", &r), 0);
    json_t *j = load("r.json");
    expect_text(j, "schema", "lull-report-1");
    expect_text(j, "program", "./strassen");
    expect_int(j, "status", 139);
    expect_text(j, "engine.name", "kvm");
    expect_text(j, "engine.why", "/dev/kvm can be used");
    expect_int(j, "cores.count", 2);
    assert_int_equal(json_array_size(at(j, "cores.cpu")), 2);
    expect_int(j, "cores.cpu.1", 5);
    expect_int(j, "cores.node.0", 1);
    expect_text(j, "cores.why", "--cpus 2");
    assert_true(json_is_true(at(j, "cores.fifo")));
    assert_true(json_is_false(at(j, "cores.linux_core")));
    expect_int(j, "memory.limit_bytes", 3ull << 30);
    expect_int(j, "memory.hugetlb_bytes", 1ull << 30);
    expect_int(j, "memory.thp_bytes", 0);
    expect_int(j, "memory.small_bytes", 4096);
    assert_true(json_real_value(at(j, "start_ms")) == 4.25);
    assert_true(json_real_value(at(j, "wall_s")) == 12.5);
    expect_int(j, "system_calls.local.total", 7);
    expect_int(j, "system_calls.forwarded.total", 61);
    expect_int(j, "system_calls.forwarded.by_name.write", 40);
    expect_int(j, "system_calls.refused.by_name.rseq", 2);
    expect_int(j, "system_calls.refused.by_name.nr 490", 1);
    assert_int_equal(json_object_size(at(j, "system_calls.refused.by_name")), 2);
    expect_int(j, "system_calls.served.total", 61);
    expect_int(j, "system_calls.served.by_worker", 1);
    expect_int(j, "system_calls.sites_rewritten", 12);
    expect_int(j, "system_calls.sites_left", 3);
    assert_true(json_is_null(at(j, "marked")));
    json_decref(j);
}

static void test_json_section(void **state)
{
    (void)state;
    r.marked.valid = true;
    r.marked.seconds = NAN; /* no number in JSON */
    assert_int_equal(report_json("r.json", &r), 0);
    json_t *j = load("r.json");
    assert_true(json_real_value(at(j, "run.seconds")) == 12);
    assert_int_equal(json_array_size(at(j, "run.cores")), 2);
    expect_int(j, "run.cores.0.core", 0);
    expect_int(j, "run.cores.0.cpu", 4);
    expect_int(j, "run.cores.0.exits.total", 7);
    expect_int(j, "run.cores.0.exits.park", 5);
    expect_int(j, "run.cores.0.exits.kicked", 2);
    expect_int(j, "run.cores.0.exits.other", 0);
    expect_int(j, "run.cores.1.exits.exit", 1);
    assert_int_equal(json_object_size(at(j, "run.cores.0.exits")), EXIT_CAUSES + 1);
    expect_int(j, "run.cores.1.kernel.pagefault", 9);
    expect_int(j, "run.cores.0.kernel.switch", INT64_MAX); /* the isle's word: anything */
    expect_int(j, "run.cores.1.thread.nivcsw", 3);
    expect_int(j, "run.cores.1.host_interrupts.LOC Local timer interrupts", 17);
    assert_int_equal(json_object_size(at(j, "run.cores.1.host_interrupts")), 1);
    expect_int(j, "run.cores.0.host_interrupts.24 virtio0", 1);
    assert_true(json_real_value(at(j, "marked.seconds")) == 0);
    expect_int(j, "marked.cores.0.exits.total", 0);
    json_decref(j);
}

static void test_json_any_name(void **state)
{
    (void)state;
    r.program = "./caf\xe9 \"x\"\n";
    assert_int_equal(report_json("r.json", &r), 0);
    json_t *j = load("r.json");
    expect_text(j, "program", "./caf? \"x\"\n");
    json_decref(j);
    r.program = "./caf\xc3\xa9";
    assert_int_equal(report_json("r.json", &r), 0);
    j = load("r.json");
    expect_text(j, "program", "./caf\xc3\xa9");
    json_decref(j);
}

/* Replaced as a whole: readers of the old file keep it, links stay links, the mode is usual. */
static void test_json_replaced(void **state)
{
    (void)state;
    struct stat before, after;
    unit_write_text(dir, "old", "something else", 0600);
    assert_int_equal(symlink("old", "link"), 0);
    assert_int_equal(stat("old", &before), 0);
    umask(027);
    assert_int_equal(report_json("link", &r), 0);
    assert_int_equal(lstat("link", &after), 0);
    assert_true(S_ISLNK(after.st_mode));
    assert_int_equal(stat("old", &after), 0);
    assert_true(before.st_ino != after.st_ino);
    assert_int_equal(after.st_mode & 0777, 0640);
    json_decref(load("old"));
}

static void refused(const char *path, int rc, const char *part)
{
    struct unit_stderr e;
    unit_catch(&e);
    int got = report_json(path, &r);
    unit_one_line(unit_caught(&e), part);
    assert_int_equal(got, rc);
}

static unsigned entries(void)
{
    unsigned n = 0;
    FILE *f = popen("ls -A", "r");
    assert_non_null(f);
    for (int c; (c = fgetc(f)) != EOF;)
        n += c == '\n';
    pclose(f);
    return n;
}

static void test_json_refused(void **state)
{
    (void)state;
    unit_write_text(dir, "file", "x", 0644);
    refused("none/r.json", -ENOENT, "none/r.json");
    refused("file/r.json", -ENOTDIR, "file/r.json");
    refused(".", -EISDIR, "Is a directory");
    refused("/dev/full", -ENOSPC, "No space left");
    assert_int_equal(entries(), 1); /* nothing half-written is left */
}

/* A device is written to, not replaced; so is the file behind /dev/stdout. */
static void test_json_devices(void **state)
{
    (void)state;
    struct stat st;
    assert_int_equal(report_json("/dev/null", &r), 0);
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    unit_write_text(dir, "out", "", 0644);
    int fd = open("out", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(report_json(path, &r), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size > 100);
    assert_int_equal(st.st_nlink, 1);
    close(fd);
}

static char *text_of(void)
{
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    report_text(f, &r);
    fclose(f);
    return text;
}

static void expect_in(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no '%s' in:\n%s", part, text);
}

static void test_text(void **state)
{
    (void)state;
    char *t = text_of();
    expect_in(t, "lull: report of ./strassen\n");
    expect_in(t, "2: CPU 4-5, NUMA node 1 (--cpus 2); real-time priority; no core left to Linux");
    expect_in(t, "limit 3.0 GiB; populated: hugetlb 1.0 GiB, transparent huge 0 B, "
                 "4 KiB pages 4.0 KiB");
    expect_in(t, "start 4.2 ms");
    expect_in(t, "status 139");
    expect_in(t, "forwarded 61: write 40, read 21\n");
    expect_in(t, "refused   3: rseq 2, nr 490 1\n");
    expect_in(t, "exits to the proxy                              8          7          1\n");
    expect_in(t, "  kicked                                        2          2          0\n");
    expect_in(t, "interrupts injected                             0          0          0\n");
    expect_in(t, "page faults in the isle                         9          0          9\n");
    expect_in(t, "host LOC Local timer interrupts                17          0         17\n");
    assert_null(strstr(t, "marked section"));
    assert_null(strstr(t, "  cancel"));
    free(t);
    r.marked.valid = true;
    t = text_of();
    expect_in(t, "the marked section, 0.000 s\n");
    free(t);
}

/* Many cores: no column each. */
static void test_text_many(void **state)
{
    (void)state;
    r.ncores = LULL_MAX_CORES;
    for (unsigned i = 0; i < r.ncores; i++) {
        r.cpu[i] = (uint16_t)(2 * i);
        r.run.core[i].exits[LULL_OP_PARK] = 1000 + i;
    }
    char *t = text_of();
    expect_in(t, "least");
    expect_in(
        t,
        "  park                                     268680         1000         1239      239\n");
    free(t);
    assert_int_equal(report_json("r.json", &r), 0);
    json_t *j = load("r.json");
    assert_int_equal(json_array_size(at(j, "run.cores")), LULL_MAX_CORES);
    json_decref(j);
}

static void test_file_name(void **state)
{
    static const struct {
        const char *pattern, *name;
    } cases[] = {
        {"", ""},        {"r.json", "r.json"},    {"r-%r.json", "r-12.json"},
        {"%p", "345"},   {"%r%r-%p", "1212-345"}, {"%%r", "%r"},
        {"%", "%"},      {"100%", "100%"},        {"a%20b", "a%20b"},
        {"%%%r", "%12"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *got = report_file_name(cases[i].pattern, 12, 345);
        assert_string_equal(got, cases[i].name);
        free(got);
    }
}

static void test_names(void **state)
{
    (void)state;
    char buf[16];
    for (unsigned e = 0; e < EXIT_CAUSES; e++) {
        assert_non_null(exit_cause_name[e]);
        for (unsigned f = 0; f < e; f++)
            assert_string_not_equal(exit_cause_name[e], exit_cause_name[f]);
    }
    assert_string_equal(exit_cause_name[LULL_OP_STOP], "stop");
    assert_string_equal(exit_cause_name[EXIT_OTHER], "other");
    assert_string_equal(kcount_name[LULL_K_SIGNAL], "signal");
    assert_null(kcount_name[LULL_K_COUNT - 1]);
    assert_string_equal(report_call_name(0, buf, sizeof buf), "read");
    assert_string_equal(report_call_name(449, buf, sizeof buf), "futex_waitv");
    assert_string_equal(report_call_name(4000000000, buf, sizeof buf), "nr 4000000000");
    assert_string_equal(report_call_name(101, buf, sizeof buf), "ptrace"); /* not in the table */
    /* every number once: a name twice would make JSON objects with a key twice */
    for (unsigned a = 0; a < LULL_NR_MAX; a++)
        for (unsigned b = 0; b < a && lull_systable[a].name; b++)
            if (lull_systable[b].name)
                assert_string_not_equal(lull_systable[a].name, lull_systable[b].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_section, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_any_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_json_devices, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_text_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test(test_file_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
