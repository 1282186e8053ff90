/* SPDX-License-Identifier: MIT */
/* Capabilities and the user number for files: threads' on Linux, the whole program's on an isle. */
#include "diff.h"

#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct data[2];

static void drop(int cap)
{
    R(syscall(SYS_capget, &head, data));
    data[cap / 32].effective &= ~(1u << cap % 32);
    R(syscall(SYS_capset, &head, data));
}

/* What a process without the capability may not, seen through calls of several kinds. */
CASE(capabilities, dropped)
{
    struct stat st;
    mkdir("private", 0);
    close(file_with("file", "text"));
    chmod("file", 0);
    OK(chown("file", 1, 1));
    drop(CAP_DAC_OVERRIDE);
    drop(CAP_DAC_READ_SEARCH);
    drop(CAP_CHOWN);
    for (int i = 0; i < 20; i++)
        if (open("file", O_RDONLY) >= 0)
            puts("opened");
    R(stat("private/file", &st));
    R(chown("file", 2, 2));
    data[0].effective |= 1u << CAP_CHOWN; /* still permitted */
    R(syscall(SYS_capset, &head, data));
    OK(chown("file", 2, 2));
    pid_t child = fork();
    if (child == 0)
        _exit(open("file", O_RDONLY) >= 0);
    int status = -1;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
}

CASE(capabilities, wrong)
{
    struct __user_cap_header_struct h = {0x1234, 0};
    R(syscall(SYS_capset, &h, data));
    SHOW(h.version);
    R(syscall(SYS_capset, (void *)8, data));
    R(syscall(SYS_capset, &head, page_with(PROT_NONE)));
    h = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 1};
    R(syscall(SYS_capget, &head, data));
    R(syscall(SYS_capset, &h, data));
    h.pid = getpid();
    R(syscall(SYS_capset, &h, data));
    h.version = _LINUX_CAPABILITY_VERSION_1;
    memset(data, 0, sizeof data);
    R(syscall(SYS_capset, &h, data));
    R(syscall(SYS_capget, &head, data));
    SHOW(data[0].permitted);
    data[0].permitted = 1;
    R(syscall(SYS_capset, &head, data));
}

CASE(capabilities, prctl)
{
    OK(prctl(PR_CAPBSET_READ, CAP_SYS_TIME, 0, 0, 0));
    R(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME, 0, 0, 0));
    R(prctl(PR_CAPBSET_READ, CAP_SYS_TIME, 0, 0, 0));
    R(prctl(PR_CAPBSET_DROP, 1000, 0, 0, 0));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    OK(syscall(SYS_capget, &head, data));
    data[0].inheritable |= 1u << CAP_CHOWN;
    R(syscall(SYS_capset, &head, data));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0));
    R(prctl(PR_CAP_AMBIENT, 77, 0, 0, 0));
    R(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
    R(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
    R(prctl(PR_SET_KEEPCAPS, 2, 0, 0, 0));
    R(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT, 0, 0, 0));
    R(prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
}

CASE(capabilities, no_new_privileges)
{
    char line[256];
    R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "NoNewPrivs", 10))
            fputs(line, stdout);
}

/* Under this number files are created and opened, by whichever thread. */
CASE(capabilities, user_for_files)
{
    struct stat st;
    chmod(".", 0777);
    SHOW(setfsuid(65534));
    SHOW(setfsuid((uid_t)-1));
    SHOW(setfsgid(65534));
    SHOW(setfsgid(65533));
    for (int i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        close(file_with(name, "text"));
        if (stat(name, &st) || st.st_uid != 65534 || st.st_gid != 65533)
            puts("not that user's");
    }
    SHOW(setfsuid(0));
}
