/* SPDX-License-Identifier: MIT */
#include "run/ranks.h"

#include <stdio.h>
#include <stdlib.h>

#include "carve/launcher.h"
#include "message.h"

#define UCX_RAILS "UCX_MAX_RNDV_RAILS"
#define UCX_LANES "UCX_MAX_RNDV_LANES" /* older name of the same */
#define OMPI_YIELD "OMPI_MCA_mpi_yield_when_idle"

static void advise(struct settings *settings, const char *name, const char *value, const char *why)
{
    char what[64];
    if (getenv(name) || setenv(name, value, 0))
        return;
    snprintf(what, sizeof what, "%s of the program", name);
    settings_add(settings, what, NULL, value, NULL);
    verbose("%s=%s: %s", name, value, why);
}

void ranks_advise(const struct carve_plan *plan, struct settings *settings)
{
    struct launcher l;
    launcher_read(&l);
    if (plan->slow_copies && launcher_job_ranks() == l.ranks && !getenv(UCX_LANES))
        advise(
            settings, UCX_RAILS, "0",
            "Linux keeps fewer cores than there are ranks, so it is to copy nothing between them");
    if (plan->with_ranks && (getenv("OMPI_COMM_WORLD_LOCAL_RANK") || getenv("PMIX_RANK")))
        advise(settings, OMPI_YIELD, "1", "ranks share a core, so a rank that waits gives it up");
}
