/* SPDX-License-Identifier: MIT */
/*
 * What the program sees of itself and of the machine: files of /proc/self, /proc and
 * /sys/devices/system whose contents on Linux would be the proxy's or the whole machine's. Whoever
 * opens one gets a copy of the isle's as it is then, in a file of its own without a name.
 */
#ifndef PROXY_SERVE_VIEW_H
#define PROXY_SERVE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lull/maps.h>
#include <lull/numa.h>

struct call;
struct mapped;

/* Constant while the server runs, apart from what is isle memory. */
struct view {
    int argc;
    char *const *argv;
    char *const *envp;
    const uint16_t *cpu;            /* Linux's number of each core */
    const struct lull_nodes *nodes; /* of cores and memory */
    unsigned ncores;
    uint64_t mem_limit; /* bytes */
    uint64_t vdso_size;
    const struct lull_maps *maps; /* isle memory: hostile */
    const struct lull_proc *proc; /* the same */
    const struct lull_threads *threads;
    uint64_t (*populated)(void *ctx); /* bytes of memory that the isle has */
    /* CPU time that Linux's side has spent for it; *on_cores: how much of it on the isle's cores,
       whose time contains that */
    uint64_t (*server_ns)(void *ctx, uint64_t *on_cores);
    void *ctx;
};

/* CPU time of the program, and of Linux for it. */
struct view_times {
    uint64_t user_ns, system_ns;
};
struct view_times view_times(const struct view *v, const struct lull_proc *p);

/* A growing text. */
struct text {
    char *p;
    size_t len, room;
    bool failed;           /* out of memory: p stands as it was */
    uint64_t zeroes;       /* that follow where it is published */
    struct lull_map *maps; /* pagemap: those whose entries come there; text_free() frees it */
    uint32_t nmaps;
    const char *kind; /* VIEW_COPY_*, NULL: not looked for later */
};
/* Names of the copies: memfd_create(2). */
#define VIEW_COPY "lull:"
#define VIEW_COPY_MAPS "maps"
void text_add(struct text *t, const char *bytes, size_t n);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *t);

/* The file behind fd as it is on Linux, through the program's descriptor. 0 or -errno. */
int64_t view_read(int fd, struct text *out);

/* -- view_proc.c: each fills *out, true if it knows the file ---------------------------------- */
/* `name`: behind /proc/PID/ or /proc/PID/task/TID/. */
bool view_proc_self(const struct call *c, int fd, const char *name, struct text *out);
/* `name`: directly in /proc. */
bool view_proc(const struct call *c, int fd, const char *name, struct text *out);

/* A copy of the table of mappings that the caller frees; NULL: no memory. */
struct lull_map *view_maps(const struct view *v, uint32_t *count);
#define VIEW_MAPS_END (1ul << 47) /* of what a program can have */
/* The entry may be what the kernel writes. */
static inline bool view_map_sane(const struct lull_map *m)
{
    return m->end > m->start && (m->start | m->end) % LULL_PAGE == 0 && m->end <= VIEW_MAPS_END;
}
/* The line of a mapping in maps; then, if it is not NULL, what `show` adds. What Linux has as one
   mapping may be n pieces of the isle's table; m is the first of them with the end of the last. */
typedef void (*view_map_fn)(const struct call *c, const struct lull_map *m,
                            const struct lull_map *piece, uint32_t n, void *ctx, struct text *out);
bool view_each_map(const struct call *c, view_map_fn show, void *ctx, struct text *out);

/* -- view_memory.c: the program's memory, bytes ----------------------------------------------- */
struct view_memory {
    uint64_t size, peak;        /* of mappings */
    uint64_t rss, highest;      /* resident */
    uint64_t anon, file, shmem; /* of that */
    uint64_t data, stack, text, lib, tables;
    uint64_t huge;   /* of Linux's pool, not part of rss */
    uint64_t locked; /* mlock(2) */
};
bool view_memory(const struct call *c, struct view_memory *out); /* false: no memory */
void view_memory_forked(void);
/* Whether view_memory() is quick: few mappings, and few of them are left to Linux to populate. */
bool view_memory_is_quick(const struct view *v);
/* One line of status; false: it is about something else. */
bool view_status_memory(const struct view_memory *m, const char *key, size_t n, struct text *out);
void view_statm(const struct view_memory *m, struct text *out);
bool view_numa_maps(const struct call *c, struct text *out);
/* What Linux has in memory of the mapping; huge pages do not count. */
uint64_t view_resident(const struct lull_map *m);
/* Adds what Linux says of huge pages in a range that is a mapping of the proxy too. */
void view_huge_pages(uint64_t start, uint64_t end, uint64_t *shared, uint64_t *private);

