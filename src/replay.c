/* src/replay.c  The runs of a story, written once more and compared.
 *
 * The records are collected while the file is opened, the texts are asked of
 * the tree afterwards: a node never changes once a run hangs from it, so its
 * text and window are what the page sent then.
 *
 * The length of a run depends on how often the writer pressed Tab, which no
 * record tells; so a run is asked for as many tokens as it has. What ended by
 * itself (end of text, loop, stop string) is asked for more, to see that it
 * ends there again.
 */
#include "src/replay.h"

#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/record.h"
#include "src/storyfile.h"

#define STRICT "strict/1/"

struct token {
    struct op_token tok;
    uint64_t record;
    size_t from; /* where the text it completed begins in its run's */
};

struct move { /* of the window's start */
    uint32_t i;
    size_t at;
    uint64_t record;
};

struct run {
    struct replay_run pub;
    bool live; /* its records may still come */
    uint64_t p, seed;
    size_t at, win;
    const struct knobs *knobs; /* at its first token; NULL: lost */
    struct knobs_turn *turns;
    size_t n_turns, cap_turns;
    struct move *moves;
    size_t n_moves, cap_moves;
    struct token *tok;
    size_t cap_tok;
    struct bytes text;
};

struct table {
    uint32_t k;
    struct knobs *set; /* given; it stays where it is while tables grow */
};

struct replay {
    struct storyfile *file;
    struct run *runs;
    size_t n_runs, cap_runs;
    size_t first_live; /* no run before it is live */
    uint64_t open;     /* the step that grew before the record in hand */
    uint64_t *holes;   /* steps that may have lost records */
    size_t n_holes, cap_holes;
    struct table *tables;
    size_t n_tables, cap_tables;
    struct replay_model *models;
    size_t n_models, cap_models;
};

/* --- reading the records --- */

static struct run *
find_run(struct replay *r, uint64_t node)
{
    for (size_t i = r->n_runs; i > 0; i--)
        if (r->runs[i - 1].pub.node == node)
            return &r->runs[i - 1];
    return NULL;
}

static const struct knobs *
find_table(const struct replay *r, uint32_t k)
{
    for (size_t i = r->n_tables; i > 0; i--)
        if (r->tables[i - 1].k == k)
            return r->tables[i - 1].set;
    return NULL;
}

static void
take_table(struct replay *r, const struct story_op *op)
{
    struct knobs *set = xmalloc(sizeof *set);

    *set = *op->set;
    r->tables =
        mem_grow(r->tables, &r->cap_tables, r->n_tables + 1, sizeof *r->tables);
    r->tables[r->n_tables++] = (struct table){ op->k, set };
}

static void
model_finish(struct replay_model *m)
{
    free(m->name);
    free(m->sha);
    free(m->cfg);
    free(m->tok);
    free(m->num);
}

/* A later record of the same number has the hashes too. */
static void
take_model(struct replay *r, const struct story_op *op)
{
    struct replay_model *m = NULL;

    for (size_t i = 0; i < r->n_models; i++)
        if (r->models[i].m == op->m)
            m = &r->models[i];
    if (!m) {
        r->models = mem_grow(r->models, &r->cap_models, r->n_models + 1,
                             sizeof *r->models);
        m = &r->models[r->n_models++];
        memset(m, 0, sizeof *m);
    }
    model_finish(m);
    *m = (struct replay_model){ op->m,
                                xstrdup(op->name),
                                xstrdup(op->sha),
                                xstrdup(op->cfg),
                                xstrdup(op->tok_hash),
                                xstrdup(op->num) };
}

static void
take_run(struct replay *r, const struct story_op *op)
{
    struct run *x;

    r->runs = mem_grow(r->runs, &r->cap_runs, r->n_runs + 1, sizeof *r->runs);
    x = &r->runs[r->n_runs++];
    *x = (struct run){ .live = true,
                       .p = op->p,
                       .seed = op->seed,
                       .at = op->at,
                       .win = op->win,
                       .knobs = find_table(r, op->k) };
    x->pub = (struct replay_run){ .node = op->n,
                                  .m = op->m,
                                  .run = op->run,
                                  .br = op->br,
                                  .i0 = op->i0,
                                  .whole = x->knobs != NULL };
}

/* The bytes that token i of the record completed. */
static size_t
length_of(const struct story_op *op, size_t i)
{
    if (op->tok_len)
        return op->tok_len[i];
    return i + 1 == op->n_tok ? op->len : 0;
}

