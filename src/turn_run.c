/* src/turn_run.c  The model's side of a turn: runs, knobs, requests, events.
 *
 * The node of a run is opened with its first token, so that a run which writes
 * nothing leaves no trace in the tree. Tokens are kept back until the events
 * are drained, then applied as one record.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/mem.h"

#include "src/turn_state.h"

#define SPEED_MS 100 /* a speed taken over less would jump about */

/* --- knobs in the journal --- */

/* What changed; the full table when the journal has none yet. r: the run that
 * obeys from token i on, or NULL. */
static void
record_knobs(struct turn *t, const struct run *r, const struct knobs *set,
             const struct knobs *before, uint32_t i)
{
    bool first = !story_has_knobs(t->s);
    struct story_op op = { .type = first ? OP_KNOBS : OP_KNOB,
                           .set = set,
                           .before = before,
                           .has_of = !first && r,
                           .of = r ? r->node : 0,
                           .i = i };

    if (story_apply(t->s, &op, NULL) && first) {
        t->k = op.k;
        t->table = *set;
    }
}

bool
turn_knobs_settled(const struct turn *t)
{
    return knobs_equal(&t->knobs, story_knobs(t->s));
}

void
turn_settle_knobs(struct turn *t)
{
    t->turned = false;
    if (!turn_knobs_settled(t))
        record_knobs(t, NULL, &t->knobs, NULL, 0);
}

/* Number of a full table that equals what the worker obeys, written when
 * needed: a run names its table, so that it can be replayed from any branch. */
static uint32_t
knob_table(struct turn *t)
{
    struct story_op op = { .type = OP_KNOBS, .set = &t->held };

    if (t->k && knobs_equal(&t->table, &t->held) &&
        knobs_equal(story_knobs(t->s), &t->held))
        return t->k;
    if (story_apply(t->s, &op, NULL)) {
        t->k = op.k;
        t->table = t->held;
    }
    return t->k;
}

/* What the worker gets: the length counts every Tab of this run. */
static struct knobs
run_knobs(const struct turn *t, const struct run *r)
{
    struct knobs k = t->knobs;

    k.length = r->total;
    return k;
}

/* The run at the pen; else any candidate that still writes. */
static const struct run *
writing(const struct turn *t)
{
    for (int i = 0; t->run.phase != RUN_ACTIVE && i < t->lanes.n; i++)
        if (t->lanes.v[i].phase == RUN_ACTIVE)
            return &t->lanes.v[i];
    return &t->run;
}

void
turn_run_knobs(struct turn *t, bool journal)
{
    const struct run *r = writing(t);
    struct knobs k = run_knobs(t, r);
    uint32_t serial = gen_knobs(t->g, r->serial, &k);

    if (!journal)
        return;
    if (t->n_pending == t->cap_pending)
        t->pending = mem_grow(t->pending, &t->cap_pending, t->n_pending + 1,
                              sizeof *t->pending);
    t->pending[t->n_pending].serial = serial;
    t->pending[t->n_pending++].set = t->knobs;
}

/* The worker obeys setting `serial` from token i on, in all that it writes:
 * every run's record tells the whole change. */
static void
knobs_hold(struct turn *t, uint32_t serial, uint32_t i)
{
    struct knobs before = *story_knobs(t->s);
    size_t n = 0;

    while (n < t->n_pending && t->pending[n].serial <= serial)
        n++;
    if (n == 0)
        return;
    t->held = t->pending[n - 1].set;
    if (!knobs_equal(&t->held, &before)) {
        if (t->run.node)
            record_knobs(t, &t->run, &t->held, &before, i);
        for (int l = 0; l < t->lanes.n; l++)
            if (t->lanes.v[l].node)
                record_knobs(t, &t->lanes.v[l], &t->held, &before, i);
    }
    t->n_pending -= n;
    memmove(t->pending, t->pending + n, t->n_pending * sizeof *t->pending);
}

/* --- a run in the journal --- */

/* A model record as far as the model is known now. */
static struct story_op
model_op(const struct turn *t)
{
    const struct model *m = gen_model(t->g);
    struct story_op op = { .type = OP_MODEL, .name = "", .num = "" };

    if (m) {
        op.name = model_info(m)->name;
        op.num = model_arithmetic(m);
        op.tok_hash = model_tok_hash(m);
    }
    if (t->hashed) {
        op.sha = t->hashes.weights;
        op.cfg = t->hashes.config;
        op.tok_hash = t->hashes.tokenizer;
    } else if (m) {
        op.cfg = model_early(m)->config;
        op.files = model_early(m)->weights;
    }
    return op;
}

