/* SPDX-License-Identifier: MIT */
/* Command line and LULL_* environment of `lull`; see man/lull.1. The command line wins. */
#ifndef PROXY_CLI_OPTIONS_H
#define PROXY_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum engine_choice { ENGINE_AUTO = 0, ENGINE_KVM };

#define OPTIONS_SPIN_FOREVER UINT64_MAX

struct options {
    const char *cpus;   /* --cpus / LULL_CPUS: "N" or a list "0,2-3"; NULL: decided by carve */
    uint64_t mem;       /* --mem / LULL_MEM: bytes; 0: decided by carve */
    enum engine_choice engine; /* --engine / LULL_ENGINE */
    uint64_t spin_us;   /* --spin / LULL_SPIN: microseconds, or OPTIONS_SPIN_FOREVER ("forever") */
    bool report;        /* --report / LULL_REPORT=1: text on stderr */
    const char *report_file; /* --report=FILE / LULL_REPORT=FILE: JSON to FILE */
    double timeout_s;   /* --timeout / LULL_TIMEOUT: seconds, suffix s/m/h as timeout(1); 0: none */
    bool dry_run;       /* --dry-run / LULL_DRY_RUN */
    bool verbose;       /* --verbose / LULL_VERBOSE */
    bool no_rewrite;    /* --no-rewrite / LULL_NO_REWRITE */
    int argc;           /* PROGRAM ARGS... */
    char **argv;
};

#define OPTIONS_DONE (-1) /* --help or --version was answered: exit 0 */

/*
 * Fills *out. Returns 0, OPTIONS_DONE, or LULL_EXIT_FAILED after one message() that names the bad
 * option or variable and says what is expected. Parsing stops at the first non-option (getopt "+"),
 * so the program's own options are left alone. An optional first word "run" is skipped.
 */
int options_parse(int argc, char **argv, struct options *out);

/* "512M", "2G", "1.5G", "4096K", plain bytes; binary units. 0 or -1. Units: bytes. */
int options_parse_size(const char *text, uint64_t *bytes);
/* "90", "1.5m", "2h": seconds. 0 or -1. */
int options_parse_duration(const char *text, double *seconds);

#endif
