/* SPDX-License-Identifier: MIT */
/* Files and paths through a channel. */
#include "cases.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "serve/call.h"

static int scratch_file(void)
{
    char name[] = "/tmp/lull-test-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    return fd;
}

static void file_read_write(void **state)
{
    struct rig *r = *state;
    int fd = scratch_file();
    strcpy(r->app, "hello, isle");
    assert_int_equal(rig_call(r, SYS_write, fd, U(r->app), 11), 11);
    assert_int_equal(rig_call(r, SYS_pread64, fd, U(r->app + 100), 50, 7), 4);
    assert_memory_equal(r->app + 100, "isle", 4);
    assert_int_equal(rig_call(r, SYS_pwrite64, fd, U("never"), 5, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_lseek, fd, 0, SEEK_SET), 0);
    assert_int_equal(rig_call(r, SYS_read, fd, U(r->app + 200), 5), 5);
    assert_memory_equal(r->app + 200, "hello", 5);
    struct stat *st = (void *)(r->app + 1024);
    assert_int_equal(rig_call(r, SYS_fstat, fd, U(st)), 0);
    assert_int_equal(st->st_size, 11);
    assert_int_equal(rig_call(r, SYS_ftruncate, fd, 3), 0);
    assert_int_equal(rig_call(r, SYS_close, fd), 0);
    assert_int_equal(rig_call(r, SYS_read, fd, U(r->app), 1), -EBADF);
}

static void file_bad_pointers(void **state)
{
    struct rig *r = *state;
    int fd = scratch_file();
    char own[16] = "proxy's memory";
    char *end = r->app + RIG_APP_SIZE;
    assert_int_equal(rig_call(r, SYS_write, fd, U(r->app), 16), 16);
    assert_int_equal(rig_call(r, SYS_pread64, fd, U(own), 4, 0), -EFAULT);
    assert_string_equal(own, "proxy's memory");
    assert_int_equal(rig_call(r, SYS_pread64, fd, BAD, 4, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_pread64, fd, 0, 4, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_pread64, fd, U(end - 4), 4, 0), 4);
    assert_int_equal(rig_call(r, SYS_pread64, fd, U(end - 4), 5, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_pread64, fd, U(end - 4), UINT64_MAX, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_pread64, fd, UINT64_MAX - 2, 8, 0), -EFAULT);
    assert_int_equal(rig_call(r, SYS_write, fd, U(own), 4), -EFAULT);
    assert_int_equal(rig_call(r, SYS_write, fd, BAD, 0), 0);
    assert_int_equal(rig_call(r, SYS_fstat, fd, U(own)), -EFAULT);
    assert_int_equal(rig_call(r, SYS_stat, U("/tmp"), U(r->app)), -EFAULT);
    assert_int_equal(rig_call(r, SYS_pipe, U(own)), -EFAULT);
    assert_int_equal(rig_call(r, SYS_close, fd), 0);
}

static void file_vectors(void **state)
{
    struct rig *r = *state;
    int fd = scratch_file();
    struct iovec *v = (void *)(r->app + 4096);
    memcpy(r->app, "abcdefghij", 10);
    v[0] = (struct iovec){r->app, 4};
    v[1] = (struct iovec){NULL, 0};
    v[2] = (struct iovec){r->app + 4, 6};
    assert_int_equal(rig_call(r, SYS_writev, fd, U(v), 3), 10);
    v[0] = (struct iovec){r->app + 100, 7};
    v[1] = (struct iovec){r->app + 200, 90};
    assert_int_equal(rig_call(r, SYS_preadv, fd, U(v), 2, 0, 0), 10);
    assert_memory_equal(r->app + 100, "abcdefg", 7);
    assert_memory_equal(r->app + 200, "hij", 3);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    v[1].iov_base = &state; /* in the proxy */
    assert_int_equal(rig_call(r, SYS_readv, fd, U(v), 2), 7);
    v[0].iov_base = (void *)BAD;
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(rig_call(r, SYS_readv, fd, U(v), 2), -EFAULT);
    struct iovec own = {r->app, 4};
    assert_int_equal(rig_call(r, SYS_readv, fd, U(&own), 1), -EFAULT);
    assert_int_equal(rig_call(r, SYS_readv, fd, U(r->app + RIG_APP_SIZE - 16), 2), -EFAULT);
    assert_int_equal(rig_call(r, SYS_readv, fd, U(v), 1025), -EINVAL);
    assert_int_equal(rig_call(r, SYS_readv, fd, U(v), 0), 0);
    v[0] = (struct iovec){r->app, SIZE_MAX};
    assert_int_equal(rig_call(r, SYS_readv, fd, U(v), 1), -EINVAL);
    close(fd);
}

