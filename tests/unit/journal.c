/* SPDX-License-Identifier: MIT */
/* Settings of a made-up host, changed by isles that come, go, die at any moment, and meet. */
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "carve/hold.h"
#include "carve/host.h"
#include "carve/journal.h"
#include "carve/node.h"
#include "message.h"

#define CPUSET "/sys/fs/cgroup/cpuset"
#define V2 "/sys/fs/cgroup"

static char *root;
static const struct options automatic = {.isolate = ISOLATE_AUTO};

static void put(const char *path, const char *text)
{
    unit_write_text(root, path + 1, text, 0644);
}

static const char *get(const char *path)
{
    static char text[4096];
    int fd = host_open(root);
    assert_true(fd >= 0);
    if (host_read(fd, path, text, sizeof text))
        snprintf(text, sizeof text, "(none)");
    close(fd);
    return text;
}

static const struct {
    const char *path, *text;
} host[] = {
    {"/proc/self/mounts", "cgroup " CPUSET " cgroup rw,cpuset 0 0\n"},
    {"/proc/self/cgroup", "3:cpuset:/\n0::/\n"},
    {CPUSET "/tasks", "2\n3\n4\n5\n101\n102\n103\n"},
    {CPUSET "/cpuset.effective_cpus", "0-7\n"},
    {CPUSET "/cpuset.effective_mems", "0\n"},
    {"/proc/2/stat", "2 (a) kswapd1) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/3/stat", "3 (rcu_preempt) I 2 0 0 0 -1 2097216 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/3/status", "Name:\trcu\nCpus_allowed_list:\t0-15\nMems_allowed:\t1\n"},
    {"/proc/4/stat", "4 (kworker/0:0) I 2 0 0 0 -1 69238880 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/4/status", "Name:\tkworker\nCpus_allowed_list:\t0-7\n"},
    {"/proc/5/stat", "5 (lull-core0) S 0 0 0 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/2/status", "Name:\tkswapd1\nCpus_allowed_list:\t4-7\n"},
    {"/proc/101/stat", "101 (init) S 0 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/102/stat", "102 (sshd: a b) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/103/stat", "103 (cron) S 1 1 1 0 -1 1077936192 0 0 0 0 0 0 0 0 20 0 1 0 77\n"},
    {"/proc/irq/default_smp_affinity", "ff\n"},
    {"/proc/irq/1/smp_affinity_list", "0-7\n"},
    {"/proc/irq/1/effective_affinity_list", "2\n"},
    {"/proc/irq/2/smp_affinity_list", "0-7\n"},
    {"/proc/irq/2/effective_affinity_list", "0\n"},
    {"/proc/irq/3/smp_affinity_list", "2-3\n"},
    {"/proc/irq/3/effective_affinity_list", "2-3\n"},
    {"/sys/class/net/eth0/queues/rx-0/rps_cpus", "0c\n"},
    {"/sys/class/net/eth0/queues/rx-1/rps_cpus", "00\n"},
    {"/sys/devices/virtual/workqueue/cpumask", "ff\n"},
    {"/proc/sys/kernel/watchdog_cpumask", "0-7\n"},
    {"/proc/sys/kernel/sched_rt_runtime_us", "950000\n"},
    {"/proc/sys/vm/stat_interval", "1\n"},
    {"/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave\n"},
    {"/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "performance\n"},
    {"/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages", "10\n"},
};
#define HOST (sizeof host / sizeof *host)
#define PAGES host[HOST - 1].path

#define SHIELD CPUSET "/lull.linux"
#define THREADS 7
static const char *const thread[THREADS] = {"2", "3", "4", "5", "101", "102", "103"};

/* Where a thread is, whoever dies in the meantime: a file of the test's own. */
static const char *group_of(const char *tid)
{
    char path[64];
    snprintf(path, sizeof path, "/where/%s", tid);
    const char *text = get(path);
    return strcmp(text, "(none)") == 0 ? CPUSET : text;
}

/* A number was written to a tasks file: the thread moves, and all such files say so. */
static void move_thread(const char *tasks)
{
    static const char *const group[] = {CPUSET, SHIELD};
    char path[200], tid[40], list[200];
    snprintf(tid, sizeof tid, "%.20s", get(tasks));
    if (strcmp(tid, "0") == 0) /* the writer */
        return;
    snprintf(path, sizeof path, "where/%s", tid);
    snprintf(list, sizeof list, "%.*s", (int)(strlen(tasks) - strlen("/tasks")), tasks);
    unit_write_text(root, path, list, 0644);
    for (size_t g = 0; g < sizeof group / sizeof *group; g++) {
        list[0] = '\0';
        for (size_t t = 0; t < THREADS; t++)
            if (strcmp(group_of(thread[t]), group[g]) == 0)
                snprintf(list + strlen(list), sizeof list - strlen(list), "%s\n", thread[t]);
        snprintf(path, sizeof path, "%s/tasks", group[g] + 1);
        if (strcmp(get(path), "(none)") != 0)
            unit_write_text(root, path, list, 0644);
    }
}

/* What Linux puts into a new cgroup, and takes away with it. */
static void fill_group(const char *what, const char *path)
{
    const char *last = strrchr(path, '/');
    if (strcmp(what, "written") == 0 && last && strcmp(last, "/tasks") == 0)
        move_thread(path);
    static const char *const file[] = {
        "cpuset.cpus", "cpuset.mems", "cpuset.cpu_exclusive", "cpuset.sched_load_balance",
        "tasks",       "cgroup.type", "cgroup.threads",       "cpuset.cpus.partition"};
    char name[400];
    if (strcmp(what, "made") != 0 && strcmp(what, "rmdir") != 0)
        return;
    for (size_t i = 0; i < sizeof file / sizeof *file; i++) {
        snprintf(name, sizeof name, "%s/%s", path + 1, file[i]);
        if (*what == 'm') { /* was there already: -EEXIST */
            if (strcmp(get(name), "(none)") == 0)
                unit_write_text(root, name, "", 0644);
        } else {
            snprintf(name, sizeof name, "%s%s/%s", root, path, file[i]);
            unlink(name);
        }
    }
}

static int setup(void **state)
{
    (void)state;
    root = unit_tempdir();
    for (size_t i = 0; i < HOST; i++)
        put(host[i].path, host[i].text);
    put("/run/x", "");
    host_hook = fill_group;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unit_remove(root);
    return 0;
}

static void as_before(void)
{
    char path[600];
    for (size_t i = 0; i < HOST; i++) {
        char want[200];
        snprintf(want, sizeof want, "%.*s", (int)strlen(host[i].text) - (host[i].text[0] != '\0'),
                 host[i].text);
        if (strcmp(get(host[i].path), want) != 0)
            fail_msg("%s is '%s', was '%s'", host[i].path, get(host[i].path), want);
    }
    snprintf(path, sizeof path, "%s" CPUSET, root);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        assert_int_not_equal(strncmp(e->d_name, "lull", 4), 0);
    closedir(d);
    snprintf(path, sizeof path, "%s/run/lull", root);
    d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.' && strcmp(e->d_name, "lock") != 0)
            fail_msg("%s is left in the journal", e->d_name);
    if (d)
        closedir(d);
}

static void make_plan(struct carve_plan *p, unsigned first, unsigned last)
{
    *p = (struct carve_plan){.mem = 1 << 30};
    for (unsigned c = 0; c < 8; c++) {
        if (c >= first && c <= last) {
            p->cpu[p->ncores++] = (uint16_t)c;
            CPU_SET(c, &p->isle_cpus);
        } else {
            CPU_SET(c, &p->linux_cpus);
        }
    }
}

static void pages(struct journal *j, const char *n)
{
    assert_int_equal(journal_want(j, JOURNAL_ADD, PAGES, n), 0);
}

struct holding {
    struct hold *h;
    struct settings s;
    struct carve_plan plan;
};

static void take(struct holding *x, unsigned first, unsigned last)
{
    *x = (struct holding){0};
    make_plan(&x->plan, first, last);
    assert_non_null(x->h = hold_open(root, &automatic, &x->s));
    assert_non_null(hold_journal(x->h));
    assert_int_equal(hold_take(x->h, &x->plan, "prog", "kvm"), 0);
}

static void give(struct holding *x)
{
    hold_release(x->h);
    hold_close(x->h);
    settings_free(&x->s);
}

static const struct setting *row(const struct holding *x, const char *what)
{
    for (size_t i = 0; i < x->s.n; i++)
        if (strcmp(x->s.row[i].what, what) == 0)
            return &x->s.row[i];
    fail_msg("no row %s", what);
    return NULL;
}

static void changed(const struct holding *x, const char *what, const char *before,
                    const char *after)
{
    const struct setting *r = row(x, what);
    assert_string_equal(r->before, before);
    assert_non_null(r->after);
    assert_string_equal(r->after, after);
    assert_null(r->why);
    assert_string_equal(get(what), after);
}

static void test_each_step(void **state)
{
    char dir[200];
    (void)state;
    struct holding x;
    take(&x, 2, 3);
    changed(&x, "/proc/irq/default_smp_affinity", "ff", "f3");
    changed(&x, "/proc/irq/1/smp_affinity_list", "0-7", "0-1,4-7");
    changed(&x, "/sys/class/net/eth0/queues/rx-0/rps_cpus", "0c", "0");
    changed(&x, "/sys/devices/virtual/workqueue/cpumask", "ff", "f3");
    changed(&x, "/proc/sys/kernel/watchdog_cpumask", "0-7", "0-1,4-7");
    changed(&x, "/sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "powersave",
            "performance");
    changed(&x, "/proc/sys/vm/stat_interval", "1", "60");
    struct utsname u;
    assert_int_equal(uname(&u), 0);
    if (geteuid() == 0 && hold_may_preempt(u.release, 950000))
        changed(&x, "/proc/sys/kernel/sched_rt_runtime_us", "950000", "-1");
    /* no reason to touch it */
    assert_string_equal(get("/proc/irq/2/smp_affinity_list"), "0-7");
    /* not possible, and said so */
    assert_string_equal(get("/proc/irq/3/smp_affinity_list"), "2-3");
    assert_null(row(&x, "/proc/irq/3/smp_affinity_list")->after);
    assert_non_null(row(&x, "/proc/irq/3/smp_affinity_list")->why);
    snprintf(dir, sizeof dir, CPUSET "/lull.%d/cpuset.cpus", (int)getpid());
    assert_string_equal(get(dir), "2-3");
    snprintf(dir, sizeof dir, CPUSET "/lull.%d/cpuset.cpu_exclusive", (int)getpid());
    assert_string_equal(get(dir), "1");
    give(&x);
    as_before();
}

static void shield(struct holding *x)
{
    assert_int_equal(journal_want(hold_journal(x->h), JOURNAL_SHIELD, SHIELD, NULL), 0);
    assert_int_equal(journal_apply(hold_journal(x->h), &x->s), 0);
}

/* Programs are moved aside and back, the kernel's threads are not. */
static void test_shield(void **state)
{
    (void)state;
    struct holding x;
    take(&x, 2, 3);
    shield(&x);
    assert_string_equal(get(CPUSET "/tasks"), "2\n4\n5");
    assert_string_equal(get(SHIELD "/tasks"), "3\n101\n102\n103");
    assert_string_equal(get(SHIELD "/cpuset.cpus"), "0-1,4-7");
    assert_string_equal(get(SHIELD "/cpuset.mems"), "0");
    assert_int_equal(journal_got(hold_journal(x.h), SHIELD), 4);
    assert_string_equal(row(&x, SHIELD)->after, "made for CPUs 0-1,4-7, 4 threads moved there");
    give(&x);
    as_before();
}

/* A core's other hyperthread, but not another rank's, and not one that Linux has. */
static void test_siblings(void **state)
{
    (void)state;
    struct holding x = {0};
    make_plan(&x.plan, 2, 2);
    for (int c = 4; c < 8; c++) {
        char path[100], text[20];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 c);
        snprintf(text, sizeof text, "%d,%d\n", c - 4, c);
        put(path, text);
    }
    CPU_SET(6, &x.plan.idle_cpus);
    CPU_SET(7, &x.plan.idle_cpus);
    assert_non_null(x.h = hold_open(root, &automatic, &x.s));
    assert_int_equal(hold_take(x.h, &x.plan, "prog", "kvm"), 0);
    assert_string_equal(get("/proc/irq/1/smp_affinity_list"), "0-1,3-5,7");
    struct journal_isle *isle = NULL;
    size_t n = 0;
    assert_int_equal(journal_scan(root, "/run/lull", &isle, &n), 0);
    assert_int_equal(n, 1);
    assert_int_equal(CPU_COUNT(&isle->cpus), 1);
    assert_int_equal(CPU_COUNT(&isle->idle), 1);
    free(isle);
    give(&x);
    as_before();
}

