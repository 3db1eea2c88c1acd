/* engine/kernels/avx512.c  x86-64 with AVX-512: vectors of sixteen. */
#include "engine/kernels/kernels.h"

#define VW    16
#define TILE  12
#define LEVEL kernels_avx512
#define NAME  "avx512"
#define GEMM  true /* OpenBLAS 0.3.21 knows only Intel's AVX-512 */
#include "engine/kernels/f32_body.h"
