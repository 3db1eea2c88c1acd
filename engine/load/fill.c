/* engine/load/fill.c  One block for all weights, filled by all processors.
 *
 * Every tensor is cut into runs of rows of a few megabytes; the pool's threads
 * take them in file order, so a disk is read nearly from front to back. The
 * first thread is the caller and tells the progress between its runs.
 */
#include "engine/load/fill.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/pool.h"
#include "engine/base/rd.h"
#include "engine/gpt2.h"

#define RUN_BYTES   ((size_t)4 << 20)
#define PIECE_BYTES ((size_t)1 << 20) /* with weights in tiles */
#define ROWS_STEP   16 /* runs of a matrix begin at whole cache lines */
#define ALIGN       16 /* floats: parts begin at whole cache lines */
#define THREADS_MAX 8  /* more only queue up at the memory */
#define SPARE       ((uint64_t)32 << 20)
#define SLICE       256 /* tokens of a prompt in one pass (session.c) */
#define AHEAD       16 /* runs that the kernel is told of before they come */

struct job {
    size_t tensor, from, to; /* rows */
    bool transposed;
    float *out;                     /* of plain numbers, or: */
    const struct matrix *to_matrix; /* whose rows from `row` on these are */
    size_t row;
    size_t bytes; /* in the file */
};

/* What one thread reads into, kept from piece to piece: fresh memory would
 * have to be cleared by the kernel each time. */
struct piece {
    float *w;
    size_t cap;
};

struct fill {
    const struct weights_source *s;
    struct piece piece[THREADS_MAX];
    const struct fill_watch *watch;
    struct job *job;
    size_t n, cap;
    size_t total;
    atomic_size_t done;
    atomic_bool stop;
    pthread_mutex_t lock; /* err */
    struct err err;
};

/* --- the block --- */

struct layout { /* walks the parts in order; with base NULL it only counts */
    float *base;
    size_t at;     /* floats so far, with the gaps */
    size_t params; /* without */
    enum weight_type type;
    bool ok;
};

/* A matrix of the layout's type, or plain numbers. */
static float *
take(struct layout *l, size_t rows, size_t cols, bool plain)
{
    size_t n, words, start = l->at;

    /* Sizes are int: no type needs more than 32 times the floats. */
    if (!rd_mul(rows, cols, &n) || !rd_mul(n, 32 * sizeof(float), &words) ||
        !rd_add(l->params, n, &l->params)) {
        l->ok = false;
        return NULL;
    }
    words = plain ? n : (matrix_bytes(l->type, (int)rows, (int)cols) + 3) / 4;
    if (!rd_add(l->at, words, &l->at) || !rd_add(l->at, ALIGN - 1, &l->at)) {
        l->ok = false;
        return NULL;
    }
    l->at = l->at / ALIGN * ALIGN;
    return l->base ? l->base + start : NULL;
}

/* Cuts tensor i into runs of rows; m NULL: plain numbers to out. */
static void
add_runs(struct fill *f, size_t i, float *out, const struct matrix *m,
         size_t row, bool transposed)
{
    const struct tensor_entry *e;
    size_t rows, step, from, to, unit = m ? MATRIX_BLOCK : ROWS_STEP;

    if (i == PLAN_NONE)
        return;
    e = &f->s->table.v[i];
    rows = weights_rows(f->s, i);
    step = (m ? PIECE_BYTES : RUN_BYTES) / (e->bytes / rows + 1);
    step = step < unit ? unit : step / unit * unit;
    for (from = 0; from < rows; from = to) {
        to = rows - from > step ? from + step : rows;
        f->job = mem_grow(f->job, &f->cap, f->n + 1, sizeof *f->job);
        f->job[f->n++] = (struct job){
            .tensor = i,
            .from = from,
            .to = to,
            .transposed = transposed,
            .out = out,
            .to_matrix = m,
            .row = row,
            .bytes = (size_t)(e->bytes / rows * (to - from)),
        };
        f->total += f->job[f->n - 1].bytes;
    }
}

static void
add_jobs(struct fill *f, size_t i, float *out)
{
    if (out)
        add_runs(f, i, out, NULL, 0, false);
}

/* The tensor's rows are those of m from `row` on. */
static void
add_matrix(struct fill *f, size_t i, const struct matrix *m, size_t row,
           bool transposed)
{
    if (m->data)
        add_runs(f, i, NULL, m, row, transposed);
}

