/* tests/fake_gen.h  A generator that writes what a test tells it to.
 *
 * Behind the door of gen.h: tests push events, the turn drains them. Remembers
 * the last request's serial, kind and seed, and the knobs sent last.
 */
#ifndef JIELONG_FAKE_GEN_H
#define JIELONG_FAKE_GEN_H

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/base/mem.h"
#include "engine/gen.h"

struct fake_gen {
    struct gen base;
    struct gen_event q[256];
    size_t n;
    int fd;
    uint32_t serial;      /* of the last request; 0: none */
    bool running;
    uint32_t ended;       /* lanes whose END was said, a bit each */
    struct gen_request req; /* its spans are not kept */
    struct knobs knobs;
    uint32_t knobs_serial;
    uint32_t i;           /* index of the next token */
};

static inline void
fake_push(struct fake_gen *f, struct gen_event ev)
{
    uint64_t one = 1;

    if (f->n == sizeof f->q / sizeof *f->q)
        abort();
    f->q[f->n++] = ev;
    if (write(f->fd, &one, sizeof one) != sizeof one)
        abort();
}

static inline void
fake_lane_end(struct fake_gen *f, int lane, enum gen_why why)
{
    if (!f->running || f->ended & 1u << lane)
        return;
    f->ended |= 1u << lane;
    f->running = f->ended + 1 != 1u << f->req.n_lanes;
    fake_push(f, (struct gen_event){ .type = GEN_END,
                                     .serial = f->serial,
                                     .lane = lane,
                                     .u.end = { .why = why,
                                                .seconds = 1 } });
}

/* All lanes end. */
static inline void
fake_end(struct fake_gen *f, enum gen_why why)
{
    for (int i = 0; f->running && i < f->req.n_lanes; i++)
        fake_lane_end(f, i, why);
}

static inline void
fake_lane(struct fake_gen *f, int lane, const char *text)
{
    struct gen_event ev = { .type = GEN_TOKEN,
                            .serial = f->serial,
                            .lane = lane };

    ev.u.token.i = f->i++;
    ev.u.token.id = 100 + (int)f->i;
    ev.u.token.lp = -1;
    ev.u.token.q = -0.5f;
    ev.u.token.text = xstrdup(text);
    ev.u.token.len = strlen(text);
    fake_push(f, ev);
}

static inline void
fake_token(struct fake_gen *f, const char *text)
{
    fake_lane(f, 0, text);
}

static inline void
fake_window(struct fake_gen *f, size_t at)
{
    struct gen_event ev = { .type = GEN_WINDOW, .serial = f->serial };

    ev.u.window.i = f->i;
    ev.u.window.at = at;
    fake_push(f, ev);
}

static inline void
fake_loaded(struct fake_gen *f)
{
    fake_push(f, (struct gen_event){ .type = GEN_LOADED });
}

static inline void
fake_free_(struct gen *g)
{
    struct fake_gen *f = (struct fake_gen *)g;

    for (size_t i = 0; i < f->n; i++)
        gen_event_finish(&f->q[i]);
    close(f->fd);
    free(f);
}

static inline uint32_t
fake_submit_(struct gen *g, const struct gen_request *req)
{
    struct fake_gen *f = (struct fake_gen *)g;

    fake_end(f, GEN_WHY_USER);
    f->req = *req;
    f->req.spans = NULL;
    f->knobs = req->knobs;
    f->i = req->i0;
    f->running = true;
    f->ended = 0;
    return ++f->serial;
}

static inline void
fake_cancel_(struct gen *g)
{
    fake_end((struct fake_gen *)g, GEN_WHY_USER);
}

static inline uint32_t
fake_knobs_(struct gen *g, uint32_t serial, const struct knobs *k)
{
    struct fake_gen *f = (struct fake_gen *)g;

    f->knobs = *k;
    return ++f->knobs_serial;
}

static inline void
fake_keep_lane_(struct gen *g, uint32_t serial, int lane)
{
    struct fake_gen *f = (struct fake_gen *)g;

    for (int i = 0; f->serial == serial && i < f->req.n_lanes; i++)
        if (i != lane)
            fake_lane_end(f, i, GEN_WHY_USER);
}

static inline int
fake_fd_(const struct gen *g)
{
    return ((const struct fake_gen *)g)->fd;
}

static inline bool
fake_next_(struct gen *g, struct gen_event *ev)
{
    struct fake_gen *f = (struct fake_gen *)g;
    uint64_t n;

    if (f->n == 0) {
        if (read(f->fd, &n, sizeof n) < 0)
            return false;
        return false;
    }
    *ev = f->q[0];
    memmove(f->q, f->q + 1, --f->n * sizeof *f->q);
    return true;
}

static inline const struct model *
fake_model_(const struct gen *g)
{
    return NULL;
}

static inline struct fake_gen *
fake_gen_new(void)
{
    static const struct gen_ops ops = {
        .free = fake_free_,   .submit = fake_submit_, .cancel = fake_cancel_,
        .knobs = fake_knobs_, .keep_lane = fake_keep_lane_,
        .fd = fake_fd_,       .next = fake_next_,     .model = fake_model_,
    };
    struct fake_gen *f = xcalloc(1, sizeof *f);

    f->base.ops = &ops;
    f->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return f;
}

#endif
