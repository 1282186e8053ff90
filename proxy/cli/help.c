/* SPDX-License-Identifier: MIT */
#include "cli/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "message.h"

#ifndef LULL_VERSION
#error "the build gives LULL_VERSION"
#endif

static const char help[] =
    "Usage: lull [run] [options] [--] PROGRAM [ARGS...]\n"
    "       lull check [--] PROGRAM\n"
    "       lull plan [--topology FILE.xml] [--ranks N] [options]\n"
    "       lull ps | gc | doctor\n"
    "Runs a Linux x86-64 program on cores that nothing else disturbs, or says what can\n"
    "be known before: loader, libraries, instructions and system calls it would miss.\n"
    "plan: draws this node, or another, and whose each core would be;\n"
    "ps: the isles on this node; gc: puts back what killed ones have left;\n"
    "doctor: what this host lacks for quiet running, and what mends it.\n"
    "\n"
    "  --cpus N|LIST      N cores of Lull's choice, or these: 0,2-3 (5-5: only CPU 5).\n"
    "                     Default: OMP_NUM_THREADS, else all allowed cores of a NUMA\n"
    "                     node, but one that Linux keeps\n"
    "  --nodes N|LIST     may span N NUMA nodes, or these: 0,2-3 (1-1: only node 1); with\n"
    "                     memory of listed nodes that have no cores. Default: one node\n"
    "  --smt              hyperthreads count as cores; else siblings stay idle\n"
    "  --oversubscribe    ranks of an MPI job share cores where there are too few; else\n"
    "                     that is refused\n"
    "  --mem SIZE         memory limit: 512M, 1.5G ... Default: what is free, less 10 %\n"
    "  --numa POLICY      bind: memory of the cores' nodes; interleave: in turn over several;\n"
    "                     first-touch: where it is touched first. Default: bind, over\n"
    "                     several nodes interleave\n"
    "  --hugetlb[=SIZE]   reserve huge pages for SIZE (or for --mem), and give them back;\n"
    "                     0: not even those that are free\n"
    "  --engine ENGINE    kvm; qemu (with KVM, else TCG), qemu-kvm, qemu-tcg; auto, the\n"
    "                     default: the first of these that works\n"
    "  --isolate WHAT     what keeps Linux off the cores (cpuset, interrupts, priority):\n"
    "                     auto, the default: what is permitted; no; require\n"
    "  --spin US          microseconds that an idle core spins before it sleeps, or\n"
    "                     forever. Default: 200\n"
    "  --report[=FILE]    at the end, what disturbed the cores: text on stderr, or\n"
    "                     JSON to FILE (%r in it: the MPI rank, %p: the pid)\n"
    "  --report=detours[,FILE]  the same, and the longest gaps\n"
    "  --timeout TIME     end the program after TIME: 90, 1.5m, 2h. Default: never\n"
    "  --dry-run          check everything, say what would run where, run nothing\n"
    "  --verbose          say on stderr what is done\n"
    "  --virtual-time     time is the count of instructions (TCG, one core), so that\n"
    "                     computing takes the same in each run: noise measured exactly\n"
    "  --no-rewrite       leave every system call trapping\n"
    "  --no-aslr          the same addresses in every run, for debugging\n"
    "  --topology FILE    plan: for this machine (lstopo FILE.xml), or a description such\n"
    "                     as 'pack:2 [numa] core:8 pu:2'\n"
    "  --ranks N          plan: for N ranks\n"
    "  --exec FILE        run FILE, under the name PROGRAM\n"
    "  --help, --version\n"
    "\n"
    "Each is also read from the environment: LULL_CPUS, LULL_NODES, LULL_SMT, LULL_MEM,\n"
    "LULL_OVERSUBSCRIBE, LULL_NUMA, LULL_HUGETLB, LULL_ENGINE, LULL_ISOLATE, LULL_SPIN,\n"
    "LULL_REPORT (1 or FILE), LULL_TIMEOUT, LULL_DRY_RUN, LULL_VERBOSE, LULL_NO_REWRITE,\n"
    "LULL_NO_ASLR, LULL_VIRTUAL_TIME; the command line wins.\n"
    "LULL_QEMU names the QEMU to run.\n"
    "\n"
    "Exit: the program's own status; 128+n by signal n; 125 Lull itself failed,\n"
    "126 the program cannot be run, 127 it was not found. More: man lull\n";

static int print(const char *text)
{
    if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
        return 0;
    message("cannot write to standard output: %s", strerror(errno));
    return LULL_EXIT_FAILED;
}

int options_print_help(void)
{
    return print(help);
}

int options_print_version(void)
{
    return print("lull " LULL_VERSION "\n");
}
