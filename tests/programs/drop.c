/* SPDX-License-Identifier: MIT */
/* Gives up root for good, forks, and becomes another program: drop COMMAND ARGS... */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int status = -1;
    if (setgid(65534) || setuid(65534) || setuid(0) == 0)
        return 1;
    pid_t child = fork();
    if (child == 0)
        _exit(7);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) ||
        WEXITSTATUS(status) != 7)
        return 2;
    printf("user %d\n", (int)getuid());
    fflush(stdout);
    if (argc > 1)
        execvp(argv[1], argv + 1);
    return argc > 1 ? 3 : 0;
}
