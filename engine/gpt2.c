/* engine/gpt2.c  The order of the layers. One function for each network says
 * what happens to x in a block; all arithmetic is in ops.c. */
#include "engine/gpt2.h"

#include <math.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/ops.h"

void
gpt2_free(struct gpt2 *g)
{
    if (!g)
        return;
    mem_big_free(g->block);
    free(g->layer);
    free(g);
}

struct gpt2_scratch {
    struct ops *ops;
    int T;
    size_t n_block;
    float *block; /* one allocation */
    float *x;     /* [T][D] the residual stream */
    float *y;     /* [T][D] a layer's input, then attention's output */
    float *z;     /* [T][max(3D, F)] q, k, v; then the MLP's middle */
};

struct gpt2_scratch *
gpt2_scratch_new(const struct gpt2 *g, int T, int n_threads, bool fast,
                 struct err *err)
{
    struct gpt2_scratch *s = xcalloc(1, sizeof *s);
    int wide = g->F > 3 * g->D ? g->F : 3 * g->D;
    struct ops_limits lim = {
        .T = T,
        .n_in = g->F > g->D ? g->F : g->D,
        .P = g->P,
        .d = g->D / g->H,
        .n_threads = n_threads,
        .fast = fast,
    };

    s->T = T;
    s->n_block = (size_t)T * (size_t)(2 * g->D + wide);
    s->block = mem_big(s->n_block, sizeof(float), "working memory", err);
    s->ops = s->block ? ops_new(&lim, err) : NULL;
    if (!s->ops) {
        gpt2_scratch_free(s);
        return NULL;
    }
    s->x = s->block;
    s->y = s->x + (size_t)T * (size_t)g->D;
    s->z = s->y + (size_t)T * (size_t)g->D;
    return s;
}

void
gpt2_scratch_free(struct gpt2_scratch *s)
{
    if (!s)
        return;
    ops_free(s->ops);
    mem_big_free(s->block);
    free(s);
}

size_t
gpt2_scratch_bytes(const struct gpt2_scratch *s)
{
    return s->n_block * sizeof(float) + ops_bytes(s->ops);
}

static size_t
kv_floats(const struct gpt2 *g)
{
    return (size_t)g->L * (size_t)g->P * (size_t)g->D;
}

bool
kv_init(struct kv *kv, const struct gpt2 *g, struct err *err)
{
    static const char what[] = "the model's memory of the text";

    *kv = (struct kv){ 0 };
    kv->k = mem_big(kv_floats(g), sizeof(float), what, err);
    if (kv->k)
        kv->v = mem_big(kv_floats(g), sizeof(float), what, err);
    if (!kv->v)
        kv_finish(kv);
    return kv->v != NULL;
}

void
kv_finish(struct kv *kv)
{
    mem_big_free(kv->k);
    mem_big_free(kv->v);
    *kv = (struct kv){ 0 };
}

size_t
kv_bytes(const struct gpt2 *g)
{
    return 2 * kv_floats(g) * sizeof(float);
}

/* One pass on its way through the layers. */
struct pass {
    const struct gpt2 *g;
    struct gpt2_scratch *s;
    struct kv *kv;
    int T; /* tokens that still have a row in s->x */
};

static void
linear(const struct pass *p, const struct matrix *w, const float *b,
       enum ops_after after, const float *x, float *y)
{
    struct ops_linear l = { .w = w, .b = b, .after = after, .act = p->g->act };

    ops_linear(p->s->ops, &l, x, p->T, y);
}

static void
norm(const struct pass *p, const float *gain, const float *bias)
{
    ops_norm(p->s->ops, p->s->x, gain, bias, p->g->eps, p->T, p->g->D, p->s->y);
}

/* x itself becomes the normalised one. */
static void
norm_x(const struct pass *p, const float *gain, const float *bias)
{
    ops_norm(p->s->ops, p->s->x, gain, bias, p->g->eps, p->T, p->g->D, p->s->x);
}

/* From here on only the tokens from `first` on have a row. Keys and values
 * of the last layer are all that the others were still needed for. */
static void
drop_rows(struct pass *p, int first)
{
    size_t D = (size_t)p->g->D;

    for (size_t i = 0; first > 0 && i < (size_t)(p->T - first) * D; i++)
        p->s->x[i] = p->s->x[(size_t)first * D + i];
    p->T -= first;
}

