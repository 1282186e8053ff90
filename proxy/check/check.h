/* SPDX-License-Identifier: MIT */
/* `lull check`: what can be known of a program before it runs. Nothing here makes an isle. */
#ifndef PROXY_CHECK_CHECK_H
#define PROXY_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "program/program.h"

/*
 * One finding a line to stdout, "subject: what was found". The program is not run; its dynamic
 * loader is, as ldd(1) does, if it belongs to root. Returns 0, or the exit code with which a run
 * would fail: what the loader ends with, LULL_EXIT_NOT_FOUND for a missing library and for
 * instructions that this processor lacks; LULL_EXIT_NOT_RUNNABLE for those in a program without a
 * loader, which may get as far as SIGILL, and for a sanitizer; LULL_EXIT_FAILED when stdout cannot
 * be written.
 */
int check_program(const struct program *p);

/* -- loader.c --------------------------------------------------------------------------------- */
#define LIBRARIES_MAX 4096

struct library {
    char *name; /* as it was asked for */
    char *path; /* where it was found */
};
struct libraries {
    struct library *lib;
    size_t n;
    char *complaint; /* the loader's own words, a line; NULL: none */
    int code;        /* with which the program would fail because of it; 0: it would not */
};

enum loader_line {
    LOADER_NOTHING,   /* of no interest: the vDSO, the loader itself, "statically linked" */
    LOADER_LIBRARY,   /* *name and *path set */
    LOADER_COMPLAINT, /* anything else */
};
/* One line of what a loader prints for --list, without newline; cut into pieces in place. */
enum loader_line loader_parse_line(char *line, const char **name, const char **path);
/* True if nobody but root could have written the file. */
bool loader_is_trusted(int fd);
/* Asks the loader of p. 0 or -errno. */
int loader_list(const struct program *p, struct libraries *out);
void libraries_free(struct libraries *l);

/* -- isa.c: levels of the processor, as in the x86-64 psABI, 3.1.1
   ------------------------------ */
#define ISA_BASELINE 1u
#define ISA_V2 2u
#define ISA_V3 4u
#define ISA_V4 8u

/* GNU_PROPERTY_X86_ISA_1_NEEDED in the contents of a note section or segment; 0: none there. */
uint32_t isa_needed(const uint8_t *notes, size_t len);

struct isa_cpu {
    uint32_t leaf1_ecx, leaf7_ebx, ext1_ecx; /* CPUID 1, 7.0, 80000001h */
    uint64_t xcr0;                           /* 0 without OSXSAVE */
};
struct isa_cpu isa_this_cpu(void);
/*
 * What `cpu` lacks of the levels in `needed`, words with blanks between, into buf; false: nothing.
 */
bool isa_lacks(const struct isa_cpu *cpu, uint32_t needed, char *buf, size_t size);
/* "x86-64-v3"; the highest of the bits. */
const char *isa_name(uint32_t needed);

/* -- elffile.c
   ---------------------------------------------------------------------------------- */
struct elffile {
    uint32_t isa; /* ISA_* that it needs */
    char
        *imports; /* names of undefined functions, each with a NUL, an empty one last; NULL: none */
    const char *sanitizer; /* whose runtime it contains or calls: "AddressSanitizer"; NULL: none */
};
/* A file that passed elf_parse(), or a library; what contradicts itself is left out. 0 or
   -errno. */
int elffile_read(int fd, struct elffile *out);
void elffile_free(struct elffile *f);

/* -- sanitizer.c ------------------------------------------------------------------------------- */
/*
 * The sanitizer that a symbol of this name belongs to ("AddressSanitizer"), if it is one whose
 * shadow memory has fixed addresses outside an isle's memory (ipi/include/lull/memmap.h); NULL:
 * none.
 */
const char *sanitizer_of(const char *symbol);

/* -- calls.c
   ------------------------------------------------------------------------------------ */
/*
 * The system call that a function of that name makes, if Lull refuses it; NULL: not refused, or
 * not known. `function`: a name of libc or of a library that wraps system calls.
 */
const char *calls_refused(const char *function);

#endif
