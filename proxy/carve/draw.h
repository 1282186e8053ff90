/* SPDX-License-Identifier: MIT */
/* Plans as text, for people: lines of at most DRAW_WIDTH characters. */
#ifndef PROXY_CARVE_DRAW_H
#define PROXY_CARVE_DRAW_H

#include <stdio.h>

#include "carve/machine.h"

#define DRAW_WIDTH 80

/* What a run would have: cores in the isle's order, idle siblings, Linux's CPUs, memory by node. */
void draw_facts(FILE *f, const struct carve_plan *plan);

/*
 * The machine with its packages, nodes, caches and cores, whose each CPU is, and below it the facts
 * of every rank. Runs of what looks alike are folded. 0, or LULL_EXIT_FAILED after one message().
 */
int draw_machine(FILE *f, const struct machine *m, const struct carve_plan *plans, unsigned ranks);

/* `lull plan`: the machine at hand or opt->topology, the plan for it on stdout. Its exit status. */
int draw_command(const struct options *opt);

#endif
