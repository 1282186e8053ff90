/* SPDX-License-Identifier: MIT */
/* What ranks that share a node are told in their environment. */
#ifndef PROXY_RUN_RANKS_H
#define PROXY_RUN_RANKS_H

#include "carve/carve.h"
#include "carve/settings.h"

/*
 * Between ranks of a node a large message is copied by Linux (process_vm_readv, 512 KiB a call):
 * each call is an exit where no core is left to Linux, and waits for one of few where there are
 * many ranks. Shared memory, which nobody leaves an isle for, is faster then for messages below
 * 2 MiB, and larger ones are better copied by few calls. UCX is told so by UCX_RNDV_THRESH and
 * UCX_CMA_SEG_SIZE, unless they are set already, or the job has ranks on other nodes, where the
 * former means the network as well. Before any thread is started; what was set is added to
 * `settings`.
 */
void ranks_advise(const struct carve_plan *plan, struct settings *settings);

#endif
