/* SPDX-License-Identifier: MIT */
/* The proxy's one instance of the table of system calls (lull/syscalls.h). */
#ifndef PROXY_SYSTABLE_H
#define PROXY_SYSTABLE_H

#include <lull/core.h>
#include <lull/syscalls.h>

/* By number; a number that Linux does not have, or Lull does not know: name NULL, class refused. */
extern const struct lull_sysdesc lull_systable[LULL_NR_MAX];

#endif
