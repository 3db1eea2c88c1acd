/* engine/kernels/tiled_generic.c  In plain C: what the others are tested
 * against, and what runs where nothing better is known. */
#include "engine/kernels/tiled.h"

#define VW     4
#define TOKENS 1
#define LEVEL  tiled_generic
#include "engine/kernels/tiled_vectors.h"

#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))

/* As in matrix.c; no call leaves this file, for it is on the hottest path. */
INLINE float
half(const unsigned char *p)
{
    unsigned h = (unsigned)p[0] | (unsigned)p[1] << 8, u = h & 0x7fff;
    union {
        unsigned u;
        float f;
    } r;

    if (u < 0x400)
        r.f = (float)u * 0x1p-24f;
    else
        r.u = (u << 13) + (112u << 23);
    return h & 0x8000 ? -r.f : r.f;
}

INLINE void
load_scales(const unsigned char *w, vf s[])
{
    for (int i = 0; i < 16; i++)
        s[i / VW][i % VW] = half(w + 2 * i);
}

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