static void test_no_core_left(void **state)
{
    (void)state;
    struct holding x;
    take(&x, 0, 7);
    assert_string_equal(get("/proc/irq/1/smp_affinity_list"), "0-7");
    give(&x);
    as_before();
}

/* Isles in processes of their own, which come and go as they are told. */
struct other {
    pid_t pid;
    int in[2], out[2];
};

static void other_start(struct other *o, unsigned first, unsigned last, const char *n)
{
    char c = 0;
    assert_int_equal(pipe(o->in) | pipe(o->out), 0);
    if ((o->pid = fork()) == 0) {
        struct holding x;
        struct journal *j;
        take(&x, first, last);
        j = hold_journal(x.h);
        if (n) {
            pages(j, n);
            if (journal_apply(j, &x.s))
                _exit(3);
        }
        if (write(o->out[1], &c, 1) != 1 || read(o->in[0], &c, 1) != 1)
            _exit(2);
        give(&x);
        _exit(0);
    }
    assert_int_equal(read(o->out[0], &c, 1), 1);
}

static void other_end(struct other *o, int signo)
{
    int status;
    char c = 0;
    if (signo)
        kill(o->pid, signo);
    else
        assert_int_equal(write(o->in[1], &c, 1), 1);
    assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
    if (!signo)
        assert_int_equal(status, 0);
    for (int i = 0; i < 2; i++) {
        close(o->in[i]);
        close(o->out[i]);
    }
}

