/* SPDX-License-Identifier: MIT */
/* execve(2) and execveat(2): by a descriptor, beside other threads, and when they fail. */
#include "diff.h"

#include <elf.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

extern char **environ;

static void finish(pid_t pid, const char *what)
{
    int st = 0;

    waitpid(pid, &st, 0);
    printf("%s: %s %d\n", what, WIFEXITED(st) ? "exit" : "signal",
           WIFEXITED(st) ? WEXITSTATUS(st) : WTERMSIG(st));
    fflush(stdout);
}

static void copy_into(int to, const char *from)
{
    struct stat st;
    off_t at = 0;
    int fd = open(from, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st))
        exit(99);
    while (at < st.st_size && sendfile(to, fd, &at, (size_t)(st.st_size - at)) > 0) {
    }
    close(fd);
}

enum { BY_NAME, BY_DEV_FD, BY_FEXECVE, BY_VFORK, WAYS };

static void run_fd(const char *what, int fd, int way)
{
    static const char *const ways[] = {"/proc/self/fd", "/dev/fd", "fexecve", "vfork"};
    char *words[] = {"sh", "-c", "exit 7", NULL}, name[64], text[64];

    fflush(stdout);
    snprintf(name, sizeof name, way == BY_DEV_FD ? "/dev/fd/%d" : "/proc/self/fd/%d", fd);
    pid_t pid = way == BY_VFORK ? vfork() : fork();
    if (pid == 0) {
        if (way == BY_FEXECVE)
            syscall(SYS_execveat, fd, "", words, environ, AT_EMPTY_PATH);
        else
            execve(name, words, environ);
        _exit(100 + errno);
    }
    snprintf(text, sizeof text, "%s, %s", what, ways[way]);
    finish(pid, text);
}

CASE(exec, by_descriptor)
{
    int mem = memfd_create("program", MFD_CLOEXEC);
    int file = open("/bin/sh", O_RDONLY | O_CLOEXEC);
    int path = open("/bin/sh", O_PATH | O_CLOEXEC);
    int gone = open("gone", O_RDWR | O_CREAT | O_CLOEXEC, 0755);

    copy_into(mem, "/bin/sh");
    copy_into(gone, "/bin/sh");
    close(gone);
    gone = open("gone", O_RDONLY | O_CLOEXEC);
    unlink("gone");
    for (int way = 0; way < WAYS; way++) {
        run_fd("memfd", mem, way);
        run_fd("file", file, way);
        run_fd("O_PATH", path, way);
        run_fd("unlinked file", gone, way);
    }
}

/* /proc/self/exe of a program without a name still is the program. */
CASE(exec, nameless_runs_itself)
{
    const char *round = getenv("EXEC_ROUND");
    char *words[] = {"cases", "exec.nameless_runs_itself", NULL}, name[200];
    int fd = memfd_create("program", MFD_CLOEXEC);

    memset(name, 0, sizeof name);
    readlink("/proc/self/exe", name, sizeof name - 1);
    printf("round %s: %s\n", round ? round : "0", round ? name : "");
    SHOW(access("/proc/self/exe", X_OK));
    SHOW(open("/proc/self/exe", O_RDONLY | O_CLOEXEC) > 0);
    fflush(stdout);
    if (round && round[0] == '2')
        return;
    setenv("EXEC_ROUND", round ? "2" : "1", 1);
    if (round)
        execv("/proc/self/exe", words);
    copy_into(fd, "/proc/self/exe");
    fexecve(fd, words, environ);
    perror("execve");
}

static void try_file(const char *name)
{
    char *words[] = {"x", NULL};
    pid_t pid;

    fflush(stdout);
    if ((pid = fork()) == 0) {
        execve(name, words, environ);
        printf("execve %s: %s\n", name, strerrorname_np(errno));
        fflush(stdout);
        _exit(3);
    }
    finish(pid, name);
}

static void make(const char *name, const void *content, size_t size, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, content, size) != (ssize_t)size || fchmod(fd, mode) || close(fd))
        exit(99);
}

#define MAKE(name, text) make(name, text, strlen(text), 0755)

