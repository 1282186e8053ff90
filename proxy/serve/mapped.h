/* SPDX-License-Identifier: MIT */
/*
 * The files that a program has mapped, by the numbers that its mappings carry (LULL_FILE_*): what
 * /proc/self/maps shows of them. A file keeps its number for the whole run.
 */
#ifndef PROXY_SERVE_MAPPED_H
#define PROXY_SERVE_MAPPED_H

#include <stdbool.h>
#include <stdint.h>

struct mapped;

struct mapped_file {
    uint64_t dev, ino; /* as stat(2) */
    char *path;        /* as /proc/self/fd showed it */
};

/* program and interp: absolute paths; interp may be NULL. NULL: out of memory. */
struct mapped *mapped_create(const char *program, const char *interp);
void mapped_free(struct mapped *m);

/* Number of this file, given one if it has none yet; LULL_FILE_NONE when there are too many.
   Thread-safe. */
uint32_t mapped_number(struct mapped *m, uint64_t dev, uint64_t ino, const char *path);

/* Around a fork(2), so that the child finds it whole; the child unlocks too. */
void mapped_lock(struct mapped *m, bool lock);

/* Any number, hostile ones too. 0 and a copy whose path the caller frees, or -1. Thread-safe. */
int mapped_get(struct mapped *m, uint32_t number, struct mapped_file *out);

#endif
