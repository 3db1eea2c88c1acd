/* engine/kernels/product_body.h  Products with f32 and bf16 weights in tiles,
 * written once.
 *
 * Included by one file for each level after vectors.h; it defines TOKENS (how
 * many share one pass over a tile) and TILES(t): how many tiles are in flight
 * with t tokens, 1, 2 or 4, so that TILES(t) * t * N_V sums stay in registers
 * and hide the time one of them takes.
 *
 * The order of every sum, on every level, with any number of tokens: inputs
 * are cut into runs of PRODUCT_RUN, the last one shorter. A run's sum starts
 * from +0 and takes its inputs in rising order, s = fma(w[k], x[k], s), each
 * rounded once. The runs' sums are added in rising order,
 * y = ((run 0 + run 1) + run 2) + ..., each addition rounded. A weight in bf16
 * is the f32 with zeros behind it.
 */
#include "engine/kernels/kernels.h"
#include "engine/kernels/vectors.h"

#define N_V N16 /* vectors of a tile's rows */

/* Side by side: xp[k][j] of T tokens, so that one input's are neighbours. */
static void
pack_tokens(const float *x, size_t ldx, int T, int K, float *xp)
{
    size_t ld = (size_t)T;
    int t = 0;

    for (; t + 4 <= T; t += 4) {
        const float *p = x + (size_t)t * ldx;
        int k = 0;

        for (; k + 4 <= K; k += 4) {
            v4 o[4];

            transpose4((const v4mem *)(p + k), (const v4mem *)(p + ldx + k),
                       (const v4mem *)(p + 2 * ldx + k),
                       (const v4mem *)(p + 3 * ldx + k), o);
            for (int i = 0; i < 4; i++)
                *(v4mem *)(xp + (size_t)(k + i) * ld + t) = o[i];
        }
        for (; k < K; k++)
            for (int i = 0; i < 4; i++)
                xp[(size_t)k * ld + (size_t)(t + i)] =
                    p[(size_t)i * ldx + (size_t)k];
    }
    for (; t < T; t++)
        for (int k = 0; k < K; k++)
            xp[(size_t)k * ld + (size_t)t] = x[(size_t)t * ldx + (size_t)k];
}

/* One input of n tiles against t tokens; all but w, x and s are constants at
 * every call, here and below. */
INLINE void
add_input(int n, int t, vf w[][N_V], const float *x, vf s[][TOKENS][N_V])
{
    for (int j = 0; j < t; j++) {
        vf xj = all(x[j]);

        for (int i = 0; i < n; i++)
            for (int h = 0; h < N_V; h++)
                s[i][j][h] = vfma(w[i][h], xj, s[i][j][h]);
    }
}

/* Asks for a line of memory; any address may be asked for. */
INLINE void
fetch(const char *p)
{
    __builtin_prefetch(p, 0, 2);
}

INLINE void
run_f32(int n, int t, const char *w, size_t tile_bytes, size_t ahead, int K,
        const float *x, vf s[][TOKENS][N_V])
{
    for (int k = 0; k < K; k++, w += 4 * MATRIX_TILE, x += t) {
        vf v[4][N_V];

        for (int i = 0; i < n; i++)
            fetch(w + (size_t)i * tile_bytes + ahead);
        for (int i = 0; i < n; i++)
            for (int h = 0; h < N_V; h++)
                v[i][h] =
                    *(const vfmem *)(w + (size_t)i * tile_bytes + 4 * h * VW);
        add_input(n, t, v, x, s);
    }
}

INLINE void
run_bf16(int n, int t, const char *w, size_t tile_bytes, size_t ahead, int K,
         const float *x, vf s[][TOKENS][N_V])
{
    for (int k = 0; k < K; k += 2, w += 4 * MATRIX_TILE, x += 2 * t) {
        vf even[4][N_V], odd[4][N_V];

        for (int i = 0; i < n; i++)
            fetch(w + (size_t)i * tile_bytes + ahead);
        for (int i = 0; i < n; i++)
            for (int h = 0; h < N_V; h++) {
                vu both =
                    *(const vumem *)(w + (size_t)i * tile_bytes + 4 * h * VW);

                even[i][h] = (vf)(both << 16);
                odd[i][h] = (vf)(both & 0xffff0000u);
            }
        add_input(n, t, even, x, s);
        if (k + 1 < K)
            add_input(n, t, odd, x + t, s);
    }
}

/* n tiles, whole, run by run. */
INLINE void
some_tiles(enum weight_type type, int n, int t, const char *w,
           size_t tile_bytes, size_t ahead, int K, const float *x, float *y,
           size_t ldy, bool add)
{
    size_t input = (type == WT_F32 ? 4 : 2) * MATRIX_TILE;

    for (int k = 0; k < K; k += PRODUCT_RUN, add = true) {
        vf s[4][TOKENS][N_V];
        int end = K - k < PRODUCT_RUN ? K - k : PRODUCT_RUN;

        for (int i = 0; i < n; i++)
            for (int j = 0; j < t; j++)
                for (int h = 0; h < N_V; h++)
                    s[i][j][h] = all(0);
        (type == WT_F32 ? run_f32 : run_bf16)(n, t, w + (size_t)k * input,
                                              tile_bytes, ahead, end,
                                              x + (size_t)k * (size_t)t, s);
        for (int j = 0; j < t; j++)
            for (int i = 0; i < n; i++)
                for (int h = 0; h < N_V; h++) {
                    float *p = y + (size_t)j * ldy + i * MATRIX_TILE + h * VW;

                    store(p, add ? load(p) + s[i][j][h] : s[i][j][h]);
                }
    }
}

INLINE void
all_tiles(enum weight_type type, int t, const char *w, size_t tile_bytes,
          size_t ahead, int n_tiles, int K, const float *x, float *y,
          size_t ldy, bool add)
{
    int i = 0;

#define SOME(n)                                                              \
    for (; i + (n) <= n_tiles; i += (n))                                     \
    some_tiles(type, n, t, w + (size_t)i * tile_bytes, tile_bytes, ahead, K, \
               x, y + i * MATRIX_TILE, ldy, add)
    if (TILES(t) >= 4)
        SOME(4);
    if (TILES(t) >= 2)
        SOME(2);
    SOME(1);
#undef SOME
}

INLINE void
product(enum weight_type type, const void *w, size_t tile_bytes, size_t ahead,
        int n_tiles, int K, const float *x, int T, float *y, size_t ldy,
        bool add)
{
    switch (T) {
#define CASE(t)                                                        \
    case t:                                                            \
        if (t <= TOKENS)                                               \
            all_tiles(type, t <= TOKENS ? t : 1, w, tile_bytes, ahead, \
                      n_tiles, K, x, y, ldy, add);                     \
        break
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
        CASE(5);
        CASE(6);
        CASE(7);
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
#undef CASE
    default: break;
    }
}

static void
product_f32(const void *w, size_t tile_bytes, size_t ahead, int n_tiles, int K,
            const float *x, int T, float *y, size_t ldy, bool add)
{
    product(WT_F32, w, tile_bytes, ahead, n_tiles, K, x, T, y, ldy, add);
}

static void
product_bf16(const void *w, size_t tile_bytes, size_t ahead, int n_tiles, int K,
             const float *x, int T, float *y, size_t ldy, bool add)
{
    product(WT_BF16, w, tile_bytes, ahead, n_tiles, K, x, T, y, ldy, add);
}