/* An ELF file that is broken in one place. */
static void make_elf(const char *name, int what)
{
    struct {
        Elf64_Ehdr e;
        Elf64_Phdr p[2];
        char interp[32];
    } f;

    memset(&f, 0, sizeof f);
    memcpy(f.e.e_ident, ELFMAG "\2\1\1", 7);
    f.e.e_type = ET_EXEC;
    f.e.e_machine = what == 0 ? EM_AARCH64 : EM_X86_64;
    f.e.e_version = EV_CURRENT;
    f.e.e_phoff = sizeof f.e;
    f.e.e_phentsize = what == 1 ? 7 : sizeof f.p[0];
    f.e.e_phnum = 2;
    f.e.e_ehsize = sizeof f.e;
    f.p[0].p_type = PT_LOAD;
    f.p[0].p_filesz = f.p[0].p_memsz = sizeof f;
    f.p[0].p_vaddr = f.e.e_entry = 0x400000;
    f.p[0].p_flags = PF_R | PF_X;
    f.p[0].p_align = PAGE;
    f.p[1].p_type = PT_INTERP;
    f.p[1].p_offset = offsetof(__typeof__(f), interp);
    snprintf(f.interp, sizeof f.interp, what == 3 ? "." : what == 4 ? "empty" : "./missing");
    f.p[1].p_filesz = strlen(f.interp) + (what == 2 ? 0 : 1);
    make(name, &f, sizeof f, 0755);
}

CASE(exec, failed)
{
    static const char *const elf[] = {"elf-machine",       "elf-phentsize",
                                      "elf-interp-no-nul", "elf-interp-directory",
                                      "elf-interp-empty",  "elf-interp-missing"};
    MAKE("empty", "");
    MAKE("text", "neither\n");
    MAKE("no-interpreter", "#!/missing/sh\n");
    MAKE("directory-interpreter", "#!/\n");
    MAKE("loop", "#!./loop\n");
    MAKE("blank", "#!   \n");
    make("plain", "#!/bin/true\n", 12, 0644);
    symlink("circle", "circle");
    mkfifo("fifo", 0755);
    for (int i = 0; i < 6; i++) {
        make_elf(elf[i], i);
        try_file(elf[i]);
    }
    try_file("empty");
    try_file("text");
    try_file("no-interpreter");
    try_file("directory-interpreter");
    try_file("loop");
    try_file("blank");
    try_file("plain");
    try_file("circle");
    try_file("fifo");
    try_file(".");
    try_file("");
    try_file("missing/x");
    try_file("text/x");
    try_file("/dev/null");
}

/* It goes on as before: signals, timers and threads too. */
CASE(exec, goes_on_after_a_failure)
{
    char *words[] = {"x", NULL};
    sigset_t set;

    poke_begin(1, SA_RESTART);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGUSR2);
    MAKE("text", "neither\n");
    for (int i = 0; i < 20; i++) {
        execve("text", words, environ);
        sleep_ms(1);
    }
    SHOW(poke_end());
    sigpending(&set);
    SHOW(sigismember(&set, SIGUSR2));
}

/* Longer than the strings of all words may be. */
CASE(exec, too_long)
{
    char *one = malloc(200000), *words[50] = {"true"}, *two[3] = {"true"};

    memset(one, 'x', 199999);
    one[131071] = 0; /* as long as one may be */
    for (int i = 1; i < 49; i++)
        words[i] = one;
    two[1] = one;
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            execv("/bin/true", i ? words : two);
            printf("%d words: %s\n", i ? 49 : 2, strerrorname_np(errno));
            fflush(stdout);
            _exit(1);
        }
        finish(pid, i ? "many" : "one");
    }
    one[131071] = 'x';
    R(execv("/bin/true", two));
}

static volatile int stop;

static void *computes(void *arg)
{
    for (unsigned long n = 0; !stop; n++)
        __asm__ volatile("" ::"r"(n));
    return arg;
}

static void *calls(void *arg)
{
    char c = 0;
    int p[2];

    if (pipe2(p, O_CLOEXEC))
        return NULL;
    while (!stop) {
        write(p[1], &c, 1);
        read(p[0], &c, 1);
        syscall(SYS_getppid);
    }
    return arg;
}

