/* tests/product_test.c  Products with f32 and bf16 weights on every level:
 * bit for bit the sum that kernels/product_body.h defines, whatever shares a
 * call, and no byte touched beside the operands. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/kernels/kernels.h"
#include "engine/ops.h"
#include "tests/fenced.h"
#include "tests/level.h"
#include "tests/random_gpt2.h"

/* The definition. */
static float
sum_of_products(const float *w, const float *x, int K)
{
    float total = 0;

    for (int k = 0; k < K; k += 256) {
        float s = 0;

        for (int i = k; i < K && i < k + 256; i++)
            s = fmaf(w[i], x[i], s);
        total = k == 0 ? s : total + s;
    }
    return total;
}

static bool
same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, 4) == 0;
}

enum kind { LIVELY, TINY, HUGE_ONES, MIXED };

static float
number(enum kind kind, uint64_t *seed)
{
    float f = random_float(seed);

    switch (kind) {
    case TINY: return f * 0x1p-76f; /* products are denormal */
    case HUGE_ONES: return f * 0x1p64f;
    case MIXED:
        return random_next(seed) % 4000 == 0
                   ? NAN
                   : ldexpf(f, (int)(random_next(seed) % 40) - 20);
    default: return f;
    }
}

struct problem {
    enum weight_type type;
    int n, K, T;
    float *w; /* [n][K], as the matrix has them */
    float *x; /* [T][K] */
    float *y; /* [T][n], by the definition */
    struct matrix m;
    struct fenced tiles;
};

static struct problem
make(enum weight_type type, int n, int K, int T, enum kind kind, bool at_end)
{
    struct problem p = { .type = type, .n = n, .K = K, .T = T };
    size_t nK = (size_t)n * (size_t)K;
    uint64_t seed = (uint64_t)(n * 1000 + K);

    p.w = xcalloc(nK, sizeof *p.w);
    p.x = xcalloc((size_t)(T * K), sizeof *p.x);
    p.y = xcalloc((size_t)(T * n), sizeof *p.y);
    for (size_t i = 0; i < nK; i++)
        p.w[i] = number(kind == MIXED ? LIVELY : kind, &seed);
    for (int i = 0; i < T * K; i++)
        p.x[i] = number(kind, &seed);
    p.tiles = fence(matrix_bytes(type, n, K), at_end);
    p.m = (struct matrix){ type, n, K, p.tiles.p };
    matrix_write(&p.m, 0, (size_t)n, 0, (size_t)K, p.w, (size_t)K, 1);
    for (int i = 0; i < n; i++)
        matrix_row(&p.m, (size_t)i, p.w + (size_t)i * (size_t)K);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < n; i++)
            p.y[t * n + i] = sum_of_products(p.w + (size_t)i * (size_t)K,
                                             p.x + (size_t)t * (size_t)K, K);
    return p;
}

static void
drop(struct problem *p)
{
    assert_true(unfence(&p->tiles));
    free(p->w), free(p->x), free(p->y);
}

/* T tokens from t0 on in one call, or cut after `cut` inputs. */
static void
one_call(const struct problem *p, const struct kernels *k, int t0, int T,
         int cut, bool at_end)
{
    size_t bytes = matrix_tile_bytes(p->type, p->K), K = (size_t)p->K;
    int n_tiles = (p->n + 15) / 16, ldy = 16 * n_tiles + 3;
    struct fenced y =
        fence(((size_t)(T - 1) * (size_t)ldy + (size_t)(16 * n_tiles)) * 4,
              at_end);
    struct fenced x = fence((size_t)T * K * 4, at_end);
    size_t input = (p->type == WT_F32 ? 64 : 32) * (size_t)cut;
    float *xp = x.p, *yp = y.p;

    k->pack_tokens(p->x + (size_t)t0 * K, K, T, p->K, xp);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < p->K; i++)
            assert_true(same(xp[i * T + t], p->x[(t0 + t) * p->K + i]));
    if (cut > 0)
        k->product[p->type](p->m.data, bytes, 64, n_tiles, cut, xp, T, yp,
                            (size_t)ldy, false);
    k->product[p->type]((const char *)p->m.data + input, bytes, 1 << 20,
                        n_tiles, p->K - cut, xp + cut * T, T, yp, (size_t)ldy,
                        cut > 0);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < p->n; i++)
            if (!same(yp[t * ldy + i], p->y[(t0 + t) * p->n + i]))
                fail_msg("%s, %s, K %d, T %d: row %d of token %d: %a "
                         "instead of %a",
                         k->name, weight_type_name(p->type), p->K, T, i, t,
                         yp[t * ldy + i], p->y[(t0 + t) * p->n + i]);
    assert_true(unfence(&x));
    assert_true(unfence(&y));
}

