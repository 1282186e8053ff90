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
    const uint16_t *cpu; /* Linux's number of each core */
    const struct lull_nodes *nodes; /* of cores and memory */
    unsigned ncores;
    uint64_t mem_limit; /* bytes */
    uint64_t vdso_size;
    const struct lull_maps *maps;     /* isle memory: hostile */
    const struct lull_proc *proc;     /* the same */
    uint64_t (*populated)(void *ctx); /* bytes of memory that the isle has */
    uint64_t (*server_ns)(void *ctx); /* CPU time that Linux's side has spent for it */
    void *ctx;
};

/* A growing text. */
struct text {
    char *p;
    size_t len, room;
    bool failed; /* out of memory: p stands as it was */
};
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

/* -- view_sys.c ------------------------------------------------------------------------------- */
/* `name`: behind .../devices/system/, such as cpu/online. */
bool view_sys(const struct call *c, int fd, const char *name, struct text *out);
bool view_has_cpu(const struct view *v, unsigned cpu);
void view_put_nodes(struct text *out, const struct lull_nodes *nodes); /* "0,2-3" and a new line */
bool view_has_node(const struct view *v, unsigned node);

/* -- view.c ----------------------------------------------------------------------------------- */
/* Puts the text in place of the file behind fd, for reading. fd or -errno; frees *t. */
int64_t view_publish(int fd, struct text *t);
/* Entries of a directory that the program is not to see: bytes that are left of `len`. */
size_t view_filter(const struct call *c, int fd, bool long_form, char *entries, size_t len);

#endif
