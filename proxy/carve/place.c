/* SPDX-License-Identifier: MIT */
/* Where on a machine a number of CPUs lies best: node or nodes, then caches, then cores. */
#include <string.h>

#include "carve/cores.h"

unsigned pool_sum(const struct pool *p, unsigned first, unsigned last)
{
    unsigned n = 0;
    for (unsigned i = first; i < last; i++)
        n += p->n[i];
    return n;
}

/* End of the group of `level` that begins at `first`, within a group that ends at `last`. */
static unsigned group_end(const struct cores *c, int level, unsigned first, unsigned last)
{
    unsigned i = first + 1;
    while (i < last && c->unit[i].key[level] == c->unit[first].key[level])
        i++;
    return i;
}

/* How many levels further in `want` still fit into one group. */
static int fit_depth(const struct cores *c, const struct pool *p, int level, unsigned first,
                     unsigned last, unsigned want)
{
    int best = level;
    if (level == LEVELS)
        return best;
    for (unsigned i = first, end; i < last; i = end) {
        end = group_end(c, level, i, last);
        if (pool_sum(p, i, end) < want)
            continue;
        int depth = fit_depth(c, p, level + 1, i, end, want);
        if (depth > best)
            best = depth;
    }
    return best;
}

struct range {
    unsigned first, last;
};

/* The group to go into: fits tightest further in, then smallest, then last. False: none fits. */
static bool best_group(const struct cores *c, const struct pool *p, int level, struct range in,
                       unsigned want, struct range *out)
{
    int best_depth = -1;
    unsigned best_size = 0;
    for (unsigned i = in.first, end; i < in.last; i = end) {
        end = group_end(c, level, i, in.last);
        unsigned size = pool_sum(p, i, end);
        if (size < want)
            continue;
        int depth = fit_depth(c, p, level + 1, i, end, want);
        if (depth > best_depth || (depth == best_depth && size <= best_size)) {
            best_depth = depth;
            best_size = size;
            *out = (struct range){i, end};
        }
    }
    return best_depth >= 0;
}

static struct range largest_group(const struct cores *c, const struct pool *p, int level,
                                  struct range in)
{
    struct range best = {in.first, in.first};
    unsigned best_size = 0;
    for (unsigned i = in.first, end; i < in.last; i = end) {
        end = group_end(c, level, i, in.last);
        unsigned size = pool_sum(p, i, end);
        if (size >= best_size) {
            best_size = size;
            best = (struct range){i, end};
        }
    }
    return best;
}

/* Of a core that is taken in part the rest is nobody's. */
static unsigned move(struct pool *from, struct pool *to, unsigned i, unsigned want)
{
    unsigned n = from->n[i] < want ? from->n[i] : want;
    to->n[i] = (uint8_t)(to->n[i] + n);
    from->n[i] = n > 0 ? 0 : from->n[i];
    return n;
}

/* `want` out of a range that has them. */
static void take(const struct cores *c, struct pool *from, struct range in, unsigned want,
                 struct pool *chosen)
{
    int level = 0;
    while (want > 0 && level < LEVELS) {
        if (best_group(c, from, level, in, want, &in)) {
            level++;
            continue;
        }
        /* No group is large enough: all of the largest, and the rest nearby. */
        struct range all = largest_group(c, from, level, in);
        for (unsigned i = all.first; i < all.last; i++)
            want -= move(from, chosen, i, want);
    }
    for (unsigned i = in.last; i-- > in.first && want > 0;)
        want -= move(from, chosen, i, want);
}

static unsigned domain_free(const struct cores *c, const struct pool *p, unsigned d)
{
    return pool_sum(p, c->domain[d].first, c->domain[d].last);
}

static int domain_package(const struct cores *c, unsigned d)
{
    return c->unit[c->domain[d].first].key[0];
}

static unsigned package_free(const struct cores *c, const struct pool *p, int package)
{
    unsigned n = 0;
    for (unsigned d = 0; d < c->ndomains; d++)
        if (domain_package(c, d) == package)
            n += domain_free(c, p, d);
    return n;
}

static bool usable(const struct cores *c, unsigned d, unsigned kind)
{
    return c->domain[d].listed && c->domain[d].kind == kind;
}

/* The domain for all of it: memory near, fits tightest, then smallest, in the smallest package,
 * last. */
static int best_domain(const struct cores *c, const struct pool *p, unsigned kind, unsigned want)
{
    int best = -1, best_depth = -1;
    uint64_t best_cost = UINT64_MAX;
    unsigned best_size = 0, best_package = 0;
    for (unsigned d = 0; d < c->ndomains; d++) {
        unsigned size = domain_free(c, p, d);
        uint64_t cost = c->domain[d].cost;
        if (!usable(c, d, kind) || size < want || cost > best_cost)
            continue;
        int depth = fit_depth(c, p, 0, c->domain[d].first, c->domain[d].last, want);
        unsigned package = package_free(c, p, domain_package(c, d));
        bool even = cost == best_cost;
        if (even && (depth < best_depth || (depth == best_depth && size > best_size) ||
                     (depth == best_depth && size == best_size && package > best_package)))
            continue;
        best = (int)d;
        best_cost = cost;
        best_depth = depth;
        best_size = size;
        best_package = package;
    }
    return best;
}

