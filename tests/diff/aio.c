/* SPDX-License-Identifier: MIT */
/* Asynchronous I/O: io_setup(2) and its family, by number. */
#include "diff.h"

#include <linux/aio_abi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

static long setup(unsigned n, aio_context_t *ctx)
{
    return syscall(SYS_io_setup, n, ctx);
}

static long submit(aio_context_t ctx, long n, struct iocb **list)
{
    return syscall(SYS_io_submit, ctx, n, list);
}

static long get(aio_context_t ctx, long least, long n, struct io_event *e, struct timespec *t)
{
    return syscall(SYS_io_getevents, ctx, least, n, e, t);
}

static struct iocb op(int opcode, int fd, void *buf, size_t n, long long at)
{
    return (struct iocb){.aio_lio_opcode = (uint16_t)opcode,
                         .aio_fildes = (uint32_t)fd,
                         .aio_buf = (uintptr_t)buf,
                         .aio_nbytes = n,
                         .aio_offset = at,
                         .aio_data = 4711,
                         .aio_key = 99};
}

/* Submits one and waits for it: the answer, and the event's. */
static void one(aio_context_t ctx, struct iocb *o, const char *what)
{
    struct iocb *list[1] = {o};
    struct io_event e = {0};
    struct timespec t = {5, 0};

    errno = 0;
    long r = submit(ctx, 1, list);
    printf("%s: submit %ld %s, key %u\n", what, r, r < 0 ? strerrorname_np(errno) : "", o->aio_key);
    if (r != 1)
        return;
    printf("  events %ld", get(ctx, 1, 1, &e, &t));
    printf(" res %lld data %llu, %s iocb\n", (long long)e.res, (long long)e.data,
           e.obj == (uintptr_t)o ? "its" : "another");
}

CASE(aio, setup_errors)
{
    aio_context_t ctx = 0, other = 1;
    static const aio_context_t constant;

    R(setup(1, NULL));
    R(setup(1, (aio_context_t *)page_with(PROT_NONE)));
    R(setup(1, (aio_context_t *)(uintptr_t)&constant));
    R(setup(1, &other));
    R(setup(0, &ctx));
    R(setup(~0u, &ctx));
    R(setup(1 << 22, &ctx));
    R(syscall(SYS_io_destroy, ctx));
    R(syscall(SYS_io_destroy, 4096));
    R(setup(8, &ctx));
    SHOW(ctx != 0 && ctx % PAGE == 0);
    R(get(ctx + PAGE, 0, 1, NULL, NULL));
    R(syscall(SYS_io_destroy, ctx));
    R(syscall(SYS_io_destroy, ctx));
    R(submit(ctx, 0, NULL));
}

