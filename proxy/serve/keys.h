/* SPDX-License-Identifier: MIT */
#ifndef PROXY_SERVE_KEYS_H
#define PROXY_SERVE_KEYS_H

#include "serve/call.h"

/* Makes the decoded call in the thread that keeps the program's keyrings; false: *answer is the
   result. True: the call is to be made by the calling thread. */
bool keys_call(struct call *c, int64_t *answer);

#endif
