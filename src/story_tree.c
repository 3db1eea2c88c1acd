/* src/story_tree.c  Nodes of a story: finding, making versions again, reading.
 */
#include "src/story_tree.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

/* --- nodes --- */

struct snode *
snode_find(const struct story *s, uint64_t n)
{
    size_t lo = 0, hi = s->n_nodes;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->nodes[mid]->n < n)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n_nodes && s->nodes[lo]->n == n ? s->nodes[lo] : NULL;
}

struct snode *
snode_add(struct story *s, struct snode *parent, uint64_t n)
{
    struct snode *node = xcalloc(1, sizeof *node);
    node->n = n;
    node->changes = &node->one;
    node->parent = parent;
    if (parent) {
        node->depth = parent->depth + 1;
        node->len = parent->len;
        node->win = parent->win;
        if (parent->last)
            parent->last->next = node;
        else
            parent->first = node;
        parent->last = node;
    }
    s->nodes =
        mem_grow(s->nodes, &s->cap_nodes, s->n_nodes + 1, sizeof *s->nodes);
    size_t i = s->n_nodes++;
    for (; i && s->nodes[i - 1]->n > n; i--) /* only for a lost record's node */
        s->nodes[i] = s->nodes[i - 1];
    s->nodes[i] = node;
    return node;
}

static bool
keeps_text(const struct story *s, const struct snode *node)
{
    return node->depth % STORY_KEEP == 0 || node == s->head;
}

/* Node's version stays for a while; the one visited longest ago goes. */
static void
remember(struct story *s, struct snode *node)
{
    struct snode **slot = &s->recent[s->next_recent++ % STORY_RECENT];
    if (*slot && *slot != node && !keeps_text(s, *slot)) {
        text_unref((*slot)->text);
        (*slot)->text = NULL;
    }
    *slot = node;
}

/* Keeps t (eaten) as node's version. */
static void
set_text(struct story *s, struct snode *node, struct text *t)
{
    bool fresh = !node->text;
    text_unref(node->text);
    node->text = t;
    node->len = text_len(t);
    if (fresh && node->depth % STORY_KEEP)
        remember(s, node);
}

/* t after a change of node's; eats t. */
static struct text *
changed(const struct snode *node, const struct change *c, struct text *t)
{
    struct text *next;
    if (c->del) {
        next = text_delete(t, c->at, c->del);
        text_unref(t);
        t = next;
    }
    if (c->len) {
        struct text_span sp = { .s = c->s,
                                .len = c->len,
                                .tok = c->tok,
                                .n_tok = c->n_tok,
                                .who = node->who,
                                .node = node->n,
                                .model = node->run ? node->run->model : 0 };
        next = text_put(t, c->at, &sp);
        text_unref(t);
        t = next;
    }
    return t;
}

struct text *
snode_text(struct story *s, struct snode *node)
{
    struct snode *way[STORY_KEEP + 1];
    size_t n = 0;
    struct snode *from = node;
    for (; !from->text; from = from->parent)
        way[n++] = from; /* ends: every STORY_KEEP-th node keeps its own */
    struct text *t = text_ref(from->text);
    while (n) {
        const struct snode *x = way[--n];
        for (uint32_t i = 0; i < x->n_changes; i++)
            t = changed(x, &x->changes[i], t);
        if (!n)
            set_text(s, node, text_ref(t));
    }
    text_unref(t);
    return node->text;
}

/* Does c go on where last ends, in the text and in the store? */
static bool
change_goes_on(const struct change *last, const struct change *c)
{
    return !c->del && last->len && c->at == last->at + last->len &&
           c->s == last->s + last->len &&
           (last->n_tok ? c->n_tok && c->tok == last->tok + last->n_tok
                        : !c->n_tok);
}