/* The others are in the middle of something when it comes. */
CASE(exec, beside_threads)
{
    const char *round = getenv("EXEC_ROUND");
    int n = round ? atoi(round) : 0;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    char *words[] = {"cases", "exec.beside_threads", NULL}, text[16];
    pthread_t t[3];

    if (n == 12) {
        printf("all of them\n");
        return;
    }
    for (int s = 34; s < 38; s++)
        if (n & 1)
            sigaction(s, &ignore, NULL);
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, i + n % 3 < 2 ? calls : computes, NULL);
    sleep_ms(2 + n * 7 % 5);
    snprintf(text, sizeof text, "%d", n + 1);
    setenv("EXEC_ROUND", text, 1);
    execv("/proc/self/exe", words);
    perror("execve");
}

/* As many as there may be are open, and stay so. */
CASE(exec, all_descriptors)
{
    struct rlimit l = {200, 200};
    char *words[] = {"x", NULL};
    int fd, last = -1;

    setrlimit(RLIMIT_NOFILE, &l);
    if (getenv("EXEC_ROUND")) {
        SHOW(open("/dev/null", O_RDONLY));
        SHOW(errno == EMFILE);
        return;
    }
    MAKE("text", "neither\n");
    while ((fd = open("/dev/null", O_RDONLY)) >= 0)
        last = fd;
    SHOW(last);
    R(execve("text", words, environ));
    setenv("EXEC_ROUND", "1", 1);
    fflush(stdout);
    execl("/proc/self/exe", "cases", "exec.all_descriptors", (char *)NULL);
    printf("execve: %s\n", strerrorname_np(errno));
}

/* A script of which only the descriptor is known. */
CASE(exec, script_by_descriptor)
{
    char *words[] = {"x", NULL};

    MAKE("script", "#!/bin/sh\necho $0 $#\n");
    for (int i = 0; i < 2; i++) {
        int fd = open("script", O_RDONLY | (i ? O_CLOEXEC : 0));
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            syscall(SYS_execveat, fd, "", words, environ, AT_EMPTY_PATH);
            printf("execveat: %s\n", strerrorname_np(errno));
            fflush(stdout);
            _exit(1);
        }
        finish(pid, "script");
        close(fd);
    }
}

/* Somebody writes to it. */
CASE(exec, written)
{
    int fd = open("copy", O_RDWR | O_CREAT | O_CLOEXEC, 0755);

    copy_into(fd, "/bin/true");
    try_file("copy");
    close(fd);
    try_file("copy");
    MAKE("script", "#!./copy\n");
    try_file("script");
    fd = open("copy", O_WRONLY | O_CLOEXEC);
    try_file("script");
    close(fd);
}

/* The program's own file is not written to. */
CASE(exec, running)
{
    char self[200];

    memset(self, 0, sizeof self);
    if (!getenv("EXEC_ROUND")) {
        int fd = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
        copy_into(fd, "/proc/self/exe");
        close(fd);
        setenv("EXEC_ROUND", "1", 1);
        execl("./program", "cases", "exec.running", (char *)NULL);
        perror("execve");
        return;
    }
    link("program", "other-name");
    symlink("program", "link");
    R(open("program", O_WRONLY));
    R(open("other-name", O_RDWR));
    R(open("link", O_RDONLY | O_TRUNC));
    R(open("program", O_WRONLY | O_CREAT, 0644));
    R(open("program", O_WRONLY | O_CREAT | O_EXCL, 0644));
    R(creat("program", 0644));
    R(truncate("program", 10));
    R(truncate("link", 10));
    R(open("/proc/self/exe", O_WRONLY));
    R(open("/proc/self/exe", O_RDWR));
    OK(open("program", O_RDONLY));
    OK(open("program", O_PATH));
    R(chmod("program", 0700));
    R(rename("program", "moved"));
    R(open("moved", O_WRONLY));
    R(unlink("moved"));
    R(open("other-name", O_WRONLY));
}

/* Runs `name` in a forked child until its end of the pipe is closed; gives that end. */
static int start_reader(const char *name, char *const words[], pid_t *pid)
{
    int p[2], ready[2];
    char byte;

    if (pipe2(p, O_CLOEXEC) || pipe2(ready, O_CLOEXEC))
        exit(99);
    fflush(stdout);
    signal(SIGPIPE, SIG_IGN);
    if ((*pid = fork()) == 0) {
        dup2(p[0], 0);
        dup2(ready[1], 1);
        execv(name, words);
        _exit(1);
    }
    close(p[0]);
    close(ready[1]);
    if (write(p[1], "x", 1) != 1 || read(ready[0], &byte, 1) != 1)
        printf("%s does not run\n", name);
    close(ready[0]);
    return p[1];
}

