/* SPDX-License-Identifier: MIT */
/*
 * Registers survive: vector, x87, general and flags, across system calls, time slices and signal
 * handlers that use them, with several threads on each core.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

#define THREADS 6

struct image {
    unsigned char zmm[32][64];
    uint64_t k[8];
} __attribute__((aligned(64)));

static int level; /* 0: SSE, 1: AVX2, 2: AVX-512 */
static atomic_int stop, handled;

#define EACH16(op)                                                                                 \
    op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) \
        op(15)
#define EACH32(op)                                                                                 \
    EACH16(op)                                                                                     \
    op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23) op(24) op(25) op(26) op(27) op(28)     \
        op(29) op(30) op(31)
#define EACHK(op) op(1) op(2) op(3) op(4) op(5) op(6) op(7)

#define LOAD_Z(i) "vmovdqu64 64*" #i "(%[in]), %%zmm" #i "\n"
#define SAVE_Z(i) "vmovdqu64 %%zmm" #i ", 64*" #i "(%[out])\n"
#define LOAD_K(i) "kmovq 2048+8*" #i "(%[in]), %%k" #i "\n"
#define SAVE_K(i) "kmovq %%k" #i ", 2048+8*" #i "(%[out])\n"
#define LOAD_Y(i) "vmovdqu 64*" #i "(%[in]), %%ymm" #i "\n"
#define SAVE_Y(i) "vmovdqu %%ymm" #i ", 64*" #i "(%[out])\n"
#define LOAD_X(i) "movdqu 64*" #i "(%[in]), %%xmm" #i "\n"
#define SAVE_X(i) "movdqu %%xmm" #i ", 64*" #i "(%[out])\n"

/* Spins, or, with a number, makes that system call: nr in rax, arguments 0. */
#define MIDDLE                                                                                     \
    "mov %[spins], %%rbx\n"                                                                        \
    "1: dec %%rbx\n"                                                                               \
    "jg 1b\n"                                                                                      \
    "mov %[nr], %%rax\n"                                                                           \
    "test %%rax, %%rax\n"                                                                          \
    "js 2f\n"                                                                                      \
    "xor %%edi, %%edi\n"                                                                           \
    "xor %%esi, %%esi\n"                                                                           \
    "xor %%edx, %%edx\n"                                                                           \
    "syscall\n"                                                                                    \
    "2:\n"
#define OPERANDS                                                                                   \
    ::[in] "r"(in), [out] "r"(out), [nr] "m"(nr),                                                  \
        [spins] "m"(spins) : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r11", "memory", "cc"

__attribute__((target("avx512f,avx512bw,avx512dq"), noinline)) static void
through_avx512(const struct image *in, struct image *out, long nr, long spins)
{
    __asm__ volatile(EACH32(LOAD_Z) EACHK(LOAD_K) MIDDLE EACH32(SAVE_Z) EACHK(SAVE_K) OPERANDS);
    __asm__ volatile("vzeroall" ::: "memory");
}

__attribute__((target("avx2"), noinline)) static void
through_avx2(const struct image *in, struct image *out, long nr, long spins)
{
    __asm__ volatile(EACH16(LOAD_Y) MIDDLE EACH16(SAVE_Y) OPERANDS);
    __asm__ volatile("vzeroall" ::: "memory");
}

