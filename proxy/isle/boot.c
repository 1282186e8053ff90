/* SPDX-License-Identifier: MIT */
#include "isle/boot.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "message.h"

#define STUB_AREA 0x20000ull /* 4095 rewritten sites */
#define SLICE_NS 10000000ull
#define PIE_STEPS 256

/* Loads one of our own blobs by its program headers. 0 or -1: it does not fit its place. */
static int load_blob(const uint8_t *blob, size_t size, uint64_t base, uint64_t bias, uint64_t room)
{
    const Elf64_Ehdr *eh = (const Elf64_Ehdr *)blob;
    const Elf64_Phdr *ph = (const Elf64_Phdr *)(blob + eh->e_phoff);
    for (unsigned i = 0; i < eh->e_phnum; i++) {
        uint64_t at = ph[i].p_vaddr + bias;
        if (ph[i].p_type != PT_LOAD || at < base) /* below: the PVH way in, not ours to load */
            continue;
        if (at + ph[i].p_memsz > base + room || ph[i].p_offset + ph[i].p_filesz > size)
            return -1;
        memcpy((void *)at, blob + ph[i].p_offset, ph[i].p_filesz);
    }
    return 0;
}

int boot_kernel(struct isle *isle)
{
    const uint8_t *blob = blob_kernel;
    size_t size = (size_t)(blob_kernel_end - blob_kernel);
    if (load_blob(blob, size, LULL_KIMAGE, 0, LULL_KIMAGE_SIZE)) {
        message("the kernel image in this binary is damaged: build lull again");
        return LULL_EXIT_FAILED;
    }
    memcpy(&isle->header, (const void *)LULL_KIMAGE, sizeof isle->header);
    if (isle->header.magic != LULL_ABI_MAGIC || isle->header.abi_version != LULL_ABI_VERSION ||
        isle->header.header_size != sizeof isle->header) {
        message(
            "the kernel image speaks version %u of the contract, the proxy %u: build lull again",
            isle->header.abi_version, LULL_ABI_VERSION);
        return LULL_EXIT_FAILED;
    }
    size = (size_t)(blob_vdso_end - blob_vdso);
    if (load_blob(blob_vdso, size, LULL_VDSO, LULL_VDSO, LULL_TIMEPAGE - LULL_VDSO)) {
        message("the vDSO in this binary is damaged: build lull again");
        return LULL_EXIT_FAILED;
    }
    return 0;
}

/* ---- the program ---- */

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

/* Page-aligned pieces with the union of rights where two segments share a page. */
static void add_segment(struct lull_boot *b, uint64_t start, uint64_t end, uint32_t prot)
{
    start &= ~(LULL_PAGE - 1);
    end = (end + LULL_PAGE - 1) & ~(LULL_PAGE - 1);
    if (b->nsegments) {
        struct lull_segment *last = &b->segment[b->nsegments - 1];
        if (start < last->end) { /* they share the last page */
            if (last->start == start) {
                last->prot |= prot;
                last->end = end > last->end ? end : last->end;
                return;
            }
            if (last->prot != prot) {
                last->prot |= prot; /* rare: rights of the whole segment widen */
            }
            start = last->end;
        }
    }
    if (start < end && b->nsegments < LULL_MAX_SEGMENTS)
        b->segment[b->nsegments++] = (struct lull_segment){start, end, prot, 0};
}

static uint64_t align_up(uint64_t x, uint64_t a)
{
    return (x + a - 1) & ~(a - 1);
}

static int place_program(struct isle *isle, const struct program *p, struct lull_boot *b)
{
    const struct elf_image *im = &p->image;
    uint64_t bias = 0, step = im->align > LULL_HUGE ? im->align : LULL_HUGE;
    if (im->pie) {
        uint64_t slots = step == LULL_HUGE ? PIE_STEPS : 1;
        bias = align_up(LULL_RAM_BASE, step) + (b->random[31] % slots) * step - im->low;
        bias = align_up(bias, step);
    }
    uint64_t low = im->low + bias, high = im->high + bias;
    b->stub_start = high;
    b->stub_end = high + STUB_AREA;
    int r;
    if (im->pie) {
        r = isle_map_ram(isle, low & ~(LULL_HUGE - 1), align_up(b->stub_end, LULL_HUGE));
        b->mmap_start = align_up(b->stub_end, LULL_HUGE);
    } else {
        r = isle_map_low(isle, low, b->stub_end);
        b->mmap_start = LULL_RAM_BASE;
    }
    if (r) {
        message("%s: no memory at its addresses 0x%llx-0x%llx: %s", p->path,
                (unsigned long long)low, (unsigned long long)b->stub_end, strerror(-r));
        return LULL_EXIT_NOT_RUNNABLE;
    }
    if (isle->mem_loaded > isle->mem_limit) {
        message("%s: its image alone takes %llu MiB, more than the memory of the isle; raise --mem",
                p->path, (unsigned long long)(isle->mem_loaded >> 20));
        return LULL_EXIT_FAILED;
    }
    for (unsigned i = 0; i < im->nsegments; i++) {
        const struct elf_segment *s = &im->segment[i];
        r = read_full(p->fd, s->vaddr + bias, s->filesz, s->offset);
        if (r) {
            message("%s: cannot be read: %s", p->path, strerror(-r));
            return LULL_EXIT_NOT_RUNNABLE;
        }
        add_segment(b, s->vaddr + bias, s->vaddr + bias + s->memsz, s->prot);
    }
    b->entry = im->entry + bias;
    b->phdr = im->phdr ? im->phdr + bias : 0;
    b->phnum = im->phnum;
    b->phent = im->phent;
    return 0;
}

