/* engine/session.c  What a timeline has cached is always ids[0 .. kv.n); a
 * sync compares, goes back to where the lists part, and runs the rest in
 * slices. A lane's row of logits belongs to the position logits_n - 1, or to
 * none (0).
 */
#include "engine/session.h"

#include <assert.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/gpt2.h"
#include "engine/model.h"

/* Tokens of one pass of a long prompt: enough that reading the weights and
 * packing them is a small part, few enough that working memory stays small
 * and progress can be told. */
#define SLICE 256
/* Rows of logits held at once by session_all_logits(). */
#define ROWS 32

struct timeline {
    struct kv kv;
    int *ids; /* [P], kv.n of them valid */
};

struct lane {
    struct timeline now;
    struct timeline next; /* read ahead */
    float *logits;        /* [V], in the session's block */
    int logits_n;         /* after how many tokens they are; 0: invalid */
};

struct session {
    const struct gpt2 *g;
    struct session_options opt;
    struct gpt2_scratch *scratch;
    struct kv_pool *pool;
    struct lane lane[SESSION_LANES_MAX];
    int n_lanes;   /* standing */
    int cap_lanes; /* that have memory for ids and logits */
    float *logits; /* [cap_lanes][V], and as much again: of one pass whose
                    * lanes do not stand side by side */
    size_t last_run;
    uint64_t rows;
};

/* --- life --- */

/* Memory for n lanes; rows of logits are carried over. */
static bool
make_lanes(struct session *s, int n, struct err *err)
{
    size_t V = (size_t)s->g->V;
    float *block;

    if (n <= s->cap_lanes)
        return true;
    block = mem_big((size_t)n * (n > 1 ? 2 : 1) * V, sizeof(float),
                    "rows of logits", err);
    if (!block)
        return false;
    for (int i = 0; i < n; i++) {
        struct lane *l = &s->lane[i];

        if (i < s->cap_lanes) {
            memcpy(block + (size_t)i * V, l->logits, V * sizeof *block);
        } else {
            l->now.ids = xcalloc((size_t)s->g->P, sizeof *l->now.ids);
            l->next.ids = xcalloc((size_t)s->g->P, sizeof *l->next.ids);
            kv_init(&l->now.kv, s->pool);
            kv_init(&l->next.kv, s->pool);
        }
        l->logits = block + (size_t)i * V;
    }
    mem_big_free(s->logits);
    s->logits = block;
    s->cap_lanes = n;
    return true;
}

struct session *
session_new_gpt2(const struct gpt2 *g, const struct session_options *opt,
                 struct err *err)
{
    struct session *s = xcalloc(1, sizeof *s);
    struct kv_shape shape = gpt2_kv_shape(g);

