/* src/text.c  A persistent piece tree.
 *
 * A version is a weight-balanced binary tree (Adams 1993; balance (3, 2) as
 * proved by Hirai and Yamamoto, "Balancing weight-balanced trees", 2011) of
 * pieces in text order. Trees never change: insert and delete split and join,
 * so a new version costs O(log n) new tree nodes and shares the others by
 * reference count. Every node knows the bytes and line breaks below it.
 *
 * A piece is a stretch of bytes in the store, of one origin, at most PIECE_MAX
 * long, so that counting in a piece is cheap. It either has tokens whose bytes
 * are exactly its own, or none: a cut inside a token leaves that token's bytes
 * as a piece without tokens. Tokens that complete no text stand before the one
 * that does (a character of several byte tokens) and are never parted from it.
 *
 * Bytes and tokens only ever grow at the end of the store, so the piece that a
 * model's run or a typing step has just made is extended, not followed by
 * another. What reads versions is in text_read.c.
 */
#include "src/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/text_tree.h"

#define PIECE_MAX    4096
#define BYTES_CHUNK  65536
#define TOKENS_CHUNK 4096
#define NODES_CHUNK  512

struct chunk { /* of bytes or tokens; never moves */
    struct chunk *next;
    size_t used, cap; /* in elements */
    max_align_t data[];
};

struct slab {
    struct slab *next;
    struct tree node[NODES_CHUNK];
};

struct text_store {
    struct chunk *bytes, *tokens; /* the first one is being filled */
    struct slab *slabs;
    struct tree *spare; /* free tree nodes, chained by l */
    size_t memory;
};

/* --- the store --- */

struct text_store *
text_store_new(void)
{
    return xcalloc(1, sizeof(struct text_store));
}

static void
chunks_free(struct chunk *c)
{
    while (c) {
        struct chunk *next = c->next;
        free(c);
        c = next;
    }
}

void
text_store_free(struct text_store *st)
{
    if (!st)
        return;
    chunks_free(st->bytes);
    chunks_free(st->tokens);
    while (st->slabs) {
        struct slab *next = st->slabs->next;
        free(st->slabs);
        st->slabs = next;
    }
    free(st);
}

size_t
text_store_memory(const struct text_store *st)
{
    return st->memory;
}

/* Room for n elements in a row. What is too big for a common chunk gets its
 * own, behind the one that is being filled. */
static void *
chunk_room(struct text_store *st, struct chunk **list, size_t n, size_t size,
           size_t usual)
{
    struct chunk *c = *list;
    if (!c || c->cap - c->used < n) {
        size_t cap = n > usual / 4 ? n : usual;
        size_t total = sizeof *c + cap * size;
        struct chunk *fresh = xmalloc(total);
        fresh->used = 0;
        fresh->cap = cap;
        st->memory += total;
        if (c && cap == n) {
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            *list = fresh;
        }
        c = fresh;
    }
    void *p = (char *)c->data + c->used * size;
    c->used += n;
    return p;
}

const char *
text_keep(struct text_store *st, const char *s, size_t len)
{
    if (!len)
        return "";
    return memcpy(chunk_room(st, &st->bytes, len, 1, BYTES_CHUNK), s, len);
}

const struct text_token *
text_keep_tokens(struct text_store *st, const struct text_token *tok, size_t n)
{
    if (!n)
        return NULL;
    return memcpy(chunk_room(st, &st->tokens, n, sizeof *tok, TOKENS_CHUNK),
                  tok, n * sizeof *tok);
}

static struct tree *
node_new(struct text_store *st)
{
    if (!st->spare) {
        struct slab *s = xmalloc(sizeof *s);
        s->next = st->slabs;
        st->slabs = s;
        st->memory += sizeof *s;
        for (size_t i = 0; i < NODES_CHUNK; i++) {
            s->node[i].l = st->spare;
            st->spare = &s->node[i];
        }
    }
    struct tree *t = st->spare;
    st->spare = t->l;
    return t;
}

/* --- trees; "eats": takes over the caller's reference --- */

