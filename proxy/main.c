/* SPDX-License-Identifier: MIT */
/* lull: runs a program on an isle. Options, program, plan, run; the only exit is here. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "carve/claim.h"
#include "carve/draw.h"
#include "carve/hold.h"
#include "carve/keeper.h"
#include "carve/launcher.h"
#include "carve/node.h"
#include "check/check.h"
#include "cli/options.h"
#include "message.h"
#include "ownfd.h"
#include "program/program.h"
#include "report/report.h"
#include "run/ranks.h"
#include "run/run.h"
#include "sigstate.h"

#define STACK_SIZE (1ul << 20) /* enough for the proxy's first thread */

static uint64_t monotonic_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

/* What the program inherits is what we did; then every signal waits for its reader. */
static void take_signals(struct run_request *req)
{
    uint64_t inherited = sigstate_ignored();
    req->ignored = inherited;
    if (req->opt->signals) /* this process has been a lull before */
        sigstate_parse(req->opt->signals, &req->mask, &req->ignored);
    run_block_signals();
    for (int s = 1; s <= 64; s++) {
        /* or it would never be seen; nobody waits for those of the proxy's own writes */
        if (sigstate_has(inherited, s) && s != SIGTTIN && s != SIGTTOU)
            signal(s, SIG_DFL);
    }
}

/* Interval timers and pending signals outlive execve(2). */
static void take_survivors(struct run_request *req)
{
    const struct itimerval none = {{0, 0}, {0, 0}};
    sigset_t all;
    for (int i = 0; i < 3; i++) {
        struct itimerval it = none;
        setitimer((__itimer_which_t)i, &none, &it);
        uint64_t left =
            (uint64_t)it.it_value.tv_sec * 1000000000 + (uint64_t)it.it_value.tv_usec * 1000;
        req->itimer[i].left = left && i == ITIMER_REAL ? monotonic_ns() + left : left;
        req->itimer[i].interval =
            (uint64_t)it.it_interval.tv_sec * 1000000000 + (uint64_t)it.it_interval.tv_usec * 1000;
    }
    sigfillset(&all);
    siginfo_t *next = req->pending;
    while (req->npending < 64 && sigtimedwait(&all, next, &(struct timespec){0, 0}) > 0) {
        /* a record of our own may have met the limit of file size */
        if (next->si_signo == SIGXFSZ && next->si_code == SI_USER && next->si_pid == getpid())
            continue;
        next = &req->pending[++req->npending];
    }
}

/* What the program inherits; the proxy itself needs more room than it. */
static void take_limits(struct run_request *req)
{
    limits_take(&req->limits);
    if (req->opt->limits) /* this process has been a lull before */
        limits_parse(req->opt->limits, &req->limits);
}

/* Of this rank, and absolute: the program may change its directory, which is the proxy's too. The
   name is freed by nobody. */
static int pin_report_file(struct options *opt)
{
    char *path, *cwd = NULL;
    int rc = 0;
    if (!opt->report_file)
        return 0;
    char *name = report_file_name(opt->report_file, launcher_job_rank(), getpid());
    if (name && name[0] == '/') {
        opt->report_file = name;
        return 0;
    }
    if (!name || !(cwd = getcwd(NULL, 0)) || asprintf(&path, "%s/%s", cwd, name) < 0) {
        message("%s: no absolute name for it: %s", opt->report_file, strerror(errno));
        rc = LULL_EXIT_FAILED;
    } else {
        opt->report_file = path;
    }
    free(cwd);
    free(name);
    return rc;
}

static int print_plan(const struct run_request *req)
{
    char engine[300];
    int rc = run_name_engine(req, engine, sizeof engine);
    if (rc)
        return rc;
    printf("program: %s\nengine: %s\n", req->program->path, engine);
    draw_facts(stdout, req->plan);
    return fflush(stdout) ? LULL_EXIT_FAILED : 0;
}

static int command_check(const struct options *opt)
{
    struct program program;
    int rc = program_open(opt->exec, opt->argc, opt->argv, &program);
    if (rc)
        return rc;
    rc = check_program(&program);
    program_close(&program);
    return rc;
}

/* Whoever has asked for nothing and gets half of the machine or less wants to know why. */
static void say_cores(const struct run_request *req, const struct options *opt)
{
    unsigned allowed = (unsigned)CPU_COUNT(&req->affinity), n = req->plan->ncores;
    if (opt->cpus || opt->exec || getenv("OMP_NUM_THREADS") || 2 * n > allowed || allowed == 1 ||
        !isatty(STDERR_FILENO))
        return;
    message("%u of %u CPUs for the program (%s); --cpus or OMP_NUM_THREADS says otherwise", n,
            allowed, req->plan->why);
}

