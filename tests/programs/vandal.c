/* SPDX-License-Identifier: MIT */
/* A program that attacks the proxy from inside its isle. For isles only: natively it would crash.
   Usage: vandal channel SEED | answers | request | kernel | machine | numbers */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lull/channel.h>
#include <lull/core.h>

static uint64_t seed;

static uint64_t next(void)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return seed >> 11 ^ seed << 31;
}

static struct lull_channel *channel(void)
{
    return (struct lull_channel *)LULL_CHANNELS;
}

static struct lull_core *core(void)
{
    return (struct lull_core *)LULL_CORES;
}

/* As kernel/dev/doorbell.c, without sleep. */
static void ring(uint32_t op)
{
    volatile uint32_t *doorbell = (volatile uint32_t *)(LULL_DEV_BASE + 12);
    uint32_t n = core()->request + 1;
    core()->op = op;
    __atomic_store_n(&core()->request, n, __ATOMIC_SEQ_CST);
    *doorbell = 0;
    while (__atomic_load_n(&core()->reply, __ATOMIC_ACQUIRE) != n)
        __builtin_ia32_pause();
}

static int64_t ask(uint32_t op, uint64_t a0, uint64_t a1, uint64_t a2)
{
    core()->arg[0] = a0;
    core()->arg[1] = a1;
    core()->arg[2] = a2;
    if (((const struct lull_boot *)LULL_BOOT)->flags & LULL_BOOT_F_DOORBELL)
        ring(op);
    else
        __asm__ volatile("outl %0, %1" ::"a"(op), "Nd"((uint16_t)LULL_PORT) : "memory");
    return core()->ret;
}

/* Garbage all over the channel, then calls that make the proxy look at it. */
static void spoil_channel(void)
{
    for (;;) {
        uint64_t *p = (uint64_t *)channel();
        for (size_t i = 0; i < sizeof(struct lull_channel) / 8; i++)
            p[i] = next();
        ask(LULL_OP_CHANNEL, 0, 0, 0);
        write(1, "", 0);
    }
}

/* The isle's own kernel must notice, too. */
static void spoil_answers(void)
{
    for (;;) {
        channel()->cq_head -= 3; /* old answers once more */
        write(1, "", 0);
    }
}

/* A kernel that does nothing any more: whoever enters it comes to a jump to itself. */
static void spoil_kernel(void)
{
    const struct lull_kernel_header *h = (const struct lull_kernel_header *)LULL_KIMAGE;
    uint8_t *text = (uint8_t *)h->text_start, *end = (uint8_t *)h->text_end - 2;

    memset(text, 0x90, (size_t)(end - text)); /* nop */
    end[0] = 0xeb;
    end[1] = 0xfe;
    for (;;)
        write(1, "", 0);
}

/* Every operation with numbers that no kernel would send: refused, one after the other. */
static int hostile_numbers(void)
{
    static const uint64_t bad[] = {
        0,          1,          4095,  0x1000,    0x200000,     0x10000,      1ull << 36,
        1ull << 40, 1ull << 47, ~0ull, ~0xfffull, 0xf000000000, 0xefffe00000, 0x7fffffffffff,
        1ull << 63, 255};
    const size_t n = sizeof bad / sizeof *bad;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            for (uint64_t how = 0; how < 5; how++) {
                uint64_t start = bad[i], len = bad[j];
                bool ram =
                    start >= LULL_RAM_BASE && start < LULL_RAM_MAX && len <= LULL_RAM_MAX - start;
                if (ram && how == LULL_MEM_DISCARD)
                    continue; /* its own stack */
                if (ask(LULL_OP_MEMORY, start, len, how) == 0 && !ram) {
                    printf("memory op %d took 0x%llx + 0x%llx\n", (int)how,
                           (unsigned long long)start, (unsigned long long)len);
                    return 1;
                }
            }
            ask(LULL_OP_CANCEL, bad[i], bad[j], 0);
            if (bad[i] >= LULL_MAX_CORES && ask(LULL_OP_KICK, bad[i], bad[j], 0) == 0)
                return 2;
            if (bad[i] >= LULL_MAX_CORES && ask(LULL_OP_TIMER, bad[i], bad[j], 0) == 0)
                return 3;
        }
    }
    puts("all refused");
    return 0;
}

/* No table of interrupts, then an exception: the machine stops. */
static void spoil_machine(void)
{
    memset((void *)LULL_IDT, 0, 4096);
    __asm__ volatile("ud2");
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    if (strcmp(mode, "channel") == 0)
        spoil_channel();
    else if (strcmp(mode, "answers") == 0)
        spoil_answers();
    else if (strcmp(mode, "request") == 0)
        ask(0x77777777, next(), next(), next());
    else if (strcmp(mode, "kernel") == 0)
        spoil_kernel();
    else if (strcmp(mode, "machine") == 0)
        spoil_machine();
    else if (strcmp(mode, "numbers") == 0)
        return hostile_numbers();
    return 99;
}
