/* SPDX-License-Identifier: MIT */
/* Isles that plan beside each other, on two CPUs of this machine and a journal of their own. */
#include "unit.h"

#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "carve/claim.h"
#include "carve/hold.h"
#include "carve/host.h"
#include "carve/isles.h"
#include "carve/launcher.h"
#include "message.h"

static char *root;
static const char *self_path;
static unsigned a, b; /* two cores of one node */
static cpu_set_t before;

static void use(bool with_a, bool with_b)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (with_a)
        CPU_SET(a, &set);
    if (with_b)
        CPU_SET(b, &set);
    assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
}

static int setup(void **state)
{
    (void)state;
    root = unit_tempdir();
    unit_write_text(root, "run/x", "", 0644);
    unsetenv("MPI_LOCALRANKID");
    unsetenv("MPI_LOCALNRANKS");
    use(true, true);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unit_remove(root);
    return 0;
}

static const char *list(unsigned cpu)
{
    static char text[2][16];
    static unsigned n;
    snprintf(text[n ^= 1], sizeof text[0], "%u,", cpu);
    return text[n];
}

static int on_record(void)
{
    char path[300];
    int n = 0;
    snprintf(path, sizeof path, "%s/run/lull", root);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));)
        n += strncmp(e->d_name, "isle.", 5) == 0;
    if (d)
        closedir(d);
    return n;
}

/* An isle that has its plan. */
struct isle {
    struct options opt;
    struct settings s;
    struct hold *h;
    struct carve_plan plan;
    int rc;
};

static void begin(struct isle *i, struct options opt)
{
    *i = (struct isle){.opt = opt};
    assert_non_null(i->h = hold_open(root, &i->opt, &i->s));
    assert_non_null(hold_journal(i->h));
    i->rc = claim_plan(root, i->h, &i->opt, "/bin/prog", &i->plan);
}

static void end(struct isle *i)
{
    hold_release(i->h);
    hold_close(i->h);
    settings_free(&i->s);
}

/* As execve(2): what is not closed goes along, and *text says what that is. */
static void image_ends(struct isle *i, char text[HOLD_EXEC_TEXT])
{
    int held;
    hold_exec_text(i->h, text);
    hold_exec(i->h, true);
    assert_int_equal(sscanf(text, "%*d,%*d,%*d,%d", &held), 1);
    snprintf(text, HOLD_EXEC_TEXT, "-1,0,0,%d", dup(held));
    hold_close(i->h);
}

/* The same in a process of its own, until it is told to end. */
struct other {
    pid_t pid;
    int in[2], out[2];
    struct carve_plan plan;
};

struct wish {
    struct options opt;
    int rank; /* -1: none */
    bool a, b;
};

static void other_begin(struct other *o, struct wish w)
{
    char c = 0;
    assert_int_equal(pipe(o->in) | pipe(o->out), 0);
    if ((o->pid = fork()) != 0)
        return;
    struct isle i;
    close(o->in[1]);
    if (w.rank >= 0) {
        setenv("MPI_LOCALRANKID", w.rank ? "1" : "0", 1);
        setenv("MPI_LOCALNRANKS", "2", 1);
    }
    use(w.a, w.b);
    begin(&i, w.opt);
    if (i.rc || write(o->out[1], &i.plan, sizeof i.plan) != sizeof i.plan)
        _exit(1);
    if (read(o->in[0], &c, 1) != 1)
        _exit(2);
    end(&i);
    _exit(0);
}

static void other_ready(struct other *o)
{
    assert_int_equal(read(o->out[0], &o->plan, sizeof o->plan), sizeof o->plan);
}

static void other_start(struct other *o, struct wish w)
{
    other_begin(o, w);
    other_ready(o);
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
    assert_int_equal(status, signo);
    for (int i = 0; i < 2; i++) {
        close(o->in[i]);
        close(o->out[i]);
    }
}

#define ANY(...) ((struct wish){.opt = {__VA_ARGS__}, .rank = -1, .a = true, .b = true})
#define RANK(n, a, b) ((struct wish){.opt = {.cpus = "1"}, n, a, b})

