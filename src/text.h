/* src/text.h  Versions of a text: a persistent piece tree.
 *
 * A struct text is one version; it never changes once another version was
 * made from it. An insert or delete returns a new version that shares all the
 * rest. A span knows who wrote it; for the model's tokens their ids and
 * log-probabilities stay attached, and a cut through a span keeps them.
 * Positions are byte offsets. Main thread only. Reference counted.
 * Also answers line questions (breaks = '\n') in O(log n).
 */
#ifndef JIELONG_TEXT_H
#define JIELONG_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_NONE ((size_t)-1)

struct text;
struct text_store; /* owns the bytes and token arrays of one story */

enum text_who { TEXT_ME, TEXT_MODEL, TEXT_IMPORT };

/* One token of a model run: bytes it completed, id, log-probabilities. */
struct text_token {
    int32_t id;
    float lp, q;
    uint32_t len; /* bytes of text completed by it; may be 0 */
};

struct text_span {
    const char *s;          /* borrowed: valid as long as the store */
    size_t len;
    size_t at;              /* byte offset in this version */
    enum text_who who;
    uint64_t node;          /* the story node that brought it */
    uint32_t model;         /* model number of the journal; 0 none */
    const struct text_token *tok; /* the model's tokens, or NULL */
    size_t n_tok;           /* 0: ids not known, or a token was cut here */
    bool tok_exact;         /* n_tok > 0: their bytes are exactly s[0..len) */
};

struct text_store *text_store_new(void);
void text_store_free(struct text_store *st);
/* Bytes of memory it holds: text, tokens and tree nodes. */
size_t text_store_memory(const struct text_store *st);
/* Copies into the store without making a version; stays till the store goes,
 * and goes on in memory where the last call ended as long as there is room. */
const char *text_keep(struct text_store *st, const char *s, size_t len);
const struct text_token *text_keep_tokens(struct text_store *st,
                                          const struct text_token *tok,
                                          size_t n);

struct text *text_empty(struct text_store *st);
struct text *text_ref(struct text *t);
void text_unref(struct text *t);

/* New versions (given, one reference). Bytes are copied into the store. Tokens
 * whose lengths do not add up to len are not kept, nor are those after the
 * last that completed any text. */
struct text *text_insert(const struct text *t, size_t at, const char *s,
                         size_t len, enum text_who who, uint64_t node);
struct text *text_insert_tokens(const struct text *t, size_t at, const char *s,
                                size_t len, const struct text_token *tok,
                                size_t n_tok, uint32_t model, uint64_t node);
struct text *text_delete(const struct text *t, size_t at, size_t len);
/* Inserts what is already kept in the store (s, len, who, node, model, tok,
 * n_tok of the span); when it goes on where the piece before ends, that piece
 * grows. */
struct text *text_put(const struct text *t, size_t at,
                      const struct text_span *span);

size_t text_len(const struct text *t);
size_t text_lines(const struct text *t);   /* number of '\n' */
/* Copies up to len bytes from `at`; returns how many. */
size_t text_read(const struct text *t, size_t at, char *buf, size_t len);
/* All of [at, at+len) in new memory with NUL, given (free). */
char *text_dup(const struct text *t, size_t at, size_t len);
/* Offset of the start of the line that holds `at`, and of its end (the '\n'
 * or the end of the text). */
size_t text_line_start(const struct text *t, size_t at);
size_t text_line_end(const struct text *t, size_t at);
/* Which line (from 0) holds `at`; where line `n` starts (TEXT_NONE past it). */
size_t text_line_of(const struct text *t, size_t at);
size_t text_line_at(const struct text *t, size_t n);
/* The nearest grapheme cluster boundary after / before `at`. */
size_t text_next(const struct text *t, size_t at);
size_t text_prev(const struct text *t, size_t at);
/* First occurrence of needle at or after (before, when back) `from`; ASCII
 * case is folded. TEXT_NONE when there is none. */
size_t text_find(const struct text *t, size_t from, const char *needle,
                 size_t len, bool back);

/* Walks the spans that touch [from, to), clipped to it, in order; fn
 * returning false stops. */
void text_spans(const struct text *t, size_t from, size_t to,
                bool (*fn)(void *ud, const struct text_span *s), void *ud);

#endif