/* The number of the model that writes. Its hashes may still be computed when
 * the first token comes; then the record is written without them and once
 * more, with the same number, as soon as they are known. */
static uint32_t
model_number(struct turn *t)
{
    struct story_op op = model_op(t);

    if (t->bare_model)
        return t->bare_model;
    if (t->hashed)
        op.m = story_model_find(t->s, op.sha, op.cfg, op.tok_hash, op.num);
    if (op.m)
        return op.m;
    if (!story_apply(t->s, &op, NULL))
        return 0;
    if (!t->hashed)
        t->bare_model = op.m;
    return op.m;
}

/* Runs of an earlier session, which ended before the hashes of this very model
 * were known, get them now: its files are still as they were. */
static void
complete_models(struct turn *t)
{
    const struct model *m = gen_model(t->g);
    struct story_op op;
    uint32_t from = 1;

    if (!m || turn_read_only(t))
        return;
    while (story_model_complete(t->s, from, model_early(m), &t->hashes, &op) &&
           story_apply(t->s, &op, NULL))
        from = op.m + 1;
}

static void
on_hashed(struct turn *t, const struct model_hashes *h)
{
    struct story_op op;

    t->hashes = *h;
    t->hashed = true;
    if (t->bare_model) {
        op = model_op(t);
        op.m = t->bare_model;
        t->bare_model = 0;
        story_apply(t->s, &op, NULL);
    }
    complete_models(t);
}

/* Opens the node of a run, at its first token. */
static bool
open_run(struct turn *t, struct run *r)
{
    struct story_op op = {
        .type = OP_RUN,
        .w = turn_wall_ms(),
        .at = r->pen,
        .seed = r->seed,
        .run = r->run,
        .br = r->br,
        .i0 = r->i,
        .win = r->win,
        .cont = r->begun,
        .aside = r->aside,
    };

    turn_close_step(t);
    op.m = model_number(t);
    op.k = knob_table(t);
    op.p = story_head(t->s);
    if (!story_apply(t->s, &op, NULL))
        return false;
    r->node = op.n;
    if (r->aside)
        t->lanes.node[r->lane] = op.n;
    r->begun = true;
    return true;
}

void
turn_run_flush(struct turn *t, struct run *r)
{
    struct drained *d = &r->d;
    struct story_op op = {
        .type = OP_TOK,
        .s = d->text,
        .len = d->n_text,
        .tok = d->tok,
        .tok_len = d->tok_len,
        .n_tok = d->n_tok,
    };
    size_t pen = r->pen;

    if (!d->n_tok)
        return;
    if (!op.s)
        op.s = "";
    d->n_tok = d->n_text = 0;
    if (!r->node && !open_run(t, r))
        return;
    op.of = r->node;
    if (!story_apply(t->s, &op, NULL))
        return;
    r->pen += op.len;
    r->i += (uint32_t)op.n_tok;
    if (!r->aside && t->caret >= pen)
        t->caret += op.len;
}

void
turn_run_close(struct turn *t, struct run *r, enum gen_why why,
               const unsigned char *tail, size_t n_tail)
{
    struct story_op op = { .type = OP_END, .of = r->node, .why = why };

    r->d.n_tok = r->d.n_text = 0;
    if (!r->node)
        return;
    if (n_tail)
        memcpy(op.tail, tail, n_tail);
    op.n_tail = n_tail;
    story_apply(t->s, &op, NULL);
    r->node = 0;
}

/* The node of the run at the pen ends; the run itself may go on. */
static void
end_node(struct turn *t, enum gen_why why, const unsigned char *tail,
         size_t n_tail)
{
    bool wrote = t->run.node != 0;

    turn_run_close(t, &t->run, why, tail, n_tail);
    t->n_pending = 0;
    t->used_base += t->run.n;
    t->run.n = 0;
    if (wrote)
        turn_settle_knobs(t);
}

/* The run is over; what the worker does for it was stopped or is done. */
static void
finish_run(struct turn *t, enum gen_why why, const unsigned char *tail,
           size_t n_tail)
{
    end_node(t, why, tail, n_tail);
    t->st.last_why = why;
    t->st.last_n = t->run.i;
    t->st.last_seed = t->run.seed;
    t->run.phase = RUN_NONE;
    t->run.serial = 0;
    storyfile_commit(t->f);
}

void
turn_run_end(struct turn *t, enum gen_why why)
{
    turn_lanes_end(t, why);
    if (t->run.phase == RUN_NONE)
        return;
    if (t->run.phase == RUN_ACTIVE)
        gen_cancel(t->g);
    finish_run(t, why, NULL, 0);
}

