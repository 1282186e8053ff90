/* SPDX-License-Identifier: MIT */
/* /proc/self/io: what Linux counts of the proxy, without what the proxy has read and written for
   itself before the program began, or in place of a mapping. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "serve/call.h"
#include "serve/view.h"

static struct counter {
    const char *name;
    uint64_t own; /* atomic: of the proxy itself */
} counters[] = {{"rchar", 0},
                {"wchar", 0},
                {"syscr", 0},
                {"syscw", 0},
                {"read_bytes", 0},
                {"write_bytes", 0},
                {"cancelled_write_bytes", 0}};
#define COUNTERS (sizeof counters / sizeof *counters)

static struct counter *counter_of(const char *line, size_t n)
{
    for (size_t i = 0; i < COUNTERS; i++)
        if (n == strlen(counters[i].name) && !memcmp(line, counters[i].name, n))
            return &counters[i];
    return NULL;
}

void view_io_begin(void)
{
    char line[128];
    FILE *f = fopen("/proc/self/io", "re");
    while (f && fgets(line, sizeof line, f)) {
        unsigned long value;
        struct counter *k = counter_of(line, strcspn(line, ":"));
        if (k && sscanf(line + strlen(k->name), ": %lu", &value) == 1)
            __atomic_store_n(&k->own, value, __ATOMIC_RELAXED);
    }
    if (f)
        fclose(f);
}

void view_io_own(bool written, uint64_t bytes)
{
    __atomic_fetch_add(&counters[written].own, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counters[2 + written].own, 1, __ATOMIC_RELAXED);
}

bool view_io(int fd, struct text *out)
{
    struct text real = {0};
    bool ok = view_read(fd, &real) == 0;
    for (char *line = ok ? real.p : NULL, *end; line && (end = strchr(line, '\n'));
         line = end + 1) {
        unsigned long value;
        struct counter *k = counter_of(line, strcspn(line, ":"));
        uint64_t own = k ? __atomic_load_n(&k->own, __ATOMIC_RELAXED) : 0;
        if (k && sscanf(line + strlen(k->name), ": %lu", &value) == 1)
            text_printf(out, "%s: %lu\n", k->name, value > own ? value - own : 0);
        else
            text_add(out, line, (size_t)(end + 1 - line));
    }
    text_free(&real);
    return ok;
}
