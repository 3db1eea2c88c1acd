/* engine/writer.c  One request on a loaded model.
 *
 * The order of one token: knobs, draw, detokenise, ask the stopper, post what
 * is settled, then run the network for the next one. A drawn token that the
 * stopper has not settled waits in a queue with the events behind it, so that
 * the reader sees events in the order of their token index.
 */
#include "engine/writer.h"

#include <assert.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "engine/base/fmath.h"
#include "engine/base/mem.h"
#include "engine/prompt.h"
#include "engine/sampler.h"
#include "engine/session.h"

enum { TAIL = 512 }; /* bytes of the prompt that detokeniser and stopper see */

struct queued {
    struct gen_event ev;
    bool unsettled; /* a token that may still be dropped */
};

struct writer {
    const struct model *m;
    const struct vocab *v;
    const struct profile *profile;
    const struct writer_host *host;
    struct session *session;
    struct sampler *sampler;
    struct prompt prompt;
    char bias[KNOB_TEXT_MAX]; /* as the sampler has it */
    /* of the request in hand */
    const struct job *job;
    struct knobs knobs;
    struct stopper stopper;
    struct detok *detok;
    struct queued *queue;
    size_t n_queue, cap_queue;
    uint32_t i;      /* index of the next token */
    uint32_t posted; /* tokens */
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
event(const struct writer *w, enum gen_event_type type)
{
    struct gen_event ev = { .type = type, .serial = w->job->serial };

    return ev;
}

static void
post(struct writer *w, const struct gen_event *ev)
{
    if (ev->type == GEN_TOKEN) {
        w->posted++;
        if (w->first == 0)
            w->first = seconds_now();
    }
    w->host->post(w->host->ud, ev, false);
}

/* Behind what still waits, else at once. */
static void
queue(struct writer *w, const struct gen_event *ev, bool unsettled)
{
    if (!w->n_queue && !unsettled) {
        post(w, ev);
        return;
    }
    if (w->n_queue == w->cap_queue)
        w->queue =
            mem_grow(w->queue, &w->cap_queue, w->n_queue + 1, sizeof *w->queue);
    w->queue[w->n_queue].ev = *ev;
    w->queue[w->n_queue++].unsettled = unsettled;
}

/* Posts the first `settled` tokens and what stands before the next one. */
static void
queue_settle(struct writer *w, size_t settled)
{
    size_t n = 0;

    while (n < w->n_queue) {
        if (w->queue[n].unsettled && settled-- == 0)
            break;
        post(w, &w->queue[n++].ev);
    }
    w->n_queue -= n;
    if (w->n_queue)
        memmove(w->queue, w->queue + n, w->n_queue * sizeof *w->queue);
}

/* The run is over: of the first token left `cut` bytes still belong to the
 * story; all others go, but an answer to a knob is given. */
static void
queue_drop(struct writer *w, size_t cut)
{
    for (size_t n = 0; n < w->n_queue; n++) {
        struct gen_event *ev = &w->queue[n].ev;

        if (ev->type == GEN_TOKEN && cut > 0 && cut <= ev->u.token.len) {
            ev->u.token.len = cut;
            ev->u.token.text[cut] = '\0';
            cut = 0;
            post(w, ev);
        } else if (ev->type == GEN_KNOBS) {
            post(w, ev);
        } else {
            gen_event_finish(ev);
        }
    }
    w->n_queue = 0;
}

static void
post_end(struct writer *w, enum gen_why why, bool tail)
{
    struct gen_event ev = event(w, GEN_END);

    ev.u.end.why = why;
    ev.u.end.n = w->posted;
    if (tail && w->detok)
        ev.u.end.n_tail = detok_tail(w->detok, ev.u.end.tail);
    if (w->first > 0)
        ev.u.end.seconds = seconds_now() - w->first;
    post(w, &ev);
}

static void
post_failure(struct writer *w, const struct err *err)
{
    struct gen_event ev = event(w, GEN_FAILED);

    ev.u.err = *err;
    post(w, &ev);
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
    ev = event(w, GEN_READING);
    ev.u.reading.total = (int)w->prompt.tok.n;
    ev.u.reading.done = (int)w->prompt.tok.n - (total - done);
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

/* A run once more obeys its settings at the same tokens. */
static void
take_turns(struct writer *w)
{
    const struct gen_request *r = &w->job->req;

    for (; w->n_turned < r->n_turns && r->turns[w->n_turned].i <= w->i;
         w->n_turned++) {
        w->knobs = r->turns[w->n_turned].set;
        set_bias(w);
        stopper_knobs(&w->stopper, &w->knobs);
    }
}

static void
take_knobs(struct writer *w)
{
    struct gen_event ev = event(w, GEN_KNOBS);

    take_turns(w);
    if (!w->host->knobs(w->host->ud, &w->knobs, &ev.u.knobs.knobs_serial))
        return;
    set_bias(w);
    stopper_knobs(&w->stopper, &w->knobs);
    ev.u.knobs.i = w->i;
    queue(w, &ev, false);
}

/* --- reading --- */

static void
tell_window(struct writer *w)
{
    struct gen_event ev = event(w, GEN_WINDOW);

    ev.u.window.i = w->i;
    ev.u.window.at = prompt_window(&w->prompt);
    queue(w, &ev, false);
}

/* Stands at the prompt's last token, its logits at hand. */
static bool
stand(struct writer *w, struct err *err)
{
    const struct tok_ids *t = &w->prompt.tok;

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

static bool
read_prompt(struct writer *w, struct err *err)
{
    const struct gen_request *r = &w->job->req;
    bool moved;

    if (r->again)
        prompt_stay(&w->prompt, r->win_at, r->win_to);
    if (!prompt_set(&w->prompt, r->spans, r->n_spans, r->win_at, &moved, err))
        return false;
    if (moved)
        tell_window(w);
    if (!stand(w, err))
        return false;
    post_reading(w, (int)w->prompt.tok.n, (int)w->prompt.tok.n);
    return true;
}

/* --- looking --- */

static bool
peek(struct writer *w)
{
    const struct gen_request *r = &w->job->req;
    struct gen_event ev = event(w, GEN_PEEKED);
    size_t n = r->n_peek > 0 ? (size_t)r->n_peek : 0;
    struct candidate *c;

    if (n > (size_t)model_info(w->m)->n_vocab)
        n = (size_t)model_info(w->m)->n_vocab;
    c = xcalloc(n + 1, sizeof *c);
    n = sampler_peek(w->sampler, session_logits(w->session), &w->knobs,
                     w->prompt.tok.v, w->prompt.tok.n, w->profile->end, c, n,
                     &ev.u.peek.entropy, &ev.u.peek.n_kept);
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
    post(w, &ev);
    return true;
}

/* --- writing --- */

static bool
draw(struct writer *w, struct drawn *d, struct err *err)
{
    const struct gen_request *r = &w->job->req;
    struct draw at = { r->seed, w->i, r->run, r->br };

    return sampler_draw(w->sampler, session_logits(w->session), &w->knobs,
                        w->prompt.tok.v, w->prompt.tok.n,
                        stopper_may_end(&w->stopper) ? -1 : w->profile->end,
                        &at, d, err);
}

static void
queue_token(struct writer *w, const struct drawn *d, const char *text,
            size_t len)
{
    struct gen_event ev = event(w, GEN_TOKEN);

    ev.u.token.i = w->i;
    ev.u.token.id = d->id;
    ev.u.token.lp = d->lp;
    ev.u.token.q = d->q;
    ev.u.token.text = xstrndup(text ? text : "", len);
    ev.u.token.len = len;
    queue(w, &ev, true);
}

/* The network runs over the token drawn last. */
static bool
go_on(struct writer *w, int id, struct err *err)
{
    bool moved;

    if (!prompt_fit(&w->prompt, &moved, err))
        return false;
    if (!moved)
        return session_step(w->session, id, err);
    tell_window(w);
    return stand(w, err);
}

/* Draws tokens till something ends the run. *tail: the last token drawn
 * belongs to it, so its unfinished character does too. */
static enum gen_why
write_on(struct writer *w, bool *tail, struct err *err)
{
    char *text = NULL;
    size_t len, cap = 0;
    struct stop_verdict v = { .why = GEN_WHY_NONE };
    struct drawn d;

    while (v.why == GEN_WHY_NONE) {
        take_knobs(w);
        v.settled = v.cut = 0;
        v.why = cancelled(w) ? GEN_WHY_USER : stopper_now(&w->stopper);
        if (v.why != GEN_WHY_NONE)
            break;
        if (!draw(w, &d, err)) {
            v.why = GEN_WHY_ERROR;
            break;
        }
        if (d.id == w->profile->end) {
            v.why = GEN_WHY_EOS;
            queue_settle(w, w->n_queue);
            break;
        }
        len = 0;
        detok_add(w->detok, d.id, &text, &len, &cap);
        v = stopper_add(&w->stopper, text, len);
        queue_token(w, &d, text, len);
        queue_settle(w, v.settled);
        if (v.why != GEN_WHY_NONE)
            break;
        prompt_add(&w->prompt, d.id, text, len);
        w->i++;
        if (!go_on(w, d.id, err))
            v.why = err->kind == ERR_CANCELLED ? GEN_WHY_USER : GEN_WHY_ERROR;
    }
    *tail = w->n_queue == 0;
    queue_drop(w, v.cut);
    free(text);
    return v.why;
}

static enum gen_why
run(struct writer *w, struct err *err, bool *tail)
{
    size_t len;
    const char *before = prompt_tail(&w->prompt, TAIL, &len);
    enum gen_why why;

    w->detok = detok_new(w->v, before, len);
    stopper_init(&w->stopper, &w->knobs, w->job->req.length_left, before, len);
    why = write_on(w, tail, err);
    stopper_finish(&w->stopper);
    return why;
}

void
writer_do(struct writer *w, const struct job *j)
{
    struct err err = { 0 };
    enum gen_why why = GEN_WHY_NONE;
    bool tail = false;

    w->job = j;
    w->knobs = j->req.knobs;
    w->i = j->req.i0;
    w->posted = 0;
    w->n_turned = 0;
    w->first = 0;
    set_bias(w);
    if (!read_prompt(w, &err))
        why = err.kind == ERR_CANCELLED ? GEN_WHY_USER : GEN_WHY_ERROR;
    else if (j->req.kind == GEN_PEEK)
        peek(w);
    else if (j->req.kind == GEN_RUN)
        why = run(w, &err, &tail);
    if (why == GEN_WHY_ERROR)
        post_failure(w, &err);
    post_end(w, why, tail);
    detok_free(w->detok);
    w->detok = NULL;
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
    prompt_init(&w->prompt, w->v, model_tok_hash(m), model_info(m)->n_pos);
    return w;
}

void
writer_free(struct writer *w)
{
    if (!w)
        return;
    session_free(w->session);
    sampler_free(w->sampler);
    prompt_finish(&w->prompt);
    free(w->queue);
    free(w);
}
