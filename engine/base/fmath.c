/* engine/base/fmath.c  e^x and ln x in plain IEEE operations.
 *
 * Both reduce the argument with ln2 in two parts (Cody and Waite 1980), the
 * first with so many zeros behind it that n * LN2_HIGH is exact, and then add
 * up a series whose remainder is far below the last bit. A minimax polynomial
 * would save a few multiplications; the sampler calls these a few times a
 * token.
 */
#include "engine/base/fmath.h"

#include <math.h>

#define LN2_HIGH 0x1.62e42fefa38p-1   /* 42 bits: exact times |n| < 2048 */
#define LN2_LOW  0x1.ef35793c7673p-45 /* ln2 - LN2_HIGH */
#define INV_LN2  0x1.71547652b82fep+0
#define ROUND    0x1.8p52 /* added and taken away: the nearest integer */

/* 2^n for a normal result: -1022 <= n <= 1023. */
static double
power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

/* e^r = 1 + r + r^2 (1/2! + r/3! + ... + r^11/13!) for |r| <= ln2/2; the
 * remainder is below 5e-18. */
double
fm_exp(double x)
{
    static const double c[] = {
        1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
        1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
        1.0 / 120,        1.0 / 24,        1.0 / 6,        1.0 / 2,
    };
    double n, high, low, r, p = c[0];
    int k;

    if (x != x)
        return x;
    if (x > 709.8)
        return INFINITY;
    if (x < -745.2)
        return 0;
    n = (x * INV_LN2 + ROUND) - ROUND;
    high = x - n * LN2_HIGH;
    low = n * LN2_LOW;
    r = high - low;
    for (size_t i = 1; i < sizeof c / sizeof *c; i++)
        p = p * r + c[i];
    /* What r lost in its rounding is added to the small part. */
    p = 1 + (r + (r * r * p + ((high - r) - low)));
    k = (int)n;
    /* In two steps: 2^k alone may lie outside of what a double holds. */
    if (k > 1023)
        return p * 2 * power_of_two(k - 1);
    if (k < -1021)
        return p * power_of_two(k + 100) * power_of_two(-100);
    return p * power_of_two(k);
}

/* x = 2^k m with sqrt(1/2) <= m < sqrt(2), f = m - 1, s = f / (2 + f):
 * ln m = 2 atanh(s) = 2 s + 2 s (z/3 + z^2/5 + ... + z^10/21), z = s^2 (the
 * remainder is below 2e-18 of it), where 2 s = f - s f, so that the part of f
 * that is rounded is small: f - f^2/2 + s (f^2/2 + R). */
double
fm_log(double x)
{
    uint64_t bits;
    double f, s, z, R = 0, half, scaled = x;
    int k = 0;

    if (!(x > 0) || x == INFINITY)
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    if (x < 0x1p-1022) { /* a subnormal has no exponent of its own */
        scaled = x * 0x1p54;
        k = -54;
    }
    memcpy(&bits, &scaled, sizeof bits);
    k += (int)(bits >> 52) - 1023;
    bits = (bits & 0xFFFFFFFFFFFFFu) | (uint64_t)1023 << 52;
    memcpy(&f, &bits, sizeof f);
    if (f > 0x1.6a09e667f3bcdp+0) { /* sqrt(2) */
        f *= 0.5;
        k++;
    }
    f -= 1; /* exact */
    s = f / (2 + f);
    z = s * s;
    for (int i = 21; i >= 3; i -= 2)
        R = (R + 2.0 / i) * z;
    half = 0.5 * f * f;
    return k * LN2_HIGH - ((half - (s * (half + R) + k * LN2_LOW)) - f);
}
