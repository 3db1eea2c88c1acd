/* engine/kernels/f32_body.h  The f32 inner loops, written once.
 *
 * Included by one file for each instruction set, which defines VW (floats in
 * a vector), TILE (rows of the matrix product's register tile) and SLOW_PRODUCTS, and ends with TABLE(). Everything is over the compilers' vector types, so the code says
 * what is computed and the level only how wide.
 */
#include <string.h>

#include "engine/kernels/product_body.h"
#include "engine/kernels/vectors.h"

#define NR (2 * VW) /* tokens in a panel */

#ifdef VFMA_IS_SLOW
#    define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#else
#    define MULTIPLY_ADD(a, b, c) vfma(a, b, c)
#endif

/* The vector folded down to four sums. */
INLINE v4
fold(vf v)
{
#if VW == 16
    typedef float v8 __attribute__((vector_size(32)));
    v8 h = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
           __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
#else
    vf h = v;
#endif
#if VW >= 8
    return __builtin_shufflevector(h, h, 0, 1, 2, 3) +
           __builtin_shufflevector(h, h, 4, 5, 6, 7);
#else
    return h;
#endif
}

/* The sums of four vectors, side by side. */
INLINE v4
sum4(vf a, vf b, vf c, vf d)
{
    v4 fa = fold(a), fb = fold(b), fc = fold(c), fd = fold(d);
    v4 ab = __builtin_shufflevector(fa, fb, 0, 4, 1, 5) +
            __builtin_shufflevector(fa, fb, 2, 6, 3, 7);
    v4 cd = __builtin_shufflevector(fc, fd, 0, 4, 1, 5) +
            __builtin_shufflevector(fc, fd, 2, 6, 3, 7);

    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) +
           __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

INLINE float
sum_of(vf v)
{
    v4 f = fold(v);

    return (f[0] + f[2]) + (f[1] + f[3]); /* in the order of sum4() */
}

INLINE float
max_of(vf v)
{
    float t[VW], m;

    store(t, v);
    m = t[0];
    for (int i = 1; i < VW; i++)
        m = t[i] > m ? t[i] : m;
    return m;
}

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

/* --- few tokens: rows of w against rows of x --- */

#define ROWS 4 /* as many as sum4() takes */

/* The order of the sums depends on K and on how many tokens share a pass over
 * the row, never on which rows stand beside it. */

/* A row against one token, in one run; four sums keep the adders busy. */
INLINE vf
dot(const float *w, int K, const float *x)
{
    vf s0 = all(0), s1 = all(0), s2 = all(0), s3 = all(0);
    int k = 0;

    for (; k + 4 * VW <= K; k += 4 * VW) {
        s0 = MULTIPLY_ADD(load(w + k), load(x + k), s0);
        s1 = MULTIPLY_ADD(load(w + k + VW), load(x + k + VW), s1);
        s2 = MULTIPLY_ADD(load(w + k + 2 * VW), load(x + k + 2 * VW), s2);
        s3 = MULTIPLY_ADD(load(w + k + 3 * VW), load(x + k + 3 * VW), s3);
    }
    for (; k + VW <= K; k += VW)
        s0 = MULTIPLY_ADD(load(w + k), load(x + k), s0);
    if (k < K)
        s1 += load_part(w + k, K - k, 0) * load_part(x + k, K - k, 0);
    return (s0 + s1) + (s2 + s3);
}

/* `rows` rows against t tokens, both constants at every call. */
INLINE void
dots_block(const float *w, size_t ldw, int rows, int K, const float *x,
           size_t ldx, int t, float *y, size_t ldy)
{
    vf s[4][ROWS] = { 0 };
    int k = 0;

    for (; k + VW <= K && t > 1; k += VW) {
        vf v[ROWS];

        for (int r = 0; r < rows; r++)
            v[r] = load(w + r * ldw + k);
        for (int j = 0; j < t; j++)
            for (int r = 0; r < rows; r++)
                s[j][r] = MULTIPLY_ADD(v[r], load(x + j * ldx + k), s[j][r]);
    }
    for (int r = 0; r < rows && t > 1 && k < K; r++) {
        vf v = load_part(w + r * ldw + k, K - k, 0);

        for (int j = 0; j < t; j++)
            s[j][r] += v * load_part(x + j * ldx + k, K - k, 0);
    }
    for (int r = 0; r < rows && t == 1; r++)
        s[0][r] = dot(w + r * ldw, K, x);
    for (int j = 0; j < t; j++)
        if (rows == ROWS)
            *(v4mem *)(y + j * ldy) = sum4(s[j][0], s[j][1], s[j][2], s[j][3]);
        else
            y[j * ldy] = sum_of(s[j][0]);
}