static void collect(unsigned dead_expected)
{
    struct journal *j;
    unsigned restored, dead;
    assert_int_equal(journal_open(root, &j), 0);
    assert_int_equal(journal_collect(j, &restored, &dead, NULL, NULL), 0);
    assert_int_equal(dead, dead_expected);
    journal_close(j);
}

/* Whoever goes first: the other's wants hold, then the first value returns. */
static void test_two(void **state)
{
    (void)state;
    for (int first = 0; first < 2; first++) {
        for (int signo = 0; signo <= SIGKILL; signo += SIGKILL) {
            struct other o[2];
            other_start(&o[0], 2, 3, "5");
            assert_string_equal(get(PAGES), "15");
            other_start(&o[1], 4, 5, "7");
            assert_string_equal(get("/sys/devices/virtual/workqueue/cpumask"), "c3");
            assert_string_equal(get("/proc/irq/default_smp_affinity"), "c3");
            assert_string_equal(get(PAGES), "22");
            other_end(&o[first], signo);
            if (signo)
                collect(1);
            assert_string_equal(get("/sys/devices/virtual/workqueue/cpumask"), first ? "f3" : "cf");
            assert_string_equal(get(PAGES), first ? "15" : "17");
            other_end(&o[!first], signo);
            if (signo)
                collect(1);
            as_before();
        }
    }
}