    s->g = g;
    if (opt)
        s->opt = *opt;
    s->pool = kv_pool_new(&shape);
    s->n_lanes = 1;
    /* Room for one page: that for the longest text comes with it. */
    if (make_lanes(s, 1, err) && kv_room(&s->lane[0].now.kv, 1, err))
        s->scratch =
            gpt2_scratch_new(g, SLICE, s->opt.n_threads, s->opt.fast, err);
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
    for (int i = 0; i < s->cap_lanes; i++) {
        kv_finish(&s->lane[i].now.kv);
        kv_finish(&s->lane[i].next.kv);
        free(s->lane[i].now.ids);
        free(s->lane[i].next.ids);
    }
    kv_pool_free(s->pool);
    mem_big_free(s->logits);
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

/* --- one timeline --- */

static size_t
common(const struct timeline *t, const int *ids, size_t n)
{
    size_t same = 0;

    while (same < n && same < (size_t)t->kv.n && t->ids[same] == ids[same])
        same++;
    return same;
}

/* Runs all parts in one pass; false: nothing has changed. */
static bool
pass(struct session *s, struct timeline *const *t, const struct gpt2_part *part,
     int n, float *logits, struct err *err)
{
    if (!gpt2_forward(s->g, s->scratch, part, n, logits, s->opt.cancel, err))
        return false;
    for (int i = 0; i < n; i++) {
        memcpy(t[i]->ids + t[i]->kv.n - part[i].n, part[i].ids,
               (size_t)part[i].n * sizeof *part[i].ids);
        s->last_run += (size_t)part[i].n;
        s->rows += (uint64_t)part[i].n;
    }
    return true;
}

static bool
append(struct session *s, struct timeline *t, const int *ids, int T, int wanted,
       float *logits, struct err *err)
{
    struct gpt2_part part = { &t->kv, ids, T, wanted };

    return pass(s, &t, &part, 1, logits, err);
}

static void
tell(struct session *s, size_t done, size_t total)
{
    if (s->opt.reading)
        s->opt.reading(s->opt.ud, (int)done, (int)total);
}

static void
swap(struct timeline *a, struct timeline *b)
{
    struct timeline t = *a;

    *a = *b;
    *b = t;
}

/* Lane l stands at ids; what differs is run. `told`: with progress. */
static bool
stand(struct session *s, struct lane *l, const int *ids, size_t n, bool told,
      struct err *err)
{
    size_t same = common(&l->now, ids, n), total, done = 0;

