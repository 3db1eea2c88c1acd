/* tests/turn_test.c  Every rule of taking turns, with a generator that says
 * what the test tells it and a clock that the test turns. */
#include <poll.h>
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
#include "src/paths.h"
#include "src/turn.h"

/* --- a generator by table --- */

struct fake {
    struct gen gen;
    struct gen_event queue[256];
    size_t head, tail;
    uint32_t serial; /* of the last request */
    uint32_t knob_serial;
    int submits, reads, cancels;
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

static const struct gen_ops fake_ops = { fake_free,  fake_submit, fake_cancel,
                                         fake_knobs, fake_fd,     fake_next,
                                         fake_model };

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
say_token(struct fake *f, uint32_t serial, const char *text)
{
    struct gen_event ev = { .type = GEN_TOKEN, .serial = serial };

    ev.u.token.id = (unsigned char)text[0];
    ev.u.token.lp = -1;
    ev.u.token.q = -0.5f;
    ev.u.token.text = xstrdup(text);
    ev.u.token.len = strlen(text);
    say(f, ev);
}

static void
say_end(struct fake *f, uint32_t serial, enum gen_why why)
{
    struct gen_event ev = { .type = GEN_END, .serial = serial };

    ev.u.end.why = why;
    say(f, ev);
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

static void
open_desk(struct desk *d, bool loaded)
{
    struct storyfile_options opt = { .create = true };
    struct err err = { 0 };

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

/* --- steps of the writer --- */

static void
typing_is_one_step_till_a_pause(void **state)
{
    struct desk *d = *state;

    type(d, "渡");
    d->now += 999;
    type(d, "口");
    d->now += 1000;
    type(d, "灯");
    assert_int_equal(count(d, OP_EDIT), 2);
    assert_int_equal(count(d, OP_ADD), 1);
    assert_text(d, "渡口灯");
    assert_true(turn_undo(d->turn));
    assert_text(d, "渡口");
    assert_int_equal(turn_caret(d->turn), 6);
    assert_true(turn_undo(d->turn));
    assert_text(d, "");
    assert_false(turn_undo(d->turn));
    assert_true(turn_redo(d->turn));
    assert_true(turn_redo(d->turn));
    assert_text(d, "渡口灯");
    assert_int_equal(turn_caret(d->turn), 9);
    assert_false(turn_redo(d->turn));
}

static void
enter_ends_the_step(void **state)
{
    struct desk *d = *state;

    type(d, "a");
    type(d, "\n");
    type(d, "b");
    assert_int_equal(count(d, OP_EDIT), 2);
    assert_true(turn_undo(d->turn));
    assert_text(d, "a\n");
}

static void
a_caret_move_ends_the_step(void **state)
{
    struct desk *d = *state;

    type(d, "ab");
    turn_set_caret(d->turn, 1, d->now);
    type(d, "x");
    assert_text(d, "axb");
    turn_set_caret(d->turn, 2, d->now); /* no move at all */
    type(d, "y");
    assert_text(d, "axyb");
    assert_int_equal(count(d, OP_EDIT), 2);
    assert_true(turn_undo(d->turn));
    assert_text(d, "ab");
}

static void
deleting_is_a_step_of_its_kind(void **state)
{
    struct desk *d = *state;

    type(d, "abcdef");
    assert_true(turn_delete(d->turn, 5, 1, d->now)); /* Backspace */
    assert_true(turn_delete(d->turn, 4, 1, d->now));
    assert_text(d, "abcd");
    assert_int_equal(count(d, OP_EDIT), 2);
    turn_set_caret(d->turn, 1, d->now);
    assert_true(turn_delete(d->turn, 1, 1, d->now)); /* Del */
    assert_true(turn_delete(d->turn, 1, 1, d->now));
    assert_text(d, "ad");
    assert_int_equal(count(d, OP_EDIT), 3);
    assert_true(turn_undo(d->turn));
    assert_text(d, "abcd");
    assert_true(turn_undo(d->turn));
    assert_text(d, "abcdef");
    assert_int_equal(turn_caret(d->turn), 6);
    assert_false(turn_delete(d->turn, 6, 1, d->now));  /* nothing there */
    assert_true(turn_delete(d->turn, 4, 100, d->now)); /* cut to the end */
    assert_text(d, "abcd");
}

static void
a_paste_is_one_step_and_kept_byte_for_byte(void **state)
{
    struct desk *d = *state;

    type(d, "a");
    assert_true(turn_paste(d->turn, "x\n\xE4y", 4, d->now));
    type(d, "b");
    assert_int_equal(count(d, OP_EDIT), 3);
    assert_text(d, "ax\n\xE4yb");
    close_desk(d);
    open_desk(d, true);
    assert_text(d, "ax\n\xE4yb");
    assert_true(turn_undo(d->turn));
    assert_true(turn_undo(d->turn));
    assert_text(d, "a");
    assert_true(turn_replace(d->turn, 0, 1, "灯", 3, d->now));
    assert_text(d, "灯");
    assert_true(turn_undo(d->turn));
    assert_text(d, "a");
}

/* --- a run --- */

static void
a_run_writes_at_the_caret(void **state)
{
    struct desk *d = *state;
    struct gen_event reading = { .type = GEN_READING };

    type(d, "渡口");
    tab(d);
    assert_int_equal(status(d).state, TURN_READING);
    assert_string_equal(d->gen.prompt, "渡口");
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.br, 0);
    assert_int_equal(d->gen.run.i0, 0);
    assert_int_equal(d->gen.run.length_left, 80);
    assert_int_equal(turn_pen(d->turn), 6);
    reading.serial = d->gen.serial;
    reading.u.reading.done = 1;
    reading.u.reading.total = 3;
    say(&d->gen, reading);
    poll_at(d, 5);
    assert_int_equal(status(d).read_done, 1);
    assert_int_equal(status(d).read_total, 3);

    say_token(&d->gen, d->gen.serial, "的");
    say_token(&d->gen, d->gen.serial, "");
    say_token(&d->gen, d->gen.serial, "灯");
    poll_at(d, 5);
    assert_text(d, "渡口的灯");
    assert_int_equal(count(d, OP_TOK), 1); /* one poll, one record */
    assert_int_equal(last(d, OP_TOK)->op.n_tok, 3);
    assert_int_equal(status(d).state, TURN_WRITING);
    assert_int_equal(turn_caret(d->turn), 12); /* it rides along */
    assert_int_equal(status(d).window_used, 6);
    token(d, "。");
    end(d, GEN_WHY_SENTENCE);
    assert_text(d, "渡口的灯。");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(turn_pen(d->turn), TEXT_NONE);
    assert_int_equal(status(d).last_why, GEN_WHY_SENTENCE);
    assert_int_equal(status(d).last_n, 4);
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_SENTENCE);
    assert_int_equal(head(d).n_tok, 4);
    assert_int_equal(d->gen.cancels, 0);
    assert_true(turn_undo(d->turn)); /* a run is one step */
    assert_text(d, "渡口");
}

static void
a_run_in_the_middle_leaves_what_follows(void **state)
{
    struct desk *d = *state;

    type(d, "前后");
    turn_set_caret(d->turn, 3, d->now);
    tab(d);
    assert_string_equal(d->gen.prompt, "前");
    assert_true(status(d).after_unseen);
    token(d, "中");
    assert_text(d, "前中后");
    assert_int_equal(turn_caret(d->turn), 6);
}

static void
a_run_names_its_model_and_knobs(void **state)
{
    struct desk *d = *state;
    struct gen_event hashed = { .type = GEN_HASHED };
    uint32_t m;

    type(d, "a");
    assert_null(last(d, OP_KNOBS));
    tab(d);
    assert_null(last(d, OP_RUN)); /* nothing written yet: no node */
    token(d, "b");
    m = head(d).model;
    assert_int_equal(m, 1);
    assert_int_equal(head(d).k, 1);
    assert_int_equal(last(d, OP_KNOBS)->op.k, 1);
    strcpy(hashed.u.hashes.weights, "aa");
    strcpy(hashed.u.hashes.config, "bb");
    strcpy(hashed.u.hashes.tokenizer, "cc");
    say(&d->gen, hashed);
    token(d, "c");
    assert_int_equal(story_model_count(d->story), 1);
    assert_int_equal(story_model_find(d->story, "aa", "bb", "cc", ""), m);
    end(d, GEN_WHY_LENGTH);
    tab(d);
    token(d, "d");
    assert_int_equal(head(d).model, m);
    assert_int_equal(head(d).k, 1); /* the same table still holds */
    assert_int_equal(head(d).run, 2);
    end(d, GEN_WHY_LENGTH);
    close_desk(d);
    open_desk(d, true);
    assert_int_equal(story_model_find(d->story, "aa", "bb", "cc", ""), m);
    say(&d->gen, hashed);
    tab(d);
    token(d, "e");
    assert_int_equal(head(d).model, m);
    assert_int_equal(head(d).run, 3);
}

static void
esc_keeps_what_was_seen(void **state)
{
    struct desk *d = *state;
    uint32_t old;

    type(d, "a");
    assert_false(turn_stop(d->turn));
    tab(d);
    token(d, "b");
    say_token(&d->gen, d->gen.serial, "c"); /* not drained yet */
    assert_true(turn_stop(d->turn));
    assert_int_equal(d->gen.cancels, 1);
    old = d->gen.serial;
    say_token(&d->gen, old, "d");
    say_end(&d->gen, old, GEN_WHY_USER);
    poll_at(d, 5);
    assert_text(d, "ab");
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_USER);
    assert_int_equal(count(d, OP_END), 1);
    tab(d); /* the next run does not hear the old one either */
    say_token(&d->gen, old, "x");
    say_token(&d->gen, d->gen.serial, "e");
    poll_at(d, 5);
    assert_text(d, "abe");
}