static void
take_tokens(struct run *x, const struct story_op *op)
{
    size_t from = x->text.n;

    if (op->len)
        bytes_add(&x->text, op->s, op->len);
    for (size_t i = 0; i < op->n_tok; i++) {
        x->tok =
            mem_grow(x->tok, &x->cap_tok, x->pub.n_tok + 1, sizeof *x->tok);
        x->tok[x->pub.n_tok++] = (struct token){ op->tok[i], op->n, from };
        from += length_of(op, i);
    }
}

static void
take_turn(struct run *x, const struct story_op *op)
{
    x->turns =
        mem_grow(x->turns, &x->cap_turns, x->n_turns + 1, sizeof *x->turns);
    x->turns[x->n_turns++] = (struct knobs_turn){ op->i, *op->set };
}

static void
take_move(struct run *x, const struct story_op *op)
{
    x->moves =
        mem_grow(x->moves, &x->cap_moves, x->n_moves + 1, sizeof *x->moves);
    x->moves[x->n_moves++] = (struct move){ op->i, op->at, op->n };
}

static void
add_hole(struct replay *r, uint64_t node)
{
    r->holes =
        mem_grow(r->holes, &r->cap_holes, r->n_holes + 1, sizeof *r->holes);
    r->holes[r->n_holes++] = node;
}

/* What is lost may have belonged to any step that still grew. */
static void
note_hole(struct replay *r)
{
    if (r->open)
        add_hole(r, r->open);
    for (size_t i = r->first_live; i < r->n_runs; i++)
        if (r->runs[i].live)
            add_hole(r, r->runs[i].pub.node);
}

static bool
has_hole(const struct replay *r, uint64_t node)
{
    for (size_t i = 0; i < r->n_holes; i++)
        if (r->holes[i] == node)
            return true;
    return false;
}

/* A run is whole when nothing is lost on the whole way to it: its text and
 * all offsets come from there. */
static void
judge_runs(struct replay *r)
{
    const struct story *s = storyfile_story(r->file);

    if (!r->n_holes && !storyfile_damage(r->file)->orphans)
        return;
    for (size_t i = 0; i < r->n_runs; i++) {
        struct run *x = &r->runs[i];
        struct node_info n;

        for (uint64_t node = x->pub.node; node && x->pub.whole; node = n.parent)
            x->pub.whole =
                story_node(s, node, &n) && !n.orphan && !has_hole(r, node);
    }
}

static void
note_closed(struct replay *r, const struct story *s)
{
    for (size_t i = r->first_live; i < r->n_runs; i++) {
        struct node_info n = { 0 };
        struct run *x = &r->runs[i];

        if (!x->live)
            continue;
        if (!story_node(s, x->pub.node, &n) || !n.open)
            x->live = false;
    }
    while (r->first_live < r->n_runs && !r->runs[r->first_live].live)
        r->first_live++;
}

static void
on_record(void *ud, const struct story *s, const struct story_op *op, bool lost)
{
    struct replay *r = ud;
    struct run *of = op->of ? find_run(r, op->of) : NULL;

    if (lost)
        note_hole(r);
    switch (op->type) {
    case OP_MODEL: take_model(r, op); break;
    case OP_KNOBS: take_table(r, op); break;
    case OP_RUN: take_run(r, op); break;
    default: break;
    }
    if (of && op->type == OP_TOK)
        take_tokens(of, op);
    else if (of && op->type == OP_KNOB && op->has_of)
        take_turn(of, op);
    else if (of && op->type == OP_WIN)
        take_move(of, op);
    else if (of && op->type == OP_END)
        of->pub.why = op->why;
    note_closed(r, s);
    r->open = story_open_node(s);
}

struct replay *
replay_open(const char *path, struct err *err)
{
    struct replay *r = xcalloc(1, sizeof *r);
    struct storyfile_options opt = { .read_only = true,
                                     .record = on_record,
                                     .ud = r };

    r->file = storyfile_open(path, &opt, err);
    if (!r->file) {
        replay_free(r);
        return NULL;
    }
    judge_runs(r);
    return r;
}

