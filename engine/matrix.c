/* engine/matrix.c  Weights into their running type and back to f32. */
#include "engine/matrix.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define VW 4
#include "engine/kernels/vectors.h"

/* Once more for newer instructions; none is fused (-ffp-contract=off), so all
 * give the same numbers. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#    define CLONED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#    define CLONED
#endif

#define TILE  MATRIX_TILE
#define BLOCK MATRIX_BLOCK

static const char *const names[WT_COUNT] = {
    [WT_F32] = "f32",
    [WT_BF16] = "bf16",
    [WT_INT8] = "int8",
    [WT_INT4] = "int4",
};

const char *
weight_type_name(enum weight_type t)
{
    return names[t];
}

bool
weight_type_find(const char *name, enum weight_type *t)
{
    for (int i = 0; i < WT_COUNT; i++)
        if (strcmp(name, names[i]) == 0) {
            *t = (enum weight_type)i;
            return true;
        }
    return false;
}

static size_t
up_to(size_t n, size_t unit)
{
    return (n + unit - 1) / unit;
}

#define SCALES     ((size_t)2 * TILE)
#define BYTES_INT8 (SCALES + (size_t)TILE * BLOCK)
#define BYTES_INT4 (SCALES + (size_t)TILE * BLOCK / 2)

size_t
matrix_tile_bytes(enum weight_type t, int n_in)
{
    size_t n = (size_t)n_in;

    switch (t) {
    case WT_BF16: return up_to(n, 2) * 4 * TILE;
    case WT_INT8: return up_to(n, BLOCK) * BYTES_INT8;
    case WT_INT4: return up_to(n, BLOCK) * BYTES_INT4;
    default: return n * sizeof(float) * TILE;
    }
}

size_t
matrix_bytes(enum weight_type t, int n_out, int n_in)
{
    return matrix_tile_bytes(t, n_in) * up_to((size_t)n_out, TILE);
}

/* --- half precision (IEEE 754 binary16) --- */

float
half_to_float(unsigned short h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, u = h & 0x7fff;
    float f;

    if (u >= 0x7c00)
        u = u << 13 | 0x7f800000;
    else if (u >= 0x0400)
        u = (u << 13) + (112u << 23);
    else { /* a multiple of 2^-24 */
        f = (float)u * 0x1p-24f;
        memcpy(&u, &f, 4);
    }
    u |= sign;
    memcpy(&f, &u, 4);
    return f;
}

unsigned short
half_from_float(float f)
{
    float a = fabsf(f);
    uint32_t u, sign;
    unsigned h;

    memcpy(&u, &f, 4);
    sign = u >> 16 & 0x8000;
    memcpy(&u, &a, 4);
    if (a >= 65504)
        h = 0x7bff;
    else if (a < 0x1p-14f)
        h = (unsigned)rintf(a * 0x1p24f);
    else
        h = (unsigned)((u - (112u << 23) + 0xfff + (u >> 13 & 1)) >> 13);
    return (unsigned short)(sign | h);
}

unsigned short
bf16_from_float(float f)
{
    uint32_t u;

    memcpy(&u, &f, 4);
    u += 0x7fff + (u >> 16 & 1);
    if ((u & 0x7f800000) == 0x7f800000) /* no infinity out of a number */
        u = (u & 0x80000000) | 0x7f7f0000;
    return (unsigned short)(u >> 16);
}

/* --- writing --- */

static float *
f32_at(const struct matrix *m, size_t i, size_t k)
{
    return (float *)m->data + (i / TILE * (size_t)m->n_in + k) * TILE +
           i % TILE;
}

/* Up to 16 rows of one tile; whole lines of memory are written at a time. */
static void
write_f32(const struct matrix *m, size_t i, size_t rows, size_t k0, size_t n,
          const float *w, size_t rs, size_t cs)
{
    float *out = f32_at(m, i, k0);
    size_t k = 0;

    for (; k + 4 <= n && rows == TILE && cs == 1; k += 4)
        for (size_t r = 0; r < TILE; r += 4) {
            const float *p = w + r * rs + k;
            v4 o[4];

            transpose4((const v4mem *)p, (const v4mem *)(p + rs),
                       (const v4mem *)(p + 2 * rs), (const v4mem *)(p + 3 * rs),
                       o);
            for (size_t j = 0; j < 4; j++)
                *(v4mem *)(out + (k + j) * TILE + r) = o[j];
        }
    for (; k < n && rs == 1; k++)
        memcpy(out + k * TILE, w + k * cs, rows * sizeof *out);
    for (; k < n; k++)
        for (size_t r = 0; r < rows; r++)
            out[k * TILE + r] = w[r * rs + k * cs];
}

