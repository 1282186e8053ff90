/* SPDX-License-Identifier: MIT */
#include "unit.h"

#include "elf_make.h"
#include "program/program.h"

static struct elf_make m;
static struct elf_image img;

static int setup(void **state)
{
    (void)state;
    elf_make_program(&m, ET_EXEC);
    return 0;
}

static int setup_pie(void **state)
{
    (void)state;
    elf_make_program(&m, ET_DYN);
    return 0;
}

static enum elf_verdict parse(void)
{
    return elf_parse((const uint8_t *)&m, sizeof m, sizeof m, &img);
}

#define expect(v) assert_int_equal(parse(), v)

static void test_good(void **state)
{
    (void)state;
    expect(ELF_OK);
    assert_false(img.pie);
    assert_false(img.exec_stack);
    assert_int_equal(img.entry, 0x401010);
    assert_int_equal(img.phdr, 0x400040);
    assert_int_equal(img.phnum, 4);
    assert_int_equal(img.phent, 56);
    assert_int_equal(img.low, 0x400000);
    assert_int_equal(img.high, 0x40c000);
    assert_int_equal(img.align, 0x1000);
    assert_int_equal(img.nsegments, 3);
    assert_int_equal(img.segment[1].prot, LULL_PROT_READ | LULL_PROT_EXEC);
    assert_int_equal(img.segment[2].vaddr, 0x402900);
    assert_int_equal(img.segment[2].filesz, 0x200);
    assert_int_equal(img.segment[2].memsz, 0x9000);
    assert_int_equal(img.segment[2].offset, 0x2900);
    assert_int_equal(img.segment[2].prot, LULL_PROT_READ | LULL_PROT_WRITE);
}

static void test_pie(void **state)
{
    (void)state;
    m.ph[1].p_align = 0x200000;
    m.ph[2].p_align = 0x3000; /* no power of two: ignored, as by Linux */
    m.ph[3].p_flags |= PF_X;
    expect(ELF_OK);
    assert_true(img.pie);
    assert_true(img.exec_stack);
    assert_int_equal(img.entry, 0x1010);
    assert_int_equal(img.low, 0);
    assert_int_equal(img.align, 0x200000);
}

static void test_headers_not_loaded(void **state)
{
    (void)state;
    m.ph[0].p_filesz = 0x80; /* the table is longer */
    expect(ELF_OK);
    assert_int_equal(img.phdr, 0);
}

static void test_not_elf(void **state)
{
    (void)state;
    assert_int_equal(elf_parse((const uint8_t *)"", 0, 0, &img), ELF_NOT_ELF);
    assert_int_equal(elf_parse((const uint8_t *)"\177EL", 3, 3, &img), ELF_NOT_ELF);
    assert_int_equal(elf_parse((const uint8_t *)"#!/bin/sh\n", 10, 10, &img), ELF_NOT_ELF);
    m.eh.e_ident[0] = 0x7e;
    expect(ELF_NOT_ELF);
}

static void test_truncated(void **state)
{
    (void)state;
    const uint8_t *b = (const uint8_t *)&m;
    assert_int_equal(elf_parse(b, 4, 4, &img), ELF_TRUNCATED);
    assert_int_equal(elf_parse(b, 63, 63, &img), ELF_TRUNCATED);
    assert_int_equal(elf_parse(b, 64, 64, &img), ELF_TRUNCATED);
    assert_int_equal(elf_parse(b, 64 + 4 * 56 - 1, 64 + 4 * 56 - 1, &img), ELF_TRUNCATED);
    assert_int_equal(elf_parse(b, 0x2aff, 0x2aff, &img), ELF_TRUNCATED); /* last segment's end */
    assert_int_equal(elf_parse(b, 0x2b00, 0x2b00, &img), ELF_OK);
    /* the caller's head may be shorter than the file, as long as the headers are in it */
    assert_int_equal(elf_parse(b, 64 + 4 * 56, sizeof m, &img), ELF_OK);
    assert_int_equal(elf_parse(b, 64 + 4 * 56 - 1, sizeof m, &img), ELF_LIES);
    /* never more than the file has, whatever the caller says */
    assert_int_equal(elf_parse(b, sizeof m, 100, &img), ELF_TRUNCATED);
    assert_int_equal(elf_parse(b, sizeof m, 2, &img), ELF_NOT_ELF);
    m.eh.e_phoff = UINT64_MAX - 10;
    expect(ELF_TRUNCATED);
}

