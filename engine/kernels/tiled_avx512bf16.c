/* engine/kernels/tiled_avx512bf16.c  x86-64 with AVX-512, VNNI and BF16: in
 * fast mode one instruction multiplies 32 pairs of bf16 and adds them. It
 * rounds in its own way (Intel SDM 2, VDPBF16PS), so strict mode has no use
 * for it. The integer weights are those of avx512vnni. */
#include <immintrin.h>
#include <string.h>

#include "engine/kernels/tiled.h"

#define VW 16
#include "engine/kernels/vectors.h"

#define TILES  2
#define TOKENS 12 /* 24 vectors of sums, two of weights, a pair of a token */

static void
quantize(const float *x, int K, signed char *q, float *scale, int *minus)
{
    tiled_avx512vnni.quantize(x, K, q, scale, minus);
}

/* Denormal numbers become zeros, as the products take them. */
static void
round_to_bf16(const float *x, int K, unsigned short *out)
{
    int end = (K + MATRIX_BLOCK - 1) / MATRIX_BLOCK * MATRIX_BLOCK;

    for (int k = 0; k < end; k += VW) {
        int n = K - k < VW ? (K - k > 0 ? K - k : 0) : VW;
        __mmask16 m = (__mmask16)((1u << n) - 1);
        __m256bh b = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(m, x + k));

        memcpy(out + k, &b, sizeof b);
    }
}

/* A pair of a token, for all rows. */
INLINE __m512bh
pair(const unsigned short *x)
{
    int both;

    memcpy(&both, x, 4);
    return (__m512bh)_mm512_set1_epi32(both);
}

/* tiles and t are constants at every call. */
INLINE void
some_tiles(int tiles, int t, const unsigned char *w, size_t tile_bytes, int K,
           const unsigned short *x, size_t ldx, float *y, size_t ldy)
{
    __m512 s[TOKENS][TILES];

    for (int j = 0; j < t; j++)
        for (int i = 0; i < tiles; i++)
            s[j][i] = _mm512_setzero_ps();
    for (int k = 0; k < K; k += 2, w += 4 * MATRIX_TILE, x += 2) {
        __m512bh v[TILES];

        for (int i = 0; i < tiles; i++)
            v[i] = (__m512bh)_mm512_loadu_si512(w + (size_t)i * tile_bytes);
        for (int j = 0; j < t; j++) {
            __m512bh p = pair(x + (size_t)j * ldx);

            for (int i = 0; i < tiles; i++)
                s[j][i] = _mm512_dpbf16_ps(s[j][i], v[i], p);
        }
    }
    for (int j = 0; j < t; j++)
        for (int i = 0; i < tiles; i++)
            _mm512_storeu_ps(y + (size_t)j * ldy + MATRIX_TILE * i, s[j][i]);
}

/* All tiles against t tokens. */
INLINE void
group(int t, const unsigned char *w, int n_tiles, int K,
      const unsigned short *x, size_t ldx, float *y, size_t ldy)
{
    size_t size = (size_t)(K + 1) / 2 * 4 * MATRIX_TILE;
    int i = 0;

    for (; i + TILES <= n_tiles; i += TILES)
        some_tiles(TILES, t, w + (size_t)i * size, size, K, x, ldx,
                   y + i * MATRIX_TILE, ldy);
    for (; i < n_tiles; i++)
        some_tiles(1, t, w + (size_t)i * size, size, K, x, ldx,
                   y + i * MATRIX_TILE, ldy);
}

static void
rows_bf16(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    size_t ldx = x->n_blocks * MATRIX_BLOCK;
    const unsigned short *from = x->bf16 + (size_t)t0 * ldx;
    int t = 0;

#define GROUPS(n)                                                             \
    for (; t + (n) <= T; t += (n))                                            \
    group(n, w, n_tiles, K, from + (size_t)t * ldx, ldx, y + (size_t)t * ldy, \
          ldy)
    GROUPS(TOKENS);
    GROUPS(4);
    GROUPS(1);
#undef GROUPS
}

static void
rows_int8(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    tiled_avx512vnni.rows[WT_INT8](w, n_tiles, K, x, t0, T, y, ldy);
}

static void
rows_int4(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    tiled_avx512vnni.rows[WT_INT4](w, n_tiles, K, x, t0, T, y, ldy);
}

const struct tiled_kernels tiled_avx512bf16 = {
    .quantize = quantize,
    .round_to_bf16 = round_to_bf16,
    .rows = { [WT_BF16] = rows_bf16,
              [WT_INT8] = rows_int8,
              [WT_INT4] = rows_int4 },
};
