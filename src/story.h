/* src/story.h  The story: a tree of nodes; every change is an op.
 *
 * A node is one undo step and stands for one version of the whole text. The
 * writer stands at one node, the head. Undo: head to the parent. Redo: head
 * to the child last stood at. Retry: a sibling. Nothing is overwritten. A
 * node is named by the sequence number of the record that opened it; node 0
 * is the empty text before the first. doc/story.md has the records.
 * Main thread only.
 */
#ifndef JIELONG_STORY_H
#define JIELONG_STORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/gen.h"
#include "engine/knobs.h"
#include "src/text.h"

struct story;

enum op_type { /* names as in the journal: op_name() */
    OP_HEAD_LINE, /* "jl": the first line */
    OP_MODEL, OP_KNOBS, OP_EDIT, OP_ADD, OP_RUN, OP_TOK, OP_KNOB, OP_WIN,
    OP_END, OP_HEAD, OP_MARK, OP_TITLE, OP_NOTE,
    OP_OTHER      /* a type of a later version: kept, no effect */
};

struct op_token { int32_t id; float lp, q; };

/* How the head's text changed: [at, at + del) became len other bytes. */
struct op_change { size_t at, del, len; };

/* One record. Pointers are borrowed during story_apply() and its watchers.
 * Which members count depends on the type, see doc/story.md. */
struct story_op {
    enum op_type type;
    uint64_t n;        /* sequence number; 0 on the way in: story gives it */
    int64_t w;         /* milliseconds since 1970; 0: not written */
    uint64_t p;        /* parent node (edit, run) */
    uint64_t of;       /* open node (add, tok, knob, win, end) */
    uint64_t to;       /* head, mark */
    size_t at, del;
    const char *s;     /* text: edit, add, tok, title, note, mark */
    size_t len;
    enum text_who who; /* edit */
    /* model */
    uint32_t m;
    const char *name, *sha, *cfg, *tok_hash, *num;
    const char *files; /* while sha is not known: model_early()'s weights */
    /* knobs, knob: the full table (a knob record carries what changed) */
    uint32_t k;
    const struct knobs *set;
    const struct knobs *before; /* knob: what it changed from */
    /* run */
    uint64_t seed;
    uint32_t run, br, i0;
    size_t win;
    bool cont;
    bool aside;        /* the writer stays where he stands */
    /* tok */
    const struct op_token *tok;
    const uint32_t *tok_len; /* bytes each token completed; sums to len */
    size_t n_tok;
    /* knob, win */
    uint32_t i;
    bool has_of;
    /* end */
    enum gen_why why;
    unsigned char tail[4];
    size_t n_tail;
    /* jl */
    const char *app, *id;
    int v, min;
    /* Filled in by story_apply() for every type: for head it spans all that
     * differs between where the writer stood and where he stands now. */
    struct op_change change;
};

/* --- reading --- */

enum node_kind { NODE_ROOT, NODE_EDIT, NODE_RUN };

struct node_info {
    uint64_t n, parent;
    enum node_kind kind;
    enum text_who who;
    size_t at;        /* where it changed the parent's text */
    size_t del;       /* bytes it removed */
    size_t len;       /* bytes it brought so far */
    bool open;        /* still growing */
    bool orphan;      /* its own or its parent's record is lost: it hangs
                       * where the writer stood before the hole */
    /* run */
    uint32_t model, k, run, br, i0, n_tok;
    uint64_t seed;
    size_t win;
    bool cont;
    enum gen_why why; /* NONE while open */
    int64_t w;
};

struct story *story_new(void); /* one root node, no records */
void story_free(struct story *s);

uint64_t story_head(const struct story *s);
/* Text of the head, or of any node; borrowed till the next op. */
const struct text *story_text(const struct story *s);
const struct text *story_node_text(const struct story *s, uint64_t node);
bool story_node(const struct story *s, uint64_t node, struct node_info *out);
/* Siblings of node (itself included), in order; returns how many, fills up
 * to cap, *self gets its place from 0. */
size_t story_siblings(const struct story *s, uint64_t node, uint64_t *out,
                      size_t cap, size_t *self);
uint64_t story_undo_target(const struct story *s); /* parent of head, or head */
uint64_t story_redo_target(const struct story *s); /* child, or head */
/* The step that is open (growing) where the writer stands, 0 when none. Runs
 * opened aside grow beside it. */
uint64_t story_open_node(const struct story *s);
/* How many versions follow a node directly. */
size_t story_children(const struct story *s, uint64_t node);
const char *story_title(const struct story *s);
uint64_t story_next_n(const struct story *s);
/* Runs counted so far: the next run's number is this + 1. */
uint32_t story_runs(const struct story *s);
/* The knobs as they were last set, defaults before any. */
const struct knobs *story_knobs(const struct story *s);
bool story_has_knobs(const struct story *s);
/* Models recorded so far. OP_MODEL with the next number records one more;
 * with a number already there (first written while its hashes were still being
 * computed) it replaces that entry. */
uint32_t story_model_count(const struct story *s);
/* Number (from 1) of the model with these hashes, 0 when not yet recorded. */
uint32_t story_model_find(const struct story *s, const char *sha,
                          const char *cfg, const char *tok, const char *num);
/* OP_MODEL that completes a record whose hashes were not known when it was
 * written, now that those of the same untouched files are; from the story's
 * model `from` (from 1) on. false: there is none. Texts are borrowed. */
bool story_model_complete(const struct story *s, uint32_t from,
                          const struct model_hashes *early,
                          const struct model_hashes *full,
                          struct story_op *op);
const char *story_model_name(const struct story *s, uint32_t m);
const char *story_model_tok(const struct story *s, uint32_t m);
/* Where the model's window starts at the head: the last run's `win` on the
 * way from the root, moved along by later edits; never past `pen`. */
size_t story_window(const struct story *s, size_t pen);

/* The same at any node. */
size_t story_node_window(const struct story *s, uint64_t node, size_t pen);

/* Spans for a request: from byte `from` to `to` of the head's text, the
 * model's spans with their exact ids. *spans given (free); texts borrowed
 * from the story till the next op. */
size_t story_prompt(const struct story *s, size_t from, size_t to,
                    struct prompt_span **spans, int **ids_block);
/* The same of any node's text. */
size_t story_node_prompt(const struct story *s, uint64_t node, size_t from,
                         size_t to, struct prompt_span **spans,
                         int **ids_block);

/* Where a position of the head's text moves when op is applied; for an op that
 * story_apply() has filled in, so in a watcher or after it. A position where
 * text was inserted stays left of it with stick_left. */
size_t story_shift(const struct story_op *op, size_t pos, bool stick_left);

/* --- changing --- */

/* Applies one op to the story and tells every watcher. The op gets its number
 * (n), and the next free one where m (model) or k (knobs) is 0. A text longer
 * than STORY_TEXT_MAX becomes an edit and as many adds as it takes, all told
 * one by one; n is the first one's. An edit, run or head closes every open
 * step, but for the one that the head moves to. A run opened aside leaves the
 * head where it is, grows beside others and closes its parent alone.
 * false (err) when it does not fit the story: nothing changed. */
#define STORY_TEXT_MAX 131072 /* bytes: a record stays under 1 MiB */
bool story_apply(struct story *s, struct story_op *op, struct err *err);

/* Watchers, called in order of registration after the op was applied. The
 * journal registers first: nothing is painted that it has not written. */
typedef void (*story_watch_fn)(void *ud, const struct story_op *op);
void story_on_op(struct story *s, story_watch_fn fn, void *ud);

const char *op_name(enum op_type t);

#endif