void
turn_run_pause(struct turn *t, int64_t now)
{
    if (t->run.phase == RUN_ACTIVE) {
        gen_cancel(t->g);
        end_node(t, GEN_WHY_EDIT, NULL, 0);
        t->run.phase = RUN_WAITING;
        t->run.serial = 0;
    }
    t->run.resume_at = now + TURN_WAIT_MS;
}

/* --- requests --- */

/* Asks for `r`, or (NULL) only for the prompt to be read. */
static uint32_t
submit(struct turn *t, const struct run *r, int n_lanes, size_t pen,
       size_t *win)
{
    struct gen_request req = { .kind = r ? GEN_RUN : GEN_READ,
                               .n_lanes = n_lanes };
    struct prompt_span *spans;
    uint32_t serial;
    int *ids;

    *win = story_window(t->s, pen);
    req.n_spans = story_prompt(t->s, *win, pen, &spans, &ids);
    req.spans = spans;
    req.win_at = *win;
    req.knobs = t->knobs;
    if (r) {
        req.knobs = run_knobs(t, r);
        req.seed = r->seed;
        req.run = r->run;
        req.br = r->br;
        req.i0 = r->i;
        req.length_left = r->total - (int64_t)r->i;
        if (req.length_left < 0)
            req.length_left = 0;
    }
    serial = gen_submit(t->g, &req);
    free(spans);
    free(ids);
    return serial;
}

/* Nothing is known yet of the request that follows. */
static void
ready_to_write(struct turn *t)
{
    t->n_pending = 0;
    t->held = t->knobs;
    t->st.read_done = t->st.read_total = 0;
    t->read_wanted = false;
}

uint32_t
turn_run_request(struct turn *t, const struct run *r, int n, size_t *win)
{
    ready_to_write(t);
    return submit(t, r, n, r->pen, win);
}

void
turn_run_submit(struct turn *t)
{
    struct run *r = &t->run;

    r->d.n_tok = r->d.n_text = 0;
    r->phase = RUN_ACTIVE;
    r->node = 0;
    r->lane = 0;
    r->serial = turn_run_request(t, r, 1, &r->win);
}

void
turn_read_ahead(struct turn *t)
{
    size_t win;

    t->read_wanted = false;
    t->read_serial = submit(t, NULL, 1, t->caret, &win);
}

/* A random seed has 53 bits, so that every reader of JSON keeps it. */
uint64_t
turn_choose_seed(const struct turn *t)
{
    uint64_t seed;

    if (!t->knobs.seed_random)
        return t->knobs.seed;
    if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed)
        seed = (uint64_t)turn_wall_ms() << 11;
    return seed >> 11;
}

void
turn_run_begin(struct turn *t, struct run *r, const struct run *as, size_t at)
{
    *r = (struct run){ .run = as->run,
                       .br = as->br,
                       .i = as->i,
                       .begun = as->begun,
                       .seed = as->seed,
                       .total = t->knobs.length,
                       .start = at,
                       .pen = at,
                       .d = r->d }; /* its memory stays */
}

void
turn_run_start(struct turn *t, const struct run *as, size_t at)
{
    turn_close_step(t);
    turn_run_begin(t, &t->run, as, at);
    t->run.seed = turn_choose_seed(t);
    t->st.run_err.kind = ERR_NONE;
    turn_run_submit(t);
}

void
turn_run_finish(struct run *r)
{
    free(r->d.tok);
    free(r->d.tok_len);
    free(r->d.text);
}

/* --- events --- */

static void
on_token(struct turn *t, struct run *r, const struct gen_event *ev, int64_t now)
{
    struct drained *d = &r->d;
    size_t len = ev->u.token.len;

    if (d->n_tok == d->cap_tok)
        d->tok = mem_grow(d->tok, &d->cap_tok, d->n_tok + 1, sizeof *d->tok);
    if (d->n_tok == d->cap_tok_len)
        d->tok_len = mem_grow(d->tok_len, &d->cap_tok_len, d->n_tok + 1,
                              sizeof *d->tok_len);
    if (d->n_text + len > d->cap_text)
        d->text = mem_grow(d->text, &d->cap_text, d->n_text + len, 1);
    d->tok[d->n_tok].id = ev->u.token.id;
    d->tok[d->n_tok].lp = ev->u.token.lp;
    d->tok[d->n_tok].q = ev->u.token.q;
    d->tok_len[d->n_tok++] = (uint32_t)len;
    if (len)
        memcpy(d->text + d->n_text, ev->u.token.text, len);
    d->n_text += len;

    r->lp += (double)ev->u.token.lp;
    if (r->n++ == 0)
        r->first_at = now;
    else if (now - r->first_at >= SPEED_MS)
        t->st.tokens_per_second =
            (r->n - 1) * 1e3 / (double)(now - r->first_at);
}

