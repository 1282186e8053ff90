/* SPDX-License-Identifier: MIT */
/* Calls of administrators: mounts, roots, keys, quotas, leases, watches of whole file systems. */
#include "diff.h"

#include <linux/keyctl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/loop.h>

CASE(system, mount)
{
    struct stat st;
    char *hole = pages_before_hole(1) + PAGE - 9;
    mkdir("m", 0700);
    R(mount("none", "m", "tmpfs", 0, "size=64k"));
    close(file_with("m/file", "text"));
    R(stat("m/file", &st));
    R(umount2("m", MNT_DETACH));
    R(stat("m/file", &st));
    strcpy(hole, "size=16k");
    R(mount("none", "m", "tmpfs", 0, hole));
    R(umount2("m", MNT_DETACH));
    R(mount("none", "m", "tmpfs", 0, page_with(PROT_NONE)));
    R(mount("none", "m", (char *)8, 0, NULL));
    R(mount("none", "m", "no such type", 0, NULL));
    R(mount("none", "none", "tmpfs", 0, NULL));
    R(mount(NULL, "m", NULL, MS_REMOUNT, NULL));
    R(umount2("m", MNT_DETACH));
    mkdir("n", 0700);
    R(mount("m", "n", NULL, MS_BIND, NULL));
    close(file_with("n/other", "text"));
    R(umount2("n", MNT_DETACH));
    R(stat("m/other", &st));
    R(mount("missing", "n", NULL, MS_BIND, NULL));
}

CASE(system, mount_by_steps)
{
    struct stat st;
    int fs, fd;
    mkdir("m", 0700);
    fs = (int)syscall(SYS_fsopen, "tmpfs", 0);
    SHOW(fs >= 0);
    R(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "size", "64k", 0));
    R(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "nonsense", "64k", 0));
    R(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, page_with(PROT_NONE), "64k", 0));
    R(syscall(SYS_fsconfig, fs, 1000, NULL, NULL, 0));
    R(syscall(SYS_fsconfig, fs, FSCONFIG_SET_FD, "fd", NULL, 1 << 20));
    R(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
    fd = (int)syscall(SYS_fsmount, fs, 0, 0);
    SHOW(fd >= 0);
    R(syscall(SYS_move_mount, fd, "", AT_FDCWD, "m", MOVE_MOUNT_F_EMPTY_PATH));
    close(file_with("m/file", "text"));
    fd = (int)syscall(SYS_open_tree, AT_FDCWD, "m", OPEN_TREE_CLONE);
    SHOW(fd >= 0);
    struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
    R(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof attr));
    R(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, page_with(PROT_NONE), sizeof attr));
    R(syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, 8));
    R(syscall(467 /* open_tree_attr */, AT_FDCWD, "m", OPEN_TREE_CLONE, &attr, sizeof attr) < 0);
    R(syscall(467, AT_FDCWD, "m", 0, &attr, sizeof attr) < 0);
    R(syscall(467, AT_FDCWD, "m", 0, NULL, sizeof attr));
    R(umount2("m", MNT_DETACH));
    R(stat("m/file", &st));
    R(syscall(SYS_move_mount, fd, "", AT_FDCWD, "m", MOVE_MOUNT_F_EMPTY_PATH));
    R(open("m/new", O_CREAT | O_WRONLY, 0600));
    R(close(fd));
    R(umount2("m", MNT_DETACH));
    SHOW(syscall(SYS_fspick, AT_FDCWD, "missing", 0));
    SHOW(syscall(SYS_fsopen, "no such type", 0));
}

CASE(system, chroot)
{
    struct stat st;
    char path[64];
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        mkdir("root", 0700);
        file_with("root/file", "text");
        R(chroot("missing"));
        R(chroot("root/file"));
        R(chroot((char *)8));
        R(chroot("root"));
        R(chdir("/"));
        R(stat("/file", &st));
        R(stat("/proc/self", &st));
        puts(getcwd(path, sizeof path) ? path : "-");
        R(memfd_create("m", 0) >= 0);
        fflush(stdout);
        pid_t next = fork(); /* another isle, without /proc, /sys and /dev */
        if (next == 0) {
            R(stat("/file", &st));
            exit(0);
        }
        R(waitpid(next, NULL, 0) == next);
        exit(0);
    }
    SHOW(waitpid(child, NULL, 0) == child);
}

