/* SPDX-License-Identifier: MIT */
#ifndef PROXY_CARVE_HOLD_PRIV_H
#define PROXY_CARVE_HOLD_PRIV_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include "carve/hold.h"
#include "carve/host.h"
#include "carve/keeper.h"

/* What an isle may have to do without; one bit each of hold.lacks. */
enum lack {
    LACK_CPUSET = 1,
    LACK_IRQ = 2,
    LACK_WORKQUEUES = 4,
    LACK_REALTIME = 8,
    LACK_LOCKED = 16,
    LACK_LATENCY = 32,
    LACK_SHIELD = 64,
};

#define SHIELD_NAME "lull.linux"

enum cpuset_kind { CPUSET_NONE, CPUSET_V1, CPUSET_V2 };

struct hold {
    int root;
    const struct options *opt;
    struct settings *settings;
    struct journal *journal; /* NULL: none */
    int journal_err;
    bool real;            /* the root is this machine's: else there is no keeper */
    struct keeper keeper; /* of what outlives this process */
    int held_before;      /* the lock of a record in another journal, which the image before an
                             execve(2) has made with other rights; -1: none */
    cpu_set_t cpus, linux_cpus;
    bool taken, released;
    unsigned lacks;
    /* cpuset.c */
    enum cpuset_kind cpuset;
    char mount[1100];                   /* of the hierarchy with cpusets */
    char home[PATH_MAX], dir[PATH_MAX]; /* of this process before, and the isle's */
    cpu_set_t dir_cpus;                 /* its CPUs: the isle's, and of others that share it */
    char partition[32];                 /* "isolated", "root", "exclusive" or "" */
    int home_fd, dir_fd;                /* the files that move a thread there; -1: none, or it is
                                           the keeper that has them */
    int latency_fd;                     /* /dev/cpu_dma_latency */
    bool realtime;
    bool shielded;        /* asked for */
    pthread_mutex_t lock; /* of the journal, against a fork(2) half way */
    atomic_int moved, move_err, scheduled, schedule_err;
};

/* cpuset.c. 0 or -errno after a row of settings that says why */
int cpuset_want(struct hold *h);            /* adds to what the journal is to do */
void cpuset_fill(struct hold *h);           /* the directory is there */
void cpuset_share(struct hold *h, bool on); /* its CPUs with the parent's processes */
bool cpuset_made(const struct hold *h);
/* cgroup v1: those who share the CPUs are moved aside (shield.c). 0: asked for, or v2 */
int cpuset_want_shield(struct hold *h);
bool cpuset_shielded(const struct hold *h);
/* v1: an isle without a cpuset of its own has its threads where no shield keeps them off. */
void cpuset_find_home(struct hold *h);
/* A process that was moved aside, or comes from an isle's core, is back where it would be. */
void cpuset_leave(struct hold *h);

/* hold.c: before the first change that outlives this process, somebody is there to undo it. */
void hold_watched(struct hold *h);

/* steer.c: interrupts, workqueues, receive queues, governors, watchdogs */
void steer_want(struct hold *h);
int root_path(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
