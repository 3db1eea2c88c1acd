/* tests/gpt2_test.c  The forward pass against float64, and against itself:
 * cached against whole, cut against whole, heads in another order. */
#include "engine/gpt2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/kernels/kernels.h"
#include "tests/level.h"
#include "tests/random_gpt2.h"

/* Of the largest logit, or of 1: what float32 sums may lose on the way. (The
 * recorded models, whose logits reach 10, are allowed 2e-5.) */
#define TRUTH 1e-6

static const struct shape small = { 61, 48, 32, 3, 4, 96, false };

static void
random_ids(int *ids, int n, int V, uint64_t seed)
{
    for (int i = 0; i < n; i++)
        ids[i] = (int)(random_next(&seed) % (uint64_t)V);
}

/* One timeline alone. */
static bool
run(const struct gpt2 *g, struct gpt2_scratch *s, struct kv *kv, const int *ids,
    int n, float *logits, int wanted, const atomic_bool *cancel)
{
    struct gpt2_part part = { kv, ids, n, wanted };
    struct err err = { 0 };

    return gpt2_forward(g, s, &part, 1, logits, cancel, &err);
}

/* All rows of ids[T], in passes of at most `step` tokens; given. */
static float *
rows_of(const struct gpt2 *g, const int *ids, int T, int step)
{
    float *out = xcalloc((size_t)T * (size_t)g->V, sizeof *out);
    struct gpt2_scratch *s;
    struct err err = { 0 };
    struct kv_shape pages = gpt2_kv_shape(g);
    struct kv_pool *pool = kv_pool_new(&pages);
    struct kv kv;

    kv_init(&kv, pool);
    s = gpt2_scratch_new(g, step, 2, false, &err);
    assert_non_null(s);
    for (int t = 0; t < T; t += step) {
        int n = T - t < step ? T - t : step;

        assert_true(run(g, s, &kv, ids + t, n, out + (size_t)t * (size_t)g->V,
                        n, NULL));
        assert_int_equal(kv.n, t + n);
    }
    gpt2_scratch_free(s);
    kv_finish(&kv);
    kv_pool_free(pool);
    return out;
}

static double
distance(const float *a, const float *b, size_t n)
{
    double max = 0;

    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - (double)b[i]);

        max = e > max || isnan(e) ? e : max;
    }
    return max;
}

static double
distance_true(const float *a, const double *b, size_t n)
{
    double max = 0;

    for (size_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - b[i]);

        max = e > max || isnan(e) ? e : max;
    }
    return max;
}

static double
allowed(const double *want, size_t n)
{
    double max = 1;

    for (size_t i = 0; i < n; i++)
        max = fabs(want[i]) > max ? fabs(want[i]) : max;
    return max * TRUTH;
}

/* Passes of 1, a few and all tokens against the truth. */
static void
check_truth(const struct gpt2 *g, int T)
{
    static const int steps[] = { 1, 3, 7, 24, 1000 };
    int *ids = xcalloc((size_t)T, sizeof *ids);
    size_t n = (size_t)T * (size_t)g->V;
    double *want, tolerance;

    random_ids(ids, T, g->V, 99);
    want = true_logits(g, ids, T);
    tolerance = allowed(want, n);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        float *got = rows_of(g, ids, T, steps[i] < T ? steps[i] : T);
        double e = distance_true(got, want, n);

        if (!(e <= tolerance))
            print_error("passes of %d tokens are %g off, %g allowed\n",
                        steps[i], e, tolerance);
        assert_true(e <= tolerance);
        free(got);
    }
    free(want);
    free(ids);
}

static void
shapes_agree_with_float64(void **state)
{
    static const struct shape shapes[] = {
        { 61, 48, 32, 3, 4, 96, false },
        { 61, 48, 32, 3, 4, 96, true },    /* a head of its own */
        { 7, 9, 5, 2, 1, 3, false },       /* nothing is a multiple of 4 */
        { 130, 40, 66, 2, 6, 101, true },  /* odd heads of 11 */
        { 50, 90, 128, 2, 1, 260, false }, /* one head of 128 */
        { 33, 40, 48, 1, 48, 8, false },   /* heads of one number */
        { 40, 20, 300, 1, 5, 700, false }, /* deeper than one tile */
        { 20, 10, 8, 0, 2, 8, false },     /* no layers at all */
    };

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct gpt2 *g = random_gpt2(&shapes[i], 0.5f, i + 1);

        check_truth(g, g->P);
        gpt2_free(g);
    }
}

