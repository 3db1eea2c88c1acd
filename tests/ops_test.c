/* tests/ops_test.c  Every inner loop of every level of this processor against
 * float64 and plain loops: odd sizes, extreme inputs, and no byte touched
 * beside the output. And the pool that spreads them. */
#include "engine/ops.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <time.h>

#include <cmocka.h>

#include "engine/base/pool.h"
#include "engine/kernels/kernels.h"
#include "tests/random_gpt2.h"

#define GUARD     16
#define GUARD_VAL 12345.0f

/* n floats between guards, at the end of a block so that a sanitizer sees a
 * read past it as well; free with guarded_free, which looks at the guards. */
static float *
guarded(size_t n)
{
    float *p = xcalloc(n + GUARD, sizeof *p);

    for (size_t i = 0; i < GUARD; i++)
        p[i] = GUARD_VAL;
    return p + GUARD;
}

static void
guarded_free(float *p)
{
    for (size_t i = 1; i <= GUARD; i++)
        assert_true(p[-(ptrdiff_t)i] == GUARD_VAL);
    free(p - GUARD);
}

static float *
random_floats(size_t n, float spread, uint64_t seed)
{
    float *p = guarded(n);

    for (size_t i = 0; i < n; i++)
        p[i] = spread * random_float(&seed);
    return p;
}

static void
assert_near(double got, double want, double tolerance, const char *what)
{
    if (!(fabs(got - want) <= tolerance))
        fail_msg("%s: %.9g instead of %.9g", what, got, want);
}

static void
levels_are_known(void **state)
{
    const char *asked = getenv("JIELONG_CPU");

    assert_string_equal(kernels_best()->name,
                        asked ? asked : kernels_get(0)->name);
}

static void
activations_are_right(void **state)
{
    static const float extreme[] = { 0,    -0.0f, 1e-30f, -1e-30f, 5,
                                     -5,   20,    -20,    88,      -88,
                                     1000, -1000, 1e30f,  -1e30f };
    float x[2000 + 14], y[2000 + 14];

    for (int i = 0; i < 2000; i++)
        x[i] = (float)(i - 1000) * 0.01f;
    memcpy(x + 2000, extreme, sizeof extreme);
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (int a = ACT_GELU_TANH; a <= ACT_SILU; a++) {
            memcpy(y, x, sizeof y);
            k->activate((enum activation)a, y, 2000 + 14);
            for (int i = 0; i < 2000 + 14; i++)
                assert_near(y[i], true_act((enum activation)a, x[i]),
                            4e-7 * fmax(1, fabs((double)x[i])), "activation");
            for (int n = 0; n <= 40; n++) { /* any length, nothing beside it */
                float *p = guarded((size_t)n);

                memcpy(p, x + 1100, (size_t)n * sizeof *p);
                k->activate((enum activation)a, p, n);
                assert_memory_equal(p, y + 1100, (size_t)n * sizeof *p);
                guarded_free(p);
            }
        }
}

static void
not_a_number_stays_one(void **state)
{
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (int a = ACT_GELU_TANH; a <= ACT_SILU; a++) {
            float x[20];

            for (int i = 0; i < 20; i++)
                x[i] = NAN;
            k->activate((enum activation)a, x, 20);
            for (int i = 0; i < 20 && a != ACT_RELU; i++)
                assert_true(isnan(x[i]));
        }
}

static void
norm_is_right(void **state)
{
    const struct kernels *k;

    for (int l = 0; (k = kernels_get(l)); l++)
        for (int n = 1; n < 70; n++) {
            float *x = random_floats((size_t)n, 3, 5), *y = guarded((size_t)n);
            float *g = random_floats((size_t)n, 1, 6);
            float *b = random_floats((size_t)n, 1, 7);
            double xd[70], want[70];

            for (int i = 0; i < n; i++)
                xd[i] = x[i] += 10; /* far from zero */
            true_norm(xd, g, b, 1e-5, n, want);
            k->norm(x, g, b, 1e-5f, n, y);
            for (int i = 0; i < n; i++)
                assert_near(y[i], want[i], 1e-4, "norm");
            guarded_free(x), guarded_free(y), guarded_free(g), guarded_free(b);
        }
}

/* Ordinary ones, and what a broken model makes. */
static float
any_number(int i, uint64_t *seed)
{
    static const float odd[] = { 0,      -0.0f,    1e-40f,    -1e-45f, 3e38f,
                                 -3e38f, INFINITY, -INFINITY, NAN,     1e-20f };

    return i % 300 == 299 ? odd[random_next(seed) % 10]
                          : 5 * random_float(seed);
}

static void
assert_same_bits(const float *got, const float *want, int n, const char *what,
                 const struct kernels *k)
{
    for (int i = 0; i < n; i++)
        if (!(isnan(got[i]) && isnan(want[i])) &&
            memcmp(got + i, want + i, sizeof *got) != 0)
            fail_msg("%s, %s: %a instead of %a", k->name, what, got[i],
                     want[i]);
}

