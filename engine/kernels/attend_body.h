/* engine/kernels/attend_body.h  The inner loops of attention, written once.
 *
 * Included by one file for each instruction set, which defines VW (floats in
 * a vector) and WIDE (tiles that ATTEND_ROWS rows take at once: as many sums
 * as there are registers for), and ends with TABLE().
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/vectors.h"

#define TILE 16 /* KV_TILE */
#define PAGE 64 /* KV_PAGE */

/* Number i of a page, and the VW from there on. */
INLINE vf
load_number(const void *p, size_t i, bool half)
{
    return half ? load_half((const unsigned short *)p + i)
                : load((const float *)p + i);
}

/* To the nearest half, ties to even; too large ones become the largest. The
 * same as half_from_float() of engine/matrix.h, but NaN stays NaN. */
INLINE vu
halves_of(vf f)
{
    vu bits = (vu)f, a = bits & 0x7fffffff, sign = bits >> 16 & 0x8000;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */
    vu tiny = (vu)((vf)a * 0x1p24f + magic) - (vu)all(magic);
    vu h = (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13;
    vu is_tiny = (vu)((vf)a < 0x1p-14f), is_large = (vu)((vf)a >= 65504.0f);
    vu is_nan = (vu)((vi)a > 0x7f800000);

    h = (tiny & is_tiny) | (h & ~is_tiny);
    h = (0x7bff & is_large) | (h & ~is_large);
    h = (0x7e00 & is_nan) | (h & ~is_nan);
    return h | sign;
}

/* The first n <= 16 of x, and zeros, as they stand in a page. */
INLINE void
pack_tile(const float *x, int n, bool half, void *out)
{
    struct lanes16 l = n == TILE ? lanes16_load(x) : lanes16_load_part(x, n, 0);

    for (int h = 0; h < N16; h++)
        if (half)
            *(vhmem *)((unsigned short *)out + h * VW) =
                __builtin_convertvector(halves_of(l.v[h]), vhmem);
        else
            store((float *)out + h * VW, l.v[h]);
}

INLINE void
put(const float *k, const float *v, int d, int at, void *page, bool half)
{
    size_t size = half ? 2 : 4, n_v = (size_t)(d + TILE - 1) / TILE;
    char *to_k = (char *)page + size * TILE * (size_t)d * (size_t)(at / TILE) +
                 size * (size_t)(at % TILE);
    char *to_v = (char *)page + size * PAGE * (size_t)d;

    for (size_t c = 0; c < n_v; c++) {
        int n = d - (int)c * TILE < TILE ? d - (int)c * TILE : TILE;
        float t[TILE];

        pack_tile(k + c * TILE, n, half, t);
        for (size_t i = 0; i < (size_t)n; i++)
            memcpy(to_k + (c * TILE + i) * TILE * size, (char *)t + i * size,
                   size);
        pack_tile(v + c * TILE, n, half,
                  to_v + (c * PAGE + (size_t)at) * TILE * size);
    }
}

/* n_rows rows against n_tiles tiles, both constants at every call. */
INLINE void
score_tiles(const void *k, int n_tiles, const float *const *q, int n_rows,
            int d, float *s, int lds, bool half)
{
    vf sum[ATTEND_ROWS][4 * N16] = { 0 };
    size_t tile = (size_t)TILE * (size_t)d;

    for (size_t i = 0; i < (size_t)d; i++) {
        vf kv[4 * N16];

        for (size_t t = 0; t < (size_t)n_tiles; t++)
            for (size_t h = 0; h < N16; h++)
                kv[t * N16 + h] =
                    load_number(k, t * tile + i * TILE + h * VW, half);
        for (int r = 0; r < n_rows; r++) {
            vf qi = all(q[r][i]);

            for (int t = 0; t < n_tiles * N16; t++)
                sum[r][t] = vfma(qi, kv[t], sum[r][t]);
        }
    }
    for (int r = 0; r < n_rows; r++)
        for (int t = 0; t < n_tiles * N16; t++)
            store(s + (ptrdiff_t)r * lds + t * VW, sum[r][t]);
}

INLINE void
scores(const void *page, int n_tiles, const float *const *q, int n_rows, int d,
       float *s, int lds, bool half)
{
    size_t tile = (size_t)TILE * (size_t)d * (half ? 2 : 4);
    const char *k = page;
    int t = 0;

    if (n_rows == 1) {
        for (; t + 4 <= n_tiles; t += 4)
            score_tiles(k + (size_t)t * tile, 4, q, 1, d, s + t * TILE, lds,
                        half);
        for (; t < n_tiles; t++)
            score_tiles(k + (size_t)t * tile, 1, q, 1, d, s + t * TILE, lds,
                        half);
        return;
    }
    for (; t + WIDE <= n_tiles; t += WIDE)
        score_tiles(k + (size_t)t * tile, WIDE, q, ATTEND_ROWS, d, s + t * TILE,
                    lds, half);
    for (; t < n_tiles; t++)
        score_tiles(k + (size_t)t * tile, 1, q, ATTEND_ROWS, d, s + t * TILE,
                    lds, half);
}

/* n_rows rows, n_tiles tiles of dimensions, both constants at every call. */
INLINE void
mix_tiles(const void *v, int n_tiles, const float *e, int lde, int n_rows,
          int from, int n, float *part, float *out, int ldo, bool half)
{
    vf sum[ATTEND_ROWS][4 * N16];

    for (int r = 0; r < n_rows; r++)
        for (int t = 0; t < n_tiles * N16; t++)
            sum[r][t] =
                from ? load(part + (ptrdiff_t)r * ldo + t * VW) : all(0);
    for (size_t j = (size_t)from; j < (size_t)n; j++) {
        vf vv[4 * N16];

        for (size_t t = 0; t < (size_t)n_tiles; t++)
            for (size_t h = 0; h < N16; h++)
                vv[t * N16 + h] =
                    load_number(v, (t * PAGE + j) * TILE + h * VW, half);
        for (int r = 0; r < n_rows; r++) {
            vf er = all(e[(ptrdiff_t)r * lde + (ptrdiff_t)j]);

            for (int t = 0; t < n_tiles * N16; t++)
                sum[r][t] = vfma(er, vv[t], sum[r][t]);
        }
    }
    for (int r = 0; r < n_rows; r++)
        for (int t = 0; t < n_tiles * N16; t++) {
            float *o = (out ? out : part) + (ptrdiff_t)r * ldo + t * VW;

            store(o, out ? load(o) + sum[r][t] : sum[r][t]);
        }
}

INLINE void
mix(const void *page, const float *e, int lde, int n_rows, int from, int n,
    int d, float *part, float *out, int ldo, bool half)
{
    size_t size = half ? 2 : 4;
    const char *v = (const char *)page + size * PAGE * (size_t)d;
    int n_tiles = (d + TILE - 1) / TILE, t = 0;
    int wide = n_rows == 1 ? 4 : WIDE;

    for (; t < n_tiles; t += t + wide <= n_tiles ? wide : 1) {
        const char *vt = v + (size_t)t * PAGE * TILE * size;
        float *p = part + t * TILE, *o = out ? out + t * TILE : NULL;

        if (t + wide > n_tiles && n_rows == 1)
            mix_tiles(vt, 1, e, lde, 1, from, n, p, o, ldo, half);
        else if (n_rows == 1)
            mix_tiles(vt, 4, e, lde, 1, from, n, p, o, ldo, half);
        else if (t + wide > n_tiles)
            mix_tiles(vt, 1, e, lde, ATTEND_ROWS, from, n, p, o, ldo, half);
        else
            mix_tiles(vt, WIDE, e, lde, ATTEND_ROWS, from, n, p, o, ldo, half);
    }
}

/* --- the two types --- */

#define OF_TYPE(name, half)                                                 \
    static void put_##name(const float *k, const float *v, int d, int at,   \
                           void *page)                                      \
    {                                                                       \
        put(k, v, d, at, page, half);                                       \
    }                                                                       \
    static void scores_##name(const void *page, int n_tiles,                \
                              const float *const *q, int n_rows, int d,     \
                              float *s, int lds)                            \
    {                                                                       \
        scores(page, n_tiles, q, n_rows, d, s, lds, half);                  \
    }                                                                       \
    static void mix_##name(const void *page, const float *e, int lde,       \
                           int n_rows, int from, int n, int d, float *part, \
                           float *out, int ldo)                             \
    {                                                                       \
        mix(page, e, lde, n_rows, from, n, d, part, out, ldo, half);        \
    }