static size_t
weight(const struct tree *t)
{
    return t ? (size_t)t->count + 1 : 1;
}

static struct tree *
tree_ref(struct tree *t)
{
    if (t)
        t->refs++;
    return t;
}

static void
tree_unref(struct text_store *st, struct tree *t)
{
    while (t && --t->refs == 0) {
        struct tree *r = t->r;
        tree_unref(st, t->l);
        t->l = st->spare;
        st->spare = t;
        t = r;
    }
}

/* A node over l and r; eats both. */
static struct tree *
tree_make(struct text_store *st, const struct piece *p, struct tree *l,
          struct tree *r)
{
    struct tree *t = node_new(st);
    t->refs = 1;
    t->count = (uint32_t)(weight(l) + weight(r) - 1);
    t->bytes = p->len + (l ? l->bytes : 0) + (r ? r->bytes : 0);
    t->lines = p->lines + (l ? l->lines : 0) + (r ? r->lines : 0);
    t->l = l;
    t->r = r;
    t->p = *p;
    return t;
}

/* Takes a node apart; eats t, gives its piece and subtrees. */
static struct piece
tree_open(struct text_store *st, struct tree *t, struct tree **l,
          struct tree **r)
{
    struct piece p = t->p;
    *l = t->l;
    *r = t->r;
    if (t->refs == 1) {
        t->l = st->spare;
        st->spare = t;
    } else {
        tree_ref(*l);
        tree_ref(*r);
        t->refs--;
    }
    return p;
}

/* tree_make() where one side may be heavier than the balance allows by as
 * much as one rotation mends; eats both. */
static struct tree *
tree_balance(struct text_store *st, const struct piece *p, struct tree *l,
             struct tree *r)
{
    struct tree *a, *b, *c, *d;
    if (weight(r) > 3 * weight(l)) {
        struct piece rp = tree_open(st, r, &a, &b);
        if (weight(a) < 2 * weight(b))
            return tree_make(st, &rp, tree_make(st, p, l, a), b);
        struct piece ap = tree_open(st, a, &c, &d);
        return tree_make(st, &ap, tree_make(st, p, l, c),
                         tree_make(st, &rp, d, b));
    }
    if (weight(l) > 3 * weight(r)) {
        struct piece lp = tree_open(st, l, &a, &b);
        if (weight(b) < 2 * weight(a))
            return tree_make(st, &lp, a, tree_make(st, p, b, r));
        struct piece bp = tree_open(st, b, &c, &d);
        return tree_make(st, &bp, tree_make(st, &lp, a, c),
                         tree_make(st, p, d, r));
    }
    return tree_make(st, p, l, r);
}

/* l, then p, then r, whatever their weights; eats both. */
static struct tree *
tree_link(struct text_store *st, const struct piece *p, struct tree *l,
          struct tree *r)
{
    struct tree *a, *b;
    if (weight(r) > 3 * weight(l)) {
        struct piece q = tree_open(st, r, &a, &b);
        a = tree_link(st, p, l, a);
        return tree_balance(st, &q, a, b);
    }
    if (weight(l) > 3 * weight(r)) {
        struct piece q = tree_open(st, l, &a, &b);
        b = tree_link(st, p, b, r);
        return tree_balance(st, &q, a, b);
    }
    return tree_make(st, p, l, r);
}

/* Takes the last piece off; eats t (not NULL), gives the rest. */
static struct tree *
tree_pop(struct text_store *st, struct tree *t, struct piece *last)
{
    struct tree *l, *r;
    struct piece p = tree_open(st, t, &l, &r);
    if (!r) {
        *last = p;
        return l;
    }
    r = tree_pop(st, r, last);
    return tree_balance(st, &p, l, r);
}

static struct tree *
tree_join(struct text_store *st, struct tree *l, struct tree *r)
{
    struct piece p;
    if (!l)
        return r;
    if (!r)
        return l;
    l = tree_pop(st, l, &p);
    return tree_link(st, &p, l, r);
}

