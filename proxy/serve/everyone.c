/* SPDX-License-Identifier: MIT */
/*
 * What Linux keeps for each thread and a program of one thread sees as the process's: capabilities,
 * the user number for files. All of the proxy's threads serve the program, so each one changes its
 * own, in the handler of a signal that no thread can block: the one by which the C library does the
 * same for setuid(2).
 */
#include "serve/everyone.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "serve/path_priv.h"
#include "sigstate.h"

#define SIGNAL 33    /* SIGSETXID of the C library */
#define WAIT_MS 3000 /* for one thread */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const long *volatile current; /* number and arguments of the call; NULL: none */
static atomic_uint generation;
static atomic_int reached;    /* tid of the thread that has answered last */
static atomic_bool was_fresh; /* it had not done the call before */
static _Thread_local unsigned mine;

void everyone_lock(void)
{
    pthread_mutex_lock(&lock);
}

void everyone_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

static long make(const long *call)
{
    long r = syscall(call[0], call[1], call[2], call[3], call[4], call[5]);
    return r < 0 ? -errno : r;
}

/* Async-signal-safe. */
static void on_signal(int sig)
{
    int saved = errno;
    const long *call = current;
    unsigned now = atomic_load(&generation);
    (void)sig;
    if (call && mine != now) {
        make(call);
        mine = now;
        atomic_store(&was_fresh, true);
    }
    atomic_store(&reached, (int)syscall(SYS_gettid));
    errno = saved;
}

/* True if the thread had not done the call before. */
static bool reach(pid_t pid, pid_t tid)
{
    atomic_store(&reached, 0);
    atomic_store(&was_fresh, false);
    if (syscall(SYS_tgkill, pid, tid, SIGNAL))
        return false;
    for (int ms = 0; ms < WAIT_MS; ms++) {
        for (int i = 0; i < 1000; i++) {
            if (atomic_load(&reached) == tid)
                return atomic_load(&was_fresh);
            __builtin_ia32_pause();
        }
        if (syscall(SYS_tgkill, pid, tid, 0)) /* it has ended */
            return false;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return false;
}

/* True of a thread that Linux runs in the process and that has no program, such as KVM's. */
static bool is_worker(int tasks, const char *tid)
{
    enum { FLAGS = 9, USER_WORKER = 0x4000, IO_WORKER = 0x10 }; /* the field of stat, its bits */
    char name[64], text[512];
    snprintf(name, sizeof name, "%.20s/stat", tid);
    int fd = openat(tasks, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    const char *at = strrchr(text, ')'); /* the end of the second field */
    for (int field = 2; at && field < FLAGS; field++) {
        at = strchr(at, ' ');
        at = at ? at + 1 : NULL;
    }
    return at && strtoul(at, NULL, 10) & (USER_WORKER | IO_WORKER);
}

/* Signals every other thread; returns how many had not done the call before. */
static int reach_all(void)
{
    char name[64];
    int fresh = 0;
    pid_t pid = getpid(), self = (pid_t)syscall(SYS_gettid);
    int dir = path_self(name, "task", 0);
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return 0;
    }
    for (struct dirent *e; (e = readdir(d));) {
        pid_t tid = path_thread(fd, e->d_name);
        if (tid > 0 && tid != self && !is_worker(fd, e->d_name) && reach(pid, tid))
            fresh++;
    }
    closedir(d);
    return fresh;
}

int64_t everyone_calls(const long call[6])
{
    struct kernel_sigaction before, now;
    everyone_lock();
    long r = make(call);
    if (r < 0) {
        everyone_unlock();
        return r;
    }
    syscall(SYS_rt_sigaction, SIGNAL, NULL, &before, 8);
    if (before.restorer) { /* else there is no other thread yet */
        now = before;
        now.handler = on_signal;
        now.flags |= SA_RESTART;
        current = call;
        mine = atomic_fetch_add(&generation, 1) + 1;
        syscall(SYS_rt_sigaction, SIGNAL, &now, NULL, 8);
        while (reach_all()) /* a thread may have been created by one that was not reached yet */
            ;
        current = NULL;
        syscall(SYS_rt_sigaction, SIGNAL, &before, NULL, 8);
    }
    everyone_unlock();
    return r;
}
