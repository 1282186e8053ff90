/* SPDX-License-Identifier: MIT */
/* Pieces of text for drawings. */
#ifndef PROXY_CARVE_DRAW_TEXT_H
#define PROXY_CARVE_DRAW_TEXT_H

#include <sched.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_MAX 4096 /* a list of every other CPU of 1024 takes less */

/* "0-3,8-14:2"; "none". A step other than 1 only for four and more. */
void text_cpus(const cpu_set_t *set, char *text, size_t size);
/* "62.8 GiB", "512.0 MiB". */
void text_bytes(uint64_t bytes, char *text, size_t size);
/* `label`, then text that is broken behind blanks and commas; further lines are indented by what
   the label took, 8 at least. */
void text_wrapped(FILE *f, const char *label, const char *text);
/* More to the end of a text; cut off when it is full. */
void text_append(char *text, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
