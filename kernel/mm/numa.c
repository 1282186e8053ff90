/* SPDX-License-Identifier: MIT */
/*
 * get_mempolicy(2), set_mempolicy(2), mbind(2), move_pages(2), migrate_pages(2): what they mean is
 * decided here, in the order in which Linux's mm/mempolicy.c and mm/migrate.c look at things; the
 * proxy has Linux move the pages.
 */
#include "kernel.h"
#include "mm/mm.h"
#include "sched/thread.h"

enum { MPOL_DEFAULT, MPOL_PREFERRED, MPOL_BIND, MPOL_INTERLEAVE, MPOL_LOCAL, MPOL_PREFERRED_MANY };
#define MPOL_WEIGHTED_INTERLEAVE 6u
#define MPOL_F_STATIC_NODES 0x8000u
#define MPOL_F_RELATIVE_NODES 0x4000u
#define MPOL_F_NUMA_BALANCING 0x2000u
#define MPOL_MODE_FLAGS 0xe000u
#define MPOL_F_NODE 1u
#define MPOL_F_ADDR 2u
#define MPOL_F_MEMS_ALLOWED 4u
#define MPOL_MF_STRICT 1u
#define MPOL_MF_MOVE 2u
#define MPOL_MF_MOVE_ALL 4u

static const struct lull_numa *numa(void)
{
    return &boot_info()->numa;
}

static bool nodes_none(const struct lull_nodes *s)
{
    u64 any = 0;
    for (u32 i = 0; i < ARRAY_LEN(s->word); i++)
        any |= s->word[i];
    return !any;
}

static void node_add(struct lull_nodes *s, u32 node)
{
    s->word[node / 64] |= 1ul << (node % 64);
}

static u32 node_first(const struct lull_nodes *s)
{
    u32 i = 0;
    while (i < LULL_NODES && !lull_node_has(s, i))
        i++;
    return i;
}

static void nodes_and(struct lull_nodes *out, const struct lull_nodes *a,
                      const struct lull_nodes *b)
{
    for (u32 i = 0; i < ARRAY_LEN(out->word); i++)
        out->word[i] = a->word[i] & b->word[i];
}

/* A mask of the application's, as long as it says; bits that Linux has no room for are 0. */
static long nodes_in(struct lull_nodes *out, uaddr p, u64 maxnode)
{
    u64 n = maxnode - 1, word;
    memset(out, 0, sizeof *out);
    if (!n || !p)
        return 0;
    if (n > LULL_PAGE * 8)
        return -EINVAL;
    for (; n > numa()->max; n -= min_u64(n, 64)) {
        u64 bits = min_u64(n, 64), at = (n - 1) / 64;
        if (copy_in(&word, p + at * 8, 8))
            return -EFAULT;
        if (bits < 64)
            word &= (1ul << bits) - 1;
        if (n - bits < numa()->max && numa()->max % 64)
            word &= ~((1ul << (numa()->max % 64)) - 1);
        if (word)
            return -EINVAL;
        if (n - bits < numa()->max) {
            n = numa()->max;
            break;
        }
    }
    if (copy_in(out, p, (n + 63) / 64 * 8))
        return -EFAULT;
    if (n % 64)
        out->word[n / 64] &= (1ul << (n % 64)) - 1;
    return 0;
}

static long nodes_out(uaddr p, u64 maxnode, const struct lull_nodes *s)
{
    u64 copy = ALIGN_UP(maxnode - 1, 64) / 8, most = ALIGN_UP(numa()->ids, 64) / 8, zero = 0;
    if (copy > LULL_PAGE && copy > most)
        return -EINVAL;
    for (u64 at = most; at < copy; at += 8) {
        if (copy_out(p + at, &zero, 8))
            return -EFAULT;
    }
    return copy_out(p, s, min_u64(copy, most));
}

/* ---- policies ---- */

static long mode_check(u32 mode)
{
    u32 flags = mode & MPOL_MODE_FLAGS;
    mode &= ~MPOL_MODE_FLAGS;
    if (mode >= numa()->modes)
        return -EINVAL;
    if (flags & MPOL_F_STATIC_NODES && flags & MPOL_F_RELATIVE_NODES)
        return -EINVAL;
    return flags & MPOL_F_NUMA_BALANCING && !(numa()->balancing >> mode & 1) ? -EINVAL : 0;
}

