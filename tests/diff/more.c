/* SPDX-License-Identifier: MIT */
/* Calls that few programs make: queues, handles, execveat, many messages, settings of a process. */
#include "diff.h"

#include <mqueue.h>
#include <poll.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <sys/wait.h>

static const char *self(void)
{
    static char path[4096];
    if (readlink("/proc/self/exe", path, sizeof path - 1) < 0)
        exit(99);
    return path;
}

CASE(more, executed)
{
    puts("here is the next program");
    SHOW(fcntl(50, F_GETFD));
    R(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    R(personality(0xffffffff));
}

/* In a process of its own: execveat(at, name, flags). */
static void exec_at(int at, const char *name, int flags)
{
    char *words[] = {"cases", "more.executed", NULL}, *none[] = {NULL};
    int status = -1;
    pid_t child;
    fflush(stdout);
    child = fork();
    if (child == 0) {
        syscall(SYS_execveat, at, name, words, none, flags);
        printf("execveat %s: %s\n", name, strerrorname_np(errno));
        fflush(stdout);
        _exit(1);
    }
    waitpid(child, &status, 0);
    SHOW(status);
}

CASE(more, execveat)
{
    int fd = open(self(), O_RDONLY | O_CLOEXEC), dir = open(".", O_RDONLY | O_DIRECTORY);

    if (symlink(self(), "link") < 0 || fd < 0 || dir < 0)
        exit(99);
    dup2(dir, 50);
    exec_at(fd, "", AT_EMPTY_PATH);
    exec_at(fd, "", 0);
    exec_at(dir, "link", 0);
    exec_at(50, "./link", 0);
    exec_at(dir, "link", AT_SYMLINK_NOFOLLOW);
    exec_at(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW);
    exec_at(AT_FDCWD, "link", 0);
    exec_at(dir, self(), AT_SYMLINK_NOFOLLOW);
    exec_at(-1, self(), 0);
    exec_at(-1, "link", 0);
    exec_at(999, "", AT_EMPTY_PATH);
    exec_at(fd, "link", 0);
    exec_at(dir, "missing", 0);
    exec_at(dir, "", AT_EMPTY_PATH);
    exec_at(AT_FDCWD, "", AT_EMPTY_PATH);
    exec_at(AT_FDCWD, "link", 0x77);
}

CASE(more, settings_of_the_next_program)
{
    char *words[] = {"cases", "more.executed", NULL};

    R(personality(ADDR_NO_RANDOMIZE));
    R(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    fflush(stdout);
    execv(self(), words);
}

static void *slack_of_thread(void *arg)
{
    (void)arg;
    R(prctl(PR_GET_TIMERSLACK));
    R(prctl(PR_SET_TIMERSLACK, 7));
    R(prctl(PR_SET_TIMERSLACK, 0));
    R(prctl(PR_GET_TIMERSLACK));
    return NULL;
}

CASE(more, timerslack_of_threads)
{
    pthread_t t;
    R(prctl(PR_SET_TIMERSLACK, 123456));
    pthread_create(&t, NULL, slack_of_thread, NULL);
    pthread_join(t, NULL);
    R(prctl(PR_GET_TIMERSLACK));
}

CASE(more, prctl_that_is_not_here)
{
    R(prctl(5, 1)); /* PR_GET_UNALIGN, PR_SET_ENDIAN, PR_SET_TIMING */
    R(prctl(20, 1));
    R(prctl(14, 1));
    R(prctl(14, 0));
    R(prctl(PR_SET_SECCOMP, 0, NULL));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
    R(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0));
}

CASE(more, names_of_the_machine)
{
    char name[65] = "", domain[65] = "";

    gethostname(name, sizeof name);
    R(sethostname(name, strlen(name))); /* it stays as it is */
    R(syscall(SYS_sethostname, name, -1));
    R(syscall(SYS_sethostname, name, 65));
    R(syscall(SYS_sethostname, 8, 4));
    getdomainname(domain, sizeof domain);
    R(syscall(SYS_setdomainname, domain, -1));
    R(syscall(SYS_setdomainname, 8, 4));
}

CASE(more, clock_adjtime)
{
    struct timex t = {0};

    R(clock_adjtime(CLOCK_REALTIME, &t) >= 0);
    R(clock_adjtime(CLOCK_MONOTONIC, &t));
    R(clock_adjtime(99, &t));
    memset(&t, 0, sizeof t);
    t.modes = 0x8001; /* ADJ_OFFSET_SINGLESHOT wants a whole of it */
    t.offset = 0;
    R(adjtimex(&t) >= 0);
}

CASE(more, many_messages_and_errors)
{
    char in[4][8] = {"one", "two", "three", "four"}, out[4][8] = {"", "", "", ""};
    struct iovec i[4], o[4];
    struct mmsghdr m[4];
    struct timespec t = {1, 0};
    union {
        char buf[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control, got;
    int s[2];

    memset(m, 0, sizeof m);
    for (int k = 0; k < 4; k++) {
        i[k] = (struct iovec){in[k], strlen(in[k])};
        o[k] = (struct iovec){out[k], 8};
        m[k].msg_hdr = (struct msghdr){.msg_iov = &i[k], .msg_iovlen = 1};
    }
    R(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    memset(&control, 0, sizeof control);
    m[1].msg_hdr.msg_control = &control;
    m[1].msg_hdr.msg_controllen = CMSG_LEN(sizeof(int));
    control.align = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(&control.align), &s[0], sizeof(int));
    i[2].iov_base = (void *)8; /* the two before it go */
    R(sendmmsg(s[0], m, 4, 0));
    SHOW(m[0].msg_len);
    SHOW(m[1].msg_len);
    SHOW(m[2].msg_len);
    for (int k = 0; k < 4; k++)
        m[k] = (struct mmsghdr){{.msg_iov = &o[k], .msg_iovlen = 1}, 0};
    memset(&got, 0, sizeof got);
    m[1].msg_hdr.msg_control = &got;
    m[1].msg_hdr.msg_controllen = sizeof got;
    R(recvmmsg(s[1], m, 4, MSG_WAITFORONE, &t));
    for (int k = 0; k < 2; k++) {
        show_bytes("received", out[k], 8);
        SHOW(m[k].msg_len);
        SHOW(m[k].msg_hdr.msg_controllen);
        SHOW(m[k].msg_hdr.msg_flags);
    }
    SHOW(got.align.cmsg_type == SCM_RIGHTS);
    R(shutdown(s[1], SHUT_RDWR));
    signal(SIGPIPE, SIG_IGN);
    i[2].iov_base = in[2];
    R(sendmmsg(s[0], m, 2, MSG_NOSIGNAL));
    R(recvmmsg(s[1], m, 4, MSG_DONTWAIT, NULL));
    R(syscall(SYS_recvmmsg, s[1], m, 4, 0, &(struct timespec){0, 2000000000}));
}

static void *send_soon(void *arg)
{
    sleep_ms(50);
    mq_send(*(mqd_t *)arg, "late", 4, 3);
    return NULL;
}

CASE(more, mq_waiting)
{
    struct mq_attr a = {0, 1, 16, 0, {0}}, set = {O_NONBLOCK, 0, 0, 0, {0}}, old;
    struct timespec past = {1, 0}, bad = {1, -1};
    char buf[16];
    unsigned prio = 9;
    pthread_t t;
    mqd_t q;

    mq_unlink("/lull-diff-wait");
    R(q = mq_open("/lull-diff-wait", O_RDWR | O_CREAT | O_EXCL, 0600, &a));
    R(mq_open("/lull-diff-wait", O_RDWR | O_CREAT | O_EXCL, 0600, &a));
    R(mq_open("/lull-diff-none", O_RDWR));
    R(mq_timedreceive(q, buf, 16, NULL, &past));
    R(mq_timedreceive(q, buf, 16, NULL, &bad));
    pthread_create(&t, NULL, send_soon, &q);
    R(mq_receive(q, buf, 16, &prio));
    SHOW(prio);
    pthread_join(t, NULL);
    R(mq_setattr(q, &set, &old));
    SHOW(old.mq_maxmsg);
    R(mq_receive(q, buf, 16, &prio));
    R(fcntl(q, F_GETFL) & O_NONBLOCK ? 1 : 0);
    set.mq_flags = 0;
    R(mq_setattr(q, &set, NULL));
    poke_begin(30, 0);
    R(mq_receive(q, buf, 16, &prio));
    SHOW(poke_end());
    R(mq_unlink("/lull-diff-wait"));
    R(mq_close(q));
    R(mq_send(q, "x", 1, 0));
}

CASE(more, msg_waiting)
{
    struct {
        long type;
        char text[16];
    } m = {1, "x"};
    int id;

    R((id = msgget(IPC_PRIVATE, 0600 | IPC_CREAT)) >= 0);
    poke_begin(30, SA_RESTART); /* never made again: signal(7) */
    R(msgrcv(id, &m, 16, 0, 0));
    SHOW(poke_end());
    R(msgsnd(id, (void *)8, 4, 0));
    R(msgsnd(id, &m, -1, 0));
    R(msgsnd(id, &m, 1 << 20, 0));
    R(msgrcv(id, &m, -1, 0, IPC_NOWAIT));
    struct msqid_ds ds;
    R(msgctl(id, IPC_STAT, &ds));
    SHOW(ds.msg_qnum);
    R(msgctl(id, IPC_STAT, (void *)8));
    R(msgctl(id, 99, &ds));
    R(msgctl(id, IPC_RMID, NULL));
}

CASE(more, handles)
{
    struct {
        struct file_handle h;
        unsigned char room[128];
    } f = {{.handle_bytes = 0}, {0}};
    int mount = -1;

    file_with("f", "abc");
    R(name_to_handle_at(AT_FDCWD, "f", &f.h, &mount, 0));
    SHOW(f.h.handle_bytes > 0);
    f.h.handle_bytes = 129;
    R(name_to_handle_at(AT_FDCWD, "f", &f.h, &mount, 0));
    R(name_to_handle_at(AT_FDCWD, "none", &f.h, &mount, 0));
    R(name_to_handle_at(AT_FDCWD, "f", &f.h, &mount, 0x77));
    R(open_by_handle_at(-1, (struct file_handle *)8, 0));
}

CASE(more, empty_writes)
{
    int s[2], p[2];
    char buf[8];

    R(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    R(write(s[0], "", 0)); /* a message of no bytes */
    R(recv(s[1], buf, 8, MSG_DONTWAIT));
    R(recv(s[1], buf, 8, MSG_DONTWAIT));
    R(pipe(p));
    R(write(p[1], "", 0));
    R(read(p[0], buf, 0));
    R(write(open("/dev/null", O_WRONLY), "", 0));
    R(read(open("/dev/zero", O_RDONLY), buf, 0));
    R(write(open("/dev/full", O_WRONLY), "", 0));
    R(write(open("/dev/full", O_WRONLY), (void *)8, 0));
}

CASE(more, buffers_before_a_hole)
{
    char *end = pages_before_hole(1) + PAGE;
    int p[2], fd = file_with("f", "0123456789");

    R(pipe2(p, O_NONBLOCK));
    R(write(p[1], "abcdefgh", 8));
    R(read(p[0], end - 4, 8));
    R(read(p[0], end - 4, 4));
    memcpy(end - 4, "wxyz", 4);
    R(write(p[1], end - 4, 8));
    R(pwrite(fd, end - 4, 8, 0));
    R(pread(fd, end - 2, 8, 3));
    show_bytes("end", end - 4, 4);
    R(write(open("/dev/null", O_WRONLY), end - 4, 8));
    R(read(open("/dev/zero", O_RDONLY), end - 4, 8));
}

static volatile sig_atomic_t came;

static void note_signal(int signo)
{
    came = signo;
}

CASE(more, pidfd_signal_to_itself)
{
    int fd = -1;

    signal(SIGUSR1, note_signal);
    R(fd = (int)syscall(SYS_pidfd_open, getpid(), 0));
    R(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 0));
    SHOW(came == SIGUSR1); /* before the call has ended */
    close(fd);
}

/* ---- threads that end with their process ---- */

struct shared {
    pthread_mutex_t mutex;
    volatile int locked;
};

static void *locks_and_waits(void *arg)
{
    struct shared *s = arg;
    pthread_mutex_lock(&s->mutex);
    s->locked = 1;
    sleep_ms(60000);
    return NULL;
}

static void *locks(void *arg)
{
    struct shared *s = arg;
    int r = pthread_mutex_lock(&s->mutex);
    return (void *)(intptr_t)r;
}

/* What another thread of the process holds goes to who waits in another process. */
static void holder_ends(int by_signal)
{
    struct shared *s = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t a;
    pthread_t t;
    void *r;
    int status = 0;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&s->mutex, &a);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        pthread_create(&t, NULL, locks_and_waits, s);
        while (s->locked < 2)
            sleep_ms(1);
        if (by_signal)
            kill(getpid(), SIGTERM);
        _exit(7);
    }
    while (!s->locked)
        sleep_ms(1);
    pthread_create(&t, NULL, locks, s);
    sleep_ms(50); /* it waits by then, most of the time */
    s->locked = 2;
    waitpid(child, &status, 0);
    SHOW(status);
    /* who waits is told, whoever comes later is: never a lock that nobody gives back */
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 5;
    int late = pthread_timedjoin_np(t, &r, &end);
    SHOW(late);
    SHOW(late ? pthread_mutex_trylock(&s->mutex) : (int)(intptr_t)r);
    fflush(stdout);
    _exit(0);
}

CASE(more, holder_exits)
{
    holder_ends(0);
}

CASE(more, holder_is_killed)
{
    holder_ends(1);
}

CASE(more, death_signal_of_children)
{
    volatile int first = -1, second = -1, bad = 0;
    int got;
    R(prctl(PR_SET_PDEATHSIG, SIGUSR2));
    pid_t child = vfork();
    if (child == 0) {
        prctl(PR_GET_PDEATHSIG, &got);
        first = got;
        prctl(PR_SET_PDEATHSIG, SIGHUP);
        prctl(PR_GET_PDEATHSIG, &got);
        second = got;
        bad = prctl(PR_GET_PDEATHSIG, 8) ? errno : 0;
        _exit(0);
    }
    waitpid(child, NULL, 0);
    SHOW(first);
    SHOW(second);
    puts(strerrorname_np(bad));
    R(prctl(PR_GET_PDEATHSIG, &got));
    SHOW(got);
}

/* ---- what a handler blocks while it is pending ---- */

static int both_fd;
static volatile int seen_inside;

static void looks(int signo)
{
    struct pollfd p = {both_fd, POLLIN, 0};
    (void)signo;
    seen_inside += poll(&p, 1, 0);
}

CASE(more, signalfd_of_what_a_handler_blocks)
{
    sigset_t set, old;
    struct signalfd_siginfo i;
    struct sigaction sa = {.sa_handler = looks};
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sa.sa_mask = set;
    sigaction(SIGUSR1, &sa, NULL);
    sigaction(SIGUSR2, &sa, NULL);
    sigprocmask(SIG_BLOCK, &set, &old);
    R(both_fd = signalfd(-1, &set, SFD_NONBLOCK));
    raise(SIGUSR1);
    raise(SIGUSR2);
    sigprocmask(SIG_SETMASK, &old, NULL);
    SHOW(seen_inside);
    R(read(both_fd, &i, sizeof i));
}
