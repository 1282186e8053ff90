/* SPDX-License-Identifier: MIT */
/*
 * Any bytes into elf_parse and script_parse. The sanitizers see reads out of bounds and overflows;
 * what is checked here is that ELF_OK means what program.h promises to the loader.
 */
#include <string.h>

#include "program/program.h"
#include "program/script.h"

#define REQUIRE(cond)                                                                              \
    do {                                                                                           \
        if (!(cond))                                                                               \
            __builtin_trap();                                                                      \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_segments(const struct elf_image *img, uint64_t file_size)
{
    bool entry = false;
    REQUIRE(img->nsegments >= 1 && img->nsegments <= ELF_SEGMENTS_MAX);
    for (unsigned i = 0; i < img->nsegments; i++) {
        const struct elf_segment *s = &img->segment[i];
        REQUIRE(s->memsz > 0 && s->filesz <= s->memsz);
        REQUIRE(s->vaddr >= img->low && s->vaddr + s->memsz <= img->high);
        REQUIRE(s->vaddr + s->memsz > s->vaddr);
        if (i > 0)
            REQUIRE(s->vaddr >= s[-1].vaddr + s[-1].memsz);
        if (s->filesz > 0) {
            REQUIRE(s->filesz <= file_size && s->offset <= file_size - s->filesz);
            REQUIRE(s->vaddr % LULL_PAGE == s->offset % LULL_PAGE);
        }
        REQUIRE((s->prot & ~(LULL_PROT_READ | LULL_PROT_WRITE | LULL_PROT_EXEC)) == 0);
        if ((s->prot & LULL_PROT_EXEC) && img->entry >= s->vaddr &&
            img->entry < s->vaddr + s->memsz)
            entry = true;
    }
    REQUIRE(entry);
}

static void check(const uint8_t *data, size_t size, uint64_t file_size)
{
    struct elf_image img;
    enum elf_verdict v = elf_parse(data, size, file_size, &img);
    REQUIRE(v <= ELF_BAD_ADDRESS && elf_verdict_text(v) != NULL);
    if (v != ELF_OK)
        return;
    check_segments(&img, file_size);
    REQUIRE(img.low % LULL_PAGE == 0 && img.high % LULL_PAGE == 0 && img.low < img.high);
    REQUIRE(img.align >= LULL_PAGE && img.align <= LULL_CHUNK);
    REQUIRE((img.align & (img.align - 1)) == 0);
    if (img.pie)
        REQUIRE(img.high - img.low <= 64ull << 30);
    else
        REQUIRE(img.low >= LULL_LOW_BASE && img.high <= LULL_LOW_END);
    REQUIRE(img.phent == 56 && img.phnum >= 1);
    if (img.phdr != 0)
        REQUIRE(img.phdr >= img.low && img.phdr + img.phnum * 56ull <= img.high);
}

static void check_script(const uint8_t *data, size_t size)
{
    struct script s;
    if (!script_parse(data, size, &s))
        return;
    size_t name = strnlen(s.interpreter, sizeof s.interpreter);
    size_t arg = strnlen(s.arg, sizeof s.arg);
    REQUIRE(name > 0 && name < sizeof s.interpreter && arg < sizeof s.arg);
    REQUIRE(strpbrk(s.interpreter, " \t\n") == NULL && strchr(s.arg, '\n') == NULL);
    REQUIRE(s.has_arg == (arg > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size, size);
    check(data, size, size + (1u << 20)); /* the head of a longer file */
    check(data, size, size / 2);          /* a file that shrank meanwhile */
    check_script(data, size);
    return 0;
}
