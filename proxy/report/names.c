/* SPDX-License-Identifier: MIT */
#include "report/report.h"
#include "systable.h"

const char *const exit_cause_name[EXIT_CAUSES] = {
    [LULL_OP_NONE] = "none",       [LULL_OP_EXIT] = "exit",     [LULL_OP_DIE] = "die",
    [LULL_OP_PANIC] = "panic",     [LULL_OP_MEMORY] = "memory", [LULL_OP_PARK] = "park",
    [LULL_OP_KICK] = "kick",       [LULL_OP_TIMER] = "timer",   [LULL_OP_CHANNEL] = "channel",
    [LULL_OP_CANCEL] = "cancel",   [LULL_OP_MARK] = "mark",     [LULL_OP_STOP] = "stop",
    [LULL_OP_CLOCK] = "clock",     [LULL_OP_WINDOW] = "window", [LULL_OP_FORK] = "fork",
    [LULL_OP_PENDING] = "pending", [LULL_OP_YIELD] = "yield",   [LULL_OP_NUMA] = "numa",
    [LULL_OP_ALONE] = "alone",     [LULL_OP_ROBUST] = "robust", [EXIT_KICKED] = "kicked",
    [EXIT_OTHER] = "other",
};
_Static_assert(LULL_OP_COUNT == LULL_OP_ROBUST + 1, "a new operation needs a name here");

const char *const kcount_name[LULL_K_COUNT] = {
    [LULL_K_SYSCALL_TRAPPED] = "syscall_trapped",
    [LULL_K_SYSCALL_REWRITTEN] = "syscall_rewritten",
    [LULL_K_FORWARDED] = "forwarded",
    [LULL_K_REFUSED] = "refused",
    [LULL_K_PAGEFAULT] = "pagefault",
    [LULL_K_FAULT] = "fault",
    [LULL_K_INTERRUPT] = "interrupt",
    [LULL_K_UPCALL] = "upcall",
    [LULL_K_SWITCH] = "switch",
    [LULL_K_PREEMPT] = "preempt",
    [LULL_K_FLUSH] = "flush",
    [LULL_K_SIGNAL] = "signal",
};

static const char *const linux_name[LULL_NR_MAX] = {
#include "linux_names.inc" /* made by CMake from ipi/syscalls.notes */
};

const char *report_call_name(unsigned nr, char *buf, size_t size)
{
    if (nr < LULL_NR_MAX && lull_systable[nr].name)
        return lull_systable[nr].name;
    if (nr < LULL_NR_MAX && linux_name[nr])
        return linux_name[nr];
    snprintf(buf, size, "nr %u", nr);
    return buf;
}
