/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "cli/options.h"
#include "message.h"

static const char *const variables[] = {"LULL_CPUS",    "LULL_MEM",     "LULL_ENGINE",
                                        "LULL_SPIN",    "LULL_REPORT",  "LULL_TIMEOUT",
                                        "LULL_DRY_RUN", "LULL_VERBOSE", "LULL_NO_REWRITE"};

static int clear(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++)
        unsetenv(variables[i]);
    return 0;
}

/* Parses "lull" + words (split at blanks, at most 30). */
static int parse(const char *line, struct options *o)
{
    static char buf[512];
    static char *argv[32];
    int argc = 0;
    snprintf(buf, sizeof buf, "lull %s", line);
    for (char *save, *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    return options_parse(argc, argv, o);
}

static void refused(const char *line, const char *part)
{
    struct options o;
    struct unit_stderr e;
    unit_catch(&e);
    int rc = parse(line, &o);
    unit_one_line(unit_caught(&e), part);
    assert_int_equal(rc, LULL_EXIT_FAILED);
}

static void test_defaults(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(parse("./a.out -x --cpus 3", &o), 0);
    assert_null(o.cpus);
    assert_int_equal(o.mem, 0);
    assert_int_equal(o.engine, ENGINE_AUTO);
    assert_int_equal(o.spin_us, 200);
    assert_false(o.report);
    assert_null(o.report_file);
    assert_true(o.timeout_s == 0);
    assert_false(o.dry_run || o.verbose || o.no_rewrite);
    assert_int_equal(o.argc, 4);
    assert_string_equal(o.argv[0], "./a.out");
    assert_string_equal(o.argv[2], "--cpus");
    assert_null(o.argv[4]);
}

static void test_all_given(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(parse("run --cpus=0,2-3 --mem 1.5G --engine kvm --spin 10 --report "
                           "--report=r.json --timeout 2h --dry-run --verbose --no-rewrite -- -p -q",
                           &o),
                     0);
    assert_string_equal(o.cpus, "0,2-3");
    assert_int_equal(o.mem, 3ull << 29);
    assert_int_equal(o.engine, ENGINE_KVM);
    assert_int_equal(o.spin_us, 10);
    assert_true(o.report);
    assert_string_equal(o.report_file, "r.json");
    assert_true(o.timeout_s == 7200);
    assert_true(o.dry_run && o.verbose && o.no_rewrite);
    assert_int_equal(o.argc, 2);
    assert_string_equal(o.argv[0], "-p");
}

static void test_plan(void **state)
{
    (void)state;
    struct options o;
    struct node_request r;
    assert_int_equal(parse("plan --topology x.xml --ranks 4 --nodes 2 --smt", &o), 0);
    assert_int_equal(o.command, COMMAND_PLAN);
    assert_string_equal(o.topology, "x.xml");
    assert_int_equal(o.ranks, 4);
    assert_string_equal(o.nodes, "2");
    assert_true(o.smt);
    assert_int_equal(parse("x", &o), 0);
    assert_true(!o.nodes && !o.smt && !o.topology && o.ranks == 0);
    setenv("LULL_NODES", "0,2", 1);
    setenv("LULL_SMT", "1", 1);
    assert_int_equal(parse("x", &o), 0);
    assert_string_equal(o.nodes, "0,2");
    assert_true(o.smt);
    unsetenv("LULL_NODES");
    unsetenv("LULL_SMT");
    refused("plan x", "takes no 'x'");
    refused("--topology x.xml y", "--topology is for lull plan");
    refused("--ranks 2 y", "--ranks is for lull plan");
    refused("plan --ranks 0", "1 to 4096");
    refused("plan --ranks 4097", "1 to 4096");
    refused("plan --ranks -1", "1 to 4096");
    refused("plan --topology=", "a file");
    refused("--nodes x y", "a number of NUMA nodes");
    refused("--nodes 0 y", "a number of NUMA nodes");
    refused("--nodes 0,1024 y", "a number of NUMA nodes");
    assert_int_equal(options_parse_nodes("3", &r), 0);
    assert_int_equal(r.max, 3);
    assert_int_equal(r.list[0], 0);
    assert_int_equal(options_parse_nodes("0,2-3,1023", &r), 0);
    assert_int_equal(r.max, 0);
    assert_true(r.list[0] == 0xd && r.list[15] == 1ull << 63);
}

static void test_words(void **state)
{
    (void)state;
    struct options o;
    assert_int_equal(parse("run run", &o), 0);
    assert_int_equal(o.argc, 1);
    assert_string_equal(o.argv[0], "run");
    assert_int_equal(parse("check x --cpus", &o), 0);
    assert_int_equal(o.command, COMMAND_CHECK);
    assert_int_equal(o.argc, 2);
    assert_int_equal(parse("x check", &o), 0);
    assert_int_equal(o.command, COMMAND_RUN);
    assert_int_equal(parse("-- run x", &o), 0);
    assert_int_equal(o.argc, 2);
    assert_int_equal(parse("--cpus 1 run", &o), 0); /* not the first word: a program */
    assert_string_equal(o.argv[0], "run");
    assert_int_equal(parse("--spin forever --spin 0 x", &o), 0); /* the last one wins */
    assert_int_equal(o.spin_us, 0);
    assert_int_equal(parse("--spin forever x", &o), 0);
    assert_true(o.spin_us == OPTIONS_SPIN_FOREVER);
    assert_int_equal(parse("--engine qemu --virtual-time x", &o), 0);
    assert_int_equal(o.engine, ENGINE_QEMU);
    assert_true(o.virtual_time);
    assert_int_equal(parse("--engine qemu-kvm x", &o), 0);
    assert_int_equal(o.engine, ENGINE_QEMU_KVM);
    assert_int_equal(parse("--engine qemu-tcg x", &o), 0);
    assert_int_equal(o.engine, ENGINE_QEMU_TCG);
    assert_false(o.virtual_time);
    assert_int_equal(parse("--engine auto --cp 1 x", &o), 0); /* unambiguous short form */
    assert_string_equal(o.cpus, "1");
}

static void test_bad_line(void **state)
{
    (void)state;
    refused("", "no program");
    refused("run", "no program");
    refused("--cpus 2", "no program");
    refused("--nonsense x", "--nonsense");
    refused("-z x", "-z");
    refused("--cpus", "--cpus needs a value");
    refused("--cpus 0 x", "--cpus '0'");
    refused("--cpus two x", "--cpus 'two'");
    refused("--cpus 3-1 x", "--cpus '3-1'");
    refused("--mem 12Q x", "--mem '12Q'");
    refused("--mem 1M x", "at least 2M");
    refused("--mem= x", "--mem ''");
    refused("--engine steam x", "auto, kvm, qemu, qemu-kvm or qemu-tcg");
    refused("--spin -1 x", "--spin '-1'");
    refused("--spin 1K x", "--spin '1K'");
    refused("--spin 1000000001 x", "--spin");
    refused("--report= x", "file name");
    refused("--timeout soon x", "--timeout 'soon'");
    refused("--dry-run=1 x", "--dry-run=1");
    refused("--ver x", "--ver"); /* verbose or version */
}

static void test_environment(void **state)
{
    (void)state;
    struct options o;
    setenv("LULL_CPUS", "1,", 1);
    setenv("LULL_MEM", "512M", 1);
    setenv("LULL_ENGINE", "kvm", 1);
    setenv("LULL_SPIN", "forever", 1);
    setenv("LULL_REPORT", "1", 1);
    setenv("LULL_TIMEOUT", "1.5m", 1);
    setenv("LULL_DRY_RUN", "yes", 1);
    setenv("LULL_VERBOSE", "on", 1);
    setenv("LULL_NO_REWRITE", "TRUE", 1);
    assert_int_equal(parse("x", &o), 0);
    assert_string_equal(o.cpus, "1,");
    assert_int_equal(o.mem, 512ull << 20);
    assert_int_equal(o.engine, ENGINE_KVM);
    assert_true(o.spin_us == OPTIONS_SPIN_FOREVER);
    assert_true(o.report);
    assert_null(o.report_file);
    assert_true(o.timeout_s == 90);
    assert_true(o.dry_run && o.verbose && o.no_rewrite);

    /* the command line wins */
    assert_int_equal(parse("--cpus 2 --mem 4M --engine auto --spin 3 --timeout 0 x", &o), 0);
    assert_string_equal(o.cpus, "2");
    assert_int_equal(o.mem, 4ull << 20);
    assert_int_equal(o.engine, ENGINE_AUTO);
    assert_int_equal(o.spin_us, 3);
    assert_true(o.timeout_s == 0);
    assert_int_equal(parse("--report=f x", &o), 0);
    assert_false(o.report);
    assert_string_equal(o.report_file, "f");
}

static void test_environment_report(void **state)
{
    (void)state;
    struct options o;
    setenv("LULL_REPORT", "out/r.json", 1);
    assert_int_equal(parse("x", &o), 0);
    assert_false(o.report);
    assert_string_equal(o.report_file, "out/r.json");
    setenv("LULL_REPORT", "0", 1);
    setenv("LULL_DRY_RUN", "0", 1);
    setenv("LULL_CPUS", "", 1); /* empty: as if unset */
    assert_int_equal(parse("x", &o), 0);
    assert_false(o.report || o.report_file || o.dry_run || o.cpus);
}

static void test_environment_bad(void **state)
{
    (void)state;
    struct options o;
    setenv("LULL_MEM", "much", 1);
    refused("x", "LULL_MEM='much'");
    assert_int_equal(parse("--mem 2M x", &o), 0); /* not looked at */
    unsetenv("LULL_MEM");
    setenv("LULL_VERBOSE", "perhaps", 1);
    refused("x", "LULL_VERBOSE='perhaps'");
    unsetenv("LULL_VERBOSE");
    setenv("LULL_CPUS", "1-", 1);
    refused("x", "LULL_CPUS='1-'");
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"4096", 4096},
        {"4096K", 4ull << 20},
        {"512M", 512ull << 20},
        {"512m", 512ull << 20},
        {"2G", 2ull << 30},
        {"1.5G", 3ull << 29},
        {".5K", 512},
        {"1.K", 1024},
        {"2GiB", 2ull << 30},
        {"2gb", 2ull << 30},
        {"1T", 1ull << 40},
        {"0.1G", 107374182},
        {"18446744073709551615", UINT64_MAX},
        {"16777215T", 16777215ull << 40},
    };
    static const char *const bad[] = {"",
                                      "G",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.5",
                                      "0x8",
                                      "1e3",
                                      "1..5K",
                                      "1P",
                                      "1KK",
                                      "1Kib2",
                                      "nan",
                                      "inf",
                                      "1.5.",
                                      "1i",
                                      "1,5G",
                                      "16777216T",
                                      "18446744073709551616",
                                      "340282366920938463463374607431768211457"};
    uint64_t v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        v = 42;
        assert_int_equal(options_parse_size(good[i].text, &v), 0);
        assert_true(v == good[i].bytes);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (options_parse_size(bad[i], &v) != -1)
            fail_msg("'%s' was taken", bad[i]);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"0", 0},     {"90", 90},    {"0.25", 0.25}, {"1.5m", 90},
                {"2h", 7200}, {"1d", 86400}, {"3s", 3},      {"1000000000", 1e9}};
    static const char *const bad[] = {"",    "s",   "-1",         "1ms",       "1 s",  "1M",
                                      "1e9", "inf", "1000000001", "99999999d", "1h30m"};
    double v;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_int_equal(options_parse_duration(good[i].text, &v), 0);
        assert_true(v == good[i].seconds);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (options_parse_duration(bad[i], &v) != -1)
            fail_msg("'%s' was taken", bad[i]);
}

