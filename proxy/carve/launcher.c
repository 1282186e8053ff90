/* SPDX-License-Identifier: MIT */
#include "carve/launcher.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "carve/host.h"

#define CPUS_MAX 8192u /* the greatest NR_CPUS of x86-64 */
#define RANKS_MAX 4096u
#define JOB_RANKS_MAX (1u << 24)
#define MIB_MAX (1u << 30)
#define WORD_MAX 4096 /* a mask of 8192 CPUs is 2048 digits */

/* False: unset or no number up to `max`. */
static bool read_number(const char *name, unsigned max, unsigned *v)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return false;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (errno != 0 || *end != '\0' || n > max)
        return false;
    *v = (unsigned)n;
    return true;
}

/* "4(x2),3": 4 tasks on each of two nodes, 3 on the next. 0: not so. */
static unsigned tasks_of_node(const char *text, unsigned node)
{
    while (*text >= '0' && *text <= '9') {
        char *end;
        unsigned long tasks = strtoul(text, &end, 10), nodes = 1;
        if (strncmp(end, "(x", 2) == 0) {
            nodes = strtoul(end + 2, &end, 10);
            if (*end++ != ')')
                return 0;
        }
        if (*end != ',' && *end != '\0')
            return 0;
        if (node < nodes)
            return tasks <= RANKS_MAX ? (unsigned)tasks : 0;
        if (*end == '\0')
            return 0;
        node -= (unsigned)nodes;
        text = end + 1;
    }
    return 0;
}

static bool slurm_tasks(unsigned *tasks)
{
    unsigned node = 0;
    const char *step = getenv("SLURM_STEP_TASKS_PER_NODE");
    const char *job = getenv("SLURM_TASKS_PER_NODE");
    bool known = read_number("SLURM_NODEID", JOB_RANKS_MAX, &node);
    *tasks = step && known ? tasks_of_node(step, node) : 0;
    if (*tasks > 0 || read_number("SLURM_NTASKS_PER_NODE", RANKS_MAX, tasks))
        return true;
    *tasks = job && known ? tasks_of_node(job, node) : 0;
    return *tasks > 0;
}