INLINE void
dots_rows(const float *w, size_t ldw, int rows, int K, const float *x,
          size_t ldx, int T, float *y, size_t ldy)
{
    int j = 0;

    for (; j + 4 <= T; j += 4)
        dots_block(w, ldw, rows, K, x + j * ldx, ldx, 4, y + j * ldy, ldy);
    for (; j + 2 <= T; j += 2)
        dots_block(w, ldw, rows, K, x + j * ldx, ldx, 2, y + j * ldy, ldy);
    if (j < T)
        dots_block(w, ldw, rows, K, x + j * ldx, ldx, 1, y + j * ldy, ldy);
}

static void
dots(const float *w, size_t ldw, int n, int K, const float *x, size_t ldx,
     int T, float *y, size_t ldy)
{
    int i = 0;

    for (; i + ROWS <= n; i += ROWS)
        dots_rows(w + i * ldw, ldw, ROWS, K, x, ldx, T, y + i, ldy);
    for (; i < n; i++)
        dots_rows(w + i * ldw, ldw, 1, K, x, ldx, T, y + i, ldy);
}

/* --- many tokens: tiles of TILE rows by one panel --- */

static void
pack(const float *x, size_t ldx, int T, int K, float c, int width, float *xp)
{
    size_t ld = (size_t)width;
    int t = 0;

    for (; t + 4 <= T; t += 4) {
        const float *p = x + t * ldx;
        int k = 0;

        for (; k + 4 <= K; k += 4) {
            v4 o[4];

            transpose4((const v4mem *)(p + k), (const v4mem *)(p + ldx + k),
                       (const v4mem *)(p + 2 * ldx + k),
                       (const v4mem *)(p + 3 * ldx + k), o);
            for (int i = 0; i < 4; i++)
                *(v4mem *)(xp + (size_t)(k + i) * ld + t) = o[i] * c;
        }
        for (; k < K; k++)
            for (int i = 0; i < 4; i++)
                xp[(size_t)k * ld + t + i] = p[i * ldx + k] * c;
    }
    for (; t < width; t++)
        for (int k = 0; k < K; k++)
            xp[(size_t)k * ld + t] = t < T ? x[t * ldx + k] * c : 0;
}

static void
unpack(const float *c, int n, int T, int width, float *y, size_t ldy)
{
    size_t ld = (size_t)width;
    int t = 0;

    for (; t + 4 <= T; t += 4) {
        int i = 0;

        for (; i + 4 <= n; i += 4) {
            const float *p = c + (size_t)i * ld + t;
            v4 o[4];

            transpose4((const v4mem *)p, (const v4mem *)(p + ld),
                       (const v4mem *)(p + 2 * ld), (const v4mem *)(p + 3 * ld),
                       o);
            for (int j = 0; j < 4; j++)
                *(v4mem *)(y + (t + j) * ldy + i) = o[j];
        }
        for (; i < n; i++)
            for (int j = 0; j < 4; j++)
                y[(t + j) * ldy + i] = c[(size_t)i * ld + t + j];
    }
    for (; t < T; t++)
        for (int i = 0; i < n; i++)
            y[t * ldy + i] = c[(size_t)i * ld + t];
}

/* n rows (<= TILE) by m vectors, both constants at every call: n * m sums in
 * registers. */
INLINE void
tile_rows(const float *w, size_t rs, size_t cs, int n, int m, int K,
          const float *xp, float *out, bool sum)
{
    vf s[TILE][2] = { 0 };

    for (int k = 0; k < K; k++) {
        vf x0 = load(xp), x1 = m > 1 ? load(xp + VW) : x0;

        for (int i = 0; i < n; i++) {
            float wi = w[i * rs];

            s[i][0] = MULTIPLY_ADD(all(wi), x0, s[i][0]);
            if (m > 1)
                s[i][1] = MULTIPLY_ADD(all(wi), x1, s[i][1]);
        }
        w += cs;
        xp += m * VW;
    }
    for (int i = 0; i < n; i++)
        for (int h = 0; h < m; h++) { /* added late: short sums lose less */
            float *p = out + (i * m + h) * VW;

            store(p, sum ? load(p) + s[i][h] : s[i][h]);
        }
}

