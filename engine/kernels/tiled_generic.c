/* engine/kernels/tiled_generic.c  In plain C: what the others are tested
 * against, and what runs where nothing better is known. */
#include "engine/kernels/tiled.h"

#define VW     4
#define TOKENS 1
#define LEVEL  tiled_generic
#include "engine/kernels/vectors.h"

INLINE void
sums_int8(const unsigned char *w, const signed char *q, size_t ldq,
          const int *sum, size_t lds, int t, vi v[][16 / VW])
{
    for (int i = 0; i < 16; i++) {
        int s = -128 * sum[0];

        for (int k = 0; k < 32; k++)
            s += (int)w[k / 4 * 64 + 4 * i + k % 4] * (int)q[k];
        v[0][i / VW][i % VW] = s;
    }
}

INLINE void
sums_int4(const unsigned char *w, const signed char *q, size_t ldq,
          const int *sum, size_t lds, int t, vi v[][16 / VW])
{
    for (int i = 0; i < 16; i++) {
        int s = -8 * sum[0];

        for (int k = 0; k < 16; k++) {
            unsigned both = w[k / 4 * 64 + 4 * i + k % 4];

            s += (int)(both & 15) * (int)q[k];
            s += (int)(both >> 4) * (int)q[k + 16];
        }
        v[0][i / VW][i % VW] = s;
    }
}

#include "engine/kernels/tiled_body.h"
