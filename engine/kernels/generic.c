/* engine/kernels/generic.c  The level of any processor: vectors of four, which
 * every compiler maps to what the machine has (SSE2, NEON, plain C). */
#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"

#define VW            4    /* floats in a vector */
#define SLOW_PRODUCTS true /* OpenBLAS knows more processors than we do */
#define TOKENS        4
#define TILES(t)      1
#include "engine/kernels/f32_body.h"

TABLE(kernels_generic, "generic", &tiled_generic, &attend_generic);
