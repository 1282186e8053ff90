/* SPDX-License-Identifier: MIT */
/* diff --list | diff CASE: runs one case of the suite, in the current directory. */
#include "diff.h"

#include <sys/mman.h>
#include <sys/stat.h>

extern const struct diff_case __start_diff_cases[], __stop_diff_cases[];

void show_result(const char *text, long value)
{
    if (value == -1 && errno)
        printf("%s = %s\n", text, strerrorname_np(errno));
    else
        printf("%s = %ld\n", text, value);
}

long show_ok(const char *text, long value)
{
    if (value == -1 && errno)
        printf("%s = %s\n", text, strerrorname_np(errno));
    else
        printf("%s ok\n", text);
    return value;
}

void show_bytes(const char *text, const void *p, size_t n)
{
    const unsigned char *b = p;

    printf("%s:", text);
    for (size_t i = 0; i < n; i++)
        printf(" %02x", b[i]);
    printf("\n");
}

char *page_with(int prot)
{
    char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || mprotect(p, PAGE, prot)) {
        perror("mmap");
        exit(99);
    }
    return p;
}

char *pages_before_hole(size_t n)
{
    char *p =
        mmap(NULL, (n + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED || munmap(p + n * PAGE, PAGE)) {
        perror("mmap");
        exit(99);
    }
    return p;
}

int file_with(const char *name, const char *content)
{
    int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

    if (fd < 0 || write(fd, content, strlen(content)) != (ssize_t)strlen(content) ||
        lseek(fd, 0, SEEK_SET) != 0) {
        perror(name);
        exit(99);
    }
    return fd;
}

void namespace_of(const char *name, char out[64])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/ns/%s", name);
    memset(out, 0, 64);
    if (readlink(path, out, 63) < 0)
        strcpy(out, strerrorname_np(errno));
}

void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    while (nanosleep(&t, &t) == -1 && errno == EINTR) {
    }
}

long long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static struct {
    pthread_t thread, target;
    long ms;
    volatile int stop, handled;
} poke;

static void on_poke(int signo)
{
    (void)signo;
    poke.handled = 1;
}

static void *poke_thread(void *arg)
{
    while (!poke.stop) {
        sleep_ms(poke.ms);
        if (!poke.stop)
            pthread_kill(poke.target, SIGUSR1);
    }
    return arg;
}

void poke_begin(long ms, int flags)
{
    struct sigaction act = {.sa_handler = on_poke, .sa_flags = flags};

    sigaction(SIGUSR1, &act, NULL);
    poke.target = pthread_self();
    poke.ms = ms;
    poke.stop = poke.handled = 0;
    if (pthread_create(&poke.thread, NULL, poke_thread, NULL)) {
        perror("pthread_create");
        exit(99);
    }
}

int poke_end(void)
{
    int err = errno;

    poke.stop = 1;
    pthread_join(poke.thread, NULL);
    errno = err;
    return poke.handled;
}

int main(int argc, char **argv)
{
    const struct diff_case *c = __start_diff_cases;

    setvbuf(stdout, NULL, _IOLBF, 0); /* what a case that dies has seen must come out */
    if (argc != 2) {
        fprintf(stderr, "usage: %s --list | CASE\n", argv[0]);
        return 98;
    }
    if (strcmp(argv[1], "--list") == 0) {
        for (; c < __stop_diff_cases; c++)
            puts(c->name);
        efault_list();
        return 0;
    }
    for (; c < __stop_diff_cases; c++)
        if (strcmp(c->name, argv[1]) == 0) {
            umask(022);
            c->run();
            return 0;
        }
    if (efault_run(argv[1]))
        return 0;
    fprintf(stderr, "%s: no such case\n", argv[1]);
    return 98;
}
