/* engine/kernels/tiled_avx512vnni.c  x86-64 with AVX-512 and VNNI: a tile's
 * rows are one vector, and one instruction multiplies and adds 64 bytes. */
#include "engine/kernels/tiled.h"

#define VW     16
#define TOKENS 8
#define LEVEL  tiled_avx512vnni
#include "engine/kernels/vectors.h"

INLINE __m512i
four(const signed char *q)
{
    int v;

    __builtin_memcpy(&v, q, 4);
    return _mm512_set1_epi32(v);
}

/* Two sums for each token: one alone would wait for itself eight times. */
INLINE void
sums(const __m512i p[8], const signed char *q, int minus, vi *v)
{
    __m512i a = _mm512_set1_epi32(minus), b = _mm512_setzero_si512();

    for (int g = 0; g < 8; g += 2) {
        a = _mm512_dpbusd_epi32(a, p[g], four(q + 4 * g));
        b = _mm512_dpbusd_epi32(b, p[g + 1], four(q + 4 * g + 4));
    }
    *v = (vi)_mm512_add_epi32(a, b);
}

INLINE void
sums_int8(const unsigned char *w, const signed char *q, size_t ldq,
          const int *sum, size_t lds, int t, vi v[][1])
{
    __m512i p[8];

    for (int g = 0; g < 8; g++)
        p[g] = _mm512_loadu_si512(w + 64 * g);
    for (int j = 0; j < t; j++)
        sums(p, q + (size_t)j * ldq, -128 * sum[(size_t)j * lds], v[j]);
}

INLINE void
sums_int4(const unsigned char *w, const signed char *q, size_t ldq,
          const int *sum, size_t lds, int t, vi v[][1])
{
    const __m512i low = _mm512_set1_epi8(15);
    __m512i p[8];

    for (int g = 0; g < 4; g++) {
        __m512i both = _mm512_loadu_si512(w + 64 * g);

        p[g] = _mm512_and_si512(both, low);
        p[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    }
    for (int j = 0; j < t; j++)
        sums(p, q + (size_t)j * ldq, -8 * sum[(size_t)j * lds], v[j]);
}

#include "engine/kernels/tiled_body.h"
