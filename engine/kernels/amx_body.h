/* engine/kernels/amx_body.h  Weights in tiles by a matrix unit (Intel AMX).
 *
 * Included after vectors.h and tiled.h, and after seven macros over tile
 * registers 0..7, which are the instructions themselves (tiled_amx.c) or a
 * model of them in C (tests/amx_test.c):
 *   TILE_CONFIG(p), TILE_RELEASE()  the shapes from 64 bytes at p, and back
 *   TILE_ZERO(c), TILE_LOAD(c, p, stride), TILE_STORE(c, p, stride)
 *   TILE_INT8(c, a, b)  c[m][n] += sum over k of a[m][k] * b[k/4][n][k%4]:
 *                       whole numbers, a signed, b not
 *   TILE_BF16(c, a, b)  the same with pairs of bf16, added up in f32
 * (Intel SDM 2, TDPBSUD, TDPBF16PS). A block of int8 weights, and sixteen
 * input pairs of bf16, are the right operand as they stand in matrix.h.
 *
 * int8 and int4: whole-number sums by the unit, then scales in the order of
 * tiled.h, so the same bits as any level's. bf16: tokens are rounded to bf16
 * and sums are in the unit's order, which no other level has: for fast mode.
 */
#include <string.h>

#define UNIT_ROWS  16 /* of a tile register: tokens */
#define UNIT_BYTES 64 /* of a row */
#define N_V        (MATRIX_TILE / VW)

struct tile_config { /* palette 1 */
    unsigned char palette, start_row, zero[14];
    unsigned short row_bytes[16];
    unsigned char rows[16];
};

/* Tokens that the unit takes at once. The last ones of T may be some that it
 * had already: *at is where they begin, of *valid on they are new. */
INLINE int
take_tokens(int T, int t, int *at, int *valid)
{
    int m = T < UNIT_ROWS ? T : UNIT_ROWS;

    *at = t + m <= T ? t : T - m;
    *valid = t - *at;
    return m;
}

/* --- int8 and int4 --- */

/* Tile registers: 0, 1 sums of two tiles, 2 tokens, 3, 4 their weights. */

/* int4 is unpacked so many blocks at a time. */
#define BLOCKS_AT_ONCE 8

struct unit_blocks { /* of one tile */
    const unsigned char *w, *scales;
    size_t step, scales_step; /* from one block to the next */
};

static void
configure_int(int m)
{
    struct tile_config c = { .palette = 1 };

    for (int i = 0; i < 5; i++) {
        c.rows[i] = (unsigned char)m;
        c.row_bytes[i] = UNIT_BYTES;
    }
    c.row_bytes[2] = MATRIX_BLOCK;
    c.rows[3] = c.rows[4] = MATRIX_BLOCK / 4;
    TILE_CONFIG(&c);
}

INLINE void
unpack_int4(const unsigned char *w, unsigned char *out)
{
    const int half = MATRIX_TILE * MATRIX_BLOCK / 2;

    for (int i = 0; i < half; i += 4 * VW) {
        vu both = *(const vumem *)(w + i);

        *(vumem *)(out + i) = both & 0x0f0f0f0fu;
        *(vumem *)(out + half + i) = both >> 4 & 0x0f0f0f0fu;
    }
}

/* n blocks of a tile as bytes: where they stand, or in `room`. */
INLINE struct unit_blocks
open_blocks(int bits, const unsigned char *w, int n, unsigned char *room)
{
    struct unit_blocks b = { w + SCALES_BYTES, w, 0, 0 };

    b.step = b.scales_step = SCALES_BYTES + QUANT_BYTES(bits);
    if (bits == 8)
        return b;
    for (int i = 0; i < n; i++)
        unpack_int4(w + (size_t)i * b.step + SCALES_BYTES,
                    room + (size_t)i * QUANT_BYTES(8));
    b.w = room;
    b.step = QUANT_BYTES(8);
    return b;
}

