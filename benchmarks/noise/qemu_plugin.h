/* SPDX-License-Identifier: MIT */
/*
 * What insns.c uses of QEMU's plugin interface, version 1 (QEMU 6 to 8; Debian 12 has 7.2). Debian
 * packages no header for it. The functions are in QEMU, which loads the plugin.
 */
#ifndef NOISE_QEMU_PLUGIN_H
#define NOISE_QEMU_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#define QEMU_PLUGIN_PUBLIC __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };

typedef void (*qemu_plugin_on_tb)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_on_vcpu)(unsigned cpu, void *data);
typedef void (*qemu_plugin_on_exit)(qemu_plugin_id_t id, void *data);

/* Called and read by QEMU. */
extern QEMU_PLUGIN_PUBLIC int qemu_plugin_version;
QEMU_PLUGIN_PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc,
                                           char **argv);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_on_tb cb);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, qemu_plugin_on_vcpu cb,
                                          enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, qemu_plugin_on_vcpu cb,
                                            enum qemu_plugin_cb_flags flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, qemu_plugin_on_exit cb, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#endif
