/* tests/random_gpt2.h  A network of any shape with random weights, and the
 * same network once more, in float64 and as plainly as the papers say it. */
#ifndef JIELONG_TESTS_RANDOM_GPT2_H
#define JIELONG_TESTS_RANDOM_GPT2_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/gpt2.h"

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t
random_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In [-1, 1). */
static inline float
random_float(uint64_t *state)
{
    return (float)(random_next(state) >> 40) * 0x1p-23f - 1.0f;
}

struct shape {
    int V, P, D, L, H, F;
    bool untied;
};

/* Parts of g->block begin at whole cache lines. */
static inline float *
next_part(struct gpt2 *g, size_t n)
{
    float *p = g->block + g->n_block;

    g->n_block += (n + 15) / 16 * 16;
    return p;
}

static inline float *
random_part(struct gpt2 *g, size_t n, float mean, float spread, uint64_t *state)
{
    float *p = next_part(g, n);

    for (size_t i = 0; i < n; i++)
        p[i] = mean + spread * random_float(state);
    return p;
}

/* Its rows in rising order, from memory that is zero. */
static inline struct matrix
random_matrix(struct gpt2 *g, int n_out, int n_in, float spread,
              uint64_t *state)
{
    size_t n = (size_t)n_in;
    struct matrix m = { WT_F32, n_out, n_in, NULL };
    float *row = xcalloc(n, sizeof *row);

    m.data = next_part(g, matrix_bytes(WT_F32, n_out, n_in) / 4);
    for (size_t i = 0; i < (size_t)n_out; i++) {
        for (size_t k = 0; k < n; k++)
            row[k] = spread * random_float(state);
        matrix_write(&m, i, 1, 0, n, row, n, 1);
    }
    free(row);
    return m;
}

/* gelu_new, eps 1e-5; `spread` 1 makes a lively network. */
static inline struct gpt2 *
random_gpt2(const struct shape *s, float spread, uint64_t seed)
{
    struct gpt2 *g = xcalloc(1, sizeof *g);
    size_t D = (size_t)s->D, F = (size_t)s->F, L = (size_t)s->L;
    size_t V = (size_t)s->V, P = (size_t)s->P;
    /* 16 more rows in each matrix, 16 more numbers in every part. */
    size_t n = (V + 16) * D * (s->untied ? 2 : 1) + P * D + 2 * D + 80 +
               L * (4 * D * D + 2 * F * D + 64 * D + 17 * F + 192);
    float w = spread / sqrtf((float)s->D), wf = spread / sqrtf((float)s->F);
    struct err err = { 0 };

    g->V = s->V, g->P = s->P, g->D = s->D, g->L = s->L, g->H = s->H;
    g->F = s->F;
    g->eps = 1e-5f;
    g->act = ACT_GELU_TANH;
    g->scale_attn = true;
    g->block = mem_big(n, sizeof(float), "random weights", &err);
    if (!g->block) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    g->layer = xcalloc(L ? L : 1, sizeof *g->layer);
    g->wte = random_matrix(g, s->V, s->D, spread, &seed);
    g->head = s->untied ? random_matrix(g, s->V, s->D, w, &seed) : g->wte;
    g->wpe = random_part(g, P * D, 0, 0.3f * spread, &seed);
    g->lnf_g = random_part(g, D, 1, 0.2f, &seed);
    g->lnf_b = random_part(g, D, 0, 0.2f, &seed);
    for (size_t l = 0; l < L; l++) {
        struct gpt2_layer *y = &g->layer[l];

        y->ln1_g = random_part(g, D, 1, 0.2f, &seed);
        y->ln1_b = random_part(g, D, 0, 0.2f, &seed);
        y->qkv = random_matrix(g, 3 * s->D, s->D, 2 * w, &seed);
        y->qkv_b = random_part(g, 3 * D, 0, 0.2f, &seed);
        y->o = random_matrix(g, s->D, s->D, w, &seed);
        y->o_b = random_part(g, D, 0, 0.2f, &seed);
        y->ln2_g = random_part(g, D, 1, 0.2f, &seed);
        y->ln2_b = random_part(g, D, 0, 0.2f, &seed);
        y->fc = random_matrix(g, s->F, s->D, 2 * w, &seed);
        y->fc_b = random_part(g, F, 0, 0.2f, &seed);
        y->proj = random_matrix(g, s->D, s->F, wf, &seed);
        y->proj_b = random_part(g, D, 0, 0.2f, &seed);
    }
    return g;
}

