/* SPDX-License-Identifier: MIT */
#include "carve/journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "carve/journal_priv.h"
#include "ownfd.h"

#define THREADS_MAX 4096 /* of a user's process that are looked at */

/* Where, and with which rights: those of root are everybody's to read. */
static int directory_choose(const char *root, char *out, size_t size, mode_t *mode)
{
    const char *mine = getenv("XDG_RUNTIME_DIR");
    if (geteuid() == 0 || *root) {
        snprintf(out, size, "/run/lull");
        *mode = 0755;
        return 0;
    }
    *mode = 0700;
    if (!mine || mine[0] != '/' || (size_t)snprintf(out, size, "%s/lull", mine) >= size)
        return -ENOENT;
    return 0;
}

/* Nobody else may have a say in it. */
static int directory_trust(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    return S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022) ? 0 : -EPERM;
}

static int open_or_make(const char *root, bool make, struct journal **out)
{
    mode_t mode;
    struct journal *j = calloc(1, sizeof *j);
    *out = NULL;
    if (!j)
        return -ENOMEM;
    j->proc = j->dir = j->lock = j->held = -1;
    int err = j->root = host_open(root);
    if (err >= 0)
        err = j->proc = host_open("/proc");
    if (err >= 0)
        err = directory_choose(root, j->path, sizeof j->path, &mode);
    if (err < 0)
        goto fail;
    if (make && mkdirat(j->root, j->path + 1, mode) && errno != EEXIST) {
        err = -errno;
        goto fail;
    }
    int fd = openat(j->root, j->path + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        err = -errno;
        goto fail;
    }
    j->dir = ownfd_hide(fd);
    err = directory_trust(j->dir);
    if (err)
        goto fail;
    journal_read_world(j->proc, j->boot, &j->space);
    *out = j;
    return 0;
fail:
    journal_close(j);
    return err;
}

int journal_open(const char *root, struct journal **out)
{
    return open_or_make(root, true, out);
}

int journal_find(const char *root, struct journal **out)
{
    return open_or_make(root, false, out);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    int fds[] = {j->root, j->proc, j->dir, j->lock, j->held};
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    isle_free(&j->self);
    free(j);
}

const char *journal_directory(const struct journal *j)
{
    return j->path;
}

/* What giving back has to write fits in here, when nothing is free on that file system. */
static void reserve(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && st.st_size < RESERVE && posix_fallocate(fd, 0, RESERVE) != 0 &&
        ftruncate(fd, 0) != 0)
        return;
}

int journal_lock(struct journal *j)
{
    int fd = openat(j->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    j->lock = ownfd_hide(fd);
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(j->lock, LOCK_EX | LOCK_NB) == 0) {
            reserve(j->lock);
            return 0;
        }
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    close(j->lock);
    j->lock = -1;
    return -EBUSY;
}

void journal_unlock(struct journal *j)
{
    flock(j->lock, LOCK_UN); /* a vfork child may have the descriptor, too */
    close(j->lock);
    j->lock = -1;
}

static void isle_name(const struct journal_isle *i, char *out, size_t size)
{
    snprintf(out, size, "isle.%d.%llu", (int)i->pid, (unsigned long long)i->start);
}

static void self_name(struct journal *j)
{
    isle_name(&j->self.id, j->self.name, sizeof j->self.name);
}