static void
an_empty_run_leaves_no_step(void **state)
{
    struct desk *d = *state;
    uint64_t before;

    type(d, "a");
    before = story_head(d->story);
    tab(d);
    end(d, GEN_WHY_EOS);
    assert_int_equal(story_head(d->story), before);
    assert_int_equal(status(d).last_why, GEN_WHY_EOS);
    assert_int_equal(status(d).last_n, 0);
    assert_null(last(d, OP_RUN));
    tab(d);
    assert_true(turn_undo(d->turn)); /* only the request was under way */
    assert_text(d, "a");
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
undo_stops_a_running_run(void **state)
{
    struct desk *d = *state;

    type(d, "a");
    tab(d);
    token(d, "b");
    assert_true(turn_undo(d->turn));
    assert_int_equal(d->gen.cancels, 1);
    assert_text(d, "a");
    assert_int_equal(status(d).state, TURN_IDLE);
    token(d, "c");
    assert_text(d, "a");
    assert_true(turn_redo(d->turn));
    assert_text(d, "ab");
    assert_int_equal(turn_caret(d->turn), 2);
}

static void
retry_keeps_the_old_version(void **state)
{
    struct desk *d = *state;
    struct err err = { 0 };
    struct node_info first, second;

    type(d, "a");
    assert_false(turn_retry(d->turn, d->now, &err)); /* that was the writer */
    assert_string_not_equal(err.msg, "");
    tab(d);
    assert_true(turn_retry(d->turn, d->now, &err)); /* nothing to retry yet */
    assert_int_equal(d->gen.submits, 1);
    token(d, "b");
    end(d, GEN_WHY_LENGTH);
    first = head(d);
    assert_true(turn_retry(d->turn, d->now, &err));
    assert_text(d, "a");
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.br, 1);
    token(d, "c");
    assert_text(d, "ac");
    second = head(d);
    assert_int_equal(second.parent, first.parent);
    assert_int_equal(status(d).n_siblings, 2);
    assert_int_equal(status(d).sibling, 2);
    assert_true(turn_retry(d->turn, d->now, &err)); /* in mid-stream */
    assert_int_equal(d->gen.run.br, 2);
    token(d, "d");
    end(d, GEN_WHY_LENGTH);
    assert_text(d, "ad");
    assert_true(turn_sibling(d->turn, -1));
    assert_text(d, "ac");
    assert_true(turn_sibling(d->turn, -1));
    assert_text(d, "ab");
    assert_int_equal(turn_caret(d->turn), 2);
    assert_false(turn_sibling(d->turn, -1));
    assert_true(turn_retry(d->turn, d->now, &err)); /* of the first again */
    assert_int_equal(d->gen.run.br, 3);
    assert_int_equal(story_runs(d->story), 1);
}

