/* engine/writer.c  One request on a loaded model.
 *
 * The order of one token: knobs, then for each lane draw, detokenise, ask the
 * stopper, post what is settled; then one pass of the network for the next
 * token of all lanes. What is not settled waits in the outbox.
 *
 * A story that outgrows its window (prompt.h) finds the next one read: from
 * three quarters of the positions on every step reads AHEAD_ROWS tokens of it.
 * With P/4 steps to go and at most about P/2 tokens, which grow by one with
 * each step, three would nearly do.
 */
#include "engine/writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "engine/base/fmath.h"
#include "engine/base/mem.h"
#include "engine/outbox.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/session.h"

_Static_assert(GEN_LANES_MAX == SESSION_LANES_MAX, "one limit");

enum {
    TAIL = 512,    /* bytes of the prompt that detokeniser and stopper see */
    AHEAD_ROWS = 4 /* tokens of the next window read beside a step */
};

/* One continuation of the prompt. */
struct lane {
    struct prompt prompt; /* and what the lane has written */
    struct stopper stopper;
    struct detok *detok;
    size_t ready; /* settled tokens that wait for the detokeniser */
    int id;       /* the last token drawn */
    bool open;
};

struct writer {
    const struct model *m;
    const struct vocab *v;
    const struct profile *profile;
    const struct writer_host *host;
    struct session *session;
    struct sampler *sampler;
    struct lane lane[SESSION_LANES_MAX]; /* 0: also of the other requests */
    struct outbox out;
    char bias[KNOB_TEXT_MAX]; /* as the sampler has it */
    /* of the request in hand */
    const struct job *job;
    struct knobs knobs;
    int n_lanes;
    uint32_t i;      /* index of the next token */
    size_t n_turned; /* of the request's own settings: they hold by now */
    size_t last_run; /* tokens of the last session_sync */
    double first;    /* when the first was posted, 0: none yet */
};

/* --- requests --- */

struct job *
job_new(const struct gen_request *req, uint32_t serial)
{
    struct job *j = xcalloc(1, sizeof *j);
    size_t size = req->n_spans * sizeof *req->spans;
    struct prompt_span *span;
    char *p;

    for (size_t i = 0; i < req->n_spans; i++) /* ids first: they are aligned */
        size += (req->spans[i].ids ? req->spans[i].n_ids : 0) * sizeof(int) +
                req->spans[i].len + 65;
    j->req = *req;
    j->serial = serial;
    j->memory = xcalloc(1, size + 1);
    j->turns = xcalloc(req->n_turns + 1, sizeof *j->turns);
    if (req->n_turns)
        memcpy(j->turns, req->turns, req->n_turns * sizeof *j->turns);
    j->req.turns = j->turns;
    span = j->memory;
    p = (char *)(span + req->n_spans);
    for (size_t i = 0; i < req->n_spans; i++) {
        const struct prompt_span *s = &req->spans[i];

        span[i] = *s;
        if (!s->ids || !s->n_ids)
            continue;
        span[i].ids = (int *)p;
        memcpy(p, s->ids, s->n_ids * sizeof *s->ids);
        p += s->n_ids * sizeof *s->ids;
    }
    for (size_t i = 0; i < req->n_spans; i++) {
        const struct prompt_span *s = &req->spans[i];

        span[i].text = p;
        if (s->len)
            memcpy(p, s->text, s->len);
        p += s->len;
        if (!s->tok)
            continue;
        span[i].tok = p;
        memcpy(p, s->tok, strnlen(s->tok, 64)); /* a NUL is there */
        p += 65;
    }
    j->req.spans = span;
    return j;
}

int
job_lanes(const struct job *j)
{
    int n = j->req.kind == GEN_RUN ? j->req.n_lanes : 1;

    return n < 1 ? 1 : n > GEN_LANES_MAX ? GEN_LANES_MAX : n;
}

void
job_free(struct job *j)
{
    if (j) {
        free(j->memory);
        free(j->turns);
    }
    free(j);
}

/* --- events --- */

