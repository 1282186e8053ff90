/* SPDX-License-Identifier: MIT */
/* leave WAY: the ways in which a program with threads can end. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int fd[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static atomic_int started;

static void *exiting(void *arg)
{
    (void)arg;
    puts("thread exits");
    exit(7);
}

static void *exiting_raw(void *arg)
{
    (void)arg;
    _exit(8);
}

static void *computing(void *arg)
{
    (void)arg;
    started++;
    for (volatile unsigned long i = 0;; i++) {
    }
    return NULL;
}

static void *blocked(void *arg)
{
    char c;

    started++;
    if (arg == fd) {
        read(fd[0], &c, 1);
    } else if (arg) {
        pause();
    } else {
        pthread_mutex_lock(&lock);
        pthread_cond_wait(&cond, &lock);
    }
    return NULL;
}

static void *outliving(void *arg)
{
    struct timespec t = {0, 30000000};

    nanosleep(&t, NULL);
    puts("thread outlives main");
    return arg;
}

static void *last_raw(void *arg)
{
    struct timespec t = {0, 30000000};

    (void)arg;
    nanosleep(&t, NULL);
    syscall(SYS_exit, 5);
    return NULL;
}

static void start(void *(*body)(void *), void *arg)
{
    pthread_t t;

    if (pthread_create(&t, NULL, body, arg)) {
        puts("pthread_create failed");
        exit(99);
    }
}

static void wait_started(int n)
{
    while (started < n) {
        usleep(1000);
    }
    usleep(5000);
}

int main(int argc, char **argv)
{
    const char *way = argc > 1 ? argv[1] : "";

    if (pipe(fd)) {
        return 99;
    }
    if (strcmp(way, "thread-exit") == 0) {
        start(exiting, NULL);
        pause();
    } else if (strcmp(way, "thread-exit-raw") == 0) {
        start(exiting_raw, NULL);
        pause();
    } else if (strcmp(way, "over-computing") == 0) {
        for (int i = 0; i < 4; i++) {
            start(computing, NULL);
        }
        wait_started(4);
        return 9;
    } else if (strcmp(way, "over-blocked") == 0) {
        start(blocked, fd);
        start(blocked, NULL);
        start(blocked, &lock);
        wait_started(3);
        return 10;
    } else if (strcmp(way, "main-first") == 0) {
        start(outliving, NULL);
        puts("main leaves");
        pthread_exit(NULL);
    } else if (strcmp(way, "main-first-raw") == 0) {
        start(last_raw, NULL);
        syscall(SYS_exit, 5); /* whose status counts differs between Linux versions: the same */
    } else if (strcmp(way, "computing-exit") == 0) {
        start(computing, NULL);
        start(exiting, NULL);
        computing(NULL);
    } else if (strcmp(way, "unflushed") == 0) {
        printf("flushed by exit, not by a newline");
        return 0;
    } else if (strcmp(way, "unflushed-raw") == 0) {
        printf("lost");
        _exit(0);
    }
    return 98;
}
