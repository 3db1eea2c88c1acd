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

/* Keys and values of one timeline, k and v each [L][H][P][d]: what one head
 * reads for one query is one run of memory, and a run of n positions is the
 * row-major matrix that both ways of attention want. Allocated for all P
 * positions at once; memory that was never written costs nothing. */
struct kv {
    float *k, *v;
    int n; /* positions filled; may be lowered to go back */
};
bool kv_init(struct kv *kv, const struct gpt2 *g, struct err *err);
void kv_finish(struct kv *kv);
size_t kv_bytes(const struct gpt2 *g);

/* Runs ids[0..T) at positions kv->n .. kv->n+T-1, appends their keys and
 * values, and leaves logits [V] of the last position in `logits`, or of all
 * T positions ([T][V]) when all is true; logits NULL: none wanted (prefill in
 * slices). `cancel` is looked at before every layer: when set, returns false
 * and kv->n is unchanged. 1 <= T <= the scratch's T, kv->n + T <= P, and
 * every id is in [0, V). */
bool gpt2_forward(const struct gpt2 *g, struct gpt2_scratch *s, struct kv *kv,
                  const int *ids, int T, float *logits, bool all,
                  const atomic_bool *cancel);

#endif
