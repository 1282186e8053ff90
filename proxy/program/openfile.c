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

/* Whether Linux would execute the file: its right to be executed and its mount. 0 or -errno;
 *no_writers: nobody has it open for writing, where Linux could be asked. */
static int may_execute(int fd, bool *no_writers)
{
    static char *const nothing[] = {"", NULL};
    char link[64];
    struct stat st;
    if (fstat(fd, &st))
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    *no_writers =
        syscall(SYS_execveat, fd, "", nothing, nothing + 1, AT_EMPTY_PATH | EXECVE_CHECK) == 0;
    if (*no_writers)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd); /* before Linux 6.14 */
    return faccessat(AT_FDCWD, link, X_OK, AT_EACCESS) ? -errno : 0;
}

/* A read lease is refused while somebody has the file open for writing. Only its owner, or root,
   may ask. */
static bool is_written(int fd)
{
    if (fcntl(fd, F_SETLEASE, F_RDLCK))
        return errno == EAGAIN;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

int program_open_file(int dir, const char *path, int flags)
{
    char link[64];
    int name = ownfd_open(dir, path, O_PATH | O_CLOEXEC | flags);
    if (name < 0)
        return name;
    bool no_writers = false;
    int rc = may_execute(name, &no_writers);
    if (rc == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", name);
        rc = ownfd_open(AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
    }
    close(name);
    if (rc >= 0 && !no_writers && is_written(rc)) {
        close(rc);
        return -ETXTBSY;
    }
    return rc;
}

int program_name_file(int dir, const char *path, int flags)
{
    int name = ownfd_open(dir, path, O_PATH | O_CLOEXEC | flags);
    if (name < 0)
        return name;
    bool no_writers;
    int rc = may_execute(name, &no_writers);
    if (rc == 0)
        return name;
    close(name);
    return rc;
}
