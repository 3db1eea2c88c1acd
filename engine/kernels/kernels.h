/* engine/kernels/kernels.h  The inner loops, by instruction set.
 *
 * One table of functions for each level; the best one that the processor can
 * run is chosen once, in kernels_best(). ops.c is the only caller. All levels
 * compute the same formulas (f32_body.h, written once over vector types and
 * compiled once for each level); their sums are taken in different orders, so
 * results differ in the last bits between levels, never between thread counts
 * or runs. Pure functions, any thread. Shapes: row-major, T tokens.
 */
#ifndef JIELONG_KERNELS_H
#define JIELONG_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/load/load.h"
#include "engine/matrix.h"

struct tiled_kernels;

#define PRODUCT_RUN 256 /* inputs whose products are one chain (see below) */

struct kernels {
    const char *name; /* "generic", "avx2", "avx512", "avx512vnni" */
    const struct tiled_kernels *tiled; /* bf16, int8, int4: tiled.h */

    /* f32 and bf16 weights in tiles. Every output is one sum in one order on
     * all levels, product_body.h says which.
     *   tokens: of one call, at most
     *   pack_tokens: xp[k][T] = x[t][k]; one token is packed as it is
     *   product: y[t][i] for the 16 n_tiles rows from the tile at w on, the
     * next one tile_bytes behind, over K inputs of them. add: y holds the sum
     * of the runs before; w and xp then begin at a whole run. */
    int tokens;
    void (*pack_tokens)(const float *x, size_t ldx, int T, int K, float *xp);
    void (*product[2])(const void *w, size_t tile_bytes, int n_tiles, int K,
                       const float *xp, int T, float *y, size_t ldy, bool add);

    int panel;          /* tokens of a whole panel, at most 64 */
    bool slow_products; /* a BLAS library is faster with many tokens */

    /* y[t][i] = w[i] . x[t] for rows i of n and tokens t of T: the way of
     * few tokens, at the speed that memory gives the rows of w[n][K]. */
    void (*dots)(const float *w, size_t ldw, int n, int K, const float *x,
                 size_t ldx, int T, float *y, size_t ldy);

    /* Many tokens stand in panels: xp[k][t], `width` of them side by side, a
     * whole panel or half a one.
     * xp[k][t] = c * x[t][k], the columns t >= T filled with zeros. */
    void (*pack)(const float *x, size_t ldx, int T, int K, float c, int width,
                 float *xp);
    /* out[i][t] = sum over k of w[i * rs + k * cs] * xp[k][t], i < n; added to
     * out when add is true. */
    void (*tile)(const float *w, size_t rs, size_t cs, int n, int K,
                 const float *xp, int width, float *out, bool add);
    /* y[t][i] = c[i][t] for t < T, i < n; c has rows of `width`. */
    void (*unpack)(const float *c, int n, int T, int width, float *y,
                   size_t ldy);

    /* x[i] = act(x[i]), within 4e-7 * max(1, |x|):
     *   gelu, tanh form   x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
     *   gelu, erf form    x (1 + erf(x / sqrt 2)) / 2
     *   quick gelu        x / (1 + e^(-1.702 x))
     *   silu              x / (1 + e^-x)
     * (Hendrycks, Gimpel 2016; transformers' activations.py) */
    void (*activate)(enum activation act, float *x, int n);
    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, int n);
    /* y = (x - mean) / sqrt(var + eps) * g + b; the variance divides by n. */
    void (*norm)(const float *x, const float *g, const float *b, float eps,
                 int n, float *y);

    /* s[i] = exp(c * s[i] - max over i of c * s[i]); returns their sum.
     * c > 0. */
    float (*softmax)(float *s, int n, float c);
    /* The same with c = 1 down every column of s[n][width], where column t
     * sees the first n_seen + t rows (1 <= n_seen); rows it does not see
     * become 0. sum[width]. */
    void (*softmax_panel)(float *s, int n, int n_seen, int width, float *sum);
    /* out[i] = sum over j < n of p[j] * v[j][i], i < d. */
    void (*mix)(const float *p, const float *v, int n, int d, float *out);
};

extern const struct kernels kernels_generic;
#ifdef JIELONG_X86
extern const struct kernels kernels_avx2, kernels_avx512, kernels_avx512vnni;
#endif

/* The best level of this processor. JIELONG_CPU=generic|avx2|avx512|avx512vnni
 * in the environment asks for a lower one (for tests and comparisons). */
const struct kernels *kernels_best(void);
/* false and err when JIELONG_CPU asks for a level that is not known, or that
 * this processor cannot run; kernels_best() then is the best one. */
bool kernels_check(struct err *err);
/* By index, those the processor can run, the best first; NULL at the end. */
const struct kernels *kernels_get(int i);

#endif
