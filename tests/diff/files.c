/* SPDX-License-Identifier: MIT */
/* Files and directories: names, opening, what can be seen of them. */
#include "diff.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/vfs.h>

CASE(files, open_errors)
{
    char longname[300];

    memset(longname, 'x', sizeof longname - 1);
    longname[sizeof longname - 1] = 0;
    R(mkdir("d", 0755));
    R(close(file_with("f", "abc")));
    R(symlink("loop", "loop"));
    R(symlink("f", "link"));
    R(open("none", O_RDONLY));
    R(open("", O_RDONLY));
    R(open("f/x", O_RDONLY));
    R(open("d", O_WRONLY));
    R(open("d", O_RDWR | O_CREAT, 0644));
    R(open("loop", O_RDONLY));
    R(open("link", O_RDONLY | O_NOFOLLOW));
    R(open("f", O_RDONLY | O_DIRECTORY));
    R(open("f", O_RDWR | O_CREAT | O_EXCL, 0644));
    R(open("none/f", O_RDWR | O_CREAT, 0644));
    R(open(longname, O_RDONLY));
}

CASE(files, open_flags)
{
    char buf[8] = "";
    int fd;

    R(fd = file_with("f", "abcdef"));
    R(fcntl(fd, F_GETFL));
    R(close(fd));
    R(fd = open("f", O_WRONLY | O_APPEND));
    R(fcntl(fd, F_GETFL));
    R(pwrite(fd, "X", 1, 0)); /* appends all the same, as open(2) tells */
    R(lseek(fd, 0, SEEK_CUR));
    R(write(fd, "Y", 1));
    R(lseek(fd, 0, SEEK_CUR));
    R(close(fd));
    R(fd = open("f", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOATIME));
    R(fcntl(fd, F_GETFD));
    R(fcntl(fd, F_GETFL));
    R(read(fd, buf, 8));
    show_bytes("content", buf, 8);
    R(write(fd, "x", 1));
    R(close(fd));
    R(fd = open("f", O_RDWR | O_TRUNC));
    R(lseek(fd, 0, SEEK_END));
}

CASE(files, open_path_only)
{
    struct stat st;
    char buf[4];
    int fd;

    file_with("f", "abc");
    R(fd = open("f", O_PATH));
    R(read(fd, buf, 1));
    R(fstat(fd, &st));
    SHOW(st.st_size);
    R(fcntl(fd, F_GETFL));
    R(ftruncate(fd, 1));
    R(fchmod(fd, 0600));
    R(lseek(fd, 0, SEEK_SET));
    R(fd = open("f", O_PATH | O_DIRECTORY));
}

CASE(files, open_tmpfile)
{
    struct stat st;
    char name[64];
    int fd;

    R(fd = open(".", O_TMPFILE | O_RDWR, 0640));
    R(fstat(fd, &st));
    SHOW(st.st_nlink);
    SHOW(st.st_mode);
    R(write(fd, "text", 4));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    R(linkat(AT_FDCWD, name, AT_FDCWD, "now", AT_SYMLINK_FOLLOW));
    R(stat("now", &st));
    SHOW(st.st_size);
    R(open(".", O_TMPFILE | O_RDONLY, 0640));
}

CASE(files, openat_dirfd)
{
    int d, f;

    R(mkdir("d", 0755));
    R(d = open("d", O_RDONLY | O_DIRECTORY));
    R(f = openat(d, "f", O_RDWR | O_CREAT, 0600));
    R(access("d/f", F_OK));
    R(openat(f, "x", O_RDONLY));
    R(openat(77, "x", O_RDONLY));
    R(openat(-5, "x", O_RDONLY));
    R(openat(77, "/dev/null", O_RDONLY));
    R(mkdirat(d, "e", 0700));
    R(unlinkat(d, "e", 0));
    R(unlinkat(d, "e", AT_REMOVEDIR));
    R(unlinkat(d, "e", AT_REMOVEDIR));
    R(unlinkat(d, "f", 0x4000));
}