/* Parts at byte `at` (0..bytes); eats t, gives both halves. */
static void
tree_split(struct text_store *st, struct tree *t, size_t at, struct tree **left,
           struct tree **right)
{
    if (!t) {
        *left = *right = NULL;
        return;
    }
    struct tree *l, *r;
    struct piece p = tree_open(st, t, &l, &r);
    size_t lb = l ? l->bytes : 0;
    if (at <= lb) {
        struct tree *rest;
        tree_split(st, l, at, left, &rest);
        *right = tree_link(st, &p, rest, r);
    } else if (at >= lb + p.len) {
        struct tree *rest;
        tree_split(st, r, at - lb - p.len, &rest, right);
        *left = tree_link(st, &p, l, rest);
    } else {
        struct piece part[4];
        size_t n_left;
        size_t n = piece_cut(&p, (uint32_t)(at - lb), part, &n_left);
        for (size_t i = 0; i < n_left; i++)
            l = tree_link(st, &part[i], l, NULL);
        for (size_t i = n; i > n_left; i--)
            r = tree_link(st, &part[i - 1], NULL, r);
        *left = l;
        *right = r;
    }
}

/* --- pieces --- */

uint32_t
count_lines(const char *s, size_t len)
{
    uint32_t n = 0;
    const char *end = s + len;
    while (s < end && (s = memchr(s, '\n', (size_t)(end - s)))) {
        n++;
        s++;
    }
    return n;
}

/* Bytes [from, to) of p with its tokens [t0, t1). */
static struct piece
piece_part(const struct piece *p, uint32_t from, uint32_t to, uint32_t t0,
           uint32_t t1)
{
    struct piece q = *p;
    q.s += from;
    q.len = to - from;
    q.lines = count_lines(q.s, q.len);
    q.n_tok = t1 - t0;
    q.tok = q.n_tok ? p->tok + t0 : NULL;
    return q;
}

/* The group of tokens [*t0, *t1) over bytes [*from, *to) that x falls into;
 * with x on a border, the group after it. */
static void
token_group(const struct piece *p, uint32_t x, uint32_t *t0, uint32_t *t1,
            uint32_t *from, uint32_t *to)
{
    *t0 = *from = 0;
    for (uint32_t i = 0; i < p->n_tok; i++) {
        uint32_t len = p->tok[i].len;
        if (len && *from + len > x) {
            *t1 = i + 1;
            *to = *from + len;
            return;
        }
        *from += len;
        if (len)
            *t0 = i + 1;
    }
    *t1 = p->n_tok;
    *to = p->len;
}

size_t
piece_cut(const struct piece *p, uint32_t x, struct piece out[4],
          size_t *n_left)
{
    uint32_t t0 = 0, t1 = 0, from = x, to = x;
    size_t n = 0;
    if (p->n_tok)
        token_group(p, x, &t0, &t1, &from, &to);
    if (from == x) { /* no token is hurt */
        to = x;
        t1 = t0;
    }
    if (from > 0)
        out[n++] = piece_part(p, 0, from, 0, t0);
    if (x > from)
        out[n++] = piece_part(p, from, x, 0, 0);
    *n_left = n;
    if (to > x)
        out[n++] = piece_part(p, x, to, 0, 0);
    if (p->len > to)
        out[n++] = piece_part(p, to, p->len, t1, p->n_tok);
    return n;
}

/* Does q go on in the store where p ends, from the same hand? */
static bool
piece_follows(const struct piece *p, const struct piece *q)
{
    return p->s + p->len == q->s && p->who == q->who && p->node == q->node &&
           p->model == q->model && p->len + q->len <= PIECE_MAX &&
           (p->n_tok ? q->n_tok && p->tok + p->n_tok == q->tok : !q->n_tok);
}