static void
seeds_are_drawn_or_locked(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);
    uint64_t a, b;

    type(d, "a");
    tab(d);
    a = d->gen.run.seed;
    token(d, "b");
    end(d, GEN_WHY_LENGTH);
    assert_true(head(d).seed == a);
    assert_true(status(d).last_seed == a);
    tab(d);
    b = d->gen.run.seed;
    assert_true(a != b);
    assert_true(a < (1ull << 53) && b < (1ull << 53));
    turn_stop(d->turn);
    k.seed_random = false;
    k.seed = 42;
    turn_set_knobs(d->turn, &k);
    tab(d);
    assert_true(d->gen.run.seed == 42);
}

/* --- writing while the model writes --- */

/* "abc", caret and pen at the end, the model has written "d". */
static void
begin_run(struct desk *d)
{
    type(d, "abc");
    tab(d);
    token(d, "d");
    assert_text(d, "abcd");
}

static void
typing_elsewhere_makes_the_run_wait(void **state)
{
    struct desk *d = *state;
    uint64_t seed, typed;

    begin_run(d);
    seed = d->gen.run.seed;
    turn_set_caret(d->turn, 1, d->now);
    token(d, "e"); /* a move does not pause it, the caret stays */
    assert_text(d, "abcde");
    assert_int_equal(turn_caret(d->turn), 1);
    say_token(&d->gen, d->gen.serial, "f"); /* not seen by the writer */
    type(d, "X");
    assert_text(d, "aXbcde");
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_EDIT);
    assert_int_equal(status(d).state, TURN_WAITING);
    assert_int_equal(turn_pen(d->turn), 6);
    assert_int_equal(d->gen.cancels, 1);
    typed = story_head(d->story);
    poll_at(d, 299);
    assert_int_equal(d->gen.submits, 1);
    type(d, "Y"); /* the writer is still writing */
    poll_at(d, 299);
    assert_int_equal(d->gen.submits, 1);
    assert_int_equal(turn_timeout(d->turn, d->now), 1);
    poll_at(d, 1);
    assert_int_equal(d->gen.submits, 2);
    assert_string_equal(d->gen.prompt, "aXYbcde");
    assert_true(d->gen.run.seed == seed);
    assert_int_equal(d->gen.run.run, 1);
    assert_int_equal(d->gen.run.i0, 2);
    assert_int_equal(d->gen.run.length_left, 78);
    token(d, "g");
    assert_text(d, "aXYbcdeg");
    assert_true(head(d).cont);
    assert_int_equal(head(d).i0, 2);
    assert_true(head(d).seed == seed);
    assert_int_equal(head(d).parent, typed);
    assert_int_equal(turn_caret(d->turn), 3);
    end(d, GEN_WHY_LENGTH);
    assert_int_equal(status(d).last_n, 3);
    assert_true(turn_undo(d->turn));
    assert_text(d, "aXYbcde");
    assert_true(turn_undo(d->turn));
    assert_text(d, "abcde");
    assert_true(turn_undo(d->turn));
    assert_text(d, "abc");
}

