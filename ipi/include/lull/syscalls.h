/* SPDX-License-Identifier: MIT */
/*
 * The table of system calls, read by both sides: which are answered in the isle, which are
 * forwarded to Linux, which are refused, and what each argument of a forwarded one is. Numbers are
 * those of Linux x86-64 (arch/x86/entry/syscalls/syscall_64.tbl, Linux 6.18).
 *
 * Pointers are checked twice. The kernel checks the application's rights (a pointer that may not
 * be read or written so becomes LULL_BAD_PTR, and Linux itself then answers EFAULT, in its own
 * order of checks); the proxy checks that what comes from the isle stays inside the isle.
 */
#ifndef LULL_SYSCALLS_H
#define LULL_SYSCALLS_H

#include <stdint.h>

/* Never mapped, neither in the isle nor in the proxy; not NULL, which often means "none". */
#define LULL_BAD_PTR 8ul
/* In a pointer to what is read and written: it may be read only, so EFAULT at the end. */
#define LULL_READ_ONLY (1ul << 62)
/* In place of an address that no program can have: Linux looks for that before anything else. */
#define LULL_BAD_RANGE 0xfffffffffffff000ul

enum lull_sysclass {
    LULL_SYS_REFUSED = 0, /* ENOSYS, named by --report */
    LULL_SYS_LOCAL,       /* answered in the isle */
    LULL_SYS_QUICK,       /* forwarded; never waits for anything but storage */
    LULL_SYS_FDWAIT,      /* forwarded; may wait unless arg0 is a regular file or directory */
    LULL_SYS_WAIT,        /* forwarded; may wait */
    LULL_SYS_INTERNAL,    /* between kernel and proxy; ENOSYS for the application */
};

/*
 * The kernel's own word on an argument, in the last one's place; 0: nothing to say.
 * Buffers (read, getcwd, getxattr ...): so many bytes may be used, the page behind may not.
 * readv, preadv, vmsplice ...: 1 + so many bytes of all buffers together.
 * sendmsg, recvmsg, sendmmsg, recvmmsg: LULL_MSG_*, of the first message.
 * accept, getsockname, getsockopt ...: 1 + so many bytes of what is written may be used.
 * semctl GETALL, SETALL, lsm_list_modules: so many bytes may be used.
 * msgsnd: 1: the type may be read, the text not.
 * select, pselect6, ppoll: 1: what is left of the time cannot be written back.
 * Where the last argument is the call's own: preadv2, pwritev2 have it as argument 4, which Linux
 * does not look at, sendto and recvfrom in the upper half of argument 3, process_vm_readv and
 * process_vm_writev in that of argument 0 (1 + bytes).
 */
#define LULL_ARG_HAVE 5
#define LULL_MSG_BYTES(w) ((w)&0x1fffffffful) /* 1 + bytes of the buffers; 0: all */
#define LULL_MSG_CONTROL_SHIFT 33
#define LULL_MSG_CONTROL(w) ((w) >> 33 & 0x1fffffu) /* 1 + bytes of the control data; 0: all */
#define LULL_MSG_BAD_ARRAY (1ul << 61)              /* the array of buffers may not be read */
#define LULL_MSG_BAD_NAME (1ul << 63)
#define LULL_MSG_READONLY (1ul << 62) /* the header may not be written */

/* What an argument is. LULL_A_* kinds; param: a size in bytes or the index of another argument. */
enum lull_argkind {
    LULL_A_VAL = 0, /* passed as it is */
    LULL_A_FD,      /* descriptor of the application */
    LULL_A_ATFD,    /* the same or AT_FDCWD */
    LULL_A_PATH,    /* NUL-terminated string */
    LULL_A_IN,      /* read: param bytes */
    LULL_A_OUT,     /* written: param bytes */
    LULL_A_INOUT,   /* both: param bytes */
    LULL_A_BUFIN,   /* read: as many bytes as argument `param` says; may be shortened */
    LULL_A_BUFOUT,  /* written: as many bytes as argument `param` says; may be shortened */
    LULL_A_VEC,     /* read and written: array, (param >> 4) bytes an element, number of elements
                       in argument (param & 15) */
    LULL_A_IOVIN,   /* iovec array of buffers that are read; count in argument param */
    LULL_A_IOVOUT,  /* iovec array of buffers that are written; count in argument param */
    LULL_A_MSGIN,   /* msghdr to send */
    LULL_A_MSGOUT,  /* msghdr to receive into */
    LULL_A_TIME,    /* a time that is counted down: see LULL_ARG_HAVE */
    LULL_A_SPECIAL, /* depends on the other arguments: fcntl's, ioctl's third ... */
};
struct lull_arg {
    uint8_t kind;
    uint8_t pad;
    uint16_t param;
};

