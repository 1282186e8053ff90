/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ownfd.h"
#include "program/program.h"

#define EXECVE_CHECK 0x10000 /* AT_EXECVE_CHECK of execveat(2), since Linux 6.14 */

/* The calling process may execute the file, as far as its kind, rights and mount say. 0 or
   -errno. */
static int may_execute(int fd)
{
    char link[64];
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return faccessat(AT_FDCWD, link, X_OK, AT_EACCESS) ? -errno : 0;
}

/* What execveat(2) of the file would answer: 0 or -errno; -ENOSYS before Linux 6.14. */
static int ask_linux(int fd)
{
    static char *const nothing[] = {"", NULL};
    if (syscall(SYS_execveat, fd, "", nothing, nothing + 1, AT_EMPTY_PATH | EXECVE_CHECK) == 0)
        return 0;
    return errno == EINVAL ? -ENOSYS : -errno;
}

/* A read lease is refused while somebody has the file open for writing. Only its owner, or root,
   may ask. */
static bool lease_refused(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK))
        return errno == EAGAIN;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

bool program_is_written(int fd)
{
    int rc = ask_linux(fd);
    return rc == -ETXTBSY || (rc == -ENOSYS && lease_refused(fd));
}

/*
 * The file is held before Linux is asked who writes to it, and an isle that opens it for writing
 * looks who holds it after it has opened it: one of the two sees the other.
 */
int program_open_file(int dir, const char *path, int flags)
{
    char link[64];
    int name = ownfd_open(dir, path, O_PATH | O_CLOEXEC | flags);
    if (name < 0)
        return name;
    int fd = -1, rc = may_execute(name);
    if (rc == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", name);
        fd = ownfd_open(AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        if (fd >= 0)
            program_hold(fd);
        /* who may not read it may execute it; a program that watches by fanotify(7) is asked once
         * when it says no */
        rc = fd >= 0 || fd == -EACCES ? ask_linux(name) : fd;
        if (rc == -ENOSYS)
            rc = fd >= 0 && lease_refused(fd) ? -ETXTBSY : 0;
    }
    close(name);
    if (rc && fd >= 0)
        close(fd);
    return rc ? rc : fd;
}

int program_name_file(int dir, const char *path, int flags)
{
    int name = ownfd_open(dir, path, O_PATH | O_CLOEXEC | flags);
    if (name < 0)
        return name;
    int rc = may_execute(name);
    if (rc == 0)
        rc = ask_linux(name);
    if (rc == 0 || rc == -ENOSYS)
        return name;
    close(name);
    return rc;
}