static void
typing_before_the_first_token_waits_too(void **state)
{
    struct desk *d = *state;

    type(d, "abc");
    tab(d);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_string_equal(d->gen.prompt, "Xabc");
    token(d, "d");
    assert_false(head(d).cont); /* its first node */
    assert_text(d, "Xabcd");
}

static void
typing_after_the_pen_waits_too(void **state)
{
    struct desk *d = *state;

    type(d, "ab");
    turn_set_caret(d->turn, 1, d->now);
    tab(d);
    token(d, "x");
    turn_set_caret(d->turn, 3, d->now);
    token(d, "y"); /* what stands after the pen moves on with the caret */
    assert_text(d, "axyb");
    assert_int_equal(turn_caret(d->turn), 4);
    type(d, "c");
    assert_text(d, "axybc");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_string_equal(d->gen.prompt, "axy");
    turn_set_caret(d->turn, 3, d->now);
    assert_true(turn_delete(d->turn, 3, 1, d->now)); /* Del at the pen */
    assert_int_equal(status(d).state, TURN_WAITING);
}

static void
an_edit_inside_the_running_text_ends_the_run(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    token(d, "e");
    turn_set_caret(d->turn, 4, d->now);
    type(d, "X");
    assert_text(d, "abcdXe");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(status(d).last_why, GEN_WHY_EDIT);
    poll_at(d, 400);
    assert_int_equal(d->gen.submits, 1);

    turn_set_caret(d->turn, 6, d->now);
    tab(d);
    token(d, "f");
    assert_true(turn_delete(d->turn, 6, 1, d->now)); /* Backspace at the pen */
    assert_text(d, "abcdXe");
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
an_edit_at_the_start_of_the_running_text_is_not_inside(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    turn_set_caret(d->turn, 3, d->now);
    type(d, "X");
    assert_text(d, "abcXd");
    assert_int_equal(status(d).state, TURN_WAITING);
    poll_at(d, 300);
    assert_string_equal(d->gen.prompt, "abcXd");
    turn_set_caret(d->turn, 5, d->now);
    turn_set_caret(d->turn, 4, d->now);
    assert_true(turn_delete(d->turn, 3, 1, d->now)); /* Backspace before it */
    assert_int_equal(status(d).state, TURN_WAITING);
    assert_true(turn_replace(d->turn, 2, 2, "", 0, d->now)); /* reaches in */
    assert_text(d, "ab");
    assert_int_equal(status(d).state, TURN_IDLE);
}

static void
typing_at_the_pen_takes_over(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    type(d, "X");
    assert_text(d, "abcdX");
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_int_equal(status(d).last_why, GEN_WHY_EDIT);
    poll_at(d, 400);
    assert_int_equal(d->gen.submits, 1);
}

static void
esc_ends_a_waiting_run(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    assert_true(turn_stop(d->turn));
    assert_false(turn_stop(d->turn));
    poll_at(d, 400);
    assert_int_equal(d->gen.submits, 1);
}

static void
tab_at_the_pen_adds_a_length(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    tab(d);
    assert_int_equal(d->gen.submits, 1);
    assert_int_equal(d->gen.sent.length, 160);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    poll_at(d, 300);
    assert_int_equal(d->gen.run.length_left, 159);
    say_knobs(&d->gen, 1, 1); /* a longer run is no turned knob */
    poll_at(d, 1);
    assert_null(last(d, OP_KNOB));
}

static void
tab_elsewhere_starts_anew(void **state)
{
    struct desk *d = *state;

    begin_run(d);
    turn_set_caret(d->turn, 1, d->now);
    tab(d);
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_USER);
    assert_int_equal(d->gen.submits, 2);
    assert_int_equal(d->gen.run.run, 2);
    assert_string_equal(d->gen.prompt, "a");
    token(d, "x");
    assert_text(d, "axbcd");
}

