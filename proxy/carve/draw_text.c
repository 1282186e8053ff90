/* SPDX-License-Identifier: MIT */
#include "carve/draw_text.h"

#include <stdarg.h>
#include <string.h>

#include "carve/draw.h"

void text_append(char *text, size_t size, const char *format, ...)
{
    size_t n = strlen(text);
    va_list ap;
    va_start(ap, format);
    vsnprintf(text + n, size - n, format, ap);
    va_end(ap);
}

static int next_cpu(const cpu_set_t *set, int from)
{
    while (from < CPU_SETSIZE && !CPU_ISSET(from, set))
        from++;
    return from;
}

void text_cpus(const cpu_set_t *set, char *text, size_t size)
{
    const char *comma = "";
    snprintf(text, size, "%s", CPU_COUNT(set) > 0 ? "" : "none");
    for (int c = next_cpu(set, 0), end; c < CPU_SETSIZE; c = next_cpu(set, end)) {
        int step = next_cpu(set, c + 1) - c, n = 1;
        while (c + n * step < CPU_SETSIZE && next_cpu(set, c + (n - 1) * step + 1) == c + n * step)
            n++;
        if (n == 1 || (step > 1 && n < 4))
            n = 1;
        int last = c + (n - 1) * step;
        text_append(text, size, "%s%d", comma, c);
        if (n == 2)
            text_append(text, size, "%c%d", step == 1 ? '-' : ',', last);
        else if (n > 2)
            text_append(text, size, "-%d", last);
        if (n > 2 && step > 1)
            text_append(text, size, ":%d", step);
        comma = ",";
        end = last + 1;
    }
}

void text_bytes(uint64_t bytes, char *text, size_t size)
{
    if (bytes >= 1ull << 40)
        snprintf(text, size, "%.1f TiB", (double)bytes / (double)(1ull << 40));
    else if (bytes >= 1ull << 30)
        snprintf(text, size, "%.1f GiB", (double)bytes / (double)(1ull << 30));
    else
        snprintf(text, size, "%.1f MiB", (double)bytes / (double)(1ull << 20));
}

void text_wrapped(FILE *f, const char *label, const char *text)
{
    int indent = (int)strlen(label) < 8 ? 8 : (int)strlen(label);
    fprintf(f, "%-*s", indent, label);
    for (size_t room = (size_t)(DRAW_WIDTH - indent); strlen(text) > room;) {
        size_t n = room;
        while (n > 0 && text[n - 1] != ' ' && text[n - 1] != ',')
            n--;
        if (n == 0)
            n = room;
        size_t shown = n;
        while (shown > 0 && text[shown - 1] == ' ')
            shown--;
        fprintf(f, "%.*s\n%*s", (int)shown, text, indent, "");
        text += n;
    }
    fprintf(f, "%s\n", text);
}
