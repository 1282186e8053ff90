/* SPDX-License-Identifier: MIT */
/*
 * The journal's files: lines of words with tabs between them. Each is written beside its place and
 * renamed, so it is the old one or the new one, whenever the writer dies.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "carve/journal_priv.h"
#include "ownfd.h"

#define ISLE_HEAD "lull-isle 1"
#define SETTINGS_HEAD "lull-settings 1"
#define PREFIX "isle."

static const char *const kind_name[] = {
    [JOURNAL_LIST_OFF] = "list-off", [JOURNAL_HEX_OFF] = "hex-off", [JOURNAL_HEX_NONE] = "hex-none",
    [JOURNAL_VALUE] = "value",       [JOURNAL_ADD] = "add",         [JOURNAL_WORD] = "word",
    [JOURNAL_DIR] = "dir",           [JOURNAL_SHIELD] = "shield",
};
#define KINDS (sizeof kind_name / sizeof *kind_name)

static bool kind_find(const char *name, enum journal_kind *out)
{
    for (size_t k = 0; k < KINDS; k++) {
        if (strcmp(name, kind_name[k]) == 0) {
            *out = (enum journal_kind)k;
            return true;
        }
    }
    return false;
}

bool want_has_value(enum journal_kind kind)
{
    return kind == JOURNAL_VALUE || kind == JOURNAL_ADD || kind == JOURNAL_WORD;
}

/* ---- what there is in memory ---- */

int want_add(struct isle *i, enum journal_kind kind, const char *path, const char *value)
{
    struct want *w = NULL;
    for (size_t k = 0; k < i->n && !w; k++) {
        if (strcmp(i->want[k].path, path) == 0)
            w = &i->want[k];
    }
    char *v = value ? strdup(value) : NULL;
    if (value && !v)
        return -ENOMEM;
    if (!w) {
        char *p = strdup(path);
        struct want *more = p ? realloc(i->want, (i->n + 1) * sizeof *more) : NULL;
        if (!more) {
            free(p);
            free(v);
            return -ENOMEM;
        }
        i->want = more;
        w = &i->want[i->n++];
        *w = (struct want){.path = p};
    }
    free(w->value);
    w->value = v;
    w->kind = kind;
    w->err = 0;
    return 0;
}

void isle_free(struct isle *i)
{
    for (size_t k = 0; k < i->n; k++) {
        free(i->want[k].path);
        free(i->want[k].value);
    }
    free(i->want);
    i->want = NULL;
    i->n = 0;
}

struct entry *entry_add(struct journal *j, enum journal_kind kind, const char *path,
                        const char *first, const char *set, const char *last)
{
    struct entry e = {.kind = kind};
    struct entry *more = realloc(j->entry, (j->nentries + 1) * sizeof *more);
    if (!more)
        return NULL;
    j->entry = more;
    e.path = strdup(path);
    e.first = strdup(first);
    e.set = strdup(set);
    e.last = strdup(last);
    if (!e.path || !e.first || !e.set || !e.last) {
        free(e.path);
        free(e.first);
        free(e.set);
        free(e.last);
        return NULL;
    }
    j->entry[j->nentries] = e;
    return &j->entry[j->nentries++];
}

void journal_unload(struct journal *j)
{
    for (size_t k = 0; k < j->nisles; k++)
        isle_free(&j->isle[k]);
    for (size_t k = 0; k < j->nentries; k++) {
        free(j->entry[k].path);
        free(j->entry[k].first);
        free(j->entry[k].set);
        free(j->entry[k].last);
    }
    free(j->isle);
    free(j->entry);
    j->isle = NULL;
    j->entry = NULL;
    j->nisles = j->nentries = 0;
}

/* ---- whose process it is ---- */

/* Of a process that has not ended: a zombie has. */
int journal_start_time(int proc, pid_t pid, uint64_t *start)
{
    char path[40], text[VALUE_MAX];
    struct process_stat st;
    snprintf(path, sizeof path, "%d/stat", (int)pid);
    int err = host_read(proc, path, text, sizeof text);
    if (err)
        return err == -ESRCH ? -ENOENT : err;
    if (!process_stat_parse(text, &st))
        return -EINVAL;
    *start = st.start;
    return st.state == 'Z' || st.state == 'X' ? -ENOENT : 0;
}

void journal_read_world(int proc, char boot[40], uint64_t *space)
{
    struct stat st;
    char text[64];
    boot[0] = '\0';
    if (host_read(proc, "sys/kernel/random/boot_id", text, sizeof text) == 0)
        snprintf(boot, 40, "%.39s", text);
    *space = fstatat(proc, "self/ns/pid", &st, 0) == 0 ? st.st_ino : 0;
}

