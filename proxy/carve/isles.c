/* SPDX-License-Identifier: MIT */
#include "carve/isles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "carve/host.h"

static int by_pid(const void *a, const void *b)
{
    const struct journal_isle *x = a, *y = b;
    if (x->pid != y->pid)
        return x->pid > y->pid ? 1 : -1;
    return (x->start > y->start) - (x->start < y->start);
}

/* Records of users who have a directory of their own, as far as this one may read them. */
static void scan_users(const char *root, struct isles *s)
{
    char path[600];
    int at = host_open(root);
    int fd = at < 0 ? -1 : openat(at, "run/user", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "/run/user/%s/lull", e->d_name);
        if (e->d_name[0] != '.')
            journal_scan(root, path, &s->isle, &s->n);
    }
    if (d)
        closedir(d);
    if (at >= 0)
        close(at);
}

int isles_scan(const char *root, struct isles *out)
{
    char mine[600];
    const char *dir = getenv("XDG_RUNTIME_DIR");
    *out = (struct isles){0};
    int err = journal_scan(root, "/run/lull", &out->isle, &out->n);
    scan_users(root, out);
    if (dir && dir[0] == '/' && snprintf(mine, sizeof mine, "%s/lull", dir) < (int)sizeof mine)
        journal_scan(root, mine, &out->isle, &out->n);
    if (out->n > 0)
        qsort(out->isle, out->n, sizeof *out->isle, by_pid);
    size_t kept = 0;
    for (size_t k = 0; k < out->n; k++) { /* one directory may have two names */
        if (kept == 0 || by_pid(&out->isle[k], &out->isle[kept - 1]) != 0)
            out->isle[kept++] = out->isle[k];
    }
    out->n = kept;
    return err == -ENOENT ? 0 : err;
}

void isles_free(struct isles *s)
{
    free(s->isle);
    *s = (struct isles){0};
}