/* *signo: not 0 when the process should end by it, now that nothing is held any more. */
static int run_program(struct run_request *req, struct options *opt, int *signo)
{
    struct program program;
    struct carve_plan plan;
    struct run_result result = {0};
    int rc = pin_report_file(opt);
    if (rc)
        return rc;
    rc = opt->program_fd[0] >= 0
             ? program_adopt(opt->exec, opt->program_fd, opt->argc, opt->argv, &program)
             : program_open(opt->exec, opt->argc, opt->argv, &program);
    if (rc)
        return rc;
    program.fd = ownfd_hide(program.fd); /* its number is the program's to have */
    if (program.interp_fd >= 0)
        program.interp_fd = ownfd_hide(program.interp_fd);
    req->opt = opt;
    req->program = &program;
    req->plan = &plan;
    req->rank = launcher_job_rank();
    rc = claim_plan("", req->hold, opt, program.path, &plan);
    if (rc == 0 && opt->dry_run) {
        rc = print_plan(req);
    } else if (rc == 0) {
        take_signals(req);
        take_survivors(req);
        take_limits(req);
        say_cores(req, opt);
        if (!opt->exec) /* else the environment is what the program gave to execve(2) */
            ranks_advise(&plan, req->settings);
        run_isle(req, &result);
        rc = result.status;
    }
    *signo = result.signo;
    program_close(&program);
    return rc;
}

static int command_run(struct run_request *req, struct options *opt)
{
    struct settings settings = {0};
    int signo = 0;
    req->settings = &settings;
    ownfd_lift(true); /* the process may have inherited as many as it may have */
    if (!opt->dry_run && !(req->hold = hold_open("", opt, &settings))) {
        message("out of memory");
        return LULL_EXIT_FAILED;
    }
    /* what the dead have left, before cores are looked for: their cpusets would be in the way */
    if (req->hold && !opt->exec)
        hold_repair(req->hold);
    if (req->hold) /* after that: repairing moves aside whoever is not */
        hold_home(req->hold);
    if (!opt->exec)
        sched_getaffinity(0, sizeof req->affinity, &req->affinity);
    int rc = run_program(req, opt, &signo);
    if (req->hold)
        hold_release(req->hold);
    hold_close(req->hold);
    settings_free(&settings);
    if (signo)
        run_die_by(signo);
    return rc;
}

/*
 * The first thing: what is inherited is on record, and a write beyond the limit of file size no
 * longer ends the process.
 */
static void take_mask(struct run_request *req)
{
    sigset_t set;
    req->mask = sigstate_mask();
    sigemptyset(&set);
    sigaddset(&set, SIGXFSZ);
    sigprocmask(SIG_BLOCK, &set, NULL);
}

/* Lull with its owner's rights, or with capabilities, would give them to any program. */
static bool has_more_rights(bool again)
{
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    bool more = getauxval(AT_SECURE) && (!again || program_is_privileged(fd));
    if (fd >= 0)
        close(fd);
    return more;
}

static int lull_main(int argc, char **argv)
{
    struct options opt;
    struct run_request req = {.started_ns = monotonic_ns()};
    take_mask(&req);
    sched_getaffinity(0, sizeof req.affinity, &req.affinity);
    int rc = options_parse(argc, argv, &opt);
    if (has_more_rights(opt.exec)) { /* --exec: the program has just become this one */
        message("installed set-user-ID or with capabilities, or started by somebody else than it "
                "runs as: every program would have these rights; start it without them");
        return LULL_EXIT_FAILED;
    }
    if (rc)
        return rc == OPTIONS_DONE ? 0 : rc;
    keeper_title(argc, argv);
    message_set_verbose(opt.verbose);
    struct lull_limits limits;
    if (opt.descriptors[1] && opt.limits && limits_parse(opt.limits, &limits) == 0)
        ownfd_adopt(opt.descriptors, limits.of[RLIMIT_NOFILE].cur, limits.of[RLIMIT_NOFILE].max);
    message_init();
    switch (opt.command) {
    case COMMAND_CHECK:
        return command_check(&opt);
    case COMMAND_PS:
        return node_ps("", stdout);
    case COMMAND_GC:
        return node_gc("", stdout);
    case COMMAND_DOCTOR:
        return node_doctor("", stdout);
    case COMMAND_PLAN:
        return draw_command(&opt);
    case COMMAND_RUN:
        break;
    }
    if (!opt.limits)
        limits_lay_out(argc, argv, strcmp(argv[1], "run") == 0);
    return command_run(&req, &opt);
}

static struct {
    ucontext_t before, wide;
    int argc, rc;
    char **argv;
} start;

static void main_on_stack(void)
{
    start.rc = lull_main(start.argc, start.argv);
}

/* Where the program's limit of the stack is too low for the proxy, that takes another one. */
int main(int argc, char **argv)
{
    struct rlimit l;
    void *stack = MAP_FAILED;
    if (getrlimit(RLIMIT_STACK, &l) == 0 && l.rlim_cur < STACK_SIZE)
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return lull_main(argc, argv);
    start.argc = argc;
    start.argv = argv;
    getcontext(&start.wide);
    start.wide.uc_stack.ss_sp = stack;
    start.wide.uc_stack.ss_size = STACK_SIZE;
    start.wide.uc_link = &start.before;
    makecontext(&start.wide, main_on_stack, 0);
    swapcontext(&start.before, &start.wide);
    return start.rc;
}
