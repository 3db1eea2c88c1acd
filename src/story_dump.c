/* src/story_dump.c  The tree as records.
 *
 * A node's changes were made by at least as many records as it has changes, so
 * the numbers between it and the next node suffice; what is left over is given
 * up by a `note` with "upto".
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
    uint64_t n; /* next number */
};

static void
put(struct dump *d, struct story_op *op)
{
    op->n = d->n++;
    record_write(op, d->out);
}

/* Gives up the numbers below n. */
static void
skip_to(struct dump *d, uint64_t n)
{
    if (d->n < n) {
        struct story_op op = { .type = OP_NOTE, .to = n - 1 };
        put(d, &op);
        d->n = n;
    }
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

static void
put_run(struct dump *d, const struct snode *x)
{
    const struct run_info *r = x->run;
    const struct change none = { .s = "" };
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
                           .cont = r->cont };
    put(d, &op);
    for (uint32_t i = 0; i < x->n_changes; i++)
        put_tokens_of(d, x, &x->changes[i], i + 1 == x->n_changes);
    if (!x->n_changes && r->n_wait)
        put_tokens_of(d, x, &none, true);
    if (r->win_moved) {
        op = (struct story_op){
            .type = OP_WIN, .of = x->n, .i = r->n_tok, .at = x->win
        };
        put(d, &op);
    }
    if (r->why) {
        op = (struct story_op){ .type = OP_END, .of = x->n, .why = r->why };
        put(d, &op);
    }
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
                           .num = m->num };
    skip_to(d, m->n);
    put(d, &op);
}

void
story_dump(struct story *s, struct bytes *out)
{
    struct dump d = { s, out, 1 };
    size_t m = 0;
    for (size_t i = 1; i < s->n_nodes; i++) {
        while (m < s->n_models && s->models[m].n < s->nodes[i]->n)
            put_model(&d, &s->models[m++]);
        put_node(&d, s->nodes[i]);
    }
    while (m < s->n_models)
        put_model(&d, &s->models[m++]);
    skip_to(&d, s->next_n);
    struct story_op op = { .type = OP_HEAD, .to = s->head->n };
    if (!s->open) /* a head would close the open step */
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
