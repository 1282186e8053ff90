/* SPDX-License-Identifier: MIT */
/*
 * What the isles of this node want of Linux, on record before it is done, so that whatever dies,
 * somebody can put it back; and which isles there are.
 *
 * A directory (/run/lull, without root $XDG_RUNTIME_DIR/lull) holds a file for each isle with its
 * wants, and one file `settings` with, for each path, the value that was there before the first
 * isle came. A setting follows from both: the first value, less the CPUs of every living isle that
 * wants them off, and so on; with nobody left who wants anything it is the first value. So isles
 * may come and go in any order. A value that is not the one that was written here belongs to
 * somebody else by now, and is left alone.
 *
 * Functions return 0 or -errno. One thread at a time, of one process.
 */
#ifndef PROXY_CARVE_JOURNAL_H
#define PROXY_CARVE_JOURNAL_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "carve/settings.h"

struct journal;

enum journal_kind {
    JOURNAL_LIST_OFF, /* a mask as a list ("0-3,5"): without the isle's CPUs; never emptied */
    JOURNAL_HEX_OFF,  /* a mask in hexadecimal ("ff,ffffffff"): the same */
    JOURNAL_HEX_NONE, /* the same, and may become empty */
    JOURNAL_VALUE,    /* this value; living isles are expected to agree on it */
    JOURNAL_ADD,  /* a count (nr_hugepages): so many more, the sum of all isles'. What Linux does
                     not give is not wanted any longer: journal_got() */
    JOURNAL_WORD, /* this word, in a file that takes "+word" and "-word" (cgroup.subtree_control) */
    JOURNAL_DIR,  /* a cgroup: made, and removed when no living isle has it any more */
    JOURNAL_SHIELD, /* a v1 cpuset below one with isles: has the CPUs that isles there have not, and
                       that one's processes, which go back when no living isle wants it any more */
};

/*
 * What an isle's plan was made of: the other ranks of its launch start from the same, and whoever
 * plans later keeps off.
 */
struct journal_claim {
    pid_t launch;          /* the process that started all its ranks, else the first of the isles
                              that fork(2) and execve(2) made of each other; 0: no claim */
    uint64_t launch_start; /* as `start` */
    unsigned rank;         /* of the launch's on this node; the same after fork(2) */
    cpu_set_t within;      /* CPUs that it might use */
    cpu_set_t around;      /* held by isles of other launches by then */
    cpu_set_t held;        /* cores of all ranks of the launch, and siblings that stay idle */
};

/* Of an isle, for `lull ps` and for those who plan. */
struct journal_isle {
    pid_t pid;
    uid_t uid;
    uint64_t start;   /* of the process, clock ticks since boot (/proc/PID/stat) */
    uint64_t began_s; /* CLOCK_REALTIME, seconds */
    uint64_t mem;     /* bytes at most */
    cpu_set_t cpus;   /* its cores */
    cpu_set_t idle;   /* hyperthreads of these that stay idle: kept off Linux like them */
    char engine[32];
    char program[256]; /* printable */
    bool elsewhere;    /* `pid` is a number of another namespace */
    struct journal_claim claim;
};

/*
 * `root` is put before every path ("" on a true machine). Finds or makes the directory; another
 * user's, or one that others may write to, is not taken (-EPERM). -ENOENT: no place for one.
 */
int journal_open(const char *root, struct journal **out);
/* The same, but makes nothing: -ENOENT, too, when there has been no isle yet. */
int journal_find(const char *root, struct journal **out);
void journal_close(struct journal *j); /* changes nothing; NULL is allowed */
const char *journal_directory(const struct journal *j);

/* From here to journal_unlock() no isle comes, goes or plans. -EBUSY: locked for 5 s. No other
   function takes the lock meanwhile. */
int journal_lock(struct journal *j);
void journal_unlock(struct journal *j);

/* Adds the living isles on record here to *out, to be freed. */
int journal_isles(struct journal *j, struct journal_isle **out, size_t *n);

/*
 * Locked: this process is an isle from now on, and on record with that, but wants nothing yet. What
 * it is on record for already, before an execve(2), stays until journal_apply().
 */
