/* SPDX-License-Identifier: MIT */
/* Signals: signal(7), sigaction(2); layouts from the kernel's x86-64 user ABI
   (asm/sigcontext.h). */
#ifndef KERNEL_SIGNAL_SIGNAL_H
#define KERNEL_SIGNAL_SIGNAL_H

#include "percpu.h"
#include "types.h"

#define NSIG 64
#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGSEGV 11
#define SIGPIPE 13
#define SIGXCPU 24
#define SIGXFSZ 25
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGTTIN 21
#define SIGTTOU 22
#define SIGURG 23
#define SIGWINCH 28
#define SIGSYS 31

#define SIG_DFL 0
#define SIG_IGN 1
#define SA_NOCLDSTOP 1u
#define SA_NOCLDWAIT 2u
#define SA_SIGINFO 4u
#define SA_RESTORER 0x04000000u
#define SA_ONSTACK 0x08000000u
#define SA_RESTART 0x10000000u
#define SA_NODEFER 0x40000000u
#define SA_RESETHAND 0x80000000u
#define SA_KNOWN /* and SA_NOCLDSTOP, SA_NOCLDWAIT, SA_EXPOSE_TAGBITS */                           \
    (0x803u | SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_RESTART | SA_NODEFER | SA_RESETHAND)
#define SS_ONSTACK 1
#define SS_DISABLE 2
#define SS_AUTODISARM (1u << 31)
#define MINSIGSTKSZ 2048

#define SI_USER 0
#define SI_KERNEL 0x80
#define SI_TKILL (-6)
#define SI_TIMER (-2)

static inline u64 sig_bit(int signo)
{
    return 1ul << (signo - 1);
}

struct siginfo {
    i32 signo, err, code, pad;
    union {
        struct {
            i32 pid;
            u32 uid;
            u64 value;
        } kill;
        struct {
            u64 addr;
        } fault;
        struct {
            u64 call; /* address */
            i32 nr;
            u32 arch;
        } sys;
        u8 fill[112];
    } u;
};
_Static_assert(sizeof(struct siginfo) == 128, "siginfo_t");

struct sigaction {
    u64 handler;
    u64 flags;
    u64 restorer;
    u64 mask;
};

struct sigstack {
    u64 sp;
    i32 flags;
    i32 given; /* the flags as they were set; padding to the application */
    u64 size;
};

/* What is kept of a pending signal. */
struct sigshort {
    i32 code;
    i32 pid;
    u32 uid;
    u32 pad;
    u64 value;
};

/* Per thread; signal_lock, but for mask and altstack, which are the thread's own. */
struct signal_thread {
    u64 mask;
    u64 saved_mask; /* WORK_MASK */
    u64 pending;
    u64 waiting;                /* rt_sigtimedwait: these wake it */
    struct sigshort info[NSIG]; /* of the pending ones */
    struct sigstack alt;
};

struct thread;

void signals_init(void);
void signalfds_init(void);
/* Of a signal that the program sends itself: its number and user. */
struct sigshort signal_own_info(int code);
/* A signal that waits for t and ends the program; 0: none. */
int signal_pending_fatal(struct thread *t);
_Noreturn void signal_die(int signo);
_Noreturn void signal_end(int signo); /* without a core file and without a word */
/* Sends to one thread, or to the process (t == NULL). False: it is ignored, or the thread ended. */
bool signal_send(struct thread *t, int signo, const struct sigshort *info);
/* To the process, by preference to the current thread: it is about what that does. */
bool signal_send_here(int signo, const struct sigshort *info);
/* A fault of the current thread: cannot be blocked or ignored (signal(7)). */
void signal_force(struct frame *f, int signo, int code, u64 addr, u64 trapno, u64 err);
/* The same with all that is told of it; `fatal`: whatever its action is, it ends the program. */
void signal_force_info(struct frame *f, const struct siginfo *info, bool fatal);
/*
 * SIGTTIN or SIGTTOU is pending and blocked, and Linux sent it: a call that was interrupted uses
 * the terminal from the background. Linux sends none to who blocks it: it is taken back.
 */
bool signal_stop_was_blocked(void);
/* What LULL_NR_CHILDREN says of the actions; `stops`: as if SIGTTIN and SIGTTOU were ignored. */
u64 signal_flags_for_linux(bool stops);
/* The same to a thread by number, if it is still there. */
bool signal_send_tid(i32 tid, int signo, const struct sigshort *info);
/* A signal with this code and sender waits to be taken: by the thread, or the process (0). */
bool signal_queued(i32 tid, int signo, int code, i32 pid);
bool signal_pending(struct thread *t); /* deliverable now */
/* Before returning to the application: enter handlers, default actions, restart calls. */
void signals_deliver(struct frame *f);
void signals_from_proxy(void);

/* True if the proxy has passed on signals that signals_from_proxy() has not taken. */
static inline bool signals_wait_in_ring(void)
{
    const struct lull_signals *s = (const struct lull_signals *)LULL_SIGNALS;
    return __atomic_load_n(&s->tail, __ATOMIC_ACQUIRE) !=
           __atomic_load_n(&s->head, __ATOMIC_RELAXED);
}
void signals_thread_exit(struct thread *t);
void signals_forked(struct thread *t); /* nothing is pending for a new process */
/* The current thread's mask. What it no longer takes of the process's signals, others take. */
void signal_set_mask(u64 mask);
/* A mask for the time of one call (sigsuspend, ppoll ...). If the call was interrupted it holds
   until handlers have been entered, and their frames put the old one back. */
void signal_mask_begin(u64 mask);
void signal_mask_end(bool interrupted);

/* Arguments of rt_sigaction(2); *new is filled if there is one. 0 or -errno. */
long sigaction_decode(const struct frame *f, struct sigaction *new);
long sys_rt_sigaction(struct frame *f);
long sys_rt_sigprocmask(struct frame *f);
long sys_rt_sigreturn(struct frame *f);
long sys_rt_sigpending(struct frame *f);
long sys_rt_sigtimedwait(struct frame *f);
long sys_rt_sigsuspend(struct frame *f);
long sys_sigaltstack(struct frame *f);
long sys_signalfd(struct frame *f);
long sys_signalfd4(struct frame *f);
/* read(2) and its kin of a descriptor that the proxy says is a signalfd. */
long signalfd_read(u32 nr, const u64 arg[6]);
long sys_pause(struct frame *f);
long sys_kill(struct frame *f);
long sys_tkill(struct frame *f);
long sys_tgkill(struct frame *f);
long sys_rt_sigqueueinfo(struct frame *f);
long sys_rt_tgsigqueueinfo(struct frame *f);

#endif
