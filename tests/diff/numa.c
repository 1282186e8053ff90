/* SPDX-License-Identifier: MIT */
/* Memory policies, on whatever nodes there are; addresses and modes beyond them. */
#include "diff.h"

#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define RW (PROT_READ | PROT_WRITE)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define BITS 1025ul
#define WORDS (BITS / 64)

static long get(int *mode, unsigned long *mask, unsigned long bits, void *addr, unsigned long flags)
{
    return syscall(SYS_get_mempolicy, mode, mask, bits, addr, flags);
}
static long set(int mode, const unsigned long *mask, unsigned long bits)
{
    return syscall(SYS_set_mempolicy, mode, mask, bits);
}
static long bind_to(void *p, unsigned long len, int mode, const unsigned long *mask,
                    unsigned long bits, unsigned flags)
{
    return syscall(SYS_mbind, p, len, mode, mask, bits, flags);
}
static long move(int pid, unsigned long n, void **page, const int *node, int *status, int flags)
{
    return syscall(SYS_move_pages, pid, n, page, node, status, flags);
}

static char *map(size_t pages)
{
    return mmap(NULL, pages * PAGE, RW, ANON, -1, 0);
}

/* The lowest allowed node alone. */
static void one_node(unsigned long mask[WORDS])
{
    unsigned long all[WORDS] = {0};
    memset(mask, 0, WORDS * sizeof *mask);
    get(NULL, all, BITS, NULL, MPOL_F_MEMS_ALLOWED);
    for (unsigned i = 0; i < WORDS * 64; i++) {
        if (all[i / 64] >> (i % 64) & 1) {
            mask[i / 64] = 1ul << (i % 64);
            return;
        }
    }
}

static void show_policy(const char *what, void *addr, unsigned long flags)
{
    unsigned long mask[WORDS] = {0};
    int mode = -1;
    long r = get(&mode, mask, BITS, addr, flags);
    unsigned bits = 0;
    for (unsigned i = 0; i < WORDS; i++)
        bits += (unsigned)__builtin_popcountl(mask[i]);
    printf("%s: %ld %s, mode %x, nodes %u %lx\n", what, r, r ? strerrorname_np(errno) : "", mode,
           bits, mask[0]);
}

CASE(numa, get_flags)
{
    unsigned long mask[WORDS];
    char *p = map(4), *none = page_with(PROT_NONE), *bad = page_with(PROT_READ);
    int mode = 77;

    p[0] = 1;
    memset(mask, 0xff, sizeof mask);
    R(get(&mode, mask, BITS, NULL, 0));
    SHOW(mode);
    show_bytes("mask", mask, sizeof mask);
    memset(mask, 0xff, sizeof mask);
    R(get(NULL, mask, BITS, NULL, MPOL_F_MEMS_ALLOWED));
    show_bytes("allowed", mask, sizeof mask);
    R(get(NULL, mask, BITS, NULL, MPOL_F_MEMS_ALLOWED | MPOL_F_NODE));
    R(get(NULL, mask, BITS, p, MPOL_F_MEMS_ALLOWED));
    R(get(&mode, NULL, 0, p, 0));
    R(get(&mode, NULL, 0, NULL, 8));
    R(get(&mode, NULL, 0, NULL, MPOL_F_NODE));
    R(get(&mode, NULL, 0, p, MPOL_F_ADDR));
    R(get(&mode, NULL, 0, NULL, MPOL_F_ADDR));
    R(get(&mode, NULL, 0, p, MPOL_F_ADDR | MPOL_F_NODE));
    SHOW(mode);
    R(get(&mode, NULL, 0, p + 2 * PAGE + 5, MPOL_F_ADDR | MPOL_F_NODE));
    R(get(&mode, NULL, 0, none, MPOL_F_ADDR | MPOL_F_NODE));
    R(get(&mode, NULL, 0, (void *)8, MPOL_F_ADDR | MPOL_F_NODE));
    R(get(&mode, mask, 0, NULL, 0));
    R(get((int *)bad, NULL, 0, NULL, 0));
    R(get(NULL, (unsigned long *)bad, BITS, NULL, 0));
    R(get(NULL, mask, 40000, NULL, 0));
    R(get(NULL, NULL, 0, NULL, 0));
}