static void test_around(void **state)
{
    (void)state;
    struct other o;
    struct isle i;
    other_start(&o, ANY(.cpus = list(b)));
    assert_int_equal(o.plan.cpu[0], b);
    begin(&i, (struct options){.cpus = "1"});
    assert_int_equal(i.rc, 0);
    assert_int_equal(i.plan.cpu[0], a);
    assert_false(i.plan.shares);
    assert_int_equal(CPU_COUNT(&i.plan.linux_cpus), 0); /* the other's is nobody else's */
    assert_string_equal(i.plan.why, "--cpus 1, off other isles' cores");
    assert_int_equal(on_record(), 2);
    end(&i);
    assert_int_equal(on_record(), 1);
    begin(&i, (struct options){.cpus = "2"});
    assert_true(i.rc == 0 && i.plan.shares && i.plan.ncores == 2);
    end(&i);
    /* what is named is taken as it is */
    begin(&i, (struct options){.cpus = list(b)});
    assert_true(i.rc == 0 && i.plan.shares && i.plan.cpu[0] == b);
    assert_true(CPU_ISSET(a, &i.plan.linux_cpus));
    end(&i);
    other_end(&o, SIGKILL);
    begin(&i, (struct options){.cpus = "2"});
    assert_true(i.rc == 0 && !i.plan.shares);
    end(&i);
}

static void test_require(void **state)
{
    (void)state;
    struct other o;
    struct isle i;
    struct unit_stderr e;
    char part[80];
    other_start(&o, ANY(.cpus = list(b)));
    unit_catch(&e);
    begin(&i, (struct options){.cpus = "2", .isolate = ISOLATE_REQUIRE});
    end(&i);
    snprintf(part, sizeof part, "CPU %u is held for another isle, /bin/prog (process %d)", b,
             (int)o.pid);
    unit_one_line(unit_caught(&e), part);
    assert_int_equal(i.rc, LULL_EXIT_FAILED);
    assert_int_equal(on_record(), 1);
    other_end(&o, 0);
    assert_int_equal(on_record(), 0);
}

/* Without a plan nothing is on record, nor without a run, nor after a death. */
static void test_nothing_left(void **state)
{
    (void)state;
    struct other o;
    struct isle i;
    struct unit_stderr e;
    unsigned restored, dead;
    unit_catch(&e);
    begin(&i, (struct options){.cpus = "60000"});
    assert_int_equal(on_record(), 0);
    end(&i);
    unit_one_line(unit_caught(&e), "there are only 2");
    assert_int_equal(claim_plan(root, NULL, &(struct options){.cpus = "1"}, "p", &i.plan), 0);
    assert_int_equal(on_record(), 0);
    begin(&i, (struct options){.cpus = "1"});
    assert_int_equal(on_record(), 1);
    end(&i);
    assert_int_equal(on_record(), 0);
    other_start(&o, ANY(.cpus = "1"));
    other_end(&o, SIGKILL);
    assert_int_equal(on_record(), 1);
    begin(&i, (struct options){.cpus = "2"});
    assert_false(i.plan.shares);
    assert_int_equal(journal_collect(hold_journal(i.h), &restored, &dead, NULL, NULL), 0);
    assert_int_equal(dead, 1);
    end(&i);
    assert_int_equal(on_record(), 0);
}

/* All at once: one after the other. */
static void test_crowd(void **state)
{
    (void)state;
    struct other o[8];
    unsigned alone = 0, both = 0;
    for (int k = 0; k < 8; k++)
        other_begin(&o[k], ANY(.cpus = "1"));
    for (int k = 0; k < 8; k++) {
        other_ready(&o[k]);
        alone += !o[k].plan.shares;
        both |= o[k].plan.shares ? 0 : 1u << (o[k].plan.cpu[0] == b);
    }
    assert_int_equal(alone, 2);
    assert_int_equal(both, 3);
    for (int k = 0; k < 8; k++)
        other_end(&o[k], 0);
    assert_int_equal(on_record(), 0);
}

/* What rank 0 has been given is missing from the later one's affinity: they divide the same. */
static void test_ranks(void **state)
{
    (void)state;
    struct other o[3];
    for (int first = 0; first < 2; first++) {
        other_start(&o[0], RANK(first, true, true));
        const bool has_a = o[0].plan.cpu[0] == a;
        other_start(&o[2], ANY(.cpus = "1")); /* the place of the rank to come is held */
        assert_true(o[2].plan.shares);
        other_start(&o[1], RANK(!first, !has_a, has_a));
        assert_int_equal(o[1].plan.cpu[0], has_a ? b : a);
        assert_int_equal(o[1].plan.shares, o[1].plan.cpu[0] == o[2].plan.cpu[0]);
        assert_false(o[0].plan.shares);
        for (int k = 0; k < 3; k++)
            other_end(&o[k], 0);
    }
    /* with an isle beside them when the first came, but not when the second did: rather its core
       than each other's */
    other_start(&o[2], ANY(.cpus = list(b)));
    other_start(&o[0], RANK(0, true, true));
    other_end(&o[2], 0);
    other_start(&o[1], RANK(1, true, true));
    assert_true(o[0].plan.cpu[0] == a && o[1].plan.cpu[0] == b && !o[0].plan.shares);
    other_end(&o[0], 0);
    other_end(&o[1], 0);
    /* bound by their launcher: each divides nothing */
    other_start(&o[0], RANK(0, true, false));
    other_start(&o[1], RANK(1, false, true));
    assert_true(o[0].plan.cpu[0] == a && o[1].plan.cpu[0] == b);
    assert_false(o[0].plan.shares || o[1].plan.shares);
    other_end(&o[0], 0);
    other_end(&o[1], 0);
}

