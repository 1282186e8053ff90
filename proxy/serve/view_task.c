/* SPDX-License-Identifier: MIT */
/*
 * /proc/self/task: its threads are the isle's, which Linux does not know. A thread's files are
 * those of the process with other contents; the directory is listed here; who writes to a thread's
 * comm writes to a file that is nothing but a mark, and the isle's kernel takes the name.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>

#include "rlimits.h"
#include "serve/agent.h"
#include "serve/call.h"
#include "serve/view.h"

#define TRIES 50
#define COMMS 64 /* open ones that are known; the oldest are forgotten */

/* ---- the table ---- */

static uint32_t count(const struct view *v)
{
    uint32_t n = __atomic_load_n(&v->threads->count, __ATOMIC_RELAXED);
    return n < LULL_THREADS_SHOWN ? n : LULL_THREADS_SHOWN;
}

/* Thread number i; false: there is none. */
static bool thread_at(const struct view *v, uint32_t i, struct lull_thread *out)
{
    for (int try = 0; try < TRIES; try++) {
        uint32_t seq = __atomic_load_n(&v->threads->seq, __ATOMIC_ACQUIRE);
        if (i >= count(v))
            return false;
        memcpy(out, &v->threads->thread[i], sizeof *out);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (!(seq & 1) && __atomic_load_n(&v->threads->seq, __ATOMIC_RELAXED) == seq)
            break;
    }
    out->comm[sizeof out->comm - 1] = '\0';
    return true;
}

static bool thread_find(const struct view *v, uint32_t tid, struct lull_thread *out)
{
    for (uint32_t i = 0; thread_at(v, i, out); i++)
        if (out->tid == tid)
            return true;
    return false;
}

char view_as_thread(const struct call *c, struct lull_proc *p)
{
    struct lull_thread t;
    p->main_comm[sizeof p->main_comm - 1] = '\0';
    p->tid = (uint32_t)c->env->pid;
    if (!thread_find(c->env->view, c->task ? c->task : p->tid, &t))
        return 'R';
    p->thread_nvcsw = t.nvcsw;
    p->thread_nivcsw = t.nivcsw;
    p->seccomp = t.seccomp;
    p->filters = t.filters;
    if (!c->task)
        return t.running ? 'R' : 'S';
    p->tid = t.tid;
    p->sigpnd = t.sigpnd;
    p->sigblk = t.sigblk;
    p->cpu_ns = t.cpu_ns;
    memcpy(p->main_comm, t.comm, sizeof t.comm);
    return t.running ? 'R' : 'S';
}

/* ---- paths ---- */

/* Behind `word` and the slashes that follow it; NULL: something else is there. */
static const char *word_then(const char *p, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(p, word, n) || (p[n] != '/' && p[n] != '\0'))
        return NULL;
    return p + n + strspn(p + n, "/");
}

static const char *number_then(const char *p, uint32_t *out)
{
    char *end;
    if (!isdigit((unsigned char)*p))
        return NULL;
    unsigned long n = strtoul(p, &end, 10);
    *out = n <= INT_MAX ? (uint32_t)n : UINT32_MAX;
    return *end == '/' || *end == '\0' ? end + strspn(end, "/") : NULL;
}

bool view_task_path(struct call *c, char **path, int64_t *answer)
{
    const struct view *v = c->env->view;
    uint32_t pid = (uint32_t)c->env->pid, n;
    const char *p = *path, *q;
    struct lull_thread t;
    if (!v || agent_acting() || *p != '/' || !(p = word_then(p + strspn(p, "/"), "proc")))
        return true;
    if ((q = word_then(p, "thread-self"))) {
        if (!*q)
            return true;
        n = v->proc->tid;
    } else if ((q = number_then(p, &n)) && n != pid && thread_find(v, n, &t)) {
        /* by its own number, as Linux has threads beside the processes */
    } else {
        if (!(q = word_then(p, "self")) && (!(q = number_then(p, &n)) || n != pid))
            return true;
        if (!(q = word_then(q, "task")) || !(q = number_then(q, &n)))
            return true;
    }
    if (!thread_find(v, n, &t))
        return call_answer(answer, -ENOENT);
    size_t room = strlen(q) + 64;
    char *own = arena_alloc(c->mem, room);
    if (!own)
        return call_answer(answer, -ENOMEM);
    snprintf(own, room, "/proc/%u/task/%u%s%s", pid, pid, *q ? "/" : "", q);
    *path = own;
    c->task = n;
    return true;
}

