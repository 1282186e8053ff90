/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVE_KEYS_H
#define PROXY_SERVE_KEYS_H

#include "serve/call.h"

/* Makes the decoded call in the thread that keeps the program's keyrings; false: *answer is the
   result. True: the call is to be made by the calling thread. */
bool keys_call(struct call *c, int64_t *answer);

/*
 * Ends that thread, which keys_call() makes anew. False: it goes on, because it has a keyring of
 * the process or the thread, which would be lost.
 */
bool keys_end(void);

#endif
