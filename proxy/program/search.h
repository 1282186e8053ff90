/* SPDX-License-Identifier: MIT */
#ifndef PROXY_PROGRAM_SEARCH_H
#define PROXY_PROGRAM_SEARCH_H

/*
 * 0 when execve(2) could begin to load `path` as far as name, kind and rights go, else -errno:
 * -EISDIR for a directory, -EACCES also for what is neither file nor directory.
 */
int search_check(const char *path);

/*
 * The file that execvp(3) would take for `name`: itself if it has a slash, else the first one that
 * may be run in `dirs` (as PATH; NULL: the system's default). 0 and a string for free(3) in *path,
 * or -errno: -ENOENT, -EACCES (found, but nowhere with the right to run it), -ENOMEM ...
 */
int search_program(const char *name, const char *dirs, char **path);

#endif
