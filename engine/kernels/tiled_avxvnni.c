/* engine/kernels/tiled_avxvnni.c  x86-64 with AVX2 and VNNI for its vectors
 * (Intel from Alder Lake on), without AVX-512. */
#define LEVEL tiled_avxvnni
#include "engine/kernels/tiled_ymm.h"

#define HAS_GROUP_SUMS
INLINE void
add_four(__m256i p, __m256i r, const signed char *q, size_t nb, int t,
         vi v[][2])
{
    for (int j = 0; j < t; j++) {
        __m256i x = four(q + (size_t)j * nb * MATRIX_BLOCK);

        v[j][0] = (vi)_mm256_dpbusd_avx_epi32((__m256i)v[j][0], p, x);
        v[j][1] = (vi)_mm256_dpbusd_avx_epi32((__m256i)v[j][1], r, x);
    }
}

INLINE __m256i
half(__m256i both, int shift)
{
    return _mm256_and_si256(_mm256_srli_epi16(both, shift),
                            _mm256_set1_epi8(15));
}

INLINE void
group_sums(int bits, const struct block *b, const signed char *q,
           const int *minus, size_t nb, int t, vi v[][2])
{
    for (int j = 0; j < t; j++)
        v[j][0] = v[j][1] =
            (vi)_mm256_set1_epi32(minus[(size_t)j * nb] * (bits == 8 ? 16 : 1));
    for (int g = 0; g < bits; g++) {
        const __m256i *w = (const __m256i *)(b->w + 64 * g);
        __m256i p = _mm256_loadu_si256(w), r = _mm256_loadu_si256(w + 1);

        if (bits == 8) {
            add_four(p, r, q + 4 * g, nb, t, v);
            continue;
        }
        add_four(half(p, 0), half(r, 0), q + 4 * g, nb, t, v);
        add_four(half(p, 4), half(r, 4), q + 16 + 4 * g, nb, t, v);
    }
}

#include "engine/kernels/tiled_body.h"