/* Every level gives what the generic one gives, to the last bit. */
static void
levels_give_the_same_bits(void **state)
{
    static const int lengths[] = { 1, 7, 15, 16, 17, 33, 255, 768, 1601 };
    enum { MOST = 1601 };
    float x[MOST], g[MOST], b[MOST], want[MOST], got[MOST];
    const struct kernels *k;
    uint64_t seed = 21;

    for (size_t r = 0; r < 9; r++) {
        int n = lengths[r];

        for (int i = 0; i < n; i++) {
            x[i] = any_number(i + (int)r, &seed);
            g[i] = random_float(&seed);
            b[i] = random_float(&seed);
        }
        for (int l = 0; (k = kernels_get(l)); l++) {
            for (int a = ACT_GELU_TANH; a <= ACT_SILU; a++) {
                memcpy(want, x, sizeof x), memcpy(got, x, sizeof x);
                kernels_generic.activate((enum activation)a, want, n);
                k->activate((enum activation)a, got, n);
                assert_same_bits(got, want, n, "activation", k);
            }
            memcpy(want, x, sizeof x), memcpy(got, x, sizeof x);
            kernels_generic.add(want, g, n);
            k->add(got, g, n);
            assert_same_bits(got, want, n, "sum", k);
            for (int i = 0; i < n; i++) /* a norm of NaN is all NaN */
                x[i] = isfinite(x[i]) ? x[i] : 1;
            kernels_generic.norm(x, g, b, 1e-5f, n, want);
            k->norm(x, g, b, 1e-5f, n, got);
            assert_same_bits(got, want, n, "norm", k);
        }
    }
}

/* All three ways after the product, with few tokens and with many. */
static void
linear_is_right(void **state)
{
    static const int tokens[] = { 1, 5, 8, 33, 70 };
    struct ops_limits lim = {
        .T = 70, .n_in = 301, .n_threads = 3
    };
    struct err err = { 0 };
    struct ops *o = ops_new(&lim, &err);

    assert_non_null(o);
    for (size_t i = 0; i < 5; i++)
        for (int after = OPS_STORE; after <= OPS_ACTIVATE; after++) {
            int T = tokens[i];
            size_t n_y = (size_t)T * 201;
            float *w = random_floats(201 * 301, 0.1f, 12);
            float *b = random_floats(201, 1, 13);
            float *x = random_floats((size_t)T * 301, 1, 14);
            float *y = random_floats(n_y, 1, 15);
            float *was = random_floats(n_y, 1, 15);
            struct matrix m = { WT_F32, 201, 301,
                                guarded(matrix_bytes(WT_F32, 201, 301) / 4) };
            struct ops_linear l = { &m, b, (enum ops_after)after,
                                    ACT_GELU_ERF };

            matrix_write(&m, 0, 201, 0, 301, w, 301, 1);
            ops_linear(o, &l, x, T, y);
            for (size_t j = 0; j < n_y; j++) {
                double want = b[j % 201];

                for (size_t k = 0; k < 301; k++)
                    want += (double)w[j % 201 * 301 + k] *
                            (double)x[j / 201 * 301 + k];
                if (after == OPS_ADD)
                    want += was[j];
                else if (after == OPS_ACTIVATE)
                    want = true_act(ACT_GELU_ERF, want);
                assert_near(y[j], want, 1e-5, "linear");
            }
            guarded_free(w), guarded_free(b), guarded_free(x);
            guarded_free(y), guarded_free(was), guarded_free(m.data);
        }
    ops_free(o);
}

/* --- the pool --- */

struct counts {
    int chunk[1000]; /* each written by the one thread that takes it */
    atomic_int calls, strangers;
    int n_threads;
};

static void
count(void *ud, int chunk, int thread)
{
    struct counts *c = ud;

    if (thread < 0 || thread >= c->n_threads)
        atomic_fetch_add(&c->strangers, 1);
    c->chunk[chunk]++;
    atomic_fetch_add(&c->calls, 1);
}

static void
every_chunk_runs_once(void **state)
{
    for (int n_threads = 1; n_threads <= 5; n_threads++) {
        struct pool *p = pool_new(n_threads);
        int total = 0;

        assert_int_equal(pool_threads(p), n_threads);
        for (int n = 0; n < 1000; n += 1 + n / 7) {
            struct counts c = { .n_threads = n_threads };

            pool_run(p, n, count, &c);
            for (int i = 0; i < 1000; i++)
                assert_int_equal(c.chunk[i], i < n ? 1 : 0);
            assert_int_equal(atomic_load(&c.strangers), 0);
            total += atomic_load(&c.calls);
        }
        assert_true(total > 0);
        pool_free(p);
    }
}

static void
nap(long ns)
{
    nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* Many short jobs with pauses of all lengths around the time after which the
 * threads fall asleep. */
static void
sleepers_wake(void **state)
{
    struct pool *p = pool_new(3);
    struct counts c = { .n_threads = 3 };
    int want = 0;

    for (int i = 0; i < 300; i++) {
        pool_run(p, 1 + i % 5, count, &c);
        want += 1 + i % 5;
        if (i % 3 == 0)
            nap(i % 30 * 40000L);
    }
    assert_int_equal(atomic_load(&c.calls), want);
    pool_free(p);
}

static double
cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* While nobody asks for anything, no thread uses the processor. */
static void
idle_costs_nothing(void **state)
{
    struct pool *p = pool_new(4);
    struct counts c = { .n_threads = 4 };
    double t;

    pool_run(p, 100, count, &c);
    nap(100000000); /* they fall asleep */
    t = cpu_seconds();
    nap(200000000);
    assert_true(cpu_seconds() - t < 0.02);
    pool_free(p);
    pool_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_known),
        cmocka_unit_test(activations_are_right),
        cmocka_unit_test(not_a_number_stays_one),
        cmocka_unit_test(norm_is_right),
        cmocka_unit_test(levels_give_the_same_bits),
        cmocka_unit_test(linear_is_right),
        cmocka_unit_test(every_chunk_runs_once),
        cmocka_unit_test(sleepers_wake),
        cmocka_unit_test(idle_costs_nothing),
    };

    return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}
