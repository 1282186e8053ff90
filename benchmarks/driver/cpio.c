/* SPDX-License-Identifier: MIT */
#include "driver/cpio.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "driver/driver.h"

static void pad(FILE *f, size_t len)
{
    static const char zeros[4];
    fwrite(zeros, 1, -len & 3, f);
}

/* Thirteen numbers of eight hexadecimal digits behind the magic, then the name. */
static void write_header(FILE *f, unsigned inode, unsigned mode, unsigned links, size_t len,
                         const char *name)
{
    size_t namesize = strlen(name) + 1;
    fprintf(f, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x", inode, mode, 0u, 0u,
            links, 0u, len, 0u, 0u, 0u, 0u, namesize, 0u);
    fwrite(name, 1, namesize, f);
    pad(f, 110 + namesize);
}

static int add_file(FILE *f, unsigned inode, const struct cpio_file *file)
{
    struct stat st;
    char *data = NULL;
    int rc = -1;
    FILE *from = fopen(file->path, "r");
    if (!from || fstat(fileno(from), &st) || !(data = malloc((size_t)st.st_size + 1)) ||
        fread(data, 1, (size_t)st.st_size, from) != (size_t)st.st_size) {
        complain("cannot read %s: %s", file->path, strerror(errno));
        goto out;
    }
    write_header(f, inode, S_IFREG | 0755, 1, (size_t)st.st_size, file->name);
    fwrite(data, 1, (size_t)st.st_size, f);
    pad(f, (size_t)st.st_size);
    rc = 0;
out:
    free(data);
    if (from)
        fclose(from);
    return rc;
}

int cpio_write(const char *path, const struct cpio_file *files, size_t n)
{
    int rc = 0;
    FILE *f = fopen(path, "w");
    if (!f) {
        complain("cannot write %s: %s", path, strerror(errno));
        return -1;
    }
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = add_file(f, (unsigned)i + 1, &files[i]);
    write_header(f, 0, 0, 1, 0, "TRAILER!!!");
    int bad = ferror(f);
    if (fclose(f) || bad) {
        complain("cannot write %s: %s", path, strerror(errno));
        rc = -1;
    }
    if (rc)
        remove(path);
    return rc;
}
