/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/driver.h"

static const char usage[] =
    "usage: lull-bench [options] NAME [ARGUMENTS]\n"
    "Runs a benchmark natively and on an isle, in turns and on the same CPUs, and compares.\n"
    "\n"
    "  os            system calls, threads, first touch of memory\n"
    "  os-dynamic    the same program, linked dynamically\n"
    "  fwq           fixed work quanta: noise, with a plot\n"
    "  fwq --load[=COMMAND]  the same with every CPU loaded, by spinners or by COMMAND: natively,\n"
    "                natively pinned, natively tuned (cpuset, SCHED_FIFO) and on an isle\n"
    "  strassen [N]  OpenMP tasks; N is 2048 unless given\n"
    "  pread         a forwarded 4 KiB pread, with one core left to Linux and with none\n"
    "  start         from the launch to the first instruction of main\n"
    "  mpi           two ranks of MPICH: latency, bandwidth, allreduce, and how much noise costs\n"
    "                computing and reducing in turns, with a plot; --mpi static: the MPICH of\n"
    "                `make mpich-static`; --only pingpong|allreduce; --quick: figures mean little\n"
    "  all           all of these\n"
    "  noise --virtual [--samples N] [--us US] [--kernel FILE]\n"
    "                fwq under QEMU, time being counted instructions: isle, Debian's cloud "
    "kernel,\n"
    "                and the same tuned; without FILE, apt downloads the kernel once\n"
    "ARGUMENTS go to the benchmark's own program.\n"
    "\n"
    "  --pairs N      pairs of runs (os 5, fwq 3, strassen 7, pread 5, start 21, mpi 15), one "
    "more\n"
    "                 each before them is not counted\n"
    "  --cpus N|LIST  CPUs for both sides (2, or all that are allowed if fewer; mpi: all\n"
    "                 that are allowed, two for the ranks, the others for Linux)\n"
    "  --lull PATH    the launcher (lull beside lull-bench)\n"
    "  --dir OUT      where data, plots and JSON go (./lull-bench-out)\n"
    "  --json         print the JSON document instead of the table\n"
    "  --mpirun       launch both sides by MPICH's mpirun -n 1\n"
    "  --no-plot      fwq, mpi and noise without gnuplot\n"
    "  --timeout S    end a run that takes longer, seconds (600)\n"
    "  --verbose      show commands and what they print\n"
    "\n"
    "LULL_* variables reach lull. Exit code: 0, 1 when a run failed, 2 for wrong usage.\n";

static bool parse_number(const char *option, const char *text, double min, double max, double *out)
{
    char *end;
    *out = strtod(text, &end);
    if (end != text && !*end && *out >= min && *out <= max)
        return true;
    complain("%s %s: expected a number from %g to %g", option, text, min, max);
    return false;
}

static bool set_path(const char *option, char *to, size_t size, const char *from)
{
    if (*from && (size_t)snprintf(to, size, "%s", from) < size)
        return true;
    complain("%s: the path is empty or too long", option);
    return false;
}

/* Where `make install` puts what it runs, from the folder of lull-bench. */
#define INSTALLED "/../lib/lull/bin"

/* The benchmark programs lie beside lull-bench, in a build folder, or below lib. */
static bool find_programs(struct driver_options *o)
{
    char fwq[PATH_MAX + 32];
    size_t n = strlen(o->bin);
    snprintf(fwq, sizeof fwq, "%s/fwq", o->bin);
    if (!access(fwq, X_OK))
        return true;
    if (n + sizeof INSTALLED > sizeof o->bin)
        return false;
    snprintf(fwq, sizeof fwq, "%s" INSTALLED "/fwq", o->bin);
    if (!access(fwq, X_OK))
        memcpy(o->bin + n, INSTALLED, sizeof INSTALLED);
    return true;
}

static bool defaults(struct driver_options *o)
{
    memset(o, 0, sizeof *o);
    o->timeout_s = 600;
    snprintf(o->dir, sizeof o->dir, "lull-bench-out");
    if (sched_getaffinity(0, sizeof o->allowed.set, &o->allowed.set)) {
        complain("sched_getaffinity: %s", strerror(errno));
        return false;
    }
    o->allowed.n = (unsigned)CPU_COUNT(&o->allowed.set);
    cpus_last(&o->allowed, o->allowed.n < 2 ? o->allowed.n : 2, &o->cpus);
    ssize_t n = readlink("/proc/self/exe", o->bin, sizeof o->bin - 32);
    if (n <= 0) {
        complain("cannot read /proc/self/exe: %s", strerror(errno));
        return false;
    }
    o->bin[n] = 0;
    *strrchr(o->bin, '/') = 0;
    return (size_t)snprintf(o->lull, sizeof o->lull, "%s/lull", o->bin) < sizeof o->lull &&
           find_programs(o);
}

static bool set_option(int c, struct driver_options *o)
{
    double v;
    switch (c) {
    case 'p':
        if (!parse_number("--pairs", optarg, 1, 10000, &v))
            return false;
        o->pairs = (unsigned)v;
        return true;
    case 'c':
        o->cpus_given = true;
        return cpus_parse(optarg, &o->allowed, &o->cpus);
    case 'l':
        return set_path("--lull", o->lull, sizeof o->lull, optarg);
    case 'd':
        return set_path("--dir", o->dir, sizeof o->dir, optarg);
    case 't':
        return parse_number("--timeout", optarg, 0.001, 1e6, &o->timeout_s);
    case 'j':
        o->json = true;
        return true;
    case 'm':
        o->mpirun = true;
        return true;
    case 'n':
        o->no_plot = true;
        return true;
    case 'v':
        o->verbose = true;
        return true;
    default:
        return false; /* getopt_long said why */
    }
}

int driver_options_parse(int argc, char **argv, struct driver_options *o)
{
    static const struct option longs[] = {{"pairs", 1, NULL, 'p'},
                                          {"cpus", 1, NULL, 'c'},
                                          {"lull", 1, NULL, 'l'},
                                          {"dir", 1, NULL, 'd'},
                                          {"json", 0, NULL, 'j'},
                                          {"mpirun", 0, NULL, 'm'},
                                          {"no-plot", 0, NULL, 'n'},
                                          {"timeout", 1, NULL, 't'},
                                          {"verbose", 0, NULL, 'v'},
                                          {"help", 0, NULL, 'h'},
                                          {0}};
    if (!defaults(o))
        return 2;
    for (int c; (c = getopt_long(argc, argv, "+h", longs, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return OPTIONS_DONE;
        }
        if (!set_option(c, o))
            goto bad;
    }
    if (optind == argc) {
        complain("which benchmark? os, fwq, strassen, pread, start, mpi, noise or all");
        goto bad;
    }
    o->name = argv[optind];
    o->argc = argc - optind - 1;
    o->argv = argv + optind + 1;
    return 0;
bad:
    fputs("lull-bench --help tells more\n", stderr);
    return 2;
}
