/* engine/load/quant.c  One function per block format; j counts the elements
 * of a block, d and m are its f16 scale and offset. */
#include "engine/load/quant.h"

#include <string.h>

static float
half(const unsigned char *p)
{
    uint32_t h = (uint32_t)p[0] | (uint32_t)p[1] << 8;
    uint32_t sign = (h & 0x8000) << 16, e = (h >> 10) & 31, m = h & 1023, u;
    float f;

    if (e == 31) {
        u = sign | 0x7f800000 | m << 13;
    } else if (e != 0) {
        u = sign | (e + 112) << 23 | m << 13;
    } else { /* zero and the subnormals: m * 2^-24 */
        f = (float)m * 0x1p-24f;
        return sign ? -f : f;
    }
    memcpy(&f, &u, sizeof f);
    return f;
}

static uint32_t
word(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

/* Element j of 32 nibbles in 16 bytes: the low halves come first. */
static int
nibble(const unsigned char *q, int j)
{
    return j < 16 ? q[j] & 15 : q[j - 16] >> 4;
}

static void
q4_0(const unsigned char *b, float *out)
{
    float d = half(b);

    for (int j = 0; j < 32; j++)
        out[j] = d * (float)(nibble(b + 2, j) - 8);
}

static void
q4_1(const unsigned char *b, float *out)
{
    float d = half(b), m = half(b + 2);

    for (int j = 0; j < 32; j++)
        out[j] = d * (float)nibble(b + 4, j) + m;
}

static void
q5_0(const unsigned char *b, float *out)
{
    float d = half(b);
    uint32_t qh = word(b + 2);

    for (int j = 0; j < 32; j++)
        out[j] =
            d * (float)((nibble(b + 6, j) | (int)((qh >> j) & 1) << 4) - 16);
}

static void
q5_1(const unsigned char *b, float *out)
{
    float d = half(b), m = half(b + 2);
    uint32_t qh = word(b + 4);

    for (int j = 0; j < 32; j++)
        out[j] = d * (float)(nibble(b + 8, j) | (int)((qh >> j) & 1) << 4) + m;
}

static void
q8_0(const unsigned char *b, float *out)
{
    float d = half(b);

    for (int j = 0; j < 32; j++)
        out[j] = d * (float)(signed char)b[2 + j];
}

/* The two bits of element j of a 256-block. */
static int
crumb(const unsigned char *qs, int j)
{
    return (qs[32 * (j / 128) + j % 32] >> (2 * ((j % 128) / 32))) & 3;
}

static void
q2_k(const unsigned char *b, float *out)
{
    float d = half(b + 80), m = half(b + 82);

    for (int j = 0; j < 256; j++) {
        int s = b[j / 16];
        out[j] =
            d * (float)(s & 15) * (float)crumb(b + 16, j) - m * (float)(s >> 4);
    }
}

static void
q3_k(const unsigned char *b, float *out)
{
    float d = half(b + 108);
    const unsigned char *s = b + 96;
    int scale[16];

    for (int i = 0; i < 16; i++) {
        int low = i < 8 ? s[i] & 15 : s[i - 8] >> 4;
        int high = (s[8 + (i & 3)] >> (2 * (i / 4))) & 3;
        scale[i] = (low | high << 4) - 32;
    }
    for (int j = 0; j < 256; j++) {
        int bit = (b[j % 32] >> (4 * (j / 128) + (j % 128) / 32)) & 1;
        out[j] = d * (float)scale[j / 16] *
                 (float)(crumb(b + 32, j) - (bit ? 0 : 4));
    }
}

/* Scale and offset of group g in the 12 bytes that Q4_K and Q5_K share. */
static void
group_scale(const unsigned char *s, int g, int *sc, int *mn)
{
    if (g < 4) {
        *sc = s[g] & 63;
        *mn = s[g + 4] & 63;
    } else {
        *sc = (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
        *mn = (s[g + 4] >> 4) | (s[g] >> 6) << 4;
    }
}

static int
q45_low(const unsigned char *qs, int j)
{
    int byte = qs[32 * (j / 64) + j % 32];

    return (j / 32) & 1 ? byte >> 4 : byte & 15;
}

static void
q4_k(const unsigned char *b, float *out)
{
    float d = half(b), m = half(b + 2);
    int sc, mn;

    for (int j = 0; j < 256; j++) {
        group_scale(b + 4, j / 32, &sc, &mn);
        out[j] = d * (float)sc * (float)q45_low(b + 16, j) - m * (float)mn;
    }
}

static void
q5_k(const unsigned char *b, float *out)
{
    float d = half(b), m = half(b + 2);
    int sc, mn, q;

    for (int j = 0; j < 256; j++) {
        group_scale(b + 4, j / 32, &sc, &mn);
        q = q45_low(b + 48, j) | ((b[16 + j % 32] >> (j / 32)) & 1) << 4;
        out[j] = d * (float)sc * (float)q - m * (float)mn;
    }
}

static void
q6_k(const unsigned char *b, float *out)
{
    float d = half(b + 208);
    const signed char *scales = (const signed char *)b + 192;

    for (int j = 0; j < 256; j++) {
        int h = j / 128, k = (j % 128) / 32, l = j % 32;
        int byte = b[64 * h + 32 * (k & 1) + l];
        int lo = k < 2 ? byte & 15 : byte >> 4;
        int hi = (b[128 + 32 * h + l] >> (2 * k)) & 3;
        out[j] = d * (float)scales[8 * h + 2 * k + l / 16] *
                 (float)((lo | hi << 4) - 32);
    }
}

static const signed char iq4_values[16] = { -127, -104, -83, -65, -49, -35,
                                            -22,  -10,  1,   13,  25,  38,
                                            53,   69,   89,  113 };

static void
iq4_nl(const unsigned char *b, float *out)
{
    float d = half(b);

    for (int j = 0; j < 32; j++)
        out[j] = d * (float)iq4_values[nibble(b + 2, j)];
}

static void
iq4_xs(const unsigned char *b, float *out)
{
    float d = half(b);
    int sh = b[2] | b[3] << 8;

    for (int g = 0; g < 8; g++) {
        int ls = ((b[4 + g / 2] >> (4 * (g & 1))) & 15) | ((sh >> (2 * g)) & 3)
                                                              << 4;
        for (int j = 0; j < 32; j++)
            out[32 * g + j] = d * (float)(ls - 32) *
                              (float)iq4_values[nibble(b + 8 + 16 * g, j)];
    }
}

static const struct quant_row rows[] = {
    { GGML_Q4_0, "Q4_0", 32, 18, q4_0 },
    { GGML_Q4_1, "Q4_1", 32, 20, q4_1 },
    { GGML_Q5_0, "Q5_0", 32, 22, q5_0 },
    { GGML_Q5_1, "Q5_1", 32, 24, q5_1 },
    { GGML_Q8_0, "Q8_0", 32, 34, q8_0 },
    { GGML_Q2_K, "Q2_K", 256, 84, q2_k },
    { GGML_Q3_K, "Q3_K", 256, 110, q3_k },
    { GGML_Q4_K, "Q4_K", 256, 144, q4_k },
    { GGML_Q5_K, "Q5_K", 256, 176, q5_k },
    { GGML_Q6_K, "Q6_K", 256, 210, q6_k },
    { GGML_IQ4_NL, "IQ4_NL", 32, 18, iq4_nl },
    { GGML_IQ4_XS, "IQ4_XS", 256, 136, iq4_xs },
};

const struct quant_row *
quant_find(uint32_t type)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == type)
            return &rows[i];
    return NULL;
}
