/* SPDX-License-Identifier: MIT */
/* The dynamic loader is asked itself, as ldd(1) does: it alone knows its caches and its rules. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check/check.h"
#include "message.h"

extern char **environ;

bool loader_is_trusted(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/*
 *         linux-vdso.so.1 (0x00007ffd5b9f1000)
 *         libm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f3a8a8e4000)
 *         /lib64/ld-linux-x86-64.so.2 (0x00007f3a8abd1000)
 */
enum loader_line loader_parse_line(char *line, const char **name, const char **path)
{
    static const char arrow[] = " => ";
    if (*line == '\0')
        return LOADER_NOTHING;
    if (*line != '\t')
        return LOADER_COMPLAINT;
    line++;
    char *to = strstr(line, arrow), *at = strrchr(line, '(');
    if (!to)
        return at || strcmp(line, "statically linked") == 0 ? LOADER_NOTHING : LOADER_COMPLAINT;
    if (!at || at - to <= (int)sizeof arrow || at[-1] != ' ' || to[sizeof arrow - 1] != '/')
        return LOADER_COMPLAINT;
    *to = at[-1] = '\0';
    *name = line;
    *path = to + sizeof arrow - 1;
    return LOADER_LIBRARY;
}

static int add_library(struct libraries *l, const char *name, const char *path)
{
    if (l->n == LIBRARIES_MAX)
        return -E2BIG;
    struct library *more = realloc(l->lib, (l->n + 1) * sizeof *more);
    if (!more)
        return -ENOMEM;
    l->lib = more;
    struct library *lib = &l->lib[l->n++];
    *lib = (struct library){strdup(name), strdup(path)};
    return lib->name && lib->path ? 0 : -ENOMEM;
}

static int take_line(struct libraries *l, char *line)
{
    const char *name, *path;
    switch (loader_parse_line(line, &name, &path)) {
    case LOADER_LIBRARY:
        return add_library(l, name, path);
    case LOADER_COMPLAINT:
        if (l->complaint)
            return 0; /* the first one is the cause */
        l->complaint = strdup(line + strspn(line, "\t"));
        return l->complaint ? 0 : -ENOMEM;
    default:
        return 0;
    }
}

static int take_lines(int fd, struct libraries *l)
{
    char *line = NULL;
    size_t room = 0;
    int rc = 0;
    FILE *in = fdopen(fd, "r");
    if (!in) {
        rc = -errno;
        close(fd);
        return rc;
    }
    for (ssize_t n; (n = getline(&line, &room, in)) > 0;) {
        if (line[n - 1] == '\n')
            line[n - 1] = '\0';
        if (rc == 0) /* read to the end all the same: nobody is to die of SIGPIPE */
            rc = take_line(l, line);
    }
    free(line);
    fclose(in);
    return rc;
}

/* stdout and stderr to `out`; answers like posix_spawn(3). */
static int start(const struct program *p, int out, pid_t *pid)
{
    char list[] = "--list";
    char *argv[] = {p->interp, list, p->path, NULL};
    posix_spawn_file_actions_t fa;
    int rc = posix_spawn_file_actions_init(&fa);
    if (rc)
        return rc;
    rc = posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", 0, 0);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
    if (!rc)
        rc = posix_spawn_file_actions_adddup2(&fa, out, STDERR_FILENO);
    if (!rc)
        rc = posix_spawn(pid, p->interp, &fa, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&fa);
    return rc;
}

int loader_list(const struct program *p, struct libraries *out)
{
    int fd[2], status;
    pid_t pid;
    *out = (struct libraries){0};
    if (pipe2(fd, O_CLOEXEC) != 0)
        return -errno;
    int rc = -start(p, fd[1], &pid);
    close(fd[1]);
    if (rc) {
        close(fd[0]);
        return rc;
    }
    rc = take_lines(fd[0], out);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    if (!WIFEXITED(status))
        out->code = LULL_EXIT_NOT_RUNNABLE;
    else if (WEXITSTATUS(status))
        out->code = WEXITSTATUS(status);
    else if (out->complaint)
        out->code = 1; /* a version that is missing: glibc's loader lists on, and would not start */
    return rc;
}

void libraries_free(struct libraries *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->lib[i].name);
        free(l->lib[i].path);
    }
    free(l->lib);
    free(l->complaint);
    *l = (struct libraries){0};
}