    if (same == n && l->logits_n == (int)n) {
        kv_cut(&l->now.kv, (int)n);
        return true;
    }
    if (same == n)
        same--; /* the row after the last token has to be made again */
    kv_cut(&l->now.kv, (int)same);
    l->logits_n = 0;
    total = n - same;
    while (done < total) {
        int T = total - done < SLICE ? (int)(total - done) : SLICE;
        int wanted = done + (size_t)T == total;

        if (!append(s, &l->now, ids + same + done, T, wanted, l->logits, err))
            return false;
        done += (size_t)T;
        if (told)
            tell(s, done, total);
    }
    l->logits_n = l->now.kv.n;
    return true;
}

/* --- lane 0 --- */

/* What has most in common with ids becomes lane 0's; the other lanes end. */
static void
gather(struct session *s, const int *ids, size_t n)
{
    struct lane *first = &s->lane[0], *best = first;
    size_t most = common(&first->now, ids, n);
    bool ahead = false;

    for (int i = 0; i < s->n_lanes; i++) {
        struct lane *l = &s->lane[i];

        if (common(&l->now, ids, n) > most) {
            most = common(&l->now, ids, n);
            best = l;
            ahead = false;
        }
        if (common(&l->next, ids, n) > most) {
            most = common(&l->next, ids, n);
            best = l;
            ahead = true;
        }
    }
    if (best != first) {
        swap(&first->now, &best->now);
        swap(&first->next, &best->next);
        memcpy(first->logits, best->logits, (size_t)s->g->V * sizeof(float));
        first->logits_n = best->logits_n;
    }
    if (ahead) {
        swap(&first->now, &first->next);
        first->logits_n = 0;
    }
    for (int i = 1; i < s->n_lanes; i++) {
        kv_cut(&s->lane[i].now.kv, 0);
        kv_cut(&s->lane[i].next.kv, 0);
    }
    s->n_lanes = 1;
}

bool
session_sync(struct session *s, const int *ids, size_t n, struct err *err)
{
    s->last_run = 0;
    if (!check_room(s, n, err) || !check_ids(s, ids, n, err))
        return false;
    gather(s, ids, n);
    return stand(s, &s->lane[0], ids, n, true, err);
}

bool
session_step(struct session *s, int id, struct err *err)
{
    struct session_token t = { .id = id };

    return session_step_lanes(s, &t, 1, err);
}

const float *
session_logits(const struct session *s)
{
    return session_lane_logits(s, 0);
}

size_t
session_n(const struct session *s)
{
    return session_lane_n(s, 0);
}

const int *
session_ids(const struct session *s)
{
    return s->lane[0].now.ids;
}

/* --- lanes --- */

bool
session_fork(struct session *s, int n, struct err *err)
{
    const struct lane *first = &s->lane[0];

    assert(n >= 1 && n <= SESSION_LANES_MAX && first->logits_n > 0);
    if (!make_lanes(s, n, err))
        return false;
    for (int i = 1; i < n; i++) {
        struct lane *l = &s->lane[i];

        kv_fork(&l->now.kv, &first->now.kv, first->now.kv.n);
        memcpy(l->now.ids, first->now.ids,
               (size_t)first->now.kv.n * sizeof *l->now.ids);
        kv_fork(&l->next.kv, &first->next.kv, first->next.kv.n);
        memcpy(l->next.ids, first->next.ids,
               (size_t)first->next.kv.n * sizeof *l->next.ids);
        memcpy(l->logits, first->logits, (size_t)s->g->V * sizeof(float));
        l->logits_n = first->logits_n;
    }
    s->n_lanes = n;
    return true;
}

size_t
session_lanes_bytes(const struct session *s, int n, size_t n_tokens)
{
    struct kv_shape shape = gpt2_kv_shape(s->g);
    size_t P = (size_t)s->g->P, now = (size_t)s->lane[0].now.kv.n, positions;

    /* Within the window each lane has what it adds; one that leaves it has,
     * in the end, all of its own, and the next one read ahead. */
    positions = now + n_tokens <= P ? n_tokens + KV_PAGE : 2 * P;
    return (size_t)n *
           ((positions + KV_PAGE - 1) / KV_PAGE * kv_page_bytes(&shape) +
            (n > 1 ? 2 : 1) * (size_t)s->g->V * sizeof(float));
}

/* How many of up to `most` unread tokens of t there is room for; what was
 * read ahead for another window is forgotten. */
static int
ahead_rows(struct session *s, const struct session_token *t, int most)
{
    struct timeline *next = &s->lane[t->lane].next;
    size_t same = common(next, t->next, t->n_next), left = t->n_next - same;

    kv_cut(&next->kv, (int)same);
    if (most > t->n_rows)
        most = t->n_rows;
    return left < (size_t)most ? (int)left : most;
}

static bool
check_step(const struct session *s, const struct session_token *t, int n,
           struct err *err)
{
    for (int i = 0; i < n; i++) {
        size_t at = (size_t)s->lane[t[i].lane].now.kv.n;

        assert(t[i].lane < s->n_lanes);
        if (!check_room(s, at + 1, err) || !check_ids(s, &t[i].id, 1, err))
            return false;
        if (t[i].next && (!check_room(s, t[i].n_next, err) ||
                          !check_ids(s, t[i].next, t[i].n_next, err)))
            return false;
    }
    return true;
}

/* Where the pass leaves the n rows of logits: at once where they belong, if
 * the lanes stand side by side. */
static float *
rows_of(const struct session *s, const struct session_token *t, int n)
{
    for (int i = 1; i < n; i++)
        if (t[i].lane != t[0].lane + i)
            return s->logits + (size_t)s->cap_lanes * (size_t)s->g->V;
    return s->lane[t[0].lane].logits;
}

bool
session_step_lanes(struct session *s, const struct session_token *t, int n,
                   struct err *err)
{
    struct gpt2_part part[2 * SESSION_LANES_MAX];
    struct timeline *line[2 * SESSION_LANES_MAX];
    size_t V = (size_t)s->g->V;
    int n_parts = n, room = SLICE - n;
    float *rows;