static void path_calls(void **state)
{
    struct rig *r = *state;
    char dir[] = "/tmp/lull-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *a = r->app + 100, *b = r->app + 500;
    sprintf(a, "%s/a", dir);
    sprintf(b, "%s/b", dir);
    int64_t fd = rig_call(r, SYS_open, U(a), O_CREAT | O_RDWR, 0600);
    assert_in_range(fd, 3, RIG_FD_LOW - 1);
    assert_int_equal(rig_call(r, SYS_close, fd), 0);
    assert_int_equal(rig_call(r, SYS_rename, U(a), U(b)), 0);
    assert_int_equal(rig_call(r, SYS_access, U(a), F_OK), -ENOENT);
    assert_int_equal(rig_call(r, SYS_newfstatat, AT_FDCWD, U(b), U(r->app + 1024), 0), 0);
    assert_int_equal(rig_call(r, SYS_symlinkat, U(b), AT_FDCWD, U(a)), 0);
    assert_int_equal(rig_call(r, SYS_readlink, U(a), U(r->app + 2048), 100), strlen(b));
    assert_memory_equal(r->app + 2048, b, strlen(b));
    assert_int_equal(rig_call(r, SYS_unlink, U(a)), 0);
    assert_int_equal(rig_call(r, SYS_unlinkat, AT_FDCWD, U(b), 0), 0);
    rmdir(dir);
    /* strings */
    char *end = r->app + RIG_APP_SIZE;
    strcpy(end - 5, "/tmp");
    assert_int_equal(rig_call(r, SYS_access, U(end - 5), F_OK), 0);
    end[-1] = 'x';
    assert_int_equal(rig_call(r, SYS_access, U(end - 5), F_OK), -EFAULT);
    assert_int_equal(rig_call(r, SYS_access, U("/tmp"), F_OK), -EFAULT);
    assert_int_equal(rig_call(r, SYS_access, 0, F_OK), -EFAULT);
    char *longest = r->app + 8192 + 77;
    memset(longest, '/', 4096);
    longest[4095] = 0;
    assert_int_equal(rig_call(r, SYS_access, U(longest), F_OK), 0);
    longest[4095] = '/';
    assert_int_equal(rig_call(r, SYS_access, U(longest), F_OK), -ENAMETOOLONG);
}

static int64_t open_path(struct rig *r, const char *path)
{
    strcpy(r->app, path);
    return rig_call(r, SYS_openat, AT_FDCWD, U(r->app), O_RDONLY | O_CLOEXEC, 0);
}

static int64_t read_link(struct rig *r, const char *path)
{
    strcpy(r->app, path);
    memset(r->app + 4096, 'x', 64);
    return rig_call(r, SYS_readlink, U(r->app), U(r->app + 4096), 64);
}

static void path_own_proc(void **state)
{
    struct rig *r = *state;
    char pid_exe[64], pid_maps[64];
    sprintf(pid_exe, "/proc//./%d/exe", getpid());
    sprintf(pid_maps, "/proc/%d/maps", getpid());
    const char *links[] = {"/proc/self/exe", "/proc/thread-self/exe", pid_exe};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_link(r, links[i]), 12);
        assert_memory_equal(r->app + 4096, "/the/programx", 13);
        assert_int_equal(open_path(r, links[i]), -ENOENT); /* there is no /the/program */
    }
    strcpy(r->app, "/proc/self/exe");
    assert_int_equal(rig_call(r, SYS_readlink, U(r->app), U(r->app + 4096), 3), 3);
    assert_int_equal(rig_call(r, SYS_readlink, U(r->app), U(r->app + 4096), 0), -EINVAL);
    assert_int_equal(rig_call(r, SYS_readlink, U(r->app), BAD, 64), -EFAULT);

    const char *refused[] = {"/proc/self/maps", "/proc/self/cmdline", pid_maps, "/proc/self/task",
                             "/proc/thread-self/status"};
    for (int i = 0; i < 5; i++)
        assert_int_equal(open_path(r, refused[i]), -ENOSYS);
    int64_t dir = open_path(r, "/proc/self");
    assert_true(dir > 0);
    strcpy(r->app, "maps");
    assert_int_equal(rig_call(r, SYS_openat, dir, U(r->app), O_RDONLY), -ENOSYS);
    assert_int_equal(rig_call(r, SYS_close, dir), 0);
    struct server_stats st;
    server_get_stats(r->server, &st);
    assert_int_equal(st.refused, 6);
    assert_int_equal(st.refused_nr[SYS_openat], 6);

    const char *fine[] = {"/proc/self/cgroup", "/proc/self/fd", "/proc/cpuinfo", "/proc/1/limits"};
    for (int i = 0; i < 4; i++) {
        int64_t fd = open_path(r, fine[i]);
        assert_true(fd > 0);
        assert_int_equal(rig_call(r, SYS_close, fd), 0);
    }
    int own = fcntl(0, F_DUPFD, RIG_FD_LOW);
    char name[64];
    sprintf(name, "/proc/self/fd/%d", own);
    assert_int_equal(read_link(r, name), -ENOENT);
    sprintf(name, "/dev/fd/%d", own);
    assert_int_equal(open_path(r, name), -ENOENT);
    close(own);
}

