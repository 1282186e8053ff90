/* SPDX-License-Identifier: MIT */
/*
 * A plugin for QEMU's TCG: whenever the program on one processor reads the time stamp counter,
 * writes how many instructions that processor has executed so far, and how many all have.
 *
 * Why: several processors under -icount take turns on one clock, so the counter that fwq reads
 * goes on while the others run, too. The first number does not.
 * Arguments: out=FILE, cpu=NUMBER (QEMU's).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noise/qemu_plugin.h"

#define CPUS 16
#define PROGRAM_END 0x10000000u /* fwq is linked below; the kernel and the vDSO are far above */

int qemu_plugin_version = 1;

static uint64_t executed[CPUS], executed_by_all;
static unsigned watched;
static FILE *out;

static void on_block(unsigned cpu, void *insns)
{
    executed[cpu % CPUS] += (uintptr_t)insns;
    executed_by_all += (uintptr_t)insns;
}

static void on_rdtsc(unsigned cpu, void *unused)
{
    (void)unused;
    if (cpu == watched)
        fprintf(out, "%" PRIu64 " %" PRIu64 "\n", executed[cpu % CPUS], executed_by_all);
}

static void on_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    static const unsigned char rdtsc[] = {0x0f, 0x31};
    size_t n = qemu_plugin_tb_n_insns(tb);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_block, QEMU_PLUGIN_CB_NO_REGS, (void *)n);
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        if (qemu_plugin_insn_vaddr(insn) < PROGRAM_END &&
            qemu_plugin_insn_size(insn) == sizeof rdtsc &&
            memcmp(qemu_plugin_insn_data(insn), rdtsc, sizeof rdtsc) == 0)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, on_rdtsc, QEMU_PLUGIN_CB_NO_REGS, NULL);
    }
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *unused)
{
    (void)id;
    (void)unused;
    if (ferror(out) | fclose(out))
        fprintf(stderr, "noise plugin: the counts could not be written\n");
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv)
{
    const char *path = NULL;
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "out=", 4) == 0)
            path = argv[i] + 4;
        else if (strncmp(argv[i], "cpu=", 4) == 0)
            watched = (unsigned)atoi(argv[i] + 4);
    }
    if (!path || watched >= CPUS || !(out = fopen(path, "w"))) {
        fprintf(stderr,
                "noise plugin: out=FILE,cpu=NUMBER are needed, and FILE must be writable\n");
        return -1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translated);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
