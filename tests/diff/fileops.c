/* SPDX-License-Identifier: MIT */
/* Files: space, copying, attributes, locks, descriptors and their limits. */
#include "diff.h"

#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

CASE(fileops, seek)
{
    int fd = file_with("f", "0123456789"), p[2];

    R(pipe(p));
    R(lseek(fd, 3, SEEK_SET));
    R(lseek(fd, 3, SEEK_CUR));
    R(lseek(fd, -2, SEEK_END));
    R(lseek(fd, 100, SEEK_END));
    R(lseek(fd, -1, SEEK_SET));
    R(lseek(fd, INT64_MAX, SEEK_END));
    R(lseek(fd, 0, 9));
    R(lseek(p[0], 0, SEEK_SET));
    R(lseek(-1, 0, SEEK_SET));
    R(ftruncate(fd, 1 << 20));
    R(pwrite(fd, "x", 1, (1 << 20) - 1));
    R(lseek(fd, 0, SEEK_HOLE));
    R(lseek(fd, 65536, SEEK_DATA));
    R(lseek(fd, 1 << 20, SEEK_DATA));
    R(lseek(fd, 1 << 20, SEEK_HOLE));
}

CASE(fileops, truncate)
{
    char buf[8] = "xxxxxxx";
    int fd = file_with("f", "0123456789"), ro = open("f", O_RDONLY), p[2];

    R(pipe(p));
    R(ftruncate(fd, 4));
    R(ftruncate(fd, 7));
    R(read(fd, buf, 8));
    show_bytes("content", buf, 8);
    R(ftruncate(fd, -1));
    R(ftruncate(ro, 1));
    R(ftruncate(p[1], 1));
    R(ftruncate(-1, 1));
    R(truncate("f", 2));
    R(truncate("f", -1));
    R(truncate("none", 2));
    R(truncate(".", 2));
    R(truncate("", 2));
    R(lseek(fd, 0, SEEK_END));
}

CASE(fileops, fallocate)
{
    char buf[16];
    struct stat st;
    int fd = file_with("f", "0123456789abcdef"), p[2];

    R(pipe(p));
    R(fallocate(fd, 0, 0, 8192));
    R(fstat(fd, &st));
    SHOW(st.st_size);
    R(fallocate(fd, FALLOC_FL_KEEP_SIZE, 8192, 4096));
    R(fstat(fd, &st));
    SHOW(st.st_size);
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4, 4));
    R(pread(fd, buf, 16, 0));
    show_bytes("punched", buf, 16);
    R(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4));
    R(fallocate(fd, 0, 0, 0));
    R(fallocate(fd, 0, -1, 5));
    R(fallocate(fd, 0, INT64_MAX, 5));
    R(fallocate(fd, 0x8000, 0, 5));
    R(fallocate(p[1], 0, 0, 5));
    R(fallocate(open("f", O_RDONLY), 0, 0, 5));
    R(fallocate(-1, 0, 0, 5));
    R(fallocate(open(".", O_RDONLY), 0, 0, 5));
}

CASE(fileops, fadvise_readahead)
{
    int fd = file_with("f", "abc"), p[2];

    R(pipe(p));
    R(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    R(posix_fadvise(fd, 0, 0, 99));
    R(posix_fadvise(p[0], 0, 0, POSIX_FADV_NORMAL));
    R(posix_fadvise(-1, 0, 0, POSIX_FADV_NORMAL));
    R(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL));
    R(readahead(fd, 0, 10));
    R(readahead(p[0], 0, 10));
    R(readahead(-1, 0, 10));
}