static void
flags_agree_with_float64(void **state)
{
    for (int flags = 0; flags < 4; flags++) {
        struct gpt2 *g = random_gpt2(&small, 0.5f, 3);

        g->scale_attn = flags & 1;
        g->scale_by_layer = flags & 2;
        g->eps = 1e-3f;
        check_truth(g, g->P);
        gpt2_free(g);
    }
}

/* Each activation is right, and no two give the same logits. */
static void
activations_are_told_apart(void **state)
{
    static const enum activation acts[] = { ACT_GELU_TANH,  ACT_GELU_ERF,
                                            ACT_QUICK_GELU, ACT_RELU,
                                            ACT_TANH,       ACT_SILU };
    struct gpt2 *g = random_gpt2(&small, 1, 4);
    size_t n = 20 * (size_t)g->V;
    float *rows[6];
    int ids[20];

    random_ids(ids, 20, g->V, 5);
    for (int i = 0; i < 6; i++) {
        double *want;

        g->act = acts[i];
        rows[i] = rows_of(g, ids, 20, 20);
        want = true_logits(g, ids, 20);
        assert_true(distance_true(rows[i], want, n) <= allowed(want, n));
        free(want);
        for (int j = 0; j < i; j++)
            assert_true(distance(rows[i], rows[j], n) > 1e-4);
    }
    for (int i = 0; i < 6; i++)
        free(rows[i]);
    gpt2_free(g);
}

static void
cached_equals_recomputed(void **state)
{
    static const int steps[] = { 1, 3, 7, 8, 24 };
    struct gpt2 *g = random_gpt2(&small, 0.5f, 6);
    int T = g->P;
    int ids[48];
    float *whole;

    random_ids(ids, T, g->V, 7);
    whole = rows_of(g, ids, T, T);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        float *cut = rows_of(g, ids, T, steps[i]);

        assert_true(distance(cut, whole, (size_t)T * (size_t)g->V) <= 1e-5);
        free(cut);
    }
    free(whole);
    gpt2_free(g);
}

/* A row does not depend on the tokens after it. */
static void
attention_is_causal(void **state)
{
    struct gpt2 *g = random_gpt2(&small, 1, 8);
    size_t V = (size_t)g->V;
    int a[48], b[48];
    float *ra, *rb;

    random_ids(a, 48, g->V, 9);
    memcpy(b, a, sizeof a);
    for (int i = 30; i < 48; i++)
        b[i] = (a[i] + 1) % g->V;
    ra = rows_of(g, a, 48, 48);
    rb = rows_of(g, b, 48, 48);
    assert_memory_equal(ra, rb, 30 * V * sizeof *ra);
    assert_true(distance(ra + 30 * V, rb + 30 * V, 18 * V) > 0.01);
    free(ra);
    free(rb);
    gpt2_free(g);
}

static void
swap_floats(const float *a, const float *b, size_t n)
{
    float *x = (float *)(uintptr_t)a, *y = (float *)(uintptr_t)b;

    for (size_t i = 0; i < n; i++) {
        float t = x[i];

        x[i] = y[i];
        y[i] = t;
    }
}

/* n inputs or outputs from a on and from b on change places. */
static void
swap_parts(const struct matrix *m, size_t a, size_t b, size_t n, bool inputs)
{
    size_t rows = (size_t)m->n_out, K = (size_t)m->n_in;
    float *w = xcalloc(rows * K, sizeof *w);

    for (size_t i = 0; i < rows; i++)
        matrix_row(m, i, w + i * K);
    for (size_t i = 0; i < rows && inputs; i++)
        swap_floats(w + i * K + a, w + i * K + b, n);
    if (!inputs)
        swap_floats(w + a * K, w + b * K, n * K);
    matrix_write(m, 0, rows, 0, K, w, K, 1);
    free(w);
}

/* Two heads change places with all their weights: nothing may change. */
static void
heads_have_no_order(void **state)
{
    struct gpt2 *g = random_gpt2(&small, 0.5f, 10);
    size_t D = (size_t)g->D, d = D / (size_t)g->H;
    int ids[30];
    float *before, *after;

    random_ids(ids, 30, g->V, 11);
    before = rows_of(g, ids, 30, 30);
    for (int l = 0; l < g->L; l++) {
        const struct gpt2_layer *w = &g->layer[l];

        for (size_t part = 0; part < 3; part++) {
            size_t h1 = part * D + d, h3 = part * D + 3 * d;

            swap_parts(&w->qkv, h1, h3, d, false);
            swap_floats(w->qkv_b + h1, w->qkv_b + h3, d);
        }
        swap_parts(&w->o, d, 3 * d, d, true);
    }
    after = rows_of(g, ids, 30, 30);
    assert_true(distance(before, after, 30 * (size_t)g->V) <= 1e-5);
    free(before);
    free(after);
    gpt2_free(g);
}