    s->last_run = 0;
    assert(n >= 1 && n <= SESSION_LANES_MAX);
    if (!check_step(s, t, n, err))
        return false;
    for (int i = 0; i < n; i++) {
        line[i] = &s->lane[t[i].lane].now;
        part[i] = (struct gpt2_part){ &line[i]->kv, &t[i].id, 1, 1 };
    }
    for (int i = 0; i < n; i++) {
        struct timeline *next = &s->lane[t[i].lane].next;
        int T = t[i].next ? ahead_rows(s, &t[i], room) : 0;

        if (T == 0)
            continue;
        room -= T;
        line[n_parts] = next;
        part[n_parts++] =
            (struct gpt2_part){ &next->kv, t[i].next + next->kv.n, T, 0 };
    }
    rows = rows_of(s, t, n);
    for (int i = 0; i < n; i++)
        s->lane[t[i].lane].logits_n = 0;
    if (!pass(s, line, part, n_parts, rows, err))
        return false;
    for (int i = 0; i < n; i++) {
        struct lane *l = &s->lane[t[i].lane];

        if (l->logits != rows + (size_t)i * V)
            memcpy(l->logits, rows + (size_t)i * V, V * sizeof *rows);
        l->logits_n = l->now.kv.n;
    }
    return true;
}

bool
session_move(struct session *s, int lane, const int *ids, size_t n,
             struct err *err)
{
    struct lane *l = &s->lane[lane];

    s->last_run = 0;
    assert(lane < s->n_lanes);
    if (!check_room(s, n, err) || !check_ids(s, ids, n, err))
        return false;
    if (common(&l->next, ids, n) > common(&l->now, ids, n)) {
        swap(&l->now, &l->next);
        l->logits_n = 0;
        kv_cut(&l->next.kv, 0); /* nobody goes back there */
    }
    return stand(s, l, ids, n, false, err);
}

bool
session_read_ahead(struct session *s, int lane, const int *next, size_t n,
                   size_t left, struct err *err)
{
    struct timeline *t = &s->lane[lane].next;
    size_t same;

    s->last_run = 0;
    assert(lane < s->n_lanes);
    if (!check_room(s, n, err) || !check_ids(s, next, n, err))
        return false;
    same = common(t, next, n);
    kv_cut(&t->kv, (int)same);
    while ((size_t)t->kv.n + left < n) {
        size_t more = n - left - (size_t)t->kv.n;

        if (!append(s, t, next + t->kv.n, more < SLICE ? (int)more : SLICE, 0,
                    NULL, err))
            return false;
    }
    return true;
}

size_t
session_unread(const struct session *s, int lane, const int *next, size_t n)
{
    return n - common(&s->lane[lane].next, next, n);
}

const float *
session_lane_logits(const struct session *s, int lane)
{
    const struct lane *l = &s->lane[lane];

    return l->logits_n > 0 && l->logits_n == l->now.kv.n ? l->logits : NULL;
}

size_t
session_lane_n(const struct session *s, int lane)
{
    return (size_t)s->lane[lane].now.kv.n;
}

/* --- figures --- */

size_t
session_last_run(const struct session *s)
{
    return s->last_run;
}

uint64_t
session_rows(const struct session *s)
{
    return s->rows;
}

size_t
session_kv_bytes(const struct session *s)
{
    return kv_pool_bytes(s->pool);
}

size_t
session_bytes(const struct session *s)
{
    return kv_pool_bytes(s->pool) + gpt2_scratch_bytes(s->scratch) +
           (size_t)s->cap_lanes * (size_t)s->g->V * sizeof(float);
}

/* --- all rows --- */

static bool
all_rows(struct session *s, const int *ids, size_t n, float *rows,
         bool (*row)(void *ud, size_t i, const float *logits), void *ud,
         struct err *err)
{
    size_t V = (size_t)s->g->V;

    for (size_t at = 0; at < n;) {
        int T = n - at < ROWS ? (int)(n - at) : ROWS;

        if (!append(s, &s->lane[0].now, ids + at, T, T, rows, err))
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
    gather(s, ids, 0);
    kv_cut(&s->lane[0].now.kv, 0);
    s->lane[0].logits_n = 0;
    ok = all_rows(s, ids, n, rows, row, ud, err);
    mem_big_free(rows);
    return ok;
}