/* The n-th allowed node for bit n, and so on round. */
static void nodes_relative(struct lull_nodes *out, const struct lull_nodes *asked)
{
    u32 list[64], count = 0;
    memset(out, 0, sizeof *out);
    for (u32 i = 0; i < LULL_NODES && count < ARRAY_LEN(list); i++) {
        if (lull_node_has(&numa()->nodes, i))
            list[count++] = i;
    }
    for (u32 i = 0; count && i < LULL_NODES; i++) {
        if (lull_node_has(asked, i))
            node_add(out, list[i % count]);
    }
}

/* *p is what get_mempolicy(2) says of it; mode MPOL_DEFAULT: none. */
static long policy_make(u32 mode, const struct lull_nodes *asked, struct lull_policy *p)
{
    u32 kind = mode & ~MPOL_MODE_FLAGS, relation = mode & (0xc000u);
    struct lull_nodes nodes;
    bool none = nodes_none(asked);
    memset(p, 0, sizeof *p);
    if (kind == MPOL_DEFAULT)
        return none ? 0 : -EINVAL;
    p->mode = mode;
    if (kind == MPOL_LOCAL || (kind == MPOL_PREFERRED && none)) {
        if (!none || relation)
            return -EINVAL;
        p->mode = MPOL_LOCAL;
        return 0;
    }
    if (none)
        return -EINVAL;
    if (relation == MPOL_F_RELATIVE_NODES)
        nodes_relative(&nodes, asked);
    else
        nodes_and(&nodes, asked, &numa()->nodes);
    if (nodes_none(&nodes))
        return -EINVAL;
    if (relation)
        p->nodes = *asked;
    else if (kind == MPOL_PREFERRED)
        node_add(&p->nodes, node_first(&nodes));
    else
        p->nodes = nodes;
    return 0;
}

static long policy_in(u32 mode, uaddr nmask, u64 maxnode, struct lull_policy *p)
{
    struct lull_nodes nodes;
    long r = mode_check(mode);
    if (r == 0)
        r = nodes_in(&nodes, nmask, maxnode);
    return r ? r : policy_make(mode, &nodes, p);
}

long sys_set_mempolicy(struct frame *f)
{
    struct lull_policy p;
    if (!numa()->modes)
        return refuse(NR_set_mempolicy);
    long r = policy_in((u32)f->rdi, f->rsi, f->rdx, &p);
    if (r)
        return r;
    if (p.mode) {
        spin_lock(&mm_lock);
        r = policy_number(&p);
        spin_unlock(&mm_lock);
        if (r < 0)
            return r;
    }
    current()->mempolicy = (u32)r;
    return 0;
}

/* The node of the page at addr, which is touched for it. */
static long node_of(u64 addr)
{
    u8 byte;
    if (copy_in(&byte, addr, 1))
        return -EFAULT;
    struct lull_pages q = {.n = 1, .page = {ALIGN_DOWN(addr, LULL_PAGE)}};
    i64 r = proxy_call(LULL_OP_NUMA, LULL_NUMA_PAGES, (u64)&q, 0);
    return r ? r : q.status[0] == -ENOENT ? -EFAULT : q.status[0];
}

/* What address or thread has; false: no such address. */
static bool policy_asked(u64 addr, u64 flags, struct lull_policy *p)
{
    u32 number = current()->mempolicy;
    memset(p, 0, sizeof *p);
    if (flags & MPOL_F_ADDR) {
        spin_lock(&mm_lock);
        const struct lull_map *m = vma_at(addr);
        number = m ? POLICY_OF(m->policy) : 0;
        spin_unlock(&mm_lock);
        if (!m)
            return false;
    }
    policy_known(number, p);
    return true;
}

static long interleaves_next(const struct lull_policy *p)
{
    u32 kind = p->mode & ~MPOL_MODE_FLAGS;
    struct lull_nodes nodes;
    if (kind != MPOL_INTERLEAVE && kind != MPOL_WEIGHTED_INTERLEAVE)
        return -EINVAL;
    if (p->mode & MPOL_F_RELATIVE_NODES)
        nodes_relative(&nodes, &p->nodes);
    else
        nodes_and(&nodes, &p->nodes, &numa()->nodes);
    return node_first(&nodes);
}

