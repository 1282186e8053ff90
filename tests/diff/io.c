/* SPDX-License-Identifier: MIT */
/* Reading and writing: vectors, positions, pipes. */
#include "diff.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

CASE(io, requests_that_nobody_has)
{
    int tty = posix_openpt(O_RDWR | O_NOCTTY), pi[2];
    R(pipe(pi));
    R(ioctl(tty, 9999999, 1));
    R(ioctl(pi[0], 9999999, NULL));
    R(ioctl(-1, 9999999, NULL));
}

CASE(io, read_write_errors)
{
    int fd = file_with("f", "abc"), ro = open("f", O_RDONLY), wo = open("f", O_WRONLY);
    char buf[16];

    R(read(-1, buf, 1));
    R(read(99, buf, 1));
    R(read(wo, buf, 1));
    R(write(ro, buf, 1));
    R(read(open(".", O_RDONLY), buf, 1));
    R(write(-1, buf, 1));
    R(read(fd, buf, 0));
    R(read(fd, NULL, 0));
    R(write(fd, NULL, 0));
    R(read(wo, NULL, 0));
    R(read(fd, buf, sizeof buf));
    R(read(fd, buf, sizeof buf));
    R(close(-1));
}

CASE(io, huge_counts)
{
    char *p = pages_before_hole(1);
    int fd = file_with("f", "abc");

    R(read(fd, p, 0x7fffffff));
    R(pread(fd, p, 0x7ffffffff000 - (uintptr_t)p, 1)); /* ends where user space ends */
    R(pread(fd, p, 0x7ffffffff001 - (uintptr_t)p, 1));
    R(read(fd, p, (size_t)-1));
    R(pwrite(fd, p, (size_t)-1, 0));
}

CASE(io, count_of_a_device)
{
    R(write(open("/dev/null", O_WRONLY), pages_before_hole(1), 0x90000000)); /* never looked at */
}

CASE(io, partial_at_a_hole)
{
    char *p = pages_before_hole(1), buf[64];
    int fd = file_with("f", "0123456789abcdef"), pi[2];

    memset(p, 'z', PAGE);
    R(pipe(pi));
    R(pread(fd, p + PAGE - 4, 16, 0));
    show_bytes("read", p + PAGE - 4, 4);
    R(pread(fd, p + PAGE, 16, 0));
    R(write(pi[1], p + PAGE - 4, 16) == -1 || read(pi[0], buf, 64) == 4);
    R(pwrite(fd, p + PAGE - 4, 16, 0));
}

CASE(io, readv_writev)
{
    char a[4] = "", b[4] = "", c[4] = "";
    struct iovec v[3] = {{a, 2}, {NULL, 0}, {c, 3}}, bad = {b, (size_t)-1};
    static struct iovec many[1025];
    int fd = file_with("f", "0123456789");

    R(readv(fd, v, 3));
    show_bytes("a", a, 4);
    show_bytes("c", c, 4);
    R(writev(fd, v, 3));
    R(lseek(fd, 0, SEEK_CUR));
    R(readv(fd, v, 0));
    R(readv(fd, NULL, 0));
    R(readv(fd, v, -1));
    R(readv(fd, &bad, 1));
    for (int i = 0; i < 1025; i++)
        many[i] = (struct iovec){b, i < 4};
    R(lseek(fd, 0, SEEK_SET));
    R(readv(fd, many, 1024));
    R(readv(fd, many, 1025));
    v[0].iov_len = v[2].iov_len = (size_t)INT64_MAX;
    R(readv(fd, v, 3));
    R(readv(-1, v, 3));
}

CASE(io, vector_with_bad_buffers)
{
    char a[4] = "";
    struct iovec v[3] = {{a, 2}, {page_with(PROT_NONE), 4}, {a, 2}};
    struct iovec first[2] = {{page_with(PROT_NONE), 4}, {a, 2}};
    int fd = file_with("f", "0123456789");

    R(readv(fd, v, 3));
    R(lseek(fd, 0, SEEK_CUR));
    R(readv(fd, first, 2));
    R(preadv(fd, v, 3, 0));
    R(writev(fd, first, 2));
    R(pwritev(fd, v, 3, 0));
}