CASE(fileops, copy_file_range)
{
    char buf[24] = "";
    int a = file_with("a", "0123456789"), b = file_with("b", ""), ro = open("a", O_RDONLY), p[2];
    int app = open("b", O_WRONLY | O_APPEND);
    off64_t in = 2, out = 5;

    R(pipe(p));
    R(copy_file_range(a, &in, b, &out, 4, 0));
    SHOW(in);
    SHOW(out);
    R(copy_file_range(a, NULL, b, NULL, 3, 0));
    R(lseek(a, 0, SEEK_CUR));
    R(lseek(b, 0, SEEK_CUR));
    R(pread(b, buf, sizeof buf, 0));
    show_bytes("b", buf, sizeof buf);
    in = 0;
    out = 4;
    R(copy_file_range(a, &in, a, &out, 6, 0));
    R(copy_file_range(a, &in, b, &out, 6, 1));
    R(copy_file_range(a, &in, ro, &out, 6, 0));
    R(copy_file_range(a, &in, app, &out, 6, 0));
    R(copy_file_range(p[0], NULL, b, &out, 6, 0));
    R(copy_file_range(a, &in, open(".", O_RDONLY), &out, 6, 0));
    in = 100;
    R(copy_file_range(a, &in, b, &out, 6, 0));
    in = -5;
    R(copy_file_range(a, &in, b, &out, 6, 0));
}

CASE(fileops, sendfile)
{
    char buf[16] = "";
    int a = file_with("a", "0123456789"), b = file_with("b", ""), p[2];
    off_t off = 3;

    R(pipe(p));
    R(sendfile(p[1], a, &off, 4));
    SHOW(off);
    R(lseek(a, 0, SEEK_CUR));
    R(sendfile(p[1], a, NULL, 100));
    R(lseek(a, 0, SEEK_CUR));
    R(read(p[0], buf, sizeof buf));
    show_bytes("sent", buf, sizeof buf);
    off = 0;
    R(sendfile(b, a, &off, 5));
    off = -1;
    R(sendfile(b, a, &off, 5));
    R(sendfile(b, p[0], NULL, 5) == -1);
    R(sendfile(a, -1, NULL, 5));
    R(sendfile(open("a", O_RDONLY), a, NULL, 5));
}

CASE(fileops, xattr)
{
    char buf[64] = "";
    int fd = file_with("f", "");

    R(setxattr("f", "user.one", "value", 5, 0));
    R(setxattr("f", "user.one", "v", 1, XATTR_CREATE));
    R(setxattr("f", "user.two", "v", 1, XATTR_REPLACE));
    R(getxattr("f", "user.one", buf, sizeof buf));
    show_bytes("value", buf, 6);
    R(getxattr("f", "user.one", buf, 3));
    R(getxattr("f", "user.one", NULL, 0));
    R(getxattr("f", "user.none", buf, sizeof buf));
    R(fgetxattr(fd, "user.one", buf, sizeof buf));
    R(lgetxattr("f", "user.one", buf, sizeof buf));
    R(fsetxattr(fd, "user.three", "", 0, 0));
    R(listxattr("f", buf, 2));
    R(flistxattr(fd, NULL, 0));
    R(setxattr("f", "nonsense", "v", 1, 0));
    R(setxattr("f", "", "v", 1, 0));
    R(setxattr("f", "user.x", "v", 1, 8));
    R(setxattr("f", "user.x", "v", 1 << 20, 0));
    R(setxattr("none", "user.x", "v", 1, 0));
    R(getxattr("none", "user.x", buf, 1));
    R(fgetxattr(-1, "user.x", buf, 1));
}

CASE(fileops, xattr_links_and_removal)
{
    char buf[64] = "";
    int fd = file_with("f", "");

    R(symlink("f", "link"));
    R(lsetxattr("link", "user.one", "v", 1, 0));
    R(lsetxattr("f", "user.one", "v", 1, 0));
    R(llistxattr("link", buf, sizeof buf) >= 0);
    R(llistxattr("f", buf, sizeof buf) > 0);
    R(removexattr("f", "user.one"));
    R(removexattr("f", "user.one"));
    R(setxattr("f", "user.two", "v", 1, 0));
    R(lremovexattr("f", "user.two"));
    R(setxattr("f", "user.two", "v", 1, 0));
    R(fremovexattr(fd, "user.two"));
    R(fremovexattr(fd, "user.two"));
    R(fremovexattr(-1, "user.two"));
    R(removexattr("none", "user.two"));
}

