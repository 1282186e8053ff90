/* SPDX-License-Identifier: MIT */
/* Small files and directories of Linux's side, below a root that tests put elsewhere. */
#ifndef PROXY_CARVE_HOST_H
#define PROXY_CARVE_HOST_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * The root stays the same whatever the program does with chroot(2). Paths are absolute ones below
 * it. Functions return 0 or -errno.
 */
int host_open(const char *root); /* "" is "/". A descriptor among the proxy's own, or -errno */
/* Without the white space at its end. -E2BIG: does not fit. */
int host_read(int root, const char *path, char *out, size_t size);
int host_write(int root, const char *path, const char *value);
int host_mkdir(int root, const char *path);
int host_rmdir(int root, const char *path);
bool host_writable(int root, const char *path);
bool host_exists(int root, const char *path);

/* Tests: called before and after each change to the host or the journal. */
extern void (*host_hook)(const char *what, const char *path);
void host_step(const char *what, const char *path);

/* Of /proc/PID/stat (proc(5)). False: not such a text. */
struct process_stat {
    const char *name; /* in the text, up to its last ')': it may have anything in it */
    char state;
    int parent;
    unsigned flags;
    unsigned long long start; /* clock ticks since boot */
};
bool process_stat_parse(const char *text, struct process_stat *out);

/* Masks of CPUs as Linux writes them. -EINVAL: malformed, or a CPU above 1023. */
int mask_read_list(const char *text, cpu_set_t *out); /* "0-3,5"; "" is none */
int mask_read_hex(const char *text, cpu_set_t *out);  /* "f", "1,00000000" */
/* -E2BIG: does not fit; 4096 bytes always do. */
int mask_print_list(const cpu_set_t *set, char *out, size_t size);
int mask_print_hex(const cpu_set_t *set, char *out, size_t size);
/* out = a less b; true: something is left. */
bool mask_less(cpu_set_t *out, const cpu_set_t *a, const cpu_set_t *b);
bool mask_meets(const cpu_set_t *a, const cpu_set_t *b);

#endif