long sys_get_mempolicy(struct frame *f)
{
    u64 flags = f->r8, maxnode = f->rdx, addr = f->r10;
    struct lull_policy p = {.mode = 0};
    long value;
    if (!numa()->modes)
        return refuse(NR_get_mempolicy);
    if (f->rsi && maxnode < numa()->ids)
        return -EINVAL;
    if (flags & ~7ul)
        return -EINVAL;
    if (flags & MPOL_F_MEMS_ALLOWED) {
        if (flags & (MPOL_F_NODE | MPOL_F_ADDR))
            return -EINVAL;
        p.nodes = numa()->nodes;
        value = 0;
    } else {
        if (!(flags & MPOL_F_ADDR) && addr)
            return -EINVAL;
        if (!policy_asked(addr, flags, &p))
            return -EFAULT;
        value = p.mode;
        if (flags & MPOL_F_NODE)
            value = flags & MPOL_F_ADDR ? node_of(addr) : interleaves_next(&p);
        if (value < 0)
            return value;
    }
    i32 mode = (i32)value;
    if (f->rdi && copy_out(f->rdi, &mode, sizeof mode))
        return -EFAULT;
    return f->rsi ? nodes_out(f->rsi, maxnode, &p.nodes) : 0;
}

/* ---- ranges ---- */

/* `number` for every piece of the range. Under mm_lock, with room. */
static long range_bind(u64 start, u64 end, u32 number, u64 flags)
{
    for (u64 at = start; at < end;) {
        struct lull_map *v = vma_next(at);
        if (!v || v->start >= end)
            break;
        u64 from = max_u64(at, v->start), to = min_u64(v->end, end);
        if (number || v->policy) {
            bool window = v->flags & LULL_MAP_WINDOW;
            if (v->flags & LULL_MAP_RESERVED) /* pages that are not there are nowhere */
                window = false;
            long r = window ? policy_tell(from, to, number, flags)
                            : policy_apply(from, to, number, flags);
            if (r)
                return r;
            struct lull_map m = vma_piece(v, from, to);
            m.policy = POLICY_WORD(number, number);
            vma_change_begin();
            vma_remove(from, to);
            vma_insert(m);
            vma_change_end();
        }
        at = to;
    }
    return 0;
}

static bool any_mapped(u64 start, u64 end)
{
    const struct lull_map *v = vma_next(start);
    return v && v->start < end;
}

long sys_mbind(struct frame *f)
{
    u64 start = f->rdi, len = ALIGN_UP(f->rsi, LULL_PAGE), end = start + len, flags = f->r9;
    u32 mode = (u32)f->rdx;
    struct lull_nodes nodes;
    struct lull_policy p;
    if (!numa()->modes)
        return refuse(NR_mbind);
    long r = mode_check(mode);
    if (r == 0)
        r = nodes_in(&nodes, f->r10, f->r8);
    if (r == 0) /* EINVAL, EPERM */
        r = flags ? proxy_call(LULL_OP_NUMA, LULL_NUMA_FLAGS, flags, 0) : 0;
    if (r)
        return r;
    if (start & (LULL_PAGE - 1) || end < start)
        return -EINVAL;
    if ((mode & ~MPOL_MODE_FLAGS) == MPOL_DEFAULT)
        flags &= ~(u64)MPOL_MF_STRICT;
    if (end == start)
        return 0;
    r = policy_make(mode, &nodes, &p);
    if (r)
        return r;
    spin_lock(&mm_lock);
    if (!vma_room(64))
        r = -ENOMEM;
    else if (p.mode)
        r = policy_number(&p);
    if (r >= 0 && !(p.mode ? vma_covered(start, end, 0) : any_mapped(start, end)))
        r = -EFAULT;
    if (r >= 0)
        r = range_bind(start, end, (u32)r, flags);
    spin_unlock(&mm_lock);
    return r;
}

long sys_set_mempolicy_home_node(struct frame *f)
{
    u64 start = f->rdi, end = start + ALIGN_UP(f->rsi, LULL_PAGE), node = f->rdx;
    long r = -ENOENT;
    if (!numa()->modes)
        return refuse(NR_set_mempolicy_home_node);
    if (start & (LULL_PAGE - 1) || f->r10 || node >= LULL_NODES ||
        !lull_node_has(&numa()->nodes, (u32)node) || end < start)
        return -EINVAL;
    if (end == start)
        return 0;
    spin_lock(&mm_lock);
    for (struct lull_map *v = vma_next(start); v && v->start < end; v = vma_following(v)) {
        struct lull_policy p;
        if (!policy_known(POLICY_OF(v->policy), &p))
            continue;
        u32 kind = p.mode & ~MPOL_MODE_FLAGS;
        u64 from = max_u64(start, v->start);
        u64 arg[6] = {LULL_NUMA_HOME, from, min_u64(end, v->end) - from, node};
        if (kind != MPOL_BIND && kind != MPOL_PREFERRED_MANY)
            r = -EOPNOTSUPP;
        else if (policy_one_node() && !(v->flags & LULL_MAP_WINDOW))
            r = 0; /* Linux was not told of the policy */
        else
            r = proxy_call6(LULL_OP_NUMA, arg);
        if (r)
            break;
    }
    spin_unlock(&mm_lock);
    return r;
}

