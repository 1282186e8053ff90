/* SPDX-License-Identifier: MIT */
/* Messages of System V queues (svipc(7)), news of POSIX ones (mq_notify(3)) and handles of files
 * (open_by_handle_at(2)). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>

#include "serve/call.h"

#define COOKIE 32       /* NOTIFY_COOKIE_LEN */
#define HANDLE_MAX 128u /* MAX_HANDLE_SZ: beyond it EINVAL */

/* msgsnd, msgrcv: a long and the text, whose length Linux is told. */
bool decode_message(struct call *c, int64_t *answer)
{
    uint64_t len = c->user[2];
    (void)answer;
    if (len > INT32_MAX && (int64_t)len > 0)
        len = INT32_MAX;
    c->arg[2] = (long)len;
    c->arg[1] =
        (int64_t)len < 0 ? (long)LULL_BAD_PTR : (long)call_ptr(c, c->user[1], len + sizeof(long));
    return true;
}

void decode_msgctl(struct call *c)
{
    int cmd = (int)c->user[1];
    size_t size = 0;
    switch (cmd) {
    case IPC_STAT:
    case IPC_SET:
    case MSG_STAT:
    case MSG_STAT_ANY:
        size = sizeof(struct msqid_ds);
        break;
    case IPC_INFO:
    case MSG_INFO:
        size = sizeof(struct msginfo);
        break;
    default:
        break;
    }
    c->arg[1] = cmd;
    c->arg[2] = size ? (long)call_ptr(c, c->user[2], size) : 0;
}

/*
 * Who is told goes by a signal, which finds the program as every other does, or by a message to a
 * socket whose number and contents the structure points to.
 */
bool decode_mq_notify(struct call *c, int64_t *answer)
{
    bool fault;
    if (!c->user[1])
        return true;
    struct sigevent *own = call_dup(c, c->user[1], sizeof *own, &fault);
    if (!own && !fault)
        return call_answer(answer, -ENOMEM);
    c->arg[1] = own ? (long)own : (long)LULL_BAD_PTR;
    if (!own || own->sigev_notify != SIGEV_THREAD)
        return true;
    own->sigev_signo = call_fd(c->env, (uint64_t)own->sigev_signo);
    void *cookie = call_dup(c, (uint64_t)own->sigev_value.sival_ptr, COOKIE, &fault);
    if (!cookie && !fault)
        return call_answer(answer, -ENOMEM);
    own->sigev_value.sival_ptr = cookie ? cookie : (void *)LULL_BAD_PTR;
    return true;
}

/* Argument i: a struct file_handle, which says itself how long it is. */
bool decode_handle(struct call *c, unsigned i, int64_t *answer)
{
    uint32_t bytes;
    c->arg[i] = (long)LULL_BAD_PTR;
    if (!call_copy_in(c, &bytes, c->user[i], sizeof bytes))
        return true;
    size_t len = sizeof(struct file_handle) + (bytes < HANDLE_MAX ? bytes : HANDLE_MAX);
    struct file_handle *own = arena_alloc(c->mem, len);
    void *dst = call_mem(c, c->user[i], len);
    if (!own)
        return call_answer(answer, -ENOMEM);
    if (!dst || !call_copy_in(c, own, c->user[i], len))
        return true;
    own->handle_bytes = bytes; /* the length that was looked at */
    c->arg[i] = (long)own;
    if (c->nr == SYS_name_to_handle_at)
        call_back(c, dst, own, len, true);
    return true;
}
