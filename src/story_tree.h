/* src/story_tree.h  Inside the story: the nodes, for story.c (which changes
 * them), story_tree.c (which finds and reads them) and storyfile (which
 * replays a file that may have holes). Nobody else includes it.
 *
 * A node keeps what changed its parent's text, in order. Its own version of
 * the text is kept only for the head, for every STORY_KEEP-th node on a way
 * from the root and for the few visited last; any other is made again from
 * the nearest one kept. So 50,000 steps cost a few megabytes.
 */
#ifndef JIELONG_STORY_TREE_H
#define JIELONG_STORY_TREE_H

#include "src/story.h"

#define STORY_KEEP   16
#define STORY_RECENT 32

struct change { /* at `at`, del bytes gave way to s (kept in the store) */
    size_t at, del, len;
    const char *s;
    const struct text_token *tok;
    uint32_t n_tok;
};

struct run_info {
    uint64_t seed;
    uint32_t model, k, run, br, i0, n_tok;
    size_t win0; /* as the run began */
    size_t pen;  /* where its next token goes */
    bool cont, aside, win_moved;
    enum gen_why why;
    struct text_token *wait; /* tokens of a character not yet whole */
    size_t n_wait, cap_wait;
};

struct snode {
    uint64_t n;
    struct snode *parent, *first, *last, *next; /* children in order */
    struct snode *redo;       /* child last stood at */
    struct text *text;        /* kept version or NULL */
    struct change *changes;   /* points to `one` until there are more */
    struct run_info *run;     /* NULL: an edit */
    struct change one;
    size_t len;               /* bytes of this version */
    size_t win;               /* where the model's window starts in it */
    int64_t w;
    uint32_t n_changes, cap_changes;
    uint32_t depth;
    enum text_who who;
    bool open, orphan;
};

struct story_model {
    uint64_t n; /* of its record */
    uint32_t m;
    char *name, *sha, *cfg, *tok, *num, *files;
};

struct story_watcher {
    story_watch_fn fn;
    void *ud;
};

struct story {
    struct text_store *store;
    struct snode **nodes; /* by n, ascending; [0] is the root */
    size_t n_nodes, cap_nodes;
    struct snode *head;
    struct snode *open;   /* the growing step: NULL or head */
    struct snode **aside; /* runs that grow beside the head */
    size_t n_aside, cap_aside;
    struct snode *recent[STORY_RECENT];
    unsigned next_recent;
    uint64_t next_n;
    uint32_t runs, last_k;
    struct story_model *models;
    size_t n_models, cap_models;
    struct knobs knobs;
    bool has_knobs;
    char *title;
    struct story_watcher *watch;
    size_t n_watch, cap_watch;
    char *prompt; /* text of the last story_prompt() */
    char *frozen; /* why nothing may change; NULL: it may */
};

struct snode *snode_find(const struct story *s, uint64_t n);
/* A new last child of parent, its version the parent's. */
struct snode *snode_add(struct story *s, struct snode *parent, uint64_t n);
/* The version that node stands for; borrowed till the next call. */
struct text *snode_text(struct story *s, struct snode *node);
/* Changes the version of an open node. */
void snode_alter(struct story *s, struct snode *node, const struct change *c);
void story_set_head(struct story *s, struct snode *to);
struct story_model *story_model_at(const struct story *s, uint32_t m);

/* Another change follows c: both as one. */
void change_follow(struct op_change *c, size_t at, size_t del, size_t len);
/* What standing at `to` instead of `from` changes. */
struct op_change change_between(const struct snode *from,
                                const struct snode *to);
size_t change_shift(const struct op_change *c, size_t pos, bool stick_left);

/* Applies a record of a file: op->n is given and above every one before.
 * Where records are lost, what does not fit is made to: a node without its
 * parent hangs where the writer stood, offsets are clamped. Tells no watcher.
 * false: the record can have no effect (kept in the file all the same). */
bool story_replay(struct story *s, struct story_op *op);
/* Closes every open step: those that a killed program left. */
void story_close_open(struct story *s);
size_t story_orphans(const struct story *s);
/* From now on story_apply() refuses, saying why. */
void story_freeze(struct story *s, const char *why);

#endif