/* The same by any way that leads there. */
static void path_led_to_proc(void **state)
{
    struct rig *r = *state;
    static const char *const dirs[] = {
        "/proc/self/fd", "/proc/self/fdinfo", "/proc/thread-self/fd",
        "/dev/fd",       "/proc/self",        "/proc",
    };
    static const char *const names[] = {"%d", "./%d", "%d", "../fd/%d", "fd//%d", "self/fd/%d"};
    int own = fcntl(0, F_DUPFD, RIG_FD_LOW), plain = fcntl(0, F_DUPFD, 50);
    char home[4096], link[] = "/tmp/lull-link-XXXXXX", name[64];
    assert_non_null(getcwd(home, sizeof home));
    for (int i = 0; i < 6; i++) {
        int64_t dir = open_path(r, dirs[i]);
        assert_true(dir > 0);
        for (int by_fd = 0; by_fd < 2; by_fd++) {
            if (!by_fd)
                assert_int_equal(rig_call(r, SYS_fchdir, dir), 0);
            int64_t at = by_fd ? dir : AT_FDCWD;
            snprintf(r->app, 64, names[i], own);
            assert_int_equal(rig_call(r, SYS_readlinkat, at, U(r->app), U(r->app + 4096), 64),
                             -ENOENT);
            assert_int_equal(rig_call(r, SYS_openat, at, U(r->app), O_PATH | O_NOFOLLOW), -ENOENT);
            assert_int_equal(rig_call(r, SYS_newfstatat, at, U(r->app), U(r->app + 4096), 0),
                             -ENOENT);
            snprintf(r->app, 64, names[i], plain);
            assert_int_equal(rig_call(r, SYS_newfstatat, at, U(r->app), U(r->app + 4096), 0), 0);
        }
        assert_int_equal(rig_call(r, SYS_close, dir), 0);
    }
    /* the cwd is /proc */
    strcpy(r->app, "self/exe");
    assert_int_equal(rig_call(r, SYS_readlink, U(r->app), U(r->app + 4096), 64), 12);
    assert_memory_equal(r->app + 4096, "/the/program", 12);
    assert_int_equal(chdir(home), 0);
    snprintf(name, sizeof name, "/proc/self/../%d/fd/%d", getpid(), own);
    assert_int_equal(read_link(r, name), -ENOENT);
    int64_t fds = open_path(r, "/proc/self/fd");
    snprintf(name, sizeof name, "/proc/self/fd/%d/%d", (int)fds, own);
    assert_int_equal(read_link(r, name), -ENOENT);
    assert_true(mkdtemp(link));
    snprintf(name, sizeof name, "%s/d", link);
    assert_int_equal(symlink("/proc/self/fd", name), 0);
    snprintf(name, sizeof name, "%s/d/%d", link, own);
    assert_int_equal(open_path(r, name), -ENOENT);
    snprintf(name, sizeof name, "%s/%d", link, own); /* a file like any other */
    assert_int_equal(mkdir(name, 0700), 0);
    assert_int_equal(read_link(r, name), -EINVAL);
    assert_int_equal(rmdir(name), 0);
    snprintf(name, sizeof name, "%s/d", link);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(link), 0);
    assert_int_equal(read_link(r, "/proc/self/map_files/1000-2000"), -ENOSYS);
    assert_int_equal(rig_call(r, SYS_close, fds), 0);
    close(own);
    close(plain);
}

static long (*real_syscall)(long nr, const long arg[6], const int *cancel);
static int mem_opened;

/* Asks Linux, and notes when the process's memory was open, however briefly. */
static long watching(long nr, const long arg[6], const int *cancel)
{
    long r = real_syscall(nr, arg, cancel);
    char link[64], path[64] = "";
    if (r < 0 || (nr != SYS_open && nr != SYS_openat && nr != SYS_openat2 && nr != SYS_creat))
        return r;
    snprintf(link, sizeof link, "/proc/self/fd/%ld", r);
    ssize_t n = readlink(link, path, sizeof path - 1);
    int flags = fcntl((int)r, F_GETFL);
    if (n > 4 && !strcmp(path + n - 4, "/mem") && !(flags & O_PATH))
        __atomic_add_fetch(&mem_opened, 1, __ATOMIC_RELAXED);
    return r;
}