struct nodes {
    unsigned n, domain[UNITS];
    bool has[UNITS];
};

static void add_domain(struct nodes *s, unsigned d)
{
    s->domain[s->n++] = d;
    s->has[d] = true;
}

/* The domain that lies best beside those of *s: near the first, then large, then late. -1: none. */
static int next_domain(const struct cores *c, const struct pool *p, unsigned kind,
                       const struct nodes *s, bool by_size)
{
    int best = -1;
    uint64_t best_far = 0;
    unsigned best_size = 0;
    for (unsigned d = 0; d < c->ndomains; d++) {
        unsigned size = domain_free(c, p, d);
        if (!usable(c, d, kind) || s->has[d] || size == 0)
            continue;
        uint64_t far = by_size ? 0 : c->far[s->domain[0] * c->ndomains + d];
        if (best >= 0 && (far > best_far || (far == best_far && size < best_size)))
            continue;
        best = (int)d;
        best_far = far;
        best_size = size;
    }
    return best;
}

static unsigned packages_of(const struct cores *c, const struct nodes *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n; i++) {
        unsigned j = 0;
        while (domain_package(c, s->domain[j]) != domain_package(c, s->domain[i]))
            j++;
        n += j == i;
    }
    return n;
}

/* Nodes around `seed` (-1: the largest ones), until `want` fit. False: not within `max` nodes. */
static bool gather(const struct cores *c, const struct pool *p, unsigned kind, unsigned want,
                   unsigned max, int seed, struct nodes *s)
{
    unsigned sum = 0;
    int d = seed;
    s->n = 0;
    memset(s->has, 0, c->ndomains * sizeof s->has[0]);
    while (s->n < max) {
        if (d < 0 || s->n > 0)
            d = next_domain(c, p, kind, s, seed < 0);
        if (d < 0)
            return false;
        add_domain(s, (unsigned)d);
        sum += domain_free(c, p, (unsigned)d);
        if (sum >= want)
            return true;
    }
    return false;
}

struct rating {
    uint64_t nodes, packages, cost, apart;
};

static struct rating rate(const struct cores *c, const struct nodes *s)
{
    struct rating r = {.nodes = s->n, .packages = packages_of(c, s)};
    for (unsigned i = 0; i < s->n; i++) {
        r.cost += c->domain[s->domain[i]].cost;
        for (unsigned k = 0; k < i; k++)
            r.apart += c->far[s->domain[i] * c->ndomains + s->domain[k]];
    }
    return r;
}

static bool worse(const struct rating *a, const struct rating *b)
{
    if (a->nodes != b->nodes)
        return a->nodes > b->nodes;
    if (a->cost != b->cost)
        return a->cost > b->cost;
    if (a->packages != b->packages)
        return a->packages > b->packages;
    return a->apart > b->apart;
}

/* As few nodes as will do, memory near, then as few packages, near each other; the last such ones.
 */
static bool best_nodes(const struct cores *c, const struct pool *p, unsigned kind, unsigned want,
                       unsigned max, struct nodes *best)
{
    struct nodes s;
    struct rating rating = {0}, r;
    best->n = 0;
    for (unsigned d = 0; d < c->ndomains; d++) {
        if (!usable(c, d, kind) || domain_free(c, p, d) == 0 ||
            !gather(c, p, kind, want, max, (int)d, &s))
            continue;
        r = rate(c, &s);
        if (best->n > 0 && worse(&r, &rating))
            continue;
        *best = s;
        rating = r;
    }
    return best->n > 0 || gather(c, p, kind, want, max, -1, best);
}

static bool choose_kind(const struct cores *c, struct pool *from, unsigned want, unsigned max,
                        unsigned kind, struct pool *chosen)
{
    struct nodes s;
    int d = best_domain(c, from, kind, want);
    if (d >= 0) {
        take(c, from, (struct range){c->domain[d].first, c->domain[d].last}, want, chosen);
        return true;
    }
    if (max < 2 || !best_nodes(c, from, kind, want, max, &s))
        return false;
    for (unsigned i = 0; i < s.n; i++) {
        const struct domain *in = &c->domain[s.domain[i]];
        unsigned n = domain_free(c, from, s.domain[i]);
        n = n < want ? n : want;
        take(c, from, (struct range){in->first, in->last}, n, chosen);
        want -= n;
    }
    return true;
}

bool place_choose(const struct cores *c, struct pool *from, unsigned want, unsigned max_nodes,
                  int kind, struct pool *chosen)
{
    memset(chosen->n, 0, c->nunits);
    for (unsigned k = 0; k <= c->nkinds; k++)
        if ((kind < 0 || (unsigned)kind == k) && choose_kind(c, from, want, max_nodes, k, chosen))
            return true;
    return false;
}