CASE(system, keys)
{
    char text[64];
    long ring = KEY_SPEC_PROCESS_KEYRING, key;
    key = syscall(SYS_add_key, "user", "lull-diff", "payload", 7, ring);
    SHOW(key > 0);
    memset(text, 0, sizeof text);
    R(syscall(SYS_keyctl, KEYCTL_READ, key, text, sizeof text));
    puts(text);
    R(syscall(SYS_keyctl, KEYCTL_UPDATE, key, "other", 5));
    R(syscall(SYS_keyctl, KEYCTL_READ, key, page_with(PROT_READ), 64));
    SHOW(syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", "lull-diff", 0) == key);
    R(syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", (char *)8, 0));
    SHOW(syscall(SYS_request_key, "user", "lull-diff", NULL, 0) == key);
    R(syscall(SYS_keyctl, KEYCTL_UNLINK, key, ring));
    R(syscall(SYS_keyctl, KEYCTL_SEARCH, ring, "user", "lull-diff", 0));
    R(syscall(SYS_keyctl, 1000, 0, 0, 0, 0));
    R(syscall(SYS_add_key, "user", "lull-diff", "payload", 1 << 21, ring));
    R(syscall(SYS_add_key, "user", (char *)8, "payload", 7, ring));
}

static volatile sig_atomic_t broken;

static void on_break(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    broken = info->si_fd;
}

CASE(system, lease)
{
    struct sigaction sa = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO | SA_RESTART};
    int status = -1;
    close(file_with("file", "text"));
    int fd = open("file", O_RDONLY);
    sigaction(SIGUSR1, &sa, NULL);
    R(fcntl(fd, F_SETSIG, SIGUSR1));
    R(fcntl(fd, F_SETLEASE, F_RDLCK));
    R(fcntl(fd, F_GETLEASE));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        _exit(open("file", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK ? 7 : 8);
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    for (int i = 0; i < 1000 && !broken; i++)
        usleep(10000);
    SHOW(broken == fd);
    R(fcntl(fd, F_SETLEASE, F_UNLCK));
    SHOW(open("file", O_WRONLY | O_NONBLOCK) >= 0);
    R(fcntl(fd, F_SETLEASE, 77));
}

CASE(system, dnotify)
{
    struct sigaction sa = {.sa_sigaction = on_break, .sa_flags = SA_SIGINFO | SA_RESTART};
    int dir = open(".", O_RDONLY | O_DIRECTORY);
    sigaction(SIGRTMIN + 3, &sa, NULL);
    R(fcntl(dir, F_SETSIG, SIGRTMIN + 3));
    R(fcntl(dir, F_NOTIFY, DN_CREATE));
    close(file_with("file", "text"));
    for (int i = 0; i < 1000 && !broken; i++)
        usleep(10000);
    SHOW(broken == dir);
    int file = open("file", O_RDONLY);
    R(fcntl(file, F_NOTIFY, DN_CREATE));
}

static volatile int events;

static void on_event(int signo)
{
    (void)signo;
    events++;
}

/* The signal of a change that the program makes itself is there when the call returns. */
CASE(system, dnotify_before_the_call_ends)
{
    mkdir("dir", 0700);
    for (int signo = SIGRTMIN; signo < SIGRTMIN + 4; signo++) {
        int dir = open("dir", O_RDONLY | O_DIRECTORY), late = 0;
        signal(signo, on_event);
        R(fcntl(dir, F_SETSIG, signo));
        R(fcntl(dir, F_NOTIFY, DN_ATTRIB | DN_MULTISHOT));
        for (int i = 0; i < 500; i++) {
            events = 0;
            if (chmod("dir", 0700 + (i & 7)) || events != 1)
                late++;
        }
        SHOW(late);
        close(dir);
    }
}

CASE(system, fanotify)
{
    struct fanotify_event_metadata event[4];
    int fan = fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC | FAN_NONBLOCK, O_RDONLY);
    char text[8] = "";
    SHOW(fan >= 0);
    close(file_with("file", "text"));
    R(fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY | FAN_OPEN, AT_FDCWD, "file"));
    R(fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, "missing"));
    R(fanotify_mark(fan, FAN_MARK_ADD, FAN_MODIFY, AT_FDCWD, (char *)8));
    R(read(fan, event, sizeof event));
    int fd = open("file", O_RDWR);
    R(write(fd, "T", 1));
    long n = read(fan, event, sizeof event);
    SHOW(n);
    for (int i = 0; n > 0 && i < n / (long)sizeof event[0]; i++) {
        SHOW(event[i].mask);
        SHOW(event[i].pid == getpid());
        SHOW(pread(event[i].fd, text, 4, 0));
        puts(text);
        close(event[i].fd);
    }
    R(write(fd, "T", 1));
    R(read(fan, page_with(PROT_READ), PAGE));
    R(read(fan, event, 8));
    R(fanotify_init(FAN_REPORT_TID | 0x80000000, O_RDONLY));
}

