/* SPDX-License-Identifier: MIT */
#ifndef LULL_CAPABLE_H
#define LULL_CAPABLE_H

#include <linux/capability.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does the calling thread have this effective capability (CAP_*, capabilities(7))? */
static inline bool capable(unsigned capability)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0, 0, 0}};
    return syscall(SYS_capget, &head, data) == 0 &&
           data[capability / 32].effective >> (capability % 32) & 1;
}

#endif
