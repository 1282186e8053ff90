/* SPDX-License-Identifier: MIT */
#include <elf.h>
#include <limits.h>
#include <string.h>

#include "program/program.h"

#define PHDR_TABLE_MAX 65536u /* Linux's own limit, bytes */
#define PIE_SPAN_MAX (64ul << 30)
#define PIE_ADDRESS_MAX (1ul << 47)

/* True when offset + len overflows or lies behind `size`. */
static bool beyond(uint64_t offset, uint64_t len, uint64_t size)
{
    return offset > size || len > size - offset;
}

static uint64_t page_down(uint64_t v)
{
    return v & ~(LULL_PAGE - 1);
}

static uint64_t page_up(uint64_t v)
{
    return page_down(v + LULL_PAGE - 1);
}

uint64_t elf_head_size(const uint8_t *head, size_t head_len)
{
    Elf64_Ehdr eh;
    if (head_len < sizeof eh)
        return 0;
    memcpy(&eh, head, sizeof eh);
    uint64_t table = (uint64_t)eh.e_phnum * sizeof(Elf64_Phdr);
    return eh.e_phoff > UINT64_MAX - table ? UINT64_MAX : eh.e_phoff + table;
}

static enum elf_verdict check_header(const uint8_t *head, size_t head_len, uint64_t file_size,
                                     Elf64_Ehdr *eh)
{
    if (head_len < SELFMAG || memcmp(head, ELFMAG, SELFMAG) != 0)
        return ELF_NOT_ELF;
    if (head_len < EI_NIDENT)
        return ELF_TRUNCATED;
    if (head[EI_CLASS] == ELFCLASS32)
        return ELF_WRONG_CLASS;
    if (head_len < sizeof *eh)
        return ELF_TRUNCATED;
    memcpy(eh, head, sizeof *eh);
    if (eh->e_ident[EI_CLASS] != ELFCLASS64)
        return ELF_LIES;
    if (eh->e_ident[EI_DATA] != ELFDATA2LSB || eh->e_machine != EM_X86_64)
        return ELF_WRONG_MACHINE;
    if (eh->e_type != ET_EXEC && eh->e_type != ET_DYN)
        return ELF_WRONG_TYPE;
    uint64_t table = (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr);
    if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 || table > PHDR_TABLE_MAX)
        return ELF_LIES;
    if (beyond(eh->e_phoff, table, file_size))
        return ELF_TRUNCATED;
    return beyond(eh->e_phoff, table, head_len) ? ELF_LIES : ELF_OK;
}

/* Checks one PT_LOAD and appends it. */
static enum elf_verdict add_segment(struct elf_image *img, const Elf64_Phdr *ph, uint64_t file_size)
{
    if (ph->p_filesz > ph->p_memsz)
        return ELF_LIES;
    if (beyond(ph->p_vaddr, ph->p_memsz, UINT64_MAX - LULL_PAGE))
        return ELF_LIES;
    if (ph->p_filesz > 0 && beyond(ph->p_offset, ph->p_filesz, file_size))
        return ELF_TRUNCATED;
    if (ph->p_filesz > 0 && ph->p_vaddr % LULL_PAGE != ph->p_offset % LULL_PAGE)
        return ELF_LIES;
    if (ph->p_memsz == 0)
        return ELF_OK; /* Linux maps nothing for it either */
    if (img->nsegments == ELF_SEGMENTS_MAX)
        return ELF_LIES;
    if (img->nsegments > 0) {
        const struct elf_segment *last = &img->segment[img->nsegments - 1];
        if (ph->p_vaddr < last->vaddr + last->memsz)
            return ELF_LIES;
    }
    if ((ph->p_align & (ph->p_align - 1)) == 0 && ph->p_align > img->align)
        img->align = ph->p_align;
    img->segment[img->nsegments++] = (struct elf_segment){
        .vaddr = ph->p_vaddr,
        .filesz = ph->p_filesz,
        .memsz = ph->p_memsz,
        .offset = ph->p_offset,
        .prot = (ph->p_flags & PF_R ? LULL_PROT_READ : 0) |
                (ph->p_flags & PF_W ? LULL_PROT_WRITE : 0) |
                (ph->p_flags & PF_X ? LULL_PROT_EXEC : 0),
    };
    return ELF_OK;
}

