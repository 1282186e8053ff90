/* SPDX-License-Identifier: MIT */
#include "channel_fake.h"

#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

#include <lull/syscalls.h>

#include "systable.h"

static char secret[256]; /* the proxy's: poisoned */

bool isle_app_range(const struct isle *isle, isle_addr addr, size_t len)
{
    uint64_t start = (uint64_t)(uintptr_t)isle->app;
    return len == 0 || (addr.va >= start && len <= FAKE_APP && addr.va - start <= FAKE_APP - len);
}

void *isle_host(const struct isle *isle, isle_addr addr, size_t len)
{
    return isle_app_range(isle, addr, len) ? (void *)(uintptr_t)addr.va : NULL;
}

struct lull_channel *isle_channel(const struct isle *isle, unsigned core)
{
    return isle->channel[core];
}

unsigned isle_ncores(const struct isle *isle)
{
    return isle->ncores;
}

void fake_isle_open(struct isle *isle, unsigned ncores)
{
    ASAN_POISON_MEMORY_REGION(secret, sizeof secret);
    isle->ncores = ncores;
    isle->app = calloc(1, FAKE_APP);
    if (!isle->app)
        abort();
    for (unsigned i = 0; i < ncores; i++) {
        isle->channel[i] = aligned_alloc(64, sizeof *isle->channel[i]);
        if (!isle->channel[i])
            abort();
        memset(isle->channel[i], 0, sizeof *isle->channel[i]);
    }
}

void fake_isle_close(struct isle *isle)
{
    for (unsigned i = 0; i < isle->ncores; i++)
        free(isle->channel[i]);
    free(isle->app);
}

uint8_t take8(struct bytes *b)
{
    if (b->left == 0)
        return 0;
    b->left--;
    return *b->p++;
}

uint32_t take32(struct bytes *b)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 8 | take8(b);
    return v;
}

uint64_t take_value(struct bytes *b, const struct isle *isle)
{
    uint64_t app = (uint64_t)(uintptr_t)isle->app;
    uint8_t kind = take8(b);
    switch (kind % 10) {
    case 0:
        return take8(b);
    case 1:
        return (uint64_t)(int8_t)take8(b); /* -100 is AT_FDCWD, -1 ... */
    case 2:
    case 3: /* the words that take_memory() fills */
        return app + (uint64_t)take8(b) * 8;
    case 4:
        return app + take32(b) % FAKE_APP;
    case 5:
        return app + FAKE_APP - take8(b);
    case 6:
        return app - 64 + take8(b);
    case 7:
        return (uint64_t)(uintptr_t)secret;
    case 8:
        return (uint64_t)take32(b) << 32 | take32(b);
    default:
        return take32(b);
    }
}

uint32_t take_number(struct bytes *b)
{
    static uint16_t forwarded[LULL_NR_MAX];
    static unsigned n;
    if (n == 0)
        for (unsigned i = 0; i < LULL_NR_MAX; i++)
            if (lull_systable[i].class != LULL_SYS_REFUSED &&
                lull_systable[i].class != LULL_SYS_LOCAL)
                forwarded[n++] = (uint16_t)i;
    return forwarded[take8(b) % n];
}

void take_memory(struct bytes *b, struct isle *isle)
{
    unsigned words = take8(b);
    for (unsigned i = 0; i < words && b->left; i++) {
        uint64_t v = take_value(b, isle);
        memcpy(isle->app + i * 8, &v, 8);
    }
}