void
replay_free(struct replay *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_runs; i++) {
        free(r->runs[i].turns);
        free(r->runs[i].moves);
        free(r->runs[i].tok);
        free(r->runs[i].text.s);
    }
    for (size_t i = 0; i < r->n_tables; i++)
        free(r->tables[i].set);
    for (size_t i = 0; i < r->n_models; i++)
        model_finish(&r->models[i]);
    free(r->runs);
    free(r->tables);
    free(r->holes);
    free(r->models);
    storyfile_close(r->file);
    free(r);
}

const char *
replay_damage(const struct replay *r)
{
    return storyfile_damage_text(r->file);
}

size_t
replay_count(const struct replay *r)
{
    return r->n_runs;
}

void
replay_run(const struct replay *r, size_t i, struct replay_run *out)
{
    *out = r->runs[i].pub;
}

const struct replay_model *
replay_model(const struct replay *r, uint32_t m)
{
    for (size_t i = 0; i < r->n_models; i++)
        if (r->models[i].m == m)
            return &r->models[i];
    return NULL;
}

/* --- names of arithmetics --- */

bool
replay_is_strict(const char *num)
{
    return !strncmp(num, STRICT, strlen(STRICT)) && replay_type(num);
}

const char *
replay_type(const char *num)
{
    static const char *const types[] = { "f32", "bf16", "int8", "int4" };
    const char *slash = strrchr(num, '/');

    for (size_t i = 0; slash && i < sizeof types / sizeof *types; i++)
        if (!strcmp(slash + 1, types[i]))
            return types[i];
    return NULL;
}

/* --- writing it again --- */

struct again { /* one run on its way */
    const struct run *x;
    struct replay_found *out;
    struct bytes text;
    size_t n;       /* tokens that came */
    size_t n_moves; /* of the window behind the first token */
    bool over;
    struct err err;
};

/* Tokens beyond its own that a run is asked for, to see that it ends. */
static int64_t
extra_tokens(enum gen_why why)
{
    switch (why) {
    case GEN_WHY_EOS:
    case GEN_WHY_LOOP: return 1;
    case GEN_WHY_STOP: return KNOB_TEXT_MAX; /* as many as its string has */
    default: return 0;
    }
}

/* A setting with this length, whatever it was: no change of it ends the run
 * early, and the tokens from its beginning are counted as they were. */
static void
set_length(struct knobs *k, int64_t length)
{
    k->stop_at = STOP_AT_LENGTH;
    k->length = length;
}

static void
differs(struct again *a, enum replay_what what, size_t k)
{
    struct replay_found *f = a->out;
    const struct run *x = a->x;
    size_t last = k < x->pub.n_tok ? k : x->pub.n_tok - 1;

    if (f->what != REPLAY_EQUAL)
        return;
    f->what = what;
    f->k = k;
    f->record = x->tok[last].record;
    f->at = x->at + (k < x->pub.n_tok ? x->tok[k].from : x->text.n);
}