static double
seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool
cancelled(const struct writer *w)
{
    return atomic_load_explicit(w->host->cancel, memory_order_acquire);
}

static struct gen_event
event(const struct writer *w, enum gen_event_type type, int lane)
{
    struct gen_event ev = { .type = type,
                            .serial = w->job->serial,
                            .lane = lane };

    return ev;
}

static void
post(void *ud, const struct gen_event *ev)
{
    struct writer *w = ud;

    if (ev->type == GEN_TOKEN && w->first == 0)
        w->first = seconds_now();
    w->host->post(w->host->ud, ev, false);
}

/* The lane's END; `tail`: the last token drawn belongs to its text, so its
 * unfinished character does too. */
static void
post_end(struct writer *w, int lane, enum gen_why why, bool tail)
{
    struct lane *l = &w->lane[lane];
    struct gen_event ev = event(w, GEN_END, lane);

    ev.u.end.why = why;
    ev.u.end.n = w->out.lane[lane].n_tokens;
    if (tail && l->detok)
        ev.u.end.n_tail = detok_tail(l->detok, ev.u.end.tail);
    if (w->first > 0)
        ev.u.end.seconds = seconds_now() - w->first;
    l->open = false;
    outbox_put(&w->out, &ev);
}

static void
post_failure(struct writer *w, int lane, const struct err *err)
{
    struct gen_event ev = event(w, GEN_FAILED, lane);

    ev.u.err = *err;
    outbox_put(&w->out, &ev);
}

/* Of `total` tokens that have to be read `done` are; the event counts those
 * that were read before, too. */
static void
post_reading(void *ud, int done, int total)
{
    struct writer *w = ud;
    struct gen_event ev;

    if (!w->job)
        return;
    ev = event(w, GEN_READING, 0);
    ev.u.reading.total = (int)w->lane[0].prompt.tok.n;
    ev.u.reading.done = ev.u.reading.total - (total - done);
    w->host->post(w->host->ud, &ev, done < total);
}

/* --- knobs --- */

/* Words of a byte-level vocabulary carry the space before them: such a text
 * is meant in both forms. */
static void
bias_text(struct writer *w, const char *text, size_t len, float add)
{
    char spaced[KNOB_TEXT_MAX + 1] = " ";
    bool both = strcmp(vocab_kind(w->v), "bpe") == 0 && text[0] != ' ';

    memcpy(spaced + 1, text, len);
    for (int i = 0; i < 1 + both; i++) {
        int *ids = NULL;
        size_t n = 0;

        if (vocab_encode(w->v, spaced + !i, len + (size_t)i, 0, &ids, &n, NULL))
            sampler_bias_phrase(w->sampler, ids, n, add);
        free(ids);
    }
}

static void
set_bias(struct writer *w)
{
    struct knob_bias b;

    if (!strcmp(w->bias, w->knobs.bias))
        return;
    memcpy(w->bias, w->knobs.bias, sizeof w->bias);
    sampler_bias(w->sampler, NULL, NULL, 0);
    for (const char *p = w->bias; knob_bias_next(&p, &b);) {
        if (isnan(b.add))
            continue;
        if (b.id >= 0)
            sampler_bias_phrase(w->sampler, &b.id, 1, (float)b.add);
        else
            bias_text(w, b.text, b.len, (float)b.add);
    }
}

static void
obey_knobs(struct writer *w)
{
    set_bias(w);
    for (int i = 0; i < w->n_lanes; i++)
        if (w->lane[i].open)
            stopper_knobs(&w->lane[i].stopper, &w->knobs);
}

/* A run once more obeys its settings at the same tokens. */
static void
take_turns(struct writer *w)
{
    const struct gen_request *r = &w->job->req;

    for (; w->n_turned < r->n_turns && r->turns[w->n_turned].i <= w->i;
         w->n_turned++) {
        w->knobs = r->turns[w->n_turned].set;
        obey_knobs(w);
    }
}