/* What is left to a shield follows from who is there, whether they want one or not. */
static void test_shield_of_two(void **state)
{
    (void)state;
    for (int signo = 0; signo <= SIGKILL; signo += SIGKILL) {
        struct other o;
        struct holding x;
        take(&x, 2, 3);
        shield(&x);
        other_start(&o, 5, 5, NULL);
        assert_string_equal(get(SHIELD "/cpuset.cpus"), "0-1,4,6-7");
        other_end(&o, signo);
        if (signo)
            collect(1);
        assert_string_equal(get(SHIELD "/cpuset.cpus"), "0-1,4-7");
        assert_string_equal(get(CPUSET "/tasks"), "2\n4\n5");
        /* none is left to Linux, until the other one goes */
        struct other rest[2];
        other_start(&rest[0], 0, 1, NULL);
        other_start(&rest[1], 4, 7, NULL);
        assert_string_equal(get(SHIELD "/cpuset.cpus"), "(none)");
        assert_string_equal(get(CPUSET "/tasks"), "2\n3\n4\n5\n101\n102\n103");
        other_end(&rest[0], signo);
        if (signo)
            collect(1);
        assert_string_equal(get(SHIELD "/cpuset.cpus"), "0-1");
        give(&x);
        assert_string_equal(get(SHIELD "/cpuset.cpus"), "(none)");
        other_end(&rest[1], signo);
        if (signo)
            collect(1);
        as_before();
    }
}