static uint32_t put_string(struct lull_boot *b, const char *s)
{
    uint32_t off = b->blob_end;
    size_t len = strlen(s) + 1;
    if (len > LULL_BOOT_SIZE - off) {
        b->blob_end = LULL_BOOT_SIZE; /* full: found out by put_blob() */
        return off;
    }
    memcpy((char *)b + off, s, len);
    b->blob_end += (uint32_t)len;
    return off;
}

static int put_blob(struct lull_boot *b, const struct program *p, char **envp)
{
    b->blob_end = sizeof *b;
    b->argc = (uint32_t)p->argc;
    b->argv_off = b->blob_end;
    for (int i = 0; i < p->argc; i++)
        put_string(b, p->argv[i]);
    b->envp_off = b->blob_end;
    for (char **e = envp; *e; e++, b->envc++)
        put_string(b, *e);
    b->exe_off = b->blob_end;
    put_string(b, p->path);
    b->execfn_off = b->blob_end;
    put_string(b, p->execfn);
    if (b->blob_end >= LULL_BOOT_SIZE - 8) {
        message("%s: arguments and environment take more than %lu KiB: shorten them", p->path,
                LULL_BOOT_SIZE >> 10);
        return LULL_EXIT_NOT_RUNNABLE;
    }
    return 0;
}

static uint64_t mask_bits(const sigset_t *set)
{
    uint64_t bits = 0;
    for (int s = 1; s <= 64; s++) {
        if (sigismember(set, s) == 1)
            bits |= 1ull << (s - 1);
    }
    return bits;
}

static uint64_t stack_size(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_STACK, &l) || l.rlim_cur == RLIM_INFINITY || l.rlim_cur > (1ull << 30))
        return 1ull << 30; /* reserved, not populated */
    return l.rlim_cur;
}

int boot_program(struct isle *isle, const struct boot_request *req)
{
    struct lull_boot *b = (struct lull_boot *)LULL_BOOT;
    b->magic = LULL_ABI_MAGIC;
    b->abi_version = LULL_ABI_VERSION;
    if (req->opt->no_rewrite)
        b->flags |= LULL_BOOT_F_NO_REWRITE;
    if (getauxval(AT_SECURE))
        b->flags |= LULL_BOOT_F_SECURE;
    b->ncores = req->plan->ncores;
    b->flags |= req->features.boot_flags;
    b->slice_ns = SLICE_NS;
    if (getrandom(b->random, sizeof b->random, 0) != sizeof b->random) {
        message("getrandom: %s", strerror(errno));
        return LULL_EXIT_FAILED;
    }
    int r = place_program(isle, req->program, b);
    if (r)
        return r;
    r = put_blob(b, req->program, req->envp);
    if (r)
        return r;
    b->mem_limit = isle->mem_limit;
    b->mem_loaded = isle->mem_loaded;
    b->ram_end = isle->ram_end;
    uint64_t span = (isle->ram_end - LULL_RAM_BASE) / 4 & ~(LULL_CHUNK - 1);
    b->brk_start = LULL_RAM_BASE + 2 * span + b->random[30] * LULL_HUGE;
    b->brk_end = LULL_RAM_BASE + 3 * span;
    b->stack_size = stack_size();
    b->vdso_size = (uint64_t)(blob_vdso_end - blob_vdso);
    b->xcr0 = req->features.xcr0;
    b->xsave_size = req->features.xsave_size;
    b->hwcap = getauxval(AT_HWCAP);
    b->hwcap2 = getauxval(AT_HWCAP2);
    b->pid = (uint32_t)getpid();
    b->ppid = (uint32_t)getppid();
    b->uid = getuid();
    b->euid = geteuid();
    b->gid = getgid();
    b->egid = getegid();
    b->sigmask = mask_bits(&req->mask);
    b->sigignored = mask_bits(&req->ignored);
    for (unsigned i = 0; i < req->plan->ncores; i++) {
        b->cpu[i] = req->plan->cpu[i];
        b->node[i] = req->plan->node[i];
        isle_core(isle, i)->index = i;
    }
    return 0;
}

void boot_clock(const struct options *opt, const struct engine_clock *clock)
{
    struct lull_boot *b = (struct lull_boot *)LULL_BOOT;
    b->tsc_khz = clock->tsc_khz;
    b->spin_tsc =
        opt->spin_us == OPTIONS_SPIN_FOREVER ? ~0ull : opt->spin_us * clock->tsc_khz / 1000;
    timepage_init(clock);
}
