/* src/story.c  Every change of a story: story_apply(), and story_replay() for
 * the records of a file.
 *
 * An op is first made sure to fit (check_*), then carried out (do_*), then
 * told. A file's records take the same second step, but where the first finds
 * a fault they are mended (mend_*), since a damaged file must still give all
 * the text that is left in it.
 *
 * Invariants: at most one node is open, and that is the head; a node never
 * changes once it has a child; numbers only grow.
 */
#include "src/story.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"
#include "engine/base/unicode.h"

#include "src/i18n.h"
#include "src/story_tree.h"

struct story *
story_new(void)
{
    struct story *s = xcalloc(1, sizeof *s);
    s->store = text_store_new();
    s->head = snode_add(s, NULL, 0);
    s->head->text = text_empty(s->store);
    s->next_n = 1;
    knobs_default(&s->knobs);
    return s;
}

static void
snode_free(struct snode *x)
{
    text_unref(x->text);
    if (x->changes != &x->one)
        free(x->changes);
    if (x->run)
        free(x->run->wait);
    free(x->run);
    free(x);
}

static void
model_clear(struct story_model *m)
{
    free(m->name);
    free(m->sha);
    free(m->cfg);
    free(m->tok);
    free(m->num);
}

void
story_free(struct story *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n_nodes; i++)
        snode_free(s->nodes[i]);
    for (size_t i = 0; i < s->n_models; i++)
        model_clear(&s->models[i]);
    text_store_free(s->store);
    free(s->nodes);
    free(s->models);
    free(s->watch);
    free(s->title);
    free(s->prompt);
    free(s->frozen);
    free(s);
}

void
story_freeze(struct story *s, const char *why)
{
    free(s->frozen);
    s->frozen = xstrdup(why);
}

void
story_on_op(struct story *s, story_watch_fn fn, void *ud)
{
    s->watch =
        mem_grow(s->watch, &s->cap_watch, s->n_watch + 1, sizeof *s->watch);
    s->watch[s->n_watch++] = (struct story_watcher){ fn, ud };
}

static const char *const op_names[] = {
    [OP_HEAD_LINE] = "jl", [OP_MODEL] = "model", [OP_KNOBS] = "knobs",
    [OP_EDIT] = "edit",    [OP_ADD] = "add",     [OP_RUN] = "run",
    [OP_TOK] = "tok",      [OP_KNOB] = "knob",   [OP_WIN] = "win",
    [OP_END] = "end",      [OP_HEAD] = "head",   [OP_MARK] = "mark",
    [OP_TITLE] = "title",  [OP_NOTE] = "note",   [OP_OTHER] = "",
};

const char *
op_name(enum op_type t)
{
    return op_names[t];
}

/* --- does it fit? --- */

static bool
misfit(struct err *err, const struct story_op *op, const char *what)
{
    return err_set(err, ERR_STORY, "%s (%s)", what, op_name(op->type));
}

/* Is `at` inside a well-formed character? */
static bool
splits_character(const struct text *t, size_t at)
{
    char buf[7];
    size_t from = at > 3 ? at - 3 : 0, n = text_read(t, from, buf, sizeof buf);
    size_t in = at - from;
    for (size_t back = 1; back <= in && in < n; back++) {
        uint32_t cp;
        size_t len = uni_decode(buf + in - back, n - (in - back), &cp);
        if (cp != UNI_BAD && len > back)
            return true;
        if (((unsigned char)buf[in - back] & 0xC0) != 0x80)
            return false;
    }
    return false;
}

static bool
check_range(const struct story_op *op, const struct text *t, struct err *err)
{
    size_t len = text_len(t);
    if (op->at > len || op->del > len - op->at)
        return misfit(err, op, _("a change outside of the text"));
    return true;
}

static bool
check_edit(struct story *s, const struct story_op *op, struct err *err)
{
    struct snode *p = snode_find(s, op->p);
    if (!p)
        return misfit(err, op, _("no such version of the text"));
    const struct text *t = snode_text(s, p);
    if (!check_range(op, t, err))
        return false;
    if (splits_character(t, op->at) ||
        (op->del && splits_character(t, op->at + op->del)))
        return misfit(err, op, _("a change in the middle of a character"));
    return true;
}

static bool
check_open(struct story *s, const struct story_op *op, struct err *err)
{
    if (!s->open || s->open->n != op->of)
        return misfit(err, op, _("this step is closed"));
    return true;
}

static bool
check_add(struct story *s, const struct story_op *op, struct err *err)
{
    if (!check_open(s, op, err))
        return false;
    if (s->open->run)
        return misfit(err, op, _("the model writes this step"));
    return check_range(op, s->open->text, err);
}

