/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include <elf.h>
#include <errno.h>
#include <sys/mman.h>

#include "check/check.h"
#include "elf_make.h"

static enum loader_line parse(const char *text, const char **name, const char **path)
{
    static char line[300];
    snprintf(line, sizeof line, "%s", text);
    *name = *path = NULL;
    return loader_parse_line(line, name, path);
}

static void library(const char *text, const char *name, const char *path)
{
    const char *n, *p;
    assert_int_equal(parse(text, &n, &p), LOADER_LIBRARY);
    assert_string_equal(n, name);
    assert_string_equal(p, path);
}

static void test_loader_lines(void **state)
{
    (void)state;
    library("\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f3a8a8e4000)", "libm.so.6",
            "/lib/x86_64-linux-gnu/libm.so.6");
    library("\tliba.so => /a b/(c) (0x1)", "liba.so", "/a b/(c)");
}

static void test_loader_lines_other(void **state)
{
    (void)state;
    static const char *const nothing[] = {"", "\tlinux-vdso.so.1 (0x00007ffd5b9f1000)",
                                          "\t/lib64/ld-linux-x86-64.so.2 (0x00007f3a8abd1000)",
                                          "\tstatically linked"};
    static const char *const complaint[] = {
        "./a: error while loading shared libraries: liba.so: cannot open shared object file",
        "Error loading shared library liba.so: No such file or directory (needed by ./a)",
        "./a: /lib/libc.so.6: version `GLIBC_9.99' not found (required by ./a)",
        "\tliba.so => not found",
        "\tliba.so => not found (0x1)",
        "\tliba.so =>  (0x1)",
        "\tliba.so => (",
        "\t",
        "x",
    };
    const char *n, *p;
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
        assert_int_equal(parse(nothing[i], &n, &p), LOADER_NOTHING);
    for (size_t i = 0; i < sizeof complaint / sizeof *complaint; i++)
        assert_int_equal(parse(complaint[i], &n, &p), LOADER_COMPLAINT);
}

/* A note section: an ABI tag, then properties: one of another kind, then what is needed. */
struct notes {
    Elf64_Nhdr tag_head;
    char tag_name[4];
    uint32_t tag[4];
    Elf64_Nhdr head;
    char name[4];
    uint32_t other[4]; /* type, size, value, padding */
    uint32_t isa[4];
};

static struct notes make_notes(uint32_t needed)
{
    return (struct notes){
        .tag_head = {4, 16, NT_GNU_ABI_TAG},
        .tag_name = "GNU",
        .head = {4, 32, NT_GNU_PROPERTY_TYPE_0},
        .name = "GNU",
        .other = {0xc0010001, 4, 7, 0},
        .isa = {0xc0008002, 4, needed, 0},
    };
}

static void test_isa_needed(void **state)
{
    (void)state;
    struct notes n = make_notes(ISA_BASELINE | ISA_V3);
    assert_int_equal(isa_needed((uint8_t *)&n, sizeof n), ISA_BASELINE | ISA_V3);
    for (size_t len = 0; len < sizeof n; len++) { /* cut short: nothing beyond the end is read */
        uint8_t *cut = malloc(len ? len : 1);
        memcpy(cut, &n, len);
        assert_int_equal(isa_needed(cut, len), 0);
        free(cut);
    }
    n.isa[1] = 0xffffffff;
    assert_int_equal(isa_needed((uint8_t *)&n, sizeof n), 0);
    n = make_notes(ISA_V2);
    n.other[1] = 0xfffffff9; /* its end wraps */
    assert_int_equal(isa_needed((uint8_t *)&n, sizeof n), 0);
    n = make_notes(ISA_V2);
    n.tag_head.n_descsz = 0xffffffff;
    assert_int_equal(isa_needed((uint8_t *)&n, sizeof n), 0);
    n = make_notes(ISA_V2);
    n.tag_head.n_namesz = 0xfffffffe;
    assert_int_equal(isa_needed((uint8_t *)&n, sizeof n), 0);
}