/* ---- pages ---- */

static bool own_pid(i32 pid)
{
    return !pid || pid == (i32)boot_info()->pid || thread_exists(pid);
}

/*
 * Pages of the application by address: what is not mapped is not asked for (its status is -EFAULT),
 * and memory that is closed and was never open is a page that nobody has touched.
 */
static void pages_decode(struct lull_pages *q, bool *there)
{
    spin_lock(&mm_lock);
    for (u32 i = 0; i < q->n; i++) {
        const struct lull_map *m = vma_at(q->page[i]);
        there[i] = m != NULL;
        q->page[i] = ALIGN_DOWN(q->page[i], LULL_PAGE);
        if (!m || (!m->prot && !(m->flags & (LULL_MAP_TOUCHED | LULL_MAP_WINDOW))))
            q->page[i] = 0;
    }
    spin_unlock(&mm_lock);
}

/* Entries up to the first that Linux would refuse; *stop: with what. */
static u32 pages_in(struct lull_pages *q, const struct frame *f, u64 at, u64 n, long *stop)
{
    u32 got = 0;
    while (got < n) {
        u64 i = at + got;
        if (copy_in(&q->page[got], f->rdx + i * 8, 8) ||
            (f->r10 && copy_in(&q->node[got], f->r10 + i * 4, 4))) {
            *stop = -EFAULT;
            break;
        }
        if (f->r10 && !lull_node_has(&numa()->nodes, (u32)q->node[got])) {
            *stop = lull_node_has(&numa()->host, (u32)q->node[got]) ? -EACCES : -ENODEV;
            break;
        }
        got++;
    }
    return got;
}

long sys_move_pages(struct frame *f)
{
    struct lull_pages q = {.pid = (i32)f->rdi, .flags = (u32)f->r9, .move = f->r10 != 0};
    bool own = own_pid(q.pid), there[LULL_PAGES_MAX];
    long not_moved = 0, stop = 0;
    if (!numa()->modes)
        return refuse(NR_move_pages);
    if (f->r9 & 0xffffffff & ~(u64)(MPOL_MF_MOVE | MPOL_MF_MOVE_ALL))
        return -EINVAL;
    if (own)
        q.pid = 0;
    i64 r = proxy_call(LULL_OP_NUMA, LULL_NUMA_PAGES, (u64)&q, 0); /* EPERM, ESRCH */
    for (u64 at = 0; r == 0 && stop == 0 && at < f->rsi; at += q.n) {
        u64 n = min_u64(f->rsi - at, LULL_PAGES_MAX);
        q.n = pages_in(&q, f, at, n, &stop);
        if (own)
            pages_decode(&q, there);
        r = q.n ? proxy_call(LULL_OP_NUMA, LULL_NUMA_PAGES, (u64)&q, 0) : 0;
        for (u32 i = 0; own && i < q.n; i++) {
            if (!there[i])
                q.status[i] = -EFAULT;
        }
        if (r > 0) {
            not_moved += r;
            r = 0;
        }
        if (r == 0 && copy_out(f->r8 + at * 4, q.status, q.n * 4ul))
            r = -EFAULT;
    }
    return r ? r : stop ? stop : not_moved;
}

long sys_migrate_pages(struct frame *f)
{
    struct lull_nodes set[2];
    i32 pid = (i32)f->rdi;
    if (!numa()->modes)
        return refuse(NR_migrate_pages);
    long r = nodes_in(&set[0], f->rdx, f->rsi);
    if (r == 0)
        r = nodes_in(&set[1], f->r10, f->rsi);
    if (r)
        return r;
    u64 arg[6] = {LULL_NUMA_MIGRATE, own_pid(pid) ? 0 : (u64)(u32)pid, (u64)set};
    return proxy_call6(LULL_OP_NUMA, arg);
}
