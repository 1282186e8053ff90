/* SPDX-License-Identifier: MIT */
/*
 * For programs that measure: mark the section whose events `lull --report` shows apart.
 * prctl(LULL_PR_MARK, LULL_MARK_BEGIN or _END, 0, 0, 0): 0 on an isle; EINVAL on plain Linux
 * (prctl(2): unknown option), so that the same binary runs on both.
 */
#ifndef LULL_MARK_H
#define LULL_MARK_H

#define LULL_PR_MARK 0x4c554c4c /* "LULL" */
#define LULL_MARK_BEGIN 1
#define LULL_MARK_END 2

#endif
