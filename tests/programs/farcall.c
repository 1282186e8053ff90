/* SPDX-License-Identifier: MIT */
/*
 * A read(2) waits with a buffer in shared memory at an address of the program's choice, and the
 * memory goes. What comes afterwards finds no page: EFAULT, and nothing else is written to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ul << 20)
#define RW (PROT_READ | PROT_WRITE)
#define THREADS 20

/* Below it an unlimited stack and setarch -R have Linux put the mappings of a process. */
static char *const at = (char *)0x155554000000;
static int data[2], end[2];

static void *read_there(void *buffer)
{
    ssize_t n = read(data[0], buffer, MIB);
    printf("read: %zd, %s\n", n, n < 0 ? strerrorname_np(errno) : "-");
    return NULL;
}

static void *wait_for_end(void *unused)
{
    char c;
    return read(end[0], &c, 1) == 1 ? unused : NULL;
}

int main(void)
{
    pthread_t reader, others[THREADS];
    char *p = mmap(at, 10 * MIB, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    printf("mapped: %s\n", p == at ? "there" : strerrorname_np(errno));
    if (p != at || pipe(data) || pipe(end))
        return 1;
    fcntl(data[1], F_SETPIPE_SZ, (int)MIB);
    pthread_create(&reader, NULL, read_there, p + 6 * MIB);
    usleep(100000);
    munmap(p, 10 * MIB);
    p = mmap((char *)0x20000000000, 1ul << 30, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("elsewhere: %s\n", p == MAP_FAILED ? strerrorname_np(errno) : "mapped");
    for (int i = 0; i < THREADS; i++)
        pthread_create(&others[i], NULL, wait_for_end, NULL);
    usleep(100000);
    char *x = malloc(MIB);
    memset(x, 0x41, MIB);
    printf("written: %zd\n", write(data[1], x, 1000));
    pthread_join(reader, NULL);
    printf("ended: %zd\n", write(end[1], x, THREADS));
    for (int i = 0; i < THREADS; i++)
        pthread_join(others[i], NULL);
    return 0;
}
