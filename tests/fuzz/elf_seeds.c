/* SPDX-License-Identifier: MIT */
/* Writes the fuzzer's first inputs into a directory: heads of ELF files and scripts. */
#include <stdio.h>
#include <stdlib.h>

#include "elf_make.h"

static const char *dir;

static void write_seed(const char *name, const void *bytes, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0) {
        perror(path);
        exit(1);
    }
}

static void write_elf(const char *name, const struct elf_make *m)
{
    write_seed(name, m, sizeof m->eh + m->eh.e_phnum * sizeof m->ph[0]);
}

int main(int argc, char **argv)
{
    static struct elf_make m;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 1;
    }
    dir = argv[1];
    elf_make_program(&m, ET_EXEC);
    write_elf("exec", &m);
    write_seed("exec-whole", &m, 0x2b00);
    elf_make_phdr(&m, PT_INTERP, PF_R);
    write_elf("dynamic", &m);
    elf_make_program(&m, ET_DYN);
    write_elf("pie", &m);
    for (uint64_t i = 0; i < 30; i++)
        elf_make_load(&m, PF_R, 0x100000 + i * 0x1000, 0, 16, 4096);
    write_elf("many", &m);
    write_seed("script", "#! /usr/bin/env -S a  b \nbody\n", 30);
    return 0;
}