static void
on_window(struct turn *t, struct run *r, const struct gen_event *ev)
{
    struct story_op op = { .type = OP_WIN,
                           .i = ev->u.window.i,
                           .at = ev->u.window.at };

    turn_run_flush(t, r);
    r->win = op.at;
    op.of = r->node;
    if (op.of)
        story_apply(t->s, &op, NULL);
}

static void
on_end(struct turn *t, const struct gen_event *ev)
{
    turn_run_flush(t, &t->run);
    if (ev->u.end.seconds > 0 && ev->u.end.n > 1)
        t->st.tokens_per_second = ev->u.end.n / ev->u.end.seconds;
    finish_run(t, ev->u.end.why, ev->u.end.tail, ev->u.end.n_tail);
}

static void
flush_all(struct turn *t)
{
    turn_run_flush(t, &t->run);
    for (int i = 0; i < t->lanes.n; i++)
        turn_run_flush(t, &t->lanes.v[i]);
}

/* Which run an event speaks of; NULL: of one that is over. What is told once
 * for several lanes of a request finds any of them. */
static struct run *
run_of(struct turn *t, const struct gen_event *ev)
{
    bool all = ev->type == GEN_READING || ev->type == GEN_KNOBS ||
               ev->type == GEN_FAILED;
    struct run *r = &t->run;

    if (r->phase == RUN_ACTIVE && r->serial == ev->serial &&
        (all || r->lane == ev->lane))
        return r;
    for (int i = 0; i < t->lanes.n; i++) {
        r = &t->lanes.v[i];
        if (r->phase == RUN_ACTIVE && r->serial == ev->serial &&
            (all || r->lane == ev->lane))
            return r;
    }
    return NULL;
}

/* Events of what is written now. */
static void
on_run_event(struct turn *t, struct run *r, const struct gen_event *ev,
             int64_t now)
{
    switch (ev->type) {
    case GEN_READING:
        t->st.read_done = ev->u.reading.done;
        t->st.read_total = ev->u.reading.total;
        t->used_base = (size_t)ev->u.reading.total;
        break;
    case GEN_TOKEN: on_token(t, r, ev, now); break;
    case GEN_WINDOW: on_window(t, r, ev); break;
    case GEN_KNOBS:
        flush_all(t);
        knobs_hold(t, ev->u.knobs.knobs_serial, ev->u.knobs.i);
        break;
    case GEN_END:
        if (r->aside)
            turn_lane_ended(t, r, ev);
        else
            on_end(t, ev);
        break;
    case GEN_FAILED:
        t->st.run_err = ev->u.err; /* an END, why error, follows */
        break;
    default: break;
    }
}

/* Events of the generator itself. */
static void
on_own_event(struct turn *t, const struct gen_event *ev)
{
    switch (ev->type) {
    case GEN_LOADING:
        t->st.load_done = ev->u.loading.done;
        t->st.load_total = ev->u.loading.total;
        break;
    case GEN_LOADED:
        t->st.model_loaded = true;
        if (gen_model(t->g))
            t->st.window_size = model_info(gen_model(t->g))->n_pos;
        break;
    case GEN_HASHED: on_hashed(t, &ev->u.hashes); break;
    case GEN_FAILED:
        t->st.model_failed = true;
        t->st.model_err = ev->u.err;
        turn_run_end(t, GEN_WHY_ERROR);
        break;
    default: break;
    }
}

bool
turn_drain(struct turn *t, int64_t now)
{
    struct gen_event ev;
    struct run *r;
    bool visible = false;

    while (gen_next(t->g, &ev)) {
        if (ev.serial == 0) {
            on_own_event(t, &ev);
            visible |= ev.type != GEN_HASHED;
        } else if ((r = run_of(t, &ev)) != NULL) {
            on_run_event(t, r, &ev, now);
            visible = true;
        } else if (ev.serial == t->read_serial && ev.type == GEN_READING) {
            t->used_base = (size_t)ev.u.reading.total;
            visible |= ev.u.reading.done == ev.u.reading.total;
        }
        gen_event_finish(&ev);
    }
    flush_all(t);
    return visible;
}
