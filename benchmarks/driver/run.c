/* SPDX-License-Identifier: MIT */
#include "driver/run.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "driver/load.h"

const char *const side_name[SIDES] = {"native", "isle"};

/* v: room for RANKS times the arguments and 12 more each. */
static void ranks_command(const struct run *r, char **v, size_t argc, char *buf, size_t size)
{
    static char cpus[] = "--cpus", one[] = "1", n_option[] = "-n", list[] = "-c", end[] = "--";
    static char count[] = {'0' + RANKS, 0}, taskset[] = "taskset", also[] = ":";
    size_t n = 0, used = 0;
    v[n++] = (char *)r->ranks->mpirun;
    if (r->side == ISLE) {
        char *const lull[] = {n_option, count, (char *)r->o->lull, cpus, one};
        memcpy(v + n, lull, sizeof lull);
        n += sizeof lull / sizeof *lull;
        if (r->report) {
            snprintf(buf, size, "--report=%s", r->report);
            v[n++] = buf;
        }
        v[n++] = end;
        memcpy(v + n, r->argv, argc * sizeof *v);
        return;
    }
    for (unsigned i = 0; i < RANKS; i++) {
        char *const bound[] = {n_option, one, taskset, list, buf + used};
        used += (size_t)snprintf(buf + used, size - used, "%d", r->ranks->cpu[i]) + 1;
        if (i > 0)
            v[n++] = also;
        memcpy(v + n, bound, sizeof bound);
        n += sizeof bound / sizeof *bound;
        memcpy(v + n, r->argv, argc * sizeof *v);
        n += argc;
    }
}

char **run_command(const struct run *r, char *buf, size_t size)
{
    size_t n = 0, argc = 0;
    while (r->argv[argc])
        argc++;
    char **v = calloc(RANKS * (argc + 12), sizeof *v);
    if (!v)
        return NULL;
    if (r->ranks) {
        ranks_command(r, v, argc, buf, size);
        return v;
    }
    if (r->o->mpirun) {
        v[n++] = (char *)mpich_mpirun();
        v[n++] = (char *)"-n";
        v[n++] = (char *)"1";
    }
    if (r->side == ISLE) {
        v[n++] = (char *)r->o->lull;
        v[n++] = (char *)"--cpus";
        cpus_format(r->cpus, buf, size);
        v[n++] = buf;
        if (r->virtual_time)
            v[n++] = (char *)"--virtual-time";
        if (r->isolated)
            v[n++] = (char *)"--isolate=require";
        if (r->report) {
            size_t used = strlen(buf) + 1;
            snprintf(buf + used, size - used, "--report=%s", r->report);
            v[n++] = buf + used;
        }
        v[n++] = (char *)"--";
    }
    memcpy(v + n, r->argv, argc * sizeof *v);
    return v;
}

