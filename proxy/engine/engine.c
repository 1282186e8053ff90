/* SPDX-License-Identifier: MIT */
#include "engine/engine.h"

#include <stdio.h>

#include "message.h"

int engine_open(const struct engine_request *req, const struct engine_ops **ops,
                struct engine **out, char *why, size_t size)
{
    enum engine_choice choice = req->choice;
    char kvm[160] = "", qemu[200] = "";
    bool want_kvm = choice == ENGINE_KVM || choice == ENGINE_AUTO;
    if (req->virtual_time) {
        if (choice == ENGINE_KVM || choice == ENGINE_QEMU_KVM) {
            message("virtual time is there under QEMU's TCG only: leave --engine out");
            return LULL_EXIT_FAILED;
        }
        want_kvm = false;
    }
    if (want_kvm) {
        *ops = &engine_kvm;
        if (engine_kvm.open(out, req, kvm, sizeof kvm) == 0) {
            snprintf(why, size, "%s", choice == ENGINE_KVM ? "asked for" : "/dev/kvm works");
            return 0;
        }
        if (choice == ENGINE_KVM) {
            message("%s", kvm);
            return LULL_EXIT_FAILED;
        }
    }
    *ops = &engine_qemu;
    if (engine_qemu.open(out, req, qemu, sizeof qemu) == 0) {
        snprintf(why, size, "%s", want_kvm ? kvm : "asked for");
        return 0;
    }
    if (want_kvm)
        message("%s; and %s", kvm, qemu);
    else
        message("%s", qemu);
    return LULL_EXIT_FAILED;
}
