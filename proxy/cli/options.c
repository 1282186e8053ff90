/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "message.h"
#include "rlimits.h"
#include "sigstate.h"

/*
 * One row per option. A setter returns NULL, or what was expected. `value` is NULL for an option
 * that was given without one.
 */
struct option_row {
    const char *name;
    int has_arg;
    const char *variable;
    const char *(*set)(struct options *o, const char *value);
};

static const char *set_cpus(struct options *o, const char *value)
{
    struct cpu_request r;
    if (options_parse_cpus(value, &r) != 0)
        return "a number of cores, or a list of up to 240 different CPUs such as 0,2-3";
    o->cpus = value;
    return NULL;
}

static const char *set_nodes(struct options *o, const char *value)
{
    struct node_request r;
    if (options_parse_nodes(value, &r) != 0)
        return "a number of NUMA nodes, or a list such as 0,2-3 (1-1: only node 1)";
    o->nodes = value;
    return NULL;
}

static const char *set_mem(struct options *o, const char *value)
{
    if (options_parse_size(value, &o->mem) != 0 || o->mem < LULL_HUGE)
        return "a size of at least 2M, such as 512M or 1.5G";
    return NULL;
}

static const char *const engine_names[] = {[ENGINE_AUTO] = "auto",
                                           [ENGINE_KVM] = "kvm",
                                           [ENGINE_QEMU] = "qemu",
                                           [ENGINE_QEMU_KVM] = "qemu-kvm",
                                           [ENGINE_QEMU_TCG] = "qemu-tcg"};

const char *options_engine_name(enum engine_choice engine)
{
    return engine_names[engine];
}

static const char *set_engine(struct options *o, const char *value)
{
    for (unsigned i = 0; i < sizeof engine_names / sizeof *engine_names; i++) {
        if (strcmp(value, engine_names[i]) == 0) {
            o->engine = (enum engine_choice)i;
            return NULL;
        }
    }
    return "auto, kvm, qemu, qemu-kvm or qemu-tcg";
}

static const char *const isolate_names[] = {
    [ISOLATE_AUTO] = "auto", [ISOLATE_NO] = "no", [ISOLATE_REQUIRE] = "require"};

const char *options_isolate_name(enum isolate_choice isolate)
{
    return isolate_names[isolate];
}

static const char *set_isolate(struct options *o, const char *value)
{
    for (unsigned i = 0; i < sizeof isolate_names / sizeof *isolate_names; i++) {
        if (strcmp(value, isolate_names[i]) == 0) {
            o->isolate = (enum isolate_choice)i;
            return NULL;
        }
    }
    return "auto, no or require";
}

static const char *const numa_names[] = {[NUMA_AUTO] = "auto",
                                         [NUMA_BIND] = "bind",
                                         [NUMA_INTERLEAVE] = "interleave",
                                         [NUMA_FIRST_TOUCH] = "first-touch"};

const char *options_numa_name(enum numa_choice numa)
{
    return numa_names[numa];
}

static const char *set_numa(struct options *o, const char *value)
{
    for (unsigned i = 0; i < sizeof numa_names / sizeof *numa_names; i++) {
        if (strcmp(value, numa_names[i]) == 0) {
            o->numa = (enum numa_choice)i;
            return NULL;
        }
    }
    return "auto, bind, interleave or first-touch";
}

static const char *set_hugetlb(struct options *o, const char *value)
{
    uint64_t bytes = OPTIONS_HUGETLB_MEM;
    if (value && (options_parse_size(value, &bytes) != 0 || bytes > OPTIONS_HUGETLB_MEM / 2))
        return "a size such as 4G, or 0 for no such pages";
    o->hugetlb = bytes ? bytes : OPTIONS_HUGETLB_NONE;
    return NULL;
}

