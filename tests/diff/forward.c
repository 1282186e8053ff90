/* SPDX-License-Identifier: MIT */
/* Calls on their way to Linux: many at once, signals meanwhile, and what a writer must not lose. */
#include "diff.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

/* ---- vectored writes ---- */

static char data[65536];

static void writev_to(int fd, size_t n)
{
    struct iovec v[2] = {{data, n / 2}, {data, n - n / 2}};
    struct pollfd p = {fd, POLLOUT, 0};
    poll(&p, 1, 0);
    SHOW(n);
    R(writev(fd, v, 2));
    SHOW(p.revents & POLLOUT);
}

/* A pipe and a socket that have room take it, whatever its length. */
CASE(forward, writev_nonblocking)
{
    static const size_t size[] = {4096, 4097, 8192, 40000, 65536, 131072};
    for (size_t i = 0; i < sizeof size / sizeof size[0]; i++) {
        int s[2], p[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s) || pipe2(p, O_NONBLOCK))
            exit(99);
        writev_to(s[0], size[i] > sizeof data ? sizeof data : size[i]);
        writev_to(p[1], size[i] > sizeof data ? sizeof data : size[i]);
        writev_to(p[1], 8192);
        writev_to(p[1], 65536);
        close(s[0]);
        close(s[1]);
        close(p[0]);
        close(p[1]);
    }
}

/* ---- more calls that wait than the ring has entries ---- */

#define MANY 600

static struct many {
    pthread_mutex_t lock;
    pthread_cond_t go_on;
    int go, ready, woken, pipe[2], queue;
} * many;

static void *wait_condition(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&many->lock);
    many->ready++;
    while (!many->go)
        pthread_cond_wait(&many->go_on, &many->lock);
    many->woken++;
    pthread_mutex_unlock(&many->lock);
    return NULL;
}

