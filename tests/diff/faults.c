/* SPDX-License-Identifier: MIT */
/* Instructions that fault: signal, code, address and what the signal frame says of the cause. */
#include "diff.h"

#include <asm/prctl.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>

#define KERNEL_ADDRESS 0xffffffff81000000ull
#define NON_CANONICAL 0x800000000000ull
#define VSYSCALL 0xffffffffff600000ull
#define FLAG_TF 0x100
#define FLAG_NT 0x4000
#define FLAG_AC 0x40000

static sigjmp_buf back;
static char *code; /* a page that the instructions are copied to */
static char *data; /* the argument: a page that may be written, and one behind it that may not */

static void show_fault(int signo, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned long addr = (unsigned long)info->si_addr, rip = (unsigned long)g[REG_RIP];

    g[REG_EFL] &= ~(greg_t)(FLAG_TF | FLAG_NT | FLAG_AC);
    __asm__ volatile("pushfq\n\tandl $~0x44100, (%%rsp)\n\tpopfq" ::: "cc", "memory");
    printf("SIG%s code %d trap %lld error %llx", sigabbrev_np(signo), info->si_code,
           (long long)g[REG_TRAPNO], (unsigned long long)g[REG_ERR]);
    if (addr - (unsigned long)code < PAGE)
        printf(" address code+%lu", addr - (unsigned long)code);
    else if (addr - (unsigned long)data < 2 * PAGE)
        printf(" address data+%lu", addr - (unsigned long)data);
    else
        printf(" address %lx", addr);
    if (rip - (unsigned long)code < PAGE)
        printf(" rip code+%lu", rip - (unsigned long)code);
    else if (rip - (unsigned long)data < 2 * PAGE)
        printf(" rip data+%lu", rip - (unsigned long)data);
    else
        printf(" rip %lx", rip);
    if (g[REG_TRAPNO] == 14 && info->si_code > 0 && info->si_code < SI_KERNEL)
        printf(" cr2 is %s", (unsigned long)g[REG_CR2] == addr ? "the address" : "another");
    printf("\n");
    siglongjmp(back, 1);
}

static void catch_faults(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS};
    struct sigaction act = {.sa_sigaction = show_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    static char stack[65536];
    stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};

    sigaltstack(&alt, NULL);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &act, NULL);
    code = page_with(PROT_READ | PROT_WRITE | PROT_EXEC);
    data = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(data, 0, 2 * PAGE);
    mprotect(data + PAGE, PAGE, PROT_READ);
}

/* Runs the bytes as a function of one argument. */
static void run_bytes(const char *name, const void *bytes, size_t n, unsigned long arg)
{
    printf("%s: ", name);
    fflush(stdout);
    memcpy(code, bytes, n);
    code[n] = (char)0xc3;
    if (sigsetjmp(back, 1) == 0) {
        unsigned long value = ((unsigned long (*)(unsigned long))(uintptr_t)code)(arg);
        (void)value;
        puts("no fault");
    }
}

#define RUN(name, bytes, arg) run_bytes(name, bytes, sizeof bytes - 1, (unsigned long)(arg))

CASE(faults, privileged)
{
    catch_faults();
    RUN("hlt", "\xf4", 0);
    RUN("cli", "\xfa", 0);
    RUN("sti", "\xfb", 0);
    RUN("in", "\xe4\x80", 0);
    RUN("out", "\xe6\x80", 0);
    RUN("insb", "\x66\xba\x80\x00\x6c", data);
    RUN("mov to cr0", "\x0f\x22\xc0", 0);
    RUN("mov from cr3", "\x0f\x20\xd8", 0);
    RUN("mov from dr7", "\x0f\x21\xf8", 0);
    RUN("clts", "\x0f\x06", 0);
    RUN("invd", "\x0f\x08", 0);
    RUN("wbinvd", "\x0f\x09", 0);
    RUN("rdmsr", "\x0f\x32", 0);
    RUN("wrmsr", "\x0f\x30", 0);
    RUN("rdpmc", "\xb9\xff\x00\x00\x00\x0f\x33", 0);
    RUN("lgdt", "\x0f\x01\x17", data);
    RUN("lidt", "\x0f\x01\x1f", data);
    RUN("ltr", "\x0f\x00\xdf", 0);
    RUN("lldt", "\x0f\x00\xd7", 0);
    RUN("invlpg", "\x0f\x01\x3f", data);
    RUN("swapgs", "\x0f\x01\xf8", 0);
    RUN("sysret", "\x48\x0f\x07", 0);
    RUN("sysexit", "\x0f\x35", 0);
    RUN("xsetbv", "\x31\xc9\x31\xc0\x31\xd2\x0f\x01\xd1", 0);
    RUN("vmcall", "\x0f\x01\xc1", 0);
    RUN("vmmcall", "\x0f\x01\xd9", 0);
}

