/* engine/gen.c  The door's own part: calls through the table, and events.
 * The generators themselves are worker.c and, far away, a remote one. */
#include "engine/gen.h"

#include <stdlib.h>
#include <string.h>

static const char *const why_names[GEN_WHY_COUNT] = {
    [GEN_WHY_NONE] = "none",         [GEN_WHY_LENGTH] = "length",
    [GEN_WHY_SENTENCE] = "sentence", [GEN_WHY_PARAGRAPH] = "paragraph",
    [GEN_WHY_EOS] = "eos",           [GEN_WHY_STOP] = "stop",
    [GEN_WHY_USER] = "user",         [GEN_WHY_EDIT] = "edit",
    [GEN_WHY_LOOP] = "loop",         [GEN_WHY_ERROR] = "error",
};

const char *
gen_why_name(enum gen_why w)
{
    return (unsigned)w < GEN_WHY_COUNT ? why_names[w] : "none";
}

enum gen_why
gen_why_find(const char *name)
{
    for (int i = 0; i < GEN_WHY_COUNT; i++)
        if (!strcmp(why_names[i], name))
            return (enum gen_why)i;
    return GEN_WHY_NONE;
}

void
gen_event_finish(struct gen_event *ev)
{
    if (ev->type == GEN_TOKEN)
        free(ev->u.token.text);
    else if (ev->type == GEN_PEEKED)
        free(ev->u.peek.rows);
    memset(ev, 0, sizeof *ev);
}

void
gen_free(struct gen *g)
{
    if (g)
        g->ops->free(g);
}

uint32_t
gen_submit(struct gen *g, const struct gen_request *req)
{
    return g->ops->submit(g, req);
}

void
gen_cancel(struct gen *g)
{
    g->ops->cancel(g);
}

uint32_t
gen_knobs(struct gen *g, uint32_t serial, const struct knobs *k)
{
    return g->ops->knobs(g, serial, k);
}

void
gen_keep_lane(struct gen *g, uint32_t serial, int lane)
{
    g->ops->keep_lane(g, serial, lane);
}

int
gen_fd(const struct gen *g)
{
    return g->ops->fd(g);
}

bool
gen_next(struct gen *g, struct gen_event *ev)
{
    return g->ops->next(g, ev);
}

const struct model *
gen_model(const struct gen *g)
{
    return g->ops->model(g);
}