INLINE void
tile_columns(const float *w, size_t rs, size_t cs, int n, int m, int K,
             const float *xp, float *out, bool sum)
{
    int i = 0;

    for (; i + TILE <= n; i += TILE)
        tile_rows(w + i * rs, rs, cs, TILE, m, K, xp, out + i * m * VW, sum);
    for (; i + 4 <= n; i += 4)
        tile_rows(w + i * rs, rs, cs, 4, m, K, xp, out + i * m * VW, sum);
    for (; i < n; i++)
        tile_rows(w + i * rs, rs, cs, 1, m, K, xp, out + i * m * VW, sum);
}

static void
tile(const float *w, size_t rs, size_t cs, int n, int K, const float *xp,
     int width, float *out, bool sum)
{
    if (width == NR)
        tile_columns(w, rs, cs, n, 2, K, xp, out, sum);
    else
        tile_columns(w, rs, cs, n, 1, K, xp, out, sum);
}

/* --- attention --- */

static float
softmax(float *s, int n, float c)
{
    vf m = all(-INFINITY), sum = all(0);
    float max, part[VW];
    int i = 0;

    for (; i + VW <= n; i += VW)
        m = vmax(load(s + i), m);
    if (i < n)
        m = vmax(load_part(s + i, n - i, -INFINITY), m);
    max = max_of(m);
    for (i = 0; i + VW <= n; i += VW) {
        vf e = vexp((load(s + i) - max) * c);

        store(s + i, e);
        sum += e;
    }
    if (i < n) {
        store(part, vexp((load_part(s + i, n - i, max) - max) * c));
        for (int j = n - i; j < VW; j++)
            part[j] = 0;
        store_part(s + i, n - i, load(part));
        sum += load(part);
    }
    return sum_of(sum);
}

static void
softmax_panel(float *s, int n, int n_seen, int width, float *sum)
{
    size_t ld = (size_t)width;

    for (int j = n_seen; j < n; j++)
        for (int t = 0; t < width && t <= j - n_seen; t++)
            s[(size_t)j * ld + t] = -INFINITY;
    for (int h = 0; h < width; h += VW) {
        vf m = all(-INFINITY), q = all(0);

        for (int j = 0; j < n; j++)
            m = vmax(load(s + (size_t)j * ld + h), m);
        for (int j = 0; j < n; j++) {
            float *p = s + (size_t)j * ld + h;
            vf v = load(p), e = pick(v == -INFINITY, all(0), vexp(v - m));

            store(p, e);
            q += e;
        }
        store(sum + h, q);
    }
}

/* n_v vectors of the output at once, two rows in flight. */
INLINE void
mix_columns(const float *p, const float *v, int n, int d, int n_v, float *out)
{
    vf a[4] = { 0 }, b[4] = { 0 };
    int j = 0;

    for (; j + 2 <= n; j += 2)
        for (int i = 0; i < n_v; i++) {
            a[i] =
                MULTIPLY_ADD(all(p[j]), load(v + (size_t)j * d + i * VW), a[i]);
            b[i] = MULTIPLY_ADD(all(p[j + 1]),
                                load(v + (size_t)(j + 1) * d + i * VW), b[i]);
        }
    if (j < n)
        for (int i = 0; i < n_v; i++)
            a[i] += p[j] * load(v + (size_t)j * d + i * VW);
    for (int i = 0; i < n_v; i++)
        store(out + i * VW, a[i] + b[i]);
}

static void
mix(const float *p, const float *v, int n, int d, float *out)
{
    int i = 0;

    for (; i + 4 * VW <= d; i += 4 * VW)
        mix_columns(p, v + i, n, d, 4, out + i);
    for (; i + VW <= d; i += VW)
        mix_columns(p, v + i, n, d, 1, out + i);
    for (; i < d; i++) {
        out[i] = 0;
        for (int j = 0; j < n; j++)
            out[i] += p[j] * v[(size_t)j * d + i];
    }
}

#define TABLE(level, its_name, its_tiled)                                \
    const struct kernels level = {                                       \
        .name = its_name,                                                \
        .tokens = TOKENS,                                                \
        .pack_tokens = pack_tokens,                                      \
        .product = { [WT_F32] = product_f32, [WT_BF16] = product_bf16 }, \
        .tiled = its_tiled,                                              \
        .panel = NR,                                                     \
        .slow_products = SLOW_PRODUCTS,                                  \
        .dots = dots,                                                    \
        .pack = pack,                                                    \
        .tile = tile,                                                    \
        .unpack = unpack,                                                \
        .activate = activate,                                            \
        .add = add,                                                      \
        .norm = norm,                                                    \
        .softmax = softmax,                                              \
        .softmax_panel = softmax_panel,                                  \
        .mix = mix,                                                      \
    }
