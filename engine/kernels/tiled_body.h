/* engine/kernels/tiled_body.h  The loops over tiles, written once.
 *
 * Included by one file for each level, which includes vectors.h and defines
 * LEVEL, TILES and TOKENS (how many tiles and tokens share a block's weights
 * in registers), struct block and two functions for the integer sums:
 * open_block() takes a block's weights apart, and sums() multiplies up to
 * TILES of them with one token's block of int8:
 *     v[tile] = sum of (weight as it stands) * q, + minus * 16 (int8) or
 *     minus (int4), where minus is -8 times the sum of q.
 * Where registers are too few for a block, group_sums() (HAS_GROUP_SUMS) does
 * it for all tokens of a group, weight by weight.
 */
#include <string.h>

#define N_V (MATRIX_TILE / VW) /* vectors of a tile's rows */

/* --- tokens to int8 --- */

#define N_B (MATRIX_BLOCK / VW) /* vectors of a block */

#ifndef HAS_FOLDS
INLINE int
most_of(const vi a[N_B])
{
    int m = 0;

    for (int k = 0; k < MATRIX_BLOCK; k++)
        m = a[k / VW][k % VW] > m ? a[k / VW][k % VW] : m;
    return m;
}

INLINE int
total_of(const vi a[N_B])
{
    int s = 0;

    for (int k = 0; k < MATRIX_BLOCK; k++)
        s += a[k / VW][k % VW];
    return s;
}
#endif

/* The largest |x|, and NaN if one of them is no finite number: as whole
 * numbers their bits have the same order, and NaN is above all. */
INLINE float
most_in_block(const float *x)
{
    union {
        int i;
        float f;
    } m;
    vi a[N_B];

    for (int h = 0; h < N_B; h++)
        a[h] = (vi)load(x + h * VW) & 0x7fffffff;
    m.i = most_of(a);
    return m.i < 0x7f800000 ? m.f : NAN;
}

INLINE void
round_block(const float *x, float by, signed char *q, int *minus)
{
    typedef signed char vq __attribute__((vector_size(VW), aligned(1)));
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */
    vi n[N_B];

    for (int h = 0; h < N_B; h++) {
        n[h] = (vi)(load(x + h * VW) * by + magic) << 24 >> 24;
        *(vq *)(q + h * VW) = __builtin_convertvector(n[h], vq);
    }
    *minus = -8 * total_of(n);
}

/* So many blocks share their divisions. */
#define BLOCKS 16

/* n blocks; the last one may have only `in_last` numbers in it. */
INLINE void
quantize_blocks(const float *x, int n, int in_last, signed char *q,
                float *scale, int *minus)
{
    float most[BLOCKS] = { 0 }, by[BLOCKS], last[MATRIX_BLOCK] = { 0 };

    memcpy(last, x + (n - 1) * MATRIX_BLOCK, (size_t)in_last * sizeof *x);
    for (int b = 0; b < n; b++)
        most[b] = most_in_block(b + 1 < n ? x + b * MATRIX_BLOCK : last);
    for (int b = 0; b < BLOCKS; b++) {
        by[b] = most[b] < 1e-30f ? 0 : 127 / most[b];
        most[b] = most[b] < 1e-30f ? 0 : most[b] / 127;
    }
    memcpy(scale, most, (size_t)n * sizeof *scale);
    for (int b = 0; b < n; b++)
        round_block(b + 1 < n ? x + b * MATRIX_BLOCK : last, by[b],
                    q + b * MATRIX_BLOCK, minus + b);
}

static void
quantize(const float *x, int K, signed char *q, float *scale, int *minus)
{
    const int step = BLOCKS * MATRIX_BLOCK;

    for (int k = 0; k < K; k += step) {
        int n =
            K - k < step ? (K - k + MATRIX_BLOCK - 1) / MATRIX_BLOCK : BLOCKS;
        int rest = K - k - (n - 1) * MATRIX_BLOCK;

        quantize_blocks(x + k, n, rest < MATRIX_BLOCK ? rest : MATRIX_BLOCK,
                        q + k, scale + k / MATRIX_BLOCK,
                        minus + k / MATRIX_BLOCK);
    }
}

/* --- int8 and int4 --- */

#ifndef HAS_GROUP_SUMS
INLINE void
add_group(int bits, const struct block b[], int tiles, const vf s[][N_V],
          const struct tokens *x, size_t at, int t, vf acc[][TILES][N_V])
{
    for (int j = 0; j < t; j++, at += x->n_blocks) {
        vi v[TILES][N_V];

        sums(bits, b, tiles, x->q + at * MATRIX_BLOCK, x->minus[at], v);
        for (int i = 0; i < tiles; i++)
            for (int h = 0; h < N_V; h++)
                acc[j][i][h] += __builtin_convertvector(v[i][h], vf) *
                                (s[i][h] * x->scale[at]);
    }
}
#else
INLINE void
add_group(int bits, const struct block b[], int tiles, const vf s[][N_V],
          const struct tokens *x, size_t at, int t, vf acc[][TILES][N_V])
{
    vi v[TOKENS][N_V];

    group_sums(bits, b, x->q + at * MATRIX_BLOCK, x->minus + at, x->n_blocks, t,
               v);
    for (int j = 0; j < t; j++, at += x->n_blocks)
        for (int h = 0; h < N_V; h++)
            acc[j][0][h] +=
                __builtin_convertvector(v[j][h], vf) * (s[0][h] * x->scale[at]);
}
#endif

