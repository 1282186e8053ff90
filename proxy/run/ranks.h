/* SPDX-License-Identifier: MIT */
/* What ranks that share a node are told in their environment. */
#ifndef PROXY_RUN_RANKS_H
#define PROXY_RUN_RANKS_H

#include "carve/carve.h"
#include "carve/settings.h"

/*
 * Between ranks of a node a message from 16 KiB on is copied by Linux (process_vm_readv): each call
 * is an exit where no core is left to Linux, and waits for one of few where there are many ranks.
 * UCX_MAX_RNDV_RAILS=0 leaves UCX no way for them but shared memory, which nobody leaves an isle
 * for. (UCX_RNDV_THRESH would too, but then MPICH 4.0 loses messages that UCX cuts within a number:
 * tests/mpi/types.c.) Nothing is done if the variable is set already, or the job has ranks on other
 * nodes, where it means the network as well. Before any thread is started; what was set is added to
 * `settings`.
 */
void ranks_advise(const struct carve_plan *plan, struct settings *settings);

#endif
