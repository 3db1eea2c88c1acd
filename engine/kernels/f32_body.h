/* engine/kernels/f32_body.h  The inner loops of f32 beside the products,
 * written once: activations, sums, norms; and the table of a level.
 *
 * Included by one file for each instruction set, which defines VW (floats in
 * a vector), SLOW_PRODUCTS and what product_body.h asks for, and ends with
 * TABLE(). Everything is over the compilers' vector types, so the code says
 * what is computed and the level only how wide.
 */
#include <string.h>

#include "engine/kernels/product_body.h"
#include "engine/kernels/vectors.h"

/* --- functions of one argument --- */

INLINE vf
act_one(enum activation act, vf x)
{
    switch (act) {
    case ACT_GELU_TANH: { /* (1 + tanh u) / 2 = 1 / (1 + e^-2u) */
        vf u = x * 0.7978845608028654f * (1.0f + 0.044715f * x * x);

        return x / (1.0f + vexp(-2.0f * u));
    }
    case ACT_GELU_ERF: { /* x (1 + erf(x / sqrt 2)) / 2, by its two tails */
        vf h = 0.5f * x * verfc(pick(x < 0, -x, x) * 0.7071067811865476f);

        return pick(x < 0, h, x - h);
    }
    case ACT_QUICK_GELU: return x / (1.0f + vexp(-1.702f * x));
    case ACT_SILU: return x / (1.0f + vexp(-x));
    case ACT_TANH: return 1.0f - 2.0f / (1.0f + vexp(2.0f * x));
    case ACT_RELU: break;
    }
    return pick(x > 0, x, all(0));
}

#define ACT_LOOP(act)                                             \
    case act:                                                     \
        for (; i + VW <= n; i += VW)                              \
            store(x + i, act_one(act, load(x + i)));              \
        if (i < n)                                                \
            store_part(x + i, n - i,                              \
                       act_one(act, load_part(x + i, n - i, 0))); \
        break

static void
activate(enum activation act, float *x, int n)
{
    int i = 0;

    switch (act) {
        ACT_LOOP(ACT_GELU_TANH);
        ACT_LOOP(ACT_GELU_ERF);
        ACT_LOOP(ACT_QUICK_GELU);
        ACT_LOOP(ACT_SILU);
        ACT_LOOP(ACT_TANH);
        ACT_LOOP(ACT_RELU);
    }
}

static void
add(float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++)
        x[i] += y[i];
}

/* Sums in sixteen lanes. */
static void
norm(const float *x, const float *g, const float *b, float eps, int n, float *y)
{
    struct lanes16 s = lanes16_all(0), q = s;
    float mean, r, last[16] = { 0 };
    int i = 0;

    for (; i + 16 <= n; i += 16)
        for (int h = 0; h < N16; h++)
            s.v[h] += load(x + i + h * VW);
    for (int j = 0; i + j < n; j++)
        last[j] = x[i + j];
    for (int h = 0; h < N16; h++)
        s.v[h] += load(last + h * VW);
    mean = lanes16_sum(s) / (float)n;
    for (i = 0; i + 16 <= n; i += 16)
        for (int h = 0; h < N16; h++) {
            vf c = load(x + i + h * VW) - mean;

            q.v[h] += c * c;
        }
    for (int j = 0; i + j < n; j++)
        last[j] = x[i + j] - mean;
    for (int h = 0; h < N16; h++) {
        vf c = load(last + h * VW);

        q.v[h] += c * c;
    }
    r = 1.0f / sqrtf(lanes16_sum(q) / (float)n + eps);
    for (i = 0; i < n; i++)
        y[i] = (x[i] - mean) * r * g[i] + b[i];
}

#define TABLE(level, its_name, its_tiled, its_attend)                    \
    const struct kernels level = {                                       \
        .name = its_name,                                                \
        .tokens = TOKENS,                                                \
        .pack_tokens = pack_tokens,                                      \
        .product = { [WT_F32] = product_f32, [WT_BF16] = product_bf16 }, \
        .tiled = its_tiled,                                              \
        .attend = its_attend,                                            \
        .slow_products = SLOW_PRODUCTS,                                  \
        .activate = activate,                                            \
        .add = add,                                                      \
        .norm = norm,                                                    \
    }
