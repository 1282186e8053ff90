/* SPDX-License-Identifier: MIT */
/* The proxy's own descriptors: above the program's, whoever hides them at the same time. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ownfd.h"
#include "unit.h"

#define THREADS 4
#define ROUNDS 500

static void *hide_many(void *arg)
{
    long low = 0;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        fd = ownfd_hide(fd);
        low += fd < ownfd_low();
        close(fd);
    }
    return (void *)low;
}

/* In a process of its own, whose hard limit is this and cannot be raised. */
static void told_of(rlim_t hard, rlim_t soft, rlim_t *hard_told, rlim_t *soft_told)
{
    int p[2];
    struct rlimit l = {soft, hard};
    assert_int_equal(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setrlimit(RLIMIT_NOFILE, &l);
        if (setresuid(65534, 65534, 65534))
            _exit(1);
        ownfd_limit(&l);
        int fd = ownfd_copy(p[0]);
        if (fd < ownfd_low() || fd >= ownfd_end())
            _exit(2);
        _exit(write(p[1], &l, sizeof l) != sizeof l);
    }
    int st = 0;
    waitpid(pid, &st, 0);
    assert_int_equal(st, 0);
    assert_int_equal(read(p[0], &l, sizeof l), sizeof l);
    *hard_told = l.rlim_max;
    *soft_told = l.rlim_cur;
    close(p[0]);
    close(p[1]);
}

static void test_told(void **state)
{
    (void)state;
    rlim_t hard, soft;
    if (geteuid())
        skip();
    told_of(400, 400, &hard, &soft);
    assert_int_equal(hard, 300);
    assert_int_equal(soft, 300);
    told_of(1024, 100, &hard, &soft);
    assert_int_equal(hard, 768);
    assert_int_equal(soft, 100);
    told_of(10000, 10000, &hard, &soft); /* a hole, not a lower limit */
    assert_int_equal(hard, 10000);
    assert_int_equal(soft, 10000);
}

static void test_threads(void **state)
{
    (void)state;
    struct rlimit l = {0}, after = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
    if (l.rlim_max > 1024 + 512) {
        l.rlim_cur = 1024;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &l), 0);
    }
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hide_many, NULL), 0);
    for (int i = 0; i < THREADS; i++) {
        void *low = NULL;
        assert_int_equal(pthread_join(t[i], &low), 0);
        assert_int_equal((long)low, 0);
    }
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_int_equal(after.rlim_cur, l.rlim_cur);
}

static void test_closed(void **state)
{
    (void)state;
    assert_int_equal(ownfd_copy(-1), -1);
    int fd = ownfd_copy(0);
    assert_true(fd >= ownfd_low());
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_closed),
    };
    return cmocka_run_group_tests_name("ownfd", tests, NULL, NULL);
}
