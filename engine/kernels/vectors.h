/* engine/kernels/vectors.h  The vector words of one level.
 *
 * Included after #define VW 4, 8 or 16 (numbers in a vector) by files that are
 * compiled once for each instruction set, with -ffp-contract=off. Whatever is
 * computed with these words is the same bits on every level, NaN's payload
 * aside: each operation on a lane is one of IEEE 754, rounded to the nearest,
 * and sums across elements follow one tree. Pure functions, any thread.
 */
#ifndef JIELONG_VECTORS_H
#define JIELONG_VECTORS_H

#include <math.h>
#include <stddef.h>
#if defined(__AVX2__)
#    include <immintrin.h>
#elif defined(__ARM_NEON) && defined(__aarch64__)
#    include <arm_neon.h>
#endif

typedef float vf __attribute__((vector_size(4 * VW)));
typedef int vi __attribute__((vector_size(4 * VW)));
typedef unsigned vu __attribute__((vector_size(4 * VW)));
/* The same in memory: any alignment, may lie over other types. */
typedef float vfmem __attribute__((vector_size(4 * VW), aligned(4), may_alias));
typedef unsigned vumem
    __attribute__((vector_size(4 * VW), aligned(2), may_alias));
typedef unsigned short vhmem
    __attribute__((vector_size(2 * VW), aligned(2), may_alias));

