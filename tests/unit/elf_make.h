/* SPDX-License-Identifier: MIT */
/* Hand-made ELF files, for the unit tests and for the fuzzer's first inputs. */
#ifndef ELF_MAKE_H
#define ELF_MAKE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ELF_MAKE_PHDRS 40
#define ELF_MAKE_FILE 0x4000 /* bytes */

struct elf_make {
    Elf64_Ehdr eh;
    Elf64_Phdr ph[ELF_MAKE_PHDRS];
    uint8_t rest[ELF_MAKE_FILE - sizeof(Elf64_Ehdr) - ELF_MAKE_PHDRS * sizeof(Elf64_Phdr)];
};
_Static_assert(sizeof(struct elf_make) == ELF_MAKE_FILE, "no padding");

static inline Elf64_Phdr *elf_make_phdr(struct elf_make *m, uint32_t type, uint32_t flags)
{
    Elf64_Phdr *ph = &m->ph[m->eh.e_phnum++];
    ph->p_type = type;
    ph->p_flags = flags;
    ph->p_align = 0x1000;
    return ph;
}

static inline Elf64_Phdr *elf_make_load(struct elf_make *m, uint32_t flags, uint64_t vaddr,
                                        uint64_t offset, uint64_t filesz, uint64_t memsz)
{
    Elf64_Phdr *ph = elf_make_phdr(m, PT_LOAD, flags);
    ph->p_vaddr = ph->p_paddr = vaddr;
    ph->p_offset = offset;
    ph->p_filesz = filesz;
    ph->p_memsz = memsz;
    return ph;
}

/*
 * What ld makes of a small static program: ph[0] headers, ph[1] text, ph[2] data and bss, which
 * shares a page with the text's end, ph[3] stack. Linked at 4 MiB, or at 0 as a PIE.
 */
static inline void elf_make_program(struct elf_make *m, uint16_t type)
{
    uint64_t base = type == ET_DYN ? 0 : 0x400000;
    memset(m, 0, sizeof *m);
    memcpy(m->eh.e_ident, ELFMAG, SELFMAG);
    m->eh.e_ident[EI_CLASS] = ELFCLASS64;
    m->eh.e_ident[EI_DATA] = ELFDATA2LSB;
    m->eh.e_ident[EI_VERSION] = EV_CURRENT;
    m->eh.e_type = type;
    m->eh.e_machine = EM_X86_64;
    m->eh.e_version = EV_CURRENT;
    m->eh.e_ehsize = sizeof m->eh;
    m->eh.e_phoff = sizeof m->eh;
    m->eh.e_phentsize = sizeof m->ph[0];
    m->eh.e_entry = base + 0x1010;
    elf_make_load(m, PF_R, base, 0, 0xa00, 0xa00);
    elf_make_load(m, PF_R | PF_X, base + 0x1000, 0x1000, 0x1800, 0x1800);
    elf_make_load(m, PF_R | PF_W, base + 0x2900, 0x2900, 0x200, 0x9000);
    elf_make_phdr(m, PT_GNU_STACK, PF_R | PF_W);
    m->rest[0x1010 - offsetof(struct elf_make, rest)] = 0xf4;
}

#endif
