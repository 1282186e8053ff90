/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver/table.h"

const char *const side_name[SIDES] = {"native", "isle"};

static char path[] = "/tmp/lull-table-XXXXXX";

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

static void put(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_json(void **state)
{
    (void)state;
    struct table t;
    assert_int_equal(table_init(&t, 3, "t"), 0);
    const double native[] = {1, 10, 2}, isle[] = {4, 5, 4};
    for (unsigned p = 0; p < 3; p++) {
        assert_int_equal(table_set(&t, NATIVE, p, "m", "us", native[p], NAN), 0);
        assert_int_equal(table_set(&t, ISLE, p, "m", "us", isle[p], 10 * isle[p]), 0);
    }
    assert_int_equal(table_check(&t), 0);
    json_t *j = table_json(&t);
    json_t *m = json_array_get(json_object_get(j, "metrics"), 0);
    double ratio, nm, im, p99;
    assert_int_equal(json_unpack(m, "{s:F, s:{s:F, s:n}, s:{s:F, s:F}}", "ratio", &ratio, "native",
                                 "median", &nm, "p99", "isle", "median", &im, "p99", &p99),
                     0);
    assert_true(ratio == 2 && nm == 2 && im == 4 && p99 == 40);
    json_decref(j);
    table_free(&t);
}

static void test_incomplete(void **state)
{
    (void)state;
    struct table t;
    assert_int_equal(table_init(&t, 2, "t"), 0);
    assert_int_equal(table_check(&t), -1); /* empty */
    assert_int_equal(table_set(&t, NATIVE, 0, "m", "us", 1, NAN), 0);
    assert_int_equal(table_set(&t, NATIVE, 1, "m", "us", 1, NAN), 0);
    assert_int_equal(table_set(&t, ISLE, 0, "m", "us", 1, NAN), 0);
    assert_int_equal(table_check(&t), -1);
    assert_int_equal(table_set(&t, ISLE, 1, "m", "us", 1, NAN), 0);
    assert_int_equal(table_check(&t), 0);
    table_free(&t);
}

static void test_read(void **state)
{
    (void)state;
    struct table t;
    assert_int_equal(table_init(&t, 1, "t"), 0);
    put("{\"schema\": \"lull-metrics-1\", \"program\": \"p\", \"tsc_hz\": 1, \"marked\": false,"
        " \"note\": \"a note\", \"metrics\": ["
        "{\"name\": \"a\", \"unit\": \"us\", \"n\": 3, \"min\": 1, \"median\": 2, \"p99\": 3, "
        "\"max\": 3},"
        "{\"name\": \"b\", \"unit\": \"1\", \"n\": 1, \"min\": 5, \"median\": 5, \"p99\": 5, "
        "\"max\": 5}]}");
    assert_int_equal(table_read(&t, ISLE, 0, path), 0);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.note[ISLE], "a note");
    assert_true(t.row[0].value[ISLE][0] == 2 && t.row[0].p99[ISLE][0] == 3);
    assert_true(isnan(t.row[1].p99[ISLE][0])); /* one value has no p99 */
    static const char *const bad[] = {
        "", "{}", "{\"schema\": \"x\", \"note\": \"\", \"metrics\": [1]}",
        "{\"schema\": \"lull-metrics-1\", \"note\": \"\", \"metrics\": []}",
        "{\"schema\": \"lull-metrics-1\", \"note\": \"\", \"metrics\": [{\"name\": \"a\"}]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(bad[i]);
        if (table_read(&t, ISLE, 0, path) != -1)
            fail_msg("accepted: %s", bad[i]);
    }
    table_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_incomplete),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