bool isle_is_self(const struct journal *j, const struct isle *i)
{
    return j->entered && strcmp(i->name, j->self.name) == 0;
}

void isle_kept(const struct isle *i, cpu_set_t *out)
{
    CPU_OR(out, &i->id.cpus, &i->id.idle);
}

void isle_complete(struct isle *i)
{
    struct journal_claim *c = &i->id.claim;
    if (c->launch > 0)
        return;
    *c = (struct journal_claim){
        .launch = i->id.pid, .launch_start = i->id.start, .held = i->id.cpus};
}

/*
 * A record is alive while one of its isle's processes has it open and locked, whatever namespace
 * that is in and whatever /proc shows. The lock is one for writing, which only the record's owner
 * can have; whoever may only read the record can neither make nor prevent one.
 */
static bool is_locked(int fd)
{
    struct flock l = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type == F_WRLCK;
}

/* ---- reading ---- */

/* The whole file, with a NUL behind it, to be freed. Regular, of that owner, of a decent size. */
static int slurp(int dir, const char *name, uid_t owner, char **out, uid_t *found, bool *locked)
{
    struct stat st;
    int err = 0, fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    *out = NULL;
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st))
        err = -errno;
    else if (!S_ISREG(st.st_mode) ||
             st.st_size > (owner == (uid_t)-1 ? RECORD_FOREIGN_MAX : RECORD_MAX) ||
             (owner != (uid_t)-1 && st.st_uid != owner))
        err = -EPERM;
    else if (!(*out = malloc((size_t)st.st_size + 1)))
        err = -ENOMEM;
    else if (read(fd, *out, (size_t)st.st_size) != st.st_size)
        err = -EIO;
    else
        (*out)[st.st_size] = '\0';
    if (err == 0 && strlen(*out) != (size_t)st.st_size)
        err = -EINVAL;
    if (err) {
        free(*out);
        *out = NULL;
    } else if (found) {
        *found = st.st_uid;
    }
    if (locked)
        *locked = is_locked(fd);
    close(fd);
    return err;
}

/* A path that may be written to at all. */
static bool decent(const char *path)
{
    static const char *const places[] = {"/proc/irq/", "/proc/sys/", "/sys/"};
    size_t n = strlen(path);
    if (strstr(path, "/../") || strchr(path, ' ') || (n > 3 && strcmp(path + n - 3, "/..") == 0))
        return false;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strncmp(path, places[i], strlen(places[i])) == 0)
            return true;
    }
    return false;
}

static void parse_number(const char *text, uint64_t *out)
{
    *out = strtoull(text, NULL, 10);
}