CASE(faults, interrupts)
{
    char bytes[] = "\xcd\x00", name[16];

    catch_faults();
    for (int n = 0; n < 256; n++) {
        /* 0x80 makes a call where Linux has 32-bit ones; some hypervisors keep the other four */
        if (n == 0x80 || (n >= 0x17 && n <= 0x1a))
            continue;
        bytes[1] = (char)n;
        snprintf(name, sizeof name, "int 0x%02x", (unsigned)n);
        run_bytes(name, bytes, 2, 0);
    }
    RUN("int3", "\xcc", 0);
    RUN("icebp", "\xf1", 0);
}

CASE(faults, arithmetic)
{
    catch_faults();
    RUN("divide by zero", "\x31\xd2\x31\xc9\xf7\xf1", 0);
    RUN("idiv overflow", "\x31\xd2\xb8\x00\x00\x00\x80\x99\xb9\xff\xff\xff\xff\xf7\xf9", 0);
    RUN("x87 invalid",
        "\xdb\xe3\x9b\xd9\x7c\x24\xf8\x66\x81\x64\x24\xf8\xfe\xff\xd9\x6c\x24\xf8"
        "\xd9\xe8\xd9\xe0\xd9\xfa\x9b",
        0);
    RUN("x87 divide by zero",
        "\xdb\xe3\x9b\xd9\x7c\x24\xf8\x66\x81\x64\x24\xf8\xfb\xff\xd9\x6c\x24"
        "\xf8\xd9\xe8\xd9\xee\xde\xf9\x9b",
        0);
    __asm__ volatile("fninit");
    RUN("sse divide by zero",
        "\xc7\x44\x24\xf8\x80\x1d\x00\x00\x0f\xae\x54\x24\xf8\x0f\x57\xc9\xb8"
        "\x01\x00\x00\x00\xf3\x0f\x2a\xc0\xf3\x0f\x5e\xc1",
        0);
    unsigned mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" ::"m"(mxcsr));
}

CASE(faults, invalid)
{
    catch_faults();
    RUN("ud2", "\x0f\x0b", 0);
    RUN("ud1", "\x0f\xb9\xc0", 0);
    RUN("into", "\xce", 0);
    RUN("bound", "\x62", 0);
    RUN("lds", "\xc5", 0);
    RUN("aaa", "\x37", 0);
    RUN("push cs", "\x0e", 0);
    RUN("far call", "\x9a", 0);
    RUN("lock nop", "\xf0\x90", 0);
    RUN("lock add to a register", "\xf0\x01\xc0", 0);
    RUN("sixteen prefixes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", 0);
    RUN("sysenter", "\x48\x89\xe5\x0f\x34", 0);
    RUN("monitor", "\x0f\x01\xc8", 0);
    RUN("mwait", "\x0f\x01\xc9", 0);
}

