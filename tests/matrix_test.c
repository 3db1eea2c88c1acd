/* tests/matrix_test.c  Weights in tiles: written and read back, every loop of
 * every level against generic and against float64, and a whole network. */
#include "engine/matrix.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"
#include "engine/model.h"
#include "engine/session.h"
#include "tests/level.h"
#include "tests/random_gpt2.h"
#include "tests/tiny_models.h"

#define GUARD 64 /* bytes on either side of an output */

static unsigned char *
guarded(size_t n)
{
    unsigned char *p = xmalloc(n + 2 * GUARD);

    memset(p, 0xa5, n + 2 * GUARD);
    return p + GUARD;
}

static void
guarded_free(void *v, size_t n)
{
    unsigned char *p = (unsigned char *)v - GUARD;

    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(p[i], 0xa5);
        assert_int_equal(p[GUARD + n + i], 0xa5);
    }
    free(p);
}

static float *
random_floats(size_t n, float spread, uint64_t seed)
{
    float *p = xcalloc(n ? n : 1, sizeof *p);

    for (size_t i = 0; i < n; i++)
        p[i] = spread * random_float(&seed);
    return p;
}

static void
halves_go_both_ways(void **state)
{
    for (unsigned h = 0; h < 0x7c00; h++) {
        assert_int_equal(half_from_float(half_to_float((unsigned short)h)), h);
        assert_int_equal(half_from_float(
                             half_to_float((unsigned short)(h | 0x8000))),
                         h | 0x8000);
    }
    assert_true(half_to_float(0x3c00) == 1.0f);
    assert_true(half_to_float(1) == 0x1p-24f);
    assert_int_equal(half_from_float(65519.0f), 0x7bff);
    assert_int_equal(half_from_float(1e30f), 0x7bff);
    assert_int_equal(half_from_float(1 + 0x1p-11f), 0x3c00); /* to even */
    assert_int_equal(half_from_float(1 + 0x3p-11f), 0x3c02);
    assert_int_equal(half_from_float(0x1p-25f), 0);
    assert_int_equal(half_from_float(0x1.8p-25f), 1);
}

/* The largest error of one weight whose block's largest number is `most`. */
static double
allowed(enum weight_type t, double w, double most)
{
    switch (t) {
    case WT_BF16: return fabs(w) / 256;
    case WT_INT8: return most * (0.5 / 127 + 127 * 0x1p-11 / 127) + 1e-5;
    case WT_INT4: return most * 1.5 / 8.5 + 1e-5; /* +8.5 steps become 7 */
    default: return 0;
    }
}

/* In one go, in pieces, and from a transposed matrix: the same bytes; read
 * back: near what was written. */
static void
what_is_written_is_read(void **state)
{
    static const int shapes[][2] = { { 1, 1 },   { 16, 32 }, { 17, 33 },
                                     { 50, 96 }, { 37, 71 }, { 96, 160 } };

    for (int t = WT_F32; t < WT_COUNT; t++)
        for (size_t s = 0; s < 6; s++) {
            int n = shapes[s][0], K = shapes[s][1];
            size_t bytes = matrix_bytes((enum weight_type)t, n, K);
            float *w = random_floats((size_t)(n * K), 1, 1 + s);
            float *turned = xcalloc((size_t)(n * K), sizeof *turned);
            float *row = (float *)(void *)guarded(4 * (size_t)K);
            struct err err = { 0 };
            struct matrix m = { (enum weight_type)t, n, K,
                                mem_big(bytes, 1, "m", &err) };
            struct matrix p = m;

            p.data = mem_big(bytes, 1, "m", &err);
            for (int i = 0; i < n * K; i++)
                turned[i % K * n + i / K] = w[i];
            matrix_write(&m, 0, (size_t)n, 0, (size_t)K, w, (size_t)K, 1);
            for (int i = 0; i < n; i += 5)
                for (int k = 0; k < K; k += 32)
                    matrix_write(&p, (size_t)i, i + 5 < n ? 5 : (size_t)(n - i),
                                 (size_t)k, k + 32 < K ? 32 : (size_t)(K - k),
                                 turned + k * n + i, 1, (size_t)n);
            assert_memory_equal(m.data, p.data, bytes);
            for (int i = 0; i < n; i++) {
                matrix_row(&m, (size_t)i, row);
                for (int k = 0; k < K; k++) {
                    double most = 0;

                    for (int j = k / 32 * 32; j < K && j < k / 32 * 32 + 32;
                         j++)
                        most = fmax(most, fabs((double)w[i * K + j]));
                    if (fabs(row[k] - w[i * K + k]) >
                        allowed(m.type, w[i * K + k], most))
                        fail_msg("%s: %.9g became %.9g",
                                 weight_type_name(m.type), w[i * K + k],
                                 row[k]);
                }
            }
            guarded_free(row, 4 * (size_t)K);
            mem_big_free(m.data), mem_big_free(p.data);
            free(w), free(turned);
        }
}

