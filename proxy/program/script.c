/* SPDX-License-Identifier: MIT */
#include "program/script.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* [from, to) without blanks at either end, cut at a NUL; copied to `out`, which it fits. */
static void copy_word(char *out, const char *from, const char *to)
{
    size_t n = strnlen(from, (size_t)(to - from));
    memcpy(out, from, n);
    out[n] = '\0';
}

bool script_parse(const uint8_t *head, size_t head_len, struct script *out)
{
    char line[SCRIPT_LINE_MAX] = {0}; /* a short file reads as if zeros followed */
    memcpy(line, head, head_len < sizeof line ? head_len : sizeof line);
    *out = (struct script){0};
    if (line[0] != '#' || line[1] != '!')
        return false;

    const char *const limit = line + sizeof line - 1;
    const char *p = line + 2;
    const char *end = p;
    while (end < line + sizeof line && *end != '\n' && *end != '\0')
        end++;
    bool whole = end < line + sizeof line && *end == '\n';
    if (!whole)
        end = limit;

    while (p < end && is_blank(*p))
        p++;
    const char *name_end = p;
    while (name_end < end && !is_blank(*name_end) && *name_end != '\0')
        name_end++;
    if (name_end == p)
        return false;
    if (!whole && name_end == limit && !is_blank(*limit) && *limit != '\0')
        return false; /* cut off */

    while (end > name_end && is_blank(end[-1]))
        end--;
    const char *arg = name_end;
    while (arg < end && is_blank(*arg))
        arg++;
    copy_word(out->interpreter, p, name_end);
    out->has_arg = arg < end && *arg != '\0';
    if (out->has_arg)
        copy_word(out->arg, arg, end);
    return true;
}
