/* SPDX-License-Identifier: MIT */
/* LULL_NR_MAP_FILE: a private mapping of a file, as a copy at the place of the mapping. */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <lull/syscalls.h>

#include "serve/call.h"
#include "serve/mapped.h"
#include "serve/path_priv.h"
#include "serve/view.h"

#define ANCHORS_NEW 64u
#define COPY_STEP (16ul << 20) /* bytes at once, and then the isle may end */

/* What Linux says of such a mapping: rights, kind of file, noexec file systems. 0 or -errno. */
static long probe(int fd, uint64_t prot, uint64_t offset)
{
    long arg[6] = {0, LULL_PAGE, (long)(prot & 7), MAP_PRIVATE, fd, (long)offset};
    long p = server_syscall6(SYS_mmap, arg);
    if (p < 0)
        return p;
    struct statfs fs;
    memset(&fs, 0, sizeof fs);
    if (server_syscall(SYS_munmap, p, LULL_PAGE, 0, 0) == -EINVAL && /* it has huge pages */
        server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0) == 0)
        server_syscall(SYS_munmap, p, fs.f_bsize, 0, 0);
    return 0;
}

/* MAP_HUGETLB of another file is EINVAL. */
static long check_huge(int fd)
{
    struct statfs fs;
    memset(&fs, 0, sizeof fs);
    long r = server_syscall(SYS_fstatfs, fd, (long)&fs, 0, 0);
    return r ? r : fs.f_type == HUGETLBFS_MAGIC ? 0 : -EINVAL;
}

/* Copies until the file, the range or the isle ends. Bytes, or -errno. */
static int64_t copy_file(const struct call *c, int fd, char *to, uint64_t len, uint64_t offset)
{
    uint64_t done = 0;
    while (done < len) {
        uint64_t n = len - done < COPY_STEP ? len - done : COPY_STEP;
        if (call_halted(c->env))
            return -EINTR;
        long r = server_syscall(SYS_pread64, fd, (long)(to + done), (long)n, (long)(offset + done));
        if (r == -EINTR)
            continue;
        if (r < 0)
            return r;
        view_io_own(false, (uint64_t)r);
        if (r == 0)
            break;
        done += (uint64_t)r;
    }
    uint64_t page_end = (done + LULL_PAGE - 1) & ~(LULL_PAGE - 1);
    memset(to + done, 0, page_end - done);
    return (int64_t)done;
}

static uint32_t number_of(const struct call *c, int fd, const struct stat *st)
{
    char path[PATH_MAX];
    if (!c->env->mapped)
        return LULL_FILE_NONE;
    if (!path_of_fd(fd, path, sizeof path))
        return LULL_FILE_NONE;
    return mapped_number(c->env->mapped, st->st_dev, st->st_ino, path);
}

/* Files that are not mapped any more are let go now and then. */
static void anchor(const struct call *c, uint32_t number, int fd)
{
    if (c->env->view && mapped_new_anchors(c->env->mapped) >= ANCHORS_NEW) {
        uint32_t n = 0;
        struct lull_map *maps = view_maps(c->env->view, &n);
        if (maps)
            mapped_forget(c->env->mapped, maps, n);
        free(maps);
    }
    mapped_anchor(c->env->mapped, number, fd);
}

static bool is_zero(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 5);
}

static bool is_writable(int fd)
{
    return (server_syscall(SYS_fcntl, fd, F_GETFL, 0, 0) & O_ACCMODE) == O_RDWR;
}

/* What Linux says of the mapping: 0 and what file it is, or -errno. */
static long check(const struct call *c, int fd, struct stat *st)
{
    long r = c->user[4] & LULL_PROT_HUGETLB ? check_huge(fd) : 0;
    if (r == 0)
        r = probe(fd, c->user[4], c->user[3]);
    memset(st, 0, sizeof *st);
    if (r == 0)
        r = server_syscall(SYS_fstat, fd, (long)st, 0, 0);
    return r ? r : S_ISREG(st->st_mode) || is_zero(st) ? 0 : -ENOSYS; /* devices */
}

/* LULL_PROT_ASK: the bytes that the file covers. */
static int64_t answer(const struct stat *st, uint64_t len, uint64_t offset)
{
    uint64_t size = (uint64_t)st->st_size;
    if (is_zero(st))
        return LULL_MAP_FILE_ZERO;
    return size <= offset ? 0 : (int64_t)(size - offset < len ? size - offset : len);
}

int64_t map_file(struct call *c)
{
    int fd = call_fd(c->env, c->user[0]);
    uint64_t len = c->user[2], offset = c->user[3];
    bool ask = c->user[4] & LULL_PROT_ASK;
    char *to = ask || !len ? NULL : call_mem(c, c->user[1], len);
    struct stat st;
    if ((!to && !ask) || (c->user[1] | len | offset) & (LULL_PAGE - 1))
        return -EINVAL; /* not what the kernel asks for */
    long r = check(c, fd, &st);
    if (r)
        return r;
    if ((uint64_t)st.st_blksize >= LULL_HUGE && check_huge(fd) == 0)
        return LULL_IS_HUGETLB | __builtin_ctzl((unsigned long)st.st_blksize);
    if (ask)
        return answer(&st, len, offset);
    if (is_zero(&st)) { /* anonymous memory */
        memset(to, 0, len);
        return (int64_t)len;
    }
    if (c->user[4] & LULL_PROT_LIVE && is_writable(fd))
        return LULL_MAP_FILE_LIVE;
    int64_t bytes = copy_file(c, fd, to, len, offset);
    if (bytes < 0)
        return bytes;
    uint32_t number = number_of(c, fd, &st);
    if (c->env->mapped && (uint64_t)st.st_blksize < LULL_HUGE) /* a huge page is no anchor */
        anchor(c, number, fd);
    return (int64_t)number << 40 | bytes;
}

int64_t map_again(struct call *c)
{
    uint64_t len = c->user[2], offset = c->user[3];
    char *to = len ? call_mem(c, c->user[1], len) : NULL;
    if (!to || (c->user[1] | len | offset) & (LULL_PAGE - 1))
        return -EINVAL; /* not what the kernel asks for */
    if (!c->env->mapped || c->user[0] > LULL_FILE_MAX)
        return -ENOSYS;
    return mapped_read(c->env->mapped, (uint32_t)c->user[0], offset, to, len, c->env->halted);
}
