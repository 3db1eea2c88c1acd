/* engine/ops.c  Weights in tiles have one way, whatever the number of tokens,
 * so that a result does not depend on it: a few tiles at a time against all
 * tokens, run of inputs by run of inputs, so that what is used again is near.
 * With few tokens the weights' way from memory is the cost, and a thread reads
 * them nearly from front to back; with many it is arithmetic, and the sums
 * stay in registers. Only where speed is asked for above sameness, and the
 * level has no matrix product that is worth the name, OpenBLAS does it; always
 * called with one thread of its own from each of ours, so no thread of
 * OpenBLAS ever waits beside the pool's.
 */
#include "engine/ops.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/pool.h"
#include "engine/blas.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/tiled.h"

#define FEW         8  /* queries; from here on they are taken side by side */
#define INT_TOKENS  32 /* of int8, int4 at a time: they stay in the L2 cache */
#define GROUP_ROWS  64 /* rows whose products wait in a thread's own part */
#define CHUNK_BYTES 65536 /* weights of a chunk, at least */
#define CHUNKS_MAX  1024
#define AHEAD_BYTES 2048 /* of a tile, asked for before they are used */
#define BLAS_TOKENS 32   /* from here on unpacking the weights pays */
#define BLAS_ROWS   192
/* Work (multiply-adds) that one thread does before a second could join. */
#define ALONE 16384

struct ops {
    struct pool *pool;
    const struct kernels *k;
    struct ops_limits lim;
    float *panels; /* [panels][n_in][their tokens]: the tokens, packed */
    float *part;   /* each thread's own, n_part floats apart */
    size_t n_panels, n_part;
    /* The same tokens as int8, for weights in tiles. */
    signed char *q; /* [T][n_blocks][32] */
    float *scale;   /* [T][n_blocks] */
    int *minus;     /* [T][n_blocks] */
    size_t n_q;     /* blocks in them */
    /* Or as bf16, where the processor multiplies that. */
    unsigned short *bf16; /* [T][n_blocks * 32]; else NULL */
};