CASE(files, openat2)
{
    struct open_how how = {.flags = O_RDONLY, .resolve = RESOLVE_BENEATH};
    char big[64] = "";

    file_with("f", "abc");
    R(symlink("/", "root"));
    R(symlink("f", "link"));
    R(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how));
    R(syscall(SYS_openat2, AT_FDCWD, "/dev/null", &how, sizeof how));
    R(syscall(SYS_openat2, AT_FDCWD, "../x", &how, sizeof how));
    R(syscall(SYS_openat2, AT_FDCWD, "root/dev", &how, sizeof how));
    how.resolve = RESOLVE_NO_SYMLINKS;
    R(syscall(SYS_openat2, AT_FDCWD, "link", &how, sizeof how));
    how.resolve = RESOLVE_IN_ROOT;
    R(syscall(SYS_openat2, AT_FDCWD, "/f", &how, sizeof how));
    how.resolve = 1u << 30;
    R(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how));
    how.resolve = 0;
    how.mode = 0644;
    R(syscall(SYS_openat2, AT_FDCWD, "f", &how, sizeof how));
    how.mode = 0;
    R(syscall(SYS_openat2, AT_FDCWD, "f", &how, 8));
    memcpy(big, &how, sizeof how);
    R(syscall(SYS_openat2, AT_FDCWD, "f", big, sizeof big));
    big[60] = 1;
    R(syscall(SYS_openat2, AT_FDCWD, "f", big, sizeof big));
}

CASE(files, stat)
{
    struct stat st;

    file_with("f", "0123456789");
    R(symlink("f", "link"));
    R(mkdir("d", 0750));
    R(stat("f", &st));
    SHOW(st.st_mode);
    SHOW(st.st_size);
    SHOW(st.st_nlink);
    SHOW(st.st_uid == getuid());
    R(stat("link", &st));
    SHOW(st.st_mode);
    R(lstat("link", &st));
    SHOW(st.st_mode);
    SHOW(st.st_size);
    R(stat("d", &st));
    SHOW(st.st_mode);
    R(fstat(-1, &st));
    R(fstatat(AT_FDCWD, "", &st, AT_EMPTY_PATH));
    SHOW(S_ISDIR(st.st_mode));
    R(fstatat(AT_FDCWD, "", &st, 0));
    R(fstatat(AT_FDCWD, "f", &st, 0x8000000));
}

CASE(files, statx)
{
    struct statx x;
    int fd = file_with("f", "0123456789");

    memset(&x, 0xff, sizeof x);
    R(statx(AT_FDCWD, "f", 0, STATX_BASIC_STATS, &x));
    SHOW(x.stx_mask & STATX_BASIC_STATS);
    SHOW(x.stx_size);
    SHOW(x.stx_mode);
    SHOW(x.stx_nlink);
    R(statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &x));
    SHOW(x.stx_size);
    R(statx(fd, "", 0, STATX_SIZE, &x));
    R(statx(AT_FDCWD, "f", 0x8000000, STATX_SIZE, &x));
    R(statx(AT_FDCWD, "f", 0, STATX__RESERVED, &x));
    R(statx(AT_FDCWD, "f", AT_STATX_FORCE_SYNC | AT_STATX_DONT_SYNC, STATX_SIZE, &x));
    R(statx(-1, "f", 0, STATX_SIZE, &x));
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

CASE(files, getdents64)
{
    static char buf[32768];
    char *line[32], small[16];
    size_t n = 0;
    long got;
    int d;

    R(mkdir("dir", 0755));
    R(mkdir("dir/sub", 0755));
    R(symlink("x", "dir/link"));
    R(mkfifo("dir/fifo", 0600));
    for (int i = 0; i < 5; i++) {
        char name[32];
        snprintf(name, sizeof name, "dir/file%d", i);
        close(file_with(name, ""));
    }
    d = open("dir", O_RDONLY | O_DIRECTORY);
    R(syscall(SYS_getdents64, d, small, sizeof small));
    R(syscall(SYS_getdents64, file_with("f", ""), buf, sizeof buf));
    while ((got = syscall(SYS_getdents64, d, buf, 120)) > 0) /* a few at a time */
        for (long at = 0; at < got;) {
            struct dirent64 *e = (struct dirent64 *)(void *)(buf + at);
            if (n < 32 && asprintf(&line[n], "%s type %d", e->d_name, e->d_type) > 0)
                n++;
            at += e->d_reclen;
        }
    SHOW(got);
    qsort(line, n, sizeof line[0], by_name);
    for (size_t i = 0; i < n; i++)
        puts(line[i]);
    R(lseek(d, 0, SEEK_SET));
    R(syscall(SYS_getdents64, d, buf, sizeof buf) > 0);
    R(syscall(SYS_getdents64, d, buf, sizeof buf));
    R(syscall(SYS_getdents64, -1, buf, sizeof buf));
}

