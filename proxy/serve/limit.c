/* SPDX-License-Identifier: MIT */
/* LULL_NR_LIMIT: what Linux has to say to a limit that the isle keeps. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <lull/maps.h>
#include <lull/syscalls.h>

#include "capable.h"
#include "ownfd.h"
#include "rlimits.h"
#include "serve/agent.h"
#include "serve/call.h"
#include "serve/view.h"

/* Threads of the process if it is this user's. */
static int64_t threads_of(const char *pid, uid_t user)
{
    char path[300], line[256];
    unsigned owner = ~0u;
    int64_t threads = 0;
    snprintf(path, sizeof path, "/proc/%s/status", pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (fgets(line, sizeof line, f)) {
        sscanf(line, "Uid: %u", &owner);
        if (sscanf(line, "Threads: %ld", &threads) == 1)
            break;
    }
    fclose(f);
    return owner == user ? threads : 0;
}

static int64_t tasks(int own)
{
    uid_t user = getuid();
    int64_t n = 0;
    if (user == 0 || capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN))
        return -EPERM;
    DIR *d = opendir("/proc");
    if (!d)
        return -errno;
    for (struct dirent *e; (e = readdir(d));) {
        int pid = atoi(e->d_name);
        if (pid > 0 && pid != own)
            n += threads_of(e->d_name, user);
    }
    closedir(d);
    return n;
}

static int64_t locked_pages(void)
{
    struct rlimit l;
    if (capable(CAP_IPC_LOCK) || getrlimit(RLIMIT_MEMLOCK, &l) || l.rlim_cur == RLIM_INFINITY)
        return -EPERM;
    return (int64_t)(l.rlim_cur / LULL_PAGE);
}

static int64_t overcommit(void)
{
    int mode = 0;
    FILE *f = fopen("/proc/sys/vm/overcommit_memory", "re");
    if (f && fscanf(f, "%d", &mode) != 1)
        mode = 0;
    if (f)
        fclose(f);
    return mode;
}

/* Linux's own limit has room for the proxy's descriptors. */
static int64_t files_limit(const struct call *c, bool sets, uint64_t from, uint64_t to)
{
    struct rlimit now, want;
    ownfd_limit(&now);
    if (sets && !call_copy_in(c, &want, from, sizeof want))
        return -EFAULT;
    if (sets && want.rlim_cur > want.rlim_max)
        return -EINVAL;
    if (sets && want.rlim_max > now.rlim_max && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    int rc = sets ? ownfd_set_limit(&want) : 0;
    if (rc || !to)
        return rc;
    void *dst = call_mem(c, to, sizeof now);
    if (!dst)
        return -EFAULT;
    memcpy(dst, &now, sizeof now);
    return 0;
}

/* A limit of another process: where an isle keeps it, Linux's is the proxy's. */
static bool decode_peers_limit(struct call *c, int pid, unsigned resource, int64_t *answer)
{
    struct rlimit l;
    if (pid <= 0 || resource >= LULL_LIMITS || !(LULL_LIMITS_KEPT >> resource & 1) ||
        agent_acting() || !peer_is_isle(pid))
        return true;
    if (c->user[2])
        return call_refuse(c, answer);
    if (prlimit(pid, (__rlimit_resource_t)resource, NULL, &l)) /* who may ask */
        return call_answer(answer, -errno);
    if (!peer_limit(pid, resource, &l))
        return call_answer(answer, -EPERM);
    void *dst = call_mem(c, c->user[3], sizeof l);
    if (dst)
        memcpy(dst, &l, sizeof l);
    return call_answer(answer, dst || !c->user[3] ? 0 : -EFAULT);
}

/* RLIMIT_RTTIME would count the time of the proxy's threads: it stays as it is. */
bool decode_limit(struct call *c, int64_t *answer)
{
    bool any = c->nr == SYS_prlimit64;
    unsigned resource = (unsigned)c->user[any ? 1 : 0];
    int pid = any ? (int)c->user[0] : 0;
    bool sets = any ? c->user[2] : c->nr == SYS_setrlimit;
    bool own =
        pid == 0 || pid == c->env->pid || server_syscall(SYS_tgkill, c->env->pid, pid, 0, 0) == 0;
    if (own && !agent_acting() && resource == RLIMIT_NOFILE) {
        if (any)
            return call_answer(answer, files_limit(c, sets, c->user[2], c->user[3]));
        if (!c->user[1])
            return call_answer(answer, -EFAULT);
        return call_answer(answer, files_limit(c, sets, c->user[1], sets ? 0 : c->user[1]));
    }
    if (!own)
        return decode_peers_limit(c, pid, resource, answer);
    if (!sets || agent_acting() || resource != RLIMIT_RTTIME)
        return true;
    struct rlimit now, want;
    if (!call_copy_in(c, &want, c->user[any ? 2 : 1], sizeof want))
        return call_answer(answer, -EFAULT);
    bool same = getrlimit((__rlimit_resource_t)resource, &now) == 0 &&
                want.rlim_cur == now.rlim_cur && want.rlim_max == now.rlim_max;
    return same || want.rlim_cur > want.rlim_max ? true : call_refuse(c, answer);
}

int64_t call_limit(struct call *c)
{
    uint64_t op = c->user[0];
    if (!c->env->limits)
        return -ENOSYS;
    if (op == LULL_LIMIT_TASKS)
        return tasks(c->env->pid);
    if (op == LULL_LIMIT_LOCK)
        return locked_pages();
    if (op == LULL_LIMIT_OVERCOMMIT)
        return overcommit();
    if (op == LULL_LIMIT_RAISE && !capable(CAP_SYS_RESOURCE))
        return -EPERM;
    if (op <= LULL_LIMIT_RAISE && c->user[1] == LULL_LIMIT_FSIZE)
        limits_file_size(c->user[2]);
    return 0;
}
