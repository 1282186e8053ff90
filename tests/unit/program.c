/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "elf_make.h"
#include "message.h"
#include "program/program.h"

static char *dir;
static struct elf_make image;

static int setup(void **state)
{
    (void)state;
    dir = unit_tempdir();
    assert_int_equal(chdir(dir), 0);
    elf_make_program(&image, ET_EXEC);
    unit_write(dir, "good", &image, sizeof image, 0755);
    setenv("PATH", "/nowhere", 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    unit_remove(dir);
    return 0;
}

/* Opens words (split at blanks). */
static int open_words(const char *line, struct program *p)
{
    static char buf[512];
    char *argv[16];
    int argc = 0;
    snprintf(buf, sizeof buf, "%s", line);
    for (char *save, *w = strtok_r(buf, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    argv[argc] = NULL;
    return program_open(NULL, argc, argv, p);
}

static void expect(const char *line, const char *words)
{
    struct program p;
    char all[1024] = "", *path = NULL;
    assert_int_equal(open_words(line, &p), 0);
    assert_true(p.fd >= 0);
    assert_true(fcntl(p.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(asprintf(&path, "%s/good", dir), strlen(dir) + 5);
    assert_string_equal(p.path, path);
    free(path);
    assert_int_equal(p.image.entry, 0x401010);
    for (int i = 0; i < p.argc; i++) {
        strcat(all, i > 0 ? "|" : "");
        strcat(all, p.argv[i]);
    }
    assert_null(p.argv[p.argc]);
    assert_string_equal(all, words);
    program_close(&p);
    program_close(&p); /* does no harm */
}

static void refused(const char *line, int code, const char *part)
{
    struct program p;
    struct unit_stderr e;
    unit_catch(&e);
    int rc = open_words(line, &p);
    unit_one_line(unit_caught(&e), part);
    assert_int_equal(rc, code);
    assert_int_equal(p.fd, -1);
    program_close(&p);
}

static void test_plain(void **state)
{
    (void)state;
    struct program p;
    expect("./good", "./good");
    expect("./good a -b", "./good|a|-b");
    assert_int_equal(symlink("good", "link"), 0);
    expect("./link", "./link"); /* path is what it points to, as /proc/self/exe */
    assert_int_equal(open_words("./link", &p), 0);
    assert_string_equal(p.execfn, "./link");
    program_close(&p);
}

static void test_path(void **state)
{
    (void)state;
    struct program p;
    char *path;
    unit_write_text(dir, "a/good", "not executable", 0644);
    unit_write_text(dir, "b/good/x", "a directory of that name", 0755);
    assert_true(asprintf(&path, "/nowhere:%s/good:%s/a:%s/b:%s", dir, dir, dir, dir) > 0);
    setenv("PATH", path, 1);
    free(path);
    assert_int_equal(open_words("good x", &p), 0);
    assert_string_equal(p.argv[0], "good");
    assert_true(asprintf(&path, "%s/good", dir) > 0);
    assert_string_equal(p.execfn, path);
    free(path);
    program_close(&p);

    setenv("PATH", "/nowhere::/else", 1); /* an empty word: the current directory */
    expect("good", "good");
    setenv("PATH", "a:b", 1);
    refused("good", LULL_EXIT_NOT_RUNNABLE, "good may not be executed");
    refused("other", LULL_EXIT_NOT_FOUND, "other was not found in PATH");
    unsetenv("PATH");
    refused("lull-unit-no-such-program", LULL_EXIT_NOT_FOUND, "PATH");
}

static void test_not_there(void **state)
{
    (void)state;
    char *argv[] = {(char *)"", NULL};
    struct program p;
    struct unit_stderr e;
    refused("./none", LULL_EXIT_NOT_FOUND, "./none was not found");
    assert_int_equal(symlink("nothing", "dangling"), 0);
    refused("./dangling", LULL_EXIT_NOT_FOUND, "./dangling");
    unit_catch(&e);
    int rc = program_open(NULL, 1, argv, &p);
    unit_one_line(unit_caught(&e), "was not found");
    assert_int_equal(rc, LULL_EXIT_NOT_FOUND);
}

static void test_not_runnable(void **state)
{
    (void)state;
    unit_write(dir, "plain", &image, sizeof image, 0644);
    unit_write_text(dir, "text", "echo hello\n", 0755);
    unit_write_text(dir, "empty", "", 0755);
    unit_write(dir, "short", &image, 100, 0755);
    assert_int_equal(mkdir("sub", 0755), 0);
    assert_int_equal(mkfifo("fifo", 0755), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    refused("./sub", LULL_EXIT_NOT_RUNNABLE, "./sub is a directory");
    refused("./plain", LULL_EXIT_NOT_RUNNABLE, "./plain may not be executed");
    refused("./fifo", LULL_EXIT_NOT_RUNNABLE, "./fifo");
    refused("/dev/null", LULL_EXIT_NOT_RUNNABLE, "/dev/null");
    refused("./good/x", LULL_EXIT_NOT_RUNNABLE, "Not a directory");
    refused("./loop", LULL_EXIT_NOT_RUNNABLE, "symbolic links");
    refused("./text", LULL_EXIT_NOT_RUNNABLE, "./text is neither an ELF program nor a script");
    refused("./empty", LULL_EXIT_NOT_RUNNABLE, "./empty is an empty file");
    unit_write(dir, "secret", &image, sizeof image, 0111);
    if (geteuid() != 0) /* root may read anything */
        refused("./secret", LULL_EXIT_NOT_RUNNABLE, "./secret may not be read");
    refused("./short", LULL_EXIT_NOT_RUNNABLE, "./short is truncated");
}

static void test_verdicts(void **state)
{
    (void)state;
    image.eh.e_machine = EM_AARCH64;
    unit_write(dir, "arm", &image, sizeof image, 0755);
    refused("./arm", LULL_EXIT_NOT_RUNNABLE, "architecture");
    image.eh.e_ident[EI_CLASS] = ELFCLASS32;
    unit_write(dir, "small", &image, sizeof image, 0755);
    refused("./small", LULL_EXIT_NOT_RUNNABLE, "32-bit");
}

/* Program headers behind the first 64 KiB, as some tools that edit binaries put them. */
static void test_far_headers(void **state)
{
    (void)state;
    static uint8_t file[0x40000];
    memcpy(file, &image, sizeof image);
    memcpy(file + 0x30000, image.ph, sizeof image.ph);
    ((Elf64_Ehdr *)file)->e_phoff = 0x30000;
    unit_write(dir, "good", file, sizeof file, 0755);
    expect("./good", "./good");
    ((Elf64_Ehdr *)file)->e_phoff = 0x3fff0;
    unit_write(dir, "bad", file, sizeof file, 0755);
    refused("./bad", LULL_EXIT_NOT_RUNNABLE, "truncated");
}

static void test_scripts(void **state)
{
    (void)state;
    struct program p;
    unit_write_text(dir, "s1", "#!./good\n", 0755);
    unit_write_text(dir, "s2", "#! ./good  -f  x \nbody", 0755);
    unit_write_text(dir, "s3", "#!./s2 -a b\n", 0755);
    expect("./s1 one two", "./good|./s1|one|two");
    expect("./s2 one", "./good|-f  x|./s2|one");
    expect("./s3 one", "./good|-f  x|./s2|-a b|./s3|one");
    assert_int_equal(open_words("./s3", &p), 0);
    assert_string_equal(p.execfn, "./s3");
    program_close(&p);
    setenv("PATH", dir, 1); /* a script from PATH is named with its directory */
    assert_int_equal(open_words("s1", &p), 0);
    assert_string_equal(p.argv[1], p.execfn);
    assert_true(p.argv[1][0] == '/');
    program_close(&p);
}

static void test_script_levels(void **state)
{
    (void)state;
    unit_write_text(dir, "n0", "#!./good\n", 0755);
    for (int i = 1; i <= 5; i++) {
        char name[8], text[16];
        snprintf(name, sizeof name, "n%d", i);
        snprintf(text, sizeof text, "#!./n%d\n", i - 1);
        unit_write_text(dir, name, text, 0755);
    }
    expect("./n4 x", "./good|./n0|./n1|./n2|./n3|./n4|x"); /* five levels: as Linux */
    refused("./n5", LULL_EXIT_NOT_RUNNABLE, "5 levels");
    unit_write_text(dir, "self", "#!./self\n", 0755);
    refused("./self", LULL_EXIT_NOT_RUNNABLE, "5 levels");
}

/* Codes as bash gives them: 127 when the interpreter is not there, otherwise 126. */
static void test_bad_scripts(void **state)
{
    (void)state;
    unit_write_text(dir, "gone", "#!/nowhere/sh\n", 0755);
    unit_write_text(dir, "crlf", "#!./good\r\nbody\r\n", 0755);
    unit_write_text(dir, "dir", "#!/tmp\n", 0755);
    unit_write_text(dir, "noexec", "#!./data\n", 0755);
    unit_write_text(dir, "data", "data", 0644);
    unit_write_text(dir, "none", "#! \n", 0755);
    unit_write_text(dir, "totext", "#!./text\n", 0755);
    unit_write_text(dir, "text", "no program", 0755);
    refused("./gone", LULL_EXIT_NOT_FOUND, "/nowhere/sh, the interpreter of ./gone, was not found");
    refused("./crlf", LULL_EXIT_NOT_FOUND, "./good?, the interpreter of ./crlf");
    refused("./dir", LULL_EXIT_NOT_RUNNABLE, "/tmp, the interpreter of ./dir, is a directory");
    refused("./noexec", LULL_EXIT_NOT_RUNNABLE, "./data, the interpreter of ./noexec");
    refused("./none", LULL_EXIT_NOT_RUNNABLE, "./none is neither");
    refused("./totext", LULL_EXIT_NOT_RUNNABLE, "./text, the interpreter of ./totext, is neither");
}

/* No descriptor is left open, whatever the outcome. */
static void test_no_leak(void **state)
{
    (void)state;
    struct program p;
    unit_write_text(dir, "s1", "#!./good\n", 0755);
    unit_write_text(dir, "gone", "#!/nowhere/sh\n", 0755);
    int before = dup(0);
    close(before);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(open_words("./s1", &p), 0);
        program_close(&p);
        refused("./gone", LULL_EXIT_NOT_FOUND, "gone");
    }
    int after = dup(0);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_path, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_there, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_runnable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_verdicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_far_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_scripts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_script_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_scripts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_leak, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
