/* SPDX-License-Identifier: MIT */
/*
 * execve(2) of the program: the proxy executes itself anew with the program's new words, in the
 * same process, so descriptors, directory, children and number stay. Everything the isle had ends
 * with the old image.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "carve/hold.h"
#include "ownfd.h"
#include "program/program.h"
#include "run/run_priv.h"
#include "serve/call.h"
#include "serve/path_priv.h"
#include "sigstate.h"

#define WORDS_MAX 28 /* options, and "--" */
#define WORD_MAX 2048
#define STACK_WIDE (32ul << 20) /* bytes of stack with which as much is passed on as ever */

struct words {
    char *word[WORDS_MAX];
    size_t n;
    bool failed;
};

static void add(struct words *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct words *w, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (w->n == WORDS_MAX || vasprintf(&w->word[w->n], format, ap) < 0)
        w->failed = true;
    else
        w->n++;
    va_end(ap);
}

/* The cores that the calling thread may use; all of them when it may use none that there is. */
static void add_cpus(struct words *w, const struct carve_plan *plan, uint64_t cores)
{
    char list[WORD_MAX];
    size_t at = 0;
    unsigned known = plan->ncores < 64 ? plan->ncores : 64;
    if (plan->ncores > 64 || !(cores & (~0ull >> (64 - known))))
        cores = ~0ull;
    for (unsigned i = 0; i < plan->ncores; i++) {
        if (i >= 64 || cores >> i & 1)
            at += (size_t)snprintf(list + at, sizeof list - at, "%u,", plan->cpu[i]);
    }
    add(w, "--cpus=%s", list); /* one number with a comma is a list of one */
}

static void add_options(struct words *w, const struct run *r)
{
    const struct options *o = r->req->opt;
    if (o->mem) /* else what is free by then: it may be less than it was */
        add(w, "--mem=%" PRIu64, o->mem);
    if (o->nodes) /* for memory that has no cores */
        add(w, "--nodes=%s", o->nodes);
    add(w, "--numa=%s", options_numa_name(o->numa));
    if (o->hugetlb)
        add(w, "--hugetlb=%" PRIu64, o->hugetlb == OPTIONS_HUGETLB_NONE ? 0 : o->hugetlb);
    add(w, "--engine=%s", options_engine_name(o->engine));
    add(w, "--isolate=%s", options_isolate_name(o->isolate));
    if (o->spin_us == OPTIONS_SPIN_FOREVER)
        add(w, "--spin=forever");
    else
        add(w, "--spin=%" PRIu64, o->spin_us);
    if (o->report)
        add(w, o->detours ? "--report=detours" : "--report");
    if (o->report_file)
        add(w, o->detours ? "--report=detours,%s" : "--report=%s", o->report_file);
    if (o->timeout_s > 0) {
        double left = o->timeout_s - (double)(now_ns() - r->first_ns) / 1e9;
        add(w, "--timeout=%.6f", left > 1e-6 ? left : 1e-6);
    }
    if (o->verbose)
        add(w, "--verbose");
    if (o->no_rewrite)
        add(w, "--no-rewrite");
    if (o->no_aslr)
        add(w, "--no-aslr");
    if (o->virtual_time)
        add(w, "--virtual-time");
}

/* CPU time goes on counting: as far as the kernel says it has been the program's. */
static void add_limits(struct words *w, const struct run *r)
{
    struct lull_limits l;
    char text[WORD_MAX];
    memcpy(&l, (const void *)LULL_LIMIT_TABLE, sizeof l);
    for (unsigned i = 0; i < LULL_LIMITS; i++)
        l.of[i].cur = l.of[i].cur < l.of[i].max ? l.of[i].cur : l.of[i].max;
    struct rlimit files;
    ownfd_limit(&files);
    l.of[RLIMIT_NOFILE].cur = files.rlim_cur;
    l.of[RLIMIT_NOFILE].max = files.rlim_max;
    l.cpu_ns = r->view.proc->cpu_ns;
    if (limits_print(text, sizeof text, &l) == 0)
        add(w, "--limits=%s", text);
}

