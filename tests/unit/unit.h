/* SPDX-License-Identifier: MIT */
/* cmocka with what it wants before it, and what the tests share: stderr, temporary directories. */
#ifndef UNIT_H
#define UNIT_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What was written to stderr since unit_catch(), NUL-terminated. */
struct unit_stderr {
    int saved, pipe[2];
    char text[4096];
};

static inline void unit_catch(struct unit_stderr *e)
{
    assert_int_equal(pipe2(e->pipe, O_CLOEXEC | O_NONBLOCK), 0);
    e->saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_true(e->saved >= 0);
    assert_int_equal(dup2(e->pipe[1], STDERR_FILENO), STDERR_FILENO);
}

static inline const char *unit_caught(struct unit_stderr *e)
{
    assert_int_equal(dup2(e->saved, STDERR_FILENO), STDERR_FILENO);
    close(e->saved);
    close(e->pipe[1]);
    ssize_t n = read(e->pipe[0], e->text, sizeof e->text - 1);
    e->text[n > 0 ? n : 0] = '\0';
    close(e->pipe[0]);
    return e->text;
}

/* Exactly one line that begins with "lull: " and contains `part`. */
static inline void unit_one_line(const char *text, const char *part)
{
    const char *newline = strchr(text, '\n');
    if (strncmp(text, "lull: ", 6) != 0 || !newline || newline[1] != '\0' || !strstr(text, part))
        fail_msg("expected one line with '%s', got '%s'", part, text);
}

static inline char *unit_tempdir(void)
{
    char *dir = strdup("/tmp/lull-unit.XXXXXX");
    assert_non_null(dir);
    assert_non_null(mkdtemp(dir));
    return dir;
}

static inline int unit_remove_one(const char *path, const struct stat *st, int flag,
                                  struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

static inline void unit_remove(char *dir)
{
    assert_int_equal(nftw(dir, unit_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
    free(dir);
}

/* dir/name with these bytes and mode; missing directories in between are made. */
static inline void unit_write(const char *dir, const char *name, const void *bytes, size_t n,
                              mode_t mode)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0755);
        *p = '/';
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static inline void unit_write_text(const char *dir, const char *name, const char *text, mode_t mode)
{
    unit_write(dir, name, text, strlen(text), mode);
}

#endif
