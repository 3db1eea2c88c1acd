/* engine/kernels/tiled_ymm.h  What the levels with sixteen vectors of eight
 * have in common, before tiled_body.h.
 */
#include "engine/kernels/tiled.h"

#define VW     8
#define TILES  1
#define TOKENS 4 /* eight sums */
#include "engine/kernels/vectors.h"

struct block { /* too few registers to keep one */
    const unsigned char *w;
};

INLINE void
open_block(int bits, const unsigned char *w, struct block *b)
{
    b->w = w;
}

INLINE __m256i
four(const signed char *q)
{
    int v;

    __builtin_memcpy(&v, q, 4);
    return _mm256_set1_epi32(v);
}

#define HAS_FOLDS
INLINE __m128i
halves_max(__m256i a)
{
    return _mm_max_epi32(_mm256_castsi256_si128(a),
                         _mm256_extracti128_si256(a, 1));
}

INLINE int
most_of(const vi a[4])
{
    __m128i m = halves_max(
        _mm256_max_epi32(_mm256_max_epi32((__m256i)a[0], (__m256i)a[1]),
                         _mm256_max_epi32((__m256i)a[2], (__m256i)a[3])));

    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4e));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0xb1));
    return _mm_cvtsi128_si32(m);
}

INLINE int
total_of(const vi a[4])
{
    __m256i s = (__m256i)(a[0] + a[1] + (a[2] + a[3]));
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s),
                              _mm256_extracti128_si256(s, 1));

    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1));
    return _mm_cvtsi128_si32(t);
}
