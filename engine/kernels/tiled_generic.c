/* engine/kernels/tiled_generic.c  In plain C: what the others are tested
 * against, and what runs where nothing better is known. */
#include "engine/kernels/tiled.h"

#define VW     4
#define TILES  1
#define TOKENS 1
#define LEVEL  tiled_generic
#include "engine/kernels/vectors.h"

struct block {
    const unsigned char *w;
};

INLINE void
open_block(int bits, const unsigned char *w, struct block *b)
{
    b->w = w;
}

INLINE void
sums(int bits, const struct block b[], int tiles, const signed char *q,
     int minus, vi v[][16 / VW])
{
    for (int i = 0; i < 16; i++) {
        const unsigned char *w = b->w + 4 * i;
        int s = bits == 8 ? 16 * minus : minus;

        for (int k = 0; bits == 8 && k < 32; k++)
            s += (int)w[k / 4 * 64 + k % 4] * (int)q[k];
        for (int k = 0; bits == 4 && k < 16; k++) {
            unsigned both = w[k / 4 * 64 + k % 4];

            s += (int)(both & 15) * (int)q[k];
            s += (int)(both >> 4) * (int)q[k + 16];
        }
        v[0][i / VW][i % VW] = s;
    }
}

#include "engine/kernels/tiled_body.h"
