/* engine/gpt2.c  The order of the layers. One function for each network says
 * what happens to x in a block; all arithmetic is in ops.c. */
#include "engine/gpt2.h"

#include <math.h>
#include <string.h>

#include "engine/attend.h"
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
    struct attend *attend;
    int T;
    struct attend_row *row; /* [T] of the pass */
    int *query;             /* [T] its rows whose logits are wanted, or all */
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
        .n_threads = n_threads,
        .fast = fast,
    };

    s->T = T;
    s->n_block = (size_t)T * (size_t)(2 * g->D + wide);
    s->block = mem_big(s->n_block, sizeof(float), "working memory", err);
    s->row = xcalloc((size_t)T, sizeof *s->row);
    s->query = xcalloc((size_t)T, sizeof *s->query);
    s->ops = s->block ? ops_new(&lim, err) : NULL;
    if (s->ops)
        s->attend = attend_new(s->ops, g->P, g->D / g->H, err);
    if (!s->attend) {
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
    attend_free(s->attend);
    ops_free(s->ops);
    mem_big_free(s->block);
    free(s->row);
    free(s->query);
    free(s);
}

size_t
gpt2_scratch_bytes(const struct gpt2_scratch *s)
{
    return s->n_block * sizeof(float) + ops_bytes(s->ops) +
           attend_bytes(s->attend);
}

struct kv_shape
gpt2_kv_shape(const struct gpt2 *g)
{
    return (struct kv_shape){ .L = g->L,
                              .H = g->H,
                              .d = g->D / g->H,
                              .P = g->P,
                              .half = g->type != WT_F32 };
}

size_t
gpt2_kv_bytes(const struct gpt2 *g)
{
    struct kv_shape shape = gpt2_kv_shape(g);

    return (size_t)((g->P + KV_PAGE - 1) / KV_PAGE) * kv_page_bytes(&shape);
}

/* One pass on its way through the layers. */
struct pass {
    const struct gpt2 *g;
    struct gpt2_scratch *s;
    struct kv_shape shape;
    int n_rows;
    int n_wanted; /* rows whose logits are wanted: s->query, when it is time */
    int T;        /* tokens that still have a row in s->x */
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

/* From here on only the wanted tokens have a row: keys and values of the last
 * layer are all that the others were still needed for. */
static void
drop_rows(struct pass *p)
{
    size_t D = (size_t)p->g->D;

    for (int i = 0; i < p->n_wanted; i++)
        if (p->s->query[i] != i)
            memcpy(p->s->x + (size_t)i * D,
                   p->s->x + (size_t)p->s->query[i] * D, D * sizeof *p->s->x);
    p->T = p->n_wanted;
}

/* A(y): q, k and v of y into the pages, and every head's mix back into y. */
static void
attend_layer(struct pass *p, int l, bool last)
{
    const struct gpt2 *g = p->g;
    const struct gpt2_layer *w = &g->layer[l];
    struct attend_pass a = {
        .row = p->s->row,
        .n_rows = p->n_rows,
        .query = p->s->query,
        .n_queries = last ? p->n_wanted : p->n_rows,
        .shape = &p->shape,
        .layer = l,
        .scale = (g->scale_attn ? 1.0f / sqrtf((float)p->shape.d) : 1.0f) /
                 (g->scale_by_layer ? (float)(l + 1) : 1.0f),
    };

    linear(p, &w->qkv, w->qkv_b, OPS_STORE, p->s->y, p->s->z);
    attend(p->s->attend, &a, p->s->z, p->s->y);
    if (last)
        drop_rows(p);
}

/* x += A(y). false: no row is wanted of what follows. */
static bool
add_attention(struct pass *p, int l, bool last)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    attend_layer(p, l, last);
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
block_gpt2(struct pass *p, int l, bool last)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    norm(p, w->ln1_g, w->ln1_b);
    if (!add_attention(p, l, last))
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
block_grover(struct pass *p, int l, bool last)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    copy_x(p);
    if (!add_attention(p, l, last))
        return;
    norm(p, w->ln2_g, w->ln2_b);
    add_mlp(p, l, p->s->y);
    norm_x(p, w->ln1_g, w->ln1_b);
}

