/* src/turn.c  The writer's side of a turn: keys, steps, versions, the clock.
 *
 * Two kinds of step can be open, never both: a typing step of the writer, or
 * the node of a run. A run is more than a node: when the writer types
 * elsewhere its node ends, and after a pause the run goes on as a new one.
 * `struct run` is that whole run.
 *
 * What the writer saw when a key was pressed is what the key acts on: tokens
 * that wait in the generator and were not yet drained by turn_poll() are
 * dropped when a key ends the run, and drawn again (same seed, same index)
 * when it goes on.
 */
#include "src/turn.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/mem.h"

#include "src/i18n.h"
#include "src/turn_state.h"

#define STEP_PAUSE_MS  1000 /* ends a typing step */
#define KNOB_SETTLE_MS 1000 /* a knob turned between runs is journalled */

/* --- small things --- */

int64_t
turn_wall_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool
turn_read_only(const struct turn *t)
{
    return storyfile_state(t->f) == STORYFILE_READ_ONLY;
}

void
turn_close_step(struct turn *t)
{
    if (t->step != STEP_NONE)
        storyfile_commit(t->f);
    t->step = STEP_NONE;
    t->step_node = 0;
}

/* Is there anything in the story? A setting alone makes no file. */
static bool
begun(const struct turn *t)
{
    return story_head(t->s) != 0 || story_redo_target(t->s) != 0;
}

static void
touch(struct turn *t, int64_t now)
{
    t->last_key = now;
    t->read_wanted = true;
}

const struct knobs *
turn_knobs(const struct turn *t)
{
    return &t->knobs;
}

void
turn_set_knobs(struct turn *t, const struct knobs *k)
{
    if (knobs_equal(k, &t->knobs))
        return;
    t->run.total += k->length - t->knobs.length;
    for (int i = 0; i < t->lanes.n; i++)
        t->lanes.v[i].total += k->length - t->knobs.length;
    t->knobs = *k;
    if (t->run.phase == RUN_ACTIVE || turn_lanes_write(t)) {
        turn_run_knobs(t, true);
    } else if (t->polled) {
        t->turned = true;
        t->turned_at = t->now;
    }
}

bool
turn_may_write(const struct turn *t, struct err *err)
{
    if (turn_read_only(t))
        return err_set(err, ERR_STORY, "%s", storyfile_message(t->f));
    if (!t->st.model_failed)
        return true;
    if (err)
        *err = t->st.model_err;
    return err_wrap(err, "%s", _("the model cannot write"));
}

bool
turn_continue(struct turn *t, int64_t now, struct err *err)
{
    struct run r = { 0 };

    if (!turn_may_write(t, err))
        return false;
    t->last_key = now;
    turn_leave(t);
    if (t->run.phase != RUN_NONE && t->caret == t->run.pen) {
        t->run.total += t->knobs.length;
        if (t->run.phase == RUN_ACTIVE)
            turn_run_knobs(t, false);
        return true;
    }
    turn_run_end(t, GEN_WHY_USER);
    r.run = story_runs(t->s) + 1;
    turn_run_start(t, &r, t->caret);
    return true;
}

bool
turn_stop(struct turn *t)
{
    if (t->run.phase == RUN_NONE && !turn_lanes_write(t))
        return false;
    turn_run_end(t, GEN_WHY_USER);
    return true;
}

/* --- moving between versions --- */

bool
turn_go_to(struct turn *t, uint64_t node)
{
    struct story_op op = { .type = OP_HEAD, .to = node };

    turn_close_step(t);
    if (!story_apply(t->s, &op, NULL))
        return false;
    t->caret = op.change.at + op.change.len;
    t->read_wanted = true;
    return true;
}

/* The first number free among the versions of this run under one parent. */
static uint32_t
next_br(const struct turn *t, const struct node_info *of)
{
    uint64_t some[1], *all;
    size_t n = story_siblings(t->s, of->n, some, 1, NULL);
    uint32_t br = of->br;

    all = xcalloc(n + 1, sizeof *all);
    story_siblings(t->s, of->n, all, n, NULL);
    for (size_t i = 0; i < n; i++) {
        struct node_info other;

        if (story_node(t->s, all[i], &other) && other.kind == NODE_RUN &&
            other.run == of->run && other.br > br)
            br = other.br;
    }
    free(all);
    return br + 1;
}

bool
turn_retry(struct turn *t, int64_t now, struct err *err)
{
    struct node_info n;
    struct run r = { 0 };

    if (!turn_may_write(t, err))
        return false;
    if (turn_n_candidates(t) > 0)
        return turn_candidates(t, now, err);
    if (t->run.phase == RUN_ACTIVE && !t->run.node)
        return true; /* it has not written anything yet */
    if (!story_node(t->s, story_head(t->s), &n) || n.kind != NODE_RUN)
        return err_set(err, ERR_USAGE, "%s",
                       _("the last step is yours: nothing to write again"));
    t->last_key = now;
    turn_run_end(t, GEN_WHY_USER);
    r.run = n.run;
    r.br = next_br(t, &n);
    r.i = n.i0;
    r.begun = n.cont;
    turn_go_to(t, n.parent);
    t->caret = n.at;
    turn_run_start(t, &r, n.at);
    return true;
}

