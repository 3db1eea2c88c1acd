/* tests/amx_test.c  The loops of the matrix unit over a model of its
 * instructions (Intel SDM 2, chapter 3.2 and TDPBSUD, TDPBF16PS), so that they
 * are tested on processors without one; and over the unit itself where there
 * is one. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/mem.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"

#include "tests/random_gpt2.h"

#define VW 4
#include "engine/kernels/vectors.h"

/* --- the model --- */

struct tile {
    int rows, bytes; /* 0: there is no such register now */
    unsigned char v[16][64];
};
static struct tile tile[8];

static void
model_config(const unsigned char *p)
{
    assert_int_equal(p[0], 1); /* palette */
    for (int i = 1; i < 16; i++)
        assert_int_equal(p[i], 0);
    for (int i = 0; i < 8; i++) {
        memset(&tile[i], 0, sizeof tile[i]);
        tile[i].bytes = p[16 + 2 * i] | p[17 + 2 * i] << 8;
        tile[i].rows = p[48 + i];
        assert_true(tile[i].bytes <= 64 && tile[i].rows <= 16);
        assert_int_equal(tile[i].bytes == 0, tile[i].rows == 0);
    }
    for (int i = 8; i < 16; i++)
        assert_true(p[16 + 2 * i] == 0 && p[17 + 2 * i] == 0 && p[48 + i] == 0);
}

static void
model_zero(int c)
{
    assert_true(tile[c].rows > 0);
    memset(tile[c].v, 0, sizeof tile[c].v);
}

static void
model_load(int c, const void *p, size_t stride)
{
    model_zero(c);
    for (int i = 0; i < tile[c].rows; i++)
        memcpy(tile[c].v[i], (const char *)p + (size_t)i * stride,
               (size_t)tile[c].bytes);
}

static void
model_store(int c, void *p, size_t stride)
{
    assert_true(tile[c].rows > 0);
    for (int i = 0; i < tile[c].rows; i++)
        memcpy((char *)p + (size_t)i * stride, tile[c].v[i],
               (size_t)tile[c].bytes);
}

/* The unit faults on shapes that do not belong together. */
static void
shapes_fit(const struct tile *c, const struct tile *a, const struct tile *b)
{
    assert_true(c->rows > 0 && c != a && c != b && a != b);
    assert_int_equal(c->rows, a->rows);
    assert_int_equal(c->bytes, b->bytes);
    assert_int_equal(a->bytes, 4 * b->rows);
}

static void
model_int8(int ci, int ai, int bi)
{
    struct tile *c = &tile[ci], *a = &tile[ai], *b = &tile[bi];

    shapes_fit(c, a, b);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->bytes / 4; n++) {
            int32_t s;

            memcpy(&s, &c->v[m][4 * n], 4);
            for (int k = 0; k < a->bytes; k++)
                s += (int)(signed char)a->v[m][k] *
                     (int)b->v[k / 4][4 * n + k % 4];
            memcpy(&c->v[m][4 * n], &s, 4);
        }
}

static float
bf16_at(const unsigned char *p)
{
    uint32_t u = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 24;
    float f;

    memcpy(&f, &u, 4);
    return f;
}

static void
model_bf16(int ci, int ai, int bi)
{
    struct tile *c = &tile[ci], *a = &tile[ai], *b = &tile[bi];

    shapes_fit(c, a, b);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->bytes / 4; n++) {
            float s, even = 0, odd = 0;

            memcpy(&s, &c->v[m][4 * n], 4);
            for (int k = 0; k < b->rows; k++) {
                even = fmaf(bf16_at(&a->v[m][4 * k]), bf16_at(&b->v[k][4 * n]),
                            even);
                odd = fmaf(bf16_at(&a->v[m][4 * k + 2]),
                           bf16_at(&b->v[k][4 * n + 2]), odd);
            }
            s += even + odd;
            memcpy(&c->v[m][4 * n], &s, 4);
        }
}

