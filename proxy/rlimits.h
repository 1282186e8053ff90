/* SPDX-License-Identifier: MIT */
/*
 * Limits of the program (getrlimit(2)) that would bind the proxy instead, whose address space and
 * threads are others: LULL_LIMITS_KEPT. The isle keeps them; here they are inherited and handed on.
 */
#ifndef PROXY_RLIMITS_H
#define PROXY_RLIMITS_H

#include <stdbool.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <lull/maps.h>

/* The limits of this process; then those that are kept no longer bind it, as far as it may. */
void limits_take(struct lull_limits *out);

/* As one word for the next lull of this process, and back: 0 or -1. */
/*
 * With an unlimited stack Linux puts a process's mappings where the program may want its own (far
 * windows, MAP_FIXED). This process then executes itself anew with the usual limit and tells what
 * the program's limits are (--limits). Returns if that is not needed or fails. `run_word`: the
 * first argument is "run".
 */
void limits_lay_out(int argc, char **argv, bool run_word);
int limits_print(char *text, size_t size, const struct lull_limits *l);
int limits_parse(const char *text, struct lull_limits *out);

/* The kept ones become those of process `pid`; what it may not be given stays as it was. */
void limits_give(pid_t pid, const struct lull_limits *l);

/*
 * RLIMIT_FSIZE is Linux's to enforce, with the proxy's own hard limit. Lifted, as often as wanted,
 * while the proxy writes files of its own. Thread-safe.
 */
void limits_file_size(uint64_t soft);
void limits_forked(void); /* first thing in a forked child */
void limits_lift(void);
void limits_lower(void);

#endif
