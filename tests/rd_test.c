/* tests/rd_test.c  The reader of foreign bytes: nothing beyond the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/rd.h"

static void
gets_little_endian(void **state)
{
    static const unsigned char b[] = { 1, 2, 1, 4, 3, 2, 1,   8,  7,
                                       6, 5, 4, 3, 2, 1, 'x', 'y' };
    struct rd r;

    rd_init(&r, b, sizeof b);
    assert_int_equal(rd_u8(&r), 1);
    assert_int_equal(rd_u16(&r), 0x0102);
    assert_int_equal(rd_u32(&r), 0x01020304);
    assert_true(rd_seek(&r, 7));
    assert_true(rd_u64(&r) == 0x0102030405060708u);
    assert_int_equal(rd_left(&r), 2);
    assert_memory_equal(rd_bytes(&r, 2), "xy", 2);
    assert_true(rd_ok(&r));
    assert_non_null(rd_bytes(&r, 0));
    assert_true(rd_ok(&r));
}

/* Every get, at every length that is too short by one or more. */
static void
short_data_sticks(void **state)
{
    static const size_t need[] = { 1, 2, 4, 8, 5 };
    unsigned char *b;
    size_t k, n;

    for (k = 0; k < 5; k++)
        for (n = 0; n < need[k]; n++) {
            struct rd r;

            b = malloc(n ? n : 1); /* exact size: ASan watches the end */
            memset(b, 0xFF, n ? n : 1);
            rd_init(&r, b, n);
            switch (k) {
            case 0: assert_int_equal(rd_u8(&r), 0); break;
            case 1: assert_int_equal(rd_u16(&r), 0); break;
            case 2: assert_int_equal(rd_u32(&r), 0); break;
            case 3: assert_true(rd_u64(&r) == 0); break;
            case 4: assert_null(rd_bytes(&r, 5)); break;
            }
            assert_false(rd_ok(&r));
            assert_int_equal(rd_left(&r), 0);
            assert_int_equal(rd_u8(&r), 0);
            assert_false(rd_seek(&r, 0));
            assert_false(rd_ok(&r));
            free(b);
        }
}

static void
huge_lengths_do_not_wrap(void **state)
{
    unsigned char b[4] = { 0 };
    struct rd r;

    rd_init(&r, b, 4);
    rd_u8(&r);
    assert_null(rd_bytes(&r, SIZE_MAX));
    rd_init(&r, b, 4);
    rd_u16(&r);
    assert_false(rd_skip(&r, SIZE_MAX - 1));
    rd_init(&r, b, 4);
    assert_true(rd_seek(&r, 4));
    assert_false(rd_seek(&r, 5));
}

static void
varints(void **state)
{
    static const struct {
        unsigned char b[11];
        size_t n;
        bool ok;
        uint64_t v;
    } rows[] = {
        { { 0 }, 1, true, 0 },
        { { 0x7F }, 1, true, 127 },
        { { 0x80, 1 }, 2, true, 128 },
        { { 0xAC, 2 }, 2, true, 300 },
        { { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1 },
          10,
          true,
          UINT64_MAX },
        { { 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2 },
          10,
          false,
          0 },
        { { 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0 },
          11,
          false,
          0 },
        { { 0x80 }, 1, false, 0 },
    };
    size_t i;

    for (i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rd r;

        rd_init(&r, rows[i].b, rows[i].n);
        assert_true(rd_varint(&r) == rows[i].v);
        assert_int_equal(rd_ok(&r), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(rd_left(&r), 0);
    }
}

static void
products_and_sums(void **state)
{
    uint64_t d[3] = { 3, 5, 7 }, big[3] = { INT32_MAX, INT32_MAX, 4 };
    uint64_t over[1] = { (uint64_t)INT32_MAX + 1 };
    uint64_t zero[4] = { INT32_MAX, INT32_MAX, INT32_MAX, 0 };
    size_t v = 42;

    assert_true(rd_product(d, 3, &v));
    assert_int_equal(v, 105);
    assert_true(rd_product(d, 0, &v));
    assert_int_equal(v, 1);
    v = 42;
    assert_true(rd_product(big, 2, &v));
    v = 42;
    assert_true(rd_product(big, 3, &v)); /* just fits 64 bits */
    v = 42;
    assert_false(rd_product(over, 1, &v));
    assert_false(rd_product(zero, 4, &v));
    assert_false(rd_mul(SIZE_MAX / 2, 3, &v));
    assert_false(rd_add(SIZE_MAX, 1, &v));
    assert_int_equal(v, 42);
    assert_true(rd_mul(SIZE_MAX, 1, &v));
    assert_true(rd_add(SIZE_MAX - 1, 1, &v));
    assert_true(v == SIZE_MAX);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gets_little_endian),
        cmocka_unit_test(short_data_sticks),
        cmocka_unit_test(huge_lengths_do_not_wrap),
        cmocka_unit_test(varints),
        cmocka_unit_test(products_and_sums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
