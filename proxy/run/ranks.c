/* SPDX-License-Identifier: MIT */
#include "run/ranks.h"

#include <stdlib.h>

#include "carve/launcher.h"
#include "message.h"

#define NAME "UCX_MAX_RNDV_RAILS"
#define OLDER "UCX_MAX_RNDV_LANES" /* the same */
#define VALUE "0"

void ranks_advise(const struct carve_plan *plan, struct settings *settings)
{
    struct launcher l;
    launcher_read(&l);
    if (!plan->slow_copies || launcher_job_ranks() != l.ranks || getenv(NAME) || getenv(OLDER) ||
        setenv(NAME, VALUE, 0))
        return;
    settings_add(settings, NAME " of the program", NULL, VALUE, NULL);
    verbose(NAME "=" VALUE ": Linux keeps fewer cores than there are ranks, so it is to copy "
                 "nothing between them");
}
