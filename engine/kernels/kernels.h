/* engine/kernels/kernels.h  The inner loops, by instruction set.
 *
 * One table of functions for each level; kernels_best() is the best one that
 * the processor can run. ops.c and attend.c are the only callers. All levels
 * compute the same formulas in the same order, written once over vector types
 * (vectors.h) and compiled once for each level: the same bits. Pure functions,
 * any thread. Weights stand in tiles (matrix.h); numbers of T tokens are f32 in
 * rows that stand ldx or ldy floats apart.
 */
#ifndef JIELONG_KERNELS_H
#define JIELONG_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/load/load.h"
#include "engine/matrix.h"

struct attend_kernels;
struct tiled_kernels;

#define PRODUCT_RUN 256 /* inputs whose products are one chain (see below) */

struct kernels {
    /* "generic"; "avx2", "avxvnni", "avx512", "avx512vnni", "avx512bf16",
     * "amx"; "neon", "neondot" */
    const char *name;
    const struct tiled_kernels *tiled;   /* int8, int4, fast bf16: tiled.h */
    const struct attend_kernels *attend; /* attend_kernels.h */

    /* f32 and bf16 weights in tiles. Every output is one sum in one order on
     * all levels, product_body.h says which.
     *   tokens: of one call, at most
     *   pack_tokens: xp[k][t] = x[t][k], T side by side; one token is packed
     * as it is
     *   product, by type (f32, bf16): y[t][i] for the 16 n_tiles rows from the
     * tile at w on, the next one tile_bytes behind, over K inputs of them.
     * add: y holds the sum of the runs before; w and xp then begin at a whole
     * run. Memory `ahead` bytes of what is read is asked for: what will be
     * read next. */
    int tokens;
    void (*pack_tokens)(const float *x, size_t ldx, int T, int K, float *xp);
    void (*product[2])(const void *w, size_t tile_bytes, size_t ahead,
                       int n_tiles, int K, const float *xp, int T, float *y,
                       size_t ldy, bool add);

    bool slow_products; /* a BLAS library is faster with many tokens */

    /* x[i] = act(x[i]), within 4e-7 * max(1, |x|):
     *   gelu, tanh form   x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
     *   gelu, erf form    x (1 + erf(x / sqrt 2)) / 2
     *   quick gelu        x / (1 + e^(-1.702 x))
     *   silu              x / (1 + e^-x)
     * (Hendrycks, Gimpel 2016; transformers' activations.py) */
    void (*activate)(enum activation act, float *x, int n);
    /* x[i] += y[i] */
    void (*add)(float *x, const float *y, int n);
    /* y = (x - mean) / sqrt(var + eps) * g + b; the variance divides by n.
     * Both sums in lanes16 (vectors.h). */
    void (*norm)(const float *x, const float *g, const float *b, float eps,
                 int n, float *y);
};

extern const struct kernels kernels_generic;
#ifdef JIELONG_X86
extern const struct kernels kernels_avx2, kernels_avxvnni, kernels_avx512,
    kernels_avx512vnni, kernels_avx512bf16, kernels_amx;
#endif
#ifdef JIELONG_ARM
extern const struct kernels kernels_neon, kernels_neondot;
#endif

/* The best level of this processor. JIELONG_CPU=NAME in the environment asks
 * for a lower one (for tests and comparisons). */
const struct kernels *kernels_best(void);
/* false and err when JIELONG_CPU asks for a level that is not known, or that
 * this processor cannot run; kernels_best() then is the best one. */
bool kernels_check(struct err *err);
/* By index, those the processor can run, the best first; NULL at the end. */
const struct kernels *kernels_get(int i);

#endif
