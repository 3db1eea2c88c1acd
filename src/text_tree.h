/* src/text_tree.h  Inside the text: shared by text.c (makes versions) and
 * text_read.c (reads them). Nobody else includes it.
 */
#ifndef JIELONG_TEXT_TREE_H
#define JIELONG_TEXT_TREE_H

#include "src/text.h"

struct piece { /* bytes in the store, of one origin */
    const char *s;
    const struct text_token *tok; /* their bytes are exactly s[0..len) */
    uint64_t node;
    uint32_t len;
    uint32_t lines; /* '\n' among them */
    uint32_t n_tok; /* 0: no ids known */
    uint32_t model;
    enum text_who who;
};

struct tree {
    uint32_t refs;
    uint32_t count;       /* of nodes here and below */
    size_t bytes, lines;  /* of the text here and below */
    struct tree *l, *r;
    struct piece p;
};

struct text {
    size_t refs;
    struct text_store *st;
    struct tree *root; /* NULL: empty */
};

uint32_t count_lines(const char *s, size_t len);

/* Parts p at byte x, 0 < x < p->len, into 2 to 4 pieces; the first *n_left of
 * them lie before x. Returns how many. A token that x falls into (with those
 * before it that only began its character) loses its id, its bytes stay. */
size_t piece_cut(const struct piece *p, uint32_t x, struct piece out[4],
                 size_t *n_left);

#endif