static void write_ways(const char *name, const char *other, const char *link)
{
    struct open_how how = {O_RDWR, 0, 0};
    long room[32];
    struct file_handle *handle = (struct file_handle *)room;
    int mount;

    memset(room, 0, sizeof room);
    handle->handle_bytes = MAX_HANDLE_SZ;
    printf("%s:\n", name);
    R(open(name, O_WRONLY));
    R(open(name, O_RDWR | O_APPEND));
    R(open(name, O_RDONLY | O_TRUNC));
    R(open(name, O_WRONLY | O_TRUNC | O_CREAT, 0644));
    R(open(name, O_WRONLY | O_CREAT | O_EXCL, 0644));
    R(open(other, O_RDWR));
    R(open(link, O_WRONLY | O_TRUNC));
    R(open(link, O_WRONLY | O_NOFOLLOW));
    R(creat(name, 0644));
    R(creat(link, 0644));
    R(truncate(name, 10));
    R(truncate(link, 10));
    R(syscall(SYS_openat2, AT_FDCWD, name, &how, sizeof how));
    if (name_to_handle_at(AT_FDCWD, name, handle, &mount, 0) == 0 && geteuid() == 0)
        R(open_by_handle_at(AT_FDCWD, handle, O_WRONLY));
    OK(open(name, O_RDONLY | O_CLOEXEC));
}

/* A file that another process executes is not written to, and after its end it is. */
CASE(exec, running_elsewhere)
{
    char *words[] = {"cat", NULL};
    struct stat st;
    pid_t pid, forked;

    int fd = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy_into(fd, "/bin/cat");
    close(fd);
    link("program", "other-name");
    symlink("program", "link");
    int end = start_reader("./program", words, &pid);
    write_ways("program", "other-name", "link");
    R(rename("program", "moved"));
    R(open("moved", O_WRONLY));
    R(rename("moved", "program"));
    close(end);
    finish(pid, "cat");
    fd = open("program", O_RDWR | O_CLOEXEC);
    printf("open after its end: %s\n", fd >= 0 ? "ok" : strerrorname_np(errno));
    end = start_reader("./program", words, &forked);
    close(end);
    finish(forked, "cat while it is open for writing");
    close(fd);
    end = start_reader("./program", words, &pid);
    kill(pid, SIGKILL);
    finish(pid, "killed");
    OK(fd = open("program", O_WRONLY | O_TRUNC | O_CLOEXEC));
    stat("program", &st);
    SHOW(st.st_size);
    close(fd);
    close(end);
}

/* A script may be written to while its interpreter runs. */
CASE(exec, interpreter_elsewhere)
{
    char *words[] = {"script", NULL};
    pid_t pid;

    int fd = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy_into(fd, "/bin/cat");
    close(fd);
    MAKE("script", "#!./program -\n");
    int end = start_reader("./script", words, &pid);
    R(open("program", O_WRONLY));
    OK(open("script", O_WRONLY | O_CLOEXEC));
    close(end);
    finish(pid, "script");
    OK(open("program", O_WRONLY | O_CLOEXEC));
}

static long long changed_ns(const char *name)
{
    struct stat st;

    if (stat(name, &st))
        exit(99);
    return st.st_mtim.tv_sec * 1000000000ll + st.st_mtim.tv_nsec;
}

/* O_TRUNC on files that may be executed and are not. */
CASE(exec, emptied)
{
    static const int flags[] = {O_WRONLY, O_RDWR, O_RDONLY, O_WRONLY | O_APPEND, O_RDWR | O_CREAT};
    struct stat st;

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        MAKE("tool", "text");
        chmod("tool", 04755);
        long long before = changed_ns("tool");
        sleep_ms(20);
        int fd = open("tool", flags[i] | O_TRUNC | O_CLOEXEC, 0600);
        stat("tool", &st);
        printf("%zu: %s, size %lld, mode %o, %s, flags %x\n", i, fd >= 0 ? "open" : "not open",
               (long long)st.st_size, st.st_mode,
               changed_ns("tool") > before ? "changed" : "as before", fcntl(fd, F_GETFL));
        close(fd);
    }
    if (geteuid() == 0 && seteuid(65534) == 0) {
        R(open("tool", O_RDONLY | O_TRUNC));
        R(open("tool", O_WRONLY | O_TRUNC));
        seteuid(0);
    }
}

