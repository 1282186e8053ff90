/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

char *report_file_name(const char *pattern, unsigned rank, int pid)
{
    char *name = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&name, &len);
    if (!f)
        return NULL;
    for (const char *p = pattern; *p; p++) {
        if (p[0] == '%' && p[1] == 'r')
            fprintf(f, "%u", rank);
        else if (p[0] == '%' && p[1] == 'p')
            fprintf(f, "%d", pid);
        else
            fputc(*p, f);
        if (p[0] == '%' && p[1] && strchr("rp%", p[1]))
            p++;
    }
    if (fclose(f)) {
        free(name);
        return NULL;
    }
    return name;
}
