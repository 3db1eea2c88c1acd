/* engine/kernels/tiled_body.h  The loops over tiles, written once.
 *
 * Included by one file for each level, which defines VW (floats in a vector),
 * TOKENS (how many share one
 * pass over a tile), LEVEL, and two functions: sums_int8() and sums_int4(), the
 * integer sums of one block for 16 rows and t tokens.
 */
#include <string.h>

#define N_V (MATRIX_TILE / VW) /* vectors of a tile's rows */

#define SCALES_BYTES ((size_t)2 * MATRIX_TILE)
#define QUANT_BYTES(bits) \
    ((size_t)MATRIX_TILE * MATRIX_BLOCK * (size_t)(bits) / 8)

/* --- tokens to int8 --- */

INLINE void
quantize_block(const float *x, signed char *q, float *scale, int *sum)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */
    float v[MATRIX_BLOCK], most = 0, bad = 0, by;
    int all = 0, n[MATRIX_BLOCK];

    for (int k = 0; k < MATRIX_BLOCK; k++)
        v[k] = x[k] < 0 ? -x[k] : x[k];
    for (int h = MATRIX_BLOCK / 2; h > 0; h /= 2)
        for (int k = 0; k < h; k++)
            v[k] = v[k] > v[k + h] ? v[k] : v[k + h];
    most = v[0];
    for (int k = 0; k < MATRIX_BLOCK; k++)
        v[k] = x[k] - x[k]; /* 0, or NaN */
    for (int h = MATRIX_BLOCK / 2; h > 0; h /= 2)
        for (int k = 0; k < h; k++)
            v[k] += v[k + h];
    bad = v[0];
    *scale = (most < 1e-30f ? 0 : most / 127) + bad;
    by = most < 1e-30f ? 0 : 127 / most;
    for (int k = 0; k < MATRIX_BLOCK; k++) {
        union {
            float f;
            int i;
        } r = { x[k] * by + magic };

        n[k] = (signed char)(unsigned char)(unsigned)r.i;
        q[k] = (signed char)n[k];
    }
    for (int k = 0; k < MATRIX_BLOCK; k++)
        all += n[k];
    *sum = all;
}

static void
quantize(const float *x, int K, signed char *q, float *scale, int *sum)
{
    int k = 0;

    for (; k + MATRIX_BLOCK <= K; k += MATRIX_BLOCK)
        quantize_block(x + k, q + k, scale++, sum++);
    if (k < K) {
        float part[MATRIX_BLOCK] = { 0 };

        memcpy(part, x + k, (size_t)(K - k) * sizeof *x);
        quantize_block(part, q + k, scale, sum);
    }
}

/* --- int8 and int4 --- */

INLINE void
int_tile(int bits, const unsigned char *w, const struct tokens *x, int t0,
         int t, float *y, size_t ldy)
{
    size_t nb = x->n_blocks;
    const signed char *q = x->q + (size_t)t0 * nb * MATRIX_BLOCK;
    const float *scale = x->scale + (size_t)t0 * nb;
    const int *sum = x->sum + (size_t)t0 * nb;
    vf acc[TOKENS][N_V] = { 0 };

    for (size_t b = 0; b < nb; b++) {
        vf s[N_V];
        vi v[TOKENS][N_V];

        for (int h = 0; h < N_V; h++)
            s[h] = load_half(w + 2 * h * VW);
        if (bits == 8)
            sums_int8(w + SCALES_BYTES, q + b * MATRIX_BLOCK, nb * MATRIX_BLOCK,
                      sum + b, nb, t, v);
        else
            sums_int4(w + SCALES_BYTES, q + b * MATRIX_BLOCK, nb * MATRIX_BLOCK,
                      sum + b, nb, t, v);
        for (int j = 0; j < t; j++)
            for (int h = 0; h < N_V; h++)
                acc[j][h] += __builtin_convertvector(v[j][h], vf) *
                             (s[h] * scale[(size_t)j * nb + b]);
        w += SCALES_BYTES + QUANT_BYTES(bits);
    }
    for (int j = 0; j < t; j++)
        for (int h = 0; h < N_V; h++)
            *(vfmem *)(y + (size_t)j * ldy + h * VW) = acc[j][h];
}

/* --- all of them --- */

INLINE void
all_rows(int bits, size_t tile_bytes, const unsigned char *w, int n_tiles,
         int K, const struct tokens *x, int t0, int T, float *y, size_t ldy)
{
    for (int i = 0; i < n_tiles; i++, w += tile_bytes, y += MATRIX_TILE) {
        int t = 0;

        for (; t + TOKENS <= T; t += TOKENS)
            int_tile(bits, w, x, t0 + t, TOKENS, y + (size_t)t * ldy, ldy);
#if TOKENS > 4
        for (; t + 4 <= T; t += 4)
            int_tile(bits, w, x, t0 + t, 4, y + (size_t)t * ldy, ldy);
#endif
#if TOKENS > 2
        for (; t + 2 <= T; t += 2)
            int_tile(bits, w, x, t0 + t, 2, y + (size_t)t * ldy, ldy);
#endif
        for (; t < T; t++)
            int_tile(bits, w, x, t0 + t, 1, y + (size_t)t * ldy, ldy);
    }
}

static void
rows_int8(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    all_rows(8, x->n_blocks * (SCALES_BYTES + QUANT_BYTES(8)), w, n_tiles, K, x,
             t0, T, y, ldy);
}

static void
rows_int4(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    all_rows(4, x->n_blocks * (SCALES_BYTES + QUANT_BYTES(4)), w, n_tiles, K, x,
             t0, T, y, ldy);
}

const struct tiled_kernels LEVEL = {
    .quantize = quantize,
    .rows = { [WT_INT8] = rows_int8, [WT_INT4] = rows_int4 },
};
