/* SPDX-License-Identifier: MIT */
/*
 * A dynamic program: its loader, shared libraries, dlopen, thread-local storage, IFUNC, the vDSO,
 * rewriting of system calls in libraries. argv[1]: the path of dynplug.so; a second argument: what
 * LD_PRELOAD does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "check.h"
#include "dynlib.h"

static int seen_vdso, seen_libc, seen_self;

/* Not the one that a program at fixed addresses has in its place. */
static void *libc_getppid(void)
{
    return dlsym(dlopen("libc.so.6", RTLD_LAZY), "getppid");
}

static int on_object(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t here = (uintptr_t)on_object;

    (void)size;
    (void)arg;
    seen_vdso += strstr(info->dlpi_name, "vdso") != NULL;
    seen_libc += strstr(info->dlpi_name, "libc.so") != NULL;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *ph = &info->dlpi_phdr[i];
        uintptr_t at = info->dlpi_addr + ph->p_vaddr;

        seen_self += ph->p_type == PT_LOAD && here >= at && here < at + ph->p_memsz;
    }
    return 0;
}

static void objects(void)
{
    Dl_info info;

    check_section("objects");
    dl_iterate_phdr(on_object, NULL);
    CHECK(seen_vdso == 1 && seen_libc == 1 && seen_self == 1);
    CHECK(getauxval(AT_BASE) != 0 && getauxval(AT_ENTRY) != 0);
    CHECK(dladdr(libc_getppid(), &info) && strstr(info.dli_fname, "libc.so"));
    CHECK(memcmp((void *)getauxval(AT_BASE), ELFMAG, SELFMAG) == 0);
}

static void vdso(void)
{
    void *h = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);

    check_section("vDSO");
    CHECK(h && dlvsym(h, "__vdso_clock_gettime", "LINUX_2.6"));
    CHECK(h && dlvsym(h, "__vdso_getcpu", "LINUX_2.6"));
}

static int twice(int x)
{
    return 2 * x;
}

static void *tls_thread(void *arg)
{
    int (*sum)(int) = (int (*)(int))arg;

    /* 1 + 2 of every three bytes on top of what the variable holds */
    return (void *)(intptr_t)(sum(3000) == 41 + 3000 && sum(3000) == 42 + 6000);
}

static void libraries(void)
{
    pthread_t t[4];
    void *ok;

    check_section("a library from the start");
    CHECK(lib_constructed == 1 && lib_data == 7 && lib_ifunc() == 111);
    CHECK(lib_call_back(twice, 20) == 41);
    lib_data = 8;
    CHECK(lib_tls == 41 && lib_tls_sum(0) == 41 && lib_tls == 42);
    for (int i = 0; i < 4; i++) {
        pthread_create(&t[i], NULL, tls_thread, (void *)lib_tls_sum);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(t[i], &ok) == 0 && ok);
    }
    for (int i = 0; i < 100; i++) {
        CHECK(lib_getppid() == getppid());
    }
}

static void plugins(const char *path)
{
    check_section("dlopen");
    CHECK(dlopen("/nowhere/at/all.so", RTLD_NOW) == NULL && strstr(dlerror(), "cannot open"));
    for (int i = 0; i < 20; i++) {
        void *h = dlopen(path, i % 2 ? RTLD_NOW : RTLD_LAZY), *ok;
        pthread_t t;

        if (!CHECK(h)) {
            printf("%s\n", dlerror());
            return;
        }
        int (*sum)(int) = (int (*)(int))dlsym(h, "lib_tls_sum");
        long (*parent)(void) = (long (*)(void))dlsym(h, "lib_getppid");
        int (*ifunc)(void) = (int (*)(void))dlsym(h, "lib_ifunc");
        int *data = dlsym(h, "lib_data");

        CHECK(sum && parent && ifunc && data && data != &lib_data && *data == 7);
        *data = 9;
        CHECK(ifunc() == 111 && sum != lib_tls_sum);
        CHECK(parent() == getppid() && parent() == getppid());
        CHECK(pthread_create(&t, NULL, tls_thread, (void *)sum) == 0);
        CHECK(pthread_join(t, &ok) == 0 && ok);
        CHECK(dlclose(h) == 0);
        CHECK(dlopen(path, RTLD_NOW | RTLD_NOLOAD) == NULL);
    }
}

/* Finds `mov $nr,%eax; syscall` in a function's first bytes. */
static const unsigned char *find_syscall(const void *function)
{
    const unsigned char *p = function;

    for (int i = 0; i < 32; i++) {
        if (p[i] == 0x0f && p[i + 1] == 0x05) {
            return p + i;
        }
    }
    return NULL;
}

/* Code that is made at run time: into the middle of a pair that has been rewritten, and changed
   itself after it has run. */
static void generated(void)
{
    const unsigned char *sys = find_syscall(libc_getppid());
    unsigned char *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int32_t nr;

    check_section("code made at run time");
    if (!CHECK(sys) || !CHECK(code != MAP_FAILED)) {
        return;
    }
    CHECK(getppid() == getppid());
    memcpy(code, "\xb8\0\0\0\0\xff\xe7", 7); /* mov $nr, %eax; jmp *%rdi: it returns for us */
    nr = SYS_getpid;
    memcpy(code + 1, &nr, 4);
    long (*jump)(const void *) = (long (*)(const void *))(void *)code;
    for (int i = 0; i < 3; i++) {
        CHECK(jump(sys) == getpid());
    }
    unsigned char *own = code + 64;
    memcpy(own, "\xb8\0\0\0\0\x0f\x05\xc3", 8); /* mov $nr, %eax; syscall; ret */
    memcpy(own + 1, &nr, 4);
    long (*call)(void) = (long (*)(void))(void *)own;
    for (int i = 0; i < 3; i++) {
        CHECK(call() == getpid());
    }
    nr = SYS_getppid;
    memcpy(own + 1, &nr, 4);
    for (int i = 0; i < 3; i++) {
        CHECK(call() == getppid());
    }
    munmap(code, 4096);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], "where") == 0) {
        printf("%p %p %p\n", (void *)main, (void *)getauxval(AT_BASE), sbrk(0));
        return 0;
    }
    if (argc > 2) { /* under LD_PRELOAD or LD_LIBRARY_PATH */
        printf("%s\n", getppid() == syscall(SYS_getppid) + 1000000 ? "preloaded" : "plain");
        return 0;
    }
    objects();
    vdso();
    libraries();
    plugins(argc > 1 ? argv[1] : "./dynplug.so");
    generated();
    return check_end();
}