static void parse_text(const char *text, char *out, size_t size)
{
    snprintf(out, size, "%s", text);
    for (char *p = out; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
}

static int parse_launch(char *text, struct journal_claim *c)
{
    long long pid;
    if (sscanf(text, "%lld\t%" SCNu64 "\t%u", &pid, &c->launch_start, &c->rank) != 3 || pid <= 0 ||
        pid > INT_MAX)
        return -EINVAL;
    c->launch = (pid_t)pid;
    return 0;
}

static int parse_isle_line(struct isle *i, char *line, bool foreign)
{
    uint64_t v;
    char *word = strsep(&line, "\t"), *rest = line ? line : "";
    if (strcmp(word, "pid") == 0)
        i->id.pid = atoi(rest);
    else if (strcmp(word, "start") == 0)
        parse_number(rest, &i->id.start);
    else if (strcmp(word, "uid") == 0)
        parse_number(rest, &v), i->id.uid = (uid_t)v;
    else if (strcmp(word, "began") == 0)
        parse_number(rest, &i->id.began_s);
    else if (strcmp(word, "mem") == 0)
        parse_number(rest, &i->id.mem);
    else if (strcmp(word, "cpus") == 0)
        return mask_read_list(rest, &i->id.cpus);
    else if (strcmp(word, "launch") == 0)
        return parse_launch(rest, &i->id.claim);
    else if (strcmp(word, "within") == 0)
        return mask_read_list(rest, &i->id.claim.within);
    else if (strcmp(word, "around") == 0)
        return mask_read_list(rest, &i->id.claim.around);
    else if (strcmp(word, "idle") == 0)
        return mask_read_list(rest, &i->id.idle);
    else if (strcmp(word, "held") == 0)
        return mask_read_list(rest, &i->id.claim.held);
    else if (strcmp(word, "engine") == 0)
        parse_text(rest, i->id.engine, sizeof i->id.engine);
    else if (strcmp(word, "program") == 0)
        parse_text(rest, i->id.program, sizeof i->id.program);
    else if (strcmp(word, "want") == 0 && !foreign) { /* another's wants are nobody's business */
        enum journal_kind kind;
        char *name = strsep(&line, "\t"), *path = line ? strsep(&line, "\t") : NULL;
        if (!name || !path || !kind_find(name, &kind) || !decent(path) ||
            !line == want_has_value(kind))
            return -EINVAL;
        return want_add(i, kind, path, line);
    }
    return 0;
}

/* -ESTALE: of another boot. */
static int parse_isle(struct isle *i, char *text, const char *boot, bool foreign)
{
    char *line = strsep(&text, "\n");
    char found[40];
    if (sscanf(line, ISLE_HEAD "\t%39s\t%" SCNu64, found, &i->space) != 2)
        return -EINVAL;
    if (strcmp(found, boot) != 0)
        return -ESTALE;
    bool whole = false;
    while (!whole && text) {
        line = strsep(&text, "\n");
        whole = strcmp(line, "end") == 0;
        int err = whole ? 0 : parse_isle_line(i, line, foreign);
        if (err)
            return err;
    }
    if (!whole || i->id.pid <= 0)
        return -EINVAL;
    isle_complete(i);
    return 0;
}

int journal_load_isle(int dir, const char *name, struct isle *i, uid_t owner, const char *boot)
{
    char *text;
    uid_t uid;
    *i = (struct isle){0};
    int err = slurp(dir, name, owner, &text, &uid, &i->alive);
    if (err)
        return err;
    snprintf(i->name, sizeof i->name, "%s", name);
    err = parse_isle(i, text, boot, owner == (uid_t)-1);
    if (owner == (uid_t)-1)
        i->id.uid = uid; /* whatever it says */
    free(text);
    if (err)
        isle_free(i);
    return err;
}

int journal_load_isles(int dir, struct isle **out, size_t *n, uid_t owner, const char *boot)
{
    int err = 0, fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        err = -errno;
        if (fd >= 0)
            close(fd);
        return err;
    }
    for (struct dirent *e;
         err == 0 && (owner != (uid_t)-1 || *n < FOREIGN_MAX) && (e = readdir(d));) {
        struct isle one;
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0 || strlen(e->d_name) >= sizeof one.name)
            continue;
        int bad = journal_load_isle(dir, e->d_name, &one, owner, boot);
        if (bad == -ENOMEM)
            err = bad;
        if (bad == -ESTALE && owner != (uid_t)-1)
            unlinkat(dir, e->d_name, 0);
        if (bad)
            continue;
        struct isle *more = realloc(*out, (*n + 1) * sizeof *more);
        if (!more) {
            isle_free(&one);
            err = -ENOMEM;
            break;
        }
        *out = more;
        more[(*n)++] = one;
    }
    closedir(d);
    return err;
}

static int load_settings(struct journal *j)
{
    char *text, *rest, found[40];
    int err = slurp(j->dir, JOURNAL_SETTINGS, geteuid(), &text, NULL, NULL);
    if (err)
        return err == -ENOENT ? 0 : err;
    rest = text;
    char *line = strsep(&rest, "\n");
    if (sscanf(line, SETTINGS_HEAD "\t%39s", found) != 1)
        err = -EINVAL;
    else if (strcmp(found, j->boot) != 0)
        rest = NULL; /* everything is as that boot left it */
    while (err == 0 && rest && *rest) {
        enum journal_kind kind;
        line = strsep(&rest, "\n");
        char *word[5] = {0};
        for (int i = 0; i < 5 && line; i++)
            word[i] = strsep(&line, "\t");
        if (!word[4] || !kind_find(word[0], &kind) || !decent(word[1]))
            err = -EINVAL;
        else if (!entry_add(j, kind, word[1], word[2], word[3], word[4]))
            err = -ENOMEM;
    }
    free(text);
    return err;
}

int journal_load(struct journal *j)
{
    int err = journal_load_isles(j->dir, &j->isle, &j->nisles, geteuid(), j->boot);
    if (err == 0)
        err = load_settings(j);
    for (size_t k = 0; k < j->nisles; k++)
        j->isle[k].id.elsewhere = j->isle[k].space != j->space;
    return err;
}

/* ---- writing ---- */

/*
 * Nobody else can open the file before record_end(), so nobody else's lock can be in the way.
 * *held: a copy of its descriptor with the lock, NULL: it gets none.
 */
