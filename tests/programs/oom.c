/* SPDX-License-Identifier: MIT */
/* Out of memory is an error of the call, not the program's end. For a limit of 256 to 512 MiB. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

#define MIB (1ul << 20)
#define MOST 64

/* Known to gcc by its name, malloc counts as leaving errno alone. */
static void *(*volatile allocate)(size_t) = malloc;

static void *nothing(void *arg)
{
    return arg;
}

static int fill(char **p)
{
    int n = 0;

    while (n < MOST && (p[n] = allocate(16 * MIB))) {
        memset(p[n++], 1, 16 * MIB);
    }
    return n;
}

/* Memory that Linux populates when it is touched is memory all the same. */
static void touched(void)
{
    size_t size = 160 * MIB;
    char *lazy = mmap(NULL, 8192 * MIB, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    char *p;

    check_section("touched, not mapped");
    CHECK(lazy != MAP_FAILED);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED && munmap(p, size) == 0);
    memset(lazy + 1000 * MIB, 1, size);
    memset(lazy + 6000 * MIB, 1, 8 * MIB);
    p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p == MAP_FAILED && errno == ENOMEM);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p == MAP_FAILED && errno == ENOMEM);
    CHECK(lazy[1000 * MIB] == 1 && lazy[1160 * MIB - 1] == 1);
    CHECK(munmap(lazy, 8192 * MIB) == 0);
    p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    memset(p, 2, size);
    CHECK(munmap(p, size) == 0);
}

/* Calls that are refused, again and again, while the program uses some of its memory anew. */
static int refused(void)
{
    check_section("refused, and memory is used again");
    for (int i = 0; i < 200; i++) {
        char *p =
            mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p == MAP_FAILED && errno == ENOMEM);
        p = mmap(NULL, 8 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(p != MAP_FAILED && *p == 0);
        *p = 1;
        munmap(p, 8 * MIB);
    }
    return check_end();
}

/* Where Linux is told to overcommit, memory that is not touched is no matter. */
static int overcommitted(void)
{
    char *p = mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    check_section("more than there is");
    if (CHECK(p != MAP_FAILED)) {
        p[0] = 1;
        p[1024 * MIB - 1] = 2;
        CHECK(p[0] == 1 && p[1024 * MIB - 1] == 2 && p[512 * MIB] == 0);
        CHECK(munmap(p, 1024 * MIB) == 0);
    }
    return check_end();
}

int main(int argc, char **argv)
{
    char *p[MOST + 1];
    pthread_t t;
    void *brk;
    int first, second;

    if (argc > 1 && strcmp(argv[1], "refused") == 0) {
        return refused();
    }
    if (argc > 1 && strcmp(argv[1], "overcommitted") == 0) {
        return overcommitted();
    }
    check_section("malloc");
    errno = 0;
    first = fill(p);
    CHECK(first >= 8 && first < 32 && errno == ENOMEM);
    for (int i = 0; i < first; i++) {
        CHECK(p[i][16 * MIB - 1] == 1);
        free(p[i]);
    }
    check_section("again");
    second = fill(p);
    CHECK(second >= first - 1);
    for (int i = 0; i < second; i++) {
        free(p[i]);
    }
    check_section("single calls");
    brk = sbrk(0);
    CHECK(mmap(NULL, 1024 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
              MAP_FAILED &&
          errno == ENOMEM);
    CHECK(mmap(NULL, 1ul << 45, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
              MAP_FAILED &&
          errno == ENOMEM);
    CHECK(sbrk((intptr_t)(1024 * MIB)) == (void *)-1 && errno == ENOMEM && sbrk(0) == brk);
    CHECK(allocate(SIZE_MAX / 4) == NULL && errno == ENOMEM);
    touched();
    check_section("threads still start");
    CHECK(pthread_create(&t, NULL, nothing, NULL) == 0 && pthread_join(t, NULL) == 0);
    return check_end();
}