CASE(numa, set_errors)
{
    unsigned long mask[WORDS], none[WORDS] = {0}, beyond[WORDS] = {0}, wide[40] = {0};
    static unsigned long huge[600];

    one_node(mask);
    beyond[15] = 1ul << 63;
    R(set(MPOL_DEFAULT, NULL, 0));
    R(set(MPOL_DEFAULT, mask, BITS));
    R(set(MPOL_DEFAULT, none, BITS));
    R(set(MPOL_BIND, NULL, 0));
    R(set(MPOL_BIND, none, BITS));
    R(set(MPOL_BIND, beyond, BITS));
    R(set(MPOL_INTERLEAVE, NULL, 0));
    R(set(MPOL_LOCAL, mask, BITS));
    R(set(MPOL_LOCAL | MPOL_F_STATIC_NODES, NULL, 0));
    R(set(MPOL_PREFERRED | MPOL_F_STATIC_NODES, NULL, 0));
    R(set(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, mask, BITS));
    R(set(MPOL_INTERLEAVE | MPOL_F_NUMA_BALANCING, mask, BITS));
    R(set(MPOL_LOCAL | MPOL_F_NUMA_BALANCING, mask, BITS));
    R(set(99, mask, BITS));
    R(set(-1, mask, BITS));
    R(set(MPOL_BIND, (void *)8, BITS));
    memset(huge, 0xff, sizeof huge); /* all of it is looked at */
    R(set(MPOL_BIND, huge, 32769));
    R(set(MPOL_BIND, mask, 32770));
    wide[0] = mask[0];
    R(set(MPOL_BIND, wide, 40 * 64 + 1));
    wide[39] = 1;
    R(set(MPOL_BIND, wide, 40 * 64 + 1));
    R(set(MPOL_BIND, wide, 39 * 64 + 1));
    wide[39] = 0;
    wide[16] = 64;
    R(set(MPOL_BIND, wide, 1024 + 5));
    R(set(MPOL_BIND, mask, 0));
    show_policy("after", NULL, 0);
}

static void *policy_of_thread(void *arg)
{
    (void)arg;
    show_policy("in a thread", NULL, 0);
    set(MPOL_DEFAULT, NULL, 0);
    return NULL;
}

CASE(numa, set_and_get)
{
    static const int modes[] = {MPOL_PREFERRED,
                                MPOL_BIND,
                                MPOL_INTERLEAVE,
                                MPOL_PREFERRED_MANY,
                                6, /* weighted interleave */
                                MPOL_BIND | MPOL_F_STATIC_NODES,
                                MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES,
                                MPOL_BIND | MPOL_F_NUMA_BALANCING,
                                MPOL_PREFERRED_MANY | MPOL_F_NUMA_BALANCING};
    unsigned long mask[WORDS];
    pthread_t t;
    int mode;

    one_node(mask);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        printf("mode %x\n", modes[i]);
        R(set(modes[i], mask, BITS));
        show_policy("is", NULL, 0);
        R(get(&mode, NULL, 0, NULL, MPOL_F_NODE));
    }
    mask[0] |= 2; /* more than there may be: what is there counts */
    R(set(MPOL_BIND | MPOL_F_STATIC_NODES, mask, BITS));
    show_policy("static", NULL, 0);
    R(set(MPOL_PREFERRED, NULL, 0));
    show_policy("no node", NULL, 0);
    R(set(MPOL_LOCAL, NULL, 0));
    show_policy("local", NULL, 0);
    char *p = map(1);
    p[0] = 1;
    show_policy("of memory", p, MPOL_F_ADDR);
    one_node(mask);
    R(set(MPOL_INTERLEAVE, mask, BITS));
    pthread_create(&t, NULL, policy_of_thread, NULL);
    pthread_join(t, NULL);
    show_policy("its own", NULL, 0);
    pid_t pid = fork();
    if (!pid) {
        show_policy("child", NULL, 0);
        fflush(stdout);
        _exit(0);
    }
    SHOW(pid > 0 && waitpid(pid, NULL, 0) == pid);
}