static void
take_knobs(struct writer *w)
{
    struct gen_event ev = event(w, GEN_KNOBS, 0);

    take_turns(w);
    if (!w->host->knobs(w->host->ud, &w->knobs, &ev.u.knobs.knobs_serial))
        return;
    obey_knobs(w);
    ev.u.knobs.i = w->i;
    outbox_all(&w->out, &ev);
}

/* --- reading --- */

static void
tell_window(struct writer *w, int lane)
{
    struct gen_event ev = event(w, GEN_WINDOW, lane);

    ev.u.window.i = w->i;
    ev.u.window.at = prompt_window(&w->lane[lane].prompt);
    outbox_put(&w->out, &ev);
}

/* Stands at the prompt's last token, its logits at hand. */
static bool
stand(struct writer *w, struct err *err)
{
    const struct tok_ids *t = &w->lane[0].prompt.tok;

    if (t->n == 0)
        return err_set(err, ERR_FAILED,
                       "there is nothing to go on from: this model needs at "
                       "least one character that it knows before the pen");
    if (!session_sync(w->session, t->v, t->n, err))
        return false;
    w->last_run = session_last_run(w->session);
    return true;
}

size_t
writer_last_run(const struct writer *w)
{
    return w->last_run;
}

uint64_t
writer_rows(const struct writer *w)
{
    return session_rows(w->session);
}

/* May a lane with so many tokens left to write leave its window? */
static bool
will_outgrow(const struct writer *w, const struct prompt *p, int64_t left)
{
    return w->knobs.stop_at == STOP_AT_NEVER ||
           (int64_t)p->tok.n + left + STOP_EXTRA_MAX > p->P;
}

/* A prompt that stands so late in its window that the steps left would not do
 * for the next one: the rest of that is read now, before the first token. Who
 * only reads in advance has the time for all of it. */
static bool
read_ahead(struct writer *w, struct err *err)
{
    const struct gen_request *r = &w->job->req;
    struct prompt *p = &w->lane[0].prompt;
    const struct tok_ids *next = NULL;
    size_t steps = (size_t)p->P + 1 - p->tok.n;

    if (r->kind == GEN_READ ||
        (r->kind == GEN_RUN && will_outgrow(w, p, r->length_left)))
        next = prompt_next(p, err);
    if (!next)
        return err->kind == ERR_NONE;
    return session_read_ahead(w->session, 0, next->v, next->n,
                              r->kind == GEN_READ ? 0
                                                  : steps * (AHEAD_ROWS - 1),
                              err);
}

static bool
read_prompt(struct writer *w, struct err *err)
{
    const struct gen_request *r = &w->job->req;
    struct prompt *p = &w->lane[0].prompt;
    bool moved;

    if (r->again)
        prompt_stay(p, r->win_at, r->win_to);
    if (!prompt_set(p, r->spans, r->n_spans, r->win_at, &moved, err))
        return false;
    for (int i = 1; i < w->n_lanes; i++)
        prompt_copy(&w->lane[i].prompt, p);
    for (int i = 0; moved && i < w->n_lanes; i++)
        tell_window(w, i);
    if (!stand(w, err))
        return false;
    post_reading(w, (int)p->tok.n, (int)p->tok.n);
    return read_ahead(w, err);
}

/* --- looking --- */

static void
peek(struct writer *w)
{
    const struct gen_request *r = &w->job->req;
    struct gen_event ev = event(w, GEN_PEEKED, 0);
    size_t n = r->n_peek > 0 ? (size_t)r->n_peek : 0;
    struct candidate *c;

    if (n > (size_t)model_info(w->m)->n_vocab)
        n = (size_t)model_info(w->m)->n_vocab;
    c = xcalloc(n + 1, sizeof *c);
    n = sampler_peek(w->sampler, session_logits(w->session), &w->knobs,
                     w->lane[0].prompt.tok.v, w->lane[0].prompt.tok.n,
                     w->profile->end, c, n, &ev.u.peek.entropy,
                     &ev.u.peek.n_kept);
    ev.u.peek.rows = xcalloc(n + 1, sizeof *ev.u.peek.rows);
    ev.u.peek.n = n;
    ev.u.peek.i = w->i;
    for (size_t i = 0; i < n; i++) {
        struct peek_row *row = &ev.u.peek.rows[i];

        row->id = c[i].id;
        row->p_before = (float)fm_exp((double)c[i].lp);
        row->p_after =
            c[i].cut == STAGE_NONE ? (float)fm_exp((double)c[i].q) : 0;
        row->cut = c[i].cut;
        if (row->id < vocab_size(w->v))
            vocab_show(w->v, row->id, row->text, sizeof row->text);
    }
    free(c);
    outbox_put(&w->out, &ev);
}