static inline void
retype_matrix(struct gpt2 *g, struct matrix *m, enum weight_type type)
{
    struct matrix was = *m;
    size_t n = (size_t)m->n_in;
    float *row = xcalloc(n, sizeof *row);

    m->type = type;
    m->data = next_part(g, (matrix_bytes(type, m->n_out, m->n_in) + 3) / 4);
    for (size_t i = 0; i < (size_t)m->n_out; i++) {
        matrix_row(&was, i, row);
        matrix_write(m, i, 1, 0, n, row, n, 1);
    }
    free(row);
}

static inline void
keep_vector(struct gpt2 *g, const float **v, size_t n)
{
    float *p = next_part(g, n);

    memcpy(p, *v, n * sizeof *p);
    *v = p;
}

/* Its matrices in another type, from f32. */
static inline void
retype_gpt2(struct gpt2 *g, enum weight_type type)
{
    float *was = g->block;
    size_t D = (size_t)g->D, F = (size_t)g->F;
    bool tied = g->head.data == g->wte.data;
    size_t spare = 64 * (size_t)(16 * g->L + 8) * (D + F);
    struct err err = { 0 };

    g->block = mem_big(g->n_block + spare, sizeof(float), "weights", &err);
    if (!g->block) {
        fprintf(stderr, "%s\n", err.msg);
        exit(1);
    }
    g->n_block = 0;
    g->type = type;
    retype_matrix(g, &g->wte, type);
    if (tied)
        g->head = g->wte;
    else
        retype_matrix(g, &g->head, type);
    keep_vector(g, &g->wpe, (size_t)g->P * D);
    keep_vector(g, &g->lnf_g, D);
    keep_vector(g, &g->lnf_b, D);
    for (int l = 0; l < g->L; l++) {
        struct gpt2_layer *y = &g->layer[l];

        keep_vector(g, &y->ln1_g, D), keep_vector(g, &y->ln1_b, D);
        keep_vector(g, &y->ln2_g, D), keep_vector(g, &y->ln2_b, D);
        retype_matrix(g, &y->qkv, type), keep_vector(g, &y->qkv_b, 3 * D);
        retype_matrix(g, &y->o, type), keep_vector(g, &y->o_b, D);
        retype_matrix(g, &y->fc, type), keep_vector(g, &y->fc_b, F);
        retype_matrix(g, &y->proj, type), keep_vector(g, &y->proj_b, D);
    }
    mem_big_free(was);
}

/* --- the truth --- */

