/* engine/sentence.h  Where a sentence ends, character by character. Inside
 * the engine; pure, any thread. The rule is doc/sampling.md, "Length and
 * stop". */
#ifndef JIELONG_SENTENCE_H
#define JIELONG_SENTENCE_H

#include <stdbool.h>
#include <stdint.h>

enum sentence_at {
    SENTENCE_MID, /* in the middle of one */
    SENTENCE_DOT, /* behind a "."; an end if white space follows */
    SENTENCE_END, /* behind 。！？… and what closes with it */
    SENTENCE_LINE /* behind a line break */
};

struct sentence {
    enum sentence_at at;
    bool quote_open; /* an odd number of '"' in this line */
};

/* Steps over one character (UNI_BAD for an ill-formed byte). Returns true
 * when a sentence is finished by now: also for the white space that makes an
 * end of a "." before it. */
bool sentence_add(struct sentence *s, uint32_t cp);
/* Would `next` end or go on with what stands: is there a boundary of
 * sentences in front of it? */
bool sentence_breaks_before(const struct sentence *s, uint32_t next);

#endif
