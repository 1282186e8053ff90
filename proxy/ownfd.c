/* SPDX-License-Identifier: MIT */
#include "ownfd.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#define ROOM 512       /* of our own at most: a descriptor for each core and a few more */
#define LEAST 48       /* of our own for a core or two, and a child that comes to be */
#define HOLE_FROM 8192 /* a lower hard limit is cut */
#define BEHIND_HOLE 64
#define HIGHEST (1 << 16) /* a table of descriptors grows to its highest number: keep it small */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int low, end;       /* our own numbers: low .. end - 1 */
static struct rlimit told; /* the program's; told.rlim_cur is written under the lock */
static unsigned lifted;    /* lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* the process's limit */

/* Around fork(2): a child finds it free. */
static void lock_take(void)
{
    pthread_mutex_lock(&lock);
}

static void lock_give(void)
{
    pthread_mutex_unlock(&lock);
}

/* A quarter, as long as that is enough for a core or two. */
static rlim_t cut_room(rlim_t hard)
{
    rlim_t quarter = hard / 4 < ROOM ? hard / 4 : ROOM;
    rlim_t least = hard / 2 < LEAST ? hard / 2 : LEAST;
    return quarter > least ? quarter : least;
}

/*
 * A descriptor above a limit stays valid (getrlimit(2)). The proxy's numbers begin at the program's
 * hard limit, which the proxy raises for itself. If it may not, or that is beyond HIGHEST, they are
 * a hole in the program's numbers, not quite at the end, where programs put descriptors. A limit
 * that is too low for a hole is cut, and the program is told the lower one.
 */
static void choose(void)
{
    struct rlimit l;
    pthread_atfork(lock_take, lock_give, lock_give);
    if (low)
        return;
    if (getrlimit(RLIMIT_NOFILE, &l))
        l = (struct rlimit){1024, 1024};
    told = l;
    rlim_t at = l.rlim_max < HIGHEST - ROOM ? l.rlim_max : HIGHEST - ROOM, top = at + ROOM;
    if (l.rlim_max < top && setrlimit(RLIMIT_NOFILE, &(struct rlimit){l.rlim_cur, top})) {
        bool hole = l.rlim_max >= HOLE_FROM;
        rlim_t room = hole ? ROOM : cut_room(l.rlim_max);
        top = hole ? l.rlim_max - BEHIND_HOLE : l.rlim_max;
        at = top - room;
        if (!hole) {
            told.rlim_max = at;
            told.rlim_cur = l.rlim_cur < at ? l.rlim_cur : at;
        }
    }
    low = (int)at;
    end = (int)top;
}

int ownfd_low(void)
{
    pthread_once(&once, choose);
    return low;
}

int ownfd_end(void)
{
    pthread_once(&once, choose);
    return end;
}

void ownfd_adopt(const int range[2], uint64_t soft, uint64_t hard)
{
    low = range[0];
    end = range[1];
    told = (struct rlimit){soft, hard};
}

void ownfd_limit(struct rlimit *out)
{
    pthread_once(&once, choose);
    pthread_mutex_lock(&lock);
    *out = told;
    pthread_mutex_unlock(&lock);
}

uint64_t ownfd_soft(void)
{
    pthread_once(&once, choose);
    return __atomic_load_n(&told.rlim_cur, __ATOMIC_RELAXED);
}

/* Linux's limit as the program's wants it. 0 or -errno. Under the lock. */
static int apply(const struct rlimit *program)
{
    struct rlimit now, want = *program;
    if (getrlimit(RLIMIT_NOFILE, &now))
        return -errno;
    if (want.rlim_max < (rlim_t)end)
        want.rlim_max = now.rlim_max < (rlim_t)end ? now.rlim_max : (rlim_t)end;
    if (lifted && want.rlim_cur < (rlim_t)end)
        want.rlim_cur = (rlim_t)end;
    if (want.rlim_cur > want.rlim_max)
        want.rlim_cur = want.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &want) ? -errno : 0;
}

int ownfd_set_limit(const struct rlimit *program)
{
    pthread_once(&once, choose);
    pthread_mutex_lock(&lock);
    int rc = apply(program);
    if (rc == 0) {
        told.rlim_max = program->rlim_max;
        __atomic_store_n(&told.rlim_cur, program->rlim_cur, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

void ownfd_lift(bool on)
{
    pthread_once(&once, choose);
    pthread_mutex_lock(&lock);
    lifted += on ? 1u : -1u;
    apply(&told);
    pthread_mutex_unlock(&lock);
}

/* The soft limit includes our own numbers until narrow(). Under the lock. */
static int widen(struct rlimit *before)
{
    rlim_t top = (rlim_t)ownfd_end();
    if (getrlimit(RLIMIT_NOFILE, before))
        return -errno;
    struct rlimit wide = *before;
    if (wide.rlim_cur < top)
        wide.rlim_cur = wide.rlim_max < top ? wide.rlim_max : top;
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
    int first = openat(dir, path, flags); /* without the lock: an open may wait (fanotify) */
    if (first >= 0) {
        int up = ownfd_copy(first);
        close(first);
        return up < 0 ? -EMFILE : up;
    }
    if (errno != EMFILE)
        return -errno;
    pthread_mutex_lock(&lock);
    int rc = widen(&l);
    if (rc == 0) {
        int fd = openat(dir, path, flags);
        rc = fd < 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, ownfd_low());
        rc = rc < 0 ? -errno : rc;
        if (fd >= 0)
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