/* The first piece of what is left of a span; the span loses it. */
static struct piece
span_piece(struct text_span *sp)
{
    struct piece p = { .s = sp->s,
                       .tok = sp->tok,
                       .node = sp->node,
                       .model = sp->model,
                       .who = sp->who };
    size_t len = 0, n = 0;
    if (sp->n_tok) { /* whole groups of tokens */
        size_t sum = 0;
        for (size_t i = 0; i < sp->n_tok; i++) {
            sum += sp->tok[i].len;
            if (sum > PIECE_MAX && n)
                break;
            if (sp->tok[i].len) {
                n = i + 1;
                len = sum;
            }
        }
    } else if (sp->len > PIECE_MAX) { /* whole characters */
        for (len = PIECE_MAX; len > PIECE_MAX - 4; len--)
            if (((unsigned char)sp->s[len] & 0xC0) != 0x80)
                break;
    } else {
        len = sp->len;
    }
    p.len = (uint32_t)len;
    p.n_tok = (uint32_t)n;
    p.lines = count_lines(p.s, len);
    sp->s += len;
    sp->len -= len;
    if (sp->n_tok) {
        sp->tok += n;
        sp->n_tok -= n;
    }
    return p;
}

/* Tokens count only when their bytes are exactly the span's. */
static void
span_check_tokens(struct text_span *sp)
{
    size_t sum = 0;
    while (sp->n_tok && !sp->tok[sp->n_tok - 1].len)
        sp->n_tok--;
    for (size_t i = 0; i < sp->n_tok; i++)
        sum += sp->tok[i].len;
    if (!sp->n_tok || sum != sp->len) {
        sp->n_tok = 0;
        sp->tok = NULL;
    }
}

/* --- versions --- */

/* Eats root. */
static struct text *
version(struct text_store *st, struct tree *root)
{
    struct text *t = xmalloc(sizeof *t);
    t->refs = 1;
    t->st = st;
    t->root = root;
    return t;
}

struct text *
text_empty(struct text_store *st)
{
    return version(st, NULL);
}

struct text *
text_ref(struct text *t)
{
    t->refs++;
    return t;
}

void
text_unref(struct text *t)
{
    if (!t || --t->refs)
        return;
    tree_unref(t->st, t->root);
    free(t);
}

struct text *
text_put(const struct text *t, size_t at, const struct text_span *span)
{
    struct text_span sp = *span;
    struct tree *l, *r;
    assert(at <= text_len(t));
    span_check_tokens(&sp);
    tree_split(t->st, tree_ref(t->root), at, &l, &r);
    bool first = true;
    while (sp.len) {
        struct piece p = span_piece(&sp), last;
        if (first && l) {
            l = tree_pop(t->st, l, &last);
            if (piece_follows(&last, &p)) {
                last.len += p.len;
                last.lines += p.lines;
                last.n_tok += p.n_tok;
                p = last;
            } else {
                l = tree_link(t->st, &last, l, NULL);
            }
        }
        first = false;
        l = tree_link(t->st, &p, l, NULL);
    }
    return version(t->st, tree_join(t->st, l, r));
}

struct text *
text_insert(const struct text *t, size_t at, const char *s, size_t len,
            enum text_who who, uint64_t node)
{
    struct text_span sp = {
        .s = text_keep(t->st, s, len), .len = len, .who = who, .node = node
    };
    return text_put(t, at, &sp);
}

struct text *
text_insert_tokens(const struct text *t, size_t at, const char *s, size_t len,
                   const struct text_token *tok, size_t n_tok, uint32_t model,
                   uint64_t node)
{
    struct text_span sp = { .s = text_keep(t->st, s, len),
                            .len = len,
                            .who = TEXT_MODEL,
                            .node = node,
                            .model = model,
                            .tok = text_keep_tokens(t->st, tok, n_tok),
                            .n_tok = n_tok };
    return text_put(t, at, &sp);
}

struct text *
text_delete(const struct text *t, size_t at, size_t len)
{
    struct tree *l, *mid, *r;
    assert(at <= text_len(t) && len <= text_len(t) - at);
    tree_split(t->st, tree_ref(t->root), at, &l, &r);
    tree_split(t->st, r, len, &mid, &r);
    tree_unref(t->st, mid);
    return version(t->st, tree_join(t->st, l, r));
}