static void *wait_pipe(void *arg)
{
    char c;
    (void)arg;
    __atomic_fetch_add(&many->ready, 1, __ATOMIC_SEQ_CST);
    if (read(many->pipe[0], &c, 1) == 1)
        __atomic_fetch_add(&many->woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void *wait_message(void *arg)
{
    struct {
        long type;
        char text[8];
    } m;
    (void)arg;
    __atomic_fetch_add(&many->ready, 1, __ATOMIC_SEQ_CST);
    if (msgrcv(many->queue, &m, 1, 1, 0) == 1)
        __atomic_fetch_add(&many->woken, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void many_wait(void *(*wait)(void *))
{
    static pthread_t thread[MANY];
    pthread_attr_t a;
    pthread_attr_init(&a);
    pthread_attr_setstacksize(&a, 65536);
    many->go = many->ready = many->woken = 0;
    for (int i = 0; i < MANY; i++)
        if (pthread_create(&thread[i], &a, wait, NULL))
            exit(99);
    while (__atomic_load_n(&many->ready, __ATOMIC_SEQ_CST) < MANY)
        sleep_ms(1);
    if (wait == wait_condition) {
        pthread_mutex_lock(&many->lock);
        many->go = 1;
        pthread_cond_broadcast(&many->go_on);
        pthread_mutex_unlock(&many->lock);
    } else if (wait == wait_pipe) {
        R(write(many->pipe[1], data, MANY));
    } else {
        struct {
            long type;
            char text[8];
        } m = {1, "x"};
        for (int i = 0; i < MANY; i++)
            if (msgsnd(many->queue, &m, 1, 0))
                exit(99);
    }
    for (int i = 0; i < MANY; i++)
        pthread_join(thread[i], NULL);
    SHOW(many->woken);
}

CASE(forward, many_waits)
{
    pthread_mutexattr_t m;
    pthread_condattr_t c;
    many = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_init(&m);
    pthread_mutexattr_setpshared(&m, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&many->lock, &m);
    pthread_condattr_init(&c);
    pthread_condattr_setpshared(&c, PTHREAD_PROCESS_SHARED);
    pthread_cond_init(&many->go_on, &c);
    many->queue = msgget(IPC_PRIVATE, 0600);
    if (pipe(many->pipe) || many->queue < 0)
        exit(99);
    many_wait(wait_condition);
    many_wait(wait_pipe);
    many_wait(wait_message);
    msgctl(many->queue, IPC_RMID, NULL);
}

/* ---- signals meanwhile ---- */

static volatile sig_atomic_t ticks;

static void tick(int signo)
{
    (void)signo;
    ticks = ticks + 1;
}

static void ticks_begin(long us)
{
    struct sigaction sa = {.sa_handler = tick}; /* no SA_RESTART */
    struct itimerval t = {{0, us}, {0, us}};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &t, NULL);
}

static void ticks_end(void)
{
    struct itimerval off = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &off, NULL);
}

#define QUICK(call)                                                                                \
    do {                                                                                           \
        if ((long)(call) < 0) {                                                                    \
            printf("%s: %s\n", #call, strerrorname_np(errno));                                     \
            wrong++;                                                                               \
        }                                                                                          \
    } while (0)

/* Calls that do not wait never answer EINTR, and what has nothing to wait for neither. */
CASE(forward, quick_under_alarm)
{
    struct stat st;
    struct pollfd ready;
    char buf[64];
    int wrong = 0, p[2], s[2];
    close(file_with("f", "0123456789"));
    if (pipe(p) || socketpair(AF_UNIX, SOCK_DGRAM, 0, s))
        exit(99);
    ready = (struct pollfd){p[0], POLLIN, 0};
    ticks_begin(400);
    for (long long end = now_ms() + 1200; now_ms() < end && wrong < 20;) {
        int fd = open("f", O_RDWR), d;
        QUICK(fd);
        QUICK(fstat(fd, &st));
        QUICK(stat("f", &st));
        QUICK(pread(fd, buf, 10, 0));
        QUICK(pwrite(fd, "x", 1, 3));
        QUICK(ftruncate(fd, 10));
        QUICK(lseek(fd, 0, SEEK_SET));
        QUICK(fcntl(fd, F_GETFL));
        QUICK(d = dup(fd));
        QUICK(close(d));
        QUICK(close(fd));
        QUICK(d = socket(AF_UNIX, SOCK_STREAM, 0));
        QUICK(close(d));
        QUICK(write(p[1], "abc", 3)); /* has room */
        QUICK(poll(&ready, 1, -1));
        QUICK(read(p[0], buf, 3)); /* is there */
        QUICK(send(s[0], "abc", 3, 0));
        QUICK(recv(s[1], buf, 3, 0));
        QUICK(access("f", R_OK));
        QUICK(mkdir("d", 0700));
        QUICK(rmdir("d"));
        QUICK(fsync(p[1]) + 1); /* EINVAL */
    }
    ticks_end();
    SHOW(wrong);
    SHOW(ticks > 50);
    /* nothing has leaked, nothing is missing */
    SHOW(open("f", O_RDONLY) - s[1]);
}

/* ---- SIGPIPE of everything that writes to a pipe or socket that nobody reads ---- */

static volatile sig_atomic_t pipes;

static void on_pipe(int signo)
{
    (void)signo;
    pipes = pipes + 1;
}

#define BROKEN(call)                                                                               \
    do {                                                                                           \
        pipes = 0;                                                                                 \
        R(call);                                                                                   \
        SHOW(pipes);                                                                               \
    } while (0)

CASE(forward, sigpipe)
{
    int p[2], q[2], s[2], u[2], f = file_with("f", "0123456789");
    struct iovec v = {data, 10};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    struct mmsghdr mm = {.msg_hdr = m};
    off_t at = 0;
    signal(SIGPIPE, on_pipe);
    if (pipe(p) || pipe(q) || socketpair(AF_UNIX, SOCK_STREAM, 0, s) ||
        socketpair(AF_UNIX, SOCK_DGRAM, 0, u))
        exit(99);
    close(p[0]);
    close(s[1]);
    close(u[1]);
    R(write(q[1], data, 20));
    BROKEN(write(p[1], data, 10));
    BROKEN(write(p[1], data, 10000));
    BROKEN(write(p[1], data, 0));
    BROKEN(writev(p[1], &v, 1));
    BROKEN(pwrite(p[1], data, 10, 0));
    BROKEN(pwritev(p[1], &v, 1, 0));
    BROKEN(pwritev2(p[1], &v, 1, -1, 0));
    BROKEN(vmsplice(p[1], &v, 1, 0));
    BROKEN(tee(q[0], p[1], 10, 0));
    BROKEN(splice(q[0], NULL, p[1], NULL, 5, 0));
    BROKEN(splice(f, NULL, p[1], NULL, 5, 0));
    BROKEN(sendfile(p[1], f, &at, 5));
    BROKEN(write(s[0], data, 10));
    BROKEN(writev(s[0], &v, 1));
    BROKEN(send(s[0], data, 10, 0));
    BROKEN(send(s[0], data, 10, MSG_NOSIGNAL));
    BROKEN(sendmsg(s[0], &m, 0));
    BROKEN(sendmsg(s[0], &m, MSG_NOSIGNAL));
    BROKEN(sendmmsg(s[0], &mm, 1, 0));
    BROKEN(sendmmsg(s[0], &mm, 1, MSG_NOSIGNAL));
    BROKEN(sendfile(s[0], f, &at, 5));
    BROKEN(splice(q[0], NULL, s[0], NULL, 5, 0));
    BROKEN(write(u[0], data, 10));
    BROKEN(send(u[0], data, 10, 0));
    BROKEN(sendmsg(u[0], &m, 0));
    /* blocked, it is pending; ignored, it is not */
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    sigprocmask(SIG_BLOCK, &set, NULL);
    BROKEN(vmsplice(p[1], &v, 1, 0));
    sigpending(&pending);
    SHOW(sigismember(&pending, SIGPIPE));
    signal(SIGPIPE, SIG_IGN);
    BROKEN(tee(q[0], p[1], 10, 0));
    sigpending(&pending);
    SHOW(sigismember(&pending, SIGPIPE));
}
