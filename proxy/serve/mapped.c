/* SPDX-License-Identifier: MIT */
#include "serve/mapped.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <lull/abi.h>

struct mapped {
    pthread_mutex_t lock;
    struct mapped_file *file; /* [0]: LULL_FILE_PROGRAM */
    uint32_t count, room;
};

/* Under the lock, or alone. Number, or 0. */
static uint32_t add(struct mapped *m, uint64_t dev, uint64_t ino, const char *path)
{
    if (m->count == LULL_FILE_MAX)
        return LULL_FILE_NONE;
    if (m->count == m->room) {
        uint32_t room = m->room ? 2 * m->room : 64;
        struct mapped_file *more = realloc(m->file, room * sizeof *more);
        if (!more)
            return LULL_FILE_NONE;
        m->file = more;
        m->room = room;
    }
    char *own = strdup(path);
    if (!own)
        return LULL_FILE_NONE;
    m->file[m->count++] = (struct mapped_file){dev, ino, own};
    return m->count;
}

static uint32_t add_path(struct mapped *m, const char *path)
{
    struct stat st = {0};
    if (*path)
        stat(path, &st);
    return add(m, st.st_dev, st.st_ino, path);
}

struct mapped *mapped_create(const char *program, const char *interp)
{
    struct mapped *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    if (add_path(m, program) != LULL_FILE_PROGRAM ||
        add_path(m, interp ? interp : "") != LULL_FILE_INTERP) {
        mapped_free(m);
        return NULL;
    }
    return m;
}

void mapped_free(struct mapped *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->count; i++)
        free(m->file[i].path);
    free(m->file);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

uint32_t mapped_number(struct mapped *m, uint64_t dev, uint64_t ino, const char *path)
{
    uint32_t n = 0;
    pthread_mutex_lock(&m->lock);
    for (uint32_t i = 0; n == 0 && i < m->count; i++) {
        const struct mapped_file *f = &m->file[i];
        if (f->dev == dev && f->ino == ino && strcmp(f->path, path) == 0)
            n = i + 1;
    }
    if (n == 0)
        n = add(m, dev, ino, path);
    pthread_mutex_unlock(&m->lock);
    return n;
}

void mapped_lock(struct mapped *m, bool lock)
{
    if (lock)
        pthread_mutex_lock(&m->lock);
    else
        pthread_mutex_unlock(&m->lock);
}

int mapped_get(struct mapped *m, uint32_t number, struct mapped_file *out)
{
    int r = -1;
    pthread_mutex_lock(&m->lock);
    if (number >= 1 && number <= m->count) {
        *out = m->file[number - 1];
        out->path = strdup(out->path);
        r = out->path ? 0 : -1;
    }
    pthread_mutex_unlock(&m->lock);
    return r;
}
