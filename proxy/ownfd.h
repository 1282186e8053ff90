/* SPDX-License-Identifier: MIT */
/*
 * The proxy's own descriptors live above every number that the program can get, so that its
 * descriptors have the numbers they would have without Lull, and so that one comparison tells them
 * apart.
 */
#ifndef PROXY_OWNFD_H
#define PROXY_OWNFD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

/* The proxy's own numbers are low .. end - 1; constant after the first call. The program may have
   those below, and those above if its limit reaches there. */
int ownfd_low(void);
int ownfd_end(void);
/* Before the first call of any other: a process that executes itself keeps its numbers. */
void ownfd_adopt(const int range[2], uint64_t soft, uint64_t hard);

/* RLIMIT_NOFILE of the program. Linux's own for this process has room for the proxy's, too. */
void ownfd_limit(struct rlimit *out);
uint64_t ownfd_soft(void);
/* 0 or -errno of setrlimit(2). That a higher hard limit needs CAP_SYS_RESOURCE is for the caller to
   check. */
int ownfd_set_limit(const struct rlimit *program);
/* While lifted, as often as wanted, the proxy opens files although the program has all that it may
   have. */
void ownfd_lift(bool on);
/* Moves fd (>= 0, close-on-exec) up there; answers the new number, or fd itself if there is no
   room. */
int ownfd_hide(int fd);
/* A copy of fd up there; -1 when fd is closed or there is no room. */
int ownfd_copy(int fd);
/* openat(2) of a file of our own, also while the program has all descriptors that it may have. The
   new number or -errno. */
int ownfd_open(int dir, const char *path, int flags);

#endif
