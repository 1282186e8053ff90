/* SPDX-License-Identifier: MIT */
/* Notes, imported functions and sanitizers of an ELF file; every number in the file is checked. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check/check.h"

#define NOTES_MAX (1u << 20)   /* bytes */
#define TABLE_MAX (256u << 20) /* bytes of symbols or of their names */

/* A copy of [offset, offset + len) of the file with a NUL behind; NULL: not there, or errno. */
static void *read_part(int fd, uint64_t file_size, uint64_t offset, uint64_t len, uint64_t max)
{
    errno = 0;
    if (len == 0 || len > max || offset > file_size || len > file_size - offset)
        return NULL;
    char *p = malloc(len + 1);
    for (uint64_t done = 0; p && done < len;) {
        ssize_t n = pread(fd, p + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(p);
            return NULL;
        }
        done += (uint64_t)n;
    }
    if (p)
        p[len] = '\0';
    return p;
}

static void read_notes(int fd, uint64_t size, const Elf64_Ehdr *eh, struct elffile *out)
{
    uint64_t len = (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr);
    Elf64_Phdr *ph = read_part(fd, size, eh->e_phoff, len, NOTES_MAX);
    for (unsigned i = 0; ph && i < eh->e_phnum; i++) {
        if (ph[i].p_type != PT_NOTE && ph[i].p_type != PT_GNU_PROPERTY)
            continue;
        uint8_t *notes = read_part(fd, size, ph[i].p_offset, ph[i].p_filesz, NOTES_MAX);
        if (notes)
            out->isa |= isa_needed(notes, ph[i].p_filesz);
        free(notes);
    }
    free(ph);
}

/* Names of what is called and defined elsewhere. */
static char *pick_imports(const Elf64_Sym *sym, size_t n, const char *names, size_t len)
{
    char *out = malloc(len + 2);
    size_t at = 0;
    if (!out)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        unsigned type = ELF64_ST_TYPE(sym[i].st_info);
        if (sym[i].st_shndx != SHN_UNDEF || sym[i].st_name >= len ||
            (type != STT_FUNC && type != STT_NOTYPE))
            continue;
        size_t k = strlen(names + sym[i].st_name); /* `names` has a NUL behind */
        if (k == 0 || k + 1 > len - at)            /* more than there are names: the same again */
            continue;
        memcpy(out + at, names + sym[i].st_name, k + 1);
        at += k + 1;
    }
    out[at] = '\0';
    return out;
}

/* The first sanitizer that a symbol names; AddressSanitizer's runtime contains LeakSanitizer's. */
static const char *pick_sanitizer(const Elf64_Sym *sym, size_t n, const char *names, size_t len)
{
    const char *leak = NULL;
    for (size_t i = 0; i < n; i++) {
        const char *found = sym[i].st_name < len ? sanitizer_of(names + sym[i].st_name) : NULL;
        if (found && strcmp(found, "LeakSanitizer") != 0)
            return found;
        leak = found ? found : leak;
    }
    return leak;
}

/* One symbol table, `of`, with the names in `str`. */
static int read_symbols(int fd, uint64_t size, const Elf64_Shdr *of, const Elf64_Shdr *str,
                        struct elffile *out)
{
    int rc = 0;
    Elf64_Sym *sym = read_part(fd, size, of->sh_offset, of->sh_size, TABLE_MAX);
    char *names = read_part(fd, size, str->sh_offset, str->sh_size, TABLE_MAX);
    if (sym && names) {
        size_t n = of->sh_size / sizeof *sym;
        const char *found = pick_sanitizer(sym, n, names, str->sh_size);
        if (found)
            out->sanitizer = found;
        if (of->sh_type == SHT_DYNSYM && !out->imports) {
            out->imports = pick_imports(sym, n, names, str->sh_size);
            rc = out->imports ? 0 : -ENOMEM;
        }
    }
    free(names);
    free(sym);
    return rc;
}

static int read_tables(int fd, uint64_t size, const Elf64_Ehdr *eh, struct elffile *out)
{
    int rc = 0;
    uint64_t len = (uint64_t)eh->e_shnum * sizeof(Elf64_Shdr);
    Elf64_Shdr *sh = NULL;
    unsigned tables = 0;
    if (eh->e_shentsize == sizeof *sh)
        sh = read_part(fd, size, eh->e_shoff, len, NOTES_MAX * 8);
    for (unsigned i = 0; sh && rc == 0 && tables < 2 && i < eh->e_shnum; i++) {
        if ((sh[i].sh_type != SHT_DYNSYM && sh[i].sh_type != SHT_SYMTAB) ||
            sh[i].sh_link >= eh->e_shnum)
            continue;
        tables++; /* a file has one of each kind; one that claims more is not read for ever */
        rc = read_symbols(fd, size, &sh[i], &sh[sh[i].sh_link], out);
    }
    free(sh);
    return rc;
}

int elffile_read(int fd, struct elffile *out)
{
    struct stat st;
    *out = (struct elffile){0};
    if (fstat(fd, &st) != 0)
        return -errno;
    uint64_t size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
    Elf64_Ehdr *eh = read_part(fd, size, 0, sizeof *eh, sizeof *eh);
    if (!eh)
        return errno ? -errno : -ENOEXEC;
    int rc = -ENOEXEC;
    if (memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 && eh->e_ident[EI_CLASS] == ELFCLASS64) {
        if (eh->e_phentsize == sizeof(Elf64_Phdr))
            read_notes(fd, size, eh, out);
        rc = read_tables(fd, size, eh, out);
    }
    free(eh);
    return rc;
}

void elffile_free(struct elffile *f)
{
    free(f->imports);
    *f = (struct elffile){0};
}