/* From before there were claims. */
static void test_old_record(void **state)
{
    (void)state;
    struct other o;
    struct isle i;
    char path[300], name[100], text[4096], kept[4096];
    size_t n = 0;
    other_start(&o, ANY(.cpus = list(b)));
    snprintf(name, sizeof name, "run/lull/isle.%d.%llu", (int)o.pid,
             (unsigned long long)launcher_start(o.pid, NULL));
    snprintf(path, sizeof path, "%s/%s", root, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    while (fgets(text, sizeof text, f)) {
        static const char *const words[] = {"launch", "within", "around", "held"};
        bool claim = false;
        for (int k = 0; k < 4; k++)
            claim = claim || strncmp(text, words[k], strlen(words[k])) == 0;
        if (!claim)
            n += (size_t)snprintf(kept + n, sizeof kept - n, "%s", text);
    }
    fclose(f);
    unit_write_text(root, name, kept, 0644);
    begin(&i, (struct options){.cpus = "1"});
    assert_true(i.rc == 0 && i.plan.cpu[0] == a && !i.plan.shares);
    end(&i);
    other_end(&o, 0);
    assert_int_equal(on_record(), 0);
}

/* After an execve the process has the CPUs of its own record, whatever Linux shows it. */
static void test_exec(void **state)
{
    (void)state;
    struct isle i;
    struct other o;
    char text[HOLD_EXEC_TEXT];
    other_start(&o, ANY(.cpus = list(a)));
    begin(&i, (struct options){.cpus = list(b), .isolate = ISOLATE_NO});
    assert_false(i.plan.shares);
    assert_int_equal(hold_take(i.h, &i.plan, "/bin/prog", "kvm"), 0);
    image_ends(&i, text);
    use(true, false);
    begin(&i, (struct options){.cpus = list(b), .exec = "/bin/other", .keeper = text});
    assert_int_equal(i.rc, 0);
    assert_true(i.plan.cpu[0] == b && !i.plan.shares);
    assert_false(CPU_ISSET(a, &i.plan.linux_cpus));
    struct isles all;
    assert_int_equal(isles_scan(root, &all), 0);
    assert_int_equal(all.n, 2);
    for (size_t k = 0; k < 2; k++) /* until it takes its cores it is what it was */
        assert_string_equal(all.isle[k].engine, all.isle[k].pid == o.pid ? "-" : "kvm");
    isles_free(&all);
    other_end(&o, 0);
    end(&i);
    assert_int_equal(on_record(), 0);
    use(true, true);
}

/* A user without a directory for records has none after an execve either: no core that another isle
   has is left to Linux, as before the execve. */
static void test_exec_without_record(void **state)
{
    (void)state;
    struct other o;
    struct carve_plan plan;
    const char *const image[] = {NULL, "/bin/other"};
    other_start(&o, ANY(.cpus = list(a)));
    for (int k = 0; k < 2; k++) {
        struct options opt = {.cpus = list(b), .exec = image[k]};
        assert_int_equal(claim_plan(root, NULL, &opt, "/bin/prog", &plan), 0);
        assert_true(plan.cpu[0] == b && !plan.shares);
        assert_false(CPU_ISSET(a, &plan.linux_cpus));
    }
    other_end(&o, 0);
    assert_int_equal(on_record(), 0);
}

/* Ranks that are told the same CPU share it, before an execve and after. */
static void test_exec_of_ranks(void **state)
{
    (void)state;
    struct other o;
    struct isle i;
    char text[HOLD_EXEC_TEXT];
    struct wish told = RANK(1, true, true);
    told.opt.cpus = list(b);
    other_start(&o, told);
    setenv("MPI_LOCALRANKID", "0", 1);
    setenv("MPI_LOCALNRANKS", "2", 1);
    begin(&i, (struct options){.cpus = list(b)});
    assert_true(i.rc == 0 && i.plan.shares);
    for (int alone = 0; alone < 2; alone++) {
        image_ends(&i, text);
        begin(&i, (struct options){.cpus = list(b), .exec = "/bin/other", .keeper = text});
        assert_int_equal(i.rc, 0);
        assert_int_equal(i.plan.shares, !alone);
        if (!alone)
            other_end(&o, 0);
    }
    end(&i);
    assert_int_equal(on_record(), 0);
}

/* What fork(2) makes of an isle is no other isle to it. */
static void test_fork(void **state)
{
    (void)state;
    struct isle i;
    int go[2], ready[2], status;
    char c = 0;
    assert_int_equal(pipe(go) | pipe(ready), 0);
    begin(&i, (struct options){.cpus = list(b), .isolate = ISOLATE_NO});
    assert_int_equal(hold_take(i.h, &i.plan, "/bin/prog", "kvm"), 0);
    pid_t pid = fork();
    if (pid == 0) {
        hold_fork(i.h);
        if (write(ready[1], &c, 1) != 1 || read(go[0], &c, 1) != 1)
            _exit(1);
        end(&i);
        _exit(0);
    }
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(on_record(), 2);
    hold_close(i.h);
    settings_free(&i.s);
    begin(&i, (struct options){.cpus = list(b), .exec = "/bin/other"});
    assert_true(i.rc == 0 && !i.plan.shares);
    end(&i);
    struct other next; /* it is to others */
    other_start(&next, ANY(.cpus = "1"));
    assert_true(next.plan.cpu[0] == a && !next.plan.shares);
    other_end(&next, 0);
    assert_int_equal(write(go[1], &c, 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(on_record(), 0);
}

static int say_identity(void)
{
    struct launcher l;
    pid_t pid;
    uint64_t start;
    launcher_read(&l);
    launcher_identity(&l, &pid, &start);
    printf("%d %d\n", (int)pid, launcher_start(pid, NULL) == start && start > 0);
    return 0;
}

/* Starts a shell as a rank or not, and this program behind it. */
static int identity(const char *variable, const char *inside)
{
    char command[600], text[64] = "";
    int pid = 0, same = 0;
    snprintf(command, sizeof command, "exec env %s sh -c '%s \"$0\" identity; :' %s", variable,
             inside, self_path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    pclose(f);
    assert_int_equal(sscanf(text, "%d %d", &pid, &same), 2);
    assert_int_equal(same, 1);
    return pid;
}

static void test_identity(void **state)
{
    (void)state;
    static const char ranks[] = "MPI_LOCALRANKID=1 MPI_LOCALNRANKS=2";
    /* behind a script that was started as a rank, however it hands that on */
    assert_int_equal(identity(ranks, ""), getpid());
    assert_int_equal(identity("PMIX_RANK=7", ranks), getpid());
    assert_int_equal(identity("SLURM_LOCALID=1 SLURM_NTASKS_PER_NODE=2", ""), getpid());
    /* by itself, alone, and in a batch script, which may start more than one */
    assert_int_not_equal(identity("X=1", ""), getpid());
    assert_int_not_equal(identity("MPI_LOCALRANKID=0 MPI_LOCALNRANKS=1", ""), getpid());
    assert_int_not_equal(identity("SLURM_LOCALID=0", ranks), getpid());
}

/* Two cores of one node, as a plan finds them. */
static bool find_cores(void)
{
    struct machine m;
    struct carve_plan p = {0};
    const struct options two = {.cpus = "2"};
    if (sched_getaffinity(0, sizeof before, &before) || machine_read(&m))
        return false;
    int rc = carve_plan_on(&two, &m, NULL, &p);
    machine_free(&m);
    a = p.cpu[0] < p.cpu[1] ? p.cpu[0] : p.cpu[1];
    b = p.cpu[0] < p.cpu[1] ? p.cpu[1] : p.cpu[0];
    return rc == 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(test_around), T(test_require),  T(test_nothing_left),        T(test_crowd),
        T(test_ranks),  T(test_exec),     T(test_exec_of_ranks),       T(test_old_record),
        T(test_fork),   T(test_identity), T(test_exec_without_record),
    };
    static const char *const unwanted[] = {
        "OMP_NUM_THREADS", "MPI_LOCALRANKID", "MPI_LOCALNRANKS", "OMPI_COMM_WORLD_LOCAL_RANK",
        "PMI_LOCAL_RANK",  "PMI_RANK",        "PMIX_RANK",       "SLURM_LOCALID",
        "XDG_RUNTIME_DIR"};
    if (argc == 2 && strcmp(argv[1], "identity") == 0)
        return say_identity();
    self_path = argv[0];
    bool again = false; /* what a process was started with, it shows for ever */
    for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++) {
        again = again || getenv(unwanted[i]);
        unsetenv(unwanted[i]);
    }
    if (again)
        execv("/proc/self/exe", argv);
    if (!find_cores())
        return 77;
    return cmocka_run_group_tests_name("claim", tests, NULL, NULL);
}
