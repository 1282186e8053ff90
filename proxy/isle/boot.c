/* SPDX-License-Identifier: MIT */
#include "isle/boot.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "message.h"

#define SLICE_NS                                                                                   \
    3000000ull /* about what Linux takes (sched(7), EEVDF): more, and who waits for a lock is late \
                */

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

static uint64_t stack_size(const struct lull_limits *l)
{
    uint64_t size = l->of[LULL_LIMIT_STACK].cur;
    return size > 1ull << 30 ? 1ull << 30 : size; /* reserved, not populated */
}

/* How long Linux's masks of processors are here. */
static void put_mask_sizes(struct lull_boot *b)
{
    static uint64_t mask[65536 / 64];
    long got = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    b->mask_bytes = got > 0 ? (uint16_t)(got < LULL_MASK_MAX ? got : LULL_MASK_MAX) : 8;
    for (b->mask_least = 8; b->mask_least < b->mask_bytes; b->mask_least += 8)
        if (syscall(SYS_sched_getaffinity, 0, (size_t)b->mask_least, mask) > 0)
            break;
}

/* Linux's own limit binds the proxy too, whose mappings are about as many. */
static uint64_t map_count(void)
{
    unsigned long n;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    if (!f || fscanf(f, "%lu", &n) != 1)
        n = 65530;
    if (f)
        fclose(f);
    return n;
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
    if (req->program->image.exec_stack)
        b->flags |= LULL_BOOT_F_EXEC_STACK;
    b->ncores = req->plan->ncores;
    b->flags |= req->features.boot_flags;
    b->slice_ns = SLICE_NS;
    if (getrandom(b->random, sizeof b->random, 0) != sizeof b->random) {
        message("getrandom: %s", strerror(errno));
        return LULL_EXIT_FAILED;
    }
    bool fixed = req->opt->no_aslr || personality(0xffffffff) & ADDR_NO_RANDOMIZE;
    int r = load_program(isle, req->program, fixed, b);
    if (r)
        return r;
    r = put_blob(b, req->program, req->envp);
    if (r)
        return r;
    b->mem_limit = isle->mem_limit;
    b->mem_loaded = isle->mem_loaded;
    b->ram_end = isle->ram_end;
    b->win_gpa = isle->win_gpa;
    b->far_size = isle->far_size;
    if (isle->windows)
        b->flags |= LULL_BOOT_F_WINDOWS | LULL_BOOT_F_FORK;
    if (isle->windows && req->plan->shares) /* its cores are threads of this process */
        b->flags |= LULL_BOOT_F_SHARED;
    uint64_t span = (isle->ram_end - LULL_RAM_BASE) / 4 & ~(LULL_CHUNK - 1);
    b->brk_start = LULL_RAM_BASE + 2 * span + (fixed ? 0 : b->random[30]) * LULL_HUGE;
    b->brk_end = LULL_RAM_BASE + 3 * span;
    b->stack_size = stack_size(req->limits);
    memcpy(b->itimer, req->itimer, sizeof b->itimer);
    struct lull_limits *l = (struct lull_limits *)LULL_LIMIT_TABLE;
    memcpy(l, req->limits, sizeof *l);
    l->map_count = map_count();
    b->vdso_size = (uint64_t)(blob_vdso_end - blob_vdso);
    b->xcr0 = req->features.xcr0;
    b->xsave_size = req->features.xsave_size;
    b->hwcap = getauxval(AT_HWCAP);
    b->hwcap2 = getauxval(AT_HWCAP2);
    b->pid = (uint32_t)getpid();
    b->ppid = (uint32_t)getppid();
    b->uid = getuid();
    b->euid = req->program->euid;
    b->gid = getgid();
    b->egid = req->program->egid;
    if (b->euid != b->uid || b->egid != b->gid)
        b->flags |= LULL_BOOT_F_SECURE;
    put_mask_sizes(b);
    b->sigmask = req->mask;
    b->sigignored = req->ignored;
    b->signalfds = req->signalfds;
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
    if (b->flags & LULL_BOOT_F_SHARED && opt->spin_us == OPTIONS_SPIN_DEFAULT)
        b->spin_tsc = 0;
    timepage_init(clock);
}
