/* SPDX-License-Identifier: MIT */
/*
 * The keeper: a process beside the proxy that has the rights lull was started with, and gives back
 * what its isle has taken from Linux when the proxy has ended, in whatever way. It executes
 * nothing, reads nothing of the isle's, and has none of the program's descriptors.
 *
 * Each proxy that fork(2) makes of the first is a member with a socket of its own; an execve(2)
 * keeps process and socket. The keeper runs journal_collect() when a member says that it leaves,
 * when its socket closes, and when its process ends; it ends itself with the last socket.
 *
 * Functions return 0 or -errno; -EPIPE: the keeper is gone. One thread at a time but for
 * keeper_move().
 */
#ifndef PROXY_CARVE_KEEPER_H
#define PROXY_CARVE_KEEPER_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/types.h>

#include "carve/journal.h"

struct keeper {
    int fd;      /* -1: there is no keeper */
    pid_t pid;   /* of the keeper, in the namespace of who started it */
    bool child;  /* this process has started it */
    bool shared; /* the socket is the parent's, too: a fork(2) found no descriptor for its own */
    pthread_mutex_t lock; /* one question at a time */
};

enum keeper_where { KEEPER_HOME, KEEPER_CORES };

void keeper_none(struct keeper *k);

/* argv of main(): the keeper writes its name there, for ps. */
void keeper_title(int argc, char **argv);

/* Before anything is changed, and before the isle's memory exists. `cpus`: where it runs. */
int keeper_start(struct keeper *k, struct journal *j, const cpu_set_t *cpus);

/* The keeper gets copies of the files that move threads (cpuset.c); only the first call counts. */
int keeper_give(struct keeper *k, int home_fd, int cores_fd);

/* Moves a thread of this process there, with the keeper's rights. Any thread. */
int keeper_move(struct keeper *k, pid_t tid, enum keeper_where where);

/* In the child of a fork(2). Whatever it returns, the keeper knows when the child has ended. */
int keeper_join(struct keeper *k);

/*
 * This process's record is no longer locked by it: everything only it wanted is given back when
 * this returns. The socket is closed.
 */
int keeper_leave(struct keeper *k);

/* As keeper_leave(), for a process that has nothing to give back: no answer is waited for. */
void keeper_quit(struct keeper *k);

void keeper_close(struct keeper *k);

#endif
