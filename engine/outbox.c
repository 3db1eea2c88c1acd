/* engine/outbox.c  Events of a request on their way out, in order. */
#include "engine/outbox.h"

#include <assert.h>
#include <string.h>

#include "engine/base/mem.h"

void
outbox_begin(struct outbox *o, int n_lanes)
{
    o->n_lanes = n_lanes;
    for (int i = 0; i < n_lanes; i++) {
        struct outbox_lane *l = &o->lane[i];

        assert(l->n == 0);
        l->open = true;
        l->n_unsettled = 0;
        l->n_tokens = 0;
    }
}

void
outbox_finish(struct outbox *o)
{
    for (int i = 0; i < SESSION_LANES_MAX; i++) {
        for (size_t n = 0; n < o->lane[i].n; n++)
            gen_event_finish(&o->lane[i].v[n].ev);
        free(o->lane[i].v);
    }
    memset(o->lane, 0, sizeof o->lane);
}

/* Is what stands first here for all lanes, and first in all of them? A lane
 * that holds none of it ended before, and waits for nobody. */
static bool
met(const struct outbox *o)
{
    for (int i = 0; i < o->n_lanes; i++) {
        const struct outbox_lane *l = &o->lane[i];

        for (size_t n = 1; n < l->n; n++)
            if (l->v[n].all && !l->v[0].all)
                return false;
    }
    return true;
}

static void
shift(struct outbox_lane *l, size_t n)
{
    l->n -= n;
    if (l->n)
        memmove(l->v, l->v + n, l->n * sizeof *l->v);
}

/* Posts what nothing holds back. */
static void
flush(struct outbox *o)
{
    bool again = true;

    while (again) {
        const struct queued *shared = NULL;

        again = false;
        for (int i = 0; i < o->n_lanes; i++) {
            struct outbox_lane *l = &o->lane[i];
            size_t n = 0;

            while (n < l->n && !l->v[n].unsettled && !l->v[n].all)
                o->post(o->ud, &l->v[n++].ev);
            shift(l, n);
            if (l->n && l->v[0].all)
                shared = l->v;
        }
        if (!shared || !met(o))
            continue;
        o->post(o->ud, &shared->ev);
        again = true;
        for (int i = 0; i < o->n_lanes; i++)
            if (o->lane[i].n && o->lane[i].v[0].all)
                shift(&o->lane[i], 1);
    }
}

static void
push(struct outbox_lane *l, const struct gen_event *ev, bool unsettled,
     bool all)
{
    if (l->n == l->cap)
        l->v = mem_grow(l->v, &l->cap, l->n + 1, sizeof *l->v);
    l->v[l->n++] =
        (struct queued){ .ev = *ev, .unsettled = unsettled, .all = all };
}

void
outbox_put(struct outbox *o, const struct gen_event *ev)
{
    struct outbox_lane *l = &o->lane[ev->lane];

    assert(l->open);
    if (ev->type == GEN_END)
        l->open = false;
    push(l, ev, false, false);
    flush(o);
}

void
outbox_token(struct outbox *o, const struct gen_event *ev)
{
    struct outbox_lane *l = &o->lane[ev->lane];

    assert(l->open);
    push(l, ev, true, false);
    l->n_unsettled++;
}

void
outbox_all(struct outbox *o, const struct gen_event *ev)
{
    for (int i = 0; i < o->n_lanes; i++)
        if (o->lane[i].open)
            push(&o->lane[i], ev, false, true);
    flush(o);
}

void
outbox_settle(struct outbox *o, int lane, size_t n)
{
    struct outbox_lane *l = &o->lane[lane];

    for (size_t i = 0; i < l->n && n > 0; i++)
        if (l->v[i].unsettled) {
            l->v[i].unsettled = false;
            l->n_unsettled--;
            l->n_tokens++;
            n--;
        }
    flush(o);
}

void
outbox_drop(struct outbox *o, int lane, size_t cut)
{
    struct outbox_lane *l = &o->lane[lane];
    size_t kept = 0;
    bool behind = false; /* an unsettled token stands before */

    for (size_t i = 0; i < l->n; i++) {
        struct queued *q = &l->v[i];

        if (q->unsettled && !behind && cut > 0 && cut <= q->ev.u.token.len) {
            q->ev.u.token.len = cut;
            q->ev.u.token.text[cut] = '\0';
            q->unsettled = false;
            l->n_tokens++;
            l->v[kept++] = *q;
            behind = true;
        } else if (q->all || (!q->unsettled && !behind)) {
            l->v[kept++] = *q;
        } else {
            behind = true;
            gen_event_finish(&q->ev);
        }
    }
    l->n = kept;
    l->n_unsettled = 0;
    flush(o);
}

void
outbox_add_text(struct outbox *o, int lane, const char *text, size_t len)
{
    struct outbox_lane *l = &o->lane[lane];
    struct gen_event *ev = NULL;
    char *all;

    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].unsettled)
            ev = &l->v[i].ev;
    assert(ev);
    all = xmalloc(ev->u.token.len + len + 1);
    memcpy(all, ev->u.token.text, ev->u.token.len);
    memcpy(all + ev->u.token.len, text, len);
    all[ev->u.token.len + len] = '\0';
    free(ev->u.token.text);
    ev->u.token.text = all;
    ev->u.token.len += len;
}
