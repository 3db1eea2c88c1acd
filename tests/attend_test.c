/* tests/attend_test.c  Attention over pages against its definition, bit for
 * bit: every level, any rows in a pass, odd heads, and pages that hold rubbish
 * where nobody may look. And the pages themselves. */
#include "engine/attend.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/matrix.h"

#include "tests/random_gpt2.h"

#define MOST 200 /* positions */

/* --- the definition, as attend.h says it --- */

/* vexp of engine/kernels/vectors.h, one number at a time. */
static float
plain_exp(float x)
{
    const float magic = 12582912.0f;
    volatile float t; /* each operation is rounded to float */
    float n, r, p;
    int e, h;

    x = x < -87.3f ? -87.3f : x;
    x = x > 88.7f ? 88.7f : x;
    t = x * 1.44269504f;
    t = t + magic;
    n = t - magic;
    t = n * 0.693359375f;
    r = x - t;
    t = n * -2.12194440e-4f;
    r = r - t;
    p = 1.0f / 5040;
    for (int i = 0; i < 7; i++) {
        static const float c[] = { 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6,
                                   0.5f,       1.0f,       1.0f };

        t = p * r;
        p = t + c[i];
    }
    e = (int)n;
    h = e >> 1;
    t = p * ldexpf(1, h);
    return t * ldexpf(1, e - h);
}

static float
stored(float x, bool half)
{
    return half ? half_to_float(half_from_float(x)) : x;
}

/* One head of one row: q[d] against n positions, k and v with rows ld apart. */
static void
plain_head(const float *q, const float *k, const float *v, size_t ld, int n,
           int d, float scale, bool half, float *out)
{
    float s[MOST], lane[16] = { 0 }, max = -INFINITY;

    for (int j = 0; j < n; j++) {
        float sum = 0;

        for (int i = 0; i < d; i++)
            sum = fmaf(q[i], stored(k[(size_t)j * ld + (size_t)i], half), sum);
        s[j] = sum * scale;
        max = s[j] > max ? s[j] : max;
    }
    for (int j = 0; j < n; j++) {
        s[j] = plain_exp(s[j] - max);
        lane[j % 16] += s[j];
    }
    for (int w = 8; w > 0; w /= 2)
        for (int i = 0; i < w; i++)
            lane[i] += lane[i + w];
    for (int i = 0; i < d; i++) {
        float total = 0;

        for (int page = 0; page < n; page += KV_PAGE) {
            float part = 0;

            for (int j = page; j < n && j < page + KV_PAGE; j++)
                part = fmaf(s[j], stored(v[(size_t)j * ld + (size_t)i], half),
                            part);
            total += part;
        }
        out[i] = total / lane[0];
    }
}

/* --- one level at a time --- */

struct fixture {
    struct ops *o;
    struct attend *a;
    struct kv_shape shape;
    struct kv_pool *pool;
    struct kv kv;
    int n;      /* tokens of the timeline */
    float *qkv; /* [n][3D], of the layer */
    float *want;
};

static size_t
width(const struct fixture *f)
{
    return (size_t)f->shape.H * (size_t)f->shape.d;
}

/* A timeline whose pages are full of NaN where nothing was written. */
static void
set_up(struct fixture *f, const char *level, int H, int d, bool half, int n,
       float spread)
{
    struct ops_limits lim = { .T = 1, .n_in = 1, .n_threads = 2 };
    struct err err = { 0 };
    uint64_t seed = (uint64_t)(H * 1000 + d);

    assert_int_equal(setenv("JIELONG_CPU", level, 1), 0);
    f->shape =
        (struct kv_shape){ .L = 2, .H = H, .d = d, .P = MOST, .half = half };
    f->o = ops_new(&lim, &err);
    assert_string_equal(ops_level(f->o), level);
    f->a = attend_new(f->o, MOST, d, &err);
    f->pool = kv_pool_new(&f->shape);
    kv_init(&f->kv, f->pool);
    f->n = n;
    assert_true(kv_room(&f->kv, n, &err));
    for (int i = 0; i < f->kv.n_pages; i++)
        memset(f->kv.page[i]->data, 0xff, kv_page_bytes(&f->shape));
    f->qkv = xcalloc((size_t)n * 3 * width(f), sizeof *f->qkv);
    for (size_t i = 0; i < (size_t)n * 3 * width(f); i++)
        f->qkv[i] = spread * random_float(&seed);
    f->want = xcalloc((size_t)n * width(f), sizeof *f->want);
    for (int t = 0; t < n; t++)
        for (int h = 0; h < H; h++) {
            size_t D = width(f), at = (size_t)h * (size_t)d;

            plain_head(f->qkv + (size_t)t * 3 * D + at, f->qkv + D + at,
                       f->qkv + 2 * D + at, 3 * D, t + 1, d, 0.3f, half,
                       f->want + (size_t)t * D + at);
        }
}

