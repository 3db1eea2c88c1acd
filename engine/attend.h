/* engine/attend.h  Causal attention over the pages of timelines.
 *
 * A row is one token at one position of one timeline. For each head a row
 * sees n positions, its own the last, and every number has one definition,
 * whichever rows share the pass and whatever the threads and the instruction
 * set (Vaswani et al. 2017, with the order of the sums laid down):
 *
 *   s[j]   = scale * (q . k[j]): fused multiply-adds over d in rising order
 *   e[j]   = exp(s[j] - max s)
 *   sum    = e in 16 lanes (j mod 16), folded in one tree
 *   out    = (sum over pages, rising, of the chain of fused e[j] v[j] over the
 *            positions of a page, rising) / sum
 *
 * What is divided up over the threads is heads and rows. struct attend
 * belongs to one thread at a time.
 */
#ifndef JIELONG_ATTEND_H
#define JIELONG_ATTEND_H

#include "engine/base/err.h"
#include "engine/kv.h"
#include "engine/ops.h"

struct attend; /* working memory */

/* P: positions that a row can see at most; d: head size. Runs on the threads
 * of o (borrowed). NULL and err (ERR_MEMORY) when there is no room. */
struct attend *attend_new(struct ops *o, int P, int d, struct err *err);
/* NULL is allowed. */
void attend_free(struct attend *a);
/* Bytes of working memory. */
size_t attend_bytes(const struct attend *a);

struct attend_row {
    const struct kv *kv; /* kv_room() was made for the position */
    int at;              /* position */
};

struct attend_pass {
    const struct attend_row *row; /* [n_rows] */
    int n_rows;
    const int *query; /* [n_queries]: rows whose outputs are wanted */
    int n_queries;
    const struct kv_shape *shape; /* of the pool of all rows */
    int layer;
    float scale; /* of q . k: 1 / sqrt(d) and what else the model asks for */
};

/* qkv is [n_rows][3D], D = H d: q, k and v side by side. k and v go to every
 * row's position; then out [n_queries][D] are the heads' outputs side by
 * side. Every position that a query sees is written by then: before, or by
 * this pass. */
void attend(struct attend *a, const struct attend_pass *p, const float *qkv,
            float *out);

#endif
