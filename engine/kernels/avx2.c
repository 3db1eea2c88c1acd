/* engine/kernels/avx2.c  x86-64 with AVX2 and FMA: vectors of eight. Those with
 * VNNI differ in the integer weights only. */
#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"

#define VW 8
#define SLOW_PRODUCTS \
    false          /* as fast as OpenBLAS with many tokens, faster with few */
#define TOKENS   6 /* twelve sums, two vectors of weights, a token */
#define TILES(t) ((t) == 1 ? 4 : (t) == 2 ? 2 : 1)
#include "engine/kernels/f32_body.h"

TABLE(kernels_avx2, "avx2", &tiled_avx2, &attend_avx2);
TABLE(kernels_avxvnni, "avxvnni", &tiled_avxvnni, &attend_avx2);
