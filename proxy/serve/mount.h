/* SPDX-License-Identifier: MIT */
/* Decoders of calls that change which directory a path means. As the other decoders (call.h). */
#ifndef PROXY_SERVE_MOUNT_H
#define PROXY_SERVE_MOUNT_H

#include "serve/call.h"

bool decode_mount(struct call *c, int64_t *answer);
bool decode_fsopen(struct call *c, int64_t *answer);
bool decode_open_tree(struct call *c, int64_t *answer);
bool decode_chroot(struct call *c, int64_t *answer);
/* Closes what the decoder opened. */
void finish_mount(const struct call *c);

#endif