static void test_isa_lacks(void **state)
{
    (void)state;
    char buf[400];
    struct isa_cpu all = {~0u, ~0u, ~0u, ~0ull}, v2 = {0}, none = {0};
    assert_false(isa_lacks(&all, ISA_BASELINE | ISA_V2 | ISA_V3 | ISA_V4, buf, sizeof buf));
    assert_string_equal(buf, "");
    assert_false(isa_lacks(&none, ISA_BASELINE, buf, sizeof buf));
    v2.leaf1_ecx = 1u << 0 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 23;
    v2.ext1_ecx = 1;
    assert_false(isa_lacks(&v2, ISA_V2, buf, sizeof buf));
    assert_true(isa_lacks(&v2, ISA_V3, buf, sizeof buf));
    assert_string_equal(buf, "avx avx2 bmi1 bmi2 f16c fma lzcnt movbe");
    v2.ext1_ecx = 0; /* a level holds those below */
    assert_true(isa_lacks(&v2, ISA_V4, buf, sizeof buf));
    assert_non_null(strstr(buf, "lahf"));
    assert_non_null(strstr(buf, "avx512vl"));
    all.xcr0 = 6; /* the kernel does not save what AVX-512 needs */
    assert_true(isa_lacks(&all, ISA_V4, buf, sizeof buf));
    assert_string_equal(buf, "avx512f");
    assert_true(isa_lacks(&all, 1u << 4, buf, sizeof buf)); /* not known: not had */
    assert_true(isa_lacks(&none, ISA_V4, buf, 20));         /* too long for the buffer */
    assert_true(strlen(buf) < 20);
    assert_string_equal(isa_name(ISA_BASELINE | ISA_V3 | ISA_V2), "x86-64-v3");
    assert_string_equal(isa_name(ISA_BASELINE), "x86-64");
    assert_string_equal(isa_name(1u << 30), "a level beyond x86-64-v4");
}

static void test_this_cpu(void **state)
{
    (void)state;
    struct isa_cpu c = isa_this_cpu();
    char buf[400];
    assert_int_equal(isa_lacks(&c, ISA_V2, buf, sizeof buf), !__builtin_cpu_supports("sse4.2"));
    bool avx2 = __builtin_cpu_supports("avx2");
    isa_lacks(&c, ISA_V3, buf, sizeof buf);
    assert_int_equal(strstr(buf, "avx2") == NULL, avx2);
}

/* The file that these bytes are. */
static int file_of(const void *bytes, size_t len)
{
    int fd = memfd_create("check", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    return fd;
}

/* A program with notes and two imports, section headers included. */
struct file {
    struct elf_make elf;
    struct notes notes;
    Elf64_Sym sym[5];
    char names[32];
    Elf64_Shdr sh[3];
};

static void make_file(struct file *f)
{
    memset(f, 0, sizeof *f);
    elf_make_program(&f->elf, ET_DYN);
    f->notes = make_notes(ISA_V2);
    Elf64_Phdr *ph = elf_make_phdr(&f->elf, PT_NOTE, PF_R);
    ph->p_offset = offsetof(struct file, notes);
    ph->p_filesz = sizeof f->notes;
    memcpy(f->names, "\0fork\0own\0errno\0puts", 21);
    f->sym[1] = (Elf64_Sym){.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC)};
    f->sym[2] =
        (Elf64_Sym){.st_name = 6, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1};
    f->sym[3] = (Elf64_Sym){.st_name = 10, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT)};
    f->sym[4] = (Elf64_Sym){.st_name = 16, .st_info = ELF64_ST_INFO(STB_WEAK, STT_NOTYPE)};
    f->sh[1] = (Elf64_Shdr){.sh_type = SHT_DYNSYM,
                            .sh_link = 2,
                            .sh_offset = offsetof(struct file, sym),
                            .sh_size = sizeof f->sym};
    f->sh[2] = (Elf64_Shdr){.sh_type = SHT_STRTAB,
                            .sh_offset = offsetof(struct file, names),
                            .sh_size = sizeof f->names};
    f->elf.eh.e_shoff = offsetof(struct file, sh);
    f->elf.eh.e_shnum = 3;
    f->elf.eh.e_shentsize = sizeof f->sh[0];
}

