/* SPDX-License-Identifier: MIT */
/* Memory for the copies that one call needs: a block that stays, more where that is not enough. */
#include <stdlib.h>

#include "serve/call.h"

size_t arena_block_size = 40u << 10; /* path twice, iovec of UIO_MAXIOV, and some */

struct arena_block {
    struct arena_block *next;
    uint64_t pad;
};

void *arena_alloc(struct arena *a, size_t len)
{
    if (len > SIZE_MAX / 2)
        return NULL;
    len = (len + 15) & ~(size_t)15;
    if (!a->base && arena_block_size && (a->base = malloc(arena_block_size)))
        a->size = arena_block_size;
    if (len <= a->size - a->used) {
        void *p = a->base + a->used;
        a->used += len;
        return p;
    }
    struct arena_block *b = malloc(sizeof *b + len);
    if (!b)
        return NULL;
    b->next = a->more;
    a->more = b;
    return b + 1;
}

void arena_reset(struct arena *a)
{
    while (a->more) {
        struct arena_block *b = a->more;
        a->more = b->next;
        free(b);
    }
    a->used = 0;
}

void arena_free(struct arena *a)
{
    arena_reset(a);
    free(a->base);
    *a = (struct arena){0};
}