static void
add_change(struct snode *node, const struct change *c)
{
    struct change *last =
        node->n_changes ? &node->changes[node->n_changes - 1] : NULL;
    if (last && change_goes_on(last, c)) {
        last->len += c->len;
        last->n_tok += c->n_tok;
        return;
    }
    if (node->n_changes == 0) {
        node->one = *c;
        node->n_changes = 1;
        return;
    }
    if (node->changes == &node->one) {
        node->cap_changes = 4;
        node->changes = xreallocarray(NULL, 4, sizeof *c);
        node->changes[0] = node->one;
    } else if (node->n_changes == node->cap_changes) {
        node->cap_changes *= 2;
        node->changes =
            xreallocarray(node->changes, node->cap_changes, sizeof *c);
    }
    node->changes[node->n_changes++] = *c;
}

void
snode_alter(struct story *s, struct snode *node, const struct change *c)
{
    struct op_change shift = { c->at, c->del, c->len };
    set_text(s, node, changed(node, c, text_ref(snode_text(s, node))));
    add_change(node, c);
    node->win = change_shift(&shift, node->win, true);
}

void
story_set_head(struct story *s, struct snode *to)
{
    struct snode *old = s->head;
    s->head = to;
    snode_text(s, to);
    if (old && old != to && old->text && !keeps_text(s, old))
        remember(s, old);
    /* Redo leads back to where the writer has been. One step up or down needs
     * one link; a jump sets those of the whole way. */
    if (old && to->parent == old)
        old->redo = to;
    else if (old && old->parent == to)
        to->redo = old;
    else
        for (struct snode *n = to; n->parent; n = n->parent)
            n->parent->redo = n;
}

/* --- changes --- */

void
change_follow(struct op_change *c, size_t at, size_t del, size_t len)
{
    if (!c->del && !c->len) {
        *c = (struct op_change){ at, del, len };
        return;
    }
    size_t start = at < c->at ? at : c->at;
    size_t mid_end = c->at + c->len;
    size_t end = at + del > mid_end ? at + del : mid_end;
    c->del += (c->at - start) + (end - mid_end);
    c->len = end - start - del + len;
    c->at = start;
}

struct op_change
change_between(const struct snode *from, const struct snode *to)
{
    struct op_change c = { 0, 0, 0 };
    const struct snode *a = from, *b = to;
    while (a != b) { /* a: where the two ways part */
        if (a->depth >= b->depth)
            a = a->parent;
        else
            b = b->parent;
    }
    for (const struct snode *n = from; n != a; n = n->parent)
        for (uint32_t i = n->n_changes; i > 0; i--)
            change_follow(&c, n->changes[i - 1].at, n->changes[i - 1].len,
                          n->changes[i - 1].del);
    size_t n_way = to->depth - a->depth;
    const struct snode **way = xreallocarray(NULL, n_way + 1, sizeof *way);
    for (b = to; b != a; b = b->parent)
        way[b->depth - a->depth - 1] = b;
    for (size_t k = 0; k < n_way; k++)
        for (uint32_t i = 0; i < way[k]->n_changes; i++)
            change_follow(&c, way[k]->changes[i].at, way[k]->changes[i].del,
                          way[k]->changes[i].len);
    free(way);
    return c;
}

size_t
change_shift(const struct op_change *c, size_t pos, bool stick_left)
{
    if (pos < c->at)
        return pos;
    if (pos > c->at + c->del)
        return pos - c->del + c->len;
    if (pos == c->at && (stick_left || c->del))
        return c->at;
    if (pos == c->at + c->del)
        return c->at + c->len;
    return stick_left ? c->at : c->at + c->len;
}

size_t
story_shift(const struct story_op *op, size_t pos, bool stick_left)
{
    return change_shift(&op->change, pos, stick_left);
}

/* --- reading --- */

uint64_t
story_head(const struct story *s)
{
    return s->head->n;
}

const struct text *
story_text(const struct story *s)
{
    return s->head->text;
}

