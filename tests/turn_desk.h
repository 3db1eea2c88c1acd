/* tests/turn_desk.h  A desk to test turns at: a story in a file, a generator
 * that says what the test tells it, and a clock that the test turns. */
#ifndef JIELONG_TURN_DESK_H
#define JIELONG_TURN_DESK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/mem.h"
#include "src/turn.h"

/* Not every test program uses every helper. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

/* --- a generator by table --- */

struct fake {
    struct gen gen;
    struct gen_event queue[256];
    size_t head, tail;
    uint32_t serial; /* of the last request */
    uint32_t knob_serial;
    int submits, reads, cancels;
    uint32_t kept_of; /* the last gen_keep_lane() */
    int kept;
    /* the last request of kind RUN, and the last of kind READ */
    struct gen_request run, read;
    char prompt[65536], read_prompt[65536];
    struct knobs sent; /* by gen_knobs */
};

static uint32_t
fake_submit(struct gen *g, const struct gen_request *req)
{
    struct fake *f = (struct fake *)g;
    char *to = req->kind == GEN_RUN ? f->prompt : f->read_prompt;
    size_t n = 0;

    for (size_t i = 0; i < req->n_spans; i++) {
        assert_true(n + req->spans[i].len < sizeof f->prompt);
        memcpy(to + n, req->spans[i].text, req->spans[i].len);
        n += req->spans[i].len;
    }
    to[n] = '\0';
    *(req->kind == GEN_RUN ? &f->run : &f->read) = *req;
    *(req->kind == GEN_RUN ? &f->submits : &f->reads) += 1;
    return ++f->serial;
}

static void
fake_cancel(struct gen *g)
{
    ((struct fake *)g)->cancels++;
}

static uint32_t
fake_knobs(struct gen *g, uint32_t serial, const struct knobs *k)
{
    struct fake *f = (struct fake *)g;

    assert_int_equal(serial, f->serial);
    f->sent = *k;
    return ++f->knob_serial;
}

static void
fake_keep_lane(struct gen *g, uint32_t serial, int lane)
{
    struct fake *f = (struct fake *)g;

    f->kept_of = serial;
    f->kept = lane;
}

static int
fake_fd(const struct gen *g)
{
    return -1;
}

static bool
fake_next(struct gen *g, struct gen_event *ev)
{
    struct fake *f = (struct fake *)g;

    if (f->head == f->tail)
        return false;
    *ev = f->queue[f->head++ % 256];
    return true;
}

static const struct model *
fake_model(const struct gen *g)
{
    return NULL;
}

static void
fake_free(struct gen *g)
{
}

static const struct gen_ops fake_ops = {
    fake_free,      fake_submit, fake_cancel, fake_knobs,
    fake_keep_lane, fake_fd,     fake_next,   fake_model
};

static void
say(struct fake *f, struct gen_event ev)
{
    assert_true(f->tail - f->head < 256);
    f->queue[f->tail++ % 256] = ev;
}

static void
say_own(struct fake *f, enum gen_event_type type)
{
    say(f, (struct gen_event){ .type = type });
}

static void
say_lane(struct fake *f, uint32_t serial, int lane, const char *text)
{
    struct gen_event ev = { .type = GEN_TOKEN, .serial = serial, .lane = lane };

    ev.u.token.id = (unsigned char)text[0];
    ev.u.token.lp = -1;
    ev.u.token.q = -0.5f;
    ev.u.token.text = xstrdup(text);
    ev.u.token.len = strlen(text);
    say(f, ev);
}

static void
say_token(struct fake *f, uint32_t serial, const char *text)
{
    say_lane(f, serial, 0, text);
}

static void
say_lane_end(struct fake *f, uint32_t serial, int lane, enum gen_why why)
{
    struct gen_event ev = { .type = GEN_END, .serial = serial, .lane = lane };

    ev.u.end.why = why;
    say(f, ev);
}

static void
say_end(struct fake *f, uint32_t serial, enum gen_why why)
{
    say_lane_end(f, serial, 0, why);
}

static void
say_knobs(struct fake *f, uint32_t i, uint32_t knobs_serial)
{
    struct gen_event ev = { .type = GEN_KNOBS, .serial = f->serial };

    ev.u.knobs.i = i;
    ev.u.knobs.knobs_serial = knobs_serial;
    say(f, ev);
}

/* --- a desk with a story, a generator and a clock --- */

#define SEEN_MAX 512

