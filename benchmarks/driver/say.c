/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/driver.h"

static bool progress_on;
static char first[512];

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
    if (!first[0])
        vsnprintf(first, sizeof first, fmt, ap);
    va_end(ap);
    va_start(ap, fmt);
    emit(fmt, ap);
    va_end(ap);
}

void complaint_forget(void)
{
    first[0] = 0;
}

void complaint_add(const char *text)
{
    size_t len = strlen(first);
    snprintf(first + len, sizeof first - len, "%s%.*s", len ? ": " : "", (int)strcspn(text, "\n"),
             text);
}

const char *complaint_first(void)
{
    return first[0] ? first : NULL;
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

bool program_on_path(const char *program)
{
    const char *path = getenv("PATH");
    char file[PATH_MAX];
    while (path && *path) {
        int len = (int)strcspn(path, ":");
        snprintf(file, sizeof file, "%.*s/%s", len, path, program);
        if (access(file, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    return false;
}

const char *mpich_mpirun(void)
{
    return program_on_path("mpirun.mpich") ? "mpirun.mpich" : "mpirun";
}