static void read_file(const struct file *f, struct elffile *out, int expected)
{
    int fd = file_of(f, sizeof *f);
    assert_int_equal(elffile_read(fd, out), expected);
    close(fd);
}

static void test_file(void **state)
{
    (void)state;
    static struct file f;
    struct elffile out;
    make_file(&f);
    read_file(&f, &out, 0);
    assert_int_equal(out.isa, ISA_V2);
    assert_memory_equal(out.imports, "fork\0puts\0", 11);
    elffile_free(&out);
}

static void test_file_lies(void **state)
{
    (void)state;
    static struct file f;
    struct elffile out;
    make_file(&f);
    f.sh[1].sh_link = 3;
    read_file(&f, &out, 0);
    assert_null(out.imports);
    elffile_free(&out);
    make_file(&f);
    f.sh[2].sh_size = ~0ull;
    read_file(&f, &out, 0);
    assert_null(out.imports);
    elffile_free(&out);
    make_file(&f); /* one name for many symbols: never more than there are names */
    memset(f.names, 'x', sizeof f.names);
    for (int i = 0; i < 5; i++)
        f.sym[i] = (Elf64_Sym){.st_name = 0, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC)};
    read_file(&f, &out, 0);
    assert_string_equal(out.imports, "");
    elffile_free(&out);
    make_file(&f);
    f.sym[1].st_name = 0xffffffff;
    f.elf.ph[4].p_offset = ~0ull - 10;
    read_file(&f, &out, 0);
    assert_int_equal(out.isa, 0);
    assert_memory_equal(out.imports, "puts\0", 6);
    elffile_free(&out);
    make_file(&f);
    f.elf.eh.e_ident[0] = 0;
    read_file(&f, &out, -ENOEXEC);
    int fd = file_of("\177ELF", 4);
    assert_int_equal(elffile_read(fd, &out), -ENOEXEC);
    close(fd);
    assert_int_equal(elffile_read(-1, &out), -EBADF);
}

static void test_sanitizers(void **state)
{
    (void)state;
    assert_string_equal(sanitizer_of("__asan_init"), "AddressSanitizer");
    assert_string_equal(sanitizer_of("__msan_init"), "MemorySanitizer");
    assert_string_equal(sanitizer_of("__tsan_init"), "ThreadSanitizer");
    assert_string_equal(sanitizer_of("__lsan_disable"), "LeakSanitizer");
    assert_null(sanitizer_of("__ubsan_handle_add_overflow"));
    assert_null(sanitizer_of("__asan_"));
    assert_null(sanitizer_of(""));
}

static void test_calls(void **state)
{
    (void)state;
    assert_string_equal(calls_refused("io_uring_setup"), "io_uring_setup");
    assert_string_equal(calls_refused("io_uring_queue_init"), "io_uring_setup");
    assert_string_equal(calls_refused("ptrace"), "ptrace"); /* not in Lull's table */
    assert_null(calls_refused("read"));
    assert_null(calls_refused("mmap"));
    assert_null(calls_refused("puts"));
    assert_null(calls_refused(""));
    assert_null(calls_refused("lull_map_file")); /* not one of Linux */
}

static void test_trust(void **state)
{
    (void)state;
    char *dir = unit_tempdir(), path[300];
    snprintf(path, sizeof path, "%s/ld.so", dir);
    int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(loader_is_trusted(fd), getuid() == 0);
    assert_int_equal(fchmod(fd, 0775), 0);
    assert_false(loader_is_trusted(fd));
    assert_int_equal(fchmod(fd, 0757), 0);
    assert_false(loader_is_trusted(fd));
    close(fd);
    assert_false(loader_is_trusted(-1));
    unit_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_lines), cmocka_unit_test(test_loader_lines_other),
        cmocka_unit_test(test_isa_needed),   cmocka_unit_test(test_isa_lacks),
        cmocka_unit_test(test_this_cpu),     cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_lies),    cmocka_unit_test(test_calls),
        cmocka_unit_test(test_trust),        cmocka_unit_test(test_sanitizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
