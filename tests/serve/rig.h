/* SPDX-License-Identifier: MIT */
/* A fake isle on the host, and the kernel's side of its channels, for tests of the server. */
#ifndef TESTS_SERVE_RIG_H
#define TESTS_SERVE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "isle/isle.h"
#include "serve/serve.h"

#define RIG_CORES 2
#define RIG_APP_SIZE (1u << 20) /* bytes of application memory; unmapped pages on both sides */
#define RIG_FD_LOW 200          /* descriptors of the proxy's own begin here */

struct isle {
    unsigned ncores;
    char *app;
    size_t app_size;
    struct lull_channel *channel[RIG_CORES];
};

struct rig {
    struct isle isle;
    struct server *server;
    bool poller;
    char *app; /* = isle.app */
    unsigned rung[RIG_CORES];
    unsigned broken;
    char why[200];
    struct {
        bool there;
        int64_t result;
    } done[RIG_CORES][LULL_CHAN_SLOTS];
};

void rig_open(struct rig *r, bool poller);
void rig_close(struct rig *r);

/* Submits and rings if the channel asks for it. */
void rig_submit(struct rig *r, unsigned core, unsigned slot, uint32_t nr, const uint64_t arg[6]);
/* In the name of a child that LULL_NR_SPAWN gave. */
void rig_submit_as(struct rig *r, unsigned core, unsigned slot, uint32_t nr, const uint64_t arg[6],
                   uint64_t child);
/* True and *result when the call of that slot completed within `ms`. */
bool rig_wait(struct rig *r, unsigned core, unsigned slot, int64_t *result, int ms);

unsigned rig_rung(struct rig *r); /* rings of all cores so far */

/* One call on slot 0 of core 0, with its result; fails the test when none comes. */
int64_t rig_call6(struct rig *r, uint32_t nr, const uint64_t arg[6]);
#define rig_call(r, nr, ...) rig_call6(r, nr, (const uint64_t[6]){__VA_ARGS__})
#define U(p) ((uint64_t)(uintptr_t)(p))

#endif