/* What was made once comes out the same when it is made again. */
static void
twice_is_once(void **state)
{
    for (int t = WT_F32; t < WT_COUNT; t++) {
        size_t bytes = matrix_bytes((enum weight_type)t, 48, 96);
        float *w = random_floats(48 * 96, 0.05f, 9);
        struct err err = { 0 };
        struct matrix m = { (enum weight_type)t, 48, 96,
                            mem_big(bytes, 1, "m", &err) };
        struct matrix again = m;

        again.data = mem_big(bytes, 1, "m", &err);
        matrix_write(&m, 0, 48, 0, 96, w, 96, 1);
        for (size_t i = 0; i < 48; i++)
            matrix_row(&m, i, w + i * 96);
        matrix_write(&again, 0, 48, 0, 96, w, 96, 1);
        for (size_t i = 0; i < 48; i++) {
            float row[96];

            matrix_row(&again, i, row);
            for (size_t k = 0; k < 96; k++)
                assert_true(row[k] == w[i * 96 + k]);
        }
        mem_big_free(m.data), mem_big_free(again.data);
        free(w);
    }
}

/* No weight and no scale becomes anything but a number. */
static void
extreme_weights(void **state)
{
    static const float extreme[] = { 3e38f, -3e38f, 1e-38f, -1e-45f,
                                     0,     -0.0f,  1e8f,   6e-8f };

    for (int t = WT_BF16; t < WT_COUNT; t++)
        for (size_t e = 0; e < 8; e++) {
            struct err err = { 0 };
            struct matrix m = {
                (enum weight_type)t, 16, 32,
                mem_big(matrix_bytes((enum weight_type)t, 16, 32), 1, "m", &err)
            };
            float w[16 * 32] = { 0 }, row[32];

            w[0] = extreme[e];
            w[5] = -extreme[e];
            matrix_write(&m, 0, 16, 0, 32, w, 32, 1);
            matrix_row(&m, 0, row);
            for (int k = 0; k < 32; k++)
                assert_true(isfinite(row[k]));
            assert_true(row[1] == 0);
            mem_big_free(m.data);
        }
}

struct blocks {
    signed char *q;
    float *scale;
    int *minus;
    size_t n;
};

static struct blocks
make_blocks(const struct tiled_kernels *k, const float *x, int T, int K)
{
    struct blocks b;
    size_t n;

    b.n = (size_t)(K + 31) / 32;
    n = b.n * (size_t)T;
    b.q = (signed char *)guarded(32 * n);
    b.scale = (float *)(void *)guarded(4 * n);
    b.minus = (int *)(void *)guarded(4 * n);
    for (int t = 0; t < T; t++)
        k->quantize(x + (size_t)t * (size_t)K, K, b.q + (size_t)t * b.n * 32,
                    b.scale + (size_t)t * b.n, b.minus + (size_t)t * b.n);
    return b;
}

static void
free_blocks(struct blocks *b, int T)
{
    guarded_free(b->q, 32 * b->n * (size_t)T);
    guarded_free(b->scale, 4 * b->n * (size_t)T);
    guarded_free(b->minus, 4 * b->n * (size_t)T);
}

/* The same bits on every level, and near what they stand for. */
static void
tokens_become_int8(void **state)
{
    static const float spread[] = { 1, 1e-20f, 1e30f, 0, 1e-35f };
    static const int depths[] = { 1, 31, 32, 33, 96, 257 };
    const struct kernels *k;

    for (size_t s = 0; s < 5; s++)
        for (size_t d = 0; d < 6; d++) {
            int K = depths[d], T = 3;
            float *x = random_floats((size_t)(T * K), spread[s], 4 + d);
            struct blocks want = make_blocks(&tiled_generic, x, T, K);
            size_t n = want.n * (size_t)T;

            for (int t = 0; t < T; t++)
                for (int i = 0; i < K && spread[s] > 1e-29f; i++) {
                    size_t at = (size_t)t * want.n * 32 + (size_t)i;
                    double got =
                        (double)want.q[at] * (double)want.scale[at / 32];

                    assert_true(fabs(got - x[t * K + i]) <=
                                0.501 * want.scale[at / 32]);
                }
            for (int l = 0; (k = kernels_get(l)); l++) {
                struct blocks got = make_blocks(k->tiled, x, T, K);

                assert_memory_equal(got.q, want.q, 32 * n);
                assert_memory_equal(got.scale, want.scale, 4 * n);
                assert_memory_equal(got.minus, want.minus, 4 * n);
                free_blocks(&got, T);
            }
            free_blocks(&want, T);
            free(x);
        }
}

