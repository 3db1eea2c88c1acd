/* tests/vectors_level.h  The words of one level over arrays: n is a multiple
 * of 16 but in sum and maximum. */
#ifndef JIELONG_TESTS_VECTORS_LEVEL_H
#define JIELONG_TESTS_VECTORS_LEVEL_H

struct vectors_level {
    void (*fma)(const float *const in[3], float *out, int n);
    void (*max)(const float *const in[2], float *out, int n);
    void (*exp)(const float *const in[1], float *out, int n);
    void (*erfc)(const float *const in[1], float *out, int n);
    void (*half)(const unsigned short *in, float *out, int n);
    float (*sum)(const float *p, int n);
    float (*maximum)(const float *p, int n); /* n <= 16 */
};

extern const struct vectors_level vectors_generic;
#ifdef JIELONG_X86
extern const struct vectors_level vectors_avx2, vectors_avx512;
#endif

#endif