static void test_truncated_segments(void **state)
{
    (void)state;
    m.ph[2].p_filesz = m.ph[2].p_memsz = sizeof m;
    expect(ELF_TRUNCATED);
    m.ph[2].p_filesz = 0x200;
    m.ph[2].p_offset = UINT64_MAX - 0x6ff; /* congruent; + filesz wraps */
    expect(ELF_TRUNCATED);
    m.ph[2].p_offset = sizeof m + 0x900;
    expect(ELF_TRUNCATED);
}

static void test_other_machines(void **state)
{
    (void)state;
    m.eh.e_machine = EM_AARCH64;
    expect(ELF_WRONG_MACHINE);
    m.eh.e_machine = EM_386;
    expect(ELF_WRONG_MACHINE);
    m.eh.e_machine = EM_X86_64;
    m.eh.e_ident[EI_DATA] = ELFDATA2MSB;
    expect(ELF_WRONG_MACHINE);
    m.eh.e_ident[EI_CLASS] = ELFCLASS32;
    expect(ELF_WRONG_CLASS);
    assert_int_equal(elf_parse((const uint8_t *)&m, 52, 52, &img), ELF_WRONG_CLASS);
    m.eh.e_ident[EI_CLASS] = 7;
    expect(ELF_LIES);
}

static void test_other_types(void **state)
{
    (void)state;
    static const uint16_t types[] = {ET_NONE, ET_REL, ET_CORE, 0xfe00};
    for (int i = 0; i < 4; i++) {
        m.eh.e_type = types[i];
        expect(ELF_WRONG_TYPE);
    }
    elf_make_program(&m, ET_DYN);
    m.eh.e_entry = 0; /* what ld gives a shared library */
    expect(ELF_WRONG_TYPE);
}

static void test_dynamic(void **state)
{
    (void)state;
    expect(ELF_OK);
    assert_int_equal(img.interp_size, 0);
    Elf64_Phdr *ph = elf_make_phdr(&m, PT_INTERP, PF_R);
    ph->p_offset = 0x300;
    ph->p_filesz = 28;
    expect(ELF_OK);
    assert_int_equal(img.interp_offset, 0x300);
    assert_int_equal(img.interp_size, 28);
    ph->p_filesz = 1; /* no name, only its end */
    expect(ELF_LIES);
    ph->p_filesz = 4097; /* PATH_MAX and one more */
    expect(ELF_LIES);
    ph->p_filesz = 28;
    ph->p_offset = sizeof m - 27;
    expect(ELF_TRUNCATED);
}

static void test_header_lies(void **state)
{
    (void)state;
    m.eh.e_phentsize = 57;
    expect(ELF_LIES);
    m.eh.e_phentsize = 0;
    expect(ELF_LIES);
    m.eh.e_phentsize = 56;
    m.eh.e_phnum = 0;
    expect(ELF_LIES);
    m.eh.e_phnum = 0xffff;
    expect(ELF_LIES);
    m.eh.e_phnum = 1171; /* 65,576 bytes */
    expect(ELF_LIES);
    m.eh.e_phnum = 1;
    m.ph[0].p_type = PT_NOTE; /* nothing to load */
    expect(ELF_LIES);
}

static void test_too_many_segments(void **state)
{
    (void)state;
    for (unsigned i = 0; m.eh.e_phnum < ELF_SEGMENTS_MAX + 1; i++)
        elf_make_load(&m, PF_R, 0x500000 + i * 0x1000, 0, 16, 16);
    expect(ELF_OK); /* 32 and the stack's */
    assert_int_equal(img.nsegments, ELF_SEGMENTS_MAX);
    elf_make_load(&m, PF_R, 0x600000, 0, 16, 16);
    expect(ELF_LIES);
    m.ph[m.eh.e_phnum - 1].p_filesz = m.ph[m.eh.e_phnum - 1].p_memsz = 0; /* nothing to map */
    expect(ELF_OK);
}

static void test_segment_lies(void **state)
{
    (void)state;
    m.ph[2].p_filesz = 0x9001;
    m.ph[2].p_memsz = 0x9000;
    expect(ELF_LIES); /* filesz > memsz, before anything is said of the file's end */
    setup(state);
    m.ph[2].p_offset = 0x2800; /* not congruent to 0x402900 */
    expect(ELF_LIES);
    m.ph[2].p_filesz = 0; /* then the offset means nothing */
    expect(ELF_OK);
}

static void test_overlaps(void **state)
{
    (void)state;
    m.ph[1].p_memsz = 0x1900; /* up to the first byte of the next */
    expect(ELF_OK);
    m.ph[1].p_memsz = 0x1901;
    expect(ELF_LIES);
    setup(state);
    Elf64_Phdr swap = m.ph[1];
    m.ph[1] = m.ph[2];
    m.ph[2] = swap;
    expect(ELF_LIES); /* descending */
    setup(state);
    m.ph[2] = m.ph[1];
    expect(ELF_LIES); /* the same twice */
}

