/* SPDX-License-Identifier: MIT */
/*
 * Every row of the system call table with pointers that may not be read or written. For each
 * pointer of each call, every kind of bad place in turn, with the other pointers good; then, for as
 * many rounds as ARGS_ROUNDS says (0), places at random (ARGS_SEED). Of each call the errno is
 * printed, of those that transfer bytes the value too, and whether the memory of the argument
 * changed.
 */
#include "diff.h"

#include <lull/syscalls.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

LULL_DEFINE_SYSCALLS(table);

/* ---- what the arguments are, where the table does not say it ---- */

enum {
    FILE_FD = 40,
    PIPE_R,
    PIPE_W,
    SOCK_A,
    SOCK_B,
    DIR_FD,
    EPOLL,
    INOTIFY,
    TIMER,
    PTY,
    UDP,
    ZERO
};
static long shm, sem, queue;

/*
 * One entry for each way to make a call. Arguments, separated by blanks: a number; fN: descriptor
 * N; pN: pointer to N bytes of zeros; tN: the same, never NULL, which would wait for ever; sN:
 * pointer to the int N; i: iovec of two buffers; m: msghdr; S, M, Q: a System V segment, semaphore
 * set, queue; n: name of a file. "-": not tried, because it waits, ends or changes the machine, or
 * says nothing of pointers; "": as the table has it. Every row has an entry; look first what a call
 * does with the file f and zeros: some change the machine.
 */
