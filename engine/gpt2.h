/* engine/gpt2.h  The network: weights in memory and the forward pass.
 *
 * Canonical storage (doc/models.md): every linear layer as W[n_out][n_in] and
 * b[n_out]; q, k, v fused as [3D][D]. Sizes as in the papers: V vocabulary
 * rows, P positions, D width, L layers, H heads, F width of the MLP, T
 * tokens of a pass, d = D/H.
 */
#ifndef JIELONG_GPT2_H
#define JIELONG_GPT2_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"
#include "engine/kv.h"
#include "engine/load/load.h"
#include "engine/matrix.h"

/* Three networks share every shape and differ in where the norms sit. */
enum network {
    NET_GPT2,   /* Radford et al. 2019; ln_f before the head */
    NET_GROVER, /* gpt2-ml; ln_f after the embedding, ln_2 before the MLP,
                 * ln_1 after it */
    NET_GPT1    /* Radford et al. 2018; ln_1 after attention, ln_2 after the
                 * MLP, no ln_f */
};

struct gpt2_layer { /* all borrowed from gpt2.block */
    const float *ln1_g, *ln1_b, *ln2_g, *ln2_b; /* [D] */
    struct matrix qkv, o, fc, proj; /* [3D][D], [D][D], [F][D], [D][F] */
    const float *qkv_b, *o_b, *fc_b, *proj_b;
};

struct gpt2 { /* constant after loading */
    enum network net;
    int V, P, D, L, H, F; /* P: usable positions */
    float eps;
    enum activation act;
    bool scale_attn, scale_by_layer;
    enum weight_type type;      /* of all matrices but wpe */
    float *block;               /* one allocation for all parameters */
    size_t n_block;             /* words of four bytes in it */
    struct matrix wte;          /* [V][D]; rows are unpacked when looked up */
    const float *wpe;           /* [P][D] */
    const float *lnf_g, *lnf_b; /* [D]; NULL in NET_GPT1 */
    struct matrix head;         /* [V][D]; wte's data when tied */
    const float *head_b;        /* [V]; NULL: none, as in every GPT-2 proper */
    struct gpt2_layer *layer;   /* [L] */
};

void gpt2_free(struct gpt2 *g);

/* The network of a loaded model (model.c); borrowed till model_close. */
struct model;
const struct gpt2 *model_gpt2(const struct model *m);

/* Working memory of passes of at most T tokens, and the threads that run
 * them (n_threads 0: as many as the machine has), in the fast arithmetic or
 * the usual one; owned by the session. */
struct gpt2_scratch;
struct gpt2_scratch *gpt2_scratch_new(const struct gpt2 *g, int T,
                                      int n_threads, bool fast,
                                      struct err *err);
void gpt2_scratch_free(struct gpt2_scratch *s);
size_t gpt2_scratch_bytes(const struct gpt2_scratch *s);

/* Keys and values stand in f32 beside f32 weights, else in f16: what is lost
 * then (2^-11 of each number) is far below what the weights' type has lost,
 * and a long text costs half the memory and half its reading. */
struct kv_shape gpt2_kv_shape(const struct gpt2 *g);
/* Bytes of the pages of one timeline of all P positions. */
size_t gpt2_kv_bytes(const struct gpt2 *g);

/* What a pass does for one timeline: ids[0..n) at positions kv->n ..
 * kv->n+n-1; the last `wanted` of them leave logits. */
struct gpt2_part {
    struct kv *kv;
    const int *ids;
    int n;
    int wanted; /* 0 .. n */
};

/* Runs all parts in one pass over the weights and appends their keys and
 * values; logits [sum of wanted][V] in the order of the parts (NULL when none
 * is wanted). Which parts share a pass changes no bit. Together at most the
 * scratch's T tokens, at least one; kv->n + n <= P for each, every id in
 * [0, V), no timeline twice.
 * false and err, and every kv->n unchanged: no room for the pages
 * (ERR_MEMORY), or `cancel` (may be NULL), which is looked at before every
 * layer, was set (ERR_CANCELLED). */
bool gpt2_forward(const struct gpt2 *g, struct gpt2_scratch *s,
                  const struct gpt2_part *part, int n_parts, float *logits,
                  const atomic_bool *cancel, struct err *err);

#endif
