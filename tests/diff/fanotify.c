/* SPDX-License-Identifier: MIT */
/* Permission events of fanotify(7): who opens or reads waits for the answer of another thread. */
#include "diff.h"

#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANSWERS 8

static int group;
static uint32_t answers[ANSWERS];
static pid_t expected; /* who raises them */

static const char *kind(uint64_t mask)
{
    return mask == FAN_OPEN_PERM        ? "open"
           : mask == FAN_ACCESS_PERM    ? "access"
           : mask == FAN_OPEN_EXEC_PERM ? "exec"
                                        : "other";
}

/* Answers the events one after another, as `answers` says; 0: no more. */
static void *listener(void *arg)
{
    struct fanotify_event_metadata m;
    for (int i = 0; i < ANSWERS && answers[i]; i++) {
        if (read(group, &m, sizeof m) != sizeof m)
            return NULL;
        struct fanotify_response r = {m.fd, answers[i]};
        printf("event %s, %s, fd %d\n", kind(m.mask),
               m.pid == (expected ? expected : getpid()) ? "its process" : "another", m.fd > 2);
        fflush(stdout);
        if (write(group, &r, sizeof r) != sizeof r)
            printf("no answer: %s\n", strerrorname_np(errno));
        close(m.fd);
    }
    return arg;
}

/* A group with its listener; false: natively not permitted either. */
static int marked(pthread_t *t, uint64_t mask, const uint32_t *list)
{
    mkdir("marked", 0755);
    close(open("marked/f", O_CREAT | O_RDWR, 0755));
    memcpy(answers, list, sizeof answers);
    R(group = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
    R(fanotify_mark(group, FAN_MARK_ADD, mask | FAN_EVENT_ON_CHILD, AT_FDCWD, "marked"));
    return group >= 0 && pthread_create(t, NULL, listener, NULL) == 0;
}

CASE(fanotify, classes)
{
    R(fanotify_init(FAN_CLASS_CONTENT, O_RDONLY) >= 0);
    R(fanotify_init(FAN_CLASS_PRE_CONTENT, O_RDONLY) >= 0);
    R(fanotify_init(FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT, O_RDONLY));
    R(fanotify_init(FAN_CLASS_CONTENT | FAN_REPORT_FID, O_RDONLY));
    int n = fanotify_init(FAN_CLASS_NOTIF, O_RDONLY), c = fanotify_init(FAN_CLASS_CONTENT, 0);
    R(fanotify_mark(n, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "."));
    R(fanotify_mark(c, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "missing"));
    R(fanotify_mark(c, FAN_MARK_ADD, FAN_OPEN_PERM, 77, "."));
    R(fanotify_mark(c, FAN_MARK_ADD, FAN_OPEN_PERM, 77, NULL));
    R(fanotify_mark(c, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, page_with(0)));
    R(fanotify_mark(c, FAN_MARK_ADD | FAN_MARK_ONLYDIR, FAN_OPEN_PERM, file_with("f", "x"), NULL));
    R(fanotify_mark(77, FAN_MARK_ADD, FAN_OPEN_PERM, AT_FDCWD, "."));
    R(symlink("f", "link"));
    R(fanotify_mark(c, FAN_MARK_ADD | FAN_MARK_DONT_FOLLOW, FAN_OPEN_PERM, AT_FDCWD, "link"));
    close(open("f", O_RDONLY)); /* the link is marked, not the file */
    R(fanotify_mark(c, FAN_MARK_REMOVE, FAN_OPEN_PERM, AT_FDCWD, "f"));
}

CASE(fanotify, permissions)
{
    static const uint32_t list[ANSWERS] = {FAN_ALLOW, FAN_ALLOW, FAN_DENY, FAN_DENY, FAN_ALLOW};
    char buf[8];
    pthread_t t;

    if (!marked(&t, FAN_OPEN_PERM | FAN_ACCESS_PERM, list))
        return;
    int fd;
    R((fd = open("marked/f", O_RDWR)) >= 0);
    R(pwrite(fd, "text", 4, 0));
    R(pread(fd, buf, 4, 0));
    R(read(fd, buf, 4));
    R(open("marked/f", O_RDONLY));
    R(openat(AT_FDCWD, "marked/f", O_RDONLY) >= 0);
    pthread_join(t, NULL);
    R(close(group));
    R(open("marked/f", O_RDONLY) >= 0);
}

CASE(fanotify, a_child_must_not_execute)
{
    static const uint32_t list[ANSWERS] = {FAN_DENY};
    pthread_t t;
    int status, go[2];
    char c;

    if (pipe(go) || !marked(&t, FAN_OPEN_EXEC_PERM, list))
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (read(go[0], &c, 1) != 1)
            _exit(9);
        execl("marked/f", "f", (char *)NULL);
        _exit(errno == EPERM ? 7 : 8);
    }
    expected = pid;
    R(write(go[1], "g", 1));
    R(waitpid(pid, &status, 0) == pid);
    SHOW(WEXITSTATUS(status));
}

CASE(fanotify, who_waits_can_be_killed)
{
    static const uint32_t none[ANSWERS] = {0};
    pthread_t t;
    int status;

    if (!marked(&t, FAN_OPEN_PERM, none))
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        open("marked/f", O_RDONLY);
        _exit(1);
    }
    sleep_ms(300);
    R(kill(pid, SIGTERM));
    R(waitpid(pid, &status, 0) == pid);
    SHOW(WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status));
}

CASE(fanotify, groups_that_go_permit_all)
{
    static const uint32_t none[ANSWERS] = {0};
    pthread_t t;
    int status;

    if (!marked(&t, FAN_OPEN_PERM, none))
        return;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        close(group);
        _exit(open("marked/f", O_RDONLY) >= 0 ? 5 : 6);
    }
    sleep_ms(100);
    R(close(group));
    R(waitpid(pid, &status, 0) == pid);
    SHOW(WEXITSTATUS(status));
}