const struct text *
story_node_text(const struct story *s, uint64_t node)
{
    struct snode *x = snode_find(s, node);
    /* Making a version again changes what is remembered, not the story. */
    return x ? snode_text((struct story *)s, x) : NULL;
}

/* Bytes that a node took from its parent's text and brought so far. */
static struct op_change
node_change(const struct snode *x)
{
    struct op_change c = { 0, 0, 0 };
    for (uint32_t i = 0; i < x->n_changes; i++)
        change_follow(&c, x->changes[i].at, x->changes[i].del,
                      x->changes[i].len);
    return c;
}

bool
story_node(const struct story *s, uint64_t node, struct node_info *out)
{
    const struct snode *x = snode_find(s, node);
    if (!x)
        return false;
    struct op_change c = node_change(x);
    *out = (struct node_info){
        .n = x->n,
        .parent = x->parent ? x->parent->n : 0,
        .kind = !x->parent ? NODE_ROOT
                : x->run   ? NODE_RUN
                           : NODE_EDIT,
        .who = x->who,
        .at = x->n_changes ? c.at : x->one.at,
        .del = c.del,
        .len = c.len,
        .open = x->open,
        .orphan = x->orphan,
        .w = x->w,
    };
    if (x->run) {
        out->model = x->run->model;
        out->k = x->run->k;
        out->run = x->run->run;
        out->br = x->run->br;
        out->i0 = x->run->i0;
        out->n_tok = x->run->n_tok;
        out->seed = x->run->seed;
        out->win = x->run->win0;
        out->cont = x->run->cont;
        out->why = x->run->why;
    }
    return true;
}

size_t
story_siblings(const struct story *s, uint64_t node, uint64_t *out, size_t cap,
               size_t *self)
{
    const struct snode *x = snode_find(s, node);
    size_t n = 0, me = 0;
    if (x && x->parent) {
        for (const struct snode *c = x->parent->first; c; c = c->next) {
            if (c == x)
                me = n;
            if (n < cap)
                out[n] = c->n;
            n++;
        }
    }
    if (self)
        *self = me;
    return n;
}

uint64_t
story_undo_target(const struct story *s)
{
    return s->head->parent ? s->head->parent->n : s->head->n;
}

uint64_t
story_redo_target(const struct story *s)
{
    if (s->head->redo)
        return s->head->redo->n;
    return s->head->last ? s->head->last->n : s->head->n;
}

uint64_t
story_open_node(const struct story *s)
{
    return s->open ? s->open->n : 0;
}

size_t
story_children(const struct story *s, uint64_t node)
{
    const struct snode *x = snode_find(s, node);
    size_t n = 0;
    for (const struct snode *c = x ? x->first : NULL; c; c = c->next)
        n++;
    return n;
}

const char *
story_title(const struct story *s)
{
    return s->title ? s->title : "";
}

uint64_t
story_next_n(const struct story *s)
{
    return s->next_n;
}

uint32_t
story_runs(const struct story *s)
{
    return s->runs;
}

const struct knobs *
story_knobs(const struct story *s)
{
    return &s->knobs;
}

bool
story_has_knobs(const struct story *s)
{
    return s->has_knobs;
}

size_t
story_orphans(const struct story *s)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n_nodes; i++)
        n += s->nodes[i]->orphan;
    return n;
}

/* --- models --- */

struct story_model *
story_model_at(const struct story *s, uint32_t m)
{
    for (size_t i = 0; i < s->n_models; i++)
        if (s->models[i].m == m)
            return &s->models[i];
    return NULL;
}

uint32_t
story_model_count(const struct story *s)
{
    return (uint32_t)s->n_models;
}

uint32_t
story_model_find(const struct story *s, const char *sha, const char *cfg,
                 const char *tok, const char *num)
{
    for (size_t i = 0; i < s->n_models; i++) {
        const struct story_model *m = &s->models[i];
        if (!strcmp(m->sha, sha ? sha : "") &&
            !strcmp(m->cfg, cfg ? cfg : "") &&
            !strcmp(m->tok, tok ? tok : "") && !strcmp(m->num, num ? num : ""))
            return m->m;
    }
    return 0;
}

