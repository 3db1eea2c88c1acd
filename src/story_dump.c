/* src/story_dump.c  The tree as records.
 *
 * A node's changes were made by at least as many records as it has changes, so
 * the numbers between it and the next node suffice; what is left over is given
 * up by a `note` with "upto". Runs that grew side by side have their nodes'
 * numbers in a row: what they brought waits for the next numbers that are free,
 * and these suffice by the same count.
 */
#include "src/story_dump.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/mem.h"

#include "src/story_tree.h"

#define PART_MAX (2 * STORY_TEXT_MAX)

struct dump {
    struct story *s;
    struct bytes *out;
    uint64_t n;                /* next number */
    const struct snode **wait; /* runs aside that are not whole yet */
    size_t n_wait, cap_wait, first;
    uint32_t part; /* next one of the first of them */
};

static void
put(struct dump *d, struct story_op *op)
{
    op->n = d->n++;
    record_write(op, d->out);
}

static void
put_text_change(struct dump *d, const struct snode *x, const struct change *c,
                bool opens)
{
    struct story_op op = { .type = opens ? OP_EDIT : OP_ADD,
                           .w = x->w,
                           .of = x->n,
                           .p = x->parent->n,
                           .who = x->who,
                           .at = c->at,
                           .del = c->del,
                           .s = c->s };
    size_t done = 0;
    do {
        op.s = c->s + done;
        op.at = c->at + done;
        op.len = c->len - done;
        if (op.len > PART_MAX) {
            op.len = PART_MAX;
            while (((unsigned char)op.s[op.len] & 0xC0) == 0x80 &&
                   op.len > PART_MAX - 4)
                op.len--;
        }
        put(d, &op);
        done += op.len;
        op.type = OP_ADD;
        op.del = 0;
    } while (done < c->len);
}

static void
put_tokens_of(struct dump *d, const struct snode *x, const struct change *c,
              bool last)
{
    size_t extra = last ? x->run->n_wait : 0, n = c->n_tok + extra;
    struct op_token *tok = xcalloc(n + 1, sizeof *tok);
    uint32_t *len = xcalloc(n + 1, sizeof *len);
    for (size_t i = 0; i < n; i++) {
        const struct text_token *t =
            i < c->n_tok ? &c->tok[i] : &x->run->wait[i - c->n_tok];
        tok[i] = (struct op_token){ t->id, t->lp, t->q };
        len[i] = t->len;
    }
    struct story_op op = { .type = OP_TOK,
                           .of = x->n,
                           .tok = tok,
                           .tok_len = len,
                           .n_tok = n,
                           .s = c->s,
                           .len = c->len };
    put(d, &op);
    free(tok);
    free(len);
}

/* The records of a run behind the one that opens it, by number from 0; false:
 * there are no more. */
static bool
put_run_part(struct dump *d, const struct snode *x, uint32_t i)
{
    const struct run_info *r = x->run;
    const struct change none = { .s = "" };
    uint32_t n_tok = x->n_changes ? x->n_changes : r->n_wait > 0;
    struct story_op op = { .of = x->n };
    if (i < n_tok) {
        put_tokens_of(d, x, x->n_changes ? &x->changes[i] : &none,
                      i + 1 == n_tok);
        return true;
    }
    if (r->win_moved && i == n_tok) {
        op.type = OP_WIN;
        op.i = r->n_tok;
        op.at = x->win;
    } else if (r->why && i == n_tok + r->win_moved) {
        op.type = OP_END;
        op.why = r->why;
    } else {
        return false;
    }
    put(d, &op);
    return true;
}

/* Fills the numbers below n with what waits, and gives up the rest. */
static void
skip_to(struct dump *d, uint64_t n)
{
    while (d->first < d->n_wait && d->n < n) {
        if (put_run_part(d, d->wait[d->first], d->part)) {
            d->part++;
        } else {
            d->first++;
            d->part = 0;
        }
    }
    if (d->n < n) {
        struct story_op op = { .type = OP_NOTE, .to = n - 1 };
        put(d, &op);
        d->n = n;
    }
}

static void
put_run(struct dump *d, const struct snode *x)
{
    const struct run_info *r = x->run;
    struct story_op op = { .type = OP_RUN,
                           .w = x->w,
                           .p = x->parent->n,
                           .at = x->one.at,
                           .m = r->model,
                           .k = r->k,
                           .seed = r->seed,
                           .run = r->run,
                           .br = r->br,
                           .i0 = r->i0,
                           .win = r->win0,
                           .cont = r->cont,
                           .aside = r->aside };
    put(d, &op);
    if (r->aside) {
        d->wait =
            mem_grow(d->wait, &d->cap_wait, d->n_wait + 1, sizeof *d->wait);
        d->wait[d->n_wait++] = x;
        return;
    }
    for (uint32_t i = 0; put_run_part(d, x, i); i++)
        ;
}

static void
put_node(struct dump *d, const struct snode *x)
{
    skip_to(d, x->n);
    if (x->run) {
        put_run(d, x);
        return;
    }
    for (uint32_t i = 0; i < x->n_changes; i++)
        put_text_change(d, x, &x->changes[i], i == 0);
}

static void
put_model(struct dump *d, const struct story_model *m)
{
    struct story_op op = { .type = OP_MODEL,
                           .m = m->m,
                           .name = m->name,
                           .sha = m->sha,
                           .cfg = m->cfg,
                           .tok_hash = m->tok,
                           .num = m->num,
                           .files = m->files };
    skip_to(d, m->n);
    put(d, &op);
}

void
story_dump(struct story *s, struct bytes *out)
{
    struct dump d = { .s = s, .out = out, .n = 1 };
    size_t m = 0;
    for (size_t i = 1; i < s->n_nodes; i++) {
        while (m < s->n_models && s->models[m].n < s->nodes[i]->n)
            put_model(&d, &s->models[m++]);
        put_node(&d, s->nodes[i]);
    }
    while (m < s->n_models)
        put_model(&d, &s->models[m++]);
    skip_to(&d, s->next_n);
    free(d.wait);
    struct story_op op = { .type = OP_HEAD, .to = s->head->n };
    /* A head would close the open step, unless that began aside. */
    if (!s->open || (s->open->run && s->open->run->aside))
        put(&d, &op);
    op =
        (struct story_op){ .type = OP_KNOBS, .k = s->last_k, .set = &s->knobs };
    if (s->has_knobs)
        put(&d, &op);
    op = (struct story_op){ .type = OP_TITLE, .s = s->title };
    if (s->title) {
        op.len = strlen(s->title);
        put(&d, &op);
    }
    s->next_n = d.n;
}
