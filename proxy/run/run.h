/* SPDX-License-Identifier: MIT */
/* One isle from start to end. */
#ifndef PROXY_RUN_RUN_H
#define PROXY_RUN_RUN_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "carve/carve.h"
#include "carve/settings.h"
#include "cli/options.h"
#include "program/program.h"
#include "rlimits.h"

struct hold;

struct run_request {
    const struct options *opt;
    const struct carve_plan *plan;
    const struct program *program;
    uint64_t started_ns;          /* CLOCK_MONOTONIC at the start of the process */
    uint64_t mask, ignored;       /* signals that the program inherits as such, bit n-1: signal n */
    struct lull_itimer itimer[3]; /* that it inherits, as of lull_boot */
    unsigned npending;
    siginfo_t pending[64];     /* signals that are pending for it */
    struct lull_limits limits; /* that the program inherits */
    cpu_set_t affinity;        /* of the process at its start */
    struct hold *hold;         /* of the cores; its journal: hold_journal() */
    struct settings *settings;
    unsigned rank; /* in the job */
};

struct run_result {
    int status; /* exit status, 0..255 */
    int signo;  /* not 0: the program died by it; so should the proxy */
};

/* "kvm (why)": what run_isle() would take. 0, or LULL_EXIT_FAILED after one message(). */
int run_name_engine(const struct run_request *req, char *out, size_t size);

/* Ends this process by the signal; with a core file if its program would leave one and its memory
   is still there, which run_keep_memory() says. */
void run_die_by(int signo);
bool run_leaves_core(int signo);
void run_keep_memory(void);

/* From now on every signal waits for its reader, but those of the proxy's own faults. */
void run_block_signals(void);

/* Blocks until the isle has ended and everything is given back. */
void run_isle(const struct run_request *req, struct run_result *out);

#endif