static void
write_bf16(const struct matrix *m, size_t i, size_t k0, size_t n,
           const float *w, size_t cs)
{
    uint16_t *out =
        (uint16_t *)((unsigned char *)m->data +
                     i / TILE * matrix_tile_bytes(WT_BF16, m->n_in)) +
        i % TILE * 2;

    for (size_t k = 0; k < n; k++)
        out[(k0 + k) / 2 * 2 * TILE + (k0 + k) % 2] =
            bf16_from_float(w[k * cs]);
}

/* The scale as it is kept, and what to multiply by. It is the unrounded one:
 * then numbers that were made this way once come out the same again. */
INLINE unsigned short
scale_of(float d, float *inverse)
{
    unsigned short h = half_from_float(d);
    float kept = half_to_float(h);

    *inverse = kept == 0 ? 0 : 1 / (fabsf(d) > 65504 ? kept : d);
    return h;
}

/* To the nearest whole number, ties to even, within [lo, hi]: as a float, for
 * the compiler makes vectors of it. */
INLINE float
whole(float v, float lo, float hi)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */

    v = v < lo ? lo : v;
    v = v > hi ? hi : v;
    return (v + magic) - magic;
}

static unsigned char *
block_at(const struct matrix *m, size_t i, size_t k)
{
    size_t size = m->type == WT_INT8 ? BYTES_INT8 : BYTES_INT4;

    return (unsigned char *)m->data +
           i / TILE * matrix_tile_bytes(m->type, m->n_in) + k / BLOCK * size;
}

/* The largest |v|. */
INLINE float
furthest(const float *v)
{
    float m[BLOCK];

    for (int k = 0; k < BLOCK; k++)
        m[k] = fabsf(v[k]);
    for (int h = BLOCK / 2; h > 0; h /= 2)
        for (int k = 0; k < h; k++)
            m[k] = m[k] > m[k + h] ? m[k] : m[k + h];
    return m[0];
}

INLINE void
write_int8(unsigned char *block, size_t row, const float *v)
{
    float inverse;
    int q[BLOCK];
    unsigned short h = scale_of(furthest(v) / 127, &inverse);

    memcpy(block + 2 * row, &h, 2);
    block += SCALES + 4 * row;
    for (int k = 0; k < BLOCK; k++)
        q[k] = 128 + (int)whole(v[k] * inverse, -127, 127);
    for (int k = 0; k < BLOCK; k++)
        block[k / 4 * 4 * TILE + k % 4] = (unsigned char)q[k];
}

/* The sum of squared errors with scale d. */
INLINE float
loss_int4(const float *v, float d)
{
    float inverse, kept = half_to_float(scale_of(d, &inverse)), e[BLOCK];

    for (int k = 0; k < BLOCK; k++) {
        float x = v[k] - kept * whole(v[k] * inverse, -8, 7);

        e[k] = x * x;
    }
    for (int h = BLOCK / 2; h > 0; h /= 2)
        for (int k = 0; k < h; k++)
            e[k] += e[k + h];
    return e[0];
}

static const float tries_int4[] = { -8.0f, -7.5f, -7.0f, -8.5f, 7.0f };

/* The number furthest from zero becomes -8 steps, as in Q4_0; where a somewhat
 * smaller or larger step leaves less error, that one. */
INLINE void
write_int4(unsigned char *block, size_t row, const float *v)
{
    float most = furthest(v), best = INFINITY, d = 0, inverse;
    unsigned short h;
    int q[BLOCK], k;

    for (k = 0; k < BLOCK - 1 && v[k] != most && v[k] != -most; k++)
        ;
    most = v[k];
    for (size_t i = 0; i < sizeof tries_int4 / sizeof *tries_int4 && best > 0; i++) {
        float loss = loss_int4(v, most / tries_int4[i]);

        if (loss < best) {
            best = loss;
            d = most / tries_int4[i];
        }
    }
    h = scale_of(d, &inverse);
    memcpy(block + 2 * row, &h, 2);
    block += SCALES + 4 * row;
    for (k = 0; k < BLOCK; k++)
        q[k] = 8 + (int)whole(v[k] * inverse, -8, 7);
    for (k = 0; k < BLOCK / 2; k++)
        block[k / 4 * 4 * TILE + k % 4] =
            (unsigned char)(q[k] | q[k + BLOCK / 2] << 4);
}

