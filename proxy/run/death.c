/* SPDX-License-Identifier: MIT */
/* Last words about a program that died of its own fault. */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "run/run_priv.h"

#define SYMBOLS_MAX (64ull << 20) /* bytes of symbol table that are looked at */

struct symbols {
    Elf64_Sym *sym;
    char *str;
    size_t nsyms, strsize;
};

static void *read_part(int fd, uint64_t offset, uint64_t size, uint64_t file_size)
{
    if (!size || size > SYMBOLS_MAX || offset > file_size || size > file_size - offset)
        return NULL;
    char *p = malloc(size + 1);
    if (p && pread(fd, p, size, (off_t)offset) == (ssize_t)size) {
        p[size] = 0;
        return p;
    }
    free(p);
    return NULL;
}

/* The program's symbol table, if it has one that can be believed. */
static void symbols_load(int fd, struct symbols *s)
{
    Elf64_Ehdr eh;
    struct stat st;
    memset(s, 0, sizeof *s);
    if (fstat(fd, &st) || pread(fd, &eh, sizeof eh, 0) != sizeof eh ||
        eh.e_shentsize != sizeof(Elf64_Shdr))
        return;
    uint64_t size = (uint64_t)st.st_size;
    Elf64_Shdr *sh = read_part(fd, eh.e_shoff, (uint64_t)eh.e_shnum * sizeof *sh, size);
    for (unsigned i = 0; sh && i < eh.e_shnum; i++) {
        if (sh[i].sh_type != SHT_SYMTAB || sh[i].sh_link >= eh.e_shnum)
            continue;
        const Elf64_Shdr *str = &sh[sh[i].sh_link];
        s->sym = read_part(fd, sh[i].sh_offset, sh[i].sh_size, size);
        s->str = read_part(fd, str->sh_offset, str->sh_size, size);
        s->nsyms = sh[i].sh_size / sizeof *s->sym;
        s->strsize = str->sh_size;
        break;
    }
    free(sh);
    if (!s->sym || !s->str) {
        free(s->sym);
        free(s->str);
        memset(s, 0, sizeof *s);
    }
}

static const char *symbols_find(const struct symbols *s, uint64_t addr, uint64_t *off)
{
    const Elf64_Sym *best = NULL;
    for (size_t i = 0; i < s->nsyms; i++) {
        const Elf64_Sym *y = &s->sym[i];
        if (ELF64_ST_TYPE(y->st_info) != STT_FUNC || y->st_value > addr ||
            y->st_name >= s->strsize || (y->st_size && addr - y->st_value >= y->st_size))
            continue;
        if (!best || y->st_value > best->st_value)
            best = y;
    }
    if (!best)
        return NULL;
    *off = addr - best->st_value;
    return s->str + best->st_name;
}

static void print_frames(const struct run *r, const struct lull_death *d)
{
    struct symbols s;
    const struct program *p = r->req->program;
    const struct lull_boot *b = (const struct lull_boot *)LULL_BOOT;
    uint64_t bias = p->image.pie ? b->entry - p->image.entry : 0;
    unsigned n = d->nframes < 32 ? d->nframes : 32;
    symbols_load(p->fd, &s);
    dprintf(message_fd(), "  backtrace (by frame pointers):\n");
    for (unsigned i = 0; i < n; i++) {
        uint64_t off = 0,
                 at = d->frame[i] - bias - (i > 0); /* a return address is behind its call */
        /* of the program alone: its libraries are elsewhere */
        bool own = s.nsyms && at >= p->image.low && at < p->image.high;
        const char *name = own ? symbols_find(&s, at, &off) : NULL;
        dprintf(message_fd(), "    #%-2u 0x%016llx", i, (unsigned long long)d->frame[i]);
        if (name)
            dprintf(message_fd(), " %s+0x%llx", name, (unsigned long long)(off + (i > 0)));
        dprintf(message_fd(), "\n");
    }
    free(s.sym);
    free(s.str);
}

void death_print(const struct run *r, const struct lull_death *d)
{
#define X(v) (unsigned long long)(d->v)
    const char *abbrev = sigabbrev_np((int)d->signo);
    const char *what = sigdescr_np((int)d->signo);
    message("%s: killed by SIG%s (%s), code %d, address 0x%llx, thread %u on CPU %u",
            r->req->program->path, abbrev ? abbrev : "?", what ? what : "?", (int)d->code, X(addr),
            d->tid, d->core < r->nvcpus ? r->req->plan->cpu[d->core] : 0);
    dprintf(message_fd(),
            "  rip %016llx rsp %016llx rflags %08llx trap %llu error %llx\n"
            "  rax %016llx rbx %016llx rcx %016llx rdx %016llx\n"
            "  rsi %016llx rdi %016llx rbp %016llx r8  %016llx\n"
            "  r9  %016llx r10 %016llx r11 %016llx r12 %016llx\n"
            "  r13 %016llx r14 %016llx r15 %016llx\n",
            X(rip), X(rsp), X(rflags), X(trapno), X(err), X(rax), X(rbx), X(rcx), X(rdx), X(rsi),
            X(rdi), X(rbp), X(r8), X(r9), X(r10), X(r11), X(r12), X(r13), X(r14), X(r15));
    print_frames(r, d);
#undef X
}