static const struct shape {
    short nr;
    const char *args;
} shapes[] = {
    {SYS_read, "f40 p64 64"},
    {SYS_read, "f41 p64 64"},
    {SYS_read, "f44 p64 64"},
    {SYS_read, "f51 p64 64"},
    {SYS_read, "f51 p8192 1048576"},
    {SYS_read, "f41 p64 1048576"},
    {SYS_read, "f45 p64 64"},
    {SYS_read, "f-1 p64 64"},
    {SYS_write, "f40 p64 64"},
    {SYS_write, "f42 p64 64"},
    {SYS_write, "f43 p64 64"},
    {SYS_write, "f43 p64 1048576"},
    {SYS_write, "f41 p64 64"},
    {SYS_open, "n 0 0"},
    {SYS_close, "-"},
    {SYS_poll, "p16 2 0"},
    {SYS_poll, "p16 -1 0"},
    {SYS_poll, "p16 100000 0"},
    {SYS_mmap, "-"},
    {SYS_mprotect, "-"},
    {SYS_munmap, "-"},
    {SYS_mremap, "-"},
    {SYS_brk, "-"},
    {SYS_rt_sigaction, "10 p32 p32 8"},
    {SYS_rt_sigaction, "9 p32 p32 8"},
    {SYS_rt_sigaction, "10 p32 p32 9"},
    {SYS_rt_sigprocmask, "0 p8 p8 8"},
    {SYS_rt_sigprocmask, "7 p8 p8 8"},
    {SYS_rt_sigprocmask, "0 p8 p8 4"},
    {SYS_rt_sigreturn, "-"},
    {SYS_ioctl, "f49 21505 p36"},
    {SYS_ioctl, "f49 21506 p36"},
    {SYS_ioctl, "f49 21523 p8"},
    {SYS_ioctl, "f49 21524 p8"},
    {SYS_ioctl, "f41 21531 p4"},
    {SYS_ioctl, "f43 21531 p4"},
    {SYS_ioctl, "f40 2 p4"},
    {SYS_ioctl, "f50 35088 p40"},
    {SYS_ioctl, "f50 35123 p40"},
    {SYS_ioctl, "f50 35091 p40"},
    {SYS_ioctl, "f40 21586 p4"},
    {SYS_ioctl, "f41 21505 p36"},
    {SYS_readv, "f40 i 2"},
    {SYS_readv, "f41 i 2"},
    {SYS_readv, "f44 i 2"},
    {SYS_readv, "f51 i 2"},
    {SYS_readv, "f41 i 0"},
    {SYS_readv, "f41 i 1025"},
    {SYS_readv, "f41 i -1"},
    {SYS_writev, "f40 i 2"},
    {SYS_writev, "f42 i 2"},
    {SYS_writev, "f43 i 2"},
    {SYS_preadv, "f40 i 2 0 0"},
    {SYS_preadv, "f41 i 2 0 0"},
    {SYS_pwritev, "f40 i 2 0 0"},
    {SYS_preadv2, "f40 i 2 0 0 0"},
    {SYS_preadv2, "f41 i 2 -1 -1 0"},
    {SYS_pwritev2, "f40 i 2 0 0 0"},
    {SYS_pwritev2, "f42 i 2 -1 -1 0"},
    {SYS_select, "60 p8 p8 p8 t16"},
    {SYS_select, "64 p8 p8 p8 t16"},
    {SYS_select, "-1 p8 p8 p8 t16"},
    {SYS_sched_yield, "-"},
    {SYS_msync, "-"},
    {SYS_mincore, "-"},
    {SYS_madvise, "-"},
    {SYS_shmat, "-"},
    {SYS_shmctl, "S 2 p112"},
    {SYS_shmctl, "S 1 p112"},
    {SYS_shmctl, "0 3 p72"},
    {SYS_shmctl, "0 14 p48"},
    {SYS_shmctl, "-1 2 p112"},
    {SYS_dup, "-"},
    {SYS_dup2, "-"},
    {SYS_pause, "-"},
    {SYS_nanosleep, "p16 p16"},
    {SYS_getitimer, "0 p32"},
    {SYS_getitimer, "3 p32"},
    {SYS_alarm, "-"},
    {SYS_setitimer, "0 p32 p32"},
    {SYS_setitimer, "3 p32 p32"},
    {SYS_getpid, "-"},
    {SYS_sendfile, "f42 f40 p8 4"},
    {SYS_sendfile, "f42 f41 p8 4"},
    {SYS_sendfile, "f-1 f40 p8 4"},
    {SYS_connect, "f50 p16 16"},
    {SYS_connect, "f50 p16 200"},
    {SYS_connect, "f50 p16 -1"},
    {SYS_connect, "f40 p16 16"},
    {SYS_accept, "f43 p16 s16"},
    {SYS_accept4, "f43 p16 s16 0"},
    {SYS_accept4, "f40 p16 s16 0"},
    {SYS_sendto, "f43 p64 64 0 0 0"},
    {SYS_sendto, "f43 p64 64 0 p16 16"},
    {SYS_sendto, "f50 p64 64 0 p16 16"},
    {SYS_sendto, "f50 p64 64 0 p16 200"},
    {SYS_sendto, "f40 p64 64 0 p16 16"},
    {SYS_sendto, "f43 p64 1048576 0 0 0"},
    {SYS_recvfrom, "f44 p64 64 0 p128 s128"},
    {SYS_recvfrom, "f44 p64 64 2 0 0"},
    {SYS_recvfrom, "f44 p64 1048576 0 0 0"},
    {SYS_recvfrom, "f44 p8192 8192 0 0 0"},
    {SYS_recvfrom, "f40 p64 64 0 p16 s16"},
    {SYS_recvfrom, "f50 p64 64 0 p16 s16"},
    {SYS_sendmsg, "f43 m 0"},
    {SYS_sendmsg, "f50 m 0"},
    {SYS_sendmsg, "f40 m 0"},
    {SYS_recvmsg, "f44 m 0"},
    {SYS_recvmsg, "f50 m 0"},
    {SYS_recvmsg, "f40 m 0"},
    {SYS_shutdown, "-"},
    {SYS_bind, "f50 p16 1"},
    {SYS_bind, "f50 p16 200"},
    {SYS_bind, "f40 p16 16"},
    {SYS_listen, "-"},
    {SYS_getsockname, "f43 p16 s16"},
    {SYS_getsockname, "f50 p16 s16"},
    {SYS_getsockname, "f50 p16 s-1"},
    {SYS_getsockname, "f50 p16 s4"},
    {SYS_getsockname, "f50 p16 s0"},
    {SYS_getsockname, "f40 p16 s16"},
    {SYS_getpeername, "f43 p16 s16"},
    {SYS_getpeername, "f50 p16 s16"},
    {SYS_socketpair, "1 1 0 p8"},
    {SYS_setsockopt, "f43 1 2 p4 4"},
    {SYS_setsockopt, "f43 1 2 p4 2"},
    {SYS_setsockopt, "f43 1 99999 p4 4"},
    {SYS_setsockopt, "f40 1 2 p4 4"},
    {SYS_setsockopt, "f43 1 20 p16 16"},
    {SYS_getsockopt, "f43 1 3 p4 s4"},
    {SYS_getsockopt, "f43 1 3 p4 s100"},
    {SYS_getsockopt, "f43 1 3 p4 s-1"},
    {SYS_getsockopt, "f43 1 17 p12 s12"},
    {SYS_getsockopt, "f40 1 3 p4 s4"},
    {SYS_clone, "-"},
    {SYS_fork, "-"},
    {SYS_vfork, "-"},
    {SYS_execve, "n 0 0"},
    {SYS_execveat, "-100 n 0 0 0"},
    {SYS_exit, "-"},
    {SYS_wait4, "-1 p4 1 p144"},
    {SYS_wait4, "-1 p4 -1 p144"},
    {SYS_waitid, "0 0 p128 5 p144"},
    {SYS_waitid, "0 0 p128 0 p144"},
    {SYS_waitid, "9 0 p128 5 p144"},
    {SYS_kill, "-"},
    {SYS_semop, "M p6 1"},
    {SYS_semop, "M p6 0"},
    {SYS_semop, "M p6 501"},
    {SYS_semop, "-1 p6 1"},
    {SYS_semtimedop, "M p6 1 t16"},
    {SYS_semctl, "M 0 13 p8"},
    {SYS_semctl, "M 0 17 p8"},
    {SYS_semctl, "M 0 2 p104"},
    {SYS_semctl, "M 0 1 p104"},
    {SYS_semctl, "0 0 3 p40"},
    {SYS_semctl, "0 0 19 p40"},
    {SYS_semctl, "-1 0 13 p8"},
    {SYS_semctl, "-1 0 2 p104"},
    {SYS_shmdt, "-"},
    {SYS_msgsnd, "Q p72 64 2048"},
    {SYS_msgsnd, "Q p72 -1 2048"},
    {SYS_msgsnd, "Q p72 100000 2048"},
    {SYS_msgsnd, "-1 p72 64 2048"},
    {SYS_msgrcv, "Q p72 64 0 2048"},
    {SYS_msgrcv, "Q p72 -1 0 2048"},
    {SYS_msgrcv, "-1 p72 64 0 2048"},
    {SYS_msgctl, "Q 2 p120"},
    {SYS_msgctl, "Q 1 p120"},
    {SYS_msgctl, "0 3 p32"},
    {SYS_msgctl, "0 12 p32"},
    {SYS_msgctl, "-1 2 p120"},
    {SYS_fcntl, "f40 5 p32"},
    {SYS_fcntl, "f40 6 p32"},
    {SYS_fcntl, "f40 36 p32"},
    {SYS_fcntl, "f40 16 p8"},
    {SYS_fcntl, "f40 15 p8"},
    {SYS_fcntl, "f40 17 p8"},
    {SYS_fcntl, "f40 1035 p8"},
    {SYS_fcntl, "f40 1036 p8"},
    {SYS_fcntl, "f-1 5 p32"},
    {SYS_flock, "-"},
    {SYS_sync, "-"},
    {SYS_syncfs, "-"},
    {SYS_fsync, "-"},
    {SYS_fdatasync, "-"},
    {SYS_truncate, "p2 -1"},
    {SYS_getdents, "f45 p512 512"},
    {SYS_getdents64, "f45 p512 512"},
    {SYS_getdents64, "f45 p512 8"},
    {SYS_getdents64, "f40 p512 512"},
    {SYS_getcwd, "p4096 4096"},
    {SYS_getcwd, "p64 1"},
    {SYS_getcwd, "p64 8192"},
    {SYS_chdir, "-"},
    {SYS_fchdir, "-"},
    {SYS_chroot, "-"},
    {SYS_mkdir, "n 448"},
    {SYS_rmdir, "n"},
    {SYS_creat, "n 384"},
    {SYS_unlink, "p2"},
    {SYS_rename, "n n"},
    {SYS_link, "n n"},
    {SYS_symlink, "n n"},
    {SYS_readlink, "n p8 8"},
    {SYS_readlink, "l p8 8"},
    {SYS_readlink, "l p64 64"},
    {SYS_readlink, "l p64 0"},
    {SYS_readlinkat, "-100 l p64 64"},
    {SYS_readlinkat, "-100 l p64 -1"},
    {SYS_umask, "-"},
    {SYS_gettimeofday, "p16 p8"},
    {SYS_getrlimit, "7 p16"},
    {SYS_getrlimit, "99 p16"},
    {SYS_getrusage, "0 p144"},
    {SYS_getrusage, "99 p144"},
    {SYS_setuid, "-"},
    {SYS_setgid, "-"},
    {SYS_setreuid, "-"},
    {SYS_setregid, "-"},
    {SYS_setresuid, "-"},
    {SYS_setresgid, "-"},
    {SYS_setfsuid, "-"},
    {SYS_setfsgid, "-"},
    {SYS_setgroups, "-1 p8"},
    {SYS_setgroups, "65537 p8"},
    {SYS_getgroups, "8 p32"},
    {SYS_getgroups, "-1 p32"},
    {SYS_getgroups, "0 p32"},
    {SYS_setpgid, "-"},
    {SYS_setsid, "-"},
    {SYS_capget, "0 p24"},
    {SYS_capset, "-"},
    {SYS_rt_sigpending, "p8 8"},
    {SYS_rt_sigpending, "p8 9"},
    {SYS_rt_sigtimedwait, "p8 p128 t16 8"},
    {SYS_rt_sigtimedwait, "p8 p128 t16 4"},
    {SYS_rt_sigqueueinfo, "-"},
    {SYS_rt_tgsigqueueinfo, "-"},
    {SYS_rt_sigsuspend, "p8 4"},
    {SYS_sigaltstack, "p24 p24"},
    {SYS_utime, "n p16"},
    {SYS_utimes, "n p32"},
    {SYS_futimesat, "-100 n p32"},
    {SYS_utimensat, "-100 n p32 0"},
    {SYS_utimensat, "f40 0 p32 0"},
    {SYS_mknod, "n 4480 0"},
    {SYS_mknodat, "-100 n 4480 0"},
    {SYS_personality, "-"},
    {SYS_getpriority, "-"},
    {SYS_setpriority, "-"},
    {SYS_sched_setparam, "0 p4"},
    {SYS_sched_setparam, "-1 p4"},
    {SYS_sched_getparam, "0 p4"},
    {SYS_sched_getparam, "-1 p4"},
    {SYS_sched_setscheduler, "0 0 p4"},
    {SYS_sched_setscheduler, "0 99 p4"},
    {SYS_sched_rr_get_interval, "-1 p16"},
    {SYS_sched_setaffinity, "0 8 p8"},
    {SYS_sched_getaffinity, "0 128 p128"},
    {SYS_sched_getaffinity, "0 1 p128"},
    {SYS_sched_setattr, "0 p48 0"},
    {SYS_sched_setattr, "0 p48 1"},
    {SYS_sched_getattr, "0 p48 48 0"},
    {SYS_sched_getattr, "0 p48 56 0"},
    {SYS_sched_getattr, "0 p48 8 0"},
    {SYS_mlock, "-"},
    {SYS_munlock, "-"},
    {SYS_mlockall, "-"},
    {SYS_munlockall, "-"},
    {SYS_mlock2, "-"},
    {SYS_remap_file_pages, "-"},
    {SYS_seccomp, "2 0 p4"}, /* SECCOMP_GET_ACTION_AVAIL, SECCOMP_GET_NOTIF_SIZES */
    {SYS_seccomp, "3 0 p6"},
    {SYS_prctl, "2 p4"},
    {SYS_prctl, "15 p16"},
    {SYS_prctl, "16 p16"},
    {SYS_prctl, "37 p4"},
    {SYS_prctl, "40 p8"},
    {SYS_arch_prctl, "4099 p8"},
    {SYS_arch_prctl, "4100 p8"},
    {SYS_setrlimit, "99 p16"},
    {SYS_prlimit64, "0 7 0 p16"},
    {SYS_prlimit64, "0 99 p16 p16"},
    {SYS_prlimit64, "-1 7 p16 p16"},
    {SYS_acct, "-"},
    {SYS_sethostname, "p8 65"},
    {SYS_sethostname, "p8 -1"},
    {SYS_setdomainname, "p8 65"},
    {SYS_gettid, "-"},
    {SYS_readahead, "-"},
    {SYS_setxattr, "n x p8 8 0"},
    {SYS_setxattr, "n x p8 100000 0"},
    {SYS_setxattr, "n x p8 8 99"},
    {SYS_lsetxattr, "n x p8 8 0"},
    {SYS_fsetxattr, "f40 x p8 8 0"},
    {SYS_getxattr, "n x p64 64"},
    {SYS_getxattr, "n x p64 0"},
    {SYS_lgetxattr, "n x p64 64"},
    {SYS_fgetxattr, "f40 x p64 64"},
    {SYS_listxattr, "n p64 64"},
    {SYS_llistxattr, "n p64 64"},
    {SYS_flistxattr, "f40 p64 64"},
    {SYS_tkill, "-"},
    {SYS_tgkill, "-"},
    {SYS_time, "p8"},
    {SYS_futex, "p4 0 77 p16 0 0"},
    {SYS_futex, "p4 128 77 p16 0 0"},
    {SYS_futex, "p4 1 1 0 0 0"},
    {SYS_futex, "p4 129 1 0 0 0"},
    {SYS_futex, "p4 3 1 1 p4 0"},
    {SYS_futex, "p4 4 1 1 p4 77"},
    {SYS_futex, "p4 5 1 1 p4 0"},
    {SYS_futex, "p4 133 1 1 p4 0"},
    {SYS_futex, "p4 9 77 p16 0 1"},
    {SYS_futex, "p4 99 0 0 0 0"},
    {SYS_set_tid_address, "-"},
    {SYS_restart_syscall, "-"},
    {SYS_timer_create, "1 p64 p4"},
    {SYS_timer_settime, "99 0 p32 p32"},
    {SYS_timer_gettime, "99 p32"},
    {SYS_clock_gettime, "1 p16"},
    {SYS_clock_gettime, "99 p16"},
    {SYS_clock_getres, "1 p16"},
    {SYS_clock_nanosleep, "1 0 p16 p16"},
    {SYS_clock_nanosleep, "99 0 p16 p16"},
    {SYS_exit_group, "-"},
    {SYS_epoll_wait, "f46 p24 2 0"},
    {SYS_epoll_wait, "f46 p24 0 0"},
    {SYS_epoll_wait, "f46 p24 -1 0"},
    {SYS_epoll_wait, "f40 p24 2 0"},
    {SYS_epoll_pwait, "f46 p24 2 0 p8 8"},
    {SYS_epoll_pwait, "f46 p24 2 0 p8 4"},
    {SYS_epoll_pwait2, "f46 p24 2 t16 p8 8"},
    {SYS_epoll_ctl, "f46 1 f41 p12"},
    {SYS_epoll_ctl, "f46 2 f41 p12"},
    {SYS_epoll_ctl, "f46 3 f43 p12"},
    {SYS_epoll_ctl, "f46 9 f41 p12"},
    {SYS_mbind, "-"},
    {SYS_set_mempolicy, "0 p8 64"},
    {SYS_set_mempolicy, "2 p8 64"},
    {SYS_get_mempolicy, "p4 p8 64 0 0"},
    {SYS_mq_open, "x 0 0 p64"},
    {SYS_mq_open, "x 66 384 p64"},
    {SYS_mq_unlink, "x"},
    {SYS_mq_timedsend, "f40 p8 8 0 p16"},
    {SYS_mq_timedreceive, "f40 p8 8 p4 p16"},
    {SYS_mq_notify, "f40 p64"},
    {SYS_mq_getsetattr, "f40 p64 p64"},
    {SYS_ioprio_set, "-"},
    {SYS_inotify_add_watch, "f47 n 2"},
    {SYS_inotify_add_watch, "f40 n 2"},
    {SYS_migrate_pages, "-"},
    {SYS_openat, "-100 n 0 0"},
    {SYS_openat, "f40 n 0 0"},
    {SYS_mkdirat, "-100 n 448"},
    {SYS_newfstatat, "-100 n p144 0"},
    {SYS_newfstatat, "f40 n p144 0"},
    {SYS_newfstatat, "f40 e p144 4096"},
    {SYS_newfstatat, "-100 n p144 99"},
    {SYS_unlinkat, "-100 p2 0"},
    {SYS_renameat, "-100 n -100 n"},
    {SYS_renameat2, "-100 n -100 n 99"},
    {SYS_linkat, "-100 n -100 n 0"},
    {SYS_symlinkat, "n -100 n"},
    {SYS_fchmodat, "-100 n 384"},
    {SYS_fchownat, "-100 n -1 -1 0"},
    {SYS_faccessat, "-100 n 0"},
    {SYS_faccessat2, "-100 n 0 0"},
    {SYS_pselect6, "60 p8 p8 p8 t16 p16"},
    {SYS_ppoll, "p16 2 t16 p8 8"},
    {SYS_ppoll, "p16 2 t16 p8 4"},
    {SYS_unshare, "-"},
    {SYS_setns, "-"},
    {SYS_set_robust_list, "-"},
    {SYS_get_robust_list, "0 p8 p8"},
    {SYS_splice, "f40 p8 f42 0 4 0"},
    {SYS_splice, "f40 p8 f42 p8 4 0"},
    {SYS_splice, "f41 0 f40 p8 4 2"},
    {SYS_tee, "-"},
    {SYS_sync_file_range, "-"},
    {SYS_vmsplice, "f42 i 2 2"},
    {SYS_vmsplice, "f41 i 2 2"},
    {SYS_vmsplice, "f40 i 2 2"},
    {SYS_move_pages, "-"},
    {SYS_signalfd, "f-1 p8 8"},
    {SYS_signalfd4, "f-1 p8 8 0"},
    {SYS_signalfd4, "f-1 p8 4 0"},
    {SYS_signalfd4, "f40 p8 8 0"},
    {SYS_timerfd_settime, "f48 0 p32 p32"},
    {SYS_timerfd_settime, "f40 0 p32 p32"},
    {SYS_timerfd_gettime, "f48 p32"},
    {SYS_timerfd_gettime, "f40 p32"},
    {SYS_fallocate, "-"},
    {SYS_dup3, "-"},
    {SYS_pipe2, "p8 0"},
    {SYS_pipe2, "p8 99"},
    {SYS_recvmmsg, "f44 G 1 64 0"},
    {SYS_recvmmsg, "f44 G 1 64 p16"},
    {SYS_sendmmsg, "f43 G 1 64"},
    {SYS_sendmmsg, "f40 G 1 64"},
    {SYS_name_to_handle_at, "-100 n p8 p4 0"},
    {SYS_open_by_handle_at, "-100 p8 0"},
    {SYS_adjtimex, "p208"},
    {SYS_clock_adjtime, "0 p208"},
    {SYS_clock_adjtime, "99 p208"},
    {SYS_getcpu, "0 p4 p8"},
    {SYS_process_vm_readv, "-"},
    {SYS_process_vm_writev, "-"},
    {SYS_getrandom, "p64 64 0"},
    {SYS_getrandom, "p64 1048576 0"},
    {SYS_getrandom, "p64 64 99"},
    {SYS_memfd_create, "n 0"},
    {SYS_memfd_create, "n 4096"},
    {SYS_membarrier, "-"},
    {SYS_copy_file_range, "f40 p8 f40 p8 4 0"},
    {SYS_copy_file_range, "f40 p8 f41 p8 4 0"},
    {SYS_statx, "-100 n 0 2047 p256"},
    {SYS_statx, "f40 e 4096 2047 p256"},
    {SYS_statx, "-100 n 0 -1 p256"},
    {SYS_rseq, "-"},
    {SYS_pidfd_send_signal, "f40 0 p128 0"},
    {SYS_pidfd_open, "-"},
    {SYS_clone3, "-"},
    {SYS_close_range, "-"},
    {SYS_openat2, "-100 n p24 24"},
    {SYS_openat2, "-100 n p24 8"},
    {SYS_openat2, "-100 n p24 64"},
    {SYS_openat2, "-100 n p24 8192"},
    {449 /* futex_waitv */, "p24 1 0 p16 1"},
    {449, "p24 0 0 p16 1"},
    {SYS_set_mempolicy_home_node, "-"},
    {SYS_syslog, "3 p64 0"},
    {SYS_syslog, "3 p64 -1"},
    {SYS_syslog, "3 p64 4294967295"},
    {SYS_syslog, "99 p64 64"},
    {SYS_ustat, "0 p32"},
    {SYS_sysfs, "1 n"},
    {SYS_sysfs, "2 0 p64"},
    {SYS_sysfs, "2 999 p64"},
    {SYS_sched_get_priority_max, "-"},
    {SYS_sched_get_priority_min, "-"},
    {SYS_vhangup, "-"},
    {SYS_pivot_root, "n n"},
    {SYS_settimeofday, "0 p8"},
    {SYS_mount, "n n n 0 0"},
    {SYS_mount, "n n n 0 p64"},
    {SYS_umount2, "n 0"},
    {SYS_umount2, "n 99"},
    {SYS_swapon, "n 0"},
    {SYS_swapoff, "n"},
    {SYS_init_module, "p64 64 x"},
    {SYS_finit_module, "f40 x 0"},
    {SYS_finit_module, "f40 x 99"},
    {SYS_delete_module, "n 2048"},
    {SYS_quotactl, "2147484672 n 0 p4"},
    {SYS_quotactl, "2147484416 n 0 p112"},
    {443 /* quotactl_fd */, "f40 2147484672 0 p4"},
    {443, "-1 2147484672 0 p4"},
    {SYS_timer_getoverrun, "-"},
    {SYS_timer_delete, "-"},
    {SYS_clock_settime, "1 p16"},
    {SYS_clock_settime, "99 p16"},
    {SYS_add_key, "n n p8 8 -2"},
    {SYS_request_key, "n n n 0"},
    {SYS_keyctl, "2 0 p8 8"},
    {SYS_keyctl, "6 -3 p64 64"},
    {SYS_keyctl, "10 -3 n n 0"},
    {SYS_keyctl, "11 -3 p64 64"},
    {SYS_keyctl, "17 -3 p64 64"},
    {SYS_fanotify_init, ""},
    {SYS_fanotify_mark, "f40 1 2 -100 n"},
    {SYS_kcmp, "-1 -1 7 40 p12"},
    {SYS_open_tree, "-100 n 0"},
    {SYS_open_tree, "f40 e 4096"},
    {SYS_move_mount, "-100 n -100 n 0"},
    {SYS_move_mount, "-100 n -100 n -1"},
    {SYS_fsopen, "n 0"},
    {SYS_fsopen, "n 99"},
    {SYS_fsconfig, "f40 1 n n 0"},
    {SYS_fsconfig, "f40 2 n p8 8"},
    {SYS_fsconfig, "-1 1 n n 0"},
    {SYS_fsmount, ""},
    {SYS_fspick, "-100 n 0"},
    {SYS_pidfd_getfd, "f40 0 0"},
    {442 /* mount_setattr */, "-100 n 0 p32 32"},
    {442, "-100 n 0 p32 8"},
    {442, "-100 n 0 p64 64"},
    {442, "-100 n 0 p64 8192"},
    {SYS_process_mrelease, "f40 0"},
    {451 /* cachestat */, "f40 p16 p40 0"},
    {451, "f40 p16 p40 99"},
    {451, "f41 p16 p40 0"},
    {452 /* fchmodat2 */, "-100 n 384 0"},
    {452, "-100 n 384 99"},
    {457 /* statmount */, "p24 p64 64 0"},
    {458 /* listmount */, "p24 p64 8 0"},
    {462 /* mseal */, "-"},
    {461 /* lsm_list_modules */, "p64 s64 0"},
    {461, "p64 s4 0"},
    {461, "p64 s64 1"},
    {463 /* setxattrat */, "-100 n 0 x p16 16"},
    {463, "-100 n 0 x p16 8"},
    {464 /* getxattrat */, "-100 n 0 x p16 16"},
    {464, "-100 n 0 x p64 64"},
    {465 /* listxattrat */, "-100 n 0 p64 64"},
    {466 /* removexattrat */, "-100 n 0 x"},
    {467 /* open_tree_attr */, "-100 n 0 p32 32"},
    {467, "-100 n 0 p32 0"},
    {467, "f40 e 4096 p32 32"},
    {467, "-100 n 1 p32 8"},
    {467, "-100 n 0 p64 64"},
    {468 /* file_getattr */, "-100 n p24 24 0"},
    {468, "-100 n p24 8 0"},
    {468, "-100 n p64 64 0"},
    {469 /* file_setattr */, "-100 n p24 24 0"},
    {469, "-100 n p24 8 0"},
    {469, "-100 n p64 64 0"},
    {469, "-100 n p64 8192 0"},
    {SYS_setns, "-"},
    {SYS_io_setup, "0 p8"},
    {SYS_io_submit, "0 1 p8"},
    {SYS_io_submit, "0 -1 p8"},
    {SYS_io_getevents, "0 0 1 p32 p16"},
    {SYS_io_pgetevents, "0 0 1 p32 p16 p16"},
    {SYS_io_cancel, "0 p64 p32"},
    {SYS_io_destroy, "-"},
    {SYS_getppid, ""},
    {SYS_stat, ""},
    {SYS_fstat, ""},
    {SYS_lstat, ""},
    {SYS_lseek, ""},
    {SYS_pread64, ""},
    {SYS_pwrite64, ""},
    {SYS_access, ""},
    {SYS_pipe, ""},
    {SYS_shmget, ""},
    {SYS_socket, ""},
    {SYS_uname, ""},
    {SYS_semget, ""},
    {SYS_msgget, ""},
    {SYS_ftruncate, ""},
    {SYS_chmod, ""},
    {SYS_fchmod, ""},
    {SYS_chown, ""},
    {SYS_fchown, ""},
    {SYS_lchown, ""},
    {SYS_sysinfo, ""},
    {SYS_times, ""},
    {SYS_getuid, ""},
    {SYS_getgid, ""},
    {SYS_geteuid, ""},
    {SYS_getegid, ""},
    {SYS_getpgrp, ""},
    {SYS_getresuid, ""},
    {SYS_getresgid, ""},
    {SYS_getpgid, ""},
    {SYS_getsid, ""},
    {SYS_statfs, ""},
    {SYS_fstatfs, ""},
    {SYS_sched_getscheduler, ""},
    {SYS_removexattr, ""},
    {SYS_lremovexattr, ""},
    {SYS_fremovexattr, ""},
    {SYS_epoll_create, ""},
    {SYS_fadvise64, ""},
    {SYS_ioprio_get, ""},
    {SYS_inotify_init, ""},
    {SYS_inotify_rm_watch, ""},
    {SYS_timerfd_create, ""},
    {SYS_eventfd, ""},
    {SYS_eventfd2, ""},
    {SYS_epoll_create1, ""},
    {SYS_inotify_init1, ""},
};
#define SHAPES (sizeof shapes / sizeof shapes[0])