/* Four numbers, on every level. */
typedef float v4 __attribute__((vector_size(16)));
typedef float v4mem __attribute__((vector_size(16), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vf
load(const float *p)
{
    return *(const vfmem *)p;
}

INLINE void
store(float *p, vf v)
{
    *(vfmem *)p = v;
}

INLINE vf
all(float x)
{
    return x - (vf){ 0 };
}

/* c where m is all ones, else d. */
INLINE vf
pick(vi m, vf c, vf d)
{
    return (vf)((m & (vi)c) | (~m & (vi)d));
}

/* b where they do not compare. */
INLINE vf
vmax(vf a, vf b)
{
    return pick(a > b, a, b);
}

/* The first n < VW floats, the rest as in `rest`; memory beyond is not
 * touched. */
INLINE vf
load_part(const float *p, int n, float rest)
{
    float t[VW];

    for (int i = 0; i < VW; i++)
        t[i] = i < n ? p[i] : rest;
    return load(t);
}

INLINE void
store_part(float *p, int n, vf v)
{
    float t[VW];

    store(t, v);
    for (int i = 0; i < VW && i < n; i++)
        p[i] = t[i];
}

/* Four rows of four floats, transposed. */
INLINE void
transpose4(const v4mem *a, const v4mem *b, const v4mem *c, const v4mem *d,
           v4 out[4])
{
    v4 ab0 = __builtin_shufflevector((v4)*a, (v4)*b, 0, 4, 1, 5);
    v4 ab1 = __builtin_shufflevector((v4)*a, (v4)*b, 2, 6, 3, 7);
    v4 cd0 = __builtin_shufflevector((v4)*c, (v4)*d, 0, 4, 1, 5);
    v4 cd1 = __builtin_shufflevector((v4)*c, (v4)*d, 2, 6, 3, 7);

    out[0] = __builtin_shufflevector(ab0, cd0, 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(ab0, cd0, 2, 3, 6, 7);
    out[2] = __builtin_shufflevector(ab1, cd1, 0, 1, 4, 5);
    out[3] = __builtin_shufflevector(ab1, cd1, 2, 3, 6, 7);
}

/* --- a * b + c, rounded once --- */

#if VW == 16 && defined(__AVX512F__)
INLINE vf
vfma(vf a, vf b, vf c)
{
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
#elif VW == 8 && defined(__FMA__)
INLINE vf
vfma(vf a, vf b, vf c)
{
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
#elif VW == 4 && defined(__ARM_NEON) && defined(__aarch64__)
INLINE vf
vfma(vf a, vf b, vf c)
{
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
#else
#    define VFMA_IS_SLOW /* some twenty operations */

typedef double vd __attribute__((vector_size(8 * VW)));
typedef long long vl __attribute__((vector_size(8 * VW)));
typedef unsigned long long vul __attribute__((vector_size(8 * VW)));

/* By doubles: the product is exact, and the sum with its error e (TwoSum,
 * Knuth) is too. The sum is rounded to odd: where e is not zero and the last
 * bit is, to the neighbour on the side of e. What is odd was not halfway, so
 * rounding it to float rounds the true sum; 53 bits are enough, for two more
 * than float's would be (Boldo, Melquiond 2008, "Emulation of FMA and
 * correctly rounded sums"). Doubles do not overflow here; infinities and NaN
 * give an e that is NaN, and nothing is changed. */
INLINE vf
vfma(vf a, vf b, vf c)
{
    vd p = __builtin_convertvector(a, vd) * __builtin_convertvector(b, vd);
    vd d = __builtin_convertvector(c, vd), s = p + d, back = s - p;
    vd e = (p - (s - back)) + (d - back);
    vul u = (vul)s, even = (u & 1) - 1;
    vul off = (vul)((vl)(e < 0) | (vl)(e > 0));
    vul away = 1 - ((u ^ (vul)e) >> 63 << 1); /* 1, or -1: towards zero */

    return __builtin_convertvector((vd)(u + (away & even & off)), vf);
}
#endif

/* --- half precision (IEEE 754 binary16) --- */

/* VW of them, exactly, at any address. */
#if VW == 16 && defined(__AVX512F__)
INLINE vf
load_half(const void *p)
{
    return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
#elif VW == 8 && defined(__F16C__)
INLINE vf
load_half(const void *p)
{
    return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
#elif VW == 4 && defined(__ARM_NEON) && defined(__aarch64__)
INLINE vf
load_half(const void *p)
{
    return (vf)vcvt_f32_f16(
        vreinterpret_f16_u16(vld1_u16((const unsigned short *)p)));
}
#else
INLINE vf
load_half(const void *p)
{
    vu h = __builtin_convertvector(*(const vhmem *)p, vu), u = h & 0x7fff;
    vf v = (vf)(u << 13) * 0x1p112f; /* also of denormals, also without one */
    vu not_a_number = (vu)((vi)u > 0x7bff) & 0x7f800000;

    return (vf)((vu)v | not_a_number | (h & 0x8000) << 16);
}
#endif

/* --- sums across elements --- */

/* Sixteen sums: element i of a row belongs to lane i mod 16. */
#define N16 (16 / VW)
struct lanes16 {
    vf v[N16];
};

INLINE struct lanes16
lanes16_all(float x)
{
    struct lanes16 l;

    for (int h = 0; h < N16; h++)
        l.v[h] = all(x);
    return l;
}

INLINE struct lanes16
lanes16_load(const float *p)
{
    struct lanes16 l;

    for (int h = 0; h < N16; h++)
        l.v[h] = load(p + h * VW);
    return l;
}

/* The first n <= 16; memory beyond is not touched. */
INLINE struct lanes16
lanes16_load_part(const float *p, int n, float rest)
{
    float t[16];

    for (int i = 0; i < 16; i++)
        t[i] = i < n ? p[i] : rest;
    return lanes16_load(t);
}

INLINE void
lanes16_store_part(float *p, int n, struct lanes16 l)
{
    float t[16];

    for (int h = 0; h < N16; h++)
        store(t + h * VW, l.v[h]);
    for (int i = 0; i < 16 && i < n; i++)
        p[i] = t[i];
}

/* Lane i and lane i + 8, then + 4, + 2, + 1. */
INLINE float
lanes16_sum(struct lanes16 l)
{
    float t[16];

    for (int h = 0; h < N16; h++)
        store(t + h * VW, l.v[h]);
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            t[i] += t[i + n];
    return t[0];
}

INLINE float
lanes16_max(struct lanes16 l)
{
    float t[16];

    for (int h = 0; h < N16; h++)
        store(t + h * VW, l.v[h]);
    for (int n = 8; n > 0; n /= 2)
        for (int i = 0; i < n; i++)
            t[i] = t[i] > t[i + n] ? t[i] : t[i + n];
    return t[0];
}

/* --- functions of one argument --- */

/* e^x within 1e-7 of its value; x below -87 gives 1e-38. x = n ln 2 + r with
 * |r| <= ln 2 / 2; e^r by its series to the 7th power (remainder 5e-9),
 * 2^n by adding n to the exponent. */
INLINE vf
vexp(vf x)
{
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds */
    vf t, n, r, p;

    x = pick(x < -87.3f, all(-87.3f), x);
    x = pick(x > 88.7f, all(88.7f), x);
    t = x * 1.44269504f + magic;
    n = t - magic;
    r = x - n * 0.693359375f; /* ln 2 in two parts, the first one exact */
    r = r - n * -2.12194440e-4f;
    p = all(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    /* 2^n in two steps: n may be 128. */
    vi e = (vi)t - (vi)all(magic), h = e >> 1;
    return p * (vf)((h + 127) << 23) * (vf)((e - h + 127) << 23);
}

/* 1 - erf(z), z >= 0, within 2e-7: exp(-z Q(z)) with Q(z) = -ln(erfc z) / z
 * fitted on [0, 4.2] (minimax, error of the fit 2e-10); erfc(4.2) < 3e-9. */
INLINE vf
verfc(vf z)
{
    vf q = all(1.323436775e-6f);

    z = pick(z > 4.2f, all(4.2f), z);
    q = q * z + -2.269308493e-5f;
    q = q * z + 1.731133854e-4f;
    q = q * z + -7.532434793e-4f;
    q = q * z + 1.815402034e-3f;
    q = q * z + -2.649276474e-4f;
    q = q * z + -1.911283417e-2f;
    q = q * z + 1.027702987e-1f;
    q = q * z + 6.366199042e-1f;
    q = q * z + 1.128379167f;
    return vexp(-(q * z));
}

#endif