/* One block's sums c[token][tile][16], scaled and added to y. */
INLINE void
add_block(int bits, const int c[][2][MATRIX_TILE],
          const unsigned char *scales[], int tiles, const struct tokens *x,
          size_t at, int from, int m, bool add, float *y, size_t ldy)
{
    vf s[2][N_V];

    for (int i = 0; i < tiles; i++)
        for (int h = 0; h < N_V; h++)
            s[i][h] = load_half(scales[i] + 2 * h * VW);
    for (int j = from; j < m; j++) {
        size_t token = at + (size_t)j * x->n_blocks;
        int minus = bits == 8 ? 16 * x->minus[token] : x->minus[token];
        vf by = all(x->scale[token]);

        for (int i = 0; i < tiles; i++)
            for (int h = 0; h < N_V; h++) {
                float *p = y + (size_t)j * ldy + i * MATRIX_TILE + h * VW;
                vi v = (vi) * (const vumem *)&c[j][i][h * VW] + minus;
                vf was = add ? load(p) : all(0);

                store(p, was + __builtin_convertvector(v, vf) * (s[i][h] * by));
            }
    }
}

/* Blocks b0 .. b0+n-1 of one or two tiles, for all tokens. */
INLINE void
int_blocks(int bits, const struct unit_blocks b[], int tiles, size_t b0, int n,
           const struct tokens *x, int t0, int T, float *y, size_t ldy)
{
    const size_t stride = x->n_blocks * MATRIX_BLOCK;
    int c[UNIT_ROWS][2][MATRIX_TILE];
    int at, from, m;

    for (int t = 0; t < T; t += m) {
        m = take_tokens(T, t, &at, &from);
        for (int i = 0; i < n; i++) {
            const unsigned char *scales[2];
            size_t token = (size_t)(t0 + at) * x->n_blocks + b0 + (size_t)i;

            for (int k = 0; k < tiles; k++)
                scales[k] = b[k].scales + (size_t)i * b[k].scales_step;
            TILE_LOAD(2, x->q + token * MATRIX_BLOCK, stride);
            TILE_LOAD(3, b[0].w + (size_t)i * b[0].step, UNIT_BYTES);
            TILE_ZERO(0);
            TILE_INT8(0, 2, 3);
            TILE_STORE(0, c[0][0], sizeof c[0]);
            if (tiles == 2) {
                TILE_LOAD(4, b[1].w + (size_t)i * b[1].step, UNIT_BYTES);
                TILE_ZERO(1);
                TILE_INT8(1, 2, 4);
                TILE_STORE(1, c[0][1], sizeof c[0]);
            }
            add_block(bits, c, scales, tiles, x, token, from, m,
                      b0 + (size_t)i > 0, y + (size_t)at * ldy, ldy);
        }
    }
}

INLINE void
int_by_unit(int bits, const unsigned char *w, int n_tiles,
            const struct tokens *x, int t0, int T, float *y, size_t ldy)
{
    size_t block = SCALES_BYTES + QUANT_BYTES(bits);
    size_t size = x->n_blocks * block;
    unsigned char room[2][BLOCKS_AT_ONCE * QUANT_BYTES(8)];

    configure_int(T < UNIT_ROWS ? T : UNIT_ROWS);
    for (int i = 0, tiles; i < n_tiles; i += tiles) {
        tiles = n_tiles - i >= 2 ? 2 : 1;
        for (size_t b = 0; b < x->n_blocks; b += BLOCKS_AT_ONCE) {
            int n = x->n_blocks - b < BLOCKS_AT_ONCE ? (int)(x->n_blocks - b)
                                                     : BLOCKS_AT_ONCE;
            struct unit_blocks blocks[2];

            for (int k = 0; k < tiles; k++)
                blocks[k] = open_blocks(bits, w + (size_t)k * size + b * block,
                                        n, room[k]);
            int_blocks(bits, blocks, tiles, b, n, x, t0, T, y, ldy);
        }
        w += (size_t)tiles * size;
        y += tiles * MATRIX_TILE;
    }
    TILE_RELEASE();
}

