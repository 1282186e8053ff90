/* SPDX-License-Identifier: MIT */
#include "program/program.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "program/script.h"
#include "program/search.h"

#define HEAD_SIZE 65536u
#define HEAD_MAX (64u << 20) /* program headers further back are not looked for */

/* A file on the way from argv[0] to what is loaded. */
struct step {
    const char *path; /* as it was named */
    const char *of;   /* whose `role` it is; NULL: the program itself */
    const char *role;
    bool by_path; /* found, or not, in PATH */
};

/* A name as a terminal can bear it (a script with CR LF names "/bin/sh\r"). */
static const char *shown(const char *name, char *buf, size_t size)
{
    size_t i = 0;
    for (; name[i] && i < size - 1; i++)
        buf[i] = (unsigned char)name[i] < ' ' || name[i] == 127 ? '?' : name[i];
    buf[i] = '\0';
    return buf;
}

/* One line: `text` continues the file's name as a sentence. */
static void say(const struct step *s, const char *text)
{
    char a[400], b[400];
    if (s->of)
        message("%s, the %s of %s, %s", shown(s->path, a, sizeof a), s->role,
                shown(s->of, b, sizeof b), text);
    else
        message("%s %s", shown(s->path, a, sizeof a), text);
}

/* Says what -errno means for a file that is to be run; the exit code. */
static int say_errno(const struct step *s, int rc)
{
    char text[128];
    switch (-rc) {
    case ENOENT:
        say(s, s->by_path ? "was not found in PATH" : "was not found: no such file");
        return LULL_EXIT_NOT_FOUND;
    case EISDIR:
        say(s, "is a directory, not a program");
        break;
    case EACCES:
        say(s, "may not be executed: not a program file, its x permission is missing, "
               "or a directory above it is closed");
        break;
    case ENOMEM:
        message("out of memory");
        return LULL_EXIT_FAILED;
    default:
        snprintf(text, sizeof text, "cannot be run: %s", strerror(-rc));
        say(s, text);
    }
    return LULL_EXIT_NOT_RUNNABLE;
}

/* Up to `size` bytes from the beginning of the file. Bytes, or -errno. */
static ssize_t read_head(int fd, uint8_t *buf, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, buf + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* The first HEAD_SIZE bytes, or as many as the program headers need. 0 or -errno. */
static int load_head(int fd, uint64_t file_size, uint8_t **head, size_t *len)
{
    size_t want = HEAD_SIZE;
    *head = NULL;
    for (;;) {
        uint8_t *p = realloc(*head, want);
        if (!p)
            return -ENOMEM;
        *head = p;
        ssize_t n = read_head(fd, p, want);
        if (n < 0)
            return (int)n;
        *len = (size_t)n;
        uint64_t need = elf_head_size(p, *len);
        if (need <= want || need > file_size || need > HEAD_MAX || memcmp(p, "\177ELF", 4) != 0)
            return 0;
        want = (size_t)need;
    }
}

/* Opens one file of the way and reads its head; an exit code after a message, or 0. */
static int open_step(const struct step *s, int *fd, uint64_t *size, uint8_t **head, size_t *len)
{
    int rc = search_check(s->path);
    if (rc != 0)
        return say_errno(s, rc);
    /* Between check and open it may have become a FIFO: never wait for a writer. */
    *fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (*fd < 0 && errno == EACCES) {
        say(s, "may not be read; lull loads it by itself and needs its r permission");
        return LULL_EXIT_NOT_RUNNABLE;
    }
    if (*fd < 0)
        return say_errno(s, -errno);
    struct stat st;
    if (fstat(*fd, &st) != 0)
        return say_errno(s, -errno);
    if (!S_ISREG(st.st_mode))
        return say_errno(s, -EACCES);
    program_hold(*fd);
    if (program_is_written(*fd))
        return say_errno(s, -ETXTBSY);
    *size = (uint64_t)st.st_size;
    rc = load_head(*fd, *size, head, len);
    if (rc != 0)
        return say_errno(s, rc);
    if (*len == 0) {
        say(s, "is an empty file");
        return LULL_EXIT_NOT_RUNNABLE;
    }
    return 0;
}

/*
 * The argument vector grows at its front: `first` counts down. Every string is its own allocation.
 */
struct words {
    char **word;
    size_t first, end;
};

static int words_start(struct words *w, int argc, char *const *argv)
{
    w->first = w->end = 2 * SCRIPT_NESTING_MAX;
    w->word = calloc(w->first + (size_t)argc + 1, sizeof *w->word);
    if (!w->word)
        return -ENOMEM;
    for (int i = 0; i < argc; i++, w->end++)
        if (!(w->word[w->end] = strdup(argv[i])))
            return -ENOMEM;
    return 0;
}

/* As Linux: argv[0] gives way to the script's name, interpreter and its argument come before. */
static int words_add_script(struct words *w, const char *path, const struct script *script)
{
    char *name = strdup(path);
    if (!name)
        return -ENOMEM;
    free(w->word[w->first]);
    w->word[w->first] = name;
    if (script->has_arg) {
        char *arg = strdup(script->arg);
        if (!arg)
            return -ENOMEM;
        w->word[--w->first] = arg;
    }
    char *interpreter = strdup(script->interpreter);
    if (!interpreter)
        return -ENOMEM;
    w->word[--w->first] = interpreter;
    return 0;
}

static void words_free(struct words *w)
{
    for (size_t i = w->first; w->word && i < w->end; i++)
        free(w->word[i]);
    free(w->word);
}

/* They are the program's. */
static void words_use(struct words *w, struct program *out)
{
    out->argc = (int)(w->end - w->first);
    memmove(w->word, w->word + w->first, ((size_t)out->argc + 1) * sizeof *w->word);
    out->argv = w->word;
}

/* Follows scripts from out->execfn to an ELF file; opens that. */
static int resolve(struct words *w, struct program *out)
{
    char here[PATH_MAX], from[PATH_MAX];
    struct step step = {.path = out->execfn};
    for (unsigned depth = 0;; depth++) {
        struct script script;
        uint8_t *head = NULL;
        size_t len = 0;
        uint64_t size = 0;
        enum elf_verdict v = ELF_NOT_ELF;
        bool is_script = false;
        int rc = open_step(&step, &out->fd, &size, &head, &len);
        if (rc == 0) {
            v = elf_parse(head, len, size, &out->image);
            is_script = v == ELF_NOT_ELF && script_parse(head, len, &script);
        }
        free(head);
        if (rc != 0 || v == ELF_OK)
            return rc;
        if (!is_script) {
            say(&step, elf_verdict_text(v));
            return LULL_EXIT_NOT_RUNNABLE;
        }
        if (depth == SCRIPT_NESTING_MAX) {
            say(&step, "is itself a script, and more than 5 levels of scripts are not followed");
            return LULL_EXIT_NOT_RUNNABLE;
        }
        rc = words_add_script(w, step.path, &script);
        if (rc != 0)
            return say_errno(&step, rc);
        close(out->fd);
        out->fd = -1;
        snprintf(from, sizeof from, "%s", step.path);
        snprintf(here, sizeof here, "%s", script.interpreter);
        step = (struct step){here, from, "interpreter", false};
    }
}

/* Absolute path of an open file, as /proc/self/exe shows it; its name where the path is too long
   for Linux to tell. NULL: errno. */
static char *path_of(int fd, const char *name)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return errno == ENAMETOOLONG ? strdup(name) : NULL;
    path[n] = '\0';
    return strdup(path);
}

