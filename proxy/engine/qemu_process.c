/* SPDX-License-Identifier: MIT */
/* QEMU as a child: found, started with nothing of ours but what it needs, watched, ended. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/qemu_priv.h"
#include "message.h"
#include "ownfd.h"

#define FATAL_EXIT ((0xdead << 1 | 1) & 0xff) /* isa-debug-exit, from lull_ring0_fatal */
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

/* Descriptors that the child has, by their number there. */
enum { CHILD_DOORBELL = 3, CHILD_MEMORY, CHILD_KERNEL, CHILD_END };

int qemu_find(struct engine *e, char *why, size_t size)
{
    const char *name = getenv("LULL_QEMU"), *path = getenv("PATH");
    if (!name || !*name)
        name = "qemu-system-x86_64";
    if (strchr(name, '/')) {
        snprintf(e->binary, sizeof e->binary, "%s", name);
        if (access(e->binary, X_OK) == 0)
            return 0;
        snprintf(why, size, "LULL_QEMU=%.100s cannot be run: %s", name, strerror(errno));
        return -1;
    }
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");
        if ((size_t)snprintf(e->binary, sizeof e->binary, "%.*s/%s", (int)n, p, name) <
                sizeof e->binary &&
            access(e->binary, X_OK) == 0)
            return 0;
        p += n + (p[n] == ':');
    }
    snprintf(why, size,
             "there is no %.60s: install it (apt-get install qemu-system-x86), or set LULL_QEMU",
             name);
    return -1;
}

/* ---- start ---- */

#define ARGS_MAX 48
struct args {
    const char *v[ARGS_MAX];
    unsigned n;
    char text[8][256];
    unsigned ntext;
};

static void add(struct args *a, const char *s)
{
    if (a->n < ARGS_MAX - 1)
        a->v[a->n++] = s;
}

static char *text(struct args *a)
{
    return a->text[a->ntext++];
}

static void arguments(const struct engine *e, struct args *a)
{
    uint64_t total = LULL_RAM_GPA + e->ram_bytes - QEMU_HOLE;
    char *smp = text(a), *mem = text(a), *size = text(a), *device = text(a);
    snprintf(smp, 256, "%u,sockets=1,cores=%u,threads=1", e->req.ncores, e->req.ncores);
    snprintf(mem, 256, "%lluM", (unsigned long long)(total >> 20));
    snprintf(size, 256, "memory-backend-file,id=ram,mem-path=/proc/self/fd/%d,share=on,size=%lluM",
             CHILD_MEMORY, (unsigned long long)(total >> 20));
    snprintf(device, 256, "ivshmem-doorbell,chardev=doorbell,vectors=%u,addr=1", e->req.ncores);
    add(a, e->binary);
    char *name = text(a); /* names its proxy to whoever finds it */
    snprintf(name, 256, "lull-%d,debug-threads=on", (int)syscall(SYS_getpid));
    add(a, "-name");
    add(a, name);
    add(a, "-nodefaults");
    add(a, "-no-user-config");
    add(a, "-no-reboot");
    add(a, "-display");
    add(a, "none");
    add(a, "-sandbox");
    add(a, "on,obsolete=deny,elevateprivileges=deny,spawn=deny");
    add(a, "-M");
    add(a, "microvm,acpi=on,pcie=on,pit=off,pic=off,rtc=off,isa-serial=off,x-option-roms=off,"
           "memory-backend=ram");
    add(a, "-accel");
    if (e->kvm) {
        add(a, "kvm");
        add(a, "-cpu");
        add(a, "host,-arch-capabilities");
    } else {
        add(a, e->req.virtual_time ? "tcg,thread=single" : "tcg,thread=multi");
        add(a, "-cpu");
        add(a, "max");
        if (e->req.virtual_time) {
            add(a, "-icount");
            add(a, "shift=0,sleep=off");
        }
    }
    add(a, "-smp");
    add(a, smp);
    add(a, "-m");
    add(a, mem);
    add(a, "-object");
    add(a, size);
    add(a, "-bios");
    add(a, "qboot.rom");
    add(a, "-kernel");
    char *kernel = text(a), *chardev = text(a);
    snprintf(kernel, 256, "/proc/self/fd/%d", CHILD_KERNEL);
    add(a, kernel);
    snprintf(chardev, 256, "socket,id=doorbell,fd=%d", CHILD_DOORBELL);
    add(a, "-chardev");
    add(a, chardev);
    add(a, "-device");
    add(a, device);
    add(a, "-device");
    add(a, "isa-debug-exit,iobase=0x10,iosize=4");
    a->v[a->n] = NULL;
}

static _Noreturn void become_qemu(const char *const *argv, char *const *env,
                                  const int from[CHILD_END], int output, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (syscall(SYS_getppid) != parent)
        _exit(1);
    int null = open("/dev/null", O_RDONLY);
    /* ours are all far above the numbers here */
    if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
        _exit(1);
    for (int i = CHILD_DOORBELL; i < CHILD_END; i++) {
        if (dup2(from[i], i) < 0)
            _exit(1);
    }
    close_range(CHILD_END, ~0u, 0);
    execve(argv[0], (char *const *)argv, env);
    static const char text[] = "cannot be run\n";
    ssize_t n = write(2, text, sizeof text - 1);
    (void)n;
    _exit(1);
}

