/* SPDX-License-Identifier: MIT */
/* Sanitizers whose shadow memory has fixed addresses where an isle has no memory. */
#include <string.h>

#include "check/check.h"

/* UndefinedBehaviorSanitizer has no shadow and runs. LeakSanitizer's allocator has a fixed
   address. */
static const struct {
    const char *symbol, *name;
} runtimes[] = {
    {"__asan_init", "AddressSanitizer"},   {"__hwasan_init", "HWAddressSanitizer"},
    {"__msan_init", "MemorySanitizer"},    {"__tsan_init", "ThreadSanitizer"},
    {"__dfsan_init", "DataFlowSanitizer"}, {"__lsan_init", "LeakSanitizer"},
    {"__lsan_disable", "LeakSanitizer"},
};

const char *sanitizer_of(const char *symbol)
{
    for (size_t i = 0; i < sizeof runtimes / sizeof *runtimes; i++)
        if (strcmp(symbol, runtimes[i].symbol) == 0)
            return runtimes[i].name;
    return NULL;
}