static float
most_extreme(size_t i, size_t k)
{
    return (i + k) % 3 ? 1.0f : -1.0f; /* every product is as large as it can */
}

struct product {
    enum weight_type type;
    int n, K, T;
    float *w, *x;
    struct matrix m;
};

/* y[T][n rounded up], by the loops of k, from token 0 in steps of `step`. */
static float *
multiply(const struct product *p, const struct tiled_kernels *k, int step)
{
    size_t n = (size_t)(p->n + 15) / 16 * 16, T = (size_t)p->T;
    float *y = (float *)(void *)guarded(4 * n * T);
    struct blocks b = make_blocks(k, p->x, p->T, p->K);
    struct tokens x = {
        b.q,
        b.scale,
        b.minus,
        b.n,
        NULL,
    };

    for (int t = 0; t < p->T; t += step)
        k->rows[p->type](p->m.data, (int)n / 16, p->K, &x, t,
                         p->T - t < step ? p->T - t : step, y + (size_t)t * n,
                         n);
    free_blocks(&b, p->T);
    return y;
}

static void
compare_levels(const struct product *p)
{
    size_t n = (size_t)(p->n + 15) / 16 * 16, size = 4 * n * (size_t)p->T;
    float *want = multiply(p, &tiled_generic, p->T);
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++) {
        float *all = multiply(p, k->tiled, p->T);
        float *one = multiply(p, k->tiled, 1);

        /* Not one bit depends on who shares the pass. */
        assert_memory_equal(all, one, size);
        assert_memory_equal(all, want, size);
        guarded_free(all, size), guarded_free(one, size);
    }
    guarded_free(want, size);
}

/* generic against float64 over the same rounded numbers. */
static void
compare_truth(const struct product *p)
{
    size_t n = (size_t)(p->n + 15) / 16 * 16;
    float *y = multiply(p, &tiled_generic, p->T);
    float *row = xcalloc((size_t)p->K, sizeof *row);
    struct blocks b = make_blocks(&tiled_generic, p->x, p->T, p->K);

    for (int i = 0; i < p->n; i++) {
        matrix_row(&p->m, (size_t)i, row);
        for (int t = 0; t < p->T; t++) {
            double want = 0;

            for (int k = 0; k < p->K; k++) {
                size_t at = (size_t)t * b.n * 32 + (size_t)k;

                want +=
                    (double)row[k] * (double)b.q[at] * (double)b.scale[at / 32];
            }
            if (fabs(want - y[(size_t)t * n + (size_t)i]) > 1e-6 * p->K)
                fail_msg("%s: %.9g instead of %.9g", weight_type_name(p->type),
                         y[(size_t)t * n + (size_t)i], want);
        }
    }
    free_blocks(&b, p->T);
    free(row);
    guarded_free(y, 4 * n * (size_t)p->T);
}

static void
products_are_right(void **state)
{
    static const int shapes[][3] = {
        /* n, K, T */
        { 1, 1, 1 },    { 16, 32, 1 },  { 17, 33, 2 },  { 48, 95, 3 },
        { 33, 256, 7 }, { 64, 300, 8 }, { 20, 64, 13 }, { 31, 1025, 19 }
    };

    for (int t = WT_INT8; t < WT_COUNT; t++)
        for (size_t s = 0; s < 8; s++)
            for (int extreme = 0; extreme < 2; extreme++) {
                struct product p = { (enum weight_type)t,
                                     shapes[s][0],
                                     shapes[s][1],
                                     shapes[s][2],
                                     NULL,
                                     NULL,
                                     { 0 } };
                size_t K = (size_t)p.K;
                struct err err = { 0 };
                void *own =
                    mem_big(matrix_bytes(p.type, p.n, p.K) + 8, 1, "m", &err);

                p.w = random_floats((size_t)p.n * K, 1, 20 + s);
                p.x = random_floats((size_t)p.T * K, 1, 40 + s);
                for (size_t i = 0; extreme && i < (size_t)p.n * K; i++)
                    p.w[i] = most_extreme(i / K, i % K);
                for (size_t i = 0; extreme && i < (size_t)p.T * K; i++)
                    p.x[i] = most_extreme(i / K, i % K);
                p.m = (struct matrix){ p.type, p.n, p.K,
                                       (char *)own + (extreme ? 2 : 0) };
                matrix_write(&p.m, 0, (size_t)p.n, 0, K, p.w, K, 1);
                compare_truth(&p);
                compare_levels(&p);
                mem_big_free(own);
                free(p.w), free(p.x);
            }
}