/* `tiles` (at most TILES) tiles side by side, t tokens from t0 on. Meanwhile
 * `lines` cache lines for each block are fetched from `ahead` on. */
INLINE void
int_tiles(int bits, const unsigned char *w, int tiles, const struct tokens *x,
          int t0, int t, float *y, size_t ldy, const unsigned char *ahead,
          int lines)
{
    size_t nb = x->n_blocks, size = SCALES_BYTES + QUANT_BYTES(bits);
    vf acc[TOKENS][TILES][N_V] = { 0 };

    for (size_t b = 0; b < nb; b++) {
        struct block block[TILES];
        vf s[TILES][N_V];

        for (int i = 0; i < tiles; i++) {
            open_block(bits, w + (size_t)i * nb * size + SCALES_BYTES,
                       &block[i]);
            for (int h = 0; h < N_V; h++)
                s[i][h] = load_half(w + (size_t)i * nb * size + 2 * h * VW);
        }
        for (int i = 0; i < lines; i++)
            __builtin_prefetch(ahead + 64 * i, 0, 3);
        add_group(bits, block, tiles, s, x, (size_t)t0 * nb + b, t, acc);
        w += size;
        ahead += 64 * lines;
    }
    for (int j = 0; j < t; j++)
        for (int i = 0; i < tiles; i++)
            for (int h = 0; h < N_V; h++)
                store(y + (size_t)j * ldy + i * MATRIX_TILE + h * VW,
                      acc[j][i][h]);
}

/* The same with a number of tokens that the compiler knows. */
INLINE void
int_group(int bits, const unsigned char *w, int tiles, const struct tokens *x,
          int t0, int t, float *y, size_t ldy, const unsigned char *ahead,
          int lines)
{
    switch (t) {
#if TOKENS >= 5
    case 5: int_tiles(bits, w, tiles, x, t0, 5, y, ldy, ahead, lines); break;
#endif
#if TOKENS >= 4
    case 4: int_tiles(bits, w, tiles, x, t0, 4, y, ldy, ahead, lines); break;
    case 3: int_tiles(bits, w, tiles, x, t0, 3, y, ldy, ahead, lines); break;
#endif
#if TOKENS >= 2
    case 2: int_tiles(bits, w, tiles, x, t0, 2, y, ldy, ahead, lines); break;
#endif
    default: int_tiles(bits, w, tiles, x, t0, 1, y, ldy, ahead, lines);
    }
}

/* How far one token reads ahead. */
#define AHEAD 4096

/* Groups of up to TOKENS, all of about the same size, over `tiles` tiles at a
 * time. While these are in the cache the next ones come from memory, each
 * group of tokens fetching its share: so that many tokens take little longer
 * than the memory takes to give the weights. Beyond the end lies what is
 * probably read next, and fetching never faults. */
INLINE void
int_rows(int bits, const unsigned char *w, int n_tiles, const struct tokens *x,
         int t0, int T, float *y, size_t ldy)
{
    size_t size = x->n_blocks * (SCALES_BYTES + QUANT_BYTES(bits));
    int n = (T + TOKENS - 1) / TOKENS, tiles;

    for (int i = 0; i < n_tiles; i += tiles, y += tiles * MATRIX_TILE) {
        const unsigned char *ahead = w + AHEAD;
        int lines;

        tiles = T > 1 && n_tiles - i >= TILES ? TILES : 1;
        lines = (int)((size_t)tiles * (SCALES_BYTES + QUANT_BYTES(bits)) / 64 /
                      (size_t)n) +
                1;
        if (T > 1)
            ahead = w + (size_t)tiles * size;
        for (int g = 0, t = 0, of; g < n; g++, t += of) {
            of = (T - t + n - g - 1) / (n - g);
            if (TILES > 1 && tiles == TILES)
                int_group(bits, w, TILES, x, t0 + t, of, y + (size_t)t * ldy,
                          ldy, ahead, lines);
            else
                int_group(bits, w, 1, x, t0 + t, of, y + (size_t)t * ldy, ldy,
                          ahead, lines);
            ahead += 64 * (size_t)lines * x->n_blocks;
        }
        w += (size_t)tiles * size;
    }
}

static void
rows_int8(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    int_rows(8, w, n_tiles, x, t0, T, y, ldy);
}

static void
rows_int4(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    int_rows(4, w, n_tiles, x, t0, T, y, ldy);
}

const struct tiled_kernels LEVEL = {
    .quantize = quantize,
    .rows = { [WT_INT8] = rows_int8, [WT_INT4] = rows_int4 },
};