/* ---- places ---- */

/* Pages of one mapping: usable, readable, usable, closed, usable, and behind them nothing. */
static char *area;
enum { AREA = 5 * 4096 };

static const char *const places[] = {
    "good",           "null",           "closed",      "read only",  "behind",
    "kernel",         "noncanonical",   "top",         "misaligned", "last bytes",
    "across the end", "half read only", "half closed", "one",
};
enum {
    GOOD,
    NIL,
    CLOSED,
    READ_ONLY,
    BEHIND,
    KERNEL,
    NONCANONICAL,
    TOP,
    MISALIGNED,
    LAST,
    ACROSS,
    HALF_READ_ONLY,
    HALF_CLOSED,
    ONE,
    NPLACES
};

/* `i`: which pointer of the call: good ones lie apart. */
static uintptr_t place(int kind, size_t n, int i)
{
    uintptr_t a = (uintptr_t)area;
    if (n == 0)
        n = 1;
    if (n > 2048)
        n = 2048;
    switch (kind) {
    case GOOD:
        return a + 4096 * 2 + (size_t)i * 400;
    case NIL:
        return 0;
    case CLOSED:
        return a + 3 * 4096 + 64;
    case READ_ONLY:
        return a + 4096 + 128;
    case BEHIND:
        return a + AREA;
    case KERNEL:
        return 0xffffffff81000000ul;
    case NONCANONICAL:
        return 0x8000000000000000ul;
    case TOP:
        return 0x7ffffffff000ul;
    case MISALIGNED:
        return a + 64 + 1;
    case LAST:
        return a + AREA - n;
    case ACROSS:
        return a + AREA - n + 1;
    case HALF_READ_ONLY:
        return a + 4096 - n / 2 - (n == 1);
    case HALF_CLOSED:
        return a + 3 * 4096 - n / 2 - (n == 1);
    default:
        return 1;
    }
}