CASE(aio, reads_and_writes)
{
    aio_context_t ctx = 0;
    int fd = file_with("f", "0123456789");
    char a[8] = "", b[8] = "";
    struct iovec v[2] = {{a, 3}, {b, 4}};
    struct iocb o;

    R(setup(4, &ctx));
    o = op(IOCB_CMD_PREAD, fd, a, 4, 2);
    one(ctx, &o, "pread");
    show_bytes("a", a, 8);
    o = op(IOCB_CMD_PWRITE, fd, "WXYZ", 4, 8);
    one(ctx, &o, "pwrite");
    o = op(IOCB_CMD_PREADV, fd, v, 2, 5);
    one(ctx, &o, "preadv");
    show_bytes("a", a, 8);
    show_bytes("b", b, 8);
    o = op(IOCB_CMD_PWRITEV, fd, v, 2, 0);
    one(ctx, &o, "pwritev");
    o = op(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
    one(ctx, &o, "fsync");
    o = op(IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
    one(ctx, &o, "fdsync");
    o = op(IOCB_CMD_PREAD, fd, a, 0, 0);
    one(ctx, &o, "nothing");
    o = op(IOCB_CMD_PREADV, fd, v, 0, 0);
    one(ctx, &o, "no buffers");
    R(pread(fd, a, 8, 0));
    show_bytes("file", a, 8);
    R(syscall(SYS_io_destroy, ctx));
}

CASE(aio, submit_errors)
{
    aio_context_t ctx = 0;
    int fd = file_with("f", "0123456789"), p[2], d = open(".", O_RDONLY);
    char a[8] = "";
    struct iocb good = op(IOCB_CMD_PREAD, fd, a, 4, 0), o, *list[3] = {&good, NULL, &good};
    struct iovec wrong[1] = {{a, (size_t)-1}};

    R(setup(4, &ctx));
    R(pipe(p));
    R(submit(ctx, -1, list));
    R(submit(ctx, 0, NULL));
    R(submit(ctx, 1, NULL));
    R(submit(ctx, 1, (struct iocb **)page_with(PROT_NONE)));
    R(submit(0, 1, list));
    R(submit(ctx, 3, list)); /* as far as the NULL */
    R(submit(ctx, 2, list + 1));
    list[1] = (struct iocb *)page_with(PROT_NONE);
    R(submit(ctx, 1, list + 1));
    o = good;
    o.aio_fildes = 77;
    one(ctx, &o, "bad descriptor");
    o = good;
    o.aio_lio_opcode = 66;
    one(ctx, &o, "bad opcode");
    o = good;
    o.aio_reserved2 = 1;
    one(ctx, &o, "reserved");
    o = good;
    o.aio_nbytes = (uint64_t)-1;
    one(ctx, &o, "negative length");
    o = op(IOCB_CMD_PWRITE, open("f", O_RDONLY), a, 4, 0);
    one(ctx, &o, "not for writing");
    o = op(IOCB_CMD_PREAD, d, a, 4, 0);
    one(ctx, &o, "a directory");
    o = op(IOCB_CMD_PREAD, fd, a, 4, -1);
    one(ctx, &o, "negative offset");
    o = op(IOCB_CMD_PREADV, fd, wrong, 1, 0);
    one(ctx, &o, "bad array");
    o = op(IOCB_CMD_PREADV, fd, wrong, 1025, 0);
    one(ctx, &o, "long array");
    o = op(IOCB_CMD_FSYNC, fd, a, 0, 0);
    one(ctx, &o, "fsync with a buffer");
    o = op(IOCB_CMD_FSYNC, p[0], NULL, 0, 0);
    one(ctx, &o, "fsync of a pipe");
    o = good;
    o.aio_flags = IOCB_FLAG_RESFD;
    o.aio_resfd = (uint32_t)fd;
    one(ctx, &o, "no eventfd");
    o.aio_resfd = 77;
    one(ctx, &o, "a closed eventfd");
    o = good;
    o.aio_rw_flags = 0x40000000;
    one(ctx, &o, "flags");
    o = good;
    o.aio_flags = IOCB_FLAG_IOPRIO;
    o.aio_reqprio = 0xffff;
    one(ctx, &o, "priority");
    o.aio_reqprio = 2 << 13 | 4;
    one(ctx, &o, "priority 4");
}

CASE(aio, bad_buffers)
{
    aio_context_t ctx = 0;
    int fd = file_with("f", "0123456789");
    char *hole = pages_before_hole(1), *none = page_with(PROT_NONE), *ro = page_with(PROT_READ);
    char a[4];
    struct iovec v[2] = {{a, 2}, {none, 4}};
    struct iocb o, *copy, *list[1];

    R(setup(4, &ctx));
    o = op(IOCB_CMD_PREAD, fd, none, 4, 0);
    one(ctx, &o, "none");
    o = op(IOCB_CMD_PREAD, fd, ro, 4, 0);
    one(ctx, &o, "read-only");
    o = op(IOCB_CMD_PWRITE, fd, ro, 4, 20);
    one(ctx, &o, "write of it");
    o = op(IOCB_CMD_PREAD, fd, hole + PAGE - 4, 8, 0);
    one(ctx, &o, "half");
    show_bytes("half", hole + PAGE - 4, 4);
    o = op(IOCB_CMD_PWRITE, fd, none, 4, 0);
    one(ctx, &o, "write");
    o = op(IOCB_CMD_PREAD, fd, (void *)0x7ffffffff000, 4, 0);
    one(ctx, &o, "no address");
    o = op(IOCB_CMD_PREADV, fd, v, 2, 0);
    one(ctx, &o, "vector");
    o = op(IOCB_CMD_PREADV, fd, none, 1, 0);
    one(ctx, &o, "vector of none");
    o = op(IOCB_CMD_PREADV, fd, NULL, 1, 0);
    one(ctx, &o, "vector of null");
    copy = (struct iocb *)page_with(PROT_READ | PROT_WRITE); /* aio_key cannot be written */
    *copy = op(IOCB_CMD_PREAD, fd, a, 4, 0);
    mprotect(copy, PAGE, PROT_READ);
    one(ctx, copy, "iocb read-only");
    mprotect(copy, PAGE, PROT_READ | PROT_WRITE);
    copy->aio_fildes = 77;
    mprotect(copy, PAGE, PROT_READ);
    one(ctx, copy, "iocb read-only, closed descriptor");
    list[0] = (struct iocb *)(hole + PAGE - 32); /* it ends behind the page */
    R(submit(ctx, 1, list));
}

CASE(aio, events)
{
    aio_context_t ctx = 0;
    int fd = file_with("f", "0123456789");
    char a[4];
    struct iocb o = op(IOCB_CMD_PREAD, fd, a, 4, 0), *list[4] = {&o, &o, &o, &o};
    struct io_event e[8];
    struct timespec none = {0, 0}, ms = {0, 1000000};

    R(setup(8, &ctx));
    void *closed = page_with(PROT_NONE), *ro = page_with(PROT_READ);
    /* last: nothing may be mapped from here on, for it could be mapped behind it */
    struct io_event *last = (struct io_event *)(pages_before_hole(1) + PAGE) - 2;
    R(get(ctx, 0, 4, e, NULL));
    R(get(ctx, 1, 4, e, &none));
    R(get(ctx, 1, 4, e, &ms));
    R(get(ctx, -1, 4, e, &none));
    R(get(ctx, 4, 1, e, &none));
    R(get(ctx, 0, -1, e, &none));
    R(get(ctx, 0, 0, e, &none));
    R(get(ctx, 1, 4, e, closed));
    R(submit(ctx, 4, list));
    R(get(ctx, 1, 1, NULL, NULL));
    R(get(ctx, 1, 1, ro, NULL));
    R(get(ctx, 0, 4, last, NULL)); /* room for two */
    R(get(ctx, 2, 2, last, NULL));
    SHOW(last[1].res);
    R(get(ctx, 1, 8, e, NULL));
    SHOW(e[1].data);
    R(get(ctx, 1, 8, e, &ms));
    R(submit(ctx, 3, list));
    R(get(ctx, 4, 8, e, &ms)); /* what there is when the time is over */
    R(syscall(SYS_io_destroy, ctx));
}

CASE(aio, as_many_as_there_is_room_for)
{
    enum { MANY = 300 };
    static struct iocb o[MANY];
    static struct iocb *list[MANY];
    static struct io_event e[MANY];
    static char b[MANY];
    aio_context_t ctx = 0;
    int fd = file_with("f", "0123456789"), wrong = 0;

    for (int i = 0; i < MANY; i++) {
        o[i] = op(IOCB_CMD_PREAD, fd, b + i, 1, i % 10);
        o[i].aio_data = (uint64_t)i;
        list[i] = &o[i];
    }
    R(setup(MANY, &ctx));
    R(submit(ctx, MANY, list));
    R(get(ctx, MANY, MANY, e, NULL));
    for (int i = 0; i < MANY; i++)
        wrong += b[i] != '0' + i % 10 || e[i].obj != (uintptr_t)&o[e[i].data] || e[i].res != 1;
    SHOW(wrong);
    R(syscall(SYS_io_destroy, ctx));
}

CASE(aio, polls_and_cancels)
{
    aio_context_t ctx = 0;
    int p[2];
    struct iocb o, other, *list[1] = {&o};
    struct io_event e;
    struct timespec ms = {0, 1000000}, s = {5, 0};

    R(setup(4, &ctx));
    R(pipe(p));
    o = op(IOCB_CMD_POLL, p[0], (void *)(uintptr_t)POLLIN, 0, 0);
    R(submit(ctx, 1, list));
    R(get(ctx, 1, 1, &e, &ms));
    R(write(p[1], "x", 1));
    R(get(ctx, 1, 1, &e, &s));
    SHOW(e.res);
    SHOW(e.obj == (uintptr_t)&o);
    R(read(p[0], &e, 1));
    R(submit(ctx, 1, list));
    other = o;
    R(syscall(SYS_io_cancel, ctx, &other, &e));
    R(syscall(SYS_io_cancel, 0, &o, &e));
    R(syscall(SYS_io_cancel, ctx, NULL, &e));
    R(syscall(SYS_io_cancel, ctx, page_with(PROT_NONE), &e));
    o.aio_key = 1;
    R(syscall(SYS_io_cancel, ctx, &o, &e));
    o.aio_key = 0;
    R(syscall(SYS_io_cancel, ctx, &o, NULL));
    R(get(ctx, 1, 1, &e, &s));
    SHOW(e.obj == (uintptr_t)&o);
    R(syscall(SYS_io_cancel, ctx, &o, &e));
    o.aio_offset = 1;
    R(submit(ctx, 1, list));
    o.aio_offset = 0;
    R(submit(ctx, 1, list));
    R(syscall(SYS_io_destroy, ctx)); /* with one that waits */
}

CASE(aio, tells_an_eventfd)
{
    aio_context_t ctx = 0;
    int fd = file_with("f", "0123456789"), ev = eventfd(0, 0);
    char a[4];
    struct iocb o = op(IOCB_CMD_PREAD, fd, a, 4, 0), *list[2] = {&o, &o};
    struct io_event e[2];
    uint64_t n = 0;

    o.aio_flags = IOCB_FLAG_RESFD;
    o.aio_resfd = (uint32_t)ev;
    R(setup(4, &ctx));
    R(submit(ctx, 2, list));
    R(read(ev, &n, sizeof n));
    SHOW(n);
    R(get(ctx, 2, 2, e, NULL));
}

CASE(aio, waiting_ends_with_a_signal)
{
    aio_context_t ctx = 0;
    struct io_event e;
    struct timespec s = {10, 0};
    sigset_t none;
    struct {
        const sigset_t *set;
        size_t size;
    } mask = {&none, 8}, odd = {&none, 4}, bad = {(sigset_t *)page_with(PROT_NONE), 8};

    sigemptyset(&none);
    R(setup(4, &ctx));
    poke_begin(50, SA_RESTART);
    R(get(ctx, 1, 1, &e, &s));
    SHOW(poke_end());
    R(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, &s, &odd));
    R(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, &s, &bad));
    R(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, &s, bad.set));
    R(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, bad.set, &odd));
    s = (struct timespec){0, 1000000};
    R(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, &s, NULL));
    R(syscall(SYS_io_pgetevents, 0, 1, 1, &e, &s, &mask));
    sigset_t usr1;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    poke_begin(50, 0);
    sigprocmask(SIG_BLOCK, &usr1, NULL);
    R(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, NULL, &mask));
    SHOW(poke_end());
}

