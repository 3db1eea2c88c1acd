/* engine/kernels/tiled_avx2.c  x86-64 with AVX2, FMA and F16C. */
#include "engine/kernels/tiled.h"

#define VW     8
#define TILES  1
#define TOKENS 2
#define LEVEL  tiled_avx2
#include "engine/kernels/vectors.h"

struct block { /* too few registers to keep one */
    const unsigned char *w;
};

INLINE void
open_block(int bits, const unsigned char *w, struct block *b)
{
    b->w = w;
}

INLINE int
four(const signed char *q)
{
    int v;

    __builtin_memcpy(&v, q, 4);
    return v;
}

/* Bytes up to 255 times bytes up to 127: pairs of them do not fit 16 bits, so
 * both are widened first. Four rows stand in a vector, two sums for each. */
INLINE void
sums_int8(const unsigned char *w, const signed char *q, int minus, vi v[2])
{
    __m256i s[4] = { _mm256_setzero_si256(), _mm256_setzero_si256(),
                     _mm256_setzero_si256(), _mm256_setzero_si256() };
    __m256i m = _mm256_set1_epi32(16 * minus);

    for (int g = 0; g < 8; g++) {
        __m256i x = _mm256_cvtepi8_epi16(_mm_set1_epi32(four(q + 4 * g)));

        for (int i = 0; i < 4; i++) {
            __m256i p = _mm256_cvtepu8_epi16(
                _mm_loadu_si128((const __m128i *)(w + 64 * g + 16 * i)));

            s[i] = _mm256_add_epi32(s[i], _mm256_madd_epi16(p, x));
        }
    }
    for (int h = 0; h < 2; h++) /* hadd works within halves: 0 2 1 3 */
        v[h] = (vi)_mm256_add_epi32(
            m,
            _mm256_permute4x64_epi64(_mm256_hadd_epi32(s[2 * h], s[2 * h + 1]),
                                     0xd8));
}

/* Halves of a byte are at most 15: eight products and their pairs stay below
 * 2^15, so only the end of the block is widened. */
INLINE void
sums_int4(const unsigned char *w, const signed char *q, int minus, vi v[2])
{
    const __m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);

    for (int h = 0; h < 2; h++) {
        __m256i s = _mm256_setzero_si256();

        for (int g = 0; g < 4; g++) {
            __m256i p =
                _mm256_loadu_si256((const __m256i *)(w + 64 * g + 32 * h));
            __m256i x = _mm256_set1_epi32(four(q + 4 * g));
            __m256i z = _mm256_set1_epi32(four(q + 16 + 4 * g));

            s = _mm256_add_epi16(s,
                                 _mm256_maddubs_epi16(_mm256_and_si256(p, low),
                                                      x));
            s = _mm256_add_epi16(
                s, _mm256_maddubs_epi16(
                       _mm256_and_si256(_mm256_srli_epi16(p, 4), low), z));
        }
        v[h] = (vi)_mm256_add_epi32(_mm256_set1_epi32(minus),
                                    _mm256_madd_epi16(s, one));
    }
}

INLINE void
sums(int bits, const struct block b[], int tiles, const signed char *q,
     int minus, vi v[][2])
{
    if (bits == 8)
        sums_int8(b->w, q, minus, v[0]);
    else
        sums_int4(b->w, q, minus, v[0]);
}

#include "engine/kernels/tiled_body.h"
