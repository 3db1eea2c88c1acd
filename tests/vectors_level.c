/* tests/vectors_level.c  The words of vectors.h over arrays, compiled once for
 * each level (tests/meson.build): -DVW=... -DLEVEL=... */
#include "tests/vectors_level.h"

#include "engine/kernels/vectors.h"

#define LOOP(name, n_in, expression)                             \
    static void name(const float *const in[], float *out, int n) \
    {                                                            \
        for (int i = 0; i + VW <= n; i += VW) {                  \
            vf a = load(in[0] + i), b = load(in[n_in > 1] + i);  \
            vf c = load(in[n_in > 2 ? 2 : 0] + i);               \
                                                                 \
            (void)b, (void)c;                                    \
            store(out + i, expression);                          \
        }                                                        \
    }

LOOP(fused, 3, vfma(a, b, c))
LOOP(greatest, 2, vmax(a, b))
LOOP(exponential, 1, vexp(a))
LOOP(tail, 1, verfc(a))

static void
halves(const unsigned short *h, float *out, int n)
{
    for (int i = 0; i + VW <= n; i += VW)
        store(out + i, load_half(h + i));
}

static float
sum(const float *p, int n)
{
    struct lanes16 s = lanes16_all(0);
    int i = 0;

    for (; i + 16 <= n; i += 16)
        for (int h = 0; h < N16; h++)
            s.v[h] += load(p + i + h * VW);
    for (int h = 0; h < N16; h++)
        s.v[h] += lanes16_load_part(p + i, n - i, 0).v[h];
    return lanes16_sum(s);
}

static float
maximum(const float *p, int n)
{
    struct lanes16 m = lanes16_load_part(p, n, -INFINITY);
    float out[16];

    lanes16_store_part(out, n < 16 ? n : 16, m);
    for (int i = 0; i < n && i < 16; i++)
        if (out[i] != p[i])
            return NAN;
    return lanes16_max(m);
}

const struct vectors_level LEVEL = { fused,  greatest, exponential, tail,
                                     halves, sum,      maximum };
