/* SPDX-License-Identifier: MIT */
/*
 * Ends as lull finds it hard to clean up after. fds: no descriptor is left, and none may be had;
 * children: many end at once.
 */
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

static int many_children(void)
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
    close(go[1]); /* all of them */
    while (wait(NULL) > 0)
        ;
    return n != CHILDREN;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "fds") == 0)
        return no_descriptors();
    if (argc > 1 && strcmp(argv[1], "children") == 0)
        return many_children();
    return 2;
}