static void
retry_of_a_part_that_went_on(void **state)
{
    struct desk *d = *state;
    struct err err = { 0 };

    begin_run(d);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    poll_at(d, 300);
    token(d, "e");
    end(d, GEN_WHY_LENGTH);
    assert_true(turn_retry(d->turn, d->now, &err));
    assert_text(d, "Xabcd");
    assert_int_equal(d->gen.run.i0, 1);
    assert_int_equal(d->gen.run.br, 1);
    assert_int_equal(d->gen.run.length_left, 79);
    token(d, "f");
    assert_true(head(d).cont);
    assert_text(d, "Xabcdf");
}

/* --- knobs --- */

static void
a_knob_turned_in_mid_run_holds_from_its_token_on(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    begin_run(d);
    k.temp = 0.5;
    turn_set_knobs(d->turn, &k);
    assert_true(d->gen.sent.temp == 0.5);
    k.temp = 0.4;
    turn_set_knobs(d->turn, &k);
    token(d, "e");
    assert_null(last(d, OP_KNOB));
    say_knobs(&d->gen, 2, 2);
    token(d, "f");
    assert_int_equal(count(d, OP_KNOB), 1);
    assert_int_equal(last(d, OP_KNOB)->op.i, 2);
    assert_true(last(d, OP_KNOB)->op.has_of);
    assert_int_equal(last(d, OP_KNOB)->op.of, story_head(d->story));
    assert_true(story_knobs(d->story)->temp == 0.4);
    k.temp = 0.3; /* the run ends before the worker says anything */
    turn_set_knobs(d->turn, &k);
    end(d, GEN_WHY_LENGTH);
    assert_false(last(d, OP_KNOB)->op.has_of);
    assert_true(story_knobs(d->story)->temp == 0.3);
    assert_true(turn_undo(d->turn)); /* knobs are never undone */
    assert_true(turn_knobs(d->turn)->temp == 0.3);
    tab(d);
    token(d, "g"); /* a run names a full table of its own */
    assert_int_equal(head(d).k, 2);
    close_desk(d);
    open_desk(d, true);
    assert_true(turn_knobs(d->turn)->temp == 0.3);
}

static void
a_knob_turned_between_runs_is_kept(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    k.top_k = 7;
    turn_set_knobs(d->turn, &k);
    poll_at(d, 5000);
    assert_int_equal(d->n_seen, 0); /* a setting alone makes no file */
    type(d, "a");
    assert_int_equal(story_knobs(d->story)->top_k, 7);
    poll_at(d, 1000);
    k.top_k = 8;
    turn_set_knobs(d->turn, &k);
    k.top_k = 9;
    turn_set_knobs(d->turn, &k);
    poll_at(d, 999);
    assert_int_equal(story_knobs(d->story)->top_k, 7);
    poll_at(d, 1);
    assert_int_equal(story_knobs(d->story)->top_k, 9);
    assert_int_equal(count(d, OP_KNOB), 1);
}

static void
a_longer_length_reaches_the_run(void **state)
{
    struct desk *d = *state;
    struct knobs k = *turn_knobs(d->turn);

    begin_run(d);
    k.length = 100;
    turn_set_knobs(d->turn, &k);
    assert_int_equal(d->gen.sent.length, 100);
    turn_set_caret(d->turn, 0, d->now);
    type(d, "X");
    poll_at(d, 300);
    assert_int_equal(d->gen.run.length_left, 99);
}

/* --- loading, reading, windows, faults --- */

static void
the_prompt_is_read_in_advance(void **state)
{
    struct desk *d = *state;

    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 0); /* an empty page */
    type(d, "a");
    poll_at(d, 299);
    type(d, "b");
    poll_at(d, 299);
    assert_int_equal(d->gen.reads, 0);
    assert_int_equal(turn_timeout(d->turn, d->now), 1);
    poll_at(d, 1);
    assert_int_equal(d->gen.reads, 1);
    assert_string_equal(d->gen.read_prompt, "ab");
    poll_at(d, 1000);
    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 1);
    assert_int_equal(turn_timeout(d->turn, d->now), -1);
    turn_set_caret(d->turn, 1, d->now);
    poll_at(d, 300);
    assert_int_equal(d->gen.reads, 2);
    assert_string_equal(d->gen.read_prompt, "a");
    tab(d);
    turn_set_caret(d->turn, 2, d->now);
    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 2); /* a run goes before */
}

