/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVE_FANOTIFY_H
#define PROXY_SERVE_FANOTIFY_H

#include "serve/call.h"

bool decode_fanotify_init(struct call *c, int64_t *answer);
/* A mark for permission events; c->own_fd is for finish_mount(). */
bool decode_fanotify_mark(struct call *c, int64_t *answer);
/* There may be a mark for FAN_FS_ERROR: an open that fails must look at the path only once. */
bool fanotify_counts_errors(void);
/* A call that opens or reads a file may wait until some process permits it. */
bool fanotify_waits(void);
/* By a server that starts, in a forked child too. */
void fanotify_begin(const char *report_file);
/* Returns true if execve(2) of this process could wait for a permission that nobody but itself
   gives: a group of its own stays open. */
bool fanotify_hinders_exec(void);
/* Closes the program's groups, so that nobody waits for it any more. */
void fanotify_end(void);
/* Of every read: one of fanotify goes to a buffer of the proxy's. */
bool decode_fanotify_read(struct call *c, int64_t *answer);
void finish_fanotify_read(struct call *c, int64_t r);
/* A descriptor came from another process: it may be one. */
void fanotify_came(int fd);

#endif
