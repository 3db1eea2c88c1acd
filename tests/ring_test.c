/* tests/ring_test.c  The ring keeps order, is full at its size, and loses
 * nothing between two threads. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/ring.h"

enum { MANY = 200000 };

static void
keeps_order_and_knows_its_size(void **state)
{
    static struct ring r;
    int v[RING_SLOTS + 1];

    for (int round = 0; round < 3; round++) {
        assert_null(ring_take(&r));
        for (int i = 0; i < RING_SLOTS; i++)
            assert_true(ring_put(&r, &v[i]));
        assert_false(ring_put(&r, &v[RING_SLOTS]));
        assert_ptr_equal(ring_take(&r), &v[0]);
        assert_true(ring_put(&r, &v[RING_SLOTS]));
        for (int i = 1; i <= RING_SLOTS; i++)
            assert_ptr_equal(ring_take(&r), &v[i]);
    }
    assert_null(ring_take(&r));
}

static void *
write_many(void *ud)
{
    struct ring *r = ud;

    for (uintptr_t i = 1; i <= MANY; i++)
        while (!ring_put(r, (void *)i))
            sched_yield();
    return NULL;
}

static void
two_threads_lose_nothing(void **state)
{
    static struct ring r;
    pthread_t writer;

    assert_int_equal(pthread_create(&writer, NULL, write_many, &r), 0);
    for (uintptr_t want = 1; want <= MANY;) {
        void *p = ring_take(&r);

        if (!p) {
            sched_yield();
            continue;
        }
        assert_int_equal((uintptr_t)p, want);
        want++;
    }
    pthread_join(writer, NULL);
    assert_null(ring_take(&r));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_order_and_knows_its_size),
        cmocka_unit_test(two_threads_lose_nothing),
    };

    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