static void
a_run_waits_for_the_model_to_load(void **state)
{
    struct desk *d = *state;
    struct gen_event loading = { .type = GEN_LOADING };

    close_desk(d);
    open_desk(d, false);
    type(d, "a");
    poll_at(d, 1000);
    assert_int_equal(d->gen.reads, 0);
    tab(d);
    assert_int_equal(status(d).state, TURN_LOADING);
    loading.u.loading.done = 3;
    loading.u.loading.total = 9;
    say(&d->gen, loading);
    poll_at(d, 1);
    assert_int_equal(status(d).load_done, 3);
    assert_int_equal(status(d).load_total, 9);
    say_own(&d->gen, GEN_LOADED);
    poll_at(d, 1);
    assert_int_equal(status(d).state, TURN_READING);
    token(d, "b");
    assert_text(d, "ab");
}

static void
a_broken_model_locks_nothing_up(void **state)
{
    struct desk *d = *state;
    struct gen_event failed = { .type = GEN_FAILED };
    struct err err = { 0 };

    close_desk(d);
    open_desk(d, false);
    type(d, "a");
    tab(d);
    err_set(&failed.u.err, ERR_MODEL, "/m/config.json: no such file");
    say(&d->gen, failed);
    poll_at(d, 1);
    assert_true(status(d).model_failed);
    assert_int_equal(status(d).state, TURN_IDLE);
    assert_false(turn_continue(d->turn, d->now, &err));
    assert_non_null(strstr(err.msg, "/m/config.json"));
    type(d, "b");
    assert_text(d, "ab");
}

static void
a_failing_run_keeps_its_text(void **state)
{
    struct desk *d = *state;
    struct gen_event failed = { .type = GEN_FAILED };

    begin_run(d);
    failed.serial = d->gen.serial;
    err_set(&failed.u.err, ERR_FAILED, "no distribution");
    say_token(&d->gen, d->gen.serial, "e");
    say(&d->gen, failed);
    poll_at(d, 1);
    assert_text(d, "abcde");
    assert_int_equal(last(d, OP_END)->op.why, GEN_WHY_ERROR);
    assert_string_equal(status(d).run_err.msg, "no distribution");
    tab(d); /* it may be tried again */
    token(d, "f");
    assert_text(d, "abcdef");
}

static void
the_window_moves_and_stays(void **state)
{
    struct desk *d = *state;
    struct gen_event window = { .type = GEN_WINDOW };

    type(d, "abcdef");
    tab(d);
    window.serial = d->gen.serial;
    window.u.window.at = 2;
    say(&d->gen, window);
    token(d, "g");
    assert_int_equal(head(d).win, 2);
    assert_int_equal(status(d).window_at, 2);
    window.u.window.i = 1;
    window.u.window.at = 4;
    say(&d->gen, window);
    token(d, "h");
    assert_int_equal(last(d, OP_WIN)->op.at, 4);
    assert_int_equal(last(d, OP_WIN)->op.i, 1);
    end(d, GEN_WHY_LENGTH);
    tab(d);
    assert_int_equal(d->gen.run.win_at, 4);
    assert_string_equal(d->gen.prompt, "efgh");
    turn_stop(d->turn);
    turn_set_caret(d->turn, 0, d->now); /* an edit before it moves it along */
    type(d, "XY");
    turn_set_caret(d->turn, 10, d->now);
    tab(d);
    assert_int_equal(d->gen.run.win_at, 6);
    assert_string_equal(d->gen.prompt, "efgh");
}

static void
a_read_only_story_is_not_changed(void **state)
{
    struct desk *d = *state;
    struct storyfile_options opt = { .read_only = true };
    struct err err = { 0 };

    type(d, "a");
    close_desk(d);
    d->file = storyfile_open(d->path, &opt, &err);
    assert_non_null(d->file);
    d->story = storyfile_story(d->file);
    d->turn = turn_new(d->file, &d->gen.gen);
    assert_false(turn_type(d->turn, "b", 1, d->now));
    assert_false(turn_delete(d->turn, 0, 1, d->now));
    assert_false(turn_undo(d->turn));
    assert_false(turn_continue(d->turn, d->now, &err));
    assert_string_not_equal(err.msg, "");
    assert_text(d, "a");
    {
        struct knobs k = *turn_knobs(d->turn);

        poll_at(d, 1);
        k.top_k++;
        turn_set_knobs(d->turn, &k);
        poll_at(d, 5000);
        assert_int_equal(turn_timeout(d->turn, d->now), -1);
    }
}

/* --- with the model in the box --- */

/* Waits for the worker; the clock of the turn stands still meanwhile. */
static void
serve(struct desk *d, struct gen *g)
{
    struct pollfd fd = { .fd = gen_fd(g), .events = POLLIN };

    poll(&fd, 1, 100);
    turn_poll(d->turn, d->now);
}

