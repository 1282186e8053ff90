/* SPDX-License-Identifier: MIT */
/* LULL_OP_WINDOW: what the isle asks for in the program's name, with the program's descriptors. */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ownfd.h"
#include "run/run_priv.h"

/* What /proc/self/maps shows of the file. */
static uint64_t file_number(struct run *r, int fd)
{
    char link[64], path[PATH_MAX];
    struct stat st;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0 || fstat(fd, &st))
        return LULL_FILE_NONE;
    path[n] = 0;
    return mapped_number(r->mapped, st.st_dev, st.st_ino, path);
}

static int64_t op_map(struct run *r, const uint64_t arg[6])
{
    int fd = (int)arg[3];
    if ((fd >= ownfd_low() && fd < ownfd_end()) || (fd < 0 && arg[3] != UINT64_MAX))
        return -EBADF;
    if (arg[5] & LULL_PROT_HUGETLB) {
        struct statfs fs;
        if (fstatfs(fd, &fs))
            return -errno;
        if (fs.f_type != HUGETLBFS_MAGIC)
            return -EINVAL;
    }
    uint32_t how = (uint32_t)arg[5] & ~LULL_PROT_HUGETLB;
    int64_t ret = isle_window_map(&r->isle, arg[1], arg[2], fd, arg[4], how);
    if (ret < 0 || ret & LULL_IS_HUGETLB)
        return ret;
    if (fd >= 0)
        ret |= (int64_t)(file_number(r, fd) << LULL_WIN_FILE_SHIFT);
    else if (LULL_PROT_PAGE(how))
        ret |= (int64_t)mapped_number(r->mapped, 0, 0, "/anon_hugepage (deleted)")
               << LULL_WIN_FILE_SHIFT;
    return ret;
}

static int64_t op_shm(struct run *r, const uint64_t arg[6])
{
    char name[32];
    struct shmid_ds ds = {0};
    int64_t ret = isle_window_shm(&r->isle, arg[1], arg[2], (int)arg[3], (int)arg[4], arg[5]);
    if (ret < 0)
        return ret;
    shmctl((int)arg[3], IPC_STAT, &ds);
    snprintf(name, sizeof name, "/SYSV%08x (deleted)", (unsigned)ds.shm_perm.__key);
    uint64_t number = mapped_number(r->mapped, makedev(0, 1), arg[3], name);
    return ret | (int64_t)(number << LULL_WIN_FILE_SHIFT);
}

int64_t window_op(struct run *r, const uint64_t arg[6])
{
    if (!r->isle.windows)
        return -ENOSYS;
    switch (arg[0]) {
    case LULL_WIN_MAP:
        return op_map(r, arg);
    case LULL_WIN_SHM:
        return op_shm(r, arg);
    case LULL_WIN_SHMSIZE:
        return isle_window_shm_size((int)arg[3]);
    case LULL_WIN_HUGE:
        if (arg[5])
            return (int)arg[4] < ownfd_low() ? hugetlb_shift((int)arg[4]) : 0;
        return hugetlb_known(arg[3]);
    case LULL_WIN_FAR:
        return isle_window_far(&r->isle, arg[1], arg[2], arg[3], arg[4]);
    default:
        return isle_window_op(&r->isle, arg);
    }
}
