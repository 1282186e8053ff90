/* SPDX-License-Identifier: MIT */
#include "ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROOM 512          /* of our own at most: a descriptor for each core and a few more */
#define HIGHEST (1 << 16) /* a table of descriptors grows to its highest number: keep it small */

static int low;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the limit, while it is raised */

/* Around fork(2): a child finds it free. */
static void lock_take(void)
{
    pthread_mutex_lock(&lock);
}

static void lock_give(void)
{
    pthread_mutex_unlock(&lock);
}

/*
 * Just above the soft limit when the hard one leaves room: open(2) never gives numbers there, and a
 * descriptor above the limit stays valid (getrlimit(2)).
 */
int ownfd_low(void)
{
    struct rlimit l;
    if (low)
        return low;
    pthread_atfork(lock_take, lock_give, lock_give);
    low = 1024;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0) {
        rlim_t at = l.rlim_cur < HIGHEST ? l.rlim_cur : HIGHEST;
        if (l.rlim_max < at + ROOM)
            at = l.rlim_max > 2 * ROOM ? l.rlim_max - ROOM : l.rlim_max / 2;
        low = (int)at;
    }
    return low;
}

/* The soft limit includes our own numbers until narrow(). Under the lock. */
static int widen(struct rlimit *before)
{
    rlim_t end = (rlim_t)ownfd_low() + ROOM;
    if (getrlimit(RLIMIT_NOFILE, before))
        return -errno;
    struct rlimit wide = *before;
    if (wide.rlim_cur < end)
        wide.rlim_cur = wide.rlim_max < end ? wide.rlim_max : end;
    setrlimit(RLIMIT_NOFILE, &wide);
    return 0;
}

static void narrow(const struct rlimit *before)
{
    int saved = errno;
    setrlimit(RLIMIT_NOFILE, before);
    errno = saved;
}

int ownfd_copy(int fd)
{
    struct rlimit l;
    int up = -1;
    pthread_mutex_lock(&lock);
    if (widen(&l) == 0) {
        up = fcntl(fd, F_DUPFD_CLOEXEC, ownfd_low());
        narrow(&l);
    }
    pthread_mutex_unlock(&lock);
    return up;
}

int ownfd_open(int dir, const char *path, int flags)
{
    struct rlimit l;
    pthread_mutex_lock(&lock);
    int rc = widen(&l);
    if (rc == 0) {
        int fd = openat(dir, path, flags);
        rc = fd < 0 || fd >= ownfd_low() ? fd : fcntl(fd, F_DUPFD_CLOEXEC, ownfd_low());
        rc = rc < 0 ? -errno : rc;
        if (fd >= 0 && fd != rc)
            close(fd);
        narrow(&l);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

int ownfd_hide(int fd)
{
    int up = ownfd_copy(fd);
    if (up < 0)
        return fd;
    close(fd);
    return up;
}