static bool
same_number(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void
on_token(struct again *a, const struct gen_event *ev)
{
    const struct run *x = a->x;
    struct replay_found *f = a->out;
    size_t k = a->n++;
    const struct op_token *want;

    if (k >= x->pub.n_tok) {
        differs(a, REPLAY_LONG, k);
        return;
    }
    if (ev->u.token.len)
        bytes_add(&a->text, ev->u.token.text, ev->u.token.len);
    want = &x->tok[k].tok;
    if (f->what != REPLAY_EQUAL)
        return;
    f->want = want->id;
    f->got = ev->u.token.id;
    f->lp[0] = want->lp, f->lp[1] = ev->u.token.lp;
    f->q[0] = want->q, f->q[1] = ev->u.token.q;
    if (want->id != ev->u.token.id)
        differs(a, REPLAY_TOKEN, k);
    else if (!same_number(f->lp[0], f->lp[1]) || !same_number(f->q[0], f->q[1]))
        differs(a, REPLAY_NUMBERS, k);
}

/* Before the first token it moves to where the run's record has it. */
static void
on_window(struct again *a, const struct gen_event *ev)
{
    const struct run *x = a->x;
    size_t k = ev->u.window.i - x->pub.i0, want = x->win;

    if (k >= x->pub.n_tok)
        return; /* the run had ended by then */
    if (k > 0) {
        const struct move *m =
            a->n_moves < x->n_moves ? &x->moves[a->n_moves] : NULL;

        a->n_moves++;
        want = m && m->i == ev->u.window.i ? m->at : 0;
    }
    if (want == ev->u.window.at || a->out->what != REPLAY_EQUAL)
        return;
    a->out->win[0] = want;
    a->out->win[1] = ev->u.window.at;
    differs(a, REPLAY_WINDOW, k);
}

static void
on_event(struct again *a, const struct gen_event *ev)
{
    const struct run *x = a->x;

    switch (ev->type) {
    case GEN_TOKEN: on_token(a, ev); break;
    case GEN_WINDOW: on_window(a, ev); break;
    case GEN_FAILED: a->err = ev->u.err; break;
    case GEN_END:
        a->over = true;
        a->out->why[0] = x->pub.why;
        a->out->why[1] = ev->u.end.why;
        break;
    default: break;
    }
}

/* A move that was recorded and did not come. */
static void
check_moves(struct again *a)
{
    const struct run *x = a->x;
    const struct move *m =
        a->n_moves < x->n_moves ? &x->moves[a->n_moves] : NULL;

    if (!m || m->i - x->pub.i0 >= x->pub.n_tok || a->out->what != REPLAY_EQUAL)
        return;
    a->out->win[0] = m->at;
    a->out->win[1] = 0;
    differs(a, REPLAY_WINDOW, m->i - x->pub.i0);
}

static void
check_text(struct again *a)
{
    const struct run *x = a->x;
    size_t n = 0, k = 0;

    while (n < x->text.n && n < a->text.n && x->text.s[n] == a->text.s[n])
        n++;
    if (n == x->text.n && n == a->text.n)
        return;
    while (k + 1 < x->pub.n_tok && x->tok[k + 1].from <= n)
        k++;
    differs(a, REPLAY_TEXT, k);
}

static void
check_end(struct again *a)
{
    const struct run *x = a->x;

    check_moves(a);
    if (a->n < x->pub.n_tok)
        differs(a, REPLAY_SHORT, a->n);
    else if (extra_tokens(x->pub.why) && a->out->why[1] != x->pub.why)
        differs(a, REPLAY_LONG, a->n);
    check_text(a);
}

static void
wait_for_end(struct again *a, struct gen *g, uint32_t serial)
{
    struct pollfd fd = { .fd = gen_fd(g), .events = POLLIN };
    bool stopped = false;
    struct gen_event ev;

    while (!a->over) {
        while (!a->over && gen_next(g, &ev)) {
            if (ev.serial == serial)
                on_event(a, &ev);
            gen_event_finish(&ev);
        }
        if (!a->over && a->out->what != REPLAY_EQUAL && !stopped) {
            gen_cancel(g);
            stopped = true;
        }
        if (!a->over)
            poll(&fd, 1, -1);
    }
}

static uint32_t
submit(const struct replay *r, const struct run *x, struct gen *g)
{
    const struct story *s = storyfile_story(r->file);
    struct gen_request req = { .kind = GEN_RUN,
                               .knobs = *x->knobs,
                               .seed = x->seed,
                               .run = x->pub.run,
                               .br = x->pub.br,
                               .i0 = x->pub.i0,
                               .n_lanes = 1,
                               .again = true,
                               .n_turns = x->n_turns,
                               .win_to = x->win };
    struct knobs_turn *turns = xcalloc(x->n_turns + 1, sizeof *turns);
    struct prompt_span *spans;
    uint32_t serial;
    int *ids;

    req.length_left = (int64_t)x->pub.n_tok + extra_tokens(x->pub.why);
    set_length(&req.knobs, x->pub.i0 + req.length_left);
    for (size_t i = 0; i < x->n_turns; i++) {
        turns[i] = x->turns[i];
        set_length(&turns[i].set, req.knobs.length);
    }
    req.turns = turns;
    req.win_at = story_node_window(s, x->p, x->at);
    req.n_spans = story_node_prompt(s, x->p, req.win_at, x->at, &spans, &ids);
    req.spans = spans;
    serial = gen_submit(g, &req);
    free(spans);
    free(ids);
    free(turns);
    return serial;
}

bool
replay_check(struct replay *r, size_t i, struct gen *g,
             struct replay_found *out, struct err *err)
{
    const struct run *x = &r->runs[i];
    struct again a = { .x = x, .out = out };

    memset(out, 0, sizeof *out);
    if (!x->pub.n_tok || !x->knobs)
        return true;
    wait_for_end(&a, g, submit(r, x, g));
    check_end(&a);
    free(a.text.s);
    if (a.err.kind == ERR_NONE)
        return true;
    if (err)
        *err = a.err;
    return false;
}
