/* SPDX-License-Identifier: MIT */
#include "run/ranks.h"

#include <stdio.h>
#include <stdlib.h>

#include "carve/launcher.h"
#include "message.h"

static const struct {
    const char *name, *value;
} advice[] = {{"UCX_RNDV_THRESH", "2m"}, {"UCX_CMA_SEG_SIZE", "8m"}};

void ranks_advise(const struct carve_plan *plan, struct settings *settings)
{
    struct launcher l;
    launcher_read(&l);
    if (!plan->slow_copies || launcher_job_ranks() != l.ranks)
        return;
    for (size_t i = 0; i < sizeof advice / sizeof *advice; i++) {
        char what[80];
        if (getenv(advice[i].name) || setenv(advice[i].name, advice[i].value, 0))
            continue;
        snprintf(what, sizeof what, "%s of the program", advice[i].name);
        settings_add(settings, what, NULL, advice[i].value, NULL);
        verbose("%s=%s: Linux keeps fewer cores than there are ranks, so it is to copy little "
                "between them",
                advice[i].name, advice[i].value);
    }
}