/* --- writing --- */

static bool
draw(struct writer *w, int lane, struct drawn *d, struct err *err)
{
    const struct gen_request *r = &w->job->req;
    const struct lane *l = &w->lane[lane];
    struct draw at = { r->seed, w->i, r->run, r->br + (uint32_t)lane };

    return sampler_draw(w->sampler, session_lane_logits(w->session, lane),
                        &w->knobs, l->prompt.tok.v, l->prompt.tok.n,
                        stopper_may_end(&l->stopper) ? -1 : w->profile->end,
                        &at, d, err);
}

static void
queue_token(struct writer *w, int lane, const struct drawn *d, const char *text,
            size_t len)
{
    struct gen_event ev = event(w, GEN_TOKEN, lane);

    ev.u.token.i = w->i;
    ev.u.token.id = d->id;
    ev.u.token.lp = d->lp;
    ev.u.token.q = d->q;
    ev.u.token.text = xstrndup(text ? text : "", len);
    ev.u.token.len = len;
    outbox_token(&w->out, &ev);
}

/* `settled` more tokens may go out. The last one drawn stays while a
 * character of it is kept back that may still grow: should the run end here,
 * the character is text of this token. */
static void
settle(struct writer *w, int lane, size_t settled)
{
    struct lane *l = &w->lane[lane];
    size_t n = l->ready + settled;

    l->ready = n && n == w->out.lane[lane].n_unsettled && detok_holds(l->detok);
    outbox_settle(&w->out, lane, n - l->ready);
}

/* The lane is over: v says which of the tokens that wait belong to it. */
static void
end_lane(struct writer *w, int lane, const struct stop_verdict *v)
{
    struct lane *l = &w->lane[lane];
    size_t n = l->ready + v->settled;
    bool whole = v->cut == 0 && n == w->out.lane[lane].n_unsettled;
    char *text = NULL;
    size_t len = 0, cap = 0;

    if (whole && n && detok_holds(l->detok)) {
        detok_flush(l->detok, &text, &len, &cap);
        outbox_add_text(&w->out, lane, text, len);
        free(text);
    }
    outbox_settle(&w->out, lane, n);
    outbox_drop(&w->out, lane, v->cut);
    post_end(w, lane, v->why, whole);
}

/* The lane's token i, if it is not over before or with it. */
static void
write_token(struct writer *w, int lane)
{
    struct lane *l = &w->lane[lane];
    struct stop_verdict v = { .why = GEN_WHY_NONE };
    struct err err = { 0 };
    struct drawn d;
    char *text = NULL;
    size_t len = 0, cap = 0;

    v.why = cancelled(w) ? GEN_WHY_USER : stopper_now(&l->stopper);
    if (v.why == GEN_WHY_NONE && !draw(w, lane, &d, &err)) {
        post_failure(w, lane, &err);
        v.why = GEN_WHY_ERROR;
    } else if (v.why == GEN_WHY_NONE && d.id == w->profile->end) {
        v.why = GEN_WHY_EOS;
        v.settled = w->out.lane[lane].n_unsettled - l->ready;
    } else if (v.why == GEN_WHY_NONE) {
        detok_add(l->detok, d.id, &text, &len, &cap);
        queue_token(w, lane, &d, text, len);
        v = stopper_add(&l->stopper, text, len);
    }
    if (v.why != GEN_WHY_NONE) {
        end_lane(w, lane, &v);
    } else {
        settle(w, lane, v.settled);
        prompt_add(&l->prompt, d.id, text, len);
        l->id = d.id;
    }
    free(text);
}

