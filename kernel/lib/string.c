/* SPDX-License-Identifier: MIT */
/* What gcc may call by itself, and the kernel's last words. No vector registers here: they are the
   application's. `rep` strings are fast on every processor with ERMS. */
#include "kernel.h"

void *memset(void *p, int c, size_t n)
{
    void *d = p;
    __asm__ volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
    return p;
}

void *memcpy(void *dst, const void *src, size_t n)
{
    void *d = dst;
    __asm__ volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n)::"memory");
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst - (uintptr_t)src >= n)
        return memcpy(dst, src, n);
    u8 *d = dst;
    const u8 *s = src;
    while (n >= 8) {
        n -= 8;
        u64 word;
        __builtin_memcpy(&word, s + n, 8);
        __builtin_memcpy(d + n, &word, 8);
    }
    while (n--)
        d[n] = s[n];
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const u8 *x = a, *y = b;
    for (; n; n--, x++, y++) {
        if (*x != *y)
            return *x - *y;
    }
    return 0;
}

size_t strlen(const char *s)
{
    size_t n = 0;
    while (s[n])
        n++;
    return n;
}

static char *put_hex(char *p, u64 v)
{
    *p++ = ' ';
    *p++ = '0';
    *p++ = 'x';
    for (int shift = 60; shift >= 0; shift -= 4)
        *p++ = "0123456789abcdef"[v >> shift & 15];
    return p;
}

void panic(const char *what, u64 a, u64 b)
{
    static char line[160];
    size_t n = strlen(what);
    char *p = line;
    memcpy(p, what, n < 100 ? n : 100);
    p = put_hex(p + (n < 100 ? n : 100), a);
    p = put_hex(p, b);
    for (;;)
        proxy_call(LULL_OP_PANIC, (u64)line, (u64)(p - line), 0);
}

void panic_no_memory(const char *what)
{
    for (;;)
        proxy_call(LULL_OP_PANIC, (u64)what, strlen(what), 1);
}

bool user_range_ok(uaddr p, u64 n)
{
    if (p >= LULL_FAR_BASE)
        return p + n >= p && p + n <= LULL_FAR_END;
    if (p >= LULL_WIN_BASE)
        return p + n >= p && p + n <= LULL_WIN_END;
    return p >= LULL_LOW_BASE && p + n >= p && p + n <= LULL_RAM_MAX;
}

int copy_in(void *dst, uaddr src, u64 n)
{
    if (!n)
        return 0;
    return user_range_ok(src, n) && user_copy(dst, (const void *)src, n) == 0 ? 0 : -EFAULT;
}

int copy_out(uaddr dst, const void *src, u64 n)
{
    if (!n)
        return 0;
    return user_range_ok(dst, n) && user_copy((void *)dst, src, n) == 0 ? 0 : -EFAULT;
}