CASE(aio, a_broken_pipe_raises_sigpipe)
{
    aio_context_t ctx = 0;
    int p[2];
    struct iocb o;

    signal(SIGPIPE, SIG_IGN);
    R(setup(4, &ctx));
    R(pipe(p));
    close(p[0]);
    o = op(IOCB_CMD_PWRITE, p[1], "x", 1, 0);
    one(ctx, &o, "ignored");
    signal(SIGPIPE, SIG_DFL);
    fflush(stdout);
    one(ctx, &o, "dead");
}

CASE(aio, pipes)
{
    aio_context_t ctx = 0;
    int p[2];
    char a[8] = "";
    struct iocb o;

    R(setup(4, &ctx));
    R(pipe(p));
    o = op(IOCB_CMD_PWRITE, p[1], "abc", 3, 0);
    one(ctx, &o, "write");
    o = op(IOCB_CMD_PREAD, p[0], a, 8, 0);
    one(ctx, &o, "read");
    show_bytes("a", a, 4);
    o.aio_rw_flags = RWF_NOWAIT;
    one(ctx, &o, "empty");
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    o.aio_rw_flags = 0;
    one(ctx, &o, "nonblocking");
}

/* A child has no contexts; a child of vfork has its parent's. */
CASE(aio, children)
{
    aio_context_t ctx = 0, own = 0;
    int fd = file_with("f", "0123456789"), status;
    char a[4];
    struct iocb o = op(IOCB_CMD_PREAD, fd, a, 4, 0), *list[1] = {&o};
    struct io_event e;

    R(setup(4, &ctx));
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        R(submit(ctx, 1, list));
        R(get(ctx, 0, 1, &e, NULL));
        R(syscall(SYS_io_destroy, ctx));
        R(setup(4, &own));
        one(own, &o, "child");
        fflush(stdout);
        _exit(0);
    }
    R(waitpid(pid, &status, 0) == pid);
    pid = vfork();
    if (pid == 0)
        _exit(submit(ctx, 1, list) == 1 ? 0 : 1);
    R(waitpid(pid, &status, 0) == pid);
    SHOW(WEXITSTATUS(status));
    R(get(ctx, 1, 1, &e, NULL));
    SHOW(e.res);
}