bool
turn_undo(struct turn *t)
{
    bool asked = turn_n_candidates(t) > 0 ||
                 (t->run.phase == RUN_ACTIVE && !t->run.node);

    if (turn_read_only(t))
        return false;
    turn_run_end(t, GEN_WHY_USER);
    turn_leave(t);
    if (asked)
        return true; /* only what was asked for is undone */
    return story_undo_target(t->s) != story_head(t->s) &&
           turn_go_to(t, story_undo_target(t->s));
}

bool
turn_redo(struct turn *t)
{
    uint64_t to = story_redo_target(t->s);

    if (turn_read_only(t) || to == story_head(t->s))
        return false;
    turn_run_end(t, GEN_WHY_USER);
    turn_leave(t);
    return turn_go_to(t, to);
}

bool
turn_sibling(struct turn *t, int step)
{
    uint64_t head = story_head(t->s), to, some[1], *all;
    size_t self = 0, n = story_siblings(t->s, head, some, 1, &self);

    if (turn_read_only(t) || n < 2 || (step < 0 && self == 0) ||
        (step > 0 && self + 1 >= n))
        return false;
    all = xcalloc(n, sizeof *all);
    story_siblings(t->s, head, all, n, &self);
    to = all[step < 0 ? self - 1 : self + 1];
    free(all);
    turn_run_end(t, GEN_WHY_USER);
    turn_leave(t);
    return turn_go_to(t, to);
}

/* --- keys --- */

/* The writer goes on: how the last run ended is no news any more. */
static void
forget_end(struct turn *t)
{
    if (t->run.phase == RUN_NONE)
        t->st.last_why = GEN_WHY_NONE;
}

/* A key is about to change [at, at+del) into ins bytes. Inside what the run
 * writes, or at the pen, the writer takes over; elsewhere the run waits. */
static void
pause_or_end(struct turn *t, size_t at, size_t del, size_t ins, int64_t now)
{
    struct run *r = &t->run;
    bool inside = at < r->pen && (del ? at + del > r->start : at > r->start);

    if (r->phase == RUN_NONE)
        return;
    if (inside || (ins && at == r->pen)) {
        turn_run_end(t, GEN_WHY_EDIT);
        return;
    }
    turn_run_pause(t, now);
}

/* One change of the text: extends the open step, or opens one. */
static bool
change(struct turn *t, enum step step, size_t at, size_t del, const char *s,
       size_t len, int64_t now)
{
    struct story_op op = { .type = OP_EDIT,
                           .at = at,
                           .del = del,
                           .s = s,
                           .len = len,
                           .who = TEXT_ME };
    bool goes_on = step != STEP_NONE && step == t->step &&
                   now - t->step_key < STEP_PAUSE_MS &&
                   story_open_node(t->s) == t->step_node &&
                   story_head(t->s) == t->step_node;

    if (turn_read_only(t))
        return false;
    forget_end(t);
    turn_lanes_end(t, GEN_WHY_EDIT);
    turn_leave(t);
    pause_or_end(t, at, del, len, now);
    if (goes_on) {
        op.type = OP_ADD;
        op.of = t->step_node;
    } else {
        turn_close_step(t);
        turn_settle_knobs(t);
        op.p = story_head(t->s);
        op.w = turn_wall_ms();
    }
    if (!story_apply(t->s, &op, NULL))
        return false;
    if (!goes_on)
        t->step_node = op.n;
    t->step = step;
    t->step_key = now;
    t->run.start = story_shift(&op, t->run.start, false);
    t->run.pen = story_shift(&op, t->run.pen, false);
    t->run.win = story_shift(&op, t->run.win, true);
    t->caret = at + len;
    touch(t, now);
    return true;
}

bool
turn_type(struct turn *t, const char *s, size_t len, int64_t now)
{
    if (!len || !change(t, STEP_TYPE, t->caret, 0, s, len, now))
        return false;
    if (memchr(s, '\n', len))
        turn_close_step(t);
    return true;
}

bool
turn_paste(struct turn *t, const char *s, size_t len, int64_t now)
{
    return len && change(t, STEP_NONE, t->caret, 0, s, len, now);
}

bool
turn_delete(struct turn *t, size_t at, size_t len, int64_t now)
{
    size_t end = text_len(story_text(t->s));
    enum step step = STEP_NONE;

    if (at >= end || !len)
        return false;
    if (len > end - at)
        len = end - at;
    if (at + len == t->caret)
        step = STEP_BACK;
    else if (at == t->caret)
        step = STEP_DEL;
    return change(t, step, at, len, "", 0, now);
}

bool
turn_replace(struct turn *t, size_t at, size_t del, const char *s, size_t len,
             int64_t now)
{
    size_t end = text_len(story_text(t->s));

    if (at > end || (!del && !len))
        return false;
    if (del > end - at)
        del = end - at;
    return change(t, STEP_NONE, at, del, s, len, now);
}

size_t
turn_caret(const struct turn *t)
{
    return t->caret;
}