static const char *set_spin(struct options *o, const char *value)
{
    if (strcmp(value, "forever") == 0) {
        o->spin_us = OPTIONS_SPIN_FOREVER;
        return NULL;
    }
    uint64_t us = 0;
    if (*value == '\0' || value[strspn(value, "0123456789")] != '\0' ||
        options_parse_size(value, &us) != 0 || us > OPTIONS_SPIN_MAX)
        return "microseconds up to 1000000000, or forever";
    o->spin_us = us;
    return NULL;
}

static const char *set_report(struct options *o, const char *value)
{
    static const char detours[] = "detours";
    size_t n = sizeof detours - 1;
    if (value && strncmp(value, detours, n) == 0 && (value[n] == ',' || value[n] == '\0')) {
        o->detours = true;
        value = value[n] ? value + n + 1 : NULL;
    }
    if (!value)
        o->report = true;
    else if (*value == '\0')
        return "a file name behind the =";
    else
        o->report_file = value;
    return NULL;
}

static const char *set_timeout(struct options *o, const char *value)
{
    if (options_parse_duration(value, &o->timeout_s) != 0)
        return "seconds, or a number with s, m, h or d";
    return NULL;
}

/* "1" and "0", and what people write instead of them; from the environment only. */
static const char *parse_bool(const char *value, bool *out)
{
    static const char *const words[2][5] = {{"0", "no", "off", "false", "n"},
                                            {"1", "yes", "on", "true", "y"}};
    for (int on = 0; on < 2; on++)
        for (int i = 0; i < 5; i++)
            if (strcasecmp(value, words[on][i]) == 0) {
                *out = on;
                return NULL;
            }
    return "1 or 0";
}

static const char *set_flag(bool *flag, const char *value)
{
    return parse_bool(value ? value : "1", flag);
}

static const char *set_dry_run(struct options *o, const char *value)
{
    return set_flag(&o->dry_run, value);
}

static const char *set_verbose(struct options *o, const char *value)
{
    return set_flag(&o->verbose, value);
}

static const char *set_no_rewrite(struct options *o, const char *value)
{
    return set_flag(&o->no_rewrite, value);
}

static const char *set_smt(struct options *o, const char *value)
{
    return set_flag(&o->smt, value);
}

static const char *set_oversubscribe(struct options *o, const char *value)
{
    return set_flag(&o->oversubscribe, value);
}

static const char *set_virtual_time(struct options *o, const char *value)
{
    return set_flag(&o->virtual_time, value);
}

static const char *set_no_aslr(struct options *o, const char *value)
{
    return set_flag(&o->no_aslr, value);
}

static const char *set_exec(struct options *o, const char *value)
{
    if (*value == '\0')
        return "a file name";
    o->exec = value;
    return NULL;
}

static const char *set_topology(struct options *o, const char *value)
{
    if (*value == '\0')
        return "a file of lstopo's XML, or a description such as 'pack:2 core:4 pu:2'";
    o->topology = value;
    return NULL;
}

static const char *set_ranks(struct options *o, const char *value)
{
    uint64_t n = 0;
    if (value[strspn(value, "0123456789")] != '\0' || options_parse_size(value, &n) != 0 ||
        n == 0 || n > OPTIONS_RANKS_MAX)
        return "a number of ranks, 1 to 4096";
    o->ranks = (unsigned)n;
    return NULL;
}

/* Of lull's own making (run/exec.c). */
static const char *set_device(struct options *o, const char *value)
{
    uint64_t fd = 0;
    if (value[strspn(value, "0123456789")] != '\0' || options_parse_size(value, &fd) != 0 ||
        fd > INT32_MAX)
        return "a descriptor";
    o->device = (int)fd;
    return NULL;
}

static const char *set_limits(struct options *o, const char *value)
{
    struct lull_limits l;
    if (limits_parse(value, &l))
        return "what lull tells the next lull";
    o->limits = value;
    return NULL;
}

