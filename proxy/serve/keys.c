/* SPDX-License-Identifier: MIT */
/*
 * add_key, request_key, keyctl. Linux keeps a process's keyring with each of its threads, so one
 * thread makes all of these calls for the program.
 */
#include "serve/keys.h"

#include <errno.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve/agent.h"

static struct {
    pthread_mutex_t callers; /* one call at a time; taken first */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    pid_t pid; /* whose thread it is; 0: none yet */
    const struct call *call;
    int64_t result;
    bool end; /* to end, unless has_own_keyring() */
    pthread_t thread;
} keys = {.callers = PTHREAD_MUTEX_INITIALIZER,
          .lock = PTHREAD_MUTEX_INITIALIZER,
          .changed = PTHREAD_COND_INITIALIZER};

/* Whether the thread has a keyring that no other thread would have: KEY_SPEC_THREAD_KEYRING, -1, or
   KEY_SPEC_PROCESS_KEYRING, -2. By that thread. */
static bool has_own_keyring(void)
{
    for (long spec = -2; spec < 0; spec++)
        if (server_syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, spec, 0, 0) > 0)
            return true;
    return false;
}

static void *keys_main(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "lull-keys");
    pthread_mutex_lock(&keys.lock);
    for (;;) {
        while (!keys.call && !keys.end)
            pthread_cond_wait(&keys.changed, &keys.lock);
        if (keys.end) {
            keys.end = false;
            if (!has_own_keyring())
                break;
            pthread_cond_broadcast(&keys.changed);
            continue;
        }
        keys.result = server_syscall6(keys.call->nr, keys.call->arg);
        keys.call = NULL;
        pthread_cond_broadcast(&keys.changed);
    }
    keys.pid = 0;
    pthread_cond_broadcast(&keys.changed);
    pthread_mutex_unlock(&keys.lock);
    return NULL;
}

/* A forked program has the memory of the thread, not the thread. */
static void keys_forget(void)
{
    pthread_mutex_init(&keys.callers, NULL);
    pthread_mutex_init(&keys.lock, NULL);
    pthread_cond_init(&keys.changed, NULL);
    keys.pid = 0;
    keys.call = NULL;
    keys.end = false;
}

static bool keys_start(pid_t pid)
{
    static bool told;
    sigset_t all, before;
    if (keys.pid == pid)
        return true;
    if (!told && pthread_atfork(NULL, NULL, keys_forget))
        return false;
    told = true;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    keys.call = NULL;
    bool ok = pthread_create(&keys.thread, NULL, keys_main, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!ok)
        return false;
    keys.pid = pid;
    return true;
}

bool keys_end(void)
{
    pthread_mutex_lock(&keys.callers);
    pthread_mutex_lock(&keys.lock);
    bool there = keys.pid == getpid();
    if (there) {
        keys.end = true;
        pthread_cond_broadcast(&keys.changed);
        while (keys.end)
            pthread_cond_wait(&keys.changed, &keys.lock);
    }
    bool ended = !there || !keys.pid;
    pthread_mutex_unlock(&keys.lock);
    if (there && ended)
        pthread_join(keys.thread, NULL);
    pthread_mutex_unlock(&keys.callers);
    return ended;
}

bool keys_call(struct call *c, int64_t *answer)
{
    if (agent_acting()) /* a process of one thread */
        return true;
    pthread_mutex_lock(&keys.callers);
    pthread_mutex_lock(&keys.lock);
    bool ok = keys_start(c->env->pid);
    if (ok) {
        keys.call = c;
        pthread_cond_broadcast(&keys.changed);
        while (keys.call)
            pthread_cond_wait(&keys.changed, &keys.lock);
    }
    *answer = ok ? call_bounced(c, keys.result) : -ENOMEM;
    pthread_mutex_unlock(&keys.lock);
    pthread_mutex_unlock(&keys.callers);
    return false;
}
