/* engine/kernels/attend_avx512.c  x86-64 with AVX-512: 16 of its 32 registers
 * hold sums. */
#define VW   16
#define WIDE 4
#include "engine/kernels/attend_body.h"

TABLE(attend_avx512);
