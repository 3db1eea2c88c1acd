/* src/replay.h  The runs of a story, written once more and compared.
 *
 * A run's record has all that its tokens depend on: the text before it (its
 * parent's), where the window started, seed, run, try, first index, and the
 * knobs, those turned in mid-run too. So the model that wrote it writes it
 * again, to the last bit of its log-probabilities, wherever the arithmetic
 * does not depend on the machine (num begins with "strict/"). Reads the file,
 * never writes. Main thread; the model runs on the generator's.
 */
#ifndef JIELONG_REPLAY_H
#define JIELONG_REPLAY_H

#include "src/story.h"

struct replay; /* a story and what its runs were made of */

struct replay_model { /* as the story names it; "" where it does not */
    uint32_t m;
    char *name, *sha, *cfg, *tok, *num;
};

struct replay_run {
    uint64_t node; /* number of its record */
    uint32_t m, run, br, i0;
    size_t n_tok;
    enum gen_why why; /* NONE: the program ended before it */
    bool whole;       /* false: records of it or of its text are lost */
};

/* NULL and err (ERR_STORY) when it is no story that can be read. */
struct replay *replay_open(const char *path, struct err *err);
void replay_free(struct replay *r);
/* One translated sentence about damage, or NULL. */
const char *replay_damage(const struct replay *r);
/* Runs in the order of their records. */
size_t replay_count(const struct replay *r);
void replay_run(const struct replay *r, size_t i, struct replay_run *out);
/* NULL when the story names none of this number. */
const struct replay_model *replay_model(const struct replay *r, uint32_t m);

/* Can a run by this arithmetic be compared at all? */
bool replay_is_strict(const char *num);
/* The type of weights that num ends in ("f32" ...), or NULL. */
const char *replay_type(const char *num);

enum replay_what { /* the first thing that is not as it was */
    REPLAY_EQUAL,
    REPLAY_TOKEN,   /* another token was drawn */
    REPLAY_NUMBERS, /* the token is the same, its probabilities are not */
    REPLAY_TEXT,    /* the tokens are the same, the text beside them is not */
    REPLAY_WINDOW,  /* the window's start moved elsewhere */
    REPLAY_SHORT,   /* the run ended before its last token */
    REPLAY_LONG     /* the run did not end where it did */
};
struct replay_found {
    enum replay_what what;
    size_t k;        /* token of the run's record, from 0 */
    uint64_t record; /* number of the record that has it */
    size_t at;       /* its byte in the text as that run left it */
    int want, got;   /* TOKEN: ids */
    float lp[2], q[2]; /* NUMBERS: wanted, got */
    size_t win[2];     /* WINDOW: bytes of the story; 0: none was moved */
    enum gen_why why[2]; /* SHORT, LONG */
};

/* Writes run i again on g, whose model is loaded and is the run's. false and
 * err when the run could not be made (out of memory, a broken model). */
bool replay_check(struct replay *r, size_t i, struct gen *g,
                  struct replay_found *out, struct err *err);

#endif