/* Every level, every number of tokens it takes, odd sizes. */
static void
levels_agree(void **state)
{
    static const int depths[] = { 1, 2, 15, 17, 255, 256, 257, 700 };
    static const int rows[] = { 1, 15, 16, 17, 33, 112 };
    const struct kernels *k;

    for (int type = WT_F32; type <= WT_BF16; type++)
        for (size_t d = 0; d < sizeof depths / sizeof *depths; d++)
            for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
                int K = depths[d];
                struct problem p = make((enum weight_type)type, rows[r], K, 12,
                                        (enum kind)((d + r) % 4), d % 2 == 0);

                for (int l = 0; (k = kernels_get(l)); l++)
                    for (int T = 1; T <= k->tokens; T++) {
                        one_call(&p, k, 12 - T, T, 0, r % 2 == 0);
                        if (K > 256)
                            one_call(&p, k, 0, T, 256, r % 2 == 1);
                    }
                drop(&p);
            }
}

/* The layer on one level: every number of tokens, with any threads. */
static void
one_level(const struct problem *p, int n_threads)
{
    struct ops_limits lim = {
        .T = p->T, .n_in = p->K, .n_threads = n_threads
    };
    struct ops_linear l = { .w = &p->m, .after = OPS_STORE };
    struct err err = { 0 };
    struct ops *o = ops_new(&lim, &err);

    assert_non_null(o);
    for (int T = 1; T <= p->T; T += T < 18 ? 1 : 7) {
        size_t n = (size_t)(T * p->n);
        struct fenced y = fence(n * 4, T % 2);

        ops_linear(o, &l, p->x, T, y.p);
        for (size_t i = 0; i < n; i++)
            if (!same(((float *)y.p)[i], p->y[i]))
                fail_msg("%s, %s, K %d, %d tokens: %a instead of %a",
                         ops_level(o), weight_type_name(p->type), p->K, T,
                         ((float *)y.p)[i], p->y[i]);
        assert_true(unfence(&y));
    }
    ops_free(o);
}

static void
layers_agree(void **state)
{
    static const int shapes[][2] = {
        { 1, 1 }, { 33, 255 }, { 50, 257 }, { 200, 700 }
    };
    char *kept = level_kept();
    const struct kernels *k;

    for (int type = WT_F32; type <= WT_BF16; type++)
        for (size_t s = 0; s < 4; s++) {
            struct problem p = make((enum weight_type)type, shapes[s][0],
                                    shapes[s][1], 40, LIVELY, s % 2 == 0);

            for (int l = 0; (k = kernels_get(l)); l++) {
                setenv("JIELONG_CPU", k->name, 1);
                one_level(&p, 1 + 2 * (l % 2));
            }
            drop(&p);
        }
    level_back(kept);
}

/* bf16 gives what f32 gives with the same numbers. */
static void
bf16_is_f32(void **state)
{
    struct problem b = make(WT_BF16, 40, 300, 3, LIVELY, true);
    struct fenced tiles = fence(matrix_bytes(WT_F32, 40, 300), true);
    struct matrix f = { WT_F32, 40, 300, tiles.p };
    const struct kernels *k = kernels_get(0);
    float y[3 * 48];

    matrix_write(&f, 0, 40, 0, 300, b.w, 300, 1);
    for (int t = 0; t < 3; t++) {
        k->product[WT_F32](f.data, matrix_tile_bytes(WT_F32, 300), 0, 3, 300,
                           b.x + 300 * t, 1, y + 48 * t, 48, false);
        for (int i = 0; i < 40; i++)
            assert_true(same(y[48 * t + i], b.y[40 * t + i]));
    }
    assert_true(unfence(&tiles));
    drop(&b);
}

/* In fast mode other orders are allowed; they are near all the same. */
static void
fast_is_near(void **state)
{
    struct ops_limits lim = {
        .T = 40, .n_in = 300, .n_threads = 2, .fast = true
    };
    char *kept = level_kept();
    struct err err = { 0 };

    setenv("JIELONG_CPU", "generic", 1);
    for (int type = WT_F32; type <= WT_BF16; type++)
        for (int after = OPS_STORE; after <= OPS_ADD; after++) {
            struct problem p =
                make((enum weight_type)type, 250, 300, 40, LIVELY, true);
            struct ops_linear l = { .w = &p.m, .after = (enum ops_after)after };
            struct ops *o = ops_new(&lim, &err);
            float *y = xcalloc(40 * 250, sizeof *y);

            for (int i = 0; i < 40 * 250; i++)
                y[i] = (float)(i % 3);
            ops_linear(o, &l, p.x, 40, y);
            for (int i = 0; i < 40 * 250; i++)
                assert_true(fabsf(y[i] - p.y[i] -
                                  (after == OPS_ADD ? (float)(i % 3) : 0)) <
                            1e-4f);
            free(y);
            ops_free(o);
            drop(&p);
        }
    level_back(kept);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_agree),
        cmocka_unit_test(layers_agree),
        cmocka_unit_test(bf16_is_f32),
        cmocka_unit_test(fast_is_near),
    };

    return cmocka_run_group_tests_name("product", tests, NULL, NULL);
}
