/* tests/fmath_test.c  e^x and ln x against correctly rounded values (made with
 * 300 bits by mpmath 1.3), at their borders, and bit for bit: the checksum of
 * a sweep is the same on every machine and from every compiler. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "engine/base/crc32c.h"
#include "engine/base/fmath.h"

struct pair {
    double x, y;
};

static const struct pair exps[] = {
    { 0x0.0p+0, 0x1.0000000000000p+0 },
    { 0x1.0000000000000p+0, 0x1.5bf0a8b145769p+1 },
    { -0x1.0000000000000p+0, 0x1.78b56362cef38p-2 },
    { 0x1.0000000000000p-1, 0x1.a61298e1e069cp+0 },
    { -0x1.0000000000000p-1, 0x1.368b2fc6f960ap-1 },
    { 0x1.56e1fc2f8f359p-997, 0x1.0000000000000p+0 },
    { -0x1.b7cdfd9d7bdbbp-34, 0x1.ffffffff24190p-1 },
    { 0x1.4f8b588e368f1p-17, 0x1.0000a7c5e340ep+0 },
    { 0x1.62e42fead449cp-2, 0x1.6a09e66640654p+0 },
    { 0x1.62e43096a0c0dp-2, 0x1.6a09e6a2fdd69p+0 },
    { -0x1.62e42fead449cp-2, 0x1.6a09e669a7145p-1 },
    { -0x1.62e431426d37ep-2, 0x1.6a09e5f02c31dp-1 },
    { 0x1.0000000000000p+1, 0x1.d8e64b8d4ddaep+2 },
    { 0x1.4000000000000p+3, 0x1.5829dcf950560p+14 },
    { -0x1.4000000000000p+3, 0x1.7cd79b5647c9bp-15 },
    { 0x1.6200000000000p+6, 0x1.99b987155fe28p+127 },
    { -0x1.5c00000000000p+6, 0x1.666d0dad2961dp-126 },
    { 0x1.9100000000000p+6, 0x1.8c39b9134bac4p+144 },
    { -0x1.9100000000000p+6, 0x1.4acd31e167ebbp-145 },
    { 0x1.5e00000000000p+9, 0x1.d945df4f8ec8ep+1009 },
    { 0x1.62d999999999ap+9, 0x1.d75ae7a50ee14p+1023 },
    { 0x1.62e42fefa39efp+9, 0x1.fffffffffff2ap+1023 },
    { -0x1.5e00000000000p+9, 0x1.14f2b0fb9307fp-1010 },
    { -0x1.6200000000000p+9, 0x1.7c8ab2288c9abp-1022 },
    { -0x1.6240000000000p+9, 0x0.e6cf6d08897acp-1022 },
    { -0x1.6800000000000p+9, 0x0.0000993b4dc95p-1022 },
    { -0x1.7200000000000p+9, 0x0.0000000000055p-1022 },
    { -0x1.7400000000000p+9, 0x0.0000000000002p-1022 },
    { -0x1.748cccccccccdp+9, 0x0.0000000000001p-1022 },
    { 0x1.4165ebc3dab0cp+7, 0x1.ca2bd9825bfc5p+231 },
    { 0x1.4d8eeb9829f08p+8, 0x1.2ac480c7982f2p+481 },
    { 0x1.9b3621373d1c4p+8, 0x1.31027e359635bp+593 },
    { 0x1.38a94ea598e92p+9, 0x1.1c0b8eb498519p+902 },
    { 0x1.4ad001d041bb0p+8, 0x1.32e4ac7971f7fp+477 },
    { 0x1.2a07bff18ad8ep+9, 0x1.e8f77d0c549c4p+859 },
    { -0x1.5f69c76982244p+9, 0x1.067080f67555dp-1014 },
    { -0x1.0ff04ad9e0cd8p+6, 0x1.e4005b51b5003p-99 },
    { 0x1.3952015c41f60p+9, 0x1.0948256086438p+904 },
    { 0x1.8d37cee1d9414p+7, 0x1.72370dd1606bep+286 },
    { 0x1.1a74646f20fd4p+9, 0x1.fd1f34bd279ddp+814 },
    { -0x1.223302f216998p+9, 0x1.950a66196455bp-838 },
    { -0x1.fac5d10d6c780p-5, 0x1.e14957ddb1079p-1 },
    { -0x1.0382694f43532p-1, 0x1.346c22c6a5355p-1 },
    { 0x1.667d2c686bfa0p-4, 0x1.176a50523b8b0p+0 },
    { 0x1.2edcf47fa8468p-3, 0x1.28cce64327043p+0 },
    { -0x1.f29231a268928p-1, 0x1.82b83f5d16d67p-2 },
    { -0x1.2211954bc1b4ep-1, 0x1.228d6f8e87d8fp-1 },
    { -0x1.c39ebfd1637d8p-2, 0x1.4967cb724a8b0p-1 },
    { 0x1.aa5670ef08e64p-1, 0x1.2655f17e551f0p+1 },
    { -0x1.2bdf1581b0a5ep+3, 0x1.652f8f40a06bap-14 },
    { -0x1.0ced391185e24p+5, 0x1.6ab1812a0cd38p-49 },
    { -0x1.03a6dfb47dad2p+3, 0x1.39d2378517627p-12 },
    { -0x1.13982c4f486fap+5, 0x1.3b354932c19cdp-50 },
    { -0x1.e9a92878d387ep+3, 0x1.e5bc2f974ae9ap-23 },
    { -0x1.1774cc82b5da9p+5, 0x1.850754aead771p-51 },
    { -0x1.3f6e9a711b443p+5, 0x1.50897f9811f4fp-58 },
    { -0x1.49342fbe4cbf8p+2, 0x1.7e6dfc9e68a0fp-8 },
};

static const struct pair logs[] = {
    { 0x1.0000000000000p+0, 0x0.0p+0 },
    { 0x1.0000000000000p+1, 0x1.62e42fefa39efp-1 },
    { 0x1.0000000000000p-1, -0x1.62e42fefa39efp-1 },
    { 0x1.8000000000000p+1, 0x1.193ea7aad030bp+0 },
    { 0x1.4000000000000p+3, 0x1.26bb1bbb55516p+1 },
    { 0x1.999999999999ap-4, -0x1.26bb1bbb55515p+1 },
    { 0x1.999999999999ap-5, -0x1.7f7427b73e391p+1 },
    { 0x1.e666666666666p-1, -0x1.a431d5bcc193ep-5 },
    { 0x1.0000000000001p+0, 0x1.fffffffffffffp-53 },
    { 0x1.fffffffffffffp-1, -0x1.0000000000000p-53 },
    { 0x1.004189374bc6ap+0, 0x1.060354f8c3cc4p-10 },
    { 0x1.ff7ced916872bp-1, -0x1.064670d979b73p-10 },
    { 0x1.6a09e667f3bcdp+0, 0x1.62e42fefa39f0p-2 },
    { 0x1.6a09e667f3bccp+0, 0x1.62e42fefa39eep-2 },
    { 0x1.6a09e667f3bcep+0, 0x1.62e42fefa39f3p-2 },
    { 0x1.6a09e667f3bcdp-1, -0x1.62e42fefa39eep-2 },
    { 0x1.6a09e667f3bccp-1, -0x1.62e42fefa39f1p-2 },
    { 0x0.0000000000001p-1022, -0x1.74385446d71c3p+9 },
    { 0x0.012688b70e62bp-1022, -0x1.64e69394d9508p+9 },
    { 0x1.0000000000000p-1022, -0x1.6232bdd7abcd2p+9 },
    { 0x1.56e1fc2f8f359p-997, -0x1.5963447f87fb5p+9 },
    { 0x1.fffffffffffffp+1023, 0x1.62e42fefa39efp+9 },
    { 0x1.7e43c8800759cp+996, 0x1.5963447f87fb5p+9 },
    { 0x1.0000000000000p+16, 0x1.62e42fefa39efp+3 },
    { 0x1.d4c0000000000p+12, 0x1.1d866ab2bae39p+3 },
    { 0x1.4a20000000000p+14, 0x1.3eaad6f5b9d31p+3 },
    { 0x1.a0dcccea43d6bp-1, -0x1.a500ef5be897ep-3 },
    { 0x1.a57d525c2c155p-1, -0x1.8e65922f197dbp-3 },
    { 0x1.f93fecb7f60b4p+0, 0x1.5c189e8316f6ep-1 },
    { 0x1.cf012c47fdc2ep+0, 0x1.2f63f5a41679ap-1 },
    { 0x1.de2fb5de1c4bbp-1, -0x1.17dafc62d864bp-4 },
    { 0x1.f13521d98bf3bp+0, 0x1.53e189cd1dc28p-1 },
    { 0x1.4f0fd2ea0dbfep+0, 0x1.1398cd83d6054p-2 },
    { 0x1.8449727e08f90p+0, 0x1.aa908e65c2283p-2 },
    { 0x1.9d454a7170b06p-1, -0x1.b6b9f5cb5aaf6p-3 },
    { 0x1.e955b46e7da02p+0, 0x1.4bb58b1e3e7e2p-1 },
    { 0x1.8934dd89733fep+0, 0x1.b7750f85b1a6cp-2 },
    { 0x1.f329235e531acp+0, 0x1.55e36949846dbp-1 },
    { 0x1.a2f136bd4a01bp+15, 0x1.5c78f0f03e92ep+3 },
    { 0x1.182023ec9f987p+14, 0x1.39697062a67cdp+3 },
    { 0x1.52a023bb18fe7p+14, 0x1.3f7b1bfcc118bp+3 },
    { 0x1.3731946c0e9fap+13, 0x1.2698cabb4afcbp+3 },
    { 0x1.1137c03f3173cp+13, 0x1.226ea23ea4191p+3 },
    { 0x1.e8aa2a4b3bbf4p+11, 0x1.08acffec1552fp+3 },
    { 0x1.1a88fa8f3f19cp+14, 0x1.39af9a165fdd1p+3 },
    { 0x1.1ab5fe53fab8fp+15, 0x1.4fe2f5dcd40b4p+3 },
    { 0x1.97f7b1ed09021p+7, 0x1.545ac67294e64p+2 },
    { 0x1.3dc8c10b34772p+15, 0x1.53a0fee13da86p+3 },
    { 0x1.bbc971f5e78e8p-325, -0x1.c172015ccd782p+7 },
    { 0x1.e2fe9d29a2451p-381, -0x1.077449955c200p+8 },
    { 0x1.067ede056d732p+637, 0x1.b98f4fc2ad5a3p+8 },
    { 0x1.67a18410065b3p-39, -0x1.ab15de8e5eb8dp+4 },
    { 0x1.805527deb964ap-369, -0x1.febade7b1b964p+7 },
    { 0x1.5a83bf179445cp-38, -0x1.a096eb0c2ca26p+4 },
    { 0x1.43a51ce67dfcfp+409, 0x1.1bbb4e7fd495bp+8 },
    { 0x1.0054813a3bca9p-886, -0x1.3310454032af8p+9 },
};

/* Steps between two doubles of one sign. */
static int64_t
steps(double a, double b)
{
    int64_t i, j;

    memcpy(&i, &a, sizeof i);
    memcpy(&j, &b, sizeof j);
    return i > j ? i - j : j - i;
}

