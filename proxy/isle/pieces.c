/* SPDX-License-Identifier: MIT */
/* Which pieces of the isle's chunks the engine knows of. */
#include "isle/isle_priv.h"

#define PIECES (LULL_CHUNK / ISLE_PIECE)

static uint64_t gpa_of(const struct isle *isle, uint64_t at)
{
    return at >= LULL_WIN_BASE ? isle->win_gpa + (at - LULL_WIN_BASE) : lull_gpa(at);
}

/* Tells the engine of the pieces in `want` of the chunk at `at`, each run of them at once. *told
   gets those that it knows of now. 0 or -errno. */
static int tell(const struct isle *isle, isle_add_memory add, void *engine, uint64_t at,
                unsigned want, uint16_t *told)
{
    for (unsigned i = 0; i < PIECES; i++) {
        unsigned first = i, run = 0;
        for (; i < PIECES && want >> i & 1; i++)
            run |= 1u << i;
        if (!run)
            continue;
        uint64_t start = at + first * ISLE_PIECE;
        int r = add(engine, gpa_of(isle, start), (void *)start, (i - first) * ISLE_PIECE);
        if (r)
            return r;
        *told = (uint16_t)(*told | run);
    }
    return 0;
}

/* The pieces of the chunk at `at` that [start, end) needs. */
static unsigned needed(const struct isle *isle, uint64_t at, uint64_t start, uint64_t end)
{
    bool small = at >= LULL_WIN_BASE ? at == LULL_WIN_BASE : isle->nchunks <= ISLE_SMALL_CHUNKS;
    uint64_t first = !small || start < at ? 0 : (start - at) / ISLE_PIECE;
    uint64_t stop = !small || end > at + LULL_CHUNK ? PIECES : (end - at - 1) / ISLE_PIECE + 1;
    return ((1u << stop) - 1) & ~((1u << first) - 1);
}

static uint16_t *pieces_of(struct isle *isle, uint64_t at)
{
    return at >= LULL_WIN_BASE ? &isle->win_piece[(at - LULL_WIN_BASE) / LULL_CHUNK]
                               : &isle->piece[(at - LULL_RAM_BASE) / LULL_CHUNK];
}

int isle_announce(struct isle *isle, uint64_t start, uint64_t len)
{
    for (uint64_t at = start & ~(LULL_CHUNK - 1); at < start + len; at += LULL_CHUNK) {
        uint16_t *known = pieces_of(isle, at);
        unsigned want = needed(isle, at, start, start + len) & ~(unsigned)*known;
        if (!isle->add_memory) /* isle_attach() does */
            *known = (uint16_t)(*known | want);
        int r = isle->add_memory ? tell(isle, isle->add_memory, isle->engine, at, want, known) : 0;
        if (r)
            return r;
    }
    return 0;
}

int isle_announce_all(struct isle *isle, isle_add_memory add, void *engine)
{
    int r = 0;
    for (uint64_t i = 0; r == 0 && i < ISLE_CHUNKS; i++)
        r = tell(isle, add, engine, LULL_RAM_BASE + i * LULL_CHUNK, isle->piece[i],
                 &isle->piece[i]);
    for (uint64_t i = 0; r == 0 && i < ISLE_WIN_CHUNKS; i++)
        r = tell(isle, add, engine, LULL_WIN_BASE + i * LULL_CHUNK, isle->win_piece[i],
                 &isle->win_piece[i]);
    return r;
}
