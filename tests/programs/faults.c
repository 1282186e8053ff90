/* SPDX-License-Identifier: MIT */
/* Faults of every kind arrive in a handler with the right signal, code and address. */
#define _GNU_SOURCE
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

#define PAGE 4096ul
#define ANY ((void *)-1l)

static _Thread_local sigjmp_buf back;
static _Thread_local volatile int got_sig, got_code;
static _Thread_local void *volatile got_addr;
static _Thread_local volatile uintptr_t got_sp;

static void handler(int sig, siginfo_t *info, void *context)
{
    ucontext_t *u = context;

    got_sig = sig;
    got_code = info->si_code;
    got_addr = info->si_addr;
    got_sp = (uintptr_t)u->uc_mcontext.gregs[REG_RSP];
    siglongjmp(back, 1);
}

/* What `action` raised: signal, code and address, or the number of the line that is wrong. */
#define EXPECT(action, sig, code, addr)                                                            \
    do {                                                                                           \
        got_sig = 0;                                                                               \
        if (sigsetjmp(back, 1) == 0) {                                                             \
            action;                                                                                \
        }                                                                                          \
        CHECK(got_sig == (sig));                                                                   \
        CHECK(got_code == (code));                                                                 \
        CHECK((addr) == ANY || got_addr == (addr));                                                \
    } while (0)

/* The compiler must not know what these pointers are. */
#define HIDE(p) __asm__ volatile("" : "+r"(p))

static int load(const volatile char *p)
{
    HIDE(p);
    return *p;
}

static void store(volatile char *p)
{
    HIDE(p);
    *p = 1;
}

static void call(void *p)
{
    HIDE(p);
    ((void (*)(void))p)();
}

static const char constant[] = "in read-only data";