static void
tear_down(struct fixture *f)
{
    free(f->qkv);
    free(f->want);
    kv_finish(&f->kv);
    kv_pool_free(f->pool);
    attend_free(f->a);
    ops_free(f->o);
    unsetenv("JIELONG_CPU");
}

/* Tokens from .. from+n-1, the last `wanted` of them as queries. */
static void
run(struct fixture *f, int layer, int from, int n, int wanted)
{
    size_t D = width(f);
    struct attend_row *row = xcalloc((size_t)n, sizeof *row);
    int *query = xcalloc((size_t)n, sizeof *query);
    float *out = xcalloc((size_t)wanted * D + 1, sizeof *out);
    struct attend_pass p = { row, n, query, wanted, &f->shape, layer, 0.3f };

    for (int t = 0; t < n; t++)
        row[t] = (struct attend_row){ &f->kv, from + t };
    for (int t = 0; t < wanted; t++)
        query[t] = n - wanted + t;
    out[(size_t)wanted * D] = 12345;
    attend(f->a, &p, f->qkv + (size_t)from * 3 * D, out);
    assert_true(out[(size_t)wanted * D] == 12345);
    for (size_t i = 0; i < (size_t)wanted * D; i++) {
        float want = f->want[(size_t)(from + n - wanted) * D + i];

        if (memcmp(&out[i], &want, sizeof want) != 0)
            fail_msg("token %zu of %d, number %zu: %a instead of %a", i / D, n,
                     i % D, (double)out[i], (double)want);
    }
    f->kv.n = from + n;
    free(row);
    free(query);
    free(out);
}

static void
every_level_is_the_definition(void **state)
{
    static const int heads[][2] = {
        { 2, 64 }, { 3, 16 }, { 1, 1 }, { 2, 11 }, { 1, 80 }, { 1, 130 },
    };
    static const int cuts[] = { 1, 3, 4, 7, 30, 64, MOST };
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
            for (int half = 0; half < 2; half++) {
                struct fixture f;
                size_t c = (i + (size_t)half) % 7;

                set_up(&f, k->name, heads[i][0], heads[i][1], half,
                       i ? 70 : 150, 2);
                for (int at = 0; at < f.n; c = (c + 1) % 7) {
                    int n = cuts[c] < f.n - at ? cuts[c] : f.n - at;

                    run(&f, 1, at, n, n);
                    at += n;
                }
                kv_cut(&f.kv, 0); /* and at once, only the end looked at */
                assert_true(kv_room(&f.kv, f.n, &(struct err){ 0 }));
                run(&f, 0, 0, f.n, 3);
                tear_down(&f);
            }
}

/* Scores far apart: weights of 0 and of 1, and the greatest half numbers. */
static void
extremes_are_the_definition(void **state)
{
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (int half = 0; half < 2; half++) {
            struct fixture f;

            set_up(&f, k->name, 1, 24, half, 40, half ? 9e4f : 1e4f);
            run(&f, 0, 0, f.n, f.n);
            tear_down(&f);
        }
}

