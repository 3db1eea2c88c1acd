/* engine/attend.c  Four queries go through the pages together, so that each
 * key and value is loaded once for the four; where their timelines part, or
 * one sees fewer positions of a page than the others, they go alone. Neither
 * shows in the result.
 */
#include "engine/attend.h"

#include <string.h>

#include "engine/base/mem.h"
#include "engine/kernels/attend_kernels.h"
#include "engine/kernels/kernels.h"

/* Queries of a chunk. Up to this many rows are written and looked at in one
 * go; more are all written first. */
#define CHUNK 16

struct attend {
    struct ops *o;
    const struct attend_kernels *k;
    int lds;       /* scores of one row */
    int ldo;       /* numbers of one output, whole tiles */
    size_t n_part; /* floats of working memory of one thread */
    float *part;   /* [threads][n_part] */
};

static int
up_to(int n, int unit)
{
    return (n + unit - 1) / unit * unit;
}

struct attend *
attend_new(struct ops *o, int P, int d, struct err *err)
{
    struct attend *a = xcalloc(1, sizeof *a);

    a->o = o;
    a->k = ops_kernels(o)->attend;
    a->lds = up_to(P, KV_PAGE);
    a->ldo = up_to(d, KV_TILE);
    a->n_part = (size_t)ATTEND_ROWS * (size_t)(a->lds + 2 * a->ldo);
    a->part = mem_big(a->n_part * (size_t)ops_threads(o), sizeof(float),
                      "working memory", err);
    if (!a->part) {
        attend_free(a);
        return NULL;
    }
    return a;
}

void
attend_free(struct attend *a)
{
    if (a)
        mem_big_free(a->part);
    free(a);
}

size_t
attend_bytes(const struct attend *a)
{
    return a->n_part * (size_t)ops_threads(a->o) * sizeof(float);
}

struct job {
    struct attend *a;
    const struct attend_pass *p;
    const struct attend_page_kernels *k;
    const float *qkv;
    float *out;
    size_t D;
    int n_chunks; /* of a head */
};

/* Asks for what a row will read two pages further on: a head's part of a page
 * is too short a run for the processor to see it coming. */
static void
fetch(const struct job *j, const struct attend_row *row, int h, int page,
      bool values)
{
    const struct kv_shape *shape = j->p->shape;
    size_t k = (size_t)KV_PAGE * (size_t)shape->d * (shape->half ? 2 : 4);
    const char *p = kv_head(row->kv, page, j->p->layer, h);
    const char *end = values ? p + kv_head_bytes(shape) : p + k;

    for (p += values ? k : 0; p < end; p += 64)
        __builtin_prefetch(p, 0, 2);
}

/* Up to ATTEND_ROWS queries of one head on their way. */
struct group {
    int n;
    const struct attend_row *row[ATTEND_ROWS];
    const float *q[ATTEND_ROWS];
    int sees[ATTEND_ROWS]; /* positions */
    float *s;              /* [n][lds] scores, then weights */
    float *part, *sum;     /* [n][ldo] of a page, of all pages */
};

/* How many positions of a page query r sees; < 0: it ends before. */
static int
seen(const struct group *g, int r, int page)
{
    int n = g->sees[r] - page * KV_PAGE;

    return n < KV_PAGE ? n : KV_PAGE;
}

/* Do all of a whole group stand in the same page? */
static bool
together(const struct group *g, int page)
{
    if (g->n < ATTEND_ROWS)
        return false;
    for (int r = 0; r < g->n; r++)
        if (seen(g, r, page) <= 0 ||
            g->row[r]->kv->page[page] != g->row[0]->kv->page[page])
            return false;
    return true;
}

static int
most_seen(const struct group *g, int page)
{
    int most = 0;

    for (int r = 0; r < g->n; r++)
        most = seen(g, r, page) > most ? seen(g, r, page) : most;
    return most;
}

static void
page_scores(const struct job *j, const struct group *g, int h, int page)
{
    int lds = j->a->lds, at = page * KV_PAGE;

    if (together(g, page)) {
        j->k->scores(kv_head(g->row[0]->kv, page, j->p->layer, h),
                     up_to(most_seen(g, page), KV_TILE) / KV_TILE, g->q, g->n,
                     j->p->shape->d, g->s + at, lds);
        return;
    }
    for (int r = 0; r < g->n; r++)
        if (seen(g, r, page) > 0)
            j->k->scores(kv_head(g->row[r]->kv, page, j->p->layer, h),
                         up_to(seen(g, r, page), KV_TILE) / KV_TILE, &g->q[r],
                         1, j->p->shape->d, g->s + (ptrdiff_t)r * lds + at,
                         lds);
}