/* Ends as its child did. */
static _Noreturn void keep(pid_t pid)
{
    siginfo_t si = {0};
    while (waitid(P_PID, (id_t)pid, &si, WEXITED) && errno == EINTR)
        ;
    if (si.si_code == CLD_EXITED)
        _exit(si.si_status);
    const struct rlimit none = {0, 0};
    sigset_t set;
    setrlimit(RLIMIT_CORE, &none);
    sigemptyset(&set);
    sigaddset(&set, si.si_status);
    signal(si.si_status, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    syscall(SYS_kill, syscall(SYS_getpid), si.si_status);
    _exit(1);
}

/*
 * The keeper: a child of the proxy that the program's wait(2) does not see, as long as it executes
 * nothing (execve(2) makes SIGCHLD of every exit signal). QEMU is its child. In it another thread
 * may have held any lock: system calls only.
 */
static _Noreturn void become_keeper(const char *const *argv, char *const *env,
                                    const int from[CHILD_END], int output, int told, pid_t parent)
{
    static const int held[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP, SIGTTIN, SIGTTOU};
    sigset_t set;
    /* what a terminal or a launcher sends to the group is for the proxy, which ends us */
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        sigaddset(&set, held[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (syscall(SYS_getppid) != parent)
        _exit(1);
    pid_t me = (pid_t)syscall(SYS_getpid), pid = (pid_t)syscall(SYS_fork);
    if (pid == 0)
        become_qemu(argv, env, from, output, me);
    if (pid < 0 || write(told, &pid, sizeof pid) != sizeof pid)
        _exit(1);
    close_range(0, ~0u, 0);
    keep(pid);
}

int qemu_spawn(struct engine *e)
{
    struct args a = {.n = 0};
    int pipes[2], told[2], device = -1;
    int r = qemu_doorbell_make(e, &device);
    if (r)
        goto out;
    if (pipe2(pipes, O_CLOEXEC)) {
        r = -errno;
        goto out;
    }
    if (pipe2(told, O_CLOEXEC)) {
        r = -errno;
        close(pipes[0]);
        close(pipes[1]);
        goto out;
    }
    e->errors = ownfd_hide(pipes[0]);
    int output = ownfd_hide(pipes[1]);
    fcntl(e->errors, F_SETFL, O_NONBLOCK);
    arguments(e, &a);
    const int from[CHILD_END] = {
        [CHILD_DOORBELL] = device, [CHILD_MEMORY] = e->mem_fd, [CHILD_KERNEL] = e->kernel_fd};
    /* LD_PRELOAD and the like are for the program */
    char path[4096], *const env[] = {path, NULL};
    snprintf(path, sizeof path, "PATH=%s", getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    pid_t parent = (pid_t)syscall(SYS_getpid);
    int pidfd = -1;
    /* exit signal 0: the program's wait(2) and SIGCHLD never hear of it */
    long pid = syscall(SYS_clone, CLONE_PIDFD, NULL, &pidfd, NULL, 0);
    if (pid == 0)
        become_keeper(a.v, env, from, output, told[1], parent);
    r = pid < 0 ? -errno : 0;
    close(output);
    close(told[1]);
    if (r == 0 && read(told[0], &e->qemu, sizeof e->qemu) != sizeof e->qemu)
        e->qemu = 0; /* it has ended already */
    int fd = e->qemu > 0 ? (int)syscall(SYS_pidfd_open, e->qemu, 0) : -1;
    e->qemu_fd = fd < 0 ? fd : ownfd_hide(fd);
    close(told[0]);
    if (r)
        goto out;
    e->pid = (pid_t)pid;
    e->pidfd = ownfd_hide(pidfd);
    e->reaped = false;
    e->end[0] = 0;
    r = qemu_doorbell_serve(e);
    if (r == -EPIPE || r == -ECONNRESET)
        r = 0; /* it has ended already, and will say why */
out:
    if (device >= 0)
        close(device);
    return r;
}

/* ---- end ---- */

/* First line of what it said, without its name. */
static void first_words(struct engine *e, char *out, size_t size)
{
    char buf[1024];
    ssize_t n = read(e->errors, buf, sizeof buf - 1);
    out[0] = 0;
    if (n <= 0)
        return;
    buf[n] = 0;
    char *line = buf, *end;
    for (; *line; line = end + 1) {
        end = line + strcspn(line, "\n");
        bool last = *end == 0;
        *end = 0;
        if (!strstr(line, "warning:") || last)
            break;
        if (last)
            return;
    }
    char *start = strstr(line, ": ");
    start = start && strncmp(line, "qemu", 4) == 0 ? start + 2 : line;
    for (char *p = start; *p; p++) {
        if (*p < ' ' || *p > '~')
            *p = '?';
    }
    snprintf(out, size, "%.*s", (int)size - 1, start);
}

/* "7.2.22" of what --version prints; only asked when it failed. */
static int version(const struct engine *e)
{
    char command[4200], line[200] = "";
    int major = 0;
    if (strchr(e->binary, '\''))
        return 0;
    snprintf(command, sizeof command, "env -i '%s' --version 2>/dev/null </dev/null", e->binary);
    FILE *f = popen(command, "re");
    if (!f)
        return 0;
    if (fgets(line, sizeof line, f))
        sscanf(line, "QEMU emulator version %d", &major);
    pclose(f);
    return major;
}

static void describe_end(struct engine *e, const siginfo_t *si)
{
    char words[120];
    first_words(e, words, sizeof words);
    if (si->si_code != CLD_EXITED) {
        snprintf(e->end, sizeof e->end, "QEMU was killed by signal %d (%s)%s%s", si->si_status,
                 strsignal(si->si_status), *words ? ": " : "", words);
    } else if (si->si_status == FATAL_EXIT) {
        snprintf(e->end, sizeof e->end, "a double fault in the isle, or an NMI");
    } else if (si->si_status == 0) {
        snprintf(e->end, sizeof e->end, "a triple fault in the isle");
    } else {
        int major = version(e);
        if (major && major < 7)
            snprintf(e->end, sizeof e->end,
                     "QEMU is of version %d, too old: install 7.0 or newer, or set LULL_QEMU",
                     major);
        else
            snprintf(e->end, sizeof e->end, "QEMU ended with status %d: %s%s", si->si_status,
                     *words ? words : "it did not say why",
                     strstr(words, "allocate memory") ? " (ulimit -v, or the machine's memory)"
                                                      : "");
    }
}

bool qemu_alive(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    if (!e->reaped && e->pid > 0) {
        siginfo_t si = {0};
        if (waitid(P_PIDFD, (id_t)e->pidfd, &si, WEXITED | WNOHANG | __WALL) == 0 && si.si_pid) {
            e->reaped = true;
            describe_end(e, &si);
        }
    }
    bool alive = e->pid > 0 && !e->reaped;
    pthread_mutex_unlock(&e->lock);
    return alive;
}

static void *watch(void *arg)
{
    struct engine *e = arg;
    struct pollfd p[] = {{e->pidfd, POLLIN, 0}, {e->unwatch, POLLIN, 0}};
    pthread_setname_np(pthread_self(), "lull-watch");
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    if (!p[1].revents && !qemu_alive(e))
        e->req.gone(e->req.ctx, e->end);
    return NULL;
}

int qemu_watch(struct engine *e)
{
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    e->unwatch = ownfd_hide(fd);
    int r = pthread_create(&e->watcher, NULL, watch, e);
    e->watched = r == 0;
    return -r;
}

void qemu_kill(struct engine *e)
{
    siginfo_t si;
    if (e->watched) {
        uint64_t one = 1;
        while (write(e->unwatch, &one, sizeof one) < 0 && errno == EINTR)
            ;
        pthread_join(e->watcher, NULL);
        e->watched = false;
    }
    if (e->unwatch >= 0)
        close(e->unwatch);
    e->unwatch = -1;
    if (e->pid > 0) {
        pthread_mutex_lock(&e->lock);
        if (!e->reaped) {
            /* the keeper sees to its child, and ends; it is not left to init, which may be slow */
            if (e->qemu_fd < 0 || syscall(SYS_pidfd_send_signal, e->qemu_fd, SIGKILL, NULL, 0))
                kill(e->pid, SIGKILL);
            while (waitid(P_PIDFD, (id_t)e->pidfd, &si, WEXITED | __WALL) && errno == EINTR)
                ;
            e->reaped = true;
        }
        pthread_mutex_unlock(&e->lock);
        close(e->pidfd);
        if (e->qemu_fd >= 0)
            close(e->qemu_fd);
        e->qemu_fd = -1;
        e->pid = 0;
    }
    if (e->errors >= 0)
        close(e->errors);
    e->errors = -1;
    qemu_doorbell_close(e);
}

/* ---- its threads ---- */

static void pin(struct engine *e, pid_t tid, const char *name)
{
    cpu_set_t set;
    unsigned core;
    CPU_ZERO(&set);
    if (sscanf(name, "CPU %u/", &core) == 1 && core < e->req.ncores) {
        e->core[core].tid = tid;
        CPU_SET(e->req.cpu[core], &set);
    } else if (strncmp(name, "ALL CPUs", 8) == 0) {
        for (core = 0; core < e->req.ncores; core++)
            e->core[core].tid = tid;
        CPU_SET(e->req.cpu[0], &set);
    } else {
        set = *e->req.linux_cpus;
    }
    if (CPU_COUNT(&set))
        sched_setaffinity(tid, sizeof set, &set);
}

void qemu_pin(struct engine *e)
{
    char path[300], name[32];
    snprintf(path, sizeof path, "/proc/%d/task", e->qemu);
    DIR *d = opendir(path);
    if (!d)
        return;
    for (struct dirent *t; (t = readdir(d));) {
        if (t->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/comm", e->qemu, t->d_name);
        FILE *f = fopen(path, "re");
        if (f && fgets(name, sizeof name, f))
            pin(e, atoi(t->d_name), name);
        if (f)
            fclose(f);
    }
    closedir(d);
}