OF_TYPE(f32, false)
OF_TYPE(f16, true)

/* --- from scores to weights --- */

static float
softmax(float *s, int n, float c)
{
    struct lanes16 m = lanes16_all(-INFINITY), sum = lanes16_all(0);
    int whole = n / TILE * TILE;
    float max;

    for (int i = whole; i < n; i++) /* the tail begins by itself */
        s[i] *= c;
    for (int i = 0; i < whole; i += TILE)
        for (int h = 0; h < N16; h++) {
            vf v = load(s + i + h * VW) * c;

            store(s + i + h * VW, v);
            m.v[h] = vmax(v, m.v[h]);
        }
    max = lanes16_max(m);
    for (int i = whole; i < n; i++)
        max = s[i] > max ? s[i] : max;
    for (int i = 0; i < whole; i += TILE)
        for (int h = 0; h < N16; h++) {
            vf e = vexp(load(s + i + h * VW) - max);

            store(s + i + h * VW, e);
            sum.v[h] += e;
        }
    if (n > whole) {
        float t[TILE] = { 0 };

        for (int i = n; i < whole + TILE; i++)
            s[i] = max;
        for (int h = 0; h < N16; h++)
            store(s + whole + h * VW, vexp(load(s + whole + h * VW) - max));
        memcpy(t, s + whole, (size_t)(n - whole) * sizeof *t);
        for (int h = 0; h < N16; h++) /* +0 changes no sum */
            sum.v[h] += load(t + h * VW);
    }
    return lanes16_sum(sum);
}

#define TABLE(level)                                  \
    const struct attend_kernels level = {             \
        .page = { { put_f32, scores_f32, mix_f32 },   \
                  { put_f16, scores_f16, mix_f16 } }, \
        .softmax = softmax,                           \
    }