/* A shared mapping writes as a descriptor does. */
CASE(exec, mapped_for_writing)
{
    int fd = open("copy", O_RDWR | O_CREAT | O_CLOEXEC, 0755);

    copy_into(fd, "/bin/true");
    void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MAPPED(p);
    close(fd);
    try_file("copy");
    munmap(p, PAGE);
    try_file("copy");
}

/* How much is passed on follows from the limit of the stack. */
CASE(exec, as_long_as_the_stack_lets)
{
    static const struct {
        rlim_t stack;
        int words; /* of 100,000 bytes */
    } how[] = {{8 << 20, 20},  {8 << 20, 21},  {64 << 20, 40},
               {64 << 20, 63}, {256 << 10, 1}, {256 << 10, 2}};
    char *one = malloc(100001), *words[70];

    memset(one, 'x', 100000);
    one[100000] = 0;
    clearenv();
    for (size_t i = 0; i < sizeof how / sizeof *how; i++) {
        struct rlimit l;
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            getrlimit(RLIMIT_STACK, &l);
            l.rlim_cur = how[i].stack;
            setrlimit(RLIMIT_STACK, &l);
            words[0] = "true";
            for (int n = 1; n <= how[i].words; n++)
                words[n] = one;
            words[how[i].words + 1] = NULL;
            execv("/bin/true", words);
            printf("%s\n", strerrorname_np(errno));
            fflush(stdout);
            _exit(1);
        }
        finish(pid, "words");
    }
}

CASE(exec, openat2_of_itself)
{
    static const char *const names[] = {"/proc/self/exe", "/proc/self/fd/0",
                                        "/proc/thread-self/exe"};
    static const struct open_how hows[] = {{O_RDONLY, 0, 0},
                                           {O_RDONLY, 0, RESOLVE_NO_MAGICLINKS},
                                           {O_RDONLY, 0, RESOLVE_NO_SYMLINKS},
                                           {O_RDONLY, 0, RESOLVE_NO_XDEV},
                                           {O_RDONLY, 0, RESOLVE_BENEATH},
                                           {O_RDONLY | O_NOFOLLOW, 0, 0},
                                           {O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_MAGICLINKS}};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < sizeof hows / sizeof *hows; k++) {
            errno = 0;
            long fd = syscall(SYS_openat2, AT_FDCWD, names[i], &hows[k], sizeof hows[k]);
            printf("%s, resolve %llx: %s\n", names[i], (unsigned long long)hows[k].resolve,
                   fd >= 0 ? "open" : strerrorname_np(errno));
        }
}

/* Its path is longer than PATH_MAX: nobody can tell it. */
CASE(exec, deep_directory)
{
    char name[201];

    memset(name, 'd', 200);
    name[200] = 0;
    for (int i = 0; i < 22; i++)
        if (mkdir(name, 0755) || chdir(name))
            exit(99);
    R(readlink("/proc/self/cwd", name, sizeof name));
    R(syscall(SYS_getcwd, name, sizeof name));
    int fd = open("program", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    copy_into(fd, "/bin/true");
    close(fd);
    try_file("./program");
}

/* A program that its user may execute and not read. */
CASE(exec, unreadable)
{
    char *argv[] = {"here", "-c", "exit 6", NULL};
    int from = open("/bin/sh", O_RDONLY), to = open("here", O_CREAT | O_WRONLY, 0755), st = 0;
    char buf[65536];
    ssize_t n;
    while ((n = read(from, buf, sizeof buf)) > 0)
        if (write(to, buf, (size_t)n) != n)
            return;
    close(from);
    close(to);
    R(chmod(".", 0755));
    R(chmod("here", 0111));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && setresuid(65534, 65534, 65534))
            _exit(1);
        R(open("here", O_RDONLY));
        fflush(stdout);
        execv("./here", argv);
        printf("%s\n", strerrorname_np(errno));
        fflush(stdout);
        _exit(127);
    }
    SHOW(waitpid(pid, &st, 0) == pid);
    SHOW(st);
}