static bool opened; /* the area's rights are lifted at the moment */
static bool dirty;  /* there is something in the pages without the right to write */

static void open_area(void)
{
    if (!opened && mprotect(area, AREA, PROT_READ | PROT_WRITE))
        exit(99);
    opened = true;
}

static void close_area(void)
{
    if (opened &&
        (mprotect(area + 4096, 4096, PROT_READ) || mprotect(area + 3 * 4096, 4096, PROT_NONE)))
        exit(99);
    opened = false;
}

/* As much of it as there is memory for it, rights or not. */
static void put(uintptr_t to, const char *what, size_t n)
{
    uintptr_t a = (uintptr_t)area;
    if (to < a || to >= a + AREA)
        return;
    if (n > a + AREA - to)
        n = a + AREA - to;
    for (size_t i = 0; i < n; i++) {
        size_t page = (to + i - a) / 4096;
        if (!what[i])
            continue; /* as it is */
        if (page == 1 || page == 3) {
            open_area();
            dirty = true;
        }
        ((char *)to)[i] = what[i];
    }
}

static void clear_area(void)
{
    if (dirty) {
        open_area();
        memset(area, 0, AREA);
        dirty = false;
        return;
    }
    for (int page = 0; page < 5; page += 2)
        memset(area + page * 4096, 0, 4096);
}