/* Rows of several timelines in one pass, some sharing pages, some alone. */
static void
lanes_are_as_alone(void **state)
{
    enum { LANES = 6, SPLIT = 70, N = 90 };
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++) {
        struct fixture f;
        struct kv lane[LANES];
        struct attend_row row[LANES];
        int query[LANES] = { 0, 1, 2, 3, 4, 5 };
        struct err err = { 0 };
        float *out;
        size_t D;

        set_up(&f, k->name, 2, 20, true, N, 1);
        D = width(&f);
        out = xcalloc(LANES * D, sizeof *out);
        run(&f, 0, 0, SPLIT, 1);
        for (int i = 0; i < LANES; i++) {
            kv_init(&lane[i], f.pool);
            kv_fork(&lane[i], &f.kv, SPLIT - i);
        }
        /* Lane i writes the same tokens i places later than lane 0. */
        for (int t = 0; t < 10; t++) {
            float *qkv = xcalloc(LANES * 3 * D, sizeof *qkv);
            struct attend_pass p = {
                row, LANES, query, LANES, &f.shape, 0, 0.3f
            };

            for (int i = 0; i < LANES; i++) {
                int at = SPLIT - i + t;

                assert_true(kv_room(&lane[i], at + 1, &err));
                row[i] = (struct attend_row){ &lane[i], at };
                memcpy(qkv + (size_t)i * 3 * D, f.qkv + (size_t)at * 3 * D,
                       3 * D * sizeof *qkv);
            }
            attend(f.a, &p, qkv, out);
            for (int i = 0; i < LANES; i++) {
                lane[i].n++;
                assert_memory_equal(out + (size_t)i * D,
                                    f.want + (size_t)(SPLIT - i + t) * D,
                                    D * sizeof *out);
            }
            free(qkv);
        }
        for (int i = 0; i < LANES; i++)
            kv_finish(&lane[i]);
        free(out);
        tear_down(&f);
    }
}

static void
halves_are_rounded_as_everywhere(void **state)
{
    static const float odd[] = { 0,      -0.0f,    1e-8f,    -3e-8f, 6e-5f,
                                 65504,  65519,    65520,    -1e9f,  1.0005f,
                                 1.001f, 0x1p-14f, 0x1p-24f, 2049,   2051 };
    const struct kernels *k;
    uint64_t seed = 1;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (int round = 0; round < 200; round++) {
            unsigned short page[KV_PAGE * (5 + 16)] = { 0 };
            float x[5], y[5];

            for (int i = 0; i < 5; i++) {
                x[i] = round < 3 ? odd[round * 5 + i]
                                 : ldexpf(random_float(&seed),
                                          (int)(random_next(&seed) % 44) - 27);
                y[i] = -x[i];
            }
            k->attend->page[1].put(x, y, 5, 37, page);
            for (int i = 0; i < 5; i++) {
                assert_int_equal(page[2 * 16 * 5 + i * 16 + 5],
                                 half_from_float(x[i]));
                assert_int_equal(page[KV_PAGE * 5 + 37 * 16 + i],
                                 half_from_float(y[i]));
            }
        }
}

static void
softmax_is_right(void **state)
{
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (int n = 1; n < 70; n++) {
            uint64_t seed = (uint64_t)n;
            float s[80], was[80];
            double max = -INFINITY, sum = 0;

            for (int i = 0; i < 80; i++)
                s[i] = was[i] = 200 * random_float(&seed);
            for (int i = 0; i < n; i++)
                max = fmax(max, was[i]);
            for (int i = 0; i < n; i++)
                sum += exp((double)0.3f * ((double)was[i] - max));
            assert_true(fabs((double)k->attend->softmax(s, n, 0.3f) - sum) <=
                        2e-5 * sum);
            for (int i = 0; i < n; i++)
                assert_true(fabs((double)s[i] -
                                 exp((double)0.3f * ((double)was[i] - max))) <=
                            2e-5);
        }
}

/* --- pages --- */

static const struct kv_shape pages = {
    .L = 2, .H = 2, .d = 8, .P = 1000, .half = false
};

static void
mark(struct kv *kv, int at, float x)
{
    float k[8], v[8];

    for (int i = 0; i < 8; i++)
        k[i] = v[i] = x + (float)i;
    for (int l = 0; l < 2; l++)
        for (int h = 0; h < 2; h++)
            attend_generic.page[0].put(k, v, 8, at % KV_PAGE,
                                       kv_head(kv, at / KV_PAGE, l, h));
}