static void memory(void)
{
    char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *big = mmap(NULL, 4ul << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    check_section("memory");
    CHECK(p != MAP_FAILED && big != MAP_FAILED);
    EXPECT(load(NULL), SIGSEGV, SEGV_MAPERR, NULL);
    EXPECT(store(NULL), SIGSEGV, SEGV_MAPERR, NULL);
    EXPECT(store((char *)8), SIGSEGV, SEGV_MAPERR, (char *)8);
    EXPECT(load((char *)0xd0000000), SIGSEGV, SEGV_MAPERR, (char *)0xd0000000);
    EXPECT(load((char *)0x800000000000), SIGSEGV, SI_KERNEL, NULL); /* not canonical */
    EXPECT(load((char *)0xffff800000000000), SIGSEGV, SEGV_MAPERR, ANY);
    p[PAGE] = 1;
    CHECK(mprotect(p + PAGE, PAGE, PROT_NONE) == 0);
    EXPECT(load(p + PAGE), SIGSEGV, SEGV_ACCERR, p + PAGE);
    EXPECT(store(p + PAGE + 17), SIGSEGV, SEGV_ACCERR, p + PAGE + 17);
    CHECK(mprotect(p + 2 * PAGE, PAGE, PROT_READ) == 0);
    CHECK(load(p + 2 * PAGE) == 0);
    EXPECT(store(p + 2 * PAGE), SIGSEGV, SEGV_ACCERR, p + 2 * PAGE);
    CHECK(munmap(p + 3 * PAGE, PAGE) == 0);
    EXPECT(load(p + 3 * PAGE), SIGSEGV, SEGV_MAPERR, p + 3 * PAGE);
    p[4 * PAGE] = (char)0xc3;
    EXPECT(call(p + 4 * PAGE), SIGSEGV, SEGV_ACCERR, p + 4 * PAGE);
    CHECK(mprotect(p + 4 * PAGE, PAGE, PROT_READ | PROT_EXEC) == 0);
    call(p + 4 * PAGE);
    EXPECT(store((char *)(uintptr_t)constant), SIGSEGV, SEGV_ACCERR, (void *)(uintptr_t)constant);
    EXPECT(store((char *)(uintptr_t)store), SIGSEGV, SEGV_ACCERR, (void *)(uintptr_t)store);
    EXPECT(call((void *)(uintptr_t)constant), SIGSEGV, SEGV_ACCERR, (void *)(uintptr_t)constant);
    EXPECT(call(NULL), SIGSEGV, SEGV_MAPERR, NULL);
    big[0] = big[2 << 20] = 1;
    CHECK(mprotect(big + (2 << 20), PAGE, PROT_NONE) == 0);
    EXPECT(load(big + (2 << 20)), SIGSEGV, SEGV_ACCERR, big + (2 << 20));
    CHECK(load(big + (2 << 20) + PAGE) == 0);
    CHECK(munmap(big, 4ul << 20) == 0);
    EXPECT(load(big), SIGSEGV, SEGV_MAPERR, big);
    EXPECT(store(malloc(0) ? (char *)16 : NULL), SIGSEGV, SEGV_MAPERR, ANY);
}

static void divide(int a, int b)
{
    __asm__ volatile("cltd; idivl %1" : "+a"(a) : "r"(b) : "rdx", "cc");
}

static void simd_fault(void)
{
    unsigned csr = 0x1f80 & ~0x200u; /* division by zero unmasked */
    double a = 1, b = 0;

    __asm__ volatile("ldmxcsr %0" ::"m"(csr));
    __asm__ volatile("divsd %1, %0" : "+x"(a) : "x"(b));
}

static void x87_fault(void)
{
    unsigned short control = 0x37f & ~4;
    double zero = 0;

    __asm__ volatile("fninit; fldcw %0; fld1; fldl %1; fdivrp; fwait" ::"m"(control), "m"(zero));
}

static void reset_math(void)
{
    unsigned csr = 0x1f80;

    __asm__ volatile("fninit; ldmxcsr %0" ::"m"(csr));
}

static void instructions(void)
{
    check_section("instructions");
    EXPECT(__asm__ volatile("ud2"), SIGILL, ILL_ILLOPN, ANY);
    EXPECT(divide(1, 0), SIGFPE, FPE_INTDIV, ANY);
    EXPECT(divide(-2147483647 - 1, -1), SIGFPE, FPE_INTDIV, ANY);
    if (!getenv("T_NO_SIMD_EXCEPTIONS")) { /* QEMU's TCG never raises them */
        EXPECT(simd_fault(), SIGFPE, FPE_FLTDIV, ANY);
        reset_math();
    }
    EXPECT(x87_fault(), SIGFPE, FPE_FLTDIV, ANY);
    reset_math();
    EXPECT(__asm__ volatile("int3"), SIGTRAP, SI_KERNEL, ANY);
    EXPECT(__asm__ volatile("hlt"), SIGSEGV, SI_KERNEL, NULL);
    EXPECT(__asm__ volatile("cli"), SIGSEGV, SI_KERNEL, NULL);
    EXPECT(__asm__ volatile("inb $0x80, %%al" ::: "rax"), SIGSEGV, SI_KERNEL, NULL);
    EXPECT(__asm__ volatile("mov %%cr3, %%rax" ::: "rax"), SIGSEGV, SI_KERNEL, NULL);
    EXPECT(__asm__ volatile("wrmsr" ::: "rax"), SIGSEGV, SI_KERNEL, NULL);
}

static volatile int endless_depth = 1;

static int __attribute__((noinline)) overflow(volatile char *above)
{
    volatile char frame[1024];

    if (endless_depth == 0) {
        return 0;
    }
    frame[0] = above ? above[0] : 0;
    return overflow(frame) + frame[0];
}

static void *on_thread(void *arg)
{
    pthread_attr_t attr;
    void *stack;
    size_t size, guard;
    stack_t alt = {.ss_sp = malloc(64 * 1024), .ss_size = 64 * 1024};

    (void)arg;
    CHECK(sigaltstack(&alt, NULL) == 0);
    CHECK(pthread_getattr_np(pthread_self(), &attr) == 0);
    CHECK(pthread_attr_getstack(&attr, &stack, &size) == 0);
    CHECK(pthread_attr_getguardsize(&attr, &guard) == 0 && guard >= PAGE);
    pthread_attr_destroy(&attr);
    EXPECT(overflow(NULL), SIGSEGV, SEGV_ACCERR, ANY);
    CHECK((char *)got_addr < (char *)stack + guard && (char *)got_addr >= (char *)stack - guard);
    CHECK((char *)got_sp < (char *)stack + guard + 2048);
    EXPECT(load(NULL), SIGSEGV, SEGV_MAPERR, NULL);
    return arg;
}

static void stacks(void)
{
    pthread_t t[4];

    check_section("stack overflow");
    EXPECT(overflow(NULL), SIGSEGV, got_code, ANY);
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&t[i], NULL, on_thread, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(t[i], NULL) == 0);
    }
}