/* The step of a lane that stays in its window, with what is to be read of the
 * next one: a little, or an equal share of what will have to be read in this
 * pass, the steps behind it, and the move. */
static bool
plan_step(struct writer *w, int lane, struct session_token *t, struct err *err)
{
    struct lane *l = &w->lane[lane];
    const struct tok_ids *next;
    size_t steps = (size_t)l->prompt.P + 1 - l->prompt.tok.n, rows;

    *t = (struct session_token){ .lane = lane, .id = l->id };
    if (!will_outgrow(w, &l->prompt, l->stopper.left))
        return true;
    next = prompt_next(&l->prompt, err);
    if (!next)
        return err->kind == ERR_NONE;
    rows = session_unread(w->session, lane, next->v, next->n);
    rows = (rows + 2 * steps) / (steps + 1); /* it grows by one with each */
    t->next = next->v;
    t->n_next = next->n;
    t->n_rows = rows > AHEAD_ROWS ? (int)rows : AHEAD_ROWS;
    return true;
}

/* The network runs over the tokens drawn last, all lanes in one pass; a lane
 * that has outgrown its window stands in the next one by itself. */
static bool
go_on(struct writer *w, struct err *err)
{
    struct session_token token[SESSION_LANES_MAX];
    int n = 0;

    for (int i = 0; i < w->n_lanes; i++) {
        struct prompt *p = &w->lane[i].prompt;
        bool moved;

        if (!w->lane[i].open)
            continue;
        if (!prompt_fit(p, &moved, err))
            return false;
        if (!moved) {
            if (!plan_step(w, i, &token[n++], err))
                return false;
            continue;
        }
        tell_window(w, i);
        if (!session_move(w->session, i, p->tok.v, p->tok.n, err))
            return false;
    }
    return n == 0 || session_step_lanes(w->session, token, n, err);
}

/* All lanes that still write end for one reason. */
static void
end_all(struct writer *w, const struct err *err)
{
    struct stop_verdict v = { .why = err->kind == ERR_CANCELLED
                                         ? GEN_WHY_USER
                                         : GEN_WHY_ERROR };
    bool told = v.why == GEN_WHY_USER;

    for (int i = 0; i < w->n_lanes; i++) {
        if (!w->lane[i].open)
            continue;
        if (!told)
            post_failure(w, i, err);
        told = true;
        end_lane(w, i, &v);
    }
}

/* The reader has taken one lane and waits for no other. */
static void
take_keep(struct writer *w)
{
    struct stop_verdict v = { .why = GEN_WHY_USER };
    int lane;

    if (!w->host->keep(w->host->ud, &lane))
        return;
    for (int i = 0; i < w->n_lanes; i++)
        if (i != lane && w->lane[i].open)
            end_lane(w, i, &v);
}

static bool
any_open(const struct writer *w)
{
    for (int i = 0; i < w->n_lanes; i++)
        if (w->lane[i].open)
            return true;
    return false;
}

/* Every lane writes its token i, then all step to the next one. */
static bool
write_on(struct writer *w, struct err *err)
{
    while (any_open(w)) {
        take_knobs(w);
        take_keep(w);
        for (int i = 0; i < w->n_lanes; i++)
            if (w->lane[i].open)
                write_token(w, i);
        w->i++;
        if (!go_on(w, err))
            return false;
    }
    return true;
}

/* What the lanes may come to take is asked for before the first token. */
static bool
fork_lanes(struct writer *w, struct err *err)
{
    const struct gen_request *r = &w->job->req;
    uint64_t have = mem_available(), want;
    int64_t left = r->length_left > 0 ? r->length_left : 0;

    if (w->n_lanes == 1)
        return true;
    if (left > (int64_t)1 << 30 || will_outgrow(w, &w->lane[0].prompt, left))
        left = (int64_t)1 << 30;
    want = session_lanes_bytes(w->session, w->n_lanes, (size_t)left);
    if (have > 0 && want > have)
        return err_set(err, ERR_MEMORY,
                       "%d continuations at once need up to %" PRIu64
                       " MB of memory, %" PRIu64 " MB are free: ask for fewer "
                       "of them or for shorter ones, or close other programs",
                       w->n_lanes, want >> 20, have >> 20);
    return session_fork(w->session, w->n_lanes, err);
}