static struct timeval to_timeval(uint64_t ns)
{
    return (struct timeval){(time_t)(ns / 1000000000), (long)(ns % 1000000000 / 1000)};
}

/* What was made pending for this thread, by number. */
struct kept {
    unsigned n[65];
};

static void keep(struct kept *k, int signo, siginfo_t *info)
{
    info->si_signo = signo;
    sigstate_keep(signo, info);
    k->n[signo]++;
}

/* What the kernel has not taken yet, and will not take now. Under signal_lock. */
static void hand_on_ring(const struct run *r, struct kept *k)
{
    const struct lull_signals *s = (const struct lull_signals *)LULL_SIGNALS;
    uint32_t n = r->signal_tail - __atomic_load_n(&s->head, __ATOMIC_ACQUIRE);
    for (uint32_t i = r->signal_tail - n; n <= LULL_SIGNAL_RING && i != r->signal_tail; i++) {
        siginfo_t info = {.si_code = s->entry[i % LULL_SIGNAL_RING].code};
        int signo = s->entry[i % LULL_SIGNAL_RING].signo;
        info.si_pid = s->entry[i % LULL_SIGNAL_RING].pid;
        info.si_uid = s->entry[i % LULL_SIGNAL_RING].uid;
        info.si_value.sival_ptr = (void *)s->entry[i % LULL_SIGNAL_RING].value;
        if (signo >= 1 && signo <= 64)
            keep(k, signo, &info);
    }
}

/* Timers and pending signals become the process's own, so that Linux keeps them. */
static void hand_on(const struct run *r, const struct lull_proc *p, struct kept *k)
{
    memset(k, 0, sizeof *k);
    for (int i = 0; i < 3; i++) {
        struct itimerval it = {to_timeval(p->itimer[i].interval), to_timeval(p->itimer[i].left)};
        if (p->itimer[i].left && !it.it_value.tv_sec && !it.it_value.tv_usec)
            it.it_value.tv_usec = 1;
        setitimer((__itimer_which_t)i, &it, NULL);
    }
    for (int n = 1; n <= 64; n++) {
        siginfo_t info = {.si_code = p->pending_info[n - 1].code};
        if (!(p->pending >> (n - 1) & 1))
            continue;
        info.si_pid = p->pending_info[n - 1].pid;
        info.si_uid = (uid_t)p->pending_info[n - 1].uid;
        info.si_value.sival_ptr = (void *)p->pending_info[n - 1].value;
        keep(k, n, &info);
    }
    hand_on_ring(r, k);
}

/* Of a number a thread's own come before the process's. */
static void take_back(const struct kept *k)
{
    struct itimerval none = {{0, 0}, {0, 0}};
    for (int i = 0; i < 3; i++)
        setitimer((__itimer_which_t)i, &none, NULL);
    for (int n = 1; n <= 64; n++) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, n);
        for (unsigned i = 0; i < (n < SIGRTMIN ? k->n[n] > 0 : k->n[n]); i++)
            sigtimedwait(&set, NULL, &(struct timespec){0, 0});
    }
}

/* The next lull's options, in the order of its command line. */
static void add_words(struct words *w, const struct run *r, const struct exec_request *req,
                      const struct program *program)
{
    char signals[64], keeper[HOLD_EXEC_TEXT];
    add(w, "lull");
    add_cpus(w, r->req->plan, req->cores);
    add_options(w, r);
    add_limits(w, r);
    hold_exec_text(r->req->hold, keeper);
    add(w, "--keeper=%s", keeper);
    add(w, "--exec=%s", program->execfn);
    add(w, "--descriptors=%d,%d", ownfd_low(), ownfd_end());
    add(w, "--program=%d,%d", program->fd, program->interp_fd);
    if (sigstate_print(signals, sizeof signals, req->mask, req->ignored))
        add(w, "--signals=%s", signals);
}

