/* engine/load/meta.h  What a weights file says about itself, flat.
 *
 * Key and value pairs in one block of bytes without pointers, so that a child
 * process can hand it over: written by a parser, read again with the bounded
 * reader. Kinds: whole numbers, reals, texts, and lists of each.
 */
#ifndef JIELONG_META_H
#define JIELONG_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/rd.h"

enum meta_kind { META_INT = 1, META_REAL, META_TEXT };

/* Its reader's own word: the version of a GGUF file. No file can say it: of
 * what stands in one, other keys are kept. */
#define META_GGUF "gguf"

struct meta {
    char *p;
    size_t len, cap;
};

struct meta_list { /* a value being walked */
    enum meta_kind kind;
    unsigned size;  /* bytes of a number */
    bool is_signed; /* of whole numbers */
    uint64_t n; /* how many are left */
    struct rd r;
};

void meta_free(struct meta *m);
/* Begins a value of n items; exactly n meta_put_* of its kind follow. */
void meta_begin(struct meta *m, const char *key, size_t len,
                enum meta_kind kind, uint64_t n);
void meta_put_int(struct meta *m, int64_t v);
void meta_put_real(struct meta *m, double v);
void meta_put_text(struct meta *m, const void *s, size_t len);
/* A whole list of n numbers as they lie in the file, little-endian: whole
 * ones of 1, 2, 4 or 8 bytes, reals of 4 or 8. It takes no more room here. */
void meta_put_list(struct meta *m, const char *key, size_t len,
                   enum meta_kind kind, unsigned size, bool is_signed,
                   uint64_t n, const void *items);

/* Finds a value; false when there is none of this key and kind. */
bool meta_find(const struct meta *m, const char *key, enum meta_kind kind,
               struct meta_list *out);
/* Is there a value of this key, of whatever kind? */
bool meta_has(const struct meta *m, const char *key);
/* The records one after the other, as bytes: start with *at = 0. False after
 * the last; *key is not NUL-terminated. */
bool meta_next_record(const struct meta *m, size_t *at, const char **key,
                      size_t *key_len, const char **record, size_t *len);
/* The next item; false at the end. Texts are borrowed from m. */
bool meta_next_int(struct meta_list *l, int64_t *v);
bool meta_next_real(struct meta_list *l, double *v);
bool meta_next_text(struct meta_list *l, const char **s, size_t *len);
/* The first item of a value, or the default. */
int64_t meta_int(const struct meta *m, const char *key, int64_t none);
double meta_real(const struct meta *m, const char *key, double none);

#endif
