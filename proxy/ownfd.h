/* SPDX-License-Identifier: MIT */
/*
 * The proxy's own descriptors live above every number that the program can get, so that its
 * descriptors have the numbers they would have without Lull, and so that one comparison tells them
 * apart.
 */
#ifndef PROXY_OWNFD_H
#define PROXY_OWNFD_H

/* First number of the proxy's own; constant after the first call. Range: 64 .. 2^20. */
int ownfd_low(void);
/* Moves fd (>= 0, close-on-exec) up there; answers the new number, or fd itself if there is no
   room. */
int ownfd_hide(int fd);
/* A copy of fd up there; -1 when fd is closed or there is no room. */
int ownfd_copy(int fd);
/* openat(2) of a file of our own, also while the program has all descriptors that it may have. The
   new number or -errno. */
int ownfd_open(int dir, const char *path, int flags);

#endif
