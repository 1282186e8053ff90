/* SPDX-License-Identifier: MIT */
/*
 * Memory policies: each different one once, with a number, for good: a program has few. A mapping
 * carries two numbers: the policy that mbind(2) gave it, and the one by which Linux places its
 * memory, which may also be that of the thread that mapped it. Where there is none Linux places by
 * the isle's own.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"

#define POLICIES 256u

static struct lull_policy policy[POLICIES]; /* mm_lock; entries never change */
static u32 npolicies = 1;                   /* 0: none */
static u32 first;

static bool same(const struct lull_policy *a, const struct lull_policy *b)
{
    return a->mode == b->mode && !memcmp(&a->nodes, &b->nodes, sizeof a->nodes);
}

long policy_number(const struct lull_policy *p)
{
    for (u32 i = 1; i < npolicies; i++) {
        if (same(&policy[i], p))
            return i;
    }
    if (npolicies == POLICIES)
        return -ENOMEM;
    policy[npolicies] = *p;
    return npolicies++;
}

bool policy_known(u32 number, struct lull_policy *out)
{
    if (!number || number >= POLICIES)
        return false;
    *out = policy[number];
    return true;
}

void policy_init(void)
{
    const struct lull_policy *p = &boot_info()->numa.inherited;
    if (p->mode) /* MPOL_DEFAULT is none */
        first = (u32)policy_number(p);
}

u32 policy_first(void)
{
    return first;
}

bool policy_one_node(void)
{
    u32 nodes = 0;
    for (u32 i = 0; i < LULL_NODES && nodes < 2; i++)
        nodes += lull_node_has(&boot_info()->numa.nodes, i);
    return nodes == 1;
}

long policy_apply(u64 start, u64 end, u32 number, u64 flags)
{
    return policy_one_node() ? 0 : policy_tell(start, end, number, flags);
}

long policy_tell(u64 start, u64 end, u32 number, u64 flags)
{
    static const struct lull_policy none;
    u64 arg[6] = {LULL_NUMA_BIND, start, end - start, (u64)(number ? &policy[number] : &none),
                  flags};
    return proxy_call6(LULL_OP_NUMA, arg);
}

u32 policy_placed(u64 start, u64 end)
{
    u32 mine = current() ? current()->mempolicy : 0;
    if (!mine || start == end || policy_apply(start, end, mine, 0))
        return 0; /* nothing is promised: Linux too takes other nodes when these are full */
    return POLICY_WORD(0u, mine);
}

void policy_forget(const struct lull_map *m, u64 start, u64 end)
{
    if (m->policy >> 16 && !(m->flags & LULL_MAP_WINDOW))
        policy_apply(start, end, 0, 0);
}

void policy_for_exec(void)
{
    static const struct lull_policy none;
    u32 mine = current()->mempolicy;
    if (boot_info()->numa.modes)
        proxy_call(LULL_OP_NUMA, LULL_NUMA_EXEC, (u64)(mine ? &policy[mine] : &none), 0);
}
