/* SPDX-License-Identifier: MIT */
/*
 * Prints size and offset of everything that both sides share. ctest compares it with
 * layout.expected: a difference is a change of the contract, to be made on purpose, together with
 * LULL_ABI_VERSION.
 */
#include <stddef.h>
#include <stdio.h>

#include <lull/abi.h>
#include <lull/channel.h>
#include <lull/core.h>
#include <lull/maps.h>
#include <lull/mark.h>
#include <lull/syscalls.h>

static LULL_DEFINE_SYSCALLS(table);

#define SIZE(type) printf("%s: %zu bytes\n", #type, sizeof(type))
#define FIELD(type, field)                                                                         \
    printf("  %4zu %5zu %s\n", offsetof(type, field), sizeof(((type *)0)->field), #field)
#define VALUE(name) printf("%s = 0x%llx\n", #name, (unsigned long long)(name))

static void print_boot(void)
{
    SIZE(struct lull_kernel_header);
    FIELD(struct lull_kernel_header, magic);
    FIELD(struct lull_kernel_header, abi_version);
    FIELD(struct lull_kernel_header, header_size);
    FIELD(struct lull_kernel_header, entry);
    FIELD(struct lull_kernel_header, text_start);
    FIELD(struct lull_kernel_header, text_end);
    FIELD(struct lull_kernel_header, leave_start);
    FIELD(struct lull_kernel_header, leave_end);
    FIELD(struct lull_kernel_header, leave_redo);
    FIELD(struct lull_kernel_header, upcall);
    FIELD(struct lull_kernel_header, lstar);
    FIELD(struct lull_kernel_header, fault_stubs);
    FIELD(struct lull_kernel_header, irq_stub);
    FIELD(struct lull_kernel_header, ring0_bp);
    FIELD(struct lull_kernel_header, ring0_fatal);
    SIZE(struct lull_segment);
    FIELD(struct lull_segment, start);
    FIELD(struct lull_segment, end);
    FIELD(struct lull_segment, prot);
    FIELD(struct lull_segment, file);
    FIELD(struct lull_segment, offset);
    SIZE(struct lull_boot);
    FIELD(struct lull_boot, magic);
    FIELD(struct lull_boot, abi_version);
    FIELD(struct lull_boot, flags);
    FIELD(struct lull_boot, ncores);
    FIELD(struct lull_boot, nsegments);
    FIELD(struct lull_boot, mem_limit);
    FIELD(struct lull_boot, mem_loaded);
    FIELD(struct lull_boot, ram_end);
    FIELD(struct lull_boot, tsc_khz);
    FIELD(struct lull_boot, spin_tsc);
    FIELD(struct lull_boot, slice_ns);
    FIELD(struct lull_boot, entry);
    FIELD(struct lull_boot, phdr);
    FIELD(struct lull_boot, phnum);
    FIELD(struct lull_boot, phent);
    FIELD(struct lull_boot, interp_base);
    FIELD(struct lull_boot, brk_start);
    FIELD(struct lull_boot, brk_end);
    FIELD(struct lull_boot, stub_start);
    FIELD(struct lull_boot, stub_end);
    FIELD(struct lull_boot, mmap_start);
    FIELD(struct lull_boot, stack_size);
    FIELD(struct lull_boot, vdso_size);
    FIELD(struct lull_boot, argc);
    FIELD(struct lull_boot, envc);
    FIELD(struct lull_boot, argv_off);
    FIELD(struct lull_boot, envp_off);
    FIELD(struct lull_boot, exe_off);
    FIELD(struct lull_boot, execfn_off);
    FIELD(struct lull_boot, blob_end);
    FIELD(struct lull_boot, xsave_size);
    FIELD(struct lull_boot, xcr0);
    FIELD(struct lull_boot, hwcap);
    FIELD(struct lull_boot, hwcap2);
    FIELD(struct lull_boot, pid);
    FIELD(struct lull_boot, ppid);
    FIELD(struct lull_boot, uid);
    FIELD(struct lull_boot, euid);
    FIELD(struct lull_boot, gid);
    FIELD(struct lull_boot, egid);
    FIELD(struct lull_boot, sigmask);
    FIELD(struct lull_boot, sigignored);
    FIELD(struct lull_boot, random);
    FIELD(struct lull_boot, segment);
    FIELD(struct lull_boot, cpu);
    FIELD(struct lull_boot, node);
    SIZE(struct lull_timepage);
    FIELD(struct lull_timepage, seq);
    FIELD(struct lull_timepage, tsc_base);
    FIELD(struct lull_timepage, mult);
    FIELD(struct lull_timepage, at);
    FIELD(struct lull_timepage, sets);
    VALUE(LULL_CLOCK_REALTIME);
    VALUE(LULL_CLOCK_MONOTONIC);
    VALUE(LULL_CLOCK_BOOTTIME);
    VALUE(LULL_CLOCK_RAW);
    VALUE(LULL_CLOCK_TAI);
}

static void print_core(void)
{
    SIZE(struct lull_core);
    FIELD(struct lull_core, op);
    FIELD(struct lull_core, index);
    FIELD(struct lull_core, arg);
    FIELD(struct lull_core, request);
    FIELD(struct lull_core, halted);
    FIELD(struct lull_core, ret);
    FIELD(struct lull_core, reply);
    FIELD(struct lull_core, up_rip);
    FIELD(struct lull_core, up_rsp);
    FIELD(struct lull_core, up_rflags);
    FIELD(struct lull_core, bell);
    FIELD(struct lull_core, state);
    FIELD(struct lull_core, kcount);
    SIZE(struct lull_signals);
    FIELD(struct lull_signals, head);
    FIELD(struct lull_signals, tail);
    FIELD(struct lull_signals, entry);
    SIZE(struct lull_sysstat);
    FIELD(struct lull_sysstat, local);
    FIELD(struct lull_sysstat, forwarded);
    FIELD(struct lull_sysstat, refused);
    FIELD(struct lull_sysstat, sites_rewritten);
    FIELD(struct lull_sysstat, sites_left);
    FIELD(struct lull_sysstat, waited_ns);
    FIELD(struct lull_sysstat, longest_ns);
    SIZE(struct lull_gaps);
    FIELD(struct lull_gaps, watched);
    FIELD(struct lull_gaps, count);
    FIELD(struct lull_gaps, sum);
    FIELD(struct lull_gaps, longest);
    FIELD(struct lull_gaps, section);
    SIZE(struct lull_waits);
    SIZE(struct lull_death);
    FIELD(struct lull_death, signo);
    FIELD(struct lull_death, addr);
    FIELD(struct lull_death, tid);
    FIELD(struct lull_death, rip);
    FIELD(struct lull_death, rax);
    FIELD(struct lull_death, r8);
    FIELD(struct lull_death, nframes);
    FIELD(struct lull_death, frame);
}

static void print_channel(void)
{
    SIZE(struct lull_sqe);
    FIELD(struct lull_sqe, nr);
    FIELD(struct lull_sqe, slot);
    FIELD(struct lull_sqe, arg);
    SIZE(struct lull_cqe);
    FIELD(struct lull_cqe, slot);
    FIELD(struct lull_cqe, result);
    SIZE(struct lull_channel);
    FIELD(struct lull_channel, sq_tail);
    FIELD(struct lull_channel, sq_head);
    FIELD(struct lull_channel, cq_tail);
    FIELD(struct lull_channel, cq_head);
    FIELD(struct lull_channel, asleep);
    FIELD(struct lull_channel, sq);
    FIELD(struct lull_channel, cq);
}

static void print_values(void)
{
    VALUE(LULL_ABI_VERSION);
    VALUE(LULL_ABI_MAGIC);
    VALUE(LULL_PORT);
    VALUE(LULL_LOW_BASE);
    VALUE(LULL_LOW_END);
    VALUE(LULL_RAM_BASE);
    VALUE(LULL_RAM_MAX);
    VALUE(LULL_CHUNK);
    VALUE(LULL_KERN_BASE);
    VALUE(LULL_KERN_GPA);
    VALUE(LULL_LOW_GPA);
    VALUE(LULL_RAM_GPA);
    VALUE(LULL_DEV_BASE);
    VALUE(LULL_DEV_GPA);
    VALUE(LULL_VECTOR);
    VALUE(LULL_BOOT_F_DOORBELL);
    VALUE(LULL_KERN_SIZE);
    VALUE(LULL_KIMAGE);
    VALUE(LULL_BOOT);
    VALUE(LULL_CORES);
    VALUE(LULL_CORE_STRIDE);
    VALUE(LULL_SIGNALS);
    VALUE(LULL_SYSSTAT);
    VALUE(LULL_WAITS);
    VALUE(LULL_CHANNELS);
    VALUE(LULL_CHAN_STRIDE);
    VALUE(LULL_CHAN_DEPTH);
    VALUE(LULL_CHAN_SLOTS);
    VALUE(LULL_SYSTABLES);
    VALUE(LULL_IDT);
    VALUE(LULL_VDSO);
    VALUE(LULL_TIMEPAGE);
    VALUE(LULL_KTABLES);
    VALUE(LULL_LIMIT_TABLE);
    VALUE(LULL_THREAD_TABLE);
    VALUE(LULL_PTPOOL);
    VALUE(LULL_THREADS);
    VALUE(LULL_ALIAS_BASE);
    VALUE(LULL_MAX_CORES);
    VALUE(LULL_OP_EXIT);
    VALUE(LULL_OP_DIE);
    VALUE(LULL_OP_PANIC);
    VALUE(LULL_OP_MEMORY);
    VALUE(LULL_OP_PARK);
    VALUE(LULL_OP_KICK);
    VALUE(LULL_OP_TIMER);
    VALUE(LULL_OP_CHANNEL);
    VALUE(LULL_OP_CANCEL);
    VALUE(LULL_OP_MARK);
    VALUE(LULL_OP_STOP);
    VALUE(LULL_OP_CLOCK);
    VALUE(LULL_OP_WINDOW);
    VALUE(LULL_OP_FORK);
    VALUE(LULL_OP_PENDING);
    VALUE(LULL_OP_COUNT);
    VALUE(LULL_BELL_KICK);
    VALUE(LULL_BELL_SIGNAL);
    VALUE(LULL_BELL_TIMER);
    VALUE(LULL_BELL_COMPLETION);
    VALUE(LULL_BELL_WINDOW);
    VALUE(LULL_CORE_BUSY);
    VALUE(LULL_CORE_IDLE);
    VALUE(LULL_CORE_PARKED);
    VALUE(LULL_CORE_COMPUTES);
    VALUE(LULL_PR_MARK);
}

/* Class and arguments of every system call: both sides must read them alike. */
static void print_table(void)
{
    for (unsigned nr = 0; nr < 512; nr++) {
        const struct lull_sysdesc *d = &table[nr];
        if (!d->name)
            continue;
        printf("%3u %s %u", nr, d->name, d->class);
        for (unsigned i = 0; i < d->nargs && d->class >= LULL_SYS_QUICK; i++)
            printf(" %u:%u", d->arg[i].kind, d->arg[i].param);
        putchar('\n');
    }
}

int main(void)
{
    print_values();
    print_boot();
    print_core();
    print_channel();
    print_table();
    return ferror(stdout) || fflush(stdout) ? 1 : 0;
}
