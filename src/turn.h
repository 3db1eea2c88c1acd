/* src/turn.h  Taking turns: the writer's keys and the model's tokens on one
 * story. No terminal here: the page and the tests drive it alike.
 *
 * Holds the caret (the writer's position) and the pen (the model's), decides
 * what is one undo step, when a run pauses for the writer and goes on, and
 * turns the generator's events into ops. The rules are doc/story.md
 * ("Steps", "Writing while the model writes", "Caret and pen") and doc/sampling.md (lengths).
 * Main thread only; time is handed in (milliseconds of any monotonic clock).
 */
#ifndef JIELONG_TURN_H
#define JIELONG_TURN_H

#include "engine/gen.h"
#include "src/storyfile.h"

struct turn;

enum turn_state {
    TURN_IDLE,
    TURN_LOADING,  /* a run waits for the model to load */
    TURN_READING,  /* the model reads the prompt */
    TURN_WRITING,
    TURN_WAITING   /* a run waits till the writer pauses (300 ms) */
};

struct turn_status {
    enum turn_state state;
    bool model_loaded, model_failed;
    struct err model_err;        /* why it could not be loaded */
    struct err run_err;          /* why the last run failed (last_why error) */
    int read_done, read_total;   /* READING: tokens */
    size_t load_done, load_total;
    double tokens_per_second;    /* of the run that writes, or the last one */
    enum gen_why last_why;       /* how the last run ended; NONE: none yet */
    uint32_t last_n;             /* its tokens */
    uint64_t last_seed;
    int window_used, window_size;/* tokens in the model's window; 0 unknown */
    size_t window_at;            /* byte where the window starts */
    bool after_unseen;           /* text follows the pen: model can't see it */
    size_t sibling, n_siblings;  /* version here, from 1; n 0 or 1: only one */
    size_t n_next;               /* versions that follow this one */
};

/* f and g are borrowed. */
struct turn *turn_new(struct storyfile *f, struct gen *g);
/* Another model writes from now on: a run ends, what was written stays. g is
 * a generator whose model is loaded and whose LOADED event was taken; the old
 * one may be freed afterwards. Knobs, caret and story are as before. */
void turn_set_gen(struct turn *t, struct gen *g);
void turn_free(struct turn *t); /* stops a run, closes the open step */

void turn_get_status(const struct turn *t, struct turn_status *out);
size_t turn_caret(const struct turn *t);
size_t turn_pen(const struct turn *t); /* TEXT_NONE when no run is open */
/* The writer moved: closes a typing step; the caret leaves the pen. */
void turn_set_caret(struct turn *t, size_t at, int64_t now);

/* Keys that change the text. Each opens or extends a step. */
bool turn_type(struct turn *t, const char *s, size_t len, int64_t now);
bool turn_paste(struct turn *t, const char *s, size_t len, int64_t now);
/* Removes [at, at+len) (Backspace, Del, Ctrl-K ...); caret goes to at.
 * Successive Backspaces or Dels are one step. */
bool turn_delete(struct turn *t, size_t at, size_t len, int64_t now);
bool turn_replace(struct turn *t, size_t at, size_t del, const char *s,
                  size_t len, int64_t now); /* one step */

/* Tab. Caret at the pen of a run: one more length; elsewhere: a new run. */
bool turn_continue(struct turn *t, int64_t now, struct err *err);
bool turn_stop(struct turn *t); /* Esc; false when nothing ran */
bool turn_retry(struct turn *t, int64_t now, struct err *err); /* Ctrl-R */
bool turn_undo(struct turn *t); /* false at the root; stops a running one */
bool turn_redo(struct turn *t);
/* Previous (-1) or next (+1) version here. */
bool turn_sibling(struct turn *t, int step);

/* --- candidates: several continuations from the caret at once --- */

#define TURN_CANDIDATES_MAX 9

struct turn_candidate {
    uint64_t node;    /* of the story; 0: it has not written anything */
    bool open;        /* it still writes */
    uint32_t n_tok;
    double p;         /* geometric mean of its tokens' probabilities */
    enum gen_why why; /* NONE while open */
};

/* Shift-Tab: as many as the knob says, each a run aside; a run under way ends.
 * While some are on show: others in their place, which stay branches. The
 * writer stays at their parent till one is taken. Any key that changes the
 * text or moves to another version leaves them. */
bool turn_candidates(struct turn *t, int64_t now, struct err *err);
int turn_n_candidates(const struct turn *t); /* on show; 0: none */
/* Which batch is on show, from 1, and what it was drawn with. */
int turn_candidates_batch(const struct turn *t, uint64_t *seed);
/* i from 0. Its text is what the node brought. */
void turn_candidate(const struct turn *t, int i, struct turn_candidate *out);
/* The i-th becomes the story, and writes on where it still does; the others
 * end. false: there is none, or it has not written anything. */
bool turn_take(struct turn *t, int i);
/* None is taken; those that write end. false when none were on show. */
bool turn_leave(struct turn *t);

const struct knobs *turn_knobs(const struct turn *t);
void turn_set_knobs(struct turn *t, const struct knobs *k);

/* Drains the generator and the clock. Tokens of one call are one record.
 * Returns true when something visible changed. */
bool turn_poll(struct turn *t, int64_t now);
/* Milliseconds till turn_poll wants to be called without an event; -1. */
int turn_timeout(const struct turn *t, int64_t now);

#endif
