/* SPDX-License-Identifier: MIT */
/*
 * For the fuzzers of the channel server: an isle whose memory stands between red zones, a Linux
 * that touches exactly what the true one would touch and does nothing else, and a reader that turns
 * fuzzed bytes into values worth trying. A range that was not checked is a sanitizer's report.
 */
#ifndef TESTS_FUZZ_CHANNEL_FAKE_H
#define TESTS_FUZZ_CHANNEL_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "isle/isle.h"

#define FAKE_CORES 4
#define FAKE_APP 8192u /* bytes of application memory */
#define FAKE_FD_LOW 100

struct isle {
    unsigned ncores;
    char *app;
    struct lull_channel *channel[FAKE_CORES];
};

void fake_isle_open(struct isle *isle, unsigned ncores);
void fake_isle_close(struct isle *isle);

/* server_syscall_fn */
long fake_linux(long nr, const long arg[6], const int *cancel);

struct bytes {
    const uint8_t *p;
    size_t left;
};
uint8_t take8(struct bytes *b);
uint32_t take32(struct bytes *b);
/* A small number, a descriptor, an address inside, at the edge of, or outside the isle, garbage. */
uint64_t take_value(struct bytes *b, const struct isle *isle);
/* Mostly a call that is forwarded. */
uint32_t take_number(struct bytes *b);
/* Fills application memory word by word with such values. */
void take_memory(struct bytes *b, struct isle *isle);

#endif