/* An interrupt that has nowhere to go moves when there is somewhere. */
static void test_later(void **state)
{
    (void)state;
    struct other o[2];
    other_start(&o[0], 2, 2, NULL);
    assert_string_equal(get("/proc/irq/3/smp_affinity_list"), "3");
    other_start(&o[1], 3, 3, NULL);
    assert_string_equal(get("/proc/irq/3/smp_affinity_list"), "3");
    other_end(&o[0], 0);
    assert_string_equal(get("/proc/irq/3/smp_affinity_list"), "2");
    other_end(&o[1], 0);
    as_before();
}

static void test_somebody_else(void **state)
{
    (void)state;
    struct holding x;
    take(&x, 2, 3);
    put("/proc/irq/1/smp_affinity_list", "7\n");
    put("/sys/devices/virtual/workqueue/cpumask", "01\n");
    give(&x);
    assert_string_equal(get("/proc/irq/1/smp_affinity_list"), "7");
    assert_string_equal(get("/sys/devices/virtual/workqueue/cpumask"), "01");
    put("/proc/irq/1/smp_affinity_list", "0-7");
    put("/sys/devices/virtual/workqueue/cpumask", "ff\n");
    as_before();
}

/* The next lull does what lull gc does. */
static void test_next(void **state)
{
    (void)state;
    struct other o;
    struct holding x;
    other_start(&o, 2, 3, NULL);
    other_end(&o, SIGKILL);
    assert_string_equal(get("/proc/irq/default_smp_affinity"), "f3");
    take(&x, 4, 4);
    assert_string_equal(get("/proc/irq/default_smp_affinity"), "ef");
    give(&x);
    as_before();
}

static int steps, fatal_step;

static void die_at(const char *what, const char *path)
{
    fill_group(what, path);
    if (++steps == fatal_step)
        raise(SIGKILL);
}

/* Dies at step k of taking and giving back, beside another isle or alone; then it is collected. */
static bool dies_at(int k, bool beside)
{
    struct other o;
    int status;
    if (beside)
        other_start(&o, 5, 6, "3");
    pid_t pid = fork();
    if (pid == 0) {
        struct holding x;
        host_hook = die_at;
        fatal_step = k;
        take(&x, 2, 3);
        pages(hold_journal(x.h), "5");
        shield(&x);
        give(&x);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    bool died = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!died)
        assert_int_equal(status, 0);
    struct journal *j;
    unsigned restored, dead;
    assert_int_equal(journal_open(root, &j), 0);
    assert_int_equal(journal_collect(j, &restored, &dead, NULL, NULL), 0);
    journal_close(j);
    if (beside) {
        assert_string_equal(get("/sys/devices/virtual/workqueue/cpumask"), "9f");
        assert_string_equal(get(PAGES), "13");
        other_end(&o, 0);
    }
    as_before();
    return died;
}

static void test_death_at_every_step(void **state)
{
    (void)state;
    int k = 1;
    while (dies_at(k, false))
        k++;
    assert_true(k > 60);
    int alone = k;
    for (k = 1; dies_at(k, true); k++)
        ;
    assert_true(k > 60); /* fewer: some of it the other one has done */
    print_message("%d + %d moments\n", alone - 1, k - 1);
}

