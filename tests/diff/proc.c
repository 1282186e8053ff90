/* SPDX-License-Identifier: MIT */
/* What the program sees of itself in /proc. */
#include "diff.h"

#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static char text[1 << 20];

static char *slurp(const char *path)
{
    int fd = open(path, O_RDONLY);
    size_t n = 0;
    long got;

    if (fd < 0) {
        printf("%s: %s\n", path, strerrorname_np(errno));
        text[0] = 0;
        return text;
    }
    while (n < sizeof text - 1 && (got = read(fd, text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = 0;
    close(fd);
    return text;
}

/* The first line of a file that begins so. */
static void show_line(const char *path, const char *begins)
{
    char *save = NULL, *line = strtok_r(slurp(path), "\n", &save);

    for (; line; line = strtok_r(NULL, "\n", &save))
        if (strncmp(line, begins, strlen(begins)) == 0) {
            puts(line);
            return;
        }
    printf("no %s\n", begins);
}

CASE(proc, exe_and_links)
{
    char buf[PATH_MAX] = "", name[64];

    R(readlink("/proc/self/exe", buf, sizeof buf - 1) > 0);
    puts(buf);
    memset(buf, 0, sizeof buf);
    R(readlink("/proc/self/cwd", buf, sizeof buf - 1) > 0);
    puts(strrchr(buf, '/') ? strrchr(buf, '/') : buf);
    memset(buf, 0, sizeof buf);
    R(readlink("/proc/self/root", buf, sizeof buf - 1));
    snprintf(name, sizeof name, "/proc/%d/exe", getpid());
    memset(buf, 0, sizeof buf);
    R(readlink(name, buf, sizeof buf - 1) > 0);
    puts(buf);
    R(readlink("/proc/self/exe", buf, 3));
}

CASE(proc, cmdline)
{
    slurp("/proc/self/cmdline");
    puts(text);
    puts(text + strlen(text) + 1);
}

CASE(proc, environ)
{
    setenv("LATER", "not in environ", 1);
    slurp("/proc/self/environ");
    SHOW(memmem(text, sizeof text, "LATER", 5) != NULL);
    SHOW(memmem(text, sizeof text, "PATH=", 5) != NULL);
}

CASE(proc, comm)
{
    show_line("/proc/self/comm", "");
    R(prctl(PR_SET_NAME, "renamed"));
    show_line("/proc/self/comm", "");
    show_line("/proc/self/status", "Name:");
}

CASE(proc, comm_written)
{
    int fd;

    R(fd = open("/proc/self/comm", O_WRONLY));
    R(write(fd, "written", 7));
    show_line("/proc/self/comm", "");
}

CASE(proc, status)
{
    char pid[64];

    show_line("/proc/self/status", "Name:");
    show_line("/proc/self/status", "State:");
    show_line("/proc/self/status", "Threads:");
    show_line("/proc/self/status", "Uid:");
    show_line("/proc/self/status", "Cpus_allowed_list:");
    slurp("/proc/self/status");
    snprintf(pid, sizeof pid, "\nPid:\t%d\n", getpid());
    SHOW(strstr(text, pid) != NULL);
}

CASE(proc, status_of_signals)
{
    sigset_t set;

    signal(SIGUSR2, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    R(sigprocmask(SIG_BLOCK, &set, NULL));
    R(kill(getpid(), SIGUSR1));
    show_line("/proc/self/status", "ShdPnd:");
    show_line("/proc/self/status", "SigBlk:");
    show_line("/proc/self/status", "SigIgn:");
}

CASE(proc, stat)
{
    char comm[64] = "", state = 0;
    int pid = 0, ppid = 0;

    slurp("/proc/self/stat");
    SHOW(sscanf(text, "%d (%63[^)]) %c %d", &pid, comm, &state, &ppid));
    SHOW(pid == getpid());
    puts(comm);
    SHOW(state);
    SHOW(ppid == getppid());
}

CASE(proc, descriptors)
{
    char name[64], link[256] = "";
    int fd = file_with("f", ""), n = 0;
    DIR *d = opendir("/proc/self/fd");

    if (!d) {
        puts(strerrorname_np(errno));
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    SHOW(n); /* with the directory's own */
    closedir(d);
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    R(readlink(name, link, sizeof link - 1) > 0);
    puts(strrchr(link, '/') ? strrchr(link, '/') : link);
    R(readlink("/proc/self/fd/500", link, sizeof link));
    R(open(name, O_RDONLY) > fd);
}

/* By name from inside, too: nothing but what is the program's. */
CASE(proc, descriptors_from_inside)
{
    char name[32], link[256];
    int hidden = 0, n = 0;
    OK(open("/dev/null", O_RDONLY));
    int dir = (int)OK(open("/proc/self/fd", O_RDONLY | O_DIRECTORY));
    R(fchdir(dir));
    for (int fd = 0; fd < 24000; fd++) {
        snprintf(name, sizeof name, "%d", fd);
        bool there = (fd & 1 ? readlink(name, link, sizeof link)
                             : readlinkat(dir, name, link, sizeof link)) > 0;
        n += there;
        hidden += there && fcntl(fd, F_GETFD) < 0;
    }
    SHOW(n > 4);
    SHOW(hidden);
    R(chdir(".."));
    ssize_t len = readlink("exe", link, sizeof link);
    SHOW(len > 0);
    printf("%.*s\n", (int)len, link + (len > 5 ? len - 5 : 0));
    R(chdir("task"));
    snprintf(name, sizeof name, "%d/comm", (int)gettid());
    puts(slurp(name) ? text : "none");
}

CASE(proc, fdinfo)
{
    char name[64];
    int fd = file_with("f", "abc");

    lseek(fd, 2, SEEK_SET);
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    show_line(name, "pos:");
    show_line(name, "flags:");
    R(access("/proc/self/fdinfo/500", F_OK));
}

CASE(proc, maps)
{
    char self[PATH_MAX] = "", *line, *save = NULL;
    int heap = 0, stack = 0, program = 0, here = 0;

    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        puts("no exe");
    free(malloc(1000));
    for (line = strtok_r(slurp("/proc/self/maps"), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        uintptr_t from = 0, to = 0;
        char rights[8] = "";
        sscanf(line, "%lx-%lx %7s", &from, &to, rights);
        heap |= strstr(line, "[heap]") != NULL;
        stack |= strstr(line, "[stack]") != NULL;
        program |= strstr(line, self) != NULL;
        if ((uintptr_t)slurp >= from && (uintptr_t)slurp < to) {
            puts(rights);
            here++;
        }
    }
    SHOW(heap);
    SHOW(stack);
    SHOW(program);
    SHOW(here);
}

CASE(proc, limits)
{
    show_line("/proc/self/limits", "Max file size");
    show_line("/proc/self/limits", "Max core file size");
}

CASE(proc, task)
{
    char name[64];
    DIR *d = opendir("/proc/self/task");
    int n = 0;

    if (!d) {
        puts(strerrorname_np(errno));
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    SHOW(n);
    snprintf(name, sizeof name, "/proc/self/task/%d/comm", gettid());
    show_line(name, "");
}

CASE(proc, auxv)
{
    unsigned long *v = (unsigned long *)(void *)text;
    int phdr = 0, pagesz = 0;

    memset(text, 0, sizeof text);
    slurp("/proc/self/auxv");
    for (; v[0] && (char *)v < text + sizeof text - 16; v += 2) {
        phdr |= v[0] == 3;
        pagesz |= v[0] == 6 && v[1] == PAGE;
    }
    SHOW(phdr);
    SHOW(pagesz);
}

CASE(proc, system_files)
{
    show_line("/proc/sys/kernel/ostype", "");
    show_line("/proc/version", "Linux");
    show_line("/proc/filesystems", "nodev\tproc");
    show_line("/proc/sys/kernel/pid_max", "");
    R(access("/proc/self/none", F_OK));
    R(access("/proc/1/status", F_OK));
    R(open("/proc/self/none", O_RDONLY));
}

CASE(proc, nproc)
{
    R(sysconf(_SC_NPROCESSORS_ONLN) > 0);
    show_line("/proc/self/status", "Cpus_allowed_list:");
}

static pthread_barrier_t both;

static void *named(void *arg)
{
    pthread_setname_np(pthread_self(), "by itself");
    *(int *)arg = gettid();
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&both);
    return NULL;
}

/* What a thread is called, by several ways to it. */
static void show_names(int tid)
{
    char name[64], got[16] = "";

    snprintf(name, sizeof name, "/proc/self/task/%d/comm", tid);
    show_line(name, "");
    snprintf(name, sizeof name, "/proc/%d/task/%d/status", getpid(), tid);
    show_line(name, "Name:");
    show_line(name, "Threads:");
    snprintf(name, sizeof name, "/proc/self//task/%d/stat", tid);
    slurp(name);
    SHOW(atoi(text) == tid);
    puts(strchr(text, '(') ? strtok(strchr(text, '('), " ") : "?");
    R(prctl(PR_GET_NAME, got));
    puts(got);
}

CASE(proc, threads)
{
    char name[64];
    int tid = 0, n = 0, found = 0, fd;
    pthread_t t;
    DIR *d;

    pthread_barrier_init(&both, NULL, 2);
    R(pthread_create(&t, NULL, named, &tid));
    pthread_barrier_wait(&both);
    d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d)); n++)
        found += atoi(e->d_name) == tid || atoi(e->d_name) == getpid();
    SHOW(n);
    SHOW(found);
    if (d) {
        rewinddir(d);
        R(readdir(d) != NULL);
        closedir(d);
    }
    show_names(tid);
    SHOW(pthread_setname_np(t, "by another"));
    show_names(tid);
    SHOW(pthread_setname_np(pthread_self(), "main"));
    show_names(getpid());
    snprintf(name, sizeof name, "/proc/self/task/%d", tid);
    R(access(name, F_OK));
    R(access("/proc/self/task/1", F_OK));
    snprintf(name, sizeof name, "/proc/self/task/%d/comm", tid);
    R(fd = open(name, O_RDWR));
    R(write(fd, "much longer than a name may be", 30));
    R(close(fd));
    show_line(name, "");
    R(access("/proc/thread-self/status", R_OK));
    show_line("/proc/thread-self/comm", "");
    pthread_barrier_wait(&both);
    R(pthread_join(t, NULL));
    R(access(name, F_OK));
    R(open(name, O_RDONLY));
}

CASE(proc, smaps)
{
    static char touched[64 * PAGE];
    char *line, *save = NULL;
    unsigned long rss = 0, kb, size = 0, mappings = 0;

    memset(touched, 1, sizeof touched);
    for (line = strtok_r(slurp("/proc/self/smaps"), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        size += sscanf(line, "Size: %lu kB", &kb) == 1 && kb > 0;
        rss += sscanf(line, "Rss: %lu kB", &kb) == 1 ? kb : 0;
        mappings += strncmp(line, "VmFlags: ", 9) == 0;
    }
    SHOW(size > 5);
    SHOW(mappings == size);
    SHOW(rss >= 64 * 4);
    rss = 0;
    for (line = strtok_r(slurp("/proc/self/smaps_rollup"), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, "[rollup]"))
            SHOW(strstr(line, " ---p 00000000 00:00 0 ") != NULL);
        rss += sscanf(line, "Rss: %lu kB", &kb) == 1 ? kb : 0;
        if (strchr(line, ':') && !strstr(line, "[rollup]"))
            printf("%.*s\n", (int)(strchr(line, ':') - line), line);
    }
    SHOW(rss >= 64 * 4);
}

/*
 * The form of a generated file: its text without the numbers. "#" is a number, "#12" one that ends
 * in column 12 behind blanks. A file that repeats itself for each mapping is shown up to its
 * second.
 */
static void show_form(const char *path)
{
    bool once = strstr(path, "maps") != NULL;
    char *save = NULL, *line = strtok_r(slurp(path), "\n", &save);

    printf("== %s\n", path);
    for (int n = 0; line; line = strtok_r(NULL, "\n", &save), n++) {
        bool first = true, blank = false;
        if (once && n &&
            (strchr(line, '-') ? strspn(line, "0123456789abcdef") >= 8
                               : strstr(path, "numa_maps") != NULL))
            break;
        if (once && !n)
            line = strtok_r(NULL, "\n", &save); /* an address, and a name */
        if (!line)
            break;
        if (!strncmp(line, "VmFlags", 7) || !strncmp(line, "flags", 5))
            line[7] = 0;
        for (char *p = line; *p; first = false) {
            size_t digits = strspn(p, "0123456789abcdef");
            bool word = !first && (isalnum((unsigned char)p[-1]) || p[-1] == '_');
            bool number = digits && strpbrk(p, "0123456789") &&
                          strpbrk(p, "0123456789") < p + digits && !word &&
                          !isalnum((unsigned char)p[digits]) && p[digits] != '_';
            if (number) {
                p += digits;
                if (blank)
                    printf("#%d", (int)(p - line));
                else
                    printf("#");
                blank = false;
                continue;
            }
            if (*p == ' ' && (p[1] == ' ' || blank))
                blank = true; /* aligned to the right */
            else
                putchar(*p);
            p++;
        }
        putchar('\n');
    }
}

CASE(proc, forms)
{
    static const char *const files[] = {
        "/proc/self/status",
        "/proc/self/stat",
        "/proc/self/statm",
        "/proc/self/limits",
        "/proc/self/io",
        "/proc/self/sched",
        "/proc/self/schedstat",
        "/proc/self/smaps",
        "/proc/self/smaps_rollup",
        "/proc/self/wchan",
        "/proc/self/timerslack_ns",
        "/proc/self/oom_score",
        "/proc/self/personality",
        "/proc/self/comm",
        "/proc/self/task/self",
        "/proc/thread-self/status",
        "/proc/thread-self/stat",
        "/proc/thread-self/sched",
        "/proc/meminfo",
        "/proc/cpuinfo",
        "/sys/devices/system/cpu/online",
        "/sys/devices/system/cpu/possible",
        "/sys/devices/system/cpu/present",
        "/sys/devices/system/node/online",
        "/sys/devices/system/node/has_cpu",
        "/sys/devices/system/node/node0/cpulist",
        "/sys/devices/system/node/node0/cpumap",
        "/sys/devices/system/node/node0/distance",
        "/sys/devices/system/node/node0/meminfo",
        "/sys/devices/system/cpu/cpu0/topology/core_siblings",
        "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        show_form(files[i]);
}

CASE(proc, possible_cpus)
{
    show_line("/sys/devices/system/cpu/possible", "");
    show_line("/sys/devices/system/cpu/present", "");
    SHOW(sysconf(_SC_NPROCESSORS_CONF));
    SHOW(sched_getcpu() < sysconf(_SC_NPROCESSORS_CONF));
}

static long status_kb(const char *key)
{
    char *p = strstr(slurp("/proc/self/status"), key);

    return p ? strtol(p + strlen(key), NULL, 10) : -1;
}

static long statm_kb(int field)
{
    long v[2] = {-1, -1};

    return sscanf(slurp("/proc/self/statm"), "%ld %ld", v, v + 1) == 2 ? v[field] * 4 : -1;
}

static long maxrss_kb(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return r.ru_maxrss;
}

CASE(proc, memory_comes_and_goes)
{
    long more = 100 << 10, rss = status_kb("VmRSS:"), size = status_kb("VmSize:"),
         all = statm_kb(0), resident = statm_kb(1);

    SHOW(rss > 0 && rss < 30000 && maxrss_kb() < 60000 && size < 200000);
    char *p =
        mmap(NULL, (size_t)more << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, (size_t)more << 10);
#define GROWN(now, before) ((now) - (before) >= more * 9 / 10 && (now) - (before) <= more * 3 / 2)
    SHOW(GROWN(status_kb("VmRSS:"), rss));
    SHOW(GROWN(status_kb("VmSize:"), size));
    SHOW(GROWN(statm_kb(0), all));
    SHOW(GROWN(statm_kb(1), resident));
    SHOW(maxrss_kb() >= more);
    SHOW(status_kb("VmHWM:") >= more);
    SHOW(status_kb("RssAnon:") >= more);
    munmap(p, (size_t)more << 10);
    SHOW(status_kb("VmRSS:") < rss + more / 2);
    SHOW(status_kb("VmSize:") < size + more / 2);
    SHOW(status_kb("VmPeak:") >= more);
    SHOW(status_kb("VmHWM:") >= more);
    SHOW(maxrss_kb() >= more);
}

static void *sleeps(void *arg)
{
    sleep_ms(60000);
    return arg;
}

CASE(proc, state_of_threads)
{
    char name[64];
    pthread_t t;
    pid_t self = getpid();

    R(pthread_create(&t, NULL, sleeps, NULL));
    sleep_ms(50);
    DIR *d = opendir("/proc/self/task");
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] == '.' || atoi(e->d_name) == self)
            continue;
        snprintf(name, sizeof name, "/proc/self/task/%.16s/status", e->d_name);
        show_line(name, "State:");
    }
    if (d)
        closedir(d);
    show_line("/proc/self/status", "State:");
    show_line("/proc/thread-self/status", "State:");
}

static void *reads_main(void *arg)
{
    sleep_ms(50);
    show_line("/proc/self/status", "State:");
    show_line("/proc/thread-self/status", "State:");
    return arg;
}

CASE(proc, state_of_a_waiting_main_thread)
{
    pthread_t t;

    R(pthread_create(&t, NULL, reads_main, NULL));
    R(pthread_join(t, NULL));
}

static long io_of(const char *key)
{
    char *p = strstr(slurp("/proc/self/io"), key);

    return p ? strtol(p + strlen(key), NULL, 10) : -1;
}

CASE(proc, io)
{
    char block[1000] = "";
    int fd = file_with("f", "");
    long written = io_of("wchar: "), calls = io_of("syscw: ");

    SHOW(io_of("rchar: ") < 100000);
    for (int i = 0; i < 10; i++)
        if (write(fd, block, sizeof block) != sizeof block)
            perror("write");
    SHOW(io_of("wchar: ") - written);
    SHOW(io_of("syscw: ") - calls);
    SHOW(io_of("wchar: ") < 100000);
}

CASE(proc, pagemap)
{
    uint64_t entry = 1;
    int fd;

    R(fd = open("/proc/self/pagemap", O_RDONLY));
    R(pread(fd, &entry, 8, (off_t)((uintptr_t)&entry / PAGE * 8)));
    SHOW(entry & ((1ul << 55) - 1) && geteuid() != 0);
    R(open("/proc/self/pagemap", O_RDWR) >= 0 && geteuid() != 0);
}

static uint64_t pagemap_entry(const void *at)
{
    uint64_t entry = 1;
    int fd = open("/proc/self/pagemap", O_RDONLY);
    if (pread(fd, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)) != 8)
        perror("pagemap");
    close(fd);
    return entry;
}

