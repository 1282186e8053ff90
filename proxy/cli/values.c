/* SPDX-License-Identifier: MIT */
/* Numbers with units. strtod(3) would let hexadecimal, "nan", signs and the locale in. */
#include "cli/options.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Decimal digits with at most one point: value = digits / scale. */
struct decimal {
    unsigned __int128 digits;
    uint64_t scale;
    bool point;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Returns what follows the number, or NULL when there is none or it is absurdly long. */
static const char *parse_decimal(const char *p, struct decimal *d)
{
    bool any = false;
    *d = (struct decimal){0, 1, false};
    for (;; p++) {
        if (*p == '.' && !d->point) {
            d->point = true;
            continue;
        }
        if (!is_digit(*p))
            break;
        any = true;
        if (d->digits >> 80 || d->scale >= 1000000000000ull)
            return NULL;
        d->digits = d->digits * 10 + (unsigned)(*p - '0');
        if (d->point)
            d->scale *= 10;
    }
    return any ? p : NULL;
}

/* Exponent of two of a unit, or -1. */
static int size_unit(const char *unit)
{
    static const char letters[] = "kmgt";
    if (*unit == '\0')
        return 0;
    const char *l = strchr(letters, tolower((unsigned char)*unit));
    if (!l || *l == '\0')
        return -1;
    if (unit[1] != '\0' && strcasecmp(unit + 1, "b") != 0 && strcasecmp(unit + 1, "ib") != 0)
        return -1;
    return 10 * (int)(l - letters + 1);
}

int options_parse_size(const char *text, uint64_t *bytes)
{
    struct decimal d;
    const char *unit = parse_decimal(text, &d);
    if (!unit)
        return -1;
    int shift = size_unit(unit);
    if (shift < 0 || (shift == 0 && d.point))
        return -1;
    unsigned __int128 v = (d.digits << shift) / d.scale;
    if (v > UINT64_MAX)
        return -1;
    *bytes = (uint64_t)v;
    return 0;
}

int options_parse_duration(const char *text, double *seconds)
{
    struct decimal d;
    const char *unit = parse_decimal(text, &d);
    if (!unit)
        return -1;
    double each = 1;
    if (*unit != '\0') {
        if (unit[1] != '\0')
            return -1;
        switch (*unit) {
        case 's':
            break;
        case 'm':
            each = 60;
            break;
        case 'h':
            each = 3600;
            break;
        case 'd':
            each = 86400;
            break;
        default:
            return -1;
        }
    }
    double v = (double)d.digits / (double)d.scale * each;
    if (v > OPTIONS_TIMEOUT_MAX)
        return -1;
    *seconds = v;
    return 0;
}

/* A number below 65536 without sign or space. Returns what follows it, or NULL. */
static const char *parse_u16(const char *p, unsigned *v)
{
    if (!is_digit(*p))
        return NULL;
    for (*v = 0; is_digit(*p); p++) {
        *v = *v * 10 + (unsigned)(*p - '0');
        if (*v > UINT16_MAX)
            return NULL;
    }
    return p;
}

static int add_range(struct cpu_request *out, unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to; c++) {
        for (unsigned i = 0; i < out->n; i++)
            if (out->cpu[i] == c)
                return -1;
        if (out->n == LULL_MAX_CORES)
            return -1;
        out->cpu[out->n++] = (uint16_t)c;
    }
    return 0;
}

int options_parse_cpus(const char *text, struct cpu_request *out)
{
    const char *p = text;
    *out = (struct cpu_request){.list = strpbrk(text, ",-") != NULL};
    if (!out->list) {
        p = parse_u16(p, &out->n);
        return p && *p == '\0' && out->n > 0 ? 0 : -1;
    }
    do {
        unsigned from, to;
        p = parse_u16(p, &from);
        if (!p)
            return -1;
        to = from;
        if (*p == '-') {
            p = parse_u16(p + 1, &to);
            if (!p || to < from)
                return -1;
        }
        if (add_range(out, from, to) != 0)
            return -1;
        if (*p != ',' && *p != '\0')
            return -1;
    } while (*p == ',' && *++p != '\0');
    return 0;
}

int options_parse_nodes(const char *text, struct node_request *out)
{
    struct cpu_request r; /* lists look alike */
    *out = (struct node_request){0};
    if (options_parse_cpus(text, &r) != 0)
        return -1;
    if (!r.list) {
        out->max = r.n;
        return 0;
    }
    for (unsigned i = 0; i < r.n; i++) {
        if (r.cpu[i] >= OPTIONS_MAX_NODE)
            return -1;
        out->list[r.cpu[i] / 64] |= 1ull << r.cpu[i] % 64;
    }
    return 0;
}
