/* SPDX-License-Identifier: MIT */
/* What the report makes of Linux's counters and of the histograms of waiting. */
#include "unit.h"

#include <errno.h>

#include "report/report.h"

static const uint16_t cpu[] = {10, 1};
static struct host_cpu host[2];

static FILE *text(const char *t)
{
    FILE *f = fmemopen((void *)(uintptr_t)t, strlen(t), "r");
    assert_non_null(f);
    memset(host, 0, sizeof host);
    return f;
}

static void test_stat(void **state)
{
    (void)state;
    FILE *f = text("cpu  9 9 9 9 9 9 9 9 9 9\n"
                   "cpu0 9 9 9 9 9 9 9 9 9 9\n"
                   "cpu1 1 2 3 4 5 6 7 8 9 10\n"
                   "cpu10 11 0 0 0 0 0 0 5\n" /* an older Linux: no guests */
                   "intr 1 2 3\n");
    assert_int_equal(host_times_read(host, f, cpu, 2, 10000), 0);
    fclose(f);
    assert_int_equal(host[1].time_us[0], 10000);
    assert_int_equal(host[1].time_us[9], 100000);
    assert_int_equal(host[0].time_us[0], 110000);
    assert_int_equal(host[0].time_us[7], 50000);
    assert_int_equal(host[0].time_us[8], 0);
    assert_string_equal(cpu_time_name[7], "steal");
}

static void test_schedstat(void **state)
{
    (void)state;
    FILE *f = text("version 15\ntimestamp 4295\n"
                   "cpu1 0 0 0 0 0 0 123456 789 42\n"
                   "domain0 3 1 2 3\n"
                   "cpu10 0 0\n");
    assert_int_equal(host_sched_read(host, f, cpu, 2), 0);
    fclose(f);
    assert_true(host[1].has_sched);
    assert_int_equal(host[1].run_ns, 123456);
    assert_int_equal(host[1].wait_ns, 789);
    assert_int_equal(host[1].timeslices, 42);
    assert_false(host[0].has_sched);
}

static void test_none_of_ours(void **state)
{
    (void)state;
    static const char *const texts[] = {"cpu  1 2 3\n", "cpu2 1 2 3\n", "cpuidle 1\n", "x"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *f = text(texts[i]);
        assert_int_equal(host_times_read(host, f, cpu, 2, 10000), -EINVAL);
        fclose(f);
    }
}

static void test_buckets(void **state)
{
    (void)state;
    assert_int_equal(lull_wait_bucket(0), 0);
    assert_int_equal(lull_wait_bucket(UINT64_MAX), LULL_WAIT_BUCKETS - 1);
    for (unsigned b = 1; b < LULL_WAIT_BUCKETS; b++) {
        assert_int_equal(lull_wait_bucket(lull_wait_least(b)), b);
        assert_int_equal(lull_wait_bucket(lull_wait_least(b) - 1), b - 1);
    }
}

static void test_quantiles(void **state)
{
    (void)state;
    uint32_t bucket[LULL_WAIT_BUCKETS] = {0};
    assert_int_equal(waits_quantile(bucket, 0, 0.5), 0);
    for (uint64_t ns = 1000; ns <= 100000; ns += 1000)
        bucket[lull_wait_bucket(ns)]++;
    assert_int_equal(waits_count(bucket), 100);
    for (unsigned p = 1; p <= 100; p++) {
        uint64_t q = waits_quantile(bucket, 100000, p / 100.0), exact = p * 1000;
        if (q < exact - exact / 8 || q > exact + exact / 8)
            fail_msg("%u %%: %llu, %llu expected", p, (unsigned long long)q,
                     (unsigned long long)exact);
    }
    /* never more than the longest; what is behind the last bucket is the longest */
    memset(bucket, 0, sizeof bucket);
    bucket[lull_wait_bucket(70000)] = 1;
    assert_int_equal(waits_quantile(bucket, 66000, 1), 66000);
    bucket[LULL_WAIT_BUCKETS - 1] = 1;
    assert_int_equal(waits_quantile(bucket, 90000000000, 1), 90000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stat),         cmocka_unit_test(test_schedstat),
        cmocka_unit_test(test_none_of_ours), cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
