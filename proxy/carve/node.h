/* SPDX-License-Identifier: MIT */
/* What there is on this node: lull ps, lull gc, lull doctor. To stdout. */
#ifndef PROXY_CARVE_NODE_H
#define PROXY_CARVE_NODE_H

#include <stdio.h>

#define NODE_EXIT_BUSY 75 /* of node_gc(): EX_TEMPFAIL of sysexits.h */

/*
 * `root` is put before every path ("" on a true machine). Return the exit status: 0, or
 * LULL_EXIT_FAILED after one message().
 */
int node_ps(const char *root, FILE *out);
/* Failed also when something could not be put back, which is named. */
int node_gc(const char *root, FILE *out);
/* Always 0, but for output that cannot be written. */
int node_doctor(const char *root, FILE *out);

#endif
