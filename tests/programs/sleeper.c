/* SPDX-License-Identifier: MIT */
/*
 * sleeper [compute] [default]: says "ready", then sleeps or computes until a signal comes. A
 * handler says which and exits with 42; with "default" there is none.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void say(const char *text)
{
    if (write(1, text, strlen(text)) < 0) {
        _exit(99);
    }
}

static void handler(int sig)
{
    say(sig == SIGTERM  ? "got SIGTERM\n"
        : sig == SIGINT ? "got SIGINT\n"
        : sig == SIGHUP ? "got SIGHUP\n"
                        : "got another\n");
    _exit(42);
}

int main(int argc, char **argv)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM};
    int compute = 0, with_handler = 1;

    for (int i = 1; i < argc; i++) {
        compute |= strcmp(argv[i], "compute") == 0;
        with_handler &= strcmp(argv[i], "default") != 0;
    }
    for (size_t i = 0; with_handler && i < sizeof(signals) / sizeof(signals[0]); i++) {
        signal(signals[i], handler);
    }
    say("ready\n");
    for (volatile unsigned long i = 0;; i++) {
        if (!compute) {
            pause();
        }
    }
}
