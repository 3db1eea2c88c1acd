/* engine/kernels/tiled.h  The inner loops over int8 and int4 in tiles
 * (matrix.h), and over bf16 in fast mode.
 *
 * Each output is one sum over the inputs in rising order, the same whatever
 * else is computed beside it: results do not depend on how many tokens or rows
 * share a call. The tokens are taken as int8 in blocks of 32 inputs,
 *   y = sum over blocks of (w scale * x scale) * (integer sum),
 * each operation rounded by itself, so that every level gives the same bits.
 * Only bf16 has sums in an order of the level's own: for fast mode. Pure
 * functions, any thread.
 */
#ifndef JIELONG_TILED_H
#define JIELONG_TILED_H

#include "engine/matrix.h"

/* Of one block of a tile. */
#define SCALES_BYTES ((size_t)2 * MATRIX_TILE)
#define QUANT_BYTES(bits) \
    ((size_t)MATRIX_TILE * MATRIX_BLOCK * (size_t)(bits) / 8)

/* From so many on a level with a matrix unit uses it. */
#define UNIT_TOKENS 8

struct tokens {
    const signed char *q; /* [T][n_blocks][32] */
    const float *scale;   /* [T][n_blocks] */
    const int *minus;     /* [T][n_blocks]: -8 * the sum of q */
    size_t n_blocks;      /* K / 32, rounded up */
    /* Where round_to_bf16 is there and sums may have any order: instead. */
    const unsigned short *bf16; /* [T][n_blocks * 32] */
};

struct tiled_kernels {
    /* One token x[K] into blocks, the last one filled up with zeros: scale =
     * most / 127, q = x * (127 / most) to the nearest, ties to even; most
     * below 1e-30 is none. A block with NaN or infinity gets a scale that is
     * NaN, so that it shows. */
    void (*quantize)(const float *x, int K, signed char *q, float *scale,
                     int *minus);
    /* One token as bf16, the last block filled up with zeros. NULL on levels
     * without instructions for bf16. rows[WT_BF16] goes with it: sums in an
     * order of their own, for UNIT_TOKENS tokens or more. */
    void (*round_to_bf16)(const float *x, int K, unsigned short *out);
    /* y[t][i] for the 16 n_tiles rows from the tile at w on and the tokens
     * t0 .. t0+T-1; y's first row belongs to t0, rows stand ldy apart. NULL
     * for WT_F32, and for WT_BF16 where round_to_bf16 is NULL. */
    void (*rows[WT_COUNT])(const void *w, int n_tiles, int K,
                           const struct tokens *x, int t0, int T, float *y,
                           size_t ldy);
};

extern const struct tiled_kernels tiled_generic;
#ifdef JIELONG_X86
extern const struct tiled_kernels tiled_avx2, tiled_avxvnni, tiled_avx512vnni,
    tiled_avx512bf16, tiled_amx;
#endif
#ifdef JIELONG_ARM
extern const struct tiled_kernels tiled_neon, tiled_neondot;
#endif

#endif