static void test_wraps(void **state)
{
    (void)state;
    m.ph[2].p_memsz = UINT64_MAX - 0x402900;
    expect(ELF_LIES);
    m.ph[2].p_memsz = UINT64_MAX;
    expect(ELF_LIES);
    setup(state);
    m.ph[2].p_vaddr = UINT64_MAX - 0x6ff;
    expect(ELF_LIES);
    /* fits into 64 bits, but the end rounded to pages does not */
    m.ph[2].p_vaddr = UINT64_MAX - 0x16ff;
    m.ph[2].p_filesz = 0x100;
    m.ph[2].p_memsz = 0x16ff;
    expect(ELF_LIES);
}

static void test_entry(void **state)
{
    (void)state;
    m.eh.e_entry = 0x402900; /* data */
    expect(ELF_LIES);
    m.eh.e_entry = 0x402800; /* first byte behind the text */
    expect(ELF_LIES);
    m.eh.e_entry = 0x4027ff;
    expect(ELF_OK);
    m.eh.e_entry = UINT64_MAX;
    expect(ELF_LIES);
    m.eh.e_entry = 0;
    expect(ELF_LIES);
}

static void test_bad_address(void **state)
{
    (void)state;
    m.ph[2].p_memsz = LULL_LOW_END - 0x402900;
    expect(ELF_OK);
    assert_int_equal(img.high, LULL_LOW_END);
    m.ph[2].p_memsz++;
    expect(ELF_BAD_ADDRESS);
    setup(state);
    m.ph[0].p_vaddr = 0x8000;
    expect(ELF_BAD_ADDRESS);
    m.ph[0].p_vaddr = LULL_LOW_BASE;
    expect(ELF_OK);
    m.ph[2].p_vaddr = LULL_RAM_BASE + 0x900;
    expect(ELF_BAD_ADDRESS);
}

static void test_bad_address_pie(void **state)
{
    (void)state;
    m.ph[2].p_memsz = (64ull << 30) - 0x2900;
    expect(ELF_OK);
    m.ph[2].p_memsz++;
    expect(ELF_BAD_ADDRESS);
    setup_pie(state);
    for (int i = 0; i < 3; i++)
        m.ph[i].p_vaddr += 1ull << 47;
    m.eh.e_entry += 1ull << 47;
    expect(ELF_BAD_ADDRESS);
    setup_pie(state);
    m.ph[1].p_align = 1ull << 31;
    expect(ELF_BAD_ADDRESS);
}

static void test_head_size(void **state)
{
    (void)state;
    const uint8_t *b = (const uint8_t *)&m;
    assert_int_equal(elf_head_size(b, 63), 0);
    assert_int_equal(elf_head_size(b, 64), 64 + 4 * 56);
    m.eh.e_phoff = 1ull << 40;
    assert_true(elf_head_size(b, 64) == (1ull << 40) + 4 * 56);
    m.eh.e_phoff = UINT64_MAX - 100;
    assert_true(elf_head_size(b, 64) == UINT64_MAX);
}

static void test_texts(void **state)
{
    (void)state;
    for (int v = ELF_OK; v <= ELF_BAD_ADDRESS; v++)
        for (int w = ELF_OK; w < v; w++)
            assert_string_not_equal(elf_verdict_text((enum elf_verdict)v),
                                    elf_verdict_text((enum elf_verdict)w));
    assert_non_null(elf_verdict_text((enum elf_verdict)1000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_good, setup),
        cmocka_unit_test_setup(test_pie, setup_pie),
        cmocka_unit_test_setup(test_headers_not_loaded, setup),
        cmocka_unit_test_setup(test_not_elf, setup),
        cmocka_unit_test_setup(test_truncated, setup),
        cmocka_unit_test_setup(test_truncated_segments, setup),
        cmocka_unit_test_setup(test_other_machines, setup),
        cmocka_unit_test_setup(test_other_types, setup),
        cmocka_unit_test_setup(test_dynamic, setup),
        cmocka_unit_test_setup(test_header_lies, setup),
        cmocka_unit_test_setup(test_too_many_segments, setup),
        cmocka_unit_test_setup(test_segment_lies, setup),
        cmocka_unit_test_setup(test_overlaps, setup),
        cmocka_unit_test_setup(test_wraps, setup),
        cmocka_unit_test_setup(test_entry, setup),
        cmocka_unit_test_setup(test_bad_address, setup),
        cmocka_unit_test_setup(test_bad_address_pie, setup_pie),
        cmocka_unit_test_setup(test_head_size, setup),
        cmocka_unit_test_setup(test_texts, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
