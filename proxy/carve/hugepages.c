/* SPDX-License-Identifier: MIT */
/* --hugetlb: pages of 2 MiB for the pools of the isle's nodes, on record, and returned. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "carve/hold_priv.h"
#include "message.h"

#define PAGE_BYTES (2ull << 20)
#define POOL "/sys/devices/system/node/node%u/hugepages/hugepages-2048kB/"
static const char row[] = "huge pages asked for (--hugetlb)";

static uint64_t free_pages(const struct hold *h, unsigned node)
{
    char path[160], text[64] = "";
    unsigned long long n = 0;
    snprintf(path, sizeof path, POOL "free_hugepages", node);
    if (host_read(h->root, path, text, sizeof text) < 0 || sscanf(text, "%llu", &n) != 1)
        return 0;
    return n;
}

static int want(struct hold *h, unsigned node, uint64_t pages)
{
    char path[160], text[32];
    snprintf(path, sizeof path, POOL "nr_hugepages", node);
    snprintf(text, sizeof text, "%" PRIu64, pages);
    return journal_want(h->journal, JOURNAL_ADD, path, text);
}

void hold_hugepages(struct hold *h, const struct lull_nodes *nodes, uint64_t bytes)
{
    uint64_t pages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES, left = pages, there = 0;
    unsigned count = 0;
    int err = h->journal ? 0 : h->journal_err ? h->journal_err : -ENOENT;
    for (unsigned i = 0; i < LULL_NODES; i++)
        count += (unsigned)lull_node_has(nodes, i);
    for (unsigned i = 0; err == 0 && i < LULL_NODES; i++) {
        if (!lull_node_has(nodes, i))
            continue;
        uint64_t mine = left / count--, has = free_pages(h, i);
        left -= mine;
        if (mine > has)
            err = want(h, i, mine - has);
    }
    if (err == 0)
        hold_watched(h);
    if (err == 0)
        err = journal_apply(h->journal, h->settings);
    for (unsigned i = 0; i < LULL_NODES; i++) {
        if (lull_node_has(nodes, i))
            there += free_pages(h, i);
    }
    if (err)
        settings_add(h->settings, row, NULL, NULL, strerror(-err));
    if (there < pages)
        message("--hugetlb: %" PRIu64 " MiB of huge pages are asked for, %" PRIu64
                " MiB are there%s%s; ordinary memory for the rest",
                pages * 2, there * 2, err ? ": " : "", err ? strerror(-err) : "");
}
