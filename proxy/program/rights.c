/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "capable.h"
#include "program/program.h"

enum program_rights program_rights(int fd, bool no_new_privs, uid_t *euid, gid_t *egid)
{
    struct stat st;
    struct statvfs fs;
    *euid = geteuid();
    *egid = getegid();
    if (no_new_privs || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || fstat(fd, &st) ||
        fstatvfs(fd, &fs) || fs.f_flag & ST_NOSUID)
        return RIGHTS_SAME;
    bool caps = *euid != 0 && fgetxattr(fd, "security.capability", NULL, 0) > 0;
    if (st.st_mode & S_ISUID)
        *euid = st.st_uid;
    if ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
        *egid = st.st_gid;
    bool user = *euid != geteuid(), group = *egid != getegid();
    if (!user && !group && !caps)
        return RIGHTS_SAME;
    return caps || (user && !capable(CAP_SETUID)) || (group && !capable(CAP_SETGID)) ? RIGHTS_MORE
                                                                                     : RIGHTS_OTHER;
}

bool program_is_privileged(int fd)
{
    struct stat st;
    return fstat(fd, &st) || st.st_mode & (S_ISUID | S_ISGID) ||
           fgetxattr(fd, "security.capability", NULL, 0) > 0;
}
