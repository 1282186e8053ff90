/* SPDX-License-Identifier: MIT */
#include "carve/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "carve/host.h"
#include "message.h"
#include "ownfd.h"

#define NAME "lull-keeper"
#define MEMBERS_MAX 65536
#define ANSWER_MS 60000 /* longer than journal_lock() waits */
/* How often the keeper tries again what could not be given back: after 10, 20, 40 ... ms, at most
   RETRY_MAX_MS, for ten minutes in all. Then lull gc has to do it. */
#define RETRIES 308
#define RETRY_MAX_MS 2000
/* Looks after an end without OP_LEAVE, at 10, 20 ... 640 ms, because a child that died before
   OP_JOIN is no member, and its copy of a record's lock may outlive its copy of the socket. */
#define SWEEPS 7
#define ASKED_TRIES 6  /* before somebody who waits is told to go: 2 s, each try may take 200 ms */
#define END_TRIES 2000 /* of 100 us: until the keeper has ended */

enum op { OP_GIVE, OP_MOVE, OP_JOIN, OP_LEAVE, OP_QUIT };

struct question {
    int op, tid, where;
};

struct answer {
    int err;
    bool last; /* no other member is known: the keeper ends with this one */
};

union control {
    struct cmsghdr align;
    char room[CMSG_SPACE(2 * sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static char *title;
static size_t title_size;

void keeper_title(int argc, char **argv)
{
    char *end = argc > 0 ? argv[0] : NULL;
    title = end;
    for (int i = 0; i < argc && argv[i] == end; i++) /* they lie one behind the other */
        end += strlen(argv[i]) + 1;
    title_size = (size_t)(end - title);
}

void keeper_none(struct keeper *k)
{
    *k = (struct keeper){.fd = -1};
    pthread_mutex_init(&k->lock, NULL);
}

/* ---- messages ---- */

/* With up to two descriptors. */
static int put(int fd, const struct question *q, const int *fds, size_t nfds)
{
    union control c = {.room = {0}};
    struct iovec io = {(void *)(uintptr_t)q, sizeof *q};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1};
    if (nfds > 0) {
        m.msg_control = c.room;
        m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(nfds * sizeof(int));
        memcpy(CMSG_DATA(h), fds, nfds * sizeof(int));
    }
    ssize_t n;
    while ((n = sendmsg(fd, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n < 0 ? -errno : 0;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int get_answer(int fd, struct answer *out)
{
    const int64_t end = now_ms() + ANSWER_MS;
    for (;;) {
        struct pollfd p = {fd, POLLIN, 0};
        int64_t left = end - now_ms();
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
        ssize_t got = n > 0 ? recv(fd, out, sizeof *out, MSG_DONTWAIT) : -1;
        if (got == sizeof *out)
            return 0;
        if (got >= 0)
            return -EPIPE;
        if (n > 0 && errno != EAGAIN && errno != EINTR)
            return errno == ECONNRESET ? -EPIPE : -errno;
    }
}

static int ask(struct keeper *k, const struct question *q, struct answer *a)
{
    int err = put(k->fd, q, NULL, 0);
    return err ? err : get_answer(k->fd, a);
}

/* ---- the keeper's side ---- */

struct member {
    int fd, pidfd; /* -1: its end was seen, or, for pidfd, cannot be */
    bool asks;     /* it waits for an answer to OP_LEAVE */
    bool left;     /* and has had one, or OP_QUIT: what it had is given back */
    bool closed;   /* the end of its messages was seen once */
    bool gone;
};

struct work {
    struct journal *journal;
    int proc;
    struct member *member;
    size_t n;
    int file[2]; /* by enum keeper_where */
    bool given;
    bool due;        /* somebody has left or ended */
    bool pending;    /* something is left to give back, or to look for */
    unsigned tries;  /* how often that was tried since somebody left or ended */
    unsigned sweeps; /* looks that are due even if nothing is left to give back */
};

static int add_member(struct work *w, int fd, pid_t pid)
{
    struct member *more = w->n < MEMBERS_MAX ? realloc(w->member, (w->n + 1) * sizeof *more) : NULL;
    if (!more)
        return -ENOMEM;
    w->member = more;
    more[w->n++] = (struct member){.fd = fd, .pidfd = (int)syscall(SYS_pidfd_open, pid, 0)};
    return 0;
}

/* A member's process or socket has ended. `announced`: nothing of it can be left. */
static void note_end(struct work *w, bool announced)
{
    if (announced)
        return;
    w->due = true;
    w->sweeps = SWEEPS;
    w->tries = 0;
}

/* The thread must be one of the process that asks, whatever that process is by now. */
static int move_thread(const struct work *w, const struct question *q, pid_t pid)
{
    char path[64], text[16];
    if (!w->given || (q->where != KEEPER_HOME && q->where != KEEPER_CORES) || q->tid <= 0)
        return -EINVAL;
    snprintf(path, sizeof path, "/%d/task/%d", (int)pid, q->tid);
    if (!host_exists(w->proc, path))
        return -ESRCH;
    int n = snprintf(text, sizeof text, "%d", q->tid), fd = w->file[q->where];
    return write(fd, text, (size_t)n) == n ? 0 : -errno;
}

static void answer(struct work *w, struct member *m, int err)
{
    size_t others = 0;
    for (size_t i = 0; i < w->n; i++)
        others += &w->member[i] != m && !w->member[i].gone && !w->member[i].left;
    struct answer a = {.err = err, .last = others == 0};
    send(m->fd, &a, sizeof a, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* Member i has said something; the list may be another afterwards. */
static void take(struct work *w, size_t i, const struct question *q, const int *fds, size_t nfds,
                 pid_t pid)
{
    size_t used = 0;
    switch (q->op) {
    case OP_GIVE:
        if (!w->given && nfds == 2) {
            memcpy(w->file, fds, sizeof w->file);
            w->given = true;
            used = 2;
        }
        break;
    case OP_MOVE:
        answer(w, &w->member[i], move_thread(w, q, pid));
        break;
    case OP_JOIN:
        if (nfds > 0 && add_member(w, fds[0], pid) == 0)
            used = 1;
        break;
    case OP_LEAVE:
        w->member[i].asks = w->due = true;
        w->tries = 0;
        break;
    case OP_QUIT:
        w->member[i].left = true;
        break;
    }
    for (; used < nfds; used++)
        close(fds[used]);
}

/* One message of member i. False: none is there. */
static bool receive(struct work *w, size_t i)
{
    struct question q;
    struct ucred cred = {0};
    union control c;
    int fds[2];
    size_t nfds = 0;
    struct iovec io = {&q, sizeof q};
    struct msghdr m = {
        .msg_iov = &io, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof c.room};
    ssize_t n = recvmsg(w->member[i].fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    /* ECONNRESET: the other end closed with an answer unread; what it sent before is still there */
    if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ECONNRESET))
        return errno != EAGAIN;
    struct member *from = &w->member[i];
    /* Linux may report the end although a message came just before it: the second time, none can
       have come since */
    if (n == 0 && !from->closed)
        return from->closed = true;
    if (n <= 0) {
        /* a process that ends closes its descriptors one after the other: the record's lock may be
           there still, so that its end is what counts */
        close(from->fd);
        from->fd = -1;
        from->gone = from->left || from->pidfd < 0;
        /* open for longer than its process lived: a child had it that is no member */
        note_end(w, from->left && from->pidfd >= 0);
        return false;
    }
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
        if (h->cmsg_level != SOL_SOCKET)
            continue;
        if (h->cmsg_type == SCM_CREDENTIALS)
            memcpy(&cred, CMSG_DATA(h), sizeof cred);
        if (h->cmsg_type == SCM_RIGHTS) {
            nfds = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            memcpy(fds, CMSG_DATA(h), nfds * sizeof(int));
        }
    }
    if (n == sizeof q)
        take(w, i, &q, fds, nfds, cred.pid);
    return true;
}

static void drop_gone(struct work *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->n; i++) {
        struct member *m = &w->member[i];
        if (m->gone) {
            if (m->pidfd >= 0)
                close(m->pidfd);
        } else {
            w->member[kept++] = *m;
        }
    }
    w->n = kept;
}

static void look(struct work *w)
{
    /* before the wait for the journal's lock: many that end at once are given back at once */
    for (size_t i = 0; i < w->n; i++)
        while (w->member[i].fd >= 0 && receive(w, i))
            ;
    drop_gone(w);
}

static void give_back(struct work *w)
{
    unsigned restored, dead;
    int err = journal_collect(w->journal, &restored, &dead, NULL, NULL);
    bool unfinished = journal_unfinished(w->journal);
    w->due = false;
    /* whoever waits finds its cores free when it is answered, if that takes no longer */
    for (size_t i = 0; i < w->n && (err || !unfinished || w->tries >= ASKED_TRIES); i++) {
        struct member *m = &w->member[i];
        if (m->asks)
            answer(w, m, err);
        m->left |= m->asks;
        m->asks = false;
    }
    w->pending = err || unfinished || w->sweeps > 0;
    w->sweeps -= w->sweeps > 0;
    w->tries++;
}

static bool tries_again(const struct work *w)
{
    return w->pending && w->tries <= RETRIES;
}

static int wait_for_work(struct work *w)
{
    struct pollfd *p = calloc(2 * w->n + 1, sizeof *p);
    int ms = -1;
    if (!p)
        return -ENOMEM;
    for (size_t i = 0; i < w->n; i++) {
        p[2 * i] = (struct pollfd){w->member[i].fd, POLLIN, 0};
        p[2 * i + 1] = (struct pollfd){w->member[i].pidfd, POLLIN, 0};
    }
    if (tries_again(w))
        ms = w->tries < 9 ? 5 << w->tries : RETRY_MAX_MS;
    int n = poll(p, 2 * w->n, ms);
    w->due |= n == 0;
    for (size_t i = 0; n > 0 && i < w->n; i++) {
        if (!p[2 * i + 1].revents)
            continue;
        close(w->member[i].pidfd);
        w->member[i].pidfd = -1;
        w->member[i].gone = w->member[i].fd < 0;
        note_end(w, w->member[i].left);
    }
    free(p);
    return 0;
}

static _Noreturn void keep(struct work *w)
{
    while (w->n > 0 || tries_again(w)) {
        if (wait_for_work(w))
            break;
        look(w);
        if (w->due)
            give_back(w);
    }
    _exit(0);
}

static int by_number(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_others(const int *own, size_t n)
{
    int sorted[8];
    unsigned from = 0;
    memcpy(sorted, own, n * sizeof *own);
    qsort(sorted, n, sizeof *sorted, by_number);
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] < 0)
            continue;
        if ((unsigned)sorted[i] > from)
            close_range(from, (unsigned)sorted[i] - 1, 0);
        from = (unsigned)sorted[i] + 1;
    }
    close_range(from, ~0u, 0);
}

static void be_on_its_own(const cpu_set_t *cpus)
{
    static const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY}, none = {0, 0};
    const struct sched_param normal = {0};
    struct rlimit files;
    prctl(PR_SET_NAME, NAME);
    prctl(PR_SET_DUMPABLE, 0); /* nobody without the same rights looks into it */
    if (title_size > 0) {
        memset(title, 0, title_size);
        memcpy(title, NAME, sizeof NAME < title_size ? sizeof NAME - 1 : title_size - 1);
    }
    setsid(); /* no terminal and no kill(2) of a group reaches it */
    if (chdir("/"))
        return; /* it is held where it is, which only keeps a file system busy */
    umask(022);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_FSIZE, &unlimited);
    setrlimit(RLIMIT_CPU, &unlimited);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    sched_setscheduler(0, SCHED_OTHER, &normal);
    if (CPU_COUNT(cpus) > 0)
        sched_setaffinity(0, sizeof *cpus, cpus);
}

static _Noreturn void become_keeper(struct journal *j, int fd, pid_t parent, const cpu_set_t *cpus)
{
    int own[JOURNAL_DESCRIPTORS + 1], null;
    struct work w = {.journal = j, .file = {-1, -1}};
    message_close();
    journal_become_keeper(j);
    journal_descriptors(j, own);
    w.proc = own[1];
    own[JOURNAL_DESCRIPTORS] = fd;
    close_others(own, sizeof own / sizeof *own);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 1; null == 0 && i < 3; i++)
        fcntl(0, F_DUPFD, i);
    be_on_its_own(cpus);
    /* a cgroup whose processes are killed together when it is out of memory */
    host_write(w.proc, "/self/oom_score_adj", "-1000");
    if (add_member(&w, fd, parent))
        _exit(1);
    w.due = getppid() != parent; /* it has died already */
    keep(&w);
}