static void
take_matrix(struct layout *l, size_t rows, size_t cols, struct matrix *m)
{
    *m = (struct matrix){
        .type = l->type,
        .n_out = (int)rows,
        .n_in = (int)cols,
        .data = take(l, rows, cols, false),
    };
}

static void
lay_layer(struct layout *l, const struct plan *p, struct gpt2_layer *g,
          size_t layer, struct fill *f)
{
    const struct {
        const float **vector;
        struct matrix *matrix;
    } part[SLOT_COUNT] = {
        [SLOT_LN1_G] = { .vector = &g->ln1_g },
        [SLOT_LN1_B] = { .vector = &g->ln1_b },
        [SLOT_QKV_W] = { .matrix = &g->qkv },
        [SLOT_QKV_B] = { .vector = &g->qkv_b },
        [SLOT_O_W] = { .matrix = &g->o },
        [SLOT_O_B] = { .vector = &g->o_b },
        [SLOT_LN2_G] = { .vector = &g->ln2_g },
        [SLOT_LN2_B] = { .vector = &g->ln2_b },
        [SLOT_FC_W] = { .matrix = &g->fc },
        [SLOT_FC_B] = { .vector = &g->fc_b },
        [SLOT_PROJ_W] = { .matrix = &g->proj },
        [SLOT_PROJ_B] = { .vector = &g->proj_b },
    };
    const size_t *from = p->layer[layer];
    size_t rows, cols;
    float *at = NULL;
    int k, i;

    for (k = 0; k < SLOT_COUNT; k++) {
        plan_shape(p, (enum plan_slot)k, &rows, &cols);
        if (part[k].matrix) {
            take_matrix(l, rows, cols, part[k].matrix);
            add_matrix(f, from[k], part[k].matrix, 0, !p->linear);
        } else {
            *part[k].vector = at = take(l, rows, cols, true);
            add_jobs(f, from[k], at);
        }
        /* q, k and v of a file that has them apart: one below the other. */
        for (i = 0; i < 3 && k == SLOT_QKV_W; i++)
            add_matrix(f, from[SLOT_Q_W + i], &g->qkv, (size_t)i * (rows / 3),
                       true);
        for (i = 0; i < 3 && k == SLOT_QKV_B && at; i++)
            add_jobs(f, from[SLOT_Q_B + i], at + (size_t)i * (rows / 3));
    }
}

/* Gives every part its place in l->base and its jobs to f. */
static void
lay_out(struct layout *l, const struct plan *p, struct gpt2 *g, struct fill *f)
{
    size_t V = (size_t)p->V, P = (size_t)p->P, D = (size_t)p->D, i;
    float *at;

    take_matrix(l, V, D, &g->wte);
    add_matrix(f, p->wte, &g->wte, 0, false);
    g->wpe = at = take(l, P, D, true);
    add_jobs(f, p->wpe, at);
    for (i = 0; i < (size_t)p->L; i++)
        lay_layer(l, p, &g->layer[i], i, f);
    if (p->net != NET_GPT1) {
        g->lnf_g = at = take(l, D, 1, true);
        add_jobs(f, p->lnf_g, at);
        g->lnf_b = at = take(l, D, 1, true);
        add_jobs(f, p->lnf_b, at);
    }
    g->head = g->wte;
    if (p->head != PLAN_NONE) {
        take_matrix(l, V, D, &g->head);
        add_matrix(f, p->head, &g->head, 0, false);
    }
    if (p->head_b != PLAN_NONE) {
        g->head_b = at = take(l, V, 1, true);
        add_jobs(f, p->head_b, at);
    }
}

/* --- reading --- */

static void
fail(struct fill *f, const struct err *err)
{
    pthread_mutex_lock(&f->lock);
    if (f->err.kind == ERR_NONE)
        f->err = *err;
    pthread_mutex_unlock(&f->lock);
    atomic_store(&f->stop, true);
}

/* Two threads that read by turns look like no sequence to the kernel, which
 * then reads nothing in advance: so it is told. */
static void
announce(const struct fill *f, size_t chunk)
{
    const struct job *j = &f->job[chunk];

    if (chunk < f->n)
        weights_announce(f->s, j->tensor, j->from, j->to);
}

static float *
room_for(struct piece *p, size_t n, struct err *err)
{
    if (n > p->cap) {
        mem_big_free(p->w);
        p->w = mem_big(n, sizeof *p->w, "a piece of a matrix", err);
        p->cap = p->w ? n : 0;
    }
    return p->w;
}

