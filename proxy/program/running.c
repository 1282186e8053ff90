/* SPDX-License-Identifier: MIT */
/*
 * Linux refuses to open a process's program for writing. An isle's program is no process's program
 * for Linux, so the proxy holds a lock on the file instead, which other isles look for. The lock is
 * a read lock of the open file description on one byte far behind the end: it ends with the last
 * process of the isle that has the descriptor, outlives execve(2) and conflicts with nothing but a
 * write lock, which only who has the file open for writing can take.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "program/program.h"

#define LOCK_AT 0x6c756c6c6c756c6c /* bytes; a number that nobody else is likely to choose */

/* Magic numbers that <linux/magic.h> may not have. */
#define MAGIC_BCACHEFS 0xca451a4e
#define MAGIC_XFS 0x58465342
#define MAGIC_ZFS 0x2fc12fc1

/* Returns true if locks on this file system concern this machine alone, so a lock cannot wait. */
static bool locks_are_local(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs))
        return false;
    switch ((unsigned)fs.f_type) {
    case BTRFS_SUPER_MAGIC:
    case EXT4_SUPER_MAGIC: /* ext2 and ext3 too */
    case F2FS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
    case RAMFS_MAGIC:
    case REISERFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case MAGIC_BCACHEFS:
    case MAGIC_XFS:
    case MAGIC_ZFS:
        return true;
    default:
        return false;
    }
}

static void set_lock(int fd, short type)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1};
    if (locks_are_local(fd))
        fcntl(fd, F_OFD_SETLK, &l);
}

void program_hold(int fd)
{
    set_lock(fd, F_RDLCK);
}

void program_let_go(int fd)
{
    set_lock(fd, F_UNLCK);
}

struct flock program_lock_query(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_AT, .l_len = 1};
}

bool program_lock_found(const struct flock *answer)
{
    return answer->l_type == F_RDLCK && answer->l_start == LOCK_AT && answer->l_len == 1;
}