static atomic_bool flip_over;

static void *flips(void *dir)
{
    while (!flip_over) {
        syscall(SYS_renameat2, *(int *)dir, "l", *(int *)dir, "m", RENAME_EXCHANGE);
        for (int i = 0; i < 50; i++)
            __builtin_ia32_pause();
    }
    return NULL;
}

/* A name that is a FIFO or a link to the process's memory, by turns. */
static void memory_never_opened_by_a_race(void **state)
{
    struct rig *r = *state;
    char dir[] = "/tmp/lull-flip-XXXXXX";
    pthread_t t;
    assert_true(mkdtemp(dir));
    int fd = open(dir, O_RDONLY | O_DIRECTORY);
    assert_int_equal(mkfifoat(fd, "l", 0600), 0);
    assert_int_equal(symlinkat("/proc/self/mem", fd, "m"), 0);
    mem_opened = 0;
    flip_over = false;
    real_syscall = server_syscall_fn;
    server_syscall_fn = watching;
    assert_int_equal(pthread_create(&t, NULL, flips, &fd), 0);
    snprintf(r->app, 64, "%s/l", dir);
    int opened = 0, refused = 0;
    for (int i = 0; i < 3000; i++) {
        int64_t got =
            rig_call(r, SYS_open, U(r->app), O_RDWR | O_NONBLOCK | (i % 2 ? O_CREAT : 0), 0600);
        if (got >= 0) {
            opened++;
            assert_int_equal(rig_call(r, SYS_close, got), 0);
        } else {
            refused += got == -ENOSYS;
        }
    }
    flip_over = true;
    pthread_join(t, NULL);
    server_syscall_fn = real_syscall;
    assert_true(opened > 0 && refused > 0);
    assert_int_equal(mem_opened, 0);
    unlinkat(fd, "l", 0);
    unlinkat(fd, "m", 0);
    close(fd);
    assert_int_equal(rmdir(dir), 0);
}

/* What is refused is never open, not even until it has been looked at. */
static void path_never_opened(void **state)
{
    struct rig *r = *state;
    char link[] = "/tmp/lull-link-XXXXXX";
    uint64_t *how = (void *)(r->app + 256);
    assert_true(mkdtemp(link));
    char name[64];
    snprintf(name, sizeof name, "%s/l", link);
    assert_int_equal(symlink("/proc/self/mem", name), 0);
    int64_t dir = open_path(r, "/proc/thread-self");
    assert_true(dir > 0);
    mem_opened = 0;
    real_syscall = server_syscall_fn;
    server_syscall_fn = watching;
    assert_int_equal(open_path(r, name), -ENOSYS);
    strcpy(r->app, name);
    assert_int_equal(rig_call(r, SYS_open, U(r->app), O_RDWR), -ENOSYS);
    assert_int_equal(rig_call(r, SYS_open, U(r->app), O_RDWR | O_CREAT, 0600), -ENOSYS);
    assert_int_equal(rig_call(r, SYS_creat, U(r->app), 0600), -ENOSYS);
    memset(how, 0, 24);
    how[0] = O_RDWR;
    assert_int_equal(rig_call(r, SYS_openat2, AT_FDCWD, U(r->app), U(how), 24), -ENOSYS);
    /* the link itself */
    assert_int_equal(rig_call(r, SYS_open, U(r->app), O_RDWR | O_NOFOLLOW), -ELOOP);
    assert_int_equal(rig_call(r, SYS_open, U(r->app), O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    strcpy(r->app, "mem");
    assert_int_equal(rig_call(r, SYS_openat, dir, U(r->app), O_RDONLY), -ENOSYS);
    server_syscall_fn = real_syscall;
    assert_int_equal(mem_opened, 0);
    assert_int_equal(rig_call(r, SYS_close, dir), 0);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(link), 0);
}

static void path_xattr_name(void **state)
{
    struct rig *r = *state;
    strcpy(r->app, "/tmp");
    memset(r->app + 4096, 'a', 300);
    assert_int_equal(rig_call(r, SYS_getxattr, U(r->app), U(r->app + 4096), 0, 0), -ERANGE);
    /* a name is no path: nothing of /proc is meant */
    strcpy(r->app + 4096, "/proc/self/exe");
    int64_t e = rig_call(r, SYS_getxattr, U(r->app), U(r->app + 4096), 0, 0);
    assert_int_equal(e, -EOPNOTSUPP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(file_read_write),   BOTH(file_bad_pointers),
        BOTH(file_vectors),      BOTH(path_calls),
        BOTH(path_own_proc),     BOTH(path_led_to_proc),
        BOTH(path_never_opened), BOTH(memory_never_opened_by_a_race),
        BOTH(path_xattr_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