CASE(system, files)
{
    union {
        struct fiemap head;
        char room[sizeof(struct fiemap) + 4 * sizeof(struct fiemap_extent)];
    } map;
    int n = 0;
    int fd = file_with("file", "text");
    memset(&map, 0, sizeof map);
    map.head.fm_length = ~0ull;
    map.head.fm_extent_count = 4;
    map.head.fm_flags = FIEMAP_FLAG_SYNC;
    R(ioctl(fd, FS_IOC_FIEMAP, &map));
    SHOW(map.head.fm_mapped_extents);
    R(ioctl(fd, FS_IOC_FIEMAP, page_with(PROT_READ)));
    R(ioctl(fd, FIGETBSZ, &n));
    SHOW(n);
    struct fsxattr x;
    R(ioctl(fd, FS_IOC_FSGETXATTR, &x));
    R(ioctl(fd, BLKGETSIZE64, &x));
    R(ioctl(fd, LOOP_GET_STATUS64, &x));
    R(ioctl(fd, TCGETA, &x));
    R(ioctl(-1, TCGETA, &x));
    R(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, fd));
    R(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, 1 << 20));
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    int copy = (int)syscall(SYS_pidfd_getfd, self, fd, 0);
    R(syscall(SYS_kcmp, getpid(), getpid(), 0, fd, copy));
    R(syscall(SYS_pidfd_getfd, self, 1 << 20, 0));
    R(quotactl(QCMD(1000, 0), "/missing", 0, NULL));
    R(syscall(SYS_delete_module, "no_such_module", O_NONBLOCK));
    R(syscall(SYS_acct, "missing"));
    R(syscall(SYS_swapon, "missing", 0));
    R(syscall(SYS_swapoff, "file"));
}

/* setxattrat, getxattrat, listxattrat, removexattrat, fchmodat2, cachestat, file_getattr */
CASE(system, numbers_above_450)
{
    struct {
        uint64_t value;
        uint32_t size, flags;
    } x = {(uint64_t) "value", 5, 0};
    uint64_t range[2] = {0, PAGE}, stat[5] = {0};
    char text[64] = "";
    struct stat st;
    int fd = file_with("file", "text");
    R(syscall(463, AT_FDCWD, "file", 0, "user.lull", &x, sizeof x));
    x.value = (uint64_t)text;
    x.size = sizeof text;
    R(syscall(464, AT_FDCWD, "file", 0, "user.lull", &x, sizeof x));
    puts(text);
    x.value = (uint64_t)page_with(PROT_READ);
    R(syscall(464, AT_FDCWD, "file", 0, "user.lull", &x, sizeof x));
    R(syscall(464, AT_FDCWD, "file", 0, "user.lull", &x, 8));
    R(syscall(464, AT_FDCWD, "file", 0, "user.lull", page_with(PROT_NONE), sizeof x));
    R(syscall(465, AT_FDCWD, "file", 0, text, sizeof text));
    R(syscall(466, AT_FDCWD, "file", 0, "user.lull"));
    R(syscall(466, AT_FDCWD, "file", 0, "user.lull"));
    R(syscall(452, AT_FDCWD, "file", 0640, 0));
    R(fstat(fd, &st));
    SHOW(st.st_mode & 0777);
    R(syscall(451, fd, range, stat, 0));
    SHOW(stat[0]);
    R(syscall(451, fd, range, page_with(PROT_READ), 0));
    char attr[24];
    R(syscall(468, AT_FDCWD, "file", attr, sizeof attr, 0));
}

CASE(system, list_mounts)
{
    struct {
        uint32_t size, spare;
        uint64_t mnt_id, param, ns;
    } req = {24, 0, ~0ull, 0, 0};
    uint64_t ids[64];
    long n = syscall(458, &req, ids, 64, 0);
    SHOW(n > 0);
    req.size = 0;
    R(syscall(458, &req, ids, 64, 0));
    req.size = 24;
    R(syscall(458, page_with(PROT_NONE), ids, 64, 0));
    R(syscall(458, &req, page_with(PROT_READ), 64, 0));
    req.mnt_id = n > 0 ? ids[0] : 0;
    req.param = 2; /* STATMOUNT_MNT_BASIC */
    char room[512];
    R(syscall(457, &req, room, sizeof room, 0));
    R(syscall(457, &req, room, 1, 0));
    req.size = 8;
    R(syscall(457, &req, room, sizeof room, 0));
}

/* lsm_list_modules */
CASE(system, security_modules)
{
    uint64_t ids[64] = {0};
    char *hole = pages_before_hole(1);
    uint32_t size = sizeof ids, total;
    static const uint32_t constant = sizeof ids;

    R(syscall(461, ids, &size, 0));
    SHOW(size);
    show_bytes("ids", ids, size);
    total = size;
    R(syscall(461, hole + PAGE - total, &size, 0));
    SHOW(size);
    size = 4096;
    R(syscall(461, hole + PAGE - total, &size, 0));
    R(syscall(461, hole + PAGE - total + 8, &size, 0));
    size = 1;
    R(syscall(461, ids, &size, 0));
    SHOW(size);
    R(syscall(461, NULL, &size, 0));
    R(syscall(461, ids, NULL, 0));
    R(syscall(461, ids, &constant, 0));
    R(syscall(461, ids, &size, 1));
    R(syscall(461, page_with(PROT_READ), &size, 0));
}