/* A locked seed's run in "渡口的灯灭了，|后文"; when asked for, the writer adds
 * to what follows the pen after a few tokens. The model's text; given. */
static char *
real_run(struct desk *d, const char *model, bool interrupt)
{
    const char *opening = "渡口的灯灭了，后文";
    size_t pen = strlen("渡口的灯灭了，"), end = strlen("后文");
    struct model_options opt = { 0 };
    struct gen *g = gen_local(model, &opt, 0);
    struct knobs k;
    char *text;

    turn_free(d->turn);
    d->turn = turn_new(d->file, g);
    k = *turn_knobs(d->turn);
    k.seed_random = false;
    k.seed = 5;
    k.length = 40;
    k.stop_at = STOP_AT_LENGTH;
    turn_set_knobs(d->turn, &k);
    assert_true(turn_replace(d->turn, 0, text_len(story_text(d->story)),
                             opening, strlen(opening), d->now));
    turn_set_caret(d->turn, pen, d->now);
    tab(d);
    if (interrupt) {
        while (turn_pen(d->turn) < pen + 20)
            serve(d, g);
        turn_set_caret(d->turn, text_len(story_text(d->story)), d->now);
        type(d, "又");
        assert_int_equal(status(d).state, TURN_WAITING);
        end += strlen("又");
        d->now += 300;
        turn_poll(d->turn, d->now);
    }
    while (status(d).state != TURN_IDLE)
        serve(d, g);
    assert_int_equal(status(d).last_why, GEN_WHY_LENGTH);
    assert_int_equal(status(d).last_n, 40);
    text = text_dup(story_text(d->story), pen,
                    text_len(story_text(d->story)) - pen - end);
    turn_free(d->turn);
    gen_free(g);
    d->turn = turn_new(d->file, &d->gen.gen);
    return text;
}

static void
a_pause_does_not_change_what_is_written(void **state)
{
    struct desk *d = *state;
    char *model = paths_default_model(), *whole, *paused;

    if (!model) {
        print_message("SKIP: no model in the box\n");
        skip();
    }
    whole = real_run(d, model, false);
    /* Runs are counted, and the count is part of the draw: a new story. */
    close_desk(d);
    unlink(d->path);
    open_desk(d, true);
    paused = real_run(d, model, true);
    assert_true(strlen(whole) > 40);
    assert_string_equal(whole, paused);
    free(whole);
    free(paused);
    free(model);
}

/* --- chaos --- */

static uint32_t dice_state = 12345;

static uint32_t
dice(uint32_t n)
{
    dice_state = dice_state * 1664525u + 1013904223u;
    return (dice_state >> 8) % n;
}

/* A caret stop at or before `at`: the test types ASCII and Han only. */
static size_t
stop_before(const struct text *t, size_t at)
{
    char c;

    while (at > 0 && text_read(t, at, &c, 1) &&
           ((unsigned char)c & 0xC0) == 0x80)
        at--;
    return at;
}

static void
random_events(struct desk *d)
{
    static const char *const tokens[] = { "字", "a", "，灯", "", "\n" };

    for (uint32_t i = 0; i < 1 + dice(4); i++) {
        uint32_t serial = dice(8) ? d->gen.serial : d->gen.serial - 1;

        switch (dice(8)) {
        case 0: say_end(&d->gen, serial, GEN_WHY_LENGTH); break;
        case 1: say_knobs(&d->gen, dice(9), d->gen.knob_serial); break;
        default: say_token(&d->gen, serial, tokens[dice(5)]); break;
        }
    }
}

