/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "program/script.h"

static struct script s;

static bool parse(const char *text)
{
    return script_parse((const uint8_t *)text, strlen(text), &s);
}

static void expect(const char *text, const char *interpreter, const char *arg)
{
    if (!parse(text))
        fail_msg("'%s' was refused", text);
    assert_string_equal(s.interpreter, interpreter);
    assert_int_equal(s.has_arg, arg != NULL);
    if (arg)
        assert_string_equal(s.arg, arg);
}

static void test_lines(void **state)
{
    (void)state;
    expect("#!/bin/sh\n", "/bin/sh", NULL);
    expect("#!/bin/sh", "/bin/sh", NULL);
    expect("#! \t /bin/sh \t \necho", "/bin/sh", NULL);
    expect("#!/bin/sh -e\n", "/bin/sh", "-e");
    expect("#!/usr/bin/env  -S a  b \t\nx", "/usr/bin/env", "-S a  b");
    expect("#!sh\n", "sh", NULL);
    expect("#!/bin/sh\r\n", "/bin/sh\r", NULL);
    expect("#!/bin/sh\t-x", "/bin/sh", "-x");
}

static void test_none(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",      "#",    "#!",           "#!\n",          "#! \t\n",
        "#!   ", "echo", " #!/bin/sh\n", "#\n!/bin/sh\n", "#!\n/bin/sh\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(bad[i]))
            fail_msg("'%s' was taken", bad[i]);
}

static void test_nul(void **state)
{
    (void)state;
    static const char name[] = "#!/bin/sh\0rest\n";
    assert_true(script_parse((const uint8_t *)name, sizeof name - 1, &s));
    assert_string_equal(s.interpreter, "/bin/sh");
    assert_false(s.has_arg);
    static const char arg[] = "#!/bin/sh -e\0rest\n";
    assert_true(script_parse((const uint8_t *)arg, sizeof arg - 1, &s));
    assert_string_equal(s.arg, "-e");
    static const char zeros[64] = "#!";
    assert_false(script_parse((const uint8_t *)zeros, sizeof zeros, &s));
}

/* A line as long as `n` bytes: "#!/xxx..." and what follows. */
static bool parse_long(size_t n, const char *then)
{
    char line[600];
    memset(line, 'x', sizeof line);
    memcpy(line, "#!/", 3);
    memcpy(line + n, then, strlen(then));
    return script_parse((const uint8_t *)line, n + strlen(then), &s);
}

static void test_limit(void **state)
{
    (void)state;
    assert_true(parse_long(255, "\n"));
    assert_int_equal(strlen(s.interpreter), 253);
    assert_true(parse_long(255, " -x\n")); /* the name is whole, its argument is not seen */
    assert_int_equal(strlen(s.interpreter), 253);
    assert_false(s.has_arg);
    assert_false(parse_long(256, "\n")); /* cut off */
    assert_false(parse_long(500, "\n"));
    assert_true(parse_long(100, " -abc"));
    assert_string_equal(s.arg, "-abc");
}

/* Linux cuts an argument off without a word. */
static void test_long_argument(void **state)
{
    (void)state;
    char line[400] = "#!/bin/sh ";
    memset(line + 10, 'a', sizeof line - 10);
    assert_true(script_parse((const uint8_t *)line, sizeof line, &s));
    assert_string_equal(s.interpreter, "/bin/sh");
    assert_int_equal(strlen(s.arg), 255 - 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),         cmocka_unit_test(test_none),
        cmocka_unit_test(test_nul),           cmocka_unit_test(test_limit),
        cmocka_unit_test(test_long_argument),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
