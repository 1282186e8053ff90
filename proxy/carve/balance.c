/* SPDX-License-Identifier: MIT */
/*
 * What is set follows from who is there: one procedure for an isle that comes, one that goes, and
 * those that died. Interrupted anywhere, it is done again by the next, with the same result.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "carve/journal_priv.h"

#define STRAY "lull."
#define STRAY_DEPTH 8   /* cgroups below the hierarchy's mount */
#define RMDIR_TRIES 200 /* of a millisecond: threads that were killed may not be gone yet */

/* ---- values ---- */

static bool masks(enum journal_kind kind)
{
    return kind == JOURNAL_LIST_OFF || kind == JOURNAL_HEX_OFF || kind == JOURNAL_HEX_NONE;
}

static int mask_read(enum journal_kind kind, const char *text, cpu_set_t *out)
{
    return kind == JOURNAL_LIST_OFF ? mask_read_list(text, out) : mask_read_hex(text, out);
}

static bool same(enum journal_kind kind, const char *a, const char *b)
{
    cpu_set_t x, y;
    if (strcmp(a, b) == 0)
        return true;
    return masks(kind) && mask_read(kind, a, &x) == 0 && mask_read(kind, b, &y) == 0 &&
           CPU_EQUAL(&x, &y);
}

static bool has_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = text; n && (p = strstr(p, word)); p += n) {
        if ((p == text || p[-1] == ' ') && (p[n] == '\0' || p[n] == ' '))
            return true;
    }
    return false;
}

/*
 * Pages that somebody still uses when they are returned become surplus: Linux frees them by itself,
 * and shows them until then. Written back they would be the pool's for good.
 */
static void less_surplus(const struct journal *j, const char *path, char *count, size_t size)
{
    char other[512], text[64];
    const char *last = strrchr(path, '/');
    if (!last || strcmp(last, "/nr_hugepages") != 0)
        return;
    snprintf(other, sizeof other, "%.*s/surplus_hugepages", (int)(last - path), path);
    if (host_read(j->root, other, text, sizeof text))
        return;
    uint64_t all = strtoull(count, NULL, 10), surplus = strtoull(text, NULL, 10);
    snprintf(count, size, "%" PRIu64, all > surplus ? all - surplus : 0);
}

/* Of a JOURNAL_WORD's file only whether the word is there matters. */
static int present(struct journal *j, enum journal_kind kind, const char *path, const char *word,
                   char *out, size_t size)
{
    int err = host_read(j->root, path, out, size);
    if (err == 0 && kind == JOURNAL_ADD)
        less_surplus(j, path, out, size);
    if (err == 0 && kind == JOURNAL_WORD)
        snprintf(out, size, "%s", has_word(out, word) ? word : "");
    return err == 0 && strpbrk(out, "\t\n") ? -EINVAL : err;
}

static const char *word_of(const struct entry *e)
{
    return e->value ? e->value : *e->set ? e->set : *e->last ? e->last : e->first;
}

static int change(struct journal *j, struct entry *e)
{
    char text[80];
    if (e->kind != JOURNAL_WORD)
        return host_write(j->root, e->path, e->set);
    snprintf(text, sizeof text, "%c%.70s", *e->set ? '+' : '-', *e->set ? e->set : e->last);
    return host_write(j->root, e->path, text);
}

static int replace(char **at, const char *text)
{
    char *copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(*at);
    *at = copy;
    return 0;
}

/* Did we write it? Of a count Linux may have given a part, before that was noted. */
static bool ours(const struct entry *e, const char *now)
{
    if (same(e->kind, now, e->set) || same(e->kind, now, e->last))
        return true;
    if (e->kind != JOURNAL_ADD)
        return false;
    uint64_t v = strtoull(now, NULL, 10), a = strtoull(e->set, NULL, 10),
             b = strtoull(e->last, NULL, 10);
    return (v >= a && v <= b) || (v >= b && v <= a);
}

/* ---- what everybody wants ---- */

static struct entry *entry_find(struct journal *j, const char *path)
{
    for (size_t k = 0; k < j->nentries; k++) {
        if (strcmp(j->entry[k].path, path) == 0)
            return &j->entry[k];
    }
    return NULL;
}

/* Would this want change anything? If so it becomes an entry. */
static struct entry *entry_begin(struct journal *j, const struct isle *i, struct want *w)
{
    char now[VALUE_MAX];
    cpu_set_t mask, kept;
    w->err = present(j, w->kind, w->path, w->value, now, sizeof now);
    if (w->err == 0 && masks(w->kind))
        w->err = mask_read(w->kind, now, &mask);
    if (w->err)
        return NULL;
    isle_kept(i, &kept);
    if (masks(w->kind) ? !mask_meets(&mask, &kept)
                       : w->kind != JOURNAL_ADD && strcmp(now, w->value) == 0)
        return NULL;
    struct entry *e = entry_add(j, w->kind, w->path, now, now, now);
    if (!e)
        w->err = -ENOMEM;
    return e;
}

