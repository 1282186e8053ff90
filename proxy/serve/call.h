/* SPDX-License-Identifier: MIT */
/*
 * One forwarded system call inside the proxy: decoded (every argument checked, everything nested
 * copied), invoked, finished (results copied back). Only decode and finish touch isle memory;
 * between them the call stands on the proxy's own copies and on ranges that were checked.
 */
#ifndef PROXY_SERVE_CALL_H
#define PROXY_SERVE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "isle/isle.h"

/* What Linux transfers at most in one call (include/linux/fs.h, MAX_RW_COUNT). */
#define CALL_MAX_RW 0x7ffff000ul
#define CALL_MAX_IOV 1024u /* UIO_MAXIOV */
#define CALL_MAX_BACK 8

/* Memory of one thread for the calls it makes, one after another. */
struct arena {
    char *base;
    size_t size, used;
    struct arena_block *more;
};

extern size_t arena_block_size; /* bytes kept per thread; 0 in fuzzers: every copy on its own */

/* 16-byte aligned, or NULL. Valid until the next arena_reset(). */
void *arena_alloc(struct arena *a, size_t len);
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

struct exec_request;
struct agents;

/* What a call needs to know of its isle. Constant while the server runs. */
struct call_env {
    const struct isle *isle;
    int fd_low, fd_end;    /* fd_low <= descriptor < fd_end: the proxy's own */
    int pid;               /* of the proxy */
    const char *exe_path;  /* NULL: the proxy's own */
    int exe_fd;            /* that file, open; 0: none */
    struct mapped *mapped; /* NULL: mappings have no names */
    struct agents *agents; /* children before their execve; NULL: none can be */
    int64_t (*exec)(void *ctx, const struct exec_request *req);
    void (*credentials_changed)(void *ctx);
    void *exec_ctx;
    const struct lull_limits *limits; /* isle memory; NULL: children have the proxy's */
    const struct view *view;          /* NULL: files that show the proxy are refused */
    const int *halted;                /* atomic, 1: the isle ends; NULL: it does not */
};

/* What takes long looks at this now and then, and gives up. */
static inline bool call_halted(const struct call_env *env)
{
    return env->halted && __atomic_load_n(env->halted, __ATOMIC_RELAXED);
}

struct msg_copy; /* vec.c */
struct mmsg_copy;

struct call {
    const struct call_env *env;
    struct arena *mem;
    uint32_t nr;
    uint64_t user[6]; /* as the isle gave them */
    long arg[6];      /* as Linux gets them */
    unsigned arg_set; /* bit i: arg[i] is the checked length of a buffer */
    unsigned nback;
    struct {
        void *dst; /* checked isle memory */
        const void *src;
        size_t len;
        bool always; /* also when the call failed */
    } back[CALL_MAX_BACK];
    struct msg_copy *msg;      /* sendmsg, recvmsg */
    struct msghdr *from;       /* recvfrom that has become a recvmsg */
    struct mmsg_copy *mmsg;    /* sendmmsg, recvmmsg */
    struct address_copy *addr; /* accept and its like */
    struct pollfd *pollfd;     /* poll, ppoll: own copy */
    int *pair;                 /* pipe, socketpair: own copy */
    int *made;                 /* SO_PEERPIDFD: own copy */
    int own_fd;                /* opened by the decoder, closed by finish_mount(); -1: none */
    uint32_t as;               /* what Linux is asked instead of nr; 0: nr */
    long before[6];            /* arg without `as` */
    bool no_links;             /* an open that may be refused for a symbolic link: call_again() */
    struct aio_call *aio;      /* io_submit and its family (aio.c) */
    char *events;              /* read of fanotify(7): own copy of what is for events_to */
    void *events_to;
    void *bounce;         /* where Linux writes a result that is copied to bounce_at */
    uint64_t bounce_at;   /* isle memory */
    uint64_t bounce_have; /* bytes that may be used there */
    uint32_t task;        /* a path leads to this thread's /proc files; 0: to the process's */
    bool guarded;         /* opens for writing a file that an isle may run */
    bool truncates;       /* such an open has O_TRUNC, which Linux was not told */
    bool readonly;        /* an argument that is written at the end may not be */
    bool refused;         /* answered with ENOSYS by the proxy */
};

/* Returns true when Linux is to be asked; false: *answer is the result. c->env, mem, nr, user
   set. */
bool call_decode(struct call *c, int64_t *answer);

/* Linux gets n bytes of own memory as argument i, for a result that goes to the program's, where it
   may use `have`. False: there is no memory. */
bool call_bounce(struct call *c, unsigned i, uint64_t n, uint64_t have);
/* Copies what Linux wrote to c->bounce; Linux's answer r, or -EFAULT. */
int64_t call_bounced(struct call *c, int64_t r);