/* A tensor that is read in one go: any order in the file. */
static bool
whole_to_matrix(const struct fill *f, const struct job *j, struct err *err)
{
    const struct matrix *m = j->to_matrix;
    size_t n = tensor_count(&f->s->table.v[j->tensor]), K = (size_t)m->n_in;
    float *w = mem_big(n, sizeof *w, "a matrix", err);
    bool ok = w && weights_read_rows(f->s, j->tensor, j->from, j->to,
                                     j->transposed, w, err);

    if (ok)
        matrix_write(m, j->row, n / K, 0, K, w, K, 1);
    mem_big_free(w);
    return ok;
}

/* Rows of the matrix, or inputs of all of them where it stands transposed. */
static bool
run_to_matrix(struct fill *f, const struct job *j, int thread, struct err *err)
{
    const struct matrix *m = j->to_matrix;
    size_t rows = weights_rows(f->s, j->tensor), n = j->to - j->from;
    size_t cols = tensor_count(&f->s->table.v[j->tensor]) / rows;
    float *w;
    bool ok;

    if (rows == 1)
        return whole_to_matrix(f, j, err);
    w = room_for(&f->piece[thread], n * cols, err);
    ok = w && weights_read_piece(f->s, j->tensor, j->from, j->to, w, err);
    if (ok && j->transposed)
        matrix_write(m, j->row, cols, j->from, n, w, 1, cols);
    else if (ok)
        matrix_write(m, j->row + j->from, n, 0, cols, w, cols, 1);
    return ok;
}

static void
run_job(void *ud, int chunk, int thread)
{
    struct fill *f = ud;
    const struct job *j = &f->job[chunk];
    struct err err = { 0 };
    size_t done;

    if (atomic_load(&f->stop))
        return;
    announce(f, (size_t)chunk + AHEAD);
    if (!(j->to_matrix ? run_to_matrix(f, j, thread, &err)
                       : weights_read_rows(f->s, j->tensor, j->from, j->to,
                                           j->transposed, j->out, &err))) {
        fail(f, &err);
        return;
    }
    done = atomic_fetch_add(&f->done, j->bytes) + j->bytes;
    if (thread == 0 && f->watch && f->watch->progress &&
        !f->watch->progress(f->watch->ud, done, f->total)) {
        err_set(&err, ERR_CANCELLED, "loading was cancelled");
        fail(f, &err);
    }
}