struct lull_sysdesc {
    const char *name;
    uint8_t class;
    uint8_t nargs;
    struct lull_arg arg[6];
};

#define VAL                                                                                        \
    {                                                                                              \
        LULL_A_VAL, 0, 0                                                                           \
    }
#define FD                                                                                         \
    {                                                                                              \
        LULL_A_FD, 0, 0                                                                            \
    }
#define ATFD                                                                                       \
    {                                                                                              \
        LULL_A_ATFD, 0, 0                                                                          \
    }
#define PATH                                                                                       \
    {                                                                                              \
        LULL_A_PATH, 0, 0                                                                          \
    }
#define IN(n)                                                                                      \
    {                                                                                              \
        LULL_A_IN, 0, n                                                                            \
    }
#define OUT(n)                                                                                     \
    {                                                                                              \
        LULL_A_OUT, 0, n                                                                           \
    }
#define INOUT(n)                                                                                   \
    {                                                                                              \
        LULL_A_INOUT, 0, n                                                                         \
    }
#define BUFIN(i)                                                                                   \
    {                                                                                              \
        LULL_A_BUFIN, 0, i                                                                         \
    }
#define BUFOUT(i)                                                                                  \
    {                                                                                              \
        LULL_A_BUFOUT, 0, i                                                                        \
    }
#define VEC(size, i)                                                                               \
    {                                                                                              \
        LULL_A_VEC, 0, (size) << 4 | (i)                                                           \
    }
#define IOVIN(i)                                                                                   \
    {                                                                                              \
        LULL_A_IOVIN, 0, i                                                                         \
    }
#define IOVOUT(i)                                                                                  \
    {                                                                                              \
        LULL_A_IOVOUT, 0, i                                                                        \
    }
#define MSGIN                                                                                      \
    {                                                                                              \
        LULL_A_MSGIN, 0, 0                                                                         \
    }
#define MSGOUT                                                                                     \
    {                                                                                              \
        LULL_A_MSGOUT, 0, 0                                                                        \
    }
#define TIME                                                                                       \
    {                                                                                              \
        LULL_A_TIME, 0, 16                                                                         \
    }
#define SPECIAL                                                                                    \
    {                                                                                              \
        LULL_A_SPECIAL, 0, 0                                                                       \
    }

/*
 * Calls that only the kernel makes; numbers that Linux does not have.
 * MAP_FILE: descriptor, start, length, offset in the file, LULL_PROT_*: copies the file to where it
 * is to be mapped, zeroes the rest of its last page. Answers LULL_FILE_* << 40 | bytes that the
 * file covers, or what mmap(2) would. With LULL_PROT_ASK nothing is copied, the answer has no
 * LULL_FILE_*, and LULL_MAP_FILE_ZERO says that the file is /dev/zero. With LULL_PROT_LIVE the
 * answer for a descriptor that can also write is LULL_MAP_FILE_LIVE alone, and nothing is copied.
 */
#define LULL_MAP_FILE_ZERO (1l << 61)
#define LULL_MAP_FILE_LIVE (1l << 60)
#define LULL_NR_MAP_FILE 500u
/* MAP_AGAIN: LULL_FILE_*, start, length, offset: the same of a file that is mapped already. Answers
   the bytes that the file covers; -ENOSYS: it cannot be had any more. */
#define LULL_NR_MAP_AGAIN 507u
/* futex(2) on memory that is shared with Linux; with the operation LULL_FUTEX_WAITV futex_waitv(2):
   list, operation, its length, timeout, clock. With LULL_FUTEX_ROBUST, about process arg[0]: what
   get_robust_list(2) answers, -EFAULT for a process that may be asked about. */
#define LULL_NR_FUTEX 501u
#define LULL_FUTEX_PRIO                                                                            \
    32 /* bits of a wait's operation above it: its real-time priority, 0: none */
#define LULL_FUTEX_WAITV 126u
#define LULL_FUTEX_ROBUST 125u
/*
 * SPAWN: a child that runs in the program's memory until it executes or ends (vfork(2)): its pid.
 * Its calls carry that pid (lull_sqe.as). EXEC: path, argv, envp, signal mask, ignored signals,
 * cores (bit i: core i): the child, or the program itself, executes. LEAVE: status: the child ends.
 * CHILDREN: bit 0: ended ones leave nothing to wait for, bit 1: no news of stopped ones;
 * bits 2, 3: the program ignores SIGTTIN, SIGTTOU.
 */
