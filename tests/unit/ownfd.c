/* SPDX-License-Identifier: MIT */
/* The proxy's own descriptors: above the program's, whoever hides them at the same time. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
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
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_closed),
    };
    return cmocka_run_group_tests_name("ownfd", tests, NULL, NULL);
}
