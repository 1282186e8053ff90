/* SPDX-License-Identifier: MIT */
/* Command line and LULL_* environment of `lull`; see man/lull.1. The command line wins. */
#ifndef PROXY_CLI_OPTIONS_H
#define PROXY_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <lull/memmap.h>

enum engine_choice {
    ENGINE_AUTO = 0, /* kvm, else qemu */
    ENGINE_KVM,
    ENGINE_QEMU, /* with KVM where that works, else with TCG */
    ENGINE_QEMU_KVM,
    ENGINE_QEMU_TCG,
};

enum isolate_choice {
    ISOLATE_AUTO = 0, /* what is permitted */
    ISOLATE_NO,       /* affinity alone */
    ISOLATE_REQUIRE,  /* everything that keeps a core quiet, or exit 125 */
};

enum numa_choice { NUMA_AUTO = 0, NUMA_BIND, NUMA_INTERLEAVE, NUMA_FIRST_TOUCH };

const char *options_numa_name(enum numa_choice numa); /* as --numa takes it */

enum lull_command {                  /* the first word */
                    COMMAND_RUN = 0, /* also without a word */
                    COMMAND_CHECK,
                    COMMAND_PS,
                    COMMAND_GC,
                    COMMAND_DOCTOR,
                    COMMAND_PLAN,
};

const char *options_engine_name(enum engine_choice engine);    /* as --engine takes it */
const char *options_isolate_name(enum isolate_choice isolate); /* as --isolate takes it */

#define OPTIONS_HUGETLB_NONE UINT64_MAX
#define OPTIONS_HUGETLB_MEM (UINT64_MAX - 1) /* as much as --mem; options_parse() puts that in */
#define OPTIONS_SPIN_FOREVER UINT64_MAX
#define OPTIONS_SPIN_DEFAULT 200u       /* microseconds */
#define OPTIONS_SPIN_MAX 1000000000ull  /* microseconds: 1000 s */
#define OPTIONS_RANKS_MAX 4096u         /* ranks on one node */
#define OPTIONS_TIMEOUT_MAX 1000000000. /* seconds: 31 years */

#define OPTIONS_MAX_NODE 1024 /* Linux's greatest number of NUMA nodes */

struct options {
    const char *cpus;          /* --cpus / LULL_CPUS: "N" or a list "0,2-3", known to be well formed
                                  (options_parse_cpus); NULL: decided by carve */
    const char *nodes;         /* --nodes / LULL_NODES: "N" or a list, as for cpus
                                  (options_parse_nodes); NULL: one node */
    bool smt;                  /* --smt / LULL_SMT: hyperthreads are cores, too */
    bool oversubscribe;        /* --oversubscribe / LULL_OVERSUBSCRIBE: ranks may share cores */
    uint64_t mem;              /* --mem / LULL_MEM: bytes, >= 2 MiB; 0: decided by carve */
    enum engine_choice engine; /* --engine / LULL_ENGINE */
    enum isolate_choice isolate; /* --isolate / LULL_ISOLATE */
    enum numa_choice numa;       /* --numa / LULL_NUMA; AUTO: bind, over several nodes interleave */
    uint64_t hugetlb;            /* --hugetlb / LULL_HUGETLB: bytes to be reserved; 0: what the pool
                                    has free, OPTIONS_HUGETLB_NONE: not even that */
    uint64_t spin_us;            /* --spin / LULL_SPIN: microseconds, 0 .. OPTIONS_SPIN_MAX, or
                                    OPTIONS_SPIN_FOREVER ("forever") */
    bool report;                 /* --report / LULL_REPORT=1: text on stderr */
    const char *report_file;     /* --report=FILE / LULL_REPORT=FILE: JSON to FILE */
    bool detours;                /* --report=detours[,FILE]: and idle cores watch for gaps */
    double timeout_s; /* --timeout / LULL_TIMEOUT: seconds, suffix s/m/h/d as timeout(1); 0: none */
    enum lull_command command;
    bool dry_run;         /* --dry-run / LULL_DRY_RUN */
    bool verbose;         /* --verbose / LULL_VERBOSE */
    bool no_rewrite;      /* --no-rewrite / LULL_NO_REWRITE */
    bool no_aslr;         /* --no-aslr / LULL_NO_ASLR */
    bool virtual_time;    /* --virtual-time / LULL_VIRTUAL_TIME */
    int device;           /* --device, from one lull to the next: struct engine_ops; -1: none */
    const char *topology; /* plan --topology: a file of hwloc's XML or a synthetic description;
                             NULL: this machine */
    unsigned ranks;       /* plan --ranks: 1 .. OPTIONS_RANKS_MAX; 0: as the environment says */
    const char *exec;     /* --exec: PROGRAM's file, whatever its name; NULL: found by its name */
    const char *keeper;   /* --keeper, the same way: hold_exec_text(); NULL: none */
    const char *limits;   /* --limits, the same way: limits_print(); NULL: those of this process */
    int program_fd[2];    /* --program, the same way: its file and its loader, open; -1: none */
    int descriptors[2];   /* --descriptors, the same way: ownfd_low(), ownfd_end(); 0: none */
    const char *signals;  /* --signals, the same way: sigstate_print(); NULL: as inherited */
    int argc;             /* PROGRAM ARGS... */
    char **argv;
};

#define OPTIONS_DONE (-1) /* --help or --version was answered: exit 0 */

/*
 * Fills *out. Returns 0, OPTIONS_DONE, or LULL_EXIT_FAILED after one message() that names the bad
 * option or variable and says what is expected. Parsing stops at the first non-option (getopt "+"),
 * so the program's own options are left alone. A first word that is a
 * command is taken; a program of that name is reached by "lull run NAME". Variables
 * that are empty, or whose option is on the command line, are not looked at. *out points into argv
 * and the environment. Not thread safe (getopt).
 */
int options_parse(int argc, char **argv, struct options *out);

/*
 * "512M", "2G", "1.5G", "4096K", plain bytes; binary units K M G T (also KiB, KB ...; any case).
 * 0 or -1: malformed, or 2^64 bytes and more. Units: bytes.
 */
int options_parse_size(const char *text, uint64_t *bytes);
/* "90", "1.5m", "2h": seconds, 0 .. OPTIONS_TIMEOUT_MAX. 0 or -1. */
int options_parse_duration(const char *text, double *seconds);

struct cpu_request {
    bool list;                    /* cpu[] names them; otherwise n of Lull's choice */
    unsigned n;                   /* 1 .. ; of a list at most LULL_MAX_CORES */
    uint16_t cpu[LULL_MAX_CORES]; /* Linux's numbers in the order given, no one twice */
};
/* A plain number is a count; anything with ',' or '-' is a list: "0,2-3", "5-5", "5,". 0 or -1. */
int options_parse_cpus(const char *text, struct cpu_request *out);

struct node_request {
    unsigned max; /* how many nodes an isle may span, 1 .. ; 0: the list says which */
    uint64_t list[OPTIONS_MAX_NODE / 64]; /* bit n of word n / 64: node n */
};
/* "N" or a list, as for cpus; numbers below OPTIONS_MAX_NODE. 0 or -1. */
int options_parse_nodes(const char *text, struct node_request *out);

/* Both to stdout. 0, or LULL_EXIT_FAILED after one message() when stdout cannot be written. */
int options_print_help(void);
int options_print_version(void);

#endif
