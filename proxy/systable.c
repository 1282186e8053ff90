/* SPDX-License-Identifier: MIT */
#include "systable.h"

LULL_DEFINE_SYSCALLS(lull_systable);