static int
by_place(const void *a, const void *b, void *table)
{
    const struct job *x = a, *y = b;
    const struct tensor_entry *v = ((const struct tensor_table *)table)->v;
    const struct tensor_entry *s = &v[x->tensor], *t = &v[y->tensor];

    if (s->file != t->file)
        return s->file < t->file ? -1 : 1;
    if (s->offset != t->offset)
        return s->offset < t->offset ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

struct pool *
fill_pool(bool many)
{
    struct pool *pool = pool_new(many ? 0 : 1);

    if (pool_threads(pool) > THREADS_MAX) {
        pool_free(pool);
        pool = pool_new(THREADS_MAX);
    }
    return pool;
}

/* false and f->err: the caller wants no more. */
static bool
tell_all(struct fill *f)
{
    return !f->watch || !f->watch->progress ||
           f->watch->progress(f->watch->ud, f->total, f->total) ||
           err_set(&f->err, ERR_CANCELLED, "loading was cancelled");
}

static bool
run_all(struct fill *f, struct err *err)
{
    struct pool *pool;

    if (f->n > POOL_CHUNKS_MAX)
        return err_set(err, ERR_MODEL, "the model has too many parts");
    qsort_r(f->job, f->n, sizeof *f->job, by_place,
            (void *)(uintptr_t)&f->s->table);
    pthread_mutex_init(&f->lock, NULL);
    pool = fill_pool(f->total >= RUN_BYTES);
    for (size_t i = 0; i < AHEAD; i++)
        announce(f, i);
    pool_run(pool, (int)f->n, run_job, f);
    pool_free(pool);
    for (size_t i = 0; i < THREADS_MAX; i++)
        mem_big_free(f->piece[i].w);
    pthread_mutex_destroy(&f->lock);
    if (f->err.kind == ERR_NONE && tell_all(f))
        return true;
    if (err)
        *err = f->err;
    return false;
}

/* --- is there room? --- */

/* What a session takes at most: keys and values of all positions, and about
 * the working memory of a slice of a prompt (session.c). */
static uint64_t
session_need(const struct gpt2 *g, uint64_t *kv, uint64_t *work)
{
    uint64_t D = (uint64_t)g->D, F = (uint64_t)g->F;
    uint64_t wide = F > 3 * D ? F : 3 * D, T = g->P < SLICE ? g->P : SLICE;

    *kv = gpt2_kv_bytes(g);
    *work = (T * (2 * D + wide) + 2 * (uint64_t)g->V) * sizeof(float) + SPARE;
    return *kv + *work;
}

/* Bytes of the block in this type; false: more than any memory. */
static bool
block_bytes(const struct plan *p, enum weight_type type, struct gpt2 *g,
            size_t *bytes)
{
    struct layout count = { .ok = true, .type = type };
    struct fill none = { 0 };

    lay_out(&count, p, g, &none);
    return count.ok && rd_mul(count.at, sizeof(float), bytes);
}

/* The first of the smaller types in which all fits: "take --type int8 (900
 * MB) or ", or nothing. */
static void
smaller_type(const struct plan *p, struct gpt2 *g, uint64_t have, char *text,
             size_t cap)
{
    enum weight_type t = g->type, was = g->type;
    uint64_t kv, work, want;
    size_t bytes;

    text[0] = '\0';
    while (++t < WT_COUNT) {
        g->type = t;
        if (!block_bytes(p, t, g, &bytes))
            continue;
        want = bytes + session_need(g, &kv, &work);
        if (want > have)
            continue;
        snprintf(text, cap, "take --type %s (%" PRIu64 " MB) or ",
                 weight_type_name(t), want >> 20);
        break;
    }
    g->type = was;
}

/* Before anything is asked for: a machine that has promised too much stands
 * still, and kills what it likes. */
static bool
enough_memory(const struct plan *p, struct gpt2 *g, size_t bytes,
              struct err *err)
{
    uint64_t have = mem_available(), kv, work;
    uint64_t want = bytes + session_need(g, &kv, &work);
    char smaller[64];

    if (have == 0 || want <= have)
        return true;
    smaller_type(p, g, have, smaller, sizeof smaller);
    return err_set(err, ERR_MEMORY,
                   "as %s the model needs %" PRIu64 " MB of memory (weights "
                   "%zu, keys and values %" PRIu64 ", working memory %" PRIu64
                   "), %" PRIu64 " MB are free: %sclose other programs%s",
                   weight_type_name(g->type), want >> 20, bytes >> 20,
                   kv >> 20, work >> 20, have >> 20, smaller,
                   smaller[0] ? "" : " or take a smaller model");
}

struct gpt2 *
fill_gpt2(const struct plan *p, const struct weights_source *s,
          const struct model_config *c, enum weight_type type,
          const struct fill_watch *watch, size_t *n_params, struct err *err)
{
    struct gpt2 *g = xcalloc(1, sizeof *g);
    struct layout real = { .ok = true, .type = type };
    struct fill f = { .s = s, .watch = watch };
    bool ok, kept = false;
    size_t bytes = 0;

    g->net = p->net;
    g->type = type;
    g->V = p->V;
    g->P = p->P_used;
    g->D = p->D;
    g->L = p->L;
    g->H = p->H;
    g->F = p->F;
    g->eps = (float)c->ln_eps;
    /* gpt2-ml's code computes this one whatever its configuration says. */
    g->act = p->net == NET_GROVER ? ACT_GELU_ERF : c->act;
    g->scale_attn = c->scale_attn;
    g->scale_by_layer = c->scale_by_layer;
    g->layer = xcalloc((size_t)p->L, sizeof *g->layer);
    ok = block_bytes(p, type, g, &bytes)
             ? enough_memory(p, g, bytes, err)
             : err_set(err, ERR_MEMORY,
                       "the weights are larger than any memory");
    if (ok && watch && watch->kept) {
        g->block = watch->kept(watch->kept_ud, bytes);
        kept = g->block != NULL;
    }
    if (ok && !kept) {
        g->block = mem_big(bytes, 1, "the model", err);
        ok = g->block != NULL;
    }
    if (ok) {
        real.base = g->block;
        lay_out(&real, p, g, &f);
        g->n_block = real.at;
        *n_params = real.params;
        ok = kept ? tell_all(&f) : run_all(&f, err);
        if (!ok && kept && err)
            *err = f.err;
    }
    free(f.job);
    if (ok)
        return g;
    gpt2_free(g);
    return NULL;
}
