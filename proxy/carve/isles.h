/* SPDX-License-Identifier: MIT */
/* The isles that live on this node, as far as this user may know. */
#ifndef PROXY_CARVE_ISLES_H
#define PROXY_CARVE_ISLES_H

#include "carve/journal.h"

struct isles {
    struct journal_isle *isle; /* by process number, each once */
    size_t n;
};

/*
 * From all journals that may be read, below `root`. -errno: that of root cannot be; what others
 * have is there all the same. isles_free() in any case.
 */
int isles_scan(const char *root, struct isles *out);
void isles_free(struct isles *s);

#endif
