/* SPDX-License-Identifier: MIT */
/*
 * An isle that writes anything into its channels, rings, cancels. The server must find out what is
 * impossible, complete the rest, and touch nothing that is not the isle's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "channel_fake.h"
#include "serve/call.h"
#include "serve/serve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct watch {
    unsigned broken;
};

static void on_ring(void *ctx, unsigned core)
{
    (void)ctx;
    if (core >= FAKE_CORES)
        abort();
}

static void on_broken(void *ctx, const char *what)
{
    struct watch *w = ctx;
    if (__atomic_fetch_add(&w->broken, 1, __ATOMIC_SEQ_CST) || !strstr(what, "broke its channel"))
        abort();
}

static void submit(struct bytes *b, struct isle *isle, unsigned core)
{
    uint64_t arg[6];
    uint32_t slot = take8(b), nr = take_number(b);
    for (int i = 0; i < 6; i++)
        arg[i] = take_value(b, isle);
    lull_chan_submit(isle->channel[core], slot, nr, arg, 0);
}

/* Anything at all, anywhere in the channel. */
static void scribble(struct bytes *b, struct isle *isle, unsigned core)
{
    size_t at = take32(b) % sizeof *isle->channel[0], n = take8(b);
    for (size_t i = 0; i < n && at + i < sizeof *isle->channel[0]; i++)
        ((uint8_t *)isle->channel[core])[at + i] = take8(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b = {data, size};
    struct isle isle;
    struct watch watch = {0};
    struct server *server;
    server_syscall_fn = fake_linux;
    arena_block_size = 0;
    fake_isle_open(&isle, take8(&b) & 1 ? FAKE_CORES : 1);
    struct server_config config = {.isle = &isle,
                                   .reserved_fd_low = FAKE_FD_LOW,
                                   .exe_path = take8(&b) & 1 ? "/program" : NULL,
                                   .ring = on_ring,
                                   .broken = on_broken,
                                   .ctx = &watch};
    if (server_start(&config, &server))
        abort();
    take_memory(&b, &isle);
    while (b.left) {
        uint8_t op = take8(&b);
        unsigned core = (op >> 4) % isle.ncores;
        struct lull_cqe e;
        switch (op % 8) {
        case 0:
            scribble(&b, &isle, core);
            break;
        case 1:
            isle.channel[core]->sq_tail += take8(&b);
            break;
        case 2:
            server_cancel(server, core, take8(&b));
            break;
        case 3:
            for (unsigned i = 0; i < LULL_CHAN_SLOTS && lull_chan_reap(isle.channel[core], &e); i++)
                ;
            break;
        default:
            submit(&b, &isle, core);
            server_kicked(server, op % 8 == 4 ? core + 1 : core);
            break;
        }
    }
    server_stop(server);
    fake_isle_close(&isle);
    return 0;
}
