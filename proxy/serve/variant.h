/* SPDX-License-Identifier: MIT */
/* Decoders of calls that depend on a command or carry a structure that says how long it is. As the
 * other decoders (call.h): true: Linux is to be asked; false: *answer is the result. */
#ifndef PROXY_SERVE_VARIANT_H
#define PROXY_SERVE_VARIANT_H

#include "serve/call.h"

/* sysfs, quotactl, quotactl_fd, keyctl, fsconfig (lull/variants.h) */
bool decode_variant(struct call *c, int64_t *answer);
/* How much of c->bounce Linux has written when it answered r >= 0. */
size_t variant_written(const struct call *c, int64_t r);
/* statmount, listmount */
bool decode_mount_request(struct call *c, int64_t *answer);
bool decode_mount_setattr(struct call *c, int64_t *answer);
bool decode_xattr_args(struct call *c, int64_t *answer);
bool decode_kcmp(struct call *c, int64_t *answer);

#endif
