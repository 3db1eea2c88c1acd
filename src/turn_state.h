/* src/turn_state.h  Inside of struct turn, for turn.c, turn_run.c and
 * turn_lanes.c alone.
 *
 * turn.c has the writer's side (keys, steps, versions, the clock), turn_run.c
 * the model's (runs, knobs, requests, events), turn_lanes.c the candidates.
 * Main thread.
 */
#ifndef JIELONG_TURN_STATE_H
#define JIELONG_TURN_STATE_H

#include "src/turn.h"

#define TURN_WAIT_MS 300 /* a run goes on; the prompt is read in advance */

enum step { STEP_NONE, STEP_TYPE, STEP_BACK, STEP_DEL };

/* Tokens drained and not yet applied: those of one frame are one record. */
struct drained {
    struct op_token *tok;
    uint32_t *tok_len;
    size_t n_tok, cap_tok, cap_tok_len;
    char *text;
    size_t n_text, cap_text;
};

struct run {
    enum { RUN_NONE, RUN_ACTIVE, RUN_WAITING } phase;
    uint32_t serial; /* of the request; 0 while waiting */
    int lane;        /* which one of the request's */
    bool aside;      /* a candidate: the writer stands at its parent */
    uint64_t node;   /* its open node; 0 before the first token */
    bool begun;      /* some node of this run exists: the next is a cont */
    uint64_t seed;
    uint32_t run, br;
    uint32_t i;        /* index of the next token */
    int64_t total;     /* tokens of the length knob, and of every further Tab */
    size_t start, pen; /* what it wrote lies between */
    size_t win;
    int64_t resume_at; /* WAITING */
    int64_t first_at;  /* time and count of what this request wrote: speed */
    uint32_t n;
    double lp; /* sum of the log-probabilities of those */
    struct drained d;
};

/* Candidates on show, and those that still write: all children of the head. */
struct lanes {
    struct run v[TURN_CANDIDATES_MAX]; /* by lane; phase NONE: it has ended */
    uint64_t node[TURN_CANDIDATES_MAX]; /* also after the end; 0: no token */
    int n;            /* 0: none are on show */
    int batch;        /* how often they were dealt here, from 1 */
    uint32_t run, br; /* of the first */
    size_t at;
    uint64_t parent, seed;
};

/* A setting on its way to the worker; journalled when it takes effect. */
struct pending_knobs {
    uint32_t serial;
    struct knobs set;
};

struct turn {
    struct storyfile *f;
    struct story *s;
    struct gen *g;
    size_t caret;
    int64_t last_key;
    int64_t now; /* of the last call that told the time */

    enum step step;
    uint64_t step_node;
    int64_t step_key; /* time of the step's last key */

    struct run run;
    struct lanes lanes;
    bool read_wanted; /* the text or caret changed since it was last read */
    uint32_t read_serial;

    struct knobs knobs; /* as the writer has them; story_knobs(): as the
                            * journal has them */
    struct knobs table; /* the last full table written here, number k */
    uint32_t k;         /* 0: none written here yet */
    bool polled;
    bool turned; /* by the writer, and not yet journalled */
    int64_t turned_at;
    struct knobs held; /* what the worker obeys in the run */
    struct pending_knobs *pending;
    size_t n_pending, cap_pending;

    bool hashed;
    struct model_hashes hashes;
    uint32_t bare_model; /* number of a model recorded without its hashes */

    struct turn_status st; /* what events tell; the rest is filled on demand */
    size_t used_base;      /* tokens of the prompt as last read */
};

/* --- turn.c --- */
int64_t turn_wall_ms(void); /* since 1970, for the records */
bool turn_read_only(const struct turn *t);
void turn_close_step(struct turn *t);
/* May the model write here? */
bool turn_may_write(const struct turn *t, struct err *err);
/* The head moves; the caret goes where the text differs. */
bool turn_go_to(struct turn *t, uint64_t node);

/* --- turn_lanes.c --- */

/* Does any candidate still write? */
bool turn_lanes_write(const struct turn *t);
/* Those that write end, all stay on show. */
void turn_lanes_end(struct turn *t, enum gen_why why);
/* One candidate's END came. */
void turn_lane_ended(struct turn *t, struct run *r, const struct gen_event *ev);

/* --- turn_run.c --- */

/* Sets all of a run but its request; `as` as for turn_run_start. */
void turn_run_begin(struct turn *t, struct run *r, const struct run *as,
                    size_t at);
uint64_t turn_choose_seed(const struct turn *t);
/* Submits a request for n runs that begin with r; *win: the window's start. */
uint32_t turn_run_request(struct turn *t, const struct run *r, int n,
                          size_t *win);
/* Applies the tokens drained so far, as one record. */
void turn_run_flush(struct turn *t, struct run *r);
/* The open node of a run ends; nothing when it has none. */
void turn_run_close(struct turn *t, struct run *r, enum gen_why why,
                    const unsigned char *tail, size_t n_tail);

/* Does the journal have the setting as the writer has it? And to write it. */
bool turn_knobs_settled(const struct turn *t);
void turn_settle_knobs(struct turn *t);
/* A new run at byte `at` with run, br, i, begun of `as`; all else is set. */
void turn_run_start(struct turn *t, const struct run *as, size_t at);
/* Submits the run's request from its pen on: at its start and after a pause. */
void turn_run_submit(struct turn *t);
/* The open node ends, the run waits till the writer pauses. */
void turn_run_pause(struct turn *t, int64_t now);
/* The run is over for good; nothing when none is. */
void turn_run_end(struct turn *t, enum gen_why why);
/* The knobs changed, or the length grew (journal false): tells the worker. */
void turn_run_knobs(struct turn *t, bool journal);
/* What a run may hold of memory. */
void turn_run_finish(struct run *r);
/* Asks for the prompt up to the caret to be read in advance. */
void turn_read_ahead(struct turn *t);
/* Takes all events that wait. Returns true when something visible changed. */
bool turn_drain(struct turn *t, int64_t now);

#endif
