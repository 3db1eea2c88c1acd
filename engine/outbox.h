/* engine/outbox.h  Events of a request on their way out, in order.
 *
 * Each lane has a queue. A token that its stopper has not settled waits there
 * with the events behind it, so that the reader sees the events of a lane in
 * the order of their token index. What is told once for all lanes (KNOBS)
 * stands in every queue and goes out when it is the first of all of them: so
 * it parts the tokens of every lane at the same index. Belongs to one thread.
 */
#ifndef JIELONG_OUTBOX_H
#define JIELONG_OUTBOX_H

#include "engine/gen.h"
#include "engine/session.h"

struct queued {
    struct gen_event ev;
    bool unsettled; /* a token that may still be dropped */
    bool all;       /* stands in every queue */
};

struct outbox {
    void (*post)(void *ud, const struct gen_event *ev);
    void *ud;
    int n_lanes;
    struct outbox_lane {
        bool open; /* no END yet */
        struct queued *v;
        size_t n, cap;
        size_t n_unsettled;
        uint32_t n_tokens; /* settled since outbox_begin */
    } lane[SESSION_LANES_MAX];
};

/* Zeroed before the first time; post takes an event over. */
void outbox_begin(struct outbox *o, int n_lanes);
void outbox_finish(struct outbox *o);

/* An event of one lane (ev->lane), behind what waits there. END closes it. */
void outbox_put(struct outbox *o, const struct gen_event *ev);
/* A token of a lane, not settled yet. */
void outbox_token(struct outbox *o, const struct gen_event *ev);
/* An event for all lanes that are open, told once, as of lane 0. */
void outbox_all(struct outbox *o, const struct gen_event *ev);
/* The first n unsettled tokens of a lane are settled. */
void outbox_settle(struct outbox *o, int lane, size_t n);
/* A lane writes no more: of its first unsettled token `cut` bytes belong to
 * the story; the others go, and what stands between them. */
void outbox_drop(struct outbox *o, int lane, size_t cut);
/* Adds to the text of the lane's last token, which is unsettled. */
void outbox_add_text(struct outbox *o, int lane, const char *text, size_t len);

#endif