static bool
run(struct writer *w, struct err *err)
{
    size_t len;
    const char *before = prompt_tail(&w->lane[0].prompt, TAIL, &len);
    bool ok;

    for (int i = 0; i < w->n_lanes; i++) {
        struct lane *l = &w->lane[i];

        l->detok = detok_new(w->v, before, len);
        l->ready = 0;
        stopper_init(&l->stopper, &w->knobs, w->job->req.length_left, before,
                     len);
    }
    ok = fork_lanes(w, err) && write_on(w, err);
    if (!ok)
        end_all(w, err);
    for (int i = 0; i < w->n_lanes; i++) {
        stopper_finish(&w->lane[i].stopper);
        detok_free(w->lane[i].detok);
        w->lane[i].detok = NULL;
    }
    return ok;
}

void
writer_do(struct writer *w, const struct job *j)
{
    struct stop_verdict done = { .why = GEN_WHY_NONE };
    struct err err = { 0 };

    w->job = j;
    w->knobs = j->req.knobs;
    w->n_lanes = job_lanes(j);
    w->i = j->req.i0;
    w->n_turned = 0;
    w->first = 0;
    outbox_begin(&w->out, w->n_lanes);
    for (int i = 0; i < w->n_lanes; i++) {
        w->lane[i].open = true;
        w->lane[i].ready = 0;
    }
    set_bias(w);
    if (!read_prompt(w, &err))
        end_all(w, &err);
    else if (j->req.kind == GEN_RUN)
        run(w, &err);
    else {
        if (j->req.kind == GEN_PEEK)
            peek(w);
        end_lane(w, 0, &done);
    }
    w->job = NULL;
}

/* --- making one --- */

static void
set_bans(struct writer *w)
{
    int V = model_info(w->m)->n_vocab;

    sampler_ban(w->sampler, w->profile->ban, w->profile->n_ban);
    for (int id = vocab_size(w->v); id < V; id++)
        sampler_ban(w->sampler, &id, 1);
    sampler_exempt(w->sampler, vocab_exempt(w->v), (size_t)vocab_size(w->v));
}

struct writer *
writer_new(const struct model *m, int n_threads, const struct writer_host *host,
           struct err *err)
{
    struct writer *w;
    struct session_options opt = { .n_threads = n_threads,
                                   .cancel = host->cancel,
                                   .reading = post_reading };

    if (!model_vocab(m)) {
        err_set(err, ERR_MODEL,
                "%s has no vocabulary, so it cannot write: put its vocab.txt, "
                "vocab.json and merges.txt, or tokenizer.json beside it",
                model_info(m)->name);
        return NULL;
    }
    w = xcalloc(1, sizeof *w);
    w->m = m;
    w->v = model_vocab(m);
    w->profile = vocab_profile(w->v);
    w->host = host;
    opt.ud = w;
    w->session = session_new(m, &opt, err);
    if (!w->session) {
        free(w);
        return NULL;
    }
    w->sampler = sampler_new(model_info(m)->n_vocab);
    set_bans(w);
    w->out.post = post;
    w->out.ud = w;
    for (int i = 0; i < SESSION_LANES_MAX; i++)
        prompt_init(&w->lane[i].prompt, w->v, model_tok_hash(m),
                    model_info(m)->n_pos);
    return w;
}

void
writer_free(struct writer *w)
{
    if (!w)
        return;
    session_free(w->session);
    sampler_free(w->sampler);
    for (int i = 0; i < SESSION_LANES_MAX; i++)
        prompt_finish(&w->lane[i].prompt);
    outbox_finish(&w->out);
    free(w);
}
