/* src/story.c  Every change of a story: story_apply(), and story_replay() for
 * the records of a file.
 *
 * An op is first made sure to fit (check_*), then carried out (do_*), then
 * told. A file's records take the same second step, but where the first finds
 * a fault they are mended (mend_*), since a damaged file must still give all
 * the text that is left in it.
 *
 * Invariants: of the nodes that are open one at most is the head, all others
 * are runs aside; a node never changes once it has a child; numbers only grow.
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
    free(m->files);
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
    free(s->aside);
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
    if (splits_character(t, op->at) ||
        (op->del && splits_character(t, op->at + op->del)))
        return misfit(err, op, _("a change in the middle of a character"));
    return true;
}

static bool
check_edit(struct story *s, const struct story_op *op, struct err *err)
{
    struct snode *p = snode_find(s, op->p);
    if (!p)
        return misfit(err, op, _("no such version of the text"));
    return check_range(op, snode_text(s, p), err);
}

/* The open step of this number; NULL: it is closed, or there is none. */
static struct snode *
open_step(const struct story *s, uint64_t n)
{
    struct snode *x = snode_find(s, n);
    return x && x->open ? x : NULL;
}

static bool
check_open(struct story *s, const struct story_op *op, struct err *err)
{
    if (!open_step(s, op->of))
        return misfit(err, op, _("this step is closed"));
    return true;
}

static bool
check_add(struct story *s, const struct story_op *op, struct err *err)
{
    if (!check_open(s, op, err))
        return false;
    const struct snode *x = open_step(s, op->of);
    if (x->run)
        return misfit(err, op, _("the model writes this step"));
    return check_range(op, x->text, err);
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
    if (!open_step(s, op->of)->run)
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
    const struct snode *x = open_step(s, op->of);
    if (!x->run || op->at > x->len)
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

static void
close_step(struct story *s, struct snode *x)
{
    size_t i = 0;
    x->open = false;
    if (s->open == x) {
        s->open = NULL;
        return;
    }
    while (i < s->n_aside && s->aside[i] != x)
        i++;
    if (i < s->n_aside)
        memmove(s->aside + i, s->aside + i + 1,
                (--s->n_aside - i) * sizeof(struct snode *));
}

void
story_close_open(struct story *s)
{
    if (s->open)
        close_step(s, s->open);
    while (s->n_aside)
        close_step(s, s->aside[s->n_aside - 1]);
}

static struct snode *
add_open(struct story *s, struct snode *p, const struct story_op *op)
{
    struct snode *x = snode_add(s, p, op->n);
    x->w = op->w;
    x->one.at = op->at;
    x->open = true;
    return x;
}

/* A new open node under p where the writer now stands. */
static struct snode *
open_node(struct story *s, struct snode *p, const struct story_op *op,
          struct op_change *ch)
{
    story_close_open(s);
    *ch = change_between(s->head, p);
    s->open = add_open(s, p, op);
    return s->open;
}

/* A new open node under p; the writer stays where he stands. */
static struct snode *
open_aside(struct story *s, struct snode *p, const struct story_op *op)
{
    if (p->open)
        close_step(s, p);
    s->aside =
        mem_grow(s->aside, &s->cap_aside, s->n_aside + 1, sizeof *s->aside);
    s->aside[s->n_aside++] = add_open(s, p, op);
    return s->aside[s->n_aside - 1];
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
    struct snode *x =
        op->aside ? open_aside(s, p, op) : open_node(s, p, op, &op->change);
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
                                 .cont = op->cont,
                                 .aside = op->aside };
    if (op->run > s->runs)
        s->runs = op->run;
    if (!op->aside)
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
    struct snode *x = open_step(s, op->of);
    struct run_info *r = x->run;
    size_t ready = tokens_ready(r, op);
    op->at = r->pen;
    if (x == s->head)
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
    snode_alter(s, x, &c);
}

static void
do_model(struct story *s, struct story_op *op)
{
    if (!op->m)
        op->m = s->n_models ? s->models[s->n_models - 1].m + 1 : 1;
    struct story_model *m = story_model_at(s, op->m);
    struct story_model old = m ? *m : (struct story_model){ .n = op->n };
    if (!m) {
        s->models = mem_grow(s->models, &s->cap_models, s->n_models + 1,
                             sizeof *s->models);
        m = &s->models[s->n_models++];
    }
    *m = (struct story_model){
        .n = old.n,
        .m = op->m,
        .name = xstrdup(op->name ? op->name : ""),
        .sha = xstrdup(op->sha ? op->sha : ""),
        .cfg = xstrdup(op->cfg ? op->cfg : ""),
        .tok = xstrdup(op->tok_hash ? op->tok_hash : ""),
        .num = xstrdup(op->num ? op->num : ""),
        .files = xstrdup(op->files ? op->files : ""),
    };
    op->name = m->name; /* they may have been borrowed from the old one */
    op->sha = m->sha;
    op->cfg = m->cfg;
    op->tok_hash = m->tok;
    op->num = m->num;
    op->files = m->files;
    model_clear(&old); /* written before its hashes were known */
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
    struct snode *x = open_step(s, op->of);
    x->win = op->at;
    x->run->win_moved = true;
}

static void
do_end(struct story *s, struct story_op *op)
{
    struct snode *x = open_step(s, op->of);
    if (x->run)
        x->run->why = op->why;
    close_step(s, x);
}

static void
do_head(struct story *s, struct story_op *op)
{
    struct snode *to = snode_find(s, op->to);
    bool grows = to->open && to != s->open;
    story_close_open(s);
    op->change = change_between(s->head, to);
    story_set_head(s, to);
    if (grows) { /* a run aside goes on where the writer now stands */
        to->open = true;
        s->open = to;
    }
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
 * its name, where the writer stands; beside him while others grow there.
 * Returns its number. */
static uint64_t
mend_open(struct story *s, const struct story_op *op, bool run)
{
    uint64_t name = op->of;
    if (!name || name >= op->n || snode_find(s, name))
        name = op->n;
    struct story_op open = { .type = run ? OP_RUN : OP_EDIT,
                             .n = name,
                             .p = s->head->n,
                             .aside = run && s->n_aside > 0 };
    open.at = run ? s->head->len : op->at;
    open.win = s->head->win;
    mend_range(&open, s->head->text, true);
    ops[open.type].carry_out(s, &open);
    snode_find(s, name)->orphan = true;
    return name;
}

/* Is op's step open, and of its kind? */
static bool
is_open(const struct story *s, const struct story_op *op, bool run)
{
    const struct snode *x = open_step(s, op->of);
    return x && !x->run == !run;
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
            op->of = mend_open(s, op, false);
        mend_range(op, s->open->text, s->open->orphan);
        return true;
    case OP_TOK:
        if (!op->n_tok && !op->len)
            return false;
        if (!is_open(s, op, true))
            op->of = mend_open(s, op, true);
        if (!lengths_fit(op))
            op->tok_len = NULL;
        return true;
    case OP_WIN:
        return is_open(s, op, true) && op->at <= open_step(s, op->of)->len;
    case OP_END: return open_step(s, op->of) != NULL;
    case OP_MODEL: return check_model(s, op, NULL);
    case OP_HEAD:
        if (snode_find(s, op->to))
            return true;
        story_close_open(s);
        return false;
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
        snode_find(s, op->n)->orphan = true;
    return true;
}
