/* SPDX-License-Identifier: MIT */
/*
 * /proc/interrupts: a line of CPU names, then per interrupt "LABEL: count count ...  text". For a
 * numbered interrupt the text is "chip  hwirq-trigger  device"; two blanks come before the device.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

#define COLUMNS_MAX 8192u
#define NOT_OURS UINT16_MAX

/* Core of the isle that each column stands for. */
struct columns {
    unsigned n;
    uint16_t core[COLUMNS_MAX];
};

static int read_header(struct columns *c, const char *line, const uint16_t *cpu, unsigned ncores)
{
    c->n = 0;
    while ((line = strstr(line, "CPU")) && c->n < COLUMNS_MAX) {
        unsigned long number = strtoul(line + 3, NULL, 10);
        c->core[c->n] = NOT_OURS;
        for (unsigned i = 0; i < ncores; i++)
            if (cpu[i] == number)
                c->core[c->n] = (uint16_t)i;
        c->n++;
        line += 3;
    }
    return c->n > 0 ? 0 : -EINVAL;
}

/* "LOC" + "   Local timer interrupts" -> "LOC Local timer interrupts" */
static void make_name(struct irq_row *row, const char *label, const char *text)
{
    const char *tail = text + strspn(text, " ");
    for (const char *p = tail; (p = strstr(p, "  "));) {
        p += strspn(p, " ");
        if (*p != '\n' && *p != '\0')
            tail = p;
    }
    int n = (int)strcspn(tail, "\n");
    snprintf(row->name, sizeof row->name, "%s%s%.*s", label, n > 0 ? " " : "", n, tail);
}

/* 1: a row with counts of ours; 0: none of interest ("ERR:" has one count for all CPUs). */
static int read_row(struct irq_row *row, char *line, const struct columns *c)
{
    char *label = line + strspn(line, " ");
    char *p = strchr(label, ':');
    bool any = false;
    if (!p)
        return 0;
    *p++ = '\0';
    if (strcmp(label, "ERR") == 0 || strcmp(label, "MIS") == 0)
        return 0;
    memset(row, 0, sizeof *row);
    for (unsigned i = 0; i < c->n; i++) {
        char *end;
        unsigned long long v = strtoull(p, &end, 10);
        if (end == p)
            return 0;
        p = end;
        if (c->core[i] == NOT_OURS)
            continue;
        row->count[c->core[i]] = v;
        any = any || v > 0;
    }
    make_name(row, label, p);
    return any;
}

int irq_snapshot_read(struct irq_snapshot *s, FILE *f, const uint16_t *cpu, unsigned ncores)
{
    struct columns *columns = malloc(sizeof *columns);
    struct irq_row *row = malloc(sizeof *row);
    char *line = NULL;
    size_t size = 0;
    int rc = -ENOMEM;
    *s = (struct irq_snapshot){0};
    if (!columns || !row)
        goto out;
    rc = -EINVAL;
    if (getline(&line, &size, f) < 0)
        goto out;
    rc = read_header(columns, line, cpu, ncores);
    while (rc == 0 && getline(&line, &size, f) >= 0) {
        if (!read_row(row, line, columns))
            continue;
        struct irq_row *more = reallocarray(s->row, s->rows + 1, sizeof *more);
        if (!more) {
            rc = -ENOMEM;
            break;
        }
        s->row = more;
        s->row[s->rows++] = *row;
    }
out:
    if (rc != 0)
        irq_snapshot_free(s);
    free(line);
    free(row);
    free(columns);
    return rc;
}

int irq_snapshot_take(struct irq_snapshot *s, const uint16_t *cpu, unsigned ncores)
{
    *s = (struct irq_snapshot){0};
    FILE *f = fopen("/proc/interrupts", "re");
    if (!f)
        return -errno;
    int rc = irq_snapshot_read(s, f, cpu, ncores);
    fclose(f);
    return rc;
}

void irq_snapshot_subtract(struct irq_snapshot *end, const struct irq_snapshot *begin,
                           unsigned ncores)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < end->rows; i++) {
        struct irq_row *row = &end->row[i];
        bool any = false;
        for (unsigned b = 0; b < begin->rows; b++)
            if (strcmp(begin->row[b].name, row->name) == 0)
                for (unsigned c = 0; c < ncores; c++)
                    row->count[c] = (uint32_t)(row->count[c] - begin->row[b].count[c]);
        for (unsigned c = 0; c < ncores; c++)
            any = any || row->count[c] > 0;
        if (any)
            end->row[kept++] = *row;
    }
    end->rows = kept;
}

void irq_snapshot_free(struct irq_snapshot *s)
{
    free(s->row);
    *s = (struct irq_snapshot){0};
}

void report_section_free(struct report_section *s)
{
    irq_snapshot_free(&s->irq);
    irq_snapshot_free(&s->softirq);
}