/* Radford et al. 2018 (modeling_openai.py of transformers): each half is
 * added to x, then the sum is normalised and goes on as x. */
static void
block_gpt1(struct pass *p, int l, bool last)
{
    const struct gpt2_layer *w = &p->g->layer[l];

    copy_x(p);
    if (!add_attention(p, l, last))
        return;
    norm_x(p, w->ln1_g, w->ln1_b);
    add_mlp(p, l, p->s->x);
    norm_x(p, w->ln2_g, w->ln2_b);
}

static void (*const blocks[])(struct pass *p, int l, bool last) = {
    [NET_GPT2] = block_gpt2,
    [NET_GROVER] = block_grover,
    [NET_GPT1] = block_gpt1,
};

/* A place for every row; till the last layer each of them is a query. */
static bool
place(struct pass *p, const struct gpt2_part *part, int n_parts,
      struct err *err)
{
    for (int i = 0; i < n_parts; i++) {
        if (!kv_room(part[i].kv, part[i].kv->n + part[i].n, err))
            return false;
        for (int t = 0; t < part[i].n; t++) {
            struct attend_row *row = &p->s->row[p->n_rows];

            row->kv = part[i].kv;
            row->at = part[i].kv->n + t;
            p->s->query[p->n_rows] = p->n_rows;
            p->n_rows++;
        }
        p->n_wanted += part[i].wanted;
    }
    p->T = p->n_rows;
    return true;
}

static void
ask_for_wanted(struct pass *p, const struct gpt2_part *part, int n_parts)
{
    int row = 0, n = 0;

    for (int i = 0; i < n_parts; i++) {
        row += part[i].n;
        for (int w = part[i].wanted; w > 0; w--)
            p->s->query[n++] = row - w;
    }
}

static void
embed(const struct pass *p, const struct gpt2_part *part, int n_parts)
{
    float *x = p->s->x;

    for (int i = 0; i < n_parts; i++) {
        ops_embed(&p->g->wte, p->g->wpe, part[i].ids, part[i].kv->n, part[i].n,
                  x);
        x += (size_t)part[i].n * (size_t)p->g->D;
    }
    if (p->g->net == NET_GROVER)
        norm_x(p, p->g->lnf_g, p->g->lnf_b);
}

static void
unembed(const struct pass *p, float *logits)
{
    const struct gpt2 *g = p->g;

    if (g->net == NET_GPT2)
        norm(p, g->lnf_g, g->lnf_b);
    linear(p, &g->head, g->head_b, OPS_STORE,
           g->net == NET_GPT2 ? p->s->y : p->s->x, logits);
}

bool
gpt2_forward(const struct gpt2 *g, struct gpt2_scratch *s,
             const struct gpt2_part *part, int n_parts, float *logits,
             const atomic_bool *cancel, struct err *err)
{
    struct pass p = { .g = g, .s = s, .shape = gpt2_kv_shape(g) };

    if (!place(&p, part, n_parts, err))
        return false;
    embed(&p, part, n_parts);
    for (int l = 0; l < g->L; l++) {
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return err_set(err, ERR_CANCELLED, "reading the text was stopped");
        if (l == g->L - 1)
            ask_for_wanted(&p, part, n_parts);
        blocks[g->net](&p, l, l == g->L - 1);
    }
    if (p.n_wanted) {
        if (g->L == 0) {
            ask_for_wanted(&p, part, n_parts);
            drop_rows(&p);
        }
        unembed(&p, logits);
    }
    for (int i = 0; i < n_parts; i++)
        part[i].kv->n += part[i].n;
    return true;
}
