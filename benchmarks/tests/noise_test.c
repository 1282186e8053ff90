/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "driver/cpio.h"
#include "driver/noise.h"

const char *const side_name[SIDES] = {"native", "isle"};

static char dir[] = "/tmp/lull-noise-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    static const char *const names[] = {"out", "dat", "before", "after", "counts"};
    char path[PATH_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        noise_path(dir, NOISE_TUNED, names[i], path, sizeof path);
        unlink(path);
    }
    return rmdir(dir);
}

static void put(const char *suffix, const char *text)
{
    char path[PATH_MAX];
    noise_path(dir, NOISE_TUNED, suffix, path, sizeof path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void expect_file(const char *suffix, const char *text)
{
    char path[PATH_MAX], got[256] = "";
    noise_path(dir, NOISE_TUNED, suffix, path, sizeof path);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, sizeof got - 1, f), strlen(text));
    fclose(f);
    assert_string_equal(got, text);
}

static int unpack(const char *text, struct noise_result *r)
{
    *r = (struct noise_result){.n = 0};
    put("out", text);
    complaint_forget();
    return noise_unpack(r, dir, NOISE_TUNED);
}

static void test_unpack(void **state)
{
    struct noise_result r;
    (void)state;
    /* a section may have anything in it */
    assert_int_equal(unpack("@kernel 5\n6.1.0@status 1\n0@before 0\n@after 7\n@end 0\n"
                            "@samples 4\na\nb\n@end 0\n",
                            &r),
                     0);
    assert_string_equal(r.kernel, "6.1.0");
    expect_file("before", "");
    expect_file("after", "@end 0\n");
    expect_file("dat", "a\nb\n");

    assert_int_equal(unpack("@status 1\n0@samples 4\na\nb\n", &r), -1);
    assert_non_null(strstr(complaint_first(), "ended before it had sent all"));
    assert_int_equal(unpack("@status 1\n0@samples 9\na\nb\n@end 0\n", &r), -1);
    assert_int_equal(unpack("", &r), -1);
    assert_int_equal(unpack("@status 3\n256@text 9\nfwq: why\n@end 0\n", &r), -1);
    assert_non_null(strstr(complaint_first(), "fwq: why"));
    assert_int_equal(unpack("@error 5\nmount@end 0\n", &r), -1);
    assert_non_null(strstr(complaint_first(), "mount"));
    assert_int_equal(unpack("@status 99999999999\n0", &r), -1);
}

#define HEAD "# lull-fwq-1 tsc_hz=999998000.000 work=33333 cores=1 samples=4 cpus=1\n"

static void test_figures(void **state)
{
    struct noise_result r = {.n = 0};
    (void)state;
    put("dat", HEAD "0 0 100012\n0 1 102600\n0 2 100014\n0 3 101012\n");
    assert_int_equal(noise_read(&r, dir, NOISE_TUNED, false), 0);
    assert_int_equal(r.n, 4);
    /* a tick is 1 ns although the header says a little less; 1.000 us longer is no detour yet */
    assert_true(r.shortest_ns == 100012 && r.ns[2] == 100014);
    assert_int_equal(r.detours, 1);
    assert_int_equal(r.changed, 3);
    assert_float_equal(r.longest_ns, 2588, 0);
    assert_float_equal(r.seconds, 403638e-9, 1e-12);
    assert_float_equal(r.rate, (2588 + 2 + 1000) / (4 * 100012.0), 1e-12);
    assert_true(r.clock_detours != r.clock_detours); /* NAN */
    noise_free(&r);
}

static void test_counts(void **state)
{
    struct noise_result r = {.n = 0};
    (void)state;
    put("dat", HEAD "0 0 100012\n0 1 102600\n0 2 100014\n0 3 103012\n");
    /* the last five are about the four samples; what came before is calibration */
    put("counts", "1 1\n7 9\n1000 2000\n101012 0\n201024 0\n301036 0\n401050 0\n");
    assert_int_equal(noise_read(&r, dir, NOISE_TUNED, true), 0);
    assert_int_equal(r.detours, 0);
    assert_int_equal(r.changed, 1);
    assert_float_equal(r.longest_ns, 2, 0);
    assert_true(r.ns[0] == 100012 && r.ns[3] == 100014);
    assert_true(r.clock_detours == 2);
    noise_free(&r);

    put("counts", "1000 2000\n101012 0\n201024 0\n301036 0\n");
    assert_int_equal(noise_read(&r, dir, NOISE_TUNED, true), -1);
    noise_free(&r);
    put("counts", "1000 0\n2000 0\n3000 0\n4000 0\n5000 0\n");
    complaint_forget();
    assert_int_equal(noise_read(&r, dir, NOISE_TUNED, true), -1);
    assert_non_null(strstr(complaint_first(), "not about the same samples"));
    noise_free(&r);
}

static void test_not_virtual(void **state)
{
    struct noise_result r = {.n = 0};
    (void)state;
    put("dat", "# lull-fwq-1 tsc_hz=2600000000.000 work=1 cores=1 samples=1 cpus=1\n0 0 5\n");
    complaint_forget();
    assert_int_equal(noise_read(&r, dir, NOISE_TUNED, false), -1);
    assert_non_null(strstr(complaint_first(), "no virtual time"));
    put("dat", HEAD "0 0 100012\n");
    assert_int_equal(noise_read(&r, dir, NOISE_TUNED, false), -1);
    noise_free(&r);
}

static void test_cpio(void **state)
{
    static const char expected[] = "07070100000001000081ed0000000000000000000000010000000000000005"
                                   "00000000000000000000000000000000000000050000000"
                                   "0init\0\0"
                                   "abcde\0\0\0"
                                   "07070100000000000000000000000000000000000000010000000000000000"
                                   "000000000000000000000000000000000000000b0000000"
                                   "0TRAILER!!!\0\0\0\0";
    char from[PATH_MAX], to[PATH_MAX], got[512];
    (void)state;
    put("before", "abcde");
    noise_path(dir, NOISE_TUNED, "before", from, sizeof from);
    noise_path(dir, NOISE_TUNED, "after", to, sizeof to);
    assert_int_equal(cpio_write(to, &(struct cpio_file){"init", from}, 1), 0);
    FILE *f = fopen(to, "r");
    assert_non_null(f);
    assert_int_equal(fread(got, 1, sizeof got, f), sizeof expected - 1);
    fclose(f);
    assert_memory_equal(got, expected, sizeof expected - 1);
    assert_int_equal(cpio_write(to, &(struct cpio_file){"init", "/nonexistent"}, 1), -1);
    assert_int_equal(access(to, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unpack), cmocka_unit_test(test_figures),
        cmocka_unit_test(test_counts), cmocka_unit_test(test_not_virtual),
        cmocka_unit_test(test_cpio)};
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