/* The dynamic loader, if the program names one. An exit code after a message, or 0. */
static int open_interp(struct program *out)
{
    char name[PATH_MAX];
    struct step step = {name, out->path, "dynamic loader", false};
    uint8_t *head = NULL;
    size_t len = 0;
    uint64_t size = 0;
    const struct elf_image *im = &out->image;
    if (im->interp_size == 0)
        return 0;
    ssize_t n = pread(out->fd, name, im->interp_size, (off_t)im->interp_offset);
    if (n != (ssize_t)im->interp_size || name[n - 1] != '\0') {
        message("%s %s", out->path, elf_verdict_text(ELF_LIES));
        return LULL_EXIT_NOT_RUNNABLE;
    }
    int rc = open_step(&step, &out->interp_fd, &size, &head, &len);
    if (rc == 0) {
        enum elf_verdict v = elf_parse(head, len, size, &out->interp_image);
        if (v != ELF_OK || !out->interp_image.pie) {
            say(&step, v != ELF_OK ? elf_verdict_text(v) : "is linked for fixed addresses");
            rc = LULL_EXIT_NOT_RUNNABLE;
        }
    }
    free(head);
    if (rc == 0) /* Linux denies writing to a loader only while it executes the program */
        program_let_go(out->interp_fd);
    if (rc == 0 && !(out->interp = path_of(out->interp_fd, name)))
        rc = say_errno(&step, -errno);
    return rc;
}

int program_open(const char *file, int argc, char **argv, struct program *out)
{
    struct words words = {0};
    struct step step = {.path = file ? file : argv[0], .by_path = !file && !strchr(argv[0], '/')};
    *out = (struct program){.fd = -1, .interp_fd = -1};

    int rc = file && (out->execfn = strdup(file)) ? search_check(file)
             : file                               ? -ENOMEM
                    : search_program(argv[0], getenv("PATH"), &out->execfn);
    if (rc == 0)
        rc = words_start(&words, argc, argv);
    if (rc != 0) {
        rc = say_errno(&step, rc);
        goto fail;
    }
    rc = resolve(&words, out);
    if (rc != 0)
        goto fail;
    out->path = path_of(out->fd, out->execfn);
    if (!out->path) {
        message("cannot tell the path of %s: %s; is /proc mounted?", out->execfn, strerror(errno));
        rc = LULL_EXIT_FAILED;
        goto fail;
    }
    rc = open_interp(out);
    if (rc != 0)
        goto fail;
    if (program_rights(out->fd, false, &out->euid, &out->egid) == RIGHTS_MORE) {
        say(&step, "is set-user-ID, set-group-ID or has capabilities: lull cannot give it the "
                   "rights that it would have without lull");
        rc = LULL_EXIT_NOT_RUNNABLE;
        goto fail;
    }
    words_use(&words, out);
    return 0;

fail:
    words_free(&words);
    program_close(out);
    return rc;
}