CASE(fileops, flock)
{
    int a = file_with("f", ""), b = open("f", O_RDONLY), d = dup(a);

    R(flock(a, LOCK_EX));
    R(flock(b, LOCK_SH | LOCK_NB));
    R(flock(d, LOCK_EX | LOCK_NB));
    R(flock(a, LOCK_SH));
    R(flock(b, LOCK_SH | LOCK_NB));
    R(flock(a, LOCK_EX | LOCK_NB));
    R(flock(a, LOCK_UN));
    R(flock(b, LOCK_EX | LOCK_NB));
    R(flock(a, 77));
    R(flock(-1, LOCK_EX));
}

CASE(fileops, flock_eintr)
{
    int a = file_with("f", ""), b = open("f", O_RDONLY);

    R(flock(a, LOCK_EX));
    poke_begin(50, 0);
    R(flock(b, LOCK_EX));
    SHOW(poke_end());
}

CASE(fileops, record_locks)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    int a = file_with("f", "0123456789"), b = open("f", O_RDWR);

    R(fcntl(a, F_SETLK, &l));
    R(fcntl(b, F_GETLK, &l)); /* the process's own is in nobody's way */
    SHOW(l.l_type == F_UNLCK);
    l.l_type = F_WRLCK;
    R(fcntl(a, F_OFD_SETLK, &l));
    l = (struct flock){.l_type = F_UNLCK, .l_whence = SEEK_SET};
    R(fcntl(a, F_SETLK, &l));
    l = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    R(fcntl(a, F_OFD_SETLK, &l));
    l.l_start = 15;
    R(fcntl(b, F_OFD_SETLK, &l));
    R(fcntl(b, F_OFD_GETLK, &l));
    SHOW(l.l_type == F_WRLCK);
    SHOW(l.l_start);
    SHOW(l.l_len);
    SHOW(l.l_pid);
    l = (struct flock){.l_type = F_RDLCK, .l_whence = SEEK_END, .l_start = -20};
    R(fcntl(a, F_SETLK, &l));
    l = (struct flock){.l_type = 9};
    R(fcntl(a, F_SETLK, &l));
    l = (struct flock){.l_type = F_WRLCK};
    R(fcntl(open("f", O_RDONLY), F_SETLK, &l));
    R(fcntl(-1, F_SETLK, &l));
}

/* Neither the mapping nor its end closes a descriptor of the file. */
CASE(fileops, a_private_mapping_keeps_record_locks)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10};
    int fd = file_with("f", "0123456789"), status;
    char *p;

    R(fcntl(fd, F_SETLK, &l));
    p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    printf("%.10s\n", p);
    munmap(p, PAGE);
    fflush(stdout);
    if (fork() == 0) {
        R(fcntl(fd, F_GETLK, &l));
        SHOW(l.l_type == F_WRLCK && l.l_pid == getppid());
        exit(0);
    }
    R(wait(&status) > 0);
    SHOW(status);
}

CASE(fileops, record_lock_eintr)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int a = file_with("f", ""), b = open("f", O_RDWR);

    R(fcntl(a, F_OFD_SETLK, &l));
    poke_begin(50, 0);
    R(fcntl(b, F_OFD_SETLKW, &l));
    SHOW(poke_end());
}

CASE(fileops, dup)
{
    int fd = file_with("f", "abc");

    SHOW(fd);
    R(dup(fd));
    R(dup2(fd, 20));
    R(dup2(fd, fd));
    R(dup2(-1, 21));
    R(dup2(fd, -1));
    R(dup2(fd, 100000000));
    R(dup3(fd, 22, O_CLOEXEC));
    R(fcntl(22, F_GETFD));
    R(dup3(fd, fd, 0));
    R(dup3(fd, 23, O_NONBLOCK));
    R(fcntl(fd, F_DUPFD, 30));
    R(fcntl(fd, F_DUPFD_CLOEXEC, 30));
    R(fcntl(31, F_GETFD));
    R(fcntl(fd, F_DUPFD, -1));
    R(dup(-1));
    R(close(20));
    R(close(20));
    R(lseek(22, 2, SEEK_SET));
    R(lseek(fd, 0, SEEK_CUR));
}

