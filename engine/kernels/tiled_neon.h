/* engine/kernels/tiled_neon.h  int8 and int4 on aarch64, for two levels: with
 * HAS_DOT one instruction makes four sums of four products, without it the
 * products are made as 16 bits and added in pairs. */
#include "engine/kernels/tiled.h"

#define VW     4
#define TILES  1
#define TOKENS 4
#include "engine/kernels/vectors.h"

struct block {
    int8x16_t p[8][4]; /* inputs 4 g .. 4 g + 3 of rows 4 i .. 4 i + 3 */
};

/* int8 as signed numbers: nothing has to be taken off. Halves of a byte stay
 * as they stand. */
INLINE void
open_block(int bits, const unsigned char *w, struct block *b)
{
    for (int g = 0; bits == 8 && g < 8; g++)
        for (int i = 0; i < 4; i++)
            b->p[g][i] = vreinterpretq_s8_u8(
                veorq_u8(vld1q_u8(w + 64 * g + 16 * i), vdupq_n_u8(128)));
    for (int g = 0; bits == 4 && g < 4; g++)
        for (int i = 0; i < 4; i++) {
            uint8x16_t both = vld1q_u8(w + 64 * g + 16 * i);

            b->p[g][i] = vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15)));
            b->p[g + 4][i] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
        }
}

INLINE int8x16_t
four(const signed char *q)
{
    int v;

    __builtin_memcpy(&v, q, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(v));
}

#ifdef HAS_DOT
INLINE void
sums(int bits, const struct block b[], int tiles, const signed char *q,
     int minus, vi v[][4])
{
    int32x4_t s[4];

    for (int i = 0; i < 4; i++)
        s[i] = vdupq_n_s32(bits == 8 ? 0 : minus);
    for (int g = 0; g < 8; g++) {
        int8x16_t x = four(q + 4 * g);

        for (int i = 0; i < 4; i++)
            s[i] = vdotq_s32(s[i], b->p[g][i], x);
    }
    for (int i = 0; i < 4; i++)
        v[0][i] = (vi)s[i];
}
#else
/* Two products of numbers up to 127 fit 16 bits. */
INLINE void
sums(int bits, const struct block b[], int tiles, const signed char *q,
     int minus, vi v[][4])
{
    for (int i = 0; i < 4; i++) {
        int32x4_t low = vdupq_n_s32(0), high = low, m;

        for (int g = 0; g < 8; g += 2) {
            int8x16_t x = four(q + 4 * g), z = four(q + 4 * g + 4);
            int16x8_t l = vmull_s8(vget_low_s8(b->p[g][i]), vget_low_s8(x));
            int16x8_t h = vmull_s8(vget_high_s8(b->p[g][i]), vget_high_s8(x));

            l = vmlal_s8(l, vget_low_s8(b->p[g + 1][i]), vget_low_s8(z));
            h = vmlal_s8(h, vget_high_s8(b->p[g + 1][i]), vget_high_s8(z));
            low = vpadalq_s16(low, l);
            high = vpadalq_s16(high, h);
        }
        m = vdupq_n_s32(bits == 8 ? 0 : minus);
        v[0][i] = (vi)vaddq_s32(m, vpaddq_s32(low, high));
    }
}
#endif

#define HAS_FOLDS
INLINE int
most_of(const vi a[8])
{
    int32x4_t m = (int32x4_t)a[0];

    for (int h = 1; h < 8; h++)
        m = vmaxq_s32(m, (int32x4_t)a[h]);
    return vmaxvq_s32(m);
}

INLINE int
total_of(const vi a[8])
{
    vi s = a[0];

    for (int h = 1; h < 8; h++)
        s += a[h];
    return vaddvq_s32((int32x4_t)s);
}

#include "engine/kernels/tiled_body.h"
