/* SPDX-License-Identifier: MIT */
/* A 4 KiB pread from the page cache: the cost of the shortest useful forwarded call. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bench.h"
#include "common/tsc.h"

#define BLOCK 4096u
#define BLOCKS 256u /* 1 MiB */

static const char usage[] = "usage: preadbench [--count N] [--json FILE]\n"
                            "N (20000) times a pread of 4 KiB from a 1 MiB file in $TMPDIR or "
                            "/tmp; checks what was read.\n";

static uint64_t word_at(unsigned block, unsigned i)
{
    return (block * 512ull + i + 1) * 0x9e3779b97f4a7c15ull;
}

static void fill(uint64_t *buf, unsigned block)
{
    for (unsigned i = 0; i < BLOCK / 8; i++)
        buf[i] = word_at(block, i);
}

/* A file with no name that holds the pattern, or -1 after a line. */
static int make_file(void)
{
    char path[4096];
    uint64_t buf[BLOCK / 8];
    const char *dir = getenv("TMPDIR");
    if (!dir || !*dir)
        dir = "/tmp";
    if (snprintf(path, sizeof path, "%s/preadbench-XXXXXX", dir) >= (int)sizeof path) {
        fprintf(stderr, "preadbench: TMPDIR is too long\n");
        return -1;
    }
    int fd = mkstemp(path);
    if (fd < 0) {
        fprintf(stderr, "preadbench: cannot create %s: %s\n", path, strerror(errno));
        return -1;
    }
    unlink(path);
    for (unsigned b = 0; b < BLOCKS; b++) {
        fill(buf, b);
        ssize_t n = write(fd, buf, BLOCK);
        if (n != BLOCK) {
            fprintf(stderr, "preadbench: write to %s: %s\n", dir,
                    n < 0 ? strerror(errno) : "short");
            close(fd);
            return -1;
        }
    }
    return fd;
}

static unsigned block_of(uint64_t i)
{
    return (unsigned)(i * 37 % BLOCKS); /* 37 and 256 share no factor: every block is visited */
}

/* Every word of every block, untimed; warms the cache and the path. */
static int check_all(int fd, char *got)
{
    uint64_t want[BLOCK / 8];
    for (uint64_t i = 0; i < 4 * BLOCKS; i++) {
        unsigned b = block_of(i);
        memset(got, 0, BLOCK);
        ssize_t n = pread(fd, got, BLOCK, (off_t)b * BLOCK);
        fill(want, b);
        if (n != BLOCK || memcmp(got, want, BLOCK) != 0) {
            fprintf(stderr, "preadbench: block %u: %s\n", b,
                    n < 0        ? strerror(errno)
                    : n != BLOCK ? "short read"
                                 : "wrong content");
            return -1;
        }
    }
    return 0;
}

static int measure(int fd, char *got, double *ticks, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        unsigned b = block_of(i);
        uint64_t t0 = tsc_now();
        ssize_t n = pread(fd, got, BLOCK, (off_t)b * BLOCK);
        uint64_t t1 = tsc_now();
        ticks[i] = (double)(t1 - t0);
        uint64_t first, last;
        memcpy(&first, got, 8);
        memcpy(&last, got + BLOCK - 8, 8);
        if (n != BLOCK || first != word_at(b, 0) || last != word_at(b, BLOCK / 8 - 1)) {
            fprintf(stderr, "preadbench: call %llu: %s\n", (unsigned long long)i,
                    n == BLOCK ? "wrong content" : "failed");
            return -1;
        }
    }
    return 0;
}

static int run(uint64_t count, const char *json)
{
    struct bench_result r = {.program = "preadbench"};
    int rc = 1, fd = -1;
    char *got = aligned_alloc(BLOCK, BLOCK);
    double *ticks = malloc(count * sizeof *ticks);
    if (!got || !ticks) {
        fprintf(stderr, "preadbench: out of memory\n");
        goto out;
    }
    memset(ticks, 0, count * sizeof *ticks);
    if (bench_pin("preadbench", 0) < 0)
        goto out;
    fd = make_file();
    if (fd < 0)
        goto out;
    r.tsc_hz = tsc_measure_hz();
    if (check_all(fd, got))
        goto out;
    r.marked = bench_mark_begin();
    int bad = measure(fd, got, ticks, count);
    bench_mark_end();
    if (bad)
        goto out;
    bench_add(&r, "pread 4 KiB", "cycles", ticks, count);
    for (uint64_t i = 0; i < count; i++)
        ticks[i] *= 1e6 / r.tsc_hz;
    bench_add(&r, "pread 4 KiB, time", "us", ticks, count);
    bench_print(&r);
    rc = json && bench_write_json(json, &r) ? 1 : 0;
out:
    if (fd >= 0)
        close(fd);
    free(ticks);
    free(got);
    return rc;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"count", 1, NULL, 'n'}, {"json", 1, NULL, 'j'}, {"help", 0, NULL, 'h'}, {0}};
    uint64_t count = 20000;
    const char *json = NULL;
    for (int c; (c = getopt_long(argc, argv, "n:j:h", longs, NULL)) != -1;) {
        if (c == 'h') {
            fputs(usage, stdout);
            return 0;
        }
        if (c == 'j') {
            json = optarg;
        } else if (c != 'n' ||
                   !bench_parse_count("preadbench", "--count", optarg, 1, 100000000, &count)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    return run(count, json);
}
