/* tests/vectors_test.c  The words every inner loop is made of: the same bits
 * on every level of this processor, and what the C library says. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/kernels/kernels.h"
#include "engine/matrix.h"
#include "tests/random_gpt2.h"
#include "tests/vectors_level.h"

#define N 4096

static const struct vectors_level *
level(int i)
{
#ifdef JIELONG_X86
    const struct kernels *best = kernels_get(0);
    bool avx512 = strncmp(best->name, "avx512", 6) == 0;

    if (i == 1 && strcmp(best->name, "generic") != 0)
        return &vectors_avx2;
    if (i == 2 && avx512)
        return &vectors_avx512;
#endif
    return i == 0 ? &vectors_generic : NULL;
}

static uint32_t
bits(float f)
{
    uint32_t u;

    memcpy(&u, &f, 4);
    return u;
}

static float
from_bits(uint32_t u)
{
    float f;

    memcpy(&f, &u, 4);
    return f;
}

static void
assert_same(float got, float want, const char *what, float a, float b, float c)
{
    if (isnan(got) && isnan(want))
        return;
    if (bits(got) != bits(want))
        fail_msg("%s(%a, %a, %a): %a instead of %a", what, a, b, c, got, want);
}

/* Numbers of every kind: any bits; near one another; few bits; the ends. */
static float
any_float(uint64_t *state)
{
    static const float ends[] = {
        0,
        -0.0f,
        1,
        -1,
        INFINITY,
        -INFINITY,
        NAN,
        0x1p-149f,
        -0x1p-149f,
        0x1p-126f,
        0x1.8p-127f,
        0x1p127f,
        0x1.fffffep127f,
        -0x1.fffffep127f,
        0x1.000002p0f,
        0x1.fffffep-1f,
    };
    uint64_t r = random_next(state);

    switch (r >> 62) {
    case 0: return from_bits((uint32_t)r);
    case 1: return 1 + (float)(r & 0xffffff) * 0x1p-24f;
    case 2: /* few bits, exponents that make ties and cancellation */
        return ldexpf((float)((int)(r & 15) - 8), (int)(r >> 8 & 63) - 40);
    default: return ends[r & 15];
    }
}

/* Against fmaf(), and cases built to lie beside the middle of two floats. */
static void
fma_rounds_once(void **state)
{
    float a[N], b[N], c[N], out[N];
    const float *const in[] = { a, b, c };
    uint64_t seed = 1;
    const struct vectors_level *v;

    for (int l = 0; (v = level(l)); l++)
        for (int round = 0; round < 40; round++) {
            for (int i = 0; i < N; i++) {
                a[i] = any_float(&seed);
                b[i] = any_float(&seed);
                c[i] = any_float(&seed);
                if (i % 4 == 1) /* cancels but for the product's low bits */
                    c[i] = -(a[i] * b[i]);
                else if (i % 4 == 2) /* the product decides a tie, or nearly */
                    c[i] = ldexpf(a[i] * b[i],
                                  (int)(random_next(&seed) % 60) - 30);
                else if (i % 8 == 3) { /* results that are denormal */
                    a[i] = ldexpf(a[i], -70);
                    b[i] = ldexpf(b[i], -70);
                    c[i] = ldexpf(c[i], -140);
                }
            }
            v->fma(in, out, N);
            for (int i = 0; i < N; i++)
                assert_same(out[i], fmaf(a[i], b[i], c[i]), "fma", a[i], b[i],
                            c[i]);
        }
}

static void
halves_are_exact(void **state)
{
    static unsigned short h[65536];
    static float out[65536];
    const struct vectors_level *v;

    for (int i = 0; i < 65536; i++)
        h[i] = (unsigned short)i;
    for (int l = 0; (v = level(l)); l++) {
        v->half(h, out, 65536);
        for (int i = 0; i < 65536; i++)
            assert_same(out[i], half_to_float((unsigned short)i), "half",
                        (float)i, 0, 0);
    }
}

static void
functions_are_right(void **state)
{
    float x[N], e[N], first[N], z[N];
    const float *const in[] = { x }, *const inz[] = { z };
    const struct vectors_level *v;

    for (int i = 0; i < N; i++) {
        x[i] = (float)(i - N / 2) * 0.0426f;
        z[i] = (float)i * 0.0015f;
    }
    x[0] = NAN, x[1] = INFINITY, x[2] = -INFINITY;
    for (int l = 0; (v = level(l)); l++) {
        v->exp(in, e, N);
        for (int i = 3; i < N; i++) {
            double want = exp(fmin(fmax(x[i], -87.3), 88.7));

            if (!(fabs(e[i] - want) <= 2e-7 * want))
                fail_msg("exp(%a): %a instead of %a", x[i], e[i], want);
        }
        assert_true(isnan(e[0]));
        if (l == 0)
            memcpy(first, e, sizeof e);
        for (int i = 0; i < N; i++)
            assert_same(e[i], first[i], "exp", x[i], 0, 0);
    }
    for (int l = 0; (v = level(l)); l++) {
        v->erfc(inz, e, N);
        for (int i = 0; i < N; i++)
            assert_true(fabs(e[i] - erfc(z[i])) <= 3e-7);
        if (l == 0)
            memcpy(first, e, sizeof e);
        for (int i = 0; i < N; i++)
            assert_same(e[i], first[i], "erfc", z[i], 0, 0);
    }
}

/* As the header says it: lanes by i mod 16, then halves. */
static void
sums_have_one_order(void **state)
{
    uint64_t seed = 3;
    float x[700];
    const struct vectors_level *v;

    for (int i = 0; i < 700; i++)
        x[i] = ldexpf(random_float(&seed), (int)(random_next(&seed) % 20));
    for (int n = 0; n < 700; n += 1 + n / 5) {
        float lane[16] = { 0 };

        for (int i = 0; i < n; i++)
            lane[i % 16] += x[i];
        for (int h = 8; h > 0; h /= 2)
            for (int i = 0; i < h; i++)
                lane[i] += lane[i + h];
        for (int l = 0; (v = level(l)); l++)
            assert_same(v->sum(x, n), lane[0], "sum", (float)n, 0, 0);
    }
    for (int n = 1; n <= 16; n++)
        for (int l = 0; (v = level(l)); l++) {
            float most = x[0];

            for (int i = 1; i < n; i++)
                most = fmaxf(most, x[i]);
            assert_same(v->maximum(x, n), most, "maximum", (float)n, 0, 0);
        }
}

static void
max_takes_the_second(void **state)
{
    float a[16], b[16], out[16];
    const float *const in[] = { a, b };
    const struct vectors_level *v;

    for (int i = 0; i < 16; i++) {
        a[i] = i % 4 == 0 ? NAN : (float)i;
        b[i] = i % 4 == 1 ? NAN : 7;
    }
    for (int l = 0; (v = level(l)); l++) {
        v->max(in, out, 16);
        for (int i = 0; i < 16; i++)
            assert_same(out[i], a[i] > b[i] ? a[i] : b[i], "max", a[i], b[i],
                        0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fma_rounds_once),
        cmocka_unit_test(halves_are_exact),
        cmocka_unit_test(functions_are_right),
        cmocka_unit_test(sums_have_one_order),
        cmocka_unit_test(max_takes_the_second),
    };

    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
