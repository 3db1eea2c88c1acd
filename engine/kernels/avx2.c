/* engine/kernels/avx2.c  x86-64 with AVX2 and FMA: vectors of eight. */
#include "engine/kernels/kernels.h"

#define VW    8
#define TILE  6
#define LEVEL kernels_avx2
#define NAME  "avx2"
#define GEMM  true /* as fast as OpenBLAS with many tokens, faster with few */
#include "engine/kernels/f32_body.h"
