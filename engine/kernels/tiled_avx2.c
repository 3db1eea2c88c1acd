/* engine/kernels/tiled_avx2.c  x86-64 with AVX2, FMA and F16C. */
#define LEVEL tiled_avx2
#include "engine/kernels/tiled_ymm.h"

#define HAS_GROUP_SUMS

/* Bytes up to 255 times bytes up to 127: pairs of them do not fit 16 bits. So
 * the weights lose their 128 again, and give their sign to the token: then a
 * pair is at most 128 * 127 * 2. */
INLINE void
sums_int8(const unsigned char *w, const signed char *q, size_t nb, int t,
          vi v[][2])
{
    const __m256i off = _mm256_set1_epi8(-128), one = _mm256_set1_epi16(1);

    for (int g = 0; g < 8; g++)
        for (int h = 0; h < 2; h++) {
            __m256i p =
                _mm256_xor_si256(off,
                                 _mm256_loadu_si256(
                                     (const __m256i *)(w + 64 * g + 32 * h)));
            __m256i size = _mm256_abs_epi8(p);

            for (int j = 0; j < t; j++) {
                __m256i x = four(q + (size_t)j * nb * MATRIX_BLOCK + 4 * g);
                __m256i pairs =
                    _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, p));

                v[j][h] = (vi)_mm256_add_epi32((__m256i)v[j][h],
                                               _mm256_madd_epi16(pairs, one));
            }
        }
}

/* Halves of a byte are at most 15: eight products and their pairs stay below
 * 2^15, so only the end of the block is widened. */
INLINE void
sums_int4(const unsigned char *w, const signed char *q, size_t nb, int t,
          vi v[][2])
{
    const __m256i low = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);
    __m256i s[TOKENS][2];

    for (int j = 0; j < t; j++)
        s[j][0] = s[j][1] = _mm256_setzero_si256();
    for (int i = 0; i < 8; i++) { /* inputs 4 i on: low halves, then high */
        const __m256i *both = (const __m256i *)(w + 64 * (i % 4));
        __m256i p[2];

        for (int h = 0; h < 2; h++)
            p[h] =
                _mm256_and_si256(_mm256_srli_epi16(_mm256_loadu_si256(both + h),
                                                   i / 4 * 4),
                                 low);
        for (int j = 0; j < t; j++) {
            __m256i x = four(q + (size_t)j * nb * MATRIX_BLOCK + 4 * i);

            for (int h = 0; h < 2; h++)
                s[j][h] =
                    _mm256_add_epi16(s[j][h], _mm256_maddubs_epi16(p[h], x));
        }
    }
    for (int j = 0; j < t; j++)
        for (int h = 0; h < 2; h++)
            v[j][h] = (vi)_mm256_add_epi32((__m256i)v[j][h],
                                           _mm256_madd_epi16(s[j][h], one));
}

INLINE void
group_sums(int bits, const struct block *b, const signed char *q,
           const int *minus, size_t nb, int t, vi v[][2])
{
    for (int j = 0; j < t; j++)
        v[j][0] = v[j][1] =
            (vi)_mm256_set1_epi32(bits == 8 ? 0 : minus[(size_t)j * nb]);
    if (bits == 8)
        sums_int8(b->w, q, nb, t, v);
    else
        sums_int4(b->w, q, nb, t, v);
}

#include "engine/kernels/tiled_body.h"
