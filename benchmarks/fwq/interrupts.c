/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fwq/fwq.h"

void fwq_interrupts_take(struct fwq_interrupts *i, int which)
{
    ssize_t n;
    i->len[which] = 0;
    int fd = open("/proc/interrupts", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    while (i->len[which] < sizeof i->text[0] &&
           (n = read(fd, i->text[which] + i->len[which], sizeof i->text[0] - i->len[which])) > 0)
        i->len[which] += (size_t)n;
    if (i->len[which] == sizeof i->text[0])
        i->len[which] = 0; /* perhaps not all of it */
    close(fd);
}

int fwq_interrupts_write(const struct fwq_interrupts *i, const char *prefix)
{
    char path[PATH_MAX];
    for (int which = 0; which < 2; which++) {
        snprintf(path, sizeof path, "%s.%s", prefix, which ? "after" : "before");
        FILE *f = fopen(path, "w");
        size_t n = f ? fwrite(i->text[which], 1, i->len[which], f) : 0;
        if (!f || (fclose(f) | (n != i->len[which]))) {
            fprintf(stderr, "fwq: cannot write %s: %s\n", path, strerror(errno));
            return -1;
        }
    }
    return 0;
}