static int record_begin(struct journal *j, FILE **out, int *held)
{
    static const struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    unlinkat(j->dir, ".new", 0); /* of one who died writing: there is one writer at a time */
    int err = 0,
        fd = openat(j->dir, ".new", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (held && (*held = ownfd_copy(fd)) < 0)
        *held = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (held && (*held < 0 || fcntl(*held, F_OFD_SETLK, &whole)))
        err = -errno;
    else if (!(*out = fdopen(fd, "w")))
        err = -ENOMEM;
    if (err == 0)
        return 0;
    if (held && *held >= 0)
        close(*held);
    close(fd);
    return err;
}

static int record_end(struct journal *j, FILE *f, const char *name)
{
    int err = 0;
    if (fflush(f) || ferror(f) || fchmod(fileno(f), 0644))
        err = errno ? -errno : -EIO;
    fclose(f);
    host_step("record", name);
    if (err == 0 && renameat(j->dir, ".new", j->dir, name))
        err = -errno;
    if (err)
        unlinkat(j->dir, ".new", 0);
    host_step("recorded", name);
    return err;
}

void journal_remove(struct journal *j, const char *name)
{
    host_step("forget", name);
    unlinkat(j->dir, name, 0);
    host_step("forgotten", name);
}

static void write_claim(FILE *f, const struct journal_claim *c)
{
    const cpu_set_t *set[] = {&c->within, &c->around, &c->held};
    static const char *const name[] = {"within", "around", "held"};
    char cpus[VALUE_MAX];
    fprintf(f, "launch\t%d\t%" PRIu64 "\t%u\n", (int)c->launch, c->launch_start, c->rank);
    for (size_t k = 0; k < sizeof set / sizeof *set; k++) {
        mask_print_list(set[k], cpus, sizeof cpus);
        fprintf(f, "%s\t%s\n", name[k], cpus);
    }
}

bool journal_spend_reserve(struct journal *j)
{
    struct stat st;
    return fstat(j->lock, &st) == 0 && st.st_size > 0 && ftruncate(j->lock, 0) == 0;
}

int journal_write_self(struct journal *j)
{
    const struct isle *i = &j->self;
    char cpus[VALUE_MAX], idle[VALUE_MAX];
    int held = -1;
    FILE *f = NULL;
    int err = record_begin(j, &f, &held);
    if (err)
        return err;
    mask_print_list(&i->id.cpus, cpus, sizeof cpus);
    mask_print_list(&i->id.idle, idle, sizeof idle);
    fprintf(f, ISLE_HEAD "\t%s\t%" PRIu64 "\npid\t%d\nstart\t%" PRIu64 "\nuid\t%u\n", j->boot,
            j->space, (int)i->id.pid, i->id.start, (unsigned)i->id.uid);
    fprintf(f, "began\t%" PRIu64 "\nmem\t%" PRIu64 "\ncpus\t%s\nidle\t%s\n", i->id.began_s,
            i->id.mem, cpus, idle);
    fprintf(f, "engine\t%s\nprogram\t%s\n", i->id.engine, i->id.program);
    write_claim(f, &i->id.claim);
    for (size_t k = 0; k < i->n; k++) {
        const struct want *w = &i->want[k];
        fprintf(f, "want\t%s\t%s%s%s\n", kind_name[w->kind], w->path, w->value ? "\t" : "",
                w->value ? w->value : "");
    }
    fputs("end\n", f);
    err = record_end(j, f, i->name);
    int old = err ? held : j->held;
    if (err == 0)
        j->held = held;
    if (old >= 0)
        close(old);
    return err;
}

int journal_write_settings(struct journal *j)
{
    size_t left = 0;
    for (size_t k = 0; k < j->nentries; k++)
        left += !j->entry[k].gone;
    if (left == 0) {
        if (faccessat(j->dir, JOURNAL_SETTINGS, F_OK, 0) == 0)
            journal_remove(j, JOURNAL_SETTINGS);
        return 0;
    }
    FILE *f = NULL;
    int err = record_begin(j, &f, NULL);
    if (err)
        return err;
    fprintf(f, SETTINGS_HEAD "\t%s\n", j->boot);
    for (size_t k = 0; k < j->nentries; k++) {
        const struct entry *e = &j->entry[k];
        if (!e->gone)
            fprintf(f, "%s\t%s\t%s\t%s\t%s\n", kind_name[e->kind], e->path, e->first, e->set,
                    e->last);
    }
    return record_end(j, f, JOURNAL_SETTINGS);
}
