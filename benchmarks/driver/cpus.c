/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/driver.h"

void cpus_last(const struct cpus *from, unsigned n, struct cpus *out)
{
    struct cpus c = {.n = 0};
    for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && c.n < n; cpu--) {
        if (CPU_ISSET(cpu, &from->set)) {
            CPU_SET(cpu, &c.set);
            c.n++;
        }
    }
    *out = c;
}

int cpus_get(const struct cpus *c, unsigned i)
{
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &c->set) && i-- == 0)
            return cpu;
    return -1;
}

static bool parse_list(const char *text, cpu_set_t *set)
{
    for (const char *p = text;; p++) {
        char *end;
        if (!isdigit((unsigned char)*p))
            return false;
        unsigned long first = strtoul(p, &end, 10), last = first;
        if (*end == '-') {
            if (!isdigit((unsigned char)end[1]))
                return false;
            last = strtoul(end + 1, &end, 10);
        }
        if (first > last || last >= CPU_SETSIZE)
            return false;
        for (unsigned long cpu = first; cpu <= last; cpu++)
            CPU_SET(cpu, set);
        if (!*end)
            return true;
        if (*end != ',')
            return false;
        p = end;
    }
}

bool cpus_parse(const char *text, const struct cpus *allowed, struct cpus *out)
{
    struct cpus c = {.n = 0};
    if (text[0] && strspn(text, "0123456789") == strlen(text)) {
        unsigned long n = strtoul(text, NULL, 10);
        if (n < 1 || n > allowed->n) {
            complain("--cpus %s: %u CPUs are allowed here; a list of one is written %s-%s", text,
                     allowed->n, text, text);
            return false;
        }
        cpus_last(allowed, (unsigned)n, out);
        return true;
    }
    if (!parse_list(text, &c.set)) {
        complain("--cpus %s: expected a number of CPUs or a list such as 0,2-3", text);
        return false;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &c.set) && !CPU_ISSET(cpu, &allowed->set)) {
            complain("--cpus %s: CPU %d is not there or not allowed", text, cpu);
            return false;
        }
    }
    c.n = (unsigned)CPU_COUNT(&c.set);
    *out = c;
    return true;
}

void cpus_format(const struct cpus *c, char *buf, size_t size)
{
    size_t len = 0;
    buf[0] = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &c->set))
            continue;
        int last = cpu;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &c->set))
            last++;
        const char *comma = len ? "," : "";
        int n = last == cpu && c->n > 1
                    ? snprintf(buf + len, size - len, "%s%d", comma, cpu)
                    : snprintf(buf + len, size - len, "%s%d-%d", comma, cpu, last);
        if (n < 0 || (size_t)n >= size - len)
            return;
        len += (size_t)n;
        cpu = last;
    }
}