/*
 * `done` bytes of a write, writev or sendto were already taken by Linux: the decoded call is to
 * send the rest only.
 */
void call_skip(struct call *c, uint64_t done);

/*
 * Returns true if Linux is to be asked again, after its answer r to a call that was decoded as
 * something less; false: *r is the answer.
 */
bool call_again(struct call *c, int64_t *r);

/* Copies results back; returns what the isle gets for Linux's answer r. */
int64_t call_finish(struct call *c, int64_t r);

/*
 * How Linux is asked: everything that is done in the isle's name goes through here. Replaced only
 * by tests. `cancel` becomes non-zero when the call is to end: with -EINTR if it waits, with
 * CALL_NOT_BEGUN if it has not entered Linux.
 */
#define CALL_NOT_BEGUN (-4001)
extern long (*server_syscall_fn)(long nr, const long arg[6], const int *cancel);
long server_syscall(long nr, long a, long b, long c, long d);
long server_syscall6(long nr, const long arg[6]);

/* -- used by the decoders ------------------------------------------------------------------- */

/* Isle memory [va, va+len) as a pointer for Linux; NULL stays NULL, what is bad becomes bad. */
void *call_ptr(const struct call *c, uint64_t va, uint64_t len);
/* What stands for [va, va+len) that may not be used: LULL_BAD_PTR or LULL_BAD_RANGE. */
void *call_bad(uint64_t va, uint64_t len);
/* The same for a structure that is used from a copy: NULL for what may not be used. */
void *call_mem(const struct call *c, uint64_t va, uint64_t len);
/* Copies isle memory once; false when the range is bad. */
bool call_copy_in(const struct call *c, void *dst, uint64_t va, size_t len);
/* Copy of len bytes in the arena, or NULL with *fault told apart from no memory. */
void *call_dup(struct call *c, uint64_t va, size_t len, bool *fault);
void call_back(struct call *c, void *dst, const void *src, size_t len, bool always);
bool call_answer(int64_t *answer, int64_t value);      /* false, for `return call_answer(...)` */
bool call_refuse(struct call *c, int64_t *answer);     /* the same with ENOSYS, counted */
int call_fd(const struct call_env *env, uint64_t arg); /* -1 for the proxy's own */
bool call_fd_is_own(const struct call_env *env, int64_t fd);
/* A descriptor that Linux has just given, as the program may have it; -EMFILE: it may not, and it
   is closed. */
int64_t call_fd_given(const struct call_env *env, int64_t fd);
bool call_makes_fd(uint32_t nr, const uint64_t user[6]);

/* arrays and messages (vec.c) */
struct iovec;
struct iovec *iovec_copy(struct call *c, uint64_t va, uint64_t *count, uint64_t have,
                         bool *no_memory);
/* The same of an own array with room for one buffer more than *count. */
void iovec_check_split(const struct call *c, struct iovec *v, uint64_t *count, uint64_t have);
/* Argument i, whose length is argument `by`. */
bool decode_iovec(struct call *c, unsigned i, unsigned by, int64_t *answer);
bool decode_msghdr(struct call *c, unsigned i, bool send, int64_t *answer);
bool decode_messages(struct call *c, bool send, int64_t *answer);
bool decode_partial(struct call *c, int64_t *answer);
bool decode_partial_message(struct call *c, int64_t *answer); /* sendto, recvfrom */
bool decode_vmsplice(struct call *c, int64_t *answer);
int64_t finish_recvmsg(struct call *c, int64_t r);
int64_t finish_messages(struct call *c, int64_t r);
bool decode_process_vm(struct call *c, int64_t *answer);
/* poll, select (wait.c) */
bool decode_poll(struct call *c, int64_t *answer);
bool decode_select(struct call *c, int64_t *answer);
bool decode_epoll_pwait2(struct call *c, int64_t *answer);
bool decode_timespec(struct call *c, unsigned i, int64_t *answer);
void finish_poll(struct call *c, int64_t r);
/* sockets (sock.c) */
/* Argument i: len bytes that are read and written. */
bool decode_inout(struct call *c, unsigned i, size_t len, int64_t *answer);
bool decode_sockaddr(struct call *c, unsigned i, int64_t *answer);
int64_t finish_sockaddr(struct call *c, int64_t r);
/* Length of the own copy of an address, NULL: 0; and that so much has come. */
unsigned address_room(const struct address_copy *a);
void address_came(struct address_copy *a, unsigned len);
bool decode_getsockopt(struct call *c, int64_t *answer);
bool decode_setsockopt(struct call *c, int64_t *answer);
/* A string that is no path of a file (path.c). */
bool decode_string(struct call *c, unsigned i, int64_t *answer);
/* fcntl, ioctl, close_range (control.c) */
bool leases_made(void); /* by F_SETLEASE: an open may wait for the program itself */
bool decode_fcntl(struct call *c, int64_t *answer);
bool decode_ioctl(struct call *c, int64_t *answer);
bool decode_close_range(struct call *c, int64_t *answer);
bool ioctl_makes_fd(uint32_t request);
/* who the program is, beyond credentials (identity.c) */
bool decode_prctl(struct call *c, int64_t *answer);
bool decode_personality(struct call *c, int64_t *answer);
bool decode_fsid(struct call *c, int64_t *answer);
bool decode_ioprio(struct call *c, int64_t *answer);
/* What the program has asked for that only its execve(2) does. By the thread that executes. */
void identity_before_exec(void);
bool identity_no_new_privs(void);
unsigned identity_persona(void);
void identity_init(void);
/* signalfd(2) (signalfd.c) */
bool decode_signalfd(struct call *c, int64_t *answer);
bool call_reads_signalfd(const struct call *c);
int64_t call_signalfd(struct call *c);
void signalfd_made(void);   /* there may be one from now on */
void signalfd_came(int fd); /* from another process: is it one? */
uint64_t signalfd_inherited(void);
/* setuid and its family, setpriority, sched_setattr (credentials.c) */
bool decode_credentials(struct call *c, int64_t *answer);
bool decode_capset(struct call *c, int64_t *answer);
bool decode_setpriority(struct call *c, int64_t *answer);
/* True if it would change how another isle's threads are scheduled, which its kernel does: neither
   a real-time priority nor cores of theirs are Linux's to give. */
