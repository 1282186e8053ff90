/* SPDX-License-Identifier: MIT */
/* From the name of a function to the system call behind it. */
#include <string.h>

#include "check/check.h"
#include "report/report.h"
#include "systable.h"

/* Functions that are not called like the call they make. */
static const struct {
    const char *function, *call;
} other[] = {
    {"system", "vfork"},
    {"popen", "vfork"},
    {"posix_spawn", "vfork"},
    {"posix_spawnp", "vfork"},
    {"daemon", "fork"},
    {"forkpty", "fork"},
    {"execl", "execve"},
    {"execle", "execve"},
    {"execlp", "execve"},
    {"execv", "execve"},
    {"execvp", "execve"},
    {"execvpe", "execve"},
    {"fexecve", "execveat"},
    {"wait", "wait4"},
    {"wait3", "wait4"},
    {"waitpid", "wait4"},
    {"signalfd", "signalfd4"},
    {"sigqueue", "rt_sigqueueinfo"},
    {"pthread_sigqueue", "rt_tgsigqueueinfo"},
    {"nice", "setpriority"},
    {"mq_send", "mq_timedsend"},
    {"mq_receive", "mq_timedreceive"},
    {"io_uring_queue_init", "io_uring_setup"},
    {"io_uring_queue_init_params", "io_uring_setup"},
    {"io_queue_init", "io_setup"},
};

static bool is_refused(const char *call)
{
    char buf[32];
    for (unsigned nr = 0; nr < LULL_NR_MAX; nr++)
        if (strcmp(report_call_name(nr, buf, sizeof buf), call) == 0)
            return lull_systable[nr].class == LULL_SYS_REFUSED;
    return false;
}

const char *calls_refused(const char *function)
{
    const char *call = function;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (strcmp(function, other[i].function) == 0)
            call = other[i].call;
    return is_refused(call) ? call : NULL;
}
