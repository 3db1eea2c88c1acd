/* engine/base/fmath.h  e^x and the natural logarithm, the same bits everywhere.
 *
 * The C library's differ in their last bits between versions and between
 * instruction sets. These are additions, multiplications and divisions of
 * IEEE 754 in a written order, none of them contracted (the engine is
 * compiled with -ffp-contract=off), rounding to nearest: one argument, one
 * result, on every machine. So what the sampler draws and what the journal
 * records do not depend on where it runs.
 *
 * The bounds are measured against correctly rounded values
 * (tests/fmath_test.c). Pure, any thread.
 */
#ifndef JIELONG_FMATH_H
#define JIELONG_FMATH_H

#include <stdint.h>
#include <string.h>

/* e^x, off by less than one unit in the last place (0.87 at most was found).
 * Infinity above 709.79, 0 below -745.2; NaN of NaN. */
double fm_exp(double x);

/* ln x, off by less than one unit in the last place (0.81 at most was found).
 * -infinity of 0 (of either sign), NaN of a negative number and of NaN. */
double fm_log(double x);

/* e^x for x <= 0 (0 at most), relative error below 2e-7; 0 below -87.
 * Written without branches so that a compiler makes vectors of a loop over
 * it. 2^n times a Taylor polynomial of degree 7 on [-ln2/2, ln2/2]; ln2 in
 * two parts after Cody and Waite (Software Manual for the Elementary
 * Functions, 1980). */
static inline float
fm_exp_neg(float x)
{
    float below = x < -87.0f ? 0.0f : 1.0f;
    float c = x < -87.0f ? -87.0f : x;
    float n = (float)(int)(c * 1.44269504f - 0.5f);
    float r = (c - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040.0f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;

    p = p * r + 1.0f / 720.0f;
    p = p * r + 1.0f / 120.0f;
    p = p * r + 1.0f / 24.0f;
    p = p * r + 1.0f / 6.0f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale * below;
}

#endif