bool
story_model_complete(const struct story *s, uint32_t from,
                     const struct model_hashes *early,
                     const struct model_hashes *full, struct story_op *op)
{
    if (!*early->weights || !*full->weights)
        return false;
    for (size_t i = 0; i < s->n_models; i++) {
        const struct story_model *m = &s->models[i];
        if (m->m < from || *m->sha || strcmp(m->files, early->weights) != 0 ||
            strcmp(m->cfg, full->config) != 0 ||
            strcmp(m->tok, full->tokenizer) != 0)
            continue;
        *op = (struct story_op){ .type = OP_MODEL,
                                 .m = m->m,
                                 .name = m->name,
                                 .sha = full->weights,
                                 .cfg = m->cfg,
                                 .tok_hash = m->tok,
                                 .num = m->num };
        return true;
    }
    return false;
}

const char *
story_model_name(const struct story *s, uint32_t m)
{
    const struct story_model *x = story_model_at(s, m);
    return x ? x->name : NULL;
}

const char *
story_model_tok(const struct story *s, uint32_t m)
{
    const struct story_model *x = story_model_at(s, m);
    return x ? x->tok : NULL;
}

/* --- what a request needs --- */

size_t
story_node_window(const struct story *s, uint64_t node, size_t pen)
{
    const struct snode *x = snode_find(s, node);
    return x && x->win < pen ? x->win : pen;
}

size_t
story_window(const struct story *s, size_t pen)
{
    return story_node_window(s, s->head->n, pen);
}

struct gather {
    const struct story *s;
    struct prompt_span *spans;
    size_t n, cap;
    int *ids;
    size_t n_ids, cap_ids;
    size_t from;
};

static bool
gather_span(void *ud, const struct text_span *sp)
{
    struct gather *g = ud;
    const char *tok = sp->tok_exact ? story_model_tok(g->s, sp->model) : NULL;
    struct prompt_span *last = g->n ? &g->spans[g->n - 1] : NULL;
    if (!last || (last->tok ? !tok || strcmp(last->tok, tok) : tok != NULL)) {
        g->spans = mem_grow(g->spans, &g->cap, g->n + 1, sizeof *g->spans);
        last = &g->spans[g->n++];
        *last = (struct prompt_span){ .text = g->s->prompt + (sp->at - g->from),
                                      .tok = tok };
    }
    last->len += sp->len;
    for (size_t i = 0; tok && i < sp->n_tok; i++) {
        g->ids = mem_grow(g->ids, &g->cap_ids, g->n_ids + 1, sizeof *g->ids);
        g->ids[g->n_ids++] = sp->tok[i].id;
        last->n_ids++;
    }
    return true;
}

size_t
story_node_prompt(const struct story *s, uint64_t node, size_t from, size_t to,
                  struct prompt_span **spans, int **ids_block)
{
    struct story *own = (struct story *)s; /* only the scratch text */
    const struct text *t = story_node_text(s, node);
    struct gather g = { .s = s, .from = from };
    if (to > text_len(t))
        to = text_len(t);
    free(own->prompt);
    own->prompt = text_dup(t, from, to > from ? to - from : 0);
    text_spans(t, from, to, gather_span, &g);
    /* The ids may have moved while they grew: point at them now. */
    int *id = g.ids;
    for (size_t i = 0; i < g.n; i++) {
        if (g.spans[i].n_ids) {
            g.spans[i].ids = id;
            id += g.spans[i].n_ids;
        }
    }
    *spans = g.spans;
    *ids_block = g.ids;
    return g.n;
}

size_t
story_prompt(const struct story *s, size_t from, size_t to,
             struct prompt_span **spans, int **ids_block)
{
    return story_node_prompt(s, s->head->n, from, to, spans, ids_block);
}