CASE(proc, pagemap_of_what_is_touched)
{
    char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int fd = file_with("f", "x");
    char *f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *closed;
    *p = *q = *f = 1;
    SHOW(pagemap_entry(p) >> 61);
    SHOW(pagemap_entry(q) >> 61);
    SHOW(pagemap_entry(f) >> 61);
    SHOW((pagemap_entry(f) & ((1ul << 55) - 1)) != 0);
    closed = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(pagemap_entry(closed));
    R(madvise(q, PAGE, 102)); /* MADV_GUARD_INSTALL */
    SHOW(pagemap_entry(q) >> 55);
    R(munmap(q, 4 * PAGE));
    SHOW(pagemap_entry(q));
}

CASE(proc, switches)
{
    struct rusage before, after;

    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 3; i++)
        sleep_ms(2);
    getrusage(RUSAGE_SELF, &after);
    SHOW(after.ru_nvcsw - before.ru_nvcsw >= 3);
    SHOW(status_kb("\nvoluntary_ctxt_switches:") >= 3);
}

/* The state of a process in /proc/PID/stat, and in status. */
static char state_of(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    const char *at = strstr(slurp(path), "\nState:\t");
    char status = at ? at[8] : '?';
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    at = strrchr(slurp(path), ')');
    char stat = at ? at[2] : '?';
    return stat == status ? stat : '!';
}

/* Waits for it; 0: it does not come within five seconds. */
static int comes_to(pid_t pid, char state)
{
    for (int i = 0; i < 500; i++) {
        if (state_of(pid) == state)
            return 1;
        sleep_ms(10);
    }
    return 0;
}

CASE(proc, state_of_a_child)
{
    int p[2];
    char c = 0;
    volatile char *shared =
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    OK(pipe(p));
    pid_t pid = fork();
    if (pid == 0) {
        shared[0] = 1;
        while (!shared[1])
            ;
        (void)!read(p[0], &c, 1);
        while (c)
            ;
        pause();
        _exit(0);
    }
    while (!shared[0])
        sleep_ms(1);
    SHOW(comes_to(pid, 'R'));
    shared[1] = 1;
    SHOW(comes_to(pid, 'S')); /* in read */
    c = 0;
    R(write(p[1], &c, 1));
    SHOW(comes_to(pid, 'S')); /* in pause */
    R(kill(pid, SIGSTOP));
    SHOW(comes_to(pid, 'T'));
    R(kill(pid, SIGCONT));
    SHOW(comes_to(pid, 'S'));
    R(kill(pid, SIGKILL));
    SHOW(comes_to(pid, 'Z'));
}
