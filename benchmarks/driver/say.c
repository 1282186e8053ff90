/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>

#include "driver/driver.h"

static bool progress_on;

static void emit(const char *fmt, va_list ap)
{
    fputs("lull-bench: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void complain(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void progress(const char *fmt, ...)
{
    va_list ap;
    if (!progress_on)
        return;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void progress_enable(bool on)
{
    progress_on = on;
}
