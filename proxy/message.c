/* SPDX-License-Identifier: MIT */
#include "message.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "ownfd.h"

static bool verbose_on;
static int where = STDERR_FILENO;

void message_init(void)
{
    where = ownfd_copy(STDERR_FILENO);
    if (where < 0 && fcntl(STDERR_FILENO, F_GETFD) >= 0)
        where = STDERR_FILENO; /* no room for a copy */
}

void message_close(void)
{
    where = -1;
    verbose_on = false;
}

int message_fd(void)
{
    return where;
}

static void emit(const char *fmt, va_list ap)
{
    char line[1024];
    int n = snprintf(line, sizeof line, "lull: ");
    int m = vsnprintf(line + n, sizeof line - (size_t)n - 1, fmt, ap);
    if (m < 0)
        return;
    n += m;
    if (n > (int)sizeof line - 2)
        n = (int)sizeof line - 2;
    line[n++] = '\n';
    ssize_t done = write(where, line, (size_t)n);
    (void)done; /* nowhere left to complain */
}

void message(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void verbose(const char *fmt, ...)
{
    if (!verbose_on)
        return;
    va_list ap;
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void message_set_verbose(bool on)
{
    verbose_on = on;
}