/* Descriptors that the next image finds. */
static void keep_open(const struct program *p)
{
    fcntl(p->fd, F_SETFD, 0);
    if (p->interp_fd >= 0)
        fcntl(p->interp_fd, F_SETFD, 0);
}

static void stops_set(const struct kernel_sigaction from[2])
{
    syscall(SYS_rt_sigaction, SIGTTIN, &from[0], NULL, 8);
    syscall(SYS_rt_sigaction, SIGTTOU, &from[1], NULL, 8);
}

/*
 * Into a program with rights that only Linux's execve gives, such as sudo: it runs on Linux, as
 * such a child of vfork(2) would. -errno.
 */
static int64_t become_natively(struct run *r, const struct exec_request *req,
                               const struct program *program)
{
    struct kernel_sigaction before[64];
    struct rlimit limit[LULL_LIMITS];
    struct lull_limits l;
    uint64_t all = ~0ull;
    int64_t ret;
    memcpy(&l, (const void *)LULL_LIMIT_TABLE, sizeof l);
    for (int s = 1; s <= 64; s++) {
        struct kernel_sigaction sa = {.handler = SIG_IGN};
        syscall(SYS_rt_sigaction, s, NULL, &before[s - 1], 8);
        if (!sigstate_has(req->ignored, s))
            sa.handler = SIG_DFL;
        if ((before[s - 1].handler == SIG_IGN) != sigstate_has(req->ignored, s))
            syscall(SYS_rt_sigaction, s, &sa, NULL, 8);
    }
    for (unsigned i = 0; i < LULL_LIMITS; i++)
        getrlimit((__rlimit_resource_t)i, &limit[i]);
    limits_give(getpid(), &l);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &req->mask, NULL, 8);
    if (req->at == AT_FDCWD)
        execve(req->path, req->argv, req->envp);
    else
        syscall(SYS_execveat, program->fd, "", program->argv, req->envp, AT_EMPTY_PATH);
    ret = -errno;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
    for (unsigned i = 0; i < LULL_LIMITS; i++) {
        struct rlimit now = limit[i];
        if (setrlimit((__rlimit_resource_t)i, &now) && !getrlimit((__rlimit_resource_t)i, &now)) {
            now.rlim_cur = now.rlim_max;
            setrlimit((__rlimit_resource_t)i, &now);
        }
    }
    for (int s = 1; s <= 64; s++)
        syscall(SYS_rt_sigaction, s, &before[s - 1], NULL, 8);
    for (unsigned i = 0; i < r->nvcpus; i++) /* a kick may have been ignored */
        vcpu_ring(r, i);
    return ret;
}

/*
 * The point of no return is Linux's own. Until then nothing may be missing for the other threads,
 * which run on if the execve fails: handlers stay, since execve(2) itself resets them and a kick
 * may come at any time. All signals are blocked for this thread, and so for the next image, until
 * that has its reader; what the program blocks and ignores is told by --signals. The two
 * signals that stop a process at its terminal are as the program has them.
 */
