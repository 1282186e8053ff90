/* SPDX-License-Identifier: MIT */
/* What is pending when the program executes another one stays so; of real-time signals the first of
   a number. */
#include "kernel.h"
#include "signal/signal_priv.h"

static struct lull_proc *shown; /* signal_lock; NULL: nobody executes */
static const struct thread *executes;

static void show(int signo)
{
    u64 bit = sig_bit(signo);
    bool own = executes->sig.pending & bit;
    const struct sigshort *s = own ? &executes->sig.info[signo - 1] : &process_info[signo - 1];
    shown->pending_info[signo - 1].code = s->code;
    shown->pending_info[signo - 1].pid = s->pid;
    shown->pending_info[signo - 1].uid = (i32)s->uid;
    shown->pending_info[signo - 1].value = s->value;
    if (own || process_pending & bit)
        __atomic_fetch_or(&shown->pending, bit, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&shown->pending, ~bit, __ATOMIC_SEQ_CST);
}

void signals_show(struct lull_proc *p)
{
    spin_lock(&signal_lock);
    executes = current();
    __atomic_store_n(&shown, p, __ATOMIC_SEQ_CST);
    for (int s = 1; s <= NSIG; s++)
        show(s);
    spin_unlock(&signal_lock);
}

void signals_show_end(void)
{
    spin_lock(&signal_lock);
    __atomic_store_n(&shown, NULL, __ATOMIC_SEQ_CST);
    spin_unlock(&signal_lock);
    signals_from_proxy();
}

void signals_show_forked(void)
{
    shown = NULL;
}

bool signals_stay(void)
{
    return __atomic_load_n(&shown, __ATOMIC_SEQ_CST);
}

void signal_survives(const struct thread *t, int signo)
{
    if (shown && (!t || t == executes))
        show(signo);
}
