/* SPDX-License-Identifier: MIT */
#include "run/run.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "carve/hold.h"
#include "message.h"
#include "ownfd.h"
#include "run/run_priv.h"
#include "serve/call.h"
#include "serve/fanotify.h"

#define POLL_NS 2000000ull /* how long the server looks at a silent channel */

extern char **environ;

/*
 * The last resort: a run that has ended, and whose threads do not, ends all the same. What was
 * taken from Linux is on record, and the next lull gives it back if nobody else does.
 */
#define LAST_RESORT_S 10
static atomic_uint threads_ended; /* futex */
static struct run_result forced;

static void *last_resort(void *arg)
{
    struct timespec ts = {.tv_sec = LAST_RESORT_S};
    (void)arg;
    while (!atomic_load(&threads_ended)) {
        if (syscall(SYS_futex, &threads_ended, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &ts, NULL, 0) &&
            errno == ETIMEDOUT) {
            message("lull's threads did not end within %d s: it ends without them", LAST_RESORT_S);
            if (forced.signo)
                run_die_by(forced.signo);
            _exit(forced.status);
        }
    }
    return NULL;
}

/* Whatever signals come are the main thread's. */
static void last_resort_start(struct run_result result)
{
    pthread_t t;
    sigset_t all, old;
    forced = result;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (pthread_create(&t, NULL, last_resort, NULL) == 0)
        pthread_detach(t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void run_threads_ended(void)
{
    atomic_store(&threads_ended, 1);
    syscall(SYS_futex, &threads_ended, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

void run_end(struct run *r, int status, int signo)
{
    pthread_mutex_lock(&r->lock);
    if (!r->done) {
        r->done = true;
        r->result = (struct run_result){status, signo};
        atomic_store(&r->ending, true);
        last_resort_start(r->result);
        for (unsigned i = 0; i < r->nvcpus; i++) {
            if (r->vcpu[i].started)
                vcpu_ring(r, i);
        }
        syscall(SYS_tgkill, getpid(), getpid(), KICK_SIGNAL); /* the main thread */
    }
    pthread_mutex_unlock(&r->lock);
}

static void broken(void *ctx, const char *what)
{
    message("%s: it is ended", what);
    run_end(ctx, LULL_EXIT_FAILED, 0);
}

static uint64_t populated(void *ctx)
{
    struct run *r = ctx;
    return isle_populated(&r->isle);
}

/*
 * CPU time of this process without that of the cores, and what Linux itself did on these: the
 * system time of the whole process that is more than that. Linux counts guests as user time.
 */
static uint64_t server_ns(void *ctx, uint64_t *on_cores)
{
    struct run *r = ctx;
    struct timespec ts;
    struct rusage all;
    clockid_t id;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    int64_t ns = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    for (unsigned i = 0; i < r->nvcpus; i++) {
        if (r->vcpu[i].started && pthread_getcpuclockid(r->vcpu[i].thread, &id) == 0 &&
            clock_gettime(id, &ts) == 0)
            ns -= (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
    }
    ns -= (int64_t)r->req->limits.cpu_ns; /* cores, too, that an execve has ended */
    ns = ns > 0 ? ns : 0;
    getrusage(RUSAGE_SELF, &all);
    int64_t more = (int64_t)all.ru_stime.tv_sec * 1000000000 + all.ru_stime.tv_usec * 1000 - ns;
    *on_cores = more > 0 ? (uint64_t)more : 0;
    return (uint64_t)ns + *on_cores;
}

static void view_fill(struct run *r)
{
    const struct program *p = r->req->program;
    r->view = (struct view){
        .argc = p->argc,
        .argv = p->argv,
        .envp = environ,
        .cpu = r->req->plan->cpu,
        .nodes = &r->nodes,
        .ncores = r->req->plan->ncores,
        .mem_limit = r->req->plan->mem,
        .vdso_size = (uint64_t)(blob_vdso_end - blob_vdso),
        .maps = (const struct lull_maps *)LULL_KTABLES,
        .proc = (const struct lull_proc *)LULL_PROC,
        .threads = (const struct lull_threads *)LULL_THREAD_TABLE,
        .populated = populated,
        .server_ns = server_ns,
        .ctx = r,
    };
}

/* What getuid(2) and its like answer in the isle. */
static void tell_credentials(void *ctx)
{
    struct lull_boot *b = (struct lull_boot *)LULL_BOOT;
    struct run *r = ctx;
    hold_user_changed(r->req->hold);
    b->uid = getuid();
    b->euid = geteuid();
    b->gid = getgid();
    b->egid = getegid();
}

/* As execve(2) does it for a set-user-ID program. From here on this process may less. */
static int become_owner(struct run *r)
{
    const struct program *p = r->req->program;
    if ((p->egid != getegid() && setresgid((gid_t)-1, p->egid, p->egid)) ||
        (p->euid != geteuid() && setresuid((uid_t)-1, p->euid, p->euid))) {
        message("%s cannot run as its owner: %s", p->path, strerror(errno));
        return LULL_EXIT_FAILED;
    }
    return 0;
}

static void clock_set(void *ctx)
{
    vcpus_clock_set(ctx);
}

int start_server(struct run *r)
{
    const struct program *p = r->req->program;
    view_fill(r);
    view_io_begin();
    fanotify_begin(r->req->opt->report_file);
    if (!r->mapped)
        r->mapped = mapped_create(p->path, p->interp);
    if (!r->mapped) {
        message("out of memory");
        return LULL_EXIT_FAILED;
    }
    struct server_config config = {
        .isle = &r->isle,
        .cpus = r->req->plan->linux_cpus,
        .poll_ns = POLL_NS,
        .reserved_fd_low = ownfd_low(),
        .reserved_fd_end = ownfd_end(),
        .exe_path = r->req->program->path,
        .exe_fd = r->req->program->fd,
        .mapped = r->mapped,
        .view = &r->view,
        .queued = &((struct lull_threads *)LULL_THREAD_TABLE)->queued,
        .limits = (const struct lull_limits *)LULL_LIMIT_TABLE,
        .exec = run_exec,
        .signalled = signals_catch_up,
        .clock_set = clock_set,
        .credentials_changed = tell_credentials,
        .ring = vcpu_complete,
        .broken = broken,
        .ctx = r,
    };
    int rc = server_start(&config, &r->server);
    if (rc) {
        message("cannot start the channel server: %s; raise `ulimit -u` and `ulimit -v`",
                strerror(-rc));
        return LULL_EXIT_FAILED;
    }
    return 0;
}

/* Everything before the first core starts. */
static int prepare(struct run *r)
{
    const struct run_request *req = r->req;
    struct engine_clock clock;
    struct boot_request boot = {
        .opt = req->opt,
        .plan = req->plan,
        .program = req->program,
        .envp = environ,
        .mask = req->mask,
        .ignored = req->ignored,
        .limits = &req->limits,
        .itimer = req->itimer,
        .signalfds = signalfd_inherited(),
    };
    r->ops->features(r->engine, &boot.features);
    if (!(boot.features.xcr0 & 2)) {
        message("this processor or KVM has no XSAVE: not supported");
        return LULL_EXIT_FAILED;
    }
    int rc = boot_kernel(&r->isle);
    if (rc == 0)
        rc = boot_program(&r->isle, &boot);
    if (rc)
        return rc;
    boot_tables(&r->isle);
    rc = isle_attach(&r->isle, r->ops->add_memory, r->engine);
    if (rc == 0)
        rc = r->ops->start(r->engine);
    if (rc)
        return rc;
    r->ops->clock(r->engine, &clock);
    if (!clock.tsc_khz) {
        message("this processor or KVM gives no steady time-stamp counter: not supported");
        return LULL_EXIT_FAILED;
    }
    boot_clock(req->opt, &clock);
    r->tsc_khz = clock.tsc_khz;
    return start_server(r);
}

static void machine_gone(void *ctx, const char *why)
{
    struct run *r = ctx;
    if (!atomic_load(&r->ending))
        message("the isle's machine is gone: %s", why);
    run_end(r, LULL_EXIT_FAILED, 0);
}

/* `r` NULL: only to see which engine it would be. */
static int open_engine(const struct run_request *req, struct run *r, const struct engine_ops **ops,
                       struct engine **engine, char *why, size_t size)
{
    const struct carve_plan *plan = req->plan;
    struct engine_request want = {
        .ncores = plan->ncores,
        .cpu = plan->cpu,
        .linux_cpus = &plan->linux_cpus,
        .mem = plan->mem,
        .choice = req->opt->engine,
        .virtual_time = req->opt->virtual_time,
        .device = req->opt->device,
        .kernel = blob_kernel,
        .kernel_size = (size_t)(blob_kernel_end - blob_kernel),
        .gone = machine_gone,
        .ctx = r,
    };
    return engine_open(&want, ops, engine, why, size);
}

int run_name_engine(const struct run_request *req, char *out, size_t size)
{
    const struct engine_ops *ops;
    struct engine *engine;
    char why[256];
    int rc = open_engine(req, NULL, &ops, &engine, why, sizeof why);
    if (rc)
        return rc;
    snprintf(out, size, "%s (%s)", ops->name(engine), why);
    ops->close(engine);
    return 0;
}

int open_engine_of(struct run *r)
{
    return open_engine(r->req, r, &r->ops, &r->engine, r->engine_why, sizeof r->engine_why);
}

static void node_add(struct lull_nodes *s, unsigned node)
{
    if (node < LULL_NODES)
        s->word[node / 64] |= 1ull << (node % 64);
}

/* *memory: what memory is bound to; *all: those of the cores too. */
static void nodes_of_plan(const struct carve_plan *plan, struct lull_nodes *memory,
                          struct lull_nodes *all)
{
    memset(memory, 0, sizeof *memory);
    for (unsigned i = 0; i < plan->nmemory; i++)
        node_add(memory, plan->memory[i].node);
    for (unsigned i = 0; !plan->nmemory && i < plan->ncores; i++)
        node_add(memory, plan->mem_node[i]);
    *all = *memory;
    for (unsigned i = 0; i < plan->ncores; i++)
        node_add(all, plan->node[i]);
}

/* The engine, and memory where it wants it. */
static int open_isle(struct run *r)
{
    const struct carve_plan *plan = r->req->plan;
    struct engine_memory memory;
    int rc = open_engine_of(r);
    if (rc)
        return rc;
    rc = hold_take(r->req->hold, plan, r->req->program->path, r->ops->name(r->engine));
    if (rc) {
        r->ops->close(r->engine);
        return rc;
    }
    r->ops->memory(r->engine, &memory);
    struct isle_wants wants = {.numa = r->req->opt->numa,
                               .no_hugetlb = r->req->opt->hugetlb == OPTIONS_HUGETLB_NONE};
    nodes_of_plan(plan, &wants.nodes, &r->nodes);
    if (r->req->opt->hugetlb && !wants.no_hugetlb)
        hold_hugepages(r->req->hold, &wants.nodes, r->req->opt->hugetlb);
    rc = isle_create(&r->isle, plan->ncores, plan->mem, &memory, &wants);
    r->isle.ending = &r->ending;
    if (rc)
        r->ops->close(r->engine);
    return rc;
}

static void make_report(struct run *r, struct report *out)
{
    const struct carve_plan *plan = r->req->plan;
    struct memory_kinds kinds;
    static struct utsname host;
    uname(&host);
    out->rank = r->req->rank;
    out->host = host.nodename;
    out->program = r->req->program->path;
    out->engine = r->ops->name(r->engine);
    out->engine_why = r->engine_why;
    out->ncores = plan->ncores;
    memcpy(out->cpu, plan->cpu, sizeof out->cpu);
    memcpy(out->node, plan->node, sizeof out->node);
    out->cpus_why = plan->why;
    out->linux_core = CPU_COUNT(&plan->linux_cpus) > 0;
    out->mem_limit = plan->mem;
    out->settings = r->req->settings;
    out->fifo = hold_realtime(r->req->hold);
    isle_memory_kinds(&r->isle, &kinds);
    out->mem_hugetlb = kinds.hugetlb;
    out->mem_thp = kinds.thp;
    out->mem_4k = kinds.small;
    isle_memory_nodes(&r->isle, out->mem_node, REPORT_NODES_MAX);
    out->watched = r->req->opt->detours;
    if (r->ops->counters)
        r->ops->counters(r->engine, out->engine_counter);
    for (unsigned i = 0; i < ENGINE_COUNTERS_MAX && out->engine_counter[i]; i++)
        out->engine_counter[i] = strdup(out->engine_counter[i]); /* the engine is closed before */
    isle_numa_check(&r->isle, &r->numa_check);
    if (r->isle.numa.there)
        out->mem_policy = options_numa_name(r->isle.numa.how);
    out->mem_looked_at = r->numa_check.pages;
    out->mem_off_node = r->numa_check.off;
    out->mem_locked = r->isle.locked;
    out->start_ms = (double)(r->first_ns - r->req->started_ns) / 1e6;
    out->wall_s = (double)(now_ns() - r->first_ns) / 1e9;
    out->status = r->result.status;
    out->marked = r->section;
}

static void report_served(struct run *r, struct report *out)
{
    struct server_stats st;
    memcpy(&out->sys, (const void *)LULL_SYSSTAT, sizeof out->sys);
    memcpy(&out->waits, (const void *)LULL_WAITS, sizeof out->waits);
    for (unsigned i = 0; i < r->nvcpus; i++) { /* answered before the kernel could count them */
        const uint64_t *k = isle_core(&r->isle, i)->kcount;
        out->sys.local[SYS_getpid] += (uint32_t)k[LULL_K_GETPID];
        out->sys.local[SYS_gettid] += (uint32_t)k[LULL_K_GETTID];
        out->sys.local[SYS_sched_yield] += (uint32_t)k[LULL_K_YIELD];
    }
    server_add_stats(r->server, &r->served_before);
    st = r->served_before;
    out->served = st.calls;
    out->served_polled = st.polled;
    out->served_on_core = st.on_core;
    out->served_by_worker = st.handed_over;
    for (unsigned i = 0; i < LULL_NR_MAX; i++)
        out->sys.refused[i] += st.refused_nr[i];
}

static void print_report(struct run *r, struct report *out)
{
    const struct options *opt = r->req->opt;
    FILE *f = opt->report ? fdopen(dup(message_fd()), "w") : NULL;
    if (f) {
        report_text(f, out);
        fclose(f);
    } else if (opt->report)
        message("the report cannot be printed: %s", strerror(errno));
    if (opt->report_file)
        report_json(opt->report_file, out); /* says itself what went wrong (docs/report.md) */
}

static void say_refused_memory(struct run *r)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < r->nvcpus; i++)
        n += isle_core(&r->isle, i)->kcount[LULL_K_NOMEM];
    if (r->result.status != LULL_EXIT_FAILED && n > 0 && n < UINT32_MAX) /* the isle says so */
        message("memory was refused %" PRIu64 " time%s: more than the %" PRIu64 " MiB %s", n,
                n > 1 ? "s" : "", r->req->plan->mem >> 20,
                r->req->opt->mem ? "of --mem" : "that were free; see --mem");
}

void run_isle(const struct run_request *req, struct run_result *out)
{
    bool wanted = req->opt->report || req->opt->report_file, written = true;
    struct run *r = calloc(1, sizeof *r);
    struct report *rep = calloc(1, sizeof *rep);
    *out = (struct run_result){LULL_EXIT_FAILED, 0};
    if (!r || !rep || !(r->vcpu = calloc(req->plan->ncores, sizeof *r->vcpu))) {
        message("out of memory");
        goto out_free;
    }
    r->req = req;
    r->signal_fd = r->clock_fd = -1;
    r->pid_ns = -1;
    pthread_mutex_init(&r->exec_lock, NULL);
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_init(&r->signal_lock, NULL);
    r->wanted = wanted;
    int rc = marks_begin(r) ? LULL_EXIT_FAILED : open_isle(r);
    if (rc)
        goto out_free;
    rc = prepare(r);
    if (rc) {
        out->status = rc;
        goto out_close;
    }
    r->nvcpus = req->plan->ncores;
    rc = vcpus_start(r);
    if (rc) {
        out->status = rc;
        goto out_stop;
    }
    rc = become_owner(r);
    if (rc) {
        out->status = rc;
        goto out_stop;
    }
    hold_settle(req->hold);
    if (wanted) {
        marks_snapshot(r, &rep->run, false); /* what is there at the start */
        marks_next(r);
    }
    isle_window_guard();
    limits_file_size(req->limits.of[LULL_LIMIT_FSIZE].cur);
    for (unsigned i = 0; i < req->npending; i++)
        signals_pass_on(r, &req->pending[i]);
    vcpus_go(r);
    verbose("%s on %u cores (%s), at most %lu MiB, engine %s; cores started after %.1f ms",
            req->program->path, req->plan->ncores, req->plan->why, req->plan->mem >> 20,
            r->ops->name(r->engine), (double)(r->first_ns - req->started_ns) / 1e6);
    verbose(CPU_COUNT(&req->plan->linux_cpus)
                ? "a core is left to Linux: it polls the channel"
                : "no core is left to Linux: forwarded calls leave the isle");
    for (signals_serve(r); run_alone_due(r); signals_serve(r))
        run_alone_serve(r);
    run_exec_over(r);
    limits_lift();
    ownfd_lift(true);
    if (wanted) {
        struct report_section begin = rep->run;
        rep->run = (struct report_section){0};
        pthread_mutex_lock(&r->lock);
        marks_snapshot(r, &rep->run, true);
        marks_subtract(r, &rep->run, &begin);
        marks_whole_run(r, &rep->run);
        pthread_mutex_unlock(&r->lock);
        rep->run.seconds = (double)(now_ns() - r->first_ns) / 1e9;
        report_section_free(&begin);
    }
    say_refused_memory(r);
    *out = r->result;
    verbose("ended after %.1f ms, status %d", (double)(now_ns() - r->first_ns) / 1e6, out->status);
out_stop:
    if (!vcpus_stop(r)) {
        run_threads_ended();
        return; /* the process ends now; nothing that the thread uses may be taken away before */
    }
    if (wanted && rc == 0)
        report_served(r, rep);
    server_stop(r->server);
    run_threads_ended();
    if (wanted && rc == 0) {
        /* the program is gone; its descriptors, however many, stand in the report's way */
        close_range(3, (unsigned)ownfd_low() - 1, 0); /* but --report=/dev/stdout */
        make_report(r, rep);
        written = false;
    }
out_close:
    r->ops->close(r->engine);
    mapped_free(r->mapped);
    if (rc == 0 && run_leaves_core(r->result.signo))
        run_keep_memory();
    else
        isle_destroy(&r->isle);
    report_section_free(&r->begin);
    /* whoever is to read the report may take his time: not with the cores */
    hold_release(req->hold);
    if (!written)
        print_report(r, rep);
out_free:
    if (rep) {
        for (unsigned i = 0; !written && i < ENGINE_COUNTERS_MAX; i++)
            free((char *)(uintptr_t)rep->engine_counter[i]);
        report_section_free(&rep->run);
        report_section_free(&rep->marked);
    }
    if (r) {
        free(r->longest_gap);
        free(r->vcpu);
    }
    free(r);
    free(rep);
}