static bool
check_run(struct story *s, const struct story_op *op, struct err *err)
{
    if (op->m && !story_model_at(s, op->m))
        return misfit(err, op, _("no such model in this story"));
    return check_edit(s, op, err);
}

/* Do the tokens' lengths add up? Unknown lengths (NULL) are one group. */
static bool
lengths_fit(const struct story_op *op)
{
    size_t sum = 0;
    for (size_t i = 0; op->tok_len && i < op->n_tok; i++)
        sum += op->tok_len[i];
    return !op->tok_len || sum == op->len;
}

static bool
check_tok(struct story *s, const struct story_op *op, struct err *err)
{
    if (!check_open(s, op, err))
        return false;
    if (!s->open->run)
        return misfit(err, op, _("the writer writes this step"));
    if (!op->n_tok || op->len > STORY_TEXT_MAX || !lengths_fit(op))
        return misfit(err, op, _("tokens that do not fit their text"));
    return true;
}

static bool
check_knob(struct story *s, const struct story_op *op, struct err *err)
{
    if (!op->set)
        return misfit(err, op, _("no values"));
    if (op->has_of) {
        const struct snode *x = snode_find(s, op->of);
        if (!x || !x->run)
            return misfit(err, op, _("no such run"));
    }
    return true;
}

static bool
check_knobs(struct story *s, const struct story_op *op, struct err *err)
{
    return op->set || misfit(err, op, _("no values"));
}

static bool
check_win(struct story *s, const struct story_op *op, struct err *err)
{
    if (!check_open(s, op, err))
        return false;
    if (!s->open->run || op->at > s->open->len)
        return misfit(err, op, _("a change outside of the text"));
    return true;
}

static bool
check_head(struct story *s, const struct story_op *op, struct err *err)
{
    if (!snode_find(s, op->to))
        return misfit(err, op, _("no such version of the text"));
    return true;
}

static bool
check_label(struct story *s, const struct story_op *op, struct err *err)
{
    if (op->len > STORY_TEXT_MAX)
        return misfit(err, op, _("this text is too long"));
    return op->type != OP_MARK || check_head(s, op, err);
}

static bool
check_model(struct story *s, const struct story_op *op, struct err *err)
{
    const struct story_model *m = op->m ? story_model_at(s, op->m) : NULL;
    if (m && *m->sha)
        return misfit(err, op, _("this model's number is taken"));
    return true;
}

/* --- carrying it out --- */

void
story_close_open(struct story *s)
{
    if (s->open) {
        s->open->open = false;
        s->open = NULL;
    }
}

/* A new open node under p where the writer now stands. */
static struct snode *
open_node(struct story *s, struct snode *p, const struct story_op *op,
          struct op_change *ch)
{
    story_close_open(s);
    *ch = change_between(s->head, p);
    struct snode *x = snode_add(s, p, op->n);
    x->w = op->w;
    x->one.at = op->at;
    x->open = true;
    s->open = x;
    return x;
}

static void
do_edit(struct story *s, struct story_op *op)
{
    struct snode *p = snode_find(s, op->p);
    struct snode *x = open_node(s, p, op, &op->change);
    struct change c = { .at = op->at,
                        .del = op->del,
                        .len = op->len,
                        .s = text_keep(s->store, op->s, op->len) };
    x->who = op->who;
    snode_alter(s, x, &c);
    change_follow(&op->change, c.at, c.del, c.len);
    story_set_head(s, x);
}

static void
do_add(struct story *s, struct story_op *op)
{
    struct change c = { .at = op->at,
                        .del = op->del,
                        .len = op->len,
                        .s = text_keep(s->store, op->s, op->len) };
    snode_alter(s, s->open, &c);
    op->change = (struct op_change){ c.at, c.del, c.len };
}

static void
do_run(struct story *s, struct story_op *op)
{
    struct snode *p = snode_find(s, op->p);
    struct snode *x = open_node(s, p, op, &op->change);
    x->who = TEXT_MODEL;
    x->win = op->win < op->at ? op->win : op->at;
    x->run = xcalloc(1, sizeof *x->run);
    *x->run = (struct run_info){ .seed = op->seed,
                                 .model = op->m,
                                 .k = op->k,
                                 .run = op->run,
                                 .br = op->br,
                                 .i0 = op->i0,
                                 .win0 = op->win,
                                 .pen = op->at,
                                 .cont = op->cont };
    if (op->run > s->runs)
        s->runs = op->run;
    story_set_head(s, x);
}

/* Adds the op's tokens to those that wait for their character; gives how many
 * of them now stand for text, with the rest left waiting. */
