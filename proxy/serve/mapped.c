/* SPDX-License-Identifier: MIT */
#include "serve/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <lull/maps.h>

#include "serve/agent.h"

#define COPY_MAX (16ul << 20) /* bytes at once, and then the isle may end */

struct mapped {
    pthread_mutex_t lock;
    struct mapped_file *file; /* [0]: LULL_FILE_PROGRAM */
    uint32_t count, room;
    unsigned new_anchors;
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
    m->file[m->count++] = (struct mapped_file){dev, ino, own, NULL};
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

static void drop_anchor(struct mapped_file *f)
{
    if (f->anchor)
        munmap(f->anchor, LULL_PAGE);
    f->anchor = NULL;
}

void mapped_free(struct mapped *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->count; i++) {
        drop_anchor(&m->file[i]);
        free(m->file[i].path);
    }
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

struct opening {
    int fd;
    void *view;
};

static void view_readonly(struct opening *o)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/thread-self/fd/%d", o->fd);
    int own = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (own < 0)
        return;
    o->view = mmap(NULL, LULL_PAGE, PROT_READ, MAP_SHARED, own, 0);
    close(own);
}

/* In a thread with a table of descriptors of its own. */
static void *open_apart(void *arg)
{
    struct opening *o = arg;
    if (syscall(SYS_close_range, o->fd + 1, ~0u, CLOSE_RANGE_UNSHARE) == 0 ||
        unshare(CLONE_FILES) == 0)
        view_readonly(o);
    return NULL;
}

/*
 * By a descriptor that cannot write: else the file could not be sealed against writing. Where the
 * program's can, another one is opened, in another table of descriptors, because a descriptor of
 * the file that is closed in the program's own ends the program's record locks on it (fcntl(2)).
 */
static void *anchor_make(int fd)
{
    struct opening o = {fd, MAP_FAILED};
    pthread_t thread;
    sigset_t all, before;
    if ((fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
        o.view = mmap(NULL, LULL_PAGE, PROT_READ, MAP_SHARED, fd, 0);
    } else if (agent_acting()) {
        view_readonly(&o);
    } else {
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        if (pthread_create(&thread, NULL, open_apart, &o) == 0)
            pthread_join(thread, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    return o.view == MAP_FAILED ? NULL : o.view;
}

void mapped_anchor(struct mapped *m, uint32_t number, int fd)
{
    pthread_mutex_lock(&m->lock);
    struct mapped_file *f = number >= 1 && number <= m->count ? &m->file[number - 1] : NULL;
    if (f && !f->anchor) {
        f->anchor = anchor_make(fd);
        m->new_anchors++;
    }
    pthread_mutex_unlock(&m->lock);
}

/* A second, longer view of the same file; what it does not cover is where the copy ends. */
static int64_t copy_from(void *anchor, uint64_t offset, void *to, uint64_t len)
{
    char *view = mremap(anchor, 0, offset + len, MREMAP_MAYMOVE);
    if (view == MAP_FAILED)
        return -ENOSYS;
    struct iovec local = {to, len}, remote = {view + offset, len};
    ssize_t n = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
    munmap(view, offset + len);
    return n < 0 && errno == EFAULT ? 0 : n < 0 ? -ENOSYS : n;
}

int64_t mapped_read(struct mapped *m, uint32_t number, uint64_t offset, void *to, uint64_t len,
                    const int *halted)
{
    int64_t done = -ENOSYS;
    pthread_mutex_lock(&m->lock);
    void *anchor = number >= 1 && number <= m->count ? m->file[number - 1].anchor : NULL;
    if (anchor && offset + len > offset && offset + len < 1ul << 46)
        done = 0;
    while (done >= 0 && (uint64_t)done < len &&
           !(halted && __atomic_load_n(halted, __ATOMIC_RELAXED))) {
        uint64_t at = (uint64_t)done, n = len - at < COPY_MAX ? len - at : COPY_MAX;
        int64_t got = copy_from(anchor, offset + at, (char *)to + at, n);
        done = got < 0 ? got : done + got;
        if (got < (int64_t)n)
            break;
    }
    pthread_mutex_unlock(&m->lock);
    return done;
}

unsigned mapped_new_anchors(struct mapped *m)
{
    pthread_mutex_lock(&m->lock);
    unsigned n = m->new_anchors;
    pthread_mutex_unlock(&m->lock);
    return n;
}

void mapped_forget(struct mapped *m, const struct lull_map *maps, uint32_t count)
{
    pthread_mutex_lock(&m->lock);
    bool *used = calloc(m->count + 1, sizeof *used);
    for (uint32_t i = 0; used && i < count; i++) {
        if (maps[i].file <= m->count)
            used[maps[i].file] = true;
    }
    for (uint32_t i = 0; used && i < m->count; i++) {
        if (!used[i + 1])
            drop_anchor(&m->file[i]);
    }
    m->new_anchors = 0;
    free(used);
    pthread_mutex_unlock(&m->lock);
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