static int64_t execute(struct run *r, const struct exec_request *req, const struct program *program,
                       char **argv)
{
    struct kernel_sigaction before[2], after[2] = {{0}, {0}};
    struct lull_proc proc;
    struct kept kept;
    cpu_set_t cpus;
    uint64_t all = ~0ull, mask = 0;
    after[0].handler = sigstate_has(req->ignored, SIGTTIN) ? SIG_IGN : SIG_DFL;
    after[1].handler = sigstate_has(req->ignored, SIGTTOU) ? SIG_IGN : SIG_DFL;
    sched_getaffinity(0, sizeof cpus, &cpus);
    hold_exec(r->req->hold, true);
    sched_setaffinity(0, sizeof r->req->affinity, &r->req->affinity);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, 8);
    pthread_mutex_lock(&r->signal_lock); /* what comes from here on stays with Linux */
    memcpy(&proc, r->view.proc, sizeof proc);
    hand_on(r, &proc, &kept);
    syscall(SYS_rt_sigaction, SIGTTIN, NULL, &before[0], 8);
    syscall(SYS_rt_sigaction, SIGTTOU, NULL, &before[1], 8);
    stops_set(after);
    limits_lift();
    ownfd_lift(true);
    identity_before_exec();
    isle_numa_exec(&r->isle, true);
    int64_t ret;
    if (argv) {
        struct rlimit stack, wide;
        getrlimit(RLIMIT_STACK, &stack); /* how long the strings may be follows from it */
        wide = stack;
        wide.rlim_cur = stack.rlim_max < STACK_WIDE ? stack.rlim_max : STACK_WIDE;
        if (stack.rlim_cur < wide.rlim_cur)
            setrlimit(RLIMIT_STACK, &wide);
        execve("/proc/self/exe", argv, req->envp);
        ret = -errno;
        if (ret == -ENOENT) { /* the program has another root */
            char self[64];
            int dir = path_self(self, "exe", 0);
            syscall(SYS_execveat, dir, self, argv, req->envp, 0);
        }
        setrlimit(RLIMIT_STACK,
                  &stack); /* as from here on the program would go on, so does the proxy */
    } else {
        ret = become_natively(r, req, program);
    }
    isle_numa_exec(&r->isle, false);
    ownfd_lift(false);
    limits_lower();
    stops_set(before);
    take_back(&kept);
    pthread_mutex_unlock(&r->signal_lock);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8);
    sched_setaffinity(0, sizeof cpus, &cpus);
    hold_exec(r->req->hold, false);
    return ret;
}

/* Under exec_lock. */
static int64_t exec_program(struct run *r, const struct exec_request *req,
                            const struct program *program)
{
    struct words w = {.n = 0};
    size_t n = (size_t)program->argc;
    int64_t ret = -ENOMEM;
    if (r->exec_over)
        return -EAGAIN; /* nobody sees it */
    int device = r->ops->keep ? r->ops->keep(r->engine, true) : -1;
    add_words(&w, r, req, program);
    if (device >= 0)
        add(&w, "--device=%d", device);
    add(&w, "--");
    char **argv = calloc(w.n + n + 1, sizeof *argv);
    if (argv && !w.failed) {
        memcpy(argv, w.word, w.n * sizeof *argv);
        memcpy(argv + w.n, program->argv, n * sizeof *argv);
        keep_open(program);
        ret = execute(r, req, program, argv);
    }
    if (device >= 0)
        r->ops->keep(r->engine, false);
    for (size_t i = 0; i < w.n; i++)
        free(w.word[i]);
    free(argv);
    return ret;
}

/* What only Linux can read it executes, with whatever rights that file gives. */
static int64_t exec_unread(struct run *r, const struct exec_request *req)
{
    struct program program = {.fd = req->file, .interp_fd = -1, .argv = (char **)req->argv};
    pthread_mutex_lock(&r->exec_lock);
    int64_t ret = r->exec_over ? -EAGAIN : execute(r, req, &program, NULL);
    pthread_mutex_unlock(&r->exec_lock);
    close(req->file);
    return ret;
}

int64_t run_exec(void *ctx, const struct exec_request *req)
{
    struct run *r = ctx;
    struct program program;
    if (identity_persona() & MMAP_PAGE_ZERO) {
        close(req->file);
        return -ENOSYS;
    }
    if (req->unreadable)
        return exec_unread(r, req);
    int64_t ret = program_prepare(req->file, req->path, req->nameless, req->argv, &program);
    if (ret)
        return ret;
    enum program_rights rights =
        program_rights(program.fd, identity_no_new_privs(), &program.euid, &program.egid);
    pthread_mutex_lock(&r->exec_lock);
    if (rights == RIGHTS_MORE)
        ret = r->exec_over ? -EAGAIN : execute(r, req, &program, NULL);
    else
        ret = exec_program(r, req, &program);
    pthread_mutex_unlock(&r->exec_lock);
    program_close(&program);
    return ret;
}

void run_exec_over(struct run *r)
{
    pthread_mutex_lock(&r->exec_lock);
    r->exec_over = true;
    pthread_mutex_unlock(&r->exec_lock);
}
