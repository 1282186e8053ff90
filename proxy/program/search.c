/* SPDX-License-Identifier: MIT */
#include "program/search.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEFAULT_PATH "/bin:/usr/bin" /* what glibc's execvp takes without PATH */

int search_check(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    if (!S_ISREG(st.st_mode))
        return -EACCES;
    /* As execve does: with the effective rights, and false on a noexec mount. */
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0 : -errno;
}

/* What makes execvp look further. */
static int is_elsewhere(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -ESTALE || rc == -ENODEV || rc == -ETIMEDOUT;
}

int search_program(const char *name, const char *dirs, char **path)
{
    *path = NULL;
    if (*name == '\0')
        return -ENOENT;
    if (strchr(name, '/')) {
        *path = strdup(name);
        return *path ? 0 : -ENOMEM;
    }
    int rc = -ENOENT;
    for (const char *d = dirs ? dirs : DEFAULT_PATH, *end; d; d = *end ? end + 1 : NULL) {
        char *candidate;
        end = strchrnul(d, ':');
        if (asprintf(&candidate, "%.*s%s%s", (int)(end - d), d, end > d ? "/" : "", name) < 0)
            return -ENOMEM;
        int found = search_check(candidate);
        if (found == 0) {
            *path = candidate;
            return 0;
        }
        free(candidate);
        if (found == -EACCES || found == -EISDIR)
            rc = -EACCES;
        else if (!is_elsewhere(found))
            return found;
    }
    return rc;
}