/* Any level of this processor, any cut of the text: not one bit differs, for
 * any type of weights. */
static void
one_result_everywhere(void **state)
{
    static const int steps[] = { 1, 2, 5, 12, 13, 31, 90 };
    const struct shape shape = { 61, 96, 80, 2, 5, 300, true };
    char *kept = level_kept();
    const struct kernels *k;
    int ids[90];

    random_ids(ids, 90, shape.V, 5);
    for (int type = WT_F32; type < WT_COUNT; type++) {
        struct gpt2 *g = random_gpt2(&shape, 0.7f, 3);
        float *want = NULL;

        if (type != WT_F32)
            retype_gpt2(g, (enum weight_type)type);
        for (int l = 0; (k = kernels_get(l)); l++)
            for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
                float *got;

                setenv("JIELONG_CPU", k->name, 1);
                got = rows_of(g, ids, 90, steps[i]);
                want = want ? want : got;
                if (memcmp(got, want, 90 * 61 * sizeof *got) != 0)
                    fail_msg("%s on %s in passes of %d differs",
                             weight_type_name((enum weight_type)type), k->name,
                             steps[i]);
                if (got != want)
                    free(got);
            }
        free(want);
        gpt2_free(g);
    }
    level_back(kept);
}

/* Only the last row, or none, is asked for: the same row, the same cache. */
static void
last_row_alone(void **state)
{
    struct gpt2 *g = random_gpt2(&small, 0.5f, 12);
    size_t V = (size_t)g->V;
    struct err err = { 0 };
    struct gpt2_scratch *s = gpt2_scratch_new(g, 40, 2, false, &err);
    float *all, last[61], after[61];
    struct kv_shape pages = gpt2_kv_shape(g);
    struct kv_pool *pool = kv_pool_new(&pages);
    struct kv kv;
    int ids[41];

    random_ids(ids, 41, g->V, 13);
    all = rows_of(g, ids, 41, 41);
    kv_init(&kv, pool);
    assert_true(run(g, s, &kv, ids, 30, last, 1, NULL));
    assert_true(distance(last, all + 29 * V, V) <= 1e-5);
    assert_true(run(g, s, &kv, ids + 30, 10, NULL, 0, NULL));
    assert_true(run(g, s, &kv, ids + 40, 1, after, 1, NULL));
    assert_true(distance(after, all + 40 * V, V) <= 1e-5);
    assert_int_equal(kv.n, 41);
    free(all);
    kv_finish(&kv);
    kv_pool_free(pool);
    gpt2_scratch_free(s);
    gpt2_free(g);
}

static void
cancel_changes_nothing(void **state)
{
    struct gpt2 *g = random_gpt2(&small, 0.5f, 14);
    struct err err = { 0 };
    struct gpt2_scratch *s = gpt2_scratch_new(g, 20, 2, false, &err);
    float before[61], after[61];
    atomic_bool cancel = true, go_on = false;
    struct kv_shape pages = gpt2_kv_shape(g);
    struct kv_pool *pool = kv_pool_new(&pages);
    struct kv kv;
    int ids[20];

    random_ids(ids, 20, g->V, 15);
    kv_init(&kv, pool);
    assert_true(run(g, s, &kv, ids, 10, NULL, 0, &go_on));
    assert_false(run(g, s, &kv, ids + 10, 10, before, 1, &cancel));
    assert_int_equal(kv.n, 10);
    cancel = false;
    assert_true(run(g, s, &kv, ids + 10, 10, before, 1, &cancel));
    assert_int_equal(kv.n, 20);
    kv_cut(&kv, 10); /* back, and once more */
    assert_true(run(g, s, &kv, ids + 10, 10, after, 1, NULL));
    assert_memory_equal(before, after, sizeof before);
    kv_finish(&kv);
    kv_pool_free(pool);
    gpt2_scratch_free(s);
    gpt2_free(g);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_agree_with_float64),
        cmocka_unit_test(flags_agree_with_float64),
        cmocka_unit_test(activations_are_told_apart),
        cmocka_unit_test(cached_equals_recomputed),
        cmocka_unit_test(attention_is_causal),
        cmocka_unit_test(heads_have_no_order),
        cmocka_unit_test(one_result_everywhere),
        cmocka_unit_test(last_row_alone),
        cmocka_unit_test(cancel_changes_nothing),
    };

    return cmocka_run_group_tests_name("gpt2", tests, NULL, NULL);
}
