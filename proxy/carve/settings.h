/* SPDX-License-Identifier: MIT */
/* What a run changed on Linux's side, or could not: collected while it is carved, for the report.
 */
#ifndef PROXY_CARVE_SETTINGS_H
#define PROXY_CARVE_SETTINGS_H

#include <stddef.h>

struct setting {
    char *what; /* a path, or words: "/proc/irq/24/smp_affinity_list", "policy of CPU 3's thread" */
    char *before; /* the value that was there; NULL: there was none, or nothing is known */
    char *after;  /* the value that was set; NULL: left as it was, and `why` says why */
    char *why;    /* NULL: it was changed as intended */
};

struct settings {
    size_t n;
    struct setting *row; /* in the order in which they were made; no two with the same `what` */
};

/*
 * Adds a row, or replaces that of the same name: its `before` then stays. Copies every text; NULLs
 * are allowed but for `what`. Without memory the row is missing. One thread at a time.
 */
void settings_add(struct settings *s, const char *what, const char *before, const char *after,
                  const char *why);
void settings_free(struct settings *s);

#endif
