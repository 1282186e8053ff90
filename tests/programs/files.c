/* SPDX-License-Identifier: MIT */
/* Files and descriptors: files DIRECTORY (empty, writable; left empty). */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"

/* The compiler must not know that nothing is there. */
static void *volatile bad_address = (void *)8;
#define BAD bad_address

static void plain(void)
{
    char buf[8192], big[256 * 1024];
    struct stat st;
    int fd;

    check_section("read, write, seek");
    CHECK_ERR(open("missing", O_RDONLY), ENOENT);
    fd = open("a", O_CREAT | O_EXCL | O_RDWR, 0640);
    if (!CHECK(fd >= 0)) {
        return;
    }
    CHECK_ERR(open("a", O_CREAT | O_EXCL | O_RDWR, 0640), EEXIST);
    for (size_t i = 0; i < sizeof(buf); i++) {
        buf[i] = (char)(i * 7);
    }
    CHECK(write(fd, buf, sizeof(buf)) == (ssize_t)sizeof(buf));
    CHECK(lseek(fd, 100, SEEK_SET) == 100);
    CHECK(read(fd, big, 50) == 50 && memcmp(big, buf + 100, 50) == 0);
    CHECK(lseek(fd, 0, SEEK_CUR) == 150);
    CHECK(lseek(fd, -10, SEEK_END) == 8182);
    CHECK(read(fd, big, 100) == 10 && read(fd, big, 100) == 0);
    CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
    CHECK(pread(fd, big, 4096, 4096) == 4096 && memcmp(big, buf + 4096, 4096) == 0);
    CHECK(pread(fd, big, 4096, 8000) == 192 && pread(fd, big, 1, 9000) == 0);
    CHECK(pwrite(fd, "xyz", 3, 20000) == 3);
    CHECK(fstat(fd, &st) == 0 && st.st_size == 20003 && S_ISREG(st.st_mode));
    CHECK((st.st_mode & 0777) == 0640 && st.st_uid == geteuid() && st.st_nlink == 1);
    CHECK(pread(fd, big, 3, 10000) == 3 && big[0] == 0 && big[2] == 0);
    CHECK(ftruncate(fd, 5) == 0 && stat("a", &st) == 0 && st.st_size == 5);
    CHECK(fsync(fd) == 0 && fdatasync(fd) == 0);
    memset(big, 'q', sizeof(big));
    CHECK(pwrite(fd, big, sizeof(big), 0) == (ssize_t)sizeof(big));
    memset(big, 0, sizeof(big));
    CHECK(pread(fd, big, sizeof(big), 0) == (ssize_t)sizeof(big) && big[sizeof(big) - 1] == 'q');
    CHECK(close(fd) == 0);
    CHECK_ERR(close(fd), EBADF);
    CHECK_ERR(read(fd, buf, 1), EBADF);
    CHECK_ERR(write(999, buf, 1), EBADF);
    fd = open("a", O_RDONLY);
    CHECK_ERR(write(fd, buf, 1), EBADF);
    CHECK(close(fd) == 0);
}

static void pointers(void)
{
    int fd = open("a", O_RDWR);
    char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct iovec iov[2] = {{p, 10}, {BAD, 10}};

    check_section("bad pointers");
    CHECK(mprotect(p + 4096, 4096, PROT_NONE) == 0);
    CHECK_ERR(write(fd, BAD, 10), EFAULT);
    CHECK_ERR(read(fd, BAD, 10), EFAULT);
    CHECK_ERR(write(fd, (void *)(1ul << 46), 10), EFAULT);
    CHECK_ERR(write(fd, (void *)~0ul, 10), EFAULT);
    CHECK_ERR(syscall(SYS_openat, AT_FDCWD, BAD, O_RDONLY), EFAULT);
    CHECK_ERR(syscall(SYS_fstat, fd, BAD), EFAULT);
    CHECK_ERR(syscall(SYS_pipe2, BAD, 0), EFAULT);
    CHECK_ERR(syscall(SYS_writev, fd, BAD, 2), EFAULT);
    CHECK_ERR(syscall(SYS_readv, fd, iov, IOV_MAX + 1), EINVAL);
    CHECK_ERR(syscall(SYS_readv, fd, iov, -1), EINVAL);
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK(readv(fd, iov, 2) == 10); /* as far as it goes */
    CHECK(mprotect(p, 4096, PROT_READ) == 0);
    CHECK_ERR(pread(fd, p, 10, 0), EFAULT); /* readable, not writable */
    CHECK(pwrite(fd, p, 10, 0) == 10);
    CHECK(write(fd, "", 0) == 0);
    CHECK(munmap(p, 8192) == 0);
    CHECK(close(fd) == 0);
}

static void vectors(void)
{
    char a[4] = "", b[8] = "";
    struct iovec w[3] = {{"one", 3}, {NULL, 0}, {"three", 5}}, r[2] = {{a, 3}, {b, 7}};
    int fd = open("b", O_CREAT | O_RDWR | O_TRUNC | O_APPEND, 0600);

    check_section("readv and writev");
    CHECK(writev(fd, w, 3) == 8);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && readv(fd, r, 2) == 8);
    CHECK(strcmp(a, "one") == 0 && strcmp(b, "three") == 0);
    CHECK(preadv(fd, r, 2, 3) == 5 && memcmp(a, "thr", 3) == 0 && memcmp(b, "ee", 2) == 0);
    CHECK(lseek(fd, 0, SEEK_SET) == 0 && write(fd, "+", 1) == 1); /* O_APPEND */
    CHECK(lseek(fd, 0, SEEK_END) == 9);
    CHECK(fcntl(fd, F_GETFL) == (O_RDWR | O_APPEND | 0100000));
    CHECK(close(fd) == 0);
}

