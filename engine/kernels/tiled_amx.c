/* engine/kernels/tiled_amx.c  x86-64 with AMX: the matrix unit where there
 * are enough tokens to fill it, AVX-512 with VNNI otherwise. */
#include <immintrin.h>
#include <stdbool.h>

#include "engine/kernels/tiled.h"

#define VW 16
#include "engine/kernels/vectors.h"

/* The compiler's own words say too little of the memory they touch: gcc 12
 * has _tile_loadconfig read 8 bytes of the 64, and _tile_loadd none. */
#define TOUCHES(p) __asm__ volatile("" ::"r"(p) : "memory")
#define TILE_CONFIG(p)       \
    do {                     \
        TOUCHES(p);          \
        _tile_loadconfig(p); \
    } while (0)
#define TILE_RELEASE() _tile_release()
#define TILE_ZERO(c)   _tile_zero(c)
#define TILE_LOAD(c, p, stride)    \
    do {                           \
        TOUCHES(p);                \
        _tile_loadd(c, p, stride); \
    } while (0)
#define TILE_STORE(c, p, stride)    \
    do {                            \
        _tile_stored(c, p, stride); \
        TOUCHES(p);                 \
    } while (0)
#define TILE_INT8(c, a, b) _tile_dpbsud(c, a, b)
#define TILE_BF16(c, a, b) _tile_dpbf16ps(c, a, b)
#include "engine/kernels/amx_body.h"

static void
quantize(const float *x, int K, signed char *q, float *scale, int *minus)
{
    tiled_avx512vnni.quantize(x, K, q, scale, minus);
}

static void
rows_int8(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    if (T < UNIT_TOKENS)
        tiled_avx512vnni.rows[WT_INT8](w, n_tiles, K, x, t0, T, y, ldy);
    else
        int_by_unit(8, w, n_tiles, x, t0, T, y, ldy);
}

static void
rows_int4(const void *w, int n_tiles, int K, const struct tokens *x, int t0,
          int T, float *y, size_t ldy)
{
    if (T < UNIT_TOKENS)
        tiled_avx512vnni.rows[WT_INT4](w, n_tiles, K, x, t0, T, y, ldy);
    else
        int_by_unit(4, w, n_tiles, x, t0, T, y, ldy);
}

const struct tiled_kernels tiled_amx = {
    .quantize = quantize,
    .round_to_bf16 = round_to_bf16,
    .rows = { [WT_BF16] = bf16_by_unit,
              [WT_INT8] = rows_int8,
              [WT_INT4] = rows_int4 },
};