/* --- 16 rows at once: the same numbers, side by side --- */

/* v[k][r]: input k of row r, zeros behind the n-th. */
INLINE void
load_rows(const float *w, size_t n, size_t rs, size_t cs, float v[BLOCK][TILE])
{
    for (size_t k = n; k < BLOCK; k++)
        memset(v[k], 0, sizeof v[k]);
    for (size_t k = 0; k < n && rs == 1; k++)
        memcpy(v[k], w + k * cs, sizeof v[k]);
    for (size_t r = 0; r < TILE && rs != 1; r++)
        for (size_t k = 0; k < n; k++)
            v[k][r] = w[r * rs + k * cs];
}

INLINE void
furthest_rows(float v[BLOCK][TILE], float most[TILE])
{
    memset(most, 0, TILE * sizeof *most);
    for (int k = 0; k < BLOCK; k++)
        for (int r = 0; r < TILE; r++)
            most[r] = fabsf(v[k][r]) > most[r] ? fabsf(v[k][r]) : most[r];
}

INLINE void
tile_int8(unsigned char *block, float v[BLOCK][TILE])
{
    float most[TILE], inverse[TILE];
    unsigned short h[TILE];

    furthest_rows(v, most);
    for (int r = 0; r < TILE; r++)
        h[r] = scale_of(most[r] / 127, &inverse[r]);
    memcpy(block, h, SCALES);
    for (int k = 0; k < BLOCK; k += 4) {
        uint32_t four[TILE] = { 0 };

        for (int j = 0; j < 4; j++)
            for (int r = 0; r < TILE; r++)
                four[r] |= (uint32_t)(128 + (int)whole(v[k + j][r] * inverse[r],
                                                       -127, 127))
                           << 8 * j;
        memcpy(block + SCALES + k / 4 * (int)sizeof four, four, sizeof four);
    }
}

/* loss_int4() of every row. */
INLINE void
losses_int4(float v[BLOCK][TILE], const float d[TILE], float loss[TILE])
{
    float inverse[TILE], kept[TILE], e[BLOCK][TILE];

    for (int r = 0; r < TILE; r++)
        kept[r] = half_to_float(scale_of(d[r], &inverse[r]));
    for (int k = 0; k < BLOCK; k++)
        for (int r = 0; r < TILE; r++) {
            float x =
                v[k][r] - kept[r] * whole(v[k][r] * inverse[r], -8, 7);

            e[k][r] = x * x;
        }
    for (int half = BLOCK / 2; half > 0; half /= 2)
        for (int k = 0; k < half; k++)
            for (int r = 0; r < TILE; r++)
                e[k][r] += e[k + half][r];
    memcpy(loss, e[0], sizeof e[0]);
}

INLINE void
tile_int4(unsigned char *block, float v[BLOCK][TILE])
{
    float far[TILE], most[TILE], best[TILE], d[TILE] = { 0 }, inverse[TILE];
    unsigned short h[TILE];

    furthest_rows(v, far);
    memcpy(most, v[BLOCK - 1], sizeof most);
    for (int k = BLOCK - 1; k-- > 0;)
        for (int r = 0; r < TILE; r++)
            most[r] = fabsf(v[k][r]) == far[r] ? v[k][r] : most[r];
    for (int r = 0; r < TILE; r++)
        best[r] = INFINITY;
    for (size_t i = 0; i < sizeof tries_int4 / sizeof *tries_int4; i++) {
        float next[TILE], loss[TILE];

        for (int r = 0; r < TILE; r++)
            next[r] = most[r] / tries_int4[i];
        losses_int4(v, next, loss);
        for (int r = 0; r < TILE; r++) {
            d[r] = loss[r] < best[r] ? next[r] : d[r];
            best[r] = loss[r] < best[r] ? loss[r] : best[r];
        }
    }
    for (int r = 0; r < TILE; r++)
        h[r] = scale_of(d[r], &inverse[r]);
    memcpy(block, h, SCALES);
    for (int k = 0; k < BLOCK / 2; k += 4) {
        uint32_t four[TILE] = { 0 };

        for (int j = 0; j < 4; j++)
            for (int r = 0; r < TILE; r++) {
                float low = v[k + j][r], high = v[k + j + BLOCK / 2][r];

                four[r] |=
                    (uint32_t)((8 + (int)whole(low * inverse[r], -8, 7)) |
                               (8 + (int)whole(high * inverse[r], -8, 7)) << 4)
                    << 8 * j;
            }
        memcpy(block + SCALES + k / 4 * (int)sizeof four, four, sizeof four);
    }
}