#define TILE_CONFIG(p)           model_config((const unsigned char *)(p))
#define TILE_RELEASE()           memset(tile, 0, sizeof tile)
#define TILE_ZERO(c)             model_zero(c)
#define TILE_LOAD(c, p, stride)  model_load(c, p, stride)
#define TILE_STORE(c, p, stride) model_store(c, p, stride)
#define TILE_INT8(c, a, b)       model_int8(c, a, b)
#define TILE_BF16(c, a, b)       model_bf16(c, a, b)
#include "engine/kernels/amx_body.h"

static void
rows_int8(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    int_by_unit(8, w, n_tiles, x, t0, T, y, ldy);
}

static void
rows_int4(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    int_by_unit(4, w, n_tiles, x, t0, T, y, ldy);
}

static const struct tiled_kernels model = {
    .round_to_bf16 = round_to_bf16,
    .rows = { [WT_BF16] = bf16_by_unit,
              [WT_INT8] = rows_int8,
              [WT_INT4] = rows_int4 },
};

/* The model, then this processor's unit. */
static const struct tiled_kernels *
unit(int i)
{
    if (i == 0)
        return &model;
    return i == 1 && kernels_get(0)->tiled->round_to_bf16
               ? kernels_get(0)->tiled
               : NULL;
}

/* --- tests --- */

struct product {
    int n, K, T;
    float *w, *x;
    struct matrix m;
    struct tokens tokens;
    signed char *q;
    float *scale;
    int *minus;
    unsigned short *bf16;
};

/* On the heap and no larger than need be: a sanitizer sees every step beyond. */
static struct product
make(enum weight_type type, int n, int K, int T)
{
    struct product p = { .n = n, .K = K, .T = T };
    size_t nb = (size_t)(K + 31) / 32, blocks = nb * (size_t)T;
    size_t nw = (size_t)n * (size_t)K, nx = (size_t)T * (size_t)K;
    uint64_t seed = (uint64_t)(n + 1000 * K + 7 * T);

    p.w = xcalloc(nw, sizeof *p.w);
    p.x = xcalloc(nx, sizeof *p.x);
    for (size_t i = 0; i < nw; i++)
        p.w[i] = random_float(&seed);
    for (size_t i = 0; i < nx; i++)
        p.x[i] = random_float(&seed);
    p.m = (struct matrix){ type, n, K, xcalloc(matrix_bytes(type, n, K), 1) };
    matrix_write(&p.m, 0, (size_t)n, 0, (size_t)K, p.w, (size_t)K, 1);
    p.q = xcalloc(blocks, 32);
    p.scale = xcalloc(blocks, sizeof *p.scale);
    p.minus = xcalloc(blocks, sizeof *p.minus);
    p.bf16 = xcalloc(blocks, 64);
    for (size_t t = 0; t < (size_t)T; t++) {
        tiled_generic.quantize(p.x + t * (size_t)K, K, p.q + t * nb * 32,
                               p.scale + t * nb, p.minus + t * nb);
        model.round_to_bf16(p.x + t * (size_t)K, K, p.bf16 + t * nb * 32);
    }
    p.tokens = (struct tokens){ p.q, p.scale, p.minus, nb, p.bf16 };
    return p;
}

static void
discard(struct product *p)
{
    free(p->w), free(p->x), free(p->m.data);
    free(p->q), free(p->scale), free(p->minus), free(p->bf16);
}

/* y[T][n rounded up + 1]: the last of each row is not to be touched. */
static float *
multiply(const struct product *p, const struct tiled_kernels *k, int step)
{
    size_t ld = (size_t)(p->n + 15) / 16 * 16 + 1;
    float *y = xcalloc(ld * (size_t)p->T, sizeof *y);

    for (size_t i = 0; i < ld * (size_t)p->T; i++)
        y[i] = 7;
    for (int t = 0; t < p->T; t += step)
        k->rows[p->m.type](p->m.data, (p->n + 15) / 16, p->K, &p->tokens, t,
                           p->T - t < step ? p->T - t : step,
                           y + (size_t)t * ld, ld);
    for (int t = 0; t < p->T; t++)
        assert_true(y[(size_t)t * ld + ld - 1] == 7);
    return y;
}