size_t
turn_pen(const struct turn *t)
{
    return t->run.phase == RUN_NONE ? TEXT_NONE : t->run.pen;
}

void
turn_set_caret(struct turn *t, size_t at, int64_t now)
{
    size_t end = text_len(story_text(t->s));

    if (at > end)
        at = end;
    if (at == t->caret)
        return;
    turn_close_step(t);
    t->caret = at;
    touch(t, now);
    if (t->run.phase == RUN_WAITING)
        t->run.resume_at = now + TURN_WAIT_MS;
}

/* --- the clock --- */

static bool
knobs_wait(const struct turn *t)
{
    return t->turned && t->run.phase != RUN_ACTIVE && !turn_lanes_write(t) &&
           begun(t) && !turn_read_only(t);
}

static bool
wants_reading(const struct turn *t)
{
    return t->read_wanted && t->run.phase == RUN_NONE && !turn_lanes_write(t) &&
           t->st.model_loaded && t->caret > 0;
}

bool
turn_poll(struct turn *t, int64_t now)
{
    bool visible = turn_drain(t, now);

    t->polled = true;
    t->now = now;
    if (t->step != STEP_NONE && now - t->step_key >= STEP_PAUSE_MS)
        turn_close_step(t);
    if (knobs_wait(t) && now - t->turned_at >= KNOB_SETTLE_MS)
        turn_settle_knobs(t);
    if (t->run.phase == RUN_WAITING && now >= t->run.resume_at) {
        turn_run_submit(t);
        visible = true;
    }
    if (wants_reading(t) && now - t->last_key >= TURN_WAIT_MS) {
        turn_read_ahead(t);
    }
    return visible;
}

static void
sooner(int64_t *best, int64_t at, int64_t now)
{
    int64_t wait = at > now ? at - now : 0;

    if (*best < 0 || wait < *best)
        *best = wait;
}

int
turn_timeout(const struct turn *t, int64_t now)
{
    int64_t best = -1;

    if (t->step != STEP_NONE)
        sooner(&best, t->step_key + STEP_PAUSE_MS, now);
    if (knobs_wait(t))
        sooner(&best, t->turned_at + KNOB_SETTLE_MS, now);
    if (t->run.phase == RUN_WAITING)
        sooner(&best, t->run.resume_at, now);
    if (wants_reading(t))
        sooner(&best, t->last_key + TURN_WAIT_MS, now);
    return (int)best;
}

/* --- status, birth and death --- */

static enum turn_state
state_now(const struct turn *t)
{
    bool lanes = turn_lanes_write(t);
    uint32_t n = t->run.n;

    if (t->run.phase == RUN_NONE && !lanes)
        return TURN_IDLE;
    if (t->run.phase == RUN_WAITING)
        return TURN_WAITING;
    if (!t->st.model_loaded)
        return TURN_LOADING;
    for (int i = 0; i < t->lanes.n; i++)
        n += t->lanes.v[i].n;
    return n ? TURN_WRITING : TURN_READING;
}

void
turn_get_status(const struct turn *t, struct turn_status *out)
{
    bool running = t->run.phase != RUN_NONE;
    uint64_t one[1];
    size_t self = 0;

    *out = t->st;
    out->state = state_now(t);
    out->window_used = (int)(t->used_base + t->run.n);
    if (out->window_size && out->window_used > out->window_size)
        out->window_used = out->window_size;
    out->window_at = running ? t->run.win : story_window(t->s, t->caret);
    out->after_unseen = running && t->run.pen < text_len(story_text(t->s));
    out->n_next = story_children(t->s, story_head(t->s));
    out->n_siblings = story_siblings(t->s, story_head(t->s), one, 1, &self);
    out->sibling = self + 1;
}

struct turn *
turn_new(struct storyfile *f, struct gen *g)
{
    struct turn *t = xcalloc(1, sizeof *t);

    t->f = f;
    t->s = storyfile_story(f);
    t->g = g;
    t->caret = text_len(story_text(t->s));
    t->knobs = *story_knobs(t->s);
    t->read_wanted = true;
    return t;
}

void
turn_set_gen(struct turn *t, struct gen *g)
{
    const struct model *m = gen_model(g);

    turn_run_end(t, GEN_WHY_USER);
    turn_leave(t);
    t->g = g;
    t->hashed = false; /* of this model nothing is known or recorded yet */
    t->bare_model = 0;
    t->read_wanted = true;
    t->read_serial = 0;
    t->used_base = 0;
    t->st.model_loaded = m != NULL;
    t->st.model_failed = false;
    t->st.window_size = m ? model_info(m)->n_pos : 0;
    t->st.load_done = t->st.load_total = 0;
    t->st.read_done = t->st.read_total = 0;
}

void
turn_free(struct turn *t)
{
    if (!t)
        return;
    turn_run_end(t, GEN_WHY_USER);
    if (knobs_wait(t))
        turn_settle_knobs(t);
    turn_close_step(t);
    free(t->pending);
    turn_run_finish(&t->run);
    for (int i = 0; i < TURN_CANDIDATES_MAX; i++)
        turn_run_finish(&t->lanes.v[i]);
    free(t);
}