static void many(void)
{
    char *p = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    check_section("a thousand in a row");
    for (int i = 0; i < 1000; i++) {
        EXPECT(load(p + i), SIGSEGV, SEGV_ACCERR, p + i);
    }
}

/* What a debugger inside the program sees: every instruction's end, but for the syscall's own. */
extern char step_from[];
static volatile int nsteps;
static long step_at[64];

static void on_step(int sig, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)sig;
    if (info->si_code != TRAP_TRACE || (greg_t)(uintptr_t)info->si_addr != r[REG_RIP]) {
        nsteps = 1000;
    }
    if (nsteps < 64) {
        step_at[nsteps++] = (char *)(uintptr_t)r[REG_RIP] - step_from;
    } else {
        r[REG_EFL] &= ~0x100;
    }
}

static long __attribute__((noinline)) step(void)
{
    long pid;

    __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tnop\n"
                     "step_from: mov $39, %%eax\n\tsyscall\n\tnop\n\tnop\n\t"
                     "pushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tnop"
                     : "=a"(pid)
                     :
                     : "rcx", "r11", "memory", "cc");
    return pid;
}

/* getpid with alignment checks on; the flags that it comes back with. */
static unsigned long __attribute__((noinline)) aligned(long *pid)
{
    unsigned long flags;

    __asm__ volatile("pushfq\n\torq $0x40000, (%%rsp)\n\tpopfq\n\t"
                     "mov $39, %%eax\n\tsyscall\n\tmov %%rax, %1\n\tpushfq\n\tpop %0\n\t"
                     "pushfq\n\tandq $~0x40000, (%%rsp)\n\tpopfq"
                     : "=&r"(flags), "=&r"(*pid)
                     :
                     : "rax", "rcx", "r11", "memory", "cc");
    return flags;
}

/* The same, with a call that does more. */
static long __attribute__((noinline)) aligned_write(int fd, const void *p)
{
    long n;

    __asm__ volatile("pushfq\n\torq $0x40000, (%%rsp)\n\tpopfq\n\t"
                     "mov $1, %%eax\n\tmov $5, %%edx\n\tsyscall\n\t"
                     "pushfq\n\tandq $~0x40000, (%%rsp)\n\tpopfq"
                     : "=&a"(n)
                     : "D"(fd), "S"(p)
                     : "rcx", "rdx", "r11", "memory", "cc");
    return n;
}

static void flags(void)
{
    struct sigaction act = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, old;
    static const char text[] = "xyzzyx";
    char got[5];
    long pid;
    int fd[2];

    check_section("single steps over a system call");
    CHECK(sigaction(SIGTRAP, &act, &old) == 0);
    for (int i = 0; i < 3; i++) {
        static const long expected[] = {0, 5, 8, 9, 10, 18, 19};

        nsteps = 0;
        CHECK(step() == getpid());
        CHECK(nsteps == 7);
        for (int k = 0; k < 7 && nsteps == 7; k++) {
            CHECK(step_at[k] == expected[k]);
        }
    }
    CHECK(sigaction(SIGTRAP, &old, NULL) == 0);
    check_section("alignment checks over a system call");
    CHECK(pipe(fd) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK((aligned(&pid) & 0x40000) && pid == getpid());
        CHECK(aligned_write(fd[1], text + 1) == 5);
        CHECK(read(fd[0], got, 5) == 5 && memcmp(got, text + 1, 5) == 0);
    }
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    struct sigaction act = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    stack_t alt = {.ss_sp = malloc(64 * 1024), .ss_size = 64 * 1024};

    CHECK(sigaltstack(&alt, NULL) == 0);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        CHECK(sigaction(signals[i], &act, NULL) == 0);
    }
    memory();
    instructions();
    stacks();
    many();
    flags();
    return check_end();
}
