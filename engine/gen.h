/* engine/gen.h  A generator turns a prompt into a stream of events. A door of
 * the engine.
 *
 * The engine on its worker thread (worker.c) is one; a server far away may be
 * another (struct gen_ops). Every function is called from one thread (main) and
 * none of them waits. Copies cross the border; every event carries the serial
 * of its request; events of an older serial are dropped by the reader.
 */
#ifndef JIELONG_GEN_H
#define JIELONG_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/knobs.h"
#include "engine/model.h"

struct gen;

/* A stretch of the prompt of one origin, in order. */
struct prompt_span {
    const char *text;  /* UTF-8 as far as the writer's is; always present */
    size_t len;
    const int *ids;    /* exact ids if a model wrote it, else NULL */
    size_t n_ids;
    const char *tok;   /* 64 hex: tokenizer those ids belong to; else NULL.
                        * Another model's ids are ignored, the text is used */
};

enum gen_kind {
    GEN_RUN,  /* write on after the prompt */
    GEN_READ, /* only read the prompt in advance (READING, then END) */
    GEN_PEEK  /* the distribution at the pen, after reading what is needed */
};

/* A setting that was turned in mid-run: first obeyed by token i. */
struct knobs_turn {
    uint32_t i;
    struct knobs set;
};

struct gen_request {
    enum gen_kind kind;
    /* From the window's start (byte win_at of the story) to the pen. A
     * request never carries text before the window. */
    const struct prompt_span *spans;
    size_t n_spans;
    size_t win_at;
    struct knobs knobs;
    uint64_t seed;       /* decided by the caller, also when random */
    uint32_t run, br;    /* doc/sampling.md */
    uint32_t i0;         /* index of the first token to write */
    int64_t length_left; /* of the length knob; what a continued run has left */
    int n_lanes;         /* of a RUN: 1 .. GEN_LANES_MAX, see below */
    int n_peek;          /* PEEK: how many candidates */
    /* A run that was written before, once more: the settings turned in
     * mid-run, by rising i, and the story's byte where the window started at
     * the first token; it is win_at, or where the rule had moved it to. */
    bool again;
    const struct knobs_turn *turns;
    size_t n_turns;
    size_t win_to;
};

/* Lanes: a RUN with n_lanes N writes N continuations of one prompt at once.
 * Lane j draws as branch br + j, with a window, stopper and detokeniser of its
 * own, and gets the tokens that it would get in a request of its own. Its
 * TOKEN, WINDOW and END carry `lane` = j; END comes once for each lane, and
 * the request is over after the last one. READING is told once, and so is
 * KNOBS, which holds for all lanes from the same token index on and stands
 * between the tokens it parts in each of them. FAILED of a lane says what went
 * wrong with it, or with it and all that end after it. A cancel or another
 * request ends all lanes, gen_keep_lane() all but one. */
#define GEN_LANES_MAX 64

enum gen_event_type {
    GEN_LOADING, /* loading.done of loading.total bytes */
    GEN_LOADED,  /* the model is there: gen_model() is not NULL from now on */
    GEN_HASHED,  /* hashes are known */
    GEN_READING, /* reading.done of reading.total tokens of the prompt; once
                  * at least, with all done, before the first token */
    GEN_TOKEN,
    GEN_WINDOW,  /* the window's start moved to byte window.at before token i */
    GEN_KNOBS,   /* the knobs sent last hold from token i on */
    GEN_PEEKED,
    GEN_END,
    GEN_FAILED   /* of serial 0: the model could not be loaded; of a request:
                  * what went wrong, and its END (why error) follows */
};

enum gen_why { /* why a run ended; names in gen_why_name() */
    GEN_WHY_NONE, GEN_WHY_LENGTH, GEN_WHY_SENTENCE, GEN_WHY_PARAGRAPH,
    GEN_WHY_EOS, GEN_WHY_STOP, GEN_WHY_USER, GEN_WHY_EDIT, GEN_WHY_LOOP,
    GEN_WHY_ERROR, GEN_WHY_COUNT
};
/* "length" "sentence" ... as the journal writes them. */
const char *gen_why_name(enum gen_why w);
enum gen_why gen_why_find(const char *name); /* NONE when unknown */

struct peek_row {
    int id;
    char text[32];         /* for a person: vocab_show */
    float p_before, p_after; /* probabilities; after is 0 when cut */
    enum knob_stage cut;   /* STAGE_NONE: kept */
};

struct gen_event {
    enum gen_event_type type;
    uint32_t serial; /* of the request; 0: of the generator itself */
    int lane;
    union {
        struct { size_t done, total; } loading;
        struct { int done, total; } reading;
        struct {
            uint32_t i;    /* index in the run */
            int id;
            float lp, q;
            char *text;    /* whole characters completed; may be empty; freed
                            * by gen_event_finish; NUL-terminated */
            size_t len;
        } token;
        struct { uint32_t i; size_t at; } window;
        struct { uint32_t i; uint32_t knobs_serial; } knobs;
        struct {
            struct peek_row *rows; /* freed by gen_event_finish */
            size_t n;
            double entropy;        /* bits, after the knobs */
            int n_kept;
            uint32_t i;            /* index of the token these would become */
        } peek;
        struct {
            enum gen_why why;
            uint32_t n;            /* tokens written in this request */
            unsigned char tail[4]; /* bytes of an unfinished character */
            size_t n_tail;
            double seconds;        /* from first token to the end */
        } end;
        struct model_hashes hashes;
        struct err err;            /* FAILED */
    } u;
};