struct seen { /* one op that was applied */
    enum op_type type;
    struct story_op op;
    char s[64];
};

struct desk {
    char dir[64], path[96];
    struct storyfile *file;
    struct story *story;
    struct fake gen;
    struct turn *turn;
    int64_t now;
    struct seen seen[SEEN_MAX]; /* the last ops, for small tests */
    size_t n_seen;
};

static void
on_op(void *ud, const struct story_op *op)
{
    struct desk *d = ud;
    struct seen *s = &d->seen[d->n_seen++ % SEEN_MAX];

    s->type = op->type;
    s->op = *op;
    snprintf(s->s, sizeof s->s, "%.*s", (int)op->len, op->s ? op->s : "");
}

/* What the generator said and nobody heard. */
static void
drop_events(struct desk *d)
{
    struct gen_event ev;

    while (fake_next(&d->gen.gen, &ev))
        gen_event_finish(&ev);
}

static void
open_desk(struct desk *d, bool loaded)
{
    struct storyfile_options opt = { .create = true };
    struct err err = { 0 };

    drop_events(d);
    memset(&d->gen, 0, sizeof d->gen);
    d->gen.gen.ops = &fake_ops;
    d->n_seen = 0;
    d->file = storyfile_open(d->path, &opt, &err);
    if (!d->file)
        fail_msg("%s", err.msg);
    d->story = storyfile_story(d->file);
    story_on_op(d->story, on_op, d);
    d->turn = turn_new(d->file, &d->gen.gen);
    if (loaded) {
        say_own(&d->gen, GEN_LOADED);
        turn_poll(d->turn, d->now);
    }
}

static void
close_desk(struct desk *d)
{
    turn_free(d->turn);
    storyfile_close(d->file);
    drop_events(d);
}

static int
setup(void **state)
{
    struct desk *d = xcalloc(1, sizeof *d);

    strcpy(d->dir, "/tmp/jielong-turn-XXXXXX");
    assert_non_null(mkdtemp(d->dir));
    snprintf(d->path, sizeof d->path, "%s/s.jl", d->dir);
    d->now = 1000000;
    open_desk(d, true);
    *state = d;
    return 0;
}

static int
teardown(void **state)
{
    struct desk *d = *state;
    char command[96];

    close_desk(d);
    snprintf(command, sizeof command, "rm -r %s", d->dir);
    free(d);
    return system(command);
}

static void
assert_text(const struct desk *d, const char *want)
{
    const struct text *t = story_text(d->story);
    char *have = text_dup(t, 0, text_len(t));

    assert_string_equal(have, want);
    free(have);
}

static void
type(struct desk *d, const char *s)
{
    assert_true(turn_type(d->turn, s, strlen(s), d->now));
}

static void
poll_at(struct desk *d, int64_t later)
{
    d->now += later;
    turn_poll(d->turn, d->now);
}

/* One token of the request that runs, drained. */
static void
token(struct desk *d, const char *text)
{
    say_token(&d->gen, d->gen.serial, text);
    poll_at(d, 10);
}

static void
end(struct desk *d, enum gen_why why)
{
    say_end(&d->gen, d->gen.serial, why);
    poll_at(d, 10);
}

static void
tab(struct desk *d)
{
    struct err err = { 0 };

    if (!turn_continue(d->turn, d->now, &err))
        fail_msg("%s", err.msg);
}

static struct turn_status
status(const struct desk *d)
{
    struct turn_status st;

    turn_get_status(d->turn, &st);
    return st;
}

static struct node_info
head(const struct desk *d)
{
    struct node_info n;

    assert_true(story_node(d->story, story_head(d->story), &n));
    return n;
}

/* The last op of a type, or NULL. */
static const struct seen *
last(const struct desk *d, enum op_type type)
{
    for (size_t i = d->n_seen; i > 0 && i + SEEN_MAX > d->n_seen; i--)
        if (d->seen[(i - 1) % SEEN_MAX].type == type)
            return &d->seen[(i - 1) % SEEN_MAX];
    return NULL;
}

static size_t
count(const struct desk *d, enum op_type type)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n_seen && i < SEEN_MAX; i++)
        n += d->seen[i].type == type;
    return n;
}

/* "abc", caret and pen at the end, the model has written "d". */
static void
begin_run(struct desk *d)
{
    type(d, "abc");
    tab(d);
    token(d, "d");
    assert_text(d, "abcd");
}

#pragma GCC diagnostic pop

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

#endif