/* A whole tile from row i on. */
CLONED static void
write_tile(const struct matrix *m, size_t i, size_t k0, size_t n,
           const float *w, size_t rs, size_t cs)
{
    for (size_t k = 0; k < n; k += BLOCK) {
        unsigned char *block = block_at(m, i, k0 + k);
        float v[BLOCK][TILE];

        load_rows(w + k * cs, n - k < BLOCK ? n - k : BLOCK, rs, cs, v);
        if (m->type == WT_INT8)
            tile_int8(block, v);
        else
            tile_int4(block, v);
    }
}

/* --- a row alone --- */

CLONED static void
write_blocks(const struct matrix *m, size_t i, size_t k0, size_t n,
             const float *w, size_t cs)
{
    for (size_t k = 0; k < n; k += BLOCK) {
        unsigned char *block = block_at(m, i, k0 + k);
        float v[BLOCK];

        for (size_t j = 0; j < BLOCK; j++)
            v[j] = k + j < n ? w[(k + j) * cs] : 0;
        if (m->type == WT_INT8)
            write_int8(block, i % TILE, v);
        else
            write_int4(block, i % TILE, v);
    }
}

void
matrix_write(const struct matrix *m, size_t i0, size_t rows, size_t k0,
             size_t n, const float *w, size_t rs, size_t cs)
{
    for (size_t r = 0, now; r < rows && m->type == WT_F32; r += now) {
        now = TILE - (i0 + r) % TILE;
        now = now < rows - r ? now : rows - r;
        write_f32(m, i0 + r, now, k0, n, w + r * rs, rs, cs);
    }
    for (size_t r = 0, now; r < rows && m->type != WT_F32; r += now) {
        const float *from = w + r * rs;

        now = 1;
        if (m->type == WT_BF16) {
            write_bf16(m, i0 + r, k0, n, from, cs);
        } else if ((i0 + r) % TILE == 0 && rows - r >= TILE) {
            write_tile(m, i0 + r, k0, n, from, rs, cs);
            now = TILE;
        } else {
            write_blocks(m, i0 + r, k0, n, from, cs);
        }
    }
}

/* --- reading a row --- */

static float
bf16_at(const struct matrix *m, size_t i, size_t k)
{
    const unsigned char *p = (const unsigned char *)m->data +
                             i / TILE * matrix_tile_bytes(WT_BF16, m->n_in) +
                             2 * (k / 2 * 2 * TILE + i % TILE * 2 + k % 2);
    uint32_t u = (uint32_t)p[1] << 24 | (uint32_t)p[0] << 16;
    float f;

    memcpy(&f, &u, 4);
    return f;
}

void
matrix_block(const struct matrix *m, size_t i, size_t b, unsigned short *scale,
             signed char q[MATRIX_BLOCK])
{
    const unsigned char *p = block_at(m, i, b * BLOCK);
    size_t row = i % TILE;

    memcpy(scale, p + 2 * row, 2);
    p += SCALES + 4 * row;
    for (size_t j = 0; j < BLOCK; j++) {
        if (m->type == WT_INT8)
            q[j] = (signed char)(p[j / 4 * 4 * TILE + j % 4] - 128);
        else if (j < BLOCK / 2)
            q[j] = (signed char)((p[j / 4 * 4 * TILE + j % 4] & 15) - 8);
        else
            q[j] = (signed char)((p[(j - BLOCK / 2) / 4 * 4 * TILE + j % 4] >>
                                  4) -
                                 8);
    }
}

void
matrix_row(const struct matrix *m, size_t i, float *out)
{
    size_t n = (size_t)m->n_in;

    for (size_t k = 0; k < n && m->type == WT_F32; k++)
        out[k] = *f32_at(m, i, k);
    for (size_t k = 0; k < n && m->type == WT_BF16; k++)
        out[k] = bf16_at(m, i, k);
    for (size_t k = 0; k < n && m->type >= WT_INT8; k += BLOCK) {
        unsigned short scale;
        signed char q[BLOCK];

        matrix_block(m, i, k / BLOCK, &scale, q);
        for (size_t j = 0; j < BLOCK && k + j < n; j++)
            out[k + j] = half_to_float(scale) * (float)q[j];
    }
}
