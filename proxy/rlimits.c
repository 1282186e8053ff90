/* SPDX-License-Identifier: MIT */
#include "rlimits.h"

#include <inttypes.h>
#include <linux/limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "ownfd.h"

_Static_assert(LULL_LIMITS == RLIM_NLIMITS && LULL_UNLIMITED == RLIM_INFINITY, "as Linux's");
_Static_assert(LULL_LIMIT_CPU == RLIMIT_CPU && LULL_LIMIT_FSIZE == RLIMIT_FSIZE &&
                   LULL_LIMIT_DATA == RLIMIT_DATA && LULL_LIMIT_STACK == RLIMIT_STACK &&
                   LULL_LIMIT_NPROC == RLIMIT_NPROC && LULL_LIMIT_AS == RLIMIT_AS &&
                   LULL_LIMIT_SIGPENDING == RLIMIT_SIGPENDING,
               "as Linux's");

#define STACK_OF_PROXY (8ul << 20) /* bytes, as is usual */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t file_size = RLIM_INFINITY;
static unsigned lifted;

static bool is_kept(unsigned resource)
{
    return LULL_LIMITS_KEPT >> resource & 1;
}

void limits_take(struct lull_limits *out)
{
    for (unsigned i = 0; i < LULL_LIMITS; i++) {
        struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY}, l = none;
        getrlimit((__rlimit_resource_t)i, &l);
        out->of[i].cur = l.rlim_cur;
        out->of[i].max = l.rlim_max;
        if (!is_kept(i) || i == RLIMIT_STACK)
            continue;
        l.rlim_cur = l.rlim_max;
        if (setrlimit((__rlimit_resource_t)i, &none))
            setrlimit((__rlimit_resource_t)i, &l);
    }
    struct rlimit files;
    ownfd_limit(&files);
    out->of[RLIMIT_NOFILE].cur = files.rlim_cur;
    out->of[RLIMIT_NOFILE].max = files.rlim_max;
    out->cpu_ns = 0;
}

void limits_lay_out(int argc, char **argv, bool run_word)
{
    struct lull_limits l = {.cpu_ns = 0};
    struct rlimit stack, lower;
    char path[PATH_MAX], text[64 * LULL_LIMITS];
    int before = run_word ? 2 : 1; /* words in front of the options */
    if (getrlimit(RLIMIT_STACK, &stack) || stack.rlim_cur != RLIM_INFINITY)
        return;
    for (unsigned i = 0; i < LULL_LIMITS; i++) {
        struct rlimit r = {RLIM_INFINITY, RLIM_INFINITY};
        getrlimit((__rlimit_resource_t)i, &r);
        l.of[i].cur = r.rlim_cur;
        l.of[i].max = r.rlim_max;
    }
    int n = snprintf(text, sizeof text, "--limits=");
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    char **words = calloc((size_t)argc + 2, sizeof *words);
    if (!words || len <= 0 || limits_print(text + n, sizeof text - (size_t)n, &l)) {
        free(words);
        return;
    }
    path[len] = 0;
    memcpy(words, argv, (size_t)before * sizeof *words);
    words[before] = text;
    memcpy(words + before + 1, argv + before, (size_t)(argc - before) * sizeof *words);
    lower = (struct rlimit){STACK_OF_PROXY, stack.rlim_max};
    if (setrlimit(RLIMIT_STACK, &lower) == 0)
        execv(path, words);
    setrlimit(RLIMIT_STACK, &stack);
    free(words);
}

int limits_print(char *text, size_t size, const struct lull_limits *l)
{
    size_t at = (size_t)snprintf(text, size, "%" PRIu64, l->cpu_ns);
    for (unsigned i = 0; i < LULL_LIMITS && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, ",%" PRIu64 ",%" PRIu64, l->of[i].cur,
                               l->of[i].max);
    return at < size ? 0 : -1;
}

static bool parse_number(const char **text, uint64_t *out)
{
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    *out = strtoull(*text, &end, 10);
    *text = end + (*end == ',');
    return *end == ',' || *end == '\0';
}

int limits_parse(const char *text, struct lull_limits *out)
{
    bool ok = parse_number(&text, &out->cpu_ns);
    for (unsigned i = 0; ok && i < LULL_LIMITS; i++)
        ok = parse_number(&text, &out->of[i].cur) && parse_number(&text, &out->of[i].max) &&
             out->of[i].cur <= out->of[i].max;
    return ok && *text == '\0' ? 0 : -1;
}

void limits_give(pid_t pid, const struct lull_limits *l)
{
    for (unsigned i = 0; i < LULL_LIMITS; i++) {
        struct rlimit want = {l->of[i].cur, l->of[i].max};
        if (is_kept(i))
            prlimit(pid, (__rlimit_resource_t)i, &want, NULL);
    }
    struct rlimit files;
    ownfd_limit(&files);
    prlimit(pid, RLIMIT_NOFILE, &files, NULL);
}

/* Under the lock. */
static void set_soft(uint64_t soft)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_FSIZE, &l))
        return;
    l.rlim_cur = soft < l.rlim_max ? soft : l.rlim_max;
    setrlimit(RLIMIT_FSIZE, &l);
}

void limits_file_size(uint64_t soft)
{
    pthread_mutex_lock(&lock);
    file_size = soft;
    if (!lifted)
        set_soft(soft);
    pthread_mutex_unlock(&lock);
}

void limits_forked(void)
{
    pthread_mutex_init(&lock, NULL);
    if (lifted)
        set_soft(file_size);
    lifted = 0;
}

void limits_lift(void)
{
    pthread_mutex_lock(&lock);
    if (lifted++ == 0 && file_size != RLIM_INFINITY)
        set_soft(RLIM_INFINITY);
    pthread_mutex_unlock(&lock);
}

void limits_lower(void)
{
    pthread_mutex_lock(&lock);
    if (--lifted == 0 && file_size != RLIM_INFINITY)
        set_soft(file_size);
    pthread_mutex_unlock(&lock);
}
