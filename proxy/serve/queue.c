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
    struct msginfo limits;
    int64_t len = (int64_t)c->user[2];
    if (len > INT32_MAX)
        len = INT32_MAX;
    memset(&limits, 0, sizeof limits);
    c->arg[2] = (long)len;
    c->arg[1] = (long)call_ptr(c, c->user[1], (uint64_t)(len < 0 ? 0 : len) + sizeof(long));
    if (c->nr != SYS_msgsnd || c->arg[1] == (long)LULL_BAD_RANGE ||
        (!c->user[LULL_ARG_HAVE] && c->arg[1] != (long)LULL_BAD_PTR))
        return true;
    c->arg[1] = (long)LULL_BAD_PTR;
    /* too long comes before what the text is, and behind the type */
    long type;
    if (call_copy_in(c, &type, c->user[1], sizeof type) &&
        server_syscall(SYS_msgctl, 0, IPC_INFO, (long)&limits, 0) >= 0 &&
        (len > limits.msgmax || len < 0 || (int)c->user[0] < 0 || type < 1))
        return call_answer(answer, -EINVAL);
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
    if (c->nr == SYS_name_to_handle_at && c->user[4] & 1 && !call_mem(c, c->user[3], 8))
        c->arg[3] = (long)LULL_BAD_PTR; /* AT_HANDLE_MNT_ID_UNIQUE: it is 8 bytes then */
    if (c->nr == SYS_name_to_handle_at)
        call_back(c, dst, own, len, true);
    return true;
}
