/* SPDX-License-Identifier: MIT */
/* What ranks that share a node are told in their environment. */
#ifndef PROXY_RUN_RANKS_H
#define PROXY_RUN_RANKS_H

#include "carve/carve.h"
#include "carve/settings.h"

/*
 * Sets variables of the program's environment that the user has not set. To be called before any
 * thread is started. Each variable that was set is added to `settings`.
 *
 * UCX_MAX_RNDV_RAILS. Between ranks of a node a message from 16 KiB on is copied by Linux
 * (process_vm_readv): each call is an exit where no core is left to Linux, and waits for one of few
 * where there are many ranks. UCX_MAX_RNDV_RAILS=0 leaves UCX no way for them but shared memory,
 * which nobody leaves an isle for. (UCX_RNDV_THRESH would too, but then MPICH 4.0 loses messages
 * that UCX cuts within a number: tests/mpi/types.c.) It is left alone if the job has ranks on other
 * nodes, because there it means the network as well.
 *
 * OMPI_MCA_mpi_yield_when_idle=1, for ranks of Open MPI (or of PMIx, by srun) that share a core.
 * Open MPI sets it itself only where there are more ranks than slots, and a hostfile or a binding
 * can say other slots than there are cores; ranks that spin then take turns by time slices.
 */
void ranks_advise(const struct carve_plan *plan, struct settings *settings);

#endif