/* A(y): q, k and v of y into the cache, and every head's mix back into y. */
static void
attend(struct pass *p, int l, int keep_from)
{
    const struct gpt2 *g = p->g;
    const struct gpt2_layer *w = &g->layer[l];
    int d = g->D / g->H, T = p->T;
    size_t at = (size_t)l * (size_t)g->P * (size_t)g->D;
    struct ops_attention a = {
        .k = p->kv->k + at,
        .v = p->kv->v + at,
        .H = g->H,
        .P = g->P,
        .d = d,
        .n = p->kv->n,
        .scale = (g->scale_attn ? 1.0f / sqrtf((float)d) : 1.0f) /
                 (g->scale_by_layer ? (float)(l + 1) : 1.0f),
    };

    linear(p, &w->qkv, w->qkv_b, OPS_STORE, p->s->y, p->s->z);
    ops_attend(p->s->ops, &a, p->s->z, keep_from, T, p->s->y);
    drop_rows(p, keep_from);
}

/* x += A(y). false: no row is wanted of what follows. */
static bool
add_attention(struct pass *p, int l, int keep_from)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    attend(p, l, keep_from);
    if (p->T > 0)
        linear(p, &w->o, w->o_b, OPS_ADD, p->s->y, p->s->x);
    return p->T > 0;
}

/* x += M(in), with in [T][D] x itself or y. */
static void
add_mlp(struct pass *p, int l, const float *in)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    linear(p, &w->fc, w->fc_b, OPS_ACTIVATE, in, p->s->z);
    linear(p, &w->proj, w->proj_b, OPS_ADD, p->s->z, p->s->x);
}

/* Radford et al. 2019: norm before each half, both halves added to x. */
static void
block_gpt2(struct pass *p, int l, int keep_from)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    norm(p, w->ln1_g, w->ln1_b);
    if (!add_attention(p, l, keep_from))
        return;
    norm(p, w->ln2_g, w->ln2_b);
    add_mlp(p, l, p->s->y);
}

/* y = x, for the networks whose attention reads x as it is. */
static void
copy_x(const struct pass *p)
{
    memcpy(p->s->y, p->s->x, (size_t)p->T * (size_t)p->g->D * sizeof *p->s->y);
}

/* train/modeling.py of gpt2-ml (after Zellers et al. 2019): attention reads x,
 * the MLP reads its norm, and what it adds to is not normalised. */
static void
block_grover(struct pass *p, int l, int keep_from)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    copy_x(p);
    if (!add_attention(p, l, keep_from))
        return;
    norm(p, w->ln2_g, w->ln2_b);
    add_mlp(p, l, p->s->y);
    norm_x(p, w->ln1_g, w->ln1_b);
}

/* Radford et al. 2018 (modeling_openai.py of transformers): each half is
 * added to x, then the sum is normalised and goes on as x. */
static void
block_gpt1(struct pass *p, int l, int keep_from)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    copy_x(p);
    if (!add_attention(p, l, keep_from))
        return;
    norm_x(p, w->ln1_g, w->ln1_b);
    add_mlp(p, l, p->s->x);
    norm_x(p, w->ln2_g, w->ln2_b);
}

static void (*const blocks[])(struct pass *p, int l, int keep_from) = {
    [NET_GPT2] = block_gpt2,
    [NET_GROVER] = block_grover,
    [NET_GPT1] = block_gpt1,
};

bool
gpt2_forward(const struct gpt2 *g, struct gpt2_scratch *s, struct kv *kv,
             const int *ids, int T, float *logits, bool all,
             const atomic_bool *cancel)
{
    struct pass p = { .g = g, .s = s, .kv = kv, .T = T };
    int wanted = !logits ? 0 : all ? T : 1;

    ops_embed(&g->wte, g->wpe, ids, kv->n, T, s->x);
    if (g->net == NET_GROVER)
        norm_x(&p, g->lnf_g, g->lnf_b);
    for (int l = 0; l < g->L; l++) {
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return false;
        blocks[g->net](&p, l, l == g->L - 1 ? T - wanted : 0);
    }
    if (logits) {
        if (p.T > wanted) /* a network without layers */
            drop_rows(&p, p.T - wanted);
        if (g->net == NET_GPT2)
            norm(&p, g->lnf_g, g->lnf_b);
        linear(&p, &g->head, NULL, OPS_STORE, g->net == NET_GPT2 ? s->y : s->x,
               logits);
    }
    kv->n += T;
    return true;
}
