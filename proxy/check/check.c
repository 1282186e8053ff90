/* SPDX-License-Identifier: MIT */
#include "check/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "message.h"

static void say_program(const struct program *p)
{
    struct stat named, loaded;
    printf("program: %s\n", p->path);
    if (stat(p->execfn, &named) == 0 && fstat(p->fd, &loaded) == 0 &&
        (named.st_ino != loaded.st_ino || named.st_dev != loaded.st_dev))
        printf("script: %s, run by %s\n", p->execfn, p->argv[0]);
    printf("kind: x86-64, %s, linked %s\n", p->image.pie ? "position independent" : "fixed address",
           p->image.interp_size ? "dynamically" : "statically");
    if (p->interp)
        printf("loader: %s\n", p->interp);
}

static void say_rights(const struct program *p)
{
    struct stat st;
    if (fstat(p->fd, &st) == 0 && st.st_mode & (S_ISUID | S_ISGID))
        printf("rights: set-user-ID and set-group-ID bits have no effect on an isle\n");
    if (fgetxattr(p->fd, "security.capability", NULL, 0) > 0)
        printf("rights: capabilities of the file have no effect on an isle\n");
}

/* The refused calls behind one file's imports, in one line. */
static void say_calls(const char *path, const char *imports)
{
    char line[1000];
    size_t len = 0;
    for (const char *f = imports; f && *f; f += strlen(f) + 1) {
        const char *call = calls_refused(f);
        if (!call || len + strlen(f) + strlen(call) + 8 > sizeof line)
            continue;
        len += (size_t)snprintf(line + len, sizeof line - len, "%s%s", len ? ", " : "", f);
        if (strcmp(f, call) != 0)
            len += (size_t)snprintf(line + len, sizeof line - len, " (%s)", call);
    }
    if (len)
        printf("calls: %s uses %s: refused with ENOSYS when called\n", path, line);
}

/* A file that would be loaded. 0, or the exit code because of it. Sets *sanitizer if it has one. */
static int check_file(const char *path, int fd, bool calls, bool *sanitizer)
{
    struct elffile f;
    struct isa_cpu cpu = isa_this_cpu();
    char lacks[400];
    int rc = elffile_read(fd, &f);
    if (rc == -ENOMEM) {
        message("out of memory");
        return LULL_EXIT_FAILED;
    }
    if (rc != 0)
        printf("library: %s cannot be looked into: %s\n", path, strerror(-rc));
    rc = 0;
    if (isa_lacks(&cpu, f.isa, lacks, sizeof lacks)) {
        printf("processor: %s needs %s; this one lacks %s\n", path, isa_name(f.isa), lacks);
        rc = LULL_EXIT_NOT_RUNNABLE;
    } else if (f.isa & ~ISA_BASELINE) {
        printf("processor: %s needs %s, which this one has\n", path, isa_name(f.isa));
    }
    if (f.sanitizer) {
        printf(
            "memory: %s uses %s, whose shadow memory lies where an isle has none: run it without "
            "lull\n",
            path, f.sanitizer);
        *sanitizer = true;
    }
    if (calls)
        say_calls(path, f.imports);
    elffile_free(&f);
    return rc;
}

/* libc's own imports say nothing of what the program calls. */
static bool is_libc(const char *name)
{
    return strncmp(name, "libc.", 5) == 0 || strncmp(name, "ld-", 3) == 0;
}

static int check_library(const struct library *lib, bool *sanitizer)
{
    printf("library: %s => %s\n", lib->name, lib->path);
    int fd = open(lib->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        printf("library: %s cannot be looked into: %s\n", lib->path, strerror(errno));
        return 0;
    }
    int rc = check_file(lib->path, fd, !is_libc(lib->name), sanitizer);
    close(fd);
    return rc;
}

/* 0, or the exit code with which the program would not start. */
static int check_libraries(const struct program *p, bool *sanitizer)
{
    struct libraries l;
    if (!loader_is_trusted(p->interp_fd)) {
        printf("libraries: not looked for: %s does not belong to root alone, and only it could "
               "tell\n",
               p->interp);
        return 0;
    }
    int rc = loader_list(p, &l);
    if (rc) {
        message("cannot ask %s for the libraries of %s: %s", p->interp, p->path, strerror(-rc));
        rc = LULL_EXIT_FAILED;
    }
    for (size_t i = 0; rc != LULL_EXIT_FAILED && i < l.n; i++) {
        if (strcmp(l.lib[i].path, p->interp) == 0)
            continue;
        int one = check_library(&l.lib[i], sanitizer);
        rc = rc ? rc : one;
    }
    if (l.complaint)
        printf("libraries: the loader says: %s\n", l.complaint);
    rc = rc == LULL_EXIT_FAILED ? rc : l.code ? l.code : rc;
    libraries_free(&l);
    return rc;
}

int check_program(const struct program *p)
{
    say_program(p);
    say_rights(p);
    bool sanitizer = false;
    int rc = check_file(p->path, p->fd, true, &sanitizer);
    if (p->interp && rc != LULL_EXIT_FAILED) {
        int libs = check_libraries(p, &sanitizer);
        rc = libs ? libs : rc;
        if (rc == LULL_EXIT_NOT_RUNNABLE) /* instructions that are lacking: glibc's loader looks */
            rc = LULL_EXIT_NOT_FOUND;
    }
    if (rc == LULL_EXIT_FAILED)
        return rc;
    if (!rc && sanitizer) {
        printf("runnable: no; its sanitizer would end it\n");
        rc = LULL_EXIT_NOT_RUNNABLE;
    } else if (rc)
        printf("runnable: no; it would end with %d\n", rc);
    else
        printf("runnable: yes\n");
    if (fflush(stdout) != 0 || ferror(stdout)) {
        message("cannot write to standard output: %s", strerror(errno));
        return LULL_EXIT_FAILED;
    }
    return rc;
}