static const char *set_program(struct options *o, const char *value)
{
    int end = 0;
    if (sscanf(value, "%d,%d%n", &o->program_fd[0], &o->program_fd[1], &end) != 2 || value[end] ||
        o->program_fd[0] < 0)
        return "two descriptors";
    return NULL;
}

static const char *set_descriptors(struct options *o, const char *value)
{
    int *own = o->descriptors, end = 0;
    if (sscanf(value, "%d,%d%n", &own[0], &own[1], &end) != 2 || value[end] || own[0] <= 0 ||
        own[1] <= own[0])
        return "what lull tells the next lull";
    return NULL;
}

static const char *set_signals(struct options *o, const char *value)
{
    uint64_t mask, ignored;
    if (!sigstate_parse(value, &mask, &ignored))
        return "what lull tells the next lull";
    o->signals = value;
    return NULL;
}

static const char *set_keeper(struct options *o, const char *value)
{
    if (value[strspn(value, "0123456789,-")] != '\0')
        return "what lull tells the next lull";
    o->keeper = value;
    return NULL;
}

static const struct option_row rows[] = {
    {"cpus", required_argument, "LULL_CPUS", set_cpus},
    {"nodes", required_argument, "LULL_NODES", set_nodes},
    {"smt", no_argument, "LULL_SMT", set_smt},
    {"oversubscribe", no_argument, "LULL_OVERSUBSCRIBE", set_oversubscribe},
    {"mem", required_argument, "LULL_MEM", set_mem},
    {"engine", required_argument, "LULL_ENGINE", set_engine},
    {"isolate", required_argument, "LULL_ISOLATE", set_isolate},
    {"numa", required_argument, "LULL_NUMA", set_numa},
    {"hugetlb", optional_argument, "LULL_HUGETLB", set_hugetlb},
    {"spin", required_argument, "LULL_SPIN", set_spin},
    {"report", optional_argument, "LULL_REPORT", set_report},
    {"timeout", required_argument, "LULL_TIMEOUT", set_timeout},
    {"dry-run", no_argument, "LULL_DRY_RUN", set_dry_run},
    {"verbose", no_argument, "LULL_VERBOSE", set_verbose},
    {"no-rewrite", no_argument, "LULL_NO_REWRITE", set_no_rewrite},
    {"virtual-time", no_argument, "LULL_VIRTUAL_TIME", set_virtual_time},
    {"no-aslr", no_argument, "LULL_NO_ASLR", set_no_aslr},
    {"topology", required_argument, NULL, set_topology},
    {"ranks", required_argument, NULL, set_ranks},
    {"exec", required_argument, NULL, set_exec},
    {"device", required_argument, NULL, set_device},
    {"limits", required_argument, NULL, set_limits},
    {"program", required_argument, NULL, set_program},
    {"descriptors", required_argument, NULL, set_descriptors},
    {"signals", required_argument, NULL, set_signals},
    {"keeper", required_argument, NULL, set_keeper},
};
#define ROWS (sizeof rows / sizeof rows[0])

enum { HELP = ROWS, VERSION, LONG_OPTIONS, FIRST_VALUE = 256 };

/* What getopt_long(3) calls '?' or ':'. A long option's word is the one just passed. */
static int complain(int c, char **argv)
{
    if (c == ':')
        message("--%s needs a value; see lull --help", rows[optopt - FIRST_VALUE].name);
    else if (optopt >= FIRST_VALUE)
        message("%s: this option takes no value; see lull --help", argv[optind - 1]);
    else if (optopt != 0)
        message("-%c: no such option; see lull --help", optopt);
    else
        message("%s: no such option, or short for several; see lull --help", argv[optind - 1]);
    return LULL_EXIT_FAILED;
}