/* ---- the proxy's side ---- */

static int make_pair(int pair[2])
{
    static const int on = 1;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return -errno;
    for (int i = 0; i < 2; i++) {
        setsockopt(pair[i], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
        pair[i] = ownfd_hide(pair[i]);
    }
    return 0;
}

int keeper_start(struct keeper *k, struct journal *j, const cpu_set_t *cpus)
{
    int pair[2];
    sigset_t all, old;
    if (k->fd >= 0)
        return 0;
    int err = make_pair(pair);
    if (err)
        return err;
    const pid_t parent = getpid();
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &old);
    /* exit signal 0: the program's wait(2) and SIGCHLD never hear of it */
    long pid = syscall(SYS_clone, 0, NULL, NULL, NULL, 0);
    if (pid == 0) {
        close(pair[0]);
        become_keeper(j, pair[1], parent, cpus);
    }
    err = pid < 0 ? -errno : 0;
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(pair[1]);
    if (err) {
        close(pair[0]);
        return err;
    }
    k->fd = pair[0];
    k->pid = (pid_t)pid;
    k->child = true;
    return 0;
}

int keeper_give(struct keeper *k, int home_fd, int cores_fd)
{
    const int fds[2] = {[KEEPER_HOME] = home_fd, [KEEPER_CORES] = cores_fd};
    if (k->fd < 0 || home_fd < 0 || cores_fd < 0)
        return -EPIPE;
    return put(k->fd, &(struct question){.op = OP_GIVE}, fds, 2);
}

