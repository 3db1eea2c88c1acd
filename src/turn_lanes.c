/* src/turn_lanes.c  Candidates: several continuations of one text at once.
 *
 * They are lanes of one request, and runs aside in the story: siblings, drawn
 * with the next numbers of `br`. The writer stands at their parent while they
 * write and while they are on show. Taking one moves the head to its node;
 * when it still writes it becomes the run at the pen and its request goes on
 * for it alone, so that no token is drawn twice.
 */
#include <math.h>
#include <string.h>

#include "src/turn_state.h"

bool
turn_lanes_write(const struct turn *t)
{
    for (int i = 0; i < t->lanes.n; i++)
        if (t->lanes.v[i].phase == RUN_ACTIVE)
            return true;
    return false;
}

/* A lane is over; nothing more comes of it. */
static void
end_lane(struct turn *t, struct run *r, enum gen_why why,
         const unsigned char *tail, size_t n_tail)
{
    turn_run_close(t, r, why, tail, n_tail);
    r->phase = RUN_NONE;
    r->serial = 0;
}

static bool
any_written(const struct lanes *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->node[i])
            return true;
    return false;
}

/* After the last of them: how they ended is no news, but for an error. */
static void
all_ended(struct turn *t, enum gen_why why)
{
    t->n_pending = 0;
    t->st.last_why = why == GEN_WHY_ERROR ? why : GEN_WHY_NONE;
    t->st.last_n = 0;
    t->st.last_seed = t->lanes.seed;
    if (any_written(&t->lanes)) {
        turn_settle_knobs(t);
        storyfile_commit(t->f);
    } else {
        t->lanes.n = 0; /* there is nothing to show */
    }
}

void
turn_lanes_end(struct turn *t, enum gen_why why)
{
    if (!turn_lanes_write(t))
        return;
    gen_cancel(t->g);
    for (int i = 0; i < t->lanes.n; i++)
        if (t->lanes.v[i].phase == RUN_ACTIVE)
            end_lane(t, &t->lanes.v[i], why, NULL, 0);
    all_ended(t, why);
}

void
turn_lane_ended(struct turn *t, struct run *r, const struct gen_event *ev)
{
    turn_run_flush(t, r);
    end_lane(t, r, ev->u.end.why, ev->u.end.tail, ev->u.end.n_tail);
    if (!turn_lanes_write(t))
        all_ended(t, ev->u.end.why);
}

/* --- the writer's side --- */

bool
turn_leave(struct turn *t)
{
    bool shown = t->lanes.n > 0;

    turn_lanes_end(t, GEN_WHY_USER);
    t->lanes.n = 0;
    return shown;
}

/* Lanes of l->run from l->br on, and their request. */
static void
deal(struct turn *t, int n)
{
    struct lanes *l = &t->lanes;
    uint32_t serial;
    size_t win;

    l->seed = turn_choose_seed(t);
    l->parent = story_head(t->s);
    for (int i = 0; i < n; i++) {
        struct run as = { .run = l->run, .br = l->br + (uint32_t)i };

        turn_run_begin(t, &l->v[i], &as, l->at);
        l->v[i].seed = l->seed;
        l->v[i].lane = i;
        l->v[i].aside = true;
        l->v[i].phase = RUN_ACTIVE;
        l->v[i].d.n_tok = l->v[i].d.n_text = 0;
        l->node[i] = 0;
    }
    t->st.run_err.kind = ERR_NONE;
    serial = turn_run_request(t, &l->v[0], n, &win);
    for (int i = 0; i < n; i++) {
        l->v[i].serial = serial;
        l->v[i].win = win;
    }
    l->n = n;
}

bool
turn_candidates(struct turn *t, int64_t now, struct err *err)
{
    struct lanes *l = &t->lanes;
    bool again = l->n > 0 && l->at == t->caret;

    if (!turn_may_write(t, err))
        return false;
    t->last_key = now;
    if (again && !any_written(l))
        return true; /* they have not written anything yet */
    if (again) {
        l->batch++;
        l->br += (uint32_t)l->n;
    }
    turn_leave(t);
    turn_run_end(t, GEN_WHY_USER);
    turn_close_step(t);
    if (!again) {
        l->batch = 1;
        l->run = story_runs(t->s) + 1;
        l->br = 0;
        l->at = t->caret;
    }
    deal(t, (int)t->knobs.candidates);
    return true;
}

int
turn_n_candidates(const struct turn *t)
{
    return t->lanes.n;
}

int
turn_candidates_batch(const struct turn *t, uint64_t *seed)
{
    *seed = t->lanes.seed;
    return t->lanes.batch;
}

void
turn_candidate(const struct turn *t, int i, struct turn_candidate *out)
{
    const struct run *r = &t->lanes.v[i];
    struct node_info info;

    *out = (struct turn_candidate){ .node = t->lanes.node[i],
                                    .open = r->phase == RUN_ACTIVE,
                                    .n_tok = r->n };
    if (r->n > 0)
        out->p = exp(r->lp / r->n);
    if (out->node && story_node(t->s, out->node, &info))
        out->why = info.why;
}

/* The others of the request end in the story; it goes on for the one that was
 * taken, if that still writes. */
static void
end_others(struct turn *t, struct run *taken)
{
    bool writes = taken->phase == RUN_ACTIVE, others = false;

    for (int i = 0; i < t->lanes.n; i++) {
        struct run *r = &t->lanes.v[i];

        if (r == taken || r->phase != RUN_ACTIVE)
            continue;
        others = true;
        end_lane(t, r, GEN_WHY_USER, NULL, 0);
    }
    if (others && writes)
        gen_keep_lane(t->g, taken->serial, taken->lane);
    else if (others)
        gen_cancel(t->g);
}

bool
turn_take(struct turn *t, int i)
{
    struct lanes *l = &t->lanes;
    struct run *r = &l->v[i], was = t->run;
    size_t pen = r->pen;

    if (i < 0 || i >= l->n || !l->node[i])
        return false;
    end_others(t, r);
    if (r->phase == RUN_ACTIVE) {
        t->run = *r;
        t->run.aside = false;
        *r = (struct run){ .d = was.d }; /* its memory is of use again */
    } else {
        turn_settle_knobs(t);
    }
    l->n = 0;
    turn_go_to(t, l->node[i]);
    t->caret = pen; /* also where it has brought no text yet */
    t->st.last_why = GEN_WHY_NONE;
    storyfile_commit(t->f);
    return true;
}