static int parse_line(int argc, char **argv, struct options *out, bool *given)
{
    struct option table[LONG_OPTIONS + 1] = {0};
    for (int i = 0; i < LONG_OPTIONS; i++) {
        table[i].name = i == HELP ? "help" : i == VERSION ? "version" : rows[i].name;
        table[i].has_arg = i < HELP ? rows[i].has_arg : no_argument;
        table[i].val = FIRST_VALUE + i;
    }
    opterr = 0;
    optind = 0; /* glibc: start anew */
    for (int c; (c = getopt_long(argc, argv, "+:h", table, NULL)) != -1;) {
        if (c == '?' || c == ':')
            return complain(c, argv);
        if (c == 'h' || c == FIRST_VALUE + HELP)
            return options_print_help() == 0 ? OPTIONS_DONE : LULL_EXIT_FAILED;
        if (c == FIRST_VALUE + VERSION)
            return options_print_version() == 0 ? OPTIONS_DONE : LULL_EXIT_FAILED;
        const struct option_row *row = &rows[c - FIRST_VALUE];
        const char *expected = row->set(out, optarg);
        if (expected) {
            message("--%s '%s': expected %s", row->name, optarg ? optarg : "", expected);
            return LULL_EXIT_FAILED;
        }
        given[c - FIRST_VALUE] = true;
    }
    out->argc = argc - optind;
    out->argv = argv + optind;
    return 0;
}

static int parse_environment(struct options *out, const bool *given)
{
    for (size_t i = 0; i < ROWS; i++) {
        const char *value = rows[i].variable ? getenv(rows[i].variable) : NULL;
        if (!value || *value == '\0' || given[i])
            continue;
        const char *expected = NULL;
        bool on = false;
        if (rows[i].has_arg == optional_argument && !parse_bool(value, &on))
            expected = on ? rows[i].set(out, NULL) : NULL;
        else
            expected = rows[i].set(out, value);
        if (expected) {
            message("%s='%s': expected %s", rows[i].variable, value, expected);
            return LULL_EXIT_FAILED;
        }
    }
    return 0;
}

static const struct command_row {
    const char *word;
    enum lull_command command;
    bool program; /* PROGRAM must follow, else nothing may */
} commands[] = {
    {"run", COMMAND_RUN, true}, {"check", COMMAND_CHECK, true}, {"plan", COMMAND_PLAN, false},
    {"ps", COMMAND_PS, false},  {"gc", COMMAND_GC, false},      {"doctor", COMMAND_DOCTOR, false},
};

static const struct command_row *command_find(const char *word)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(word, commands[i].word) == 0)
            return &commands[i];
    }
    return NULL;
}

int options_parse(int argc, char **argv, struct options *out)
{
    bool given[ROWS] = {false};
    *out = (struct options){.spin_us = OPTIONS_SPIN_DEFAULT, .device = -1, .program_fd = {-1, -1}};
    const struct command_row *command = argc > 1 ? command_find(argv[1]) : NULL;
    if (command) {
        out->command = command->command;
        argv++;
        argc--;
    }
    int rc = parse_line(argc, argv, out, given);
    if (rc == 0)
        rc = parse_environment(out, given);
    if (rc != 0)
        return rc;
    if (out->command != COMMAND_PLAN && (out->topology || out->ranks)) {
        message("--%s is for lull plan", out->topology ? "topology" : "ranks");
        return LULL_EXIT_FAILED;
    }
    if (out->hugetlb == OPTIONS_HUGETLB_MEM && !(out->hugetlb = out->mem)) {
        message("--hugetlb: how much? --hugetlb=4G, or --mem");
        return LULL_EXIT_FAILED;
    }
    bool program = !command || command->program;
    if (program && out->argc == 0) {
        message("no program given; usage: lull [run|check] [options] [--] PROGRAM [ARGS...]");
        return LULL_EXIT_FAILED;
    }
    if (!program && out->argc > 0) {
        message("lull %s takes no '%s'; a program of that name: lull run %s", command->word,
                out->argv[0], command->word);
        return LULL_EXIT_FAILED;
    }
    return 0;
}