static inline double
true_act(enum activation act, double x)
{
    switch (act) {
    case ACT_GELU_TANH:
        return 0.5 * x *
               (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case ACT_GELU_ERF: return 0.5 * x * (1 + erf(x / sqrt(2.0)));
    case ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case ACT_RELU: return x > 0 ? x : 0;
    case ACT_TANH: return tanh(x);
    case ACT_SILU: return x / (1 + exp(-x));
    }
    return NAN;
}

static inline void
true_norm(const double *x, const float *g, const float *b, double eps, int n,
          double *y)
{
    double mean = 0, var = 0;

    for (int i = 0; i < n; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(var + eps) * g[i] + b[i];
}

static inline void
true_linear(const struct matrix *w, const float *b, const double *x, double *y)
{
    float *row = xcalloc((size_t)w->n_in, sizeof *row);

    for (int o = 0; o < w->n_out; o++) {
        matrix_row(w, (size_t)o, row);
        y[o] = b ? b[o] : 0;
        for (int i = 0; i < w->n_in; i++)
            y[o] += (double)row[i] * x[i];
    }
    free(row);
}

/* Head h of token t over all tokens up to it; qkv [T][3D]. */
static inline void
true_head(const struct gpt2 *g, int l, int h, int t, const double *qkv,
          double *out)
{
    int D = g->D, d = D / g->H;
    double c = g->scale_attn ? 1 / sqrt(d) : 1, max = -INFINITY, sum = 0;
    double *s = xcalloc((size_t)t + 1, sizeof *s);
    const double *q = qkv + (size_t)t * 3 * (size_t)D + h * d;

    if (g->scale_by_layer)
        c /= l + 1;
    for (int j = 0; j <= t; j++) {
        const double *k = qkv + (size_t)j * 3 * (size_t)D + D + h * d;

        for (int i = 0; i < d; i++)
            s[j] += q[i] * k[i] * c;
        max = s[j] > max ? s[j] : max;
    }
    for (int j = 0; j <= t; j++)
        sum += s[j] = exp(s[j] - max);
    for (int i = 0; i < d; i++)
        out[h * d + i] = 0;
    for (int j = 0; j <= t; j++) {
        const double *v = qkv + (size_t)j * 3 * (size_t)D + 2 * D + h * d;

        for (int i = 0; i < d; i++)
            out[h * d + i] += s[j] / sum * v[i];
    }
    free(s);
}

/* logits [T][V] of ids at positions 0..T-1. */
static inline double *
true_logits(const struct gpt2 *g, const int *ids, int T)
{
    size_t D = (size_t)g->D, F = (size_t)g->F, n = (size_t)T;
    double *x = xcalloc(n * D, sizeof *x), *y = xcalloc(D, sizeof *y);
    double *qkv = xcalloc(n * 3 * D, sizeof *qkv), *m = xcalloc(F, sizeof *m);
    double *a = xcalloc(D, sizeof *a);
    double *out = xcalloc(n * (size_t)g->V, sizeof *out);
    float *row = xcalloc(D, sizeof *row);

    for (size_t t = 0; t < n; t++) {
        matrix_row(&g->wte, (size_t)ids[t], row);
        for (size_t i = 0; i < D; i++)
            x[t * D + i] = (double)row[i] + (double)g->wpe[t * D + i];
    }
    for (int l = 0; l < g->L; l++) {
        const struct gpt2_layer *w = &g->layer[l];

        for (size_t t = 0; t < n; t++) {
            true_norm(x + t * D, w->ln1_g, w->ln1_b, g->eps, g->D, y);
            true_linear(&w->qkv, w->qkv_b, y, qkv + t * 3 * D);
        }
        for (size_t t = 0; t < n; t++) {
            for (int h = 0; h < g->H; h++)
                true_head(g, l, h, (int)t, qkv, y);
            true_linear(&w->o, w->o_b, y, a);
            for (size_t i = 0; i < D; i++)
                x[t * D + i] += a[i];
            true_norm(x + t * D, w->ln2_g, w->ln2_b, g->eps, g->D, y);
            true_linear(&w->fc, w->fc_b, y, m);
            for (size_t i = 0; i < F; i++)
                m[i] = true_act(g->act, m[i]);
            true_linear(&w->proj, w->proj_b, m, a);
            for (size_t i = 0; i < D; i++)
                x[t * D + i] += a[i];
        }
    }
    for (size_t t = 0; t < n; t++) {
        true_norm(x + t * D, g->lnf_g, g->lnf_b, g->eps, g->D, y);
        true_linear(&g->head, NULL, y, out + t * (size_t)g->V);
    }
    free(x), free(y), free(qkv), free(m), free(a), free(row);
    return out;
}

#endif
