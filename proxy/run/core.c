/* SPDX-License-Identifier: MIT */
/*
 * How a process ends by its program's signal. Linux then writes a core file where it would natively
 * (core(5)), and says so to who waits. The file holds the program's memory, which lies at the
 * program's addresses here too; its registers are those of a thread of the proxy.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <lull/maps.h>

#include "isle/isle_priv.h"
#include "run/run_priv.h"
#include "serve/view.h"

static atomic_bool memory_kept;

bool run_leaves_core(int signo)
{
    static const int core[] = {SIGQUIT, SIGILL,  SIGTRAP, SIGABRT, SIGBUS,
                               SIGFPE,  SIGSEGV, SIGXCPU, SIGXFSZ, SIGSYS};
    struct rlimit limit;
    bool may =
        getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_cur > 0 && prctl(PR_GET_DUMPABLE) == 1;
    for (unsigned i = 0; may && i < sizeof core / sizeof *core; i++) {
        if (core[i] == signo)
            return true;
    }
    return false;
}

void run_keep_memory(void)
{
    atomic_store(&memory_kept, true);
}

/* What a core file holds natively: memory, apart from that of files which nobody has written to. */
static bool is_dumped(const struct lull_map *m)
{
    if (m->flags & (LULL_MAP_HOLD | LULL_MAP_BEYOND | LULL_MAP_STUBS | LULL_MAP_WINDOW |
                    LULL_MAP_DONTDUMP | LULL_MAP_GUARD))
        return false;
    return m->file ? m->prot & LULL_PROT_WRITE : m->prot || m->flags & LULL_MAP_TOUCHED;
}

/* Of the isle's memory only the program's, as the kernel's table says: it is not believed further.
 */
static void choose_memory(void)
{
    const struct lull_maps *maps = (const struct lull_maps *)LULL_KTABLES;
    uint32_t n = __atomic_load_n(&maps->count, __ATOMIC_RELAXED);
    madvise((void *)LULL_LOW_BASE, LULL_LOW_END - LULL_LOW_BASE, MADV_DONTDUMP);
    madvise((void *)LULL_RAM_BASE, LULL_RAM_MAX - LULL_RAM_BASE, MADV_DONTDUMP);
    madvise((void *)LULL_KERN_BASE, LULL_KERN_SIZE, MADV_DONTDUMP);
    for (uint32_t i = 0; i < n && n <= LULL_MAPS_MAX; i++) {
        struct lull_map m = maps->map[i];
        bool low = m.start >= LULL_LOW_BASE && m.end <= LULL_LOW_END;
        bool ram = m.start >= LULL_RAM_BASE && m.end <= LULL_RAM_MAX;
        if (m.end > m.start && (low || ram) && is_dumped(&m))
            madvise((void *)m.start, m.end - m.start, MADV_DODUMP);
    }
}

static void raise_fault(void)
{
    volatile char *volatile nowhere = (volatile char *)8;
    *nowhere = 0;
}

void run_die_by(int signo)
{
    struct rlimit none = {0, 0};
    sigset_t set;
    if (atomic_load(&memory_kept) && run_leaves_core(signo)) {
        choose_memory();
    } else {
        setrlimit(RLIMIT_CORE, &none);
        prctl(PR_SET_DUMPABLE, 0);
    }
    signal(signo, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, signo);
    raise(signo);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
    /* the first process of a namespace dies of a fault alone */
    if (signo == SIGSEGV)
        raise_fault();
}