int journal_claim(struct journal *j, const struct journal_isle *self);

/*
 * This process is an isle; what it is on record for is replaced, but for the claim it has made: one
 * without makes one of its own cores. Written by journal_apply().
 */
void journal_enter(struct journal *j, const struct journal_isle *self);
bool journal_entered(const struct journal *j);

/*
 * The JOURNAL_DIR that this process's record has, as the image before an execve(2) or a fork(2) has
 * left it, else one right below `base` of a living isle that has all of these CPUs. To *cpus come
 * those of the other living isles that have it. -ENOENT: none.
 */
int journal_find_dir(struct journal *j, const char *base, cpu_set_t *cpus, char *out, size_t size);

/*
 * One more want: after journal_enter(), before journal_apply(). `path` is absolute and has no
 * blanks; `value` for JOURNAL_VALUE, JOURNAL_WORD and JOURNAL_ADD (decimal, >= 0), else NULL. A
 * second want of the same path replaces the first. -ENOMEM, -EINVAL.
 */
int journal_want(struct journal *j, enum journal_kind kind, const char *path, const char *value);

/*
 * Puts everything on record, and then does it; what the dead have left is put back on the way.
 * Each of this isle's wants becomes a row of *s (may be NULL), those that Linux refuses with the
 * reason; a refusal is no error. May be called again after more wants. -EBUSY: the journal was
 * locked for 30 s; -errno: it cannot be written: nothing was done.
 */
int journal_apply(struct journal *j, struct settings *s);

/* After journal_apply(): how many of a JOURNAL_ADD's there are, 0 .. value; threads that were moved
   into a JOURNAL_SHIELD. */
uint64_t journal_got(const struct journal *j, const char *path);

/* Does this isle want anything that outlives its process? */
bool journal_wants(const struct journal *j);

/*
 * A record counts as alive for as long as a process has it open and locked. The lock goes along
 * with fork(2), and with execve(2) where the descriptor is not closed: the next image adopts it
 * (-ENOENT: it is no record of this process here, and stays the caller's).
 */
int journal_held(const struct journal *j); /* -1: none */
int journal_adopt(struct journal *j, int fd);
void journal_let_go(struct journal *j); /* this process's part in it */

/*
 * For the keeper (keeper.h), a copy of this process: descriptors without which it cannot give back;
 * and from now on it is no isle, and has no part in the record's lock.
 */
#define JOURNAL_DESCRIPTORS 3
void journal_descriptors(const struct journal *j, int out[JOURNAL_DESCRIPTORS]);
void journal_become_keeper(struct journal *j);

/* What was put back by journal_release() or journal_collect() (`what` NULL), or could not be. */
typedef void journal_tell(void *ctx, const char *path, const char *what);

/*
 * In a child of fork(2), which is no more: forgets its record if its parent's is alive and wants
 * the same, because nothing is to be given back then, and no other record has to be read. False:
 * nothing is done, and journal_release() or the keeper is due.
 */
bool journal_leave_parent(struct journal *j);

/* This isle is no more: everything only it wanted is as before. */
int journal_release(struct journal *j, journal_tell *tell, void *ctx);

/* The dead alone. *restored: settings and directories put back; *dead: isles that had left some. */
int journal_collect(struct journal *j, unsigned *restored, unsigned *dead, journal_tell *tell,
                    void *ctx);

/* And empty cgroups lull.N, anywhere, of isles whose record is lost. */
int journal_collect_all(struct journal *j, unsigned *restored, unsigned *dead, journal_tell *tell,
                        void *ctx);

/* After journal_collect(): is something of the dead still there, which may go later (a directory
   with threads that are about to end)? */
bool journal_unfinished(const struct journal *j);

/*
 * After fork(2), in the child: it is an isle of its own that wants the same but for JOURNAL_ADD,
 * and goes on record. If that fails it shares its parent's record, which stays alive for both.
 */
int journal_fork(struct journal *j);

/*
 * The living isles on record in a directory (below `root`), whoever it belongs to: only for
 * showing. Adds to *out, to be freed; `uid` is that of the record's owner.
 */
int journal_scan(const char *root, const char *directory, struct journal_isle **out, size_t *n);

#endif
