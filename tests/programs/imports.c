/* SPDX-License-Identifier: MIT */
/* Takes a function from libc whose system call is refused, and calls it only when asked to.
   Linked so that it says it needs x86-64-v2. */
#include <stdio.h>
#include <sys/ptrace.h>

int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1;
    puts("imports");
    return 0;
}