void launcher_read(struct launcher *l)
{
    static const char *const names[][3] = {
        {"Hydra", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
        {"Open MPI", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
        {"PALS", "PMI_LOCAL_RANK", "PMI_LOCAL_SIZE"},
    };
    unsigned rank, ranks;
    *l = (struct launcher){.ranks = 1};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (read_number(names[i][1], RANKS_MAX, &rank) &&
            read_number(names[i][2], RANKS_MAX, &ranks) && rank < ranks) {
            *l = (struct launcher){names[i][0], rank, ranks, false};
            return;
        }
    }
    /* a batch script has variables of tasks, but only a step has tasks */
    if (getenv("SLURM_JOB_ID") && !getenv("SLURM_STEP_ID"))
        return;
    if (read_number("SLURM_LOCALID", RANKS_MAX, &rank) && slurm_tasks(&ranks) && rank < ranks)
        *l = (struct launcher){"Slurm", rank, ranks, true};
}

uint64_t launcher_start(pid_t pid, pid_t *parent)
{
    char path[40], text[1024];
    struct process_stat st = {.start = 0};
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    text[n] = '\0';
    bool whole = process_stat_parse(text, &st);
    if (parent)
        *parent = st.parent;
    return whole ? st.start : 0;
}

/* Was a process started as a rank? One that is not ours to look at is a launcher. A batch script of
   Slurm's has SLURM_LOCALID, and may start several launches. */
static bool is_rank(pid_t pid, bool slurm)
{
    static const char *const marks[] = {"MPI_LOCALRANKID=", "OMPI_COMM_WORLD_LOCAL_RANK=",
                                        "PMI_LOCAL_RANK=",  "PMI_RANK=",
                                        "PMIX_RANK=",       "SLURM_LOCALID="};
    const size_t n = sizeof marks / sizeof marks[0] - !slurm;
    char path[40], *word = NULL;
    size_t size = 0;
    bool found = false;
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    FILE *f = fopen(path, "re");
    while (f && !found && getdelim(&word, &size, '\0', f) > 0)
        for (size_t i = 0; i < n; i++)
            found = found || strncmp(word, marks[i], strlen(marks[i])) == 0;
    free(word);
    if (f)
        fclose(f);
    return found;
}

void launcher_identity(const struct launcher *l, pid_t *pid, uint64_t *start)
{
    pid_t at = getpid(), parent;
    *start = launcher_start(at, &parent);
    if (l->ranks > 1) {
        do {
            at = parent;
            *start = launcher_start(at, &parent);
        } while (*start && parent > 0 && is_rank(at, l->slurm));
    }
    if (*start == 0 && l->ranks > 1 && at == getppid() && at > 1) {
        *pid = at; /* another user's, and /proc shows one's own processes only */
        return;
    }
    if (*start == 0) { /* it has gone, or is not to be seen: nothing in common with anybody */
        at = getpid();
        *start = launcher_start(at, NULL);
    }
    *pid = at;
}

/* The next mask ("0x3") or CPU ("4") of a list into `set`. What follows, NULL: nonsense. */
static const char *next_binding(const char *p, bool mask, hwloc_cpuset_t set)
{
    char word[WORD_MAX];
    size_t n = strcspn(p, ",");
    if (n == 0 || n >= sizeof word)
        return NULL;
    memcpy(word, p, n);
    word[n] = '\0';
    hwloc_bitmap_zero(set);
    if (mask) {
        if (word[strspn(word, "0123456789abcdefABCDEFx")] != '\0' ||
            hwloc_bitmap_taskset_sscanf(set, word) != 0)
            return NULL;
    } else {
        char *end;
        unsigned long cpu = strtoul(word, &end, 0);
        if (*end != '\0' || cpu >= CPUS_MAX || hwloc_bitmap_set(set, (unsigned)cpu) != 0)
            return NULL;
    }
    return p[n] == ',' ? p + n + 1 : p + n;
}

/* Binding of local rank `rank`; a list that is too short begins anew. */
static bool binding_of(const char *list, bool mask, unsigned rank, hwloc_cpuset_t set)
{
    const char *p = list;
    for (unsigned i = 0; i <= rank; i++) {
        if (*p == '\0')
            p = list;
        p = next_binding(p, mask, set);
        if (!p)
            return false;
    }
    return true;
}

bool launcher_slurm_group(const struct launcher *l, hwloc_const_cpuset_t allowed, unsigned *rank,
                          unsigned *ranks)
{
    const char *text = getenv("SLURM_CPU_BIND"), *list = NULL;
    bool found = false;
    unsigned place = 0, sharers = 0;
    if (l->slurm && text)
        list = strstr(text, "mask_cpu:") ? strstr(text, "mask_cpu:") : strstr(text, "map_cpu:");
    if (!list)
        return false;
    bool mask = list[1] == 'a' && list[2] == 's';
    list = strchr(list, ':') + 1;
    hwloc_cpuset_t mine = hwloc_bitmap_alloc(), other = hwloc_bitmap_alloc();
    if (!mine || !other || !binding_of(list, mask, l->rank, mine) ||
        !hwloc_bitmap_isequal(mine, allowed))
        goto out;
    for (unsigned i = 0; i < l->ranks; i++) {
        if (!binding_of(list, mask, i, other))
            goto out;
        bool same = hwloc_bitmap_isequal(mine, other);
        if (!same && hwloc_bitmap_intersects(mine, other))
            goto out;
        place += same && i < l->rank;
        sharers += same;
    }
    *rank = place;
    *ranks = sharers;
    found = true;
out:
    hwloc_bitmap_free(mine);
    hwloc_bitmap_free(other);
    return found;
}

unsigned launcher_slurm_cpus(void)
{
    unsigned n;
    return read_number("SLURM_CPUS_PER_TASK", CPUS_MAX, &n) ? n : 0;
}

uint64_t launcher_slurm_memory(unsigned ranks)
{
    unsigned mib, cpus;
    if (read_number("SLURM_MEM_PER_NODE", MIB_MAX, &mib))
        return (uint64_t)mib << 20;
    if (!read_number("SLURM_MEM_PER_CPU", MIB_MAX, &mib))
        return 0;
    if (!read_number("SLURM_CPUS_ON_NODE", CPUS_MAX, &cpus) || cpus == 0) {
        cpus = launcher_slurm_cpus();
        cpus = (cpus > 0 ? cpus : 1) * ranks;
    }
    return ((uint64_t)mib << 20) * cpus;
}

unsigned launcher_job_rank(void)
{
    /* Open MPI first: in a job of Slurm's, mpirun's daemons are ranks of Slurm's PMI */
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK",        "PMIX_RANK",
                                        "SLURM_PROCID",         "MPI_LOCALRANKID", "SLURM_LOCALID"};
    unsigned rank;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (read_number(names[i], JOB_RANKS_MAX, &rank))
            return rank;
    return 0;
}

unsigned launcher_job_ranks(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    unsigned ranks;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (read_number(names[i], JOB_RANKS_MAX, &ranks))
            return ranks;
    return 0;
}

const char *launcher_binding_hint(const struct launcher *l)
{
    unsigned on;
    if (!l->name || strcmp(l->name, "Open MPI") != 0 ||
        !read_number("OMPI_MCA_orte_bound_at_launch", 1, &on) || on == 0)
        return "";
    return "; Open MPI has bound this rank, to bind it to more CPUs or to none: mpirun --map-by "
           "slot:PE=N, --bind-to none";
}

int launcher_affinity(int pid, hwloc_cpuset_t set)
{
    size_t size = CPU_ALLOC_SIZE(CPUS_MAX);
    cpu_set_t *mask = CPU_ALLOC(CPUS_MAX);
    int rc = 0;
    if (!mask)
        return -ENOMEM;
    CPU_ZERO_S(size, mask);
    if (sched_getaffinity(pid, size, mask) != 0)
        rc = -errno;
    for (unsigned c = 0; rc == 0 && c < CPUS_MAX; c++)
        if (CPU_ISSET_S(c, size, mask) && hwloc_bitmap_set(set, c) != 0)
            rc = -ENOMEM;
    CPU_FREE(mask);
    return rc;
}

bool launcher_overcommits(void)
{
    static const char *const names[] = {"SLURM_OVERCOMMIT", "OMPI_MCA_rmaps_base_oversubscribe",
                                        "OMPI_MCA_mpi_oversubscribe"};
    unsigned on;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (read_number(names[i], UINT16_MAX, &on) && on > 0)
            return true;
    return false;
}