/* ---- one call ---- */

/* Pointers of a call; nested ones have places of their own. */
#define MAX_POINTERS 8
struct call {
    long arg[6];
    int pointers; /* so far */
    int kind[MAX_POINTERS + 8];
};

static uintptr_t next_pointer(struct call *c, size_t n)
{
    int i = c->pointers++;
    return i < MAX_POINTERS ? place(c->kind[i], n, i) : 0;
}

static void put_iovec(struct call *c, uintptr_t at)
{
    struct iovec v[2];
    v[0] = (struct iovec){(void *)next_pointer(c, 16), 16};
    v[1] = (struct iovec){(void *)next_pointer(c, 24), 24};
    put(at, (const char *)v, sizeof v);
}

static void put_msghdr(struct call *c, uintptr_t at, bool zero)
{
    struct msghdr m = {0};
    uintptr_t iov = next_pointer(c, 32);
    (void)zero;
    m.msg_iov = (void *)iov;
    m.msg_iovlen = 2;
    put_iovec(c, iov);
    m.msg_control = (void *)next_pointer(c, 64);
    m.msg_controllen = 64;
    m.msg_name = NULL;
    put(at, (const char *)&m, sizeof m);
}

static void put_string(uintptr_t at, const char *s)
{
    put(at, s, strlen(s) + 1);
}

