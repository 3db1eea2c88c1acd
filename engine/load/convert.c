/* engine/load/convert.c  Widening, and the search for what is not a number.
 *
 * Every loop is written so that a compiler makes vectors of it: no branches,
 * and the bad numbers are only noticed (their exponent is all ones), not
 * looked for; who they are is found out afterwards, in the rare case. F16 has
 * an instruction of its own on x86 (F16C), taken when the CPU has it.
 */
#include "engine/load/convert.h"

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__x86_64__)
#    include <cpuid.h>
#    include <immintrin.h>
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#    error "the readers of tensors expect a little-endian machine"
#endif

#define PIECE 256 /* elements between two looks at `seen` */

static uint16_t
load16(const unsigned char *p)
{
    uint16_t v;

    memcpy(&v, p, 2);
    return v;
}

static float
as_float(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, 4);
    return f;
}

/* Each converts n <= PIECE elements and tells whether all are finite. */
static bool
piece_f64(const unsigned char *p, size_t n, float *out)
{
    bool ok = true;
    double d;
    size_t i;

    for (i = 0; i < n; i++) {
        memcpy(&d, p + 8 * i, 8);
        out[i] = (float)d;
        ok &= isfinite(out[i]) != 0;
    }
    return ok;
}

static bool
piece_f32(const unsigned char *p, size_t n, float *out)
{
    uint32_t bits, seen = 0;
    size_t i;

    if (p != (const unsigned char *)out)
        memcpy(out, p, 4 * n);
    for (i = 0; i < n; i++) {
        memcpy(&bits, out + i, 4);
        seen |= (bits & 0x7F800000u) + 0x00800000u; /* all ones: bit 31 */
    }
    return !(seen & 0x80000000u);
}

static bool
piece_bf16(const unsigned char *p, size_t n, float *out)
{
    uint32_t bits, seen = 0;
    size_t i;

    for (i = 0; i < n; i++) {
        bits = (uint32_t)load16(p + 2 * i) << 16;
        seen |= (bits & 0x7F800000u) + 0x00800000u;
        out[i] = as_float(bits);
    }
    return !(seen & 0x80000000u);
}

/* Exponent and fraction move up by 13 bits; the bias then differs by 112, and
 * the multiplication mends that for subnormal numbers too. */
static bool
piece_f16(const unsigned char *p, size_t n, float *out)
{
    const float scale = 0x1p112f;
    uint32_t h, bits, seen = 0;
    float f;
    size_t i;

    for (i = 0; i < n; i++) {
        h = load16(p + 2 * i);
        seen |= (h & 0x7C00u) + 0x0400u; /* all ones: bit 15 */
        f = as_float((h & 0x7FFFu) << 13) * scale;
        memcpy(&bits, &f, 4);
        out[i] = as_float(bits | (h & 0x8000u) << 16);
    }
    return !(seen & 0x8000u);
}

#if defined(__x86_64__)
static bool __attribute__((target("avx2,f16c")))
piece_f16c(const unsigned char *p, size_t n, float *out)
{
    const __m128i exponent = _mm_set1_epi16(0x7C00);
    __m128i h, seen = _mm_setzero_si128();
    size_t i;

    for (i = 0; i + 8 <= n; i += 8) {
        h = _mm_loadu_si128((const __m128i *)(p + 2 * i));
        seen = _mm_or_si128(seen, _mm_cmpeq_epi16(_mm_and_si128(h, exponent),
                                                  exponent));
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(h));
    }
    return _mm_movemask_epi8(seen) == 0 && piece_f16(p + 2 * i, n - i, out + i);
}
#endif

typedef bool piece(const unsigned char *p, size_t n, float *out);

static piece *
choose_f16(void)
{
#if defined(__x86_64__)
    unsigned a, b, c = 0, d;

    /* AVX2 also tells that the system saves the registers; F16C is bit 29 of
     * leaf 1, which clang's builtin does not know by name. */
    if (__builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) &&
        c >> 29 & 1)
        return piece_f16c;
#endif
    return piece_f16;
}

/* The first of m numbers that is not finite. An F16 is asked in its own bits:
 * the plain loop makes 65536 of infinity. */
static size_t
find_bad(enum dtype t, const unsigned char *p, const float *out, size_t m)
{
    size_t k;

    for (k = 0; k < m; k++)
        if (t == DT_F16 ? (load16(p + 2 * k) & 0x7C00) == 0x7C00
                        : !isfinite(out[k]))
            break;
    return k;
}

static bool
convert(piece *f, enum dtype t, const void *src, size_t n, float *out,
        size_t *bad)
{
    const unsigned char *p = src;
    size_t i, m, size = dtype_size(t);

    for (i = 0; i < n; i += m, p += m * size) {
        m = n - i < PIECE ? n - i : PIECE;
        if (f(p, m, out + i))
            continue;
        *bad = i + find_bad(t, p, out + i, m);
        return false;
    }
    return true;
}

bool
convert_f16_plain(const void *src, size_t n, float *out, size_t *bad)
{
    return convert(piece_f16, DT_F16, src, n, out, bad);
}

bool
convert_f32(enum dtype t, const void *src, size_t n, float *out, size_t *bad)
{
    switch (t) {
    case DT_F64: return convert(piece_f64, t, src, n, out, bad);
    case DT_F32: return convert(piece_f32, t, src, n, out, bad);
    case DT_BF16: return convert(piece_bf16, t, src, n, out, bad);
    case DT_F16: return convert(choose_f16(), t, src, n, out, bad);
    default: *bad = 0; return false;
    }
}
