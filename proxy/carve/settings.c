/* SPDX-License-Identifier: MIT */
#include "carve/settings.h"

#include <stdlib.h>
#include <string.h>

static void replace(char **at, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    free(*at);
    *at = copy;
}

void settings_add(struct settings *s, const char *what, const char *before, const char *after,
                  const char *why)
{
    struct setting *row = NULL;
    for (size_t i = 0; i < s->n && !row; i++) {
        if (strcmp(s->row[i].what, what) == 0)
            row = &s->row[i];
    }
    if (!row) {
        struct setting new = {.what = strdup(what)};
        struct setting *more = new.what ? realloc(s->row, (s->n + 1) * sizeof *more) : NULL;
        if (!more) {
            free(new.what);
            return;
        }
        s->row = more;
        row = &s->row[s->n++];
        *row = new;
        replace(&row->before, before);
    }
    replace(&row->after, after);
    replace(&row->why, why);
}

void settings_free(struct settings *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free(s->row[i].what);
        free(s->row[i].before);
        free(s->row[i].after);
        free(s->row[i].why);
    }
    free(s->row);
    *s = (struct settings){0};
}
