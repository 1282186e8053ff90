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
struct lull_map;

struct mapped_file {
    uint64_t dev, ino; /* as stat(2) */
    char *path;        /* as /proc/self/fd showed it */
    void *anchor;      /* first page, mapped shared: keeps the file within reach; NULL: none */
};

/* program and interp: absolute paths; interp may be NULL. NULL: out of memory. */
struct mapped *mapped_create(const char *program, const char *interp);
void mapped_free(struct mapped *m);

/* Number of this file, given one if it has none yet; LULL_FILE_NONE when there are too many.
   Thread-safe. */
uint32_t mapped_number(struct mapped *m, uint64_t dev, uint64_t ino, const char *path);

/* File `number` stays within reach when its descriptor is closed: for mapped_read(). */
void mapped_anchor(struct mapped *m, uint32_t number, int fd);
/* Copies whole pages of such a file, as they are now. Bytes that it has of them, at most len (the
   last page is filled up with zeroes), or -ENOSYS. Any number. */
int64_t mapped_read(struct mapped *m, uint32_t number, uint64_t offset, void *to, uint64_t len,
                    const int *halted);
/* Only what `maps` names is kept within reach. */
void mapped_forget(struct mapped *m, const struct lull_map *maps, uint32_t count);
/* How many have been anchored since the last mapped_forget(). */
unsigned mapped_new_anchors(struct mapped *m);

/* Around a fork(2), so that the child finds it whole; the child unlocks too. */
void mapped_lock(struct mapped *m, bool lock);

/* Any number, hostile ones too. 0 and a copy whose path the caller frees, or -1. Thread-safe. */
int mapped_get(struct mapped *m, uint32_t number, struct mapped_file *out);

#endif