static size_t
tokens_ready(struct run_info *r, const struct story_op *op)
{
    size_t ready = 0;
    for (size_t i = 0; i < op->n_tok; i++) {
        size_t len = op->tok_len          ? op->tok_len[i]
                     : i + 1 == op->n_tok ? op->len
                                          : 0;
        r->wait =
            mem_grow(r->wait, &r->cap_wait, r->n_wait + 1, sizeof *r->wait);
        r->wait[r->n_wait++] =
            (struct text_token){ op->tok[i].id, op->tok[i].lp, op->tok[i].q,
                                 (uint32_t)len };
        if (len)
            ready = r->n_wait;
    }
    return ready;
}

static void
do_tok(struct story *s, struct story_op *op)
{
    struct run_info *r = s->open->run;
    size_t ready = tokens_ready(r, op);
    op->at = r->pen;
    op->change = (struct op_change){ r->pen, 0, op->len };
    r->n_tok += (uint32_t)op->n_tok;
    r->pen += op->len;
    if (!op->len)
        return;
    struct change c = { .at = op->at,
                        .len = op->len,
                        .s = text_keep(s->store, op->s, op->len),
                        .tok = text_keep_tokens(s->store, r->wait, ready),
                        .n_tok = (uint32_t)ready };
    r->n_wait -= ready;
    memmove(r->wait, r->wait + ready, r->n_wait * sizeof *r->wait);
    snode_alter(s, s->open, &c);
}

static void
do_model(struct story *s, struct story_op *op)
{
    if (!op->m)
        op->m = s->n_models ? s->models[s->n_models - 1].m + 1 : 1;
    struct story_model *m = story_model_at(s, op->m);
    uint64_t n = m ? m->n : op->n;
    if (m) { /* written before its hashes were known */
        model_clear(m);
    } else {
        s->models = mem_grow(s->models, &s->cap_models, s->n_models + 1,
                             sizeof *s->models);
        m = &s->models[s->n_models++];
    }
    *m = (struct story_model){
        .n = n,
        .m = op->m,
        .name = xstrdup(op->name ? op->name : ""),
        .sha = xstrdup(op->sha ? op->sha : ""),
        .cfg = xstrdup(op->cfg ? op->cfg : ""),
        .tok = xstrdup(op->tok_hash ? op->tok_hash : ""),
        .num = xstrdup(op->num ? op->num : ""),
    };
}

static void
do_knobs(struct story *s, struct story_op *op)
{
    if (!op->k)
        op->k = s->last_k + 1;
    if (op->k > s->last_k)
        s->last_k = op->k;
    s->knobs = *op->set;
    s->has_knobs = true;
}

static void
do_knob(struct story *s, struct story_op *op)
{
    s->knobs = *op->set;
    s->has_knobs = true;
}

static void
do_win(struct story *s, struct story_op *op)
{
    s->open->win = op->at;
    s->open->run->win_moved = true;
}

static void
do_end(struct story *s, struct story_op *op)
{
    if (s->open->run)
        s->open->run->why = op->why;
    story_close_open(s);
}

static void
do_head(struct story *s, struct story_op *op)
{
    struct snode *to = snode_find(s, op->to);
    story_close_open(s);
    op->change = change_between(s->head, to);
    story_set_head(s, to);
}

static void
do_title(struct story *s, struct story_op *op)
{
    free(s->title);
    s->title = xstrndup(op->s ? op->s : "", op->len);
}

static void
do_nothing(struct story *s, struct story_op *op)
{
}

static const struct {
    bool (*check)(struct story *s, const struct story_op *op, struct err *err);
    void (*carry_out)(struct story *s, struct story_op *op);
} ops[] = {
    [OP_MODEL] = { check_model, do_model },
    [OP_KNOBS] = { check_knobs, do_knobs },
    [OP_EDIT] = { check_edit, do_edit },
    [OP_ADD] = { check_add, do_add },
    [OP_RUN] = { check_run, do_run },
    [OP_TOK] = { check_tok, do_tok },
    [OP_KNOB] = { check_knob, do_knob },
    [OP_WIN] = { check_win, do_win },
    [OP_END] = { check_open, do_end },
    [OP_HEAD] = { check_head, do_head },
    [OP_MARK] = { check_label, do_nothing },
    [OP_TITLE] = { check_label, do_title },
    [OP_NOTE] = { check_label, do_nothing },
    [OP_OTHER] = { NULL, NULL },
};