/* What is no number does not get lost on its way. */
static void
not_a_number_stays_one(void **state)
{
    static const float bad[] = { NAN, INFINITY, -INFINITY };
    const struct kernels *k;

    for (int t = WT_INT8; t < WT_COUNT; t++)
        for (size_t i = 0; i < 3; i++) {
            struct product p = {
                (enum weight_type)t, 16, 64, 2, NULL, NULL, { 0 }
            };
            struct err err = { 0 };

            p.w = random_floats(16 * 64, 1, 3);
            p.x = random_floats(2 * 64, 1, 4);
            p.x[40] = bad[i];
            p.m = (struct matrix){ p.type, 16, 64,
                                   mem_big(matrix_bytes(p.type, 16, 64), 1, "m",
                                           &err) };
            matrix_write(&p.m, 0, 16, 0, 64, p.w, 64, 1);
            for (int l = 0; (k = kernels_get(l)); l++) {
                float *y = multiply(&p, k->tiled, 2);

                for (int j = 0; j < 16; j++) {
                    assert_false(isfinite(y[j]));
                    assert_true(isfinite(y[16 + j]));
                }
                guarded_free(y, 4 * 32);
            }
            mem_big_free(p.m.data);
            free(p.w), free(p.x);
        }
}

static float *
rows_of(const struct gpt2 *g, const int *ids, int T, int first, int threads)
{
    struct session_options opt = { .n_threads = threads };
    struct err err = { 0 };
    struct session *s = session_new_gpt2(g, &opt, &err);
    size_t V = (size_t)g->V;
    float *out = xcalloc((size_t)T * V, sizeof *out);

    assert_non_null(s);
    for (int n = first; n <= T; n++) {
        assert_true(session_sync(s, ids, (size_t)n, &err));
        memcpy(out + (size_t)(n - 1) * V, session_logits(s), V * sizeof *out);
    }
    session_free(s);
    return out;
}

/* A whole network: near the same one in float64 over the rounded weights, and
 * the same bits with any number of threads. */
static void
a_network_in_every_type(void **state)
{
    static const double near[WT_COUNT] = { 1e-4, 1e-4, 0.15, 0.15 };
    const struct shape shape = { 90, 40, 64, 3, 4, 130, true };
    int ids[30];
    uint64_t seed = 5;

    for (int i = 0; i < 30; i++)
        ids[i] = (int)(random_next(&seed) % 90);
    for (int t = WT_F32; t < WT_COUNT; t++) {
        struct gpt2 *g = random_gpt2(&shape, 0.5f, 7);
        float *one, *three;
        double *want;

        if (t != WT_F32)
            retype_gpt2(g, (enum weight_type)t);
        want = true_logits(g, ids, 30);
        one = rows_of(g, ids, 30, 20, 1);
        three = rows_of(g, ids, 30, 20, 3);
        for (size_t i = 19 * 90; i < 30 * 90; i++) {
            assert_true(one[i] == three[i]);
            if (fabs(one[i] - want[i]) > near[t])
                fail_msg("%s: %.9g instead of %.9g",
                         weight_type_name((enum weight_type)t), one[i],
                         want[i]);
        }
        free(one), free(three), free(want);
        gpt2_free(g);
    }
}

static void
same_rows(const char *form, const struct matrix *got, const struct matrix *f32)
{
    size_t n = (size_t)f32->n_out, K = (size_t)f32->n_in;
    float *row = xcalloc(K, sizeof *row);
    struct err err = { 0 };
    struct matrix want = {
        got->type, f32->n_out, f32->n_in,
        mem_big(matrix_bytes(got->type, f32->n_out, f32->n_in), 1, "m", &err)
    };

    assert_int_equal(got->n_out, f32->n_out);
    assert_int_equal(got->n_in, f32->n_in);
    for (size_t i = 0; i < n; i++) {
        matrix_row(f32, i, row);
        matrix_write(&want, i, 1, 0, K, row, K, 1);
    }
    free(row);
    if (memcmp(want.data, got->data,
               matrix_bytes(got->type, got->n_out, got->n_in)) != 0)
        fail_msg("%s as %s differs", form, weight_type_name(got->type));
    mem_big_free(want.data);
}

