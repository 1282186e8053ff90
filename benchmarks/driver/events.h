/* SPDX-License-Identifier: MIT */
/*
 * What disturbed the cores, counted by cause: the isle's own report of the marked section, and
 * /proc/interrupts of Linux. An object: by kind, by cause, the counts by core,
 * {"exits": {"mark": [2, 0]}, "interrupts": {"LOC Local timer interrupts": [250, 251]}}.
 */
#ifndef DRIVER_EVENTS_H
#define DRIVER_EVENTS_H

#include <jansson.h>
#include <stdio.h>

#include "driver/driver.h"

/* Interrupts of these CPUs so far. NULL after a line. */
json_t *events_read_interrupts(const struct cpus *cpus);
/* The same from a file laid out like /proc/interrupts. */
json_t *events_read_interrupts_from(const char *path, const struct cpus *cpus);
/* sum += after - before. 0, or -1 after a line. */
int events_add_difference(json_t *sum, const json_t *before, const json_t *after);
/*
 * sum += the marked section of a report of `lull --report=FILE`; *seconds += its length. It is to
 * be about `cores` of the cpus (an MPI rank has not all of them).
 * 0, or -1 after a line, also when there is no marked section.
 */
int events_add_report(json_t *sum, double *seconds, const char *path, const struct cpus *cpus,
                      unsigned cores);
/* Sum over all causes of a kind, all cores; without: a cause that is not counted, or NULL. */
double events_total(const json_t *events, const char *kind, const char *without);
/* Of one cause, all cores; 0 when it never occurred. */
double events_count(const json_t *events, const char *kind, const char *cause);
/* A line per cause that occurred. */
void events_print(FILE *f, const json_t *events, const struct cpus *cpus);

#endif