static void
page_mix(const struct job *j, const struct group *g, int h, int page)
{
    int lds = j->a->lds, ldo = j->a->ldo, d = j->p->shape->d, common = 0;
    const float *e = g->s + (ptrdiff_t)page * KV_PAGE;

    if (together(g, page)) {
        bool alike = true;

        common = KV_PAGE;
        for (int r = 0; r < g->n; r++)
            common = seen(g, r, page) < common ? seen(g, r, page) : common;
        alike = common == most_seen(g, page);
        j->k->mix(kv_head(g->row[0]->kv, page, j->p->layer, h), e, lds, g->n, 0,
                  common, d, g->part, alike ? g->sum : NULL, ldo);
        if (alike)
            return;
    }
    for (int r = 0; r < g->n; r++)
        if (seen(g, r, page) > 0)
            j->k->mix(kv_head(g->row[r]->kv, page, j->p->layer, h),
                      e + (ptrdiff_t)r * lds, lds, 1, common, seen(g, r, page),
                      d, g->part + (ptrdiff_t)r * ldo,
                      g->sum + (ptrdiff_t)r * ldo, ldo);
}

/* Queries q0 .. q0+n-1 of head h. */
static void
attend_group(const struct job *j, int h, int q0, int n, float *memory)
{
    const struct attend_pass *p = j->p;
    struct attend *a = j->a;
    size_t d = (size_t)p->shape->d;
    struct group g = { .n = n, .s = memory };
    int pages = 0;

    g.part = g.s + (ptrdiff_t)ATTEND_ROWS * a->lds;
    g.sum = g.part + (ptrdiff_t)ATTEND_ROWS * a->ldo;
    memset(g.sum, 0, (size_t)(n * a->ldo) * sizeof *g.sum);
    for (int r = 0; r < n; r++) {
        size_t row = (size_t)p->query[q0 + r];

        g.row[r] = &p->row[row];
        g.q[r] = j->qkv + row * 3 * j->D + (size_t)h * d;
        g.sees[r] = g.row[r]->at + 1;
        if (up_to(g.sees[r], KV_PAGE) / KV_PAGE > pages)
            pages = up_to(g.sees[r], KV_PAGE) / KV_PAGE;
    }
    for (int page = 0; page < pages; page++) {
        if (n == 1)
            fetch(j, g.row[0], h, (page + 2) % pages, page + 2 >= pages);
        page_scores(j, &g, h, page);
    }
    float total[ATTEND_ROWS];
    for (int r = 0; r < n; r++)
        total[r] =
            a->k->softmax(g.s + (ptrdiff_t)r * a->lds, g.sees[r], p->scale);
    for (int page = 0; page < pages; page++) {
        if (n == 1 && page + 2 < pages)
            fetch(j, g.row[0], h, page + 2, true);
        page_mix(j, &g, h, page);
    }
    for (int r = 0; r < n; r++) {
        const float *sum = g.sum + (ptrdiff_t)r * a->ldo;
        float *out = j->out + (size_t)(q0 + r) * j->D + (size_t)h * d;

        for (size_t i = 0; i < d; i++)
            out[i] = sum[i] / total[r];
    }
}

static void
put_head(void *ud, int h, int thread)
{
    struct job *j = ud;
    const struct attend_pass *p = j->p;
    size_t d = (size_t)p->shape->d;

    for (int t = 0; t < p->n_rows; t++) {
        const struct attend_row *row = &p->row[t];
        const float *k = j->qkv + (size_t)t * 3 * j->D + j->D + (size_t)h * d;

        j->k->put(k, k + j->D, (int)d, row->at % KV_PAGE,
                  kv_head(row->kv, row->at / KV_PAGE, p->layer, h));
    }
}

/* The last rows see most, so their chunks come first. */
static void
attend_chunk(void *ud, int chunk, int thread)
{
    struct job *j = ud;
    int h = chunk / j->n_chunks;
    int from = (j->n_chunks - 1 - chunk % j->n_chunks) * CHUNK;
    int end = from + CHUNK < j->p->n_queries ? from + CHUNK : j->p->n_queries;
    float *memory = j->a->part + (size_t)thread * j->a->n_part;

    for (int q = from; q < end; q += ATTEND_ROWS)
        attend_group(j, h, q, end - q < ATTEND_ROWS ? end - q : ATTEND_ROWS,
                     memory);
}

static void
attend_head(void *ud, int h, int thread)
{
    struct job *j = ud;

    put_head(ud, h, thread);
    if (j->n_chunks)
        attend_chunk(ud, h, thread);
}

void
attend(struct attend *a, const struct attend_pass *p, const float *qkv,
       float *out)
{
    struct job j = { .a = a,
                     .p = p,
                     .k = &a->k->page[p->shape->half],
                     .qkv = qkv,
                     .out = out,
                     .D = (size_t)p->shape->H * (size_t)p->shape->d };
    size_t work = 0;
    int H = p->shape->H;

    j.n_chunks = (p->n_queries + CHUNK - 1) / CHUNK;
    for (int i = 0; i < p->n_queries; i++)
        work += (size_t)p->row[p->query[i]].at + 1;
    work = 2 * (work + (size_t)p->n_rows) * j.D;
    if (p->n_rows <= CHUNK) {
        ops_run(a->o, H, work, attend_head, &j);
        return;
    }
    ops_run(a->o, H, (size_t)p->n_rows * j.D * 2, put_head, &j);
    if (j.n_chunks)
        ops_run(a->o, H * j.n_chunks, work, attend_chunk, &j);
}