static const int shapes[][3] = {
    /* n, K, T */
    { 1, 1, 1 },     { 16, 32, 8 },   { 17, 33, 9 },
    { 48, 255, 16 }, { 33, 256, 17 }, { 64, 300, 31 },
    { 20, 64, 32 },  { 31, 545, 33 }, { 80, 1025, 12 },
};
#define N_SHAPES (int)(sizeof shapes / sizeof *shapes)

/* int8 and int4: the same bits as every level's, for any group of tokens. */
static void
whole_numbers_are_the_same_bits(void **state)
{
    for (int type = WT_INT8; type <= WT_INT4; type++)
        for (int s = 0; s < N_SHAPES; s++) {
            struct product p = make((enum weight_type)type, shapes[s][0],
                                    shapes[s][1], shapes[s][2]);
            size_t ld = (size_t)(p.n + 15) / 16 * 16 + 1;
            float *want = multiply(&p, &tiled_generic, p.T);
            const struct tiled_kernels *k;

            for (int i = 0; (k = unit(i)); i++)
                for (int step = 8; step <= 40; step += 8) {
                    float *got = multiply(&p, k, step);

                    assert_memory_equal(got, want,
                                        ld * (size_t)p.T * sizeof *got);
                    free(got);
                }
            free(want);
            discard(&p);
        }
}

/* bf16: near the sum in float64 over the same rounded numbers. */
static void
halves_are_near(void **state)
{
    for (int s = 0; s < N_SHAPES; s++) {
        struct product p =
            make(WT_BF16, shapes[s][0], shapes[s][1], shapes[s][2]);
        size_t ld = (size_t)(p.n + 15) / 16 * 16 + 1;
        float *row = xcalloc((size_t)p.K, sizeof *row);
        const struct tiled_kernels *k;

        for (int u = 0; (k = unit(u)); u++) {
            float *got = multiply(&p, k, 40);

            for (int i = 0; i < p.n; i++) {
                matrix_row(&p.m, (size_t)i, row);
                for (size_t t = 0; t < (size_t)p.T; t++) {
                    double want = 0;

                    for (int j = 0; j < p.K; j++) {
                        unsigned short h =
                            p.bf16[t * p.tokens.n_blocks * 32 + (size_t)j];
                        unsigned char b[2] = { (unsigned char)(h & 255),
                                               (unsigned char)(h >> 8) };

                        want += (double)row[j] * (double)bf16_at(b);
                    }
                    if (fabs(want - got[t * ld + (size_t)i]) > 1e-6 * p.K)
                        fail_msg("%.9g instead of %.9g",
                                 got[t * ld + (size_t)i], want);
                }
            }
            free(got);
        }
        free(row);
        discard(&p);
    }
}

static void
tokens_become_bf16(void **state)
{
    static const struct {
        float x;
        unsigned short want;
    } cases[] = {
        { 1.0f, 0x3f80 },      { -2.0f, 0xc000 },
        { 0x1.01p0f, 0x3f80 }, /* halfway, to even */
        { 0x1.03p0f, 0x3f82 }, { 0x1.0101p0f, 0x3f81 },
        { INFINITY, 0x7f80 },  { NAN, 0x7fc0 },
        { 3.4e38f, 0x7f80 },   { 0, 0 },
    };
    unsigned short out[33];
    float x[9];

    for (int i = 0; i < 9; i++)
        x[i] = cases[i].x;
    out[32] = 77;
    model.round_to_bf16(x, 9, out);
    for (int i = 0; i < 9; i++)
        assert_int_equal(out[i], cases[i].want);
    for (int i = 9; i < 32; i++)
        assert_int_equal(out[i], 0);
    assert_int_equal(out[32], 77);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_the_same_bits),
        cmocka_unit_test(halves_are_near),
        cmocka_unit_test(tokens_become_bf16),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
