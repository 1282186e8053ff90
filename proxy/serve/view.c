/* SPDX-License-Identifier: MIT */
#include "serve/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "rlimits.h"
#include "serve/call.h"
#include "serve/path_priv.h"

#define FILE_MAX (16u << 20) /* bytes of a file of /proc that are read */

/* Room for n more bytes and a NUL. */
static bool text_grow(struct text *t, size_t n)
{
    size_t room = t->room ? t->room : 4096;
    if (t->failed)
        return false;
    while (room - t->len <= n)
        room *= 2;
    if (room != t->room) {
        char *p = realloc(t->p, room);
        if (!p) {
            t->failed = true;
            return false;
        }
        t->p = p;
        t->room = room;
    }
    return true;
}

void text_add(struct text *t, const char *bytes, size_t n)
{
    if (!text_grow(t, n))
        return;
    memcpy(t->p + t->len, bytes, n);
    t->len += n;
    t->p[t->len] = '\0';
}

void text_printf(struct text *t, const char *format, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof line, format, ap);
    va_end(ap);
    if (n > 0)
        text_add(t, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void text_free(struct text *t)
{
    free(t->p);
    free(t->maps);
    *t = (struct text){0};
}

int64_t view_read(int fd, struct text *out)
{
    for (;;) {
        if (out->len > FILE_MAX || !text_grow(out, 65536))
            return -ENOMEM;
        long n = server_syscall(SYS_pread64, fd, (long)(out->p + out->len), 65536, (long)out->len);
        if (n == -EINTR)
            continue;
        if (n < 0)
            return n;
        view_io_own(false, (uint64_t)n);
        out->len += (size_t)n;
        out->p[out->len] = '\0';
        if (n == 0)
            return 0;
    }
}

static int64_t fill(int fd, const struct text *t)
{
    for (size_t done = 0; done < t->len;) {
        long n = server_syscall(SYS_write, fd, (long)(t->p + done), (long)(t->len - done), 0);
        if (n == -EINTR)
            continue;
        if (n <= 0)
            return n ? n : -EIO;
        view_io_own(true, (uint64_t)n);
        done += (size_t)n;
    }
    return 0;
}

int64_t view_replace(int fd, struct text *t, int mode, bool sealed, struct stat *st)
{
    char path[64], name[32];
    int64_t r = -ENOMEM;
    long opened = -1, own = -1;
    if (t->failed)
        goto out;
    snprintf(name, sizeof name, VIEW_COPY "%s", t->kind ? t->kind : "");
    long cloexec = server_syscall(SYS_fcntl, fd, F_GETFD, 0, 0);
    r = own = server_syscall(SYS_memfd_create, (long)name,
                             MFD_CLOEXEC | (sealed ? MFD_ALLOW_SEALING : 0), 0, 0);
    if (own < 0)
        goto out;
    limits_lift();
    r = fill((int)own, t);
    if (r == 0 && t->zeroes)
        r = server_syscall(SYS_ftruncate, own, (long)(t->len + t->zeroes), 0, 0);
    if (r == 0 && t->maps)
        r = view_pagemap_fill((int)own, t);
    limits_lower();
    if (r < 0)
        goto out;
    if (sealed) /* another way of writing than those that are looked at fails */
        server_syscall(SYS_fcntl, own, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK, 0);
    int proc = path_self(path, "fd/%d", (int)own);
    r = opened = server_syscall(SYS_openat, proc, (long)path, mode | O_CLOEXEC, 0);
    if (opened >= 0 && st)
        r = server_syscall(SYS_fstat, opened, (long)st, 0, 0);
    if (r >= 0)
        r = server_syscall(SYS_dup3, opened, fd, cloexec == FD_CLOEXEC ? O_CLOEXEC : 0, 0);
out:
    if (opened >= 0)
        server_syscall(SYS_close, opened, 0, 0, 0);
    if (own >= 0)
        server_syscall(SYS_close, own, 0, 0, 0);
    if (r < 0)
        server_syscall(SYS_close, fd, 0, 0, 0);
    text_free(t);
    return r;
}

int64_t view_publish(int fd, struct text *t)
{
    return view_replace(fd, t, O_RDONLY, false, NULL);
}

/* ---- directories ---- */

enum directory { DIR_ANY = 0, DIR_FDS, DIR_TASK, DIR_CPUS, DIR_NODES };

static enum directory directory_kind(const struct call *c, int fd)
{
    struct statfs fs;
    char path[256];
    if (server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0) < 0 ||
        (fs.f_type != PROC_SUPER_MAGIC && fs.f_type != SYSFS_MAGIC))
        return DIR_ANY;
    if (!path_of_fd(fd, path, sizeof path))
        return DIR_ANY;
    const char *last = strrchr(path, '/');
    if (!last)
        return DIR_ANY;
    if (fs.f_type == PROC_SUPER_MAGIC) {
        const char *rest = path_proc_rest(c, path);
        if (rest && !strcmp(rest, "task") && c->env->view)
            return DIR_TASK;
        return rest && (!strcmp(rest, "fd") || !strcmp(rest, "fdinfo")) ? DIR_FDS : DIR_ANY;
    }
    if (!c->env->view)
        return DIR_ANY;
    if (strstr(path, "/devices/system/cpu") && !strcmp(last, "/cpu"))
        return DIR_CPUS;
    return strstr(path, "/devices/system/node") && !strncmp(last, "/node", 5) ? DIR_NODES : DIR_ANY;
}

bool view_is_task(const struct call *c, int fd)
{
    return directory_kind(c, fd) == DIR_TASK;
}

/* The number behind `prefix`, if that is all of the name; -1. */
static long number_after(const char *name, const char *prefix)
{
    size_t n = strlen(prefix);
    char *end;
    if (strncmp(name, prefix, n) || name[n] < '0' || name[n] > '9')
        return -1;
    long v = strtol(name + n, &end, 10);
    return *end ? -1 : v;
}

static bool entry_hidden(const struct call *c, enum directory kind, const char *name)
{
    const struct view *v = c->env->view;
    long n;
    if (kind == DIR_FDS)
        return call_fd_is_own(c->env, number_after(name, ""));
    if ((n = number_after(name, "cpu")) >= 0)
        return !view_has_cpu(v, (unsigned)n);
    if (kind == DIR_NODES && (n = number_after(name, "node")) >= 0)
        return !view_has_node(v, (unsigned)n);
    return false;
}

size_t view_filter(const struct call *c, int fd, bool long_form, char *entries, size_t len)
{
    enum directory kind = directory_kind(c, fd);
    size_t kept = 0, name_at = long_form ? 19 : 18; /* struct linux_dirent64, linux_dirent */
    if (kind == DIR_ANY || kind == DIR_TASK)
        return len;
    for (size_t at = 0; at + name_at < len;) {
        uint16_t size;
        memcpy(&size, entries + at + 16, sizeof size);
        if (size <= name_at || size > len - at)
            return len; /* not what Linux writes */
        char name[256];
        snprintf(name, sizeof name, "%.*s", (int)(size - name_at), entries + at + name_at);
        if (!entry_hidden(c, kind, name)) {
            memmove(entries + kept, entries + at, size);
            kept += size;
        }
        at += size;
    }
    return kept;
}