#define LULL_NR_EXEC 502u
/* EXEC's path: in the bits above an address 1 + the descriptor that it is seen from, 0: none; in
   the mask's place of SIGKILL whether its last link is not followed (execveat(2)). */
#define LULL_EXEC_AT 47
#define LULL_EXEC_NOFOLLOW (1ul << 8)
#define LULL_NR_SPAWN 503u
#define LULL_NR_LEAVE 504u
#define LULL_NR_CHILDREN 505u
/*
 * Descriptor: the signals of a signalfd, as bits of signal n at n-1; in the place of SIGKILL
 * whether it is O_NONBLOCK, in that of SIGSTOP signal 64. EBADF, EINVAL: it is none. read(2) and
 * readv(2) of one are answered LULL_E_SIGNALFD: what is pending is the kernel's to know.
 */
#define LULL_NR_SIGNALFD 509u
#define LULL_E_SIGNALFD 1000
/* EINTR, and not to be made again behind a handler: a socket with a timeout (signal(7)). */
#define LULL_E_INTR_FINAL 1001
/*
 * LIMIT: enum lull_limit_op, resource, soft limit. LOWER, RAISE: may it be so (the second: the hard
 * limit becomes a higher one)? 0 or -EPERM; of RLIMIT_FSIZE the soft limit holds from then on.
 * TASKS: how many processes and threads the program's user has besides this isle's; -EPERM: who is
 * not bound by their number. LOCK: RLIMIT_MEMLOCK in pages; -EPERM: CAP_IPC_LOCK overrides it.
 * OVERCOMMIT: vm.overcommit_memory, 0 to 2.
 */
#define LULL_NR_LIMIT 506u
enum lull_limit_op {
    LULL_LIMIT_LOWER,
    LULL_LIMIT_RAISE,
    LULL_LIMIT_TASKS,
    LULL_LIMIT_LOCK,
    LULL_LIMIT_OVERCOMMIT
};
/* Answer of write(2) and pwrite64(2): the buffer is the new name of a thread; its tid below. */
#define LULL_RENAMES (1l << 62)
/* EFBIG for the reason of RLIMIT_FSIZE: SIGXFSZ goes with it. */
#define LULL_ESIGXFSZ 600
/* EPIPE, and Linux raised SIGPIPE. Of write(2), writev(2), sendto(2) that have written something
   before: how much + LULL_SIGPIPE. */
#define LULL_ESIGPIPE 601
#define LULL_SIGPIPE (1l << 61)
/*
 * io_submit(2): the kernel submits LULL_AIO_BATCH iocbs at most in one call. If an iocb or its
 * buffers cannot all be used, it is submitted alone, and argument LULL_ARG_HAVE holds LULL_AIO_*.
 * The answer is the number of iocbs submitted, plus LULL_SIGPIPE and LULL_SIGXFSZ if Linux raised
 * these. io_setup(2): argument 1 is the number of the context: the address of a page of the
 * program's. io_getevents(2) gives LULL_AIO_EVENTS at most; argument LULL_ARG_HAVE: 1 + how many
 * may be written, 0: all.
 */
#define LULL_AIO_BATCH 64u
#define LULL_AIO_EVENTS 65536u
#define LULL_AIO_HAVE(w) ((w)&0x1fffffffful) /* 1 + bytes of its buffers; 0: all */
#define LULL_AIO_BAD_IOCB (1ul << 61)        /* it may not be read */
#define LULL_AIO_READONLY (1ul << 62)        /* it may not be written */
#define LULL_AIO_BAD_ARRAY (1ul << 63)       /* its array of buffers may not be read */
#define LULL_SIGXFSZ (1l << 60)
/* AIO_SETTLE: start, length: waits for the operations of io_submit(2) on this memory. Answers 0. */
#define LULL_NR_AIO_SETTLE 508u

#include <lull/syscalls.def>

/* NR_read ...: the numbers of the table's rows. */
#define LULL_ROW(nr, name, ...) NR_##name = nr,
enum lull_nr { LULL_SYSCALL_ROWS };
#undef LULL_ROW

/* Defines the table; both sides include it in exactly one file. */
#define LULL_DEFINE_SYSCALLS(table) const struct lull_sysdesc table[512] = {LULL_SYSCALL_ROWS}

#define LULL_ROW(nr, name, class, n, ...) [nr] = {#name, LULL_SYS_##class, n, {__VA_ARGS__}},

#endif