static void ask_for(struct journal *j, struct isle *i, bool mine)
{
    cpu_set_t kept;
    isle_kept(i, &kept);
    for (size_t k = 0; k < i->n; k++) {
        struct want *w = &i->want[k];
        if (w->kind == JOURNAL_DIR || w->kind == JOURNAL_SHIELD)
            continue;
        struct entry *e = entry_find(j, w->path);
        if (!e && mine)
            e = entry_begin(j, i, w);
        if (e && e->kind != w->kind) {
            w->err = -EINVAL;
            continue;
        }
        if (!e)
            continue;
        e->wanted = true;
        e->mine |= mine;
        CPU_OR(&e->off, &e->off, &kept);
        e->value = w->value;
        e->sum += w->kind == JOURNAL_ADD ? strtoull(w->value, NULL, 10) : 0;
    }
}

static int target(const struct entry *e, char *out, size_t size)
{
    cpu_set_t first, rest;
    snprintf(out, size, "%s", e->first);
    if (!e->wanted)
        return 0;
    if (e->kind == JOURNAL_VALUE || e->kind == JOURNAL_WORD) {
        snprintf(out, size, "%s", e->value);
    } else if (e->kind == JOURNAL_ADD) {
        uint64_t first_count = strtoull(e->first, NULL, 10);
        snprintf(out, size, "%" PRIu64, first_count + e->sum);
    } else {
        int err = mask_read(e->kind, e->first, &first);
        if (err)
            return err;
        if (!mask_less(&rest, &first, &e->off) && e->kind != JOURNAL_HEX_NONE)
            return -EBUSY;
        if (CPU_EQUAL(&rest, &first)) /* in its own spelling */
            return 0;
        return e->kind == JOURNAL_LIST_OFF ? mask_print_list(&rest, out, size)
                                           : mask_print_hex(&rest, out, size);
    }
    return 0;
}

/* What is to be done about it; nothing is done yet. */
static int decide(struct journal *j, struct entry *e, struct balance *b)
{
    char now[VALUE_MAX], then[VALUE_MAX];
    int err = present(j, e->kind, e->path, word_of(e), now, sizeof now);
    e->err = 0;
    if (err == -ENOENT || err == -ENODEV) {
        e->gone = !e->wanted; /* the device is */
        e->err = err;
        return 0;
    }
    if (err == 0)
        err = e->err = target(e, then, sizeof then);
    if (err)
        return 0;
    if (!ours(e, now)) {
        e->err = -EEXIST;
        e->gone = !e->wanted;
        if (e->gone && b->tell)
            b->tell(b->ctx, e->path, "was changed by somebody else: left as it is");
        return 0;
    }
    e->todo = !same(e->kind, now, then);
    e->gone = !e->todo && !e->wanted;
    err = replace(&e->last, now);
    return err ? err : replace(&e->set, then);
}

/* ---- doing it ---- */

static void note_count(struct journal *j, struct entry *e)
{
    char now[VALUE_MAX];
    if (host_read(j->root, e->path, now, sizeof now) == 0) {
        less_surplus(j, e->path, now, sizeof now);
        replace(&e->set, now);
    }
}

static void carry_out(struct journal *j, struct entry *e, struct balance *b)
{
    e->err = change(j, e);
    if (e->err == 0) {
        if (e->kind == JOURNAL_ADD)
            note_count(j, e);
        e->gone = !e->wanted;
        b->restored += !e->wanted;
        if (e->gone && b->tell)
            b->tell(b->ctx, e->path, NULL);
        return;
    }
    replace(&e->set, e->last);
    e->gone = same(e->kind, e->set, e->first) || e->err == -ENOENT;
    if (!e->wanted && !e->gone && b->tell)
        b->tell(b->ctx, e->path, strerror(-e->err));
}

/* Of a count, this isle's part is what is there beyond the others'. */
static void settle_count(struct want *w, const struct entry *e)
{
    uint64_t mine = strtoull(w->value, NULL, 10), others = e->sum - mine;
    uint64_t there = strtoull(e->set, NULL, 10), first = strtoull(e->first, NULL, 10);
    uint64_t rest = there > first + others ? there - first - others : 0;
    char text[24];
    w->got = rest < mine ? rest : mine;
    snprintf(text, sizeof text, "%" PRIu64, w->got);
    replace(&w->value, text);
}

