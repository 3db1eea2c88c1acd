/* tests/philox_test.c  Known answers of Random123 (kat_vectors of its
 * distribution, philox4x32 10) and the draw made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/philox.h"

static void
known_answers(void **state)
{
    static const struct {
        uint32_t ctr[4], key[2], out[4];
    } kat[] = {
        { { 0, 0, 0, 0 },
          { 0, 0 },
          { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          { 0xffffffff, 0xffffffff },
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          { 0xa4093822, 0x299f31d0 },
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };

    for (size_t i = 0; i < sizeof kat / sizeof kat[0]; i++) {
        uint32_t out[4];

        philox4x32(kat[i].ctr, kat[i].key, out);
        for (int j = 0; j < 4; j++)
            assert_int_equal(out[j], kat[i].out[j]);
    }
}

static void
draw_uses_key_and_counter(void **state)
{
    /* The third vector: seed = key, low word first; { i, run, br, stream }
     * takes only streams 0..2, so the all-zero vector serves for the value. */
    uint64_t bits = ((uint64_t)0xe169c58d << 32 | 0x6627e8d5) >> 11;

    assert_true(philox_draw(0, 0, 0, 0, PHILOX_TOKEN) ==
                (double)bits / 9007199254740992.0);
}

static void
every_member_of_the_counter_counts(void **state)
{
    double base = philox_draw(7, 1, 2, 3, PHILOX_TOKEN);

    assert_true(base == philox_draw(7, 1, 2, 3, PHILOX_TOKEN));
    assert_true(base != philox_draw(8, 1, 2, 3, PHILOX_TOKEN));
    assert_true(base != philox_draw(7 + (1ull << 32), 1, 2, 3, PHILOX_TOKEN));
    assert_true(base != philox_draw(7, 2, 2, 3, PHILOX_TOKEN));
    assert_true(base != philox_draw(7, 1, 3, 3, PHILOX_TOKEN));
    assert_true(base != philox_draw(7, 1, 2, 4, PHILOX_TOKEN));
    assert_true(base != philox_draw(7, 1, 2, 3, PHILOX_XTC));
}

static void
draw_is_uniform(void **state)
{
    enum { BINS = 16, N = 160000 };
    int count[BINS] = { 0 };
    double chi2 = 0;

    for (uint32_t i = 0; i < N; i++) {
        double u = philox_draw(20240601, i, 1, 0, PHILOX_TOKEN);

        assert_true(u >= 0 && u < 1);
        count[(int)(u * BINS)]++;
    }
    for (int b = 0; b < BINS; b++) {
        double d = count[b] - (double)N / BINS;

        chi2 += d * d / ((double)N / BINS);
    }
    /* 15 degrees of freedom: 44.3 is exceeded once in ten thousand. */
    assert_true(chi2 < 44.3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(draw_uses_key_and_counter),
        cmocka_unit_test(every_member_of_the_counter_counts),
        cmocka_unit_test(draw_is_uniform),
    };

    return cmocka_run_group_tests_name("philox", tests, NULL, NULL);
}
