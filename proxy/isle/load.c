/* SPDX-License-Identifier: MIT */
/* The program, and its dynamic loader if it has one, into the isle's memory. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "isle/boot.h"
#include "message.h"

#define STUB_AREA 0x20000ull /* for rewritten calls, behind the program: 2047 sites */
#define PIE_STEPS 256        /* places of LULL_HUGE for a program, and as many for its loader */

static int read_full(int fd, uint64_t to, uint64_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pread(fd, (void *)to, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        to += (uint64_t)n;
        offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

static uint64_t align_up(uint64_t x, uint64_t a)
{
    return (x + a - 1) & ~(a - 1);
}

static uint64_t page_down(uint64_t x)
{
    return x & ~(LULL_PAGE - 1);
}

/* Whole pages; a page that two segments share has the rights of both. */
static void add_piece(struct lull_boot *b, struct lull_segment s)
{
    struct lull_segment *last = b->nsegments ? &b->segment[b->nsegments - 1] : NULL;
    if (last && s.start < last->end) {
        last->prot |= s.prot; /* of the whole segment: rare */
        if (s.file)
            s.offset += last->end - s.start;
        s.start = last->end;
    }
    if (s.start < s.end && b->nsegments < LULL_MAX_SEGMENTS)
        b->segment[b->nsegments++] = s;
}

static void add_segment(struct lull_boot *b, const struct elf_segment *s, uint64_t bias,
                        uint32_t file)
{
    uint64_t start = page_down(s->vaddr + bias),
             end = align_up(s->vaddr + bias + s->memsz, LULL_PAGE);
    uint64_t file_end = s->filesz ? align_up(s->vaddr + bias + s->filesz, LULL_PAGE) : start;
    add_piece(b, (struct lull_segment){start, file_end, s->prot, file, page_down(s->offset)});
    add_piece(b, (struct lull_segment){file_end, end, s->prot, LULL_FILE_NONE, 0});
}

struct image {
    const char *path;
    int fd;
    const struct elf_image *elf;
    uint32_t file;  /* LULL_FILE_* */
    uint64_t extra; /* bytes behind it that are wanted too */
    uint64_t bias;  /* out */
};

/* Memory for the image, at `bias`, and its contents. 0 or an exit code after a message. */
static int load_image(struct isle *isle, const struct image *m, struct lull_boot *b)
{
    uint64_t low = m->elf->low + m->bias, end = m->elf->high + m->bias + m->extra;
    int r = m->elf->pie ? isle_map_ram(isle, low & ~(LULL_HUGE - 1), align_up(end, LULL_HUGE))
                        : isle_map_low(isle, low, end);
    if (r) {
        bool full = r == -ENOMEM;
        message("%s: no memory at its addresses 0x%llx-0x%llx: %s%s", m->path,
                (unsigned long long)low, (unsigned long long)end, strerror(-r),
                full ? "; raise `ulimit -v`, or stop what uses the memory" : "");
        return full ? LULL_EXIT_FAILED : LULL_EXIT_NOT_RUNNABLE;
    }
    if (isle->mem_loaded > isle->mem_limit) {
        message("%s: its image alone takes %llu MiB, more than the memory of the isle; raise --mem",
                m->path, (unsigned long long)(isle->mem_loaded >> 20));
        return LULL_EXIT_FAILED;
    }
    for (unsigned i = 0; i < m->elf->nsegments; i++) {
        const struct elf_segment *s = &m->elf->segment[i];
        r = read_full(m->fd, s->vaddr + m->bias, s->filesz, s->offset);
        if (r) {
            message("%s: cannot be read: %s", m->path, strerror(-r));
            return LULL_EXIT_NOT_RUNNABLE;
        }
        add_segment(b, s, m->bias, m->file);
    }
    return 0;
}

/* Lowest bias that puts a PIE at or above `from`, and `steps` huge pages further. */
static uint64_t choose_bias(const struct elf_image *elf, uint64_t from, unsigned steps)
{
    uint64_t align = elf->align > LULL_HUGE ? elf->align : LULL_HUGE;
    if (align > LULL_HUGE)
        steps = 0; /* RAM is not wasted on it */
    uint64_t at = align_up(from, align) + steps * LULL_HUGE;
    return align_up(at - (elf->low & ~(align - 1)), align);
}

int load_program(struct isle *isle, const struct program *p, bool no_aslr, struct lull_boot *b)
{
    struct image m = {p->path, p->fd, &p->image, LULL_FILE_PROGRAM, STUB_AREA, 0};
    unsigned step = no_aslr ? 0 : b->random[31] % PIE_STEPS,
             step2 = no_aslr ? 0 : b->random[29] % PIE_STEPS;
    if (p->image.pie)
        m.bias = choose_bias(&p->image, LULL_RAM_BASE, step);
    int r = load_image(isle, &m, b);
    if (r)
        return r;
    b->stub_start = p->image.high + m.bias;
    b->stub_end = b->stub_start + STUB_AREA;
    b->mmap_start = p->image.pie ? align_up(b->stub_end, LULL_HUGE) : LULL_RAM_BASE;
    b->entry = b->first_rip = p->image.entry + m.bias;
    b->phdr = p->image.phdr ? p->image.phdr + m.bias : 0;
    b->phnum = p->image.phnum;
    b->phent = p->image.phent;
    if (!p->interp)
        return 0;
    m = (struct image){p->interp, p->interp_fd, &p->interp_image, LULL_FILE_INTERP, 0, 0};
    m.bias = choose_bias(&p->interp_image, b->mmap_start, step2);
    r = load_image(isle, &m, b);
    if (r)
        return r;
    b->interp_base = m.bias;
    b->first_rip = p->interp_image.entry + m.bias;
    b->mmap_start = align_up(p->interp_image.high + m.bias, LULL_HUGE);
    return 0;
}
