/* engine/ops.h  The arithmetic of a layer, spread over threads.
 *
 * Between the order of the layers (gpt2.c) and the inner loops
 * (kernels/kernels.h): cuts each operation into chunks for the pool. No sum
 * depends on the cut into chunks or on how many tokens share a pass, so a
 * result does not depend on how many threads there are or how the text was
 * cut; in fast mode it may.
 *
 * struct ops belongs to one thread at a time. Weights stand in tiles
 * (matrix.h); x and y are f32, one row of a token after the other: [T][width].
 */
#ifndef JIELONG_OPS_H
#define JIELONG_OPS_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"
#include "engine/load/load.h"
#include "engine/matrix.h"

struct kernels;
struct ops; /* threads, kernels and their working memory */

struct ops_limits {
    int T;         /* tokens of a pass */
    int n_in;      /* widest input of a linear layer */
    int n_threads; /* 0: as many as the machine has */
    bool fast;     /* any order of sums that is quick on this machine */
};

/* NULL and err (ERR_MEMORY) when there is no room. */
struct ops *ops_new(const struct ops_limits *lim, struct err *err);
void ops_free(struct ops *o);
/* Bytes of working memory at most. */
size_t ops_bytes(const struct ops *o);
/* "avx512" and the like. */
const char *ops_level(const struct ops *o);
const struct kernels *ops_kernels(const struct ops *o);
int ops_threads(const struct ops *o);
/* fn(ud, chunk, thread) for every chunk in [0, n), as pool_run() does it; on
 * this thread alone where `work` multiply-adds are too little to share. */
void ops_run(struct ops *o, int n, size_t work,
             void (*fn)(void *ud, int chunk, int thread), void *ud);
/* All that the last bits of a result depend on, by name. Strict: the same
 * bits on every machine, for any number of threads and tokens, "strict/1";
 * fast: "fast/avx512bf16", "fast/openblas-0.3.21/Prescott/generic". Static. */
const char *ops_arithmetic(bool fast);

/* x[t] = a[ids[t]] + b[first + t]: token plus position. a [V][D] in any type,
 * b [P][D], x [T][D]; first + T <= P. */
void ops_embed(const struct matrix *a, const float *b, const int *ids,
               int first, int T, float *x);

/* y[t] = (x[t] - mean) / sqrt(var + eps) * g + b; the biased variance, eps
 * inside the root (Ba, Kiros, Hinton 2016). x and y [T][D]; y may be x. */
void ops_norm(struct ops *o, const float *x, const float *g, const float *b,
              float eps, int T, int D, float *y);

enum ops_after {              /* what happens to v = w . x + b */
                 OPS_STORE,   /* y = v */
                 OPS_ADD,     /* y = y + v: the residual stream */
                 OPS_ACTIVATE /* y = act(v) */
};
struct ops_linear {
    const struct matrix *w;
    const float *b; /* [n_out]; NULL: none */
    enum ops_after after;
    enum activation act;
};
/* x [T][n_in], y [T][n_out]; they do not overlap. */
void ops_linear(struct ops *o, const struct ops_linear *l, const float *x,
                int T, float *y);

#endif