/* One op that fits: number, effect, watchers. */
static void
carry_out(struct story *s, struct story_op *op)
{
    struct knobs before = s->knobs;
    if (op->type == OP_KNOB && !op->before)
        op->before = &before;
    free(s->prompt);
    s->prompt = NULL;
    op->n = s->next_n++;
    op->change = (struct op_change){ 0, 0, 0 };
    ops[op->type].carry_out(s, op);
    for (size_t i = 0; i < s->n_watch; i++)
        s->watch[i].fn(s->watch[i].ud, op);
    if (op->before == &before)
        op->before = NULL;
}

/* How much of a long text goes into one record: whole characters. */
static size_t
text_part(const char *s, size_t len)
{
    if (len <= STORY_TEXT_MAX)
        return len;
    for (size_t n = STORY_TEXT_MAX; n > STORY_TEXT_MAX - 4; n--)
        if (((unsigned char)s[n] & 0xC0) != 0x80)
            return n;
    return STORY_TEXT_MAX;
}

bool
story_apply(struct story *s, struct story_op *op, struct err *err)
{
    if (s->frozen)
        return err_set(err, ERR_STORY, "%s", s->frozen);
    if (!ops[op->type].check)
        return misfit(err, op, _("not a change of the story"));
    if (!ops[op->type].check(s, op, err))
        return false;
    if (op->type != OP_EDIT && op->type != OP_ADD) {
        carry_out(s, op);
        return true;
    }
    struct story_op part = *op;
    part.len = text_part(op->s, op->len);
    carry_out(s, &part);
    op->n = part.n;
    op->change = part.change;
    for (size_t done = part.len; done < op->len; done += part.len) {
        part = (struct story_op){ .type = OP_ADD,
                                  .w = op->w,
                                  .of = s->open->n,
                                  .at = op->at + done,
                                  .s = op->s + done };
        part.len = text_part(part.s, op->len - done);
        carry_out(s, &part);
        change_follow(&op->change, part.change.at, 0, part.len);
    }
    return true;
}

/* --- records of a file, which may have holes --- */

static void
mend_range(struct story_op *op, const struct text *t, bool lost)
{
    size_t len = text_len(t);
    if (op->at > len)
        op->at = len;
    while (op->at && splits_character(t, op->at))
        op->at--;
    if (lost)
        op->del = 0; /* what it removed is not there */
    if (op->del > len - op->at)
        op->del = len - op->at;
    while (op->del && splits_character(t, op->at + op->del))
        op->del--;
}

/* The step of an `add` or `tok` whose own record is lost: an empty node in
 * its name, where the writer stands. */
static void
mend_open(struct story *s, const struct story_op *op, bool run)
{
    uint64_t name = op->of;
    if (!name || name >= op->n || snode_find(s, name))
        name = op->n;
    struct story_op open = { .type = run ? OP_RUN : OP_EDIT,
                             .n = name,
                             .p = s->head->n };
    open.at = run ? s->head->len : op->at;
    open.win = s->head->win;
    mend_range(&open, s->head->text, true);
    ops[open.type].carry_out(s, &open);
    s->head->orphan = true;
}

/* Is op's step the one that is open, and of its kind? */
static bool
is_open(const struct story *s, const struct story_op *op, bool run)
{
    return s->open && s->open->n == op->of && !s->open->run == !run;
}

/* Makes a record fit; false when it can have no effect. */
static bool
mend(struct story *s, struct story_op *op, bool *orphan)
{
    struct snode *p;
    switch (op->type) {
    case OP_EDIT:
    case OP_RUN:
        p = snode_find(s, op->p);
        *orphan = !p;
        if (!p)
            p = s->head;
        op->p = p->n;
        mend_range(op, snode_text(s, p), *orphan);
        return true;
    case OP_ADD:
        if (!is_open(s, op, false))
            mend_open(s, op, false);
        op->of = s->open->n;
        mend_range(op, s->open->text, s->open->orphan);
        return true;
    case OP_TOK:
        if (!op->n_tok && !op->len)
            return false;
        if (!is_open(s, op, true))
            mend_open(s, op, true);
        op->of = s->open->n;
        if (!lengths_fit(op))
            op->tok_len = NULL;
        return true;
    case OP_WIN: return is_open(s, op, true) && op->at <= s->open->len;
    case OP_END: return s->open && s->open->n == op->of;
    case OP_MODEL: return check_model(s, op, NULL);
    case OP_HEAD: story_close_open(s); return snode_find(s, op->to) != NULL;
    case OP_KNOBS:
    case OP_KNOB: return op->set != NULL;
    case OP_TITLE: return true;
    default: return false;
    }
}

bool
story_replay(struct story *s, struct story_op *op)
{
    bool orphan = false;
    s->next_n = op->n + 1;
    if (!mend(s, op, &orphan))
        return false;
    ops[op->type].carry_out(s, op);
    if (orphan)
        s->head->orphan = true;
    return true;
}