/* This process's number where j->proc was mounted, which may be another namespace of processes. */
static pid_t self_pid(const struct journal *j)
{
    char text[16];
    ssize_t n = readlinkat(j->proc, "self", text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    int pid = atoi(text);
    return pid > 0 ? pid : getpid();
}

void journal_enter(struct journal *j, const struct journal_isle *self)
{
    const struct journal_claim claim = j->self.id.claim;
    isle_free(&j->self);
    j->self = (struct isle){.id = *self, .space = j->space, .alive = true};
    j->self.id.pid = self_pid(j);
    j->self.id.uid = getuid();
    j->self.id.began_s = (uint64_t)time(NULL);
    journal_start_time(j->proc, j->self.id.pid, &j->self.id.start);
    for (char *p = j->self.id.program; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
    if (!self->claim.launch && j->entered)
        j->self.id.claim = claim;
    isle_complete(&j->self);
    self_name(j);
    j->entered = true;
}

int journal_claim(struct journal *j, const struct journal_isle *self)
{
    journal_enter(j, self);
    if (faccessat(j->dir, j->self.name, F_OK, 0) == 0)
        return 0;
    return journal_write_self(j);
}

int journal_adopt(struct journal *j, int fd)
{
    struct journal_isle self = {.pid = self_pid(j)};
    char name[64];
    struct stat a, b;
    journal_start_time(j->proc, self.pid, &self.start);
    isle_name(&self, name, sizeof name);
    if (fstat(fd, &a) || fstatat(j->dir, name, &b, AT_SYMLINK_NOFOLLOW) || a.st_ino != b.st_ino ||
        a.st_dev != b.st_dev)
        return -ENOENT;
    j->held = fd;
    return 0;
}

int journal_held(const struct journal *j)
{
    return j->held;
}

void journal_let_go(struct journal *j)
{
    if (j->held >= 0)
        close(j->held);
    j->held = -1;
}

void journal_descriptors(const struct journal *j, int out[JOURNAL_DESCRIPTORS])
{
    out[0] = j->root;
    out[1] = j->proc;
    out[2] = j->dir;
}

void journal_become_keeper(struct journal *j)
{
    j->held = -1;
    j->entered = false;
}

bool journal_wants(const struct journal *j)
{
    return j->self.n > 0;
}

bool journal_entered(const struct journal *j)
{
    return j->entered;
}

int journal_fork(struct journal *j)
{
    if (!j->entered)
        return 0;
    for (size_t k = 0; k < j->self.n; k++) {
        if (j->self.want[k].kind == JOURNAL_ADD) /* the parent's pages are its own */
            snprintf(j->self.want[k].value, 2, "0");
    }
    j->self.id.pid = self_pid(j);
    j->self.id.began_s = (uint64_t)time(NULL);
    int err = journal_start_time(j->proc, j->self.id.pid, &j->self.id.start);
    if (err)
        return err;
    char parent[sizeof j->self.name];
    memcpy(parent, j->self.name, sizeof parent);
    j->parent[0] = '\0';
    const int shared = j->held; /* until there is an own record the parent's stands for both */
    j->held = -1;
    self_name(j);
    err = journal_lock(j);
    if (err == 0) {
        /* what the parent wants is as it should be, as long as it is on record */
        bool settled = faccessat(j->dir, parent, F_OK, 0) == 0;
        err = settled ? journal_write_self(j) : journal_load(j);
        if (err == 0 && settled)
            memcpy(j->parent, parent, sizeof parent);
        if (err == 0 && !settled)
            err = balance(j, &(struct balance){.leaving = false});
        journal_unload(j);
        journal_unlock(j);
    }
    if (j->held < 0)
        j->held = shared;
    else if (shared >= 0)
        close(shared);
    return err;
}

/* Does the other isle want all that this one wants? */
static bool wants_covered(const struct isle *mine, const struct isle *other)
{
    cpu_set_t own, both;
    isle_kept(mine, &own);
    isle_kept(other, &both);
    CPU_AND(&both, &both, &own);
    if (!CPU_EQUAL(&both, &own))
        return false;
    for (size_t k = 0, n; k < mine->n; k++) {
        const struct want *w = &mine->want[k];
        bool nothing = w->kind == JOURNAL_ADD && strcmp(w->value, "0") == 0;
        for (n = 0; !nothing && n < other->n; n++) {
            const struct want *v = &other->want[n];
            if (v->kind == w->kind && strcmp(v->path, w->path) == 0 && w->kind != JOURNAL_ADD &&
                (!w->value || strcmp(v->value, w->value) == 0))
                break;
        }
        if (!nothing && n == other->n)
            return false;
    }
    return true;
}

bool journal_leave_parent(struct journal *j)
{
    struct isle parent;
    if (!j->entered || !j->parent[0] || journal_lock(j))
        return false;
    bool covered = j->self.n == 0;
    if (!covered && journal_load_isle(j->dir, j->parent, &parent, geteuid(), j->boot) == 0) {
        covered = parent.alive && parent.space == j->space && wants_covered(&j->self, &parent);
        isle_free(&parent);
    }
    if (covered) {
        journal_remove(j, j->self.name);
        journal_let_go(j);
        j->entered = false;
    }
    journal_unlock(j);
    return covered;
}

/* Its JOURNAL_DIR right below a directory; NULL: none. */
static const char *dir_below(const struct isle *i, const char *base)
{
    size_t len = strlen(base);
    for (size_t n = 0; n < i->n; n++) {
        const char *path = i->want[n].path;
        if (i->want[n].kind == JOURNAL_DIR && strncmp(path, base, len) == 0 && path[len] == '/' &&
            !strchr(path + len + 1, '/'))
            return path;
    }
    return NULL;
}

int journal_find_dir(struct journal *j, const char *base, cpu_set_t *cpus, char *out, size_t size)
{
    const char *found = NULL;
    const cpu_set_t wanted = *cpus;
    int err = journal_lock(j);
    if (err)
        return err;
    err = journal_load(j);
    for (size_t k = 0; err == 0 && k < j->nisles; k++) {
        const struct isle *i = &j->isle[k];
        const char *path = i->alive ? dir_below(i, base) : NULL;
        bool own = isle_is_self(j, i);
        cpu_set_t both;
        isle_kept(i, &both);
        CPU_AND(&both, &both, &wanted);
        if (path && (own || (!found && CPU_EQUAL(&both, &wanted))))
            found = path;
        if (path && own)
            break;
    }
    for (size_t k = 0; found && k < j->nisles; k++) {
        const struct isle *i = &j->isle[k];
        const char *path = i->alive ? dir_below(i, base) : NULL;
        cpu_set_t kept;
        isle_kept(i, &kept);
        if (path && strcmp(path, found) == 0 && !isle_is_self(j, i))
            CPU_OR(cpus, cpus, &kept);
    }
    if (found)
        snprintf(out, size, "%s", found);
    journal_unload(j);
    journal_unlock(j);
    return err ? err : found ? 0 : -ENOENT;
}

int journal_want(struct journal *j, enum journal_kind kind, const char *path, const char *value)
{
    if (path[0] != '/' || strpbrk(path, " \t\n") || (value && strpbrk(value, "\t\n")) ||
        !value == want_has_value(kind))
        return -EINVAL;
    return want_add(&j->self, kind, path, value);
}

uint64_t journal_got(const struct journal *j, const char *path)
{
    for (size_t k = 0; k < j->self.n; k++) {
        if (strcmp(j->self.want[k].path, path) == 0)
            return j->self.want[k].got;
    }
    return 0;
}

int journal_apply(struct journal *j, struct settings *s)
{
    int err = journal_lock(j);
    if (err)
        return err;
    err = journal_load(j);
    if (err == 0)
        err = balance(j, &(struct balance){.settings = s});
    journal_unload(j);
    journal_unlock(j);
    return err;
}

int journal_release(struct journal *j, journal_tell *tell, void *ctx)
{
    if (!j->entered)
        return 0;
    int err = journal_lock(j);
    if (err)
        return err;
    err = journal_load(j);
    if (err == 0)
        err = balance(j, &(struct balance){.leaving = true, .tell = tell, .ctx = ctx});
    journal_unload(j);
    journal_unlock(j);
    journal_let_go(j);
    j->entered = false;
    return err;
}

static int collect(struct journal *j, struct balance b, unsigned *restored, unsigned *dead)
{
    int err = journal_lock(j);
    *restored = *dead = 0;
    if (err)
        return err;
    err = journal_load(j);
    if (err == 0)
        err = balance(j, &b);
    *restored = b.restored;
    *dead = b.dead;
    j->unfinished = b.unfinished;
    journal_unload(j);
    journal_unlock(j);
    return err;
}

int journal_collect(struct journal *j, unsigned *restored, unsigned *dead, journal_tell *tell,
                    void *ctx)
{
    return collect(j, (struct balance){.tell = tell, .ctx = ctx}, restored, dead);
}

int journal_collect_all(struct journal *j, unsigned *restored, unsigned *dead, journal_tell *tell,
                        void *ctx)
{
    return collect(j, (struct balance){.tell = tell, .ctx = ctx, .strays = true}, restored, dead);
}

bool journal_unfinished(const struct journal *j)
{
    return j->unfinished;
}

static int copy_living(struct journal *j, struct journal_isle **out, size_t *n)
{
    for (size_t k = 0; k < j->nisles; k++) {
        j->isle[k].id.elsewhere = j->isle[k].space != j->space;
        if (!j->isle[k].alive)
            continue;
        struct journal_isle *more = realloc(*out, (*n + 1) * sizeof *more);
        if (!more)
            return -ENOMEM;
        *out = more;
        more[(*n)++] = j->isle[k].id;
    }
    return 0;
}

int journal_isles(struct journal *j, struct journal_isle **out, size_t *n)
{
    int err = journal_load_isles(j->dir, &j->isle, &j->nisles, geteuid(), j->boot);
    if (err == 0)
        err = copy_living(j, out, n);
    journal_unload(j);
    return err;
}

/* CPUs that any thread of the process may use. False: it has threads, but they cannot be seen. */
static bool threads_cpus(const struct journal *j, pid_t pid, cpu_set_t *out)
{
    char path[40];
    cpu_set_t one;
    unsigned n = 0;
    snprintf(path, sizeof path, "%d/task", (int)pid);
    int fd = openat(j->proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        close(fd);
    CPU_ZERO(out);
    for (struct dirent *e; d && n < THREADS_MAX && (e = readdir(d)); n++)
        if (e->d_name[0] != '.' && sched_getaffinity(atoi(e->d_name), sizeof one, &one) == 0)
            CPU_OR(out, out, &one);
    if (d)
        closedir(d);
    return d != NULL;
}

/*
 * Is it the user's own process that a user's record names? Only on CPUs that its threads may use
 * can it claim any. Where /proc does not show others' processes (hidepid), the lock has to do.
 */
static bool may_claim(const struct journal *j, struct isle *i, uid_t user)
{
    struct stat of;
    char path[24];
    cpu_set_t own;
    struct journal_isle *id = &i->id;
    cpu_set_t *claimed[] = {&id->cpus, &id->idle, &id->claim.within, &id->claim.held};
    if (i->space != j->space)
        return false;
    snprintf(path, sizeof path, "%d", (int)id->pid);
    if (fstatat(j->proc, path, &of, 0) != 0)
        return sched_getaffinity(id->pid, sizeof own, &own) == 0;
    if (of.st_uid != user || !threads_cpus(j, id->pid, &own))
        return of.st_uid == user;
    for (size_t k = 0; k < sizeof claimed / sizeof *claimed; k++)
        CPU_AND(claimed[k], claimed[k], &own);
    return true;
}

/* Who names a process that is not his claims what he has not. */
static int drop_strangers(struct journal *j)
{
    struct stat st;
    size_t kept = 0;
    if (fstat(j->dir, &st))
        return -errno;
    for (size_t k = 0; k < j->nisles; k++) {
        struct isle *i = &j->isle[k];
        bool own = i->id.uid == st.st_uid && (st.st_uid == 0 || may_claim(j, i, st.st_uid));
        if (own)
            j->isle[kept++] = *i;
        else
            isle_free(i);
    }
    j->nisles = kept;
    return 0;
}

int journal_scan(const char *root, const char *directory, struct journal_isle **out, size_t *n)
{
    struct journal j = {.proc = -1, .dir = -1, .held = -1};
    int err = j.root = host_open(root);
    if (err < 0)
        return err;
    err = j.proc = host_open("/proc");
    if (err >= 0) {
        j.dir = openat(j.root, directory + 1, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        err = j.dir < 0 ? -errno : 0;
    }
    if (err == 0) {
        journal_read_world(j.proc, j.boot, &j.space);
        err = journal_load_isles(j.dir, &j.isle, &j.nisles, (uid_t)-1, j.boot);
    }
    if (err == 0)
        err = drop_strangers(&j);
    if (err == 0)
        err = copy_living(&j, out, n);
    journal_unload(&j);
    close(j.root);
    if (j.proc >= 0)
        close(j.proc);
    if (j.dir >= 0)
        close(j.dir);
    return err;
}