/* What the open file is: 0 for ELF, 1 for a script, or -errno. */
static int parse_open(int fd, struct script *script, struct elf_image *image)
{
    uint8_t *head = NULL;
    size_t len = 0;
    struct stat st;
    int rc = fstat(fd, &st) ? -errno : load_head(fd, (uint64_t)st.st_size, &head, &len);
    if (rc == 0) {
        enum elf_verdict v = elf_parse(head, len, (uint64_t)st.st_size, image);
        bool is_script = script && v == ELF_NOT_ELF && script_parse(head, len, script);
        rc = v == ELF_OK ? 0 : is_script ? 1 : -ENOEXEC;
    }
    free(head);
    return rc;
}

/* Opens and parses the dynamic loader, if the program names one. 0 or -errno. */
static int prepare_interp(struct program *out)
{
    char name[PATH_MAX];
    const struct elf_image *im = &out->image;
    if (im->interp_size == 0)
        return 0;
    ssize_t n = pread(out->fd, name, im->interp_size, (off_t)im->interp_offset);
    if (n != (ssize_t)im->interp_size || name[n - 1] != '\0')
        return -ENOEXEC;
    out->interp_fd = program_open_file(AT_FDCWD, name, 0);
    if (out->interp_fd < 0)
        return out->interp_fd;
    struct stat st;
    if (fstat(out->interp_fd, &st) == 0 && st.st_size < (off_t)sizeof(Elf64_Ehdr))
        return -EIO;
    int rc = parse_open(out->interp_fd, NULL, &out->interp_image);
    program_let_go(out->interp_fd); /* Linux denies writing only while it executes the program */
    return rc || !out->interp_image.pie ? -ELIBBAD : 0;
}

/* Follows scripts from out->fd to an ELF file. `name`: of the first file. */
static int prepare(struct words *w, const char *name, bool nameless, struct program *out)
{
    char here[PATH_MAX];
    struct script script;
    snprintf(here, sizeof here, "%s", name);
    for (unsigned depth = 0;; depth++) {
        int rc = parse_open(out->fd, &script, &out->image);
        if (rc <= 0)
            return rc;
        if (depth == SCRIPT_NESTING_MAX)
            return -ELOOP;
        if (nameless && depth == 0) /* its interpreter would find no file of that name */
            return -ENOENT;
        rc = words_add_script(w, here, &script);
        if (rc)
            return rc;
        close(out->fd);
        out->fd = program_open_file(AT_FDCWD, script.interpreter, 0);
        if (out->fd < 0)
            return out->fd;
        snprintf(here, sizeof here, "%s", script.interpreter);
    }
}

int program_prepare(int fd, const char *name, bool nameless, char *const *argv, struct program *out)
{
    struct words words = {0};
    int argc = 0;
    while (argv[argc])
        argc++;
    *out = (struct program){.fd = fd, .interp_fd = -1};
    int rc = words_start(&words, argc, argv);
    if (rc == 0)
        rc = prepare(&words, name, nameless, out);
    if (rc == 0)
        rc = prepare_interp(out);
    if (rc == 0 && !(out->execfn = strdup(name)))
        rc = -ENOMEM;
    if (rc) {
        words_free(&words);
        program_close(out);
        return rc;
    }
    words_use(&words, out);
    return 0;
}

int program_adopt(const char *name, const int fd[2], int argc, char **argv, struct program *out)
{
    struct words words = {0};
    *out = (struct program){.fd = fd[0], .interp_fd = fd[1]};
    fcntl(fd[0], F_SETFD, FD_CLOEXEC);
    int rc = parse_open(fd[0], NULL, &out->image);
    if (rc == 0 && fd[1] >= 0) {
        fcntl(fd[1], F_SETFD, FD_CLOEXEC);
        rc = parse_open(fd[1], NULL, &out->interp_image);
        if (rc == 0 && !(out->interp = path_of(fd[1], "loader")))
            rc = -errno;
    }
    if (rc == 0)
        rc = words_start(&words, argc, argv);
    if (rc == 0 &&
        (!(out->execfn = strdup(name ? name : "")) || !(out->path = path_of(fd[0], out->execfn))))
        rc = -errno;
    if (rc) {
        message("%s cannot be run any more: %s", name, strerror(-rc));
        words_free(&words);
        program_close(out);
        return LULL_EXIT_NOT_RUNNABLE;
    }
    program_rights(out->fd, false, &out->euid, &out->egid);
    words_use(&words, out);
    return 0;
}

void program_close(struct program *p)
{
    if (p->fd >= 0)
        close(p->fd);
    for (int i = 0; i < p->argc; i++)
        free(p->argv[i]);
    free(p->argv);
    free(p->execfn);
    free(p->path);
    if (p->interp_fd >= 0)
        close(p->interp_fd);
    free(p->interp);
    *p = (struct program){.fd = -1, .interp_fd = -1};
}
