/* engine/kernels/neon.c  aarch64: vectors of four, 32 of them. Those with the
 * dot product of bytes (Arm v8.2 DotProd) differ in the integer weights only;
 * attention's plain vectors of four are the same ones. */
#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"

#define VW            4
#define SLOW_PRODUCTS false
#define TOKENS        6 /* 24 sums, four vectors of weights, a token */
#define TILES(t)      ((t) == 1 ? 4 : (t) == 2 ? 2 : 1)
#include "engine/kernels/f32_body.h"

TABLE(kernels_neon, "neon", &tiled_neon, &attend_generic);
TABLE(kernels_neondot, "neondot", &tiled_neondot, &attend_generic);