CASE(io, positioned)
{
    char buf[16] = "";
    struct iovec v[2] = {{buf, 2}, {buf + 4, 2}};
    int fd = file_with("f", "0123456789"), p[2];

    R(pipe(p));
    R(pread(fd, buf, 4, 3));
    show_bytes("pread", buf, 4);
    R(pread(fd, buf, 4, 100));
    R(pread(fd, buf, 4, -1));
    R(pwrite(fd, "AB", 2, 12));
    R(pwrite(fd, "AB", 2, -1));
    R(pread(p[0], buf, 4, 0));
    R(pwrite(p[1], buf, 4, 0));
    R(lseek(fd, 0, SEEK_CUR));
    R(preadv(fd, v, 2, 8));
    show_bytes("preadv", buf, 8);
    R(preadv(fd, v, 2, -1));
    R(pwritev(fd, v, 2, 0));
    R(preadv(p[0], v, 2, 0));
    R(pread(fd, buf, 2, INT64_MAX));
}

CASE(io, preadv2_flags)
{
    char buf[16] = "";
    struct iovec v = {buf, 4};
    int fd = file_with("f", "0123456789");

    R(preadv2(fd, &v, 1, -1, 0));
    R(lseek(fd, 0, SEEK_CUR));
    R(preadv2(fd, &v, 1, 2, RWF_HIPRI) >= -1);
    R(preadv2(fd, &v, 1, -2, 0));
    R(preadv2(fd, &v, 1, 0, 0x10000));
    R(pwritev2(fd, &v, 1, 0, RWF_APPEND));
    R(lseek(fd, 0, SEEK_END));
    R(pwritev2(fd, &v, 1, 0, RWF_DSYNC));
    R(pwritev2(fd, &v, 1, -1, 0));
}

CASE(io, pipe)
{
    char buf[16] = "";
    int p[2], n;

    R(pipe2(p, O_CLOEXEC | O_NONBLOCK));
    SHOW(p[0]);
    SHOW(p[1]);
    R(fcntl(p[0], F_GETFD));
    R(fcntl(p[0], F_GETFL));
    R(read(p[0], buf, 1));
    R(write(p[1], "abcdef", 6));
    R(ioctl(p[0], FIONREAD, &n));
    SHOW(n);
    R(read(p[0], buf, 4));
    R(read(p[0], buf, 16));
    R(read(p[1], buf, 1));
    R(write(p[0], buf, 1));
    R(close(p[1]));
    R(read(p[0], buf, 1));
    R(pipe2(p, 0x1234567));
}

CASE(io, pipe_full)
{
    static char buf[65536];
    int p[2];

    R(pipe2(p, O_NONBLOCK));
    R(fcntl(p[1], F_GETPIPE_SZ));
    R(write(p[1], buf, sizeof buf));
    R(write(p[1], buf, 1));
    R(read(p[0], buf, 4000));
    R(write(p[1], buf, 4096));
    R(read(p[0], buf, 96));
    R(write(p[1], buf, 8192));
    R(fcntl(p[1], F_SETPIPE_SZ, 4096));
    R(fcntl(p[1], F_SETPIPE_SZ, 131072));
    R(fcntl(p[1], F_GETPIPE_SZ));
    R(fcntl(p[1], F_SETPIPE_SZ, -1));
}

CASE(io, pipe_packets)
{
    char buf[16];
    int p[2];

    R(pipe2(p, O_DIRECT | O_NONBLOCK));
    R(write(p[1], "one", 3));
    R(write(p[1], "two22", 5));
    R(read(p[0], buf, 16));
    R(read(p[0], buf, 2));
    R(read(p[0], buf, 16));
}

CASE(io, epipe_without_signal)
{
    struct iovec v = {(char[]){"x"}, 1};
    int p[2];

    signal(SIGPIPE, SIG_IGN);
    R(pipe(p));
    R(close(p[0]));
    R(write(p[1], "x", 1));
    R(writev(p[1], &v, 1));
    R(write(p[1], "x", 0));
}

CASE(io, epipe_kills)
{
    int p[2];

    R(pipe(p));
    R(close(p[0]));
    R(write(p[1], "x", 1));
    puts("not reached");
}

CASE(io, pipe_read_eintr)
{
    char c;
    int p[2];

    R(pipe(p));
    poke_begin(50, 0);
    R(read(p[0], &c, 1));
    SHOW(poke_end());
}

static void *write_later(void *arg)
{
    sleep_ms(300);
    return write(*(int *)arg, "late", 4) == 4 ? NULL : arg;
}

CASE(io, pipe_read_restarts)
{
    char buf[8];
    int p[2];
    pthread_t t;

    R(pipe(p));
    pthread_create(&t, NULL, write_later, &p[1]);
    poke_begin(50, SA_RESTART);
    R(read(p[0], buf, 8));
    SHOW(poke_end());
    pthread_join(t, NULL);
}

