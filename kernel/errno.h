/* SPDX-License-Identifier: MIT */
/* Error numbers of Linux x86-64 (asm-generic/errno-base.h, errno.h); calls answer -ENAME. */
#ifndef KERNEL_ERRNO_H
#define KERNEL_ERRNO_H

#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define E2BIG 7
#define EBADF 9
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define EFBIG 27
#define EPIPE 32
#define EDEADLK 35
#define ENOSYS 38
#define EOPNOTSUPP 95
#define ETIMEDOUT 110

/* Inside the kernel only: the call was interrupted before it did anything. */
#define ERESTART 512        /* restart unless a handler without SA_RESTART runs */
#define ERESTART_NOINTR 513 /* restart in any case */
#define ERESTART_NOHAND 514 /* restart only when no handler runs */
#define ERESTART_BLOCK 516  /* the same, by restart_syscall(2): the end of a wait is remembered */

#endif
