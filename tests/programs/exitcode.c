/* SPDX-License-Identifier: MIT */
/* exitcode N: exits with N, as given: Linux keeps the low eight bits. */
#include <stdlib.h>

int main(int argc, char **argv)
{
    return argc > 1 ? atoi(argv[1]) : 0;
}