/* Fills c->arg; false: the shape is not to be tried. */
static bool prepare(struct call *c, const char *shape)
{
    c->pointers = 0;
    memset(c->arg, 0, sizeof c->arg);
    clear_area();
    for (int i = 0; *shape; i++) {
        long n = strtol(shape + (shape[0] > '9'), NULL, 10);
        uintptr_t p;
        switch (*shape) {
        case 't':
            if (c->kind[c->pointers] == NIL)
                c->kind[c->pointers] = GOOD;
            /* fall through */
        case 'p':
            c->arg[i] = (long)next_pointer(c, (size_t)n);
            break;
        case 's': {
            int v = (int)n;
            c->arg[i] = (long)(p = next_pointer(c, 4));
            put(p, (const char *)&v, sizeof v);
            break;
        }
        case 'n':
        case 'l':
        case 'e':
        case 'x': {
            const char *name = *shape == 'n'   ? "f"
                               : *shape == 'l' ? "l"
                               : *shape == 'e' ? ""
                                               : "user.x";
            c->arg[i] = (long)(p = next_pointer(c, strlen(name) + 1));
            put_string(p, name);
            break;
        }
        case 'i':
            c->arg[i] = (long)(p = next_pointer(c, 32));
            put_iovec(c, p);
            break;
        case 'm':
        case 'G':
            c->arg[i] = (long)(p = next_pointer(c, *shape == 'm' ? 56 : 64));
            put_msghdr(c, p, *shape == 'G');
            break;
        case 'S':
            c->arg[i] = shm;
            break;
        case 'M':
            c->arg[i] = sem;
            break;
        case 'Q':
            c->arg[i] = queue;
            break;
        default: /* a number, a descriptor */
            c->arg[i] = n;
        }
        shape += strcspn(shape, " ");
        shape += *shape == ' ';
    }
    return true;
}

