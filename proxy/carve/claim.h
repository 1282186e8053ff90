/* SPDX-License-Identifier: MIT */
/* A plan beside the isles that live on the node, on record before anybody else plans. */
#ifndef PROXY_CARVE_CLAIM_H
#define PROXY_CARVE_CLAIM_H

#include "carve/carve.h"
#include "carve/hold.h"
#include "carve/machine.h"

/*
 * Plans for this process around the cores that isles of other launches have. Ranks of one launch
 * divide what the first of them on record found, though isles may have come and gone since and
 * their cores have been taken out of everybody's affinity. With `hold` this process comes home
 * before (hold_home()). NULL, or one without a journal: nothing goes on record. Where cores have to
 * be shared it says so, with --isolate=require it refuses. With opt->exec the cores are those that
 * the process has already. 0, or LULL_EXIT_FAILED after one message().
 */
int claim_plan(const char *root, struct hold *hold, const struct options *opt, const char *program,
               struct carve_plan *out);

/* What claim_plan() would plan with: m->allowed as it has to be, and `busy` for carve_plan_on(). */
void claim_look(const char *root, const struct options *opt, struct machine *m, cpu_set_t *busy);

#endif