CASE(io, pipe_write_interrupted_half_way)
{
    static char buf[200000];
    int p[2];

    R(pipe(p));
    poke_begin(50, SA_RESTART);
    R(write(p[1], buf, sizeof buf));
    SHOW(poke_end());
}

CASE(io, fifo)
{
    char buf[8];
    int r, w;

    R(mkfifo("fifo", 0600));
    R(open("fifo", O_WRONLY | O_NONBLOCK));
    R(r = open("fifo", O_RDONLY | O_NONBLOCK));
    R(read(r, buf, 1));
    R(w = open("fifo", O_WRONLY | O_NONBLOCK));
    R(read(r, buf, 1));
    R(write(w, "abc", 3));
    R(read(r, buf, 8));
    R(close(w));
    R(read(r, buf, 8));
    R(lseek(r, 0, SEEK_SET));
}

static void *open_reader(void *arg)
{
    int fd;

    sleep_ms(100);
    fd = open("fifo", O_RDONLY);
    return fd < 0 ? arg : NULL;
}

CASE(io, fifo_open_waits)
{
    pthread_t t;

    R(mkfifo("fifo", 0600));
    pthread_create(&t, NULL, open_reader, NULL);
    R(open("fifo", O_WRONLY) >= 0);
    pthread_join(t, NULL);
}

CASE(io, fifo_open_eintr)
{
    R(mkfifo("fifo", 0600));
    poke_begin(50, 0);
    R(open("fifo", O_RDONLY));
    SHOW(poke_end());
}

CASE(io, splice)
{
    char buf[16] = "";
    int fd = file_with("f", "0123456789"), p[2], q[2], out = file_with("g", "");
    loff_t off = 2;

    R(pipe2(p, O_NONBLOCK));
    R(pipe2(q, O_NONBLOCK));
    R(splice(fd, &off, p[1], NULL, 5, 0));
    SHOW(off);
    R(splice(p[0], NULL, q[1], NULL, 3, SPLICE_F_MOVE));
    R(splice(q[0], NULL, out, NULL, 16, SPLICE_F_NONBLOCK));
    R(pread(out, buf, 16, 0));
    show_bytes("out", buf, 4);
    R(splice(fd, NULL, out, NULL, 5, 0));
    R(splice(p[0], &off, q[1], NULL, 5, 0));
    R(splice(p[0], NULL, q[1], NULL, 5, 64));
    R(splice(q[0], NULL, p[1], NULL, 5, SPLICE_F_NONBLOCK));
    R(splice(-1, NULL, p[1], NULL, 5, 0));
    R(splice(p[0], NULL, p[1], NULL, 5, 0));
}

CASE(io, tee)
{
    char buf[16] = "";
    int p[2], q[2];

    R(pipe2(p, O_NONBLOCK));
    R(pipe2(q, O_NONBLOCK));
    R(write(p[1], "abcdef", 6));
    R(tee(p[0], q[1], 4, 0));
    R(read(q[0], buf, 16));
    R(read(p[0], buf, 16));
    R(tee(p[0], q[1], 4, SPLICE_F_NONBLOCK));
    R(tee(p[0], p[1], 4, 0));
    R(tee(-1, p[1], 4, 0));
    R(tee(p[0], q[1], 4, 64));
}

CASE(io, vmsplice)
{
    char buf[16] = "";
    struct iovec v[2] = {{(char[]){"abc"}, 3}, {(char[]){"defg"}, 4}};
    int p[2];

    R(pipe2(p, O_NONBLOCK));
    R(vmsplice(p[1], v, 2, 0));
    R(read(p[0], buf, 16));
    show_bytes("got", buf, 8);
    R(vmsplice(p[1], v, 0, 0));
    R(vmsplice(p[1], v, 1025, 0));
    R(vmsplice(-1, v, 1, 0));
    R(vmsplice(p[1], v, 1, 64));
    R(vmsplice(file_with("f", ""), v, 1, 0));
}

CASE(io, getrandom)
{
    char buf[64] = "";

    R(syscall(SYS_getrandom, buf, 64, 0));
    R(syscall(SYS_getrandom, buf, 64, 1));
    R(syscall(SYS_getrandom, buf, 0, 0));
    R(syscall(SYS_getrandom, buf, 64, 0x100));
    R(syscall(SYS_getrandom, buf, 64, 6));
}