/* Starts the worker, which loads the model at once (LOADING..., LOADED or
 * FAILED with serial 0) and then takes requests; one submitted earlier waits
 * for it. Of opt (may be NULL) `vocab`, `type`, `fast`, `no_vocab_needed` and
 * `cache_limit` are copied, `finishes_until` is borrowed till gen_free(), and
 * the rest is not looked at: LOADING tells the progress. n_threads 0: as many
 * as the machine has. Never fails for reasons of the model: those arrive as an
 * event. */
struct gen *gen_local(const char *model_path, const struct model_options *opt,
                      int n_threads);
/* Cancels, joins the thread, frees. Events not yet read are dropped. */
void gen_free(struct gen *g);

/* Copied; replaces (cancels) what runs. Returns the request's serial, > 0.
 * The replaced run's END (why user) is still delivered, with its own
 * serial. */
uint32_t gen_submit(struct gen *g, const struct gen_request *req);
/* Ends the running or waiting request, if any: END with why user. Takes
 * effect within one layer. */
void gen_cancel(struct gen *g);
/* Reaches the next token of request `serial`; answered by KNOBS. Returns a
 * number that the event repeats in knobs_serial. */
uint32_t gen_knobs(struct gen *g, uint32_t serial, const struct knobs *k);
/* Only this lane of request `serial` goes on: the others END with why user
 * before their next token and take no share of the passes any more. Nothing
 * happens when the request is over. */
void gen_keep_lane(struct gen *g, uint32_t serial, int lane);
/* Readable while events wait (an eventfd; do not read it yourself). */
int gen_fd(const struct gen *g);
/* Moves the next event out; false when there is none. */
bool gen_next(struct gen *g, struct gen_event *ev);
void gen_event_finish(struct gen_event *ev);
/* The loaded model (constant, shared) or NULL before LOADED. */
const struct model *gen_model(const struct gen *g);

/* --- for tests and for the remote generator: a generator by table --- */

struct gen_ops {
    void (*free)(struct gen *g);
    uint32_t (*submit)(struct gen *g, const struct gen_request *req);
    void (*cancel)(struct gen *g);
    uint32_t (*knobs)(struct gen *g, uint32_t serial, const struct knobs *k);
    void (*keep_lane)(struct gen *g, uint32_t serial, int lane);
    int (*fd)(const struct gen *g);
    bool (*next)(struct gen *g, struct gen_event *ev);
    const struct model *(*model)(const struct gen *g);
};
struct gen { /* first member of every implementation */
    const struct gen_ops *ops;
};

/* --- stop rules that look at text: shared with remote generators --- */

#define STOP_EXTRA_MAX 20  /* tokens past the length, for the sentence's end */
#define LOOP_CHARS_MAX 64  /* longest stretch that counts as a loop */

/* Watches one stream of tokens. What it has not settled may not be painted
 * yet: a token that may be the beginning of a stop string, or that came after
 * what looks like the end and does not tell yet (an unfinished character).
 * The caller keeps such tokens in a queue, in order. */
struct stopper {
    enum stop_at stop_at;
    int64_t length;     /* of the knob that `left` was counted from */
    int64_t left;       /* tokens still to come; negative: past the length */
    int64_t min_length; /* tokens before the end of text may come */
    int64_t extra;      /* tokens written since it was reached */
    bool sentence_done; /* the run has finished its first sentence */
    int at;             /* enum sentence_at: where the text stands */
    bool quote_open;
    char stop[KNOB_TEXT_MAX];        /* stop strings, unescaped, one after */
    size_t n_stop[KNOB_TEXT_MAX / 2]; /* the other; the length of each */
    size_t n_stops;
    char *text;         /* owned: the unsettled text */
    size_t n_text, cap_text;
    size_t *len;        /* owned: bytes of each unsettled token */
    size_t n_len, cap_len;
    size_t n_end;       /* unsettled tokens that stand before the end */
    uint32_t last[3 * LOOP_CHARS_MAX]; /* the last characters of the run */
    size_t n_last;
};

struct stop_verdict {
    enum gen_why why; /* NONE: go on */
    size_t settled;   /* so many tokens from the queue's front may be painted */
    size_t cut;       /* why STOP: of the token after those, this many bytes
                       * stand before the stop string. All else is dropped */
};

/* left: tokens of the length knob still to come. before: the text in front
 * (its last line is enough); borrowed during the call. */
void stopper_init(struct stopper *s, const struct knobs *k, int64_t left,
                  const char *before, size_t n_before);
/* New knobs in mid-run: what the length knob grew by is still to come. */
void stopper_knobs(struct stopper *s, const struct knobs *k);
/* Tells of one token and the whole characters it completed (maybe none).
 *
 * A sentence's end is known only when the next character neither ends nor
 * closes anything (closing quotes and brackets belong to the sentence): the
 * run then ends in front of the token just told, which is dropped. A line
 * break ends sentence and paragraph at once.
 * Loops: the last 3 L characters of this run repeat with period L for some
 * 2 <= L <= 64, or the last six are equal. */
struct stop_verdict stopper_add(struct stopper *s, const char *text,
                                size_t len);
/* Is the run over as it stands, without another token? (Nothing was left of
 * the length, or the knob was turned below what is written.) */
enum gen_why stopper_now(const struct stopper *s);
/* May the next token be the end of text? Not before the run has finished its
 * first sentence and is as long as min-length says. */
bool stopper_may_end(const struct stopper *s);
void stopper_finish(struct stopper *s);

#endif
