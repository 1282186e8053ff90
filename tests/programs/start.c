/* SPDX-License-Identifier: MIT */
/* What a program finds when it starts: arguments, environment, auxiliary vector, TLS, identity. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

static _Thread_local int tls_data = 42;
static _Thread_local int tls_bss;
static _Thread_local char tls_aligned[64] __attribute__((aligned(64)));
static int constructed;
static const char *const relocated[] = {"one", "two", "three"};

__attribute__((constructor)) static void construct(void)
{
    constructed = 1;
}

__attribute__((destructor)) static void destruct(void)
{
    puts("destructor");
}

static void last(void)
{
    puts("atexit first registered");
}

static void first(void)
{
    puts("atexit last registered");
}

static void check_auxv(const char *argv0)
{
    const Elf64_Phdr *ph = (const Elf64_Phdr *)getauxval(AT_PHDR);
    unsigned loads = 0;
    const unsigned char *random = (const unsigned char *)getauxval(AT_RANDOM);

    check_section("auxv");
    CHECK(getauxval(AT_PAGESZ) == 4096);
    CHECK(getauxval(AT_CLKTCK) == 100);
    CHECK(getauxval(AT_PHENT) == sizeof(Elf64_Phdr));
#ifdef GUEST_DYNAMIC
    CHECK(getauxval(AT_BASE) != 0);
#else
    CHECK(getauxval(AT_BASE) == 0);
#endif
    CHECK(getauxval(AT_ENTRY) != 0);
    CHECK(getauxval(AT_SECURE) == 0);
    CHECK(getauxval(AT_UID) == getuid());
    CHECK(getauxval(AT_EUID) == geteuid());
    CHECK(getauxval(AT_GID) == getgid());
    CHECK(getauxval(AT_EGID) == getegid());
    CHECK(getauxval(AT_MINSIGSTKSZ) >=
          1024); /* what a frame takes; less than 2048 without AVX-512 */
    if (CHECK(getauxval(AT_EXECFN))) {
        printf("run as %s, argv[0] %s\n", (const char *)getauxval(AT_EXECFN), argv0);
    }
    if (CHECK(getauxval(AT_PLATFORM))) {
        CHECK(strcmp((const char *)getauxval(AT_PLATFORM), "x86_64") == 0);
    }
    if (CHECK(random)) {
        unsigned sum = 0;
        for (int i = 0; i < 16; i++) {
            sum |= random[i];
        }
        CHECK(sum != 0);
    }
    if (CHECK(ph)) {
        for (unsigned i = 0; i < getauxval(AT_PHNUM); i++) {
            loads += ph[i].p_type == PT_LOAD;
        }
        CHECK(loads >= 1);
    }
    if (getauxval(AT_HWCAP2) & 2) { /* FSGSBASE may be used */
        uint64_t fs, self;

        __asm__ volatile("rdfsbase %0" : "=r"(fs));
        __asm__ volatile("mov %%fs:0, %0" : "=r"(self));
        CHECK(fs == self);
    }
}

static void check_tls(void)
{
    check_section("tls");
    CHECK(tls_data == 42 && tls_bss == 0);
    tls_data++;
    tls_bss = 7;
    CHECK(tls_data == 43 && tls_bss == 7);
    CHECK((uintptr_t)tls_aligned % 64 == 0);
    CHECK(constructed == 1);
    CHECK(strcmp(relocated[2], "three") == 0);
    CHECK((uintptr_t)__builtin_frame_address(0) % 16 == 0);
}

static void check_identity(const char *argv0)
{
    char path[4096], name[17] = "";
    const char *base = strrchr(argv0, '/');
    struct utsname u;
    struct rlimit stack;
    cpu_set_t set;
    ssize_t n;

    check_section("identity");
    n = readlink("/proc/self", path, sizeof(path) - 1);
    if (CHECK(n > 0)) {
        path[n] = 0;
        CHECK(atoi(path) == getpid());
    }
    CHECK(syscall(SYS_gettid) == getpid());
    n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (CHECK(n > 0)) {
        const char *end;

        path[n] = 0;
        end = strrchr(path, '/');
        CHECK(path[0] == '/' && strcmp(end + 1, base ? base + 1 : argv0) == 0);
    }
    CHECK(getppid() > 0 && getppid() != getpid());
    CHECK(uname(&u) == 0 && strcmp(u.sysname, "Linux") == 0 && strcmp(u.machine, "x86_64") == 0);
    CHECK(prctl(PR_SET_NAME, "renamed") == 0);
    CHECK(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "renamed") == 0);
    CHECK(getrlimit(RLIMIT_STACK, &stack) == 0 && stack.rlim_cur >= 65536);
    CHECK(sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) >= 1);
    CHECK(CPU_ISSET(sched_getcpu(), &set));
}

int main(int argc, char **argv)
{
    size_t total = 0;

    printf("argc %d\n", argc);
    for (int i = 1; i < argc; i++) {
        total += strlen(argv[i]);
        if (i < 10) {
            printf("argv[%d] \"%.60s\"\n", i, argv[i]);
        }
    }
    printf("argument bytes %zu\n", total);
    CHECK(argv[argc] == NULL);
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, "T_", 2) == 0) {
            printf("env %s\n", *e);
        }
    }
    check_auxv(argv[0]);
    check_tls();
    check_identity(argv[0]);
    CHECK(setenv("T_NEW", "x", 1) == 0 && strcmp(getenv("T_NEW"), "x") == 0);
    atexit(last);
    atexit(first);
    return check_end();
}