static const char *reason(const struct entry *e, const struct want *w)
{
    int err = w->err ? w->err : e ? e->err : 0;
    if (err == -EBUSY && (masks(w->kind) || w->kind == JOURNAL_SHIELD))
        return "no CPU would be left for it";
    if (err == -EEXIST)
        return "somebody else has changed it meanwhile";
    if (err == -EIO)
        return "Linux does not let it be moved";
    return err ? strerror(-err) : NULL;
}

static void tell_shield(struct journal *j, const struct want *w, struct settings *s)
{
    char path[VALUE_MAX], cpus[VALUE_MAX], text[VALUE_MAX + 80];
    snprintf(path, sizeof path, "%s/cpuset.cpus", w->path);
    if (host_read(j->root, path, cpus, sizeof cpus) == 0) {
        snprintf(text, sizeof text, "made for CPUs %s, %" PRIu64 " threads moved there", cpus,
                 w->got);
        settings_add(s, w->path, NULL, text, NULL);
    }
}

/* Rows for the report. True: something was refused, which is not to be tried again. */
static bool tell_mine(struct journal *j, struct settings *s)
{
    bool refused = false;
    size_t kept = 0;
    for (size_t k = 0; k < j->self.n; k++) {
        struct want *w = &j->self.want[k];
        struct entry *e = entry_find(j, w->path);
        if (e && e->kind == JOURNAL_ADD && e->kind == w->kind) {
            uint64_t before = strtoull(w->value, NULL, 10);
            settle_count(w, e);
            refused |= w->got < before;
        }
        const char *why = reason(e, w);
        if (s && why)
            settings_add(s, w->path, e ? e->last : NULL, NULL, why);
        else if (s && w->kind != JOURNAL_DIR && e && e->todo)
            settings_add(s, w->path, e->last, e->set, NULL);
        else if (s && w->kind == JOURNAL_DIR && w->got)
            settings_add(s, w->path, NULL, "made", NULL);
        else if (s && w->kind == JOURNAL_SHIELD && w->got)
            tell_shield(j, w, s);
        /* one that is only in the others' way may come true when they go */
        bool later =
            w->kind == JOURNAL_SHIELD ? w->err == -EBUSY : !w->err && e && e->err == -EBUSY;
        if (why && !later) {
            refused = true;
            free(w->path);
            free(w->value);
            continue;
        }
        j->self.want[kept++] = *w;
    }
    j->self.n = kept;
    return refused;
}

static void make_directories(struct journal *j)
{
    for (size_t k = 0; k < j->self.n; k++) {
        struct want *w = &j->self.want[k];
        if (w->kind != JOURNAL_DIR)
            continue;
        w->err = host_mkdir(j->root, w->path);
        w->got = w->err == 0;
        if (w->err == -EEXIST)
            w->err = 0; /* before an execve(2), or a fork(2)'s parent's */
    }
}

static bool shared(const struct journal *j, const struct isle *dead, const char *path,
                   bool with_self)
{
    for (size_t k = 0; k <= j->nisles; k++) {
        const struct isle *i = k < j->nisles ? &j->isle[k] : &j->self;
        if (i == dead || (k == j->nisles ? !with_self : !i->alive))
            continue;
        for (size_t n = 0; n < i->n; n++) {
            if (i->want[n].kind == JOURNAL_DIR && strcmp(i->want[n].path, path) == 0)
                return true;
        }
    }
    return false;
}

/* One of the dead before `dead` has tried to remove the directory, and waited for that. */
static bool tried(const struct journal *j, const struct isle *dead, const char *path)
{
    for (const struct isle *i = j->isle; i < dead; i++) {
        for (size_t n = 0; i->stuck && n < i->n; n++) {
            if (i->want[n].kind == JOURNAL_DIR && strcmp(i->want[n].path, path) == 0)
                return true;
        }
    }
    return false;
}