/* Reads and writes past the page cache really are asynchronous. */
CASE(aio, direct)
{
    enum { N = 16, SIZE = 65536 };
    aio_context_t ctx = 0;
    static struct iocb o[N];
    static struct iocb *list[N];
    struct io_event e[N];
    int fd = open("f", O_RDWR | O_CREAT | O_DIRECT, 0600), wrong = 0;
    if (fd < 0)
        fd = open("f", O_RDWR | O_CREAT, 0600);
    char *m = mmap(NULL, N * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    R(setup(N, &ctx));
    for (int i = 0; i < N; i++) {
        memset(m + i * SIZE, 'a' + i, SIZE);
        o[i] = op(IOCB_CMD_PWRITE, fd, m + i * SIZE, SIZE, (long long)i * SIZE);
        list[i] = &o[i];
    }
    R(submit(ctx, N, list));
    R(get(ctx, N, N, e, NULL));
    memset(m, 0, N * SIZE);
    for (int i = 0; i < N; i++)
        o[i].aio_lio_opcode = IOCB_CMD_PREAD;
    R(submit(ctx, N, list));
    R(get(ctx, N, N, e, NULL));
    for (int i = 0; i < N * SIZE; i++)
        wrong += m[i] != 'a' + i / SIZE;
    SHOW(wrong);
}

/* What Linux still does to memory that is given back must not reach what comes there next. */
CASE(aio, memory_given_back_meanwhile)
{
    enum { N = 16, SIZE = 1 << 18, ROUNDS = 8 };
    static struct iocb o[N];
    static struct iocb *list[N];
    struct io_event e[N];
    int fd = open("f", O_RDWR | O_CREAT, 0600), dirty = 0;
    static char bytes[SIZE];

    memset(bytes, 'x', SIZE);
    for (int i = 0; i < N; i++)
        if (pwrite(fd, bytes, SIZE, (off_t)i * SIZE) != SIZE)
            exit(99);
    fsync(fd);
    close(fd);
    fd = open("f", O_RDONLY | O_DIRECT);
    if (fd < 0)
        fd = open("f", O_RDONLY);
    for (int round = 0; round < ROUNDS; round++) {
        aio_context_t ctx = 0;
        char *m = mmap(NULL, N * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (setup(N, &ctx))
            exit(99);
        for (int i = 0; i < N; i++) {
            o[i] = op(IOCB_CMD_PREAD, fd, m + i * SIZE, SIZE, (long long)i * SIZE);
            list[i] = &o[i];
        }
        if (submit(ctx, N, list) != N)
            printf("not all\n");
        if (round % 2)
            munmap(m, N * SIZE);
        else
            madvise(m, N * SIZE, MADV_DONTNEED);
        char *again = mmap(m, N * SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | (round % 2 ? 0 : MAP_FIXED), -1, 0);
        get(ctx, N, N, e, NULL);
        for (int i = 0; i < N * SIZE; i++)
            dirty += again[i] != 0;
        munmap(again, N * SIZE);
        syscall(SYS_io_destroy, ctx);
    }
    SHOW(dirty);
}