/* The shape of a row that has none of its own, from the table. */
static const char *shape_of(const struct lull_sysdesc *d, char *to, size_t room)
{
    to[0] = 0;
    for (unsigned i = 0; i < d->nargs; i++) {
        char word[24] = "0";
        unsigned n = d->arg[i].param;
        switch (d->arg[i].kind) {
        case LULL_A_FD:
            strcpy(word, "f40");
            break;
        case LULL_A_ATFD:
            strcpy(word, "-100");
            break;
        case LULL_A_PATH:
            strcpy(word, "n");
            break;
        case LULL_A_IN:
        case LULL_A_OUT:
        case LULL_A_INOUT:
        case LULL_A_TIME:
            snprintf(word, sizeof word, "p%u", n);
            break;
        case LULL_A_BUFIN:
        case LULL_A_BUFOUT:
        case LULL_A_VEC:
            strcpy(word, "p64");
            break;
        case LULL_A_IOVIN:
        case LULL_A_IOVOUT:
            strcpy(word, "i");
            break;
        case LULL_A_MSGIN:
        case LULL_A_MSGOUT:
            strcpy(word, "m");
            break;
        default:
            for (unsigned j = 0; j < d->nargs; j++) /* a length? */
                if (d->arg[j].param == i && d->arg[j].kind >= LULL_A_BUFIN &&
                    d->arg[j].kind <= LULL_A_BUFOUT)
                    strcpy(word, "64");
        }
        snprintf(to + strlen(to), room - strlen(to), "%s%s", i ? " " : "", word);
    }
    return to;
}

static bool counts_bytes(long nr)
{
    switch (nr) {
    case SYS_read:
    case SYS_write:
    case SYS_pread64:
    case SYS_pwrite64:
    case SYS_readv:
    case SYS_writev:
    case SYS_preadv:
    case SYS_pwritev:
    case SYS_preadv2:
    case SYS_pwritev2:
    case SYS_sendto:
    case SYS_recvfrom:
    case SYS_sendmsg:
    case SYS_recvmsg:
    case SYS_sendmmsg:
    case SYS_recvmmsg:
    case SYS_vmsplice:
    case SYS_splice:
    case SYS_sendfile:
    case SYS_copy_file_range:
    case SYS_getrandom:
    case SYS_readlink:
    case SYS_readlinkat:
    case SYS_poll:
    case SYS_ppoll:
    case SYS_select:
    case SYS_pselect6:
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
        return true;
    default:
        return false;
    }
}

/* What was there before each call, so that one that differs does not make others differ. */
static void restore(const char *shape)
{
    static const char text[64] = "text";
    char sink[256];
    if (!strchr(shape, 'f'))
        return;
    if (pwrite(FILE_FD, text, sizeof text, 0) != sizeof text || ftruncate(FILE_FD, sizeof text))
        exit(99);
    lseek(FILE_FD, 0, SEEK_SET);
    if (strstr(shape, "f45"))
        lseek(DIR_FD, 0, SEEK_SET);
    if (strstr(shape, "f41") || strstr(shape, "f42")) {
        while (read(PIPE_R, sink, sizeof sink) > 0) {
        }
        if (write(PIPE_W, text, sizeof text) != sizeof text)
            exit(99);
    }
    if (strstr(shape, "f43") || strstr(shape, "f44")) {
        while (recv(SOCK_B, sink, sizeof sink, MSG_DONTWAIT) >= 0) {
        }
        if (send(SOCK_A, text, sizeof text, 0) != sizeof text)
            exit(99);
    }
}

/* Of the pages that the program may look at, those without the right to write too. */
static bool area_changed(long nr, const char *before)
{
    if (nr == SYS_timer_create) /* an id may be 0 */
        return false;
    return memcmp(before, area, 3 * 4096) || memcmp(before + 4 * 4096, area + 4 * 4096, 4096);
}

