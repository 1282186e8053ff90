/* SPDX-License-Identifier: MIT */
/* Included first by every test: cmocka, and each case once with a poller and once without. */
#ifndef TESTS_SERVE_CASES_H
#define TESTS_SERVE_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rig.h"

static int open_polled(void **state)
{
    struct rig *r = *state = malloc(sizeof *r);
    rig_open(r, true);
    return 0;
}

static int open_unpolled(void **state)
{
    struct rig *r = *state = malloc(sizeof *r);
    rig_open(r, false);
    return 0;
}

static int close_rig(void **state)
{
    struct rig *r = *state;
    rig_close(r);
    free(r);
    return 0;
}

#define BOTH(f)                                                                                    \
    {#f " (Linux core left)", f, open_polled, close_rig, NULL},                                    \
    {                                                                                              \
#f " (no Linux core)", f, open_unpolled, close_rig, NULL                                   \
    }

/* Not mapped, not NULL, outside the isle. */
#define BAD 0x666000ul

#endif