__attribute__((noinline)) static void through_sse(const struct image *in, struct image *out,
                                                  long nr, long spins)
{
    __asm__ volatile(EACH16(LOAD_X) MIDDLE EACH16(SAVE_X) OPERANDS);
    __asm__ volatile("" ::
                         : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                           "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

static int survives(unsigned seed, long nr, long spins)
{
    static const size_t width[] = {16, 32, 64};
    struct image in, out;
    int regs = level == 2 ? 32 : 16;

    memset(&out, 0, sizeof(out));
    for (size_t i = 0; i < sizeof(in.zmm); i++) {
        ((unsigned char *)in.zmm)[i] = (unsigned char)(seed * 31 + i * 7 + (i >> 8));
    }
    for (unsigned i = 0; i < 8; i++) {
        in.k[i] = 0x0101010101010101u * (seed + i);
    }
    if (level == 2) {
        through_avx512(&in, &out, nr, spins);
    } else if (level == 1) {
        through_avx2(&in, &out, nr, spins);
    } else {
        through_sse(&in, &out, nr, spins);
    }
    for (int i = 0; i < regs; i++) {
        if (memcmp(in.zmm[i], out.zmm[i], width[level]) != 0) {
            return 0;
        }
    }
    return level < 2 || memcmp(in.k + 1, out.k + 1, 56) == 0;
}

/* General registers, flags and the red zone across one system call. */
static int general_survive(long nr)
{
    uint64_t bad;

    __asm__ volatile(
        "mov $0x1111, %%rbx; mov $0x2222, %%r8; mov $0x3333, %%r9; mov $0x4444, %%r10\n"
        "mov $0x5555, %%r12; mov $0x6666, %%r13; mov $0x7777, %%r14; mov $0x8888, %%r15\n"
        "xor %%edi, %%edi; xor %%esi, %%esi; xor %%edx, %%edx\n"
        "movq $0x9999, -8(%%rsp); movq $0xaaaa, -128(%%rsp)\n"
        "mov %[nr], %%rax; std; stc; syscall; pushf; pop %%rcx; cld\n"
        "mov %%rcx, %%rax; and $0x401, %%rax; sub $0x401, %%rax\n"
        "sub $0x1111, %%rbx; or %%rbx, %%rax; sub $0x2222, %%r8; or %%r8, %%rax\n"
        "sub $0x3333, %%r9; or %%r9, %%rax; sub $0x4444, %%r10; or %%r10, %%rax\n"
        "sub $0x5555, %%r12; or %%r12, %%rax; sub $0x6666, %%r13; or %%r13, %%rax\n"
        "sub $0x7777, %%r14; or %%r14, %%rax; sub $0x8888, %%r15; or %%r15, %%rax\n"
        "or %%rdi, %%rax; or %%rsi, %%rax; or %%rdx, %%rax\n"
        "mov -128(%%rsp), %%rcx; sub $0xaaaa, %%rcx; or %%rcx, %%rax\n"
        : "=&a"(bad)
        : [nr] "m"(nr)
        : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
          "memory", "cc");
    return bad == 0;
}

static int control_survives(unsigned seed)
{
    unsigned csr = 0x1f80 | (seed & 3) << 13, csr_after;
    unsigned short control =
                       (unsigned short)(0x37f & ~(0xc00)) | (unsigned short)((seed & 3) << 10),
                   control_after;
    double value = seed, after;

    __asm__ volatile("ldmxcsr %0; fninit; fldcw %1; fldl %2" ::"m"(csr), "m"(control), "m"(value));
    for (volatile int i = 0; i < 20000; i++) {
    }
    syscall(SYS_sched_yield);
    __asm__ volatile("stmxcsr %0; fnstcw %1; fstpl %2"
                     : "=m"(csr_after), "=m"(control_after), "=m"(after));
    csr = 0x1f80;
    __asm__ volatile("ldmxcsr %0; fninit" ::"m"(csr));
    return (csr_after & 0x6000) == (seed & 3) << 13 && control_after == control && after == value;
}

static void clobber(int sig)
{
    (void)sig;
    if (level == 2) {
        __asm__ volatile("vpternlogd $255, %%zmm0, %%zmm0, %%zmm0; vmovdqa64 %%zmm0, %%zmm31;"
                         "kxnorq %%k1, %%k1, %%k1" ::
                             : "memory");
    } else if (level == 1) {
        __asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0; vmovdqa %%ymm0, %%ymm15" ::: "memory");
    } else {
        __asm__ volatile("pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm15" ::
                             : "memory", "xmm0", "xmm15");
    }
    __asm__ volatile("fninit; fldpi; fldpi");
    handled++;
}

static void *load(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    intptr_t bad = 0;

    while (!stop) {
        bad += !survives(seed, -1, 200000);
        bad += !survives(seed, SYS_getpid, 1);
        bad += !survives(seed, SYS_sched_yield, 1);
        bad += !survives(seed, SYS_umask, 1); /* goes to Linux, changes what nobody uses here */
        bad += !survives(seed, 1000, 1);
        bad += !control_survives(seed);
    }
    return (void *)bad;
}

int main(void)
{
    pthread_t t[THREADS];
    void *bad;
    long long end;

    __builtin_cpu_init();
    level = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") ? 2
            : __builtin_cpu_supports("avx2")                                         ? 1
                                                                                     : 0;
    fprintf(stderr, "%s\n", level == 2 ? "AVX-512" : level == 1 ? "AVX2" : "SSE");
    check_section("alone");
    CHECK(survives(1, -1, 1));
    CHECK(survives(2, SYS_getpid, 1) && survives(3, SYS_sched_yield, 1));
    CHECK(survives(4, SYS_umask, 1) && survives(5, 1000, 1));
    CHECK(general_survive(SYS_getpid) && general_survive(SYS_sched_yield));
    CHECK(general_survive(SYS_umask) && general_survive(1000));
    for (unsigned i = 0; i < 4; i++) {
        CHECK(control_survives(i));
    }
    CHECK(signal(SIGUSR1, clobber) != SIG_ERR);
    CHECK(raise(SIGUSR1) == 0 && handled == 1);

    check_section("several threads on each core, with signals");
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&t[i], NULL, load, (void *)(i * 41 + 1)) == 0);
    }
    end = now_ns() + 500000000;
    for (int i = 0; now_ns() < end; i++) {
        pthread_kill(t[i % THREADS], SIGUSR1);
        sleep_ms(1);
    }
    stop = 1;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(t[i], &bad) == 0 && bad == NULL);
    }
    CHECK(handled > THREADS);
    return check_end();
}
