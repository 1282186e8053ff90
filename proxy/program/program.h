/* SPDX-License-Identifier: MIT */
/* Which file is to be run, whether it can be, and where its parts belong. Nothing here runs it. */
#ifndef PROXY_PROGRAM_PROGRAM_H
#define PROXY_PROGRAM_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lull/abi.h>

/* One PT_LOAD, as found in the file: not yet page aligned, addresses relative to the load bias. */
struct elf_segment {
    uint64_t vaddr;
    uint64_t filesz;
    uint64_t memsz;
    uint64_t offset; /* in the file */
    uint32_t prot;   /* LULL_PROT_* */
};

struct elf_image {
    bool pie;            /* ET_DYN without PT_INTERP: may be loaded anywhere, 2 MiB aligned */
    bool exec_stack;     /* PT_GNU_STACK asks for it */
    uint64_t entry;      /* relative to the load bias, as everything here */
    uint64_t phdr;       /* address of the program headers in memory, 0: not loaded */
    uint16_t phnum;
    uint16_t phent;
    uint64_t low;        /* page-aligned span of all segments */
    uint64_t high;
    unsigned nsegments;
    struct elf_segment segment[LULL_MAX_SEGMENTS];
};

enum elf_verdict {
    ELF_OK = 0,
    ELF_NOT_ELF,
    ELF_TRUNCATED,   /* a header or segment reaches beyond the file */
    ELF_WRONG_CLASS, /* 32-bit */
    ELF_WRONG_MACHINE,
    ELF_WRONG_TYPE,  /* neither executable nor static PIE (relocatable, core, shared library) */
    ELF_DYNAMIC,     /* PT_INTERP */
    ELF_LIES,        /* contradictory: overlapping, wrapping, unaligned, absurd */
    ELF_BAD_ADDRESS, /* linked where an isle has no memory for it */
};

/*
 * Pure and total: any bytes in, a verdict out (fuzzed by tests/fuzz). `head` holds the first
 * `head_len` bytes of a file of `file_size` bytes; headers beyond head_len count as ELF_TRUNCATED
 * only if beyond file_size (callers pass at least 64 KiB or the whole file).
 * Non-PIE segments must lie inside [LULL_LOW_BASE, LULL_LOW_END).
 */
enum elf_verdict elf_parse(const uint8_t *head, size_t head_len, uint64_t file_size,
                           struct elf_image *out);
/* A sentence part such as "is a 32-bit program; lull runs x86-64 ones". Never NULL. */
const char *elf_verdict_text(enum elf_verdict v);

struct program {
    int fd;          /* of the ELF file, O_CLOEXEC, read only */
    char *path;      /* absolute path of the ELF file: /proc/self/exe */
    char *execfn;    /* AT_EXECFN: as it was named, after PATH search */
    int argc;        /* with the interpreter's words before, for a #! script */
    char **argv;
    struct elf_image image;
};

/*
 * Finds argv[0] as execvp(3) would (a slash: that file; else PATH), follows #! lines as Linux does
 * (binfmt_script: one optional argument, at most 5 levels, 256 bytes), opens and parses.
 * Returns 0, or LULL_EXIT_NOT_FOUND / LULL_EXIT_NOT_RUNNABLE after one message().
 */
int program_open(int argc, char **argv, struct program *out);
void program_close(struct program *p);

#endif
