/* engine/session.c  What is cached is always ids[0 .. kv.n); a sync compares,
 * goes back to where the lists part, and runs the rest in slices. The row of
 * logits belongs to the position logits_n - 1, or to none (0). */
#include "engine/session.h"

#include <stdint.h>

#include "engine/base/mem.h"
#include "engine/gpt2.h"
#include "engine/model.h"

/* Tokens of one pass of a long prompt: enough that reading the weights and
 * packing them is a small part, few enough that working memory stays small
 * and progress can be told. */
#define SLICE 256
/* Rows of logits held at once by session_all_logits(). */
#define ROWS 32

struct session {
    const struct gpt2 *g;
    struct session_options opt;
    struct gpt2_scratch *scratch;
    struct kv kv;
    int *ids;      /* [P], kv.n of them valid */
    float *logits; /* [V] */
    int logits_n;  /* after how many tokens `logits` is; 0: invalid */
    size_t last_run;
};

struct session *
session_new_gpt2(const struct gpt2 *g, const struct session_options *opt,
                 struct err *err)
{
    struct session *s = xcalloc(1, sizeof *s);
    int slice = g->P < SLICE ? g->P : SLICE;

    s->g = g;
    if (opt)
        s->opt = *opt;
    s->ids = xcalloc((size_t)g->P, sizeof *s->ids);
    s->logits = mem_big((size_t)g->V, sizeof(float), "a row of logits", err);
    if (s->logits && kv_init(&s->kv, g, err))
        s->scratch =
            gpt2_scratch_new(g, slice, s->opt.n_threads, s->opt.fast, err);
    if (!s->scratch) {
        session_free(s);
        return NULL;
    }
    return s;
}

struct session *
session_new(const struct model *m, const struct session_options *opt,
            struct err *err)
{
    struct session_options o = { 0 };

    if (opt)
        o = *opt;
    o.fast |= model_info(m)->fast;
    return session_new_gpt2(model_gpt2(m), &o, err);
}

void
session_free(struct session *s)
{
    if (!s)
        return;
    gpt2_scratch_free(s->scratch);
    kv_finish(&s->kv);
    mem_big_free(s->logits);
    free(s->ids);
    free(s);
}

static bool
check_ids(const struct session *s, const int *ids, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= s->g->V)
            return err_set(err, ERR_FAILED,
                           "token id %d (number %zu) is not "
                           "one of the model's %d; give ids from 0 to %d",
                           ids[i], i + 1, s->g->V, s->g->V - 1);
    return true;
}

static bool
check_room(const struct session *s, size_t n, struct err *err)
{
    if (n == 0)
        return err_set(err, ERR_FAILED,
                       "no tokens were given; the model "
                       "needs at least one");
    if (n > (size_t)s->g->P)
        return err_set(err, ERR_FAILED,
                       "%zu tokens are more than the %d "
                       "positions of the model; shorten the text",
                       n, s->g->P);
    return true;
}

/* Runs T tokens at the end; false: cancelled, nothing has changed. */
static bool
append(struct session *s, const int *ids, int T, float *logits, bool all,
       struct err *err)
{
    int at = s->kv.n;

    if (!gpt2_forward(s->g, s->scratch, &s->kv, ids, T, logits, all,
                      s->opt.cancel))
        return err_set(err, ERR_CANCELLED, "reading the text was stopped");
    for (int i = 0; i < T; i++)
        s->ids[at + i] = ids[i];
    s->last_run += (size_t)T;
    return true;
}

static void
tell(struct session *s, size_t done, size_t total)
{
    if (s->opt.reading)
        s->opt.reading(s->opt.ud, (int)done, (int)total);
}

bool
session_sync(struct session *s, const int *ids, size_t n, struct err *err)
{
    size_t same = 0, total;

    s->last_run = 0;
    if (!check_room(s, n, err) || !check_ids(s, ids, n, err))
        return false;
    while (same < n && same < (size_t)s->kv.n && s->ids[same] == ids[same])
        same++;
    if (same == n && s->logits_n == (int)n) {
        s->kv.n = (int)n;
        return true;
    }
    if (same == n)
        same--; /* the row after the last token has to be made again */
    s->kv.n = (int)same;
    s->logits_n = 0;
    total = n - same;
    while (s->last_run < total) {
        size_t left = total - s->last_run;
        int T = left < SLICE ? (int)left : SLICE;
        bool last = (size_t)T == left;

        if (!append(s, ids + same + s->last_run, T, last ? s->logits : NULL,
                    false, err))
            return false;
        tell(s, s->last_run, total);
    }
    s->logits_n = s->kv.n;
    return true;
}

bool
session_step(struct session *s, int id, struct err *err)
{
    s->last_run = 0;
    if (!check_room(s, (size_t)s->kv.n + 1, err) || !check_ids(s, &id, 1, err))
        return false;
    if (!append(s, &id, 1, s->logits, false, err))
        return false;
    s->logits_n = s->kv.n;
    return true;
}

const float *
session_logits(const struct session *s)
{
    return s->logits_n > 0 && s->logits_n == s->kv.n ? s->logits : NULL;
}

size_t
session_n(const struct session *s)
{
    return (size_t)s->kv.n;
}

const int *
session_ids(const struct session *s)
{
    return s->ids;
}

size_t
session_last_run(const struct session *s)
{
    return s->last_run;
}

size_t
session_bytes(const struct session *s)
{
    return kv_bytes(s->g) + gpt2_scratch_bytes(s->scratch) +
           (size_t)s->g->V * sizeof(float);
}

static bool
all_rows(struct session *s, const int *ids, size_t n, float *rows,
         bool (*row)(void *ud, size_t i, const float *logits), void *ud,
         struct err *err)
{
    size_t V = (size_t)s->g->V;

    for (size_t at = 0; at < n;) {
        int T = n - at < ROWS ? (int)(n - at) : ROWS;

        if (!append(s, ids + at, T, rows, true, err))
            return false;
        for (int t = 0; t < T; t++)
            if (!row(ud, at + (size_t)t, rows + (size_t)t * V))
                return true;
        at += (size_t)T;
        tell(s, at, n);
    }
    return true;
}

bool
session_all_logits(struct session *s, const int *ids, size_t n,
                   bool (*row)(void *ud, size_t i, const float *logits),
                   void *ud, struct err *err)
{
    float *rows;
    bool ok;

    s->last_run = 0;
    if (!check_room(s, n, err) || !check_ids(s, ids, n, err))
        return false;
    rows = mem_big((n < ROWS ? n : ROWS) * (size_t)s->g->V, sizeof *rows,
                   "the rows of logits", err);
    if (!rows)
        return false;
    s->kv.n = 0;
    s->logits_n = 0;
    ok = all_rows(s, ids, n, rows, row, ud, err);
    mem_big_free(rows);
    return ok;
}