/* Every layout of a file, made into every type while it is read: the same as
 * from the whole matrix. */
static void
loading_makes_them(void **state)
{
    static const char *const forms[] = { "f32",    "bf16",   "linear", "shards",
                                         "untied", "legacy", "gpt1",   "grover",
                                         "zip",    "openai" };

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        for (int t = WT_BF16; t < WT_COUNT; t++) {
            const char *name = weight_type_name((enum weight_type)t);
            struct model_options opt = { .no_vocab_needed = true };
            struct err err = { 0 };
            struct model *f = model_open(tiny(forms[i]), &opt, &err), *m;
            const struct gpt2 *a, *b;

            if (!f)
                fail_msg("%s: %s", forms[i], err.msg);
            opt.type = name;
            m = model_open(tiny(forms[i]), &opt, &err);
            if (!m)
                fail_msg("%s as %s: %s", forms[i], name, err.msg);
            assert_string_equal(model_info(m)->type, name);
            assert_int_equal(model_info(m)->n_params, model_info(f)->n_params);
            assert_non_null(strstr(model_arithmetic(m), name));
            a = model_gpt2(f), b = model_gpt2(m);
            same_rows(forms[i], &b->wte, &a->wte);
            same_rows(forms[i], &b->head, &a->head);
            for (int l = 0; l < a->L; l++) {
                same_rows(forms[i], &b->layer[l].qkv, &a->layer[l].qkv);
                same_rows(forms[i], &b->layer[l].o, &a->layer[l].o);
                same_rows(forms[i], &b->layer[l].fc, &a->layer[l].fc);
                same_rows(forms[i], &b->layer[l].proj, &a->layer[l].proj);
                assert_memory_equal(b->layer[l].fc_b, a->layer[l].fc_b,
                                    4 * (size_t)a->F);
            }
            model_close(m), model_close(f);
        }
}

/* auto takes what the file has and keeps a small model exact; a type that is
 * none is refused. */
static void
a_small_model_stays(void **state)
{
    static const char *const cases[][2] = {
        { "f16", "f32" }, { "f32", "f32" }, { "bf16", "bf16" }
    };
    struct model_options opt = { .no_vocab_needed = true, .type = "auto" };
    struct err err = { 0 };

    for (size_t i = 0; i < 3; i++) {
        struct model *m = model_open(tiny(cases[i][0]), &opt, &err);

        assert_non_null(m);
        assert_string_equal(model_info(m)->type, cases[i][1]);
        model_close(m);
    }
    opt.type = "int7";
    assert_null(model_open(tiny("f16"), &opt, &err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.msg, "int7"));
}

static void
types_have_names(void **state)
{
    enum weight_type t = WT_F32;

    for (int i = 0; i < WT_COUNT; i++) {
        assert_true(
            weight_type_find(weight_type_name((enum weight_type)i), &t));
        assert_int_equal(t, i);
    }
    assert_false(weight_type_find("int2", &t));
    assert_false(weight_type_find("", &t));
}

static void
levels_are_refused_by_name(void **state)
{
    char *kept = level_kept();
    struct err err = { 0 };

    setenv("JIELONG_CPU", "abacus", 1);
    assert_false(kernels_check(&err));
    assert_int_equal(err.kind, ERR_USAGE);
    assert_non_null(strstr(err.msg, "abacus"));
    if (strcmp(kernels_get(0)->name, "amx") != 0) {
        setenv("JIELONG_CPU", "amx", 1);
        assert_int_equal(kernels_check(&err), false);
        assert_int_equal(err.kind, ERR_USAGE);
        assert_non_null(strstr(err.msg, "amx"));
    }
    setenv("JIELONG_CPU", "generic", 1);
    assert_true(kernels_check(&err));
    assert_string_equal(kernels_best()->name, "generic");
    setenv("JIELONG_CPU", kernels_get(0)->name, 1);
    assert_true(kernels_check(&err));
    level_back(kept);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_go_both_ways),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(twice_is_once),
        cmocka_unit_test(extreme_weights),
        cmocka_unit_test(tokens_become_int8),
        cmocka_unit_test(products_are_right),
        cmocka_unit_test(not_a_number_stays_one),
        cmocka_unit_test(a_network_in_every_type),
        cmocka_unit_test(loading_makes_them),
        cmocka_unit_test(a_small_model_stays),
        cmocka_unit_test(types_have_names),
        cmocka_unit_test(levels_are_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