/* -- view_io.c: /proc/self/io ----------------------------------------------------------------- */
void view_io_begin(void);                       /* what is counted up to now is the proxy's own */
void view_io_own(bool written, uint64_t bytes); /* so is this read(2) or write(2) */
bool view_io(int fd, struct text *out);

/* -- view_pagemap.c --------------------------------------------------------------------------- */
#define VIEW_PAGEMAP_BYTES (VIEW_MAPS_END / LULL_PAGE * 8)
/* Writes Linux's entries of the mappings to the file, of which the rest is zero. 0 or -errno. */
int64_t view_pagemap_fill(int fd, const struct text *t);

/* -- view_query.c ----------------------------------------------------------------------------- */
/* The descriptor is one of a copy; `what`: VIEW_COPY_*, or NULL for any. */
bool view_is_copy(int fd, const char *what);
bool decode_map_query(struct call *c, int64_t *answer); /* PROCMAP_QUERY */
bool decode_cachestat(struct call *c, int64_t *answer);

/* -- view_peer.c ------------------------------------------------------------------------------ */
/*
 * /proc/PID/stat or status of another isle: Linux's text, but for the state, which is that of the
 * program's main thread. `path` of the open file `fd`. False: another file, no isle, or nothing to
 * change.
 */
bool view_peer(int fd, const char *path, struct text *out);
/* The process runs the same file as this one: it is an isle of the same lull. */
bool peer_is_isle(int pid);
/* A limit that such a process's isle keeps. False: it cannot be read. */
struct rlimit;
bool peer_limit(int pid, unsigned resource, struct rlimit *out);

/* -- view_smaps.c: smaps, smaps_rollup -------------------------------------------------------- */
bool view_smaps(const struct call *c, const char *name, struct text *out);

/* -- view_task.c ------------------------------------------------------------------------------ */
/* A path to /proc/self/task/TID is led to what Linux knows: c->task remembers the thread. False:
 *answer is what the program gets. */
bool view_task_path(struct call *c, char **path, int64_t *answer);
/* *p becomes what it is of c->task, of the main thread if that is 0; its state, as in stat. */
char view_as_thread(const struct call *c, struct lull_proc *p);
/* Entries of /proc/self/task, from where the descriptor stands. */
int64_t view_list_threads(struct call *c, int fd, bool long_form, char *to, size_t room);
/* In place of the descriptor of a file comm that is opened for writing: fd or -errno. */
int64_t view_open_comm(struct call *c, int64_t fd);
void view_forked(void); /* first thing in a forked child */
/* A write to such a descriptor: *answer. */
bool view_comm_written(const struct call *c, int64_t *answer);

/* -- view_sys.c ------------------------------------------------------------------------------- */
/* `name`: behind .../devices/system/, such as cpu/online. */
bool view_sys(const struct call *c, int fd, const char *name, struct text *out);
/* `path`: of a file of a cgroup file system. */
bool view_cgroup(const struct call *c, const char *path, struct text *out);
bool view_has_cpu(const struct view *v, unsigned cpu);
void view_put_nodes(struct text *out, const struct lull_nodes *nodes); /* "0,2-3" and a new line */
bool view_has_node(const struct view *v, unsigned node);

/* -- view.c ----------------------------------------------------------------------------------- */
/* Puts the text in place of the file behind fd, for reading. fd or -errno; frees *t. */
int64_t view_publish(int fd, struct text *t);
/* The same, opened as `mode` says; sealed: Linux refuses to write it. *st: of what is there now. */
struct stat;
int64_t view_replace(int fd, struct text *t, int mode, bool sealed, struct stat *st);
/* Entries of a directory that the program is not to see: bytes that are left of `len`. */
bool view_is_task(const struct call *c, int fd); /* the directory /proc/self/task */
size_t view_filter(const struct call *c, int fd, bool long_form, char *entries, size_t len);

#endif
