/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/stats.h"

#define N(a) (sizeof(a) / sizeof *(a))

static void close_to(double got, double want)
{
    if (!(fabs(got - want) <= 1e-12 * (1 + fabs(want))))
        fail_msg("got %.17g, expected %.17g", got, want);
}

static void test_median(void **state)
{
    (void)state;
    double odd[] = {9, 1, 5}, even[] = {4, 1, 3, 2}, one[] = {7};
    close_to(stats_median(odd, N(odd)), 5);
    close_to(stats_median(even, N(even)), 2.5);
    close_to(stats_median(one, 1), 7);
    assert_true(isnan(stats_median(one, 0)));
}

static void test_quantile(void **state)
{
    (void)state;
    double v[200];
    for (int i = 0; i < 200; i++)
        v[i] = 200 - i;
    stats_sort(v, 200);
    close_to(stats_quantile_sorted(v, 200, 0.99), 198); /* nearest rank: ceil(0.99 * 200) */
    close_to(stats_quantile_sorted(v, 100, 0.99), 99);  /* and no rounding error to 100 */
    close_to(stats_quantile_sorted(v, 7, 0.99), 7);
    close_to(stats_quantile_sorted(v, 200, 1), 200);
    close_to(stats_quantile_sorted(v, 200, 0.001), 1);
    assert_true(isnan(stats_quantile_sorted(v, 0, 0.5)));
}

static void test_summary(void **state)
{
    (void)state;
    double v[] = {5, 3, 100, 4};
    struct stats s = stats_of(v, N(v));
    assert_int_equal(s.n, 4);
    close_to(s.min, 3);
    close_to(s.median, 4.5);
    close_to(s.p99, 100);
    close_to(s.max, 100);
    close_to(s.mean, 28);
    assert_true(isnan(stats_of(v, 0).median));
}

static void test_noise(void **state)
{
    (void)state;
    double quiet[] = {10, 10, 10}, noisy[] = {10, 12, 10, 18};
    close_to(stats_noise_rate(quiet, N(quiet)), 0);
    close_to(stats_noise_rate(noisy, N(noisy)), 10.0 / 40.0);
    assert_true(isnan(stats_noise_rate(quiet, 0)));
    double zero[] = {0, 1};
    assert_true(isnan(stats_noise_rate(zero, 2)));
}

static void test_detours(void **state)
{
    (void)state;
    double t[] = {100, 101, 101.5, 111, 250};
    assert_int_equal(stats_count_detours(t, N(t), 1), 3); /* exactly 1 does not exceed 1 */
    assert_int_equal(stats_count_detours(t, N(t), 10), 2);
    assert_int_equal(stats_count_detours(t, N(t), 100), 1);
    assert_int_equal(stats_count_detours(t, 0, 1), 0);
}

static void test_pair_ratio(void **state)
{
    (void)state;
    /* the ratio of the medians would be 2; that of the pairs is not */
    double native[] = {1, 10, 2}, isle[] = {4, 5, 4}, scratch[3];
    close_to(stats_pair_ratio(native, isle, 3, scratch), 2);
    double native2[] = {1, 2, 100}, isle2[] = {3, 1, 50}, native3[] = {1, 0, 2};
    close_to(stats_pair_ratio(native2, isle2, 3, scratch), 0.5);
    assert_true(isnan(stats_pair_ratio(native3, isle, 3, scratch)));
    native3[1] = NAN;
    assert_true(isnan(stats_pair_ratio(native3, isle, 3, scratch)));
    isle[2] = NAN;
    assert_true(isnan(stats_pair_ratio(native, isle, 3, scratch)));
    assert_true(isnan(stats_pair_ratio(native, isle, 0, scratch)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_median),  cmocka_unit_test(test_quantile),
        cmocka_unit_test(test_summary), cmocka_unit_test(test_noise),
        cmocka_unit_test(test_detours), cmocka_unit_test(test_pair_ratio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
