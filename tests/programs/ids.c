/* SPDX-License-Identifier: MIT */
/* Giving up rights that a program does not have: identities set to what they are. How other
   processes are scheduled. */
#define _GNU_SOURCE
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

int main(void)
{
    uid_t u = getuid();
    gid_t g = getgid();
    CHECK(setgid(g) == 0 && setregid(g, g) == 0 && setresgid(g, g, g) == 0 && setegid(g) == 0);
    CHECK(setuid(u) == 0 && setreuid(u, u) == 0 && setresuid(u, u, u) == 0 && seteuid(u) == 0);
    CHECK(setresuid(-1, -1, -1) == 0 && setreuid(-1, u) == 0 && setregid(g, -1) == 0);
    CHECK_ERR(setuid(-1), EINVAL);
    CHECK_ERR(setgid(-1), EINVAL);
    CHECK(getuid() == u && geteuid() == u && getgid() == g && getegid() == g);

    struct sched_param param = {-1};
    struct timespec slice;
    printf("init: policy %d, ", sched_getscheduler(1));
    CHECK(sched_getparam(1, &param) == 0 && sched_rr_get_interval(1, &slice) == 0);
    printf("priority %d\n", param.sched_priority);
    CHECK_ERR(sched_getscheduler(0x3ffffff), ESRCH);
    CHECK_ERR(sched_getparam(0x3ffffff, &param), ESRCH);
    CHECK_ERR(sched_getscheduler(-1), EINVAL);
    CHECK_ERR(sched_getparam(1, (void *)8), EFAULT);

    posix_spawnattr_t at;
    char *argv[] = {"true", NULL};
    pid_t pid = 0;
    int status = -1;
    CHECK(posix_spawnattr_init(&at) == 0);
    CHECK(posix_spawnattr_setflags(&at, POSIX_SPAWN_RESETIDS) == 0);
    int r = posix_spawn(&pid, "/bin/true", NULL, &at, argv, environ);
    CHECK(r == 0 && waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(posix_spawnattr_destroy(&at) == 0);
    return check_end();
}
