/* SPDX-License-Identifier: MIT */
/* What an isle finds when it starts: kernel, vDSO, program, tables, boot information. */
#ifndef PROXY_ISLE_BOOT_H
#define PROXY_ISLE_BOOT_H

#include <stdint.h>

#include "carve/carve.h"
#include "cli/options.h"
#include "isle/isle_priv.h"
#include "program/program.h"
#include "rlimits.h"

struct boot_request {
    const struct options *opt;
    const struct carve_plan *plan;
    const struct program *program;
    char **envp;
    struct engine_features features;
    const struct lull_limits *limits;
    const struct lull_itimer *itimer; /* three */
    uint64_t mask, ignored; /* signals that the program inherits as such, bit n-1: signal n */
    uint64_t signalfds;     /* signals of inherited signalfds */
};

/* Copies and places everything. Before isle_attach(). 0 or 125/126 after one message(). */
int boot_kernel(struct isle *isle);
int boot_program(struct isle *isle, const struct boot_request *req);

/* load.c: program and dynamic loader at their addresses; fills what of b tells of them. 0 or
   125/126 after one message(). */
int load_program(struct isle *isle, const struct program *p, bool no_aslr, struct lull_boot *b);

/* Descriptor tables and page tables of all cores; 0x0 of the GDT and TSS of core i are at
   LULL_SYSTABLES + i * LULL_SYS_STRIDE. */
void boot_tables(struct isle *isle);

/* What needs the engine's clock: the rest of the boot information, and the time page. */
void boot_clock(const struct options *opt, const struct engine_clock *clock);

/* Clock parameters; called at start and now and then. */
void timepage_init(const struct engine_clock *clock);
void timepage_refresh(void);
/* The process may have other clocks than before, by a time namespace: the page shows them, even if
   they run behind it. While no core runs. */
void timepage_renew(void);
void timepage_forked(void); /* in a forked child, which has this thread alone */
/* Somebody has set CLOCK_REALTIME or CLOCK_TAI: reads them anew at once, and counts it. False: the
   isle has a time of its own. Any thread. */
bool timepage_clock_set(void);

#endif
