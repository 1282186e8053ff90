/* SPDX-License-Identifier: MIT */
#ifndef PROXY_CARVE_JOURNAL_PRIV_H
#define PROXY_CARVE_JOURNAL_PRIV_H

#include "carve/host.h"
#include "carve/journal.h"

#define VALUE_MAX 4096                 /* bytes of a setting's value, with its end */
#define RECORD_MAX (4u << 20)          /* bytes of a file of the journal */
#define RECORD_FOREIGN_MAX (64u << 10) /* of one that anybody may have written */
#define FOREIGN_MAX 4096               /* such files in a directory */
#define LOCK_TRIES 30000 /* of a millisecond: a shield of a crowded node takes its time */
#define JOURNAL_SETTINGS "settings"
/* Bytes of the lock's file: room for giving back when there is none. */
#define RESERVE (256u << 10)

struct want {
    enum journal_kind kind;
    char *path, *value; /* value NULL: of its kind there is none */
    uint64_t got;       /* JOURNAL_ADD, JOURNAL_DIR, JOURNAL_SHIELD */
    int err;            /* of the last journal_apply(): refused */
};

struct isle {
    struct journal_isle id;
    char name[64];  /* its file */
    uint64_t space; /* the process numbers' namespace */
    struct want *want;
    size_t n;
    bool alive; /* the isle's processes hold the lock of its record */
    bool stuck; /* something of it is still there */
};

/* A setting that some isle has changed: what was there, and what is there now if nobody else
   changed it: `set`, or `last` if the change was not made. */
struct entry {
    enum journal_kind kind;
    char *path, *first, *set, *last;
    /* of one journal_apply() */
    cpu_set_t off;
    const char *value; /* of a want */
    uint64_t sum;
    bool wanted, mine, todo, gone;
    int err; /* why it is as it is */
};

struct journal {
    int root, proc, dir, lock;
    int held; /* this isle's record, open and locked for as long as the isle lives; -1: none */
    char path[512];
    char boot[40];
    uint64_t space;
    struct isle self;
    bool entered, unfinished;
    char parent[64]; /* a forked child's: the record of which its own is a copy; "": none */
    /* loaded, under the lock */
    struct isle *isle;
    size_t nisles;
    struct entry *entry;
    size_t nentries;
};

/* balance.c: makes Linux's settings what the living want; under the lock, loaded */
struct balance {
    bool leaving;              /* this isle counts as dead */
    struct settings *settings; /* rows of this isle's wants; may be NULL */
    journal_tell *tell;        /* may be NULL; `what` NULL: put back */
    void *ctx;
    unsigned restored, dead;
    bool strays;     /* look at all cgroups for those whose record is lost */
    bool unfinished; /* something of the dead could not be given back yet */
};
int balance(struct journal *j, struct balance *b);

/* shield.c: every JOURNAL_SHIELD as the living want it. `here`: this isle counts */
void shields_settle(struct journal *j, struct balance *b, bool here);

/* journal_file.c: nothing of it is believed without a look */
int journal_load(struct journal *j); /* both kinds of file; under the lock */
void journal_unload(struct journal *j);
/* This isle's record, locked; the one before it is closed. */
int journal_write_self(struct journal *j);
int journal_write_settings(struct journal *j); /* none left: the file goes */
/* Gives up the room that the lock's file has kept. False: it had none. */
bool journal_spend_reserve(struct journal *j);
void journal_remove(struct journal *j, const char *name);
/* One record, alive or not. -errno, -ESTALE: of another boot. */
int journal_load_isle(int dir, const char *name, struct isle *i, uid_t owner, const char *boot);
int journal_load_isles(int dir, struct isle **out, size_t *n, uid_t owner, const char *boot);
bool want_has_value(enum journal_kind kind);
int want_add(struct isle *i, enum journal_kind kind, const char *path, const char *value);
void isle_free(struct isle *i);
void isle_kept(const struct isle *i, cpu_set_t *out); /* off Linux: cores and idle siblings */
bool isle_is_self(const struct journal *j, const struct isle *i);
void isle_complete(struct isle *i); /* a claim, if it has none */
int journal_start_time(int proc, pid_t pid, uint64_t *start);
void journal_read_world(int proc, char boot[40], uint64_t *space);
struct entry *entry_add(struct journal *j, enum journal_kind kind, const char *path,
                        const char *first, const char *set, const char *last);

#endif
