/* SPDX-License-Identifier: MIT */
/* One clear line on stderr: "lull: " + text. No newline in the text. Thread-safe (one write(2)). */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include <stdbool.h>

#define LULL_EXIT_FAILED 125       /* Lull itself failed */
#define LULL_EXIT_NOT_RUNNABLE 126 /* the program cannot be run */
#define LULL_EXIT_NOT_FOUND 127    /* the program does not exist */

__attribute__((format(printf, 1, 2))) void message(const char *fmt, ...);
/* Only with --verbose. */
__attribute__((format(printf, 1, 2))) void verbose(const char *fmt, ...);
void message_set_verbose(bool on);

/*
 * Keeps standard error as it is now for everything that Lull says, whatever the program does with
 * descriptor 2 later. Once, before the program starts.
 */
void message_init(void);
/* Where Lull speaks: a descriptor, or -1 when standard error was closed. */
int message_fd(void);
/* Nothing is said from now on: in a process that has no part in the program's descriptors. */
void message_close(void);

#endif