CASE(numa, mbind)
{
    unsigned long mask[WORDS], none[WORDS] = {0};
    char *p = map(8), *q = map(4);

    one_node(mask);
    R(bind_to(p, 4 * PAGE, MPOL_BIND, mask, BITS, 0));
    show_policy("first", p, MPOL_F_ADDR);
    show_policy("last", p + 4 * PAGE - 1, MPOL_F_ADDR);
    show_policy("behind", p + 4 * PAGE, MPOL_F_ADDR);
    R(bind_to(p + 2 * PAGE, PAGE, MPOL_INTERLEAVE, mask, BITS, MPOL_MF_MOVE));
    show_policy("middle", p + 2 * PAGE, MPOL_F_ADDR);
    show_policy("before", p + PAGE, MPOL_F_ADDR);
    memset(p, 1, 8 * PAGE);
    R(bind_to(p, 8 * PAGE, MPOL_BIND, mask, BITS, MPOL_MF_STRICT));
    R(bind_to(p, 8 * PAGE, MPOL_BIND, mask, BITS, MPOL_MF_STRICT | MPOL_MF_MOVE));
    R(bind_to(p, 8 * PAGE, MPOL_PREFERRED, NULL, 0, 0));
    show_policy("preferred", p, MPOL_F_ADDR);
    R(bind_to(p, 8 * PAGE, MPOL_DEFAULT, NULL, 0, 0));
    show_policy("default", p, MPOL_F_ADDR);
    R(bind_to(p, 8 * PAGE, MPOL_DEFAULT, mask, BITS, 0));
    R(bind_to(p, 8 * PAGE, MPOL_BIND, none, BITS, 0));
    R(bind_to(p, 8 * PAGE, MPOL_BIND, NULL, 0, 0));
    R(bind_to(p, 8 * PAGE, MPOL_BIND, mask, BITS, 8));
    R(bind_to(p, 8 * PAGE, 99, mask, BITS, 0));
    R(bind_to(p + 1, PAGE, MPOL_BIND, mask, BITS, 0));
    R(bind_to(p, 0, MPOL_BIND, none, BITS, 0));
    R(bind_to(p, -PAGE, MPOL_BIND, mask, BITS, 0));
    R(bind_to(p, PAGE, MPOL_BIND, (void *)8, BITS, 0));
    munmap(q + PAGE, PAGE);
    R(bind_to(q, 4 * PAGE, MPOL_BIND, mask, BITS, 0));
    R(bind_to(q, 4 * PAGE, MPOL_DEFAULT, NULL, 0, 0));
    R(bind_to(q + PAGE, PAGE, MPOL_DEFAULT, NULL, 0, 0));
    R(bind_to(q + PAGE, PAGE, MPOL_BIND, mask, BITS, 0));
    R(bind_to(p, 4 * PAGE, MPOL_BIND, mask, BITS, 0));
    munmap(p, 4 * PAGE);
    char *again = mmap(p, 4 * PAGE, RW, ANON | MAP_FIXED, -1, 0);
    SHOW(again == p);
    show_policy("mapped anew", p, MPOL_F_ADDR);
    SHOW(p[0] + p[4 * PAGE]);
}

CASE(numa, home_node)
{
    unsigned long mask[WORDS];
    char *p = map(4);
    int mode = -1;

    one_node(mask);
    p[0] = 1;
    get(&mode, NULL, 0, p, MPOL_F_ADDR | MPOL_F_NODE);
    R(syscall(SYS_set_mempolicy_home_node, p, PAGE, mode, 0));
    R(bind_to(p, 2 * PAGE, MPOL_BIND, mask, BITS, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, 4 * PAGE, mode, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, PAGE, mode, 1));
    R(syscall(SYS_set_mempolicy_home_node, p + 1, PAGE, mode, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, PAGE, 5000, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, PAGE, -1, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, 0, mode, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, -PAGE, mode, 0));
    R(bind_to(p, 2 * PAGE, MPOL_INTERLEAVE, mask, BITS, 0));
    R(syscall(SYS_set_mempolicy_home_node, p, PAGE, mode, 0));
}