CASE(faults, memory)
{
    char *none = page_with(PROT_NONE), *no_exec = page_with(PROT_READ | PROT_WRITE);

    catch_faults();
    RUN("read of address 0", "\x8b\x07", 0);
    RUN("write to address 0", "\x89\x07", 0);
    RUN("call of address 8", "\xff\xe7", 8);
    RUN("write to a read-only page", "\x89\x07", data + PAGE + 24);
    RUN("read of a kernel address", "\x8b\x07", KERNEL_ADDRESS);
    RUN("write to a kernel address", "\x89\x07", KERNEL_ADDRESS);
    RUN("jump to a kernel address", "\xff\xe7", KERNEL_ADDRESS);
    RUN("read of the last address", "\x8a\x07", ~0ul);
    RUN("read of the last word", "\x48\x8b\x07", ~7ul);
    RUN("read of the first kernel address", "\x8a\x07", 0xffff800000000000ul);
    RUN("read of the end of user space", "\x8a\x07", 0x7ffffffff000ul);
    RUN("write to the end of user space", "\x88\x07", 0x7ffffffff000ul);
    RUN("jump to the end of user space", "\xff\xe7", 0x7ffffffff000ul);
    RUN("read of a non-canonical address", "\x8a\x07", NON_CANONICAL);
    RUN("write to a non-canonical address", "\x88\x07", NON_CANONICAL + 99);
    RUN("jump to a non-canonical address", "\xff\xe7", NON_CANONICAL);
    RUN("call of a non-canonical address", "\xff\xd7", NON_CANONICAL);
    RUN("return to a non-canonical address", "\x57\xc3", NON_CANONICAL);
    RUN("push on a non-canonical stack", "\x48\x89\xfc\x50", NON_CANONICAL + 64);
    RUN("push on a kernel stack", "\x48\x89\xfc\x50", KERNEL_ADDRESS);
    RUN("push on no stack", "\x48\x89\xfc\x50", 64);
    RUN("read by rbp of a non-canonical address", "\x55\x48\x89\xfd\x48\x8b\x45\x00\x5d",
        NON_CANONICAL);
    RUN("rep movsb from a non-canonical address", "\x48\x89\xfe\xb9\x08\x00\x00\x00\xf3\xa4",
        NON_CANONICAL);
    printf("a page without rights: ");
    data = none - PAGE;
    RUN("read", "\x8b\x07", none);
    RUN("write", "\x89\x07", none + 8);
    RUN("jump", "\xff\xe7", none);
    data = no_exec;
    RUN("jump to a page that is not executable", "\xff\xe7", no_exec + 16);
}

CASE(faults, alignment)
{
    catch_faults();
    RUN("movaps", "\x0f\x28\x07", data + 8);
    RUN("movaps of a non-canonical address", "\x0f\x28\x07", NON_CANONICAL + 8);
    RUN("a word with EFLAGS.AC", "\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d\x8b\x47\x01", data);
    RUN("a quad word with EFLAGS.AC", "\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d\x48\x89\x47\x04", data);
    __asm__ volatile("pushfq\n\tandl $~0x40000, (%%rsp)\n\tpopfq" ::: "cc", "memory");
    RUN("cmpxchg16b", "\x53\x48\x0f\xc7\x0f\x5b", data + 8);
    RUN("xsave", "\x0f\xae\x27", data + 8);
    RUN("xrstor of a bad header", "\x31\xd2\xb8\x07\x00\x00\x00\x0f\xae\x2f",
        (memset(data + 512, 0xff, 64), data));
    RUN("ldmxcsr of reserved bits", "\x0f\xae\x17", (memset(data, 0xff, 8), data));
}

CASE(faults, single_step)
{
    catch_faults();
    RUN("nop", "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x90\x90\x90", 0);
    RUN("cpuid", "\x53\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x0f\xa2\x90\x5b", 0);
    RUN("ud2", "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x0f\x0b", 0);
    RUN("int3", "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\xcc\x90", 0);
    RUN("syscall", "\xb8\x27\x00\x00\x00\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x0f\x05\x90\x90", 0);
    RUN("a fault", "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x8b\x07\x90", 0);
}