/* --- bf16 --- */

#define UNIT_PAIRS 16 /* of inputs, in one go */

static void
configure_bf16(int m)
{
    struct tile_config c = { .palette = 1 };

    for (int i = 0; i < 5; i++) { /* 0, 1 sums, 2 tokens, 3, 4 weights */
        c.rows[i] = (unsigned char)(i < 3 ? m : UNIT_PAIRS);
        c.row_bytes[i] = UNIT_BYTES;
    }
    TILE_CONFIG(&c);
}

/* To the nearest, ties to even; NaN stays NaN. Rows end in zeros. */
static void
round_to_bf16(const float *x, int K, unsigned short *out)
{
    int end = (K + MATRIX_BLOCK - 1) / MATRIX_BLOCK * MATRIX_BLOCK;

    for (int k = 0; k < end; k++) {
        unsigned u = 0;

        if (k < K)
            memcpy(&u, x + k, 4);
        if ((u & 0x7fffffff) > 0x7f800000)
            u = 0x7fc00000;
        else
            u += 0x7fff + (u >> 16 & 1);
        out[k] = (unsigned short)(u >> 16);
    }
}

/* One or two tiles, tokens at .. of which those from `from` on are new. */
INLINE void
bf16_group(const unsigned char *w, size_t size, int tiles,
           const struct tokens *x, size_t at, int from, int m, float *y,
           size_t ldy)
{
    const size_t ldx = x->n_blocks * MATRIX_BLOCK;
    const size_t step = (size_t)UNIT_PAIRS * UNIT_BYTES;
    float c[UNIT_ROWS][2][MATRIX_TILE];

    TILE_ZERO(0);
    TILE_ZERO(1);
    for (size_t k = 0; k < x->n_blocks; k++) {
        unsigned char last[2][UNIT_PAIRS * UNIT_BYTES];
        const unsigned char *b[2];

        for (int i = 0; i < tiles; i++) {
            b[i] = w + (size_t)i * size + k * step;
            if ((k + 1) * step > size) { /* a tile may end in between */
                memset(last[i], 0, step);
                memcpy(last[i], b[i], size - k * step);
                b[i] = last[i];
            }
        }
        TILE_LOAD(2, x->bf16 + at * ldx + k * MATRIX_BLOCK, 2 * ldx);
        TILE_LOAD(3, b[0], UNIT_BYTES);
        TILE_BF16(0, 2, 3);
        if (tiles == 2) {
            TILE_LOAD(4, b[1], UNIT_BYTES);
            TILE_BF16(1, 2, 4);
        }
    }
    TILE_STORE(0, c[0][0], sizeof c[0]);
    TILE_STORE(1, c[0][1], sizeof c[0]);
    for (int j = from; j < m; j++)
        memcpy(y + (size_t)j * ldy, c[j],
               (size_t)tiles * MATRIX_TILE * sizeof *y);
}

static void
bf16_by_unit(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
             int T, float *y, size_t ldy)
{
    const size_t size = (size_t)(K + 1) / 2 * 4 * MATRIX_TILE;
    int at, from, m;

    configure_bf16(T < UNIT_ROWS ? T : UNIT_ROWS);
    for (int i = 0, tiles; i < n_tiles; i += tiles) {
        tiles = n_tiles - i >= 2 ? 2 : 1;
        for (int t = 0; t < T; t += m) {
            m = take_tokens(T, t, &at, &from);
            bf16_group((const unsigned char *)w + (size_t)i * size, size, tiles,
                       x, (size_t)(t0 + at), from, m,
                       y + (size_t)at * ldy + i * MATRIX_TILE, ldy);
        }
    }
    TILE_RELEASE();
}
