/* SPDX-License-Identifier: MIT */
/* Copies standard input to standard output; exits with 1 on an error, saying which. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
    static char buf[65536];
    ssize_t n;

    while ((n = read(0, buf, sizeof(buf))) > 0) {
        for (ssize_t done = 0, k; done < n; done += k) {
            k = write(1, buf + done, (size_t)(n - done));
            if (k < 0) {
                fprintf(stderr, "write: %s\n", strerror(errno));
                return 1;
            }
        }
    }
    if (n < 0) {
        fprintf(stderr, "read: %s\n", strerror(errno));
        return 1;
    }
    return 0;
}