int keeper_move(struct keeper *k, pid_t tid, enum keeper_where where)
{
    struct question q = {.op = OP_MOVE, .tid = tid ? tid : gettid(), .where = (int)where};
    struct answer a;
    if (k->fd < 0 || k->shared)
        return -EPIPE;
    pthread_mutex_lock(&k->lock);
    int err = ask(k, &q, &a);
    pthread_mutex_unlock(&k->lock);
    return err ? err : a.err;
}

int keeper_join(struct keeper *k)
{
    int pair[2] = {-1, -1};
    pthread_mutex_init(&k->lock, NULL);
    if (k->fd < 0)
        return -EPIPE;
    k->child = false;
    int err = make_pair(pair);
    if (err == 0) {
        err = put(k->fd, &(struct question){.op = OP_JOIN}, &pair[1], 1);
        close(pair[1]);
    }
    if (err == -EPIPE) { /* the keeper has ended: this isle gives back itself */
        close(pair[0]);
        keeper_close(k);
        return err;
    }
    if (err) {
        if (pair[0] >= 0)
            close(pair[0]);
        k->shared = true;
        return err;
    }
    close(k->fd);
    k->fd = pair[0];
    k->shared = false;
    return 0;
}

int keeper_leave(struct keeper *k)
{
    struct answer a = {.err = 0};
    if (k->fd < 0)
        return -EPIPE;
    /* an answer on a shared socket may be taken by another: the keeper sees the process's end */
    int err = k->shared ? 0 : ask(k, &(struct question){.op = OP_LEAVE}, &a);
    bool ends = err == 0 && !k->shared && a.last && k->child;
    pid_t pid = k->pid;
    keeper_close(k);
    /* nothing of lull's runs any more when lull has ended */
    for (int i = 0; ends && i < END_TRIES && waitpid(pid, NULL, __WALL | WNOHANG) == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return err ? err : a.err;
}

void keeper_quit(struct keeper *k)
{
    if (k->fd >= 0 && !k->shared)
        put(k->fd, &(struct question){.op = OP_QUIT}, NULL, 0);
    keeper_close(k);
}

void keeper_close(struct keeper *k)
{
    if (k->fd >= 0)
        close(k->fd);
    k->fd = -1;
}
