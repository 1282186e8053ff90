/* SPDX-License-Identifier: MIT */
/* Calls on descriptors of the files that a program has copies of (view_replace()): PROCMAP_QUERY of
   ioctl(2) on /proc/self/maps, and cachestat(2). */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <lull/ioctls.h>

#include "serve/call.h"
#include "serve/path_priv.h"
#include "serve/view.h"

/* As in linux/fs.h since Linux 6.11. */
enum {
    QUERY_READABLE = 1,
    QUERY_WRITABLE = 2,
    QUERY_EXECUTABLE = 4,
    QUERY_SHARED = 8,
    QUERY_OR_NEXT = 0x10,
    QUERY_FILE = 0x20,
    QUERY_RIGHTS = 0xf,
    QUERY_ALL = 0x3f,
};

struct map_query {
    uint64_t size, flags, addr;
    uint64_t start, end, rights, page, offset, inode;
    uint32_t dev_major, dev_minor, name_size, build_id_size;
    uint64_t name, build_id;
};
_Static_assert(sizeof(struct map_query) == LULL_PROCMAP_SIZE, "struct procmap_query");

bool view_is_copy(int fd, const char *what)
{
    char path[64];
    size_t n = strlen(VIEW_COPY);
    if (!path_of_fd(fd, path, sizeof path) || strncmp(path, "/memfd:" VIEW_COPY, 7 + n))
        return false;
    return !what || !strncmp(path + 7 + n, what, strlen(what));
}

/* One line of maps, and behind it the size of the mapping's pages. */
struct line {
    unsigned long start, end, offset, inode, page;
    char rights[5];
    unsigned major, minor;
    const char *name; /* ends at \n */
};

static void show_page(const struct call *c, const struct lull_map *m, const struct lull_map *piece,
                      uint32_t n, void *ctx, struct text *out)
{
    (void)piece;
    (void)n;
    unsigned shift = LULL_MAP_PAGE(m->flags);
    (void)c;
    (void)ctx;
    text_printf(out, "%lu\n", shift >= 12 && shift < 48 ? 1ul << shift : LULL_PAGE);
}

static char *next_line(char *at, struct line *l)
{
    int n = 0;
    char *end = strchr(at, '\n'), *after = end ? strchr(end + 1, '\n') : NULL;
    if (!after || sscanf(at, "%lx-%lx %4s %lx %x:%x %lu%n", &l->start, &l->end, l->rights,
                         &l->offset, &l->major, &l->minor, &l->inode, &n) != 7)
        return NULL;
    l->page = strtoul(end + 1, NULL, 10);
    l->name = at + n + strspn(at + n, " ");
    return after + 1;
}

static unsigned rights_of(const struct line *l)
{
    return (l->rights[0] == 'r' ? QUERY_READABLE : 0u) |
           (l->rights[1] == 'w' ? QUERY_WRITABLE : 0u) |
           (l->rights[2] == 'x' ? QUERY_EXECUTABLE : 0u) |
           (l->rights[3] == 's' ? QUERY_SHARED : 0u);
}

/* The first mapping that the query is about; false: there is none. */
static bool find(char *text, const struct map_query *q, struct line *l)
{
    uint64_t want = q->flags & QUERY_RIGHTS;
    while (text && (text = next_line(text, l))) {
        if (l->end <= q->addr)
            continue;
        bool fits = !(q->flags & QUERY_FILE && !l->inode) && (rights_of(l) & want) == want &&
                    (q->flags & QUERY_OR_NEXT || l->start <= q->addr);
        if (fits)
            return true;
        if (!(q->flags & QUERY_OR_NEXT))
            return false;
    }
    return false;
}

/* The name without the escapes of maps; its length with the NUL, 0: there is none. */
static size_t name_of(const struct line *l, char name[PATH_MAX])
{
    size_t n = 0;
    for (const char *p = l->name; *p != '\n' && n < PATH_MAX - 1; p++) {
        bool newline = !strncmp(p, "\\012", 4);
        name[n++] = newline ? '\n' : *p;
        p += newline ? 3 : 0;
    }
    name[n] = '\0';
    return n ? n + 1 : 0;
}

static int64_t query(struct call *c, struct map_query *q)
{
    char name[PATH_MAX];
    struct text t = {0};
    struct line l;
    if (!view_each_map(c, show_page, NULL, &t) || t.failed) {
        text_free(&t);
        return -ENOMEM;
    }
    int64_t r = find(t.p, q, &l) ? 0 : -ENOENT;
    if (r == 0) {
        q->start = l.start;
        q->end = l.end;
        q->rights = rights_of(&l);
        q->page = l.page;
        q->offset = l.inode ? l.offset : 0;
        q->inode = l.inode;
        q->dev_major = l.major;
        q->dev_minor = l.minor;
        size_t len = q->name_size ? name_of(&l, name) : 0;
        if (len > q->name_size || len > PATH_MAX)
            r = -ENAMETOOLONG;
        else if (len && !call_mem(c, q->name, len))
            r = -EFAULT;
        else if (len)
            memcpy(call_mem(c, q->name, len), name, len);
        q->name_size = (uint32_t)len;
    }
    text_free(&t);
    return r;
}

/* In Linux's order (fs/proc/task_mmu.c). */
bool decode_map_query(struct call *c, int64_t *answer)
{
    struct map_query q = {0};
    int fd = call_fd(c->env, c->user[0]);
    char rest[LULL_PAGE];
    if (fd < 0 || !c->env->view || !view_is_copy(fd, VIEW_COPY_MAPS))
        return true;
    if (!call_copy_in(c, &q.size, c->user[2], sizeof q.size))
        return call_answer(answer, -EFAULT);
    uint64_t size = q.size;
    if (size > sizeof rest || size < offsetof(struct map_query, start))
        return call_answer(answer, size > sizeof rest ? -E2BIG : -EINVAL);
    if (!call_copy_in(c, rest, c->user[2], size))
        return call_answer(answer, -EFAULT);
    for (size_t i = sizeof q; i < size; i++)
        if (rest[i])
            return call_answer(answer, -E2BIG);
    size_t used = size < sizeof q ? size : sizeof q;
    memcpy(&q, rest, used);
    if (q.flags & ~(uint64_t)QUERY_ALL || !q.name_size != !q.name ||
        !q.build_id_size != !q.build_id)
        return call_answer(answer, -EINVAL);
    if (q.build_id)
        return call_refuse(c, answer);
    int64_t r = query(c, &q);
    void *dst = call_mem(c, c->user[2], used);
    if (r == 0 && dst) {
        q.size = size;
        memcpy(dst, &q, used);
    }
    return call_answer(answer, r == 0 && !dst ? -EFAULT : r);
}

/* Files of /proc have no pages in the page cache; a copy has. */
bool decode_cachestat(struct call *c, int64_t *answer)
{
    enum { RANGE = 16, STAT = 40 };
    int fd = call_fd(c->env, c->user[0]);
    void *dst = call_mem(c, c->user[2], STAT);
    if (fd < 0 || !view_is_copy(fd, NULL))
        return true;
    if (!call_mem(c, c->user[1], RANGE))
        return call_answer(answer, -EFAULT);
    if (c->user[3])
        return call_answer(answer, -EINVAL);
    if (!dst)
        return call_answer(answer, -EFAULT);
    memset(dst, 0, STAT);
    return call_answer(answer, 0);
}
