/* SPDX-License-Identifier: MIT */
#include "carve/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ownfd.h"

void (*host_hook)(const char *what, const char *path);

void host_step(const char *what, const char *path)
{
    if (host_hook)
        host_hook(what, path);
}

int host_open(const char *root)
{
    int fd = open(*root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : ownfd_hide(fd);
}

static const char *below(const char *path)
{
    while (*path == '/')
        path++;
    return *path ? path : ".";
}

int host_read(int root, const char *path, char *out, size_t size)
{
    size_t n = 0;
    int err = 0, fd = openat(root, below(path), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    while (n < size) {
        ssize_t got = read(fd, out + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            err = -errno;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(fd);
    if (err == 0 && n == size)
        err = -E2BIG;
    if (err)
        return err;
    while (n > 0 && strchr(" \t\n", out[n - 1]))
        n--;
    out[n] = '\0';
    return 0;
}

int host_write(int root, const char *path, const char *value)
{
    host_step("write", path);
    int fd = openat(root, below(path), O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    size_t n = strlen(value);
    ssize_t done;
    while ((done = write(fd, value, n)) < 0 && errno == EINTR)
        ;
    int err = done < 0 ? -errno : (size_t)done < n ? -EIO : 0;
    close(fd);
    host_step("written", path);
    return err;
}

int host_mkdir(int root, const char *path)
{
    host_step("mkdir", path);
    int err = mkdirat(root, below(path), 0755) ? -errno : 0;
    host_step("made", path);
    return err;
}

int host_rmdir(int root, const char *path)
{
    host_step("rmdir", path);
    int err = unlinkat(root, below(path), AT_REMOVEDIR) ? -errno : 0;
    host_step("removed", path);
    return err;
}

bool host_writable(int root, const char *path)
{
    return faccessat(root, below(path), W_OK, AT_EACCESS) == 0;
}

bool host_exists(int root, const char *path)
{
    return faccessat(root, below(path), F_OK, AT_EACCESS) == 0;
}

bool process_stat_parse(const char *text, struct process_stat *out)
{
    const char *name = strchr(text, '('), *p = strrchr(text, ')');
    if (!name || !p)
        return false;
    out->name = name + 1;
    return sscanf(p + 1,
                  " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &out->state, &out->parent, &out->flags, &out->start) == 4;
}

/* ---- masks ---- */

int mask_read_list(const char *text, cpu_set_t *out)
{
    CPU_ZERO(out);
    while (*text) {
        char *end;
        if (*text < '0' || *text > '9')
            return -EINVAL;
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (*end == '-') {
            if (end[1] < '0' || end[1] > '9')
                return -EINVAL;
            last = strtoul(end + 1, &end, 10);
        }
        if (last < first || last >= CPU_SETSIZE || (*end != ',' && *end != '\0'))
            return -EINVAL;
        for (; first <= last; first++)
            CPU_SET(first, out);
        text = *end ? end + 1 : end;
    }
    return 0;
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int mask_read_hex(const char *text, cpu_set_t *out)
{
    unsigned bit = 0;
    CPU_ZERO(out);
    size_t n = strlen(text);
    if (n == 0)
        return -EINVAL;
    while (n-- > 0) {
        if (text[n] == ',')
            continue;
        int v = digit(text[n]);
        if (v < 0 || (v > 0 && bit + 4 > CPU_SETSIZE))
            return -EINVAL;
        for (int i = 0; i < 4 && v > 0; i++) {
            if (v >> i & 1)
                CPU_SET(bit + (unsigned)i, out);
        }
        bit += 4;
    }
    return 0;
}

int mask_print_list(const cpu_set_t *set, char *out, size_t size)
{
    size_t at = 0;
    out[0] = '\0';
    for (int c = 0; c < CPU_SETSIZE; c++) {
        int last = c;
        if (!CPU_ISSET(c, set))
            continue;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, set))
            last++;
        const char *comma = at ? "," : "";
        int n = last > c ? snprintf(out + at, size - at, "%s%d-%d", comma, c, last)
                         : snprintf(out + at, size - at, "%s%d", comma, c);
        if (n < 0 || at + (size_t)n >= size)
            return -E2BIG;
        at += (size_t)n;
        c = last;
    }
    return 0;
}

int mask_print_hex(const cpu_set_t *set, char *out, size_t size)
{
    size_t at = 0;
    int words = CPU_SETSIZE / 32;
    bool begun = false;
    for (int w = words - 1; w >= 0; w--) {
        unsigned v = 0;
        for (int i = 0; i < 32; i++)
            v |= (unsigned)(CPU_ISSET(w * 32 + i, set) != 0) << i;
        if (!v && !begun && w > 0)
            continue;
        int n = snprintf(out + at, size - at, begun ? ",%08x" : "%x", v);
        if (n < 0 || at + (size_t)n >= size)
            return -E2BIG;
        at += (size_t)n;
        begun = true;
    }
    return 0;
}

bool mask_less(cpu_set_t *out, const cpu_set_t *a, const cpu_set_t *b)
{
    cpu_set_t both;
    CPU_AND(&both, a, b);
    CPU_XOR(out, a, &both);
    return CPU_COUNT(out) > 0;
}

bool mask_meets(const cpu_set_t *a, const cpu_set_t *b)
{
    cpu_set_t both;
    CPU_AND(&both, a, b);
    return CPU_COUNT(&both) > 0;
}
