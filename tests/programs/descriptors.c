/* SPDX-License-Identifier: MIT */
/*
 * Which descriptors a program has: lists the open ones below 256, then closes and overwrites
 * everything it can, and still works. What it did not open, it must not find.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

int main(void)
{
    struct rlimit limit;
    char text[32];
    ssize_t n;
    int fd, keep, found = 0;

    for (fd = 0; fd < 256; fd++) {
        if (fcntl(fd, F_GETFD) != -1) {
            printf("open: %d\n", fd);
        }
    }
    if (fcntl(7, F_GETFD) != -1) {
        n = pread(7, text, sizeof(text) - 1, 0);
        text[n > 0 ? n : 0] = 0;
        printf("7 says \"%s\"\n", text);
    }
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= 1024);
    for (fd = 256; fd < 2048; fd++) {
        found += fcntl(fd, F_GETFD) != -1;
    }
    for (fd = (int)limit.rlim_cur - 1024; fd < (int)limit.rlim_cur + 1024; fd++) {
        found += fd >= 2048 && fcntl(fd, F_GETFD) != -1;
    }
    printf("%d more open\n", found);
    fd = open("/dev/null", O_RDWR);
    CHECK(fd >= 3 && fd < 256);
    for (int i = 256; i < 1024; i++) {
        CHECK(dup2(fd, i) == i && close(i) == 0);
    }
    CHECK_ERR(dup2(fd, (int)limit.rlim_cur), EBADF);
    keep = dup(1);
    CHECK(keep > fd);
    CHECK(syscall(SYS_close_range, keep + 1, ~0u, 0) == 0);
    CHECK(close(fd) == 0);
    CHECK(open("/dev/null", O_RDWR) == fd); /* the lowest free one, as Linux says */
    for (int i = 0; i < 1000; i++) {
        close(200 + i);
    }
    return check_end();
}