static void
random_key(struct desk *d)
{
    static const char *const typed[] = { "我", "b", "\n", "雨 c" };
    const struct text *t = story_text(d->story);
    size_t len = text_len(t), at = stop_before(t, dice((uint32_t)len + 1));
    size_t to = stop_before(t, at + dice(7) < len ? at + dice(7) : len);
    const char *s = typed[dice(4)];
    struct knobs k = *turn_knobs(d->turn);
    char back[16];
    size_t caret;

    switch (dice(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
        type(d, s);
        caret = turn_caret(d->turn);
        text_read(story_text(d->story), caret - strlen(s), back, strlen(s));
        assert_memory_equal(back, s, strlen(s));
        break;
    case 4: turn_paste(d->turn, s, strlen(s), d->now); break;
    case 5:
    case 6:
        caret = turn_caret(d->turn);
        if (caret)
            turn_delete(d->turn, stop_before(t, caret - 1),
                        caret - stop_before(t, caret - 1), d->now);
        break;
    case 7:
        if (to > at)
            turn_replace(d->turn, at, to - at, s, strlen(s), d->now);
        break;
    case 8:
    case 9: turn_set_caret(d->turn, at, d->now); break;
    case 10: turn_set_caret(d->turn, len, d->now); break;
    case 11: turn_stop(d->turn); break;
    case 12: turn_undo(d->turn); break;
    case 13: turn_redo(d->turn); break;
    case 14: turn_sibling(d->turn, dice(2) ? 1 : -1); break;
    default:
        k.temp = (double)dice(20) / 10;
        turn_set_knobs(d->turn, &k);
        break;
    }
}

static void
check_places(const struct desk *d)
{
    const struct text *t = story_text(d->story);
    size_t caret = turn_caret(d->turn), pen = turn_pen(d->turn);

    assert_true(caret <= text_len(t));
    assert_int_equal(stop_before(t, caret), caret);
    if (pen == TEXT_NONE)
        return;
    assert_true(pen <= text_len(t));
    assert_int_equal(stop_before(t, pen), pen);
}

/* Every version of the story, as one text. */
static char *
all_versions(const struct story *s)
{
    size_t len = 0, cap = 0;
    char *all = NULL;

    for (uint64_t n = 0; n < story_next_n(s); n++) {
        const struct text *t = story_node_text(s, n);
        struct node_info info;

        if (!story_node(s, n, &info))
            continue;
        all = mem_grow(all, &cap, len + text_len(t) + 200, 1);
        len += (size_t)sprintf(all + len, "[%d<%d %d %d %d %d %d]", (int)n,
                               (int)info.parent, (int)info.run, (int)info.br,
                               (int)info.i0, (int)info.n_tok, info.kind);
        len += text_read(t, 0, all + len, text_len(t));
    }
    all = mem_grow(all, &cap, len + 1, 1);
    all[len] = '\0';
    return all;
}

static void
reopen_and_compare(struct desk *d)
{
    char *before, *after;
    uint64_t at;
    double temp;

    turn_free(d->turn);
    before = all_versions(d->story);
    at = story_head(d->story);
    temp = story_knobs(d->story)->temp;
    storyfile_close(d->file);
    open_desk(d, true);
    after = all_versions(d->story);
    assert_string_equal(before, after);
    assert_int_equal(story_head(d->story), at);
    assert_true(story_knobs(d->story)->temp == temp);
    assert_null(storyfile_damage_text(d->file));
    free(before);
    free(after);
}

static void
chaos(void **state)
{
    struct desk *d = *state;

    for (int i = 0; i < 10000; i++) {
        struct err err = { 0 };

        d->now += dice(3) ? dice(200) : dice(1500);
        switch (dice(8)) {
        case 0: tab(d); break;
        case 1: turn_retry(d->turn, d->now, &err); break;
        case 2:
        case 3: random_events(d); break;
        case 4: turn_poll(d->turn, d->now); break;
        default: random_key(d); break;
        }
        if (dice(2))
            turn_poll(d->turn, d->now);
        check_places(d);
        if (i % 2500 == 2499)
            reopen_and_compare(d);
        if (text_len(story_text(d->story)) > 4000)
            turn_replace(d->turn, 0, text_len(story_text(d->story)), "", 0,
                         d->now);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(typing_is_one_step_till_a_pause),
        TEST(enter_ends_the_step),
        TEST(a_caret_move_ends_the_step),
        TEST(deleting_is_a_step_of_its_kind),
        TEST(a_paste_is_one_step_and_kept_byte_for_byte),
        TEST(a_run_writes_at_the_caret),
        TEST(a_run_in_the_middle_leaves_what_follows),
        TEST(a_run_names_its_model_and_knobs),
        TEST(esc_keeps_what_was_seen),
        TEST(an_empty_run_leaves_no_step),
        TEST(undo_stops_a_running_run),
        TEST(retry_keeps_the_old_version),
        TEST(seeds_are_drawn_or_locked),
        TEST(typing_elsewhere_makes_the_run_wait),
        TEST(typing_before_the_first_token_waits_too),
        TEST(typing_after_the_pen_waits_too),
        TEST(an_edit_inside_the_running_text_ends_the_run),
        TEST(an_edit_at_the_start_of_the_running_text_is_not_inside),
        TEST(typing_at_the_pen_takes_over),
        TEST(esc_ends_a_waiting_run),
        TEST(tab_at_the_pen_adds_a_length),
        TEST(tab_elsewhere_starts_anew),
        TEST(retry_of_a_part_that_went_on),
        TEST(a_knob_turned_in_mid_run_holds_from_its_token_on),
        TEST(a_knob_turned_between_runs_is_kept),
        TEST(a_longer_length_reaches_the_run),
        TEST(the_prompt_is_read_in_advance),
        TEST(a_run_waits_for_the_model_to_load),
        TEST(a_broken_model_locks_nothing_up),
        TEST(a_failing_run_keeps_its_text),
        TEST(the_window_moves_and_stays),
        TEST(a_read_only_story_is_not_changed),
        TEST(a_pause_does_not_change_what_is_written),
        TEST(chaos),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