/* ---- the directory ---- */

/* struct linux_dirent64 or linux_dirent (getdents(2)); its size, 0: no room. */
static size_t put_entry(char *to, size_t room, bool long_form, uint64_t ino, int64_t off,
                        const char *name)
{
    size_t head = long_form ? 19 : 18, len = head + strlen(name) + (long_form ? 1 : 2);
    uint16_t size = (uint16_t)((len + 7) & ~7ul);
    if (size > room)
        return 0;
    memset(to, 0, size);
    memcpy(to, &ino, 8);
    memcpy(to + 8, &off, 8);
    memcpy(to + 16, &size, 2);
    to[long_form ? 18 : size - 1] = DT_DIR;
    memcpy(to + head, name, strlen(name));
    return size;
}

int64_t view_list_threads(struct call *c, int fd, bool long_form, char *to, size_t room)
{
    int64_t at = server_syscall(SYS_lseek, fd, 0, SEEK_CUR, 0);
    size_t done = 0;
    if (at < 0)
        return at;
    for (;; at++) {
        char name[16];
        struct lull_thread t = {.tid = (uint32_t)c->env->pid};
        snprintf(name, sizeof name, "%s", at == 0 ? "." : "..");
        if (at >= 2) {
            if (at > LULL_THREADS_SHOWN || !thread_at(c->env->view, (uint32_t)at - 2, &t))
                break;
            snprintf(name, sizeof name, "%u", t.tid);
        }
        size_t n = put_entry(to + done, room - done, long_form, t.tid, at + 1, name);
        if (n == 0 && done == 0)
            return -EINVAL;
        if (n == 0)
            break;
        done += n;
    }
    server_syscall(SYS_lseek, fd, at, SEEK_SET, 0);
    return (int64_t)done;
}

/* ---- names ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct comm {
    int fd;
    uint64_t dev, ino;
    uint32_t tid; /* 0: none */
} comms[COMMS];
static unsigned next_comm;
static int comms_open; /* atomic: some may be */

void view_forked(void)
{
    pthread_mutex_init(&lock, NULL);
    view_memory_forked();
    view_io_begin();
}

int64_t view_open_comm(struct call *c, int64_t fd)
{
    struct stat st;
    int mode = (int)(server_syscall(SYS_fcntl, fd, F_GETFL, 0, 0) & O_ACCMODE);
    uint32_t tid = c->task ? c->task : (uint32_t)c->env->pid;
    struct text text = {0};
    struct lull_thread t;
    text_add(&text, "", 0);
    if (thread_find(c->env->view, tid, &t))
        text_printf(&text, "%.15s\n", t.comm);
    memset(&st, 0, sizeof st);
    int64_t r = view_replace((int)fd, &text, mode, true, &st);
    if (r < 0)
        return r;
    pthread_mutex_lock(&lock);
    comms[next_comm++ % COMMS] = (struct comm){(int)fd, st.st_dev, st.st_ino, tid};
    pthread_mutex_unlock(&lock);
    __atomic_store_n(&comms_open, 1, __ATOMIC_RELEASE);
    return r;
}

bool view_comm_written(const struct call *c, int64_t *answer)
{
    struct stat st;
    bool ours = false;
    uint32_t tid = 0;
    if (!__atomic_load_n(&comms_open, __ATOMIC_ACQUIRE) || agent_acting())
        return true;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < COMMS && !ours; i++) {
        struct comm *m = &comms[i];
        if (!m->tid || m->fd != (int)c->arg[0])
            continue;
        ours = server_syscall(SYS_fstat, m->fd, (long)&st, 0, 0) == 0 && st.st_dev == m->dev &&
               st.st_ino == m->ino &&
               (server_syscall(SYS_fcntl, m->fd, F_GETFL, 0, 0) & O_ACCMODE) != O_RDONLY;
        tid = m->tid;
        if (!ours)
            m->tid = 0;
    }
    pthread_mutex_unlock(&lock);
    return ours ? call_answer(answer, LULL_RENAMES | tid) : true;
}