CASE(faults, flags)
{
    catch_faults();
    RUN("popf of NT", "\x9c\x81\x0c\x24\x00\x40\x00\x00\x9d\x9c\x81\x24\x24\xff\xbf\xff\xff\x9d",
        0);
    RUN("popf of IOPL", "\x9c\x81\x0c\x24\x00\x30\x00\x00\x9d\xfa", 0);
    RUN("popf without IF", "\x9c\x81\x24\x24\xff\xfd\xff\xff\x9d", 0);
    RUN("iretq with NT",
        "\x48\x89\xe0\x68\x2b\x00\x00\x00\x50\x9c\x81\x0c\x24\x00\x40\x00\x00\x6a\x33\x57\x9c\x81"
        "\x0c"
        "\x24\x00\x40\x00\x00\x9d\x48\xcf",
        code + 200);
    __asm__ volatile("pushfq\n\tandl $~0x4000, (%%rsp)\n\tpopfq" ::: "cc", "memory");
}

CASE(faults, selectors)
{
    static const unsigned short selector[] = {0x00, 0x01, 0x02,  0x03,   0x08, 0x10, 0x18, 0x1b,
                                              0x23, 0x28, 0x2b,  0x33,   0x38, 0x40, 0x43, 0x4b,
                                              0x7f, 0x83, 0x100, 0xfffb, 0x07, 0x0f};
    static const struct {
        const char *name;
        char bytes[4];
    } load[] = {
        {"ds", "\x8e\xdf"}, {"es", "\x8e\xc7"}, {"ss", "\x8e\xd7"},
        {"cs", "\x8e\xcf"}, {"gs", "\x8e\xef"}, {"fs", "\x8e\xe7"},
    };
    char name[32];

    catch_faults();
    for (size_t r = 0; r < sizeof load / sizeof *load; r++) {
        for (size_t s = 0; s < sizeof selector / sizeof *selector; s++) {
            unsigned at = selector[s] & ~3u;
            if (r == 5 && (at == 0 || at == 0x20 || at == 0x28 || at == 0x30))
                continue; /* the C library's FS base would be lost */
            snprintf(name, sizeof name, "mov 0x%x to %s", selector[s], load[r].name);
            run_bytes(name, load[r].bytes, 2, selector[s]);
        }
    }
}

CASE(faults, far_jumps)
{
    static const unsigned short selector[] = {0,    3,    0x08, 0x10, 0x18,  0x2b,
                                              0x38, 0x40, 0x43, 0x7f, 0xfffb};
    char name[40];

    catch_faults();
    for (size_t s = 0; s < sizeof selector / sizeof *selector; s++) {
        snprintf(name, sizeof name, "far return to 0x%x", selector[s]);
        run_bytes(name, "\x57\x6a\x64\x48\xcb", 5, selector[s]);
        if (selector[s] == 0x2b || selector[s] == 0x38)
            continue; /* hypervisors that emulate iretq check less */
        snprintf(name, sizeof name, "iretq to 0x%x", selector[s]);
        run_bytes(name, "\x48\x89\xe0\x6a\x2b\x50\x9c\x57\x68\x64\x00\x00\x00\x48\xcf", 15,
                  selector[s]);
        snprintf(name, sizeof name, "iretq with 0x%x for a stack", selector[s]);
        run_bytes(name, "\x48\x89\xe0\x57\x50\x9c\x6a\x33\x68\x64\x00\x00\x00\x48\xcf", 15,
                  selector[s]);
    }
}

CASE(faults, vsyscall)
{
    catch_faults();
    RUN("gettimeofday", "\xff\xd7", VSYSCALL);
    RUN("time", "\x48\x89\xf8\x31\xff\xff\xd0", VSYSCALL + 0x400);
    RUN("getcpu", "\x48\x89\xf8\x31\xff\x31\xf6\xff\xd0", VSYSCALL + 0x800);
    RUN("read", "\x8b\x07", VSYSCALL);
    RUN("write", "\x89\x07", VSYSCALL);
    RUN("read of the page before", "\x8b\x07", VSYSCALL - 8);
    R(syscall(SYS_write, 1, VSYSCALL, 8));
}
