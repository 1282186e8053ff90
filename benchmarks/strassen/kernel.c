/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>

#include "strassen/strassen.h"

#define NAME multiply_avx512
#define TARGET __attribute__((target("avx512f,fma")))
#define MR 8
#define LANES 8
#include "strassen/kernel_body.h"

#define NAME multiply_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define MR 4
#define LANES 4
#include "strassen/kernel_body.h"

#define NAME multiply_sse2
#define TARGET
#define MR 2
#define LANES 2
#include "strassen/kernel_body.h"

static void (*chosen)(size_t, struct mat, struct cmat, struct cmat, double *) = multiply_sse2;

static bool try_kernel(const char *want, const char *name, bool runs,
                       void (*f)(size_t, struct mat, struct cmat, struct cmat, double *))
{
    if (!runs || (want && strcmp(want, name) != 0))
        return false;
    chosen = f;
    return true;
}

const char *kernel_choose(const char *want)
{
    __builtin_cpu_init();
    bool fma = __builtin_cpu_supports("fma");
    if (try_kernel(want, "avx512f", fma && __builtin_cpu_supports("avx512f"), multiply_avx512))
        return "avx512f";
    if (try_kernel(want, "avx2", fma && __builtin_cpu_supports("avx2"), multiply_avx2))
        return "avx2";
    if (try_kernel(want, "sse2", true, multiply_sse2))
        return "sse2";
    return NULL;
}

size_t kernel_scratch(size_t m)
{
    return 2 * m * m;
}

void kernel_multiply(size_t m, struct mat c, struct cmat a, struct cmat b, double *scratch)
{
    chosen(m, c, a, b, scratch);
}