static void
less_than_one_unit_off(void **state)
{
    for (size_t i = 0; i < sizeof exps / sizeof *exps; i++)
        if (steps(fm_exp(exps[i].x), exps[i].y) > 1)
            fail_msg("e^%a is %a, not %a", exps[i].x, exps[i].y,
                     fm_exp(exps[i].x));
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
        if (steps(fm_log(logs[i].x), logs[i].y) > 1)
            fail_msg("ln %a is %a, not %a", logs[i].x, logs[i].y,
                     fm_log(logs[i].x));
}

static void
near_the_c_library(void **state)
{
    for (int i = 0; i < 200000; i++) {
        double x = -740 + i * 0.00724, y = 1e-4 + i * 0.31;

        /* It is off by less than one unit itself. */
        if (steps(fm_exp(x), exp(x)) > 1 || steps(fm_log(y), log(y)) > 1)
            fail_msg("e^%a or ln %a", x, y);
    }
}

static void
borders(void **state)
{
    assert_true(fm_exp(0) == 1 && fm_exp(-0.0) == 1);
    assert_true(fm_exp(INFINITY) == INFINITY && fm_exp(710) == INFINITY);
    assert_true(fm_exp(-INFINITY) == 0 && fm_exp(-746) == 0);
    assert_true(fm_exp(-1e300) == 0 && fm_exp(1e300) == INFINITY);
    assert_true(isnan(fm_exp(NAN)));
    assert_true(fm_log(1) == 0 && fm_log(INFINITY) == INFINITY);
    assert_true(fm_log(0) == -INFINITY && fm_log(-0.0) == -INFINITY);
    assert_true(isnan(fm_log(-1)) && isnan(fm_log(NAN)));
    assert_true(isnan(fm_log(-INFINITY)));
}