CASE(files, rename)
{
    file_with("a", "A");
    file_with("b", "BB");
    R(mkdir("d", 0755));
    R(mkdir("d/e", 0755));
    R(rename("a", "b"));
    R(access("a", F_OK));
    R(rename("none", "b"));
    R(rename("b", "d"));
    R(rename("d", "b"));
    R(rename("d", "d/e/f"));
    R(rename("b", "b"));
    R(rename("b", ""));
    R(rename(".", "x"));
    R(mkdir("full", 0755));
    R(mkdir("full/x", 0755));
    R(rename("d/e", "full"));
    R(rename("d/e", "new"));
}

CASE(files, renameat2)
{
    struct stat st;

    file_with("a", "A");
    file_with("b", "BB");
    R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
    R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
    R(stat("a", &st));
    SHOW(st.st_size);
    R(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_EXCHANGE));
    R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
    R(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 1u << 20));
}

CASE(files, links)
{
    char buf[16] = "";
    struct stat st;

    file_with("f", "abc");
    R(link("f", "g"));
    R(link("f", "g"));
    R(link("none", "h"));
    R(link(".", "dot"));
    R(stat("g", &st));
    SHOW(st.st_nlink);
    R(symlink("target/that/is/not", "s"));
    R(symlink("x", "s"));
    R(symlink("", "empty"));
    R(readlink("s", buf, sizeof buf));
    show_bytes("target", buf, sizeof buf);
    R(readlink("s", buf, 3));
    R(readlink("s", buf, 0));
    R(readlink("f", buf, 3));
    R(readlink("none", buf, 3));
    R(syscall(SYS_readlink, "s", buf, -1));
    R(linkat(AT_FDCWD, "s", AT_FDCWD, "s2", 0));
    R(linkat(AT_FDCWD, "s", AT_FDCWD, "s3", AT_SYMLINK_FOLLOW));
    R(linkat(AT_FDCWD, "f", AT_FDCWD, "s4", 1));
}

CASE(files, unlink_rmdir)
{
    struct stat st;
    int fd = file_with("f", "abc");

    R(mkdir("d", 0755));
    R(mkdir("d/e", 0755));
    R(unlink("d"));
    R(rmdir("f"));
    R(rmdir("d"));
    R(rmdir("d/e/."));
    R(rmdir("d/e/.."));
    R(rmdir("/"));
    R(unlink("f/x"));
    R(unlink("f"));
    R(fstat(fd, &st));
    SHOW(st.st_nlink);
    SHOW(st.st_size);
    R(rmdir("d/e"));
    R(rmdir("d"));
}

CASE(files, mkdir_umask)
{
    struct stat st;

    R(umask(077));
    R(mkdir("a", 0777));
    R(stat("a", &st));
    SHOW(st.st_mode);
    R(umask(0));
    R(mkdir("b", 01777));
    R(stat("b", &st));
    SHOW(st.st_mode);
    R(open("f", O_CREAT | O_WRONLY, 0666));
    R(stat("f", &st));
    SHOW(st.st_mode);
    R(umask(022));
    R(mkdir("a", 0755));
    R(mkdir("none/a", 0755));
    R(mkdir("f/a", 0755));
    R(mkdir("", 0755));
}

CASE(files, mknod)
{
    struct stat st;

    R(mknod("fifo", S_IFIFO | 0644, 0));
    R(mknod("plain", S_IFREG | 0644, 0));
    R(mknod("sock", S_IFSOCK | 0644, 0));
    R(mknod("dir", S_IFDIR | 0755, 0));
    R(mknod("odd", 0170000, 0));
    R(mknod("plain", S_IFREG | 0644, 0));
    R(stat("fifo", &st));
    SHOW(st.st_mode);
    R(stat("sock", &st));
    SHOW(st.st_mode);
    R(open("sock", O_RDWR));
}

