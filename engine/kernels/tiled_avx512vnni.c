/* engine/kernels/tiled_avx512vnni.c  x86-64 with AVX-512 and VNNI: a tile's
 * rows are one vector, and one instruction multiplies and adds 64 bytes. */
#include "engine/kernels/tiled.h"

#define VW     16
#define TILES  2
#define TOKENS 5 /* 16 vectors of weights, 10 of sums */
#define LEVEL  tiled_avx512vnni
#include "engine/kernels/vectors.h"

struct block {
    __m512i p[8]; /* inputs 4 g .. 4 g + 3 of 16 rows */
};

INLINE void
open_block(int bits, const unsigned char *w, struct block *b)
{
    const __m512i low = _mm512_set1_epi8(15);

    for (int g = 0; bits == 8 && g < 8; g++)
        b->p[g] = _mm512_loadu_si512(w + 64 * g);
    for (int g = 0; bits == 4 && g < 4; g++) {
        __m512i both = _mm512_loadu_si512(w + 64 * g);

        b->p[g] = _mm512_and_si512(both, low);
        b->p[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
}

INLINE __m512i
four(const signed char *q)
{
    int v;

    __builtin_memcpy(&v, q, 4);
    return _mm512_set1_epi32(v);
}

INLINE void
sums(int bits, const struct block b[], int tiles, const signed char *q,
     int minus, vi v[][1])
{
    __m512i s[TILES], m = _mm512_set1_epi32(minus);

    for (int i = 0; i < tiles; i++)
        s[i] = bits == 8 ? _mm512_slli_epi32(m, 4) : m;
    for (int g = 0; g < 8; g++) {
        __m512i x = four(q + 4 * g);

        for (int i = 0; i < tiles; i++)
            s[i] = _mm512_dpbusd_epi32(s[i], b[i].p[g], x);
    }
    for (int i = 0; i < tiles; i++)
        v[i][0] = (vi)s[i];
}

#define HAS_FOLDS
INLINE int
most_of(const vi a[2])
{
    return _mm512_reduce_max_epi32(
        _mm512_max_epi32((__m512i)a[0], (__m512i)a[1]));
}

INLINE int
total_of(const vi a[2])
{
    return _mm512_reduce_add_epi32((__m512i)(a[0] + a[1]));
}

#include "engine/kernels/tiled_body.h"
