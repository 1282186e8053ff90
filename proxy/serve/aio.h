/* SPDX-License-Identifier: MIT */
/* io_setup(2) and its family. */
#ifndef PROXY_SERVE_AIO_H
#define PROXY_SERVE_AIO_H

#include "serve/call.h"

bool decode_io_setup(struct call *c, int64_t *answer);
bool decode_io_destroy(struct call *c, int64_t *answer);
bool decode_io_submit(struct call *c, int64_t *answer);
bool decode_io_getevents(struct call *c, int64_t *answer);
bool decode_io_cancel(struct call *c, int64_t *answer);
/* After Linux's answer r, whichever of these calls it is; returns the program's. */
int64_t finish_aio(struct call *c, int64_t r);
/* The decoded call is not made after all, or it is finished. */
void aio_end(struct call *c);
/* Returns true if Linux may have raised SIGPIPE or SIGXFSZ for an iocb of io_submit(2). */
bool aio_may_raise(const struct call *c);
/* LULL_NR_AIO_SETTLE */
int64_t call_aio_settle(struct call *c);
/* In a forked child: it has no contexts. */
void aio_forked(void);

#endif