CASE(files, chmod_chown)
{
    struct stat st;
    int fd = file_with("f", "");

    R(chmod("f", 0640));
    R(fchmod(fd, 06755));
    R(fstat(fd, &st));
    SHOW(st.st_mode);
    R(fchmodat(AT_FDCWD, "f", 0600, 0));
    R(chmod("none", 0600));
    R(fchmod(-1, 0600));
    R(chown("f", -1, -1));
    R(chown("f", getuid(), getgid()));
    R(fchown(-1, 0, 0));
    R(lchown("none", 0, 0));
    R(fchownat(AT_FDCWD, "f", -1, -1, 0x400000));
    R(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
    R(fstat(fd, &st));
    SHOW(st.st_mode);
}

CASE(files, times)
{
    struct timespec t[2] = {{1000000001, 5}, {1000000002, 6}};
    struct stat st;
    int fd = file_with("f", "");

    R(utimensat(AT_FDCWD, "f", t, 0));
    R(stat("f", &st));
    SHOW(st.st_atim.tv_sec);
    SHOW(st.st_mtim.tv_sec);
    SHOW(st.st_mtim.tv_nsec);
    t[0].tv_nsec = UTIME_OMIT;
    t[1].tv_sec = 3;
    R(futimens(fd, t));
    R(stat("f", &st));
    SHOW(st.st_atim.tv_sec);
    SHOW(st.st_mtim.tv_sec);
    t[1].tv_nsec = 1000000000;
    R(utimensat(AT_FDCWD, "f", t, 0));
    t[0].tv_nsec = t[1].tv_nsec = UTIME_OMIT;
    R(utimensat(AT_FDCWD, "none", t, 0));
    R(utimensat(AT_FDCWD, "f", NULL, 0));
    R(utimensat(AT_FDCWD, "f", NULL, 1));
    R(stat("f", &st));
    SHOW(st.st_mtim.tv_sec > 1000000002);
}

CASE(files, access)
{
    file_with("f", "");
    R(chmod("f", 0400));
    R(access("f", R_OK));
    R(access("f", X_OK));
    R(access("f", 8));
    R(access("none", F_OK));
    R(access("f/x", F_OK));
    R(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
    R(syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, AT_SYMLINK_NOFOLLOW));
    R(syscall(SYS_faccessat2, AT_FDCWD, "f", F_OK, 1));
    R(syscall(SYS_faccessat2, -1, "", F_OK, AT_EMPTY_PATH));
}

CASE(files, cwd)
{
    char buf[4096];
    int d;

    R(mkdir("d", 0755));
    R(d = open(".", O_RDONLY));
    R(chdir("d"));
    R(syscall(SYS_getcwd, buf, sizeof buf) > 2);
    puts(strrchr(buf, '/'));
    R(syscall(SYS_getcwd, buf, 2));
    R(syscall(SYS_getcwd, buf, 0));
    R(rmdir("../d"));
    R(syscall(SYS_getcwd, buf, sizeof buf));
    R(open("f", O_CREAT | O_RDWR, 0600));
    R(chdir(".."));
    R(fchdir(d));
    R(fchdir(-1));
    R(fchdir(file_with("f", "")));
    R(chdir("f"));
    R(chdir("none"));
    R(chdir(""));
}

CASE(files, statfs)
{
    struct statfs a, b;

    R(statfs(".", &a));
    R(fstatfs(open(".", O_RDONLY), &b));
    SHOW(a.f_type == b.f_type);
    SHOW(a.f_type);
    SHOW(a.f_bsize);
    SHOW(a.f_namelen);
    R(statfs("/proc", &a));
    SHOW(a.f_type);
    R(statfs("none", &a));
    R(fstatfs(-1, &a));
}

CASE(files, sync)
{
    int fd = file_with("f", "abc"), p[2];

    R(pipe(p));
    R(fsync(fd));
    R(fdatasync(fd));
    R(fsync(p[0]));
    R(fsync(-1));
    R(syncfs(fd));
    R(syncfs(-1));
    R(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    R(sync_file_range(fd, -1, 0, SYNC_FILE_RANGE_WRITE));
    R(sync_file_range(fd, 0, 0, 64));
    R(sync_file_range(p[0], 0, 0, SYNC_FILE_RANGE_WRITE));
}

CASE(files, devices)
{
    char buf[8] = "xxxxxxx";
    int full, null, zero;

    R(null = open("/dev/null", O_RDWR));
    R(zero = open("/dev/zero", O_RDWR));
    R(full = open("/dev/full", O_RDWR));
    R(write(null, buf, 8));
    R(read(null, buf, 8));
    R(read(zero, buf, 4));
    show_bytes("zeros", buf, 8);
    R(write(full, buf, 8));
    R(write(full, buf, 0));
    R(lseek(null, 100, SEEK_SET));
    R(ftruncate(null, 0));
}