CASE(numa, move_pages)
{
    char *p = map(4), *gone = map(1), *closed = map(1);
    void *page[4] = {p, gone, closed, p + PAGE + 7};
    int status[4] = {99, 99, 99, 99}, node[4], i;

    memset(p, 1, 4 * PAGE);
    closed[0] = 1;
    mprotect(closed, PAGE, PROT_NONE);
    munmap(gone, PAGE);
    R(move(0, 4, page, NULL, status, 0));
    for (i = 0; i < 4; i++)
        SHOW(status[i]);
    node[0] = node[1] = node[2] = node[3] = status[0];
    memset(status, 99, sizeof status);
    R(move(0, 2, page, node, status, MPOL_MF_MOVE));
    for (i = 0; i < 2; i++)
        SHOW(status[i]);
    R(move(getpid(), 1, page, NULL, status, 0));
    R(move(0, 0, NULL, NULL, NULL, 0));
    R(move(0, 1, page, NULL, status, 1));
    R(move(0, 1, page, NULL, status, 8));
    R(move(0, 1, page, NULL, (int *)8, 0));
    R(move(0, 1, (void **)8, NULL, status, 0));
    R(move(0, 1, page, (int *)8, status, 0));
    node[0] = 1023;
    R(move(0, 1, page, node, status, MPOL_MF_MOVE));
    node[0] = 5000;
    R(move(0, 1, page, node, status, MPOL_MF_MOVE));
    node[0] = -1;
    R(move(0, 1, page, node, status, MPOL_MF_MOVE));
    R(move(0x3fffffff, 1, page, NULL, status, 0));
    SHOW(p[0] + p[PAGE]);
}

CASE(numa, untouched_page)
{
    void *page = map(1);
    int status = 99;

    R(move(0, 1, &page, NULL, &status, 0));
    SHOW(status);
}

CASE(numa, move_pages_many)
{
    enum { N = 200 };
    char *p = mmap(NULL, N * PAGE, RW, ANON | MAP_NORESERVE, -1, 0);
    void *page[N];
    int status[N], there = 0, odd = 0;

    for (int i = 0; i < N; i++) {
        page[i] = p + (unsigned long)i * PAGE;
        status[i] = 99;
        if (i % 3 == 0)
            p[(unsigned long)i * PAGE] = 1;
    }
    madvise(p, N * PAGE, MADV_NOHUGEPAGE);
    R(move(0, N, page, NULL, status, 0));
    for (int i = 0; i < N; i++) {
        there += status[i] >= 0;
        odd += i % 3 && status[i] != status[1];
    }
    SHOW(there);
    SHOW(odd);
    SHOW(status[1]);
}

CASE(numa, migrate_pages)
{
    unsigned long mask[WORDS], none[WORDS] = {0};

    one_node(mask);
    R(syscall(SYS_migrate_pages, 0, BITS, mask, mask));
    R(syscall(SYS_migrate_pages, getpid(), BITS, mask, mask));
    R(syscall(SYS_migrate_pages, 0, BITS, mask, none));
    R(syscall(SYS_migrate_pages, 0, BITS, (void *)8, mask));
    R(syscall(SYS_migrate_pages, 0, BITS, mask, (void *)8));
    R(syscall(SYS_migrate_pages, 0, 40000, mask, mask));
    R(syscall(SYS_migrate_pages, 0x3fffffff, BITS, mask, mask));
}

static void show_file(const char *path)
{
    char text[4096];
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    printf("%s: %.*s\n", path, n < 0 ? 0 : (int)n, text);
    close(fd);
}

CASE(numa, files)
{
    char line[1024];
    FILE *f = fopen("/proc/self/status", "r");

    show_file("/sys/devices/system/node/online");
    show_file("/sys/devices/system/node/possible");
    show_file("/sys/devices/system/node/has_memory");
    show_file("/sys/devices/system/node/node0/distance");
    show_file("/sys/devices/system/node/node0/cpulist");
    while (f && fgets(line, sizeof line, f)) {
        if (!strncmp(line, "Mems", 4))
            fputs(line, stdout);
    }
}
