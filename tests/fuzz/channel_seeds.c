/* SPDX-License-Identifier: MIT */
/* First inputs for the fuzzers of the channel server: every call once, with arguments that work. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <lull/syscalls.h>

#include "systable.h"

/* Words of application memory that the arguments point to. */
enum { W_MSG = 0, W_LEN = 1, W_IOV = 20, W_CONTROL = 30, W_NAME = 40, W_POLL = 50, W_ANY = 64 };
#define WORDS (W_ANY + 2)

struct seed {
    unsigned char b[4096];
    size_t n;
};

static void put(struct seed *s, unsigned v)
{
    s->b[s->n++] = (unsigned char)v;
}

/* See take_value(): kinds 0 small, 2 word of memory, 8 any 64 bits. */
static void put_small(struct seed *s, unsigned v)
{
    put(s, 0);
    put(s, v);
}

static void put_word(struct seed *s, unsigned word)
{
    put(s, 2);
    put(s, word);
}

static void put_raw(struct seed *s, uint64_t v)
{
    put(s, 8);
    for (int i = 56; i >= 0; i -= 8)
        put(s, (unsigned)(v >> i) & 0xff);
}

static void put_memory(struct seed *s)
{
    uint64_t path = 0;
    memcpy(&path, "/tmp", 4);
    put(s, WORDS);
    for (unsigned w = 0; w < WORDS; w++)
        switch (w) {
        case W_MSG: /* struct msghdr */
            put_word(s, W_NAME);
            break;
        case W_MSG + 2:
            put_word(s, W_IOV);
            break;
        case W_MSG + 4:
            put_word(s, W_CONTROL);
            break;
        case W_LEN: /* msg_namelen, and the length behind an address */
            put_small(s, 16);
            break;
        case W_MSG + 3: /* buffers */
            put_small(s, 2);
            break;
        case W_MSG + 5: /* msg_controllen */
        case W_CONTROL: /* cmsg_len */
            put_small(s, CMSG_LEN(8));
            break;
        case W_CONTROL + 1:
            put_raw(s, (uint64_t)SCM_RIGHTS << 32 | SOL_SOCKET);
            break;
        case W_CONTROL + 2:
            put_raw(s, (uint64_t)105 << 32 | 5);
            break;
        case W_IOV:
        case W_IOV + 2:
            put_word(s, W_ANY);
            break;
        case W_IOV + 1:
        case W_IOV + 3:
            put_small(s, 8);
            break;
        case W_POLL:
        case W_POLL + 1:
            put_raw(s, (uint64_t)1 << 32 | (w == W_POLL ? 5 : 105));
            break;
        case W_ANY:
            put_raw(s, path);
            break;
        default:
            put_small(s, 0);
            break;
        }
}

static void put_call(struct seed *s, unsigned index, const struct lull_sysdesc *d)
{
    put(s, index);
    for (unsigned i = 0; i < 6; i++)
        switch (i < d->nargs ? d->arg[i].kind : LULL_A_VAL) {
        case LULL_A_FD:
        case LULL_A_ATFD:
            put_small(s, 3);
            break;
        case LULL_A_IOVIN:
        case LULL_A_IOVOUT:
            put_word(s, W_IOV);
            break;
        case LULL_A_MSGIN:
        case LULL_A_MSGOUT:
            put_word(s, W_MSG);
            break;
        case LULL_A_INOUT:
            put_word(s, d->arg[i].param == 4 ? W_LEN : W_ANY);
            break;
        case LULL_A_VEC:
            put_word(s, W_POLL);
            break;
        case LULL_A_VAL:
            put_small(s, 2);
            break;
        default:
            put_word(s, W_ANY);
            break;
        }
}

static int save(const char *dir, const char *name, const struct seed *s)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/seed-%s", dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(s->b, 1, s->n, f) != s->n || fclose(f)) {
        perror(path);
        return 1;
    }
    return 0;
}

/* channel_seeds DIRECTORY: for channel_args if its name says so, else for channel. */
int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    unsigned index = 0;
    for (unsigned nr = 0; nr < LULL_NR_MAX; nr++) {
        const struct lull_sysdesc *d = &lull_systable[nr];
        if (d->class == LULL_SYS_REFUSED || d->class == LULL_SYS_LOCAL)
            continue;
        static struct seed s;
        s.n = 0;
        put(&s, 1);
        if (!strstr(argv[1], "channel_args"))
            put(&s, 1);
        put_memory(&s);
        if (!strstr(argv[1], "channel_args")) {
            put(&s, 5); /* submit and ring */
            put(&s, 0); /* slot */
        }
        put_call(&s, index++, d);
        if (save(argv[1], d->name, &s))
            return 1;
    }
    return 0;
}
