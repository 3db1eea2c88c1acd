/* engine/kernels/attend_avx2.c  x86-64 with AVX2, FMA and F16C. */
#define VW   8
#define WIDE 1
#include "engine/kernels/attend_body.h"

TABLE(attend_avx2);