static size_t
up_to(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

static size_t
max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* OpenBLAS knows more processors than we do. */
static bool
use_blas(const struct ops *o)
{
    return o->lim.fast && o->k->slow_products && blas_get();
}

/* What multiplies bf16 has an order of its own. */
static bool
use_unit(const struct ops *o)
{
    return o->lim.fast && o->k->tiled->round_to_bf16;
}

struct ops *
ops_new(const struct ops_limits *lim, struct err *err)
{
    struct ops *o = xcalloc(1, sizeof *o);
    size_t products;

    o->lim = *lim;
    o->k = kernels_best();
    o->n_panels = (size_t)lim->T * (size_t)lim->n_in;
    products = max_size((size_t)lim->T, INT_TOKENS) * GROUP_ROWS;
    if (use_blas(o))
        products = max_size(products, BLAS_ROWS * (size_t)lim->n_in);
    o->n_part = up_to(products, 64);
    o->pool = pool_new(lim->n_threads);
    o->panels = mem_big(o->n_panels, sizeof(float), "working memory", err);
    if (o->panels)
        o->part = mem_big(o->n_part * (size_t)pool_threads(o->pool),
                          sizeof(float), "working memory", err);
    o->n_q =
        up_to((size_t)lim->n_in, MATRIX_BLOCK) / MATRIX_BLOCK * (size_t)lim->T;
    if (o->part)
        o->q = mem_big(o->n_q, MATRIX_BLOCK, "working memory", err);
    if (o->q)
        o->scale = mem_big(o->n_q, sizeof(float), "working memory", err);
    if (o->scale)
        o->minus = mem_big(o->n_q, sizeof(int), "working memory", err);
    if (o->minus && use_unit(o))
        o->bf16 = mem_big(o->n_q, 2 * MATRIX_BLOCK, "working memory", err);
    if (!o->minus || (use_unit(o) && !o->bf16)) {
        ops_free(o);
        return NULL;
    }
    return o;
}

void
ops_free(struct ops *o)
{
    if (!o)
        return;
    pool_free(o->pool);
    mem_big_free(o->panels);
    mem_big_free(o->part);
    mem_big_free(o->q);
    mem_big_free(o->scale);
    mem_big_free(o->minus);
    mem_big_free(o->bf16);
    free(o);
}

size_t
ops_bytes(const struct ops *o)
{
    return sizeof(float) *
               (o->n_panels + o->n_part * (size_t)pool_threads(o->pool)) +
           o->n_q * (MATRIX_BLOCK + sizeof(float) + sizeof(int) +
                     (o->bf16 ? 2 * MATRIX_BLOCK : 0));
}

const char *
ops_level(const struct ops *o)
{
    return o->k->name;
}

const struct kernels *
ops_kernels(const struct ops *o)
{
    return o->k;
}

int
ops_threads(const struct ops *o)
{
    return pool_threads(o->pool);
}

void
ops_run(struct ops *o, int n, size_t work, void (*fn)(void *, int, int),
        void *ud)
{
    if (work > ALONE) {
        pool_run(o->pool, n, fn, ud);
        return;
    }
    for (int i = 0; i < n; i++)
        fn(ud, i, 0);
}

static float *
own_part(const struct ops *o, int thread)
{
    return o->part + o->n_part * (size_t)thread;
}

/* --- embedding, norm --- */

void
ops_embed(const struct matrix *a, const float *b, const int *ids, int first,
          int T, float *x)
{
    size_t D = (size_t)a->n_in;

    for (int t = 0; t < T; t++, x += D) {
        const float *bt = b + (size_t)(first + t) * D;

        matrix_row(a, (size_t)ids[t], x);
        for (size_t i = 0; i < D; i++)
            x[i] += bt[i];
    }
}

struct norm_job {
    struct ops *o;
    const float *x, *g, *b;
    float eps;
    int T, D;
    float *y;
};

#define NORM_ROWS 8 /* tokens of a chunk */

static void
norm_chunk(void *ud, int chunk, int thread)
{
    struct norm_job *j = ud;
    int end = (chunk + 1) * NORM_ROWS < j->T ? (chunk + 1) * NORM_ROWS : j->T;

    for (int t = chunk * NORM_ROWS; t < end; t++)
        j->o->k->norm(j->x + (size_t)t * (size_t)j->D, j->g, j->b, j->eps, j->D,
                      j->y + (size_t)t * (size_t)j->D);
}

void
ops_norm(struct ops *o, const float *x, const float *g, const float *b,
         float eps, int T, int D, float *y)
{
    struct norm_job j = { o, x, g, b, eps, T, D, y };

    ops_run(o, (T + NORM_ROWS - 1) / NORM_ROWS, (size_t)T * (size_t)D,
            norm_chunk, &j);
}

/* --- linear layers --- */

struct linear_job {
    struct ops *o;
    const struct ops_linear *l;
    const float *x;
    int T;
    float *y;
    struct tokens tokens;   /* int8, int4 */
    int n_panels;           /* of the tokens: f32, bf16 */
    const float *panels;    /* [panel][n_in][its tokens] */
    int at[CHUNKS_MAX + 1]; /* first row of a chunk */
};

static size_t
work_of(const struct linear_job *j)
{
    return (size_t)j->l->w->n_out * (size_t)j->l->w->n_in * (size_t)j->T;
}

/* v[T][n], rows ldv apart, for outputs i0 .. i0+n-1 of the tokens from t0 on:
 * bias and what comes after, into y. v may be the place in y itself unless it
 * is to be added. */
static void
finish(const struct linear_job *j, float *v, size_t ldv, int t0, int T, int i0,
       int n)
{
    const struct kernels *k = j->o->k;
    const struct ops_linear *l = j->l;

    for (int t = 0; t < T; t++, v += ldv) {
        float *y = j->y + (size_t)(t0 + t) * (size_t)l->w->n_out + (size_t)i0;

        if (l->b)
            k->add(v, l->b + i0, n);
        if (l->after == OPS_ADD)
            k->add(y, v, n);
        else if (v != y)
            memcpy(y, v, (size_t)n * sizeof *y);
        if (l->after == OPS_ACTIVATE)
            k->activate(l->act, y, n);
    }
}

/* Each chunk is a share of the rows that are left, so the first ones are long
 * runs of memory and the last ones short: the threads end together. Which
 * rows share a chunk does not show in the result. */
static int
cut(struct linear_job *j, size_t row_bytes, size_t unit)
{
    int left = j->l->w->n_out, n = 0, threads = pool_threads(j->o->pool);
    int least = (int)(CHUNK_BYTES / row_bytes) + 1;

    j->at[0] = 0;
    while (left > 0 && n < CHUNKS_MAX) {
        int rows = left / (2 * threads);

        rows = rows < least ? least : rows;
        rows = (int)up_to((size_t)rows, unit);
        if (rows > left || n == CHUNKS_MAX - 1)
            rows = left;
        j->at[n + 1] = j->at[n] + rows;
        left -= rows;
        n++;
    }
    return n;
}

/* --- f32 and bf16 --- */

/* First token of panel p; panels are as wide as each other, or one wider. */
static int
panel_start(const struct linear_job *j, int p)
{
    return (int)((long long)j->T * p / j->n_panels);
}

/* One run of inputs of one panel. */
static void
pack_chunk(void *ud, int chunk, int thread)
{
    struct linear_job *j = ud;
    int K = j->l->w->n_in, t0 = panel_start(j, chunk % j->n_panels);
    int T = panel_start(j, chunk % j->n_panels + 1) - t0;
    int k = chunk / j->n_panels * PRODUCT_RUN;
    size_t at = (size_t)t0 * (size_t)K + (size_t)k;

    j->o->k->pack_tokens(j->x + at, (size_t)K, T,
                         K - k < PRODUCT_RUN ? K - k : PRODUCT_RUN,
                         j->o->panels + (size_t)t0 * (size_t)K +
                             (size_t)k * (size_t)T);
}

static void
pack(struct linear_job *j)
{
    int runs = (j->l->w->n_in + PRODUCT_RUN - 1) / PRODUCT_RUN;

    j->n_panels = (j->T + j->o->k->tokens - 1) / j->o->k->tokens;
    j->panels = j->T == 1 ? j->x : j->o->panels;
    if (j->T > 1)
        ops_run(j->o, j->n_panels * runs, (size_t)j->T * (size_t)j->l->w->n_in,
                pack_chunk, j);
}

/* One input's weights in a tile. */
static size_t
input_bytes(const struct matrix *m)
{
    return m->type == WT_F32 ? 4 * MATRIX_TILE : 2 * MATRIX_TILE;
}

/* What will be read after the n inputs from k on, as a distance: with many
 * tokens it comes while sums are taken. */
static size_t
next_read(const struct linear_job *j, size_t k, size_t n, int n_tiles)
{
    const struct matrix *m = j->l->w;
    size_t bytes = matrix_tile_bytes(m->type, m->n_in);
    size_t K = (size_t)m->n_in, input = input_bytes(m);

    if (j->T == 1)
        return AHEAD_BYTES;
    return k + n < K ? n * input : (size_t)n_tiles * bytes - k * input;
}

/* v[T][ldv] of n_tiles tiles from row i on, for all tokens. With several
 * tokens a run of the weights is used by each before the next one is read. */
static void
products(const struct linear_job *j, int i, int n_tiles, float *v, size_t ldv)
{
    const struct matrix *m = j->l->w;
    size_t K = (size_t)m->n_in, bytes = matrix_tile_bytes(m->type, m->n_in);
    size_t input = input_bytes(m);
    const char *w = (const char *)m->data + (size_t)(i / MATRIX_TILE) * bytes;
    size_t step = j->T > 1 ? PRODUCT_RUN : K;

    for (size_t k = 0; k < K; k += step)
        for (int p = 0; p < j->n_panels; p++) {
            int t0 = panel_start(j, p), T = panel_start(j, p + 1) - t0;
            size_t n = K - k < step ? K - k : step;

            j->o->k->product[m->type](w + k * input, bytes,
                                      p > 0 ? 0 : next_read(j, k, n, n_tiles),
                                      n_tiles, (int)n,
                                      j->panels + (size_t)t0 * K +
                                          k * (size_t)T,
                                      T, v + (size_t)t0 * ldv, ldv, k > 0);
        }
}

/* Rows from i on of a chunk whose products wait together. */
static int
group_rows(const struct linear_job *j, int chunk, int i)
{
    int left = j->at[chunk + 1] - i;

    return left < GROUP_ROWS ? left : GROUP_ROWS;
}

static void
float_chunk(void *ud, int chunk, int thread)
{
    struct linear_job *j = ud;
    float *v = own_part(j->o, thread);

    for (int i = j->at[chunk]; i < j->at[chunk + 1]; i += GROUP_ROWS) {
        int n = group_rows(j, chunk, i);
        int n_tiles = (n + MATRIX_TILE - 1) / MATRIX_TILE;
        size_t ldv = (size_t)n_tiles * MATRIX_TILE;

        products(j, i, n_tiles, v, ldv);
        finish(j, v, ldv, 0, j->T, i, n);
    }
}

static void
linear_float(struct linear_job *j)
{
    const struct matrix *w = j->l->w;

    pack(j);
    ops_run(j->o,
            cut(j, matrix_tile_bytes(w->type, w->n_in) / MATRIX_TILE,
                MATRIX_TILE * (j->n_panels > 1 ? 2 : 1)),
            work_of(j), float_chunk, j);
}

/* --- int8 and int4; in fast mode bf16, too --- */

static void
quantize_token(void *ud, int t, int thread)
{
    struct linear_job *j = ud;
    struct ops *o = j->o;
    size_t K = (size_t)j->l->w->n_in, nb = j->tokens.n_blocks;
    size_t at = (size_t)t * nb;

    if (j->l->w->type == WT_BF16)
        o->k->tiled->round_to_bf16(j->x + (size_t)t * K, (int)K,
                                   o->bf16 + at * MATRIX_BLOCK);
    else
        o->k->tiled->quantize(j->x + (size_t)t * K, (int)K,
                              o->q + at * MATRIX_BLOCK, o->scale + at,
                              o->minus + at);
}

static void
tiled_chunk(void *ud, int chunk, int thread)
{
    struct linear_job *j = ud;
    const struct matrix *w = j->l->w;
    size_t bytes = matrix_tile_bytes(w->type, w->n_in);
    float *v = own_part(j->o, thread);

    for (int i = j->at[chunk]; i < j->at[chunk + 1]; i += GROUP_ROWS) {
        int n = group_rows(j, chunk, i);
        int n_tiles = (n + MATRIX_TILE - 1) / MATRIX_TILE;
        size_t ldv = (size_t)n_tiles * MATRIX_TILE;

        for (int t = 0; t < j->T; t += INT_TOKENS) {
            int T = j->T - t < INT_TOKENS ? j->T - t : INT_TOKENS;

            j->o->k->tiled->rows[w->type]((const char *)w->data +
                                              (size_t)(i / MATRIX_TILE) * bytes,
                                          n_tiles, w->n_in, &j->tokens, t, T, v,
                                          ldv);
            finish(j, v, ldv, t, T, i, n);
        }
    }
}

static void
linear_tiled(struct linear_job *j)
{
    const struct matrix *w = j->l->w;

    j->tokens = (struct tokens){
        .q = j->o->q,
        .scale = j->o->scale,
        .minus = j->o->minus,
        .bf16 = j->o->bf16,
        .n_blocks = up_to((size_t)w->n_in, MATRIX_BLOCK) / MATRIX_BLOCK,
    };
    ops_run(j->o, j->T, (size_t)j->T * (size_t)w->n_in, quantize_token, j);
    ops_run(j->o,
            cut(j, matrix_tile_bytes(w->type, w->n_in) / MATRIX_TILE + 1,
                MATRIX_TILE),
            work_of(j), tiled_chunk, j);
}

/* --- by OpenBLAS --- */

/* Rows in another order of sums: only in fast mode. */
static void
blas_chunk(void *ud, int chunk, int thread)
{
    struct linear_job *j = ud;
    const struct ops_linear *l = j->l;
    int i0 = chunk * BLAS_ROWS, K = l->w->n_in;
    int n = l->w->n_out - i0 < BLAS_ROWS ? l->w->n_out - i0 : BLAS_ROWS;
    float *y = j->y + i0, *w = own_part(j->o, thread);
    bool add = l->after == OPS_ADD;

    for (int i = 0; i < n; i++)
        matrix_row(l->w, (size_t)(i0 + i), w + (size_t)i * (size_t)K);
    blas_get()->product(j->T, n, K, j->x, w, add ? 1 : 0, y, l->w->n_out);
    for (int t = 0; t < j->T; t++, y += l->w->n_out) {
        if (l->b)
            j->o->k->add(y, l->b + i0, n);
        if (l->after == OPS_ACTIVATE)
            j->o->k->activate(l->act, y, n);
    }
}

static void
linear_blas(struct linear_job *j)
{
    ops_run(j->o, (j->l->w->n_out + BLAS_ROWS - 1) / BLAS_ROWS, work_of(j),
            blas_chunk, j);
}

void
ops_linear(struct ops *o, const struct ops_linear *l, const float *x, int T,
           float *y)
{
    struct linear_job j;

    j.o = o; /* not all of it: at[] is large */
    j.l = l;
    j.x = x;
    j.T = T;
    j.y = y;

    if (l->w->type > WT_BF16 ||
        (l->w->type == WT_BF16 && T >= UNIT_TOKENS && use_unit(o)))
        linear_tiled(&j);
    else if (T >= BLAS_TOKENS && use_blas(o))
        linear_blas(&j);
    else
        linear_float(&j);
}

/* --- its name --- */

/* What it means is recorded in tests/det_test.c: a change of any bit is a new
 * number. */
#define STRICT "strict/1"

static char fast_arithmetic[128];
static pthread_once_t arithmetic_once = PTHREAD_ONCE_INIT;

static void
name_arithmetic(void)
{
    const struct kernels *k = kernels_best();
    const struct blas *blas = k->slow_products ? blas_get() : NULL;

    snprintf(fast_arithmetic, sizeof fast_arithmetic, "fast/%s%s%s",
             blas ? blas->name : "", blas ? "/" : "", k->name);
}

const char *
ops_arithmetic(bool fast)
{
    if (!fast)
        return STRICT;
    pthread_once(&arithmetic_once, name_arithmetic);
    return fast_arithmetic;
}
