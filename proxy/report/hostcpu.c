/* SPDX-License-Identifier: MIT */
/* /proc/stat and /proc/schedstat: lines "cpuN number number ...", among others. proc(5) */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

#define NUMBERS_MAX 12

const char *const cpu_time_name[CPU_TIMES] = {"user", "nice",    "system", "idle",  "iowait",
                                              "irq",  "softirq", "steal",  "guest", "guest_nice"};

/* Core of the isle that the line is about, or -1; its numbers, and how many there are. */
static int read_line(const char *line, const uint16_t *cpu, unsigned ncores,
                     uint64_t number[NUMBERS_MAX], unsigned *n)
{
    char *end;
    if (strncmp(line, "cpu", 3) != 0 || line[3] < '0' || line[3] > '9')
        return -1;
    unsigned long which = strtoul(line + 3, &end, 10);
    for (*n = 0; *n < NUMBERS_MAX; ++*n) {
        const char *p = end;
        number[*n] = strtoull(p, &end, 10);
        if (end == p)
            break;
    }
    for (unsigned i = 0; i < ncores; i++)
        if (cpu[i] == which)
            return (int)i;
    return -1;
}

static void take_times(struct host_cpu *h, const uint64_t *number, unsigned n, uint64_t tick_us)
{
    for (unsigned i = 0; i < n && i < CPU_TIMES; i++)
        h->time_us[i] = number[i] * tick_us;
}

/* The three last of nine; the others are counts of the scheduler's own. */
static void take_sched(struct host_cpu *h, const uint64_t *number, unsigned n)
{
    if (n < 9)
        return;
    h->has_sched = true;
    h->run_ns = number[6];
    h->wait_ns = number[7];
    h->timeslices = number[8];
}

static int read_lines(struct host_cpu *out, FILE *f, const uint16_t *cpu, unsigned ncores,
                      uint64_t tick_us)
{
    char *line = NULL;
    size_t size = 0;
    int rc = -EINVAL;
    while (getline(&line, &size, f) >= 0) {
        uint64_t number[NUMBERS_MAX];
        unsigned n;
        int core = read_line(line, cpu, ncores, number, &n);
        if (core < 0)
            continue;
        if (tick_us)
            take_times(&out[core], number, n, tick_us);
        else
            take_sched(&out[core], number, n);
        rc = 0;
    }
    free(line);
    return rc;
}

int host_times_read(struct host_cpu *out, FILE *f, const uint16_t *cpu, unsigned ncores,
                    uint64_t tick_us)
{
    return read_lines(out, f, cpu, ncores, tick_us);
}

int host_sched_read(struct host_cpu *out, FILE *f, const uint16_t *cpu, unsigned ncores)
{
    return read_lines(out, f, cpu, ncores, 0);
}