static void remove_directories(struct journal *j, struct isle *i, struct balance *b, bool with_self)
{
    for (size_t k = 0; k < i->n; k++) {
        struct want *w = &i->want[k];
        int err = -EBUSY;
        if (w->kind != JOURNAL_DIR || shared(j, i, w->path, with_self))
            continue;
        int tries = tried(j, i, w->path) ? 1 : RMDIR_TRIES;
        for (int n = 0; n < tries && (err = host_rmdir(j->root, w->path)) == -EBUSY; n++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        b->restored += err == 0;
        i->stuck |= err && err != -ENOENT;
        if (b->tell && err != -ENOENT)
            b->tell(b->ctx, w->path, err ? strerror(-err) : NULL);
    }
}

/* Does a process of this number live? -EPERM: yes, another user's. */
static bool lives(const char *number)
{
    return kill((pid_t)atoi(number), 0) == 0 || errno != ESRCH;
}

static bool on_record(const struct journal *j, const char *path)
{
    for (size_t k = 0; k <= j->nisles; k++) {
        const struct isle *i = k < j->nisles ? &j->isle[k] : &j->self;
        for (size_t n = 0; n < i->n; n++) {
            if (strcmp(i->want[n].path, path) == 0)
                return true;
        }
    }
    return false;
}

/*
 * Empty directories lull.N of isles that are on no record (any more), where N is no process. Linux
 * removes no cgroup with processes. `depth`: how far below `path` to look.
 */
static void remove_strays(struct journal *j, const char *path, unsigned depth, struct balance *b)
{
    char below[1024];
    int fd = openat(j->root, path + 1, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d && fd >= 0)
        close(fd);
    for (struct dirent *e; d && (e = readdir(d));) {
        const char *number = e->d_name + strlen(STRAY);
        if (e->d_type != DT_DIR || e->d_name[0] == '.' ||
            (size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below)
            continue;
        if (strncmp(e->d_name, STRAY, strlen(STRAY)) != 0 || !*number ||
            number[strspn(number, "0123456789")]) {
            if (depth > 0)
                remove_strays(j, below, depth - 1, b);
        } else if (!on_record(j, below) && !lives(number) && host_rmdir(j->root, below) == 0) {
            b->restored++;
            if (b->tell)
                b->tell(b->ctx, below, NULL);
        }
    }
    if (d)
        closedir(d);
}

/* Beside the cpuset of an isle that comes or goes. */
static void remove_strays_beside(struct journal *j, const struct isle *i, struct balance *b)
{
    char dir[1024];
    for (size_t k = 0; k < i->n; k++) {
        const char *last = strrchr(i->want[k].path, '/');
        if (i->want[k].kind == JOURNAL_DIR &&
            (size_t)snprintf(dir, sizeof dir, "%.*s", (int)(last - i->want[k].path),
                             i->want[k].path) < sizeof dir)
            remove_strays(j, dir, 0, b);
    }
}

/* The image before an execve(2) had others moved aside: they stay so. */
static int keep_shields(struct journal *j)
{
    int err = 0;
    for (size_t k = 0; k < j->nisles; k++) {
        const struct isle *i = &j->isle[k];
        for (size_t n = 0; isle_is_self(j, i) && n < i->n && err == 0; n++) {
            if (i->want[n].kind == JOURNAL_SHIELD)
                err = want_add(&j->self, JOURNAL_SHIELD, i->want[n].path, NULL);
        }
    }
    return err;
}

/* This process's own record was read with the others'; what it wants is in `self`. */
static void set_aside_self(struct journal *j)
{
    for (size_t k = 0; k < j->nisles; k++) {
        if (isle_is_self(j, &j->isle[k]) && !j->isle[k].id.elsewhere)
            j->isle[k].alive = false;
    }
}

/* An isle that is here must not use what is needed to give back. */
static int write_settings(struct journal *j, bool here)
{
    int err = journal_write_settings(j);
    if ((err == -ENOSPC || err == -EDQUOT) && !here && journal_spend_reserve(j))
        err = journal_write_settings(j);
    return err;
}

int balance(struct journal *j, struct balance *b)
{
    bool here = j->entered && !b->leaving, changed = false;
    int err = here ? keep_shields(j) : 0;
    if (err)
        return err;
    set_aside_self(j);
    for (size_t k = 0; k < j->nisles; k++) {
        struct isle *i = &j->isle[k];
        if (i->alive)
            ask_for(j, i, false);
        else
            remove_directories(j, i, b, here);
        b->dead += !i->alive && !isle_is_self(j, i);
    }
    if (here)
        ask_for(j, &j->self, true);
    for (size_t k = 0; k < j->nentries && err == 0; k++) {
        err = decide(j, &j->entry[k], b);
        changed |= j->entry[k].todo || j->entry[k].gone;
    }
    if (err == 0 && here)
        err = journal_write_self(j);
    if (err == 0 && changed)
        err = write_settings(j, here);
    if (err)
        return err;
    for (size_t k = 0; k < j->nentries; k++) {
        if (j->entry[k].todo)
            carry_out(j, &j->entry[k], b);
    }
    shields_settle(j, b, here); /* before a cpuset is made of what these have had */
    if (here)
        make_directories(j);
    if (here && tell_mine(j, b->settings))
        err = journal_write_self(j);
    if (changed && err == 0)
        err = write_settings(j, here);
    if (b->strays)
        remove_strays(j, "/sys/fs/cgroup", STRAY_DEPTH, b);
    else if (here)
        remove_strays_beside(j, &j->self, b);
    for (size_t k = 0; k < j->nisles && err == 0; k++) {
        struct isle *i = &j->isle[k];
        b->unfinished |= !i->alive && i->stuck;
        if (!i->alive && !i->stuck && !(here && isle_is_self(j, i)))
            journal_remove(j, i->name);
    }
    return err;
}
