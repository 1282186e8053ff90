/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVE_FANOTIFY_H
#define PROXY_SERVE_FANOTIFY_H

#include "serve/call.h"

bool decode_fanotify_init(struct call *c, int64_t *answer);
/* Of every read: one of fanotify goes to a buffer of the proxy's. */
bool decode_fanotify_read(struct call *c, int64_t *answer);
void finish_fanotify_read(struct call *c, int64_t r);
/* A descriptor came from another process: it may be one. */
void fanotify_came(int fd);

#endif
