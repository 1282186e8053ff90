/* SPDX-License-Identifier: MIT */
/* One call after another through decode, Linux and finish, with nested structures to find. */
#include <string.h>
#include <unistd.h>

#include "channel_fake.h"
#include "serve/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    struct isle isle;
    struct arena mem = {0};
    struct call_env env = {.isle = &isle, .fd_low = FAKE_FD_LOW, .fd_end = INT32_MAX, .pid = 1};
    server_syscall_fn = fake_linux;
    arena_block_size = 0;
    fake_isle_open(&isle, 1);
    env.exe_path = take8(&b) & 1 ? "/program" : NULL;
    do {
        struct call c = {.env = &env, .mem = &mem};
        int64_t r;
        take_memory(&b, &isle);
        c.nr = take_number(&b);
        for (int i = 0; i < 6; i++)
            c.user[i] = take_value(&b, &isle);
        if (call_decode(&c, &r))
            call_finish(&c, server_syscall_fn(c.as ? c.as : c.nr, c.arg, &(int){0}));
        arena_reset(&mem);
    } while (b.left);
    arena_free(&mem);
    fake_isle_close(&isle);
    return 0;
}
