/* SPDX-License-Identifier: MIT */
/* Between path.c and path_proc.c. */
#ifndef PROXY_SERVE_PATH_PRIV_H
#define PROXY_SERVE_PATH_PRIV_H

#include "serve/call.h"

/* Steps over one component if it is `name`; NULL: it is not. Slashes and "." are skipped. */
const char *path_component(const char *p, const char *name);
/* Where the file behind fd is, as Linux names it. False: not to be had. */
bool path_of_fd(int64_t fd, char *path, size_t size);
/* "self/" in procfs and the words behind it, for a call that takes a directory, which is returned.
   It is found even when the program has another root. `name` has 64 bytes. */
int path_self(char *name, const char *format, int number);
/* Argument i is `own`, the copy of a path: what in it means the program, not the proxy. */
bool decode_proc_name(struct call *c, unsigned i, char *own, int64_t *answer);

/* Procfs may show another namespace of processes than this process's own numbers are of. */
bool path_nested(void);
/* The number of a thread, `name` in the directory `tasks` of procfs, as system calls take it; 0: it
   is gone. */
pid_t path_thread(int tasks, const char *name);

#endif