/* Where the segments lie together, and the entry and program headers in them. */
static enum elf_verdict check_image(struct elf_image *img, const Elf64_Ehdr *eh)
{
    if (img->nsegments == 0)
        return ELF_LIES;
    const struct elf_segment *last = &img->segment[img->nsegments - 1];
    img->low = page_down(img->segment[0].vaddr);
    img->high = page_up(last->vaddr + last->memsz);
    if (img->pie && eh->e_entry == 0)
        return ELF_WRONG_TYPE; /* a shared library */
    if (img->pie ? img->high - img->low > PIE_SPAN_MAX || img->high > PIE_ADDRESS_MAX
                 : img->low < LULL_LOW_BASE || img->high > LULL_LOW_END)
        return ELF_BAD_ADDRESS;
    if (img->align > LULL_CHUNK)
        return ELF_BAD_ADDRESS;

    uint64_t table = (uint64_t)eh->e_phnum * sizeof(Elf64_Phdr);
    bool entry_ok = false;
    for (unsigned i = 0; i < img->nsegments; i++) {
        const struct elf_segment *s = &img->segment[i];
        if ((s->prot & LULL_PROT_EXEC) && eh->e_entry >= s->vaddr &&
            eh->e_entry - s->vaddr < s->memsz)
            entry_ok = true;
        if (img->phdr == 0 && eh->e_phoff >= s->offset &&
            !beyond(eh->e_phoff - s->offset, table, s->filesz))
            img->phdr = s->vaddr + (eh->e_phoff - s->offset);
    }
    return entry_ok ? ELF_OK : ELF_LIES;
}

enum elf_verdict elf_parse(const uint8_t *head, size_t head_len, uint64_t file_size,
                           struct elf_image *out)
{
    Elf64_Ehdr eh;
    *out = (struct elf_image){.align = LULL_PAGE};
    if (head_len > file_size)
        head_len = (size_t)file_size;
    enum elf_verdict v = check_header(head, head_len, file_size, &eh);
    if (v != ELF_OK)
        return v;
    out->pie = eh.e_type == ET_DYN;
    out->entry = eh.e_entry;
    out->phnum = eh.e_phnum;
    out->phent = eh.e_phentsize;

    for (unsigned i = 0; i < eh.e_phnum; i++) {
        Elf64_Phdr ph;
        memcpy(&ph, head + eh.e_phoff + i * sizeof ph, sizeof ph);
        if (ph.p_type == PT_INTERP && out->interp_size == 0) {
            if (ph.p_filesz < 2 || ph.p_filesz > PATH_MAX)
                return ELF_LIES;
            if (beyond(ph.p_offset, ph.p_filesz, file_size))
                return ELF_TRUNCATED;
            out->interp_offset = ph.p_offset;
            out->interp_size = ph.p_filesz;
        } else if (ph.p_type == PT_GNU_STACK)
            out->exec_stack = ph.p_flags & PF_X;
        else if (ph.p_type == PT_LOAD && (v = add_segment(out, &ph, file_size)) != ELF_OK)
            return v;
    }
    return check_image(out, &eh);
}

const char *elf_verdict_text(enum elf_verdict v)
{
    switch (v) {
    case ELF_OK:
        return "can be run";
    case ELF_NOT_ELF:
        return "is neither an ELF program nor a script that begins with #!";
    case ELF_TRUNCATED:
        return "is truncated: its headers tell of more than the file holds; build or copy it anew";
    case ELF_WRONG_CLASS:
        return "is a 32-bit program; lull runs 64-bit x86-64 ones";
    case ELF_WRONG_MACHINE:
        return "is for another processor architecture; lull runs x86-64 programs";
    case ELF_WRONG_TYPE:
        return "is a shared library, object or core file; lull runs programs";
    case ELF_LIES:
        return "has contradictory ELF headers; build or copy it anew";
    case ELF_BAD_ADDRESS:
        return "is linked for addresses where lull has no memory for it "
               "(fixed ones must lie from 64 KiB to 3 GiB): link it as a PIE";
    }
    return "cannot be run";
}
