/* src/record.h  One line of NAME.jl: a story op to and from JSON.
 *
 * {"n":7,"t":"edit",...,"c":"1a2b3c4d"}: n first, t second, c last; c is the
 * CRC-32C of all bytes before `,"c":`. doc/story.md has the table. Beyond it:
 * a `tok` of several tokens says in "l" how many bytes each completed, and a
 * seed above 2^53 is a string of digits, since not every reader of JSON keeps
 * larger numbers. A
 * `note` with "upto" (op.to) takes all numbers up to that one.
 * Pure functions, any thread.
 */
#ifndef JIELONG_RECORD_H
#define JIELONG_RECORD_H

#include "src/story.h"

#define RECORD_N_MAX ((uint64_t)1 << 52) /* a larger number is damage */

struct bytes { /* growing; free(s) */
    char *s;
    size_t n, cap;
};
void bytes_add(struct bytes *b, const void *s, size_t n);

struct record {
    struct story_op op; /* borrows from the record */
    uint32_t sum;       /* its checksum */
    struct json_t *json;
    struct op_token *tok;
    uint32_t *tok_len;
    char *raw;          /* text that came as base64 */
    struct knobs knobs;
};

/* Appends op's line, its '\n' included, to out. */
void record_write(const struct story_op *op, struct bytes *out);

/* Reads a line (without '\n'; a final '\r' is overlooked) into rec; `now`:
 * the knobs before it. false, nothing to free: checksum wrong, no JSON, or
 * members of the wrong kind. A type not known here gives OP_OTHER. */
bool record_read(const char *line, size_t len, const struct knobs *now,
                 struct record *rec);
void record_finish(struct record *rec);

/* Finds whole records in a damaged line, which may hold several or the rest
 * of one before a whole one: the next at or after *at. false: no more. */
bool record_salvage(const char *line, size_t len, size_t *at, size_t *from,
                    size_t *to);

#endif