static void try(long nr, const char *name, const char *shape, const int kind[MAX_POINTERS])
{
    static char before[AREA];
    struct call c;
    long r;
    memcpy(c.kind, kind, sizeof(int) * MAX_POINTERS);
    restore(shape);
    prepare(&c, shape);
    close_area();
    memcpy(before, area, 3 * 4096);
    memcpy(before + 4 * 4096, area + 4 * 4096, 4096);
    printf("%s %s (", name, shape);
    for (int i = 0; i < c.pointers && i < MAX_POINTERS; i++)
        printf("%s%s", i ? ", " : "", places[c.kind[i]]);
    errno = 0;
    r = syscall(nr, c.arg[0], c.arg[1], c.arg[2], c.arg[3], c.arg[4], c.arg[5]);
    if (r == -1 && errno)
        printf("): %s", strerrorname_np(errno));
    else if (counts_bytes(nr))
        printf("): %ld", r);
    else
        printf("): ok");
    /* what is written before a bad page is met differs with the way it is written */
    printf("%s\n", (r < 0 && errno == EFAULT ? memcmp(before + 4096, area + 4096, 4096) != 0
                                             : area_changed(nr, before))
                       ? ", changed"
                       : "");
    if (r >= 0 && table[nr].class >= LULL_SYS_QUICK && fcntl(60, F_GETFD) >= 0)
        close_range(60, ~0u, 0);
}

static int pointers_of(const char *shape)
{
    struct call c;
    memset(&c, 0, sizeof c);
    prepare(&c, shape);
    return c.pointers < MAX_POINTERS ? c.pointers : MAX_POINTERS;
}

static void sweep(long nr, const char *name, const char *shape)
{
    int n = pointers_of(shape);
    int kind[MAX_POINTERS] = {0};
    try(nr, name, shape, kind);
    for (int i = 0; i < n; i++) {
        for (kind[i] = 1; kind[i] < NPLACES; kind[i]++)
            try(nr, name, shape, kind);
        kind[i] = GOOD;
        open_area(); /* was anything written where nothing may be? */
        for (size_t k = 0; !dirty && k < 4096; k++)
            if (area[3 * 4096 + k]) {
                printf("%s: the closed page changed\n", name);
                dirty = true;
            }
    }
}

static void at_random(long nr, const char *name, const char *shape)
{
    int kind[MAX_POINTERS];
    for (int i = 0; i < MAX_POINTERS; i++)
        kind[i] = (int)(random() % NPLACES);
    try(nr, name, shape, kind);
}

/* Every row of the table that answers anything. */
static void want_shapes(void)
{
    for (long nr = 0; nr < 500; nr++) {
        size_t i = 0;
        while (i < SHAPES && shapes[i].nr != nr)
            i++;
        if (i == SHAPES && table[nr].name && table[nr].class != LULL_SYS_REFUSED &&
            table[nr].class != LULL_SYS_INTERNAL) {
            fprintf(stderr, "%s has no entry in shapes[] (tests/diff/args.c)\n", table[nr].name);
            exit(99);
        }
    }
}

static void each(void (*f)(long nr, const char *name, const char *shape))
{
    char own[128];
    for (long nr = 0; nr < 500; nr++) {
        if (!table[nr].name || table[nr].class == LULL_SYS_REFUSED)
            continue;
        for (size_t i = 0; i < SHAPES; i++) {
            if (shapes[i].nr != nr)
                continue;
            if (shapes[i].args[0] == 0)
                f(nr, table[nr].name, shape_of(&table[nr], own, sizeof own));
            else if (strcmp(shapes[i].args, "-") != 0)
                f(nr, table[nr].name, shapes[i].args);
        }
    }
}

static void take_as(int fd, int as)
{
    if (fd < 0 || dup2(fd, as) != as)
        exit(99);
    close(fd);
}

CASE(args, sweep)
{
    const char *rounds = getenv("ARGS_ROUNDS"), *seed = getenv("ARGS_SEED");
    int p[2];
    struct epoll_event e = {.events = EPOLLOUT};
    want_shapes();
    setvbuf(stdout, NULL, getenv("ARGS_SLOW") ? _IOLBF : _IOFBF, 1 << 20);
    signal(SIGPIPE, SIG_IGN);
    take_as(file_with("f", "text"), FILE_FD);
    if (symlink("f", "l") || pipe2(p, O_NONBLOCK))
        exit(99);
    take_as(p[0], PIPE_R);
    take_as(p[1], PIPE_W);
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, p))
        exit(99);
    take_as(p[0], SOCK_A);
    take_as(p[1], SOCK_B);
    take_as(open(".", O_RDONLY | O_DIRECTORY), DIR_FD);
    take_as(epoll_create1(0), EPOLL);
    take_as(inotify_init1(IN_NONBLOCK), INOTIFY);
    take_as(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), TIMER);
    take_as(posix_openpt(O_RDWR | O_NOCTTY), PTY);
    take_as(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), UDP);
    take_as(open("/dev/zero", O_RDONLY), ZERO);
    if (epoll_ctl(EPOLL, EPOLL_CTL_ADD, PIPE_W, &e) || dup2(ZERO, 59) != 59)
        exit(99);
    for (int fd = 3; fd < 60; fd++) /* the next free one is 60 */
        if (fcntl(fd, F_GETFD) < 0 && dup2(ZERO, fd) != fd)
            exit(99);
    shm = shmget(IPC_PRIVATE, 4096, 0600);
    sem = semget(IPC_PRIVATE, 4, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    area = mmap(NULL, AREA + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED || munmap(area + AREA, 4096))
        exit(99);
    opened = true;
    each(sweep);
    srandom(seed ? (unsigned)atoi(seed) : 1);
    for (int i = rounds ? atoi(rounds) : 0; i > 0; i--)
        each(at_random);
    shmctl((int)shm, IPC_RMID, NULL);
    semctl((int)sem, 0, IPC_RMID);
    msgctl((int)queue, IPC_RMID, NULL);
}
