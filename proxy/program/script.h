/* SPDX-License-Identifier: MIT */
/* The first line of a #! script, read as Linux does (fs/binfmt_script.c, Linux 6.1). */
#ifndef PROXY_PROGRAM_SCRIPT_H
#define PROXY_PROGRAM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCRIPT_LINE_MAX 256 /* bytes of the file that count, "#!" included */
#define SCRIPT_NESTING_MAX 5

struct script {
    char interpreter[SCRIPT_LINE_MAX];
    bool has_arg;
    char arg[SCRIPT_LINE_MAX]; /* all the rest of the line: one argument, blanks inside kept */
};

/*
 * `head`: the first bytes of the file. False: not a script that Linux would run, because it does
 * not begin with "#!", names no interpreter, or the name does not end within SCRIPT_LINE_MAX.
 */
bool script_parse(const uint8_t *head, size_t head_len, struct script *out);

#endif
