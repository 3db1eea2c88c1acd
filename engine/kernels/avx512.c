/* engine/kernels/avx512.c  x86-64 with AVX-512: vectors of sixteen. Those
 * with VNNI, BF16 or AMX differ in the integer weights and fast bf16 only. */
#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"

#define VW            16
#define SLOW_PRODUCTS false /* OpenBLAS 0.3.21 knows only Intel's AVX-512 */
#define TOKENS        12    /* 24 sums, two vectors of weights, a token */
#define TILES(t)      ((t) <= 6 ? 4 : 2)
#include "engine/kernels/f32_body.h"

TABLE(kernels_avx512, "avx512", &tiled_avx2, &attend_avx512);
TABLE(kernels_avx512vnni, "avx512vnni", &tiled_avx512vnni, &attend_avx512);
TABLE(kernels_avx512bf16, "avx512bf16", &tiled_avx512bf16, &attend_avx512);
TABLE(kernels_amx, "amx", &tiled_amx, &attend_avx512);
