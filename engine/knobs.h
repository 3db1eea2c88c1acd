/* engine/knobs.h  The one table of knobs.  A door of the engine.
 *
 * Sampler, command line, config, panel, journal and remote generator all read
 * knob_rows[]: a new knob is one row (and, if it samples, one stage in
 * sampler.c). struct knobs is a plain value, copied across threads.
 */
#ifndef JIELONG_KNOBS_H
#define JIELONG_KNOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

#define KNOB_TEXT_MAX 256

enum knob_id {
    KNOB_TEMP,
    KNOB_TOP_K,
    KNOB_TOP_P,
    KNOB_TOP_P_RULE,
    KNOB_MIN_P,
    KNOB_REPEAT,
    KNOB_REPEAT_RANGE,
    KNOB_FREQUENCY,
    KNOB_PRESENCE,
    KNOB_LENGTH,
    KNOB_MIN_LENGTH,
    KNOB_STOP_AT,
    KNOB_CANDIDATES,
    KNOB_SEED,
    KNOB_ORDER,
    KNOB_BIAS, /* logit bias: "字=-2, id:17=1.5, 词=-inf" */
    KNOB_STOP, /* stop strings, "||" between them */
    KNOB_COUNT
};

/* Stages of the chain, in the order that knob `order` names. Bans and logit
 * bias always come first, the draw always last. */
enum knob_stage {
    STAGE_NONE, /* not part of the chain */
    STAGE_MASK, /* bans and bias: fixed first place */
    STAGE_REPEAT, /* "repeat": repetition, frequency, presence penalty */
    STAGE_TOP_K,
    STAGE_TOP_P,
    STAGE_MIN_P,
    STAGE_TEMP,
    STAGE_COUNT
};

enum knob_kind {
    KNOB_REAL,   /* double; may be infinite where the row says so */
    KNOB_INT,    /* int64 */
    KNOB_CHOICE, /* index into row->choices */
    KNOB_SEED64, /* random, or 0..2^64-1 */
    KNOB_STAGES, /* a permutation of the chain's stages */
    KNOB_STRING  /* UTF-8 up to KNOB_TEXT_MAX - 1 bytes */
};

/* Does the candidate that crosses top-p stay? */
enum top_p_rule { TOP_P_INCLUSIVE, TOP_P_EXCLUSIVE };
enum stop_at { STOP_AT_SENTENCE, STOP_AT_PARAGRAPH, STOP_AT_LENGTH, STOP_AT_NEVER };

/* A full setting. Compare with knobs_equal, not memcmp. */
struct knobs {
    double temp;       /* 0 greedy .. INFINITY uniform over what is left */
    int64_t top_k;     /* 0 off */
    double top_p;      /* 1 off */
    int64_t top_p_rule; /* enum top_p_rule */
    double min_p;      /* 0 off */
    double repeat;     /* 1 off */
    int64_t repeat_range; /* tokens looked back; 0 off */
    double frequency, presence; /* 0 off */
    int64_t length;    /* tokens */
    int64_t min_length; /* tokens before an end of text; 0: a sentence */
    int64_t stop_at;   /* enum stop_at */
    int64_t candidates; /* continuations written at once, where asked for */
    bool seed_random;
    uint64_t seed;     /* when not random */
    uint8_t order[STAGE_COUNT]; /* stages, STAGE_NONE ends the list */
    char bias[KNOB_TEXT_MAX];
    char stop[KNOB_TEXT_MAX];
};

struct knob_row {
    enum knob_id id;
    enum knob_kind kind;
    const char *name;    /* journal, config, --name: "top-k" */
    const char *alias;   /* further long option or NULL: "temp" */
    char letter;         /* short option or 0 */
    const char *label;   /* shown in the panel; N_() */
    const char *unit;    /* "字", "%"... or ""; N_() */
    double min, max, step;
    bool inf;            /* INFINITY is a value too, above max */
    double neutral;      /* value that changes nothing; NAN: none */
    double def;
    const char *const *choices; /* CHOICE: names, NULL ends */
    enum knob_stage stage;
    const char *help;    /* one line; N_() */
    size_t offset;       /* in struct knobs */
};

extern const struct knob_row knob_rows[KNOB_COUNT];

void knobs_default(struct knobs *k);
bool knobs_equal(const struct knobs *a, const struct knobs *b);
/* By name or alias, '_' and '-' alike; NULL when there is none. */
const struct knob_row *knob_find(const char *name);
/* The nearest name, for "did you mean"; NULL when nothing is near. */
const char *knob_nearest(const char *name);

/* Parses text ("0.9", "inf", "random", "sentence", "repeat,top-k,...") into
 * the knob; out of range or not a value: err (ERR_USAGE) that names the knob,
 * the range and the text, and *k unchanged. */
bool knob_parse(struct knobs *k, const struct knob_row *row, const char *text,
                struct err *err);
/* The value as text that knob_parse takes back to the same value. Returns
 * the length, truncated to cap as snprintf. */
int knob_format(const struct knobs *k, const struct knob_row *row, char *buf,
                size_t cap);
/* Turns the knob by n steps (negative: down), stopping at the ends; from max
 * one more step up is INFINITY where the row allows. CHOICE wraps. For seed:
 * random <-> locked is the step. Returns whether the value changed. */
bool knob_step(struct knobs *k, const struct knob_row *row, int n);
/* Back to the row's default. */
void knob_reset(struct knobs *k, const struct knob_row *row);
/* "repeat", "top-k" ... as knob `order` writes them; "mask", "none". */
const char *knob_stage_name(enum knob_stage stage);

/* One item of the bias knob. A text of several tokens acts on its last one,
 * where the ones before it have just been written. */
struct knob_bias {
    const char *text; /* borrowed from the knob; not NUL-terminated */
    size_t len;
    int id;           /* of "id:17=..."; -1: the text counts */
    double add;       /* -INFINITY bans; NAN: the item cannot be read */
};
/* Takes the next item from *at (start with *at = k->bias); false at the
 * end. */
bool knob_bias_next(const char **at, struct knob_bias *out);

/* --- presets (presets.c): the knobs of the chain under one name --- */

struct preset_row {
    const char *name, *alias; /* either is understood; alias may be NULL */
    const char *label;        /* shown; N_() */
    const char *set;          /* "temp=0.7 top-k=20": other knobs of the
                               * chain return to their defaults */
};
extern const struct preset_row preset_rows[];
extern const int n_presets;
/* By name or alias; NULL when there is none. */
const struct preset_row *preset_find(const char *name);
/* Is the knob one of those that a preset sets? */
bool preset_sets(const struct knob_row *row);
void preset_apply(struct knobs *k, const struct preset_row *p);
/* Which preset the knobs stand at, or -1. */
int preset_of(const struct knobs *k);

/* 0..1, where the value stands in its range, for a bar; -1: has no bar. */
double knob_fraction(const struct knobs *k, const struct knob_row *row);

#endif
