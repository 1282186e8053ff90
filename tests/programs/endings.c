/* SPDX-License-Identifier: MIT */
/*
 * Ends as lull finds it hard to clean up after. fds: no descriptor is left, and none may be had;
 * children: many end at once; killed: many end when their parent is killed; later: a child that is
 * created after a line on standard input ends after its parent.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 24

static int no_descriptors(void)
{
    const struct rlimit few = {42, 42};
    if (setrlimit(RLIMIT_NOFILE, &few))
        return 1;
    while (dup(0) >= 0)
        ;
    usleep(50000);
    return 0;
}

static int many_children(bool killed)
{
    int go[2], n = 0;
    char c;
    if (pipe(go))
        return 1;
    for (; n < CHILDREN; n++) {
        pid_t pid = fork();
        if (pid < 0)
            break;
        if (pid == 0) {
            close(go[1]);
            _exit(read(go[0], &c, 1) != 0);
        }
    }
    close(go[0]);
    if (killed) {
        puts("ready");
        fflush(stdout);
        for (;;)
            pause();
    }
    close(go[1]); /* all of them */
    while (wait(NULL) > 0)
        ;
    return n != CHILDREN;
}

static int later(void)
{
    puts("ready");
    fflush(stdout);
    if (getchar() == EOF)
        return 1;
    pid_t pid = fork();
    if (pid == 0)
        usleep(300000);
    return pid < 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "fds") == 0)
        return no_descriptors();
    if (argc > 1 && strcmp(argv[1], "children") == 0)
        return many_children(false);
    if (argc > 1 && strcmp(argv[1], "killed") == 0)
        return many_children(true);
    if (argc > 1 && strcmp(argv[1], "later") == 0)
        return later();
    return 2;
}
