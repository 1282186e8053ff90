/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver/events.h"

static char path[] = "/tmp/lull-events-XXXXXX";

static void put(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_file(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

static struct cpus two(int a, int b)
{
    struct cpus c = {.n = 2};
    CPU_SET(a, &c.set);
    CPU_SET(b, &c.set);
    return c;
}

static const char interrupts[] =
    "           CPU0       CPU1       CPU3       \n"
    " 36:          1      61364          7  PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0\n"
    "LOC:         10         20         30   Local timer interrupts\n"
    "ERR:          5\n"
    "MIS:          0\n";
static const char later[] =
    "           CPU0       CPU1       CPU3       \n"
    " 36:          1      61365          7  PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0\n"
    " 40:          0          0          2  PCI-MSIX-0000:00:03.0   1-edge      eth0 rx\n"
    "LOC:         10         25         37   Local timer interrupts\n"
    "ERR:          9\n";

static void test_interrupts(void **state)
{
    (void)state;
    struct cpus cpus = two(1, 3); /* CPU 3 is the third column */
    put(interrupts);
    json_t *before = events_read_interrupts_from(path, &cpus);
    put(later);
    json_t *after = events_read_interrupts_from(path, &cpus);
    json_t *sum = json_object();
    assert_non_null(before);
    assert_non_null(after);
    assert_int_equal(events_add_difference(sum, before, after), 0);
    json_t *want = json_pack("{s:{s:[ii], s:[ii], s:[ii]}}", "interrupts", "36 virtio1-req.0", 1, 0,
                             "40 rx", 0, 2, "LOC Local timer interrupts", 5, 7);
    assert_true(json_equal(sum, want));
    assert_int_equal(events_add_difference(sum, before, after), 0);
    assert_int_equal((int)events_total(sum, "interrupts", NULL), 30);
    json_decref(want);
    json_decref(sum);
    json_decref(before);
    json_decref(after);
}

static const char report[] =
    "{\"schema\": \"lull-report-2\", \"run\": null, \"marked\": {\"seconds\": 1.5, \"cores\": ["
    " {\"core\": 0, \"cpu\": 3, \"exits\": {\"total\": 9, \"mark\": 2, \"park\": 7},"
    "  \"kernel\": {\"fault\": 0}, \"thread\": {\"nivcsw\": 1},"
    "  \"host_interrupts\": {\"LOC Local timer interrupts\": 4}},"
    " {\"core\": 1, \"cpu\": 1, \"exits\": {\"total\": 1, \"mark\": 0, \"park\": 1},"
    "  \"kernel\": {\"fault\": 2}, \"thread\": {\"nivcsw\": 0}, \"host_interrupts\": {}}]}}";

static void test_report(void **state)
{
    (void)state;
    struct cpus cpus = two(1, 3);
    double seconds = 0;
    json_t *sum = json_object();
    put(report);
    assert_int_equal(events_add_report(sum, &seconds, path, &cpus, 2), 0);
    assert_int_equal(events_add_report(sum, &seconds, path, &cpus, 2), 0);
    assert_true(seconds == 3);
    /* ordered by CPU, not by core; "total" is no cause */
    assert_int_equal((int)events_total(sum, "exits", "mark"), 16);
    assert_int_equal((int)events_total(sum, "exits", NULL), 20);
    assert_int_equal((int)events_count(sum, "kernel", "fault"), 4);
    json_t *park = json_object_get(json_object_get(sum, "exits"), "park");
    assert_int_equal(json_integer_value(json_array_get(park, 0)), 2);
    assert_int_equal(json_integer_value(json_array_get(park, 1)), 14);
    json_decref(sum);
}

static void test_bad_reports(void **state)
{
    (void)state;
    static const char wrong_cpu[] =
        "{\"schema\": \"lull-report-2\", \"marked\": {\"seconds\": 1, \"cores\": ["
        "{\"cpu\": 1, \"exits\": {}}, {\"cpu\": 9}]}}";
    static const char *const bad[] = {
        "",
        "{}",
        "[1]",
        "{\"schema\": \"lull-report-2\", \"marked\": null}",
        "{\"schema\": \"lull-report-2\", \"marked\": {\"seconds\": 1, \"cores\": []}}",
        "{\"schema\": \"lull-report-2\", \"marked\": {\"seconds\": 1, \"cores\": []}}",
        "{\"schema\": \"lull-report-2\", \"marked\": {\"seconds\": 1, \"cores\": [1, 2]}}",
        wrong_cpu,
    };
    struct cpus cpus = two(1, 3);
    double seconds = 0;
    json_t *sum = json_object();
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(bad[i]);
        if (events_add_report(sum, &seconds, path, &cpus, 2) != -1)
            fail_msg("accepted: %s", bad[i]);
    }
    assert_true(seconds == 0);
    json_decref(sum);
}

static void test_cpus(void **state)
{
    (void)state;
    struct cpus allowed = {.n = 0}, c;
    char text[64];
    assert_true(!cpus_parse("1", &allowed, &c));
    for (int i = 0; i < 6; i++)
        CPU_SET(i, &allowed.set);
    allowed.n = 6;
    assert_true(cpus_parse("2", &allowed, &c));
    cpus_format(&c, text, sizeof text);
    assert_string_equal(text, "4-5");
    assert_true(cpus_parse("0,2-3,5", &allowed, &c));
    assert_int_equal(c.n, 4);
    assert_int_equal(cpus_get(&c, 2), 3);
    assert_int_equal(cpus_get(&c, 4), -1);
    cpus_format(&c, text, sizeof text);
    assert_string_equal(text, "0,2-3,5");
    assert_true(cpus_parse("3-3", &allowed, &c));
    cpus_format(&c, text, sizeof text);
    assert_string_equal(text, "3-3"); /* "3" would be a count to lull */
    static const char *const bad[] = {"",   "0", "7",  "6-6", "3-1", "1,",
                                      ",1", "a", "1-", "-1",  "1 2"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (cpus_parse(bad[i], &allowed, &c))
            fail_msg("accepted: \"%s\"", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_interrupts),
        cmocka_unit_test(test_report),
        cmocka_unit_test(test_bad_reports),
        cmocka_unit_test(test_cpus),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
