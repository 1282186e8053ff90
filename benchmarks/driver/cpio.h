/* SPDX-License-Identifier: MIT */
/* An initial file system for Linux: a cpio archive, format newc. */
#ifndef DRIVER_CPIO_H
#define DRIVER_CPIO_H

#include <stddef.h>

struct cpio_file {
    const char *name; /* in the archive, below its root */
    const char *path; /* the file to put there; it becomes an executable */
};

/* 0, or -1 after a line on stderr; nothing is left of an archive that could not be written. */
int cpio_write(const char *path, const struct cpio_file *files, size_t n);

#endif
