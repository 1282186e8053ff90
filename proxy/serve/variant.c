/* SPDX-License-Identifier: MIT */
/* Calls whose arguments depend on a command (lull/variants.h), and structures of their own
   length. */
#include "serve/variant.h"

#include <errno.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/syscall.h>

#include <lull/syscalls.h>
#include <lull/variants.h>

#include "message.h"

#define RESULT_MAX (1ul << 20) /* bytes of a result that may be written in part */
#define STRUCT_MAX 4096u       /* Linux: E2BIG for what is longer than a page */

/* Up to n bytes of a result: through own memory if not all of it may be written. */
static void decode_result(struct call *c, unsigned i, uint64_t n)
{
    uint64_t have = c->user[LULL_ARG_HAVE];
    if (have && have < n && n <= RESULT_MAX && call_bounce(c, i, n, have))
        memset(c->bounce, 0, n);
    else
        c->arg[i] = (long)call_ptr(c, c->user[i], n);
}

size_t variant_written(const struct call *c, int64_t r)
{
    size_t n = (size_t)c->arg[3]; /* keyctl's; it may be longer than the result */
    if (c->nr == SYS_sysfs)
        return strlen(c->bounce) + 1;
    switch (lull_variant_command(c->nr, c->user)) {
    case KEYCTL_GET_SECURITY: /* cut off */
        return (size_t)r < n ? (size_t)r : n;
    case KEYCTL_CAPABILITIES: /* filled up with zeros */
        return (size_t)c->arg[2];
    default: /* nothing if it does not fit */
        return (size_t)r <= n ? (size_t)r : 0;
    }
}

static bool decode_kind(struct call *c, unsigned i, char kind, size_t size, int64_t *answer)
{
    switch (kind) {
    case 'v':
        c->arg[i] = (long)c->user[i];
        return true;
    case 'f': /* AT_FDCWD is negative, and for fsconfig(2) that is another error than EBADF */
        c->arg[i] = (int)c->user[i] < c->env->fd_low ? (int)c->user[i] : INT_MAX;
        return true;
    case 's':
        return decode_string(c, i, answer);
    case 'p':
        return decode_path(c, i, answer);
    case 'i':
    case 'o': {
        uint64_t n = c->user[i + 1];
        if (n > CALL_MAX_RW) /* Linux takes such a length for none of these */
            n = CALL_MAX_RW;
        if (kind == 'o')
            decode_result(c, i, n);
        else
            c->arg[i] = (long)call_ptr(c, c->user[i], n);
        return true;
    }
    case 'r':
        decode_result(c, i, size);
        return true;
    case 'I':
    case 'O':
        c->arg[i] = (long)call_ptr(c, c->user[i], size);
        return true;
    default:
        c->arg[i] = 0;
        return true;
    }
}

bool decode_variant(struct call *c, int64_t *answer)
{
    const struct lull_variant *v = lull_variant_find(c->nr, c->user);
    if (!v || !v->kinds[0]) {
        verbose("refused: command %u of system call %u", lull_variant_command(c->nr, c->user),
                c->nr);
        return call_refuse(c, answer);
    }
    for (unsigned i = 0; v->kinds[i]; i++)
        if (!decode_kind(c, i, v->kinds[i], v->size, answer))
            return false;
    return true;
}

/*
 * Argument i becomes a copy of a structure of `size` bytes, of which at least `least` are there,
 * filled up with zeros. NULL: Linux gets a bad pointer, or *answer is the result.
 */
static void *copy_sized(struct call *c, unsigned i, uint64_t size, size_t least, int64_t *answer)
{
    size_t n = size < STRUCT_MAX ? size : STRUCT_MAX;
    char *own = arena_alloc(c->mem, STRUCT_MAX);
    *answer = 0;
    c->arg[i] = c->user[i] ? (long)LULL_BAD_PTR : 0;
    if (!own) {
        *answer = -ENOMEM;
        return NULL;
    }
    memset(own, 0, STRUCT_MAX);
    if (!c->user[i] || n < least || !call_copy_in(c, own, c->user[i], n))
        return NULL;
    c->arg[i] = (long)own;
    return own;
}

/* The descriptor at `at` of a structure. */
static void check_fd(const struct call *c, void *own, size_t at, size_t width)
{
    uint64_t value = 0;
    if (!own)
        return;
    memcpy(&value, (char *)own + at, width);
    if (value <= INT_MAX && (int)value >= c->env->fd_low)
        value = INT_MAX;
    memcpy((char *)own + at, &value, width);
}

bool decode_mount_request(struct call *c, int64_t *answer)
{
    uint32_t size;
    c->arg[0] = c->user[0] ? (long)LULL_BAD_PTR : 0;
    if (!call_copy_in(c, &size, c->user[0], sizeof size))
        return true;
    char *own = copy_sized(c, 0, size < sizeof size ? sizeof size : size, sizeof size, answer);
    if (!own)
        return *answer == 0;
    memcpy(own, &size, sizeof size);
    check_fd(c, own, 4, 4); /* the mount namespace, since Linux 6.18 */
    return true;
}

bool decode_mount_setattr(struct call *c, int64_t *answer)
{
    if (c->user[LULL_ARG_HAVE]) { /* not all of it may be read */
        c->arg[3] = (long)LULL_BAD_PTR;
        return true;
    }
    void *own = copy_sized(c, 3, c->user[4], 32, answer);
    if (own)
        check_fd(c, own, 24, 8);
    return own || *answer == 0;
}

/* setxattrat, getxattrat: a structure points to the value. */
bool decode_xattr_args(struct call *c, int64_t *answer)
{
    struct {
        uint64_t value;
        uint32_t size, flags;
    } *own = copy_sized(c, 4, c->user[5], sizeof *own, answer);
    if (own)
        own->value = (uint64_t)call_ptr(c, own->value, own->size);
    return own || *answer == 0;
}

/* KCMP_EPOLL_TFD points to two descriptors and an offset. */
bool decode_kcmp(struct call *c, int64_t *answer)
{
    enum { KCMP_FILE = 0, KCMP_EPOLL_TFD = 7 };
    int type = (int)c->user[2];
    c->arg[4] = (long)c->user[4];
    if (type == KCMP_FILE || type == KCMP_EPOLL_TFD)
        c->arg[3] = call_fd(c->env, c->user[3]);
    if (type == KCMP_FILE)
        c->arg[4] = call_fd(c->env, c->user[4]);
    if (type != KCMP_EPOLL_TFD)
        return true;
    void *own = copy_sized(c, 4, 12, 12, answer);
    check_fd(c, own, 0, 4);
    check_fd(c, own, 4, 4);
    return own || *answer == 0;
}
