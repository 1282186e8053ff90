/* SPDX-License-Identifier: MIT */
/*
 * Where memory lies on a machine of several nodes; natively and on an isle. `placement` checks that
 * policies are followed and says so of each; `placement hold MIB` touches so much, says "ready" and
 * waits; `placement spread MIB`: bytes by node of memory that nobody gave a policy.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAGE 4096ul
#define PAGES 64ul
#define BITS 1025ul
#define MAX_NODES 8

static int failed, nodes[MAX_NODES], nnodes;

static void check(int ok, const char *what)
{
    printf(ok ? "ok %s\n" : "FAIL %s (errno %d)\n", what, errno);
    failed += !ok;
}

static char *map(size_t bytes)
{
    char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return p;
}

/* How many of the pages lie on `node`. */
static size_t pages_on(char *p, size_t n, int node)
{
    size_t there = 0;
    for (size_t i = 0; i < n; i++) {
        void *page = p + i * PAGE;
        int status = -1;
        if (syscall(SYS_move_pages, 0, 1ul, &page, NULL, &status, 0))
            return 0;
        there += status == node;
    }
    return there;
}

static unsigned long mask_of(int node)
{
    return 1ul << node;
}

static long bind_to(char *p, int mode, unsigned long mask, unsigned flags)
{
    unsigned long m[16] = {mask};
    return syscall(SYS_mbind, p, PAGES * PAGE, mode, m, BITS, flags);
}

static void find_nodes(void)
{
    unsigned long m[16] = {0};
    syscall(SYS_get_mempolicy, NULL, m, BITS, NULL, MPOL_F_MEMS_ALLOWED);
    for (int i = 0; i < 64 && nnodes < MAX_NODES; i++) {
        if (m[0] >> i & 1)
            nodes[nnodes++] = i;
    }
}

static void check_mbind(int node, int other)
{
    char *p = map(PAGES * PAGE);
    int at = -1;
    check(bind_to(p, MPOL_BIND, mask_of(node), 0) == 0, "mbind before memory is touched");
    memset(p, 1, PAGES * PAGE);
    check(pages_on(p, PAGES, node) == PAGES, "and it comes from there");
    check(syscall(SYS_get_mempolicy, &at, NULL, 0, p, MPOL_F_NODE | MPOL_F_ADDR) == 0 && at == node,
          "get_mempolicy names the node of an address");
    check(bind_to(p, MPOL_BIND, mask_of(other), MPOL_MF_MOVE | MPOL_MF_STRICT) == 0,
          "mbind with MPOL_MF_MOVE");
    check(pages_on(p, PAGES, other) == PAGES, "and it has moved");
    check(p[0] + p[PAGES * PAGE - 1] == 2, "with what was in it");
    munmap(p, PAGES * PAGE);
}

static void check_move(int node)
{
    char *p = map(PAGES * PAGE);
    void *page[PAGES];
    int to[PAGES], status[PAGES];
    memset(p, 3, PAGES * PAGE);
    for (size_t i = 0; i < PAGES; i++) {
        page[i] = p + i * PAGE;
        to[i] = node;
    }
    check(syscall(SYS_move_pages, 0, PAGES, page, to, status, MPOL_MF_MOVE) == 0, "move_pages");
    check(pages_on(p, PAGES, node) == PAGES && p[5 * PAGE] == 3, "and the pages are there");
    unsigned long from[16] = {mask_of(node)}, target[16] = {0};
    for (int i = 0; i < nnodes; i++)
        target[0] |= nodes[i] == node ? 0 : mask_of(nodes[i]);
    if (target[0]) {
        check(syscall(SYS_migrate_pages, 0, BITS, from, target) >= 0, "migrate_pages");
        check(pages_on(p, PAGES, node) == 0 && p[7 * PAGE] == 3, "and none is left");
    }
    munmap(p, PAGES * PAGE);
}

static void check_thread_policy(int node)
{
    unsigned long m[16] = {mask_of(node)};
    check(syscall(SYS_set_mempolicy, MPOL_BIND, m, BITS) == 0, "set_mempolicy");
    char *p = map(PAGES * PAGE);
    memset(p, 1, PAGES * PAGE);
    check(pages_on(p, PAGES, node) == PAGES, "and what the thread maps comes from there");
    munmap(p, PAGES * PAGE);
    syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0);
}

static void check_interleave(void)
{
    unsigned long mask = 0;
    for (int i = 0; i < nnodes; i++)
        mask |= mask_of(nodes[i]);
    char *p = map(PAGES * PAGE);
    madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE);
    check(bind_to(p, MPOL_INTERLEAVE, mask, 0) == 0, "mbind MPOL_INTERLEAVE");
    memset(p, 1, PAGES * PAGE);
    size_t all = 0;
    for (int i = 0; i < nnodes; i++)
        all += pages_on(p, PAGES, nodes[i]);
    check(all == PAGES, "and every page lies on one of the nodes");
    munmap(p, PAGES * PAGE);
}

struct toucher {
    char *p;
    int cpu;
    unsigned node;
};

static void *touch(void *arg)
{
    struct toucher *t = arg;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(t->cpu, &set);
    sched_setaffinity(0, sizeof set, &set);
    syscall(SYS_getcpu, NULL, &t->node, NULL);
    memset(t->p, 1, PAGES * PAGE);
    return NULL;
}

/* One thread on each CPU touches its part of memory that another one has mapped. */
static void check_first_touch(void)
{
    enum { BLOCK = 4 << 20 };
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    int wrong = 0;
    char *p = map(8ul * BLOCK);
    for (int cpu = 0, n = 0; cpu < 8; cpu++) {
        pthread_t id;
        if (!CPU_ISSET(cpu, &set))
            continue;
        struct toucher t = {.p = p + (size_t)n++ * BLOCK, .cpu = cpu};
        pthread_create(&id, NULL, touch, &t);
        pthread_join(id, NULL);
        wrong += pages_on(t.p, PAGES, (int)t.node) != PAGES;
    }
    check(!wrong, "memory lies where it was touched first");
    munmap(p, 8ul * BLOCK);
}

static int spread(size_t bytes)
{
    char *p = map(bytes);
    memset(p, 1, bytes);
    for (int i = 0; i < nnodes; i++) {
        size_t on = 0;
        for (size_t at = 0; at < bytes; at += 512 * PAGE)
            on += pages_on(p + at, 1, nodes[i]);
        printf("N%d=%zu ", nodes[i], on);
    }
    putchar('\n');
    return 0;
}

int main(int argc, char **argv)
{
    size_t bytes = argc > 2 ? (size_t)atoi(argv[2]) << 20 : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    find_nodes();
    if (argc > 2 && !strcmp(argv[1], "spread"))
        return spread(bytes);
    if (argc > 2 && !strcmp(argv[1], "hold")) {
        char *p = map(bytes);
        memset(p, 1, bytes);
        puts("ready");
        sleep(3600);
        return p[0];
    }
    if (argc > 1 && !strcmp(argv[1], "first-touch")) {
        check_first_touch();
        return failed != 0;
    }
    int first = nodes[0], last = nodes[nnodes - 1];
    check_mbind(first, last);
    check_mbind(last, first);
    check_move(last);
    check_thread_policy(first);
    check_thread_policy(last);
    check_interleave();
    return failed != 0;
}
