/* engine/blas.h  OpenBLAS, loaded when it is first asked for: only fast mode
 * on a processor without a level of its own needs it, and the library takes
 * as long to load as the rest of the program, starts threads and reserves
 * memory before main() otherwise.
 */
#ifndef JIELONG_BLAS_H
#define JIELONG_BLAS_H

struct blas {
    const char *name; /* "openblas-0.3.21/Haswell" */
    /* y[T][ldy] = x[T][K] . w[n][K]^T, added to y when add is 1, f32,
     * row-major; on the calling thread alone. Any thread. */
    void (*product)(int T, int n, int K, const float *x, const float *w,
                    float add, float *y, int ldy);
};

/* NULL: the library is not on this machine. Any thread; static. */
const struct blas *blas_get(void);

#endif
