/* SPDX-License-Identifier: MIT */
/* Which file is to be run, whether it can be, and where its parts belong. Nothing here runs it. */
#ifndef PROXY_PROGRAM_PROGRAM_H
#define PROXY_PROGRAM_PROGRAM_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <lull/abi.h>

/*
 * One PT_LOAD with memsz > 0, as found in the file: not yet page aligned, addresses relative to the
 * load bias. Ascending, no byte in two of them; two may share a page. vaddr and offset are
 * congruent modulo LULL_PAGE if filesz > 0.
 */
struct elf_segment {
    uint64_t vaddr;
    uint64_t filesz;
    uint64_t memsz;
    uint64_t offset; /* in the file */
    uint32_t prot;   /* LULL_PROT_* */
};

#define ELF_SEGMENTS_MAX 32

struct elf_image {
    bool pie;        /* ET_DYN: may be loaded anywhere, aligned to `align` */
    bool exec_stack; /* PT_GNU_STACK asks for it */
    uint64_t entry;  /* relative to the load bias, as everything here */
    uint64_t phdr;   /* address of the program headers in memory, 0: not loaded */
    uint16_t phnum;
    uint16_t phent;
    uint64_t low; /* page-aligned span of all segments */
    uint64_t high;
    uint64_t align; /* greatest p_align, a power of two, LULL_PAGE .. LULL_CHUNK: of a PIE's bias */
    uint64_t interp_offset; /* path of the dynamic loader in the file, NUL included */
    uint64_t interp_size;   /* 2 .. PATH_MAX; 0: statically linked */
    unsigned nsegments;
    struct elf_segment segment[ELF_SEGMENTS_MAX];
};

enum elf_verdict {
    ELF_OK = 0,
    ELF_NOT_ELF,
    ELF_TRUNCATED,   /* a header or segment reaches beyond the file */
    ELF_WRONG_CLASS, /* 32-bit */
    ELF_WRONG_MACHINE,
    ELF_WRONG_TYPE,  /* neither executable nor PIE (relocatable, core, shared library) */
    ELF_LIES,        /* contradictory: overlapping, wrapping, unaligned, absurd */
    ELF_BAD_ADDRESS, /* linked where an isle has no memory for it */
};

/*
 * Pure and total: any bytes in, a verdict out (fuzzed by tests/fuzz). `head` holds the first
 * `head_len` bytes of a file of `file_size` bytes; headers beyond head_len count as ELF_TRUNCATED
 * only if beyond file_size, else as ELF_LIES (callers pass at least elf_head_size() bytes).
 * Non-PIE segments must lie inside [LULL_LOW_BASE, LULL_LOW_END), a PIE's within 64 GiB.
 * What is legal is what Linux 6.1 (fs/binfmt_elf.c) would load, except that it also starts
 * programs whose entry is not executable. *out is complete only with ELF_OK.
 */
enum elf_verdict elf_parse(const uint8_t *head, size_t head_len, uint64_t file_size,
                           struct elf_image *out);
/* End of the program headers, in bytes of the file; 0 without a whole ELF header. */
uint64_t elf_head_size(const uint8_t *head, size_t head_len);
/* A sentence part such as "is a 32-bit program; lull runs x86-64 ones". Never NULL. */
const char *elf_verdict_text(enum elf_verdict v);

struct program {
    int fd;       /* of the ELF file, O_CLOEXEC, read only */
    char *path;   /* absolute path of the ELF file: /proc/self/exe */
    char *execfn; /* AT_EXECFN: as it was named, after PATH search */
    int argc;     /* with the interpreter's words before, for a #! script */
    char **argv;
    struct elf_image image;
    int interp_fd; /* of its dynamic loader, as fd; -1: statically linked */
    char *interp;  /* its absolute path, or NULL */
    struct elf_image interp_image;
    uid_t euid; /* with which it runs: program_rights() */
    gid_t egid;
};

/* What execve(2) makes of the set-user-ID and set-group-ID bits of a file, and its capabilities. */
enum program_rights {
    RIGHTS_SAME = 0, /* it runs as this process */
    RIGHTS_OTHER,    /* as somebody whom this process may become */
    RIGHTS_MORE,     /* with rights that only Linux's own execve can give */
};
enum program_rights program_rights(int fd, bool no_new_privs, uid_t *euid, gid_t *egid);
/* The file has such bits or capabilities, or nobody knows. */
bool program_is_privileged(int fd);

/*
 * `file`: the program's file, whatever argv[0] says; NULL: finds argv[0] as execvp(3) would (a
 * slash: that file; else PATH), follows #! lines as Linux does (binfmt_script: one optional
 * argument, at most 5 levels, 256 bytes), opens and parses. Unlike execve(2) it needs the right to
 * read the file; one whose set-user-ID bits or capabilities would give it rights that this process
 * does not have is refused. A dynamic program's loader (PT_INTERP) is opened
 * and parsed too. Returns 0, or after one message() the code that bash gives: LULL_EXIT_NOT_FOUND
 * when the program or a script's interpreter does not exist, else LULL_EXIT_NOT_RUNNABLE;
 * LULL_EXIT_FAILED when memory is short. *out is then empty; program_close() does no harm.
 */
int program_open(const char *file, int argc, char **argv, struct program *out);

/*
 * Opens a file for execve(2), with the checks that Linux makes. `flags`: 0 or O_NOFOLLOW. Returns a
 * descriptor of the proxy's own, O_CLOEXEC, read only and held (program_hold()), or -errno. The
 * file's r permission is needed, too.
 */
int program_open_file(int dir, const char *path, int flags);
/* The same for a file that may be executed and not read: it is open as a name alone (O_PATH). */
int program_name_file(int dir, const char *path, int flags);
/* Whether somebody has the file open for writing, where Linux can be asked; `fd`: open for
   reading. */
bool program_is_written(int fd);

/*
 * program_hold() marks the file behind `fd`, open for reading, as one that an isle runs, until
 * program_let_go() or until its last descriptor is closed. It does nothing on file systems whose
 * locks other machines share. Another isle asks by fcntl(2), F_OFD_GETLK, with a descriptor of its
 * own and program_lock_query(); program_lock_found() then says whether an isle runs the file.
 */
void program_hold(int fd);
void program_let_go(int fd);
struct flock program_lock_query(void);
bool program_lock_found(const struct flock *answer);

/*
 * What program_open() does, for an execve(2) that may fail: no message. `fd` is from
 * program_open_file() and belongs to *out, also after an error. `name` becomes AT_EXECFN;
 * `nameless`: it will not lead to the file after the execve, so a script has no name. 0, or -errno
 * with *out empty. out->path and out->interp stay NULL.
 */
int program_prepare(int fd, const char *name, bool nameless, char *const *argv,
                    struct program *out);
/* The same program in the process's next image. fd[1]: its loader, or -1. As program_open(). */
int program_adopt(const char *name, const int fd[2], int argc, char **argv, struct program *out);
void program_close(struct program *p);

#endif