CASE(fileops, close_range)
{
    int fd = file_with("f", "");

    for (int i = 10; i < 20; i++)
        dup2(fd, i);
    R(syscall(SYS_close_range, 12, 14, 0));
    R(fcntl(11, F_GETFD));
    R(fcntl(12, F_GETFD));
    R(fcntl(14, F_GETFD));
    R(fcntl(15, F_GETFD));
    R(syscall(SYS_close_range, 16, 17, 4));
    R(fcntl(16, F_GETFD));
    R(fcntl(18, F_GETFD));
    R(syscall(SYS_close_range, 5, 4, 0));
    R(syscall(SYS_close_range, 5, 6, 1));
    R(syscall(SYS_close_range, 10, ~0u, 0));
    R(fcntl(18, F_GETFD));
    R(dup(fd));
}

CASE(fileops, fcntl_flags)
{
    int fd = file_with("f", ""), p[2];

    R(pipe(p));
    R(fcntl(fd, F_SETFD, FD_CLOEXEC));
    R(fcntl(fd, F_GETFD));
    R(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK));
    R(fcntl(fd, F_GETFL));
    R(fcntl(p[0], F_GETFL));
    R(fcntl(p[1], F_SETFL, O_NONBLOCK));
    R(fcntl(p[1], F_GETFL));
    R(fcntl(fd, 12345));
    R(fcntl(-1, F_GETFL));
    R(fcntl(-1, 12345));
    R(fcntl(fd, F_GETOWN));
    R(fcntl(fd, F_SETOWN, getpid()));
    R(fcntl(fd, F_GETOWN) == getpid());
    R(fcntl(fd, F_GETSIG));
    R(fcntl(fd, F_GETLEASE) == F_UNLCK);
    R(fcntl(fd, F_GETPIPE_SZ));
}

CASE(fileops, memfd_seals)
{
    int fd;

    R(fd = memfd_create("name", MFD_ALLOW_SEALING | MFD_CLOEXEC));
    R(fcntl(fd, F_GETFD));
    R(ftruncate(fd, 8192));
    R(fcntl(fd, F_GET_SEALS));
    R(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    R(ftruncate(fd, 4096));
    R(ftruncate(fd, 16384));
    R(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE));
    R(ftruncate(fd, 32768));
    R(write(fd, "x", 1));
    R(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
    R(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    R(fcntl(fd, F_GET_SEALS));
    R(memfd_create("name", 0x4000));
    R(fcntl(memfd_create("x", 0), F_GET_SEALS));
    R(fcntl(file_with("f", ""), F_ADD_SEALS, F_SEAL_SEAL) == -1);
}

CASE(fileops, limit_of_descriptors)
{
    struct rlimit l;
    int fd = file_with("f", ""), p[2];

    R(getrlimit(RLIMIT_NOFILE, &l));
    l.rlim_cur = 8;
    R(setrlimit(RLIMIT_NOFILE, &l));
    R(dup(fd));
    R(dup(fd));
    R(dup(fd));
    R(pipe(p));
    R(dup(fd));
    R(dup(fd));
    R(open("f", O_RDONLY));
    R(dup2(fd, 8));
    R(dup2(fd, 7));
    R(fcntl(fd, F_DUPFD, 8));
    R(sysconf(_SC_OPEN_MAX));
    R(close(5));
    R(dup(fd));
}

CASE(fileops, limit_of_file_size)
{
    struct rlimit l = {4096, RLIM_INFINITY};
    int fd = file_with("f", "");
    char buf[4096] = "";

    signal(SIGXFSZ, SIG_IGN);
    R(setrlimit(RLIMIT_FSIZE, &l));
    R(pwrite(fd, buf, 4096, 2048));
    R(pwrite(fd, buf, 1, 4096));
    R(ftruncate(fd, 5000));
}

CASE(fileops, ioctl)
{
    int fd = file_with("f", "abc"), n = -1;

    R(ioctl(fd, 0x541B, &n)); /* FIONREAD */
    SHOW(n);
    R(ioctl(fd, 0x5401, NULL)); /* TCGETS */
    R(isatty(fd));
    R(ioctl(-1, 0x5401, NULL));
    R(ioctl(fd, 0x5451, 0)); /* FIOCLEX */
    R(fcntl(fd, F_GETFD));
    n = 1;
    R(ioctl(fd, 0x5421, &n)); /* FIONBIO */
    R(fcntl(fd, F_GETFL));
}