bool schedules_peer(struct call *c);
bool decode_limit(struct call *c, int64_t *answer); /* limit.c */
/* Is that process the proxy's memory? Its own number, or a vfork child's
   (path_proc.c). */
bool call_shows_proxy(const struct call *c, long pid);
/* What comes behind such a number in a path of procfs, wherever that is mounted; NULL: another
   file. */
const char *path_proc_rest(const struct call *c, const char *path);
/* set() for every thread of a proxy, 0: this one, all of which serve the program: 0 or -errno of
   the first that fails. What concerns a process in the program is each thread's here. */
int64_t threads_each(int pid, int (*set)(pid_t tid, int value), int value);
bool decode_sched_setattr(struct call *c, int64_t *answer);
/* getrusage, times, sysinfo (usage.c) */
void finish_usage(struct call *c);
/* shmctl, semctl, semop, LULL_NR_FUTEX (sysv.c) */
void finish_futex(void); /* after a wait, on its thread */
void decode_shmctl(struct call *c);
bool decode_semctl(struct call *c, int64_t *answer);
bool decode_semop(struct call *c, int64_t *answer);
bool decode_futex(struct call *c, int64_t *answer);
/* message queues, handles of files (queue.c) */
bool decode_message(struct call *c, int64_t *answer);
bool decode_mq_notify(struct call *c, int64_t *answer);
void decode_msgctl(struct call *c);
bool decode_handle(struct call *c, unsigned i, int64_t *answer);
/* LULL_NR_MAP_FILE (mapfile.c) */
int64_t map_file(struct call *c);
int64_t map_again(struct call *c); /* LULL_NR_MAP_AGAIN */
/* LULL_NR_EXEC, LULL_NR_SPAWN, LULL_NR_LEAVE (exec.c) */
int64_t call_exec(struct call *c);
int64_t call_spawn(struct call *c);
int64_t call_leave(struct call *c);
int64_t call_children(struct call *c);
/* LULL_NR_LIMIT (limit.c) */
int64_t call_limit(struct call *c);
/* paths (path.c, path_proc.c) */
void path_init(void); /* before the program may change its root */
bool decode_path(struct call *c, unsigned i, int64_t *answer);
bool decode_open(struct call *c, int64_t *answer);
bool decode_truncate(struct call *c, int64_t *answer);
void guard_handle(struct call *c); /* open_by_handle_at(2), decoded: for finish_guarded() */
/* Returns -ETXTBSY and closes r if an isle runs the file that was opened for writing; else empties
   the file if the open asks for that. */
int64_t finish_guarded(struct call *c, int64_t r);
bool open_again(struct call *c, int64_t *r);
int64_t finish_opened(struct call *c, int64_t r); /* open_by_name() needs its descriptor no more */
int64_t finish_open(struct call *c, int64_t fd);
bool decode_readlink(struct call *c, int64_t *answer);
int64_t finish_readlink(struct call *c, int64_t r);
/* A name that leads to what /proc/self/exe means, if the path is that; else NULL. */
const char *path_exe(struct call *c, const char *path);
/* String of at most PATH_MAX bytes and a NUL in the arena; NULL: *fault or no memory. */
char *path_copy(struct call *c, uint64_t va, bool *fault);

#endif