void run_describe(char *const *argv, char *buf, size_t size)
{
    size_t len = 0;
    buf[0] = 0;
    for (; *argv && len < size; argv++)
        len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? " " : "", *argv);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static char *read_all(int fd)
{
    struct stat st;
    if (fstat(fd, &st))
        return NULL;
    char *text = malloc((size_t)st.st_size + 1);
    if (!text)
        return NULL;
    ssize_t n = pread(fd, text, (size_t)st.st_size, 0);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void exec_child(const struct command *c, int out, int err, pid_t parent)
{
    char threads[16];
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    if (c->cpus) {
        snprintf(threads, sizeof threads, "%u", c->cpus->n);
        setenv("OMP_NUM_THREADS", threads, 1);
        setenv("OMP_PROC_BIND", "true", 1);
    }
    if (c->tune && tune_enter(c->tune, err))
        _exit(126);
    if (c->pin && sched_setaffinity(0, sizeof c->cpus->set, &c->cpus->set)) {
        dprintf(err, "sched_setaffinity: %s\n", strerror(errno));
        _exit(126);
    }
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    execvp(c->argv[0], c->argv);
    dprintf(err, "cannot execute %s: %s\n", c->argv[0], strerror(errno));
    _exit(127);
}

/* Waits; ends the child when its time is over. False: it had to be ended. */
static bool wait_child(pid_t pid, double timeout_s, int *status)
{
    bool in_time = true;
    int fd = pidfd_open(pid, 0);
    if (fd >= 0) {
        const int step[] = {(int)fmin(timeout_s * 1e3, INT_MAX), 5000};
        const int sig[] = {SIGTERM, SIGKILL};
        struct pollfd p = {.fd = fd, .events = POLLIN};
        for (int i = 0; i < 2; i++) {
            int n;
            while ((n = poll(&p, 1, step[i])) < 0 && errno == EINTR)
                ;
            if (n != 0)
                break;
            in_time = false;
            kill(pid, sig[i]);
        }
        close(fd);
    }
    while (waitpid(pid, status, 0) < 0 && errno == EINTR)
        ;
    return in_time;
}

/* What went wrong, in one line, then the program's own words. */
static void complain_of(const struct command *c, bool in_time, int status, int err)
{
    if (!in_time)
        complain("%s: did not end %s within %g s and was ended", c->what, c->where, c->timeout_s);
    else if (WIFSIGNALED(status))
        complain("%s: ended %s by signal %d (%s)", c->what, c->where, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        complain("%s: failed %s with exit code %d", c->what, c->where, WEXITSTATUS(status));
    char *text = read_all(err);
    if (text && *text) {
        complaint_add(text);
        fputs(text, stderr);
    }
    free(text);
}

static void show(const char *text)
{
    if (text)
        fputs(text, stderr);
}

int command_run(const struct command *c, struct run_output *out)
{
    char line[4096];
    int rc = -1, status = 0;
    *out = (struct run_output){.text = NULL};
    /* files, not pipes: nobody is to be woken while the program measures */
    int fd_out = memfd_create("stdout", MFD_CLOEXEC), fd_err = memfd_create("stderr", MFD_CLOEXEC);
    if (fd_out < 0 || fd_err < 0) {
        complain("%s: cannot prepare the run: %s", c->what, strerror(errno));
        goto done;
    }
    if (c->verbose) {
        run_describe(c->argv, line, sizeof line);
        progress("%s, %s: %s", c->what, c->where, line);
    }
    fflush(NULL);
    pid_t parent = getpid();
    out->start_ns = now_ns();
    pid_t pid = fork();
    if (pid == 0)
        exec_child(c, fd_out, fd_err, parent);
    if (pid < 0) {
        complain("%s: fork: %s", c->what, strerror(errno));
        goto done;
    }
    bool in_time = wait_child(pid, c->timeout_s, &status);
    out->end_ns = now_ns();
    out->text = read_all(fd_out);
    if (c->verbose)
        show(out->text);
    if (!in_time || status != 0 || !out->text) {
        complain_of(c, in_time, status, fd_err);
        goto done;
    }
    if (c->verbose) {
        char *text = read_all(fd_err);
        show(text);
        free(text);
    }
    rc = 0;
done:
    if (fd_out >= 0)
        close(fd_out);
    if (fd_err >= 0)
        close(fd_err);
    if (rc) {
        free(out->text);
        out->text = NULL;
    }
    return rc;
}

int run_child(const struct run *r, struct run_output *out)
{
    char buf[PATH_MAX + 8192];
    char **argv = run_command(r, buf, sizeof buf);
    *out = (struct run_output){.text = NULL};
    if (!argv) {
        complain("%s: out of memory", r->what);
        return -1;
    }
    struct command c = {.argv = argv,
                        .what = r->what,
                        .where = r->side == ISLE ? "on an isle" : "natively",
                        .cpus = r->ranks ? &r->ranks->pool : r->cpus,
                        .pin = r->ranks || r->side == NATIVE,
                        .timeout_s = r->o->timeout_s,
                        .verbose = r->o->verbose};
    int rc = command_run(&c, out);
    free(argv);
    return rc;
}