/* And whoever cleans up may die too. */
static void test_death_of_the_collector(void **state)
{
    (void)state;
    for (int k = 1, died = 1; died; k++) {
        struct other o;
        int status;
        other_start(&o, 2, 3, "5");
        other_end(&o, SIGKILL);
        pid_t pid = fork();
        if (pid == 0) {
            host_hook = die_at;
            fatal_step = k;
            struct journal *j;
            unsigned restored, dead;
            journal_open(root, &j);
            journal_collect(j, &restored, &dead, NULL, NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        died = WIFSIGNALED(status);
        struct journal *j;
        unsigned restored, dead;
        assert_int_equal(journal_open(root, &j), 0);
        assert_int_equal(journal_collect(j, &restored, &dead, NULL, NULL), 0);
        journal_close(j);
        as_before();
    }
}

/* Linux may give fewer pages than were asked for: the rest is not wanted any longer. */
static void few_pages(const char *what, const char *path)
{
    fill_group(what, path);
    if (strcmp(what, "written") == 0 && strcmp(path, PAGES) == 0 && atoi(get(PAGES)) > 12)
        put(PAGES, "12\n");
}

static void test_fewer_pages(void **state)
{
    (void)state;
    struct holding x;
    host_hook = few_pages;
    take(&x, 2, 3);
    pages(hold_journal(x.h), "5");
    assert_int_equal(journal_apply(hold_journal(x.h), &x.s), 0);
    assert_int_equal(journal_got(hold_journal(x.h), PAGES), 2);
    changed(&x, PAGES, "10", "12");
    give(&x);
    as_before();
}

static void refused(const char *record, const char *name)
{
    struct holding x;
    char path[200];
    snprintf(path, sizeof path, "/run/lull/%s", name);
    put(path, record);
    put("/etc/passwd", "victim\n");
    x = (struct holding){0};
    make_plan(&x.plan, 2, 3);
    x.h = hold_open(root, &automatic, &x.s);
    hold_take(x.h, &x.plan, "prog", "kvm");
    give(&x);
    assert_string_equal(get("/etc/passwd"), "victim");
    snprintf(path, sizeof path, "%s/run/lull/%s", root, name);
    unlink(path);
    as_before();
}

/* Records that nobody here has written. */
static void test_bad_records(void **state)
{
    (void)state;
    char boot[64], text[400];
    int fd = host_open("/proc");
    assert_int_equal(host_read(fd, "sys/kernel/random/boot_id", boot, sizeof boot), 0);
    close(fd);
    struct holding x; /* makes the directory, with its rights */
    take(&x, 2, 3);
    give(&x);
    refused("", "settings");
    refused("lull-settings 1\n", "settings");
    snprintf(text, sizeof text, "lull-settings 1\t%s\nvalue\t/etc/passwd\tevil\tvictim\tvictim\n",
             boot);
    refused(text, "settings");
    snprintf(text, sizeof text,
             "lull-settings 1\t%s\nvalue\t/sys/../etc/passwd\tevil\tvictim\tvictim\n", boot);
    refused(text, "settings");
    snprintf(text, sizeof text, "lull-settings 1\t%s\nlist-off\t/proc/irq/1/smp_affinity_list\t7\n",
             boot);
    refused(text, "settings");
    snprintf(text, sizeof text, "lull-isle 1\t%s\t1\npid\t1\nwant\tvalue\t/proc/sys/x\nend\n",
             boot);
    refused(text, "isle.1.1");
    snprintf(text, sizeof text, "lull-isle 1\t%s\t1\npid\t1\n", boot);
    refused(text, "isle.1.1");
    /* of another boot: everything was reset then */
    refused("lull-settings 1\tother\nlist-off\t/proc/irq/1/smp_affinity_list\t7\t0-7\t0-7\n",
            "settings");
}

static void test_directory_of_others(void **state)
{
    (void)state;
    struct journal *j;
    char path[200];
    put("/run/lull/x", "");
    snprintf(path, sizeof path, "%s/run/lull", root);
    assert_int_equal(chmod(path, 0777), 0);
    assert_int_equal(journal_open(root, &j), -EPERM);
    struct holding x = {0};
    make_plan(&x.plan, 2, 3);
    x.h = hold_open(root, &automatic, &x.s);
    assert_null(hold_journal(x.h));
    assert_int_equal(hold_take(x.h, &x.plan, "prog", "kvm"), 0);
    assert_string_equal(get("/proc/irq/default_smp_affinity"), "ff"); /* nothing without a record */
    give(&x);
    snprintf(path, sizeof path, "%s/run/lull/x", root);
    unlink(path);
    as_before();
}

static void test_require(void **state)
{
    (void)state;
    struct unit_stderr e;
    struct options require = {.isolate = ISOLATE_REQUIRE};
    struct holding x = {0};
    put("/proc/self/mounts", "proc /proc proc rw 0 0\n");
    make_plan(&x.plan, 2, 3);
    x.h = hold_open(root, &require, &x.s);
    unit_catch(&e);
    assert_int_equal(hold_take(x.h, &x.plan, "prog", "kvm"), LULL_EXIT_FAILED);
    give(&x);
    unit_one_line(unit_caught(&e), "cpuset");
    put("/proc/self/mounts", host[0].text);
    as_before();
}

static void test_ps(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    struct other o;
    other_start(&o, 2, 3, NULL);
    FILE *f = open_memstream(&text, &size);
    assert_int_equal(node_ps(root, f), 0);
    fclose(f);
    char pid[20];
    snprintf(pid, sizeof pid, "%7d ", (int)o.pid);
    assert_non_null(strstr(text, pid));
    assert_non_null(strstr(text, " 2-3 "));
    assert_non_null(strstr(text, "kvm"));
    assert_non_null(strstr(text, "prog"));
    free(text);
    other_end(&o, SIGKILL);
    f = open_memstream(&text, &size);
    assert_int_equal(node_ps(root, f), 0);
    assert_int_equal(node_gc(root, f), 0);
    fclose(f);
    assert_null(strstr(text, pid));
    assert_non_null(strstr(text, "1 dead isle,"));
    free(text);
    as_before();
}

/* A process that is an isle no longer has its number, or is another by now. */
static void test_fork_keeps(void **state)
{
    (void)state;
    struct holding x;
    int status, go[2];
    char c = 0;
    assert_int_equal(pipe(go), 0);
    take(&x, 2, 3);
    pid_t pid = fork();
    if (pid == 0) {
        hold_fork(x.h);
        if (read(go[0], &c, 1) != 1)
            _exit(1);
        give(&x);
        _exit(0);
    }
    char record[300];
    for (int i = 0; i < 500; i++) { /* until the child is on record */
        DIR *d;
        snprintf(record, sizeof record, "%s/run/lull", root);
        assert_non_null(d = opendir(record));
        int n = 0;
        for (struct dirent *e; (e = readdir(d));)
            n += strncmp(e->d_name, "isle.", 5) == 0;
        closedir(d);
        if (n == 2)
            break;
        usleep(10000);
    }
    give(&x);
    assert_string_equal(get("/proc/irq/default_smp_affinity"), "f3");
    assert_int_equal(write(go[1], &c, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(go[0]);
    close(go[1]);
    assert_int_equal(*get(CPUSET "/tasks"), '0'); /* the child's thread went home */
    put(CPUSET "/tasks", "2\n3\n4\n5\n101\n102\n103\n");
    as_before();
}

/* Forks the isle, and lets the child leave after `meanwhile` (may be NULL) was called here. 0: the
   child read no other record than its parent's; 1: it left the long way. */
static int forked_leaves(struct holding *x, void (*meanwhile)(struct holding *x))
{
    int status, ready[2], go[2];
    char c = 0;
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(go), 0);
    pid_t pid = fork();
    if (pid == 0) {
        hold_fork(x->h);
        if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(2);
        bool left = journal_leave_parent(hold_journal(x->h));
        give(x);
        _exit(left ? 0 : 1);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    if (meanwhile)
        meanwhile(x);
    assert_int_equal(write(go[1], &c, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    for (int i = 0; i < 2; i++) {
        close(ready[i]);
        close(go[i]);
    }
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void other_value(struct holding *x)
{
    struct journal *j = hold_journal(x->h);
    assert_int_equal(journal_want(j, JOURNAL_VALUE, "/proc/sys/vm/stat_interval", "30"), 0);
    assert_int_equal(journal_apply(j, &x->s), 0);
}

/* A child whose parent holds the same has nothing to give back. */
static void test_fork_leaves(void **state)
{
    (void)state;
    struct holding x;
    struct journal_isle *isle = NULL;
    size_t n = 0;
    take(&x, 2, 3);
    assert_int_equal(forked_leaves(&x, NULL), 0);
    assert_int_equal(journal_scan(root, "/run/lull", &isle, &n), 0);
    assert_int_equal(n, 1);
    free(isle);
    assert_string_equal(get("/proc/irq/default_smp_affinity"), "f3");
    assert_string_equal(get("/proc/sys/vm/stat_interval"), "60");
    assert_int_equal(forked_leaves(&x, other_value), 1); /* it wants 60 still */
    assert_string_equal(get("/proc/sys/vm/stat_interval"), "30");
    assert_int_equal(forked_leaves(&x, give), 1);
    assert_int_equal(*get(CPUSET "/tasks"), '0'); /* a child's thread went home */
    put(CPUSET "/tasks", "2\n3\n4\n5\n101\n102\n103\n");
    as_before();
}

static void test_masks(void **state)
{
    (void)state;
    static const char *const bad_list[] = {"x", "1-", "3-1", "1024", "-1", "1 2"};
    static const char *const bad_hex[] = {"", "g", "1 2"};
    cpu_set_t set, again;
    char text[4096];
    for (size_t i = 0; i < sizeof bad_list / sizeof *bad_list; i++)
        assert_int_equal(mask_read_list(bad_list[i], &set), -EINVAL);
    for (size_t i = 0; i < sizeof bad_hex / sizeof *bad_hex; i++)
        assert_int_equal(mask_read_hex(bad_hex[i], &set), -EINVAL);
    assert_int_equal(mask_read_list("0,2-3,64,1023", &set), 0);
    assert_int_equal(CPU_COUNT(&set), 5);
    assert_int_equal(mask_print_list(&set, text, sizeof text), 0);
    assert_string_equal(text, "0,2-3,64,1023");
    assert_int_equal(mask_print_hex(&set, text, sizeof text), 0);
    assert_int_equal(mask_read_hex(text, &again), 0);
    assert_true(CPU_EQUAL(&set, &again));
    assert_int_equal(mask_read_hex("00000001,0000000c", &set), 0);
    assert_int_equal(mask_print_list(&set, text, sizeof text), 0);
    assert_string_equal(text, "2-3,32");
    for (int c = 0; c < CPU_SETSIZE; c += 2)
        CPU_SET(c, &set);
    assert_int_equal(mask_print_list(&set, text, sizeof text), 0);
}

static void test_may_preempt(void **state)
{
    (void)state;
    assert_true(hold_may_preempt("6.12.0-1-amd64", 950000));
    assert_true(hold_may_preempt("7.0", 950000));
    assert_false(hold_may_preempt("6.1.0-53-cloud-amd64", 950000));
    assert_true(hold_may_preempt("6.1.0-53-cloud-amd64", -1));
    assert_false(hold_may_preempt("odd", 950000));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_each_step),
        T(test_shield),
        T(test_shield_of_two),
        T(test_siblings),
        T(test_no_core_left),
        T(test_two),
        T(test_later),
        T(test_somebody_else),
        T(test_next),
        T(test_death_at_every_step),
        T(test_death_of_the_collector),
        T(test_fewer_pages),
        T(test_bad_records),
        T(test_directory_of_others),
        T(test_require),
        T(test_ps),
        T(test_fork_keeps),
        T(test_fork_leaves),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_may_preempt),
    };
    return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
