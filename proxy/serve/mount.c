/* SPDX-License-Identifier: MIT */
/*
 * mount(2) and its kin, chroot(2). What is opened in procfs is known by its path there
 * (path_proc.c), so a directory of a process must not get another path: it can be neither the
 * source of a bind mount nor a root.
 */
#include "serve/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <lull/syscalls.h>

#include "message.h"
#include "serve/path_priv.h"

#define DATA_SIZE 4096u /* of what mount(2) hands to the file system */
#define BIND 4096u      /* MS_BIND */

/* True if a component of the path is a process's number. */
static bool names_process(const char *path)
{
    for (const char *p = path; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n && strspn(p, "0123456789") == n)
            return true;
        p += n;
    }
    return false;
}

/*
 * Opens argument i, a path seen from `dir`, as a name alone. Returns the descriptor; -EMFILE;
 * -EPERM if it lies within a process's directory of procfs; -ENOENT if Linux cannot open it.
 */
static long open_name(const struct call *c, int dir, unsigned i, int flags)
{
    struct statfs fs;
    char path[512];
    memset(&fs, 0, sizeof fs);
    if ((uintptr_t)c->arg[i] <= LULL_BAD_PTR)
        return -ENOENT;
    long fd = server_syscall(SYS_openat, dir, c->arg[i], O_PATH | O_CLOEXEC | flags, 0);
    if (fd < 0)
        return -ENOENT;
    if (fd >= c->env->fd_low) {
        server_syscall(SYS_close, fd, 0, 0, 0);
        return -EMFILE;
    }
    if (server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0) == 0 && fs.f_type == PROC_SUPER_MAGIC &&
        (!path_of_fd(fd, path, sizeof path) || names_process(path))) {
        verbose("refused: %s would have another name", path);
        server_syscall(SYS_close, fd, 0, 0, 0);
        return -EPERM;
    }
    return fd;
}

/* What a decoder returns when open_name() failed. */
static bool not_opened(struct call *c, long err, int64_t *answer)
{
    return err == -EPERM    ? call_refuse(c, answer)
           : err == -EMFILE ? call_answer(answer, err)
                            : true; /* Linux says why */
}

static char *name_of(struct call *c, long fd)
{
    char *name = arena_alloc(c->mem, 40);
    if (name)
        snprintf(name, 40, "/proc/self/fd/%ld", fd);
    return name;
}

/*
 * File systems whose options are numbers of descriptors, which Linux would look up among the
 * proxy's, or a structure with pointers.
 */
static bool type_is_known(const struct call *c, unsigned i)
{
    static const char *const odd[] = {"9p", "autofs", "coda", "nfs", "nfs4", "ncpfs", "smbfs"};
    const char *type = (const char *)c->arg[i];
    if ((uintptr_t)type <= LULL_BAD_PTR)
        return true;
    for (size_t k = 0; k < sizeof odd / sizeof odd[0]; k++)
        if (!strcmp(type, odd[k])) {
            verbose("refused: mount of %s", type);
            return false;
        }
    return true;
}

/* As much of the data as the program may read, at most a page; Linux reads a page of it. */
static bool decode_data(struct call *c, int64_t *answer)
{
    uint64_t have = c->user[LULL_ARG_HAVE];
    c->arg[4] = c->user[4] ? (long)LULL_BAD_PTR : 0;
    if (!c->user[4] || have == 0 || have > DATA_SIZE)
        return true;
    char *own = arena_alloc(c->mem, DATA_SIZE);
    if (!own)
        return call_answer(answer, -ENOMEM);
    memset(own, 0, DATA_SIZE);
    if (call_copy_in(c, own, c->user[4], have))
        c->arg[4] = (long)own;
    return true;
}

/*
 * The call's first argument names what fd, a descriptor of the server's own, has open, where procfs
 * is to be had, because what the path leads to may change meanwhile. finish_mount() closes fd.
 */
static void by_descriptor(struct call *c, long fd)
{
    char *name = name_of(c, fd);
    if (name && server_syscall(SYS_access, (long)name, 0, 0, 0) == 0)
        c->arg[0] = (long)name;
    c->own_fd = (int)fd;
}

bool decode_mount(struct call *c, int64_t *answer)
{
    if (!type_is_known(c, 2))
        return call_refuse(c, answer);
    if (!decode_data(c, answer))
        return false;
    if (!(c->user[3] & BIND))
        return true;
    long fd = open_name(c, AT_FDCWD, 0, 0);
    if (fd < 0)
        return not_opened(c, fd, answer);
    by_descriptor(c, fd);
    return true;
}

bool decode_fsopen(struct call *c, int64_t *answer)
{
    return type_is_known(c, 0) ? true : call_refuse(c, answer);
}

bool decode_open_tree(struct call *c, int64_t *answer)
{
    unsigned flags = (unsigned)c->user[2];
    if (!(flags & OPEN_TREE_CLONE))
        return true;
    if (flags & AT_EMPTY_PATH && c->arg[1] > (long)LULL_BAD_PTR && !*(const char *)c->arg[1]) {
        struct statfs fs;
        char path[512];
        memset(&fs, 0, sizeof fs);
        if (server_syscall(SYS_fstatfs, c->arg[0], (long)&fs, 0, 0) == 0 &&
            fs.f_type == PROC_SUPER_MAGIC &&
            (!path_of_fd(c->arg[0], path, sizeof path) || names_process(path)))
            return call_refuse(c, answer);
        return true;
    }
    long fd = open_name(c, (int)c->arg[0], 1, flags & AT_SYMLINK_NOFOLLOW ? O_NOFOLLOW : 0);
    if (fd < 0)
        return not_opened(c, fd, answer);
    c->own_fd = (int)fd;
    c->arg[0] = fd;
    c->arg[1] = (long)"";
    c->arg[2] = (long)(flags | AT_EMPTY_PATH);
    return true;
}

bool decode_chroot(struct call *c, int64_t *answer)
{
    long fd = open_name(c, AT_FDCWD, 0, O_DIRECTORY);
    if (fd < 0)
        return not_opened(c, fd, answer);
    by_descriptor(c, fd);
    return true;
}

void finish_mount(const struct call *c)
{
    if (c->own_fd >= 0)
        server_syscall(SYS_close, c->own_fd, 0, 0, 0);
}