static void
the_small_one(void **state)
{
    double worst = 0;

    assert_true(fm_exp_neg(0) == 1);
    assert_true(fm_exp_neg(-87.5f) == 0 && fm_exp_neg(-INFINITY) == 0);
    for (int i = 0; i <= 870000; i++) {
        float x = -(float)i * 1e-4f;
        double want = fm_exp((double)x);
        double off = fabs((double)fm_exp_neg(x) / want - 1);

        worst = off > worst ? off : worst;
    }
    assert_true(worst < 2e-7);
}

/* The sum of the bits of a sweep, low byte first. */
static uint32_t
sum_of(uint32_t sum, double v)
{
    unsigned char b[8];
    uint64_t u;

    memcpy(&u, &v, sizeof u);
    for (int i = 0; i < 8; i++)
        b[i] = (unsigned char)(u >> 8 * i);
    return crc32c(sum, b, sizeof b);
}

static void
the_same_bits_everywhere(void **state)
{
    uint32_t e = 0, l = 0, s = 0;

    for (int i = 0; i < 100000; i++) {
        e = sum_of(e, fm_exp(-745 + i * 0x1.dcp-7));
        l = sum_of(l, fm_log(0x1p-20 + i * 0x1.37p-2));
        s = sum_of(s, (double)fm_exp_neg(-(float)i * 0x1.cp-11f));
    }
    assert_int_equal(e, 0xb55bf090);
    assert_int_equal(l, 0xf1923e0f);
    assert_int_equal(s, 0xe1042aab);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(less_than_one_unit_off),
        cmocka_unit_test(near_the_c_library),
        cmocka_unit_test(borders),
        cmocka_unit_test(the_small_one),
        cmocka_unit_test(the_same_bits_everywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