static void directories(void)
{
    char cwd[PATH_MAX], link[16];
    struct stat st;
    struct dirent *e;
    int found = 0, files = 0, fd;
    DIR *d;

    check_section("names and directories");
    CHECK(mkdir("d", 0700) == 0);
    CHECK_ERR(mkdir("d", 0700), EEXIST);
    CHECK(rename("b", "d/c") == 0 && access("d/c", R_OK) == 0);
    CHECK_ERR(access("b", F_OK), ENOENT);
    CHECK_ERR(rmdir("d"), ENOTEMPTY);
    CHECK_ERR(open("d", O_WRONLY), EISDIR);
    CHECK_ERR(open("a/x", O_RDONLY), ENOTDIR);
    CHECK(symlink("d/c", "s") == 0 && readlink("s", link, sizeof(link)) == 3);
    CHECK(lstat("s", &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(stat("s", &st) == 0 && st.st_size == 9);
    CHECK(link[0] == 'd' && symlink("loop", "loop") == 0);
    CHECK_ERR(open("loop", O_RDONLY), ELOOP);
    CHECK(unlink("loop") == 0 && unlink("s") == 0);
    for (int i = 0; i < 300; i++) {
        char name[32];

        snprintf(name, sizeof(name), "d/file-with-a-name-%d", i);
        fd = open(name, O_CREAT | O_WRONLY, 0600);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    d = opendir("d");
    if (CHECK(d)) {
        while ((e = readdir(d))) {
            files += e->d_name[0] != '.';
            found += strcmp(e->d_name, "c") == 0 && e->d_type == DT_REG;
            if (e->d_name[0] != '.') {
                CHECK(unlinkat(dirfd(d), e->d_name, 0) == 0);
            }
        }
        closedir(d);
    }
    CHECK(files == 301 && found == 1);
    CHECK(chdir("d") == 0 && getcwd(cwd, sizeof(cwd)) && strcmp(strrchr(cwd, '/'), "/d") == 0);
    CHECK(chdir("..") == 0 && rmdir("d") == 0);
    CHECK(chmod("a", 0400) == 0 && stat("a", &st) == 0 && (st.st_mode & 0777) == 0400);
    CHECK(unlink("a") == 0);
    CHECK_ERR(unlink("a"), ENOENT);
    memset(cwd, 'n', 300);
    cwd[300] = 0;
    CHECK_ERR(open(cwd, O_RDONLY), ENAMETOOLONG);
}

static void pipes(void)
{
    char buf[70000];
    int fd[2], copy, n = 0;
    struct pollfd p;
    fd_set set;
    struct timeval tv = {0, 10000};

    check_section("pipes, dup, poll");
    CHECK(pipe2(fd, O_NONBLOCK) == 0);
    CHECK_ERR(read(fd[0], buf, 1), EAGAIN);
    CHECK_ERR(lseek(fd[0], 0, SEEK_CUR), ESPIPE);
    p = (struct pollfd){.fd = fd[0], .events = POLLIN};
    CHECK(poll(&p, 1, 10) == 0);
    FD_ZERO(&set);
    FD_SET(fd[0], &set);
    CHECK(select(fd[0] + 1, &set, NULL, NULL, &tv) == 0 && !FD_ISSET(fd[0], &set));
    CHECK(write(fd[1], "hello", 5) == 5);
    CHECK(ioctl(fd[0], FIONREAD, &n) == 0 && n == 5);
    CHECK(poll(&p, 1, 1000) == 1 && p.revents == POLLIN);
    CHECK(read(fd[0], buf, sizeof(buf)) == 5);
    while (write(fd[1], buf, 4096) == 4096) {
        n++;
    }
    CHECK(errno == EAGAIN && n >= 16);
    copy = dup(fd[0]);
    CHECK(copy > fd[1] && dup2(copy, 100) == 100 && fcntl(100, F_GETFD) == 0);
    CHECK(dup3(copy, 101, O_CLOEXEC) == 101 && fcntl(101, F_GETFD) == FD_CLOEXEC);
    CHECK(fcntl(copy, F_DUPFD, 150) == 150);
    CHECK(read(150, buf, 1) == 1);
    CHECK(close(fd[0]) == 0 && read(100, buf, 1) == 1); /* still open by the copies */
    CHECK(close(100) == 0 && close(101) == 0 && close(150) == 0 && close(copy) == 0);
    CHECK(close(fd[1]) == 0);
    CHECK_ERR(dup2(999, 5), EBADF);
}

static void standard_io(void)
{
    FILE *f = fopen("t", "w+");
    char line[64];
    int a = 0;
    double b = 0;

    check_section("stdio");
    if (!CHECK(f)) {
        return;
    }
    for (int i = 0; i < 5000; i++) {
        fprintf(f, "%d %g\n", i, i * 0.5);
    }
    rewind(f);
    for (int i = 0; i < 5000; i++) {
        if (!fgets(line, sizeof(line), f) || sscanf(line, "%d %lf", &a, &b) != 2 || a != i) {
            CHECK(0);
            break;
        }
    }
    CHECK(a == 4999 && b == 2499.5 && !fgets(line, sizeof(line), f) && feof(f));
    CHECK(fclose(f) == 0 && unlink("t") == 0);
    CHECK(mkstemp(strcpy(line, "tmpXXXXXX")) >= 0 && unlink(line) == 0);
}

int main(int argc, char **argv)
{
    if (argc != 2 || chdir(argv[1])) {
        return 2;
    }
    umask(022);
    plain();
    pointers();
    vectors();
    directories();
    pipes();
    standard_io();
    return check_end();
}