/* Number 3 of the key at `at`. */
static float
key_at(const struct kv *kv, int at)
{
    const float *page = kv_head(kv, at / KV_PAGE, 1, 1);
    int in = at % KV_PAGE;

    return page[in / 16 * 16 * 8 + 3 * 16 + in % 16];
}

static void
write_to(struct kv *kv, int n, float x)
{
    struct err err = { 0 };

    assert_true(kv_room(kv, n, &err));
    for (; kv->n < n; kv->n++)
        mark(kv, kv->n, x);
}

static void
pages_are_shared_and_copied_on_write(void **state)
{
    struct kv_pool *pool = kv_pool_new(&pages);
    size_t page = kv_page_bytes(&pages);
    struct kv a, b, c;

    kv_init(&a, pool), kv_init(&b, pool), kv_init(&c, pool);
    assert_int_equal(kv_pool_bytes(pool), 0);
    write_to(&a, 150, 1);
    assert_int_equal(kv_pool_bytes(pool), 3 * page);
    kv_fork(&b, &a, 150);
    kv_fork(&c, &a, 130);
    assert_int_equal(kv_pool_bytes(pool), 3 * page);
    write_to(&b, 160, 100); /* a copy of the third page */
    assert_int_equal(kv_pool_bytes(pool), 4 * page);
    write_to(&c, 160, 200); /* and one more */
    assert_int_equal(kv_pool_bytes(pool), 5 * page);
    write_to(&a, 160, 300); /* its own by now */
    assert_int_equal(kv_pool_bytes(pool), 5 * page);
    assert_true(a.page[1] == b.page[1] && b.page[1] == c.page[1]);
    for (int at = 0; at < 160; at++) {
        assert_true(key_at(&a, at) == (at < 150 ? 4 : 303));
        assert_true(key_at(&b, at) == (at < 150 ? 4 : 103));
        assert_true(key_at(&c, at) == (at < 130 ? 4 : 203));
    }
    kv_cut(&a, 20); /* back into a shared page, and on again */
    write_to(&a, 40, 400);
    assert_int_equal(kv_pool_bytes(pool), 5 * page); /* a page was free */
    assert_true(key_at(&a, 19) == 4 && key_at(&a, 20) == 403);
    assert_true(key_at(&b, 20) == 4 && key_at(&c, 39) == 4);
    kv_finish(&b);
    kv_finish(&c);
    write_to(&a, 320, 500); /* from what the others gave back */
    assert_int_equal(kv_pool_bytes(pool), 5 * page);
    kv_finish(&a);
    kv_pool_free(pool);
}

/* More timelines than one slab has pages for. */
static void
slabs_are_added(void **state)
{
    struct kv_pool *pool = kv_pool_new(&pages);
    struct kv kv[5];

    for (int i = 0; i < 5; i++) {
        kv_init(&kv[i], pool);
        write_to(&kv[i], 1000, (float)i);
    }
    for (int i = 0; i < 5; i++)
        for (int at = 0; at < 1000; at += 37)
            assert_true(key_at(&kv[i], at) == (float)i + 3);
    for (int i = 0; i < 5; i++)
        kv_finish(&kv[i]);
    kv_pool_free(pool);
}

static void
no_room_is_an_error(void **state)
{
    /* A page alone is larger than any memory. */
    struct kv_shape huge = { .L = 1 << 20, .H = 1 << 20, .d = 256, .P = 64 };
    struct kv_pool *pool = kv_pool_new(&huge);
    struct err err = { 0 };
    struct kv kv;

    kv_init(&kv, pool);
    assert_false(kv_room(&kv, 1, &err));
    assert_int_equal(err.kind, ERR_MEMORY);
    assert_int_equal(kv.n_pages, 0);
    kv_finish(&kv);
    kv_pool_free(pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_is_the_definition),
        cmocka_unit_test(extremes_are_the_definition),
        cmocka_unit_test(lanes_are_as_alone),
        cmocka_unit_test(halves_are_rounded_as_everywhere),
        cmocka_unit_test(softmax_is_right),
        cmocka_unit_test(pages_are_shared_and_copied_on_write),
        cmocka_unit_test(slabs_are_added),
        cmocka_unit_test(no_room_is_an_error),
    };

    return cmocka_run_group_tests_name("attend", tests, NULL, NULL);
}