static void test_cpus(void **state)
{
    (void)state;
    struct cpu_request r;
    assert_int_equal(options_parse_cpus("4", &r), 0);
    assert_false(r.list);
    assert_int_equal(r.n, 4);
    assert_int_equal(options_parse_cpus("5-5", &r), 0);
    assert_true(r.list);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.cpu[0], 5);
    assert_int_equal(options_parse_cpus("5,", &r), 0);
    assert_true(r.list && r.n == 1 && r.cpu[0] == 5);
    assert_int_equal(options_parse_cpus("7,0-2,4", &r), 0);
    static const uint16_t order[] = {7, 0, 1, 2, 4};
    assert_int_equal(r.n, 5);
    assert_memory_equal(r.cpu, order, sizeof order);
    assert_int_equal(options_parse_cpus("0-239", &r), 0);
    assert_int_equal(r.n, 240);

    static const char *const bad[] = {
        "",  "0",  "-1",    "1-",    ",1",   "1,,2",  "1,1",          "3-1", "1-3,2",
        "a", "1x", "0-240", "65536", "1, 2", "1-2-3", "0-4294967295", ",",   "-"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (options_parse_cpus(bad[i], &r) != -1)
            fail_msg("'%s' was taken", bad[i]);
}

/* --help and --version go to stdout, win over what follows and need no program. */
static void test_answers(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "-h", "run --help --nonsense", "--version"};
    struct options o;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char text[4096];
        FILE *f = tmpfile();
        assert_non_null(f);
        fflush(stdout);
        int saved = dup(STDOUT_FILENO);
        assert_true(saved >= 0);
        dup2(fileno(f), STDOUT_FILENO);
        int rc = parse(lines[i], &o);
        dup2(saved, STDOUT_FILENO);
        close(saved);
        rewind(f);
        size_t n = fread(text, 1, sizeof text - 1, f);
        text[n] = '\0';
        fclose(f);
        assert_int_equal(rc, OPTIONS_DONE);
        if (i == 3)
            assert_string_equal(text, "lull " UNIT_VERSION "\n");
        for (size_t v = 0; i < 3 && v < sizeof variables / sizeof variables[0]; v++)
            assert_non_null(strstr(text, variables[v]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clear),
        cmocka_unit_test_setup(test_all_given, clear),
        cmocka_unit_test_setup(test_plan, clear),
        cmocka_unit_test_setup(test_words, clear),
        cmocka_unit_test_setup(test_bad_line, clear),
        cmocka_unit_test_setup(test_environment, clear),
        cmocka_unit_test_setup(test_environment_report, clear),
        cmocka_unit_test_setup(test_environment_bad, clear),
        cmocka_unit_test_setup(test_sizes, clear),
        cmocka_unit_test_setup(test_durations, clear),
        cmocka_unit_test_setup(test_cpus, clear),
        cmocka_unit_test_setup(test_answers, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
