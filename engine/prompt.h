/* engine/prompt.h  What the model reads: text and exact ids become the tokens
 * of the window, and the rule that moves the window's start.
 *
 * A prompt holds the text from the window's start to the pen and, behind it,
 * what the run in hand has written. Stretches that a model with the same
 * tokenizer wrote keep their exact ids; everything else is encoded. Belongs
 * to one thread. Offsets are bytes into that text; story offsets are told
 * apart by name (`story`).
 */
#ifndef JIELONG_PROMPT_H
#define JIELONG_PROMPT_H

#include "engine/gen.h"
#include "engine/tokenizer.h"

struct id_run; /* a stretch with exact ids */

struct prompt {
    const struct vocab *vocab; /* borrowed */
    const char *tok_hash;      /* borrowed */
    int P;                     /* positions of the model */
    char *text;
    size_t len, cap;
    struct id_run *runs; /* in order, not overlapping */
    size_t n_runs, cap_runs;
    size_t story;       /* story offset of text[0] */
    size_t win;         /* where the window starts */
    struct tok_ids tok; /* the window's tokens, at most P after a fit */
    bool next_known;
    size_t next_win;     /* where the next window will start */
    struct tok_ids next; /* its tokens so far */
};

void prompt_init(struct prompt *p, const struct vocab *v, const char *tok_hash,
                 int P);
void prompt_finish(struct prompt *p);

/* Takes the request's spans (copied) in place of all that was there, and moves
 * the window's start if they do not fit; *moved tells. Where it was moved for
 * the request before, from the same `story`, it is moved to again. */
bool prompt_set(struct prompt *p, const struct prompt_span *spans, size_t n,
                size_t story, bool *moved, struct err *err);
/* The next prompt_set() from `story` shall stay at this start, a story offset
 * too, if it has to move at all and the start serves. */
void prompt_stay(struct prompt *p, size_t story, size_t win);
/* One token that the run wrote, and the text it completed. */
void prompt_add(struct prompt *p, int id, const char *text, size_t len);
/* Where prompt and run have outgrown the P positions: moves the start behind
 * the first quarter of the tokens, to the first paragraph or else sentence
 * boundary in the second quarter, else to a character; *moved tells. */
bool prompt_fit(struct prompt *p, bool *moved, struct err *err);
/* The tokens that prompt_fit would leave if it had to move now: known as soon
 * as three quarters of the P positions are filled, for only the first half
 * decides. Grows with prompt_add. NULL before that, and on failure (err, kind
 * set). Borrowed till the next call. */
const struct tok_ids *prompt_next(struct prompt *p, struct err *err);
/* dst, initialised, becomes a prompt of its own with the same contents. */
void prompt_copy(struct prompt *dst, const struct prompt *src);
/* Story offset of the window's start. */
size_t prompt_window(const struct prompt *p);
/* The last bytes before the pen, whole characters; borrowed. */
const char *prompt_tail(const struct prompt *p, size_t most, size_t *len);

#endif
