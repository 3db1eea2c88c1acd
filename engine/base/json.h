/* engine/base/json.h  A pull reader for JSON from model folders.
 *
 * No tree: the caller walks the text and keeps what it wants, so memory stays
 * within the promise for a header of 100 MB. No recursion; depth is limited
 * (16 by default), an integer beyond int64 comes as JSON_NUMBER (a caller that
 * wants an integer refuses it), strings are unescaped on demand (\uXXXX and
 * surrogate pairs, a lone surrogate is an error), the text must be UTF-8.
 * Duplicate keys are the caller's business (it knows what a key means).
 * RFC 8259 without extensions. Journal and output use jansson instead.
 */
#ifndef JIELONG_JSON_H
#define JIELONG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

enum json_type {
    JSON_END,     /* the text is over */
    JSON_ERROR,   /* err was set; every later call says so again */
    JSON_OBJECT,  /* '{' */
    JSON_OBJECT_END,
    JSON_ARRAY,   /* '[' */
    JSON_ARRAY_END,
    JSON_KEY,     /* a member's name; its value is the next event */
    JSON_STRING,
    JSON_INT,     /* fits int64 */
    JSON_NUMBER,  /* any other number */
    JSON_TRUE,
    JSON_FALSE,
    JSON_NULL
};

#define JSON_DEPTH_MAX 64

struct json {
    const char *p;
    size_t len, pos;
    int depth, max_depth;
    unsigned char stack[JSON_DEPTH_MAX]; /* '{' or '[' of each level */
    unsigned char state;
    /* of the last event */
    enum json_type type;
    size_t at;          /* byte offset of the event */
    const char *raw;    /* KEY, STRING: between the quotes, still escaped */
    size_t raw_len;
    bool escaped;       /* raw holds a backslash */
    int64_t i;          /* INT */
    double d;           /* INT and NUMBER */
    struct err *err;    /* borrowed; may be NULL */
};

/* max_depth 0 means 16. The text is borrowed. A UTF-8 BOM is an error. */
void json_init(struct json *j, const char *p, size_t len, int max_depth,
               struct err *err);
enum json_type json_next(struct json *j);
/* Steps over the value whose first event (OBJECT, ARRAY or a scalar) was just
 * returned by json_next, or, after JSON_KEY, over the value that follows.
 * false on error. */
bool json_skip(struct json *j);
/* Unescapes the last KEY or STRING into buf (NUL added, may hold inner NULs).
 * Returns the length, or (size_t)-1 when cap is too small. A result never is
 * longer than raw_len. */
size_t json_text(const struct json *j, char *buf, size_t cap);
/* The same, in new memory, given to the caller (free). */
char *json_dup(const struct json *j, size_t *len);
/* Is the last KEY or STRING equal to this text? */
bool json_is(const struct json *j, const char *s);

#endif
